//! Vectors of plain Rust, which every processor can do.

use super::{Simd, TWO_THIRDS};
use crate::nmf::kernel::layout::Lanes;

/// What every processor has.
#[derive(Debug, Clone, Copy)]
pub(in crate::nmf) struct Portable;

#[inline(always)]
fn zip(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut out = a;
    for i in 0..8 {
        out.0[i] = f(a.0[i], b.0[i]);
    }
    out
}

impl Simd for Portable {
    type V = Lanes;

    #[inline(always)]
    fn load(self, from: &Lanes) -> Lanes {
        *from
    }
    #[inline(always)]
    fn store(self, x: Lanes, to: &mut Lanes) {
        *to = x;
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Lanes {
        Lanes([x; 8])
    }
    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, x: Lanes) -> Lanes {
        Lanes(x.0.map(f32::sqrt))
    }
    #[inline(always)]
    fn mul_add(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        // Without the instruction, `mul_add` is a call into the C library.
        const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
        let mut out = c;
        for i in 0..8 {
            out.0[i] = if FUSED { a.0[i].mul_add(b.0[i], c.0[i]) } else { a.0[i] * b.0[i] + c.0[i] };
        }
        out
    }
    #[inline(always)]
    fn sum(self, a: Lanes) -> f32 {
        let [a, b, c, d, e, f, g, h] = a.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn split(self, x: Lanes) -> (Lanes, Lanes) {
        let (mut exponent, mut mantissa) = (x, x);
        for i in 0..8 {
            let bits = x.0[i].to_bits() as i32;
            let e = (bits - TWO_THIRDS) >> 23;
            exponent.0[i] = e as f32;
            mantissa.0[i] = f32::from_bits((bits - (e << 23)) as u32);
        }
        (exponent, mantissa)
    }
    #[inline(always)]
    fn round(self, x: Lanes) -> Lanes {
        Lanes(x.0.map(f32::round_ties_even))
    }
    #[inline(always)]
    fn exp2(self, e: Lanes) -> Lanes {
        Lanes(e.0.map(|e| f32::from_bits(((e.clamp(-126.0, 127.0) as i32 + 127) as u32) << 23)))
    }
}
