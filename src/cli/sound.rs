//! Recordings, opened: the wanted part of an input, and those of one source alone.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use partita::Error;
use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use partita::audio::gathered::Gathered;
use partita::audio::tags::Tags;
use partita::error::shown;
use partita::separate::Example;

use super::failure::Failure;
use super::flags::ExcerptArgs;
use super::inputs::{Input, STANDARD_INPUT};
use super::terminal::{Terminal, counted};

/// A recording that a command works on: of one file, or of several.
pub(super) trait Sound: Recording {
    /// What the file says of its sound; nothing where there are several.
    fn tags(&self) -> Result<Tags, Error>;

    /// What was odd about it.
    fn notes(&self) -> Vec<String>;

    /// The samples in which the file of a channel lasts, where there are several.
    fn extent_of(&self, _channel: usize) -> Option<Range<u64>> {
        None
    }
}

impl Sound for AudioFile {
    fn tags(&self) -> Result<Tags, Error> {
        Self::tags(self)
    }

    fn notes(&self) -> Vec<String> {
        Self::notes(self).to_vec()
    }
}

impl Sound for Gathered<AudioFile> {
    fn tags(&self) -> Result<Tags, Error> {
        Ok(Tags::default())
    }

    fn notes(&self) -> Vec<String> {
        self.recordings().iter().flat_map(|file| file.notes().to_vec()).collect()
    }

    fn extent_of(&self, channel: usize) -> Option<Range<u64>> {
        Some(self.extent_of(channel))
    }
}

/// The part of each recording that is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excerpt {
    start: Duration,
    duration: Option<Duration>,
    /// Which of several audio tracks, counted from 1.
    audio_track: Option<usize>,
}

impl Excerpt {
    pub(super) fn new(args: &ExcerptArgs) -> Self {
        let audio_track = args.track.audio_track;
        Self { start: args.start.unwrap_or_default(), duration: args.duration, audio_track }
    }
}

/// Opens the wanted part of a file, or of standard input.
pub(super) fn open(input: &Input, excerpt: &Excerpt, terminal: &Terminal) -> Result<AudioFile, Failure> {
    let file = if input.is_stdin() {
        AudioFile::from_stream(STANDARD_INPUT, io::stdin().lock(), excerpt.audio_track)
    } else {
        AudioFile::open_track(&input.path, excerpt.audio_track)
    };
    let duration_s = excerpt.duration.map(|duration| duration.as_secs_f64());
    let file = file.map(|file| file.with_excerpt(excerpt.start.as_secs_f64(), duration_s));
    let file = file.map_err(Failure::at(input.label()))?;
    tell(&input.label(), &file, terminal);
    Ok(file)
}

/// Opens the whole of a file that says what a sound is like.
pub(super) fn open_file(path: &Path, audio_track: Option<usize>, terminal: &Terminal) -> Result<AudioFile, Error> {
    let file = AudioFile::open_track(path, audio_track)?;
    tell(&shown(path), &file, terminal);
    Ok(file)
}

/// Says what was odd about a file, and what it is to whoever asked for more.
fn tell(name: &str, file: &AudioFile, terminal: &Terminal) {
    terminal.detail(&format!(
        "{name}: {} in {}, {} Hz, {}",
        file.codec(),
        file.container(),
        file.sample_rate(),
        counted(file.n_channels(), "channel")
    ));
    warn(name, file.notes(), terminal);
}

/// Says what was odd about a file.
pub(super) fn warn(name: &str, notes: &[String], terminal: &Terminal) {
    for note in notes {
        terminal.warning(&format!("{name}: {note}"));
    }
}

/// A recording of one source, opened.
pub(super) struct Solo {
    pub(super) name: String,
    label: String,
    pub(super) file: AudioFile,
}

impl Solo {
    pub(super) fn open_all(
        examples: &[(String, PathBuf)],
        audio_track: Option<usize>,
        terminal: &Terminal,
    ) -> Result<Vec<Self>, Failure> {
        let open = |(name, path): &(String, PathBuf)| {
            let file = open_file(path, audio_track, terminal)?;
            Ok(Self { name: name.clone(), label: shown(path), file })
        };
        examples.iter().map(open).collect()
    }

    pub(super) fn example(&self) -> Example<'_> {
        Example { name: &self.name, label: &self.label, recording: &self.file }
    }
}
