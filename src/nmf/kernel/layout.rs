//! How V, W and H lie in memory for the kernel, and what keeps their entries in range. No loop over more than one of
//! them is here.
//!
//! | matrix | packed as |
//! |---|---|
//! | V | `[frame / 6][bin / 16][frame % 6][bin % 16]`, padded with zeros |
//! | W | `[bin / 16][k][bin % 16]`, padded with zeros |
//! | H | `[frame / 6][k][frame % 6]`, padded with zeros |

use ndarray::{ArrayView2, s};

/// Frames in a tile.
pub(in crate::nmf) const TILE: usize = 6;
/// Bins in a tile.
pub(in crate::nmf) const PANEL: usize = 16;

/// One vector.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(32))]
pub(in crate::nmf) struct Lanes(pub(in crate::nmf) [f32; 8]);

/// 16 bins of one frame (V) or of one component (W).
pub(in crate::nmf) type Row = [Lanes; 2];
/// A tile of V or of V / WH.
pub(in crate::nmf) type Tile = [Row; TILE];
/// One component's activations in the frames of a tile.
pub(in crate::nmf) type Activations = [f32; TILE];

/// Entries of W and H that are not 0 stay at or above it, so that nothing becomes subnormal. A floor that is reached
/// soon lets sunk entries rise again: 1e-16 changes the divergence after 1000 iterations by 5e-5.
pub(in crate::nmf) const FLOOR: f32 = 1e-30;
/// Entries of W and H stay at or below it, so that no product overflows, and far above what a V of mean 1 asks for.
const CEILING: f32 = 1e18;
/// Added to WH: far below the mean of V, which is 1; V / WH stays finite, and is 0 where all is padding.
pub(in crate::nmf) const EPS: f32 = 1e-20;
pub(in crate::nmf) const ZERO_ROW: Row = [Lanes([0.0; 8]); 2];
pub(in crate::nmf) const ZERO_TILE: Tile = [ZERO_ROW; TILE];

/// Packs columns of V, times `scale`.
pub(in crate::nmf) fn pack_columns(v: ArrayView2<'_, f32>, scale: f64) -> Vec<Tile> {
    pack_each_column(v, |_| scale)
}

/// Packs columns of V, each times its scale.
pub(in crate::nmf) fn pack_each_column(v: ArrayView2<'_, f32>, scale: impl Fn(usize) -> f64) -> Vec<Tile> {
    let (n_bins, n_frames) = v.dim();
    let n_panels = n_bins.div_ceil(PANEL);
    let mut tiles = vec![ZERO_TILE; n_panels * n_frames.div_ceil(TILE)];
    for (frames, tiles) in tiles.chunks_exact_mut(n_panels.max(1)).enumerate() {
        let first_frame = frames * TILE;
        for (bins, tile) in tiles.iter_mut().enumerate() {
            let first_bin = bins * PANEL;
            let part =
                v.slice(s![first_bin..n_bins.min(first_bin + PANEL), first_frame..n_frames.min(first_frame + TILE)]);
            for (bin, row) in part.outer_iter().enumerate() {
                for ((i, frame), &x) in tile.iter_mut().enumerate().zip(row) {
                    frame[bin / 8].0[bin % 8] = (f64::from(x) * scale(first_frame + i)) as f32;
                }
            }
        }
    }
    tiles
}

/// W, packed.
#[derive(Debug, Clone)]
pub(in crate::nmf) struct Panels {
    pub(in crate::nmf) rows: Vec<Row>,
    pub(in crate::nmf) n_components: usize,
}

impl Panels {
    /// Packs W, `n_bins` x `n_components`, each column times its scale.
    pub(in crate::nmf) fn pack(w: ArrayView2<'_, f32>, scales: &[f64]) -> Self {
        let (n_bins, n_components) = w.dim();
        let mut rows = vec![ZERO_ROW; n_bins.div_ceil(PANEL) * n_components];
        for ((bin, k), &x) in w.indexed_iter() {
            rows[bin / PANEL * n_components + k][bin % PANEL / 8].0[bin % 8] = lift(f64::from(x) * scales[k]);
        }
        Self { rows, n_components }
    }

    pub(in crate::nmf) fn at(&self, bin: usize, k: usize) -> f32 {
        self.rows[bin / PANEL * self.n_components + k][bin % PANEL / 8].0[bin % 8]
    }

    /// Sum of each column.
    pub(in crate::nmf) fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_components];
        for panel in self.rows.chunks_exact(self.n_components) {
            for (sum, row) in sums.iter_mut().zip(panel) {
                *sum += row.iter().map(|lanes| f64::from(lanes.0.iter().sum::<f32>())).sum::<f64>();
            }
        }
        sums
    }
}

/// Packs columns of H, `n_components` x frames, each row times its scale.
pub(in crate::nmf) fn pack_activations(h: ArrayView2<'_, f32>, scales: &[f64]) -> Vec<Activations> {
    let (n_components, n_frames) = h.dim();
    let mut packed = vec![[0.0; TILE]; n_frames.div_ceil(TILE) * n_components];
    for ((k, frame), &x) in h.indexed_iter() {
        packed[frame / TILE * n_components + k][frame % TILE] = lift(f64::from(x) * scales[k]);
    }
    packed
}

/// A given value: zeros stay zero, all others lie between floor and ceiling.
pub(in crate::nmf) fn lift(x: f64) -> f32 {
    if x > 0.0 { x.clamp(f64::from(FLOOR), f64::from(CEILING)) as f32 } else { 0.0 }
}

/// `x * gain`, kept at or above the floor unless x is 0.
#[inline(always)]
pub(in crate::nmf) fn improved(x: f32, gain: f32) -> f32 {
    (x * gain).max(x.min(FLOOR)).min(CEILING)
}
