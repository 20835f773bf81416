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

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

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
    let mut tiles = vec![zero_tile(); v.nrows().div_ceil(T::PANEL) * v.ncols().div_ceil(TILE)];
    pack_onto(v, scale, &mut tiles);
    tiles
}

/// Packs columns of V, each times its scale, onto tiles of zeros.
pub(in crate::nmf) fn pack_onto<T: Element>(v: ArrayView2<'_, T>, scale: impl Fn(usize) -> f64, tiles: &mut [Tile<T>]) {
    let (n_bins, n_frames) = v.dim();
    let n_panels = n_bins.div_ceil(T::PANEL);
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
        Self::pack_with(w, |x, k| lift(wide(x) * scales[k]))
    }

    /// Packs W, `n_bins` x `n_components`, as it is.
    pub(in crate::nmf) fn pack_as_is(w: ArrayView2<'_, T>) -> Self {
        Self::pack_with(w, |x, _| in_range(x))
    }

    fn pack_with(w: ArrayView2<'_, T>, convert: impl Fn(T, usize) -> T) -> Self {
        let (n_bins, n_components) = w.dim();
        let mut rows = vec![zero_row(); n_bins.div_ceil(T::PANEL) * n_components];
        let panels = rows.chunks_exact_mut(n_components.max(1)).zip(w.axis_chunks_iter(Axis(0), T::PANEL));
        for (panel, bins) in panels {
            for (bin, w) in bins.rows().into_iter().enumerate() {
                let (half, lane) = (bin / T::LANES, bin % T::LANES);
                panel.iter_mut().zip(w).enumerate().for_each(|(k, (row, &x))| row[half][lane] = convert(x, k));
            }
        }
        Self { rows, n_components }
    }

    /// W, `n_bins` x `n_components`, as it is.
    pub(in crate::nmf) fn unpacked(&self, n_bins: usize) -> Array2<T> {
        let mut w = Array2::zeros((n_bins, self.n_components));
        let bins = w.axis_chunks_iter_mut(Axis(0), T::PANEL);
        for (mut bins, panel) in bins.zip(self.rows.chunks_exact(self.n_components.max(1))) {
            for (bin, mut w) in bins.rows_mut().into_iter().enumerate() {
                let (half, lane) = (bin / T::LANES, bin % T::LANES);
                w.iter_mut().zip(panel).for_each(|(x, row)| *x = row[half][lane]);
            }
        }
        w
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
    let mut packed = vec![[T::of(0.0); TILE]; n_frames.div_ceil(TILE) * n_components];
    let tiles = packed.chunks_exact_mut(n_components.max(1));
    for (tile, frames) in tiles.zip(h.axis_chunks_iter(Axis(0), TILE)) {
        for (frame, row) in frames.rows().into_iter().enumerate() {
            tile.iter_mut().zip(row).for_each(|(activations, &x)| activations[frame] = in_range(x));
        }
    }
    packed
}

/// Writes what is packed as H is to frames x `n_components`.
pub(in crate::nmf) fn unpack_frames<T: Element>(packed: &[Activations<T>], mut frames: ArrayViewMut2<'_, T>) {
    let n_components = frames.ncols().max(1);
    for (mut rows, tile) in frames.axis_chunks_iter_mut(Axis(0), TILE).zip(packed.chunks_exact(n_components)) {
        for (frame, mut row) in rows.rows_mut().into_iter().enumerate() {
            row.iter_mut().zip(tile).for_each(|(x, activations)| *x = activations[frame]);
        }
    }
}

/// A value that needs no scale: zeros stay zero, all others lie between floor and ceiling.
#[inline(always)]
fn in_range<T: Element>(x: T) -> T {
    let (zero, kept) = (T::of(0.0), x.max(T::FLOOR).min(T::CEILING));
    // Chosen, not branched to: which entries are zero is not to be foretold.
    if x > zero { kept } else { zero }
}

/// A given value: zeros stay zero, all others lie between floor and ceiling.
#[inline(always)]
pub(in crate::nmf) fn lift<T: Element>(x: f64) -> T {
    let kept = T::of(x.clamp(wide(T::FLOOR), wide(T::CEILING)));
    if x > 0.0 { kept } else { T::of(0.0) }
}

/// `x * gain`, kept at or above the floor unless x is 0.
#[inline(always)]
pub(in crate::nmf) fn improved<T: Element>(x: T, gain: T) -> T {
    (x * gain).max(x.min(T::FLOOR)).min(T::CEILING)
}
