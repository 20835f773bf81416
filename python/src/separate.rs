//! separate

use pyo3::prelude::*;

#[pymodule]
pub(crate) mod separate {}
