//! Templates of known sources, looked for in a mixture: the model, and how its activations are found.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;

use super::config::ExamplesConfig;
use crate::Result;
use crate::hash::Hash;
use crate::knowledge::dictionary::{Bands, stack};
use crate::nmf::kernel::{Loops, widest};
use crate::nmf::{Encoder, EncoderConfig};
use crate::separate::pipeline::{BLOCK_FRAMES, Block, Margin, Model, Split, mask};

/// What a transposed template costs, relative to one that was heard: a Kullback-Leibler fit with this penalty on its
/// activation (its l1 norm, templates summing to one). Without any, sources explain one another's notes; at 0.3 a
/// transposed template comes in where no heard one explains the frame.
const TRANSPOSITION_COST: f32 = 0.3;

/// What it costs to explain something by a band alone, as above. Of 0.3, 0.15, 0.08 and 0.04 the best: beside each of the
/// three sources of the sample, the mean SDR is 3.0, 4.5, 5.2 and 4.7 dB (6.3 with a residual that is learned from the whole
/// recording).
const ANYTHING_COST: f32 = 0.08;

/// A template with less of a stack than this, after a fifth of the iterations on the sums of its frames, is not looked for any
/// longer; nor is one with less than the second, after a fifth on the frames. A fifth is left for the others. Three
/// recordings that lose most (`mdb_shadows`, `render_chorale_ww`, `trios_take_five`) are at 6.01 dB, with all templates in all
/// iterations at 6.02; with thresholds of 3e-3 and 5e-3 and two fifths of the iterations at 5.77. All three in plain steps, of which
/// three tenths and three tenths did what a fifth and a fifth do.
const FIRST_LEAST: f32 = 1e-3;
const LEAST: f32 = 2e-3;

/// Steps on frames are to this power: means on both sets of recordings are what they are with half as many plain steps again.
/// The first look is at plain ones: with as much of it in longer steps `urmp_two_violins` falls from 9.24 to 7.15 dB.
const RELAXATION: f32 = 1.5;

/// What is looked for of one source.
#[derive(Debug)]
pub(super) struct Part {
    /// Components x `n_context * n_bins`.
    pub(super) templates: Array2<f32>,
    /// The first so many of them were heard and cost nothing.
    pub(super) n_heard: usize,
    /// What each of the others costs.
    pub(super) cost: f32,
}

impl Part {
    pub(super) fn new(heard: &Array2<f32>, n_context: usize, n_semitones: usize) -> Self {
        let steps = 1..=n_semitones as i32;
        let transposed = steps.flat_map(|step| [-step, step]).map(|step| transposed(heard, n_context, step));
        let all: Vec<_> = std::iter::once(heard.clone()).chain(transposed).collect();
        let all: Vec<_> = all.iter().map(|part| part.t()).collect();
        let templates = concatenate(Axis(0), &all).expect("transposing changes no shape");
        let templates = templates.as_standard_layout().into_owned();
        Self { templates, n_heard: heard.ncols(), cost: TRANSPOSITION_COST }
    }

    /// Templates that were learned from the mixture, `n_context * n_bins` x components.
    pub(super) fn learned(templates: ArrayView2<'_, f32>) -> Self {
        let templates = templates.t().as_standard_layout().into_owned();
        Self { n_heard: templates.nrows(), templates, cost: 0.0 }
    }

    /// What can explain anything, at a cost.
    pub(super) fn anything(bands: &Bands, n_context: usize) -> Self {
        let templates = bands.templates(n_context).t().as_standard_layout().into_owned();
        Self { templates, n_heard: 0, cost: ANYTHING_COST }
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

/// What was found of one block.
#[derive(Debug)]
struct Found {
    /// A hash of what it was found in: whoever gives another recording by mistake gets that one's.
    of: Hash,
    /// Components x stacks.
    activations: Array2<f32>,
}

/// Templates of known sources, stacks of frames each.
#[derive(Debug)]
pub(super) struct Templates {
    pub(super) parts: Vec<Part>,
    /// The rows of `activations` that belong to each part.
    pub(super) rows: Vec<Range<usize>>,
    /// All templates in bands.
    pub(super) encoder: Encoder,
    /// The same, summed over the frames of a stack: a first look.
    first: Encoder,
    /// Iterations with `encoder`.
    n_iter: usize,
    pub(super) bands: Bands,
    pub(super) n_context: usize,
    mask_exponent: f32,
    /// What was found of each block of a recording that is kept whole; empty: nothing is kept.
    found: Vec<OnceLock<Found>>,
}

impl Templates {
    pub(super) fn new(parts: Vec<Part>, n_context: usize, bands: Bands, config: &ExamplesConfig) -> Result<Self> {
        let mut rows = Vec::with_capacity(parts.len());
        let mut pooled = Vec::with_capacity(parts.len());
        let mut costs = Vec::new();
        for part in &parts {
            let start = rows.last().map_or(0, |last: &Range<usize>| last.end);
            rows.push(start..start + part.templates.nrows());
            costs.resize(start + part.n_heard, 0.0);
            costs.resize(start + part.templates.nrows(), part.cost);
            pooled.push(bands.pool(part.templates.view(), n_context));
        }
        let pooled: Vec<_> = pooled.iter().map(|part| part.t()).collect();
        let pooled = concatenate(Axis(1), &pooled).expect("templates of one dictionary have the same rows");
        let costs = Some(Array1::from_vec(costs));
        let n_first = config.max_iter.div_ceil(5);
        let first = EncoderConfig { max_iter: n_first, costs, ..EncoderConfig::default() };
        let encoder = Encoder::new(pooled.view(), &EncoderConfig { relaxation: RELAXATION, ..first.clone() })?;
        let first = Encoder::new(over_slots(pooled.t(), n_context).t(), &first)?;
        let (n_iter, mask_exponent) = ((2 * config.max_iter).div_ceil(5), config.mask_exponent);
        Ok(Self { parts, rows, encoder, first, n_iter, bands, n_context, mask_exponent, found: Vec::new() })
    }

    /// Keeps what is found of each block of a recording of so many frames, once it was asked for.
    pub(super) fn keeping(self, n_frames: usize) -> Self {
        Self { found: (0..n_frames.div_ceil(BLOCK_FRAMES)).map(|_| OnceLock::new()).collect(), ..self }
    }

    /// The activations of some stacks of frames in bands, components x stacks. Those of a stack depend on that stack alone,
    /// so that a block gives what the whole would.
    fn find(&self, stacks: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        let mut activations = self.first.encode(over_slots(stacks, self.n_context).t())?;
        silence_below(&mut activations, FIRST_LEAST);
        let n_many = self.n_iter / 2;
        activations = self.encoder.encode_from(stacks.t(), activations, n_many)?;
        silence_below(&mut activations, LEAST);
        self.encoder.encode_from(stacks.t(), activations, self.n_iter - n_many)
    }

    /// [`Templates::find_around`] of a block, at once or from an earlier time.
    pub(super) fn activations(&self, block: &Block<'_>) -> Result<Cow<'_, Array2<f32>>> {
        let is_block = block.frames.start.is_multiple_of(BLOCK_FRAMES) && block.frames.len() > 1;
        let Some(kept) = self.found.get(block.frames.start / BLOCK_FRAMES).filter(|_| is_block) else {
            return Ok(Cow::Owned(self.find_around(block)?));
        };
        let of = hash(block.magnitude);
        if let Some(found) = kept.get().filter(|found| found.of == of) {
            return Ok(Cow::Borrowed(&found.activations));
        }
        let activations = self.find_around(block)?;
        // Whoever was first has the same, or another recording.
        let _ = kept.set(Found { of, activations: activations.clone() });
        Ok(Cow::Owned(activations))
    }

    /// Activations of the stacks that hold a frame of the block: the first ends with its first frame, the last begins
    /// with its last.
    fn find_around(&self, block: &Block<'_>) -> Result<Array2<f32>> {
        let n_stacks = block.frames.len() + self.n_context - 1;
        // Frames that the recording does not have are silent.
        let margin = self.n_context - 1;
        let mut frames = Array2::zeros((block.frames.len() + 2 * margin, block.magnitude.ncols()));
        let missing = margin - block.before.min(margin);
        let (from, n) = (block.before.saturating_sub(margin), block.magnitude.nrows());
        let n = (n - from).min(frames.nrows() - missing);
        frames.slice_mut(s![missing..missing + n, ..]).assign(&block.magnitude.slice(s![from..from + n, ..]));
        let stacks = stack(self.bands.pool(frames.view(), 1).view(), self.n_context);
        // Without the stacks that reach beyond the margin.
        self.find(stacks.slice(s![margin..margin + n_stacks, ..]))
    }
}

/// Makes zeros of what has less than this share of a column; templates sum to one, so that it is a share of the sound.
fn silence_below(activations: &mut Array2<f32>, least: f32) {
    let least: Vec<_> = activations.columns().into_iter().map(|column| least * column.sum()).collect();
    for mut row in activations.outer_iter_mut() {
        row.iter_mut().zip(&least).filter(|(x, least)| **x < **least).for_each(|(x, _)| *x = 0.0);
    }
}

/// Stacks with their frames summed up: stacks x `n_context * n_bands` to stacks x `n_bands`.
fn over_slots(stacks: ArrayView2<'_, f32>, n_context: usize) -> Array2<f32> {
    let n_bands = stacks.ncols() / n_context;
    let mut sums = Array2::zeros((stacks.nrows(), n_bands));
    for slot in 0..n_context {
        sums += &stacks.slice(s![.., slot * n_bands..(slot + 1) * n_bands]);
    }
    sums
}

/// Of the shape and the bits of some magnitudes.
fn hash(magnitude: ArrayView2<'_, f32>) -> Hash {
    let mut hash = Hash::new();
    hash.add(magnitude.nrows() as u64);
    hash.add_all(magnitude);
    hash
}

impl Model for Templates {
    fn n_parts(&self) -> usize {
        self.parts.len()
    }

    fn margin(&self) -> Margin {
        Margin { before: self.n_context - 1, after: self.n_context - 1 }
    }

    fn mask_exponent(&self) -> f32 {
        self.mask_exponent
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let (n_frames, n_bins) = (block.frames.len(), block.magnitude.ncols());
        let activations = self.activations(block)?;
        let mut models: Vec<_> = (self.parts.par_iter().zip(&self.rows))
            .map(|(part, rows)| {
                sum_of_slots(activations.slice(s![rows.clone(), ..]), part.templates.view(), n_frames, n_bins)
            })
            .collect();
        mask::wiener(&mut models, self.mask_exponent);
        Ok(Split::Masks(models))
    }
}

/// Bins that are gone through for all frames before the next: what sounds in a block stays in the second-level cache.
const NEAR_BINS: usize = 256;

/// The model of frames (frames x bins) by stacks of frames: templates (components x `n_context * n_bins`) stand on one
/// another, one for each slot of a stack. What is silent takes no time.
pub(super) fn sum_of_slots(
    activations: ArrayView2<'_, f32>,
    templates: ArrayView2<'_, f32>,
    n_frames: usize,
    n_bins: usize,
) -> Array2<f32> {
    let (n_context, templates) = (templates.ncols() / n_bins, templates.as_standard_layout());
    let templates = templates.as_slice().unwrap_or_default();
    // What sounds in each frame, and where its spectrum begins: frame i is in slot j of stack i + (n_context - 1) - j.
    let mut sounding: Vec<Vec<(f32, usize)>> = vec![Vec::new(); n_frames];
    for (k, row) in activations.outer_iter().enumerate() {
        for slot in 0..n_context {
            let at = (k * n_context + slot) * n_bins;
            for (sounding, x) in sounding.iter_mut().zip(row.iter().skip(n_context - 1 - slot)) {
                if *x > 0.0 {
                    sounding.push((*x, at));
                }
            }
        }
    }
    let mut model = Array2::zeros((n_frames, n_bins));
    for first in (0..n_bins).step_by(NEAR_BINS) {
        let near = first..n_bins.min(first + NEAR_BINS);
        for (mut frame, sounding) in model.outer_iter_mut().zip(&sounding) {
            let sum = &mut frame.as_slice_mut().expect("a row of a new matrix is contiguous")[near.clone()];
            widest(AddSpectra { sounding, templates: &templates[first..], sum });
        }
    }
    model
}

/// Adds spectra of templates, each times its activation, from the first of some bins on.
struct AddSpectra<'a> {
    sounding: &'a [(f32, usize)],
    templates: &'a [f32],
    sum: &'a mut [f32],
}

impl Loops for AddSpectra<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { sounding, templates, sum } = self;
        let n = sum.len();
        // Four at once: the sum is read and written less often.
        let (fours, rest) = sounding.as_chunks::<4>();
        for [(a, p), (b, q), (c, r), (d, s)] in fours {
            let [p, q, r, s] = [p, q, r, s].map(|at| &templates[*at..*at + n]);
            for i in 0..n {
                sum[i] += a * p[i] + b * q[i] + (c * r[i] + d * s[i]);
            }
        }
        for (x, at) in rest {
            for (sum, template) in sum.iter_mut().zip(&templates[*at..*at + n]) {
                *sum += x * template;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stft::StftConfig;
    use crate::{Dictionary, DictionaryConfig};

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
        assert_eq!((part.n_heard, part.templates.dim()), (1, (7, 200)));
        assert_eq!(part.templates.row(0), template([40, 20]).column(0));
    }

    #[test]
    fn a_frame_is_the_sum_of_its_slots_of_the_stacks_that_hold_it() {
        let (n_components, n_context, n_frames, n_bins) = (7, 3, 5, 300);
        let templates = Array2::from_shape_fn((n_components, n_context * n_bins), |(k, i)| ((7 * k + i) % 11) as f32);
        let activations =
            Array2::from_shape_fn(
                (n_components, n_frames + 2),
                |(k, i)| if (k + i) % 3 > 0 { (k + 1) as f32 } else { 0.0 },
            );
        let model = sum_of_slots(activations.view(), templates.view(), n_frames, n_bins);
        for ((frame, bin), got) in model.indexed_iter() {
            let slot = |k: usize, slot: usize| activations[(k, frame + 2 - slot)] * templates[(k, slot * n_bins + bin)];
            let expected: f32 = (0..n_components).map(|k| (0..n_context).map(|j| slot(k, j)).sum::<f32>()).sum();
            // Whole numbers.
            assert_eq!(*got, expected, "frame {frame}, bin {bin}");
        }
    }

    #[test]
    fn what_an_example_had_is_not_explained_by_transposing_another() {
        // One source was heard at the peak, the other a semitone below it.
        let known = |bin| Part::new(&template([bin, bin]), 2, 1);
        let stft = StftConfig::new(198);
        let config = ExamplesConfig::new(
            Dictionary::new(8000, stft, DictionaryConfig::default().n_context).expect("dictionary"),
        );
        let model = Templates::new(vec![known(60), known(57)], 2, Bands::new(&stft, 8000), &config).expect("model");
        let mut frames = Array2::zeros((4, 100));
        frames.column_mut(60).fill(1.0);
        let block = Block { frames: 1..3, magnitude: frames.view(), spectra: Vec::new(), before: 1 };
        let Split::Masks(masks) = model.split(&block).expect("masks") else { panic!("images") };
        assert_eq!(masks[0].dim(), (2, 100));
        assert!(masks[0][(0, 60)] > 0.9, "{}", masks[0][(0, 60)]);
    }
}
