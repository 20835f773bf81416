//! Multiplicative updates for any beta-divergence, with weights and penalties.
//!
//! Plain Kullback-Leibler fits have a faster kernel of their own; this is the general form.

use ndarray::{Array1, Array2, ArrayView2, Zip};

use super::data::{Block, Data, column_sums, pack_dictionary, pack_frames, packed};
use super::driver::Solve;
use super::kernel::{Panels, wide};
use super::momentum::Sequence;
use super::penalty::{Penalties, Scales, exponent};
use super::sparse_loops::Packed;
use super::{Real, Solver};

/// A rise of the objective by less than this share is rounding: its sums are of f32 products.
const ROUNDING: f64 = 1e-6;

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
    extrapolation: Option<Extrapolation<T>>,
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
        let extrapolation = (solver == Solver::MuExtrapolated).then(Extrapolation::default);
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
            for (mut row, (n, d)) in
                self.w.rows_mut().into_iter().zip(terms.numerator.rows().into_iter().zip(terms.denominator.rows()))
            {
                for (k, w) in row.iter_mut().enumerate().filter(|(k, _)| self.free_w[*k]) {
                    *w = stepped(*w, n[k], d[k] + slopes[k] + l2[k] * *w, self.exponent_w, self.flush[0]);
                }
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
        let l2 = T::of(penalties.l2_h);
        data.for_each_block(h, |block, mut rows| {
            let terms = activation_terms(data, block, &dictionary, rows.view());
            let mut slopes = vec![T::of(0.0); rows.ncols()];
            for (i, mut row) in rows.rows_mut().into_iter().enumerate() {
                slopes_of(row.view(), &mut slopes);
                for (k, h) in row.iter_mut().enumerate().filter(|(k, _)| free_h[*k]) {
                    let mut numerator = terms.numerator[(i, k)];
                    let mut denominator = terms.denominator[(i, k)] + slopes[k] + l2 * *h;
                    if let Some(changes) = &changes {
                        let at = (block.columns.start + i, k);
                        numerator += changes.minus[at];
                        denominator += changes.plus[at];
                    }
                    *h = stepped(*h, numerator, denominator, *exponent_h, flush[1]);
                }
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
            extrapolation.extrapolate(&mut self.w, &mut self.h);
        }
        self.step();
    }

    fn check(&mut self) -> f64 {
        let now = self.objective();
        let Some(extrapolation) = &mut self.extrapolation else { return now };
        if let Some((best, w, h)) = &extrapolation.best {
            // A NaN counts as a rise.
            extrapolation.has_restarted =
                (now - best).partial_cmp(&(ROUNDING * best)).is_none_or(|order| order.is_gt());
            if extrapolation.has_restarted {
                self.w.assign(w);
                self.h.assign(h);
                (extrapolation.sequence, extrapolation.before) = (Sequence::new(), None);
                return *best;
            }
            if now > *best {
                return now;
            }
        }
        extrapolation.best = Some((now, self.w.clone(), self.h.clone()));
        now
    }

    fn divergence_alone(&self) -> Option<f64> {
        Some(self.divergence)
    }

    fn has_restarted(&self) -> bool {
        self.extrapolation.as_ref().is_some_and(|extrapolation| extrapolation.has_restarted)
    }
}

/// Nesterov's momentum, upward only: `X + a max(X - X_before, 0)` stays positive.
///
/// Where it led to a rise, the iterations up to the next check go without it.
///
/// # References
/// L. T. K. Hien, V. Leplat and N. Gillis, "Block majorization minimization with extrapolation and application to
/// beta-NMF".
struct Extrapolation<T: Real> {
    sequence: Sequence,
    /// W and H after the iteration before the last.
    before: Option<(Array2<T>, Array2<T>)>,
    /// Objective and factors at the last check that found no rise.
    best: Option<(f64, Array2<T>, Array2<T>)>,
    /// Whether the last check went back to them.
    has_restarted: bool,
}

impl<T: Real> Default for Extrapolation<T> {
    fn default() -> Self {
        Self { sequence: Sequence::new(), before: None, best: None, has_restarted: false }
    }
}

impl<T: Real> Extrapolation<T> {
    fn extrapolate(&mut self, w: &mut Array2<T>, h: &mut Array2<T>) {
        if self.has_restarted {
            return;
        }
        let present = (w.clone(), h.clone());
        if let Some((w_before, h_before)) = self.before.take() {
            let factor = T::of(wide(self.sequence.advance()));
            for (x, before) in [(w, w_before), (h, h_before)] {
                Zip::from(x).and(&before).for_each(|x, &before| *x += factor * (*x - before).max(T::of(0.0)));
            }
        }
        self.before = Some(present);
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

/// x (numerator / denominator)^exponent, kept within what can be multiplied further, or 0 below `flush`; 0 stays 0.
pub(super) fn stepped<T: Real>(x: T, numerator: T, denominator: T, exponent: T, flush: T) -> T {
    let ratio = (numerator / denominator.max(T::TINY)).min(T::CEILING);
    let x = (x * power(ratio, exponent)).min(T::CEILING);
    if x < flush { T::of(0.0) } else { x }
}

/// x^exponent, fast for the common exponents.
pub(super) fn power<T: Real>(x: T, exponent: T) -> T {
    if exponent == T::of(1.0) {
        x
    } else if exponent == T::of(0.5) {
        x.sqrt()
    } else {
        x.powf(exponent)
    }
}
