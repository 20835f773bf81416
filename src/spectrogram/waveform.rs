//! The outline of a recording's samples, in bounded memory: least and largest in each stretch.
//! Draws nothing.

use ndarray::{ArrayView2, s};

/// The least and the largest sample in each of a few thousand stretches of a recording of any length.
///
/// # Examples
/// ```
/// use partita::spectrogram::Waveform;
/// let mut waveform = Waveform::new(8192, 1000);
/// waveform.push(ndarray::Array2::from_shape_fn((1, 65_536), |(_, i)| if i < 32_768 { 0.5 } else { -0.25 }).view());
/// assert_eq!(waveform.spans((0.0, 8.0), 2), [(0.5, 0.5), (-0.25, -0.25)]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    sample_rate: u32,
    max_stretches: usize,
    samples_per_stretch: usize,
    /// Of the first stretch.
    first_sample: usize,
    n_samples: usize,
    /// Least and largest.
    stretches: Vec<(f32, f32)>,
}

impl Waveform {
    /// Starts without samples; there will be at most `max_stretches` stretches, and half of them or more.
    pub fn new(sample_rate: u32, max_stretches: usize) -> Self {
        Self {
            sample_rate,
            max_stretches: max_stretches.max(2),
            samples_per_stretch: 1,
            first_sample: 0,
            n_samples: 0,
            stretches: Vec::new(),
        }
    }

    /// Starts without samples; there will be any number of stretches of so many samples.
    pub(super) fn in_stretches_of(samples_per_stretch: usize, sample_rate: u32) -> Self {
        Self { samples_per_stretch: samples_per_stretch.max(1), ..Self::new(sample_rate, usize::MAX) }
    }

    /// Takes the next block, channels x samples. All channels are one outline.
    pub fn push(&mut self, block: ArrayView2<'_, f32>) {
        let mut start = 0;
        while start < block.ncols() {
            let within = self.n_samples % self.samples_per_stretch;
            if within == 0 {
                if self.stretches.len() == self.max_stretches {
                    self.join();
                    continue;
                }
                self.stretches.push((f32::INFINITY, f32::NEG_INFINITY));
            }
            let n_samples = (self.samples_per_stretch - within).min(block.ncols() - start);
            let part = block.slice(s![.., start..start + n_samples]);
            if let Some(stretch) = self.stretches.last_mut() {
                for channel in part.outer_iter() {
                    *stretch =
                        union(*stretch, channel.as_slice().map_or_else(|| extremes(&channel.to_vec()), extremes));
                }
            }
            (start, self.n_samples) = (start + n_samples, self.n_samples + n_samples);
        }
    }

    /// Joins stretches in pairs.
    fn join(&mut self) {
        let pair = |pair: &[(f32, f32)]| pair.iter().copied().reduce(union).unwrap_or_default();
        self.stretches = self.stretches.chunks(2).map(pair).collect();
        self.samples_per_stretch *= 2;
    }

    /// Parts with the stretches before a sample; those that reach over it stay, too.
    pub(super) fn split_before(&mut self, sample: usize) -> Self {
        let n_stretches = sample.saturating_sub(self.first_sample).div_ceil(self.samples_per_stretch);
        let n_stretches = n_stretches.min(self.stretches.len());
        let before = Self { stretches: self.stretches[..n_stretches].to_vec(), ..*self };
        let n_gone = n_stretches.saturating_sub(1);
        self.stretches.drain(..n_gone);
        self.first_sample += n_gone * self.samples_per_stretch;
        before
    }

    /// Samples of each channel so far.
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// The largest distance of a sample from 0.
    pub fn peak(&self) -> f32 {
        self.stretches.iter().fold(0.0, |peak, (least, largest)| peak.max(-least).max(*largest))
    }

    /// The least and the largest sample in each of `n` equal parts of a time span, in seconds; where a part has no
    /// sample, 0 and 0.
    pub fn spans(&self, (start_s, end_s): (f64, f64), n: usize) -> Vec<(f32, f32)> {
        let per_s = f64::from(self.sample_rate) / self.samples_per_stretch as f64;
        let first = self.first_sample as f64 / self.samples_per_stretch as f64;
        let at = |i: usize| (start_s + (end_s - start_s) * i as f64 / n as f64) * per_s - first;
        let span = |i: usize| {
            // All that it touches, but for rounding; at least one.
            let start = (at(i) + 1e-6).max(0.0) as usize;
            let end = ((at(i + 1) - 1e-6).ceil().max(0.0) as usize).max(start + 1).min(self.stretches.len());
            let within = self.stretches.get(start..end).unwrap_or_default();
            within.iter().copied().reduce(union).unwrap_or_default()
        };
        (0..n).map(span).collect()
    }
}

/// The least and the largest of some samples: in lanes, which a processor compares at once.
fn extremes(samples: &[f32]) -> (f32, f32) {
    let (chunks, rest) = samples.as_chunks::<16>();
    let (mut least, mut largest) = ([f32::INFINITY; 16], [f32::NEG_INFINITY; 16]);
    for chunk in chunks {
        for ((least, largest), x) in least.iter_mut().zip(&mut largest).zip(chunk) {
            *least = if x < least { *x } else { *least };
            *largest = if x > largest { *x } else { *largest };
        }
    }
    let lanes = least.into_iter().zip(largest).chain(rest.iter().map(|x| (*x, *x)));
    lanes.fold((f32::INFINITY, f32::NEG_INFINITY), union)
}

fn union((a, b): (f32, f32), (c, d): (f32, f32)) -> (f32, f32) {
    (a.min(c), b.max(d))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};

    use super::*;

    #[test]
    fn an_outline_has_the_extremes_of_its_parts_whatever_the_blocks() {
        let samples = Array2::from_shape_fn((2, 10_000), |(channel, i)| ((i * (7 + channel)) % 1013) as f32 - 500.0);
        for block in [1, 77, 10_000] {
            let mut waveform = Waveform::new(1000, 80);
            samples.axis_chunks_iter(Axis(1), block).for_each(|block| waveform.push(block));
            assert!((40..=80).contains(&waveform.stretches.len()), "{}", waveform.stretches.len());
            // 79 stretches of 128 samples: parts of 1.28 s are ten of them.
            for (i, (least, largest)) in waveform.spans((0.0, 7.68), 6).into_iter().enumerate() {
                let part = samples.slice(ndarray::s![.., i * 1280..(i + 1) * 1280]);
                let expected = part.iter().fold((0.0f32, 0.0f32), |(a, b), x| (a.min(*x), b.max(*x)));
                assert_eq!((least, largest), expected, "part {i}, blocks of {block}");
            }
        }
    }
}
