//! Soft masks: the share of each source in each bin of each frame.
//! Shares only: what they are applied to is the caller's business.

use ndarray::{Array2, Zip};

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
        shares(models, |x| x.powf(exponent));
    }
}

fn shares(models: &mut [Array2<f32>], power: impl Fn(f32) -> f32) {
    let Some((first, rest)) = models.split_first_mut() else { return };
    let mut strongest = first.clone();
    for model in &*rest {
        Zip::from(&mut strongest).and(model).for_each(|strongest, &x| *strongest = strongest.max(x));
    }
    let mut total = Array2::<f32>::zeros(strongest.raw_dim());
    for model in std::iter::once(&mut *first).chain(&mut *rest) {
        Zip::from(model).and(&strongest).and(&mut total).for_each(|x, &strongest, total| {
            // Relative to the strongest source nothing overflows, and nothing that counts underflows.
            let relative = if strongest > 0.0 { (*x / strongest).max(FLOOR) } else { 1.0 };
            *x = power(relative);
            *total += *x;
        });
    }
    for model in models {
        *model /= &total;
    }
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
}
