//! `partita factorize`: a matrix in, its two factors out.
//!
//! The `.npz` holds W, H and `info.json`: the settings, the number of iterations, the divergence and its curve, and why
//! the fit ended. What differs from one run to the next (time, memory) is told on standard output only, with `--json`.

use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use ndarray::Array2;
use partita::Error;
use partita::batch::text;
use partita::error::shown;
use partita::matrix_file::blocks::NpyBlocks;
use partita::matrix_file::{self, FitFolder, Kind, Missing, NpzWriter, Presence, ReadConfig};
use partita::nmf::{
    self, Device, Divergence, Factor, Factorization, HoldOut, Init, NmfConfig, RankSelection, Real, Solver,
    SparseMatrix, WarmStart, Warning,
};
use partita::plot::{self, Columns, PlotConfig, Rows};
use partita::watch::{Progress, Watch};
use serde_json::{Value, json};

use super::consensus::{self, RunArgs};
use super::exit::{DONE, is_interrupted};
use super::failure::Failure;
use super::parse;
use super::penalties::PenaltyArgs;
use super::precision::{Number, Precision, no_blocks, single};
use super::terminal::{Terminal, counted};
use super::{meter, outputs};

/// The pictures of `--plot`, named after the file: `factors.npz` and `factors-dictionary.png`.
const PICTURES: [&str; 3] = ["dictionary", "activations", "divergence"];

#[derive(Debug, Args)]
pub(super) struct FactorizeArgs {
    /// The matrix V, no entry below 0: .npy, text (.csv, .tsv, .txt) with a row per line, or sparse Matrix Market (.mtx);
    /// packed by gzip (.gz) or not
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub(super) input: PathBuf,
    /// The .npz to write: W (rows x components), H (components x columns) and info.json
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) out: PathBuf,
    /// Overwrite files that exist
    #[arg(short, long)]
    pub(super) force: bool,
    /// Also draw dictionary, activations and divergence beside the .npz
    #[arg(long)]
    pub(super) plot: bool,

    /// Number of components [default: that of the given factors, else 8]
    #[arg(short = 'k', long = "components", value_name = "K")]
    pub(super) n_components: Option<usize>,
    /// Find the number of components that predicts hidden entries best (with --runs: the largest whose components come back
    /// in all runs), from A to B, and use it
    #[arg(id = "range", long = "select-rank", value_name = "A-B", value_parser = parse::range, conflicts_with_all = ["n_components", "init_dictionary", "init_activations"])]
    pub(super) select_rank: Option<RangeInclusive<usize>>,
    /// What is made small: kl, is, euclidean, or a number for any beta
    #[arg(long, value_name = "D", default_value = "kl", allow_negative_numbers = true)]
    pub(super) divergence: Divergence,
    /// How: multiplicative updates, plain or extrapolated, or, for the Euclidean divergence only, coordinate descent,
    /// alternating least squares or projected gradients
    #[arg(long, default_value = <NmfConfig>::default().solver.name(), value_parser = parse::named(Solver::ALL, Solver::name))]
    pub(super) solver: Solver,
    /// Iterations at the most
    #[arg(long, value_name = "N", default_value_t = <NmfConfig>::default().max_iter)]
    pub(super) max_iter: usize,
    /// Stop when 10 iterations lower the divergence by less than this share of its first value; 0: never
    #[arg(long, value_name = "T", default_value_t = <NmfConfig>::default().tol)]
    pub(super) tol: f64,
    /// Stop at this divergence (with penalties, if any), on the scale of V
    #[arg(long, value_name = "D")]
    pub(super) target_divergence: Option<f64>,

    /// Where to fit: on the processor, or on a graphics processor, for large dense matrices with the divergence kl
    #[arg(long, value_name = "D", default_value = Device::default().name(), value_parser = parse::named(Device::ALL, Device::name))]
    pub(super) device: Device,

    /// Digits of the matrices that are read and written, and of the fit: single (7), or double (16), which takes about twice
    /// the time and memory
    #[arg(long, value_name = "P", default_value = Precision::default().name(), value_parser = parse::named(Precision::ALL, Precision::name))]
    pub(super) precision: Precision,

    #[command(flatten)]
    pub(super) runs: RunArgs,
    #[command(flatten)]
    pub(super) start: StartArgs,
    #[command(flatten)]
    pub(super) entries: EntryArgs,
    #[command(flatten)]
    pub(super) penalties: PenaltyArgs,
}

/// What the factors start from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Start")]
pub(super) struct StartArgs {
    /// How factors start that are not given
    #[arg(long, default_value = <NmfConfig>::default().init.name(), value_parser = parse::named(Init::ALL, Init::name))]
    pub(super) init: Init,
    /// Start W from this matrix (rows x components)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) init_dictionary: Option<PathBuf>,
    /// Start H from this matrix (components x columns)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) init_activations: Option<PathBuf>,
    /// Keep W as given
    #[arg(long, requires = "init_dictionary")]
    pub(super) fix_dictionary: bool,
    /// Keep H as given
    #[arg(long, requires = "init_activations")]
    pub(super) fix_activations: bool,
    /// Start W from a fit to every eighth column; for matrices that are read by blocks
    #[arg(long, conflicts_with = "init_dictionary")]
    pub(super) warm_start: bool,
    /// Look at all columns from the start, where a fit to many would begin on some of them
    #[arg(long)]
    pub(super) all_columns: bool,
}

/// Which entries count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Entries")]
pub(super) struct EntryArgs {
    /// How much each entry of V counts: a matrix of its shape
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) weights: Option<PathBuf>,
    /// Entries of V that are missing
    #[arg(long, default_value = Missing::default().name(), value_parser = parse::named(Missing::ALL, Missing::name))]
    pub(super) missing: Missing,
    /// Whether the first line of a text is a heading
    #[arg(long, default_value = Presence::default().name(), value_parser = parse::named(Presence::ALL, Presence::name))]
    pub(super) header: Presence,
    /// Whether the first column of a text is an index, with labels of the rows
    #[arg(long, default_value = Presence::default().name(), value_parser = parse::named(Presence::ALL, Presence::name))]
    pub(super) index: Presence,
    /// Read the matrix block by block in each iteration, in bounded memory [default: for .npy files above 2 GiB in single
    /// precision]
    #[arg(long)]
    pub(super) by_blocks: bool,
}

pub(super) fn run(args: &FactorizeArgs, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    matrix_file::check_name(&args.out)?;
    check_entries(args)?;
    check_device(args)?;
    match args.precision {
        Precision::Single => run_as::<f32>(args, seed, terminal),
        Precision::Double if args.entries.by_blocks => Err(no_blocks().into()),
        Precision::Double => run_as::<f64>(args, seed, terminal),
    }
}

fn run_as<T: Number>(args: &FactorizeArgs, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    let more = consensus::pictures(&args.runs, args.select_rank.as_ref());
    let pictures: Vec<PathBuf> = PICTURES.iter().chain(more).map(|name| picture_path(&args.out, name)).collect();
    let drawn = if args.plot { &pictures[..] } else { &[] };
    outputs::refuse_existing(&[std::slice::from_ref(&args.out), drawn].concat(), args.force)?;
    refuse_fits(args)?;

    let v = open::<T>(args, terminal)?;
    let mut config = config(args, &v, seed, terminal)?;
    // Before the work, which a folder that cannot be written to would waste.
    let mut writer = NpzWriter::create(&args.out, outputs::may_replace(args.force))?;
    let before = meter::cpu_seconds();
    let (factors, scores, found) = match args.runs.n_runs {
        Some(n_runs) => {
            let range = args.select_rank.clone().unwrap_or(config.n_components..=config.n_components);
            let given = (v.held()?, args.out.as_path());
            let found = consensus::find(&args.runs, given, range, &config, &flow, terminal);
            let found = found.map_err(|error| blame(args, error))?;
            consensus::report(&found, n_runs, terminal);
            config.n_components = found.best().n_components();
            (found.best().factors.clone(), None, Some(found))
        }
        None => {
            let range = args.select_rank.as_ref();
            let scores = range.map(|range| select_rank(args, range, &v, &config, terminal)).transpose()?;
            config.n_components = scores.as_ref().map_or(config.n_components, |scores| scores.best);
            (fit(args, &v, &config, terminal)?, scores, None)
        }
    };
    let cpu_seconds = meter::cpu_seconds().zip(before).map(|(after, before)| after - before);

    let mut info = info(args, &config, &factors, scores.as_ref());
    if let Some(found) = &found {
        merge(&mut info, json!({ "consensus": consensus::info(&args.runs, found) }));
        consensus::write(&mut writer, found)?;
    }
    write(writer, &factors, &info)?;
    if args.plot {
        draw(args, &factors, &pictures)?;
        if let Some(found) = &found {
            consensus::draw(found, &|what| plot_config(args, what), &|what| picture_path(&args.out, what))?;
        }
    }
    for warning in &factors.warnings {
        terminal.warning(&format!("{warning}; {}", warning.advice()));
    }
    terminal.say(&size(&args.input, v.dim()));
    report(args, &factors, terminal);
    let mut event = json!({
        "event": "factorized", "path": text(&args.out),
        "fit_cpu_seconds": cpu_seconds, "peak_rss_mb": meter::peak_rss_mb(),
        "pictures": drawn.iter().map(|path| text(path)).collect::<Vec<_>>(),
    });
    merge(&mut event, info);
    terminal.event(event);
    Ok(DONE)
}

/// Refuses to start many fits where those of another run would be lost.
fn refuse_fits(args: &FactorizeArgs) -> Result<(), Failure> {
    let folder = consensus::folder(&args.out);
    if args.runs.n_runs.is_none() || args.runs.resume || args.force || !FitFolder::holds_any(&folder) {
        return Ok(());
    }
    Err(Failure::usage(
        format!("`{}` holds the fits of another run", shown(&folder)),
        "add `--resume` to go on with those of the same matrix and settings, or `--force` to replace them",
    ))
}

/// The matrix to factorize, as it is kept.
enum Matrix<T: Real> {
    /// Whole, in memory.
    Dense(Array2<T>),
    /// Its entries that are not zero.
    Sparse(SparseMatrix<T>),
    /// In its file, read block by block in each iteration.
    Blocks((usize, usize)),
}

impl<T: Real> Matrix<T> {
    fn dim(&self) -> (usize, usize) {
        match self {
            Self::Dense(v) => v.dim(),
            Self::Sparse(v) => v.dim(),
            Self::Blocks(dim) => *dim,
        }
    }

    /// The matrix in memory, for many fits of it.
    fn held(&self) -> Result<nmf::Matrix<'_, T>, Failure> {
        match self {
            Self::Sparse(v) => Ok(nmf::Matrix::Sparse(v)),
            _ => self.dense("--runs").map(|v| nmf::Matrix::Dense(v.view())),
        }
    }

    /// The entries, for what needs all of them at hand.
    fn dense(&self, flag: &str) -> Result<&Array2<T>, Failure> {
        match self {
            Self::Dense(v) => Ok(v),
            Self::Sparse(_) => Err(Failure::usage(
                format!("`{flag}` does not go with a sparse matrix"),
                "save the matrix as a dense `.npy`",
            )),
            Self::Blocks(_) => Err(Failure::usage(
                format!("`{flag}` does not go with a matrix that is read by blocks"),
                "give a part of the matrix that fits into memory",
            )),
        }
    }
}

/// Files above this size are read by blocks where nobody says otherwise: such a matrix and its packed copy take twice
/// as much memory, in bytes.
const WHOLE_BYTES: u64 = 2 << 30;

/// Refuses words about headings and indices where no file can have one.
fn check_entries(args: &FactorizeArgs) -> Result<(), Failure> {
    let (start, entries) = (&args.start, &args.entries);
    let given = [&start.init_dictionary, &start.init_activations, &entries.weights].into_iter().flatten();
    // Another ending is refused when it is read.
    let may_be_text = |path: &PathBuf| Kind::of(path).map_or(true, |kind| kind == Kind::Text);
    if std::iter::once(&args.input).chain(given).any(may_be_text) {
        return Ok(());
    }
    match [("--header", entries.header), ("--index", entries.index)].iter().find(|flag| flag.1 != Presence::Auto) {
        Some((flag, _)) => Err(Failure::usage(
            format!("`{flag}` does not go with `{}`: only text has headings and indices", shown(&args.input)),
            format!("leave `{flag}` out"),
        )),
        None => Ok(()),
    }
}

/// Refuses a graphics processor for what is only done on the processor.
fn check_device(args: &FactorizeArgs) -> Result<(), Failure> {
    args.device.check()?;
    let what = match args.device {
        Device::Cpu => return Ok(()),
        Device::Gpu if args.select_rank.is_some() => "`--select-rank`",
        Device::Gpu if args.runs.n_runs.is_some() => "`--runs`",
        Device::Gpu if args.entries.by_blocks => "`--by-blocks`",
        Device::Gpu if args.precision == Precision::Double => "`--precision double`",
        Device::Gpu if Kind::of(&args.input)? == Kind::Market => "a sparse matrix",
        Device::Gpu => return Ok(()),
    };
    Err(Failure::usage(format!("`--device gpu` does not go with {what}"), "use `--device cpu`"))
}

fn open<T: Real>(args: &FactorizeArgs, terminal: &Terminal) -> Result<Matrix<T>, Failure> {
    let (path, at) = (&args.input, || Failure::at(shown(&args.input)));
    if Kind::of(path)? == Kind::Market {
        let _bar = terminal.bar(1, "reading");
        return matrix_file::read_sparse(path).map(Matrix::Sparse).map_err(at());
    }
    let is_npy = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
    let is_large = || path.metadata().is_ok_and(|file| file.is_file() && file.len() > WHOLE_BYTES);
    let may_be_blocks = args.device == Device::Cpu && args.precision == Precision::Single;
    if args.entries.by_blocks || (is_npy && is_large() && may_be_blocks) {
        let (n_rows, n_columns) = NpyBlocks::open(path).map_err(at())?.shape();
        terminal.detail("the matrix is read block by block in each iteration");
        return Ok(Matrix::Blocks((n_rows, n_columns)));
    }
    read(path, args.entries.missing, &args.entries, terminal).map(Matrix::Dense)
}

/// Reads a matrix, and tells how it was understood.
fn read<T: Real>(
    path: &Path,
    missing: Missing,
    entries: &EntryArgs,
    terminal: &Terminal,
) -> Result<Array2<T>, Failure> {
    let bar = terminal.bar(1, "reading");
    let config = ReadConfig { missing, header: entries.header, index: entries.index };
    let table = matrix_file::read_with(path, &config).map_err(Failure::at(shown(path)))?;
    drop(bar);
    for note in &table.notes {
        let message = format!("{}: {note}", shown(path));
        match note.advice() {
            Some(advice) => terminal.warning(&format!("{message}; {advice}")),
            None => terminal.say(&message),
        }
    }
    Ok(table.values)
}

fn size(path: &Path, (n_rows, n_columns): (usize, usize)) -> String {
    format!("{}: {n_rows} x {n_columns}", shown(path))
}

fn config<T: Real>(
    args: &FactorizeArgs,
    v: &Matrix<T>,
    seed: u64,
    terminal: &Terminal,
) -> Result<NmfConfig<T>, Failure> {
    let (start, entries) = (&args.start, &args.entries);
    let given = |path: &Option<PathBuf>| -> Result<_, Failure> {
        let Some(path) = path else { return Ok(None) };
        let values = read::<T>(path, Missing::None, entries, terminal)?;
        terminal.detail(&size(path, values.dim()));
        Ok(Some(values))
    };
    let (w, h) = (given(&start.init_dictionary)?, given(&start.init_activations)?);
    let of_factors = w.as_ref().map(Array2::ncols).or(h.as_ref().map(Array2::nrows));
    let weights = given(&entries.weights)?;
    let defaults = NmfConfig::<T>::default();
    Ok(NmfConfig {
        n_components: args.n_components.or(of_factors).unwrap_or(defaults.n_components),
        divergence: args.divergence,
        solver: args.solver,
        init: start.init,
        dictionary: factor(w, start.fix_dictionary),
        activations: factor(h, start.fix_activations),
        regularization: args.penalties.regularization::<T>(),
        weights: match entries.missing {
            Missing::None => weights,
            Missing::Nan => Some(matrix_file::hide_missing(v.dense("--missing nan")?, weights)),
        },
        guidance: None,
        max_iter: args.max_iter,
        tol: args.tol,
        sampled_start: !args.start.all_columns,
        target_divergence: args.target_divergence,
        seed,
        ..defaults
    })
}

fn factor<T: Real>(given: Option<Array2<T>>, is_fixed: bool) -> Factor<T> {
    match given {
        None => Factor::Free,
        Some(values) if is_fixed => Factor::Fixed(values),
        Some(values) => Factor::Seed(values),
    }
}

/// Scores each number of components, and says how each did.
fn select_rank<T: Real>(
    args: &FactorizeArgs,
    range: &RangeInclusive<usize>,
    v: &Matrix<T>,
    config: &NmfConfig<T>,
    terminal: &Terminal,
) -> Result<RankSelection, Failure> {
    let mut bar = None;
    let v = v.dense("--select-rank")?;
    let mut tell = |progress: Progress| {
        let bar = bar.get_or_insert_with(|| terminal.bar(progress.total.unwrap_or_default(), "comparing"));
        bar.set(progress.done);
        flow()
    };
    let watch = &mut Watch::new(&mut tell);
    let ranks = nmf::select_rank_with(v.view(), range.clone(), config, &HoldOut::default(), watch);
    drop(bar);
    let ranks = ranks.map_err(|error| blame(args, error))?;
    terminal.say("components  divergence of hidden entries (mean, standard error)");
    for score in &ranks.curve {
        let mark = if score.n_components == ranks.best { "  <- the best" } else { "" };
        terminal.say(&format!("{:>10}  {:.6e} +- {:.1e}{mark}", score.n_components, score.held_out, score.std_error));
    }
    terminal.event(json!({ "event": "ranks", "curve": curve(&ranks), "best": ranks.best }));
    Ok(ranks)
}

fn fit<T: Number>(
    args: &FactorizeArgs,
    v: &Matrix<T>,
    config: &NmfConfig<T>,
    terminal: &Terminal,
) -> Result<Factorization<T>, Failure> {
    let bar = terminal.bar(config.max_iter as u64, "factorizing");
    let mut tell = |progress: Progress| {
        bar.set(progress.done);
        if let Some(divergence) = progress.divergence {
            terminal.event(json!({
                "event": "progress", "iteration": progress.done, "max_iter": progress.total, "divergence": divergence,
            }));
        }
        flow()
    };
    let watch = &mut Watch::new(&mut tell);
    let factors = match v {
        Matrix::Dense(v) => T::fit(args.device, v.view(), config, watch),
        Matrix::Sparse(v) => nmf::fit_sparse_with(v, config, watch),
        Matrix::Blocks(_) => T::fit_file(&args.input, config, args.start.warm_start.then(WarmStart::default), watch),
    };
    Ok(factors.map_err(|error| blame(args, error))?.complete()?)
}

/// Names the file that an error is about: the library knows matrices, not files.
fn blame(args: &FactorizeArgs, error: Error) -> Failure {
    let file = match &error {
        Error::MatrixShape { what: "the dictionary", .. } => args.start.init_dictionary.as_ref(),
        Error::MatrixShape { what: "the matrix of activations", .. } => args.start.init_activations.as_ref(),
        Error::MatrixShape { what: "the matrix of weights", .. } => args.entries.weights.as_ref(),
        _ => None,
    };
    Failure::at(shown(file.unwrap_or(&args.input)))(error)
}

fn flow() -> ControlFlow<()> {
    if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn write<T: Real>(mut writer: NpzWriter, factors: &Factorization<T>, info: &Value) -> Result<(), Failure> {
    writer.array("W", factors.dictionary.view())?;
    writer.array("H", factors.activations.view())?;
    writer.text("info.json", &format!("{info:#}\n"))?;
    Ok(writer.finish()?)
}

/// What the file says of itself: nothing that differs from one run to the next.
fn info<T: Real>(
    args: &FactorizeArgs,
    config: &NmfConfig<T>,
    factors: &Factorization<T>,
    ranks: Option<&RankSelection>,
) -> Value {
    let decimal = decimal::<T>;
    let penalties = &config.regularization;
    let group_sparsity = penalties.group_sparsity.as_ref();
    json!({
        "input": text(&args.input), "n_rows": factors.dictionary.nrows(),
        "n_columns": factors.activations.ncols(), "n_components": factors.n_components(),
        "n_iter": factors.n_iter, "divergence": factors.divergence, "stop_reason": factors.stop_reason.name(),
        "divergence_curve": factors.divergence_curve,
        "warnings": factors.warnings.iter().map(Warning::to_string).collect::<Vec<_>>(),
        "rank_curve": ranks.map(curve),
        "settings": {
            "divergence": decimal(config.divergence.beta()), "solver": config.solver.name(), "init": config.init.name(),
            "dictionary": factor_name(&config.dictionary), "activations": factor_name(&config.activations),
            "max_iter": config.max_iter, "tol": config.tol, "target_divergence": config.target_divergence,
            "sampled_start": config.sampled_start, "seed": config.seed, "device": args.device.name(),
            "precision": args.precision.name(), "weights": args.entries.weights.as_ref().map(|path| text(path)),
            "missing": args.entries.missing.name(),
            "alpha_dictionary": decimal(penalties.alpha_dictionary), "alpha_activations": decimal(penalties.alpha_activations),
            "l1_ratio": decimal(penalties.l1_ratio), "sparsity": decimal(penalties.sparsity),
            "temporal_continuity": decimal(penalties.temporal_continuity),
            "group_sparsity": group_sparsity.map(|group| {
                json!({ "strength": decimal(group.strength), "groups": group.groups, "offset": decimal(group.offset) })
            }),
        },
    })
}

/// A setting as it was typed: 0.1, not 0.10000000149.
fn decimal<T: Real>(x: f64) -> Option<f64> {
    T::nearest(x).to_string().parse().ok()
}

fn factor_name<T: Real>(factor: &Factor<T>) -> &'static str {
    match factor {
        Factor::Free => "free",
        Factor::Seed(_) => "seed",
        Factor::Fixed(_) => "fixed",
        Factor::PerComponent(_) => "per component",
    }
}

fn curve(ranks: &RankSelection) -> Vec<Value> {
    let score = |score: &nmf::RankScore| json!({ "n_components": score.n_components, "held_out": score.held_out, "std_error": score.std_error });
    ranks.curve.iter().map(score).collect()
}

fn plot_config(args: &FactorizeArgs, what: &str) -> PlotConfig {
    let file = args.input.file_name().unwrap_or(args.input.as_os_str()).to_string_lossy();
    PlotConfig { title: format!("{file}: {what}"), existing: outputs::may_replace(args.force), ..PlotConfig::default() }
}

fn draw<T: Real>(args: &FactorizeArgs, factors: &Factorization<T>, paths: &[PathBuf]) -> Result<(), Failure> {
    let [w, h, d] = PICTURES.map(|what| plot_config(args, what));
    let [dictionary, activations, divergence, ..] = paths else { return Ok(()) };
    plot::dictionary(single(&factors.dictionary).view(), Rows::Index, &[], &w, dictionary)?;
    plot::activations(single(&factors.activations).view(), Columns::Index, &[], &h, activations)?;
    Ok(plot::divergence(&factors.divergence_curve, &d, divergence)?)
}

fn picture_path(out: &Path, picture: &str) -> PathBuf {
    let mut name = out.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{picture}.png"));
    out.with_file_name(name)
}

fn report<T: Real>(args: &FactorizeArgs, factors: &Factorization<T>, terminal: &Terminal) {
    terminal.say(&format!(
        "{} after {} ({}), divergence {:.6e}",
        counted(factors.n_components(), "component"),
        counted(factors.n_iter, "iteration"),
        factors.stop_reason.name(),
        factors.divergence,
    ));
    terminal.say(&format!("  W, H and info.json  {}", shown(&args.out)));
}

/// Adds the fields of one JSON object to another.
fn merge(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}
