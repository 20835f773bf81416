//! `partita evaluate`: sources and estimates of them in, scores out.
//!
//! Files are paired by their names without the ending. A folder is one track; where there are only folders in it, each of
//! them is one. The table goes to standard output, or one JSON object per track with `--json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use partita::audio::decode::{Reader, is_audio_path};
use partita::error::shown;
use partita::eval::{
    self, Channels, EvalConfig, Evaluation, Framing, Matching, Mode, Quantity, Scores, Signals, Silence,
};
use partita::watch::Watch;
use partita::{Error, Result as LibraryResult};
use serde_json::{Value, json};

use super::exit::{DONE, is_interrupted};
use super::failure::Failure;
use super::parse;
use super::sound;
use super::terminal::Terminal;

/// The scores' names in tables, in the order of [`Scores::values`].
const SCORES: [&str; 5] = ["SDR", "ISR", "SIR", "SAR", "SI-SDR"];

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    /// Folder of the sources as they are, one file each, or of folders of them, one for each track
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) references: PathBuf,
    /// Folder of the estimates, under the same names
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) estimates: PathBuf,
    /// Find out which estimate belongs to which reference, by the best SIR, whatever their names
    #[arg(long)]
    pub(super) permutation: bool,
    /// The mixture, to say how much better the estimates are; with several tracks, its place in each folder of references
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) mixture: Option<PathBuf>,

    /// What BSS Eval forgives: nothing (images), or what a filter does to the source (sources)
    #[arg(long, default_value = Mode::default().name(), value_parser = parse::named(Mode::ALL, Mode::name), help_heading = "Measure")]
    pub(super) mode: Mode,
    /// Judge channels as one signal, or each for itself and average
    #[arg(long, default_value = Channels::default().name(), value_parser = parse::named(Channels::ALL, Channels::name), help_heading = "Measure")]
    pub(super) channels: Channels,
    /// Judge windows one by one, and tell the medians [default: the whole at once]
    #[arg(long, help_heading = "Measure")]
    pub(super) framewise: bool,
    /// Length of a window, in seconds; implies --framewise [default: 1]
    #[arg(long = "window", value_name = "S", help_heading = "Measure")]
    pub(super) window_s: Option<f64>,
    /// From one window to the next, in seconds; implies --framewise [default: the length of a window]
    #[arg(long = "hop", value_name = "S", help_heading = "Measure")]
    pub(super) hop_s: Option<f64>,
    /// Taps of the distortion filters
    #[arg(long = "filter-length", value_name = "N", default_value_t = EvalConfig::default().n_taps, help_heading = "Measure")]
    pub(super) n_taps: usize,
}

pub(super) fn run(args: &EvaluateArgs, terminal: &Terminal) -> Result<u8, Failure> {
    let config = config(args);
    let tracks = tracks(args, terminal)?;
    if let [track] = &tracks[..] {
        let evaluation = evaluate(track, &config, terminal)?;
        terminal.print(&table(track, &evaluation));
        terminal.event(event(track, &evaluation, &config));
        return Ok(DONE);
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for track in &tracks {
        if !done.is_empty() {
            terminal.print("");
        }
        match evaluate(track, &config, terminal) {
            Ok(evaluation) => {
                terminal.print(&table(track, &evaluation));
                terminal.event(event(track, &evaluation, &config));
                done.push((track, evaluation));
            }
            Err(failure) if failure.is_interruption() || is_interrupted() => return Err(failure),
            Err(failure) => {
                terminal.failure(&failure);
                failed.push(track.name.clone());
            }
        }
    }
    let rows = summary(&done);
    let n_failed = failed.len();
    if !done.is_empty() {
        terminal.print(&format!("\n{}", summary_table(&rows, done.len())));
    }
    let rows: Vec<_> = rows.iter().map(SummaryRow::json).collect();
    terminal.event(json!({ "event": "summary", "inputs": tracks.len(), "failed": failed, "scores": rows }));
    if n_failed > 0 {
        return Err(Failure::Some { n_failed, n_inputs: tracks.len(), done: "evaluated" });
    }
    Ok(DONE)
}

fn config(args: &EvaluateArgs) -> EvalConfig {
    let defaults = Framing::default();
    let is_framewise = args.framewise || args.window_s.is_some() || args.hop_s.is_some();
    let window_s = args.window_s.unwrap_or(defaults.window_s);
    EvalConfig {
        mode: args.mode,
        channels: args.channels,
        framing: is_framewise.then(|| Framing { window_s, hop_s: args.hop_s.unwrap_or(window_s) }),
        matching: if args.permutation { Matching::BestSir } else { Matching::InOrder },
        n_taps: args.n_taps,
    }
}

// ---- which files -----------------------------------------------------------------------------------------------------

/// Recordings that belong together.
struct Track {
    /// The folder, below those that were given; empty where these hold the recordings themselves.
    name: String,
    references: Vec<Stem>,
    /// In the order of the references, unless the best match is looked for.
    estimates: Vec<Stem>,
    mixture: Option<PathBuf>,
}

/// A recording and its name without the ending.
struct Stem {
    name: String,
    path: PathBuf,
}

impl Stem {
    fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn tracks(args: &EvaluateArgs, terminal: &Terminal) -> Result<Vec<Track>, Failure> {
    let (references, estimates) = (Folder::list(&args.references)?, Folder::list(&args.estimates)?);
    if references.stems.is_empty() && !references.folders.is_empty() {
        let both = || references.folders.intersection(&estimates.folders);
        let only = |a: &Folder, b: &Folder| a.folders.difference(&b.folders).cloned().collect::<Vec<_>>();
        let (missing, superfluous) = (only(&references, &estimates), only(&estimates, &references));
        if !missing.is_empty() {
            return Err(unpaired("track", &args.estimates, &missing, &superfluous));
        }
        if !superfluous.is_empty() {
            terminal.warning(&format!("there are no references for the tracks {}", list(&superfluous)));
        }
        return both()
            .map(|name| {
                let (references, estimates) = (args.references.join(name), args.estimates.join(name));
                let mixture = args.mixture.as_ref().map(|mixture| references.join(mixture));
                track(name.clone(), &references, &estimates, mixture, args.permutation, terminal)
            })
            .collect();
    }
    // Beside the references or wherever it is.
    let mixture = args.mixture.as_ref().map(|mixture| match args.references.join(mixture) {
        beside if !mixture.exists() && beside.exists() => beside,
        _ => mixture.clone(),
    });
    Ok(vec![track(String::new(), &args.references, &args.estimates, mixture, args.permutation, terminal)?])
}

fn track(
    name: String,
    references: &Path,
    estimates: &Path,
    mixture: Option<PathBuf>,
    permutation: bool,
    terminal: &Terminal,
) -> Result<Track, Failure> {
    let is_mixture = |path: &Path| {
        mixture.as_ref().is_some_and(|mixture| match (fs::canonicalize(mixture), fs::canonicalize(path)) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        })
    };
    let stems = |folder: &Path| -> Result<Vec<Stem>, Failure> {
        let stems: Vec<_> = Folder::list(folder)?.stems.into_iter().filter(|stem| !is_mixture(&stem.path)).collect();
        if stems.is_empty() {
            return Err(Failure::usage(
                format!("there is no recording in the folder `{}`", shown(folder)),
                "give the folder that holds one file per source",
            ));
        }
        if let Some([a, b]) = stems.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(Failure::usage(
                format!("`{}` and `{}` have the same name", shown(&a.path), shown(&b.path)),
                "keep one recording for each source",
            ));
        }
        Ok(stems)
    };
    let (references, mut found) = (stems(references)?, stems(estimates)?);
    if permutation {
        if found.len() < references.len() {
            let message = format!(
                "`{}` has {} estimates, expected at least {}, one for each reference",
                shown(estimates),
                found.len(),
                references.len()
            );
            return Err(Failure::usage(message, "give every estimate, the poor ones too"));
        }
        return Ok(Track { name, references, estimates: found, mixture });
    }
    let (mut paired, mut missing) = (Vec::new(), Vec::new());
    for reference in &references {
        match found.iter().position(|stem| stem.name == reference.name) {
            Some(place) => paired.push(found.remove(place)),
            None => missing.push(reference.file_name()),
        }
    }
    let superfluous: Vec<_> = found.iter().map(Stem::file_name).collect();
    if !missing.is_empty() {
        return Err(unpaired("stem", estimates, &missing, &superfluous));
    }
    if !superfluous.is_empty() {
        terminal.warning(&format!("`{}`: there is no reference for {}", shown(estimates), list(&superfluous)));
    }
    Ok(Track { name, references, estimates: paired, mixture })
}

fn unpaired(what: &str, folder: &Path, missing: &[String], superfluous: &[String]) -> Failure {
    let mut message = format!("`{}` has no {what} {}", shown(folder), list(missing));
    if superfluous.is_empty() {
        return Failure::usage(message, format!("give one {what} for each of the references, under the same name"));
    }
    message.push_str(&format!(", but {}, not among the references", list(superfluous)));
    let hint = match what {
        "stem" => "give both the same names, or add `--permutation`, which finds out what belongs together".to_owned(),
        _ => format!("give one {what} for each of the references, under the same name"),
    };
    Failure::usage(message, hint)
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What lies in a folder, in the order of names.
struct Folder {
    stems: Vec<Stem>,
    folders: BTreeSet<String>,
}

impl Folder {
    fn list(path: &Path) -> Result<Self, Failure> {
        let cannot = |source| Failure::from(Error::OpenAudio { path: path.to_owned(), source });
        let mut entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(cannot)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut folder = Self { stems: Vec::new(), folders: BTreeSet::new() };
        // A pipe would be waited for.
        let is_device = |path: &Path| path.metadata().is_ok_and(|file| !file.is_file());
        for path in entries.iter().map(fs::DirEntry::path) {
            let name = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folder.folders.insert(name(path.file_name()));
            } else if is_audio_path(&path) && !is_device(&path) {
                folder.stems.push(Stem { name: name(path.file_stem()), path });
            }
        }
        folder.stems.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(folder)
    }
}

// ---- the work --------------------------------------------------------------------------------------------------------

fn evaluate(track: &Track, config: &EvalConfig, terminal: &Terminal) -> Result<Evaluation, Failure> {
    let files = Files::new(track, terminal)?;
    let mut steps = terminal.steps();
    let mut tell = |progress| steps.tell(progress);
    let result = eval::evaluate_with(&files, config, &mut Watch::new(&mut tell));
    drop(steps);
    let folder = track.references.first().and_then(|stem| stem.path.parent()).unwrap_or(Path::new("."));
    let evaluation = result.map_err(|error| match error {
        Error::Silent => Failure::usage(
            format!("all references in `{}` are silent", shown(folder)),
            "check that the right folder was given",
        ),
        error => error.into(),
    })?;
    for (reference, source) in track.references.iter().zip(&evaluation.sources) {
        let silent = match source.silence {
            Some(Silence::Reference) => &reference.path,
            Some(Silence::Estimate) => &track.estimates[source.estimate].path,
            None => continue,
        };
        terminal.warning(&format!(
            "`{}` is silent: `{}` has no scores and no part in the mean",
            shown(silent),
            reference.name
        ));
    }
    let n_silent = evaluation.sources.iter().filter(|source| source.silence.is_none());
    if let Some(n_silent) = n_silent.map(eval::SourceEvaluation::n_silent_frames).max().filter(|n| *n > 0) {
        let n_frames = evaluation.sources.first().map_or(0, |source| source.frames.len());
        terminal.say(&format!(
            "{n_silent} of {n_frames} windows have no scores and no part in the medians: a source is silent there"
        ));
    }
    Ok(evaluation)
}

/// Files of a track, read side by side.
struct Files {
    paths: Vec<PathBuf>,
    n_references: usize,
    n_estimates: usize,
    has_mixture: bool,
    sample_rate: u32,
    n_channels: usize,
    n_samples_hint: Option<u64>,
}

/// Samples per channel that are read at once.
const BLOCK: usize = 1 << 15;

impl Files {
    fn new(track: &Track, terminal: &Terminal) -> Result<Self, Failure> {
        let stems = track.references.iter().chain(&track.estimates).map(|stem| stem.path.clone());
        let mut files = Self {
            paths: stems.chain(track.mixture.clone()).collect(),
            n_references: track.references.len(),
            n_estimates: track.estimates.len(),
            has_mixture: track.mixture.is_some(),
            sample_rate: 0,
            n_channels: 0,
            n_samples_hint: None,
        };
        let readers = files.open()?;
        if let Some(first) = readers.first() {
            files.sample_rate = first.sample_rate();
            files.n_channels = first.n_channels();
            files.n_samples_hint = first.n_samples_hint();
        }
        for (k, reader) in readers.iter().enumerate() {
            sound::warn(&shown(&files.paths[k]), reader.notes(), terminal);
            let (rate, channels) = (u64::from(reader.sample_rate()), reader.n_channels() as u64);
            files.check(Quantity::SampleRate, k, rate, u64::from(files.sample_rate))?;
            files.check(Quantity::Channels, k, channels, files.n_channels as u64)?;
        }
        Ok(files)
    }

    fn open(&self) -> LibraryResult<Vec<Reader>> {
        self.paths.iter().map(|path| Reader::open(path)).collect()
    }

    /// Refuses a file that differs from the first.
    fn check(&self, quantity: Quantity, k: usize, got: u64, expected: u64) -> LibraryResult<()> {
        let name = |k: usize| shown(&self.paths[k]);
        quantity.check((&name(k), got), (&name(0), expected))
    }
}

impl Signals for Files {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn n_channels(&self) -> usize {
        self.n_channels
    }

    fn n_references(&self) -> usize {
        self.n_references
    }

    fn n_estimates(&self) -> usize {
        self.n_estimates
    }

    fn n_samples_hint(&self) -> Option<u64> {
        self.n_samples_hint
    }

    fn has_mixture(&self) -> bool {
        self.has_mixture
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> LibraryResult<()>) -> LibraryResult<()> {
        let mut readers = self.open()?;
        let mut n_read = 0u64;
        loop {
            let blocks: Vec<Array2<f32>> = readers.iter_mut().map(|r| r.read(BLOCK)).collect::<LibraryResult<_>>()?;
            let n_samples = blocks.first().map_or(0, Array2::ncols);
            if blocks.iter().any(|block| block.ncols() != n_samples) {
                // To say how long each of them is, they are read to their ends.
                let mut lengths = Vec::new();
                for (reader, block) in readers.iter_mut().zip(&blocks) {
                    lengths.push(n_read + block.ncols() as u64 + reader.skip(u64::MAX)?);
                }
                let first = lengths.first().copied().unwrap_or(0);
                for (k, length) in lengths.into_iter().enumerate() {
                    self.check(Quantity::Samples, k, length, first)?;
                }
            }
            if n_samples == 0 {
                return Ok(());
            }
            n_read += n_samples as u64;
            let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
            sink(concatenate(Axis(0), &views).expect("blocks of one length").view())?;
        }
    }
}

// ---- what is told ----------------------------------------------------------------------------------------------------

/// A table of one track: a line per source, and their mean.
fn table(track: &Track, evaluation: &Evaluation) -> String {
    let mean = (evaluation.sources.len() > 1).then(|| ("mean", None, evaluation.mean(), evaluation.mean_improvement()));
    let is_matched = |reference: &Stem, estimate: &Stem| reference.name != estimate.name;
    let rows: Vec<_> = track
        .references
        .iter()
        .zip(&evaluation.sources)
        .map(|(reference, source)| {
            let estimate = &track.estimates[source.estimate];
            let other = is_matched(reference, estimate).then_some(&*estimate.name);
            (&*reference.name, other, source.scores(), source.improvement())
        })
        .chain(mean)
        .collect();
    let has_matches = rows.iter().any(|(_, estimate, ..)| estimate.is_some());
    let mut header = vec![if track.name.is_empty() { "source".to_owned() } else { track.name.clone() }];
    header.extend(has_matches.then(|| "estimate".to_owned()));
    let known = known(rows.iter().map(|(_, _, scores, _)| scores));
    header.extend(known.iter().map(|k| SCORES[*k].to_owned()));
    if evaluation.mean_improvement().is_some() {
        header.extend(["SDRi", "SI-SDRi"].map(str::to_owned));
    }
    let lines = rows.iter().map(|(name, estimate, scores, improvement)| {
        let mut line = vec![(*name).to_owned()];
        line.extend(has_matches.then(|| if *name == "mean" { "" } else { estimate.unwrap_or(name) }.to_owned()));
        line.extend(known.iter().map(|k| decibels(scores.values()[*k])));
        line.extend(improvement.iter().flat_map(|gain| [decibels(gain.bss_sdr), decibels(gain.si_sdr)]));
        line
    });
    align(&std::iter::once(header).chain(lines).collect::<Vec<_>>(), if has_matches { 2 } else { 1 })
}

/// The scores that somebody has: ISR is there in one mode only.
fn known<'a>(rows: impl Iterator<Item = &'a Scores> + Clone) -> Vec<usize> {
    (0..SCORES.len()).filter(|k| *k != 1 || rows.clone().any(|scores| !scores.bss_isr.is_nan())).collect()
}

fn decibels(x: f64) -> String {
    if x.is_nan() { "-".to_owned() } else { format!("{x:.2}") }
}

/// Lines of columns: the first `n_left` to the left, numbers to the right.
fn align(lines: &[Vec<String>], n_left: usize) -> String {
    let n_columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |line: &Vec<String>, k: usize| line.get(k).cloned().unwrap_or_default();
    let widths: Vec<_> =
        (0..n_columns).map(|k| lines.iter().map(|line| cell(line, k).chars().count()).max().unwrap_or(0)).collect();
    let text = |line: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(k, width)| match k < n_left {
            true => format!("{:<width$}", cell(line, k)),
            false => format!("{:>width$}", cell(line, k), width = (*width).max(7)),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(text).collect::<Vec<_>>().join("\n")
}

fn event(track: &Track, evaluation: &Evaluation, config: &EvalConfig) -> Value {
    let source = |(reference, source): (&Stem, &eval::SourceEvaluation)| {
        json!({
            "name": reference.name, "estimate": track.estimates[source.estimate].name,
            "scores": scores_json(&source.scores()),
            "improvement": source.improvement().as_ref().map(scores_json),
            "silence": source.silence.map(|silence| match silence {
                Silence::Reference => "reference",
                Silence::Estimate => "estimate",
            }),
            "n_silent_windows": source.n_silent_frames(),
            "windows": config.framing.map(|_| source.frames.iter().map(scores_json).collect::<Vec<_>>()),
        })
    };
    json!({
        "event": "evaluated", "track": track.name, "n_samples": evaluation.n_samples,
        "mode": config.mode.name(), "channels": config.channels.name(), "n_taps": config.n_taps,
        "window_s": config.framing.map(|framing| framing.window_s), "hop_s": config.framing.map(|framing| framing.hop_s),
        "sources": track.references.iter().zip(&evaluation.sources).map(source).collect::<Vec<_>>(),
        "mean": scores_json(&evaluation.mean()),
        "mean_improvement": evaluation.mean_improvement().as_ref().map(scores_json),
    })
}

/// What is NaN becomes null.
fn scores_json(scores: &Scores) -> Value {
    json!({
        "bss_sdr": scores.bss_sdr, "bss_isr": scores.bss_isr, "bss_sir": scores.bss_sir, "bss_sar": scores.bss_sar,
        "si_sdr": scores.si_sdr,
    })
}

/// A source over all tracks that have it, or the means of all tracks.
struct SummaryRow {
    /// `None`: the tracks.
    source: Option<String>,
    scores: [Scores; 2],
    improvements: Option<[Scores; 2]>,
}

impl SummaryRow {
    fn new(source: Option<String>, all: &[(Scores, Option<Scores>)]) -> Self {
        let scores: Vec<_> = all.iter().map(|(scores, _)| *scores).collect();
        let improvements: Option<Vec<_>> = all.iter().map(|(_, improvement)| *improvement).collect();
        let both = |all: &[Scores]| [Scores::mean(all), Scores::median(all)];
        Self { source, scores: both(&scores), improvements: improvements.map(|all| both(&all)) }
    }

    fn json(&self) -> Value {
        let both = |[mean, median]: &[Scores; 2]| json!({ "mean": scores_json(mean), "median": scores_json(median) });
        json!({ "source": self.source, "scores": both(&self.scores), "improvement": self.improvements.as_ref().map(both) })
    }
}

fn summary(done: &[(&Track, Evaluation)]) -> Vec<SummaryRow> {
    let mut by_source: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (track, evaluation) in done {
        for (reference, source) in track.references.iter().zip(&evaluation.sources) {
            by_source.entry(&reference.name).or_default().push((source.scores(), source.improvement()));
        }
    }
    let tracks: Vec<_> = done.iter().map(|(_, all)| (all.mean(), all.mean_improvement())).collect();
    let sources = by_source.into_iter().map(|(name, all)| SummaryRow::new(Some(name.to_owned()), &all));
    sources.chain([SummaryRow::new(None, &tracks)]).collect()
}

fn summary_table(rows: &[SummaryRow], n_tracks: usize) -> String {
    let known = known(rows.iter().flat_map(|row| &row.scores));
    let mut header = vec![format!("{n_tracks} tracks"), String::new()];
    header.extend(known.iter().map(|k| SCORES[*k].to_owned()));
    if rows.iter().any(|row| row.improvements.is_some()) {
        header.extend(["SDRi", "SI-SDRi"].map(str::to_owned));
    }
    let mut lines = vec![header];
    for row in rows {
        for (k, what) in ["mean", "median"].into_iter().enumerate() {
            let mut line = vec![row.source.clone().unwrap_or_else(|| "all".to_owned()), what.to_owned()];
            line.extend(known.iter().map(|score| decibels(row.scores[k].values()[*score])));
            let gain = row.improvements.as_ref().map(|both| &both[k]);
            line.extend(gain.iter().flat_map(|gain| [decibels(gain.bss_sdr), decibels(gain.si_sdr)]));
            lines.push(line);
        }
    }
    align(&lines, 2)
}
