//! The share of a matrix that one of many workers holds, for fits that no machine has the memory for.

use ndarray::{Array2, ArrayView2, Zip};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::beta::{Dictionary, activation_terms, dictionary_terms, stepped};
use super::data::Data;
use super::divergence::level;
use super::general::scaled;
use super::kernel::wide;
use super::penalty::{Scales, exponent};
use super::scales::power_of_two;
use super::{Divergence, NmfConfig, Real, Solver};
use crate::{Error, Result};

/// Some columns of V with their activations; the dictionary is whoever asks'.
///
/// One iteration of a fit over many shares: each has its activations improved ([`Share::improve`]) and says what the
/// dictionary's update divides by what ([`Share::statistics`]); the sums over all shares ([`Statistics::add`]), always
/// in the same order, improve the dictionary ([`Statistics::improve`]). That is one multiplicative update of the whole
/// matrix, so the objective never rises; and what a lost share was is found again from its columns, its last known
/// activations and the dictionaries since, bit for bit.
///
/// # References
/// C. Fevotte and J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
/// Computation 23(9), 2011, the MM algorithm; its sums over columns as map and reduce: C. Liu, H.-c. Yang, J. Fan, L.-W.
/// He and Y.-M. Wang, "Distributed nonnegative matrix factorization for web-scale dyadic data analysis on `MapReduce`",
/// WWW 2010.
///
/// # Examples
/// ```
/// use partita::nmf::{Divergence, Share};
/// let v = ndarray::Array2::from_shape_fn((6, 8), |(i, j)| ((i + 1) * (j + 2)) as f32);
/// let halves = [v.slice(ndarray::s![.., ..4]), v.slice(ndarray::s![.., 4..])];
/// let mean = v.mean().expect("not empty");
/// let mut w = Share::<f32>::start(6, 2, mean.into(), 7);
/// let mut shares = Vec::new();
/// for (i, half) in (0..).zip(halves) {
///     let h = Share::start(4, 2, mean.into(), 7 + i).reversed_axes();
///     shares.push(Share::new(half, h, Divergence::KullbackLeibler, mean.into())?);
/// }
/// for _ in 0..300 {
///     let parts: Vec<_> = shares.iter_mut().map(|share| { share.improve(w.view()); share.statistics(w.view()) }).collect();
///     let sums = parts.into_iter().reduce(|mut sums, part| { sums.add(&part); sums }).expect("two shares");
///     w = sums.improve(w.view());
/// }
/// let left: f64 = shares.iter().map(|share| share.divergence(w.view())).sum();
/// assert!(left < 1e-3, "a matrix of rank one is found: {left}");
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug)]
pub struct Share<T: Real = f32> {
    data: Data<T>,
    /// Columns x K, over `scales.h`.
    h: Array2<T>,
    scales: Scales,
    divergence: Divergence,
}

/// What the dictionary's update divides by what, summed over shares; both `n_rows` x `n_components`.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// (V (WH)^(beta - 2)) H^T.
    pub numerator: Array2<f64>,
    /// (WH)^(beta - 1) H^T.
    pub denominator: Array2<f64>,
    divergence: Divergence,
}

impl<T: Real> Share<T> {
    /// Holds `v` (`n_rows` x `n_columns`) and its `activations` (`n_components` x `n_columns`); `mean` is that of the
    /// whole matrix, the same for all shares.
    ///
    /// # Errors
    /// [`Error::MatrixEntry`] for a negative, NaN or infinite entry, [`Error::MatrixShape`] for activations of another
    /// length, [`Error::Setting`] for a beta out of range.
    pub fn new(v: ArrayView2<'_, T>, activations: Array2<T>, divergence: Divergence, mean: f64) -> Result<Self> {
        let n_components = activations.nrows();
        NmfConfig { n_components, divergence, solver: Solver::Mu, ..NmfConfig::default() }.check(v)?;
        if activations.ncols() != v.ncols() {
            let expected = (n_components, v.ncols());
            return Err(Error::MatrixShape { what: "the matrix of activations", got: activations.dim(), expected });
        }
        let of_v = level(mean, 1.0);
        let of_w = power_of_two(of_v.sqrt());
        let scales = Scales { v: of_v, w: of_w, h: of_v / of_w };
        let data = Data::with_scale(v, None, divergence.beta(), of_v);
        Ok(Self { data, h: scaled(activations.reversed_axes(), 1.0 / scales.h), scales, divergence })
    }

    /// Random values for one factor, `n` x `n_components`, such that the product of two has about the mean that is
    /// given; columns that are shared out get a seed for each share.
    pub fn start(n: usize, n_components: usize, mean: f64, seed: u64) -> Array2<T> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let scale = T::of((mean / n_components as f64).sqrt());
        Array2::from_shape_simple_fn((n, n_components), || scale * T::absolute_normal(&mut random))
    }

    /// Improves the activations under a dictionary, `n_rows` x `n_components`.
    ///
    /// # Panics
    /// If the dictionary has another shape.
    pub fn improve(&mut self, dictionary: ArrayView2<'_, T>) {
        let w = self.scaled_dictionary(dictionary);
        let Self { data, h, .. } = self;
        let dictionary = Dictionary::new(&w, data.beta == 2.0);
        let exponent = T::of(exponent(data.beta, false, false));
        data.for_each_block(h, |block, mut rows| {
            let terms = activation_terms(data, block, &dictionary, rows.view());
            Zip::from(&mut rows)
                .and(&terms.numerator)
                .and(&terms.denominator)
                .for_each(|h, &numerator, &denominator| *h = stepped(*h, numerator, denominator, exponent, T::FLUSH));
        });
    }

    /// What the update of a dictionary divides by what, as far as this share knows.
    ///
    /// # Panics
    /// If the dictionary has another shape.
    pub fn statistics(&self, dictionary: ArrayView2<'_, T>) -> Statistics {
        let terms = dictionary_terms(&self.data, &self.scaled_dictionary(dictionary), &self.h);
        let (beta, Scales { v, w, h }) = (self.data.beta, self.scales);
        let (of_numerator, of_denominator) = (v.powf(beta - 1.0) * h, (w * h).powf(beta - 1.0) * h);
        Statistics {
            numerator: terms.numerator.mapv(|x| wide(x) * of_numerator),
            denominator: terms.denominator.mapv(|x| wide(x) * of_denominator),
            divergence: self.divergence,
        }
    }

    /// The divergence of these columns from what a dictionary makes of their activations, unnormalized.
    ///
    /// # Panics
    /// If the dictionary has another shape.
    pub fn divergence(&self, dictionary: ArrayView2<'_, T>) -> f64 {
        self.data.divergence(&self.scaled_dictionary(dictionary), &self.h)
    }

    /// The activations so far, `n_components` x `n_columns`.
    pub fn activations(&self) -> Array2<T> {
        scaled(self.h.clone(), self.scales.h).reversed_axes()
    }

    fn scaled_dictionary(&self, dictionary: ArrayView2<'_, T>) -> Array2<T> {
        assert_eq!(dictionary.dim(), (self.data.n_rows(), self.h.ncols()), "a dictionary of the share's shape");
        scaled(dictionary.to_owned(), 1.0 / self.scales.w)
    }
}

impl Statistics {
    /// Sums that came from elsewhere, both `n_rows` x `n_components`.
    pub fn new(numerator: Array2<f64>, denominator: Array2<f64>, divergence: Divergence) -> Self {
        Self { numerator, denominator, divergence }
    }

    /// Adds those of another share. Sums of floating-point numbers depend on their order: keep to one.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn add(&mut self, other: &Self) {
        self.numerator += &other.numerator;
        self.denominator += &other.denominator;
    }

    /// The improved dictionary; what no share has heard of stays as it is.
    ///
    /// # Panics
    /// If the dictionary has another shape.
    pub fn improve<T: Real>(&self, dictionary: ArrayView2<'_, T>) -> Array2<T> {
        let exponent = exponent(self.divergence.beta(), false, false);
        let mut improved = dictionary.to_owned();
        Zip::from(&mut improved).and(&self.numerator).and(&self.denominator).for_each(|w, &numerator, &denominator| {
            if denominator > 0.0 {
                let next = wide(*w) * (numerator / denominator).powf(exponent);
                *w = if next < wide(T::TINY) { T::of(0.0) } else { T::of(next.min(wide(T::LARGEST))) };
            }
        });
        improved
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::nmf::{Factor, fit};

    /// The divergence after some iterations over shares of the widths given.
    fn fitted(v: &Array2<f32>, widths: &[usize], divergence: Divergence) -> (Array2<f32>, f64) {
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
        let h = Share::start(v.ncols(), 3, mean, 1).reversed_axes();
        let mut w = Share::start(v.nrows(), 3, mean, 0);
        let mut at = 0;
        let mut shares: Vec<_> = widths
            .iter()
            .map(|width| {
                let columns = s![.., at..at + width];
                at += width;
                Share::new(v.slice(columns), h.slice(columns).to_owned(), divergence, mean).expect("a valid share")
            })
            .collect();
        for _ in 0..30 {
            shares.iter_mut().for_each(|share| share.improve(w.view()));
            let mut sums = shares[0].statistics(w.view());
            shares[1..].iter().for_each(|share| sums.add(&share.statistics(w.view())));
            w = sums.improve(w.view());
        }
        let left = shares.iter().map(|share| share.divergence(w.view())).sum();
        (w, left)
    }

    #[test]
    fn shares_fit_as_the_whole_matrix_does() {
        let v = Array2::from_shape_fn((23, 50), |(i, j)| 40.0 * ((i * j) as f32 * 0.37).sin().abs());
        for divergence in [Divergence::KullbackLeibler, Divergence::Euclidean, Divergence::Beta(0.5)] {
            let (w, left) = fitted(&v, &[50], divergence);
            let (parts, also_left) = fitted(&v, &[20, 1, 29], divergence);
            let gap = (&w - &parts).iter().fold(0.0, |worst: f32, x| worst.max(x.abs()));
            assert!(gap < 1e-3 * w.iter().fold(0.0, |a: f32, &b| a.max(b)), "{divergence:?}: {gap}");
            assert!((left / also_left - 1.0).abs() < 1e-4, "{divergence:?}: {left} {also_left}");
            let config = NmfConfig {
                n_components: 3,
                divergence,
                solver: Solver::Mu,
                dictionary: Factor::Free,
                max_iter: 30,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let usual = fit(v.view(), &config).expect("a valid fit").divergence;
            assert!(left < 1.3 * usual, "{divergence:?}: {left} is not near {usual}");
        }
    }

    #[test]
    fn a_lost_share_is_found_again_bit_for_bit() {
        let v = Array2::from_shape_fn((9, 14), |(i, j)| ((i + 2 * j) % 5) as f32);
        let new = || {
            let h = Share::start(14, 2, 2.0, 3).reversed_axes();
            Share::new(v.view(), h, Divergence::KullbackLeibler, 2.0).expect("a valid share")
        };
        let mut share = new();
        let mut w = Share::start(9, 2, 2.0, 4);
        let mut log = Vec::new();
        for _ in 0..8 {
            share.improve(w.view());
            log.push(w.clone());
            w = share.statistics(w.view()).improve(w.view());
        }
        let mut again = new();
        log[..5].iter().for_each(|w| again.improve(w.view()));
        let mut from_checkpoint =
            Share::new(v.view(), again.activations(), Divergence::KullbackLeibler, 2.0).expect("a valid share");
        log[5..].iter().for_each(|w| from_checkpoint.improve(w.view()));
        assert_eq!(from_checkpoint.activations(), share.activations());
        assert_eq!(from_checkpoint.statistics(w.view()), share.statistics(w.view()));
    }

    #[test]
    fn bad_input_is_refused() {
        let h = Array2::ones((2, 4));
        let new = |v: Array2<f32>| Share::new(v.view(), h.clone(), Divergence::KullbackLeibler, 1.0);
        assert!(matches!(new(Array2::from_elem((3, 4), -1.0)), Err(Error::MatrixEntry { .. })));
        assert!(matches!(new(Array2::ones((3, 5))), Err(Error::MatrixShape { .. })));
        assert!(new(Array2::zeros((3, 4))).is_ok_and(|share| share.divergence(Array2::zeros((3, 2)).view()) < 1e-9));
    }
}
