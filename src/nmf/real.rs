//! The numbers that factorizations are computed with.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::kernel::Dispatch;

/// A number that a factorization computes with: `f32`, the default, or `f64`, which takes about twice as long and twice the
/// memory.
#[expect(private_bounds, reason = "sealed: the kernel has vectors for these two only")]
pub trait Real: Dispatch + Drawn {
    /// The nearest of these numbers.
    fn nearest(x: f64) -> Self;
}

impl Real for f32 {
    fn nearest(x: f64) -> Self {
        x as Self
    }
}

impl Real for f64 {
    fn nearest(x: f64) -> Self {
        x
    }
}

/// A number that can be drawn.
pub(super) trait Drawn {
    /// The absolute value of a normal number.
    fn absolute_normal(rng: &mut ChaCha8Rng) -> Self;
}

macro_rules! drawn {
    ($T:ty) => {
        impl Drawn for $T {
            fn absolute_normal(rng: &mut ChaCha8Rng) -> Self {
                let x: Self = StandardNormal.sample(rng);
                x.abs()
            }
        }
    };
}

drawn!(f32);
drawn!(f64);
