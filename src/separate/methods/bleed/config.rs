//! Which microphones there are, and how to look for what leaks into them.

use std::ops::Range;

use super::leaks::Start;
use crate::error::Advice;
use crate::knowledge::dictionary::Dictionary;
use crate::knowledge::score::Score;
use crate::separate::pipeline::{Analysis, AnalysisConfig, Detail};
use crate::{Error, Result, names};

/// Bytes of spectra that are kept of a recording at the most.
const MAX_BYTES: usize = 320 << 20;

/// How much earlier than the score says a note may begin, in seconds, and for how long it may ring on.
const LEEWAY_S: f64 = 0.1;
const RINGING_S: f64 = 1.0;

/// One microphone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Microphone {
    /// Its name, and that of its stem.
    pub name: String,
    /// Its channel in the recording, counted from 0.
    pub channel: usize,
}

/// Microphones that are not cleaned of each other's sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// What their sources are called, in examples and scores.
    pub name: String,
    /// Indices into [`BleedConfig::microphones`].
    pub microphones: Vec<usize>,
}

/// Which microphones there are, and how to look for what leaks into them.
#[derive(Debug, Clone, PartialEq)]
pub struct BleedConfig {
    /// At least two, each with a source of its own.
    pub microphones: Vec<Microphone>,
    /// Microphones whose stems keep each other's sources. Default: none.
    pub shared: Vec<Shared>,
    /// Names of sources without a microphone of their own; the stem of each is what the microphone hears of it that
    /// hears it best. Default: none.
    pub others: Vec<String>,
    /// Whether what is taken out of each microphone is a part, too, `NAME_rest`: both sum to the microphone. Default:
    /// no.
    pub has_rest: bool,
    /// How much of the bleed is taken out, 0 to 1: with 0.5, half of its amplitude stays. Default 1.
    pub strength: f32,
    /// What sources of these names sound like alone, one frame in each template: where the fit begins, not where it
    /// ends. A dictionary that stays as it is loses 5 dB in another room. Default: nothing.
    pub examples: Option<Dictionary>,
    /// When sources can sound at all, in seconds; those that are not named can at any time. Default: nothing is known.
    pub times_s: Vec<(String, Vec<Range<f64>>)>,
    /// Components of each source, at least 1. Default 16.
    pub n_components: usize,
    /// Iterations of each stage of the factorization, at least 1. Default 30.
    pub max_iter: usize,
    /// Steps that find where sources stand, at least 1. Default 3.
    pub n_steps: usize,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl BleedConfig {
    /// The defaults, for these microphones.
    pub fn new(microphones: Vec<Microphone>) -> Self {
        Self {
            microphones,
            shared: Vec::new(),
            others: Vec::new(),
            has_rest: false,
            strength: 1.0,
            examples: None,
            times_s: Vec::new(),
            n_components: 16,
            max_iter: 30,
            n_steps: 3,
            seed: 0,
        }
    }

    /// The defaults, for the microphones of a session's files, by the name of each file and its number of channels:
    /// one channel is a microphone of that name, several are `NAME-1` and so on, and a group. Those of a file
    /// alone are `mic-1` and so on, each with a source of its own.
    pub fn of_files(files: &[(String, usize)]) -> Self {
        let mut config = Self::new(Vec::new());
        for (name, n_channels) in files {
            let first = config.microphones.len();
            let name_of = |i: usize| match (files.len(), n_channels) {
                (1, _) => format!("mic-{}", i + 1),
                (_, 1) => name.clone(),
                _ => format!("{name}-{}", i + 1),
            };
            config.microphones.extend((0..*n_channels).map(|i| Microphone { name: name_of(i), channel: first + i }));
            if files.len() > 1 && *n_channels > 1 {
                let microphones = (first..config.microphones.len()).collect();
                config.shared.push(Shared { name: name.clone(), microphones });
            }
        }
        config
    }

    /// How to look at a recording of so many channels: with the spectra of each, in bounded memory.
    pub fn analysis(n_channels: usize) -> AnalysisConfig {
        let defaults = AnalysisConfig::default();
        // Of 2049 bins, as at 44.1 and 48 kHz.
        let max_frames = MAX_BYTES / (2049 * 8 * n_channels.max(1));
        AnalysisConfig { max_frames: max_frames.min(defaults.max_frames), detail: Detail::Spectra, ..defaults }
    }

    /// One source for each microphone, in their order, and the others; and the microphones that keep it: the one whose
    /// it is, and those that share its name.
    pub(super) fn sources(&self) -> Vec<(String, Vec<usize>)> {
        let of_mic = |mic: usize| match self.shared.iter().find(|shared| shared.microphones.contains(&mic)) {
            Some(Shared { name, microphones }) => {
                let others = microphones.iter().filter(|other| **other != mic);
                (name.clone(), [mic].iter().chain(others).copied().collect())
            }
            None => (self.microphones[mic].name.clone(), vec![mic]),
        };
        let others = self.others.iter().map(|name| (name.clone(), Vec::new()));
        (0..self.microphones.len()).map(of_mic).chain(others).collect()
    }

    /// Where the fit of each source begins.
    pub(super) fn starts(&self) -> Vec<Start> {
        let templates = |name: &str| {
            let known = self.examples.iter().flat_map(Dictionary::sources).find(|source| source.name == name)?;
            Some(known.templates.t().as_standard_layout().into_owned())
        };
        let start =
            |(name, own): (String, Vec<usize>)| Start { templates: templates(&name), mic: own.first().copied() };
        self.sources().into_iter().map(start).collect()
    }

    /// Names of the stems, in the order of the parts.
    pub fn names(&self) -> Vec<String> {
        let mics = self.microphones.iter().map(|microphone| microphone.name.clone());
        let rests = self.microphones.iter().filter(|_| self.has_rest).map(|microphone| names::rest(&microphone.name));
        mics.chain(rests).chain(self.others.iter().cloned()).collect()
    }

    /// The channel of the microphone that a stem is of, counted from 0; none for a source without one.
    pub fn channel_of(&self, stem: &str) -> Option<usize> {
        let is_of = |mic: &&Microphone| mic.name == stem || self.has_rest && names::rest(&mic.name) == stem;
        self.microphones.iter().find(is_of).map(|mic| mic.channel)
    }

    /// With the times at which the parts of a score can sound, where they have the names of sources; a second after
    /// each note counts, too. Returns the names of parts that no source has.
    #[must_use]
    pub fn with_score(mut self, score: &Score) -> (Self, Vec<String>) {
        let sources = self.sources();
        let mut unknown = Vec::new();
        for part in &score.parts {
            if !sources.iter().any(|(name, _)| *name == part.name) {
                unknown.push(part.name.clone());
                continue;
            }
            let times = part.notes.iter().map(|note| note.onset_s - LEEWAY_S..note.offset_s + RINGING_S).collect();
            self.times_s.push((part.name.clone(), times));
        }
        (self, unknown)
    }

    pub(super) fn check(&self, analysis: &Analysis) -> Result<()> {
        let refuse = |name, got: String, expected: String, advice: Option<Advice>| {
            Err(Error::Setting { name, got, expected, advice: advice.map(Box::new) })
        };
        let n_mics = self.microphones.len();
        if n_mics < 2 {
            let advice = Advice::Plain("give a recording of each microphone, or one of several channels".into());
            return refuse("microphones", n_mics.to_string(), "at least 2".into(), Some(advice));
        }
        for (i, microphone) in self.microphones.iter().enumerate() {
            let n_channels = analysis.n_channels();
            if microphone.channel >= n_channels {
                let got = format!("`{}` in channel {}", microphone.name, microphone.channel + 1);
                return refuse("mic", got, format!("channels 1 to {n_channels} of the recording"), None);
            }
            if let Some(other) = self.microphones[..i].iter().find(|other| other.channel == microphone.channel) {
                let got = format!("`{}` in the channel of `{}`", microphone.name, other.name);
                return refuse("mic", got, "a channel for each".into(), None);
            }
        }
        let mut seen = vec![false; n_mics];
        for shared in &self.shared {
            let is_wrong = |mic: &usize| seen.get(*mic).copied().unwrap_or(true);
            if shared.microphones.len() < 2 || shared.microphones.iter().any(is_wrong) {
                let expected = "two or more microphones, each in one group only".into();
                return refuse("group", format!("`{}` of {:?}", shared.name, shared.microphones), expected, None);
            }
            shared.microphones.iter().for_each(|mic| seen[*mic] = true);
        }
        if !(0.0..=1.0).contains(&self.strength) {
            let advice = Advice::set("strength", 1).note("or less to leave some of the bleed in");
            return refuse("strength", self.strength.to_string(), "0 to 1".into(), Some(advice));
        }
        for (name, value) in
            [("n_components", self.n_components), ("max_iter", self.max_iter), ("n_steps", self.n_steps)]
        {
            if value == 0 {
                return refuse(name, "0".into(), "at least 1".into(), None);
            }
        }
        if let Some(dictionary) = &self.examples {
            dictionary.check_fits(analysis.sample_rate(), analysis.stft().config())?;
            if dictionary.n_context() != 1 {
                let got = dictionary.n_context().to_string();
                return refuse("n_context", got, "1: sources are looked for frame by frame".into(), None);
            }
            let sources = self.sources();
            let is_known = |name: &str| sources.iter().any(|(known, _)| known == name);
            if let Some(source) = dictionary.sources().iter().find(|source| !is_known(&source.name)) {
                let known: Vec<_> = sources.iter().map(|(name, _)| format!("`{name}`")).collect();
                return refuse("example", format!("`{}`", source.name), format!("one of {}", known.join(", ")), None);
            }
        }
        Ok(())
    }
}
