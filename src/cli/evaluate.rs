//! `partita evaluate`: sources and estimates of them in, scores out.
//!
//! Files are paired by their names without the ending. A folder is one track; where there are only folders in it, each of
//! them is one. The table goes to standard output, or one JSON object per track with `--json`.

mod files;
mod report;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use partita::Error;
use partita::audio::decode::is_audio_path;
use partita::error::shown;
use partita::eval::{self, Channels, EvalConfig, Evaluation, Framing, Matching, Mode, Scores, Signals, Silence};
use partita::watch::Watch;
use serde_json::json;

use self::files::{Files, Stem, Track};
use self::report::{SummaryRow, event, summary, summary_table, table};
use super::exit::{DONE, is_interrupted};
use super::failure::Failure;
use super::litter::{is_like_audio, is_litter};
use super::parse;
use super::terminal::Terminal;

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
    /// Cut all recordings of a track to the shortest of them, at their ends: decoders pad
    #[arg(long)]
    pub(super) trim: bool,

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
    let n_left_out = Cell::new(0);
    let tracks = tracks(args, &n_left_out, terminal)?;
    if n_left_out.get() > 0 {
        terminal.say(&format!("left out: {} hidden or left there by systems and programs", n_left_out.get()));
    }
    if let [track] = &tracks[..] {
        evaluate(track, args.trim, &config, terminal)?;
        return Ok(DONE);
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for track in &tracks {
        if !done.is_empty() {
            terminal.print("");
        }
        match evaluate(track, args.trim, &config, terminal) {
            Ok(evaluation) => done.push((track, evaluation)),
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

fn tracks(args: &EvaluateArgs, n_left_out: &Cell<usize>, terminal: &Terminal) -> Result<Vec<Track>, Failure> {
    let list_folder = |path| Folder::list(path, n_left_out);
    let (references, estimates) = (list_folder(&args.references)?, list_folder(&args.estimates)?);
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
                track(name.clone(), &references, &estimates, mixture, args.permutation, n_left_out, terminal)
            })
            .collect();
    }
    // Beside the references or wherever it is.
    let mixture = args.mixture.as_ref().map(|mixture| match args.references.join(mixture) {
        beside if !mixture.exists() && beside.exists() => beside,
        _ => mixture.clone(),
    });
    // The two are listed again.
    n_left_out.set(0);
    Ok(vec![track(String::new(), &args.references, &args.estimates, mixture, args.permutation, n_left_out, terminal)?])
}

fn track(
    name: String,
    references: &Path,
    estimates: &Path,
    mixture: Option<PathBuf>,
    permutation: bool,
    n_left_out: &Cell<usize>,
    terminal: &Terminal,
) -> Result<Track, Failure> {
    let is_mixture = |path: &Path| {
        mixture.as_ref().is_some_and(|mixture| match (fs::canonicalize(mixture), fs::canonicalize(path)) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        })
    };
    let stems = |folder: &Path| -> Result<Vec<Stem>, Failure> {
        let stems: Vec<_> =
            Folder::list(folder, n_left_out)?.stems.into_iter().filter(|stem| !is_mixture(&stem.path)).collect();
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

/// What lies in a folder, in the order of names, without what systems leave there.
struct Folder {
    stems: Vec<Stem>,
    folders: BTreeSet<String>,
}

impl Folder {
    fn list(path: &Path, n_left_out: &Cell<usize>) -> Result<Self, Failure> {
        let cannot = |source| Failure::from(Error::OpenAudio { path: path.to_owned(), source });
        let mut entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(cannot)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut folder = Self { stems: Vec::new(), folders: BTreeSet::new() };
        // A pipe would be waited for.
        let is_device = |path: &Path| path.metadata().is_ok_and(|file| !file.is_file());
        for path in entries.iter().map(fs::DirEntry::path) {
            let name = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
            if is_litter(&path) {
                n_left_out.set(n_left_out.get() + usize::from(path.is_dir() || is_like_audio(&path)));
            } else if path.is_dir() {
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

/// Judges one track, and tells how it came out.
fn evaluate(track: &Track, trim: bool, config: &EvalConfig, terminal: &Terminal) -> Result<Evaluation, Failure> {
    let files = Files::new(track, trim, terminal)?;
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
    let trimmed = files.trimmed();
    for (path, n_cut) in &trimmed {
        let n_all = evaluation.n_samples as u64 + n_cut;
        let message = format!("`{}`: the last {n_cut} of {n_all} samples are left out", shown(path));
        // Decoders pad by less than a tenth of a second.
        match n_cut * 10 > u64::from(files.sample_rate()) {
            true => terminal.warning(&format!("{message}; is it of the same recording?")),
            false => terminal.say(&message),
        }
    }
    for (reference, source) in track.references.iter().zip(&evaluation.sources) {
        warn_of_silence(reference, source, &track.estimates[source.estimate], terminal);
    }
    let heard = evaluation.sources.iter().filter(|source| config.framing.is_some() && source.silence.is_none());
    if let Some(n_silent) = heard.map(eval::SourceEvaluation::n_silent_frames).max().filter(|n| *n > 0) {
        let n_frames = evaluation.sources.first().map_or(0, |source| source.frames.len());
        terminal.say(&format!(
            "{n_silent} of {n_frames} windows have no scores and no part in the medians: a reference is silent there"
        ));
    }
    terminal.print(&table(track, &evaluation));
    terminal.event(event(track, &evaluation, config, &trimmed));
    Ok(evaluation)
}

/// Says which scores of a source do not exist, as something is silent.
fn warn_of_silence(reference: &Stem, source: &eval::SourceEvaluation, estimate: &Stem, terminal: &Terminal) {
    let (name, silent) = (&reference.name, |stem: &Stem| format!("`{}` is silent", shown(&stem.path)));
    let [n_sdr, .., n_si_sdr] = Scores::n_existing(&source.frames);
    match source.silence {
        Some(Silence::Reference) => {
            terminal.warning(&format!("{}: `{name}` has no scores and no part in the mean", silent(reference)));
        }
        Some(Silence::Estimate) if n_sdr > 0 => terminal.warning(&format!(
            "{}: the SDR and ISR of `{name}` are 0 dB and count, its SIR, SAR and SI-SDR do not exist",
            silent(estimate)
        )),
        Some(Silence::Estimate) => terminal.warning(&format!(
            "{}: `{name}` has no scores in this mode and no part in the mean; `--mode images` gives it an SDR of 0 dB",
            silent(estimate)
        )),
        None if n_si_sdr < n_sdr && source.frames.len() == 1 => {
            terminal.warning(&format!("{} in a channel: `{name}` has no SI-SDR", silent(estimate)));
        }
        None if n_si_sdr < n_sdr => terminal.warning(&format!(
            "{} in {} of the {n_sdr} windows in which `{name}` sounds: its SDR counts there, and its SI-SDR does not exist",
            silent(estimate),
            n_sdr - n_si_sdr
        )),
        None => {}
    }
}
