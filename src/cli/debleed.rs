//! `partita debleed`: a microphone for each source, cleaned of what it hears of the others.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use partita::audio::Recording;
use partita::audio::gathered::Gathered;
use partita::error::shown;
use partita::separate::bleed::{self, BleedConfig, Microphone, Shared};
use partita::separate::{Analysis, AnalysisConfig};
use partita::watch::Watch;
use partita::{Error, Score};

use super::context::Context;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, KnowledgeArgs, OutputArgs, TransformArgs};
use super::inputs::{Input, Member};
use super::parse;
use super::sessions;
use super::sound::{self, Excerpt, Sound};
use super::sources::Sources;
use super::stems::{self, Method, Outcome};
use super::terminal::Terminal;

/// What an input is.
pub(super) const SESSIONS: &str = "Files of one folder, one for each microphone, are a session together, and the folder's \
    name is that of the track; a folder of such folders is a batch. With `--mic`, and in a folder of its own, each file is a \
    session.";

#[derive(Debug, Args)]
pub(super) struct DebleedArgs {
    #[command(flatten)]
    pub(super) inputs: InputArgs,

    /// The channel of a microphone in each file, counted from 1 (repeatable) [default: a microphone is a file, and has
    /// its name; in a file alone, `mic-1` and so on]
    #[arg(long, value_name = "NAME=CHANNEL", value_parser = parse::named_channel)]
    pub(super) mic: Vec<(String, usize)>,
    /// Microphones that stand before the same players, by their names or channels (repeatable): none is cleaned of
    /// the others' sound. Files of several channels in a session are such groups
    #[arg(long, value_name = "NAME=MIC,MIC,...", value_parser = parse::named_list)]
    pub(super) group: Vec<(String, Vec<String>)>,
    /// A source without a microphone of its own (repeatable): it is taken out of all, and its stem is what the
    /// microphone hears that hears it best
    #[arg(long, value_name = "NAME")]
    pub(super) source: Vec<String>,
    /// Also write what is taken out of each microphone, as `NAME_rest`: both sum to the microphone
    #[arg(long)]
    pub(super) rest: bool,
    /// How much of the bleed goes: 0 nothing, 1 all that is found; with 0.5, half of its amplitude stays
    #[arg(long, value_name = "S", default_value_t = BleedConfig::new(Vec::new()).strength)]
    pub(super) strength: f32,
    /// Line up files that began at different times, by what all of them hear; stems are lined up, too [default: leave
    /// them as they are, and say so]
    #[arg(long)]
    pub(super) align: bool,
    /// Begin and end each stem with its own file, as the files began and ended before they were lined up; the stem of a
    /// source without a microphone lasts as long as the session
    #[arg(long, requires = "align")]
    pub(super) keep_times: bool,
    /// A recording of one source alone, from which the search for it begins (repeatable)
    #[arg(long, value_name = "NAME=FILE", value_parser = parse::named_file, help_heading = "Knowledge")]
    pub(super) example: Vec<(String, PathBuf)>,
    /// A MIDI file with parts that are named like microphones or sources: where one has no note, it does not sound
    #[arg(long, value_name = "FILE.mid", value_hint = ValueHint::FilePath, help_heading = "Knowledge")]
    pub(super) score: Option<PathBuf>,

    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) excerpt: ExcerptArgs,

    /// Components of each source
    #[arg(id = "n_components", short = 'k', long = "components", value_name = "K", help_heading = "Method",
          default_value_t = BleedConfig::new(Vec::new()).n_components)]
    pub(super) n_components: usize,
    /// Iterations of each stage of the factorization
    #[arg(long, value_name = "N", default_value_t = BleedConfig::new(Vec::new()).max_iter, help_heading = "Method")]
    pub(super) max_iter: usize,
    /// Steps that find where sources stand
    #[arg(id = "n_steps", long = "steps", value_name = "N", help_heading = "Method",
          default_value_t = BleedConfig::new(Vec::new()).n_steps)]
    pub(super) n_steps: usize,
    #[command(flatten)]
    pub(super) transform: TransformArgs,
    /// Learn from this many frames at the most, spread evenly over a longer recording [default: as many as take 320 MB]
    #[arg(long, value_name = "N", help_heading = "Method")]
    pub(super) max_frames: Option<usize>,
}

pub(super) fn run(args: &DebleedArgs, context: &Context) -> Result<u8, Failure> {
    let hint = "name the microphone with `--stem NAME`, and add `--rest` for what is taken out of it";
    if args.output.two_stems.is_some() {
        return Err(Failure::usage("`--two-stems` has no meaning here: each stem is of one microphone", hint));
    }
    if args.output.components_out {
        return Err(Failure::usage("`--components-out` has no meaning here: components are of all microphones", hint));
    }
    let examples = match args.example.is_empty() {
        true => None,
        false => {
            let knowledge = KnowledgeArgs {
                example: args.example.clone(),
                dictionary: Vec::new(),
                n_semitones: 0,
                n_context: Some(1),
            };
            let (k, stft) = (Some(args.n_components), args.transform.options());
            Some(Sources::new(&knowledge, k, stft, context.seed, &context.terminal)?)
        }
    };
    let score = args.score.as_deref().map(|path| Score::load(path).map_err(Failure::at(shown(path)))).transpose()?;
    let method = Bleed { args, examples, score, seed: context.seed };
    stems::run(&args.inputs, &args.output, &args.excerpt, context, &method)
}

struct Bleed<'a> {
    args: &'a DebleedArgs,
    examples: Option<Sources>,
    score: Option<Score>,
    seed: u64,
}

impl Bleed<'_> {
    /// Which microphones there are in a session.
    fn config(&self, session: &[Member]) -> Result<BleedConfig, Failure> {
        let args = self.args;
        let BleedConfig { mut microphones, mut shared, .. } = sessions::config(session);
        if session.is_empty() {
            let of_mic = |(name, channel): &(String, usize)| Microphone { name: name.clone(), channel: channel - 1 };
            microphones.extend(args.mic.iter().map(of_mic));
        }
        for (name, members) in &args.group {
            let mut group = Vec::new();
            for (number, member) in members.iter().enumerate() {
                let found = microphones
                    .iter()
                    .position(|microphone| microphone.name == *member || member.parse() == Ok(microphone.channel + 1));
                match (found, member.parse::<usize>()) {
                    (Some(mic), _) => group.push(mic),
                    // A channel that `--mic` does not name.
                    (None, Ok(channel)) if session.is_empty() && channel > 0 => {
                        group.push(microphones.len());
                        let name = format!("{name}-{}", number + 1);
                        microphones.push(Microphone { name, channel: channel - 1 });
                    }
                    _ => {
                        let known: Vec<_> = microphones.iter().map(|mic| format!("`{}`", mic.name)).collect();
                        let message = format!("`--group {name}` names `{member}`, which is no microphone");
                        return Err(Failure::usage(message, format!("there are {}", known.join(", "))));
                    }
                }
            }
            // Named, it takes the place of what a file of several channels is by itself.
            shared.retain(|shared: &Shared| !shared.microphones.iter().any(|mic| group.contains(mic)));
            shared.push(Shared { name: name.clone(), microphones: group });
        }
        Ok(BleedConfig {
            shared,
            others: args.source.clone(),
            has_rest: args.rest,
            strength: args.strength,
            n_components: args.n_components,
            max_iter: args.max_iter,
            n_steps: args.n_steps,
            seed: self.seed,
            ..BleedConfig::new(microphones)
        })
    }
}

impl Method for Bleed<'_> {
    fn names(&self) -> Vec<String> {
        self.config(&[]).map_or(Vec::new(), |config| config.names())
    }

    fn names_of(&self, input: &Input) -> Vec<String> {
        self.config(&input.session).map_or(Vec::new(), |config| config.names())
    }

    fn has_sessions(&self) -> bool {
        self.args.mic.is_empty()
    }

    fn sessions(&self, inputs: Vec<Input>) -> Result<Vec<Input>, Failure> {
        let sessions = sessions::of(inputs, self.args.excerpt.track.audio_track);
        let hint = "put the files of a session into one folder, or give a file of several channels with `--mic`";
        for session in &sessions {
            sessions::check(session, &self.config(&session.session)?, hint)?;
        }
        Ok(sessions)
    }

    fn open(&self, input: &Input, excerpt: &Excerpt, terminal: &Terminal) -> Result<Box<dyn Sound>, Failure> {
        if input.session.len() < 2 {
            return Ok(Box::new(sound::open(input, excerpt, terminal)?));
        }
        let of_member = |member: &Member| Input { path: member.path.clone(), ..Input::default() };
        let open = |member: &Member| sound::open(&of_member(member), excerpt, terminal);
        let files = input.session.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let delays = sessions::delays(&input.session, &files, self.args.align, terminal);
        let delays = delays.map_err(Failure::at(input.label()))?;
        let gathered = Gathered::new(files).map_err(Failure::at(input.label()))?;
        Ok(Box::new(gathered.with_delays(delays)))
    }

    fn extent_of(&self, input: &Input, recording: &dyn Sound, name: &str) -> Option<Range<u64>> {
        if !self.args.keep_times {
            return None;
        }
        let channel = self.config(&input.session).ok()?.channel_of(name)?;
        recording.extent_of(channel)
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis_of(self.args.mic.len())
    }

    fn analysis_of(&self, n_channels: usize) -> AnalysisConfig {
        let defaults = BleedConfig::analysis(n_channels);
        let max_frames = self.args.max_frames.unwrap_or(defaults.max_frames);
        AnalysisConfig { stft: self.args.transform.options(), max_frames, ..defaults }
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        self.fit_input(&Input::default(), recording, analysis, watch)
    }

    fn fit_input(
        &self,
        input: &Input,
        _: &dyn Recording,
        analysis: &Analysis,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome, Error> {
        // It was made before, to tell the names of the stems.
        let mut config = self.config(&input.session).unwrap_or_else(|_| BleedConfig::new(Vec::new()));
        if let Some(examples) = &self.examples {
            config.examples = Some(examples.dictionary(analysis.sample_rate(), watch)?);
        }
        let mut remarks = Vec::new();
        if let Some(score) = &self.score {
            let unknown;
            (config, unknown) = config.with_score(score);
            if !unknown.is_empty() {
                remarks.push(format!("parts of the score without a microphone: {}", unknown.join(", ")));
            }
        }
        let separation = bleed::fit(analysis, &config, None, watch)?;
        Ok(Outcome { remarks, ..separation.into() })
    }
}
