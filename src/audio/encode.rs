//! Writes audio files: WAV, RF64 and FLAC, block by block, each complete or not at all.
//! Nothing here changes a sample but the gain, the clip mode and the rounding that were asked for.

use std::{
    io,
    path::{Path, PathBuf},
};

use ndarray::{ArrayView2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use self::format::{ClipMode, FileFormat, SampleFormat, Spec};
use self::{flac::Flac, rf64::Rf64, wav::Wav};
use super::loudness::{Loudness, Meter};
use super::tags::Tags;
use super::{Audio, check_finite};
use crate::error::Advice;
use crate::{
    Error, Result,
    atomic::{AtomicFile, Existing},
};

mod flac;
mod format;
mod rf64;
mod tags;
mod wav;

/// What to write, apart from the sound itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodeConfig {
    /// Kind of file. Default WAV.
    pub file_format: FileFormat,
    /// How a sample is stored. Default float32; FLAC needs an integer format ([`FileFormat::default_sample_format`]).
    pub sample_format: SampleFormat,
    /// What becomes of samples beyond full scale. Default [`ClipMode::None`], which suits float32
    /// ([`SampleFormat::default_clip_mode`]).
    pub clip_mode: ClipMode,
    /// Whether a file that is there may be replaced. Default: it may not.
    pub existing: Existing,
    /// The dither of int16 comes from it. Default 0. Files that will be mixed again should have different seeds:
    /// equal noises add up by 6 dB for two files, different ones by 3 dB.
    pub seed: u64,
    /// Whether the loudness of what is written is measured ([`Written::loudness`]). Default: it is not.
    pub loudness: bool,
    /// What the file says of its sound. WAV and RF64 have it as chunks behind the samples (`bext`, `cue `, `LIST`, `id3 `),
    /// FLAC as comments. Default: nothing.
    pub tags: Tags,
}

impl EncodeConfig {
    /// Refuses what the file format cannot hold.
    ///
    /// # Errors
    /// [`Error::Setting`] on float32 in FLAC, on more than 8 channels or 96 kHz in FLAC, on channels that do not fit
    /// into a WAV header, without a channel, and with a sample rate of 0.
    pub fn check(&self, spec: &Spec) -> Result<()> {
        let refused = |name, got: String, expected: String, advice: Option<Advice>| {
            Err(Error::Setting { name, got, expected, advice: advice.map(Box::new) })
        };
        let (max_channels, max_rate) = match self.file_format {
            FileFormat::Wav => (MAX_BLOCK_BYTES / self.sample_format.n_bytes(), u32::MAX),
            FileFormat::Flac => (flac::MAX_CHANNELS, flac::MAX_SAMPLE_RATE),
        };
        let name = self.file_format.name();
        let use_wav = (self.file_format == FileFormat::Flac)
            .then(|| Advice::set("file_format", "wav").note("which has no such limit"));
        if self.file_format == FileFormat::Flac && self.sample_format == SampleFormat::Float32 {
            let advice = Advice::set("sample_format", "int24")
                .or("file_format", "wav")
                .note("which holds floating-point samples");
            return refused("sample_format", "float32".into(), "int16 or int24 in a FLAC file".into(), Some(advice));
        }
        if !(1..=max_channels).contains(&spec.n_channels) {
            let expected = format!("1 to {max_channels} in a {name} file of {} samples", self.sample_format.name());
            return refused("n_channels", spec.n_channels.to_string(), expected, use_wav);
        }
        if !(1..=max_rate).contains(&spec.sample_rate) {
            let expected = format!("1 to {max_rate} Hz in a {name} file");
            return refused("sample_rate", spec.sample_rate.to_string(), expected, use_wav);
        }
        Ok(())
    }
}

/// What has been written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Written {
    /// Samples per channel.
    pub n_samples: u64,
    /// Samples that [`ClipMode::Clamp`] set to full scale, over all channels.
    pub n_clamped: u64,
    /// The gain that every sample was multiplied by; 1 but for [`ClipMode::Rescale`].
    pub gain: f32,
    /// How loud the file is, with gain, clipping and rounding, where [`EncodeConfig::loudness`] asks for it and the measure
    /// is defined ([`Meter::new`]).
    pub loudness: Option<Loudness>,
}

/// Writes a recording to a file.
///
/// # Errors
/// As [`Writer::create`], [`Writer::write`] and [`Writer::finish`].
///
/// # Examples
/// ```
/// use partita::audio::{Audio, encode::{self, EncodeConfig}};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("silence.wav");
/// let silence = Audio::new(ndarray::Array2::zeros((2, 44_100)), 44_100)?;
/// let written = encode::write(&path, &silence, &EncodeConfig::default())?;
/// assert_eq!((written.n_samples, written.gain), (44_100, 1.0));
/// assert!(path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(path: &Path, audio: &Audio, config: &EncodeConfig) -> Result<Written> {
    let gain = match config.clip_mode {
        ClipMode::Rescale => rescale_gain(audio.peak(), config.sample_format),
        ClipMode::Clamp | ClipMode::None => 1.0,
    };
    let mut writer = Writer::create(path, audio.into(), gain, config)?;
    writer.write(audio.samples())?;
    writer.finish()
}

/// The gain for [`ClipMode::Rescale`]: exactly 1 where `peak`, the largest absolute sample of all files that belong
/// together, is within full scale; else what brings it there, so that no sample is cut.
pub fn rescale_gain(peak: f32, sample_format: SampleFormat) -> f32 {
    if peak <= 1.0 {
        return 1.0;
    }
    let largest = sample_format.largest();
    let gain = largest / peak;
    // The quotient may have been rounded up, and then the peak would come out one unit too large.
    if gain * peak > largest { gain.next_down() } else { gain }
}

/// A file that takes its samples block by block, in any partition, with the same bytes as a result. It is complete,
/// and seen under its name, after [`finish`](Self::finish); dropped before, it leaves nothing behind, so after an
/// error there is nothing to clean up.
///
/// # Cost
/// Memory for one block of 4096 samples per channel, however long the file becomes.
#[derive(Debug)]
pub struct Writer {
    sink: Sink,
    path: PathBuf,
    spec: Spec,
    config: EncodeConfig,
    gain: f32,
    dither: ChaCha8Rng,
    /// The current block, interleaved, as a reader will see it, and as the file holds it: little-endian.
    samples: Vec<f32>,
    bytes: Vec<u8>,
    meter: Option<Meter>,
    n_samples: u64,
    n_clamped: u64,
}

impl Writer {
    /// Opens a file, and the folders on the way to it. Every sample will be multiplied by `gain`, 1 or the
    /// [`rescale_gain`].
    ///
    /// # Errors
    /// As [`EncodeConfig::check`] and [`AtomicFile::create`]; [`Error::Setting`] unless 0 < `gain` <= 1.
    pub fn create(path: &Path, spec: Spec, gain: f32, config: &EncodeConfig) -> Result<Self> {
        config.check(&spec)?;
        if !(gain > 0.0 && gain <= 1.0) {
            let expected = "above 0, and 1 at the most".into();
            return Err(Error::Setting { name: "gain", got: gain.to_string(), expected, advice: None });
        }
        let file = AtomicFile::create(path, config.existing)?;
        let chunks = tags::chunks(&config.tags);
        let sink = match config.file_format {
            FileFormat::Wav if wav::can_hold(&spec, config.sample_format, &chunks) => {
                Wav::new(file, &spec, config.sample_format, chunks).map(Sink::Wav)
            }
            FileFormat::Wav => Rf64::new(file, &spec, config.sample_format, chunks).map(Sink::Rf64),
            FileFormat::Flac => {
                let comments = tags::comments(&config.tags, spec.sample_rate);
                Flac::new(file, &spec, config.sample_format, comments).map(|flac| Sink::Flac(Box::new(flac)))
            }
        };
        let meter = config.loudness.then(|| Meter::new(spec.sample_rate, spec.n_channels, spec.channel_mask));
        Ok(Self {
            sink: sink.map_err(|source| Error::WriteFile { path: path.into(), source })?,
            path: path.into(),
            spec,
            config: config.clone(),
            gain,
            dither: ChaCha8Rng::seed_from_u64(config.seed),
            samples: Vec::new(),
            bytes: Vec::new(),
            meter: meter.flatten(),
            n_samples: 0,
            n_clamped: 0,
        })
    }

    /// Appends a block, `n_channels` x any number of samples.
    ///
    /// # Errors
    /// [`Error::MatrixShape`] on another number of channels, [`Error::SampleCount`] on more samples than were
    /// announced, [`Error::NonFiniteSample`] on NaN and infinity, [`Error::BeyondFullScale`] on a sample beyond -1
    /// to 1 in an integer format that is not to be clamped, [`Error::WriteFile`] if the system says no.
    pub fn write(&mut self, block: ArrayView2<'_, f32>) -> Result<()> {
        self.check_block(block)?;
        for chunk in block.axis_chunks_iter(Axis(1), CHUNK_SAMPLES) {
            self.interleave(chunk);
            self.round();
            let put = self.sink.write(&self.bytes);
            put.map_err(|source| Error::WriteFile { path: self.path.clone(), source })?;
            if let Some(meter) = &mut self.meter {
                meter.add(&self.samples);
            }
            self.n_samples += chunk.ncols() as u64;
        }
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// [`Error::SampleCount`] on fewer samples than were announced; else as [`AtomicFile::commit`].
    pub fn finish(self) -> Result<Written> {
        let (file, written) = self.close()?;
        file.commit()?;
        Ok(written)
    }

    /// Completes the content; the file is seen under its name when it is committed, with others that belong to it by
    /// [`atomic::commit_all`](crate::atomic::commit_all).
    ///
    /// # Errors
    /// [`Error::SampleCount`] on fewer samples than were announced; [`Error::WriteFile`] if the system says no.
    pub fn close(self) -> Result<(AtomicFile, Written)> {
        let Self { sink, path, spec, gain, n_samples, n_clamped, meter, .. } = self;
        if let Some(expected) = spec.n_samples.filter(|&expected| expected != n_samples) {
            return Err(Error::SampleCount { path, expected, got: n_samples });
        }
        let file = sink.finish().map_err(|source| Error::WriteFile { path, source })?;
        Ok((file, Written { n_samples, n_clamped, gain, loudness: meter.map(Meter::finish) }))
    }

    fn check_block(&self, block: ArrayView2<'_, f32>) -> Result<()> {
        if block.nrows() != self.spec.n_channels {
            let expected = (self.spec.n_channels, block.ncols());
            return Err(Error::MatrixShape { what: "the block of samples", got: block.dim(), expected });
        }
        let got = self.n_samples + block.ncols() as u64;
        if let Some(expected) = self.spec.n_samples.filter(|&expected| got > expected) {
            return Err(Error::SampleCount { path: self.path.clone(), expected, got });
        }
        check_finite(block, self.n_samples as usize, self.spec.sample_rate)?;
        if self.config.sample_format == SampleFormat::Float32 || self.config.clip_mode == ClipMode::Clamp {
            return Ok(());
        }
        let beyond = |&((_, _), x): &((usize, usize), &f32)| (self.gain * x).abs() > 1.0;
        match block.t().indexed_iter().find(beyond) {
            None => Ok(()),
            Some(((i, channel_idx), x)) => Err(Error::BeyondFullScale {
                path: self.path.clone(),
                channel: channel_idx + 1,
                time_s: (self.n_samples + i as u64) as f64 / f64::from(self.spec.sample_rate),
                value: self.gain * x,
            }),
        }
    }

    /// Takes the next block, with the gain, and within full scale where it is to be clamped.
    fn interleave(&mut self, block: ArrayView2<'_, f32>) {
        self.samples.resize(block.len(), 0.0);
        for (channel_idx, channel) in block.outer_iter().enumerate() {
            let places = self.samples.iter_mut().skip(channel_idx).step_by(block.nrows());
            places.zip(channel).for_each(|(to, x)| *to = self.gain * x);
        }
        if self.config.clip_mode == ClipMode::Clamp {
            for x in self.samples.iter_mut().filter(|x| x.abs() > 1.0) {
                *x = x.signum();
                self.n_clamped += 1;
            }
        }
    }

    /// Rounds the samples of the block to what the file holds.
    fn round(&mut self) {
        let Self { samples, bytes, dither, .. } = self;
        match self.config.sample_format {
            SampleFormat::Int16 => encode(samples, bytes, |x| {
                // Drawn for zeros too, so that the noise of a sample depends on nothing but its place.
                let dither = triangular(dither);
                let steps = quantize::<16>(*x, if *x == 0.0 { 0.0 } else { dither });
                *x = steps as f32 / 32_768.0;
                (steps as i16).to_le_bytes()
            }),
            SampleFormat::Int24 => encode(samples, bytes, |x| {
                let steps = quantize::<24>(*x, 0.0);
                *x = steps as f32 / 8_388_608.0;
                let [a, b, c, _] = steps.to_le_bytes();
                [a, b, c]
            }),
            SampleFormat::Float32 => encode(samples, bytes, |x| x.to_le_bytes()),
        }
    }
}

/// The bytes of all samples.
fn encode<const N: usize>(samples: &mut [f32], bytes: &mut Vec<u8>, mut of: impl FnMut(&mut f32) -> [u8; N]) {
    bytes.resize(N * samples.len(), 0);
    bytes.as_chunks_mut().0.iter_mut().zip(samples).for_each(|(to, x)| *to = of(x));
}

/// Samples per channel that are converted and handed on at a time.
const CHUNK_SAMPLES: usize = 4096;

/// Bytes of one sample of all channels that the header of a WAV or RF64 file can express (`nBlockAlign` has 16 bits).
const MAX_BLOCK_BYTES: usize = 65_535;

/// The formats, behind one face: all take interleaved little-endian bytes.
#[derive(Debug)]
enum Sink {
    Wav(Wav<AtomicFile>),
    Rf64(Rf64<AtomicFile>),
    Flac(Box<Flac<AtomicFile>>),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.write(bytes),
            Self::Rf64(rf64) => rf64.write(bytes),
            Self::Flac(flac) => flac.write(bytes),
        }
    }

    fn finish(self) -> io::Result<AtomicFile> {
        match self {
            Self::Wav(wav) => wav.finish(),
            Self::Rf64(rf64) => rf64.finish(),
            Self::Flac(flac) => flac.finish(),
        }
    }
}

/// The nearest integer of so many bits to a sample with noise (in steps) added. Computed in f64, because near full
/// scale f32 has only 9 bits left for the noise.
fn quantize<const BITS: u32>(x: f32, noise: f64) -> i32 {
    let full_scale = f64::from(1 << (BITS - 1));
    (f64::from(x) * full_scale + noise).round().clamp(-full_scale, full_scale - 1.0) as i32
}

/// A random number of triangular distribution between -1 and 1: the difference of two uniform ones of 16 bits each.
fn triangular(rng: &mut ChaCha8Rng) -> f64 {
    let bits = rng.next_u32();
    (f64::from(bits >> 16) - f64::from(bits & 0xFFFF)) / 65_536.0
}
