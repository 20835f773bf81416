//! Learning what a source sounds like from the magnitudes of recordings of it alone.
//! Knows no files, and nothing of what is in a mixture.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2, s};

use super::bands::Bands;
use super::{Dictionary, MAX_CONTEXT, check_range, normalize};
use crate::nmf::{Factor, Factorization, NmfConfig, fit_with};
use crate::watch::{Progress, Watch};
use crate::{Error, Result, names};

/// Frames farther below the loudest one than this (-60 dB) say nothing about a source.
const GATE: f32 = 1e-3;

/// Stacks of frames that are learned from, at the most: more make templates no better, and at 3 x 2049 rows these take
/// 50 MB.
pub(crate) const MAX_STACKS: usize = 2048;

/// How far stacks are brought to one level before they are learned from: 0 leaves them as they are, so that the loud ones
/// decide; 1 makes all count alike, also the tails. 0.5 separates 0.14 dB better than 0.
const LEVELING: f32 = 0.5;

/// Iterations that find the templates bin by bin, once their activations are known from bands: a convex problem.
const FINE_ITERATIONS: usize = 10;

/// How templates are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryConfig {
    /// Templates per source, at least 1. Default 16, which `separate` transposes; without that, 40 are better.
    pub n_components: usize,
    /// Consecutive frames in one template, 1 to 16. Default 3: a template then knows an onset from a held note, which
    /// is the largest gain that any one setting makes.
    pub n_context: usize,
    /// Iterations of the factorization. Default 100.
    pub max_iter: usize,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl Default for DictionaryConfig {
    fn default() -> Self {
        Self { n_components: 16, n_context: 3, max_iter: 100, seed: 0 }
    }
}

impl DictionaryConfig {
    /// Refuses settings that cannot be worked with.
    ///
    /// # Errors
    /// [`Error::Setting`], naming `n_components`, `n_context` or `max_iter`.
    pub fn check(&self) -> Result<()> {
        check_range("n_components", self.n_components, 1..=1 << 16)?;
        check_range("n_context", self.n_context, 1..=MAX_CONTEXT)?;
        check_range("max_iter", self.max_iter, 1..=1 << 20)
    }
}

impl Dictionary {
    /// Learns templates of one more source, or more templates of one that is there.
    ///
    /// `runs` are magnitudes (roots of channel-summed power) of recordings of that source alone; each run is a number
    /// of consecutive frames. Templates are the dictionary of a Kullback-Leibler factorization, `n_components` of
    /// them, or as many as there are different frames to learn from.
    ///
    /// # Shapes and units
    /// | name | shape | unit |
    /// |---|---|---|
    /// | `runs` | `n_frames` x `n_bins` each | magnitude |
    ///
    /// # Errors
    /// [`Error::SourceName`] for a name that cannot be that of a file, [`Error::Silent`] where no frame has any sound,
    /// [`Error::MatrixShape`] for another number of bins, [`Error::Setting`] for a setting out of range or another
    /// `n_context` than the dictionary's, and [`Error::MatrixEntry`].
    ///
    /// # Cost
    /// 8 `n_stacks` `n_context` `n_bands` `n_components` operations per iteration, over at most 2048 stacks of frames,
    /// spread evenly over what there is; there are about a fifth as many bands as bins. Memory: twice those stacks.
    ///
    /// # References
    /// P. Smaragdis, B. Raj and M. Shashanka, "Supervised and semi-supervised separation of sounds from
    /// single-channel mixtures", ICA 2007.
    pub fn learn(&mut self, name: &str, runs: &[ArrayView2<'_, f32>], config: &DictionaryConfig) -> Result<()> {
        self.learn_with(name, runs, config, &mut Watch::none())
    }

    /// [`Dictionary::learn`], telling `watch` of every iteration; where that ends it, nothing is learned.
    ///
    /// # Errors
    /// Those of [`Dictionary::learn`], and [`Error::Cancelled`].
    pub fn learn_with(
        &mut self,
        name: &str,
        runs: &[ArrayView2<'_, f32>],
        config: &DictionaryConfig,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        config.check()?;
        names::check(name)?;
        let n_bins = self.stft.n_bins();
        if let Some(run) = runs.iter().find(|run| run.ncols() != n_bins) {
            let expected = (run.nrows(), n_bins);
            return Err(Error::MatrixShape { what: "the spectrogram of the example", got: run.dim(), expected });
        }
        if config.n_context != self.n_context {
            return Err(Error::Setting {
                name: "n_context",
                got: config.n_context.to_string(),
                expected: format!("{}, as in the rest of the dictionary", self.n_context),
                advice: None,
            });
        }
        let stacks = self.stacks(runs)?;
        let n_components = config.n_components.min(stacks.nrows());
        let nmf =
            NmfConfig { n_components, max_iter: config.max_iter, tol: 0.0, seed: config.seed, ..Default::default() };
        let pooled = Bands::new(&self.stft, self.sample_rate).pool(stacks.view(), self.n_context);
        let n_iter = config.max_iter + FINE_ITERATIONS;
        let found = fit(pooled.t(), &nmf, 0, n_iter, watch)?;
        // When each template sounds is known now; what it sounds like, bin by bin, follows.
        let activations = Factor::Fixed(found.activations);
        let nmf = NmfConfig { activations, max_iter: FINE_ITERATIONS, ..nmf };
        let mut templates = fit(stacks.t(), &nmf, config.max_iter, n_iter, watch)?.dictionary;
        normalize(&mut templates);
        self.add(name, templates);
        Ok(())
    }

    /// The stacks of frames to learn from, `n_stacks` x `n_context * n_bins`: those that sound.
    fn stacks(&self, runs: &[ArrayView2<'_, f32>]) -> Result<Array2<f32>> {
        let width = self.n_context;
        // Where each stack starts, and how loud it is. A run shorter than a stack is followed by silence.
        let starts =
            |run: &ArrayView2<'_, f32>| if run.nrows() == 0 { 0 } else { run.nrows().saturating_sub(width) + 1 };
        let mut found = Vec::new();
        for (run_idx, run) in runs.iter().enumerate() {
            let levels: Vec<f32> = run.outer_iter().map(|frame| frame.sum()).collect();
            for start in 0..starts(run) {
                let level: f32 = levels[start..(start + width).min(levels.len())].iter().sum();
                found.push((run_idx, start, level));
            }
        }
        let loudest = found.iter().fold(0.0f32, |loudest, (.., level)| loudest.max(*level));
        if loudest <= 0.0 {
            return Err(Error::Silent);
        }
        found.retain(|(.., level)| *level > GATE * loudest);
        let n_stacks = found.len().min(MAX_STACKS);
        let n_bins = self.stft.n_bins();
        let mut stacks = Array2::zeros((n_stacks, width * n_bins));
        for (i, mut stack) in stacks.outer_iter_mut().enumerate() {
            let (run_idx, start, _) = found[i * found.len() / n_stacks];
            let run = &runs[run_idx];
            for (j, frame) in run.slice(s![start..(start + width).min(run.nrows()), ..]).outer_iter().enumerate() {
                stack.slice_mut(s![j * n_bins..(j + 1) * n_bins]).assign(&frame);
            }
            let level = stack.sum();
            stack /= level.powf(LEVELING);
        }
        Ok(stacks)
    }
}

/// A factorization that `n_before` of all the `n_iter` iterations have gone before.
fn fit(
    v: ArrayView2<'_, f32>,
    config: &NmfConfig,
    n_before: usize,
    n_iter: usize,
    watch: &mut Watch<'_>,
) -> Result<Factorization> {
    let mut tell = |at: Progress| {
        let told = watch.tell(Progress { done: n_before as u64 + at.done, total: Some(n_iter as u64), ..at });
        if told.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    fit_with(v, config, &mut Watch::new(&mut tell))?.complete()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stft::StftConfig;
    use crate::watch::Step;

    const N_FFT: usize = 30;

    /// Magnitudes of two planted templates, whose activations vary.
    fn run(n_frames: usize, offset: usize) -> Array2<f32> {
        Array2::from_shape_fn((n_frames, N_FFT / 2 + 1), |(t, f)| {
            let (a, b) = ((t * 7 % 5) as f32, (t * 3 % 4) as f32);
            a * f32::from(u8::from(f == offset)) + b * f32::from(u8::from(f % 5 == offset))
        })
    }

    fn config() -> DictionaryConfig {
        DictionaryConfig { n_components: 4, n_context: 2, max_iter: 50, seed: 0 }
    }

    #[test]
    fn templates_come_from_the_example_and_sum_to_one() {
        let mut dictionary = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
        dictionary.learn("violin", &[run(50, 2).view()], &config()).expect("learned");
        let templates = &dictionary.sources()[0].templates;
        assert_eq!(templates.dim(), (32, 4));
        for template in templates.columns() {
            assert!((template.sum() - 1.0).abs() < 1e-5, "{template}");
            let outside: f32 = (0..32).filter(|row| row % 16 % 5 != 2).map(|row| template[row]).sum();
            assert!(outside < 1e-6, "only bins that sounded are in a template: {template}");
        }
    }

    #[test]
    fn silence_and_names_that_are_no_files_are_refused() {
        let mut dictionary = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
        let silence = Array2::zeros((20, 16));
        assert!(matches!(dictionary.learn("a", &[silence.view()], &config()), Err(Error::Silent)));
        assert!(matches!(dictionary.learn("a", &[], &config()), Err(Error::Silent)));
        for name in ["", " ", "..", "a/b", "a\nb", "__metadata__", &"x".repeat(200)] {
            let error = dictionary.learn(name, &[run(9, 1).view()], &config()).expect_err(name);
            assert!(matches!(error, Error::SourceName { .. }), "{error}");
        }
        let narrow = Array2::ones((20, 15));
        assert!(matches!(dictionary.learn("a", &[narrow.view()], &config()), Err(Error::MatrixShape { .. })));
        let other = DictionaryConfig { n_context: 3, ..config() };
        let error = dictionary.learn("a", &[run(9, 1).view()], &other).expect_err("another context");
        assert!(matches!(error, Error::Setting { name: "n_context", .. }), "{error}");
        assert!(dictionary.sources().is_empty());
    }

    #[test]
    fn fewer_frames_than_templates_give_as_many_templates_as_frames() {
        let mut dictionary = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
        dictionary.learn("a", &[Array2::ones((3, 16)).view()], &config()).expect("learned");
        dictionary.learn("b", &[Array2::ones((1, 16)).view()], &config()).expect("a run shorter than a template");
        let shapes: Vec<_> = dictionary.sources().iter().map(|source| source.templates.ncols()).collect();
        assert_eq!(shapes, [2, 1]);
    }

    #[test]
    fn whoever_watches_hears_of_every_iteration_and_may_stop_at_any() {
        let learn = |n_heard: u64| {
            let mut heard = Vec::new();
            let mut tell = |told: Progress| {
                heard.push((told.step, told.done, told.total));
                if heard.len() as u64 == n_heard { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let mut dictionary = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
            let watch = &mut Watch::new(&mut tell);
            let outcome = dictionary.learn_with("a", &[run(50, 2).view()], &config(), watch);
            (heard, outcome, dictionary.sources().len())
        };
        let total = (50 + FINE_ITERATIONS) as u64;
        let (heard, outcome, n_sources) = learn(u64::MAX);
        assert!(outcome.is_ok() && n_sources == 1);
        assert!(heard.iter().all(|(step, _, of)| *step == Step::Fitting && *of == Some(total)), "{heard:?}");
        assert!(heard.is_sorted_by_key(|(_, done, _)| *done), "{heard:?}");
        assert_eq!(heard.last().map(|(_, done, _)| *done), Some(total));
        // In the search for activations, and in that for templates.
        for n_heard in [3, heard.len() as u64 - 2] {
            let (heard, outcome, n_sources) = learn(n_heard);
            assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
            assert_eq!((heard.len() as u64, n_sources), (n_heard, 0));
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for config in [
            DictionaryConfig { n_components: 0, ..config() },
            DictionaryConfig { n_context: 0, ..config() },
            DictionaryConfig { n_context: 17, ..config() },
            DictionaryConfig { max_iter: 0, ..config() },
        ] {
            assert!(matches!(config.check(), Err(Error::Setting { .. })), "{config:?}");
        }
    }
}
