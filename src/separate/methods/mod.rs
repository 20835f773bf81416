//! One file or folder per kind of knowledge, all shaped alike: a config, and `fit`. No method knows another.

pub mod blind;
mod components;
pub mod denoise;
pub mod drums;
mod example;
pub mod examples;
pub mod group;
pub mod hpss;
pub mod labelled;
pub mod score;

pub use self::example::Example;
use crate::error::Advice;
use crate::{Error, Result};

/// Refuses an exponent that makes no masks.
fn check_mask_exponent(mask_exponent: f32) -> Result<()> {
    if mask_exponent > 0.0 && mask_exponent.is_finite() {
        return Ok(());
    }
    Err(Error::Setting {
        name: "mask_exponent",
        got: mask_exponent.to_string(),
        expected: "a number above 0".into(),
        advice: Some(Advice::set("mask_exponent", 1.5).note("or 2 for the Wiener filter's").into()),
    })
}
