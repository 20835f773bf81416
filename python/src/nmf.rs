//! Factorizations of matrices.

use pyo3::prelude::*;

/// Factorizations of matrices.
#[pymodule]
pub(crate) mod nmf {
    use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2};
    use partita::nmf::{NmfConfig, fit_with};
    use pyo3::prelude::*;

    use crate::interrupt::run;
    use crate::watch::Listener;

    type Factors<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<f32>>, usize, f64);

    /// `fit(v, n_components, max_iter=200, tol=1e-4, seed=0, progress=None)`: dictionary, activations, iterations,
    /// divergence.
    #[pyfunction]
    #[pyo3(signature = (v, n_components, max_iter=200, tol=1e-4, seed=0, progress=None))]
    fn fit<'py>(
        py: Python<'py>,
        v: PyReadonlyArray2<'py, f32>,
        n_components: usize,
        max_iter: usize,
        tol: f64,
        seed: u64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Factors<'py>> {
        let config = NmfConfig { n_components, max_iter, tol, seed, ..NmfConfig::default() };
        let v = v.as_array().to_owned();
        let parts = run(py, Listener::new(progress), move |watch| fit_with(v.view(), &config, watch)?.complete())?;
        Ok((parts.dictionary.into_pyarray(py), parts.activations.into_pyarray(py), parts.n_iter, parts.divergence))
    }
}
