//! The Python package's native half: numpy arrays in, partita's library, numpy arrays out.
//! Computes nothing itself; what users see of it is in `partita/`, in Python.

mod audio;
mod errors;
mod interrupt;
mod methods;
mod metrics;
mod nmf;
mod save;
mod separate;
mod share;
mod watch;

use pyo3::prelude::*;

#[pymodule]
mod _partita {
    use super::*;

    #[pymodule_export]
    use crate::audio::audio;
    #[pymodule_export]
    use crate::errors::Cancelled;
    #[pymodule_export]
    use crate::metrics::metrics;
    #[pymodule_export]
    use crate::nmf::nmf;
    #[pymodule_export]
    use crate::separate::separate;
    #[pymodule_export]
    use crate::share::share;
    #[pymodule_export]
    use crate::watch::{num_threads, set_num_threads};

    /// Does what a command line says, for the rest of the life of this process, and returns the exit code. The command line
    /// listens to signals itself: those of Python should do what the system does.
    #[pyfunction]
    fn run_command(py: Python<'_>, args: Vec<std::ffi::OsString>) -> u8 {
        py.detach(|| partita::cli::main(args))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        // An extension is no package: what is in it is found by its name only if it is known already.
        let known = module.py().import("sys")?.getattr("modules")?;
        for name in ["audio", "metrics", "nmf", "separate", "share"] {
            known.set_item(format!("partita._partita.{name}"), module.getattr(name)?)?;
        }
        Ok(())
    }
}
