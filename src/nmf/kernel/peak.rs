//! What the processor can do at best, for benches/kernel.rs.

use super::simd::{Job, Simd};

pub(super) struct MultiplyAdds {
    pub(super) n: usize,
}

impl Job<f32> for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd<f32>>(self, s: S) -> f32 {
        let mut sums = [s.splat(1.0); 12];
        let (a, b) = (s.splat(std::hint::black_box(0.5)), s.splat(std::hint::black_box(0.5)));
        for _ in 0..self.n {
            for sum in &mut sums {
                *sum = s.mul_add(*sum, a, b);
            }
        }
        sums.iter().map(|&sum| s.sum(sum)).sum()
    }
}
