//! How V, W and H lie in memory for the kernel, and what keeps their entries in range. No loop over more than one of
//! them is here.
//!
//! | matrix | packed as |
//! |---|---|
//! | V | `[frame / 6][bin / 16][frame % 6][bin % 16]`, padded with zeros |
//! | W | `[bin / 16][k][bin % 16]`, padded with zeros |
//! | H | `[frame / 6][k][frame % 6]`, padded with zeros |
//!
//! That is for `f32`; panels of `f64` have 8 bins.

use ndarray::{ArrayView2, s};

use super::simd::{Element, Lanes, wide};

/// Frames in a tile.
pub(in crate::nmf) const TILE: usize = 6;

/// The bins of a panel in one frame (V) or of one component (W).
pub(in crate::nmf) type Row<T = f32> = [Lanes<T>; 2];
/// A tile of V or of V / WH.
pub(in crate::nmf) type Tile<T = f32> = [Row<T>; TILE];
/// One component's activations in the frames of a tile.
pub(in crate::nmf) type Activations<T = f32> = [T; TILE];

pub(in crate::nmf) fn zero_row<T: Element>() -> Row<T> {
    [Lanes::default(); 2]
}

pub(in crate::nmf) fn zero_tile<T: Element>() -> Tile<T> {
    [zero_row(); TILE]
}

/// Packs columns of V, times `scale`.
pub(in crate::nmf) fn pack_columns<T: Element>(v: ArrayView2<'_, T>, scale: f64) -> Vec<Tile<T>> {
    pack_each_column(v, |_| scale)
}

/// Packs columns of V, each times its scale.
pub(in crate::nmf) fn pack_each_column<T: Element>(v: ArrayView2<'_, T>, scale: impl Fn(usize) -> f64) -> Vec<Tile<T>> {
    let (n_bins, n_frames) = v.dim();
    let n_panels = n_bins.div_ceil(T::PANEL);
    let mut tiles = vec![zero_tile(); n_panels * n_frames.div_ceil(TILE)];
    for (frames, tiles) in tiles.chunks_exact_mut(n_panels.max(1)).enumerate() {
        let first_frame = frames * TILE;
        for (bins, tile) in tiles.iter_mut().enumerate() {
            let first_bin = bins * T::PANEL;
            let part =
                v.slice(s![first_bin..n_bins.min(first_bin + T::PANEL), first_frame..n_frames.min(first_frame + TILE)]);
            for (bin, row) in part.outer_iter().enumerate() {
                for ((i, frame), &x) in tile.iter_mut().enumerate().zip(row) {
                    frame[bin / T::LANES][bin % T::LANES] = T::of(wide(x) * scale(first_frame + i));
                }
            }
        }
    }
    tiles
}

/// W, packed.
#[derive(Debug, Clone)]
pub(in crate::nmf) struct Panels<T: Element = f32> {
    pub(in crate::nmf) rows: Vec<Row<T>>,
    pub(in crate::nmf) n_components: usize,
}

impl<T: Element> Panels<T> {
    /// Packs W, `n_bins` x `n_components`, each column times its scale.
    pub(in crate::nmf) fn pack(w: ArrayView2<'_, T>, scales: &[f64]) -> Self {
        let (n_bins, n_components) = w.dim();
        let mut rows = vec![zero_row(); n_bins.div_ceil(T::PANEL) * n_components];
        for ((bin, k), &x) in w.indexed_iter() {
            rows[bin / T::PANEL * n_components + k][bin % T::PANEL / T::LANES][bin % T::LANES] =
                lift(wide(x) * scales[k]);
        }
        Self { rows, n_components }
    }

    /// Those of some components.
    pub(in crate::nmf) fn select(&self, components: &[usize]) -> Self {
        let n_panels = self.rows.len() / self.n_components.max(1);
        let mut rows = Vec::with_capacity(n_panels * components.len());
        for panel in self.rows.chunks_exact(self.n_components.max(1)) {
            rows.extend(components.iter().map(|k| panel[*k]));
        }
        Self { rows, n_components: components.len() }
    }

    pub(in crate::nmf) fn at(&self, bin: usize, k: usize) -> T {
        self.rows[bin / T::PANEL * self.n_components + k][bin % T::PANEL / T::LANES][bin % T::LANES]
    }

    /// Sum of each column.
    pub(in crate::nmf) fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_components];
        for panel in self.rows.chunks_exact(self.n_components) {
            for (sum, row) in sums.iter_mut().zip(panel) {
                *sum += row.iter().map(|lanes| wide(lanes.iter().copied().sum::<T>())).sum::<f64>();
            }
        }
        sums
    }
}

/// Packs columns of H, `n_components` x frames, each row times its scale.
pub(in crate::nmf) fn pack_activations<T: Element>(h: ArrayView2<'_, T>, scales: &[f64]) -> Vec<Activations<T>> {
    let (n_components, n_frames) = h.dim();
    let mut packed = vec![[T::of(0.0); TILE]; n_frames.div_ceil(TILE) * n_components];
    for ((k, frame), &x) in h.indexed_iter() {
        packed[frame / TILE * n_components + k][frame % TILE] = lift(wide(x) * scales[k]);
    }
    packed
}

/// Packs some frames of H, frames x `n_components`, as they are.
pub(in crate::nmf) fn pack_frames<T: Element>(h: ArrayView2<'_, T>) -> Vec<Activations<T>> {
    let (n_frames, n_components) = h.dim();
    let zero = T::of(0.0);
    let mut packed = vec![[zero; TILE]; n_frames.div_ceil(TILE) * n_components];
    for (frame, row) in h.rows().into_iter().enumerate() {
        let tile = &mut packed[frame / TILE * n_components..][..n_components];
        for (activations, &x) in tile.iter_mut().zip(row) {
            activations[frame % TILE] = if x > zero { x.max(T::FLOOR).min(T::CEILING) } else { zero };
        }
    }
    packed
}

/// A given value: zeros stay zero, all others lie between floor and ceiling.
pub(in crate::nmf) fn lift<T: Element>(x: f64) -> T {
    if x > 0.0 { T::of(x.clamp(wide(T::FLOOR), wide(T::CEILING))) } else { T::of(0.0) }
}

/// `x * gain`, kept at or above the floor unless x is 0.
#[inline(always)]
pub(in crate::nmf) fn improved<T: Element>(x: T, gain: T) -> T {
    (x * gain).max(x.min(T::FLOOR)).min(T::CEILING)
}
