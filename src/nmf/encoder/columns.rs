//! The Kullback-Leibler divergence: each column is a problem of its own, with a scale of its own. Packs what the kernel
//! works on, leaves out what is silent, and decides how far steps go; the arithmetic is in `kernel`.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};

use crate::nmf::kernel::{self, Activations, Kernel, Loops, Panels, Scratch, TILE, Tile, improved};
use crate::nmf::scales::{given_back, power_of_two};

/// Columns left over from whole tiles that are faster one by one than as a tile that is mostly padding.
const MAX_SINGLE: usize = 2;

/// Where no more than this share of the components sounds, the others are left out, which takes half an iteration.
const MOST: f64 = 0.85;

/// For Kullback-Leibler: the dictionary as the kernel wants it.
pub(super) struct KullbackLeibler {
    pub(super) kernel: Kernel,
    /// W, each column times its scale.
    panels: Panels,
    /// Powers of two that give each column of W a largest entry of 1 to 2.
    scales: Vec<f64>,
    /// 1 / (W^T 1 + costs), of the scaled W.
    inverse_sums: Vec<Option<f32>>,
    relaxation: f32,
}

impl KullbackLeibler {
    pub(super) fn new(dictionary: ArrayView2<'_, f32>, costs: &[f64], relaxation: f32) -> Self {
        let largest = |template: ArrayView1<'_, f32>| f64::from(template.fold(0.0, |a: f32, &b| a.max(b)));
        let scales: Vec<_> =
            dictionary.columns().into_iter().map(|template| 1.0 / power_of_two(largest(template))).collect();
        let panels = Panels::pack(dictionary, &scales);
        let sums = panels.sums().into_iter().zip(costs).zip(&scales);
        let inverse_sums = sums.map(|((sum, cost), scale)| Some((1.0 / (sum + cost * scale)) as f32)).collect();
        Self { kernel: Kernel::detect(), panels, scales, inverse_sums, relaxation }
    }

    /// Improves the activations of one tile of columns, or less.
    pub(super) fn improve(
        &self,
        v: ArrayView2<'_, f32>,
        mut h: ArrayViewMut2<'_, f32>,
        n_iter: usize,
        scratch: &mut Scratch,
    ) {
        let Self { panels, scales, inverse_sums, .. } = self;
        // Gives each column a mean of 1 to 2: a power of two, so that it changes no digit.
        let of_column = |column: ArrayView1<'_, f32>| 1.0 / power_of_two(sum(column) / v.nrows().max(1) as f64);
        let of_columns: Vec<_> = v.columns().into_iter().map(of_column).collect();
        let tiles = kernel::pack_each_column(v, |i| of_columns[i]);
        let mut packed = vec![[0.0; TILE]; self.scales.len()];
        for ((k, i), &x) in h.indexed_iter() {
            packed[k][i] = kernel::lift(f64::from(x) * (of_columns[i] / scales[k]));
        }
        // What is silent in all columns of the tile adds nothing but zeros.
        let sounding: Vec<_> = (0..packed.len()).filter(|k| packed[*k].iter().any(|x| *x > 0.0)).collect();
        if sounding.len() as f64 > MOST * packed.len() as f64 {
            self.steps(panels, inverse_sums, &tiles, v.ncols(), &mut packed, n_iter, scratch);
        } else if !sounding.is_empty() {
            let of_those: Vec<_> = sounding.iter().map(|k| inverse_sums[*k]).collect();
            let mut few: Vec<_> = sounding.iter().map(|k| packed[*k]).collect();
            let scratch = &mut Scratch::new(few.len());
            self.steps(&panels.select(&sounding), &of_those, &tiles, v.ncols(), &mut few, n_iter, scratch);
            sounding.iter().zip(few).for_each(|(k, x)| packed[*k] = x);
        }
        for ((k, i), x) in h.indexed_iter_mut() {
            *x = given_back(packed[k][i], of_columns[i] / scales[k]);
        }
    }

    /// Iterations over the first so many columns of a tile.
    #[expect(clippy::too_many_arguments, reason = "the parts of a problem, whole or cut down to some components")]
    fn steps(
        &self,
        panels: &Panels,
        inverse_sums: &[Option<f32>],
        tiles: &[Tile],
        n_columns: usize,
        h: &mut [Activations],
        n_iter: usize,
        scratch: &mut Scratch,
    ) {
        let is_relaxed = self.relaxation != 1.0;
        let mut before = Vec::new();
        for _ in 0..n_iter {
            if is_relaxed {
                before.clear();
                before.extend_from_slice(h);
            }
            if n_columns <= MAX_SINGLE {
                (0..n_columns).for_each(|i| self.kernel.improve_column(tiles, panels, inverse_sums, h, i, scratch));
            } else {
                self.kernel.improve_h(tiles, panels, inverse_sums, h, scratch);
            }
            if is_relaxed {
                kernel::widest(Relax { relaxation: self.relaxation, before: &before, h });
            }
        }
    }
}

/// Steps that were made, to a power: `h <- before (h / before)^relaxation`.
struct Relax<'a> {
    relaxation: f32,
    before: &'a [Activations],
    h: &'a mut [Activations],
}

impl Loops for Relax<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let steps = self.h.as_flattened_mut().iter_mut().zip(self.before.as_flattened());
        // The step is a quotient of zeros where h is zero, and h stays so.
        if self.relaxation == 1.5 {
            steps.for_each(|(h, before)| *h = improved(*h, (*h / before).sqrt()));
        } else {
            steps.for_each(|(h, before)| *h = improved(*h, (*h / before).powf(self.relaxation - 1.0)));
        }
    }
}

/// The sum of a column, from the first entry to the last.
pub(super) fn sum(column: ArrayView1<'_, f32>) -> f64 {
    column.iter().map(|&x| f64::from(x)).sum()
}
