//! The constant-Q transform: bands that are as wide, relative to their frequency, as notes are apart.
//! Power only; it cannot be inverted.

use realfft::num_complex::Complex32;

use super::cell::Cell;
use crate::error::Advice;
use crate::stft::window::Window;
use crate::stft::{Analyzer, Stft, StftConfig};
use crate::{Error, Result};

/// The lowest band: C1, the lowest note of a cello or a bass but for one string.
pub(super) const LOWEST_HZ: f64 = 32.703_195_662_574_83; // 440 Hz, 45 semitones lower
/// Bands to an octave: three to a semitone, the middle one on the note at A = 440 Hz.
pub(super) const BANDS_PER_OCTAVE: usize = 36;
/// Frequency over bandwidth: with this one the main lobe of the Hann window ends a semitone from its center, so that
/// neighboring notes are told apart. The window of the lowest band is 1.03 s long.
pub(super) const Q: f64 = 33.6; // 2 / (2^(1/12) - 1)
/// Side lobes that are kept of each window's transform: what is left out is 45 dB below its center.
const REACH_BINS: f64 = 6.0;
/// Frames of an octave are this much shorter apart than its transform is long: windows of its highest band, which are a
/// quarter of that or longer, overlap by three quarters.
const OVERLAP: usize = 16;

/// A planned constant-Q transform.
///
/// Each band is the recording under a Hann window of [`ConstantQ::Q`] periods of its frequency. The bands of an octave are
/// taken from one Fourier transform, as sums over the few bins that their windows' transforms cover.
///
/// # References
/// J. C. Brown and M. S. Puckette, "An efficient algorithm for the calculation of a constant Q transform", JASA 92(5),
/// 1992, equation (5); the transforms of the windows are known here, so that none is computed or thrown away by size.
#[derive(Debug)]
pub struct ConstantQ {
    hop_length: usize,
    octaves: Vec<Octave>,
}

/// Bands that share a Fourier transform.
#[derive(Debug)]
struct Octave {
    stft: Stft,
    bands: Vec<Band>,
}

/// The transform of a window: weights of the bins from the first on.
#[derive(Debug)]
struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

impl ConstantQ {
    /// Frequency over bandwidth.
    pub const Q: f64 = Q;

    /// Power of a tone of amplitude 1 in its band.
    pub(super) const FULL_SCALE: f32 = 0.25;

    /// Plans the transform, with a frame each `hop_length` samples.
    ///
    /// # Errors
    /// [`Error::Setting`] for a hop of 0 and for a sample rate that has no room for an octave of bands.
    pub fn new(sample_rate: u32, hop_length: usize) -> Result<Self> {
        let setting = |name, got: String, expected: &str, advice| {
            Err(Error::Setting { name, got, expected: expected.into(), advice: Some(Box::new(advice)) })
        };
        if hop_length == 0 {
            return setting("hop_length", "0".into(), "at least 1", Advice::set("hop_length", 512));
        }
        let sample_rate_hz = f64::from(sample_rate);
        let n_bands = n_bands(sample_rate);
        if n_bands < BANDS_PER_OCTAVE {
            let advice = Advice::plain("look at it on another axis");
            return setting("sample_rate", sample_rate.to_string(), "at least 140 Hz for constant-Q bands", advice);
        }
        let bands: Vec<f64> = (0..n_bands).map(band_hz).collect();
        let octave = |bands_hz: &[f64]| -> Result<Octave> {
            let longest = (Q * sample_rate_hz / bands_hz[0]).ceil() as usize;
            let n_fft = longest.next_power_of_two();
            let boxcar = Window::Boxcar;
            let stft = Stft::new(StftConfig {
                hop_length: (n_fft / OVERLAP).max(1),
                window: boxcar,
                ..StftConfig::new(n_fft)
            })?;
            let bands = bands_hz.iter().map(|hz| Band::new(*hz, sample_rate_hz, n_fft)).collect();
            Ok(Octave { stft, bands })
        };
        // From the top, so that the highest octave is whole.
        let mut octaves = bands.rchunks(BANDS_PER_OCTAVE).map(octave).collect::<Result<Vec<_>>>()?;
        octaves.reverse();
        Ok(Self { hop_length, octaves })
    }

    /// Samples from one frame to the next.
    pub fn hop_length(&self) -> usize {
        self.hop_length
    }

    /// Bands in each frame.
    pub fn n_bands(&self) -> usize {
        self.octaves.iter().map(|octave| octave.bands.len()).sum()
    }

    /// The frequency of each band in Hz, 36 to an octave from C1 on.
    pub fn bands_hz(&self) -> impl Iterator<Item = f64> {
        (0..self.n_bands()).map(band_hz)
    }

    /// A transform fed block by block.
    pub(super) fn analyzer(&self) -> BandAnalyzer<'_> {
        let feeds = self.octaves.iter().map(|octave| Feed {
            octave,
            analyzer: octave.stft.analyzer(),
            power: Vec::new(),
            first_frame: 0,
        });
        BandAnalyzer { plan: self, feeds: feeds.collect(), n_samples: 0, next_frame: 0 }
    }
}

fn band_hz(band_idx: usize) -> f64 {
    edge_hz(band_idx as f64)
}

/// Between two bands where it is not a whole number.
fn edge_hz(band: f64) -> f64 {
    LOWEST_HZ * (band / BANDS_PER_OCTAVE as f64).exp2()
}

/// As many as have their main lobes below half the sample rate.
fn n_bands(sample_rate: u32) -> usize {
    let highest_hz = 0.5 * f64::from(sample_rate) / (1.0 + 2.0 / Q);
    let highest = BANDS_PER_OCTAVE as f64 * (highest_hz / LOWEST_HZ).log2();
    if highest < 0.0 { 0 } else { highest as usize + 1 }
}

/// Where the highest band ends, half way to what would be the next.
pub(super) fn upper_end_hz(sample_rate: u32) -> f64 {
    edge_hz(n_bands(sample_rate) as f64 - 0.5)
}

impl Band {
    fn new(hz: f64, sample_rate_hz: f64, n_fft: usize) -> Self {
        let length = Q * sample_rate_hz / hz;
        // From bins of the transform to those of the window, in which its lobes are counted.
        let (center, scale) = (hz * n_fft as f64 / sample_rate_hz, length / n_fft as f64);
        let first_bin = (center - REACH_BINS / scale).ceil().max(0.0) as usize;
        let last_bin = ((center + REACH_BINS / scale) as usize).min(n_fft / 2);
        // A frame is centered on the middle of its transform, which turns the sign of every other bin.
        let sign = |bin: usize| if bin.is_multiple_of(2) { 1.0 } else { -1.0 };
        let weight = |bin: usize| sign(bin) * hann_lobe((bin as f64 - center) * scale) / n_fft as f64;
        Self { first_bin, weights: (first_bin..=last_bin).map(|bin| weight(bin) as f32).collect() }
    }

    fn power(&self, bins: &[Complex32]) -> f32 {
        let covered = &bins[self.first_bin..self.first_bin + self.weights.len()];
        covered.iter().zip(&self.weights).map(|(x, weight)| x * weight).sum::<Complex32>().norm_sqr()
    }
}

/// The transform of a long Hann window with all its side lobes, 1 at its center.
fn hann_lobe(x: f64) -> f64 {
    let x = x.abs();
    let near = 1e-6;
    match x {
        _ if x < near => 1.0,
        _ if (x - 1.0).abs() < near => 0.5,
        _ => (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x * (1.0 - x * x)),
    }
}

/// A constant-Q transform fed block by block.
#[derive(Debug)]
pub(super) struct BandAnalyzer<'a> {
    plan: &'a ConstantQ,
    feeds: Vec<Feed<'a>>,
    n_samples: usize,
    next_frame: usize,
}

/// The frames of an octave that are not yet used up.
#[derive(Debug)]
struct Feed<'a> {
    octave: &'a Octave,
    analyzer: Analyzer<'a>,
    /// Power of its bands, frame by frame, from the first on.
    power: Vec<f32>,
    first_frame: usize,
}

impl BandAnalyzer<'_> {
    /// Takes samples, and appends the power in each band of each frame that they complete.
    pub(super) fn append(&mut self, samples: &[f32], power: &mut Vec<f32>) {
        self.n_samples += samples.len();
        for feed in &mut self.feeds {
            let (bands, sums) = (&feed.octave.bands, &mut feed.power);
            feed.analyzer.push(samples, &mut |bins| sums.extend(bands.iter().map(|band| band.power(bins))));
        }
        let hop_length = self.plan.hop_length;
        while self.feeds.iter().all(|feed| feed.reaches(self.next_frame, hop_length)) {
            self.append_frame(power);
        }
    }

    /// Ends the signal, and appends the frames that are left.
    pub(super) fn append_last(mut self, power: &mut Vec<f32>) {
        for feed in &mut self.feeds {
            let (bands, sums) = (&feed.octave.bands, &mut feed.power);
            let analyzer = std::mem::replace(&mut feed.analyzer, feed.octave.stft.analyzer());
            analyzer.finish(&mut |bins| sums.extend(bands.iter().map(|band| band.power(bins))));
        }
        // As many as any transform of this hop has.
        while self.next_frame <= self.n_samples.div_ceil(self.plan.hop_length) {
            self.append_frame(power);
        }
    }

    fn append_frame(&mut self, power: &mut Vec<f32>) {
        let hop_length = self.plan.hop_length;
        for feed in &mut self.feeds {
            feed.append(self.next_frame, hop_length, power);
        }
        self.next_frame += 1;
    }
}

impl Feed<'_> {
    /// What a frame of the whole covers, in frames of the octave from the first that is left.
    fn cell(&self, frame_idx: usize, hop_length: usize) -> Cell {
        let per_frame = hop_length as f64 / self.octave.stft.config().hop_length as f64;
        let at = |frame: f64| frame * per_frame + 0.5 - self.first_frame as f64;
        Cell { start: at(frame_idx as f64 - 0.5), end: at(frame_idx as f64 + 0.5) }
    }

    /// Whether all is there that a frame of the whole is made of.
    fn reaches(&self, frame_idx: usize, hop_length: usize) -> bool {
        let n_frames = self.power.len() / self.octave.bands.len();
        let cell = self.cell(frame_idx, hop_length);
        cell.end.max(0.5 * (cell.start + cell.end) + 0.5) <= n_frames as f64
    }

    /// Appends the power of a frame of the whole: the mean of those of the octave, or what lies between two.
    fn append(&mut self, frame_idx: usize, hop_length: usize, power: &mut Vec<f32>) {
        let n_bands = self.octave.bands.len();
        let (n_frames, cell) = (self.power.len() / n_bands, self.cell(frame_idx, hop_length));
        let start = power.len();
        power.resize(start + n_bands, 0.0);
        let mut add = |frame: usize, share: f32| {
            let of_frame = &self.power[frame * n_bands..(frame + 1) * n_bands];
            power[start..].iter_mut().zip(of_frame).for_each(|(sum, x)| *sum += share * x);
        };
        if cell.is_wide() {
            let total: f32 = cell.covered(n_frames).map(|(_, share)| share).sum();
            cell.covered(n_frames).for_each(|(frame, share)| add(frame, share / total));
        } else {
            let (left, right, fraction) = cell.neighbors(n_frames);
            add(left, 1.0 - fraction);
            add(right, fraction);
        }
        // What later frames do not reach back to; all at once, because the rest moves.
        let n_used = ((cell.start - 1.0).max(0.0) as usize).min(n_frames.saturating_sub(1));
        if n_used > 64 {
            self.power.drain(..n_used * n_bands);
            self.first_frame += n_used;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// The definition: samples around the frame's center under a Hann window of `Q` periods, at the band's frequency.
    fn naive(samples: &[f32], center: usize, hz: f64, sample_rate: f64) -> f64 {
        let length = Q * sample_rate / hz;
        let half = (0.5 * length) as i64;
        let (mut re, mut im, mut total) = (0.0, 0.0, 0.0);
        for i in -half..=half {
            let window = 0.5 + 0.5 * (TAU * i as f64 / length).cos();
            total += window;
            let x = usize::try_from(center as i64 + i).ok().and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
            let phase = TAU * hz * i as f64 / sample_rate;
            re += window * f64::from(x) * phase.cos();
            im -= window * f64::from(x) * phase.sin();
        }
        (re * re + im * im) / (total * total)
    }

    #[test]
    fn bands_are_those_of_the_definition_whatever_the_blocks() {
        let sample_rate = 8000;
        // Tones that come and go, and something like noise.
        let sample = |i: usize| {
            let tone = |hz: f64, from: usize, to: usize| {
                if (from..to).contains(&i) { (TAU * hz * i as f64 / 8000.0).sin() } else { 0.0 }
            };
            let noise = ((i * i * 7919) % 1013) as f64 / 1013.0 - 0.5;
            (tone(82.4, 0, 9000) + 0.5 * tone(523.25, 4000, 12_000) + 0.3 * tone(2637.0, 6000, 16_000) + 0.01 * noise)
                as f32
        };
        let samples: Vec<f32> = (0..16_000).map(sample).collect();
        // As far apart as the frames of the lowest octave, so that nothing is interpolated there.
        let plan = ConstantQ::new(sample_rate, 1024).expect("plan");
        let hz: Vec<f64> = plan.bands_hz().collect();
        let mut all: Vec<Vec<f32>> = Vec::new();
        for block in [333, 16_000] {
            let (mut analyzer, mut power) = (plan.analyzer(), Vec::new());
            samples.chunks(block).for_each(|block| analyzer.append(block, &mut power));
            analyzer.append_last(&mut power);
            assert_eq!(power.len(), 17 * plan.n_bands(), "a frame each 1024 samples, and one at the end");
            all.push(power);
        }
        assert!(all[0] == all[1], "blocks change nothing");
        let n_bands = plan.n_bands();
        // The lowest octave has a frame for each of the whole; others are means over several.
        for frame in 0..17 {
            for band in 0..BANDS_PER_OCTAVE / 2 {
                let expected = naive(&samples, frame * 1024, hz[band], 8000.0);
                let got = f64::from(all[0][frame * n_bands + band]);
                // What is left out of the windows' transforms is 45 dB below a tone of amplitude 1.
                let gap = (got.sqrt() - expected.sqrt()).abs();
                assert!(gap < 0.5 * 10f64.powf(-45.0 / 20.0), "frame {frame}, {} Hz: {got}, {expected}", hz[band]);
            }
        }
    }

    #[test]
    fn a_rate_without_room_for_an_octave_is_refused() {
        for (sample_rate, hop_length, name) in [(100, 64, "sample_rate"), (8000, 0, "hop_length")] {
            let error = ConstantQ::new(sample_rate, hop_length).expect_err(name);
            assert!(matches!(error, Error::Setting { name: got, .. } if got == name), "{error}");
        }
        assert!(ConstantQ::new(192_000, 1).is_ok());
    }
}
