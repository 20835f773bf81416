//! What is known of the parts, and what becomes of the rest.

use ndarray::Array1;

use crate::knowledge::score::Score;

/// What the parts of a recording play, and how to find them.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreConfig {
    /// The score, in the time of the recording: [`crate::knowledge::score::align::align`] brings it there.
    pub score: Score,
    /// What some of its parts sound like alone ([`listen`](super::listen)): their envelopes and drums start from it, which helps where a
    /// part is never heard alone in the mixture. Default: none.
    pub solos: Vec<Solo>,
    /// What becomes of sound that no note explains. Default: a stem `residual`.
    pub unscored: Unscored,
    /// Exponent of the masks, above 0. Default 1.5.
    pub mask_exponent: f32,
}

/// What becomes of sound that no note explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unscored {
    /// It makes a stem of its own, `residual`.
    #[default]
    Residual,
    /// It is shared out among the parts.
    Shared,
}

/// What a part sounds like alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Solo {
    /// The part's name.
    pub name: String,
    /// The sum of its magnitudes over time, `n_bins`.
    pub spectrum: Array1<f32>,
}

impl ScoreConfig {
    /// The defaults, for a score.
    pub fn new(score: Score) -> Self {
        Self { score, solos: Vec::new(), unscored: Unscored::default(), mask_exponent: 1.5 }
    }
}
