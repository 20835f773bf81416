//! How a factor is treated: learned, from what, or kept as it is.

use ndarray::{Array1, Array2};

use super::kernel::wide;
use super::real::Real;
use super::{Error, Result};

/// How one factor is treated.
#[derive(Debug, Clone, PartialEq)]
pub enum Factor<T: Real = f32> {
    /// Learned, from the config's [`Init`](super::Init).
    Free,
    /// Learned, from these values; zeros stay zero.
    Seed(Array2<T>),
    /// Kept as given.
    Fixed(Array2<T>),
    /// Each component by itself, `n_components` of them.
    PerComponent(Vec<Part<T>>),
}

impl<T: Real> Factor<T> {
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
pub enum Part<T: Real = f32> {
    /// Learned, from the config's [`Init`](super::Init).
    Free,
    /// Learned, from these values; zeros stay zero.
    Seed(Array1<T>),
    /// Kept as given.
    Fixed(Array1<T>),
}

/// Refuses values that have not the shape expected, or cannot be worked with.
pub(super) fn check_factor<T: Real>(
    what: &'static str,
    factor: &Factor<T>,
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

pub(super) fn check_entry<T: Real>(row: usize, column: usize, value: T) -> Result<()> {
    if value.is_finite() && value >= T::of(0.0) {
        Ok(())
    } else {
        Err(Error::MatrixEntry { row, column, value: wide(value) })
    }
}
