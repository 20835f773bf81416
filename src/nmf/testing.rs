//! What the unit tests share.

use ndarray::Array2;

/// Numbers above 0 and at most 1, the same for the same seed. A linear congruence is random enough here.
pub(super) fn noise(shape: (usize, usize), seed: u64) -> Array2<f32> {
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    Array2::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 + 1.0) / (1 << 24) as f32
    })
}

/// Asserts that two matrices differ by at most this share of the largest entry.
pub(super) fn assert_close(what: &str, got: &Array2<f32>, expected: &Array2<f32>, tolerance: f32) {
    assert_eq!(got.dim(), expected.dim(), "{what}");
    let largest = expected.iter().fold(0.0f32, |a, &b| a.max(b));
    for ((at, &got), &expected) in got.indexed_iter().zip(expected) {
        let gap = (got - expected).abs();
        assert!(gap <= tolerance * largest, "{what} at {at:?}: {got}, expected {expected} of {largest}");
    }
}
