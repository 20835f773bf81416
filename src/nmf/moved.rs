//! Activations moved by each lag of a template, packed as the kernel has them, and what belongs to moved ones put back.

use ndarray::{ArrayView2, s};

use super::kernel::{Activations, TILE};

/// The activations of each template, `first` and the columns after it, moved by each lag: 0 where that is from another run.
pub(super) fn stack(h: ArrayView2<'_, f32>, first: usize, n_lags: usize, run_length: usize, tile: &mut [Activations]) {
    let in_run = first % run_length;
    let is_whole = first + TILE <= h.ncols() && in_run.saturating_add(TILE) <= run_length;
    for (h, moved) in h.outer_iter().zip(tile.chunks_exact_mut(n_lags)) {
        for (lag, moved) in moved.iter_mut().enumerate() {
            if is_whole && in_run >= lag {
                moved.iter_mut().zip(h.slice(s![first - lag..])).for_each(|(moved, h)| *moved = *h);
                continue;
            }
            for (column, x) in (first..).zip(moved) {
                let is_inside = column % run_length >= lag && column < h.len();
                *x = if is_inside { h[column - lag] } else { 0.0 };
            }
        }
    }
}

/// Adds the terms of one template in some columns, from `first` on, to the sums of those they were moved from; `ends`: the
/// first column after the run of each.
pub(super) fn add_back(terms: &[Activations], first: usize, ends: &[usize], sums: &mut [f32]) {
    for (lag, terms) in terms.iter().enumerate() {
        for (column, x) in (first..).zip(terms) {
            let Some(n) = column.checked_sub(lag) else { continue };
            if ends.get(n).is_some_and(|end| column < *end) {
                sums[n] += x;
            }
        }
    }
}
