//! Multiplicative updates for any beta-divergence, with weights and penalties.
//!
//! Plain Kullback-Leibler fits have a faster kernel of their own; this is the general form.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Zip, s};

use super::data::{Block, Data, column_sums, pack_dictionary, pack_frames, packed};
use super::driver::Solve;
use super::kernel::{Panels, wide};
use super::momentum::{Extrapolation, Factors};
use super::penalty::{Penalties, Scales, exponent};
use super::sparse_loops::Packed;
use super::{Real, Solver};

/// W (rows x K) and H (columns x K, transposed) between two iterations.
///
/// # References
/// C. Fevotte and J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
/// Computation 23(9), 2011: the MM algorithm. The weights multiply each entry's majorizer.
pub(super) struct BetaMu<T: Real> {
    pub(super) data: Data<T>,
    pub(super) w: Array2<T>,
    pub(super) h: Array2<T>,
    free_w: Vec<bool>,
    free_h: Vec<bool>,
    penalties: Penalties,
    exponent_w: T,
    exponent_h: T,
    /// Entries of W and of H below them become 0.
    flush: [T; 2],
    extrapolation: Option<Extrapolation<(Array2<T>, Array2<T>)>>,
    /// The divergence at the last check.
    divergence: f64,
}

impl<T: Real> BetaMu<T> {
    pub(super) fn new(
        data: Data<T>,
        (w, h): (Array2<T>, Array2<T>),
        (free_w, free_h): (Vec<bool>, Vec<bool>),
        penalties: Penalties,
        solver: Solver,
    ) -> Self {
        let in_rows = |x: Array2<T>| if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
        let (w, h) = (in_rows(w), in_rows(h));
        let extrapolation = (solver == Solver::MuExtrapolated).then(Extrapolation::new);
        // `Mu` is scikit-learn's, which divides by a squared penalty's slope without minding it in the exponent.
        let minds_squares = extrapolation.is_some();
        let has_changes = penalties.continuity(&h).is_some();
        Self {
            exponent_w: T::of(exponent(data.beta, penalties.has_dictionary_squares(minds_squares), false)),
            exponent_h: T::of(exponent(data.beta, minds_squares && penalties.l2_h > 0.0, has_changes)),
            data,
            w,
            h,
            free_w,
            free_h,
            penalties,
            flush: [T::FLUSH; 2],
            extrapolation,
            divergence: f64::NAN,
        }
    }

    /// Drops entries of W and of H where scikit-learn does: below the spacing of doubles at 1 on the input's scale.
    pub(super) fn with_small_entries_dropped(mut self, scales: Scales) -> Self {
        let flush = |is_dropped: bool, scale: f64| if is_dropped { T::of(f64::EPSILON / scale) } else { T::FLUSH };
        self.flush = [flush(self.data.beta < 1.0, scales.w), flush(self.data.beta <= 1.0, scales.h)];
        self
    }

    /// The divergence of the factors, after a run.
    pub(super) fn divergence(&self) -> f64 {
        // The last check may have gone back to others.
        if self.extrapolation.is_some() { self.data.divergence(&self.w, &self.h) } else { self.divergence }
    }

    /// One plain iteration: W, then H.
    fn step(&mut self) {
        if self.free_w.contains(&true) {
            let terms = dictionary_terms(&self.data, &self.w, &self.h);
            let slopes = self.penalties.dictionary_slopes(&self.w, &self.h);
            let l2 = self.penalties.dictionary_squares(&self.w, &self.h);
            let step = Step { free: &self.free_w, exponent: self.exponent_w, flush: self.flush[0] };
            let (slopes, l2) = (slopes.to_vec(), l2.to_vec());
            for ((mut row, n), d) in
                self.w.rows_mut().into_iter().zip(terms.numerator.rows()).zip(terms.denominator.rows())
            {
                step.row(in_order_mut(&mut row), in_order(&n), in_order(&d), &slopes, &l2);
            }
        }
        if self.free_h.contains(&true) {
            self.step_activations();
        }
    }

    /// H alone.
    pub(super) fn step_activations(&mut self) {
        let Self { data, w, h, free_h, penalties, exponent_h, flush, .. } = self;
        let changes = penalties.continuity(h);
        let mut dictionary = Dictionary::new(w, data.beta == 2.0 && !data.is_weighted());
        dictionary.packed = data.is_sparse().then(|| packed(w.view()));
        let slopes_of = penalties.activation_slopes(w, &dictionary.sums);
        let step = Step { free: free_h, exponent: *exponent_h, flush: flush[1] };
        let l2 = vec![T::of(penalties.l2_h); free_h.len()];
        data.for_each_block(h, |block, mut rows| {
            let mut terms = activation_terms(data, block, &dictionary, rows.view());
            if let Some(changes) = &changes {
                let range = s![block.columns.clone(), ..];
                terms.numerator += &changes.minus.slice(range);
                terms.denominator += &changes.plus.slice(range);
            }
            let mut slopes = vec![T::of(0.0); rows.ncols()];
            for ((mut row, n), d) in
                rows.rows_mut().into_iter().zip(terms.numerator.rows()).zip(terms.denominator.rows())
            {
                slopes_of(row.view(), &mut slopes);
                step.row(in_order_mut(&mut row), in_order(&n), in_order(&d), &slopes, &l2);
            }
        });
    }

    fn objective(&mut self) -> f64 {
        let to_input = self.data.scale.powf(self.data.beta);
        self.divergence = self.data.divergence(&self.w, &self.h);
        self.divergence + to_input * self.penalties.value(&self.w, &self.h)
    }
}

impl<T: Real> Solve for BetaMu<T> {
    fn iterate(&mut self) {
        if let Some(extrapolation) = &mut self.extrapolation {
            let mut factors = (std::mem::take(&mut self.w), std::mem::take(&mut self.h));
            extrapolation.extrapolate(&mut factors);
            (self.w, self.h) = factors;
        }
        self.step();
    }

    fn check(&mut self) -> f64 {
        let now = self.objective();
        let Some(extrapolation) = &mut self.extrapolation else { return now };
        let mut factors = (std::mem::take(&mut self.w), std::mem::take(&mut self.h));
        let (objective, _) = extrapolation.settle(now, &mut factors);
        (self.w, self.h) = factors;
        objective
    }

    fn divergence_alone(&self) -> Option<f64> {
        Some(self.divergence)
    }

    fn has_restarted(&self) -> bool {
        self.extrapolation.as_ref().is_some_and(Extrapolation::has_restarted)
    }
}

impl<T: Real> Factors for (Array2<T>, Array2<T>) {
    fn go_on(&mut self, before: &Self, factor: f32) {
        let factor = T::of(wide(factor));
        for (x, before) in [(&mut self.0, &before.0), (&mut self.1, &before.1)] {
            Zip::from(x).and(before).for_each(|x, &before| *x += factor * (*x - before).max(T::of(0.0)));
        }
    }
}

/// What a multiplicative step divides by what.
pub(super) struct Terms<T: Real> {
    pub(super) numerator: Array2<T>,
    pub(super) denominator: Array2<T>,
}

/// For W, rows x K: (V (WH)^(beta-2)) H^T and (WH)^(beta-1) H^T, powers and products with V and the weights entry by
/// entry.
pub(super) fn dictionary_terms<T: Real>(data: &Data<T>, w: &Array2<T>, h: &Array2<T>) -> Terms<T> {
    if data.beta == 2.0 && !data.is_weighted() {
        return Terms { numerator: data.times_activations(h), denominator: w.dot(&h.t().dot(h)) };
    }
    if let Some(numerator) = data.sparse_dictionary_terms(w, h) {
        return Terms { numerator, denominator: sums_in_rows(&column_sums(h), w.nrows()) };
    }
    let (numerator, denominator) = data.dictionary_terms(&pack_dictionary(w), h);
    Terms { numerator, denominator: denominator.unwrap_or_else(|| sums_in_rows(&column_sums(h), w.nrows())) }
}

/// W as the steps of H need it.
pub(super) struct Dictionary<T: Real> {
    panels: Panels<T>,
    /// W for the entries of a sparse V.
    packed: Option<Packed<T>>,
    /// W^T W, where the Euclidean shortcut applies.
    gram: Option<Array2<T>>,
    sums: Array1<f64>,
}

impl<T: Real> Dictionary<T> {
    /// Packs W, rows x K; `has_gram` where the divergence is Euclidean and there are no weights.
    pub(super) fn new(w: &Array2<T>, has_gram: bool) -> Self {
        Self { packed: None, panels: pack_dictionary(w), gram: has_gram.then(|| w.t().dot(w)), sums: column_sums(w) }
    }
}

/// For H, frames of the block x K: W^T (V (WH)^(beta-2)) and W^T (WH)^(beta-1), transposed.
pub(super) fn activation_terms<T: Real>(
    data: &Data<T>,
    block: &Block<T>,
    w: &Dictionary<T>,
    h: ArrayView2<'_, T>,
) -> Terms<T> {
    let sparse = w.packed.as_ref().and_then(|packed| data.sparse_activation_terms(block, packed, h));
    if let Some(numerator) = sparse {
        let denominator = w.gram.as_ref().map_or_else(|| sums_in_rows(&w.sums, h.nrows()), |gram| h.dot(gram));
        return Terms { numerator, denominator };
    }
    if let Some(gram) = &w.gram {
        return Terms { numerator: data.gathered(block, &w.panels), denominator: h.dot(gram) };
    }
    let (numerator, denominator) = data.activation_terms(block, &w.panels, &pack_frames(h));
    Terms { numerator, denominator: denominator.unwrap_or_else(|| sums_in_rows(&w.sums, h.nrows())) }
}

/// One sum per component, in each of `n_rows` rows.
fn sums_in_rows<T: Real>(sums: &Array1<f64>, n_rows: usize) -> Array2<T> {
    Array2::from_shape_fn((n_rows, sums.len()), |(_, k)| T::of(sums[k]))
}

/// How the free entries of a row are improved.
struct Step<'a, T: Real> {
    free: &'a [bool],
    exponent: T,
    flush: T,
}

impl<T: Real> Step<'_, T> {
    /// [`stepped`] with `denominator + slope + l2 x` below, for one entry per component.
    fn row(&self, x: &mut [T], numerators: &[T], denominators: &[T], slopes: &[T], l2: &[T]) {
        let costs = slopes.iter().zip(l2).zip(self.free);
        let terms = numerators.iter().zip(denominators).zip(costs);
        if self.exponent == T::of(1.0) {
            for (x, ((&n, &d), ((&slope, &l2), &free))) in x.iter_mut().zip(terms) {
                let better = stepped(*x, n, d + slope + l2 * *x, T::of(1.0), self.flush);
                *x = if free { better } else { *x };
            }
            return;
        }
        for (x, ((&n, &d), ((&slope, &l2), _))) in x.iter_mut().zip(terms).filter(|(_, (_, (_, free)))| **free) {
            *x = stepped(*x, n, d + slope + l2 * *x, self.exponent, self.flush);
        }
    }
}

/// A row of a matrix in standard layout.
fn in_order<'a, T>(row: &'a ArrayView1<'_, T>) -> &'a [T] {
    row.as_slice().expect("matrices are in rows since `BetaMu::new`, and so are products with them")
}

/// The same, to be changed.
fn in_order_mut<'a, T>(row: &'a mut ArrayViewMut1<'_, T>) -> &'a mut [T] {
    row.as_slice_mut().expect("matrices are in rows since `BetaMu::new`")
}

/// x (numerator / denominator)^exponent, kept within what can be multiplied further, or 0 below `flush`; 0 stays 0.
#[inline(always)]
pub(super) fn stepped<T: Real>(x: T, numerator: T, denominator: T, exponent: T, flush: T) -> T {
    let ratio = (numerator / denominator.max(T::TINY)).min(T::CEILING);
    let x = (x * power(ratio, exponent)).min(T::CEILING);
    if x < flush { T::of(0.0) } else { x }
}

/// x^exponent, fast for the common exponents.
#[inline(always)]
pub(super) fn power<T: Real>(x: T, exponent: T) -> T {
    if exponent == T::of(1.0) {
        x
    } else if exponent == T::of(0.5) {
        x.sqrt()
    } else {
        x.powf(exponent)
    }
}
