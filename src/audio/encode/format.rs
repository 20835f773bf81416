//! Kinds of files, of samples and of clipping, and what is known of a file before its first sample.

use crate::audio::Audio;

/// A kind of audio file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileFormat {
    /// RIFF/WAVE, and RF64 (EBU Tech 3306) where 4 GiB do not suffice.
    #[default]
    Wav,
    /// FLAC (RFC 9639).
    Flac,
}

impl FileFormat {
    /// Every format, in the order in which help texts list them.
    pub const ALL: [Self; 2] = [Self::Wav, Self::Flac];

    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Flac => "FLAC",
        }
    }

    /// Ending of a file's name, without the dot; also the word on the command line.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Flac => "flac",
        }
    }

    /// The best that the format can hold: float32 in WAV, int24 in FLAC.
    pub fn default_sample_format(self) -> SampleFormat {
        match self {
            Self::Wav => SampleFormat::Float32,
            Self::Flac => SampleFormat::Int24,
        }
    }
}

/// How a sample is stored. Full scale, -1 to 1, is -2^15 to 2^15 in int16 and -2^23 to 2^23 in int24, where the one
/// value that integers lack, +1 itself, becomes the largest there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SampleFormat {
    /// 16 bits, with triangular dither of one step either way (TPDF): the error is a noise of constant power and
    /// unrelated to the sound, instead of a distortion of it. A sample that is exactly 0 stays 0, so that digital
    /// silence stays silent.
    ///
    /// # References
    /// S. P. Lipshitz, R. A. Wannamaker, J. Vanderkooy, "Quantization and dither: a theoretical survey", J. Audio
    /// Eng. Soc. 40(5), 1992.
    Int16,
    /// 24 bits, rounded to the nearest: the error lies 144 dB below full scale, under the noise of any converter.
    Int24,
    /// 32 bits, floating point: every sample as it is, at any level.
    #[default]
    Float32,
}

impl SampleFormat {
    /// Every format, in the order in which help texts list them.
    pub const ALL: [Self; 3] = [Self::Int16, Self::Int24, Self::Float32];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int16 => "int16",
            Self::Int24 => "int24",
            Self::Float32 => "float32",
        }
    }

    /// What loses least: integers are rescaled, floating point needs nothing.
    pub fn default_clip_mode(self) -> ClipMode {
        match self {
            Self::Int16 | Self::Int24 => ClipMode::Rescale,
            Self::Float32 => ClipMode::None,
        }
    }

    /// Bytes of one sample.
    pub fn n_bytes(self) -> usize {
        match self {
            Self::Int16 => 2,
            Self::Int24 => 3,
            Self::Float32 => 4,
        }
    }

    /// Largest sample that comes through dither and rounding without being cut: the largest integer, for int16 less
    /// the step that dither may add.
    pub(super) fn largest(self) -> f32 {
        match self {
            Self::Int16 => 32_766.0 / 32_768.0,
            Self::Int24 => 8_388_607.0 / 8_388_608.0,
            Self::Float32 => 1.0,
        }
    }
}

/// What becomes of samples beyond full scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClipMode {
    /// Everything is made quieter by one gain, so that nothing is beyond. Stems share one gain, the
    /// [`rescale_gain`](super::rescale_gain) of their common peak, which goes to [`Writer::create`](super::Writer::create).
    Rescale,
    /// They are set to full scale, and counted.
    Clamp,
    /// They are kept in float32, and refused in the integer formats.
    #[default]
    None,
}

impl ClipMode {
    /// Every mode, in the order in which help texts list them.
    pub const ALL: [Self; 3] = [Self::Rescale, Self::Clamp, Self::None];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rescale => "rescale",
            Self::Clamp => "clamp",
            Self::None => "none",
        }
    }
}

/// What is known of a file before its first sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Hz.
    pub sample_rate: u32,
    /// Number of channels.
    pub n_channels: usize,
    /// Speaker of each channel, as in [`Audio::with_channel_mask`]. `None`: mono and stereo as usual; with more
    /// channels, written as 0, "no speaker".
    pub channel_mask: Option<u32>,
    /// Samples per channel that will come, where that is known. If it is, another number of them is an error.
    pub n_samples: Option<u64>,
}

impl From<&Audio> for Spec {
    fn from(audio: &Audio) -> Self {
        Self {
            sample_rate: audio.sample_rate(),
            n_channels: audio.n_channels(),
            channel_mask: audio.channel_mask(),
            n_samples: Some(audio.n_samples() as u64),
        }
    }
}

/// Whether no mask is needed to know the speakers, or that there are none: mono and stereo as usual, or no mask at all.
pub(super) fn names_usual_speakers(n_channels: usize, channel_mask: Option<u32>) -> bool {
    matches!((n_channels, channel_mask), (_, None) | (1, Some(0x4)) | (2, Some(0x3)))
}
