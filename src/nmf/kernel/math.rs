//! Powers and logarithms of whole vectors.

use super::simd::{Element, Simd};

/// y^p for y > 0, within 1e-6 of it in `f32` (1e-5 without fused multiply-adds) and 1e-13 in `f64`, for powers that are
/// normal numbers, and no further out than these.
#[inline(always)]
pub(super) fn raised<T: Element, S: Simd<T>>(s: S, y: S::V, p: T) -> S::V {
    // 2^t is the sum over n of (t ln 2)^n / n!, for |t| <= 0.6.
    let (terms, last) = (T::INVERSE_FACTORIALS, T::INVERSE_FACTORIALS.len() - 1);
    let (e, m) = s.split(s.max(y, s.splat(T::SMALLEST)));
    // y = 2^e m: p log2(y) is split into a whole number and the rest before it is rounded.
    let log_m = s.mul(T::logarithm(s, m), s.splat(p * T::of(std::f64::consts::LOG2_E)));
    let whole = s.round(s.mul_add(e, s.splat(p), log_m));
    let rest = s.add(s.mul_add(e, s.splat(p), s.sub(s.splat(T::of(0.0)), whole)), log_m);
    let t = s.mul(rest, s.splat(T::of(std::f64::consts::LN_2)));
    let mut power = s.splat(terms[last]);
    for n in (0..last).rev() {
        power = s.mul_add(power, t, s.splat(terms[n]));
    }
    s.mul(power, s.exp2(whole))
}

/// ln(x) for x >= 0, within 1.5 units in the last place; about -87 for 0.
#[inline(always)]
pub(super) fn logarithm_f32<S: Simd<f32>>(s: S, x: S::V) -> S::V {
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

/// ln(x) for x >= 0, within 2 units in the last place; about -708 for 0.
#[inline(always)]
pub(super) fn logarithm_f64<S: Simd<f64>>(s: S, x: S::V) -> S::V {
    // ln(m) = 2 (t + t^3 / 3 + t^5 / 5 + ...) with t = (m - 1) / (m + 1), and |t| <= 1/5: the terms left out are below
    // 1e-19 of the first.
    const N_TERMS: usize = 13;
    let (exponent, mantissa) = s.split(s.max(x, s.splat(f64::MIN_POSITIVE)));
    let one = s.splat(1.0);
    let t = s.div(s.sub(mantissa, one), s.add(mantissa, one));
    let square = s.mul(t, t);
    let mut p = s.splat(2.0 / (2 * N_TERMS + 1) as f64);
    for i in (1..N_TERMS).rev() {
        p = s.mul_add(p, square, s.splat(2.0 / (2 * i + 1) as f64));
    }
    let tail = s.mul(s.mul(square, t), p);
    // The parts of ln(2) are such that the first, times any exponent, is exact.
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let low = s.mul_add(exponent, s.splat(LN_2_LOW), tail);
    s.mul_add(exponent, s.splat(LN_2_HIGH), s.add(s.add(t, t), low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmf::kernel::{Job, Kernel, Lanes};

    struct Raise<'a, T: Element>(&'a mut Lanes<T>, T);

    impl<T: Element> Job<T> for Raise<'_, T> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            s.store(raised(s, s.load(self.0), self.1), self.0);
        }
    }

    struct Logarithm<'a, T: Element>(&'a mut Lanes<T>);

    impl<T: Element> Job<T> for Logarithm<'_, T> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd<T>>(self, s: S) {
            s.store(T::logarithm(s, s.load(self.0)), self.0);
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
                let mut lanes: Lanes = Lanes(*xs);
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
                let mut lanes: Lanes = Lanes([y; 8]);
                kernel.run(Raise(&mut lanes, p));
                let expected = f64::from(y).powf(f64::from(p));
                // p log2(y) is at most 80: without a fused multiply-add it is rounded at 4e-6.
                let off = f64::from(lanes.0[0]) / expected - 1.0;
                assert!(off.abs() < 8e-6, "{y}^{p} off by {off:e} with {kernel:?}");
            }
        }
    }

    #[test]
    fn doubles_have_logarithms_and_powers_to_their_last_digits() {
        let spread = (0x0010_0000_0000_0000..0x7ff0_0000_0000_0000u64).step_by(919_393_119_993_331);
        let near_one = (0x3fe0_0000_0000_0000..0x4000_0000_0000_0000u64).step_by(90_071_992_547_333);
        for kernel in [Kernel::detect(), Kernel::Portable] {
            for x in spread.clone().chain(near_one.clone()).map(f64::from_bits) {
                let mut lanes = Lanes::splat(x);
                kernel.run(Logarithm(&mut lanes));
                let off = (lanes[0] - x.ln()).abs() / x.ln().abs().max(f64::MIN_POSITIVE);
                assert!(off < 5e-16, "ln({x:e}) is off by {off:e} with {kernel:?}");
            }
            for p in [-7.0, -3.2, -0.3, 0.0, 0.5, 2.2, 5.5] {
                for y in [1e-30, 1e-8, 3e-3, 0.67, 1.0, 1.5, 1e4] {
                    let mut lanes = Lanes::splat(y);
                    kernel.run(Raise(&mut lanes, p));
                    let off = lanes[0] / f64::powf(y, p) - 1.0;
                    assert!(off.abs() < 1e-13, "{y}^{p} off by {off:e} with {kernel:?}");
                }
            }
        }
    }
}
