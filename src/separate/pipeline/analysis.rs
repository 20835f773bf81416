//! The first pass over a recording: its magnitudes, all of them or, of a long one, runs spread evenly over its length.
//! Made once, for any number of fits; the second pass, in `renderer`, transforms the sound again.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use realfft::num_complex::Complex32;

use super::blocks::SpectraBuffer;
use super::fingerprint::Fingerprint;
use super::kept::{Kept, RUN, append};
use super::pan::Place;
use crate::audio::Recording;
use crate::knowledge::labels::Identity;
use crate::stft::{Stft, StftConfig, StftOptions};
use crate::watch::{Step, Watch};
use crate::{Error, Result};

/// Window for sustained music: long enough to tell a semitone apart from 200 Hz on.
pub const MUSIC_WINDOW_S: f64 = 0.093;

/// Window for hits: short enough to keep them apart, long enough for the pitch of a kick.
pub const DRUMS_WINDOW_S: f64 = 0.046;

/// Window for speech: long enough to tell the harmonics of a low voice apart, short enough for consonants.
pub const SPEECH_WINDOW_S: f64 = 0.064;

/// Frames of marked times that are kept beside the others at the most: as many as [`AnalysisConfig::max_frames`] by default.
const MAX_MORE_FRAMES: usize = 20_000;

/// How to look at a recording, and what to keep of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisConfig {
    /// Sizes of the transform. Default: the power of two nearest to `window_s`, and a hop of a quarter of it.
    pub stft: StftOptions,
    /// Length of the window in seconds where `stft` leaves it open. Default [`MUSIC_WINDOW_S`].
    pub window_s: f64,
    /// Frames that are kept at the most, at least 128; of a longer recording, runs of frames are spread evenly over its
    /// length. Default 20 000: 7.7 minutes at 44.1 kHz, 164 MB.
    pub max_frames: usize,
    /// Times of the recording, in seconds, whose frames are kept whatever its length, beside the others. Default: none.
    pub keep_s: Vec<Range<f64>>,
    /// What is kept of each frame. Default: its magnitudes.
    pub detail: Detail,
}

/// What is kept of each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Nothing: only the length of the recording is found out, and whether there is anything in it.
    Outline,
    /// The root of the channel-summed power of each bin.
    #[default]
    Magnitudes,
    /// The magnitudes, and the spectra of all channels, which take twice as much memory for each channel. A frame's spatial
    /// covariances are products of them.
    Spectra,
}

impl Default for AnalysisConfig {
    fn default() -> Self {
        Self {
            stft: StftOptions::default(),
            window_s: MUSIC_WINDOW_S,
            max_frames: 20_000,
            keep_s: Vec::new(),
            detail: Detail::default(),
        }
    }
}

impl AnalysisConfig {
    /// The defaults for hits: a window of 46 ms.
    pub fn drums() -> Self {
        Self { window_s: DRUMS_WINDOW_S, ..Self::default() }
    }

    /// The defaults for speech: a window of 64 ms.
    pub fn speech() -> Self {
        Self { window_s: SPEECH_WINDOW_S, ..Self::default() }
    }

    /// The transform, for recordings of this sample rate (Hz).
    pub fn transform(&self, sample_rate: u32) -> StftConfig {
        self.stft.resolve(sample_rate, self.window_s)
    }
}

/// What the first pass over a recording found.
///
/// # Examples
/// ```
/// use partita::separate::{Analysis, AnalysisConfig};
/// use partita::{Audio, watch::Watch};
/// let tone = ndarray::Array2::from_shape_fn((2, 8000), |(_, i)| (0.3 * i as f32).sin());
/// let analysis = Analysis::of(&Audio::new(tone, 8000)?, &AnalysisConfig::default(), &mut Watch::none())?;
/// assert_eq!(analysis.magnitude().dim(), (analysis.n_frames(), analysis.stft().config().n_bins()));
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Analysis {
    stft: Stft,
    identity: Identity,
    start_s: f64,
    is_silent: bool,
    n_frames: usize,
    magnitude: Array2<f32>,
    spectra: Option<Vec<Array2<Complex32>>>,
    places: Option<Vec<Place>>,
    /// The numbers of the runs of [`RUN`] frames that are kept, in order.
    kept: Vec<usize>,
}

impl Analysis {
    /// Reads a recording once.
    ///
    /// # Errors
    /// [`Error::TooShort`] for less than a window, [`Error::Setting`] for sizes that make no transform, [`Error::Cancelled`],
    /// and those of the recording.
    ///
    /// # Cost
    /// One forward transform per channel. Memory: the frames that are kept, of `n_bins` numbers each, and half as much again
    /// while they grow.
    pub fn of(recording: &dyn Recording, config: &AnalysisConfig, watch: &mut Watch<'_>) -> Result<Self> {
        let sample_rate = recording.sample_rate();
        let stft = Stft::new(config.transform(sample_rate))?;
        let mut buffer = SpectraBuffer::new(&stft, recording.n_channels(), 0);
        let mut kept = Kept::new(&stft, recording, config.max_frames, &config.keep_s, config.detail == Detail::Spectra);
        let mut fingerprint = Fingerprint::new();
        let (mut peak, mut n_samples) = (0.0f32, 0);
        let total = recording.n_samples_hint();
        recording.read(&mut |block| {
            peak = block.iter().fold(peak, |peak, x| peak.max(x.abs()));
            n_samples += block.ncols();
            fingerprint.add(block);
            if config.detail != Detail::Outline {
                buffer.push(block);
                kept.take(&mut buffer);
            }
            watch.at(Step::Reading, n_samples as u64, total)
        })?;
        let win_length = stft.config().win_length;
        if n_samples < win_length {
            return Err(Error::TooShort { n_samples, win_length, sample_rate });
        }
        if config.detail != Detail::Outline {
            buffer.finish();
            kept.take(&mut buffer);
        }
        drop(buffer);
        let identity = fingerprint.identity(recording, n_samples);
        let Kept { n_bins, runs, magnitude, spectra, places, .. } = kept;
        let places = (config.detail != Detail::Outline).then(|| places.map_or_else(Vec::new, |places| places.places()));
        let shape = (magnitude.len() / n_bins, n_bins);
        let magnitude = Array2::from_shape_vec(shape, magnitude).expect("whole frames were kept");
        let spectrum = |spectrum| {
            let shape = (magnitude.nrows(), n_bins);
            Array2::from_shape_vec(shape, spectrum).expect("as many frames as magnitudes")
        };
        let spectra = (config.detail == Detail::Spectra).then(|| spectra.into_iter().map(spectrum).collect());
        let n_frames = stft.config().n_frames(n_samples);
        let (start_s, is_silent) = (recording.start_s(), peak == 0.0);
        Ok(Self { stft, identity, start_s, is_silent, n_frames, magnitude, spectra, places, kept: runs })
    }

    /// What is known of sound that is yet to come: its form, and nothing of what is in it. Methods that bring all their
    /// knowledge with them take it, and what they find can be rendered live.
    ///
    /// # Errors
    /// [`Error::Setting`] for sizes that make no transform, and for no channels.
    pub fn live(sample_rate: u32, n_channels: usize, config: &AnalysisConfig) -> Result<Self> {
        for (name, value) in [("sample_rate", sample_rate as usize), ("n_channels", n_channels)] {
            if value == 0 {
                return Err(Error::Setting { name, got: "0".into(), expected: "at least 1".into(), advice: None });
            }
        }
        let stft = Stft::new(config.transform(sample_rate))?;
        let identity = Identity { sample_rate, n_channels, n_samples: 0, fingerprint: String::new() };
        let magnitude = Array2::zeros((0, stft.config().n_bins()));
        let (start_s, is_silent) = (0.0, false);
        Ok(Self {
            stft,
            identity,
            start_s,
            is_silent,
            n_frames: 0,
            magnitude,
            spectra: None,
            places: None,
            kept: Vec::new(),
        })
    }

    /// Keeps the frames of some more times (seconds) of the recording, as [`AnalysisConfig::keep_s`] does, up to
    /// 20 000 beside those that are kept already.
    ///
    /// # Errors
    /// Those of the recording.
    ///
    /// # Cost
    /// Only the samples of the frames that are missing are read ([`Recording::read_range`]), and all that was kept is copied
    /// where there are any.
    pub fn keep(&mut self, recording: &dyn Recording, times_s: &[Range<f64>]) -> Result<()> {
        if self.is_complete() || self.magnitude.nrows() == 0 || self.spectra.is_some() {
            return Ok(());
        }
        let n_runs = self.n_frames.div_ceil(RUN);
        let mut missing: Vec<usize> = Vec::new();
        for range in times_s {
            let run = |time_s: f64| {
                let sample = (time_s - self.start_s) * f64::from(self.sample_rate());
                (sample / self.stft.config().hop_length as f64).max(0.0) as usize / RUN
            };
            missing.extend(
                (run(range.start)..(run(range.end) + 1).min(n_runs))
                    .filter(|run| self.kept.binary_search(run).is_err()),
            );
        }
        missing.sort_unstable();
        missing.dedup();
        let room = (20_000 + MAX_MORE_FRAMES).saturating_sub(self.magnitude.nrows()) / RUN;
        missing.truncate(room);
        if missing.is_empty() {
            return Ok(());
        }
        let n_bins = self.stft.config().n_bins();
        let mut runs: Vec<(usize, Array2<f32>)> = Vec::new();
        for run in missing {
            let frames = run * RUN..((run + 1) * RUN).min(self.n_frames);
            let mut buffer = SpectraBuffer::new(&self.stft, recording.n_channels(), frames.start);
            let first = buffer.n_samples;
            let end = self.n_samples().min(frames.end * self.stft.config().hop_length + self.stft.config().n_fft);
            recording.read_range(first as u64..end as u64, &mut |block| {
                buffer.push(block);
                Ok(())
            })?;
            if end == self.n_samples() {
                buffer.finish();
            }
            runs.push((run, buffer.magnitude().slice(s![..frames.len(), ..]).to_owned()));
        }
        let kept = std::mem::take(&mut self.kept);
        let old = std::mem::replace(&mut self.magnitude, Array2::zeros((0, n_bins)));
        let mut magnitude = Vec::with_capacity(old.len() + runs.iter().map(|(_, rows)| rows.len()).sum::<usize>());
        let mut more = runs.into_iter().peekable();
        for (i, run) in kept.iter().enumerate() {
            while let Some((run, rows)) = more.next_if(|(more, _)| more < run) {
                self.kept.push(run);
                append(&mut magnitude, rows.view());
            }
            self.kept.push(*run);
            append(&mut magnitude, old.slice(s![i * RUN..((i + 1) * RUN).min(old.nrows()), ..]));
        }
        for (run, rows) in more {
            self.kept.push(run);
            append(&mut magnitude, rows.view());
        }
        let shape = (magnitude.len() / n_bins, n_bins);
        self.magnitude = Array2::from_shape_vec(shape, magnitude).expect("whole frames were kept");
        Ok(())
    }

    /// Whether it is of sound that is yet to come ([`Analysis::live`]).
    pub fn is_live(&self) -> bool {
        self.n_frames == 0
    }

    /// Whether every sample of the recording is 0. Every method makes silent stems of it, and says so.
    pub fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// The transform.
    pub fn stft(&self) -> &Stft {
        &self.stft
    }

    /// Samples per second and channel, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.identity.sample_rate
    }

    /// Number of channels.
    pub fn n_channels(&self) -> usize {
        self.identity.n_channels
    }

    /// Samples per channel of the recording.
    pub fn n_samples(&self) -> usize {
        self.identity.n_samples
    }

    /// Length of the recording in seconds.
    pub fn duration_s(&self) -> f64 {
        self.n_samples() as f64 / f64::from(self.sample_rate())
    }

    /// The times of the recording in seconds, which do not begin at 0 where it is an excerpt ([`Recording::start_s`]).
    pub fn span_s(&self) -> Range<f64> {
        self.start_s..self.start_s + self.duration_s()
    }

    /// The time of a frame of the recording, in seconds.
    pub fn frame_s(&self, frame_idx: usize) -> f64 {
        self.start_s + self.stft.config().frame_s(frame_idx, self.sample_rate())
    }

    /// Frames of the whole recording.
    pub fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// Identifies the recording.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether every frame was kept.
    pub fn is_complete(&self) -> bool {
        !self.is_live() && self.magnitude.nrows() == self.n_frames
    }

    /// Kept frames x `n_bins`: the root of the channel-summed power.
    pub fn magnitude(&self) -> ArrayView2<'_, f32> {
        self.magnitude.view()
    }

    /// The spectra of the kept frames in each channel, where [`Detail::Spectra`] asked for them.
    pub fn spectra(&self) -> Option<&[Array2<Complex32>]> {
        self.spectra.as_deref()
    }

    /// The places between left and right from which much is heard, from left to right: none of a recording that has not two
    /// channels, or where sound comes from everywhere; `None` of an outline, and of sound that is yet to come.
    pub fn places(&self) -> Option<&[Place]> {
        self.places.as_deref()
    }

    /// The frame of the recording that a row of [`Analysis::magnitude`] holds.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn frame_idx(&self, row: usize) -> usize {
        self.kept[row / RUN] * RUN + row % RUN
    }

    /// The row that holds a frame of the recording, if it was kept.
    pub fn row_of(&self, frame_idx: usize) -> Option<usize> {
        let run = self.kept.binary_search(&(frame_idx / RUN)).ok()?;
        Some(run * RUN + frame_idx % RUN).filter(|row| *row < self.magnitude.nrows())
    }

    /// The rows of consecutive frames, each as long as it goes.
    pub fn consecutive(&self) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for (i, run) in self.kept.iter().enumerate() {
            let rows = i * RUN..((i + 1) * RUN).min(self.magnitude.nrows());
            match found.last_mut() {
                Some(last) if i > 0 && self.kept[i - 1] + 1 == *run => last.end = rows.end,
                _ => found.push(rows),
            }
        }
        found
    }

    /// The magnitudes of consecutive frames, each run as long as it goes.
    pub(in crate::separate) fn runs(&self) -> Vec<ArrayView2<'_, f32>> {
        self.consecutive().into_iter().map(|rows| self.magnitude.slice(s![rows, ..])).collect()
    }

    /// Refuses silence, where something is to be learned from it.
    pub(in crate::separate) fn need_sound(self) -> Result<Self> {
        if self.is_silent { Err(Error::Silent) } else { Ok(self) }
    }

    /// Refuses an analysis without magnitudes, for methods that learn from the recording.
    pub(in crate::separate) fn need_magnitudes(&self) -> Result<()> {
        if self.magnitude.nrows() > 0 {
            return Ok(());
        }
        let got = if self.is_live() { "of sound that is yet to come" } else { "an outline" };
        Err(Error::Setting {
            name: "analysis",
            got: got.into(),
            expected: "one with the magnitudes of a recording".into(),
            advice: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Audio;

    fn noise(n_samples: usize) -> Audio {
        let mut state = 1u32;
        let samples = Array2::from_shape_fn((2, n_samples), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        });
        Audio::new(samples, 8000).expect("audio")
    }

    fn config(max_frames: usize) -> AnalysisConfig {
        let stft = StftOptions { n_fft: Some(64), ..StftOptions::default() };
        AnalysisConfig { stft, max_frames, ..AnalysisConfig::default() }
    }

    fn analyze(audio: &Audio, config: &AnalysisConfig) -> Analysis {
        Analysis::of(audio, config, &mut Watch::none()).expect("analysis")
    }

    /// Every row is the frame that it says, and says so both ways.
    fn rows_are_their_frames(analysis: &Analysis, audio: &Audio) {
        let whole = analysis.stft().magnitude(audio.samples());
        for (row, frame) in analysis.magnitude().outer_iter().enumerate() {
            let frame_idx = analysis.frame_idx(row);
            assert_eq!(frame, whole.row(frame_idx), "row {row} is frame {frame_idx}");
            assert_eq!(analysis.row_of(frame_idx), Some(row));
        }
        for rows in analysis.consecutive() {
            let frames = analysis.frame_idx(rows.start)..analysis.frame_idx(rows.end - 1) + 1;
            assert_eq!(frames.len(), rows.len(), "{rows:?} are consecutive");
        }
    }

    #[test]
    fn a_short_recording_is_kept_whole() {
        let audio = noise(20_000);
        let analysis = analyze(&audio, &config(20_000));
        assert!(analysis.is_complete());
        assert_eq!(analysis.magnitude, analysis.stft().magnitude(audio.samples()));
        assert_eq!((analysis.n_samples(), analysis.n_frames()), (20_000, analysis.stft().config().n_frames(20_000)));
        let whole = 0..analysis.n_frames();
        assert_eq!(analysis.consecutive(), std::slice::from_ref(&whole));
    }

    #[test]
    fn of_a_long_recording_runs_of_frames_are_kept_in_bounded_memory() {
        let audio = noise(100_000);
        let analysis = analyze(&audio, &config(1024));
        assert!(!analysis.is_complete());
        let n_kept = analysis.magnitude().nrows();
        assert!((512..=1024).contains(&n_kept), "{n_kept} frames of {}", analysis.n_frames());
        assert_eq!(analysis.row_of(RUN), None, "the second run is not kept");
        rows_are_their_frames(&analysis, &audio);
    }

    #[test]
    fn times_that_are_to_be_kept_are_kept_beside_the_others() {
        let audio = noise(100_000);
        let keep_s = vec![9.0..9.2, 3.1..3.3];
        let analysis = analyze(&audio, &AnalysisConfig { keep_s, detail: Detail::Spectra, ..config(1024) });
        let frame = |time_s: f64| (time_s * 8000.0 / 16.0) as usize;
        for frame_idx in (frame(3.1)..frame(3.3)).chain(frame(9.0)..frame(9.2)) {
            assert!(analysis.row_of(frame_idx).is_some(), "frame {frame_idx}");
        }
        assert!(analysis.magnitude().nrows() > analyze(&audio, &config(1024)).magnitude().nrows());
        rows_are_their_frames(&analysis, &audio);
        let spectra = analysis.spectra().expect("spectra were asked for");
        let row = analysis.row_of(frame(9.1)).expect("kept");
        for (channel, kept) in spectra.iter().enumerate() {
            let whole = analysis.stft().forward(audio.channel(channel));
            assert_eq!(kept.row(row), whole.row(frame(9.1)), "channel {channel}");
        }
    }

    #[test]
    fn times_that_are_kept_later_are_as_if_they_had_been_kept_at_once() {
        let audio = noise(100_000);
        let mut later = analyze(&audio, &config(1024));
        let times = vec![9.0..9.2, 3.1..3.3, 12.4..13.0];
        later.keep(&audio, &times).expect("kept");
        let at_once = analyze(&audio, &AnalysisConfig { keep_s: times, ..config(1024) });
        assert_eq!((&later.kept, &later.magnitude), (&at_once.kept, &at_once.magnitude));
        rows_are_their_frames(&later, &audio);
    }

    #[test]
    fn an_outline_has_the_length_and_nothing_else() {
        let audio = noise(20_000);
        let analysis = analyze(&audio, &AnalysisConfig { detail: Detail::Outline, ..config(1024) });
        assert_eq!((analysis.n_samples(), analysis.magnitude().nrows()), (20_000, 0));
        assert!(!analysis.is_complete() && !analysis.is_live());
        assert!(matches!(analysis.need_magnitudes(), Err(Error::Setting { name: "analysis", .. })));
        assert_eq!(analysis.identity(), analyze(&audio, &config(1024)).identity());
    }
}
