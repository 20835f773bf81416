//! Vectors of plain Rust, which every processor can do.

use super::{Element, Lanes, Simd};

/// What every processor has.
#[derive(Debug, Clone, Copy)]
pub(in crate::nmf) struct Portable;

#[inline(always)]
fn zip<T: Element>(a: Lanes<T>, b: Lanes<T>, f: impl Fn(T, T) -> T) -> Lanes<T> {
    let mut out = a;
    for i in 0..T::LANES {
        out.0[i] = f(a.0[i], b.0[i]);
    }
    out
}

#[inline(always)]
fn map<T: Element>(a: Lanes<T>, f: impl Fn(T) -> T) -> Lanes<T> {
    zip(a, a, |a, _| f(a))
}

impl<T: Element> Simd<T> for Portable {
    type V = Lanes<T>;

    #[inline(always)]
    fn load(self, from: &Lanes<T>) -> Lanes<T> {
        *from
    }
    #[inline(always)]
    fn store(self, x: Lanes<T>, to: &mut Lanes<T>) {
        *to = x;
    }
    #[inline(always)]
    fn splat(self, x: T) -> Lanes<T> {
        Lanes::splat(x)
    }
    #[inline(always)]
    fn add(self, a: Lanes<T>, b: Lanes<T>) -> Lanes<T> {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Lanes<T>, b: Lanes<T>) -> Lanes<T> {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Lanes<T>, b: Lanes<T>) -> Lanes<T> {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Lanes<T>, b: Lanes<T>) -> Lanes<T> {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: Lanes<T>, b: Lanes<T>) -> Lanes<T> {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, x: Lanes<T>) -> Lanes<T> {
        map(x, T::sqrt)
    }
    #[inline(always)]
    fn mul_add(self, a: Lanes<T>, b: Lanes<T>, c: Lanes<T>) -> Lanes<T> {
        let mut out = c;
        for i in 0..T::LANES {
            out.0[i] = a.0[i].mul_add_fast(b.0[i], c.0[i]);
        }
        out
    }
    #[inline(always)]
    fn sum(self, a: Lanes<T>) -> T {
        T::sum_lanes(a.0)
    }
    #[inline(always)]
    fn split(self, x: Lanes<T>) -> (Lanes<T>, Lanes<T>) {
        (map(x, |x| x.split().0), map(x, |x| x.split().1))
    }
    #[inline(always)]
    fn round(self, x: Lanes<T>) -> Lanes<T> {
        map(x, T::round_ties_even)
    }
    #[inline(always)]
    fn exp2(self, e: Lanes<T>) -> Lanes<T> {
        map(e, T::exp2_whole)
    }
}
