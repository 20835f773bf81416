//! Templates of known sources, looked for in a mixture: the model, and how its activations are found.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;

use super::config::ExamplesConfig;
use crate::Result;
use crate::knowledge::dictionary::{Bands, stack};
use crate::nmf::{Encoder, EncoderConfig};
use crate::separate::pipeline::{Block, Margin, Model, Split, mask};
use crate::watch::{Step, Watch};

/// Stacks from one report of progress to the next.
const GROUP: usize = 1024;

/// What a transposed template costs, relative to one that was heard: a Kullback-Leibler fit with this penalty on its
/// activation (its l1 norm, templates summing to one). Without any, sources explain one another's notes; at 0.3 a
/// transposed template comes in where no heard one explains the frame.
const TRANSPOSITION_COST: f32 = 0.3;

/// Iterations that go on from an earlier fit.
const WARM_ITERATIONS: usize = 5;

/// They start from at least this share of equal activations.
const LEAST: f32 = 0.1;

/// What is looked for of one source.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    /// `n_context * n_bins` x components.
    pub(super) templates: Array2<f32>,
    /// The first so many of them were heard, the others are transposed.
    pub(super) n_heard: usize,
}

impl Part {
    pub(super) fn new(heard: &Array2<f32>, n_context: usize, n_semitones: usize) -> Self {
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
pub(super) struct Templates {
    pub(super) parts: Vec<Part>,
    /// The rows of `activations` that belong to each part.
    rows: Vec<Range<usize>>,
    /// All templates in bands.
    encoder: Encoder,
    bands: Bands,
    n_context: usize,
    mask_exponent: f32,
    /// Components x stacks of the whole recording; `None`: found block by block.
    activations: Option<Array2<f32>>,
}

impl Templates {
    pub(super) fn new(parts: Vec<Part>, n_context: usize, bands: Bands, config: &ExamplesConfig) -> Result<Self> {
        let mut rows = Vec::with_capacity(parts.len());
        let mut pooled = Vec::with_capacity(parts.len());
        let mut costs = Vec::new();
        for part in &parts {
            let start = rows.last().map_or(0, |last: &Range<usize>| last.end);
            rows.push(start..start + part.templates.ncols());
            costs.resize(start + part.n_heard, 0.0);
            costs.resize(start + part.templates.ncols(), TRANSPOSITION_COST);
            pooled.push(bands.pool(part.templates.t(), n_context));
        }
        let pooled: Vec<_> = pooled.iter().map(|part| part.t()).collect();
        let pooled = concatenate(Axis(1), &pooled).expect("templates of one dictionary have the same rows");
        let costs = Some(Array1::from_vec(costs));
        let encoder = Encoder::new(
            pooled.view(),
            &EncoderConfig { max_iter: config.max_iter, costs, ..EncoderConfig::default() },
        )?;
        Ok(Self { parts, rows, encoder, bands, n_context, mask_exponent: config.mask_exponent, activations: None })
    }

    /// Keeps the activations of a whole recording, `n_frames` x `n_bins`; from those of an earlier fit, where there is one,
    /// in fewer iterations.
    pub(super) fn keep(
        &mut self,
        frames: ArrayView2<'_, f32>,
        previous: Option<&Self>,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let start = previous.and_then(|previous| self.start(previous, frames.nrows()));
        self.activations = Some(self.find(frames, start.as_ref(), watch)?);
        Ok(())
    }

    /// Where an earlier fit left the activations: of what it had, those; of the rest, nothing yet.
    fn start(&self, previous: &Self, n_frames: usize) -> Option<Array2<f32>> {
        let before = previous.activations.as_ref()?;
        let n_stacks = n_frames + self.n_context - 1;
        if before.ncols() != n_stacks || previous.n_context != self.n_context {
            return None;
        }
        let mut start = Array2::zeros((self.encoder.n_components(), n_stacks));
        for (part, rows) in self.parts.iter().zip(&self.rows) {
            let same = previous.parts.iter().zip(&previous.rows).find(|(other, _)| *other == part);
            if let Some((_, before_rows)) = same {
                start.slice_mut(s![rows.clone(), ..]).assign(&before.slice(s![before_rows.clone(), ..]));
            }
        }
        Some(start)
    }

    /// The activations of every stack of some frames (`n_frames` x `n_bins`), components x `n_frames + n_context - 1`.
    /// Those of a stack depend on that stack alone, so that a block gives what the whole would.
    fn find(
        &self,
        frames: ArrayView2<'_, f32>,
        start: Option<&Array2<f32>>,
        watch: &mut Watch<'_>,
    ) -> Result<Array2<f32>> {
        let stacks = stack(self.bands.pool(frames, 1).view(), self.n_context);
        let mut activations = Array2::zeros((self.encoder.n_components(), stacks.nrows()));
        let total = Some(stacks.nrows() as u64);
        let groups = stacks.axis_chunks_iter(Axis(0), GROUP).zip(activations.axis_chunks_iter_mut(Axis(1), GROUP));
        for (i, (stacks, mut activations)) in groups.enumerate() {
            let found = match start {
                None => self.encoder.encode(stacks.t())?,
                Some(start) => {
                    let level: Array1<f32> = stacks.sum_axis(Axis(1)) * (LEAST / self.encoder.n_components() as f32);
                    let mut start = start.slice(s![.., i * GROUP..i * GROUP + stacks.nrows()]).to_owned();
                    // What was nothing to the earlier fit can come in.
                    start.outer_iter_mut().for_each(|mut row| row.zip_mut_with(&level, |h, level| *h = h.max(*level)));
                    self.encoder.encode_from(stacks.t(), start, WARM_ITERATIONS)?
                }
            };
            activations.assign(&found);
            watch.at(Step::Fitting, (i * GROUP + stacks.nrows()) as u64, total)?;
        }
        Ok(activations)
    }

    /// Activations of the stacks that hold a frame of the block: the first ends with its first frame, the last begins
    /// with its last.
    fn activations(&self, block: &Block<'_>) -> Result<Array2<f32>> {
        let n_stacks = block.frames.len() + self.n_context - 1;
        if let Some(activations) = &self.activations {
            return Ok(activations.slice(s![.., block.frames.start..block.frames.start + n_stacks]).to_owned());
        }
        // Frames that the recording does not have are silent.
        let margin = self.n_context - 1;
        let mut frames = Array2::zeros((block.frames.len() + 2 * margin, block.magnitude.ncols()));
        let missing = margin - block.before.min(margin);
        let (from, n) = (block.before.saturating_sub(margin), block.magnitude.nrows());
        let n = (n - from).min(frames.nrows() - missing);
        frames.slice_mut(s![missing..missing + n, ..]).assign(&block.magnitude.slice(s![from..from + n, ..]));
        let activations = self.find(frames.view(), None, &mut Watch::none())?;
        // Without the stacks that reach beyond the margin.
        Ok(activations.slice(s![.., margin..margin + n_stacks]).to_owned())
    }
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
        Ok(Split::Masks(models))
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
        assert_eq!((part.n_heard, part.templates.dim()), (1, (200, 7)));
        assert_eq!(part.templates.column(0), template([40, 20]).column(0));
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
