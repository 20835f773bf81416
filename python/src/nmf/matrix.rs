//! Matrices from Python and back, in single or double precision.

use ndarray::Array2;
use numpy::{Element, IntoPyArray, PyReadonlyArray1, PyReadonlyArray2};
use partita::Result;
use partita::nmf::{Factorization, MiniBatch, NmfConfig, Real, SparseMatrix, fit_sparse_with, fit_with};
use partita::watch::Watch;
use pyo3::prelude::*;

use crate::errors::raise;

/// A number that both numpy and the engine know.
pub(super) trait Number: Real + Element {}

impl Number for f32 {}
impl Number for f64 {}

/// Whether it is an array in double precision.
pub(super) fn is_double(array: &Bound<'_, PyAny>) -> bool {
    array.extract::<PyReadonlyArray2<'_, f64>>().is_ok()
}

/// A copy of an array, in rows: fits go on without the interpreter, which may change or free the array meanwhile.
pub(super) fn array<T: Number>(array: &Bound<'_, PyAny>) -> PyResult<Array2<T>> {
    Ok(array.extract::<PyReadonlyArray2<'_, T>>()?.as_array().to_owned())
}

/// A matrix as an array, without a copy.
pub(super) fn given<T: Number>(py: Python<'_>, matrix: Array2<T>) -> Bound<'_, PyAny> {
    matrix.into_pyarray(py).into_any()
}

/// A matrix to factorize.
#[derive(Debug)]
pub(super) enum Matrix<T: Number> {
    Dense(Array2<T>),
    Sparse(SparseMatrix<T>),
}

/// Shape, row starts, columns and values.
type Rows<'py, T> = ((usize, usize), PyReadonlyArray1<'py, u64>, PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, T>);

impl<T: Number> Matrix<T> {
    /// An array, or (shape, row starts, columns, values) of a sparse matrix.
    pub(super) fn extract(v: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(dense) = array(v) {
            return Ok(Self::Dense(dense));
        }
        let (shape, starts, columns, values): Rows<'_, T> = v.extract()?;
        let starts = starts.as_array().iter().map(|&start| start as usize).collect();
        SparseMatrix::from_rows(shape, starts, columns.as_array().to_vec(), values.as_array().to_vec())
            .map(Self::Sparse)
            .map_err(raise)
    }

    pub(super) fn fit(&self, config: &NmfConfig<T>, watch: &mut Watch<'_>) -> Result<Factorization<T>> {
        match self {
            Self::Dense(v) => fit_with(v.view(), config, watch),
            Self::Sparse(v) => fit_sparse_with(v, config, watch),
        }
    }

    /// The factors, and how many batches they took.
    pub(super) fn learn(&self, by: &mut MiniBatch<T>, watch: &mut Watch<'_>) -> Result<(Factorization<T>, usize)> {
        match self {
            Self::Dense(v) => by.fit_with(v.view(), watch),
            Self::Sparse(v) => by.fit_sparse_with(v, watch),
        }
    }

    /// Learns from it as one batch.
    pub(super) fn learn_once(&self, by: &mut MiniBatch<T>) -> Result<()> {
        match self {
            Self::Dense(v) => by.partial_fit(v.view()),
            Self::Sparse(v) => by.partial_fit_sparse(v),
        }
    }

    /// Its activations under what was learned.
    pub(super) fn activations(&self, by: &MiniBatch<T>) -> Result<Array2<T>> {
        match self {
            Self::Dense(v) => by.transform(v.view()),
            Self::Sparse(v) => by.transform_sparse(v),
        }
    }
}
