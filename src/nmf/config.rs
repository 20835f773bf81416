//! What a factorization is asked for ([`NmfConfig`]) and what it gives back ([`Factorization`]).

use ndarray::{Array1, Array2, ArrayView2};

use super::{Error, Result};

/// What to fit, and how long.
#[derive(Debug, Clone, PartialEq)]
pub struct NmfConfig {
    /// Number of templates, at least 1. Default 8.
    pub n_components: usize,
    /// What "close to V" means. Default Kullback-Leibler, which suits magnitudes of sound: errors count relative to
    /// the level.
    pub divergence: Divergence,
    /// How the factors are improved. Default [`Solver::MuExtrapolated`].
    pub solver: Solver,
    /// How free factors start. Default [`Init::Random`].
    pub init: Init,
    /// Treatment of W, `n_rows` x `n_components`. Default free.
    pub dictionary: Factor,
    /// Treatment of H, `n_components` x `n_columns`. Default free.
    pub activations: Factor,
    /// Iterations at the most. Default 200.
    pub max_iter: usize,
    /// Ends the fit when the divergence fell by less than this share of its first value since the check before
    /// (every 10 iterations), as in scikit-learn; 0 never does. Default 1e-4.
    pub tol: f64,
    /// Ends the fit at this divergence, unnormalized and on the input's scale. Default: none.
    pub target_divergence: Option<f64>,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl Default for NmfConfig {
    fn default() -> Self {
        Self {
            n_components: 8,
            divergence: Divergence::KullbackLeibler,
            solver: Solver::MuExtrapolated,
            init: Init::Random,
            dictionary: Factor::Free,
            activations: Factor::Free,
            max_iter: 200,
            tol: 1e-4,
            target_divergence: None,
            seed: 0,
        }
    }
}

/// The distance that a fit makes small: a beta-divergence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divergence {
    /// beta = 1: sum of `v ln(v / y) - v + y`.
    KullbackLeibler,
    /// beta = 0: sum of `v / y - ln(v / y) - 1`; the same for loud and quiet, zeros are lifted to a floor.
    ItakuraSaito,
    /// beta = 2: half the sum of squares.
    Euclidean,
    /// Any other beta.
    Beta(f32),
}

/// How the factors are improved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// Multiplicative updates, W first, then H, as in scikit-learn's `mu`.
    Mu,
    /// Multiplicative updates with extrapolation; restarts when the divergence rises.
    MuExtrapolated,
}

/// How free factors start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Seeded random numbers, scaled so that W H has the mean of V.
    Random,
}

/// How one factor is treated.
#[derive(Debug, Clone, PartialEq)]
pub enum Factor {
    /// Learned, from the config's [`Init`].
    Free,
    /// Learned, from these values; zeros stay zero.
    Seed(Array2<f32>),
    /// Kept as given.
    Fixed(Array2<f32>),
    /// Each component by itself, `n_components` of them.
    PerComponent(Vec<Part>),
}

impl Factor {
    /// Which components may change.
    pub(super) fn is_free(&self, n_components: usize) -> Vec<bool> {
        match self {
            Self::Free | Self::Seed(_) => vec![true; n_components],
            Self::Fixed(_) => vec![false; n_components],
            Self::PerComponent(parts) => parts.iter().map(|part| !matches!(part, Part::Fixed(_))).collect(),
        }
    }
}

/// How one component of a factor (a column of W, a row of H) is treated.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Learned, from the config's [`Init`].
    Free,
    /// Learned, from these values; zeros stay zero.
    Seed(Array1<f32>),
    /// Kept as given.
    Fixed(Array1<f32>),
}

/// Where a fit is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Iterations done.
    pub iteration: usize,
    /// Iterations at the most.
    pub max_iter: usize,
    /// The divergence, where this iteration computed it (every 10th, and more often near `target_divergence`),
    /// unnormalized and on the input's scale.
    pub divergence: Option<f64>,
}

/// Why a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The divergence no longer fell by `tol`.
    Converged,
    /// `target_divergence` was reached.
    TargetReached,
    /// `max_iter` was reached.
    MaxIter,
    /// The progress callback asked for it.
    Cancelled,
}

/// A factorized matrix: V ~ `dictionary` x `activations`.
#[derive(Debug, Clone, PartialEq)]
pub struct Factorization {
    /// W, `n_rows` x `n_components`.
    pub dictionary: Array2<f32>,
    /// H, `n_components` x `n_columns`.
    pub activations: Array2<f32>,
    /// Iterations done.
    pub n_iter: usize,
    /// The last divergence, unnormalized and on the input's scale.
    pub divergence: f64,
    /// The divergence at each check, as (iteration, divergence), from iteration 0 to the last.
    pub divergence_curve: Vec<(usize, f64)>,
    /// Why the fit ended.
    pub stop_reason: StopReason,
}

impl Factorization {
    /// W H, the approximation of V, `n_rows` x `n_columns`.
    pub fn product(&self) -> Array2<f32> {
        self.dictionary.dot(&self.activations)
    }

    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.dictionary.ncols()
    }
}

impl NmfConfig {
    /// Refuses settings and matrices that cannot be worked with; the one door of the module.
    pub(super) fn check(&self, v: ArrayView2<'_, f32>) -> Result<()> {
        let setting = |name, got: String, expected: &str| {
            Err(Error::Setting { name, got, expected: expected.into(), hint: None })
        };
        if self.n_components == 0 {
            return setting("n_components", "0".into(), "at least 1");
        }
        if self.tol.is_nan() || self.tol < 0.0 {
            return setting("tol", self.tol.to_string(), "at least 0");
        }
        if let Some(((row, column), &value)) = v.indexed_iter().find(|(_, x)| !(x.is_finite() && **x >= 0.0)) {
            return Err(Error::MatrixEntry { row, column, value: f64::from(value) });
        }
        check_factor("the dictionary", &self.dictionary, (v.nrows(), self.n_components), v.nrows(), self.n_components)?;
        let expected = (self.n_components, v.ncols());
        check_factor("the activations", &self.activations, expected, v.ncols(), self.n_components)
    }
}

fn check_factor(
    what: &'static str,
    factor: &Factor,
    expected: (usize, usize),
    length: usize,
    n_components: usize,
) -> Result<()> {
    match factor {
        Factor::Free => Ok(()),
        Factor::Seed(values) | Factor::Fixed(values) => {
            if values.dim() != expected {
                return Err(Error::MatrixShape { what, got: values.dim(), expected });
            }
            values.indexed_iter().try_for_each(|((row, column), &x)| check_entry(row, column, x))
        }
        Factor::PerComponent(parts) => {
            if parts.len() != n_components {
                return Err(Error::MatrixShape { what, got: (parts.len(), length), expected: (n_components, length) });
            }
            for (k, part) in parts.iter().enumerate() {
                if let Part::Seed(values) | Part::Fixed(values) = part {
                    if values.len() != length {
                        let got = (n_components, values.len());
                        return Err(Error::MatrixShape { what, got, expected: (n_components, length) });
                    }
                    values.indexed_iter().try_for_each(|(i, &x)| check_entry(k, i, x))?;
                }
            }
            Ok(())
        }
    }
}

fn check_entry(row: usize, column: usize, value: f32) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(Error::MatrixEntry { row, column, value: f64::from(value) })
    }
}
