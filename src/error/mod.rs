//! The one error type of the crate: what failed, on what, why, and what to do about it.
//!
//! `Display` says what failed and on which thing, `source()` the cause, [`Error::advice`] what to do, as data.

mod advice;
mod gpu;
mod remedy;
mod shown;

use std::path::PathBuf;
use std::{fmt, io};

pub use advice::{Advice, Conversion};
pub use gpu::GpuTrouble;
pub use shown::shown;

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, one variant per thing that can be wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- settings ------------------------------------------------------------------------------------------------
    /// A setting lies outside its range.
    #[error("`{name}` is {got}, expected {expected}")]
    Setting {
        /// The setting, as the library spells it (`hop_length`); on the command line the flag `--hop-length`.
        name: &'static str,
        /// The value that was given.
        got: String,
        /// What would have been accepted, in words: "1 to 1024 (half of the window of 2048)".
        expected: String,
        /// What to do.
        advice: Option<Box<Advice>>,
    },

    // ---- sound ---------------------------------------------------------------------------------------------------
    /// A sample is NaN, infinite, or so large that its power would be.
    #[error("channel {channel} has a sample that is {value:e}, at {time_s:.3} s")]
    NonFiniteSample {
        /// Channel, counted from 1.
        channel: usize,
        /// Seconds from the start.
        time_s: f64,
        /// NaN, inf, -inf, or a number beyond 1e12.
        value: f32,
    },
    /// There is nothing to hear where something is to be learned or judged.
    #[error("the recording is silent")]
    Silent,
    /// The recording is shorter than one analysis window.
    #[error("the recording has {n_samples} samples, expected at least {win_length} (one window)")]
    TooShort {
        /// Samples per channel.
        n_samples: usize,
        /// The shortest length that would do, in samples.
        win_length: usize,
        /// Hz.
        sample_rate: u32,
    },

    // ---- matrices ------------------------------------------------------------------------------------------------
    /// The matrix to factorize holds a negative, NaN or infinite entry.
    #[error("the matrix has {value} at row {row}, column {column}, expected finite numbers of at least 0")]
    MatrixEntry {
        /// Row of the first such entry, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// A matrix has another shape than the problem needs.
    #[error("{what} is {} x {}, expected {} x {}", got.0, got.1, expected.0, expected.1)]
    MatrixShape {
        /// Which matrix: "the dictionary", "the matrix of activations".
        what: &'static str,
        /// Rows and columns that were given.
        got: (usize, usize),
        /// Rows and columns that fit.
        expected: (usize, usize),
    },
    /// The lists that make up a sparse matrix contradict one another.
    #[error("the sparse matrix has {reason}")]
    SparseStructure {
        /// What does not fit: "3 columns for 4 values".
        reason: String,
    },
    /// A fit cannot run on a graphics processor.
    #[error("cannot use a graphics processor: {0}")]
    Gpu(GpuTrouble),
    /// A matrix is asked for in a file of a kind that is not read or written.
    #[error("`{}` is no matrix file by its name, expected one that ends in {expected}", shown(path))]
    MatrixFileFormat {
        /// The file.
        path: PathBuf,
        /// The files that there are.
        expected: MatrixFiles,
    },
    /// The system did not give a matrix file, or not all of it.
    #[error("cannot read `{}`", shown(path))]
    ReadMatrix {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A matrix file does not hold what its name says.
    #[error("cannot read `{}`: {reason}", shown(path))]
    MalformedMatrix {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: "line 7 has 3 entries, expected 4 as in line 1".
        reason: String,
    },
    /// A table in a text can be understood in several ways, and somebody has to say in which.
    #[error("cannot read `{}`: {reason}", shown(path))]
    UnclearTable {
        /// The file.
        path: PathBuf,
        /// What is not clear: "line 1 (`a`, `2001`, `2002`) could be a heading or a row".
        reason: String,
        /// How to say it.
        advice: Box<Advice>,
    },
    /// A text is not a matrix in the Matrix Market format.
    #[error("cannot read the matrix: line {line} has {got}, expected {expected}")]
    MatrixMarket {
        /// Line, counted from 1.
        line: u64,
        /// What stands there.
        got: String,
        /// What should stand there.
        expected: String,
    },

    // ---- audio files, in -----------------------------------------------------------------------------------------
    /// A recording cannot be opened.
    #[error("cannot open `{}`", shown(path))]
    OpenAudio {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system could not read a file to its end.
    #[error("cannot read `{}` beyond {time_s:.1} s", shown(path))]
    ReadAudio {
        /// The file.
        path: PathBuf,
        /// Seconds from the start that were read.
        time_s: f64,
        /// Why not.
        source: io::Error,
    },
    /// Samples cannot be put into a temporary file, or read from it again.
    #[error("cannot keep the samples in a temporary file")]
    Spool {
        /// Why not.
        source: io::Error,
    },
    /// A file is not the one that it was when it was opened first, or is there no more.
    #[error("`{}` changed or went away while it was worked on", shown(path))]
    RecordingChanged {
        /// The file.
        path: PathBuf,
    },
    /// A file has no bytes.
    #[error("`{}` is empty", shown(path))]
    EmptyAudioFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is something else than its name or the caller says.
    #[error("`{}` is not a recording: it holds {found}", shown(path))]
    NotAudio {
        /// The file.
        path: PathBuf,
        /// What it is: "text", "a PNG image".
        found: String,
    },
    /// A file holds pictures only.
    #[error("`{}` has no audio track", shown(path))]
    NoAudioTrack {
        /// The file.
        path: PathBuf,
    },
    /// A file is audio of a kind that is not read here.
    #[error("cannot decode `{}`: {codec} is not supported", shown(path))]
    UnsupportedAudio {
        /// The file.
        path: PathBuf,
        /// Codec or format: "HE-AAC", "WMA".
        codec: String,
    },
    /// The headers of a file contradict themselves.
    #[error("cannot decode `{}`: {reason}", shown(path))]
    MalformedAudio {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: "it declares 65535 channels".
        reason: String,
    },
    /// The data of a recording are damaged in one place.
    #[error("`{}` is damaged at {time_s:.1} s: {reason}", shown(path))]
    CorruptAudio {
        /// The file.
        path: PathBuf,
        /// Seconds from the start up to which it is whole.
        time_s: f64,
        /// What cannot be decoded there.
        reason: String,
    },
    /// A file ends before the recording in it does.
    #[error("`{}` is cut off: it ends {}", shown(path), lengths(*time_s, *declared_s))]
    AudioCutOff {
        /// The file.
        path: PathBuf,
        /// Seconds that can be read, if any.
        time_s: Option<f64>,
        /// Seconds that its headers promise, where they do.
        declared_s: Option<f64>,
    },
    /// Sample rate or channel count change within a recording.
    #[error("`{}` changes at {time_s:.1} s from {} Hz, {} to {} Hz, {}", shown(path), from.0, channels(from.1), to.0, channels(to.1))]
    AudioChanges {
        /// The file.
        path: PathBuf,
        /// Seconds from the start.
        time_s: f64,
        /// Hz and channels before.
        from: (u32, usize),
        /// Hz and channels after.
        to: (u32, usize),
    },

    // ---- audio files, out ----------------------------------------------------------------------------------------
    /// A file of that name exists and may not be replaced.
    #[error("`{}` exists already", shown(path))]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot have this name: there is a folder or a device, or it ends as only a folder's does.
    #[error("cannot write `{}`: expected the name of a file, got {got}", shown(path))]
    NotAFile {
        /// The name that was given.
        path: PathBuf,
        /// What it is instead: "a folder", "a device".
        got: &'static str,
    },
    /// The folder for a file could not be made.
    #[error("cannot create the folder `{}`", shown(path))]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system did not take a file, or not all of it.
    #[error("cannot write `{}`", shown(path))]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A sample lies beyond full scale, which integers cannot hold.
    #[error("cannot write `{}`: channel {channel} reaches {value} at {time_s:.3} s, expected -1 to 1", shown(path))]
    BeyondFullScale {
        /// The file.
        path: PathBuf,
        /// Channel, counted from 1.
        channel: usize,
        /// Seconds from the start of the file, or of the recording that it was made from.
        time_s: f64,
        /// The sample, after the gain.
        value: f32,
    },
    /// More or fewer samples came than had been announced.
    #[error("cannot write `{}`: got {got} samples per channel, expected {expected}", shown(path))]
    SampleCount {
        /// The file.
        path: PathBuf,
        /// Samples per channel that were announced.
        expected: u64,
        /// Samples per channel that came, as far as is known.
        got: u64,
    },

    // ---- pictures ------------------------------------------------------------------------------------------------
    /// A picture was asked for in a format that is not written.
    #[error("cannot draw `{}`: expected a name that ends in `.png` or `.svg`", shown(path))]
    PictureFormat {
        /// Where it should have gone.
        path: PathBuf,
    },

    // ---- dictionaries ----------------------------------------------------------------------------------------
    /// A source cannot be called this.
    #[error("a source cannot be called `{name}`: the name {reason}")]
    SourceName {
        /// The name, shortened.
        name: String,
        /// What is wrong with it: "is empty".
        reason: &'static str,
    },
    /// An example of a source cannot be learned from.
    #[error("cannot learn `{name}` from `{label}`: {source}")]
    Example {
        /// The source.
        name: String,
        /// What the recording is called: its file.
        label: String,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// A dictionary is for recordings of another kind.
    #[error("{label} is for `{name} {dictionary}`, expected {wanted}")]
    DictionaryMismatch {
        /// The dictionary: its file between backticks.
        label: String,
        /// The setting that differs, as the library spells it.
        name: &'static str,
        /// Its value in the dictionary.
        dictionary: String,
        /// Its value where the dictionary is to be used.
        wanted: String,
    },
    /// The system did not give a dictionary's file.
    #[error("cannot read `{}`", shown(path))]
    ReadDictionary {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no dictionary.
    #[error("`{}` is no dictionary: {reason}", shown(path))]
    MalformedDictionary {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: "its metadata have no `n_fft`, as a dictionary's have".
        reason: String,
    },

    // ---- parts ---------------------------------------------------------------------------------------------------
    /// No source has this name.
    #[error("there is no stem `{name}`, expected one of {}", list(names))]
    UnknownStem {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// A recording is not the one that was taken apart.
    #[error("the recording has {got} samples, expected {expected}, as in the one that was separated")]
    Length {
        /// Samples per channel that were given.
        got: usize,
        /// Samples per channel of the recording that was separated.
        expected: usize,
    },
    /// Components are asked for where no factorization found any.
    #[error("there are no components: this separation is not a factorization")]
    NoComponents,

    /// A noise cannot be learned from a time that the recording does not have.
    #[error(
        "the noise range is {start_s} to {end_s} s, expected a part of {first_s:.1} to {last_s:.1} s, which is what is read of \
         the recording"
    )]
    NoiseRange {
        /// Where it begins, in seconds.
        start_s: f64,
        /// Where it ends.
        end_s: f64,
        /// Where the recording begins: not at 0, of an excerpt.
        first_s: f64,
        /// Where it ends.
        last_s: f64,
    },
    /// There is nothing to hear where the noise should be.
    #[error("the noise `{noise}` is silent")]
    SilentNoise {
        /// A file, a range, or what was found.
        noise: String,
    },
    /// A noise is shorter than one window.
    #[error("the noise `{noise}` has {n_samples} samples per channel, expected at least {win_length} (one window)")]
    ShortNoise {
        /// A file or a range.
        noise: String,
        /// Samples per channel.
        n_samples: usize,
        /// Length of the window.
        win_length: usize,
        /// Samples per second.
        sample_rate: u32,
    },

    // ---- batches ------------------------------------------------------------------------------------------------
    /// A manifest holds something else.
    #[error("cannot go on with the manifest `{}`: line {line} is {reason}", shown(path))]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What stands there.
        reason: String,
    },
    /// A text is not a labels file.
    #[error("cannot read the labels: {}{reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Labels {
        /// Line, counted from 1, where that can be said.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// A text is not a project, or says what cannot be.
    #[error("cannot read the project: {}{reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Project {
        /// Line, counted from 1, where that can be said.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// A recording is not the one that was separated: it has another form, or other samples than the labels are of.
    #[error("the recording has {got}, expected {expected}, as the one that was separated")]
    OtherRecording {
        /// What it has: "44100 Hz", "the fingerprint 09af".
        got: String,
        /// What the one that was separated has.
        expected: String,
    },

    // ---- studio --------------------------------------------------------------------------------------------------
    /// Another studio works on the same project.
    #[error("`{}` is open in another studio", shown(path))]
    ProjectInUse {
        /// The project file.
        path: PathBuf,
    },
    /// No page can be served.
    #[error("cannot serve the page on port {port}")]
    Serve {
        /// The port; 0: any.
        port: u16,
        /// Why not.
        source: io::Error,
    },

    // ---- comparisons ---------------------------------------------------------------------------------------------
    /// Two recordings that are to be compared sample by sample differ in rate, channels or length.
    #[error("`{name}` has {got} {unit}, expected {expected}, as `{other}` has")]
    Unequal {
        /// The recording: a path, or "estimate 2".
        name: String,
        /// What it has.
        got: u64,
        /// The recording that it is compared with.
        other: String,
        /// What that one has.
        expected: u64,
        /// Of what.
        unit: Quantity,
    },
    /// There are not as many estimates as references.
    #[error("there are {got} estimates, expected {expected}, one for each reference")]
    EstimateCount {
        /// Estimates that were given.
        got: usize,
        /// References.
        expected: usize,
    },

    // ---- scores --------------------------------------------------------------------------------------------------
    /// The system did not give a score, or not all of it.
    #[error("cannot read `{}`", shown(path))]
    ReadScore {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not a score that can be read.
    #[error("the score cannot be read: {reason}")]
    MalformedScore {
        /// What is wrong with it: "it is no MIDI file".
        reason: String,
    },
    /// No track of a score has a note.
    #[error("the score has no notes")]
    EmptyScore,
    /// A score has no such track with notes.
    #[error("the score has no track `{name}` with notes")]
    UnknownTrack {
        /// The name or number that was asked for.
        name: String,
        /// The tracks that there are, by name, else by number from 1.
        tracks: Vec<String>,
    },
    /// The notes of a score lie outside the recording, or where nothing is heard.
    #[error("the score does not match the recording: {reason}")]
    ScoreMismatch {
        /// What does not fit: "its notes lie at 65.0 to 80.0 s, and the recording ends at 8.0 s".
        reason: String,
    },

    // ---- work ----------------------------------------------------------------------------------------------------
    /// A progress callback asked to stop.
    #[error("stopped before the end")]
    Cancelled,
}

/// What can be read, of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatrixFiles {
    /// One matrix.
    Matrix,
    /// Several matrices in one file.
    Archive,
}

/// The endings, between backticks.
impl fmt::Display for MatrixFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matrix => "`.npy`, `.csv`, `.tsv`, `.txt` or `.mtx`, with `.gz` or without",
            Self::Archive => "`.npz`",
        })
    }
}

/// What recordings must have in common to be compared sample by sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Hz.
    SampleRate,
    /// Channels.
    Channels,
    /// Samples per channel.
    Samples,
}

/// The unit in which it is counted.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SampleRate => "Hz",
            Self::Channels => "channels",
            Self::Samples => "samples",
        })
    }
}

impl Error {
    /// What was found in a part of a recording, told of the whole, in which the part begins at `start_s`.
    pub fn in_whole(mut self, start_s: f64) -> Self {
        if let Self::NonFiniteSample { time_s, .. } | Self::BeyondFullScale { time_s, .. } = &mut self {
            *time_s += start_s;
        }
        self
    }
}

/// Names as a message lists them: `kick`, `snare`.
fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn lengths(time_s: Option<f64>, declared_s: Option<f64>) -> String {
    match (time_s, declared_s) {
        (Some(time_s), Some(declared_s)) => format!("after {time_s:.1} of {declared_s:.1} s"),
        (Some(time_s), None) => format!("after {time_s:.1} s"),
        (None, _) => "before the recording does".into(),
    }
}

fn channels(n: usize) -> String {
    if n == 1 { "1 channel".into() } else { format!("{n} channels") }
}
