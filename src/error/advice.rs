//! What to do about an error, as data: a library, a command line and a page each word it in their own terms.
//! `Display` words it for whoever calls the library: settings stand between backticks, as the library spells them.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::shown::shown;

/// What to do about an error.
///
/// # Examples
/// ```
/// use partita::StftConfig;
/// use partita::error::Advice;
///
/// let error = StftConfig { hop_length: 4000, ..StftConfig::new(2048) }.check().unwrap_err();
/// let advice = error.advice().expect("advice");
/// assert!(matches!(&advice, Advice::Use { settings, .. } if settings[0] == ("hop_length", "512".into())));
/// assert_eq!(advice.to_string(), "use `hop_length 512`, a quarter of the window");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Advice {
    /// A sentence that names nothing that is called otherwise elsewhere.
    Plain(Cow<'static, str>),

    // ---- settings ------------------------------------------------------------------------------------------------
    /// Use one of these settings.
    Use {
        /// Names, as the library spells them, with their values.
        settings: Vec<(&'static str, String)>,
        /// What is to be said of the last one.
        note: Option<Cow<'static, str>>,
    },
    /// Leave a setting out.
    LeaveOut {
        /// Its name, as the library spells it.
        name: &'static str,
    },
    /// Start earlier in the recording.
    StartEarlier,
    /// Give a longer recording, or use a shorter window.
    GiveLonger {
        /// How long the recording is, in milliseconds.
        duration_ms: f64,
    },
    /// Give the recording that was separated, and the same part of it.
    GiveSameRecording,
    /// Move the score to where it belongs, or have it aligned.
    MoveScore,
    /// Say where the noise is alone.
    GiveNoiseRange,
    /// Give a recording of the noise, or say where it is alone.
    GiveNoise,
    /// Give missing entries of a matrix a weight of 0.
    HideMissing,

    // ---- dictionaries, labels --------------------------------------------------------------------------------------
    /// Learn a dictionary.
    Learn,
    /// Learn the dictionary again with another setting.
    LearnAgain {
        /// The setting, as the library spells it.
        name: &'static str,
        /// The value that it needs.
        value: String,
        /// The value with which the recording could be separated instead, where that is possible.
        instead: Option<String>,
    },
    /// Change only the names in a labels file.
    KeepLabels,

    // ---- files, in -------------------------------------------------------------------------------------------------
    /// Convert a recording to WAV.
    Convert(Conversion),
    /// Compare recordings up to the end of the shortest.
    CompareToShortest {
        /// By how many samples per channel these two differ.
        n_samples: u64,
    },
    /// Export a recording again, or try to repair it by a conversion.
    Repair(Conversion),
    /// Give a recording one sample rate and number of channels throughout.
    MakeUniform(Conversion),
    /// Save what can be read of a damaged recording.
    Salvage {
        /// By this conversion.
        conversion: Conversion,
        /// Seconds from the start that are whole, if any.
        whole_s: Option<f64>,
    },
    /// Allow a file to be read.
    AllowReading {
        /// The file.
        path: PathBuf,
    },
    /// Write the matrix to this file with NumPy.
    SaveWithNumpy {
        /// The file.
        path: PathBuf,
    },
    /// Free some space for temporary files, or have them elsewhere.
    FreeTemporarySpace,

    // ---- files, out ------------------------------------------------------------------------------------------------
    /// Use this file instead.
    UseFile {
        /// The file.
        path: PathBuf,
    },
    /// Allow the file to be replaced, or choose another place.
    Overwrite,
    /// Choose a folder that may be written to.
    ChooseFolder,
    /// Choose another folder: a file has the name of one that is needed.
    ChooseOtherFolder,
    /// Free some space, or write to another disk.
    FreeSpace,
    /// Choose a shorter name.
    ShortenName,
    /// Give another manifest, or move the file that is there away.
    GiveOtherManifest,
}

impl Advice {
    /// A sentence that names nothing that is called otherwise elsewhere.
    pub fn plain(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Plain(sentence.into())
    }

    /// The advice to use a setting.
    pub fn set(name: &'static str, value: impl ToString) -> Self {
        Self::Use { settings: vec![(name, value.to_string())], note: None }
    }

    /// Another setting that would do, if this is the advice to use one.
    pub fn or(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Use { settings, .. } = &mut self {
            settings.push((name, value.to_string()));
        }
        self
    }

    /// Says something of the last setting, if this is the advice to use one.
    pub fn note(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        if let Self::Use { note, .. } = &mut self {
            *note = Some(text.into());
        }
        self
    }

    /// The advice to use one of these settings, which `spell` spells.
    pub fn spelled(
        settings: &[(&'static str, String)],
        note: Option<&str>,
        spell: impl Fn(&str, &str) -> String,
    ) -> String {
        let mut spelled: Vec<_> = settings.iter().map(|(name, value)| format!("`{}`", spell(name, value))).collect();
        let last = spelled.pop().unwrap_or_default();
        let before = if spelled.is_empty() { String::new() } else { format!("{}, or ", spelled.join(" or ")) };
        let note = note.map_or(String::new(), |note| format!(", {note}"));
        format!("use {before}{last}{note}")
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Plain(sentence) => sentence,
            Self::Use { settings, note } => {
                let spell = |name: &str, value: &str| format!("{name} {value}");
                return f.write_str(&Self::spelled(settings, note.as_deref(), spell));
            }
            Self::LeaveOut { name } => return write!(f, "leave `{name}` out"),
            Self::StartEarlier => "give an earlier `start`",
            Self::GiveLonger { duration_ms } => {
                return write!(
                    f,
                    "give at least a tenth of a second, or a shorter `n_fft` (this clip lasts {duration_ms:.1} ms)"
                );
            }
            Self::GiveSameRecording => "give the recording that was separated, with the same `start` and `duration`",
            Self::MoveScore => {
                "move it by `score_offset`, or align it with the recording; check that it is of the same piece"
            }
            Self::GiveNoiseRange => "give a range in which only the noise is heard, such as `noise_range 0-0.5`",
            Self::GiveNoise => "give a recording of the noise alone as `noise`, or its place as `noise_range`",
            Self::HideMissing => "where entries are missing, give them a weight of 0",
            Self::Learn => "learn one from recordings of each source alone",
            Self::LearnAgain { name, value, instead: None } => {
                return write!(f, "learn it again from the same examples, with `{name} {value}`");
            }
            Self::LearnAgain { name, value, instead: Some(instead) } => {
                return write!(f, "use `{name} {instead}`, or learn it again with `{name} {value}`");
            }
            Self::KeepLabels => "change only the names; `labels_out` writes the file anew",
            Self::Convert(conversion) => return write!(f, "convert it with {conversion}"),
            Self::CompareToShortest { n_samples } => {
                return write!(f, "cut all to the shortest, at their ends: these differ by {}", samples(*n_samples));
            }
            Self::Repair(conversion) => return write!(f, "export it again, or try to repair it with {conversion}"),
            Self::MakeUniform(conversion) => return write!(f, "make it uniform with {conversion}"),
            Self::Salvage { conversion, whole_s: None } => return write!(f, "save what can be read with {conversion}"),
            Self::Salvage { conversion, whole_s: Some(whole_s) } => {
                return write!(
                    f,
                    "save what can be read with {conversion}, or take the whole part with `duration {whole_s}`"
                );
            }
            Self::AllowReading { path } => return write!(f, "allow reading it with `chmod +r {}`", shell_word(path)),
            Self::SaveWithNumpy { path } => {
                return write!(f, "in Python, `numpy.save(\"{}\", v)` writes one", shown(path));
            }
            Self::FreeTemporarySpace => {
                "free some space for temporary files, or name a folder on another disk with `TMPDIR=FOLDER`"
            }
            Self::UseFile { path } => return write!(f, "use `{}`", shown(path)),
            Self::Overwrite => "set `overwrite` to replace it, or choose another place as `out`",
            Self::ChooseFolder => "choose a folder that you may write to as `out`",
            Self::ChooseOtherFolder => "a file is where a folder is needed; choose another one as `out`",
            Self::FreeSpace => "free some space, or choose a folder on another disk as `out`",
            Self::ShortenName => "shorten the name",
            Self::GiveOtherManifest => "give another `manifest`, or move this file away",
        };
        f.write_str(text)
    }
}

/// A number of samples in words.
fn samples(n: u64) -> String {
    if n == 1 { "1 sample".into() } else { format!("{n} samples") }
}

/// From a recording that cannot be read to a WAV file that can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The recording; `-` is standard input.
    pub path: PathBuf,
    /// The sample rate that it is to have, in Hz, if another.
    pub sample_rate: Option<u32>,
    /// The number of channels that it is to have, if another.
    pub n_channels: Option<usize>,
}

impl Conversion {
    /// A conversion that keeps sample rate and channels.
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), sample_rate: None, n_channels: None }
    }
}

/// The command that does it, between backticks.
impl fmt::Display for Conversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = String::new();
        if let Some(sample_rate) = self.sample_rate {
            options.push_str(&format!(" -ar {sample_rate}"));
        }
        if let Some(n_channels) = self.n_channels {
            options.push_str(&format!(" -ac {n_channels}"));
        }
        if self.path.as_os_str() == "-" {
            return write!(f, "`ffmpeg -i pipe:{options} -f wav pipe:`");
        }
        // A WAV file cannot be converted onto itself.
        let is_wav = self.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
        let output = self.path.with_extension(if is_wav { "fixed.wav" } else { "wav" });
        write!(f, "`ffmpeg -i {}{options} {}`", shell_word(&self.path), shell_word(&output))
    }
}

/// A path as one word of a shell command.
fn shell_word(path: &Path) -> String {
    let mut word = shown(path);
    // Not to be taken for an option.
    if word.starts_with('-') {
        word.insert_str(0, "./");
    }
    let is_plain = word.chars().all(|c| c.is_alphanumeric() || "/._-+,:@%".contains(c));
    if is_plain { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
