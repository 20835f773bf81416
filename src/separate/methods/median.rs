//! Medians over a window that slides along the rows or the columns of a matrix.
//! Numbers only: what is filtered, and what for, is the caller's business.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

/// The median of each entry and its `radius` neighbors on both sides along `axis`, for the entries of `range` on that
/// axis. At the borders of the matrix the window holds fewer entries; of an even number of them the upper middle one
/// is taken.
///
/// # Cost
/// Two searches among 2 `radius` + 1 sorted values and one move of them per entry; rows or columns in parallel.
///
/// # Panics
/// If `range` reaches beyond the matrix.
pub(super) fn median(values: ArrayView2<'_, f32>, axis: Axis, radius: usize, range: Range<usize>) -> Array2<f32> {
    let across = Axis(1 - axis.index());
    // One contiguous row for each lane, whatever the axis: lanes are independent.
    let mut medians = Array2::zeros((values.len_of(across), range.len()));
    medians.outer_iter_mut().into_par_iter().enumerate().for_each_init(Vec::new, |window, (lane_idx, mut medians)| {
        let lane = values.index_axis(across, lane_idx);
        slide(lane, radius, range.clone(), window, medians.iter_mut());
    });
    if axis.index() == 0 { medians.reversed_axes() } else { medians }
}

/// The medians around the entries of `range`, from a window that is kept sorted.
fn slide<'a>(
    lane: ArrayView1<'_, f32>,
    radius: usize,
    range: Range<usize>,
    window: &mut Vec<f32>,
    medians: impl Iterator<Item = &'a mut f32>,
) {
    let first = range.start.saturating_sub(radius);
    window.clear();
    window.extend(lane.iter().skip(first).take(range.start + radius - first));
    window.sort_unstable_by(f32::total_cmp);
    for (i, median) in range.zip(medians) {
        let enters = lane.get(i + radius).copied();
        let leaves = i.checked_sub(radius + 1).filter(|at| *at >= first).map(|at| lane[at]);
        match (leaves, enters) {
            (Some(old), Some(new)) => replace(window, old, new),
            (Some(old), None) => drop(window.remove(position(window, old).min(window.len() - 1))),
            (None, Some(new)) => window.insert(position(window, new), new),
            (None, None) => {}
        }
        *median = window[window.len() / 2];
    }
}

/// How many values of the window lie below x: over so few, counting is faster than bisection.
fn position(window: &[f32], x: f32) -> usize {
    window.iter().map(|w| usize::from(*w < x)).sum()
}

/// Takes one value out of a sorted window and puts another in.
fn replace(window: &mut [f32], old: f32, new: f32) {
    let from = position(window, old);
    if new > old {
        // The values between the two places move down by one.
        let to = position(window, new) - 1;
        window.copy_within(from + 1..to + 1, from);
        window[to] = new;
    } else {
        let to = position(window, new);
        window.copy_within(to..from, to + 1);
        window[to] = new;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, value by value.
    fn oracle(values: ArrayView2<'_, f32>, axis: Axis, radius: usize, range: Range<usize>) -> Array2<f32> {
        let mut shape = values.raw_dim();
        shape[axis.index()] = range.len();
        Array2::from_shape_fn(shape, |(row, column)| {
            let lane = values.index_axis(Axis(1 - axis.index()), if axis.index() == 0 { column } else { row });
            let at = range.start + if axis.index() == 0 { row } else { column };
            let mut window: Vec<_> = lane.iter().skip(at.saturating_sub(radius)).copied().collect();
            window.truncate(at + radius + 1 - at.saturating_sub(radius));
            window.sort_by(f32::total_cmp);
            window[window.len() / 2]
        })
    }

    proptest! {
        #[test]
        fn medians_are_those_of_the_definition(
            values in prop::collection::vec(prop_oneof![Just(0.0f32), Just(1.0), 0.0f32..1.0, 1e-30f32..1e30], 60),
            n_rows in prop_oneof![Just(1usize), Just(5), Just(12), Just(60)],
            radius in 0usize..20,
            axis in 0usize..2,
            cut in (0.0..1.0, 0.0..1.0),
        ) {
            let values = Array2::from_shape_vec((n_rows, 60 / n_rows), values).expect("60 values");
            let length = values.len_of(Axis(axis)) as f64;
            let (a, b) = ((cut.0 * length) as usize, (cut.1 * length) as usize);
            let range = a.min(b)..a.max(b) + 1;
            let filtered = median(values.view(), Axis(axis), radius, range.clone());
            prop_assert_eq!(filtered, oracle(values.view(), Axis(axis), radius, range));
        }
    }
}
