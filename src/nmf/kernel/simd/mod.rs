//! Vectors of 32 bytes, eight `f32` or four `f64`, and work that is compiled once for each kind of vector.
//! Each instruction set has a file of its own.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
pub(super) mod portable;

use std::fmt::{Debug, Display};
use std::ops::{AddAssign, Deref, DerefMut, DivAssign, Index, IndexMut, MulAssign, Neg, SubAssign};
use std::str::FromStr;

use ndarray::{LinalgScalar, ScalarOperand};

/// A number that matrices are made of.
pub(in crate::nmf) trait Element:
    LinalgScalar
    + ScalarOperand
    + Default
    + Debug
    + Display
    + FromStr
    + PartialOrd
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Neg<Output = Self>
    + std::iter::Sum
    + Into<f64>
    + Send
    + Sync
    + 'static
{
    /// As many as a vector holds.
    type Array: Copy
        + Default
        + Debug
        + PartialEq
        + AsRef<[Self]>
        + AsMut<[Self]>
        + Index<usize, Output = Self>
        + IndexMut<usize>
        + IntoIterator<Item = Self>
        + Send
        + Sync;
    /// Numbers in a vector.
    const LANES: usize;
    /// Bins in a tile: two vectors.
    const PANEL: usize = 2 * Self::LANES;
    /// Entries of W and H that are not 0 stay at or above it in the packed solvers, so that nothing becomes subnormal. A
    /// floor that is reached soon lets sunk entries rise again: 1e-16 changes the divergence after 1000 iterations by
    /// 5e-5.
    const FLOOR: Self;
    /// Entries of W and H stay at or below it, so that no product overflows, and far above what a V of mean 1 asks for.
    const CEILING: Self;
    /// Added to WH: far below the mean of V, which is 1; V / WH stays finite, and is 0 where all is padding.
    const EPS: Self;
    /// Entries below it become 0 in the general solvers, so that nothing is subnormal.
    const FLUSH: Self;
    /// Denominators stay at or above it.
    const TINY: Self;
    /// Betas whose powers stay within the range of the numbers.
    const BETAS: std::ops::RangeInclusive<f64>;
    /// The largest number, and the smallest that is not subnormal.
    const LARGEST: Self;
    const SMALLEST: Self;
    /// The series of e^x, as far as it is needed for |x| below 0.42.
    const INVERSE_FACTORIALS: &'static [Self];

    /// The nearest of these numbers.
    fn of(x: f64) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    fn powf(self, p: Self) -> Self;
    fn is_finite(self) -> bool;
    fn round_ties_even(self) -> Self;
    /// a b + c, rounded once or twice, whichever is faster.
    fn mul_add_fast(self, b: Self, c: Self) -> Self;
    /// e and m, where x = 2^e m and 2/3 <= m < 4/3, for positive normal x.
    fn split(self) -> (Self, Self);
    /// 2^e for a whole number e, kept within what is normal.
    fn exp2_whole(self) -> Self;
    /// The sum of a vector, in the order of [`Simd::sum`].
    fn sum_lanes(lanes: Self::Array) -> Self;
    /// ln(x) for x >= 0, within 2 units in the last place.
    fn logarithm<S: Simd<Self>>(s: S, x: S::V) -> S::V;
}

/// The number in double precision.
#[inline(always)]
pub(in crate::nmf) fn wide<T: Element>(x: T) -> f64 {
    x.into()
}

/// One vector.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(32))]
pub(in crate::nmf) struct Lanes<T: Element = f32>(pub(in crate::nmf) T::Array);

impl<T: Element> Lanes<T> {
    #[inline(always)]
    pub(in crate::nmf) fn splat(x: T) -> Self {
        let mut lanes = Self::default();
        lanes.fill(x);
        lanes
    }
}

impl<T: Element> Deref for Lanes<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.as_ref()
    }
}

impl<T: Element> DerefMut for Lanes<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut()
    }
}

/// Work that is compiled once for each kind of vector.
pub(in crate::nmf) trait Job<T: Element> {
    type Output;
    fn run<S: Simd<T>>(self, s: S) -> Self::Output;
}

/// A whole vector at once.
pub(in crate::nmf) trait Simd<T: Element>: Copy {
    type V: Copy;
    fn load(self, from: &Lanes<T>) -> Self::V;
    fn store(self, x: Self::V, to: &mut Lanes<T>);
    fn splat(self, x: T) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, x: Self::V) -> Self::V;
    /// a b + c
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Asks for a row of a tile to be brought near; V is too long for the nearer caches, and its division comes too late
    /// to hide the wait.
    fn prefetch(self, _: &[Lanes<T>; 2]) {}
    /// The sum of the vector.
    fn sum(self, a: Self::V) -> T;
    /// The sums of eight vectors, each as [`Simd::sum`] has it.
    #[inline(always)]
    fn sums(self, vectors: [Self::V; 8]) -> [T; 8] {
        let mut sums = [T::of(0.0); 8];
        for i in 0..8 {
            sums[i] = self.sum(vectors[i]);
        }
        sums
    }
    /// e and m, where x = 2^e m and 2/3 <= m < 4/3, for positive normal x.
    fn split(self, x: Self::V) -> (Self::V, Self::V);
    /// The nearest whole number.
    fn round(self, x: Self::V) -> Self::V;
    /// 2^e for a whole number e, kept within what is normal.
    fn exp2(self, e: Self::V) -> Self::V;
}

/// The bits of 2/3, from which mantissas are counted.
pub(super) const TWO_THIRDS: i32 = 0x3f2a_aaab;
pub(super) const TWO_THIRDS_F64: i64 = 0x3fe5_5555_5555_5555;
