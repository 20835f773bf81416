//! Medians over a window that slides along the rows or the columns of a matrix.
//! Numbers only: what is filtered, and what for, is the caller's business.
//!
//! Windows side by side have most of their entries in common. These are sorted once for [`BLOCK`] windows; each half of
//! the windows adds what it shares beyond that, and so on down to the single window. Only entries that may still become a
//! median are carried along: as many as there are windows. Nothing branches on values, so that [`WIDTH`] lanes go through
//! it abreast.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Lanes that are filtered abreast: four vectors of what every processor has.
const WIDTH: usize = 16;

/// Windows that share the sorting of what they have in common; a power of two.
const BLOCK: usize = 8;

/// One entry of each lane.
type Lanes = [f32; WIDTH];

/// The median of each entry and its `radius` neighbors on both sides along `axis`, for the entries of `range` on that
/// axis. At the borders of the matrix the window holds fewer entries; of an even number of them the upper middle one
/// is taken.
///
/// # Cost
/// Some 25 comparisons per entry, and an eighth of those that sort a window; rows or columns in parallel.
///
/// # References
/// A. Adams, "Fast median filters using separable sorting networks", ACM Trans. Graphics 40(4), 2021: the tree of windows,
/// here in one dimension.
///
/// # Panics
/// If `range` reaches beyond the matrix.
pub(super) fn median(values: ArrayView2<'_, f32>, axis: Axis, radius: usize, range: Range<usize>) -> Array2<f32> {
    assert!(range.end <= values.len_of(axis), "medians of entries that are there");
    let across = Axis(1 - axis.index());
    let mut shape = values.raw_dim();
    shape[axis.index()] = range.len();
    let mut medians = Array2::zeros(shape);
    let filter = Filter::new(radius, values.len_of(axis), range);
    let lanes = values.axis_chunks_iter(across, WIDTH).into_par_iter();
    medians.axis_chunks_iter_mut(across, WIDTH).into_par_iter().zip(lanes).for_each_init(
        || (Vec::new(), Vec::new()),
        |(lanes, room), (medians, values)| {
            if axis.index() == 0 {
                filter.run(values, medians, lanes, room);
            } else {
                filter.run(values.reversed_axes(), medians.reversed_axes(), lanes, room);
            }
        },
    );
    medians
}

/// What is the same for all lanes.
struct Filter {
    radius: usize,
    /// Entries of a lane, and those whose medians are wanted.
    length: usize,
    range: Range<usize>,
    /// Whether a window misses entries on one side at the most, and is no shorter than what it shares.
    is_regular: bool,
    /// Sort what a block of windows has in common, or a whole window where nothing is shared.
    core: Vec<(usize, usize)>,
    /// Sort what a half and a quarter of a block add.
    extras: [Vec<(usize, usize)>; 2],
}

impl Filter {
    fn new(radius: usize, length: usize, range: Range<usize>) -> Self {
        let window = 2 * radius + 1;
        let is_regular = length >= window && window >= BLOCK - 1;
        let core = sorting_network(if is_regular { window - (BLOCK - 1) } else { window });
        Self { radius, length, range, is_regular, core, extras: [BLOCK / 2, BLOCK / 4].map(sorting_network) }
    }

    /// Filters lanes, the columns of `values`.
    fn run(
        &self,
        values: ArrayView2<'_, f32>,
        mut medians: ArrayViewMut2<'_, f32>,
        lanes: &mut Vec<Lanes>,
        room: &mut Vec<Lanes>,
    ) {
        let n_windows = self.range.len().next_multiple_of(BLOCK);
        lanes.clear();
        lanes.extend((0..n_windows + 2 * self.radius).map(|i| self.entries(values, self.range.start + i)));
        let mut found = [[0.0; WIDTH]; BLOCK];
        for first in (0..self.range.len()).step_by(BLOCK) {
            let windows = &lanes[first..first + BLOCK + 2 * self.radius];
            if self.is_regular {
                self.block(windows, room, &mut found);
            } else {
                self.one_by_one(windows, self.range.start + first, room, &mut found);
            }
            for (row, found) in (first..self.range.len()).zip(&found) {
                medians.row_mut(row).iter_mut().zip(found).for_each(|(to, x)| *to = *x);
            }
        }
    }

    /// The entries at a place that is counted from `radius` before the first. Beyond the borders every other one is
    /// infinite, the rest below all others: so the median of a window is the upper middle one of the entries that it has.
    fn entries(&self, values: ArrayView2<'_, f32>, place: usize) -> Lanes {
        let mut entries = [self.padding(place); WIDTH];
        if let Some(row) = place.checked_sub(self.radius).filter(|row| *row < self.length) {
            entries.iter_mut().zip(values.row(row)).for_each(|(entry, x)| *entry = *x);
        }
        entries
    }

    fn padding(&self, place: usize) -> f32 {
        let beyond = (self.radius.saturating_sub(place)).max((place + 1).saturating_sub(self.radius + self.length));
        if beyond.is_multiple_of(2) { f32::NEG_INFINITY } else { f32::INFINITY }
    }

    /// The medians of a block of windows, of which the first begins with the first entries.
    fn block(&self, windows: &[Lanes], core: &mut Vec<Lanes>, found: &mut [Lanes; BLOCK]) {
        core.clear();
        core.extend_from_slice(&windows[BLOCK - 1..2 * self.radius + 1]);
        sort(core, &self.core);
        // Each window has BLOCK - 1 entries more, so that what has this rank or BLOCK - 1 less may be in its middle.
        let mut middle = [[0.0; WIDTH]; BLOCK];
        for (i, middle) in middle.iter_mut().enumerate() {
            *middle = match (self.radius + i + 1).checked_sub(BLOCK) {
                None => [f32::NEG_INFINITY; WIDTH],
                Some(rank) => core.get(rank).copied().unwrap_or([f32::INFINITY; WIDTH]),
            };
        }
        let mut halves = [[0.0; WIDTH]; BLOCK / 2];
        let mut quarters = [[0.0; WIDTH]; BLOCK / 4];
        for half in [0, BLOCK / 2] {
            self.narrow(&middle, windows, half, &self.extras[0], &mut halves);
            for quarter in [0, BLOCK / 4] {
                self.narrow(&halves, windows, half + quarter, &self.extras[1], &mut quarters);
                for window in half + quarter..half + quarter + 2 {
                    self.narrow(&quarters, windows, window, &[], &mut found[window..=window]);
                }
            }
        }
    }

    /// From the middle entries of some windows to those of one half of them, which begins with the window `first`.
    fn narrow(
        &self,
        middle: &[Lanes],
        windows: &[Lanes],
        first: usize,
        network: &[(usize, usize)],
        narrower: &mut [Lanes],
    ) {
        let n = narrower.len();
        // What all of this half have, and not all of the other.
        let is_left = first.is_multiple_of(2 * n);
        let start = if is_left { first + n - 1 } else { first + 2 * self.radius + 1 - n };
        let mut added = [[0.0; WIDTH]; BLOCK / 2];
        let added = &mut added[..n];
        added.copy_from_slice(&windows[start..start + n]);
        sort(added, network);
        for (i, narrower) in narrower.iter_mut().enumerate() {
            // The entry of rank n + i of both lists: of all ways to take as many from the start of both, the lowest top.
            let mut lowest = middle[n + i];
            for (j, added) in added.iter().enumerate() {
                let other = &middle[n + i - j - 1];
                for ((lowest, a), b) in lowest.iter_mut().zip(other).zip(added) {
                    *lowest = smaller(*lowest, larger(*a, *b));
                }
            }
            *narrower = lowest;
        }
    }

    /// The medians of windows that are short, or miss entries on both sides.
    fn one_by_one(&self, windows: &[Lanes], first: usize, room: &mut Vec<Lanes>, found: &mut [Lanes; BLOCK]) {
        let width = 2 * self.radius + 1;
        for (i, found) in found.iter_mut().enumerate() {
            room.clear();
            room.extend_from_slice(&windows[i..i + width]);
            sort(room, &self.core);
            let place = first + i;
            let is_there = |place: &usize| (self.radius..self.radius + self.length).contains(place);
            let n = (place..place + width).filter(is_there).count();
            let below = |place: &usize| !is_there(place) && self.padding(*place) < 0.0;
            *found = room[((place..place + width).filter(below).count() + n / 2).min(width - 1)];
        }
    }
}

fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Sorts each lane.
fn sort(entries: &mut [Lanes], network: &[(usize, usize)]) {
    for &(low, high) in network {
        let (a, b) = (entries[low], entries[high]);
        for (i, (a, b)) in a.into_iter().zip(b).enumerate() {
            entries[low][i] = smaller(a, b);
            entries[high][i] = larger(a, b);
        }
    }
}

/// The pairs of places to put in order, one after the other, that sort n values.
///
/// # References
/// K. E. Batcher, "Sorting networks and their applications", 1968; D. E. Knuth, "The Art of Computer Programming", volume 3,
/// algorithm 5.2.2 M.
fn sorting_network(n: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let top = n.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            pairs.extend((0..n.saturating_sub(d)).filter(|i| i & p == r).map(|i| (i, i + d)));
            if q == p {
                break;
            }
            (d, r, q) = (q - p, p, q / 2);
        }
        p /= 2;
    }
    pairs
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

    #[test]
    fn networks_sort_every_order_of_zeros_and_ones() {
        for n in 0..=14 {
            let network = sorting_network(n);
            for bits in 0..1u32 << n {
                let mut entries: Vec<Lanes> = (0..n).map(|i| [(bits >> i & 1) as f32; WIDTH]).collect();
                sort(&mut entries, &network);
                assert!(entries.is_sorted_by_key(|entry| entry[0] as u32), "{n} values, {bits:b}");
            }
        }
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
