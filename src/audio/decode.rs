//! Reads audio files of every common format into blocks of samples. Nothing outside this file and its folder knows
//! symphonia, lewton or ropus.
//! Nothing is shortened in silence: a file that is cut off or damaged ends in an error that says where.

use std::fs::File;
use std::io::{self, Read as _, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use ndarray::{Array2, ArrayView2, Axis, s};

use self::coded::Coded;
use self::fault::Fault;
use self::format::Format;
use self::kind::Kind;
use self::wav::Wav;
use super::{Audio, BLOCK_SAMPLES, Recording, check_finite};
use crate::error::Advice;
use crate::{Error, Result};

mod aac;
mod coded;
mod fault;
mod format;
mod frames;
mod kind;
mod matroska;
mod mp4;
mod ogg;
mod opus;
mod vorbis;
mod wav;

/// A recording that is read block by block, from its start.
///
/// Channels come in the order of WAV files (the bits of `dwChannelMask`), whatever the order in the file. Samples that
/// encoders add at both ends (priming, padding) are left out.
///
/// # Examples
/// ```no_run
/// let mut reader = partita::audio::decode::Reader::open("song.flac".as_ref())?;
/// let mut n_samples = 0;
/// loop {
///     let block = reader.read(65_536)?; // n_channels x n
///     if block.is_empty() {
///         break;
///     }
///     n_samples += block.ncols();
/// }
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    format: Format,
    source: Source,
    /// Samples per channel that were handed out or skipped.
    position: u64,
    /// Decoded and not yet handed out, interleaved.
    pending: Vec<f32>,
    /// What is wrong with the samples after the pending ones.
    fault: Option<Fault>,
}

/// Where the samples come from.
#[derive(Debug)]
enum Source {
    Wav(Box<Wav>),
    Coded(Box<Coded>),
    /// All was read, or an error was reported.
    Ended,
}

/// Higher than any sample rate of PCM audio (32 times 48 kHz), in Hz; a header that says more is wrong.
const MAX_SAMPLE_RATE: u32 = 1_536_000;

/// Extensions of the files that can be read.
const EXTENSIONS: &[&str] = &[
    "aac", "aif", "aifc", "aiff", "alac", "bw64", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov", "mp1", "mp2",
    "mp3", "mp4", "oga", "ogg", "opus", "rf64", "wav", "wave", "weba", "webm",
];

impl Reader {
    /// Opens a file and reads its headers.
    ///
    /// # Errors
    /// [`Error::OpenAudio`] if the file cannot be opened; [`Error::NotAudio`], [`Error::EmptyAudioFile`] or
    /// [`Error::NoAudioTrack`] if it holds no audio; [`Error::UnsupportedAudio`] if its codec is not read here;
    /// [`Error::MalformedAudio`] or [`Error::AudioCutOff`] if its headers are wrong or incomplete.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
            // Reading one fails with a message that depends on the system.
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        });
        let file = opened.map_err(|source| Error::OpenAudio { path: path.into(), source })?;
        // A pipe that has a name, as in `<(...)` of a shell.
        if file.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Self::from_file(path, spool(path, file)?);
        }
        Self::from_file(path, file)
    }

    /// Reads a recording from standard input or another stream; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`Reader::open`]; [`Error::OpenAudio`] if the stream cannot be read.
    ///
    /// # Cost
    /// The stream is copied into an unnamed temporary file first, because most formats cannot be read in order.
    pub fn from_stream(name: &str, stream: impl io::Read) -> Result<Self> {
        let path = Path::new(name);
        Self::from_file(path, spool(path, stream)?)
    }

    /// Samples per second and channel, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.format.sample_rate
    }

    /// Number of channels, at least 1.
    pub fn n_channels(&self) -> usize {
        self.format.n_channels
    }

    /// Speaker positions as in a WAV file's `dwChannelMask`, where they are known and not simply mono or stereo.
    pub fn channel_mask(&self) -> Option<u32> {
        self.format.channel_mask
    }

    /// The file format in words: "WAV", "MP4", "Ogg".
    pub fn container(&self) -> &str {
        self.format.container
    }

    /// The encoding in words: "16-bit PCM", "AAC", "Vorbis".
    pub fn codec(&self) -> &str {
        &self.format.codec
    }

    /// Samples per channel as the headers say, where they say so. They may be wrong: good for a progress bar, not for
    /// an allocation.
    pub fn n_samples_hint(&self) -> Option<u64> {
        self.format.n_samples
    }

    /// The next samples, `n_channels` x at most `max_samples`. Fewer come only at the end of the recording or before
    /// an error; none: the recording has ended.
    ///
    /// # Errors
    /// [`Error::AudioCutOff`] where the file ends before the recording does; [`Error::CorruptAudio`] at data that
    /// cannot be decoded; [`Error::AudioChanges`] where the sample rate or channel count does;
    /// [`Error::NonFiniteSample`] on NaN, infinity or more than 1e12. All samples before that place are handed out
    /// first. After an error the recording counts as ended.
    ///
    /// # Cost
    /// One allocation of the block; the decoder is at most one packet ahead.
    pub fn read(&mut self, max_samples: usize) -> Result<Array2<f32>> {
        let n_channels = self.format.n_channels;
        let n_samples = self.fill(max_samples)?.min(max_samples);
        let mut block = Array2::zeros((n_channels, n_samples));
        for (channel_idx, mut channel) in block.outer_iter_mut().enumerate() {
            let samples = self.pending.iter().skip(channel_idx).step_by(n_channels);
            channel.iter_mut().zip(samples).for_each(|(out, &sample)| *out = sample);
        }
        // Positions in memory fit.
        if let Err(error) = check_finite(block.view(), self.position as usize, self.format.sample_rate) {
            let is_fine = |samples: &ArrayView2<'_, f32>| check_finite(samples.view(), 0, 1).is_ok();
            let n_fine = block.axis_chunks_iter(Axis(1), 1).take_while(is_fine).count();
            if n_fine == 0 {
                self.source = Source::Ended;
                self.pending.clear();
                return Err(error);
            }
            // What comes before is handed out, and the next call ends here.
            block = block.slice_move(s![.., ..n_fine]);
        }
        self.drop_pending(block.ncols());
        Ok(block)
    }

    /// Drops the next `n_samples` samples per channel and returns how many there were; fewer if the recording ends.
    /// Exact in every format: what is dropped is decoded, unless samples have places of their own (WAV), where they are
    /// passed over.
    ///
    /// # Errors
    /// As [`Reader::read`], but for samples that are not finite.
    pub fn skip(&mut self, n_samples: u64) -> Result<u64> {
        let mut n_left = n_samples;
        while n_left > 0 {
            if self.pending.is_empty() {
                n_left -= self.pass_over(n_left)?;
            }
            let n_available = if n_left > 0 { self.fill(1)? } else { 0 };
            if n_available == 0 {
                break;
            }
            let n_dropped = usize::try_from(n_left).unwrap_or(usize::MAX).min(n_available);
            self.drop_pending(n_dropped);
            n_left -= n_dropped as u64;
        }
        Ok(n_samples - n_left)
    }

    fn from_file(path: &Path, mut file: File) -> Result<Self> {
        let (source, format) = open_source(&mut file).map_err(|fault| fault.at(path, 0, 1))?;
        if format.sample_rate == 0 || format.sample_rate > MAX_SAMPLE_RATE {
            let reason = format!("it declares a sample rate of {} Hz", format.sample_rate);
            return Err(Error::MalformedAudio { path: path.into(), reason });
        }
        Ok(Self { path: path.into(), format, source, position: 0, pending: Vec::new(), fault: None })
    }

    /// Goes on by at most `n_samples` samples per channel without decoding them, where the file allows it; nothing may be
    /// pending. Returns by how many.
    fn pass_over(&mut self, n_samples: u64) -> Result<u64> {
        let Source::Wav(wav) = &mut self.source else { return Ok(0) };
        let passed = wav.skip(n_samples, self.format.n_channels);
        let passed = passed.map_err(|fault| fault.at(&self.path, self.position, self.format.sample_rate))?;
        self.position += passed;
        Ok(passed)
    }

    /// Decodes until `n_samples` samples per channel are pending or no more come. Returns how many are pending.
    fn fill(&mut self, n_samples: usize) -> Result<usize> {
        let n_channels = self.format.n_channels;
        while self.fault.is_none() && self.pending.len() / n_channels < n_samples {
            let more = match &mut self.source {
                Source::Wav(wav) => wav.next(&mut self.pending, n_channels),
                Source::Coded(coded) => coded.next(&mut self.pending),
                Source::Ended => break,
            };
            match more {
                Ok(true) => {}
                Ok(false) => self.source = Source::Ended,
                Err(fault) => {
                    self.source = Source::Ended;
                    self.fault = Some(fault);
                }
            }
        }
        let n_pending = self.pending.len() / n_channels;
        match self.fault.take_if(|_| n_pending == 0 && n_samples > 0) {
            Some(fault) => Err(fault.at(&self.path, self.position, self.format.sample_rate)),
            None => Ok(n_pending),
        }
    }

    fn drop_pending(&mut self, n_samples: usize) {
        self.pending.drain(..n_samples * self.format.n_channels);
        self.position += n_samples as u64;
    }
}

/// A recording in a file, or the part of one between two times; it is opened anew each time it is read, so that it is
/// never in memory as a whole.
///
/// # Examples
/// ```no_run
/// use partita::audio::{Recording, decode::AudioFile};
/// let song = AudioFile::open("song.flac".as_ref())?.with_excerpt(10.0, Some(5.0));
/// let mut n_samples = 0;
/// song.read(&mut |block| Ok(n_samples += block.ncols()))?;
/// assert_eq!(n_samples as u32, 5 * song.sample_rate());
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug)]
pub struct AudioFile {
    path: PathBuf,
    /// What came from a pipe; locked while it is read, since all handles on it share one position.
    spooled: Option<Mutex<File>>,
    /// What tells that a file is still the one that was opened.
    stamp: Option<Stamp>,
    format: Format,
    start: u64,
    n_samples: Option<u64>,
}

impl AudioFile {
    /// Opens a file and reads its headers.
    ///
    /// # Errors
    /// Those of [`Reader::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let at = |source| Error::OpenAudio { path: path.into(), source };
        // A pipe that has a name gives its samples once.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Self::spooled(path, File::open(path).map_err(at)?);
        }
        let stamp = stamp(path);
        let format = Reader::open(path)?.format;
        Ok(Self { path: path.into(), spooled: None, stamp, format, start: 0, n_samples: None })
    }

    /// Takes a recording from standard input or another stream; `name` stands for it in messages.
    ///
    /// # Errors
    /// Those of [`Reader::from_stream`].
    ///
    /// # Cost
    /// The stream is copied into an unnamed temporary file.
    pub fn from_stream(name: &str, stream: impl io::Read) -> Result<Self> {
        Self::spooled(Path::new(name), stream)
    }

    fn spooled(path: &Path, stream: impl io::Read) -> Result<Self> {
        let file = spool(path, stream)?;
        let at = |source| Error::OpenAudio { path: path.into(), source };
        let format = Reader::from_file(path, file.try_clone().map_err(at)?)?.format;
        Ok(Self { path: path.into(), spooled: Some(Mutex::new(file)), stamp: None, format, start: 0, n_samples: None })
    }

    /// Only the part that starts at `start_s` and lasts `duration_s`, or to the end, in seconds.
    ///
    /// Reading it fails with [`Error::Setting`] where the start is after the end.
    pub fn with_excerpt(mut self, start_s: f64, duration_s: Option<f64>) -> Self {
        let sample_rate = f64::from(self.format.sample_rate);
        self.start = (start_s * sample_rate).round() as u64;
        self.n_samples = duration_s.map(|duration_s| (duration_s * sample_rate).round() as u64);
        self
    }

    /// The file format in words: "WAV", "MP4", "Ogg".
    pub fn container(&self) -> &str {
        self.format.container
    }

    /// The encoding in words: "16-bit PCM", "AAC", "Vorbis".
    pub fn codec(&self) -> &str {
        &self.format.codec
    }

    fn with_reader<T>(&self, work: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T> {
        let Some(spooled) = &self.spooled else {
            let changed = || Error::RecordingChanged { path: self.path.clone() };
            if self.stamp != stamp(&self.path) {
                return Err(changed());
            }
            let done = work(&mut Reader::open(&self.path)?)?;
            // Gone after the last block, it has served all the same.
            return if stamp(&self.path).is_some_and(|now| Some(now) != self.stamp) {
                Err(changed())
            } else {
                Ok(done)
            };
        };
        // A lock that was left in a panic still holds a good file: it is read from its start.
        let file = spooled.lock().unwrap_or_else(PoisonError::into_inner);
        let reopened = file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        let file = reopened.map_err(|source| Error::OpenAudio { path: self.path.clone(), source })?;
        work(&mut Reader::from_file(&self.path, file)?)
    }
}

impl Recording for AudioFile {
    fn sample_rate(&self) -> u32 {
        self.format.sample_rate
    }

    fn n_channels(&self) -> usize {
        self.format.n_channels
    }

    fn channel_mask(&self) -> Option<u32> {
        self.format.channel_mask
    }

    fn n_samples_hint(&self) -> Option<u64> {
        let rest = self.format.n_samples.map(|n_samples| n_samples.saturating_sub(self.start));
        rest.map(|rest| self.n_samples.map_or(rest, |wanted| wanted.min(rest))).or(self.n_samples)
    }

    fn start_s(&self) -> f64 {
        self.start as f64 / f64::from(self.format.sample_rate)
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        self.read_range(0..u64::MAX, sink)
    }

    fn read_range(&self, range: Range<u64>, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        self.with_reader(|reader| {
            if (reader.sample_rate(), reader.n_channels()) != (self.sample_rate(), self.n_channels()) {
                return Err(Error::RecordingChanged { path: self.path.clone() });
            }
            let skipped = reader.skip(self.start)?;
            if skipped < self.start {
                let in_s = |n_samples: u64| n_samples as f64 / f64::from(self.format.sample_rate);
                return Err(Error::Setting {
                    name: "start",
                    got: format!("{:.1} s", in_s(self.start)),
                    expected: format!("at most {:.1} s (the length of the recording)", in_s(skipped)),
                    advice: Some(Advice::StartEarlier.into()),
                });
            }
            let end = self.n_samples.map_or(range.end, |n_samples| n_samples.min(range.end));
            let mut n_left = end.saturating_sub(range.start);
            // What is not wanted is not looked at.
            if n_left == 0 || reader.skip(range.start)? < range.start {
                return Ok(());
            }
            // No more memory for a thousand channels than for two.
            let block_samples = (2 * BLOCK_SAMPLES / self.n_channels().max(2)) as u64;
            while n_left > 0 {
                let block = reader.read(n_left.min(block_samples) as usize)?;
                if block.is_empty() {
                    break;
                }
                n_left -= block.ncols() as u64;
                sink(block.view())?;
            }
            Ok(())
        })
    }
}

/// A file's length in bytes, and when it was last written to.
type Stamp = (u64, Option<SystemTime>);

fn stamp(path: &Path) -> Option<Stamp> {
    path.metadata().ok().map(|metadata| (metadata.len(), metadata.modified().ok()))
}

/// Copies a stream into an unnamed temporary file. One that does not start like a recording may never end, and is refused
/// by its first bytes.
fn spool(path: &Path, mut stream: impl io::Read) -> Result<File> {
    let at = |source| Error::OpenAudio { path: path.into(), source };
    let mut head = Vec::new();
    stream.by_ref().take(kind::HEAD_LEN).read_to_end(&mut head).map_err(at)?;
    let mut file = tempfile::tempfile().map_err(at)?;
    file.write_all(&head).map_err(at)?;
    // What follows a tag is not known yet.
    if kind::id3_len(&head).is_none() {
        Kind::recognize(&mut file).map_err(|fault| fault.at(path, 0, 1))?;
    }
    file.seek(io::SeekFrom::End(0)).and_then(|_| io::copy(&mut stream, &mut file)).map_err(at)?;
    Ok(file)
}

/// Reads a whole file.
///
/// # Errors
/// As [`Reader::open`] and [`Reader::read`].
///
/// # Cost
/// Memory of one and a half times the samples, for stereo.
pub fn read(path: &Path) -> Result<Audio> {
    read_rest(&mut Reader::open(path)?, None)
}

/// Reads the next `n_samples` samples per channel, or fewer if the recording ends; `None`: all that is left.
/// An excerpt that starts later is [`Reader::skip`]ped to first.
///
/// # Errors
/// As [`Reader::read`].
pub fn read_rest(reader: &mut Reader, n_samples: Option<u64>) -> Result<Audio> {
    /// Samples per channel at a time.
    const BLOCK: u64 = 65_536;
    let mut channels = vec![Vec::new(); reader.n_channels()];
    let mut n_left = n_samples.unwrap_or(u64::MAX);
    while n_left > 0 {
        let block = reader.read(n_left.min(BLOCK) as usize)?;
        if block.is_empty() {
            break;
        }
        for (channel, samples) in channels.iter_mut().zip(block.outer_iter()) {
            channel.extend(samples);
        }
        n_left -= block.ncols() as u64;
    }
    // Channel by channel, so that only one of them is there twice.
    let shape = (channels.len(), channels.first().map_or(0, Vec::len));
    let mut channels = channels.into_iter();
    let mut all: Vec<f32> = channels.next().unwrap_or_default();
    all.reserve_exact(shape.0.saturating_sub(1) * shape.1);
    for channel in channels {
        all.extend(channel);
    }
    let samples = Array2::from_shape_vec(shape, all).expect("channels of one length");
    Ok(Audio::new(samples, reader.sample_rate())?.with_channel_mask(reader.channel_mask()))
}

/// Whether a file has the extension of a format that can be read; for the walk through a folder.
pub fn is_audio_path(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

fn open_source(file: &mut File) -> std::result::Result<(Source, Format), Fault> {
    let kind = Kind::recognize(file)?;
    let mut is_cut_off = false;
    if kind == Kind::Wav {
        match Wav::open(file.try_clone()?)? {
            wav::Opened::Plain(wav, format) => return Ok((Source::Wav(wav), format)),
            wav::Opened::Packets { cut_off } => is_cut_off = cut_off,
        }
    }
    let (coded, format) = Coded::open(kind, file.try_clone()?, is_cut_off)?;
    Ok((Source::Coded(Box::new(coded)), format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_can_be_handed_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Reader>();
    }
}
