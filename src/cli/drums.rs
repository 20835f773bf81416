//! `partita drums`: each drum of a recording by itself.

use std::ops::ControlFlow;
use std::path::PathBuf;

use partita::Error;
use partita::audio::Recording;
use partita::audio::decode;
use partita::error::shown;
use partita::separate::{Drum, DrumsConfig, Progress, RESIDUAL, Sound, drums, hits_to_score};

use super::args::Drums;
use super::failure::Failure;
use super::stems::{self, Extra, Method, Outcome};
use super::terminal::Terminal;

pub(super) fn run(args: &Drums, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    let config = DrumsConfig {
        kit: kit(&args.kit, args.kit_only)?,
        stft: args.transform.options(),
        template_s: args.template_s,
        n_residual: args.n_residual,
        max_iter: args.max_iter,
        mask_exponent: args.mask_exponent,
        max_frames: args.max_frames,
        seed,
    };
    stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &Kit { config, has_midi: args.midi_out })
}

/// The drums to look for: kick, snare and hi-hat, unless they are not wanted, and those that were recorded, which take
/// the place of one of the same name.
fn kit(recorded: &[(String, PathBuf)], is_all: bool) -> Result<Vec<Drum>, Failure> {
    let mut kit = if is_all { Vec::new() } else { Drum::standard() };
    for (name, path) in recorded {
        let audio = decode::read(path).map_err(Failure::at(shown(path)))?;
        let sound = Sound::Recording { audio, label: shown(path) };
        match kit.iter_mut().find(|drum| drum.name == *name) {
            Some(drum) if drum.sounds.iter().all(|sound| matches!(sound, Sound::Recording { .. })) => {
                drum.sounds.push(sound)
            }
            Some(drum) => drum.sounds = vec![sound],
            None => kit.push(Drum { name: name.clone(), sounds: vec![sound] }),
        }
    }
    Ok(kit)
}

struct Kit {
    config: DrumsConfig,
    /// Whether the hits are written, too.
    has_midi: bool,
}

impl Method for Kit {
    fn names(&self) -> Vec<String> {
        let residual = (self.config.n_residual > 0).then(|| RESIDUAL.to_owned());
        self.config.kit.iter().map(|drum| drum.name.clone()).chain(residual).collect()
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let (separation, hits) = drums(recording, &self.config, progress)?;
        let count = |(i, drum): (usize, &Drum)| {
            let n_hits = hits.iter().filter(|hit| hit.drum == i).count();
            format!("{n_hits} {} of {}", if n_hits == 1 { "hit" } else { "hits" }, drum.name)
        };
        let counts: Vec<_> = self.config.kit.iter().enumerate().map(count).collect();
        let score = || hits_to_score(&self.config.kit, &hits).to_midi();
        let extras = self.has_midi.then(|| Extra { name: "drums", extension: "mid", bytes: score() });
        let extras = extras.into_iter().collect();
        Ok(Outcome { remarks: vec![counts.join(", ")], extras, ..separation.into() })
    }
}
