//! What was painted, what is known beside it, and what a later fit goes on from.

use std::sync::Arc;

use super::factors::Factors;
use super::known::Known;
use crate::knowledge::marks::Marks;

/// What was painted, and how to find what it means.
#[derive(Debug, Clone)]
pub struct PaintedConfig {
    /// Sources and marks. Without sources, there are those that the components suggest, numbered from 1.
    pub marks: Marks,
    /// Iterations of a fit that starts anew. Default 100.
    pub max_iter: usize,
    /// Exponent of the masks, above 0. Default 1.5.
    pub mask_exponent: f32,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
    /// What is known otherwise, by a score or examples. Default: nothing.
    pub known: Option<Arc<Known>>,
}

impl PaintedConfig {
    /// The defaults, for these marks.
    pub fn new(marks: Marks) -> Self {
        Self { marks, max_iter: 100, mask_exponent: 1.5, seed: 0, known: None }
    }
}

/// What a later fit goes on from.
#[derive(Debug)]
pub(super) struct State {
    pub(super) factors: Factors,
    /// The frame of the recording that each column of the activations is.
    pub(super) frames: Vec<usize>,
    pub(super) known: Option<Arc<Known>>,
}
