//! audio

use pyo3::prelude::*;

#[pymodule]
pub(crate) mod audio {}
