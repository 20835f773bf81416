//! What the entries of a matrix may be, and the errors of every format.

use std::io;
use std::path::Path;

use ndarray::Array2;

use crate::error::Advice;
use crate::nmf::Real;
use crate::{Error, Result};

/// What entries that are NaN mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// An error, as negative and infinite ones are.
    #[default]
    None,
    /// That the entry is missing; it stays NaN, and is to get a weight of 0 ([`hide_missing`]).
    Nan,
}

impl Missing {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::None, Self::Nan];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nan => "nan",
        }
    }
}

/// Weights under which NaN entries of `values` do not count: those given, or 1, and 0 where an entry is NaN.
pub fn hide_missing<T: Real>(values: &Array2<T>, weights: Option<Array2<T>>) -> Array2<T> {
    let mut weights = weights.unwrap_or_else(|| Array2::ones(values.dim()));
    for (at, _) in values.indexed_iter().filter(|(_, x)| wide(**x).is_nan()) {
        // Weights of another shape are refused where they are used.
        if let Some(weight) = weights.get_mut(at) {
            *weight = T::zero();
        }
    }
    weights
}

/// Refuses what is no non-negative matrix.
pub(super) fn check_values<T: Real>(values: Array2<T>, path: &Path, missing: Missing) -> Result<Array2<T>> {
    if values.is_empty() {
        return Err(malformed(path, format!("it has no entries ({} x {})", values.nrows(), values.ncols())));
    }
    let is_fine = |x: f64| (x.is_finite() && x >= 0.0) || (missing == Missing::Nan && x.is_nan());
    match values.indexed_iter().find(|(_, x)| !is_fine(wide(**x))) {
        Some(((row, column), &value)) => Err(Error::MatrixEntry { row, column, value: wide(value) }),
        None => Ok(values),
    }
}

/// The number in double precision.
pub(super) fn wide<T: Real>(x: T) -> f64 {
    x.into()
}

/// The nearest number of the wanted precision.
pub(super) fn narrow<T: Real>(value: f64, row: usize, column: usize, path: &Path) -> Result<T> {
    let narrow = T::nearest(value);
    if wide(narrow).is_infinite() && value.is_finite() {
        let reason = format!("it has {value:e} at row {row}, column {column}, expected at most {:e}", f32::MAX);
        return Err(malformed(path, reason));
    }
    Ok(narrow)
}

pub(super) fn malformed(path: &Path, reason: impl Into<String>) -> Error {
    Error::MalformedMatrix { path: path.into(), reason: reason.into() }
}

/// A text that can be understood in several ways.
pub(super) fn unclear(path: &Path, reason: String, advice: Advice) -> Error {
    Error::UnclearTable { path: path.into(), reason, advice: advice.into() }
}

pub(super) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::ReadMatrix { path: path.into(), source }
}
