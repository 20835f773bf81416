//! `partita factorize --runs N`: many fits of one matrix, what they have in common, and how that is told.

use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

use clap::Args;
use partita::matrix_file::{FitFolder, NpzWriter};
use partita::nmf::{
    Consensus, ConsensusConfig, Matrix, NmfConfig, Real, Replicates, ReplicatesConfig, Side, most_stable,
};
use partita::plot::{self, PlotConfig, Stability};
use partita::watch::{Progress, Watch};
use partita::{Error, Result};
use serde_json::{Value, json};

use super::parse;
use super::terminal::{Terminal, counted};

/// Numbers of components that are compared at the most.
const MOST_RANKS: usize = 1000;

/// Many fits, and what they have in common.
#[derive(Debug, Args)]
#[command(next_help_heading = "Many fits")]
pub(super) struct RunArgs {
    /// Fit N times from different seeds, side by side, and give what the fits have in common; with --select-rank, for each
    /// number of components, and use the largest that is stable
    #[arg(id = "n_runs", long = "runs", value_name = "N", conflicts_with_all = ["init_dictionary", "init_activations", "by_blocks", "warm_start"])]
    pub(super) n_runs: Option<usize>,
    /// Take fits that are there from a run that was interrupted, or that had fewer runs: in the folder FILE-fits beside the
    /// output, where each fit is kept as soon as it is done
    #[arg(long, requires = "n_runs")]
    pub(super) resume: bool,
    /// The factor whose columns or rows are compared; the other says how much each sample uses them
    #[arg(long = "compare", value_name = "FACTOR", default_value = name(Side::Dictionary), value_parser = parse::named([Side::Dictionary, Side::Activations], name), requires = "n_runs")]
    pub(super) compared: Side,
    /// Components whose mean distance from their nearest neighbors is at least this are left out; 0.1 to 0.2 leave out more
    #[arg(long, value_name = "D", default_value_t = ConsensusConfig::default().density_threshold, requires = "n_runs")]
    pub(super) density_threshold: f64,
    /// How many neighbors are the nearest, as a share of the runs
    #[arg(long, value_name = "S", default_value_t = ConsensusConfig::default().neighborhood, requires = "n_runs")]
    pub(super) neighborhood: f64,
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Dictionary => "dictionary",
        Side::Activations => "activations",
    }
}

/// The consensus for each number of components.
pub(super) struct Found<T: Real> {
    pub(super) all: Vec<Consensus<T>>,
    /// Whether outliers are left out of each: not where too few components would be left.
    is_filtered: Vec<bool>,
    best: usize,
}

impl<T: Real> Found<T> {
    /// That with the number of components to use.
    pub(super) fn best(&self) -> &Consensus<T> {
        &self.all[self.best]
    }

    fn curve(&self) -> Vec<Stability> {
        let of = |found: &Consensus<T>| Stability {
            n_components: found.n_components(),
            stability: found.stability,
            cophenetic: found.connectivity.cophenetic,
            dispersion: found.connectivity.dispersion,
            error: found.factors.divergence,
        };
        self.all.iter().map(of).collect()
    }
}

/// The folder where fits are kept, named after the output.
pub(super) fn folder(out: &Path) -> PathBuf {
    let mut name = out.file_stem().unwrap_or_default().to_owned();
    name.push("-fits");
    out.with_file_name(name)
}

/// Fits, and finds what the fits have in common.
pub(super) fn find<T: Real>(
    args: &RunArgs,
    (v, out): (Matrix<'_, T>, &Path),
    range: RangeInclusive<usize>,
    nmf: &NmfConfig<T>,
    flow: &dyn Fn() -> ControlFlow<()>,
    terminal: &Terminal,
) -> Result<Found<T>> {
    let n_runs = args.n_runs.unwrap_or_default();
    let expected = |expected: &str| Error::Setting {
        name: "range",
        got: format!("{}-{}", range.start(), range.end()),
        expected: expected.into(),
        advice: None,
    };
    if range.is_empty() {
        return Err(expected("a range of at least one number, from 1 or more"));
    }
    if range.end() - range.start() >= MOST_RANKS {
        return Err(expected(&format!("at most {MOST_RANKS} numbers of components")));
    }
    let ranks: Vec<usize> = range.collect();
    let config = ReplicatesConfig { nmf: nmf.clone(), n_runs, side: args.compared };
    let settings = ConsensusConfig {
        density_threshold: args.density_threshold,
        neighborhood: args.neighborhood,
        ..ConsensusConfig::default()
    };
    settings.check()?;
    let replicates = Replicates::new(v, &config)?;
    let shelf = FitFolder::new(&folder(out), v, &config, args.resume);
    let mut bar = None;
    let mut tell = |progress: Progress| {
        let bar = bar.get_or_insert_with(|| terminal.bar(progress.total.unwrap_or_default(), "factorizing"));
        bar.set(progress.done);
        flow()
    };
    let runs = replicates.fit(&ranks, &shelf, &mut Watch::new(&mut tell));
    drop(bar);
    let mut quietly = |_: Progress| flow();
    let mut watch = Watch::new(&mut quietly);
    let (mut all, mut is_filtered) = (Vec::new(), Vec::new());
    for runs in runs? {
        let (found, filtered) = match replicates.consensus(&runs, &settings, &mut watch) {
            // One number of components that does not suit the matrix is no reason not to see the others.
            Err(Error::Setting { name: "density_threshold", .. })
                if ranks.len() > 1 && args.density_threshold > 0.0 =>
            {
                let everything = ConsensusConfig { density_threshold: f64::INFINITY, ..settings };
                (replicates.consensus(&runs, &everything, &mut watch)?, false)
            }
            found => (found?, true),
        };
        all.push(found);
        is_filtered.push(filtered);
    }
    let stabilities: Vec<_> = all.iter().map(|found| (found.n_components(), found.stability)).collect();
    let chosen = most_stable(&stabilities).unwrap_or_default();
    let best = stabilities.iter().position(|(n_components, _)| *n_components == chosen).unwrap_or_default();
    Ok(Found { all, is_filtered, best })
}

/// Says how the numbers of components did.
pub(super) fn report<T: Real>(found: &Found<T>, n_runs: usize, terminal: &Terminal) {
    terminal.say("components  stability  cophenetic  dispersion  outliers  divergence");
    for (i, (point, consensus)) in found.curve().iter().zip(&found.all).enumerate() {
        let mark = if i == found.best && found.all.len() > 1 { "  <- taken" } else { "" };
        let outliers = if found.is_filtered[i] { consensus.n_outliers().to_string() } else { "too many".into() };
        terminal.say(&format!(
            "{:>10}  {:>9.3}  {:>10.3}  {:>10.3}  {:>8}  {:.6e}{mark}",
            point.n_components, point.stability, point.cophenetic, point.dispersion, outliers, point.error
        ));
    }
    let taken = found.best();
    let each: Vec<String> = taken.silhouettes.iter().map(|silhouette| format!("{silhouette:.2}")).collect();
    terminal.say(&format!(
        "consensus of {} with {}; silhouettes {}",
        counted(n_runs, "run"),
        counted(taken.n_components(), "component"),
        each.join(" ")
    ));
}

/// What the file says of it.
pub(super) fn info<T: Real>(args: &RunArgs, found: &Found<T>) -> Value {
    let of = |(found, is_filtered): (&Consensus<T>, &bool)| {
        json!({
            "n_components": found.n_components(), "stability": found.stability, "silhouette": found.silhouette,
            "silhouettes": found.silhouettes, "cophenetic": found.connectivity.cophenetic,
            "dispersion": found.connectivity.dispersion, "divergence": found.factors.divergence,
            "divergences": found.divergences, "n_outliers": found.n_outliers(), "has_filter": is_filtered, "clusters": found.clusters,
            "densities": found.densities, "samples": found.connectivity.order,
        })
    };
    json!({
        "n_runs": args.n_runs, "compared": name(args.compared), "density_threshold": args.density_threshold,
        "neighborhood": args.neighborhood, "ranks": found.all.iter().zip(&found.is_filtered).map(of).collect::<Vec<_>>(),
    })
}

/// Adds to the file, for each number of components K: `W-K` and `H-K`, the consensus; `components-K`, those of all runs;
/// `connectivity-K`, how often samples go together.
pub(super) fn write<T: Real>(writer: &mut NpzWriter, found: &Found<T>) -> Result<()> {
    for consensus in &found.all {
        let n_components = consensus.n_components();
        if found.all.len() > 1 {
            writer.array(&format!("W-{n_components}"), consensus.factors.dictionary.view())?;
            writer.array(&format!("H-{n_components}"), consensus.factors.activations.view())?;
        }
        writer.array(&format!("components-{n_components}"), consensus.components.view())?;
        writer.array(&format!("connectivity-{n_components}"), consensus.connectivity.shares.view())?;
    }
    Ok(())
}

/// The names of the pictures that are drawn beside those of every fit.
pub(super) fn pictures(args: &RunArgs, range: Option<&RangeInclusive<usize>>) -> &'static [&'static str] {
    match range {
        _ if args.n_runs.is_none() => &[],
        Some(range) if range.start() < range.end() => &["connectivity", "stability"],
        _ => &["connectivity"],
    }
}

/// Draws them, each with its title and file.
pub(super) fn draw<T: Real>(
    found: &Found<T>,
    config: &dyn Fn(&str) -> PlotConfig,
    path: &dyn Fn(&str) -> PathBuf,
) -> Result<()> {
    plot::connectivity(found.best().connectivity.shares.view(), &config("connectivity"), &path("connectivity"))?;
    if found.all.len() > 1 {
        plot::stability(&found.curve(), &config("stability"), &path("stability"))?;
    }
    Ok(())
}
