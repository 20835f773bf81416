//! Activations as they begin, and how far apart hits are. Numbers only: knows no drums.

use ndarray::{Array2, ArrayView2};

/// A hit is a peak of at least this share of the drum's strongest: weaker ones are echoes of other drums.
pub(super) const HIT_THRESHOLD: f32 = 0.1;

/// Two hits of a drum are at least so far apart, in seconds: faster than any roll.
pub(super) const HIT_DISTANCE_S: f64 = 0.05;

/// Activations that play all templates all the time, each for its share of the sound.
pub(super) fn even(n_templates: usize, magnitude: ArrayView2<'_, f32>) -> Array2<f32> {
    let sum = magnitude.iter().map(|&x| f64::from(x)).sum::<f64>();
    let share = sum / (magnitude.nrows().max(1) * n_templates) as f64;
    Array2::from_elem((n_templates, magnitude.nrows()), share as f32)
}
