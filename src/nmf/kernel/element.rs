//! What `f32` and `f64` are to the kernel.

use super::math::{logarithm_f32, logarithm_f64};
use super::simd::{Element, Simd, TWO_THIRDS, TWO_THIRDS_F64};

/// Without the instruction, `mul_add` is a call into the C library.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// What both have in common.
macro_rules! shared {
    ($T:ty) => {
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            <$T>::min(self, other)
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            <$T>::max(self, other)
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            <$T>::sqrt(self)
        }
        fn powf(self, p: Self) -> Self {
            <$T>::powf(self, p)
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            <$T>::is_finite(self)
        }
        #[inline(always)]
        fn round_ties_even(self) -> Self {
            <$T>::round_ties_even(self)
        }
        #[inline(always)]
        fn mul_add_fast(self, b: Self, c: Self) -> Self {
            if FUSED { <$T>::mul_add(self, b, c) } else { self * b + c }
        }
    };
}

impl Element for f32 {
    type Array = [Self; 8];
    const LANES: usize = 8;
    const FLOOR: Self = 1e-30;
    const CEILING: Self = 1e18;
    const EPS: Self = 1e-20;
    const FLUSH: Self = 1e-16;
    const TINY: Self = 1e-30;
    const BETAS: std::ops::RangeInclusive<f64> = -1.0..=4.0;
    const LARGEST: Self = Self::MAX;
    const SMALLEST: Self = Self::MIN_POSITIVE;
    // The terms left out are below 1e-8.
    const INVERSE_FACTORIALS: &'static [Self] =
        &[1.0, 1.0, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];

    shared!(f32);

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as Self
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let bits = self.to_bits() as i32;
        let e = (bits - TWO_THIRDS) >> 23;
        (e as Self, Self::from_bits((bits - (e << 23)) as u32))
    }
    #[inline(always)]
    fn exp2_whole(self) -> Self {
        Self::from_bits(((self.clamp(-126.0, 127.0) as i32 + 127) as u32) << 23)
    }
    #[inline(always)]
    fn sum_lanes([a, b, c, d, e, f, g, h]: [Self; 8]) -> Self {
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn logarithm<S: Simd<Self>>(s: S, x: S::V) -> S::V {
        logarithm_f32(s, x)
    }
}

impl Element for f64 {
    type Array = [Self; 4];
    const LANES: usize = 4;
    const FLOOR: Self = 1e-140;
    const CEILING: Self = 1e100;
    const EPS: Self = 1e-140;
    const FLUSH: Self = 1e-140;
    const TINY: Self = 1e-200;
    const BETAS: std::ops::RangeInclusive<Self> = Self::MIN..=Self::MAX;
    const LARGEST: Self = Self::MAX;
    const SMALLEST: Self = Self::MIN_POSITIVE;
    // The terms left out are below 1e-17.
    const INVERSE_FACTORIALS: &'static [Self] = &[
        1.0,
        1.0,
        1.0 / 2.0,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5040.0,
        1.0 / 40320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
        1.0 / 6_227_020_800.0,
    ];

    shared!(f64);

    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let bits = self.to_bits() as i64;
        let e = (bits - TWO_THIRDS_F64) >> 52;
        (e as Self, Self::from_bits((bits - (e << 52)) as u64))
    }
    #[inline(always)]
    fn exp2_whole(self) -> Self {
        Self::from_bits(((self.clamp(-1022.0, 1023.0) as i64 + 1023) as u64) << 52)
    }
    #[inline(always)]
    fn sum_lanes([a, b, c, d]: [Self; 4]) -> Self {
        (a + c) + (b + d)
    }
    #[inline(always)]
    fn logarithm<S: Simd<Self>>(s: S, x: S::V) -> S::V {
        logarithm_f64(s, x)
    }
}
