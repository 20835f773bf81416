//! How to look for the sources of a dictionary.

use crate::error::Advice;
use crate::knowledge::dictionary::Dictionary;
use crate::names::RESIDUAL;
use crate::separate::methods::check_mask_exponent;
use crate::separate::pipeline::Analysis;
use crate::{Error, Result};

/// Two octaves: beyond them no example sounds like itself.
const MAX_SEMITONES: usize = 24;

/// How to look for the sources of a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct ExamplesConfig {
    /// What the sources sound like.
    pub dictionary: Dictionary,
    /// Templates for what no example explains, which make a stem `residual`. They are learned from the mixture; of sound
    /// that is yet to come they cannot be, and any number above 0 stands for one in each band. Default
    /// [`ExamplesConfig::n_residual_beside`] the sources: a single one is wanted apart from the rest; several share all of
    /// the mixture.
    pub n_residual: usize,
    /// Every template is also looked for at pitches up to this many semitones higher and lower, for the notes that an
    /// example lacks; 0 to 24. Default 7: on nine recordings 5 are 0.9 dB better than 0, and on 21 others 7 are 0.4 dB better than
    /// 5, most of it on one whose players go far beyond their examples.
    pub n_semitones: usize,
    /// Iterations that find the activations, at least 1: a fifth of as many over all templates, on the sums of the frames of a
    /// stack, and two fifths, with longer steps, over the templates that were found there. Default 30.
    pub max_iter: usize,
    /// Exponent of the masks, above 0; 2 is the Wiener filter's, higher is harder. Default 1.5.
    pub mask_exponent: f32,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl ExamplesConfig {
    /// The default of `n_semitones`.
    pub const N_SEMITONES: usize = 7;

    /// The default of `n_residual` beside a single source.
    pub const N_RESIDUAL: usize = 20;

    /// The defaults, for a dictionary.
    pub fn new(dictionary: Dictionary) -> Self {
        let n_residual = Self::n_residual_beside(dictionary.sources().iter().map(|source| &*source.name));
        Self { dictionary, n_residual, n_semitones: Self::N_SEMITONES, max_iter: 30, mask_exponent: 1.5, seed: 0 }
    }

    /// The default of `n_residual` where sources of these names are known: [`ExamplesConfig::N_RESIDUAL`] for a single one,
    /// which would get the recording as it is, and 0 for others, or where that one is the residual itself.
    pub fn n_residual_beside<'a>(names: impl IntoIterator<Item = &'a str>) -> usize {
        let mut names = names.into_iter();
        let is_alone = names.next().is_some_and(|name| name != RESIDUAL) && names.next().is_none();
        if is_alone { Self::N_RESIDUAL } else { 0 }
    }

    pub(super) fn check(&self, analysis: &Analysis) -> Result<()> {
        check_mask_exponent(self.mask_exponent)?;
        let refuse = |name, got: String, expected: String, advice: Option<Advice>| {
            Err(Error::Setting { name, got, expected, advice: advice.map(Box::new) })
        };
        if self.max_iter == 0 {
            return refuse("max_iter", "0".into(), "at least 1".into(), None);
        }
        if self.n_semitones > MAX_SEMITONES {
            return refuse("n_semitones", self.n_semitones.to_string(), format!("0 to {MAX_SEMITONES}"), None);
        }
        self.dictionary.check_fits(analysis.sample_rate(), analysis.stft().config())?;
        let sources = self.dictionary.sources();
        let Some(first) = sources.first() else {
            return refuse("dictionary", "none".into(), "at least one source".into(), None);
        };
        if self.n_residual > 0 && sources.iter().any(|source| source.name == RESIDUAL) {
            let advice = Advice::plain(format!("give the example another name, such as `{}-2`", first.name));
            return refuse(
                "n_residual",
                self.n_residual.to_string(),
                "0, as an example is called `residual`".into(),
                Some(advice),
            );
        }
        Ok(())
    }
}
