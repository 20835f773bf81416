//! `partita drums`: each drum of a recording by itself.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use partita::audio::Recording;
use partita::audio::decode::{self, Reader};
use partita::error::shown;
use partita::separate::drums::{Drum, DrumsConfig, Sound, hits_to_score};
use partita::separate::{Accompaniment, Analysis, AnalysisConfig, Places, drums_of};
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

    /// The drums to look for, as in kick,snare,hihat,tom; each has a stem, whether it is heard or not
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_values = DEFAULT_PIECES, value_parser = PossibleValuesParser::new(Drum::names()))]
    pub(super) pieces: Vec<String>,
    /// A drum by a recording of one or more of its hits: another drum, or in place of one of `--pieces` (repeatable;
    /// several recordings of one name are several sounds of one drum)
    #[arg(long, value_name = "NAME=FILE", value_parser = parse::named_file, value_hint = ValueHint::FilePath)]
    pub(super) kit: Vec<(String, PathBuf)>,
    /// Look for the drums of `--kit` only, not for those of `--pieces`
    #[arg(long, requires = "kit", conflicts_with = "pieces")]
    pub(super) kit_only: bool,
    /// Also write the hits as a MIDI file, `drums.mid`, beside the stems
    #[arg(long)]
    pub(super) midi_out: bool,

    /// Whether other instruments play, too: then these go to a stem `residual` before the drums are taken apart
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = parse::named(SONGS, song_name))]
    pub(super) song: Accompaniment,

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

/// The drums of [`Drum::standard`].
const DEFAULT_PIECES: [&str; 3] = ["kick", "snare", "hihat"];

const SONGS: [Accompaniment; 3] = [Accompaniment::Auto, Accompaniment::Present, Accompaniment::Absent];

fn song_name(song: Accompaniment) -> &'static str {
    match song {
        Accompaniment::Auto => "auto",
        Accompaniment::Present => "yes",
        Accompaniment::Absent => "no",
    }
}

pub(super) fn run(args: &DrumsArgs, context: &Context) -> Result<u8, Failure> {
    let config = DrumsConfig {
        kit: kit(args, &context.terminal)?,
        template_s: args.template_s,
        n_residual: args.n_residual,
        max_iter: args.max_iter,
        mask_exponent: args.mask_exponent,
        seed: context.seed,
    };
    let (stft, max_frames) = (args.transform.options(), args.max_frames);
    let method = Kit {
        analysis: AnalysisConfig { stft, max_frames, ..AnalysisConfig::drums() },
        places: args.places.or_mask(),
        config,
        song: args.song,
        has_midi: args.midi_out,
    };
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &method)
}

/// The drums to look for: those of `--pieces`, unless only the recorded ones are wanted, and these, which take the place
/// of one of the same name.
fn kit(args: &DrumsArgs, terminal: &Terminal) -> Result<Vec<Drum>, Failure> {
    let pieces = args.pieces.iter().filter(|_| !args.kit_only);
    let mut kit: Vec<_> = pieces.filter_map(|name| Drum::named(name)).collect();
    for (name, path) in &args.kit {
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
    places: Places,
    config: DrumsConfig,
    song: Accompaniment,
    /// Whether the hits are written, too.
    has_midi: bool,
}

impl Method for Kit {
    fn names(&self) -> Vec<String> {
        let has_residual = self.config.n_residual > 0 || self.song == Accompaniment::Present;
        let residual = has_residual.then(|| names::RESIDUAL.to_owned());
        self.config.kit.iter().map(|drum| drum.name.clone()).chain(residual).collect()
    }

    fn has_more_names(&self) -> bool {
        self.song == Accompaniment::Auto
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn places(&self) -> Places {
        self.places.clone()
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let separation = drums_of(recording, analysis, &self.analysis, &self.config, self.song, watch)?;
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
