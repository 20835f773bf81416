//! Wiener filtering where nothing is known but the noise: the decision-directed rule.

use ndarray::{Array2, ArrayView1, ArrayView2, Zip, s};

/// How much of the a priori signal-to-noise ratio comes from the frame before, as the paper has it.
const SMOOTHING: f32 = 0.98;

/// Lowest a priori signal-to-noise ratio, -25 dB: what is left of the noise stays even instead of tinkling.
const MIN_RATIO: f32 = 3.16e-3;

/// Frames after which it no longer matters where the recursion began.
pub(super) const SETTLING_FRAMES: usize = 64;

/// Gains in [0, 1] for the rows of `magnitude` from `before` on. The rows before them, up to [`SETTLING_FRAMES`], only
/// let the recursion settle.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `magnitude` | frames x bins | any |
/// | `noise_power` | bins | its square |
/// | result | (frames - `before`) x bins | |
///
/// # References
/// Y. Ephraim and D. Malah, "Speech enhancement using a minimum mean-square error short-time spectral amplitude
/// estimator", IEEE Trans. ASSP 32(6), 1984, equation (51).
pub(super) fn gains(magnitude: ArrayView2<'_, f32>, noise_power: ArrayView1<'_, f32>, before: usize) -> Array2<f32> {
    let mut gains = Array2::zeros((magnitude.nrows() - before, magnitude.ncols()));
    if gains.is_empty() {
        return gains;
    }
    // Power of the clean estimate of the frame before, relative to the noise.
    let mut previous = vec![0.0f32; magnitude.ncols()];
    for (frame_idx, frame) in magnitude.outer_iter().enumerate() {
        let row = frame_idx.saturating_sub(before);
        let row = gains.slice_mut(s![row, ..]);
        // The rows before the first only let the recursion settle, and are written over.
        for (((x, noise), previous), to) in frame.iter().zip(noise_power).zip(&mut previous).zip(row) {
            // Without any noise all is signal; the ratio stays in the range of f32.
            let posterior = (x * x / noise.max(f32::MIN_POSITIVE)).min(1e12);
            let now = (posterior - 1.0).max(0.0);
            let prior = (SMOOTHING * *previous + (1.0 - SMOOTHING) * now).max(MIN_RATIO);
            let gain = prior / (1.0 + prior);
            *previous = gain * gain * posterior;
            *to = gain;
        }
    }
    debug_assert!(Zip::from(&gains).all(|gain| (0.0..=1.0).contains(gain)));
    gains
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    fn noise(n_frames: usize, n_bins: usize) -> Array2<f32> {
        let mut state = 7u32;
        Array2::from_shape_fn((n_frames, n_bins), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The magnitude of Gaussian noise of power 1.
            (-((state >> 8) as f32 / 16_777_216.0 + 1e-7).ln()).sqrt()
        })
    }

    #[test]
    fn noise_alone_is_held_down_and_a_tone_passes() {
        let mut magnitude = noise(200, 40);
        magnitude.column_mut(20).fill(30.0);
        let gains = gains(magnitude.view(), Array1::ones(40).view(), 64);
        assert_eq!(gains.dim(), (136, 40));
        let held = gains.slice(s![.., ..20]).mean().expect("some");
        assert!(held < 0.1, "the mean gain of noise is {held}");
        assert!(gains.column(20).iter().all(|gain| *gain > 0.99), "30 dB above the noise");
    }

    #[test]
    fn after_the_settling_frames_the_beginning_is_forgotten() {
        let mut magnitude = noise(300, 40);
        magnitude.slice_mut(s![..140, 5..9]).fill(20.0);
        let power = Array1::ones(40);
        let whole = gains(magnitude.view(), power.view(), 0);
        let late = gains(magnitude.slice(s![136.., ..]), power.view(), SETTLING_FRAMES);
        let gap = (&whole.slice(s![200.., ..]) - &late).iter().fold(0.0f32, |worst, x| worst.max(x.abs()));
        assert!(gap < 1e-3, "{gap}");
    }

    #[test]
    fn without_noise_everything_passes() {
        let gains = gains(noise(10, 4).view(), Array1::zeros(4).view(), 0);
        assert!(gains.row(9).iter().all(|gain| *gain > 0.999), "{gains}");
    }
}
