//! Who is told of progress, and the threads that the work is done on.

use std::sync::{Arc, Mutex, PoisonError};

use partita::watch::Progress;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::{raise, value_error};

/// A callback, or nobody.
#[derive(Debug)]
pub(crate) struct Listener(Option<Py<PyAny>>);

impl Listener {
    /// `progress(step, done, total, divergence)`: `step` is a word, `total` and `divergence` may be `None`. Where it
    /// returns `False` the work ends with `Cancelled`; what it raises comes through.
    pub(crate) fn new(progress: Option<Py<PyAny>>) -> Self {
        Self(progress)
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn tell(&self, py: Python<'_>, progress: &Progress) -> PyResult<()> {
        let Some(callback) = &self.0 else { return Ok(()) };
        let told = (progress.step.name(), progress.done, progress.total, progress.divergence);
        let answer = callback.bind(py).call1(told)?;
        let is_no = answer.is_instance_of::<pyo3::types::PyBool>() && !answer.is_truthy()?;
        if is_no { Err(raise(partita::Error::Cancelled)) } else { Ok(()) }
    }
}

struct Threads {
    /// How many were asked for; 0 leaves it to rayon.
    n: usize,
    pool: Option<(u32, Arc<ThreadPool>)>,
}

/// Looked at only by whoever holds the interpreter's lock, so that no other thread can be at it while the process forks.
static THREADS: Mutex<Threads> = Mutex::new(Threads { n: 0, pool: None });

/// The threads of this process. A fork has none of its parent's threads: it gets a pool of its own.
pub(crate) fn pool(_py: Python<'_>) -> PyResult<Arc<ThreadPool>> {
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let here = std::process::id();
    match threads.pool.take() {
        Some((pid, pool)) if pid == here => {
            threads.pool = Some((pid, pool.clone()));
            return Ok(pool);
        }
        // To end a pool is to talk to its threads, and there are none.
        Some((_, of_the_parent)) => std::mem::forget(of_the_parent),
        None => {}
    }
    let pool = ThreadPoolBuilder::new().num_threads(threads.n).thread_name(|i| format!("partita-{i}")).build();
    let pool = Arc::new(pool.map_err(|error| PyRuntimeError::new_err(format!("cannot start threads: {error}")))?);
    threads.pool = Some((here, pool.clone()));
    Ok(pool)
}

/// Number of threads that work is done on.
#[pyfunction]
pub(crate) fn num_threads(py: Python<'_>) -> PyResult<usize> {
    Ok(pool(py)?.current_num_threads())
}

/// Sets the number of threads; `None` is one for each processor (or what `RAYON_NUM_THREADS` says).
#[pyfunction]
#[pyo3(signature = (n=None))]
pub(crate) fn set_num_threads(py: Python<'_>, n: Option<usize>) -> PyResult<()> {
    if n == Some(0) {
        return Err(value_error("`n` is 0, expected at least 1", "leave it out for one thread per processor"));
    }
    pool(py)?;
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.n = n.unwrap_or(0);
    // Work that is under way keeps its threads until it is done.
    threads.pool = None;
    Ok(())
}
