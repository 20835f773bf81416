//! Activations as they begin, and peaks in them. Numbers only: knows no drums.

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

/// Indices of values that none within `distance` exceeds, and that are at least this share of the largest of all.
pub(super) fn peaks(values: &[f32], distance: usize, threshold: f32) -> Vec<usize> {
    let largest = values.iter().fold(0.0f32, |most, x| most.max(*x));
    let mut found: Vec<usize> = Vec::new();
    for (i, &x) in values.iter().enumerate() {
        let around = &values[i.saturating_sub(distance)..(i + distance + 1).min(values.len())];
        let is_first = found.last().is_none_or(|last| i - last > distance);
        if x > 0.0 && x >= threshold * largest && is_first && around.iter().all(|y| *y <= x) {
            found.push(i);
        }
    }
    found
}
