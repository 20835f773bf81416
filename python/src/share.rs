//! Shares of a matrix for fits over many workers, in scikit-learn's axis order: samples x features.

use ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2};
use partita::nmf::{Divergence, Share, Statistics};
use pyo3::prelude::*;

use crate::errors::raise;
use crate::watch::pool;

/// Shares of a matrix.
#[pymodule]
pub(crate) mod share {
    #[pymodule_export]
    use super::{Share32, Share64};
}

macro_rules! share {
    ($name:ident, $T:ty) => {
        /// Some samples of X with their rows of W.
        #[pyclass(frozen, module = "partita._partita.share")]
        #[derive(Debug)]
        pub(crate) struct $name(std::sync::Mutex<Share<$T>>);

        #[pymethods]
        impl $name {
            /// `x` is samples x features, `activations` samples x components, `mean` that of the whole matrix.
            #[new]
            fn new(
                py: Python<'_>,
                x: PyReadonlyArray2<'_, $T>,
                activations: PyReadonlyArray2<'_, $T>,
                beta: f64,
                mean: f64,
            ) -> PyResult<Self> {
                let (x, activations) = (x.as_array(), activations.as_array().reversed_axes().to_owned());
                let pool = pool(py)?;
                let share =
                    py.detach(|| pool.install(|| Share::new(x.reversed_axes(), activations, divergence(beta), mean)));
                Ok(Self(std::sync::Mutex::new(share.map_err(raise)?)))
            }

            /// Random values, `n` x `n_components`.
            #[staticmethod]
            fn start(py: Python<'_>, n: usize, n_components: usize, mean: f64, seed: u64) -> Bound<'_, PyArray2<$T>> {
                Share::<$T>::start(n, n_components, mean, seed).into_pyarray(py)
            }

            /// Improves the activations under components x features.
            fn improve(&self, py: Python<'_>, components: PyReadonlyArray2<'_, $T>) -> PyResult<()> {
                let (dictionary, pool) = (components.as_array().reversed_axes(), pool(py)?);
                py.detach(|| pool.install(|| self.lock().improve(dictionary)));
                Ok(())
            }

            /// What the update of the components divides by what, both components x features.
            fn statistics<'py>(
                &self,
                py: Python<'py>,
                components: PyReadonlyArray2<'py, $T>,
            ) -> PyResult<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>)> {
                let (dictionary, pool) = (components.as_array().reversed_axes(), pool(py)?);
                let sums = py.detach(|| pool.install(|| self.lock().statistics(dictionary)));
                Ok((turned(sums.numerator).into_pyarray(py), turned(sums.denominator).into_pyarray(py)))
            }

            /// The divergence of these samples.
            fn divergence(&self, py: Python<'_>, components: PyReadonlyArray2<'_, $T>) -> PyResult<f64> {
                let (dictionary, pool) = (components.as_array().reversed_axes(), pool(py)?);
                Ok(py.detach(|| pool.install(|| self.lock().divergence(dictionary))))
            }

            /// The activations so far, samples x components.
            fn activations<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<$T>> {
                turned(self.lock().activations()).into_pyarray(py)
            }

            /// The components after an update with the sums over all shares.
            #[staticmethod]
            fn improved<'py>(
                py: Python<'py>,
                components: PyReadonlyArray2<'py, $T>,
                numerator: PyReadonlyArray2<'py, f64>,
                denominator: PyReadonlyArray2<'py, f64>,
                beta: f64,
            ) -> Bound<'py, PyArray2<$T>> {
                let sums = Statistics::new(
                    numerator.as_array().reversed_axes().to_owned(),
                    denominator.as_array().reversed_axes().to_owned(),
                    divergence(beta),
                );
                turned(sums.improve(components.as_array().reversed_axes())).into_pyarray(py)
            }
        }

        impl $name {
            fn lock(&self) -> std::sync::MutexGuard<'_, Share<$T>> {
                self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            }
        }
    };
}

share!(Share32, f32);
share!(Share64, f64);

fn turned<T: Copy>(x: Array2<T>) -> Array2<T> {
    x.reversed_axes().as_standard_layout().into_owned()
}

fn divergence(beta: f64) -> Divergence {
    if beta == 1.0 {
        Divergence::KullbackLeibler
    } else if beta == 2.0 {
        Divergence::Euclidean
    } else if beta == 0.0 {
        Divergence::ItakuraSaito
    } else {
        Divergence::Beta(beta)
    }
}
