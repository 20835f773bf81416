//! Distant microphones: as many sources as microphones, told apart by a matrix in each bin.
//! Nothing is known of where microphones stand.

mod bins;
mod delays;
mod sources;

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;
use realfft::num_complex::{Complex32, Complex64};

use self::bins::Bin;
use self::sources::Source;
use super::silence;
use crate::error::Advice;
use crate::knowledge::dictionary::Dictionary;
use crate::knowledge::score::Score;
use crate::separate::pipeline::{Analysis, AnalysisConfig, Block, Detail, Model, Split};
use crate::separate::separation::Separation;
use crate::watch::{Step, Watch};
use crate::{Error, Result, names};

/// Bytes of spectra that are kept of a recording at the most.
const MAX_BYTES: usize = 320 << 20;

/// How much earlier than a score says a note may begin, in seconds, and for how long it may ring on.
const LEEWAY_S: f64 = 0.1;
const RINGING_S: f64 = 1.0;

/// Steps towards where delays say that sources are, and iterations in which variances alone learn what comes of it.
const N_AIMED: usize = 6;
const N_FIRST: usize = 5;

/// The share of its mean variance over all bins that a source is taken to have in each besides, at first; less and less,
/// to none at the end. A bin whose own variances say little goes with the others.
const TOGETHER: f32 = 0.2;

/// How to look for sources with distant microphones.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayConfig {
    /// Number of sources: that of the channels. Default: that.
    pub n_sources: Option<usize>,
    /// Names of the first sources; others are `source-3` and so on. Default: those of the examples.
    pub names: Vec<String>,
    /// What sources sound like, one frame in each template: variances begin with it, and keep it for half of the
    /// iterations. Default: nothing.
    pub examples: Option<Dictionary>,
    /// When sources can sound, in seconds; those that are not named can at any time. Default: nothing is known.
    pub times_s: Vec<(String, Vec<Range<f64>>)>,
    /// Components of each source, at least 1, where no example is given. Default 8.
    pub n_components: usize,
    /// Iterations, at least 1. Default 60.
    pub max_iter: usize,
    /// Iterations before these, in which a source is as loud in every bin: those of `AuxIVA`. They put the bins of a
    /// source together, so that less is left to chance, where delays between microphones do not. Default 15.
    pub n_broad: usize,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl Default for ArrayConfig {
    fn default() -> Self {
        Self {
            n_sources: None,
            names: Vec::new(),
            examples: None,
            times_s: Vec::new(),
            n_components: 8,
            max_iter: 60,
            n_broad: 15,
            seed: 0,
        }
    }
}

impl ArrayConfig {
    /// How to look at a recording of so many channels: with the spectra of each, in bounded memory.
    pub fn analysis(n_channels: usize) -> AnalysisConfig {
        let defaults = AnalysisConfig::default();
        // Of 2049 bins, as at 44.1 and 48 kHz.
        let max_frames = MAX_BYTES / (2049 * 8 * n_channels.max(1));
        AnalysisConfig { max_frames: max_frames.min(defaults.max_frames), detail: Detail::Spectra, ..defaults }
    }

    /// With the parts of a score as sources, which sound where they have notes, and a second after each.
    #[must_use]
    pub fn with_score(mut self, score: &Score) -> Self {
        for part in &score.parts {
            if !self.names.contains(&part.name) {
                self.names.push(part.name.clone());
            }
            let times = part.notes.iter().map(|note| note.onset_s - LEEWAY_S..note.offset_s + RINGING_S).collect();
            self.times_s.push((part.name.clone(), times));
        }
        self
    }

    /// Names of the stems of a recording of so many channels.
    pub fn stem_names(&self, n_channels: usize) -> Vec<String> {
        let known = self.examples.iter().flat_map(Dictionary::sources).map(|source| &source.name);
        let mut all: Vec<String> = Vec::new();
        for name in known.chain(&self.names) {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        let n_known = all.len();
        all.extend((n_known..n_channels).map(|i| names::source(i + 1)));
        all
    }

    fn check(&self, analysis: &Analysis) -> Result<()> {
        let refuse = |name, got: String, expected: String, advice: Option<Advice>| {
            Err(Error::Setting { name, got, expected, advice: advice.map(Box::new) })
        };
        let n_channels = analysis.n_channels();
        if n_channels < 2 {
            let advice = Advice::Plain("give a recording with a channel for each microphone".into());
            return refuse("spatial", "a single channel".into(), "at least 2 channels".into(), Some(advice));
        }
        let n_sources = self.n_sources.unwrap_or(self.stem_names(n_channels).len());
        let n_known = self.stem_names(0).len();
        if n_sources != n_channels || n_known > n_channels {
            let (got, few) = (n_sources.max(n_known), format!("{n_channels}, one for each microphone"));
            let advice = match got > n_channels {
                true => Advice::Plain(
                    "with fewer microphones than sources, tell what they sound like (examples, a score), and let places \
                     help: `multichannel wiener`"
                        .into(),
                ),
                false => Advice::LeaveOut { name: "n_sources" },
            };
            return refuse("n_sources", got.to_string(), few, Some(advice));
        }
        for (name, value) in [("n_components", self.n_components), ("max_iter", self.max_iter)] {
            if value == 0 {
                return refuse(name, "0".into(), "at least 1".into(), None);
            }
        }
        if let Some(dictionary) = &self.examples {
            dictionary.check_fits(analysis.sample_rate(), analysis.stft().config())?;
            if dictionary.n_context() != 1 {
                let got = dictionary.n_context().to_string();
                return refuse("n_context", got, "1: sources are looked for frame by frame".into(), None);
            }
        }
        Ok(())
    }
}

/// Tells as many sources apart as there are channels, by a matrix in each bin that stays the same throughout:
/// independent low-rank matrix analysis. It begins with matrices for the delays between microphones or, where these do
/// not tell sources apart and where examples or times are known, with iterations of independent vector analysis. Beside
/// its own variance, each bin has a share of the mean of all, which falls to none. No
/// masks, so no musical noise; sources must stay where they are. Stems are what all microphones hear of each source.
///
/// The analysis must have the spectra of all channels ([`crate::separate::Detail::Spectra`],
/// [`ArrayConfig::analysis`]). There is nothing in `previous` to go on from.
///
/// # Errors
/// [`Error::Setting`] for a setting out of range, more or fewer sources than channels, and an analysis without spectra;
/// [`Error::DictionaryMismatch`]; [`Error::Cancelled`].
///
/// # Cost
/// For N channels and K components of each source, time O(`n_frames` `n_bins` `max_iter` (6 N K + N^3)) for the frames
/// of the analysis; N^2 per bin and frame of a rendering. Memory beside the analysis: as much again.
///
/// # References
/// N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function technique", WASPAA
/// 2011. D. Kitamura, N. Ono, H. Sawada, H. Kameoka and H. Saruwatari, "Determined blind source separation unifying
/// independent vector analysis and nonnegative matrix factorization", IEEE/ACM TASLP 24(9), 2016.
///
/// # Examples
/// ```
/// use partita::separate::array::{self, ArrayConfig};
/// use partita::separate::Analysis;
/// use partita::{Audio, watch::Watch};
/// let tone = |hz: f32, i: usize| (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin();
/// let both = ndarray::Array2::from_shape_fn((2, 16_000), |(mic, i)| {
///     let (low, high) = (tone(440.0, i), if i % 4000 < 2000 { tone(1500.0, i) } else { 0.0 });
///     if mic == 0 { low + 0.7 * high } else { high + 0.8 * low }
/// });
/// let both = Audio::new(both, 8000)?;
/// let analysis = Analysis::of(&both, &ArrayConfig::analysis(2), &mut Watch::none())?;
/// let parts = array::fit(&analysis, &ArrayConfig::default(), None, &mut Watch::none())?;
/// assert_eq!(parts.names(), ["source-1", "source-2"]);
/// # Ok::<(), partita::Error>(())
/// ```
pub fn fit(
    analysis: &Analysis,
    config: &ArrayConfig,
    _previous: Option<&Separation>,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    config.check(analysis)?;
    let n = analysis.n_channels();
    let names = config.stem_names(n);
    if analysis.is_silent() {
        return silence(analysis, names);
    }
    let Some(spectra) = analysis.spectra() else {
        let (got, expected) = ("without spectra".into(), "one with the spectra of all channels".into());
        return Err(Error::Setting { name: "analysis", got, expected, advice: None });
    };
    let mut bins = gather(spectra);
    let (n_bins, n_frames) = (bins.len(), spectra[0].nrows());
    watch.at(Step::Fitting, 0, None)?;
    // Delays do not say whose they are.
    let delays = match config.examples.is_none() && config.times_s.is_empty() {
        true => delays::find(&bins, analysis.sample_rate(), analysis.stft().config().n_fft),
        false => Vec::new(),
    };
    // One source may have none: it is what fits no other.
    let is_aimed = delays.len() + 1 >= n && !delays.is_empty();
    let n_broad = if is_aimed { 0 } else { config.n_broad };
    let total = Some((n_broad + config.max_iter) as u64);
    if is_aimed {
        delays::aim(&mut bins, &delays, analysis.stft().config().n_fft, N_AIMED);
    }
    for i in 0..n_broad {
        watch.at(Step::Fitting, i as u64, total)?;
        project_broadly(&mut bins, n);
    }
    let mut sources: Vec<Source> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let times = config.times_s.iter().find(|(known, _)| known == name).map(|(_, times)| times);
            let may_sound = |row: usize| {
                let time_s = analysis.frame_s(analysis.frame_idx(row));
                times.is_none_or(|times| times.iter().any(|time| time.contains(&time_s)))
            };
            let templates = config.examples.iter().flat_map(Dictionary::sources).find(|source| source.name == *name);
            let n_components = templates.map_or(config.n_components, |source| source.templates.ncols());
            let seed = config.seed.wrapping_mul(1000).wrapping_add(number as u64);
            let mut source = Source::new((n_bins, n_components, n_frames), seed, may_sound);
            if let Some(known) = templates {
                // Of magnitudes that sum to one, powers around one.
                source.templates = known.templates.mapv(|x| (x * n_bins as f32).powi(2).max(1e-4));
            }
            source
        })
        .collect();
    let is_known: Vec<bool> = names
        .iter()
        .map(|name| config.examples.iter().flat_map(Dictionary::sources).any(|source| source.name == *name))
        .collect();
    if is_aimed {
        for _ in 0..N_FIRST {
            sources.iter_mut().enumerate().for_each(|(number, source)| source.improve(&bins, number, true));
        }
    }
    for i in 0..config.max_iter {
        watch.at(Step::Fitting, (n_broad + i) as u64, total)?;
        for (number, source) in sources.iter_mut().enumerate() {
            source.improve(&bins, number, !is_known[number] || i >= config.max_iter / 2);
            let this = &*source;
            let more = this.in_all_bins(TOGETHER * (1.0 - i as f32 / config.max_iter as f32));
            bins.par_iter_mut().enumerate().for_each_init(Vec::new, |weights, (f, bin)| {
                this.weights(f, &more, weights);
                bin.project(number, weights);
            });
            // What is heard of a source has a mean power of 1, and its variances follow.
            let level = level(&bins, number);
            if level.is_normal() {
                bins.par_iter_mut().for_each(|bin| bin.scale(number, 1.0 / level));
                source.templates.mapv_inplace(|b| (b / level as f32).max(sources::FLOOR));
            }
        }
    }
    let demixer = Demixer { n, bins: bins.iter().map(|bin| (bin.w.clone(), bin.mixing())).collect() };
    Separation::new(analysis, demixer, names)
}

/// The spectra bin by bin, at a mean power of 1.
fn gather(spectra: &[Array2<Complex32>]) -> Vec<Bin> {
    let of_row = |row: ndarray::ArrayView1<'_, Complex32>| row.iter().map(|x| f64::from(x.norm_sqr())).sum::<f64>();
    let power: f64 = spectra.iter().flat_map(|spectrum| spectrum.outer_iter()).map(of_row).sum();
    let n_values = spectra.iter().map(Array2::len).sum::<usize>().max(1) as f64;
    let gain = (n_values / power.max(f64::MIN_POSITIVE)).sqrt().min(f64::from(f32::MAX)) as f32;
    let bin = |f: usize| {
        let parts = |spectrum: &Array2<Complex32>| {
            let column = spectrum.column(f);
            [column.iter().map(|x| x.re * gain).collect(), column.iter().map(|x| x.im * gain).collect()]
        };
        Bin::new(spectra.iter().map(parts).collect())
    };
    (0..spectra[0].ncols()).into_par_iter().map(bin).collect()
}

/// Mean power of a source.
fn level(bins: &[Bin], source: usize) -> f64 {
    let sums: Vec<f64> = bins.par_iter().map(|bin| bin.total(source)).collect();
    let n_values = bins.len() * bins.first().map_or(0, |bin| bin.n_frames);
    sums.iter().sum::<f64>() / n_values.max(1) as f64
}

/// One step in which a source is as loud in every bin: `r = 2 sqrt(sum over f of P)`, that of a spherical Laplace
/// distribution.
fn project_broadly(bins: &mut [Bin], n: usize) {
    let n_padded = bins.first().map_or(0, |bin| bin.power[0].len());
    for source in 0..n {
        let mut sums = vec![0.0f64; n_padded];
        for bin in bins.iter() {
            sums.iter_mut().zip(&bin.power[source]).for_each(|(sum, p)| *sum += f64::from(*p));
        }
        let weights: Vec<f32> = sums.iter().map(|sum| 1.0 / (2.0 * sum.sqrt()).max(1e-5) as f32).collect();
        bins.par_iter_mut().for_each(|bin| bin.project(source, &weights));
    }
}

/// What tells the sources apart: of each bin, the matrix and its inverse.
#[derive(Debug)]
struct Demixer {
    n: usize,
    bins: Vec<(Vec<Complex64>, Option<Vec<Complex64>>)>,
}

impl Model for Demixer {
    fn n_parts(&self) -> usize {
        self.n
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let (n, spectra) = (self.n, block.core_spectra());
        let (n_frames, n_bins) = block.core().dim();
        let images = (0..n).into_par_iter().map(|source| {
            let image = |mic: usize| {
                Array2::from_shape_fn((n_frames, n_bins), |(frame, bin)| {
                    let at = frame * n_bins + bin;
                    let heard = |m: usize| Complex64::new(f64::from(spectra[m][at].re), f64::from(spectra[m][at].im));
                    let (w, mixing) = &self.bins[bin];
                    let y = match mixing {
                        Some(mixing) => {
                            let y: Complex64 = (0..n).map(|m| w[source * n + m] * heard(m)).sum();
                            mixing[mic * n + source] * y
                        }
                        // Nothing tells them apart.
                        None => heard(mic) / n as f64,
                    };
                    Complex32::new(y.re as f32, y.im as f32)
                })
            };
            (0..n).map(image).collect()
        });
        Ok(Split::Images(images.collect()))
    }
}
