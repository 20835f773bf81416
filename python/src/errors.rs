//! The library's errors as Python's exceptions, each with the advice that goes with it.

use std::error::Error as _;
use std::io;

use partita::Error;
use partita::error::Advice;
use pyo3::PyErr;
use pyo3::exceptions::{
    PyException, PyFileExistsError, PyFileNotFoundError, PyIsADirectoryError, PyMemoryError, PyOSError,
    PyPermissionError, PyValueError,
};

pyo3::create_exception!(
    partita,
    Cancelled,
    PyException,
    "The work was ended by a progress callback that returned False."
);

/// The exception for an error: of the system's class where the system refused, `ValueError` otherwise.
pub(crate) fn raise(error: Error) -> PyErr {
    let message = message(&error);
    match &error {
        Error::Cancelled => return Cancelled::new_err(message),
        Error::FileExists { .. } => return PyFileExistsError::new_err(message),
        Error::NotAFile { .. } => return PyIsADirectoryError::new_err(message),
        _ => {}
    }
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(source) = source.downcast_ref::<io::Error>() {
            return match source.kind() {
                io::ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
                io::ErrorKind::PermissionDenied => PyPermissionError::new_err(message),
                io::ErrorKind::IsADirectory => PyIsADirectoryError::new_err(message),
                io::ErrorKind::OutOfMemory => PyMemoryError::new_err(message),
                _ => PyOSError::new_err(message),
            };
        }
        cause = source.source();
    }
    PyValueError::new_err(message)
}

/// What failed, why, and what to do about it, with settings as Python spells them.
pub(crate) fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        // Some messages name their cause already.
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = source.source();
    }
    if let Some(advice) = error.advice() {
        message.push_str("\n\nhint: ");
        message.push_str(&spelled(&advice));
    }
    message
}

fn spelled(advice: &Advice) -> String {
    match advice {
        Advice::Use { settings, note } => {
            // Words are strings in Python, numbers are not.
            let spell = |name: &str, value: &str| {
                if value.parse::<f64>().is_ok() { format!("{name}={value}") } else { format!("{name}=\"{value}\"") }
            };
            Advice::spelled(settings, note.as_deref(), spell)
        }
        advice => advice.to_string(),
    }
}

/// A `ValueError` with advice.
pub(crate) fn value_error(what: impl Into<String>, hint: &str) -> PyErr {
    PyValueError::new_err(format!("{}\n\nhint: {hint}", what.into()))
}
