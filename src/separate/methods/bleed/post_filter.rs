//! What the filter leaves of other sources in one bin: a mask for each image, by the powers of all sources after the
//! filter. Knows one frame at a time, and no phases.

use realfft::num_complex::Complex64;

use super::places::Image;

/// What is left of a source in the microphones of others varies: as much as this times its mean is allowed for,
const MARGIN: f32 = 4.0;
/// up to this share of its power in its own.
const MOST: f32 = 0.3;

/// Updates of the powers.
const N_ITER: usize = 2;

/// No sum of powers is taken for less, relative to a mean magnitude of 1.
const FLOOR: f32 = 1e-20;

/// The shares of all sources in what the microphones hear.
#[derive(Debug)]
pub(super) struct PostFilter<'a> {
    images: &'a [Image],
    /// Of each source, the first of its images: where it has its level.
    homes: Vec<usize>,
    /// Microphones x sources: how much of a source's power in its own microphone another one hears.
    leaks: Vec<f32>,
    n_mics: usize,
    /// Of each microphone, what it hears, and of each source, what it has.
    heard: Vec<f32>,
    powers: Vec<f32>,
    sums: Vec<f32>,
}

impl<'a> PostFilter<'a> {
    /// For the covariances of one bin; every source is to have an image.
    pub(super) fn new(images: &'a [Image], covariances: &[Complex64], n_mics: usize, n_sources: usize) -> Self {
        let home = |source: usize| images.iter().position(|image| image.source == source).unwrap_or_default();
        let homes: Vec<_> = (0..n_sources).map(home).collect();
        let power = |source: usize, mic: usize| covariances[(source * n_mics + mic) * n_mics + mic].re as f32;
        let leak = |mic: usize, source: usize| {
            let leak = power(source, mic) / power(source, images[homes[source]].mic).max(f32::MIN_POSITIVE);
            let is_own = images.iter().any(|image| (image.source, image.mic) == (source, mic));
            if is_own { leak } else { (MARGIN * leak).min(MOST) }
        };
        let leaks = (0..n_mics).flat_map(|mic| (0..n_sources).map(move |source| (mic, source)));
        let leaks = leaks.map(|(mic, source)| leak(mic, source)).collect();
        let (heard, powers, sums) = (vec![0.0; n_mics], vec![0.0; n_sources], vec![0.0; n_mics]);
        Self { images, homes, leaks, n_mics, heard, powers, sums }
    }

    /// The share that each image has in its microphone in a frame, by what the microphones hear and what the filter
    /// made of the images, both as powers: after some steps of `P_j <- P_j sum over i of L_ij V_i / S_i, over sum over i of
    /// L_ij` with `S_i = sum over j of L_ij P_j`, it is `L_ij P_j / S_i`.
    pub(super) fn shares(&mut self, heard: impl Fn(usize) -> f32, image: impl Fn(usize) -> f32, shares: &mut [f32]) {
        let n_sources = self.powers.len();
        (0..self.n_mics).for_each(|mic| self.heard[mic] = heard(mic));
        (0..n_sources).for_each(|source| self.powers[source] = image(self.homes[source]));
        for _ in 0..N_ITER {
            self.add_up();
            for source in 0..n_sources {
                let (mut upper, mut lower) = (0.0, 0.0);
                for mic in 0..self.n_mics {
                    let leak = self.leaks[mic * n_sources + source];
                    upper += leak * self.heard[mic] / self.sums[mic];
                    lower += leak;
                }
                self.powers[source] *= upper / lower.max(FLOOR);
            }
        }
        self.add_up();
        for (share, image) in shares.iter_mut().zip(self.images) {
            let leak = self.leaks[image.mic * n_sources + image.source];
            *share = leak * self.powers[image.source] / self.sums[image.mic];
        }
    }

    fn add_up(&mut self) {
        for (sum, leaks) in self.sums.iter_mut().zip(self.leaks.chunks_exact(self.powers.len())) {
            *sum = leaks.iter().zip(&self.powers).map(|(leak, power)| leak * power).sum::<f32>().max(FLOOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shares of two sources, each in its own microphone, for powers of the microphones and of the images.
    fn shares(heard: [f32; 2], images: [f32; 2]) -> [f32; 2] {
        let both = [Image { source: 0, mic: 0 }, Image { source: 1, mic: 1 }];
        // Each leaks into the other microphone by a tenth of its power.
        let covariances = [1.0, 0.0, 0.0, 0.1, 0.1, 0.0, 0.0, 1.0].map(Complex64::from);
        let mut found = [0.0; 2];
        let mut post_filter = PostFilter::new(&both, &covariances, 2, 2);
        post_filter.shares(|mic| heard[mic], |image| images[image], &mut found);
        found
    }

    #[test]
    fn what_is_left_of_a_loud_source_is_taken_out_of_others() {
        let [loud, left] = shares([1.0, 0.1], [1.0, 0.02]);
        assert!(loud > 0.98 && left < 0.1, "{loud}, {left}");
    }

    #[test]
    fn a_source_alone_keeps_all_and_silence_is_no_trouble() {
        assert_eq!(shares([1.0, 0.0], [1.0, 0.0]), [1.0, 0.0]);
        assert_eq!(shares([0.0, 0.0], [0.0, 0.0]), [0.0, 0.0]);
    }
}
