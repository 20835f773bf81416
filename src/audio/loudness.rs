//! How loud sound is: peaks, and loudness as broadcasters measure it. The only file that knows ebur128.
//! Measures what passes by, in bounded memory; changes nothing.

use ebur128::{Channel, EbuR128, Mode};
use serde::{Deserialize, Serialize};

/// Peaks and loudness of a file. What is silent has none of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Loudness {
    /// Largest absolute sample of all channels, in dB relative to full scale.
    pub sample_peak_dbfs: Option<f64>,
    /// Largest absolute value between samples, too (dBTP), found by oversampling to 192 kHz or more.
    pub true_peak_dbtp: Option<f64>,
    /// Integrated loudness in LUFS. None also where nothing reaches the gate of -70 LUFS, or where the sound is shorter than
    /// 0.4 s.
    pub integrated_lufs: Option<f64>,
}

/// Measures the [`Loudness`] of sound that comes block by block.
///
/// # Cost
/// Some 100 floating-point operations per sample. Memory: 0.4 s of sound, however much comes.
///
/// # References
/// ITU-R BS.1770-4, "Algorithms to measure audio programme loudness and true-peak audio level", 2015; EBU R 128, "Loudness
/// normalisation and permitted maximum level of audio signals", 2020.
///
/// # Examples
/// ```
/// use partita::audio::loudness::Meter;
/// // A tone of 997 Hz at full scale in one channel is at -3.01 LUFS.
/// let tone: Vec<f32> = (0..96_000).map(|i| (std::f32::consts::TAU * 997.0 * i as f32 / 48_000.0).sin()).collect();
/// let mut meter = Meter::new(48_000, 1, None).expect("within the limits");
/// meter.add(&tone);
/// let lufs = meter.finish().integrated_lufs.expect("not silent");
/// assert!((lufs + 3.01).abs() < 0.1);
/// ```
#[derive(Debug)]
pub struct Meter {
    meter: EbuR128,
    n_channels: u32,
}

impl Meter {
    /// A meter for sound of this rate (Hz) and these channels, in the order of WAV files. `channel_mask` has their
    /// speakers, as a WAV file's `dwChannelMask`; where it is not known, up to six channels are taken for the usual ones
    /// (with six, the fourth is the subwoofer, which does not count), and all of more than six count alike.
    ///
    /// `None` where the measure is not defined: for more than 64 channels, none, or less than 16 Hz or more than 2.8 MHz.
    pub fn new(sample_rate: u32, n_channels: usize, channel_mask: Option<u32>) -> Option<Self> {
        let n_channels = u32::try_from(n_channels).ok()?;
        // The histogram holds loudness in steps of 0.1 LU, however long the sound is.
        let mode = Mode::I | Mode::TRUE_PEAK | Mode::HISTOGRAM;
        let mut meter = EbuR128::new(n_channels, sample_rate, mode).ok()?;
        if let Some(channels) = speakers(n_channels as usize, channel_mask) {
            meter.set_channel_map(&channels).ok()?;
        }
        Some(Self { meter, n_channels })
    }

    /// Takes the next samples, interleaved: a whole number for each channel.
    ///
    /// # Panics
    /// Where `samples` is not a multiple of the number of channels.
    pub fn add(&mut self, samples: &[f32]) {
        self.meter.add_frames_f32(samples).expect("as many samples for each channel");
    }

    /// What all of the sound measured.
    pub fn finish(self) -> Loudness {
        let largest = |peak: &dyn Fn(u32) -> Result<f64, ebur128::Error>| {
            let largest = (0..self.n_channels).filter_map(|channel| peak(channel).ok()).fold(0.0, f64::max);
            (largest > 0.0).then(|| 20.0 * largest.log10())
        };
        Loudness {
            sample_peak_dbfs: largest(&|channel| self.meter.sample_peak(channel)),
            true_peak_dbtp: largest(&|channel| self.meter.true_peak(channel)),
            integrated_lufs: self.meter.loudness_global().ok().filter(|lufs| lufs.is_finite()),
        }
    }
}

/// Bits of `dwChannelMask`, from the lowest: what each speaker is to the measure. Speakers at the sides and behind count
/// 1.5 dB more, a subwoofer not at all. Those behind of a 5.1 layout are its surrounds, at 110 degrees.
const SPEAKERS: [Channel; 18] = [
    Channel::Left,
    Channel::Right,
    Channel::Center,
    Channel::Unused,
    Channel::LeftSurround,
    Channel::RightSurround,
    Channel::MpSC,
    Channel::MmSC,
    Channel::Mp180,
    Channel::Mp090,
    Channel::Mm090,
    Channel::Tp000,
    Channel::Up045,
    Channel::Up000,
    Channel::Um045,
    Channel::Up135,
    Channel::Up180,
    Channel::Um135,
];

const BACK_LEFT: usize = 4;
const BACK_RIGHT: usize = 5;
const SIDES: u32 = 0x600;

/// The speakers of all channels; `None`: those of up to six that the measure takes by itself.
fn speakers(n_channels: usize, channel_mask: Option<u32>) -> Option<Vec<Channel>> {
    let mask = channel_mask.filter(|mask| *mask != 0);
    let Some(mask) = mask else { return (n_channels > 6).then(|| vec![Channel::Center; n_channels]) };
    let of_bit = |bit: usize| match bit {
        // With speakers at the sides, those behind are farther back.
        BACK_LEFT if mask & SIDES != 0 => Channel::Mp135,
        BACK_RIGHT if mask & SIDES != 0 => Channel::Mm135,
        _ => SPEAKERS.get(bit).copied().unwrap_or(Channel::Center),
    };
    let named = (0..32).filter(|bit| mask >> bit & 1 == 1).map(of_bit);
    // Channels beyond those of the mask have no place.
    Some(named.chain(std::iter::repeat(Channel::Center)).take(n_channels).collect())
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    const RATE: u32 = 48_000;

    /// Ten seconds of a tone of 997 Hz at -20 dB, in one of several channels.
    fn measured(n_channels: usize, mask: Option<u32>, channel: usize, level: f32) -> Loudness {
        let mut meter = Meter::new(RATE, n_channels, mask).expect("a meter");
        for second in 0..10 {
            let mut block = vec![0.0; n_channels * RATE as usize];
            for i in 0..RATE as usize {
                let t = (second * RATE as usize + i) as f32 / RATE as f32;
                block[i * n_channels + channel] = level * (TAU * 997.0 * t).sin();
            }
            meter.add(&block);
        }
        meter.finish()
    }

    #[test]
    fn each_speaker_has_its_weight() {
        // BS.1770: -23.01 LUFS for such a tone in front; steps of the histogram are 0.1 LU.
        for (n_channels, mask, channel, expected) in [
            (1, None, 0, Some(-23.01)),
            (2, None, 1, Some(-23.01)),
            (6, None, 4, Some(-21.52)),
            (6, None, 3, None),
            (6, Some(0x3F), 3, None),
            (6, Some(0x3F), 5, Some(-21.52)),
            (6, Some(0x60F), 4, Some(-21.52)),
            // Behind in 7.1, farther back than the surrounds.
            (8, Some(0x63F), 4, Some(-23.01)),
            (8, Some(0x63F), 6, Some(-21.52)),
            (8, None, 3, Some(-23.01)),
        ] {
            let found = measured(n_channels, mask, channel, 0.1);
            let what = format!("channel {channel} of {n_channels}, {mask:?}");
            assert_eq!(found.integrated_lufs.is_some(), expected.is_some(), "{what}: {found:?}");
            if let (Some(found), Some(expected)) = (found.integrated_lufs, expected) {
                let expected: f64 = expected;
                assert!((found - expected).abs() < 0.1, "{what}: {found}, expected {expected}");
            }
            assert!((found.sample_peak_dbfs.expect("a peak") + 20.0).abs() < 0.01, "{what}: {found:?}");
        }
    }

    #[test]
    fn silence_has_no_loudness() {
        assert_eq!(measured(2, None, 0, 0.0), Loudness::default());
        let faint = measured(2, None, 0, 1e-5);
        assert_eq!(faint.integrated_lufs, None, "below the gate");
        assert!(faint.sample_peak_dbfs.is_some_and(|peak| (peak + 100.0).abs() < 0.01), "{faint:?}");
    }

    #[test]
    fn what_lies_between_samples_is_a_true_peak() {
        // A quarter of the rate, sampled at 45 degrees: every sample is 3 dB below the peak.
        let sample = |i: u32| if i & 2 == 0 { 0.5f32.sqrt() } else { -0.5f32.sqrt() };
        // It sets in softly, since a sudden start has a peak of its own.
        let tone: Vec<_> = (0..RATE).map(|i| sample(i) * (i as f32 / 4800.0).min(1.0)).collect();
        let mut meter = Meter::new(RATE, 1, None).expect("a meter");
        meter.add(&tone);
        let found = meter.finish();
        let (sample, between) = (found.sample_peak_dbfs.expect("some"), found.true_peak_dbtp.expect("some"));
        assert!((sample + 3.01).abs() < 0.01, "{sample} dBFS");
        // The norm allows 0.6 dB less at four times the rate.
        assert!((-0.6..0.4).contains(&between), "{between} dBTP");
    }
}
