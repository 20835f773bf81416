//! Learning from mini-batches: samples in columns, and what was learned handed back and forth as plain arrays.

use numpy::IntoPyArray;
use partita::nmf::{Factor, MiniBatch, MiniBatchState, NmfConfig};
use partita::watch::Watch;
use pyo3::prelude::*;

use super::matrix::{Matrix, Number, array, given};
use super::settings::Settings;
use crate::errors::{raise, value_error};
use crate::interrupt::run;
use crate::watch::Listener;

/// W, the running sums of numerators and denominators, what a batch leaves of them, scale, batches so far.
pub(super) type Learned<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, f64, f64, usize);

/// H, iterations, divergence, and what was learned.
pub(super) type Fitted<'py> = (Bound<'py, PyAny>, usize, f64, Learned<'py>);

/// Learns from all of V, from the first values given.
pub(super) fn fit<'py, T: Number>(
    v: &Bound<'py, PyAny>,
    w: &Bound<'py, PyAny>,
    h: &Bound<'py, PyAny>,
    settings: &Settings,
    progress: Option<Py<PyAny>>,
) -> PyResult<Fitted<'py>> {
    let (py, v, w, h) = (v.py(), Matrix::<T>::extract(v)?, array::<T>(w)?, array::<T>(h)?);
    let config = settings.config(h.nrows(), None)?;
    let config = NmfConfig { dictionary: Factor::Seed(w), activations: Factor::Seed(h), ..config };
    let mut learner = learner(settings, config, None)?;
    let (parts, learner) = run(py, Listener::new(progress), move |watch| {
        let (parts, _) = v.learn(&mut learner, watch)?;
        Ok((parts.complete()?, learner))
    })?;
    let learned = learned(py, &learner)?;
    Ok((parts.activations.into_pyarray(py).into_any(), parts.n_iter, parts.divergence, learned))
}

/// Learns from one batch, from the first values of W given or from what was learned before.
pub(super) fn partial_fit<'py, T: Number>(
    v: &Bound<'py, PyAny>,
    w: &Bound<'py, PyAny>,
    before: Option<&Learned<'py>>,
    settings: &Settings,
) -> PyResult<Learned<'py>> {
    let (py, v, w) = (v.py(), Matrix::<T>::extract(v)?, array::<T>(w)?);
    let config = settings.config(w.ncols(), None)?;
    let mut learner = learner(settings, NmfConfig { dictionary: Factor::Seed(w), ..config }, before)?;
    let learner = run(py, Listener::new(None), move |_: &mut Watch<'_>| {
        v.learn_once(&mut learner)?;
        Ok(learner)
    })?;
    learned(py, &learner)
}

/// The activations of V under what was learned.
pub(super) fn activations<'py, T: Number>(
    v: &Bound<'py, PyAny>,
    learned: &Learned<'py>,
    settings: &Settings,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, v) = (v.py(), Matrix::<T>::extract(v)?);
    let n_components = array::<T>(&learned.0)?.ncols();
    let learner = learner(settings, settings.config::<T>(n_components, None)?, Some(learned))?;
    let h = run(py, Listener::new(None), move |_: &mut Watch<'_>| v.activations(&learner))?;
    Ok(given(py, h))
}

fn learner<T: Number>(settings: &Settings, config: NmfConfig<T>, from: Option<&Learned<'_>>) -> PyResult<MiniBatch<T>> {
    let batches = settings.batches.as_ref();
    let config = batches.ok_or_else(|| value_error("no `batches`", "say what they are like"))?.config(config);
    let Some((dictionary, numerator, denominator, keeps, scale, n_steps)) = from else {
        return MiniBatch::new(config).map_err(raise);
    };
    let state = MiniBatchState {
        dictionary: array(dictionary)?,
        numerator: array(numerator)?,
        denominator: array(denominator)?,
        keeps: *keeps,
        scale: *scale,
        n_steps: *n_steps,
    };
    MiniBatch::resumed(config, state).map_err(raise)
}

fn learned<'py, T: Number>(py: Python<'py>, learner: &MiniBatch<T>) -> PyResult<Learned<'py>> {
    let state = learner.state().ok_or_else(|| value_error("nothing was learned", "give at least one sample"))?;
    let MiniBatchState { dictionary, numerator, denominator, keeps, scale, n_steps } = state;
    Ok((given(py, dictionary), given(py, numerator), given(py, denominator), keeps, scale, n_steps))
}
