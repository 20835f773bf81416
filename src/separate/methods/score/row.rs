//! Activations of the few templates that may be active in one frame, and the updates over these alone.

use ndarray::Array2;

use super::template::Template;

/// No model is smaller than this share of the mean magnitude, so that no quotient is 0/0.
pub(super) const EPSILON: f32 = 1e-9;

/// The templates that may be active in one frame, and how much each of them is.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) active: Vec<u32>,
    pub(super) activations: Vec<f32>,
}

impl Row {
    /// The start in a frame.
    pub(super) fn new(templates: &[Template], frame_idx: usize) -> Self {
        let mut row = Self { active: Vec::new(), activations: Vec::new() };
        for (k, template) in templates.iter().enumerate() {
            if template.is_active(frame_idx) {
                row.active.push(k as u32);
                row.activations.push(template.first_guess(frame_idx));
            }
        }
        row
    }

    /// V / (W h), with a `dictionary` of templates x bins.
    pub(super) fn quotient(&self, v: &[f32], dictionary: &Array2<f32>, quotient: &mut [f32]) {
        self.product(dictionary, quotient);
        for (x, v) in quotient.iter_mut().zip(v) {
            *x = v / x.max(EPSILON);
        }
    }

    /// W h.
    pub(super) fn product(&self, dictionary: &Array2<f32>, product: &mut [f32]) {
        product.fill(0.0);
        for (k, activation) in self.active.iter().zip(&self.activations) {
            add(product, template(dictionary, *k as usize), *activation);
        }
    }

    /// h <- h * W^T (V / W h) / sum of W.
    pub(super) fn update(&mut self, v: &[f32], dictionary: &Array2<f32>, sums: &[f32], quotient: &mut [f32]) {
        self.quotient(v, dictionary, quotient);
        for (k, activation) in self.active.iter().zip(&mut self.activations) {
            let k = *k as usize;
            *activation *= dot(quotient, template(dictionary, k)) / sums[k].max(EPSILON);
        }
    }
}

/// A row of the dictionary.
pub(super) fn template(dictionary: &Array2<f32>, k: usize) -> &[f32] {
    let n_bins = dictionary.ncols();
    dictionary.as_slice().map_or(&[], |all| &all[k * n_bins..(k + 1) * n_bins])
}

/// sum += factor * x.
pub(super) fn add(sum: &mut [f32], x: &[f32], factor: f32) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += factor * x;
    }
}

/// Scalar product, by a fixed number of partial sums.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

pub(super) fn sums(dictionary: &Array2<f32>) -> Vec<f32> {
    dictionary.outer_iter().map(|row| row.iter().map(|x| f64::from(*x)).sum::<f64>() as f32).collect()
}
