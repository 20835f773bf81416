//! What sources sound like, learned from recordings of each alone: [`Dictionary`], and its file.
//! Templates only: finding them in a mixture is the business of `separate`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::atomic::{self, Existing};
use crate::error::shown;
use crate::nmf::{Factor, NmfConfig, Progress, StopReason, fit, fit_with};
use crate::stft::StftConfig;
use crate::stft::window::Window;
use crate::{Error, Result};

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

/// More frames in one template than any use has; 16 of 23 ms are a third of a second.
const MAX_CONTEXT: usize = 16;

/// Up to this many Hz every bin counts by itself in the search for activations; above it they are pooled into bands of
/// a constant ratio. The Kullback-Leibler divergence of sums is that of a coarser look at the same model, and partials
/// up there lie closer than an example and a mixture agree on them.
const FINE_UP_TO_HZ: f64 = 1000.0;

/// Longest header of a file, in bytes: a hundred times that of any dictionary. The format allows 100 MB.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Longest file, in bytes: 40 sources of 40 templates of 3 x 4097 entries take 79 MB.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// Longest name of a source, in bytes: it becomes the name of a file.
const MAX_NAME_BYTES: usize = 128;

/// How templates are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryConfig {
    /// Templates per source, at least 1. Default 20, which `separate` transposes; without that, 40 are better.
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
        Self { n_components: 20, n_context: 3, max_iter: 100, seed: 0 }
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

fn check_range(name: &'static str, got: usize, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    if range.contains(&got) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(Error::Setting { name, got: got.to_string(), expected, hint: None })
}

/// Templates of named sources, for one sample rate and one transform.
#[derive(Debug, Clone, PartialEq)]
pub struct Dictionary {
    /// What messages call it.
    label: String,
    sample_rate: u32,
    stft: StftConfig,
    n_context: usize,
    sources: Vec<Source>,
}

/// One source of a [`Dictionary`].
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// What it is called, and its stem.
    pub name: String,
    /// Its templates, `n_context * n_bins` x `n_components`; each column sums to one. The first `n_bins` rows are the
    /// earliest frame.
    pub templates: Array2<f32>,
}

impl Dictionary {
    /// A dictionary without sources, for recordings of this sample rate (Hz) and this transform.
    ///
    /// # Errors
    /// [`Error::Setting`] for a transform that cannot be inverted, a rate of 0, or an `n_context` outside of 1 to 16.
    pub fn new(sample_rate: u32, stft: StftConfig, n_context: usize) -> Result<Self> {
        stft.check()?;
        check_range("n_context", n_context, 1..=MAX_CONTEXT)?;
        if sample_rate == 0 {
            let (got, expected) = ("0 Hz".into(), "at least 1 Hz".into());
            return Err(Error::Setting { name: "sample_rate", got, expected, hint: None });
        }
        Ok(Self { label: "the dictionary".into(), sample_rate, stft, n_context, sources: Vec::new() })
    }

    /// Sample rate of the recordings it is for, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The transform whose magnitudes its templates are.
    pub fn stft(&self) -> &StftConfig {
        &self.stft
    }

    /// Consecutive frames in one template.
    pub fn n_context(&self) -> usize {
        self.n_context
    }

    /// The sources, in the order in which they were learned.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

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
        self.learn_with(name, runs, config, &mut |_| ControlFlow::Continue(()))
    }

    /// [`Dictionary::learn`], telling `progress` of every iteration; where it answers `Break`, nothing is learned.
    ///
    /// # Errors
    /// Those of [`Dictionary::learn`], and [`Error::Cancelled`].
    pub fn learn_with(
        &mut self,
        name: &str,
        runs: &[ArrayView2<'_, f32>],
        config: &DictionaryConfig,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<()> {
        config.check()?;
        check_name(name)?;
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
                hint: None,
            });
        }
        let stacks = self.stacks(runs)?;
        let n_components = config.n_components.min(stacks.nrows());
        let nmf =
            NmfConfig { n_components, max_iter: config.max_iter, tol: 0.0, seed: config.seed, ..Default::default() };
        let pooled = Bands::new(&self.stft, self.sample_rate).pool(stacks.view(), self.n_context);
        let found = fit_with(pooled.t(), &nmf, progress)?;
        if found.stop_reason == StopReason::Cancelled {
            return Err(Error::Cancelled);
        }
        // When each template sounds is known now; what it sounds like, bin by bin, follows.
        let activations = Factor::Fixed(found.activations);
        let nmf = NmfConfig { activations, max_iter: FINE_ITERATIONS, ..nmf };
        let mut templates = fit(stacks.t(), &nmf)?.dictionary;
        normalize(&mut templates);
        self.add(name, templates);
        Ok(())
    }

    /// Takes the sources of another dictionary in; those of the same name become one.
    ///
    /// # Errors
    /// [`Error::DictionaryMismatch`] where it is for another sample rate or transform, or has another context.
    pub fn join(&mut self, other: Self) -> Result<()> {
        other.check_fits(self.sample_rate, &self.stft)?;
        if other.n_context != self.n_context {
            return Err(other.mismatch("n_context", other.n_context, self.n_context));
        }
        other.sources.into_iter().for_each(|source| self.add(&source.name, source.templates));
        Ok(())
    }

    /// Refuses a recording of another sample rate, and another transform.
    ///
    /// # Errors
    /// [`Error::DictionaryMismatch`].
    pub fn check_fits(&self, sample_rate: u32, stft: &StftConfig) -> Result<()> {
        let ours = &self.stft;
        if self.sample_rate != sample_rate {
            return Err(self.mismatch("sample_rate", self.sample_rate, sample_rate));
        }
        for (name, ours, theirs) in
            [("n_fft", ours.n_fft, stft.n_fft), ("win_length", ours.win_length, stft.win_length)]
        {
            if ours != theirs {
                return Err(self.mismatch(name, ours, theirs));
            }
        }
        if self.n_context > 1 && ours.hop_length != stft.hop_length {
            return Err(self.mismatch("hop_length", ours.hop_length, stft.hop_length));
        }
        if ours.window != stft.window {
            return Err(self.mismatch("window", ours.window.name(), stft.window.name()));
        }
        Ok(())
    }

    fn mismatch(&self, name: &'static str, dictionary: impl ToString, wanted: impl ToString) -> Error {
        let (dictionary, wanted) = (dictionary.to_string(), wanted.to_string());
        Error::DictionaryMismatch { label: self.label.clone(), name, dictionary, wanted }
    }

    fn add(&mut self, name: &str, templates: Array2<f32>) {
        match self.sources.iter_mut().find(|source| source.name == name) {
            Some(source) => {
                let both = concatenate(Axis(1), &[source.templates.view(), templates.view()]);
                source.templates = both.expect("templates of one dictionary have the same rows");
            }
            None => self.sources.push(Source { name: name.into(), templates }),
        }
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

    // ---- the file ----------------------------------------------------------------------------------------------

    /// The bytes of a `.safetensors` file: for each source a tensor of its name, `n_context` x `n_bins` x
    /// `n_components`, and the settings as metadata.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (n_context, n_bins) = (self.n_context, self.stft.n_bins());
        let data: Vec<(&str, Vec<usize>, Vec<u8>)> = self
            .sources
            .iter()
            .map(|source| {
                let shape = vec![n_context, n_bins, source.templates.ncols()];
                (source.name.as_str(), shape, source.templates.iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        let views = data.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (*name, view.expect("four bytes for each entry"))
        });
        let names: Vec<_> = self.sources.iter().map(|source| source.name.as_str()).collect();
        let settings = [
            (FORMAT_KEY, FORMAT.to_owned()),
            ("sample_rate", self.sample_rate.to_string()),
            ("n_fft", self.stft.n_fft.to_string()),
            ("win_length", self.stft.win_length.to_string()),
            ("hop_length", self.stft.hop_length.to_string()),
            ("window", self.stft.window.name().to_owned()),
            ("divergence", DIVERGENCE.to_owned()),
            ("n_context", n_context.to_string()),
            // A name has no line breaks.
            ("names", names.join("\n")),
        ];
        let metadata: HashMap<_, _> = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let bytes = safetensors::serialize(views, Some(metadata)).expect("the header is far below 100 MB");
        with_sorted_header(bytes)
    }

    /// Reads what [`Dictionary::to_bytes`] wrote, or any file of that form. `path` is what messages call it.
    ///
    /// # Errors
    /// [`Error::MalformedDictionary`] where the bytes are anything else.
    ///
    /// # Cost
    /// Memory for the templates, which the length of `bytes` bounds; the header may have a megabyte.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let malformed = |reason: String| Error::MalformedDictionary { path: path.into(), reason };
        if header_bytes(bytes).is_none_or(|length| length > MAX_HEADER_BYTES) {
            return Err(malformed("it is no safetensors file".into()));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| malformed(format!("{error}")))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| malformed(format!("{error}")))?;
        let metadata = header.metadata().as_ref();
        let text = |key: &'static str| {
            let value = metadata.and_then(|metadata| metadata.get(key));
            value.ok_or_else(|| malformed(format!("its metadata have no `{key}`, as a dictionary's have")))
        };
        let number = |key: &'static str| {
            let value = text(key)?;
            let refused = || malformed(format!("its `{key}` is `{}`, expected a whole number", shortened(value)));
            value.parse::<u32>().map_err(|_| refused())
        };
        let format = text(FORMAT_KEY)?;
        if format != FORMAT {
            let reason = format!("its `{FORMAT_KEY}` is `{}`, expected `{FORMAT}`", shortened(format));
            return Err(malformed(reason));
        }
        let divergence = text("divergence")?;
        if divergence != DIVERGENCE {
            let reason = format!("its `divergence` is `{}`, expected `{DIVERGENCE}`", shortened(divergence));
            return Err(malformed(reason));
        }
        let n_fft = number("n_fft")? as usize;
        // Checking a transform takes time and memory as its length does.
        if n_fft / 2 >= bytes.len() / size_of::<f32>() {
            return Err(malformed(format!("it is too short for a template with an `n_fft` of {n_fft}")));
        }
        let window = text("window")?;
        let window = Window::ALL.into_iter().find(|known| known.name() == window);
        let stft = StftConfig {
            n_fft,
            win_length: number("win_length")? as usize,
            hop_length: number("hop_length")? as usize,
            window: window.ok_or_else(|| malformed("its `window` is not known".into()))?,
        };
        let mut dictionary = Self::new(number("sample_rate")?, stft, number("n_context")? as usize)
            .map_err(|error| malformed(format!("{error}")))?;
        dictionary.label = format!("`{}`", shown(path));
        let names: Vec<_> = text("names")?.split('\n').collect();
        if names.len() != file.len() {
            return Err(malformed(format!("it has {} tensors, expected {}, one per name", file.len(), names.len())));
        }
        for name in names {
            check_name(name).map_err(|error| malformed(format!("{error}")))?;
            if dictionary.sources.iter().any(|source| source.name == name) {
                return Err(malformed(format!("it names the source `{name}` twice")));
            }
            let tensor = file.tensor(name).map_err(|_| malformed(format!("it has no tensor `{name}`")))?;
            let templates = dictionary
                .templates(&tensor)
                .map_err(|reason| malformed(format!("the templates of `{name}` {reason}")))?;
            dictionary.add(name, templates);
        }
        Ok(dictionary)
    }

    /// The templates of one tensor, normalized; else what is wrong with it.
    fn templates(&self, tensor: &TensorView<'_>) -> std::result::Result<Array2<f32>, String> {
        let (n_context, n_bins) = (self.n_context, self.stft.n_bins());
        let n_components = match tensor.shape() {
            [context, bins, components] if (*context, *bins) == (n_context, n_bins) && *components > 0 => *components,
            shape => {
                let shape = shortened(&format!("{shape:?}"));
                return Err(format!("have the shape {shape}, expected {n_context} x {n_bins} x any number"));
            }
        };
        if tensor.dtype() != Dtype::F32 {
            return Err(format!("are of type {:?}, expected F32", tensor.dtype()));
        }
        let values = tensor.data().as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
        let templates = Array2::from_shape_vec((n_context * n_bins, n_components), values);
        let mut templates = templates.map_err(|_| "have another length than their shape says".to_owned())?;
        if let Some(x) = templates.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
            return Err(format!("have the entry {x}, expected finite numbers of at least 0"));
        }
        normalize(&mut templates);
        Ok(templates)
    }

    /// Writes a `.safetensors` file, whole or not at all.
    ///
    /// # Errors
    /// Those of [`atomic::write`].
    pub fn save(&self, path: &Path, existing: Existing) -> Result<()> {
        atomic::write(path, &self.to_bytes(), existing)
    }

    /// Reads a `.safetensors` file.
    ///
    /// # Errors
    /// [`Error::ReadDictionary`] where the system does not give the file, and those of [`Dictionary::from_bytes`].
    pub fn load(path: &Path) -> Result<Self> {
        let refused = |source| Error::ReadDictionary { path: path.into(), source };
        let malformed = |reason: &str| Error::MalformedDictionary { path: path.into(), reason: reason.into() };
        let mut file = File::open(path).map_err(refused)?;
        let mut bytes = Vec::new();
        // The header says how long it is: what is no dictionary is not read as a whole.
        (&mut file).take(8).read_to_end(&mut bytes).map_err(refused)?;
        if header_bytes(&bytes).is_none_or(|length| length > MAX_HEADER_BYTES) {
            return Err(malformed("it is no safetensors file"));
        }
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(refused)?;
        if bytes.len() as u64 >= MAX_FILE_BYTES {
            return Err(malformed("it is longer than 2 GiB"));
        }
        Self::from_bytes(path, &bytes)
    }
}

/// The metadata key that marks a dictionary, and its value; a later, other form has another one.
const FORMAT_KEY: &str = "partita";
const FORMAT: &str = "dictionary 1";

/// The one divergence that templates are learned with.
const DIVERGENCE: &str = "kl";

/// Length of the header, from the first eight bytes of a file.
fn header_bytes(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length))
}

/// What a message quotes of a text of any length.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// The same file with its header in the order of the keys: the library takes metadata from a hash map, and the same
/// dictionary is to give the same bytes.
fn with_sorted_header(mut bytes: Vec<u8>) -> Vec<u8> {
    type Header = BTreeMap<String, BTreeMap<String, serde_json::Value>>;
    let length = header_bytes(&bytes).map_or(0, |length| length as usize);
    let Some(header) = bytes.get_mut(8..8 + length) else { return bytes };
    let sorted: Option<Header> = serde_json::from_slice(header).ok();
    let text = sorted.and_then(|sorted| serde_json::to_vec(&sorted).ok()).filter(|text| text.len() <= header.len());
    if let Some(text) = text {
        header.fill(b' ');
        header[..text.len()].copy_from_slice(&text);
    }
    bytes
}

/// Refuses names that cannot be those of files.
///
/// # Errors
/// [`Error::SourceName`].
pub(crate) fn check_name(name: &str) -> Result<()> {
    let reason = if name.trim().is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "is longer than 128 bytes"
    } else if name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')) {
        "has a slash or a control character"
    } else if name == "." || name == ".." || name == "__metadata__" {
        "is no name of a file"
    } else {
        return Ok(());
    };
    Err(Error::SourceName { name: shortened(name), reason })
}

/// Makes every column sum to one, but for columns of zeros.
fn normalize(templates: &mut Array2<f32>) {
    for mut template in templates.columns_mut() {
        let sum: f64 = template.iter().map(|&x| f64::from(x)).sum();
        if sum > 0.0 {
            template.mapv_inplace(|x| (f64::from(x) / sum) as f32);
        }
    }
}

/// Bins that are looked at together.
#[derive(Debug, Clone)]
pub(crate) struct Bands {
    /// First bin of each band, and one past the last bin.
    edges: Vec<usize>,
}

impl Bands {
    pub(crate) fn new(stft: &StftConfig, sample_rate: u32) -> Self {
        let n_bins = stft.n_bins();
        let mut edges = vec![0];
        let mut at = 0;
        while at < n_bins {
            // As wide, relative to its frequency, as a bin is at the limit.
            let width = (stft.bin_hz(at, sample_rate) / FINE_UP_TO_HZ) as usize;
            at = (at + width.max(1)).min(n_bins);
            edges.push(at);
        }
        Self { edges }
    }

    /// Sums of the bins of each band, row by row: rows x `n_context * n_bins` to rows x `n_context * n_bands`.
    pub(crate) fn pool(&self, stacks: ArrayView2<'_, f32>, n_context: usize) -> Array2<f32> {
        let n_bins = stacks.ncols() / n_context;
        let n_bands = self.edges.len() - 1;
        let mut pooled = Array2::zeros((stacks.nrows(), n_context * n_bands));
        let rows = pooled.outer_iter_mut().into_par_iter().zip(stacks.outer_iter().into_par_iter());
        rows.for_each(|(mut row, stack)| {
            for (mut bands, bins) in row.exact_chunks_mut(n_bands).into_iter().zip(stack.exact_chunks(n_bins)) {
                for (band, edge) in bands.iter_mut().zip(self.edges.windows(2)) {
                    *band = bins.slice(s![edge[0]..edge[1]]).sum();
                }
            }
        });
        pooled
    }
}

/// Every `n_context` consecutive frames as one row: `n_frames + n_context - 1` stacks from a run of frames, the first
/// and the last of which reach beyond it into silence.
///
/// # Shapes and units
/// | name | shape |
/// |---|---|
/// | `frames` | `n_frames` x `n_bins` |
/// | result | `n_frames + n_context - 1` x `n_context * n_bins`; stack i ends with frame i |
pub(crate) fn stack(frames: ArrayView2<'_, f32>, n_context: usize) -> Array2<f32> {
    let (n_frames, n_bins) = frames.dim();
    let mut stacks = Array2::zeros((n_frames + n_context - 1, n_context * n_bins));
    for (i, mut stack) in stacks.outer_iter_mut().enumerate() {
        for (j, mut slot) in stack.exact_chunks_mut(n_bins).into_iter().enumerate() {
            // Slot j of stack i is frame i - (n_context - 1) + j.
            if let Some(frame_idx) = (i + j).checked_sub(n_context - 1).filter(|idx| *idx < n_frames) {
                slot.assign(&frames.row(frame_idx));
            }
        }
    }
    stacks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    fn dictionary() -> Dictionary {
        let mut dictionary = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
        dictionary.learn("violin", &[run(50, 2).view()], &config()).expect("learned");
        dictionary.learn("caf\u{e9} \"solo\"", &[run(20, 3).view(), run(30, 3).view()], &config()).expect("learned");
        dictionary
    }

    fn load(bytes: &[u8]) -> Result<Dictionary> {
        Dictionary::from_bytes(Path::new("x.safetensors"), bytes)
    }

    #[test]
    fn templates_come_from_the_example_and_sum_to_one() {
        let dictionary = dictionary();
        let templates = &dictionary.sources()[0].templates;
        assert_eq!(templates.dim(), (32, 4));
        for template in templates.columns() {
            assert!((template.sum() - 1.0).abs() < 1e-5, "{template}");
            let outside: f32 = (0..32).filter(|row| row % 16 % 5 != 2).map(|row| template[row]).sum();
            assert!(outside < 1e-6, "only bins that sounded are in a template: {template}");
        }
    }

    #[test]
    fn a_file_gives_the_same_dictionary_back_and_the_same_bytes() {
        let dictionary = dictionary();
        let bytes = dictionary.to_bytes();
        let loaded = load(&bytes).expect("loaded");
        // Templates are normalized anew, which moves a value by a rounding at the most.
        for (one, other) in dictionary.sources().iter().zip(loaded.sources()) {
            assert_eq!((&one.name, one.templates.dim()), (&other.name, other.templates.dim()));
            assert!((&one.templates - &other.templates).iter().all(|gap| gap.abs() < 1e-7));
        }
        assert_eq!((loaded.sample_rate(), loaded.stft(), loaded.n_context()), (8000, dictionary.stft(), 2));
        for _ in 0..8 {
            assert_eq!(dictionary.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_file_on_disk_is_found_again_and_others_are_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("band.safetensors");
        dictionary().save(&path, Existing::Refuse).expect("saved");
        assert_eq!(Dictionary::load(&path).expect("loaded").sources().len(), 2);
        assert!(matches!(dictionary().save(&path, Existing::Refuse), Err(Error::FileExists { .. })));
        let missing = Dictionary::load(&folder.path().join("none")).expect_err("no file");
        assert!(matches!(missing, Error::ReadDictionary { .. }), "{missing}");
        std::fs::write(&path, b"RIFF----WAVEfmt ").expect("written");
        let other = Dictionary::load(&path).expect_err("another file");
        assert!(matches!(other, Error::MalformedDictionary { .. }) && other.hint().is_some(), "{other}");
    }

    #[test]
    fn joined_dictionaries_have_the_sources_of_both() {
        let mut one = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
        one.learn("violin", &[run(50, 4).view()], &config()).expect("learned");
        one.join(dictionary()).expect("joined");
        let shapes: Vec<_> = one.sources().iter().map(|source| source.templates.ncols()).collect();
        assert_eq!(shapes, [8, 4], "the violins are one");
    }

    #[test]
    fn another_rate_transform_or_context_is_refused_with_the_command_that_helps() {
        let dictionary = dictionary();
        let stft = StftConfig::new(N_FFT);
        dictionary.check_fits(8000, &stft).expect("fits");
        let rate = dictionary.check_fits(44_100, &stft).expect_err("another rate");
        assert_eq!(rate.to_string(), "the dictionary is for `sample_rate 8000`, expected 44100");
        assert!(rate.hint().is_some_and(|hint| hint.contains("--sample-rate 44100")), "{:?}", rate.hint());
        let size = dictionary.check_fits(8000, &StftConfig::new(64)).expect_err("another n_fft");
        let hint = size.hint().unwrap_or_default();
        assert!(hint.contains("add `--n-fft 30`") && hint.contains("--n-fft 64 -o"), "{hint}");
        let hop = dictionary.check_fits(8000, &StftConfig { hop_length: 5, ..stft }).expect_err("another hop");
        assert!(hop.to_string().contains("hop_length"), "{hop}");
        let window = StftConfig { window: Window::Sine, ..stft };
        assert!(dictionary.check_fits(8000, &window).is_err());
        let mut other = Dictionary::new(8000, stft, 1).expect("dictionary");
        let context = other.join(dictionary).expect_err("another context");
        assert!(context.hint().is_some_and(|hint| hint.contains("--context")), "{context}");
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
    fn stacks_hold_consecutive_frames_and_silence_beyond_the_ends() {
        let frames = ndarray::array![[1.0, 2.0], [3.0, 4.0]];
        let expected = ndarray::array![
            [0.0, 0.0, 0.0, 0.0, 1.0, 2.0],
            [0.0, 0.0, 1.0, 2.0, 3.0, 4.0],
            [1.0, 2.0, 3.0, 4.0, 0.0, 0.0],
            [3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
        ];
        assert_eq!(stack(frames.view(), 3), expected);
    }

    #[test]
    fn bands_hold_every_bin_once_and_are_as_fine_as_bins_at_low_frequencies() {
        for (n_fft, sample_rate) in [(4096, 44_100), (16, 8000), (2, 8000), (8192, 96_000)] {
            let stft = StftConfig::new(n_fft);
            let bands = Bands::new(&stft, sample_rate);
            assert!(bands.edges.windows(2).all(|edge| edge[0] < edge[1]), "{:?}", bands.edges);
            assert_eq!((bands.edges[0], bands.edges[bands.edges.len() - 1]), (0, stft.n_bins()));
            let fine = (0..stft.n_bins()).filter(|bin| stft.bin_hz(*bin, sample_rate) < FINE_UP_TO_HZ).count();
            assert_eq!(bands.edges[..fine], (0..fine).collect::<Vec<_>>()[..]);
        }
        let stft = StftConfig::new(16);
        let stacks = Array2::from_shape_fn((2, 18), |(t, f)| (t + f) as f32);
        let pooled = Bands::new(&stft, 8000).pool(stacks.view(), 2);
        for (one, other) in stacks.outer_iter().zip(pooled.outer_iter()) {
            assert_eq!(one.sum(), other.sum(), "nothing is lost");
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
        assert!(Dictionary::new(0, StftConfig::new(N_FFT), 2).is_err());
    }

    /// A header of our own making before the data.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn a_header_that_lies_is_refused_before_it_costs_anything() {
        let settings = r#""partita":"dictionary 1","sample_rate":"8000","n_fft":"4","win_length":"4","hop_length":"1",
            "window":"hann","divergence":"kl","n_context":"1","names":"a""#;
        let good =
            format!(r#"{{"__metadata__":{{{settings}}},"a":{{"dtype":"F32","shape":[1,3,1],"data_offsets":[0,12]}}}}"#);
        let data: Vec<u8> = [1.0f32, 2.0, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(load(&file(&good, &data)).expect("a good file").sources()[0].templates[(1, 0)], 0.5);
        for (from, to, expected) in [
            ("[1,3,1]", "[18446744073709551615,3,1]", "no dictionary"),
            ("[1,3,1]", "[3,1,1]", "shape"),
            ("[0,12]", "[0,13]", "no dictionary"),
            ("\"n_fft\":\"4\"", "\"n_fft\":\"4294967295\"", "n_fft"),
            ("\"n_fft\":\"4\"", "\"n_fft\":\"-4\"", "whole number"),
            ("\"n_context\":\"1\"", "\"n_context\":\"99\"", "n_context"),
            ("\"sample_rate\":\"8000\"", "\"sample_rate\":\"0\"", "sample_rate"),
            ("hann", "other", "window"),
            ("\"kl\"", "\"is\"", "divergence"),
            ("dictionary 1", "dictionary 9", "expected `dictionary 1`"),
            ("\"names\":\"a\"", "\"names\":\"b\"", "no tensor"),
            ("\"names\":\"a\"", "\"names\":\"a\\na\"", "tensors"),
            ("\"names\":\"a\"", "\"name\":\"a\"", "no `names`"),
            ("F32", "I32", "type"),
        ] {
            let header = good.replacen(from, to, 1);
            assert_ne!(header, good, "{from}");
            let error = load(&file(&header, &data)).expect_err(to);
            assert!(error.to_string().contains(expected), "{to}: {error}");
        }
        for value in [f32::NAN, f32::INFINITY, -1.0] {
            let data: Vec<u8> = [1.0f32, value, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
            assert!(load(&file(&good, &data)).is_err(), "{value}");
        }
        assert!(load(&u64::MAX.to_le_bytes()).is_err());
        assert!(load(&(2u64 << 20).to_le_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(load(&bytes).is_err());
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0usize..2000, to in any::<u8>()) {
            let mut bytes = dictionary().to_bytes();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(loaded) = load(&bytes) {
                prop_assert!(loaded.sources().iter().all(|source| source.templates.iter().all(|x| x.is_finite())));
            }
        }
    }
}
