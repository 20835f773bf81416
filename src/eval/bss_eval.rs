//! BSS Eval: how much of an estimate is the reference, how much other references, and how much neither.
//! Filters are found once, on the whole signals; energies may be taken from any stretch of them.

use rayon::prelude::*;

use super::block_toeplitz::dot;
use super::config::Mode;
use super::correlation::Statistics;
use super::scores::{Scores, ratio_db};
use super::si_sdr;

/// The distortion filters of all pairs, one list per channel of the estimate.
pub(super) struct Filters {
    /// For each signal of an estimate: filters of all reference signals, which together come nearest to it.
    all: Vec<Vec<f64>>,
    /// For each pair and channel: filters of the signals of this reference alone.
    own: Vec<Vec<f64>>,
}

impl Filters {
    /// Finds them for the signals behind `statistics`.
    pub(super) fn new(statistics: &Statistics) -> Self {
        let layout = &statistics.layout;
        let (n_channels, n_taps) = (layout.n_channels, statistics.n_taps);
        let first_estimate = layout.n_reference_rows();
        let targets: Vec<_> = statistics
            .with_estimates
            .iter()
            .enumerate()
            .map(|(row, d)| (d.clone(), statistics.energies[first_estimate + row]))
            .collect();
        let all = statistics.gram.solve(&targets);
        let mut own = vec![Vec::new(); layout.pairs.len() * n_channels];
        for reference in 0..layout.n_references {
            let pairs: Vec<_> = (0..layout.pairs.len()).filter(|pair| layout.pairs[*pair].0 == reference).collect();
            let first = layout.reference_row(reference, 0);
            let gram = statistics.gram.part(first, n_channels);
            let places: Vec<_> = pairs.iter().flat_map(|pair| (0..n_channels).map(move |c| (*pair, c))).collect();
            let targets: Vec<_> = places
                .iter()
                .map(|(pair, channel)| {
                    let (d, energy) = &targets[layout.pairs[*pair].1 * n_channels + channel];
                    (d[first * n_taps..(first + n_channels) * n_taps].to_vec(), *energy)
                })
                .collect();
            for ((pair, channel), filters) in places.iter().zip(gram.solve(&targets)) {
                own[pair * n_channels + channel] = filters;
            }
        }
        Self { all, own }
    }
}

/// The scores of every pair in the stretch of time that `statistics` are of.
///
/// With s the reference, p its projection (the estimate as far as filters of s make it up) and q the projection on all
/// references: e = s + (p - s) + (q - p) + (e - q), the last three being spatial distortion, interference and artifacts.
/// All energies follow from correlations: that of filtered references is x' G x.
///
/// # References
/// E. Vincent, R. Gribonval and C. Fevotte, "Performance measurement in blind audio source separation", IEEE Trans.
/// Audio, Speech and Language Processing 14(4), 2006; E. Vincent et al., "First stereo audio source separation
/// evaluation campaign", ICA 2007, for images and ISR; F.-R. Stoter, A. Liutkus and N. Ito, "The 2018 signal separation
/// evaluation campaign", LVA/ICA 2018, for filters that do not vary in time (version 4).
pub(super) fn scores(statistics: &Statistics, filters: &Filters, mode: Mode) -> Vec<Scores> {
    (0..statistics.layout.pairs.len()).into_par_iter().map(|pair| of_pair(statistics, filters, mode, pair)).collect()
}

fn of_pair(statistics: &Statistics, filters: &Filters, mode: Mode, pair: usize) -> Scores {
    let (layout, gram, n_taps) = (&statistics.layout, &statistics.gram, statistics.n_taps);
    let (reference, estimate) = layout.pairs[pair];
    let own_taps = reference * layout.n_channels * n_taps..(reference + 1) * layout.n_channels * n_taps;
    let own_gram = gram.part(layout.reference_row(reference, 0), layout.n_channels);
    let [mut filtered, mut spatial, mut others, mut projected, mut artifacts, mut not_own, mut whole] = [0.0; 7];
    for channel in 0..layout.n_channels {
        let own = &filters.own[pair * layout.n_channels + channel];
        let all = &filters.all[estimate * layout.n_channels + channel];
        let d = &statistics.with_estimates[estimate * layout.n_channels + channel];
        let energy = statistics.energies[layout.estimate_row(estimate, channel)];
        whole += energy;
        // The filter that leaves this channel of the reference as it is.
        let mut difference = own.clone();
        difference[channel * n_taps] -= 1.0;
        spatial += own_gram.energy(&difference);
        let mut difference = all.clone();
        difference[own_taps.clone()].iter_mut().zip(own).for_each(|(all, own)| *all -= own);
        others += gram.energy(&difference);
        let own_energy = own_gram.energy(own);
        filtered += own_energy;
        not_own += energy - 2.0 * dot(&d[own_taps.clone()], own) + own_energy;
        let all_energy = gram.energy(all);
        projected += all_energy;
        artifacts += energy - 2.0 * dot(d, all) + all_energy;
    }
    // A difference of numbers of this size is rounding below.
    let rounding = 1e-15 * whole;
    let (artifacts, not_own) = (artifacts.max(rounding), not_own.max(rounding));
    let (bss_sdr, bss_isr) = match mode {
        Mode::Images => {
            let crossed = &statistics.crossed[pair * layout.n_channels..(pair + 1) * layout.n_channels];
            let target = statistics.reference_energy(reference);
            (ratio_db(target, crossed.iter().map(|(_, difference)| difference).sum()), ratio_db(target, spatial))
        }
        Mode::Sources => (ratio_db(filtered, not_own), f64::NAN),
    };
    Scores {
        bss_sdr,
        bss_isr,
        bss_sir: ratio_db(filtered, others),
        bss_sar: ratio_db(projected, artifacts),
        si_sdr: si_sdr::of_pair(statistics, pair),
    }
}
