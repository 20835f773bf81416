//! Eight numbers at once, and work that is compiled once for each kind of vector.
//! Each instruction set has a file of its own.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
pub(super) mod portable;

use super::layout::{Lanes, Tile};

/// Work that is compiled once for each kind of vector.
pub(in crate::nmf) trait Job {
    type Output;
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Eight numbers at once.
pub(in crate::nmf) trait Simd: Copy {
    type V: Copy;
    fn load(self, from: &Lanes) -> Self::V;
    fn store(self, x: Self::V, to: &mut Lanes);
    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, x: Self::V) -> Self::V;
    /// a b + c
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Asks for a tile to be brought near; V is too long for the nearer caches, and its division comes too late to hide
    /// the wait.
    fn prefetch(self, _: &Tile) {}
    /// The sum of the eight.
    fn sum(self, a: Self::V) -> f32;
    /// e and m, where x = 2^e m and 2/3 <= m < 4/3, for positive normal x.
    fn split(self, x: Self::V) -> (Self::V, Self::V);
    /// The nearest whole number.
    fn round(self, x: Self::V) -> Self::V;
    /// 2^e for a whole number e, which counts as -126 where it is less, and as 127 where it is more.
    fn exp2(self, e: Self::V) -> Self::V;
}

/// The bits of 2/3, from which mantissas are counted.
const TWO_THIRDS: i32 = 0x3f2a_aaab;
