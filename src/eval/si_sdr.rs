//! The scale-invariant signal-to-distortion ratio, from sums over the samples.

use super::correlation::Statistics;
use super::scores::ratio_db;

/// SI-SDR of one pair in dB: means are taken away, and channels averaged. A channel in which the reference is constant has
/// no part in it; NaN where that is so in all, and where the estimate is constant in one that has: 0 / 0.
///
/// With a = <s, e> / <s, s>, it is the ratio of the energies of a s and of e - a s.
///
/// # References
/// J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019, equation 3.
pub(super) fn of_pair(statistics: &Statistics, pair: usize) -> f64 {
    let layout = &statistics.layout;
    let (reference, estimate) = layout.pairs[pair];
    let n = statistics.n_samples.max(1) as f64;
    let ratios = (0..layout.n_channels).filter_map(|channel| {
        let (s, e) = (layout.reference_row(reference, channel), layout.estimate_row(estimate, channel));
        let (sum_s, sum_e) = (statistics.sums[s], statistics.sums[e]);
        let (product, _) = statistics.crossed[pair * layout.n_channels + channel];
        let (ss, ee) = (statistics.energies[s], statistics.energies[e]);
        let (vs, ve) = (ss - sum_s * sum_s / n, ee - sum_e * sum_e / n);
        // What is left of a constant is rounding.
        let is_constant = |v: f64, energy: f64| v <= 1e-12 * energy;
        if is_constant(vs, ss) {
            return None;
        }
        if is_constant(ve, ee) {
            return Some(f64::NAN);
        }
        let cross = product - sum_s * sum_e / n;
        let target = cross * cross / vs;
        Some(ratio_db(target, ve - target))
    });
    let ratios: Vec<f64> = ratios.collect();
    ratios.iter().sum::<f64>() / ratios.len() as f64
}
