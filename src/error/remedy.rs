//! Which advice goes with which error.

use std::io;
use std::path::Path;

use super::{Advice, Conversion, Error, MatrixFiles, Quantity};

impl Error {
    /// What to do about it, where there is something to do.
    pub fn advice(&self) -> Option<Advice> {
        let plain = |sentence: &'static str| Some(Advice::plain(sentence));
        match self {
            Self::Setting { advice, .. } => advice.as_deref().cloned(),
            Self::UnclearTable { advice, .. } => Some((**advice).clone()),
            // Sound.
            Self::NonFiniteSample { .. } => {
                plain("export the recording again, without clipping or invalid floating-point values")
            }
            Self::Silent => plain("check that the right file or channel was exported"),
            Self::TooShort { sample_rate, n_samples, .. } => {
                Some(Advice::GiveLonger { duration_ms: 1e3 * *n_samples as f64 / f64::from(*sample_rate) })
            }
            // Matrices.
            Self::MatrixEntry { value, .. } if value.is_nan() => Some(Advice::HideMissing),
            Self::MatrixEntry { .. } => plain("clip negative entries to 0, and mark missing ones by a weight of 0"),
            Self::MatrixShape { got, expected, .. } if got.0 != got.1 && (got.1, got.0) == *expected => {
                plain("transpose it: rows and columns are swapped")
            }
            Self::Gpu(trouble) => Some(trouble.advice()),
            Self::MatrixFileFormat { path, expected } => Some(match expected {
                MatrixFiles::Archive => Advice::UseFile { path: path.with_extension("npz") },
                MatrixFiles::Matrix => on_matrix(path),
            }),
            Self::ReadMatrix { path, source } => match source.kind() {
                io::ErrorKind::IsADirectory => plain("give a file in it"),
                io::ErrorKind::OutOfMemory => plain("cut the matrix into smaller ones"),
                _ => on_open(path, source),
            },
            Self::MalformedMatrix { .. } => {
                plain("give a matrix of numbers: an `.npy` file of two dimensions, or text with a row per line")
            }
            // Scores.
            Self::ReadScore { path, source } => on_open(path, source),
            Self::MalformedScore { .. } => plain("export it again as a Standard MIDI File, of format 1"),
            Self::EmptyScore => plain("give a MIDI file with a track of notes for each instrument"),
            Self::UnknownTrack { tracks, .. } => {
                Some(Advice::plain(format!("tracks with notes are: {}", tracks.join(", "))))
            }
            Self::ScoreMismatch { .. } => Some(Advice::MoveScore),
            // Audio files, in.
            Self::OpenAudio { path, source } => on_open(path, source),
            Self::Spool { .. } => Some(Advice::FreeTemporarySpace),
            Self::ProjectInUse { .. } => plain("use the page of that studio, or end it first"),
            Self::Serve { port: 0, .. } => None,
            Self::Serve { .. } => plain("choose another port, or none, so that a free one is taken"),
            Self::ReadAudio { .. } => plain("copy the file to another disk and try again"),
            Self::EmptyAudioFile { .. } => plain("export or download the recording again"),
            Self::NotAudio { .. } => plain("give a recording, such as a WAV, FLAC, MP3, M4A or Ogg file"),
            Self::NoAudioTrack { .. } => plain("give the file that the sound is in"),
            Self::UnsupportedAudio { path, .. } => Some(Advice::Convert(Conversion::new(path))),
            Self::MalformedAudio { path, .. } => Some(Advice::Repair(Conversion::new(path))),
            Self::AudioChanges { path, from: (sample_rate, n_channels), .. } => Some(Advice::MakeUniform(Conversion {
                path: path.clone(),
                sample_rate: Some(*sample_rate),
                n_channels: Some(*n_channels),
            })),
            Self::CorruptAudio { path, time_s, .. } => Some(salvage(path, Some(*time_s))),
            Self::AudioCutOff { path, time_s, .. } => Some(salvage(path, *time_s)),
            Self::RecordingChanged { .. } => plain("start again when nothing writes to it or moves it"),
            // Files, out.
            Self::FileExists { .. } => Some(Advice::Overwrite),
            Self::NotAFile { .. } => plain("give the name that the file is to have, with its ending"),
            Self::CreateFolder { source, .. } | Self::WriteFile { source, .. } => on_write(source.kind()),
            Self::BeyondFullScale { .. } => Some(
                Advice::set("clip_mode", "rescale")
                    .or("clip_mode", "clamp")
                    .or("sample_format", "float32")
                    .note("which holds any level"),
            ),
            Self::PictureFormat { path } => Some(Advice::UseFile { path: path.with_extension("png") }),
            // Dictionaries.
            Self::SourceName { .. } => plain("name it as you would its file: `violin`, `lead guitar`"),
            Self::Example { source, .. } => source.advice(),
            Self::DictionaryMismatch { name, dictionary, wanted, .. } => {
                // With these, a recording cannot be separated otherwise.
                let is_fixed = ["sample_rate", "n_context"].contains(name);
                let instead = (!is_fixed).then(|| dictionary.clone());
                Some(Advice::LearnAgain { name, value: wanted.clone(), instead })
            }
            Self::ReadDictionary { path, source } => on_open(path, source),
            Self::MalformedDictionary { .. } => Some(Advice::Learn),
            // Parts.
            Self::UnknownStem { names, .. } => names.first().map(|name| Advice::set("stem", name)),
            Self::NoComponents => Some(Advice::LeaveOut { name: "components_out" }),
            Self::NoiseRange { .. } => Some(Advice::GiveNoiseRange),
            Self::SilentNoise { .. } => Some(Advice::GiveNoise),
            Self::ShortNoise { sample_rate, win_length, .. } => Some(Advice::plain(format!(
                "give more of it: 1 s or longer serves best, {:.0} ms are the least",
                1e3 * *win_length as f64 / f64::from(*sample_rate)
            ))),
            // Batches and labels.
            Self::Manifest { .. } => Some(Advice::GiveOtherManifest),
            Self::Labels { .. } => Some(Advice::KeepLabels),
            Self::Project { .. } => Some(Advice::plain("open it in `partita studio`, or mend what is told")),
            Self::OtherRecording { .. } => Some(Advice::GiveSameRecording),
            // Comparisons.
            Self::Unequal { name, got, expected, unit, .. } => {
                let conversion = Conversion::new(Path::new(name));
                Some(match unit {
                    Quantity::SampleRate => {
                        Advice::Convert(Conversion { sample_rate: u32::try_from(*expected).ok(), ..conversion })
                    }
                    Quantity::Channels => {
                        Advice::Convert(Conversion { n_channels: usize::try_from(*expected).ok(), ..conversion })
                    }
                    Quantity::Samples => Advice::CompareToShortest { n_samples: got.abs_diff(*expected) },
                })
            }
            Self::EstimateCount { .. } => plain("give one estimate for each reference, in the same order"),
            Self::MatrixShape { .. }
            | Self::SparseStructure { .. }
            | Self::MatrixMarket { .. }
            | Self::Length { .. }
            | Self::SampleCount { .. }
            | Self::Cancelled => None,
        }
    }

    /// [`Error::advice`], worded for whoever calls the library.
    pub fn hint(&self) -> Option<String> {
        self.advice().map(|advice| advice.to_string())
    }
}

/// What to do about a file that could not be opened.
fn on_open(path: &Path, error: &io::Error) -> Option<Advice> {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => Advice::plain("check the spelling and the folder you are in"),
        io::ErrorKind::PermissionDenied => Advice::AllowReading { path: path.into() },
        io::ErrorKind::IsADirectory => Advice::plain("give the recordings in it"),
        // What comes from a pipe is put there.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Advice::FreeTemporarySpace,
        _ => return None,
    };
    Some(advice)
}

/// What to do about a file of another kind, where a matrix is wanted.
fn on_matrix(path: &Path) -> Advice {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match &*ending {
        "xls" | "xlsx" | "ods" | "numbers" => Advice::plain("save it as CSV"),
        "npz" => {
            Advice::plain("give one of its arrays: in Python, `numpy.save(\"v.npy\", numpy.load(\"v.npz\")[\"W\"])`")
        }
        "zip" | "bz2" | "xz" | "zst" | "7z" => {
            Advice::plain("unpack it first; of packed files, those of gzip are read")
        }
        _ => Advice::SaveWithNumpy { path: path.with_extension("npy") },
    }
}

/// What to do about a file or folder that could not be written.
fn on_write(kind: io::ErrorKind) -> Option<Advice> {
    use io::ErrorKind::{
        InvalidFilename, NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let advice = match kind {
        PermissionDenied | ReadOnlyFilesystem => Advice::ChooseFolder,
        StorageFull | QuotaExceeded => Advice::FreeSpace,
        NotADirectory | io::ErrorKind::AlreadyExists => Advice::ChooseOtherFolder,
        NotFound => Advice::plain("the folder was moved or removed meanwhile; begin again when it stays"),
        InvalidFilename => Advice::ShortenName,
        _ => return None,
    };
    Some(advice)
}

fn salvage(path: &Path, time_s: Option<f64>) -> Advice {
    // To the whole millisecond below, so that the damage is not reached.
    let whole_s = time_s.map(|time_s| (time_s * 1e3).floor() / 1e3).filter(|whole_s| *whole_s > 0.0);
    Advice::Salvage { conversion: Conversion::new(path), whole_s }
}
