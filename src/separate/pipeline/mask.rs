//! Soft masks: the share of each source in each bin of each frame.
//! Shares only: what they are applied to is the caller's business.

use ndarray::Array2;

/// A source counts for at least this much of the strongest one in the same bin (-120 dB), so that no quotient is 0/0.
const FLOOR: f32 = 1e-6;

/// Turns the modeled magnitudes of several sources into masks, in place. In every bin the masks lie in [0, 1] and sum
/// to one: the Wiener filter's for `exponent` 2, the magnitude ratio for 1, harder or softer in between and beyond.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `models` | one `n_frames` x `n_bins` per source | magnitude, on any common scale |
///
/// # Panics
/// If the shapes differ.
///
/// # References
/// A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power spectrograms", ICASSP 2015.
pub fn wiener(models: &mut [Array2<f32>], exponent: f32) {
    // The usual exponents without the cost of a general power.
    if exponent == 1.0 {
        shares(models, |x| x);
    } else if exponent == 1.5 {
        shares(models, |x| x * x.sqrt());
    } else if exponent == 2.0 {
        shares(models, |x| x * x);
    } else {
        shares(models, |x| power(x, exponent));
    }
}

/// Entries that are gone through at once: all of what is at hand for them stays in the first-level cache.
const PIECE: usize = 256;

fn shares(models: &mut [Array2<f32>], power: impl Fn(f32) -> f32) {
    let Some(first) = models.first() else { return };
    let shape = first.dim();
    assert!(models.iter().all(|model| model.dim() == shape), "models of one shape");
    for model in models.iter_mut().filter(|model| !model.is_standard_layout()) {
        *model = model.as_standard_layout().into_owned();
    }
    let slices = models.iter_mut().map(|model| model.as_slice_mut().expect("just brought into this layout"));
    let mut pieces: Vec<_> = slices.map(|slice| slice.chunks_mut(PIECE)).collect();
    for _ in 0..(shape.0 * shape.1).div_ceil(PIECE) {
        let (mut strongest, mut total) = ([0.0f32; PIECE], [0.0f32; PIECE]);
        let mut now: Vec<_> = pieces.iter_mut().filter_map(Iterator::next).collect();
        for piece in &now {
            strongest.iter_mut().zip(&**piece).for_each(|(strongest, &x)| *strongest = strongest.max(x));
        }
        for piece in &mut now {
            for ((x, &strongest), total) in piece.iter_mut().zip(&strongest).zip(&mut total) {
                // Relative to the strongest source nothing overflows, and nothing that counts underflows.
                let relative = if strongest > 0.0 { (*x / strongest).max(FLOOR) } else { 1.0 };
                *x = power(relative);
                *total += *x;
            }
        }
        for piece in &mut now {
            piece.iter_mut().zip(&total).for_each(|(x, total)| *x /= total);
        }
    }
}

/// A number from above 0 to 1 to a power, within 3e-6 of it and of 1e-37: without branches, so that many are done abreast.
///
/// The logarithm is the series of the inverse hyperbolic tangent, the power of two that of the exponential function, each up
/// to where its rest is below the digits of `f32`.
#[inline(always)]
pub(in crate::separate) fn power(x: f32, exponent: f32) -> f32 {
    /// The bits of the root of one half.
    const ROOT_OF_HALF: u32 = 0x3f35_04f3;
    /// Added to a number of up to 22 bits, it leaves the nearest integer in the lowest bits.
    const TO_INTEGER: f32 = 12_582_912.0;
    const LN_2: f32 = std::f32::consts::LN_2;
    let bits = x.to_bits();
    let octaves = (bits.wrapping_sub(ROOT_OF_HALF) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((octaves << 23) as u32));
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q / 9.0)));
    let log2 = octaves as f32 + 2.0 * std::f32::consts::LOG2_E * s * series;
    let wanted = (exponent * log2).clamp(-125.0, 0.0);
    let shifted = wanted + TO_INTEGER;
    let r = LN_2 * (wanted - (shifted - TO_INTEGER));
    let series = 1.0 + r * (1.0 + r / 2.0 * (1.0 + r / 3.0 * (1.0 + r / 4.0 * (1.0 + r / 5.0 * (1.0 + r / 6.0)))));
    f32::from_bits(series.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn masks_lie_in_0_to_1_and_sum_to_one(
            values in prop::collection::vec(prop_oneof![Just(0.0f32), 1e-38f32..1e38, 0.0f32..1.0], 24),
            exponent in prop_oneof![Just(1.0f32), Just(1.5), Just(2.0), 0.1f32..4.0],
        ) {
            let mut models: Vec<_> =
                values.chunks(8).map(|x| Array2::from_shape_vec((2, 4), x.to_vec()).expect("8 values")).collect();
            wiener(&mut models, exponent);
            let total = &models[0] + &models[1] + &models[2];
            // Three quotients, each rounded once.
            prop_assert!(total.iter().all(|x| (x - 1.0).abs() < 3e-7), "{total}");
            prop_assert!(models.iter().flatten().all(|x| (0.0..=1.0).contains(x)), "{models:?}");
        }
    }

    #[test]
    fn an_exponent_of_two_is_the_wiener_filter() {
        let mut models = [array![[3.0, 0.0]], array![[4.0, 0.0]]];
        wiener(&mut models, 2.0);
        assert!((models[0][[0, 0]] - 9.0 / 25.0).abs() < 1e-6, "{models:?}");
        assert_eq!(models[0][[0, 1]], 0.5, "where no source claims anything, all share alike");
    }

    proptest! {
        #[test]
        fn powers_are_those_of_the_standard_library(x in 1e-6f32..=1.0, exponent in 0.01f32..6.0) {
            let expected = f64::from(x).powf(f64::from(exponent));
            let got = f64::from(power(x, exponent));
            // The logarithm has up to 120 in 24 bits.
            prop_assert!((got / expected - 1.0).abs() < 1e-5 || expected < 1e-36, "{got} for {expected}");
            prop_assert_eq!(power(1.0, exponent), 1.0);
        }
    }
}
