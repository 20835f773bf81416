//! Factorizations of matrices, as `partita/decomposition` asks for them: samples in rows, first values given.

mod batches;
mod matrix;
mod settings;

use pyo3::prelude::*;

/// Factorizations of matrices.
#[pymodule]
pub(crate) mod nmf {
    use std::ops::RangeInclusive;

    use partita::nmf::{HoldOut, select_rank_with};
    use pyo3::prelude::*;

    use super::batches::{self, Learned};
    use super::matrix::{Matrix, Number, array, given, is_double};
    use super::settings::{Settings, factor};
    use crate::interrupt::run;
    use crate::watch::Listener;

    /// W, H, iterations, divergence.
    type Fitted<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, usize, f64);

    /// `fit(v, w, h, settings, weights, progress)`: V ~ W H from the first values given; W, H, iterations, divergence.
    ///
    /// `v` is an array or (shape, row starts, columns, values); all of it is of one type, float32 or float64.
    #[pyfunction]
    fn fit<'py>(
        v: &Bound<'py, PyAny>,
        w: &Bound<'py, PyAny>,
        h: &Bound<'py, PyAny>,
        settings: Settings,
        weights: Option<&Bound<'py, PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Fitted<'py>> {
        let fit = if is_double(w) { fit_as::<f64> } else { fit_as::<f32> };
        fit(v, w, h, &settings, weights, progress)
    }

    fn fit_as<'py, T: Number>(
        v: &Bound<'py, PyAny>,
        w: &Bound<'py, PyAny>,
        h: &Bound<'py, PyAny>,
        settings: &Settings,
        weights: Option<&Bound<'py, PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Fitted<'py>> {
        let py = v.py();
        let v = Matrix::<T>::extract(v)?;
        let weights = weights.map(array::<T>).transpose()?;
        let (w, h) = (array::<T>(w)?, array::<T>(h)?);
        let mut config = settings.config(h.nrows(), weights)?;
        config.dictionary = factor(w.reversed_axes(), settings.fixed_dictionary, true);
        config.activations = factor(h, settings.fixed_activations, false);
        let parts = run(py, Listener::new(progress), move |watch| v.fit(&config, watch)?.complete())?;
        Ok((given::<T>(py, parts.dictionary), given::<T>(py, parts.activations), parts.n_iter, parts.divergence))
    }

    /// `fit_batches(v, w, h, settings, progress)`: V ~ W H, learned batch by batch of columns.
    #[pyfunction]
    fn fit_batches<'py>(
        v: &Bound<'py, PyAny>,
        w: &Bound<'py, PyAny>,
        h: &Bound<'py, PyAny>,
        settings: Settings,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<batches::Fitted<'py>> {
        let fit = if is_double(w) { batches::fit::<f64> } else { batches::fit::<f32> };
        fit(v, w, h, &settings, progress)
    }

    /// `partial_fit(v, w, before, settings)`: what was learned after one more batch.
    #[pyfunction]
    fn partial_fit<'py>(
        v: &Bound<'py, PyAny>,
        w: &Bound<'py, PyAny>,
        before: Option<Learned<'py>>,
        settings: Settings,
    ) -> PyResult<Learned<'py>> {
        let fit = if is_double(w) { batches::partial_fit::<f64> } else { batches::partial_fit::<f32> };
        fit(v, w, before.as_ref(), &settings)
    }

    /// `batch_activations(v, learned, settings)`: H of V under what was learned.
    #[pyfunction]
    fn batch_activations<'py>(
        v: &Bound<'py, PyAny>,
        learned: Learned<'py>,
        settings: Settings,
    ) -> PyResult<Bound<'py, PyAny>> {
        let find = if is_double(&learned.0) { batches::activations::<f64> } else { batches::activations::<f32> };
        find(v, &learned, &settings)
    }

    /// The best number of components, and mean and standard error of the divergence of hidden entries for each.
    type Ranks = (usize, Vec<f64>, Vec<f64>);

    /// `select_rank(v, first, last, share, n_repeats, settings, progress)`, of an array in float32 or float64.
    #[pyfunction]
    fn select_rank(
        v: &Bound<'_, PyAny>,
        first: usize,
        last: usize,
        share: f64,
        n_repeats: usize,
        settings: Settings,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Ranks> {
        let select = if is_double(v) { select_as::<f64> } else { select_as::<f32> };
        select(v, first..=last, HoldOut { share, n_repeats }, &settings, progress)
    }

    fn select_as<T: Number>(
        v: &Bound<'_, PyAny>,
        range: RangeInclusive<usize>,
        hold_out: HoldOut,
        settings: &Settings,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Ranks> {
        let (py, v) = (v.py(), array::<T>(v)?);
        let config = settings.config(*range.end(), None)?;
        let ranks = run(py, Listener::new(progress), move |watch| {
            select_rank_with(v.view(), range, &config, &hold_out, watch)
        })?;
        let (held_out, std_error) = ranks.curve.iter().map(|score| (score.held_out, score.std_error)).unzip();
        Ok((ranks.best, held_out, std_error))
    }
}
