//! `separate` by a score: one stem for each of its parts.

use std::ops::ControlFlow;
use std::path::Path;

use partita::audio::Recording;
use partita::error::shown;
use partita::separate::{Progress, ScoreConfig, Timing, Unscored, by_score_and_examples};
use partita::{Error, Score, names};

use super::args::SeparateArgs;
use crate::cli::failure::Failure;
use crate::cli::sound::Solo;
use crate::cli::stems::{Extent, MUSIC_WINDOW_S, Method, Outcome};
use crate::cli::terminal::Terminal;

pub(super) struct ByScore {
    config: ScoreConfig,
    solos: Vec<Solo>,
}

impl ByScore {
    /// Reads the score and puts it where the arguments say; with `--start`, its time is that of the whole file.
    pub(super) fn new(path: &Path, args: &SeparateArgs, terminal: &Terminal) -> Result<Self, Failure> {
        let at = || Failure::at(shown(path));
        let score = Score::load(path).map_err(at())?;
        let start_s = args.excerpt.start.unwrap_or_default().as_secs_f64();
        let moved = score.moved(args.score.score_offset, args.score.score_stretch).map_err(at())?;
        let method = &args.method;
        let config = ScoreConfig {
            timing: if args.score.align { Timing::Aligned } else { Timing::Exact },
            unscored: if args.score.no_residual { Unscored::Shared } else { Unscored::Residual },
            stft: method.transform.options(),
            mask_exponent: method.mask_exponent,
            max_frames: method.max_frames,
            ..ScoreConfig::new(moved.warped(|time_s| time_s - start_s))
        };
        Ok(Self { config, solos: Solo::open_all(&args.knowledge.example, terminal)? })
    }
}

impl Method for ByScore {
    fn names(&self) -> Vec<String> {
        let residual = (self.config.unscored == Unscored::Residual).then(|| names::RESIDUAL.to_owned());
        self.config.score.parts.iter().map(|part| part.name.clone()).chain(residual).collect()
    }

    fn extent(&self, sample_rate: u32) -> Extent {
        Extent { stft: self.config.stft.resolve(sample_rate, MUSIC_WINDOW_S), max_frames: self.config.max_frames }
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let examples: Vec<_> = self.solos.iter().map(Solo::example).collect();
        let separation = by_score_and_examples(recording, &self.config, &examples, progress)?;
        let score = &self.config.score;
        let parts = score.parts.iter().map(|part| {
            let notes = part.notes.len();
            format!("{} ({}, {notes} {})", part.name, part.class.name(), if notes == 1 { "note" } else { "notes" })
        });
        let remarks = vec![format!("by the score: {}", parts.collect::<Vec<_>>().join(", "))];
        Ok(Outcome { remarks, ..separation.into() })
    }
}
