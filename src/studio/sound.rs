//! What is heard: any range of the recording and of the stems, in two channels at most, at a rate that browsers play.
//! Nothing here depends on what was asked for before: the same samples come whatever the ranges.

use std::f64::consts::PI;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};
use realfft::num_complex::Complex32;

use crate::audio::Recording;
use crate::audio::spool::Spool;
use crate::separate::{Separation, Stems};
use crate::stft::Stft;
use crate::{Error, Result};

/// Sample rates that every browser plays, in Hz.
const RATES: Range<u32> = 8_000..96_001;

/// Zeros of the filter between two rates, on each side of its middle.
const N_ZEROS: usize = 32;

/// How fast sound comes and goes at the edges of a region, in seconds.
const FADE_S: f64 = 0.005;

/// How a recording is listened to.
#[derive(Debug, Clone)]
pub(super) struct Listening {
    pub(super) sample_rate: u32,
    pub(super) n_channels: usize,
    pub(super) n_samples: u64,
    /// Samples of the recording for so many that are heard.
    ratio: (u64, u64),
    /// Of each channel of the recording, how loud it is in each that is heard.
    gains: Vec<[f32; 2]>,
    /// How loud all channels are in the one that is heard, where they are microphones.
    level: Option<f32>,
}

/// A part of the recording in time and frequency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Region {
    /// In seconds.
    pub(super) t: [f64; 2],
    /// In Hz.
    pub(super) hz: [f64; 2],
}

/// What is heard.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tracks<'a> {
    /// The recording.
    Mixture,
    /// The recording, and all stems.
    Stems(&'a Separation),
    /// One component alone, counted from 0, of a separation with a stem for each.
    Component(&'a Separation, usize),
}

impl Tracks<'_> {
    /// How many there are.
    pub(super) fn n_tracks(self) -> usize {
        match self {
            Self::Stems(separation) => 1 + separation.names().len(),
            Self::Mixture | Self::Component(..) => 1,
        }
    }
}

impl Listening {
    pub(super) fn to(recording: &Spool) -> Self {
        let rate = recording.sample_rate().max(1);
        // Whole ratios: 192 kHz is heard at 96, 4 kHz at 8.
        let (down, up) =
            if rate >= RATES.end { (rate.div_ceil(RATES.end - 1), 1) } else { (1, RATES.start.div_ceil(rate)) };
        let n_channels = recording.n_channels().min(2);
        Self {
            sample_rate: (rate * up).div_ceil(down),
            n_channels,
            n_samples: (recording.n_samples() * u64::from(up)).div_ceil(u64::from(down)),
            ratio: (down.into(), up.into()),
            gains: gains(recording.n_channels(), recording.channel_mask()),
            level: None,
        }
    }

    /// To microphones that are told apart as stems: all are summed, and each is as much quieter as their sum, of which
    /// the loudest sample is given, would clip.
    pub(super) fn to_microphones(recording: &Spool, loudest: f32) -> Self {
        Self { n_channels: 1, level: Some(1.0 / loudest.max(1.0)), ..Self::to(recording) }
    }

    /// The samples of the tracks, one after the other, each channel after channel, as 32-bit
    /// numbers in the order of little-endian machines.
    ///
    /// # Errors
    /// Those of the recording and of the separation; [`Error::NoComponents`] for a component that there is not.
    pub(super) fn chunk(
        &self,
        recording: &Spool,
        tracks: Tracks<'_>,
        range: Range<u64>,
        region: Option<&(Stft, Region)>,
    ) -> Result<Vec<u8>> {
        let range = range.start.min(self.n_samples)..range.end.min(self.n_samples);
        let (down, up) = self.ratio;
        let margin = region.map_or(0, |(stft, _)| 2 * stft.config().n_fft as u64)
            + if (down, up) == (1, 1) { 0 } else { N_ZEROS as u64 * down + 1 };
        // From a whole hop on, so that frames lie where they do in the whole.
        let hop = region.map_or(1, |(stft, _)| stft.config().hop_length as u64);
        let start = (range.start * down / up).saturating_sub(margin) / hop * hop;
        let end = ((range.end * down).div_ceil(up) + margin).min(recording.n_samples());
        let mut bytes = Vec::new();
        for channels in self.native(recording, tracks, start..end.max(start))? {
            let heard = self.downmix(channels);
            let heard = match region {
                Some((stft, region)) => inside(heard, stft, region, start, recording.sample_rate()),
                None => heard,
            };
            for channel in heard.outer_iter() {
                let channel = channel.to_slice().expect("a row of a new matrix");
                let mut put = |x: f32| bytes.extend_from_slice(&x.to_le_bytes());
                if (down, up) == (1, 1) {
                    let first = (range.start - start) as usize;
                    channel[first..first + (range.end - range.start) as usize].iter().for_each(|x| put(*x));
                } else {
                    range.clone().for_each(|i| put(interpolated(channel, start, i, down, up)));
                }
            }
        }
        Ok(bytes)
    }

    /// The tracks at their own rate, with all their channels.
    fn native(&self, recording: &Spool, tracks: Tracks<'_>, range: Range<u64>) -> Result<Vec<Array2<f32>>> {
        let n_channels = |track| match tracks {
            Tracks::Stems(separation) if track > 0 => separation.n_stem_channels(),
            _ => recording.n_channels(),
        };
        let new = |track| Array2::zeros((n_channels(track), (range.end - range.start) as usize));
        let mut all: Vec<Array2<f32>> = (0..tracks.n_tracks()).map(new).collect();
        let put = |to: &mut Array2<f32>, start: usize, block: ArrayView2<'_, f32>| {
            to.slice_mut(s![.., start..start + block.ncols()]).assign(&block);
        };
        let mut start = 0;
        if !matches!(tracks, Tracks::Component(..)) {
            recording.read_range(range.clone(), &mut |block| {
                put(&mut all[0], start, block);
                start += block.ncols();
                Ok(())
            })?;
        }
        let (separation, stems, goals) = match tracks {
            Tracks::Mixture => return Ok(all),
            Tracks::Stems(separation) => (separation, Stems::All, &mut all[1..]),
            Tracks::Component(separation, component) => {
                let name = separation.names().get(component).ok_or(Error::NoComponents)?;
                (separation, Stems::Only(vec![name.clone()]), &mut all[..])
            }
        };
        start = 0;
        let samples = range.start as usize..range.end as usize;
        separation.render_range(recording, &stems, samples, &mut |blocks| {
            goals.iter_mut().zip(blocks).for_each(|(to, block)| put(to, start, block.view()));
            start += blocks[0].ncols();
            Ok(())
        })?;
        Ok(all)
    }

    fn downmix(&self, channels: Array2<f32>) -> Array2<f32> {
        if let Some(level) = self.level {
            return (channels.sum_axis(Axis(0)) * level).insert_axis(Axis(0));
        }
        if channels.nrows() <= 2 {
            return channels;
        }
        let mut heard = Array2::zeros((2, channels.ncols()));
        for (channel, gains) in channels.outer_iter().zip(&self.gains) {
            heard.outer_iter_mut().zip(gains).for_each(|(mut to, gain)| to.scaled_add(*gain, &channel));
        }
        heard
    }
}

/// How loud each of more than two channels is on the left and on the right: speakers of a side there, at 0 dB in front and
/// -3 dB elsewhere, others on both; all together by so much less that nothing clips that did not before.
fn gains(n_channels: usize, channel_mask: Option<u32>) -> Vec<[f32; 2]> {
    const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    // Bits of `dwChannelMask`, in their order.
    let speaker = |bit: u32| match bit {
        0 => [1.0, 0.0],
        1 => [0.0, 1.0],
        4 | 6 | 9 | 12 | 15 => [HALF, 0.0],
        5 | 7 | 10 | 14 | 17 => [0.0, HALF],
        _ => [HALF, HALF],
    };
    let bits: Vec<u32> = (0..32).filter(|bit| channel_mask.unwrap_or(0) >> bit & 1 == 1).collect();
    let channel = |i: usize| match bits.get(i).filter(|_| bits.len() == n_channels) {
        Some(bit) => speaker(*bit),
        None if i.is_multiple_of(2) => [1.0, 0.0],
        None => [0.0, 1.0],
    };
    let gains: Vec<[f32; 2]> = (0..n_channels).map(channel).collect();
    let sum = |side: usize| gains.iter().map(|gains| gains[side]).sum::<f32>();
    let loudest = sum(0).max(sum(1)).max(1.0);
    gains.into_iter().map(|gains| gains.map(|gain| gain / loudest)).collect()
}

/// Only what is inside a region; `start` is the first sample, a whole number of hops.
fn inside(channels: Array2<f32>, stft: &Stft, region: &Region, start: u64, sample_rate: u32) -> Array2<f32> {
    let mut heard = channels;
    let bins = region.hz.map(|hz| hz * stft.config().n_fft as f64 / f64::from(sample_rate));
    let [from, to] = region.t.map(|t| t * f64::from(sample_rate));
    let fade = (FADE_S * f64::from(sample_rate)).max(1.0);
    for mut channel in heard.outer_iter_mut() {
        let mut spectrum = stft.forward(channel.view());
        for ((_, bin), x) in spectrum.indexed_iter_mut() {
            if (bin as f64) < bins[0] - 0.5 || bin as f64 > bins[1] + 0.5 {
                *x = Complex32::ZERO;
            }
        }
        let filtered = stft.inverse(spectrum.view(), channel.len());
        for (i, (x, filtered)) in channel.iter_mut().zip(&filtered).enumerate() {
            let at = (start + i as u64) as f64;
            *x = filtered * ((at - from) / fade).min((to - at) / fade).clamp(0.0, 1.0) as f32;
        }
    }
    heard
}

/// A sample between samples, of what both rates hold: `i` counts at the new rate, `start` is the first of the samples.
fn interpolated(samples: &[f32], start: u64, i: u64, down: u64, up: u64) -> f32 {
    let at = i as f64 * down as f64 / up as f64 - start as f64;
    let cutoff = 1.0 / down as f64;
    let width = N_ZEROS as f64 / cutoff;
    let first = (at - width).ceil().max(0.0) as usize;
    let end = ((at + width).floor() + 1.0).min(samples.len() as f64) as usize;
    let sum: f64 = samples
        .iter()
        .enumerate()
        .take(end)
        .skip(first)
        .map(|(n, x)| {
            let t = (at - n as f64) * cutoff;
            let sinc = if t == 0.0 { 1.0 } else { (PI * t).sin() / (PI * t) };
            f64::from(*x) * cutoff * sinc * (0.5 + 0.5 * (PI * t / N_ZEROS as f64).cos())
        })
        .sum();
    sum as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Audio;
    use crate::stft::StftConfig;

    fn spool(sample_rate: u32, n_channels: usize, wave: &dyn Fn(usize, f64) -> f32) -> Spool {
        let wave = |(channel, i)| wave(channel, i as f64 / f64::from(sample_rate));
        let audio = Audio::new(Array2::from_shape_fn((n_channels, sample_rate as usize), wave), sample_rate);
        Spool::of(&audio.expect("audio"), &mut |_| Ok(())).expect("spool")
    }

    fn heard(spool: &Spool, range: Range<u64>, region: Option<&(Stft, Region)>) -> Vec<f32> {
        let bytes = Listening::to(spool).chunk(spool, Tracks::Mixture, range, region).expect("chunk");
        bytes.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
    }

    fn tone(hz: f64, t: f64) -> f32 {
        (2.0 * PI * hz * t).sin() as f32
    }

    #[test]
    fn high_and_low_rates_are_heard_at_one_that_browsers_play() {
        for (sample_rate, expected) in [(192_000, 96_000), (4000, 8000), (176_400, 88_200), (96_000, 96_000)] {
            let spool = spool(sample_rate, 1, &|_, t| tone(440.0, t));
            let listening = Listening::to(&spool);
            assert_eq!((listening.sample_rate, listening.n_samples), (expected, u64::from(expected)));
            let whole = heard(&spool, 0..listening.n_samples, None);
            let n_parts = 7;
            let edge = |i: u64| listening.n_samples * i / n_parts;
            let parts: Vec<f32> = (0..n_parts).flat_map(|i| heard(&spool, edge(i)..edge(i + 1), None)).collect();
            assert_eq!(whole, parts, "{sample_rate} Hz: ranges are parts of the whole");
            for i in (expected / 10..expected * 9 / 10).step_by(17) {
                let gap = whole[i as usize] - tone(440.0, f64::from(i) / f64::from(expected));
                assert!(gap.abs() < 1e-3, "{sample_rate} Hz, sample {i}: off by {gap}");
            }
        }
    }

    #[test]
    fn many_channels_are_heard_as_two_and_one_and_two_as_they_are() {
        let six = spool(8000, 6, &|channel, _| if channel == 0 { 1.0 } else { 0.0 });
        assert_eq!(Listening::to(&six).n_channels, 2);
        let samples = heard(&six, 0..10, None);
        assert!(samples[..10].iter().all(|x| *x > 0.2) && samples[10..].iter().all(|x| *x == 0.0), "{samples:?}");
        let loud = spool(8000, 5, &|_, _| 1.0);
        assert!(heard(&loud, 0..10, None).iter().all(|x| x.abs() <= 1.0 + 1e-6));
        let two = spool(8000, 2, &|channel, t| tone(300.0 * (channel + 1) as f64, t));
        let samples = heard(&two, 100..102, None);
        let at = |channel: usize, i: usize| tone(300.0 * (channel + 1) as f64, i as f64 / 8000.0);
        assert_eq!(samples, [at(0, 100), at(0, 101), at(1, 100), at(1, 101)]);
    }

    #[test]
    fn microphones_are_heard_together_in_one_channel() {
        let four = spool(8000, 4, &|channel, _| 0.25 * (channel + 1) as f32);
        let listening = Listening::to_microphones(&four, 2.5);
        assert_eq!(listening.n_channels, 1);
        let bytes = listening.chunk(&four, Tracks::Mixture, 0..2, None).expect("chunk");
        assert_eq!(bytes, [1f32.to_le_bytes(), 1f32.to_le_bytes()].concat());
        assert_eq!(Listening::to_microphones(&four, 0.5).level, Some(1.0), "what does not clip is heard as it is");
    }

    #[test]
    fn only_what_is_inside_a_region_is_heard() {
        let spool = spool(8000, 1, &|_, t| tone(500.0, t) + tone(2000.0, t));
        let stft = || Stft::new(StftConfig::new(1024)).expect("sizes");
        let region = (stft(), Region { t: [0.25, 0.5], hz: [300.0, 900.0] });
        let whole = heard(&spool, 0..8000, Some(&region));
        for (i, x) in whole.iter().enumerate() {
            let t = i as f64 / 8000.0;
            let expected = if (0.256..0.494).contains(&t) { tone(500.0, t) } else { *x };
            assert!((x - expected).abs() < 2e-3, "{t} s: {x}, expected {expected}");
            assert!((0.25..0.5).contains(&t) || *x == 0.0, "{t} s: {x}");
        }
        let parts: Vec<f32> =
            [0..2100, 2100..2101, 2101..8000].into_iter().flat_map(|r| heard(&spool, r, Some(&region))).collect();
        let gap = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-5 && parts.len() == 8000, "ranges differ from the whole by {gap}");
    }
}
