//! Powers and logarithms of whole vectors.

use super::simd::Simd;

/// y^p for y > 0, within 1e-6 of it (1e-5 without fused multiply-adds) for powers from 2^-126 to 2^127, and no further
/// out than these.
#[inline(always)]
pub(super) fn raised<S: Simd>(s: S, y: S::V, p: f32) -> S::V {
    // 2^t is the sum over n of (t ln 2)^n / n!; the terms left out are below 1e-8 for |t| <= 0.6.
    const INVERSE_FACTORIALS: [f32; 8] =
        [1.0, 1.0, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];
    let (e, m) = s.split(s.max(y, s.splat(f32::MIN_POSITIVE)));
    // y = 2^e m: p log2(y) is split into a whole number and the rest before it is rounded.
    let log_m = s.mul(logarithm(s, m), s.splat(p * std::f32::consts::LOG2_E));
    let whole = s.round(s.mul_add(e, s.splat(p), log_m));
    let rest = s.add(s.mul_add(e, s.splat(p), s.sub(s.splat(0.0), whole)), log_m);
    let t = s.mul(rest, s.splat(std::f32::consts::LN_2));
    let mut power = s.splat(INVERSE_FACTORIALS[7]);
    for n in (0..7).rev() {
        power = s.mul_add(power, t, s.splat(INVERSE_FACTORIALS[n]));
    }
    s.mul(power, s.exp2(whole))
}

/// ln(x) for x >= 0, within 1.5 units in the last place; about -87 for 0.
#[inline(always)]
pub(super) fn logarithm<S: Simd>(s: S, x: S::V) -> S::V {
    // ln(1 + t) = t - t^2 / 2 + t^3 p(t); p is the minimax polynomial on [-1/3, 1/3], within 5e-9 of the logarithm.
    const P: [f32; 8] = [
        0.333_332_24,
        -0.249_996_89,
        0.200_100_5,
        -0.166_854_8,
        0.140_108_05,
        -0.121_149_34,
        0.139_630_82,
        -0.131_925_08,
    ];
    let (exponent, mantissa) = s.split(s.max(x, s.splat(f32::MIN_POSITIVE)));
    let t = s.sub(mantissa, s.splat(1.0));
    let square = s.mul(t, t);
    let mut p = s.splat(P[7]);
    for i in (0..7).rev() {
        p = s.mul_add(p, t, s.splat(P[i]));
    }
    let tail = s.mul(square, s.mul_add(p, t, s.splat(-0.5)));
    s.mul_add(exponent, s.splat(std::f32::consts::LN_2), s.add(t, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmf::kernel::{Job, Kernel, Lanes};

    struct Raise<'a>(&'a mut Lanes, f32);

    impl Job for Raise<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            s.store(raised(s, s.load(self.0), self.1), self.0);
        }
    }

    struct Logarithm<'a>(&'a mut Lanes);

    impl Job for Logarithm<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            s.store(logarithm(s, s.load(self.0)), self.0);
        }
    }

    #[test]
    fn logarithms_are_within_the_stated_units_in_the_last_place() {
        // Every exponent, and mantissas close together, most of all around 1, where the logarithm is near 0.
        let spread = (0x0080_0000..0x7f80_0000u32).step_by(10_007);
        let near_one = (0x3f00_0000..0x4000_0000u32).step_by(101);
        let all: Vec<f32> = spread.chain(near_one).chain(0x3f7f_ff00..0x3f80_0100).map(f32::from_bits).collect();
        for kernel in [Kernel::detect(), Kernel::Portable] {
            let mut worst = (0.0, 0.0);
            for xs in all.as_chunks::<8>().0 {
                let mut lanes = Lanes(*xs);
                kernel.run(Logarithm(&mut lanes));
                for (x, ln) in xs.iter().zip(lanes.0) {
                    let expected = f64::from(*x).ln();
                    let nearest = (expected as f32).abs();
                    let unit = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
                    let off = (f64::from(ln) - expected).abs() / unit;
                    worst = if off > worst.0 { (off, *x) } else { worst };
                }
            }
            assert!(worst.0 <= 1.5, "ln({}) is off by {:.3} units with {kernel:?}", worst.1, worst.0);
        }
    }

    #[test]
    fn powers_are_those_of_f64() {
        for (kernel, p) in [Kernel::detect(), Kernel::Portable]
            .into_iter()
            .flat_map(|kernel| [-3.0, -1.7, -0.3, 0.0, 0.5, 2.2].map(|p| (kernel, p)))
        {
            for y in [1e-8, 3e-3, 0.67, 1.0, 1.5, 1e4] {
                let mut lanes = Lanes([y; 8]);
                kernel.run(Raise(&mut lanes, p));
                let expected = f64::from(y).powf(f64::from(p));
                // p log2(y) is at most 80: without a fused multiply-add it is rounded at 4e-6.
                let off = f64::from(lanes.0[0]) / expected - 1.0;
                assert!(off.abs() < 8e-6, "{y}^{p} off by {off:e} with {kernel:?}");
            }
        }
    }
}
