//! `partita drums`: each drum of a recording by itself.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use partita::audio::Recording;
use partita::audio::decode::{self, Reader};
use partita::error::shown;
use partita::separate::drums::{self, Drum, DrumsConfig, Sound, hits_to_score};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;
use partita::{Error, names};

use super::context::Context;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, OutputArgs, PlacesArgs, TransformArgs};
use super::parse;
use super::sound;
use super::stems::{self, Extra, Method, Outcome};
use super::terminal::Terminal;

#[derive(Debug, Args)]
pub(super) struct DrumsArgs {
    #[command(flatten)]
    pub(super) inputs: InputArgs,

    /// A drum by a recording of one or more of its hits: another drum, or in place of kick, snare or hihat (repeatable;
    /// several recordings of one name are several sounds of one drum)
    #[arg(long, value_name = "NAME=FILE", value_parser = parse::named_file, value_hint = ValueHint::FilePath)]
    pub(super) kit: Vec<(String, PathBuf)>,
    /// Look for the drums of `--kit` only, not for kick, snare and hihat
    #[arg(long, requires = "kit")]
    pub(super) kit_only: bool,
    /// Also write the hits as a MIDI file, `drums.mid`, beside the stems
    #[arg(long)]
    pub(super) midi_out: bool,

    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) excerpt: ExcerptArgs,

    /// Free templates for what no drum explains, which goes to a stem `residual`
    #[arg(id = "n_residual", long = "residual", value_name = "K", default_value_t = DrumsConfig::default().n_residual, help_heading = "Method")]
    pub(super) n_residual: usize,
    /// Length of a hit in seconds, as far as it is modeled
    #[arg(long, value_name = "S", default_value_t = DrumsConfig::default().template_s, help_heading = "Method")]
    pub(super) template_s: f64,
    /// Iterations of the factorization
    #[arg(long, value_name = "N", default_value_t = DrumsConfig::default().max_iter, help_heading = "Method")]
    pub(super) max_iter: usize,
    #[command(flatten)]
    pub(super) transform: TransformArgs,
    /// Exponent of the masks: 1 is softest, 2 the Wiener filter's
    #[arg(long, value_name = "A", default_value_t = DrumsConfig::default().mask_exponent, help_heading = "Method")]
    pub(super) mask_exponent: f32,
    /// Learn from this many frames at the most, spread evenly over a longer recording; bounds the memory
    #[arg(long, value_name = "N", default_value_t = AnalysisConfig::drums().max_frames, help_heading = "Method")]
    pub(super) max_frames: usize,
    #[command(flatten)]
    pub(super) places: PlacesArgs,
}

pub(super) fn run(args: &DrumsArgs, context: &Context) -> Result<u8, Failure> {
    let config = DrumsConfig {
        kit: kit(&args.kit, args.kit_only, &context.terminal)?,
        template_s: args.template_s,
        n_residual: args.n_residual,
        max_iter: args.max_iter,
        mask_exponent: args.mask_exponent,
        seed: context.seed,
    };
    let (stft, max_frames) = (args.transform.options(), args.max_frames);
    let method = Kit {
        analysis: AnalysisConfig { stft, max_frames, ..AnalysisConfig::drums() },
        has_places: args.places.is_wanted(false),
        config,
        has_midi: args.midi_out,
    };
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &method)
}

/// The drums to look for: kick, snare and hi-hat, unless only the recorded ones are wanted, and these, which take the
/// place of one of the same name.
fn kit(recorded: &[(String, PathBuf)], kit_only: bool, terminal: &Terminal) -> Result<Vec<Drum>, Failure> {
    let mut kit = if kit_only { Vec::new() } else { Drum::standard() };
    for (name, path) in recorded {
        let mut reader = Reader::open(path).map_err(Failure::at(shown(path)))?;
        sound::warn(&shown(path), reader.notes(), terminal);
        let audio = decode::read_rest(&mut reader, None).map_err(Failure::at(shown(path)))?;
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
    analysis: AnalysisConfig,
    has_places: bool,
    config: DrumsConfig,
    /// Whether the hits are written, too.
    has_midi: bool,
}

impl Method for Kit {
    fn names(&self) -> Vec<String> {
        let residual = (self.config.n_residual > 0).then(|| names::RESIDUAL.to_owned());
        self.config.kit.iter().map(|drum| drum.name.clone()).chain(residual).collect()
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn has_places(&self) -> bool {
        self.has_places
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let separation = drums::fit(analysis, &self.config, None, watch)?;
        let separation = drums::follow(separation, recording, watch)?;
        let hits = separation.hits();
        let count = |(i, drum): (usize, &Drum)| {
            let n_hits = hits.iter().filter(|hit| hit.drum == i).count();
            format!("{n_hits} {} of {}", if n_hits == 1 { "hit" } else { "hits" }, drum.name)
        };
        let counts: Vec<_> = self.config.kit.iter().enumerate().map(count).collect();
        let score = || hits_to_score(&self.config.kit, hits).to_midi();
        let extras = self.has_midi.then(|| Extra { name: "drums", extension: "mid", bytes: score() });
        let extras = extras.into_iter().collect();
        Ok(Outcome { remarks: vec![counts.join(", ")], extras, ..separation.into() })
    }
}
