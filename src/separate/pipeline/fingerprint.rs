//! Tells recordings apart by their samples.

use ndarray::ArrayView2;

use crate::audio::Recording;
use crate::knowledge::labels::Identity;

/// A hash of all samples in the order of time, FNV-1a over their bits: not against intent, but against a mistake.
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, block: ArrayView2<'_, f32>) {
        let mut hash = self.0;
        let mut add = |x: f32| hash = (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3);
        let channels: Option<Vec<_>> = block.outer_iter().map(|channel| channel.to_slice()).collect();
        match channels.as_deref() {
            Some([all]) => all.iter().for_each(|x| add(*x)),
            Some([left, right]) => left.iter().zip(*right).for_each(|(left, right)| {
                add(*left);
                add(*right);
            }),
            _ => block.t().iter().for_each(|x| add(*x)),
        }
        self.0 = hash;
    }

    pub(super) fn identity(&self, recording: &dyn Recording, n_samples: usize) -> Identity {
        Identity {
            sample_rate: recording.sample_rate(),
            n_channels: recording.n_channels(),
            n_samples,
            fingerprint: format!("{:016x}", self.0),
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
