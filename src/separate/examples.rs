//! With examples: each source has been heard alone, and its templates are looked for in the mixture.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;

use super::analysis::{Analysis, MAX_FRAMES, RUN, analyze};
use super::model::{Block, Model};
use super::{MUSIC_WINDOW_S, Multichannel, Progress, RESIDUAL, Separation, Step, check_mask_exponent, fitting, render};
use crate::audio::Recording;
use crate::audio::resample::Resampled;
use crate::dictionary::{Bands, Dictionary, DictionaryConfig, MAX_STACKS, Source, stack};
use crate::error::Advice;
use crate::nmf::{self, Factor, NmfConfig, Solver, StopReason, fit, fit_with};
use crate::stft::{Stft, StftConfig, StftOptions};
use crate::{Error, Result, mask, names};

/// Stacks that the templates of the residual are learned from at the most.
const MAX_RESIDUAL_STACKS: usize = 2048;

/// Stacks whose activations are found together: few enough to keep all threads busy with one block, and enough for the
/// packing of the templates not to count.
const CHUNK: usize = 32;

/// Stacks from one report of progress to the next.
const GROUP: usize = 32 * CHUNK;

/// Two octaves: beyond them no example sounds like itself.
const MAX_SEMITONES: usize = 24;

/// What a transposed template costs, relative to one that was heard: a Kullback-Leibler fit with this penalty on its
/// activation (its l1 norm, templates summing to one). Without any, sources explain one another's notes; at 0.3 a
/// transposed template comes in where no heard one explains the frame.
const TRANSPOSITION_COST: f32 = 0.3;

/// A recording of one source alone.
#[derive(Clone, Copy)]
pub struct Example<'a> {
    /// The source; several examples may be of one.
    pub name: &'a str,
    /// What messages call the recording: its file.
    pub label: &'a str,
    /// The recording, at any sample rate.
    pub recording: &'a dyn Recording,
}

impl std::fmt::Debug for Example<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Example").field("name", &self.name).field("label", &self.label).finish_non_exhaustive()
    }
}

/// Learns a dictionary from examples, for mixtures of this sample rate (Hz). Examples at other rates are converted;
/// several of one source make one set of templates.
///
/// # Errors
/// [`Error::Example`] for an example that is silent or shorter than one window, [`Error::SourceName`],
/// [`Error::Setting`], [`Error::Cancelled`], and those of the recordings.
///
/// # Cost
/// Each example is read once. 2048 stacks of frames are learned from at the most, spread evenly over a longer one.
pub fn learn(
    examples: &[Example<'_>],
    sample_rate: u32,
    stft: &StftOptions,
    config: &DictionaryConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Dictionary> {
    config.check()?;
    examples.iter().try_for_each(|example| names::check(example.name))?;
    let stft = Stft::new(music_stft(stft, sample_rate))?;
    let mut dictionary = Dictionary::new(sample_rate, *stft.config(), config.n_context)?;
    let mut names: Vec<&str> = Vec::new();
    for example in examples {
        if !names.contains(&example.name) {
            names.push(example.name);
        }
    }
    for name in names {
        let of_name: Vec<_> = examples.iter().filter(|example| example.name == name).collect();
        let mut analyses = Vec::with_capacity(of_name.len());
        for example in &of_name {
            let recording = Resampled::new(example.recording, sample_rate);
            let analysis = analyze(&recording, &stft, MAX_STACKS / of_name.len(), progress);
            analyses.push(analysis.map_err(|error| example.error(error))?);
        }
        let runs: Vec<_> = analyses.iter().flat_map(runs).collect();
        dictionary.learn_with(name, &runs, config, &mut fitting(progress)).map_err(|error| match error {
            // Not digital silence, but nothing that a window shows either.
            Error::Silent => of_name[0].error(Error::Silent),
            error => error,
        })?;
    }
    Ok(dictionary)
}

impl Example<'_> {
    pub(super) fn error(&self, error: Error) -> Error {
        match error {
            Error::Silent | Error::TooShort { .. } | Error::NonFiniteSample { .. } => {
                Error::Example { name: self.name.into(), label: self.label.into(), source: Box::new(error) }
            }
            error => error,
        }
    }
}

/// The sizes of the transform that suits music.
fn music_stft(options: &StftOptions, sample_rate: u32) -> StftConfig {
    options.resolve(sample_rate, MUSIC_WINDOW_S)
}

/// The runs of consecutive frames that an analysis kept.
fn runs(analysis: &Analysis) -> Vec<ArrayView2<'_, f32>> {
    if analysis.is_complete() {
        return vec![analysis.magnitude.view()];
    }
    analysis.magnitude.axis_chunks_iter(Axis(0), RUN).collect()
}

/// How to look for the sources of a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct ExamplesConfig {
    /// Sizes of the transform; they must be the dictionary's. Default: as for [`super::SeparateConfig`].
    pub stft: StftOptions,
    /// Templates for what no example explains, which are learned from the mixture and make a stem `residual`. Default
    /// 0: the sources share all of the mixture.
    pub n_residual: usize,
    /// Every template is also looked for at pitches up to this many semitones higher and lower, for the notes that an
    /// example lacks; 0 to 24. Default 5: on nine recordings 0.9 dB better than 0.
    pub n_semitones: usize,
    /// Iterations that find the activations, at least 1. Default 30.
    pub max_iter: usize,
    /// Exponent of the masks, above 0; 2 is the Wiener filter's, higher is harder. Default 1.5.
    pub mask_exponent: f32,
    /// How sources are told apart where there are several channels. Default: also by their places.
    pub multichannel: Multichannel,
    /// Frames whose activations are kept from the fit to the rendering, and from which the residual is learned; those
    /// of a longer recording are found again block by block. Default 20 000.
    pub max_frames: usize,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl Default for ExamplesConfig {
    fn default() -> Self {
        Self {
            stft: StftOptions::default(),
            n_residual: 0,
            n_semitones: 5,
            max_iter: 30,
            mask_exponent: 1.5,
            multichannel: Multichannel::default(),
            max_frames: MAX_FRAMES,
            seed: 0,
        }
    }
}

/// Takes a recording apart into the sources of a dictionary.
///
/// # Errors
/// [`Error::DictionaryMismatch`] where the dictionary is for another sample rate or transform, [`Error::Silent`] and
/// [`Error::TooShort`] where there is nothing to separate, [`Error::Setting`], [`Error::Cancelled`], and those of the
/// recording.
///
/// # Cost
/// 4 `n_stacks` `n_context` `n_bands` `n_templates` operations per iteration; there are about a fifth as many bands as
/// bins, and `2 n_semitones + 1` templates for each in the dictionary. Memory: the magnitudes of at most `max_frames`
/// frames, and the templates.
///
/// # References
/// P. Smaragdis, B. Raj and M. Shashanka, "Supervised and semi-supervised separation of sounds from single-channel
/// mixtures", ICA 2007.
///
/// # Examples
/// ```
/// use std::ops::ControlFlow;
/// use partita::separate::{Example, ExamplesConfig, examples, learn};
/// use partita::{Audio, DictionaryConfig, StftOptions};
/// let tone = |hz: f32| ndarray::Array2::from_shape_fn((1, 8000), |(_, i)| (hz * i as f32 * 7.85e-4).sin());
/// let (low, high) = (Audio::new(tone(300.0), 8000)?, Audio::new(tone(1200.0), 8000)?);
/// let known = [
///     Example { name: "low", label: "low.wav", recording: &low },
///     Example { name: "high", label: "high.wav", recording: &high },
/// ];
/// let go_on = &mut |_| ControlFlow::Continue(());
/// let dictionary = learn(&known, 8000, &StftOptions::default(), &DictionaryConfig::default(), go_on)?;
/// let mixture = Audio::new(tone(300.0) + tone(1200.0), 8000)?;
/// let stems = examples(&mixture, &dictionary, &ExamplesConfig::default(), go_on)?.stems(&mixture)?;
/// let gap = &stems[0].samples() - &low.samples();
/// assert!(gap.iter().skip(800).take(6400).all(|x| x.abs() < 0.05), "the first stem is the low tone");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn examples(
    recording: &dyn Recording,
    dictionary: &Dictionary,
    config: &ExamplesConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
    check_mask_exponent(config.mask_exponent)?;
    if config.max_iter == 0 {
        let (got, expected) = ("0".into(), "at least 1".into());
        return Err(Error::Setting { name: "max_iter", got, expected, advice: None });
    }
    if config.n_semitones > MAX_SEMITONES {
        let (got, expected) = (config.n_semitones.to_string(), format!("0 to {MAX_SEMITONES}"));
        return Err(Error::Setting { name: "n_semitones", got, expected, advice: None });
    }
    let sample_rate = recording.sample_rate();
    let stft = Stft::new(music_stft(&config.stft, sample_rate))?;
    dictionary.check_fits(sample_rate, stft.config())?;
    let mut names: Vec<_> = dictionary.sources().iter().map(|source| source.name.clone()).collect();
    let Some(first) = names.first() else {
        let (got, expected) = ("none".into(), "at least one source".into());
        return Err(Error::Setting { name: "dictionary", got, expected, advice: None });
    };
    if config.n_residual > 0 && names.iter().any(|name| name == RESIDUAL) {
        let advice = Some(Advice::plain(format!("give the example another name, such as `{first}-2`")).into());
        let (got, expected) = (config.n_residual.to_string(), "0, as an example is called `residual`".into());
        return Err(Error::Setting { name: "n_residual", got, expected, advice });
    }
    let analysis = analyze(recording, &stft, config.max_frames, progress)?;
    let n_context = dictionary.n_context();
    let with_transposed = |source: &Source| Part::new(&source.templates, n_context, config.n_semitones);
    let mut parts: Vec<_> = dictionary.sources().par_iter().map(with_transposed).collect();
    if config.n_residual > 0 {
        let templates = learn_residual(&analysis, dictionary, config, progress)?;
        parts.push(Part { n_heard: templates.ncols(), templates });
        names.push(RESIDUAL.into());
    }
    let mut model = Templates::new(parts, n_context, Bands::new(stft.config(), sample_rate), config);
    if analysis.is_complete() {
        model.activations = Some(model.find(analysis.magnitude.view(), progress)?);
    }
    let Analysis { n_samples, n_frames, .. } = analysis;
    let spatial = match config.multichannel {
        Multichannel::Mask => None,
        Multichannel::Wiener => {
            let (exponent, max_frames) = (config.mask_exponent, config.max_frames);
            render::locate(recording, &stft, &model, exponent, n_frames, max_frames, progress)?
        }
    };
    let mut separation = Separation::new(stft, model, names, n_samples);
    separation.stages[0].spatial = spatial.map(Arc::new);
    Ok(separation)
}

/// Templates for what those of the dictionary leave over in the mixture.
fn learn_residual(
    analysis: &Analysis,
    dictionary: &Dictionary,
    config: &ExamplesConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Array2<f32>> {
    let width = dictionary.n_context();
    let n_stacks = analysis.magnitude.nrows().saturating_sub(width - 1).clamp(1, MAX_RESIDUAL_STACKS);
    let last = analysis.magnitude.nrows().saturating_sub(width);
    let mut stacks = Array2::zeros((n_stacks, width * analysis.magnitude.ncols()));
    for (i, mut row) in stacks.outer_iter_mut().enumerate() {
        let start = i * last / n_stacks.max(2).saturating_sub(1);
        let run = analysis.magnitude.slice(s![start..(start + width).min(analysis.magnitude.nrows()), ..]);
        row.iter_mut().zip(run.iter()).for_each(|(to, x)| *to = *x);
    }
    let known = dictionary.sources().iter().flat_map(|source| source.templates.columns());
    let mut parts: Vec<_> = known.map(|template| nmf::Part::Fixed(template.to_owned())).collect();
    let n_known = parts.len();
    parts.extend((0..config.n_residual).map(|_| nmf::Part::Free));
    let nmf = NmfConfig {
        n_components: parts.len(),
        dictionary: Factor::PerComponent(parts),
        max_iter: 2 * config.max_iter,
        tol: 0.0,
        seed: config.seed,
        ..NmfConfig::default()
    };
    let found = fit_with(stacks.t(), &nmf, &mut fitting(progress))?;
    if found.stop_reason == StopReason::Cancelled {
        return Err(Error::Cancelled);
    }
    Ok(found.dictionary.slice(s![.., n_known..]).to_owned())
}

/// What is looked for of one source.
#[derive(Debug)]
struct Part {
    /// `n_context * n_bins` x components.
    templates: Array2<f32>,
    /// The first so many of them were heard, the others are transposed.
    n_heard: usize,
}

impl Part {
    fn new(heard: &Array2<f32>, n_context: usize, n_semitones: usize) -> Self {
        let steps = 1..=n_semitones as i32;
        let transposed = steps.flat_map(|step| [-step, step]).map(|step| transposed(heard, n_context, step));
        let all: Vec<_> = std::iter::once(heard.clone()).chain(transposed).collect();
        let all: Vec<_> = all.iter().map(|part| part.view()).collect();
        let templates = concatenate(Axis(1), &all).expect("transposing changes no shape");
        Self { templates, n_heard: heard.ncols() }
    }
}

/// Templates with every frequency moved by a number of semitones; each sums to one again, unless all of it was moved
/// beyond the last bin.
fn transposed(templates: &Array2<f32>, n_context: usize, n_semitones: i32) -> Array2<f32> {
    let n_bins = templates.nrows() / n_context;
    let ratio = 2.0f64.powf(f64::from(n_semitones) / 12.0);
    let mut moved = Array2::zeros(templates.raw_dim());
    for (row, mut to) in moved.outer_iter_mut().enumerate() {
        // What comes to this bin is read between two others.
        let from = (row % n_bins) as f64 / ratio;
        let (below, share) = (from as usize, from.fract() as f32);
        if below + 1 < n_bins {
            let first = row / n_bins * n_bins;
            let between = &templates.row(first + below) * (1.0 - share) + &templates.row(first + below + 1) * share;
            to.assign(&between);
        }
    }
    for mut template in moved.columns_mut() {
        let sum = template.sum();
        if sum > 0.0 {
            template /= sum;
        }
    }
    moved
}

/// Templates of known sources, stacks of frames each.
#[derive(Debug)]
struct Templates {
    parts: Vec<Part>,
    /// The rows of `activations` that belong to each part.
    rows: Vec<Range<usize>>,
    /// All templates in bands, and below them what each costs: `n_context * n_bands + 1` x components.
    pooled: Array2<f32>,
    bands: Bands,
    n_context: usize,
    max_iter: usize,
    mask_exponent: f32,
    /// Components x stacks of the whole recording; `None`: found block by block.
    activations: Option<Array2<f32>>,
}

impl Templates {
    fn new(parts: Vec<Part>, n_context: usize, bands: Bands, config: &ExamplesConfig) -> Self {
        let mut rows = Vec::with_capacity(parts.len());
        let mut pooled = Vec::with_capacity(parts.len());
        for part in &parts {
            let start = rows.last().map_or(0, |last: &Range<usize>| last.end);
            rows.push(start..start + part.templates.ncols());
            let mut costs = Array2::zeros((part.templates.ncols(), 1));
            costs.slice_mut(s![part.n_heard.., ..]).fill(TRANSPOSITION_COST);
            let bands = bands.pool(part.templates.t(), n_context);
            pooled.push(concatenate(Axis(1), &[bands.view(), costs.view()]).expect("a cost for each template"));
        }
        let pooled: Vec<_> = pooled.iter().map(|part| part.t()).collect();
        let pooled = concatenate(Axis(1), &pooled).expect("templates of one dictionary have the same rows");
        let (max_iter, mask_exponent) = (config.max_iter, config.mask_exponent);
        Self { parts, rows, pooled, bands, n_context, max_iter, mask_exponent, activations: None }
    }

    /// The activations of every stack of some frames (`n_frames` x `n_bins`), components x `n_frames + n_context - 1`.
    /// Those of a stack depend on that stack alone, so that a block gives what the whole would.
    fn find(
        &self,
        frames: ArrayView2<'_, f32>,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Array2<f32>> {
        let stacks = stack(self.bands.pool(frames, 1).view(), self.n_context);
        let mut activations = Array2::zeros((self.pooled.ncols(), stacks.nrows()));
        let total = Some(stacks.nrows() as u64);
        let groups = stacks.axis_chunks_iter(Axis(0), GROUP).zip(activations.axis_chunks_iter_mut(Axis(1), GROUP));
        for (i, (stacks, mut activations)) in groups.enumerate() {
            let chunks = stacks.axis_chunks_iter(Axis(0), CHUNK).into_par_iter();
            let chunks = chunks.zip(activations.axis_chunks_iter_mut(Axis(1), CHUNK).into_par_iter());
            chunks.try_for_each(|(stacks, mut activations)| {
                activations.assign(&self.find_chunk(stacks)?);
                Ok::<_, Error>(())
            })?;
            let done = (i * GROUP + stacks.nrows()) as u64;
            if progress(Progress { step: Step::Fitting, done, total, divergence: None }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok(activations)
    }

    /// Plain multiplicative updates from equal activations.
    fn find_chunk(&self, stacks: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        // Below the bands stands a zero: where the model has an entry x and the data have none, the Kullback-Leibler
        // divergence is x, so that this row adds the cost of each template times its activation.
        let zeros = Array2::zeros((stacks.nrows(), 1));
        let stacks = concatenate(Axis(1), &[stacks, zeros.view()]).expect("a zero for each stack");
        let n_components = self.pooled.ncols();
        let level: Array1<f32> = stacks.sum_axis(Axis(1)) / n_components as f32;
        let start = level.broadcast((n_components, stacks.nrows())).expect("one level per stack").to_owned();
        let nmf = NmfConfig {
            n_components,
            solver: Solver::Mu,
            dictionary: Factor::Fixed(self.pooled.clone()),
            activations: Factor::Seed(start),
            max_iter: self.max_iter,
            tol: 0.0,
            ..NmfConfig::default()
        };
        Ok(fit(stacks.t(), &nmf)?.activations)
    }

    /// Activations of the stacks that hold a frame of the block: the first ends with its first frame, the last begins
    /// with its last.
    fn activations(&self, block: &Block<'_>) -> Array2<f32> {
        let n_stacks = block.frames.len() + self.n_context - 1;
        if let Some(activations) = &self.activations {
            return activations.slice(s![.., block.frames.start..block.frames.start + n_stacks]).to_owned();
        }
        // Frames that the recording does not have are silent.
        let margin = self.n_context - 1;
        let mut frames = Array2::zeros((block.frames.len() + 2 * margin, block.magnitude.ncols()));
        let missing = margin - block.before.min(margin);
        let (from, n) = (block.before.saturating_sub(margin), block.magnitude.nrows());
        let n = (n - from).min(frames.nrows() - missing);
        frames.slice_mut(s![missing..missing + n, ..]).assign(&block.magnitude.slice(s![from..from + n, ..]));
        match self.find(frames.view(), &mut |_| ControlFlow::Continue(())) {
            // Without the stacks that reach beyond the margin.
            Ok(activations) => activations.slice(s![.., margin..margin + n_stacks]).to_owned(),
            // The settings were checked, the templates are a dictionary's, and magnitudes are finite.
            Err(error) => unreachable!("{error}"),
        }
    }
}

impl Model for Templates {
    fn n_parts(&self) -> usize {
        self.parts.len()
    }

    fn margin(&self) -> (usize, usize) {
        (self.n_context - 1, self.n_context - 1)
    }

    fn masks(&self, block: &Block<'_>) -> Vec<Array2<f32>> {
        let (n_frames, n_bins) = (block.frames.len(), block.magnitude.ncols());
        let activations = self.activations(block);
        let mut models: Vec<_> = (self.parts.par_iter().zip(&self.rows))
            .map(|(part, rows)| {
                let mut model = Array2::zeros((n_frames, n_bins));
                for slot in 0..self.n_context {
                    // Frame i is in slot j of stack i + (n_context - 1) - j; its model is the sum over all slots.
                    let first = self.n_context - 1 - slot;
                    let active = activations.slice(s![rows.clone(), first..first + n_frames]);
                    let template = part.templates.slice(s![slot * n_bins..(slot + 1) * n_bins, ..]);
                    ndarray::linalg::general_mat_mul(1.0, &active.t(), &template.t(), 1.0, &mut model);
                }
                model
            })
            .collect();
        mask::wiener(&mut models, self.mask_exponent);
        models
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two frames of context, 100 bins, a peak that moves from one frame to the next.
    fn template(bins: [usize; 2]) -> Array2<f32> {
        let mut template = Array2::zeros((200, 1));
        template[(bins[0], 0)] = 0.5;
        template[(100 + bins[1], 0)] = 0.5;
        template
    }

    #[test]
    fn transposing_moves_every_frequency_of_every_frame() {
        let up = transposed(&template([40, 20]), 2, 12);
        let peak = |from: usize| {
            (from..from + 100).fold(from, |best, row| if up[(row, 0)] > up[(best, 0)] { row } else { best })
        };
        assert_eq!((peak(0), peak(100)), (80, 140), "an octave up");
        assert!((up.sum() - 1.0).abs() < 1e-5, "{}", up.sum());
        let gone = transposed(&template([90, 95]), 2, 12);
        assert_eq!(gone.sum(), 0.0, "what leaves the band is silent, not folded back");
    }

    #[test]
    fn heard_templates_come_before_transposed_ones() {
        let part = Part::new(&template([40, 20]), 2, 3);
        assert_eq!((part.n_heard, part.templates.dim()), (1, (200, 7)));
        assert_eq!(part.templates.column(0), template([40, 20]).column(0));
    }

    #[test]
    fn what_an_example_had_is_not_explained_by_transposing_another() {
        // One source was heard at the peak, the other a semitone below it.
        let known = |bin| Part::new(&template([bin, bin]), 2, 1);
        let config = ExamplesConfig::default();
        let stft = StftConfig::new(198);
        let model = Templates::new(vec![known(60), known(57)], 2, Bands::new(&stft, 8000), &config);
        let mut frames = Array2::zeros((4, 100));
        frames.column_mut(60).fill(1.0);
        let block = Block { frames: 1..3, magnitude: frames.view(), before: 1 };
        let masks = model.masks(&block);
        assert_eq!(masks[0].dim(), (2, 100));
        assert!(masks[0][(0, 60)] > 0.9, "{}", masks[0][(0, 60)]);
    }
}
