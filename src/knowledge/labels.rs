//! The file in which a person says what the components of a separation are: text in, text out.
//! Knows no sound and no files.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::text::{from_toml, to_toml, to_utf8};
use crate::{Error, Result, names};

/// What stands above the components in the file, for whoever edits it.
const EXPLANATION: &str = "\
# Give components a name: all components of one name make one stem. Those without a name follow the named ones that they
# are most like; if none has a name, the suggestions count. Then make the stems, without a new factorization:
#
#     partita separate RECORDING --labels THIS_FILE
#
# centroid_hz: middle of the spectrum; pitch_hz: fundamental frequency, of harmonic ones; onsets_per_s: beginnings.

";

/// Longest text of a labels file, in bytes: 65,536 components of some 150 bytes, twice over.
pub const MAX_BYTES: u64 = 20 << 20;

/// Components at the most: as many as can be asked for in a factorization.
const MAX_COMPONENTS: usize = 1 << 16;

/// A separation as it is named by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// File of the factors W and H, an `.npz` beside the labels.
    pub factors: String,
    /// What was taken apart.
    pub recording: Identity,
    /// How.
    pub settings: Settings,
    /// In the order of the factors' columns and rows.
    #[serde(rename = "component")]
    pub components: Vec<Component>,
}

/// Identifies a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Hz.
    pub sample_rate: u32,
    /// Channels.
    pub n_channels: usize,
    /// Samples per channel.
    pub n_samples: usize,
    /// A hash of all samples.
    pub fingerprint: String,
}

impl Identity {
    /// Refuses a recording that is not the expected one.
    ///
    /// # Errors
    /// [`Error::OtherRecording`], with the first difference.
    pub fn check(&self, expected: &Self) -> Result<()> {
        let told = |of: &Self| {
            [
                format!("{} Hz", of.sample_rate),
                format!("{} channels", of.n_channels),
                format!("{} samples", of.n_samples),
                format!("the fingerprint {}", of.fingerprint),
            ]
        };
        match told(self).into_iter().zip(told(expected)).find(|(got, expected)| got != expected) {
            Some((got, expected)) => Err(Error::OtherRecording { got, expected }),
            None => Ok(()),
        }
    }
}

/// What the factors alone do not tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Length of the transform, in samples.
    pub n_fft: usize,
    /// Length of the window, in samples.
    pub win_length: usize,
    /// Samples from one frame to the next.
    pub hop_length: usize,
    /// Shape of the window.
    pub window: String,
    /// Exponent of the masks.
    pub mask_exponent: f64,
    /// With which activations are found that the factors do not hold: "kl", "is", "euclidean" or a number.
    pub divergence: String,
    /// The random seed, a whole number.
    pub seed: String,
    /// Whether the factors hold the activations of all frames.
    pub is_complete: bool,
}

/// One component: what it is like, and its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its number, from 1.
    pub index: usize,
    /// The source that it belongs to; empty: to be found out.
    #[serde(default)]
    pub name: String,
    /// The source that it was grouped into.
    pub suggested: String,
    /// Its share in the energy of all components.
    pub energy_share: f64,
    /// Middle of its spectrum, in Hz.
    pub centroid_hz: f64,
    /// Fundamental frequency in Hz, where it is harmonic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitch_hz: Option<f64>,
    /// How often it begins, per second.
    pub onsets_per_s: f64,
}

impl Labels {
    /// Reads the content of a labels file, in UTF-8 or, with a byte order mark, in UTF-16.
    ///
    /// # Errors
    /// Those of [`Labels::parse`], and [`Error::Labels`] for bytes that are no text.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let text = to_utf8(bytes).and_then(|bytes| String::from_utf8(bytes).ok());
        let no_text = || Error::Labels { line: None, reason: "they are no text in UTF-8 or UTF-16".into() };
        Self::parse(&text.ok_or_else(no_text)?)
    }

    /// Reads the text of a labels file.
    ///
    /// # Errors
    /// [`Error::Labels`] for a text that is not one, with the line where that can be said, or longer than
    /// [`MAX_BYTES`], and for components that are not numbered from 1 on or have a name that no stem can have.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() as u64 > MAX_BYTES {
            return Err(Error::Labels { line: None, reason: format!("they have more than {MAX_BYTES} bytes") });
        }
        let labels: Self = from_toml(text).map_err(|(line, reason)| Error::Labels { line, reason })?;
        let wrong = |reason: String| Err(Error::Labels { line: None, reason });
        if labels.components.len() > MAX_COMPONENTS {
            let n_components = labels.components.len();
            return wrong(format!("there are {n_components} components, expected at most {MAX_COMPONENTS}"));
        }
        if !labels.settings.mask_exponent.is_finite() {
            return wrong(format!("`mask_exponent` is {}, expected a number", labels.settings.mask_exponent));
        }
        for (i, component) in labels.components.iter().enumerate() {
            let Component { energy_share, centroid_hz, pitch_hz, onsets_per_s, .. } = component;
            if ![*energy_share, *centroid_hz, pitch_hz.unwrap_or(0.0), *onsets_per_s].iter().all(|x| x.is_finite()) {
                return wrong(format!("component {} has a value that is infinite or no number", i + 1));
            }
            if component.index != i + 1 {
                return wrong(format!("component number {} has the index {}", i + 1, component.index));
            }
            for name in [&component.name, &component.suggested] {
                match names::check(name) {
                    Err(Error::SourceName { name, reason }) if !name.is_empty() => {
                        let number = i + 1;
                        return wrong(format!(
                            "component {number} has the name `{name}`, which no file can have: it {reason}"
                        ));
                    }
                    _ => {}
                }
            }
        }
        if labels.components.is_empty() {
            return wrong("there is no component".into());
        }
        let factors = &labels.factors;
        if factors.is_empty() || [".", ".."].contains(&factors.as_str()) || factors.contains(['/', '\\', '\0']) {
            return wrong(format!("`factors` is `{factors}`, expected the name of a file beside the labels"));
        }
        Ok(labels)
    }

    /// The text of a labels file, with an explanation for whoever edits it.
    ///
    /// # Errors
    /// [`Error::Labels`] where a number is larger than the format holds.
    pub fn text(&self) -> Result<String> {
        let text = to_toml(self).map_err(|reason| Error::Labels { line: None, reason })?;
        Ok(format!("{EXPLANATION}{text}"))
    }

    /// The names that components have, each once, in the order of their first component: those that were given, or the
    /// suggestions where none was; and the one of each component, as an index into them.
    pub fn names(&self) -> (Vec<String>, Vec<Option<usize>>) {
        let is_named = self.components.iter().any(|component| !component.name.is_empty());
        let mut names: Vec<String> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let labels = self.components.iter().map(|component| {
            let name = if is_named { &component.name } else { &component.suggested };
            (!name.is_empty()).then(|| {
                *places.entry(name).or_insert_with(|| {
                    names.push(name.clone());
                    names.len() - 1
                })
            })
        });
        let labels = labels.collect();
        (names, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let component = |index, pitch_hz| Component {
            index,
            name: String::new(),
            suggested: format!("source-{}", 1 + index % 2),
            energy_share: 0.25,
            centroid_hz: 440.5,
            pitch_hz,
            onsets_per_s: 1.5,
        };
        Labels {
            factors: "labels.npz".into(),
            recording: Identity { sample_rate: 44_100, n_channels: 2, n_samples: 100_000, fingerprint: "0a".into() },
            settings: Settings {
                n_fft: 4096,
                win_length: 4096,
                hop_length: 1024,
                window: "hann".into(),
                mask_exponent: 1.5,
                divergence: "kl".into(),
                seed: u64::MAX.to_string(),
                is_complete: true,
            },
            components: vec![component(1, None), component(2, Some(220.0)), component(3, None)],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let labels = labels();
        let text = labels.text().expect("text");
        assert_eq!(Labels::parse(&text).expect("labels"), labels, "{text}");
        let wide = |mark: u16| std::iter::once(mark).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [format!("\u{feff}{text}").into_bytes(), wide(0xfeff)] {
            assert_eq!(Labels::from_bytes(bytes).expect("labels"), labels, "as editors of Windows save it");
        }
        assert!(Labels::from_bytes(b"\xff\xfe\0".to_vec()).is_err());
    }

    #[test]
    fn names_count_where_there_is_one_and_suggestions_where_there_is_none() {
        let mut labels = labels();
        let (names, of_components) = labels.names();
        assert_eq!(
            (names, of_components),
            (vec!["source-2".into(), "source-1".into()], vec![Some(0), Some(1), Some(0)])
        );
        labels.components[2].name = "flute".into();
        assert_eq!(labels.names(), (vec!["flute".to_owned()], vec![None, None, Some(0)]));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_line() {
        let text = labels().text().expect("text");
        let message = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Labels::parse(&text.replace(from, to)).expect_err("wrong").to_string()
        };
        let line = 1 + text.lines().position(|line| line.starts_with("hop_length")).expect("hop_length");
        let got = message("hop_length = 1024", "hop_length = oops");
        assert!(got.starts_with(&format!("cannot read the labels: line {line}: ")), "{got}");
        assert!(message("index = 2", "index = 3").contains("component number 2 has the index 3"));
        assert!(message("name = \"\"", "name = \"../x\"").contains("which no file can have"));
        assert!(message("\"labels.npz\"", "\"../labels.npz\"").contains("beside the labels"));
        assert!(message("n_fft", "n_ftt").contains("n_ftt"), "unknown names are refused");
    }
}
