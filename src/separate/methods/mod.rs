//! One file or folder per kind of knowledge, all shaped alike: a config, and `fit`. No method knows another,
//! but `transcribe` and `together`, which lead two, and `panned`, which leads `blind`.

pub mod array;
mod between;
pub mod bleed;
pub mod blind;
mod components;
pub mod denoise;
pub mod drums;
mod example;
pub mod examples;
pub mod group;
pub mod hpss;
pub mod labelled;
mod likeness;
mod median;
pub mod painted;
pub mod panned;
mod peaks;
pub mod score;
pub mod together;
pub mod transcribe;
mod ward;

use ndarray::Array2;

pub use self::example::Example;
use super::pipeline::{Analysis, Block, Model, Split};
use super::separation::Separation;
use crate::error::Advice;
use crate::{Error, Result};

/// A recording that is silent, in parts of these names, where there is nothing to find.
fn silence(analysis: &Analysis, names: Vec<String>) -> Result<Separation> {
    Separation::new(analysis, Silence { n_parts: names.len() }, names)
}

/// Equal shares of nothing.
#[derive(Debug)]
struct Silence {
    n_parts: usize,
}

impl Model for Silence {
    fn n_parts(&self) -> usize {
        self.n_parts
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let mask = Array2::from_elem(block.core().raw_dim(), 1.0 / self.n_parts as f32);
        Ok(Split::Masks(vec![mask; self.n_parts]))
    }
}

/// Refuses an exponent that makes no masks.
pub(crate) fn check_mask_exponent(mask_exponent: f32) -> Result<()> {
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
