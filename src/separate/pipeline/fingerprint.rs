//! Tells recordings apart by their samples.

use ndarray::ArrayView2;

use crate::audio::Recording;
use crate::hash::Hash;
use crate::knowledge::labels::Identity;

/// A hash of all samples in the order of time.
pub(super) struct Fingerprint(Hash);

impl Fingerprint {
    pub(super) fn new() -> Self {
        Self(Hash::new())
    }

    pub(super) fn add(&mut self, block: ArrayView2<'_, f32>) {
        let channels: Option<Vec<_>> = block.outer_iter().map(|channel| channel.to_slice()).collect();
        match channels.as_deref() {
            Some([all]) => self.0.add_all(*all),
            Some([left, right]) => self.0.add_all(left.iter().zip(*right).flat_map(|(left, right)| [left, right])),
            _ => self.0.add_all(block.t()),
        }
    }

    pub(super) fn identity(&self, recording: &dyn Recording, n_samples: usize) -> Identity {
        Identity {
            sample_rate: recording.sample_rate(),
            n_channels: recording.n_channels(),
            n_samples,
            fingerprint: self.0.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn the_fingerprint_does_not_depend_on_how_samples_lie_in_memory() {
        for n_channels in 1..4 {
            let samples = Array2::from_shape_fn((n_channels, 50), |(c, i)| (c * 50 + i) as f32);
            let by_time = samples.t().as_standard_layout().into_owned().reversed_axes();
            let hash = |block: ArrayView2<'_, f32>| {
                let mut fingerprint = Fingerprint::new();
                fingerprint.add(block);
                fingerprint.0
            };
            assert_eq!(hash(samples.view()), hash(by_time.view()), "{n_channels} channels");
        }
    }
}
