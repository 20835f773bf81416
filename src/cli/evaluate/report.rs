//! What an evaluation comes to: tables for people, objects for `--json`.

use std::collections::BTreeMap;
use std::path::Path;

use partita::batch::text;
use partita::eval::{EvalConfig, Evaluation, Scores, Silence, SourceEvaluation};
use serde_json::{Value, json};

use super::files::{Stem, Track};

/// The scores' names in tables, in the order of [`Scores::values`].
const SCORES: [&str; 5] = ["SDR", "ISR", "SIR", "SAR", "SI-SDR"];

/// The same in JSON.
const FIELDS: [&str; 5] = ["bss_sdr", "bss_isr", "bss_sir", "bss_sar", "si_sdr"];

/// A table of one track: a line per source, and their mean.
pub(super) fn table(track: &Track, evaluation: &Evaluation) -> String {
    let n_sources = evaluation.sources.len();
    let mean = (n_sources > 1).then(|| ("mean", None, evaluation.mean(), evaluation.mean_improvement()));
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
        line.extend(cells(&known, scores, improvement.as_ref()));
        line
    });
    let over = over(&known, &evaluation.scores(), evaluation.improvements().as_deref()).filter(|_| n_sources > 1);
    let over = over.map(|counts| {
        let first = ["over".to_owned()].into_iter().chain(has_matches.then(String::new));
        first.chain(counts).collect()
    });
    let lines: Vec<_> = std::iter::once(header).chain(lines).chain(over).collect();
    align(&lines, if has_matches { 2 } else { 1 })
}

/// The cells of one line.
fn cells(known: &[usize], scores: &Scores, improvement: Option<&Scores>) -> Vec<String> {
    let gains = improvement.into_iter().flat_map(|gain| [gain.bss_sdr, gain.si_sdr]);
    known.iter().map(|k| scores.values()[*k]).chain(gains).map(decibels).collect()
}

/// Over how many a mean or median is, score by score, where one of them is not over all.
fn over(known: &[usize], scores: &[Scores], improvements: Option<&[Scores]>) -> Option<Vec<String>> {
    let of_scores = Scores::n_existing(scores);
    let of_gains = improvements.map(Scores::n_existing);
    let counts: Vec<_> =
        known.iter().map(|k| of_scores[*k]).chain(of_gains.iter().flat_map(|n| [n[0], n[4]])).collect();
    let n_all = scores.len();
    counts.iter().any(|n| *n < n_all).then(|| counts.iter().map(|n| format!("{n} of {n_all}")).collect())
}

/// The scores that somebody has: ISR is there in one mode only.
fn known<'a>(rows: impl Iterator<Item = &'a Scores> + Clone) -> Vec<usize> {
    (0..SCORES.len()).filter(|k| *k != 1 || rows.clone().any(|scores| !scores.bss_isr.is_nan())).collect()
}

fn decibels(x: f64) -> String {
    if x.is_nan() {
        return "-".to_owned();
    }
    let shown = format!("{x:.2}");
    if shown == "-0.00" { "0.00".to_owned() } else { shown }
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

pub(super) fn event(track: &Track, evaluation: &Evaluation, config: &EvalConfig, trimmed: &[(&Path, u64)]) -> Value {
    let source = |(reference, source): (&Stem, &SourceEvaluation)| {
        json!({
            "name": reference.name, "estimate": track.estimates[source.estimate].name,
            "scores": scores_json(&source.scores()),
            "improvement": source.improvement().as_ref().map(scores_json),
            "silence": source.silence.map(|silence| match silence {
                Silence::Reference => "reference",
                Silence::Estimate => "estimate",
            }),
            "n_silent_windows": source.n_silent_frames(),
            "n_windows": config.framing.map(|_| counts_json(&source.frames)),
            "windows": config.framing.map(|_| source.frames.iter().map(scores_json).collect::<Vec<_>>()),
        })
    };
    let trimmed = trimmed.iter().map(|(path, n_samples)| json!({ "path": text(path), "n_samples": n_samples }));
    json!({
        "event": "evaluated", "track": track.name, "n_samples": evaluation.n_samples,
        "mode": config.mode.name(), "channels": config.channels.name(), "n_taps": config.n_taps,
        "window_s": config.framing.map(|framing| framing.window_s), "hop_s": config.framing.map(|framing| framing.hop_s),
        "trimmed": trimmed.collect::<Vec<_>>(),
        "sources": track.references.iter().zip(&evaluation.sources).map(source).collect::<Vec<_>>(),
        "mean": scores_json(&evaluation.mean()), "mean_of": counts_json(&evaluation.scores()),
        "mean_improvement": evaluation.mean_improvement().as_ref().map(scores_json),
        "mean_improvement_of": evaluation.improvements().map(|all| counts_json(&all)),
    })
}

/// A score that does not exist becomes null.
fn scores_json(scores: &Scores) -> Value {
    FIELDS.iter().zip(scores.values()).map(|(field, score)| ((*field).to_owned(), json!(score))).collect()
}

/// Over how many of these a mean or median of each score is.
fn counts_json(all: &[Scores]) -> Value {
    FIELDS.iter().zip(Scores::n_existing(all)).map(|(field, n)| ((*field).to_owned(), json!(n))).collect()
}

/// A source over all tracks that have it, or the means of all tracks.
pub(super) struct SummaryRow {
    /// `None`: the tracks.
    source: Option<String>,
    scores: Summarized,
    improvements: Option<Summarized>,
}

/// Scores of tracks.
struct Summarized {
    /// In each track.
    all: Vec<Scores>,
    /// The scores of sources that these are made of.
    counted: Vec<Scores>,
}

impl Summarized {
    fn json(&self) -> Value {
        let [(_, mean), (_, median)] = averages(&self.all);
        json!({ "mean": scores_json(&mean), "median": scores_json(&median), "of": counts_json(&self.counted) })
    }
}

impl SummaryRow {
    fn of_source(name: &str, all: Vec<(Scores, Option<Scores>)>) -> Self {
        let (scores, improvements): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let summarized = |all: Vec<Scores>| Summarized { counted: all.clone(), all };
        let improvements: Option<Vec<_>> = improvements.into_iter().collect();
        Self { source: Some(name.to_owned()), scores: summarized(scores), improvements: improvements.map(summarized) }
    }

    fn of_tracks(done: &[(&Track, Evaluation)]) -> Self {
        let all = || done.iter().map(|(_, evaluation)| evaluation);
        let improvements: Option<Vec<_>> = all().map(Evaluation::improvements).collect();
        let means = all().filter_map(Evaluation::mean_improvement).collect();
        Self {
            source: None,
            scores: Summarized {
                all: all().map(Evaluation::mean).collect(),
                counted: all().flat_map(Evaluation::scores).collect(),
            },
            improvements: improvements.map(|counted| Summarized { all: means, counted: counted.concat() }),
        }
    }

    pub(super) fn json(&self) -> Value {
        let improvement = self.improvements.as_ref().map(Summarized::json);
        json!({ "source": self.source, "scores": self.scores.json(), "improvement": improvement })
    }
}

/// What is told of several tracks.
fn averages(all: &[Scores]) -> [(&'static str, Scores); 2] {
    [("mean", Scores::mean(all)), ("median", Scores::median(all))]
}

pub(super) fn summary(done: &[(&Track, Evaluation)]) -> Vec<SummaryRow> {
    let mut by_source: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (track, evaluation) in done {
        for (reference, source) in track.references.iter().zip(&evaluation.sources) {
            by_source.entry(&reference.name).or_default().push((source.scores(), source.improvement()));
        }
    }
    let sources = by_source.into_iter().map(|(name, all)| SummaryRow::of_source(name, all));
    sources.chain([SummaryRow::of_tracks(done)]).collect()
}

pub(super) fn summary_table(rows: &[SummaryRow], n_tracks: usize) -> String {
    let known = known(rows.iter().flat_map(|row| &row.scores.all));
    let mut header = vec![format!("{n_tracks} tracks"), String::new()];
    header.extend(known.iter().map(|k| SCORES[*k].to_owned()));
    if rows.iter().any(|row| row.improvements.is_some()) {
        header.extend(["SDRi", "SI-SDRi"].map(str::to_owned));
    }
    let mut lines = vec![header];
    for row in rows {
        let name = || row.source.clone().unwrap_or_else(|| "all".to_owned());
        let gains = row.improvements.as_ref().map(|gains| averages(&gains.all));
        for (k, (what, average)) in averages(&row.scores.all).into_iter().enumerate() {
            let gain = gains.as_ref().map(|gains| &gains[k].1);
            let first = [name(), what.to_owned()];
            lines.push(first.into_iter().chain(cells(&known, &average, gain)).collect());
        }
        let over = over(&known, &row.scores.counted, row.improvements.as_ref().map(|gains| &*gains.counted));
        lines.extend(over.map(|counts| [name(), "over".to_owned()].into_iter().chain(counts).collect()));
    }
    align(&lines, 2)
}
