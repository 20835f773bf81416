//! Other sample rates: a band-limited conversion whose output is neither shifted nor longer than its input.
//! The only file that knows rubato; nothing here knows about files.

use ndarray::{Array2, ArrayView2, s};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::{Audio, Recording};
use crate::{Error, Result};

/// Input samples that are transformed at once, at least: the filter between the two rates is as long, and passes
/// 99 % of the band that both have.
const MIN_BLOCK: usize = 4096;

/// Rates above it (Hz) belong to no recording of sound. Two rates without a common divisor are transformed a second at
/// a time, which is what makes a limit necessary.
const MAX_SAMPLE_RATE: u32 = 1 << 21;

/// Gives a recording another sample rate. It starts at the same instant and is as long, to within a sample of the new
/// rate: `n_samples` times the quotient of the rates, rounded up.
///
/// # Errors
/// [`Error::Setting`] for a rate of 0 or above 2 MHz.
///
/// # Cost
/// Two transforms of twice 4096 samples (or more, where the rates have no large common divisor) per 4096 samples and
/// channel. Memory: the result.
///
/// # Examples
/// ```
/// use partita::audio::{Audio, resample::resample};
/// let tone = |rate: f32| ndarray::Array2::from_shape_fn((1, rate as usize), |(_, i)| {
///     (std::f32::consts::TAU * 440.0 * i as f32 / rate).sin()
/// });
/// let audio = resample(&Audio::new(tone(48_000.0), 48_000)?, 44_100)?;
/// let gap = &audio.samples() - &tone(44_100.0);
/// assert_eq!(audio.n_samples(), 44_100);
/// assert!(gap.iter().skip(3000).take(38_000).all(|x| x.abs() < 1e-3), "it is the same tone");
/// # Ok::<(), partita::Error>(())
/// ```
pub fn resample(audio: &Audio, sample_rate: u32) -> Result<Audio> {
    if sample_rate == audio.sample_rate() {
        return Ok(audio.clone());
    }
    let mut resampler = Resampler::new(audio.sample_rate(), sample_rate, audio.n_channels())?;
    let length = converted(audio.n_samples() as u64, resampler.rates);
    let mut samples = Array2::zeros((audio.n_channels(), usize::try_from(length).unwrap_or(usize::MAX)));
    let mut start = 0;
    let mut sink = |block: ArrayView2<'_, f32>| {
        samples.slice_mut(s![.., start..start + block.ncols()]).assign(&block);
        start += block.ncols();
        Ok(())
    };
    resampler.push(audio.samples(), &mut sink)?;
    resampler.finish(&mut sink)?;
    Ok(Audio::new(samples, sample_rate)?.with_channel_mask(audio.channel_mask()))
}

/// A recording as if it had been made at another sample rate, converted anew each time that it is read.
pub struct Resampled<'a> {
    recording: &'a dyn Recording,
    sample_rate: u32,
}

impl std::fmt::Debug for Resampled<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampled").field("sample_rate", &self.sample_rate).finish_non_exhaustive()
    }
}

impl<'a> Resampled<'a> {
    /// `sample_rate` in Hz; that of the recording itself hands its samples on as they are.
    pub fn new(recording: &'a dyn Recording, sample_rate: u32) -> Self {
        Self { recording, sample_rate }
    }
}

impl Recording for Resampled<'_> {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn n_channels(&self) -> usize {
        self.recording.n_channels()
    }

    fn channel_mask(&self) -> Option<u32> {
        self.recording.channel_mask()
    }

    fn start_s(&self) -> f64 {
        self.recording.start_s()
    }

    fn n_samples_hint(&self) -> Option<u64> {
        let n_in = self.recording.n_samples_hint()?;
        Some(converted(n_in, (self.recording.sample_rate(), self.sample_rate)))
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        if self.recording.sample_rate() == self.sample_rate {
            return self.recording.read(sink);
        }
        let mut resampler =
            Resampler::new(self.recording.sample_rate(), self.sample_rate, self.recording.n_channels())?;
        self.recording.read(&mut |block| resampler.push(block, sink))?;
        resampler.finish(sink)
    }
}

/// Samples that come out of `n_in` of them, in all.
fn converted(n_in: u64, (from, to): (u32, u32)) -> u64 {
    let n_out = (u128::from(n_in) * u128::from(to)).div_ceil(u128::from(from.max(1)));
    u64::try_from(n_out).unwrap_or(u64::MAX)
}

/// The conversion of a stream of blocks.
pub struct Resampler {
    fft: Fft<f32>,
    /// Input that does not fill a block yet, one vector per channel.
    pending: Vec<Vec<f32>>,
    output: Vec<Vec<f32>>,
    /// Samples that the filter puts before the first: they are left out.
    delay: usize,
    rates: (u32, u32),
    n_in: u64,
    n_out: u64,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("rates", &self.rates).field("n_in", &self.n_in).finish_non_exhaustive()
    }
}

impl Resampler {
    /// Plans a conversion between two rates, in Hz.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rate of 0 or above 2 MHz.
    ///
    /// # Panics
    /// If `n_channels` is 0.
    pub fn new(from: u32, to: u32, n_channels: usize) -> Result<Self> {
        for rate in [from, to] {
            if !(1..=MAX_SAMPLE_RATE).contains(&rate) {
                return Err(Error::Setting {
                    name: "sample_rate",
                    got: format!("{rate} Hz"),
                    expected: format!("1 to {MAX_SAMPLE_RATE} Hz"),
                    advice: None,
                });
            }
        }
        // rubato transforms blocks of a whole number of periods that both rates share, and its filter delays by half
        // a block. With an even number of periods half a block is a whole number of samples on either side; with an
        // odd one the output would be late by half a sample.
        let period = (from / gcd(from, to)) as usize;
        let block = 2 * period * MIN_BLOCK.div_ceil(2 * period);
        let fft = Fft::new(from as usize, to as usize, block, n_channels, FixedSync::Both)
            .expect("rates and block are above 0");
        Ok(Self {
            pending: vec![Vec::with_capacity(2 * block); n_channels],
            output: vec![vec![0.0; fft.output_frames_max()]; n_channels],
            delay: fft.output_delay(),
            fft,
            rates: (from, to),
            n_in: 0,
            n_out: 0,
        })
    }

    /// Takes samples, `n_channels` x n, and hands over what they complete.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    ///
    /// # Panics
    /// If the number of channels is another one than before.
    pub fn push(
        &mut self,
        samples: ArrayView2<'_, f32>,
        sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        assert_eq!(samples.nrows(), self.pending.len(), "channels");
        self.n_in += samples.ncols() as u64;
        let block = self.fft.input_frames_next();
        let mut rest = samples;
        while rest.ncols() > 0 {
            let missing = block - self.pending[0].len();
            let (now, later) = rest.split_at(ndarray::Axis(1), missing.min(rest.ncols()));
            for (pending, channel) in self.pending.iter_mut().zip(now.outer_iter()) {
                pending.extend(channel.iter());
            }
            if now.ncols() == missing {
                self.convert(u64::MAX, sink)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Hands over the samples that are still inside.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    pub fn finish(mut self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let end = converted(self.n_in, self.rates);
        let block = self.fft.input_frames_next();
        while self.n_out < end {
            // Silence after the end brings out what the filter has held back.
            self.pending.iter_mut().for_each(|pending| pending.resize(block, 0.0));
            self.convert(end, sink)?;
        }
        Ok(())
    }

    /// Converts one full block, and hands over what lies before the sample `end` of the output.
    fn convert(&mut self, end: u64, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let n_channels = self.pending.len();
        let (n_in, capacity) = (self.pending[0].len(), self.output[0].len());
        let input: Vec<_> = self.pending.concat();
        let mut output = vec![0.0; n_channels * capacity];
        let (_, n_out) = {
            let input = SequentialSlice::new(&input, n_channels, n_in).expect("as long as its channels");
            let mut output =
                SequentialSlice::new_mut(&mut output, n_channels, capacity).expect("as long as its channels");
            self.fft.process_into_buffer(&input, &mut output, None).expect("blocks have the planned lengths")
        };
        self.pending.iter_mut().for_each(Vec::clear);
        let skipped = self.delay.min(n_out);
        self.delay -= skipped;
        let left = usize::try_from(end - self.n_out).unwrap_or(usize::MAX);
        let wanted = (n_out - skipped).min(left);
        self.n_out += wanted as u64;
        if wanted == 0 {
            return Ok(());
        }
        let output = ArrayView2::from_shape((n_channels, capacity), &output).expect("as long as its channels");
        sink(output.slice(s![.., skipped..skipped + wanted]))
    }
}

/// Euclid's greatest common divisor.
fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that recordings have, and two that share no divisor.
    const RATES: [(u32, u32); 8] = [
        (48_000, 44_100),
        (44_100, 48_000),
        (44_100, 22_050),
        (22_050, 44_100),
        (8000, 96_000),
        (96_000, 16_000),
        (11_025, 16_000),
        (7919, 8000),
    ];

    fn mono(samples: Vec<f32>, sample_rate: u32) -> Audio {
        let shape = (1, samples.len());
        Audio::new(Array2::from_shape_vec(shape, samples).expect("shape"), sample_rate).expect("audio")
    }

    #[test]
    fn a_tone_keeps_its_place_and_its_level() {
        for (from, to) in RATES {
            let hz = 0.2 * f64::from(from.min(to));
            let tone = |i: usize, rate: u32| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin() as f32;
            let n_in = from as usize * 3 + 1;
            let audio = resample(&mono((0..n_in).map(|i| tone(i, from)).collect(), from), to).expect("resampled");
            assert_eq!(audio.n_samples(), (n_in * to as usize).div_ceil(from as usize), "{from} to {to}");
            let worst =
                (to as usize..2 * to as usize).map(|i| (audio.channel(0)[i] - tone(i, to)).abs()).fold(0.0, f32::max);
            // Half a sample of shift would be an error of 0.6.
            assert!(worst < 1e-3, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn an_impulse_stays_where_it_is() {
        for (from, to) in RATES {
            let n_in = from as usize;
            let mut samples = vec![0.0; n_in];
            samples[n_in / 2] = 1.0;
            let audio = resample(&mono(samples, from), to).expect("resampled");
            let center = audio.channel(0).iter().enumerate().fold((0.0, 0.0), |(sum, weight), (i, x)| {
                let power = f64::from(x * x);
                (sum + power * i as f64, weight + power)
            });
            let (found, expected) = (center.0 / center.1, (n_in / 2) as f64 * f64::from(to) / f64::from(from));
            // The filter is symmetric; a rate that cuts the band leaves a symmetric ripple, sampled off its center.
            assert!((found - expected).abs() < 0.1, "{from} to {to}: {found}, expected {expected}");
        }
    }

    #[test]
    fn a_stream_gives_the_same_bits_as_the_whole() {
        let samples = Array2::from_shape_fn((3, 10_007), |(c, i)| ((i * (c + 1)) as f32 * 0.01).sin());
        let whole = resample(&Audio::new(samples.clone(), 48_000).expect("audio"), 44_100).expect("resampled");
        let mut resampler = Resampler::new(48_000, 44_100, 3).expect("resampler");
        let mut streamed = Array2::zeros((3, 0));
        let mut sink = |block: ArrayView2<'_, f32>| {
            streamed.append(ndarray::Axis(1), block).expect("channels");
            Ok(())
        };
        for start in (0..10_007).step_by(777) {
            let end = (start + 777).min(10_007);
            resampler.push(samples.slice(s![.., start..end]), &mut sink).expect("pushed");
        }
        resampler.finish(&mut sink).expect("finished");
        assert_eq!(whole.samples(), streamed);
    }

    #[test]
    fn nothing_gives_nothing_and_one_sample_gives_some() {
        assert_eq!(resample(&mono(Vec::new(), 8000), 16_000).expect("empty").n_samples(), 0);
        assert_eq!(resample(&mono(vec![1.0], 8000), 16_000).expect("one").n_samples(), 2);
        assert_eq!(resample(&mono(vec![1.0], 16_000), 8000).expect("one").n_samples(), 1);
    }

    #[test]
    fn rates_beyond_any_sound_are_refused() {
        for rate in [0, MAX_SAMPLE_RATE + 1, u32::MAX] {
            for (from, to) in [(44_100, rate), (rate, 44_100)] {
                let error = Resampler::new(from, to, 1).expect_err("no sound");
                assert_eq!(error.to_string(), format!("`sample_rate` is {rate} Hz, expected 1 to 2097152 Hz"));
            }
        }
    }
}
