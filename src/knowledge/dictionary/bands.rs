//! Frames as templates see them: bins pooled into bands, and consecutive frames stacked.
//! Sums and copies only; nothing is learned here.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use crate::stft::StftConfig;

/// Up to this many Hz every bin counts by itself in the search for activations; above it they are pooled into bands of
/// a constant ratio. The Kullback-Leibler divergence of sums is that of a coarser look at the same model, and partials
/// up there lie closer than an example and a mixture agree on them.
const FINE_UP_TO_HZ: f64 = 1000.0;

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

    /// Those of the first `n_bins` bins, of which the last may be cut.
    pub(crate) fn below(&self, n_bins: usize) -> Self {
        let edges = self.edges.iter().copied().take_while(|edge| *edge < n_bins);
        Self { edges: edges.chain([n_bins]).collect() }
    }

    /// The first bin of each band, and last the number of bins.
    pub(crate) fn edges(&self) -> &[usize] {
        &self.edges
    }

    /// Number of bands.
    pub(crate) fn n_bands(&self) -> usize {
        self.edges.len() - 1
    }

    /// Sums of the bins of each band, row by row: rows x `n_context * n_bins` to rows x `n_context * n_bands`.
    pub(crate) fn pool(&self, stacks: ArrayView2<'_, f32>, n_context: usize) -> Array2<f32> {
        let n_bins = stacks.ncols() / n_context;
        let n_bands = self.edges.len() - 1;
        let mut pooled = Array2::zeros((stacks.nrows(), n_context * n_bands));
        let stacks = stacks.as_standard_layout();
        let rows = pooled.outer_iter_mut().into_par_iter().zip(stacks.outer_iter().into_par_iter());
        rows.for_each(|(mut row, stack)| {
            for (mut bands, bins) in row.exact_chunks_mut(n_bands).into_iter().zip(stack.exact_chunks(n_bins)) {
                let bins = bins.to_slice().expect("frames stand one after the other");
                for (band, edge) in bands.iter_mut().zip(self.edges.windows(2)) {
                    *band = bins[edge[0]..edge[1]].iter().sum();
                }
            }
        });
        pooled
    }

    /// What [`Bands::pool`] summed up, spread evenly over the bins of each band: rows x `n_context * n_bands` to rows x
    /// `n_context * n_bins`.
    pub(crate) fn spread(&self, pooled: ArrayView2<'_, f32>, n_context: usize) -> Array2<f32> {
        let (n_bands, n_bins) = (self.n_bands(), self.edges.last().copied().unwrap_or_default());
        let mut stacks = Array2::zeros((pooled.nrows(), n_context * n_bins));
        for (mut stack, row) in stacks.outer_iter_mut().zip(pooled.outer_iter()) {
            for (mut bins, bands) in stack.exact_chunks_mut(n_bins).into_iter().zip(row.exact_chunks(n_bands)) {
                for (band, edge) in bands.iter().zip(self.edges.windows(2)) {
                    bins.slice_mut(s![edge[0]..edge[1]]).fill(band / (edge[1] - edge[0]) as f32);
                }
            }
        }
        stacks
    }

    /// A template for each band: the same sound in all bins of the band and in all frames, and none elsewhere; `n_context` *
    /// `n_bins` x `n_bands`, each summing to one.
    pub(crate) fn templates(&self, n_context: usize) -> Array2<f32> {
        let n_bins = self.edges.last().copied().unwrap_or_default();
        let mut templates = Array2::zeros((n_context * n_bins, self.edges.len() - 1));
        for (mut template, edge) in templates.columns_mut().into_iter().zip(self.edges.windows(2)) {
            let share = 1.0 / (n_context * (edge[1] - edge[0])) as f32;
            (0..n_context)
                .for_each(|slot| template.slice_mut(s![slot * n_bins + edge[0]..slot * n_bins + edge[1]]).fill(share));
        }
        templates
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
    use super::*;

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
        let bands = Bands::new(&stft, 8000);
        let pooled = bands.pool(stacks.view(), 2);
        let again = bands.pool(bands.spread(pooled.view(), 2).view(), 2);
        assert!((again - pooled).iter().all(|gap| gap.abs() < 1e-5), "what is spread sums up to what it was");
    }
}
