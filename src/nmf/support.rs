//! Activations of columns each of which has few active components of many, by plain multiplicative updates for the
//! Kullback-Leibler divergence: what a score says of every frame.
//!
//! The dictionary lies template by template, so that only those that are active are read. All sums are taken in a fixed
//! order, whatever the number of threads.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::kernel::{Loops, widest};

/// No model and no sum is smaller where something is divided by it, so that no quotient is 0/0. V is to have a mean of
/// about 1, or far above this.
const EPSILON: f32 = 1e-9;

/// Partial sums of a scalar product.
const LANES: usize = 16;

/// A dictionary, one template per row, the sum of each template, where it is not zero, and what it costs to use it.
///
/// # Examples
/// ```
/// use partita::nmf::support::{SparseColumn, TemplateRows};
/// let dictionary = TemplateRows::new(ndarray::array![[1.0, 0.0, 1.0], [5.0, 5.0, 5.0], [0.0, 2.0, 0.0]]);
/// let mut column = SparseColumn { components: vec![0, 2], activations: vec![1.0, 1.0] };
/// column.update(&[3.0, 4.0, 3.0], &dictionary, &mut [0.0; 3]);
/// assert_eq!(column.activations, [3.0, 2.0], "nothing overlaps: one update is enough");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateRows {
    rows: Array2<f32>,
    sums: Vec<f32>,
    supports: Vec<Vec<Range<usize>>>,
    costs: Vec<f32>,
}

impl TemplateRows {
    /// Takes a dictionary, `n_components` x `n_bins`, non-negative and finite, and looks through each template.
    pub fn new(rows: Array2<f32>) -> Self {
        let mut dictionary = Self { rows, sums: Vec::new(), supports: Vec::new(), costs: Vec::new() };
        dictionary.edit(|_| ());
        dictionary
    }

    /// Changes the dictionary, and looks through its templates again.
    pub fn edit(&mut self, change: impl FnOnce(&mut Array2<f32>)) {
        change(&mut self.rows);
        if !self.rows.is_standard_layout() {
            self.rows = self.rows.as_standard_layout().into_owned();
        }
        let sum = |row: ndarray::ArrayView1<'_, f32>| row.iter().map(|x| f64::from(*x)).sum::<f64>() as f32;
        self.sums = self.rows.outer_iter().map(sum).collect();
        self.supports = (0..self.rows.nrows()).map(|k| support(self.template(k))).collect();
        self.costs.resize(self.sums.len(), 0.0);
    }

    /// Makes templates from `first` on cost this much, a share of their sums: an L1 penalty on what they explain, `cost`
    /// times the sum of W h over these alone. 0 at first.
    pub fn set_cost(&mut self, first: usize, cost: f32) {
        self.costs.iter_mut().skip(first).for_each(|x| *x = cost);
    }

    /// The dictionary, `n_components` x `n_bins`, row after row in memory.
    pub fn rows(&self) -> &Array2<f32> {
        &self.rows
    }

    /// The dictionary alone.
    pub fn into_rows(self) -> Array2<f32> {
        self.rows
    }

    /// One template, of `n_bins`.
    ///
    /// # Panics
    /// If `k >= n_components`.
    pub fn template(&self, k: usize) -> &[f32] {
        let n_bins = self.rows.ncols();
        self.rows.as_slice().map_or(&[], |all| &all[k * n_bins..(k + 1) * n_bins])
    }

    /// The sum of each template.
    pub fn sums(&self) -> &[f32] {
        &self.sums
    }

    /// Number of templates.
    pub fn n_components(&self) -> usize {
        self.rows.nrows()
    }
}

/// The components that may be active in one column, and how much each of them is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SparseColumn {
    /// Rows of the dictionary, each at most once.
    pub components: Vec<u32>,
    /// As many activations, finite and at least 0.
    pub activations: Vec<f32>,
}

impl SparseColumn {
    /// The components and their activations.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.components.iter().zip(&self.activations).map(|(k, activation)| (*k as usize, *activation))
    }

    /// Writes W h, `n_bins`, summed over the components in their order.
    pub fn product(&self, dictionary: &TemplateRows, product: &mut [f32]) {
        self.product_of(|_| true, dictionary, product);
    }

    /// [`SparseColumn::product`] over some of the components.
    pub fn product_of(&self, is_wanted: impl Fn(usize) -> bool, dictionary: &TemplateRows, product: &mut [f32]) {
        product.fill(0.0);
        for (k, activation) in self.iter().filter(|(k, _)| is_wanted(*k)) {
            let (support, x) = (&dictionary.supports[k], dictionary.template(k));
            widest(AddScaled { support, sum: product, x, factor: activation });
        }
    }

    /// Writes V / (W h).
    pub fn quotient(&self, v: &[f32], dictionary: &TemplateRows, quotient: &mut [f32]) {
        self.product(dictionary, quotient);
        widest(Divide { v, by: quotient });
    }

    /// h <- h * W^T (V / W h) / (W^T 1 (1 + cost)), over the active components; `quotient`, of `n_bins`, is working space.
    ///
    /// # References
    /// D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2001, theorem 2.
    pub fn update(&mut self, v: &[f32], dictionary: &TemplateRows, quotient: &mut [f32]) {
        self.quotient(v, dictionary, quotient);
        for (k, activation) in self.components.iter().zip(&mut self.activations) {
            let k = *k as usize;
            let explained = widest(Dot { support: &dictionary.supports[k], a: quotient, b: dictionary.template(k) });
            *activation *= explained / (dictionary.sums[k] * (1.0 + dictionary.costs[k])).max(EPSILON);
        }
    }
}

/// H (V / W H)^T, `n_components` x `n_bins`, and the sum of each component's activations (H 1): what an update of the
/// dictionary divides by what. Where a template is zero, and stays so, the former may be left at 0. `quotients` is columns x
/// `n_bins`, one row for each of `columns`. Templates are shared out among rayon's threads, each takes its columns in order.
///
/// # Panics
/// If a component of a column is none of the dictionary.
pub fn dictionary_terms(
    columns: &[SparseColumn],
    quotients: ArrayView2<'_, f32>,
    dictionary: &TemplateRows,
) -> (Array2<f32>, Vec<f32>) {
    let n_components = dictionary.n_components();
    let mut places: Vec<Vec<(usize, f32)>> = vec![Vec::new(); n_components];
    for (i, column) in columns.iter().enumerate() {
        column.iter().for_each(|(k, activation)| places[k].push((i, activation)));
    }
    let mut numerators = Array2::zeros((n_components, quotients.ncols()));
    let rows = numerators.axis_iter_mut(Axis(0)).into_par_iter();
    rows.zip(&places).zip(&dictionary.supports).for_each(|((mut numerator, places), support)| {
        let Some(numerator) = numerator.as_slice_mut() else { return };
        for (i, activation) in places {
            let Some(quotient) = quotients.row(*i).to_slice() else { continue };
            widest(AddScaled { support, sum: numerator, x: quotient, factor: *activation });
        }
    });
    let mass = |places: &Vec<(usize, f32)>| places.iter().map(|(_, x)| f64::from(*x)).sum::<f64>() as f32;
    (numerators, places.iter().map(mass).collect())
}

/// sum += factor * x, in the bins of a [`support`].
struct AddScaled<'a> {
    support: &'a [Range<usize>],
    sum: &'a mut [f32],
    x: &'a [f32],
    factor: f32,
}

impl Loops for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { support, sum, x, factor } = self;
        for bins in support {
            for (sum, x) in sum[bins.clone()].iter_mut().zip(&x[bins.clone()]) {
                *sum += factor * x;
            }
        }
    }
}

/// by <- V / by.
struct Divide<'a> {
    v: &'a [f32],
    by: &'a mut [f32],
}

impl Loops for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (x, v) in self.by.iter_mut().zip(self.v) {
            *x = v / x.max(EPSILON);
        }
    }
}

/// Scalar product, by 16 partial sums that are added up in order, and then what is left of the vectors.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let whole = 0..a.len();
    widest(Dot { support: std::slice::from_ref(&whole), a, b })
}

/// [`dot`] of vectors one of which is zero outside of its [`support`].
struct Dot<'a> {
    support: &'a [Range<usize>],
    a: &'a [f32],
    b: &'a [f32],
}

impl Loops for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        let Self { support, a, b } = self;
        let mut sums = [0.0f32; LANES];
        let mut last = 0.0;
        for bins in support {
            let ((a, a_rest), (b, b_rest)) = (a[bins.clone()].as_chunks(), b[bins.clone()].as_chunks());
            last += a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>();
            for (a, b) in a.iter().zip(b) {
                let (a, b): (&[f32; LANES], &[f32; LANES]) = (a, b);
                for lane in 0..LANES {
                    sums[lane] += a[lane] * b[lane];
                }
            }
        }
        sums.iter().sum::<f32>() + last
    }
}

/// Where a template is not zero: ranges apart and in order, in whole chunks of [`LANES`], but for the last bins of all. Sums
/// over them are those over all bins, to the bit.
fn support(template: &[f32]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (i, chunk) in template.chunks(LANES).enumerate().filter(|(_, chunk)| chunk.iter().any(|x| *x != 0.0)) {
        let bins = i * LANES..i * LANES + chunk.len();
        match ranges.last_mut() {
            Some(last) if last.end == bins.start => last.end = bins.end,
            _ => ranges.push(bins),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmf::testing::{assert_close, noise};
    use crate::nmf::{Encoder, EncoderConfig};

    fn supports(n_columns: usize, n_components: u32) -> Vec<SparseColumn> {
        (0..n_columns as u32)
            .map(|i| {
                let components: Vec<_> = (0..n_components).filter(|k| (k + i).is_multiple_of(3)).collect();
                SparseColumn { activations: components.iter().map(|k| 1.0 + *k as f32).collect(), components }
            })
            .collect()
    }

    #[test]
    fn activations_are_those_of_the_whole_dictionary_with_zeros() {
        let (v, w) = (noise((37, 20), 1), noise((37, 12), 2));
        let dictionary = TemplateRows::new(w.t().to_owned());
        let mut columns = supports(20, 12);
        let start = dense(&columns, 12);
        let mut quotient = vec![0.0; 37];
        for (i, column) in columns.iter_mut().enumerate() {
            (0..6).for_each(|_| column.update(&v.column(i).to_vec(), &dictionary, &mut quotient));
        }
        let encoder = Encoder::new(w.view(), &EncoderConfig::default()).expect("a dictionary");
        let expected = encoder.encode_from(v.view(), start, 6).expect("encode");
        // Six iterations over sums of 37 terms in f32.
        assert_close("activations", &dense(&columns, 12), &expected, 1e-5);
    }

    /// Components x columns.
    fn dense(columns: &[SparseColumn], n_components: usize) -> Array2<f32> {
        let mut h = Array2::zeros((n_components, columns.len()));
        for (i, column) in columns.iter().enumerate() {
            column.iter().for_each(|(k, activation)| h[(k, i)] = activation);
        }
        h
    }

    #[test]
    fn products_and_terms_are_those_of_matrices() {
        let (dictionary, columns) = (TemplateRows::new(noise((12, 37), 2)), supports(20, 12));
        let h = dense(&columns, 12);
        let mut products = Array2::zeros((20, 37));
        for (column, mut product) in columns.iter().zip(products.outer_iter_mut()) {
            let product = product.as_slice_mut().expect("a row");
            column.product_of(|k| k < 6, &dictionary, product);
            let low = product.to_vec();
            column.product_of(|k| k >= 6, &dictionary, product);
            let parts: Vec<_> = low.iter().zip(product.iter()).map(|(a, b)| a + b).collect();
            column.product(&dictionary, product);
            assert!(parts.iter().zip(product.iter()).all(|(a, b)| (a - b).abs() < 1e-5 * b), "{parts:?}: {product:?}");
        }
        assert_close("products", &products, &h.t().dot(dictionary.rows()), 1e-6);

        let quotients = noise((20, 37), 3);
        let (numerators, masses) = dictionary_terms(&columns, quotients.view(), &dictionary);
        assert_close("numerators", &numerators, &h.dot(&quotients), 1e-6);
        assert_eq!(masses, h.sum_axis(Axis(1)).to_vec(), "sums of small whole numbers are exact");
    }

    #[test]
    fn what_is_zero_is_passed_over_and_changes_no_bit() {
        let cases: [(_, &[(usize, usize)]); 5] = [
            (0..0, &[(0, 100)]),
            (0..100, &[]),
            (20..60, &[(0, 32), (48, 100)]),
            (0..40, &[(32, 100)]),
            (50..100, &[(0, 64)]),
        ];
        for (zeros, expected) in cases {
            let mut template = noise((1, 100), 4).row(0).to_vec();
            template[zeros.clone()].fill(0.0);
            let found = support(&template);
            let ends: Vec<_> = found.iter().map(|bins| (bins.start, bins.end)).collect();
            assert_eq!(ends, expected, "zeros in {zeros:?}");
            let other = noise((1, 100), 5).row(0).to_vec();
            let only_there = widest(Dot { support: &found, a: &other, b: &template });
            assert_eq!(only_there, dot(&other, &template), "zeros in {zeros:?}");
        }
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let mut dictionary = TemplateRows::new(Array2::ones((2, 18)));
        dictionary.edit(|rows| rows.row_mut(1).fill(0.0));
        assert_eq!(dictionary.sums(), [18.0, 0.0]);
        let mut column = SparseColumn { components: vec![1], activations: vec![1.0] };
        let mut quotient = vec![0.0; 18];
        column.update(&[1.0; 18], &dictionary, &mut quotient);
        assert_eq!(column.activations, [0.0], "an empty template explains nothing");
        assert!(quotient.iter().all(|x| x.is_finite()), "{quotient:?}");
    }

    #[test]
    fn scalar_products_take_every_entry() {
        for n in [0, 1, 15, 16, 17, 100] {
            let (a, b) = (vec![2.0; n], vec![0.5; n]);
            assert_eq!(dot(&a, &b), n as f32, "{n} entries");
        }
    }
}
