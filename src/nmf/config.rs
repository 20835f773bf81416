//! What a factorization is asked for ([`NmfConfig`]) and what it gives back ([`Factorization`]).

use ndarray::{Array2, ArrayView2};

use super::factor::{Factor, Part, check_factor};
use super::guidance::Guidance;
use super::kernel::wide;
use super::real::Real;
use super::warning::Warning;
use super::{Error, Result};
use crate::error::Advice;

/// What to fit, and how long.
#[derive(Debug, Clone, PartialEq)]
pub struct NmfConfig<T: Real = f32> {
    /// Number of templates, at least 1. Default 8.
    pub n_components: usize,
    /// What "close to V" means. Default Kullback-Leibler, which suits magnitudes of sound: errors count relative to
    /// the level.
    pub divergence: Divergence,
    /// How the factors are improved. Default [`Solver::MuExtrapolated`].
    pub solver: Solver,
    /// How free factors start. Default [`Init::Random`].
    pub init: Init,
    /// Treatment of W, `n_rows` x `n_components`. Default free.
    pub dictionary: Factor<T>,
    /// Treatment of H, `n_components` x `n_columns`. Default free.
    pub activations: Factor<T>,
    /// What the factors pay for besides the divergence. Default nothing.
    pub regularization: Regularization,
    /// How much each entry of V counts, `n_rows` x `n_columns`, finite and at least 0. Where it is 0 the entry is
    /// missing: V may hold anything there, also NaN. Default: every entry counts 1.
    pub weights: Option<Array2<T>>,
    /// Which components may not have some entries of V; only for the Kullback-Leibler divergence without weights and
    /// penalties, with multiplicative updates. Default: all may have all.
    pub guidance: Option<Guidance>,
    /// Iterations at the most. Default 200.
    pub max_iter: usize,
    /// Whether a fit to many columns begins on some of them: every eighth, then every fourth, and so on, until all are looked
    /// at. It gets as low, in about half the time. Only where both factors are free or start from given values, for the
    /// plain Kullback-Leibler divergence by [`Solver::MuExtrapolated`], from 2400 columns and a `max_iter` of 100 on, where
    /// `tol` or a target may end it earlier; iterations on some of the columns are not counted. Default yes.
    pub sampled_start: bool,
    /// Ends the fit where what [`Stopping`] looks at changed by less than this share of its first value; 0 never does.
    /// Default 1e-4.
    pub tol: f64,
    /// What `tol` is compared with. Default the divergence.
    pub stopping: Stopping,
    /// Whether [`Solver::CoordinateDescent`] goes through the components in another order, drawn from `seed`, at each
    /// sweep. Default no: in turn.
    pub shuffle: bool,
    /// Ends the fit at this objective (divergence and penalties), unnormalized and on the input's scale. Default:
    /// none.
    pub target_divergence: Option<f64>,
    /// Every random number comes from it. Default 0.
    pub seed: u64,
}

impl<T: Real> Default for NmfConfig<T> {
    fn default() -> Self {
        Self {
            n_components: 8,
            divergence: Divergence::KullbackLeibler,
            solver: Solver::MuExtrapolated,
            init: Init::Random,
            dictionary: Factor::Free,
            activations: Factor::Free,
            regularization: Regularization::default(),
            weights: None,
            guidance: None,
            max_iter: 200,
            sampled_start: true,
            tol: 1e-4,
            stopping: Stopping::Divergence,
            shuffle: false,
            target_divergence: None,
            seed: 0,
        }
    }
}

/// The distance that a fit makes small: a beta-divergence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divergence {
    /// beta = 1: sum of `v ln(v / y) - v + y`.
    KullbackLeibler,
    /// beta = 0: sum of `v / y - ln(v / y) - 1`; the same for loud and quiet, zeros are lifted to a floor.
    ItakuraSaito,
    /// beta = 2: half the sum of squares.
    Euclidean,
    /// Any other beta; in `f32` from -1 to 4, for beyond them the powers of loud and quiet entries leave its range.
    Beta(f64),
}

impl Divergence {
    /// Its beta.
    pub fn beta(self) -> f64 {
        match self {
            Self::ItakuraSaito => 0.0,
            Self::KullbackLeibler => 1.0,
            Self::Euclidean => 2.0,
            Self::Beta(beta) => beta,
        }
    }
}

impl std::str::FromStr for Divergence {
    type Err = Error;

    /// `kl`, `is`, `euclidean`, or a number for any beta.
    fn from_str(text: &str) -> Result<Self> {
        let beta = |text: &str| text.parse().ok().filter(|beta: &f64| beta.is_finite());
        match text {
            "kl" => Ok(Self::KullbackLeibler),
            "is" => Ok(Self::ItakuraSaito),
            "euclidean" => Ok(Self::Euclidean),
            _ => beta(text).map(Self::Beta).ok_or_else(|| Error::Setting {
                name: "divergence",
                got: text.into(),
                expected: "kl, is, euclidean or a number".into(),
                advice: Some(Advice::set("divergence", "kl").into()),
            }),
        }
    }
}

/// How the factors are improved.
///
/// | solver | divergences | weights | `alpha_*` | other penalties |
/// |---|---|---|---|---|
/// | `Mu`, `MuExtrapolated` | all | yes | yes | yes |
/// | `CoordinateDescent`, `Anls`, `ProjectedGradient` | Euclidean | no | yes | no |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// Multiplicative updates, W first, then H, as in scikit-learn's `mu`. The objective never rises, with one
    /// exception that is scikit-learn's, too: a squared penalty (`l1_ratio` below 1) with a beta below 2.
    Mu,
    /// Multiplicative updates with extrapolation; restarts when the objective rises. It never does from one check to
    /// the next, whatever the penalties.
    MuExtrapolated,
    /// Cyclic coordinate descent, as in scikit-learn's `cd`. It is HALS, too: the same minimum over one template at a
    /// time from the same two products, without the normalization of W in between.
    CoordinateDescent,
    /// Alternating non-negative least squares, each solved to the end by block principal pivoting.
    Anls,
    /// Alternating projected gradients with a line search.
    ProjectedGradient,
}

impl Solver {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Mu, Self::MuExtrapolated, Self::CoordinateDescent, Self::Anls, Self::ProjectedGradient];

    /// Its name on the command line and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mu => "mu",
            Self::MuExtrapolated => "mu-extrapolated",
            Self::CoordinateDescent => "cd",
            Self::Anls => "anls",
            Self::ProjectedGradient => "pg",
        }
    }
}

/// What ends a fit before `max_iter`, by `tol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stopping {
    /// The fall of the objective, divergence and penalties, from one check to the next (every 10 iterations), over its
    /// first value.
    #[default]
    Divergence,
    /// Scikit-learn's rules. Multiplicative updates: the fall of the root of twice the divergence, without penalties, over
    /// its first value, every 10 iterations. [`Solver::CoordinateDescent`]: in every iteration, the sum of the absolute
    /// projected gradients that it met, over that of the first. The other solvers, which scikit-learn lacks, go by the
    /// rule for multiplicative updates. Numbers near 0 are lifted or dropped where scikit-learn does it, so that with the
    /// same start [`Solver::Mu`] and [`Solver::CoordinateDescent`] take its steps and as many of them.
    ScikitLearn,
}

/// How free factors start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Seeded random numbers, scaled so that W H has the mean of V.
    Random,
    /// From the singular vectors of V, with exact zeros (which multiplicative updates keep: suits sparse parts and the
    /// Euclidean solvers). Needs `n_components` of at most the smaller side of V, as the next two do.
    Nndsvd,
    /// [`Init::Nndsvd`] with the mean of V for the zeros.
    Nndsvda,
    /// [`Init::Nndsvd`] with small random numbers for the zeros.
    Nndsvdar,
}

impl Init {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Random, Self::Nndsvd, Self::Nndsvda, Self::Nndsvdar];

    /// Its name on the command line and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Nndsvd => "nndsvd",
            Self::Nndsvda => "nndsvda",
            Self::Nndsvdar => "nndsvdar",
        }
    }
}

/// What the factors pay for besides the divergence. The default is nothing.
///
/// `alpha_dictionary`, `alpha_activations` and `l1_ratio` are scikit-learn's `alpha_W`, `alpha_H` and `l1_ratio` for
/// the same V (`n_rows` = `n_samples`, `n_columns` = `n_features`); when scikit-learn is given V transposed, as is
/// usual for sound, its `alpha_W` is our `alpha_activations`. They add to the divergence
///
/// ```text
/// alpha_dictionary  * n_columns * (l1_ratio * sum(W) + (1 - l1_ratio) / 2 * sum(W^2))
/// alpha_activations * n_rows    * (l1_ratio * sum(H) + (1 - l1_ratio) / 2 * sum(H^2))
/// ```
///
/// on the input's scale: twice as loud a V asks for other values. A penalty on H alone makes H small and W large, and
/// the product stays as it was ([`Warning::OneSidedPenalty`]): give both, or `sparsity`. The other penalties depend
/// neither on the level of V nor on how it is shared out between W and H.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Regularization {
    /// Cost of large entries of W, at least 0. Default 0.
    pub alpha_dictionary: f64,
    /// Cost of large entries of H, at least 0. Default 0.
    pub alpha_activations: f64,
    /// From squares (0) to absolute values (1), which make zeros. Default 0, as in scikit-learn.
    pub l1_ratio: f64,
    /// Cost of activations under templates of one norm, at least 0: `sparsity * sqrt(n_rows)` times the sum over the
    /// components of the Euclidean norm of their column of W times the sum of their row of H. Makes few activations
    /// large and the others small. Relative to mean(V)^(beta - 1); useful values are 0.01 to 1. Default 0.
    ///
    /// With W's columns of norm 1, this is the penalty on H of J. Le Roux, F. J. Weninger and J. R. Hershey, "Sparse NMF:
    /// half-baked or well done?", MERL TR2015-023, 2015, with a mu of
    /// `sparsity * sqrt(n_rows) * mean(V)^(beta - 1)`.
    pub sparsity: f64,
    /// Cost of changes from one column to the next, at least 0: `n_rows * temporal_continuity` times Virtanen's
    /// cost, the mean square of a component's steps over its mean square, times `n_columns`, summed over the
    /// components. Relative to mean(V)^beta. Default 0.
    pub temporal_continuity: f64,
    /// Cost of sources that sound at the same time. Default none.
    pub group_sparsity: Option<GroupSparsity>,
}

impl Regularization {
    /// Whether it costs nothing.
    pub fn is_none(&self) -> bool {
        let Self { alpha_dictionary, alpha_activations, l1_ratio: _, sparsity, temporal_continuity, group_sparsity } =
            self;
        [alpha_dictionary, alpha_activations, sparsity, temporal_continuity].into_iter().all(|cost| *cost == 0.0)
            && group_sparsity.is_none()
    }
}

/// A cost that silences whole groups of components (sources) in a column, where other groups explain it:
/// `strength * n_rows * sum(ln(1 + x / offset))` over groups and columns, x being the mean over the rows of what the
/// group adds to W H in that column, relative to the mean of V. Relative to mean(V)^beta.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSparsity {
    /// Group of each component, `n_components` of them, any numbers.
    pub groups: Vec<usize>,
    /// At least 0; useful values are 0.01 to 1.
    pub strength: f64,
    /// What counts as silence, relative to the mean of V; above 0. A smaller one tells sounding from silent more
    /// sharply, and gets stuck more easily. 0.01 is a good value.
    pub offset: f64,
}

/// Why a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The divergence no longer fell by `tol`.
    Converged,
    /// `target_divergence` was reached.
    TargetReached,
    /// `max_iter` was reached.
    MaxIter,
    /// Whoever watches asked for it.
    Cancelled,
}

impl StopReason {
    /// The reason in words, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::TargetReached => "target reached",
            Self::MaxIter => "iteration limit",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A factorized matrix: V ~ `dictionary` x `activations`.
#[derive(Debug, Clone, PartialEq)]
pub struct Factorization<T: Real = f32> {
    /// W, `n_rows` x `n_components`.
    pub dictionary: Array2<T>,
    /// H, `n_components` x `n_columns`.
    pub activations: Array2<T>,
    /// Iterations done.
    pub n_iter: usize,
    /// The divergence of V from W H at the end, weighted where there are weights, without penalties; unnormalized and
    /// on the input's scale.
    pub divergence: f64,
    /// The objective at each check, as (iteration, divergence and penalties), from iteration 0 to the last. Without
    /// penalties it ends with `divergence`.
    pub divergence_curve: Vec<(usize, f64)>,
    /// Why the fit ended.
    pub stop_reason: StopReason,
    /// What was asked for and cannot work as asked.
    pub warnings: Vec<Warning>,
}

impl<T: Real> Factorization<T> {
    /// W H, the approximation of V, `n_rows` x `n_columns`.
    pub fn product(&self) -> Array2<T> {
        self.dictionary.dot(&self.activations)
    }

    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.dictionary.ncols()
    }

    /// Turns a fit that was cancelled into an error.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the fit was told to end before it was done.
    pub fn complete(self) -> Result<Self> {
        if self.stop_reason == StopReason::Cancelled { Err(Error::Cancelled) } else { Ok(self) }
    }
}

impl<T: Real> NmfConfig<T> {
    /// Refuses settings and matrices that cannot be worked with; the one door of the module.
    pub(super) fn check(&self, v: ArrayView2<'_, T>) -> Result<()> {
        self.check_settings()?;
        if let Some(weights) = &self.weights {
            if weights.dim() != v.dim() {
                return Err(Error::MatrixShape {
                    what: "the matrix of weights",
                    got: weights.dim(),
                    expected: v.dim(),
                });
            }
            let wrong = weights.indexed_iter().find(|(_, x)| !(x.is_finite() && **x >= T::of(0.0)));
            if let Some(((row, column), value)) = wrong {
                let got = format!("{value} at row {row}, column {column}");
                return Err(setting("weights", got, "finite numbers of at least 0"));
            }
        }
        if let Some(guidance) = &self.guidance {
            guidance.check(v.dim(), self.n_components)?;
        }
        let counts = |at: (usize, usize)| self.weights.as_ref().is_none_or(|weights| weights[at] > T::of(0.0));
        let is_wrong = |x: &T| !(x.is_finite() && *x >= T::of(0.0));
        // In the order of memory this takes a fraction of the time of a search by rows, which is for the one to name.
        let is_sound = v.as_slice_memory_order().is_some_and(|all| !all.iter().any(is_wrong));
        let mut entries = v.indexed_iter();
        let wrong = if is_sound { None } else { entries.find(|(at, x)| is_wrong(x) && counts(*at)) };
        if let Some(((row, column), &value)) = wrong {
            return Err(Error::MatrixEntry { row, column, value: wide(value) });
        }
        self.check_factors(v.dim())
    }

    /// The part of [`NmfConfig::check`] that needs only the shape of the matrix.
    pub(super) fn check_factors(&self, (n_rows, n_columns): (usize, usize)) -> Result<()> {
        let smaller = n_rows.min(n_columns);
        if self.init != Init::Random && self.needs_init() && self.n_components > smaller {
            return Err(Error::Setting {
                name: "n_components",
                got: self.n_components.to_string(),
                expected: format!("at most {smaller}, the smaller side of the matrix, for this `init`"),
                advice: Some(Advice::set("init", "random").into()),
            });
        }
        check_factor("the dictionary", &self.dictionary, (n_rows, self.n_components), n_rows, self.n_components)?;
        let expected = (self.n_components, n_columns);
        check_factor("the matrix of activations", &self.activations, expected, n_columns, self.n_components)
    }

    /// The part of [`NmfConfig::check`] for a sparse matrix, which has neither weights nor guidance.
    pub(super) fn check_sparse(&self, shape: (usize, usize)) -> Result<()> {
        self.check_settings()?;
        if self.weights.is_some() {
            return Err(setting("weights", "given", "none for a sparse matrix"));
        }
        if self.guidance.is_some() {
            return Err(setting("guidance", "given", "none for a sparse matrix"));
        }
        self.check_factors(shape)
    }

    /// Whether the kernel for unweighted, unpenalized Kullback-Leibler fits can do it.
    pub(super) fn is_plain_kl(&self) -> bool {
        self.divergence.beta() == 1.0 && self.weights.is_none() && self.regularization.is_none()
    }

    /// Whether the config's [`Init`] decides on any value.
    pub(super) fn needs_init(&self) -> bool {
        [&self.dictionary, &self.activations].into_iter().any(|factor| match factor {
            Factor::Free => true,
            Factor::Seed(_) | Factor::Fixed(_) => false,
            Factor::PerComponent(parts) => parts.contains(&Part::Free),
        })
    }

    /// The part of [`NmfConfig::check`] that needs no matrix.
    pub(crate) fn check_settings(&self) -> Result<()> {
        if self.n_components == 0 {
            return Err(setting("n_components", "0", "at least 1"));
        }
        if self.n_components > MAX_COMPONENTS {
            return Err(setting("n_components", self.n_components, &format!("at most {MAX_COMPONENTS}")));
        }
        if self.tol.is_nan() || self.tol < 0.0 {
            return Err(setting("tol", self.tol, "at least 0"));
        }
        let beta = self.divergence.beta();
        if !T::BETAS.contains(&beta) {
            let is_any = T::BETAS.contains(&100.0);
            let expected = if is_any { "a finite beta" } else { "a beta from -1 to 4" };
            return Err(setting("divergence", format!("a beta of {beta}"), expected));
        }
        self.check_regularization()?;
        if self.guidance.is_some() && !self.is_plain_kl() {
            return Err(setting("guidance", "given", "none but for the plain Kullback-Leibler divergence"));
        }
        self.check_solver()
    }

    /// [`NmfConfig::check_settings`], and holds the config to what can be done without all of V at hand: plain
    /// multiplicative updates for the divergences named by their betas.
    pub(super) fn check_plain(&self, without: &str, betas: &[f64]) -> Result<()> {
        self.check_settings()?;
        let refused = |name, got: &str, expected: &str| Err(setting(name, got, &format!("{expected} {without}")));
        if !matches!(self.solver, Solver::Mu | Solver::MuExtrapolated) {
            return refused("solver", self.solver.name(), "`Mu` or `MuExtrapolated`");
        }
        let beta = self.divergence.beta();
        if !betas.contains(&beta) {
            let expected = format!("a beta of {}", betas.iter().map(f64::to_string).collect::<Vec<_>>().join(" or "));
            return refused("divergence", &format!("a beta of {beta}"), &expected);
        }
        if self.weights.is_some() {
            return refused("weights", "given", "none");
        }
        if !self.regularization.is_none() {
            return refused("regularization", "given", "none");
        }
        if self.guidance.is_some() {
            return refused("guidance", "given", "none");
        }
        if self.init != Init::Random && self.needs_init() {
            return refused("init", &format!("{:?}", self.init), "`Random`");
        }
        Ok(())
    }

    fn check_regularization(&self) -> Result<()> {
        let r = &self.regularization;
        for (name, value) in [
            ("alpha_dictionary", r.alpha_dictionary),
            ("alpha_activations", r.alpha_activations),
            ("sparsity", r.sparsity),
            ("temporal_continuity", r.temporal_continuity),
            ("group_sparsity.strength", r.group_sparsity.as_ref().map_or(0.0, |group| group.strength)),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(setting(name, value, "a finite number of at least 0"));
            }
        }
        if !(0.0..=1.0).contains(&r.l1_ratio) {
            return Err(setting("l1_ratio", r.l1_ratio, "a number from 0 to 1"));
        }
        let Some(group) = &r.group_sparsity else { return Ok(()) };
        if !(group.offset.is_finite() && group.offset > 0.0) {
            return Err(setting("group_sparsity.offset", group.offset, "a finite number above 0"));
        }
        if group.groups.len() != self.n_components {
            let expected = format!("{}, one for each component", self.n_components);
            return Err(setting("group_sparsity.groups", format!("{} groups", group.groups.len()), &expected));
        }
        Ok(())
    }

    /// Holds the solver to what it can do.
    fn check_solver(&self) -> Result<()> {
        if matches!(self.solver, Solver::Mu | Solver::MuExtrapolated) {
            return Ok(());
        }
        let r = &self.regularization;
        let asked = if self.divergence.beta() != 2.0 {
            "for this divergence"
        } else if self.weights.is_some() {
            "with weights"
        } else if r.sparsity > 0.0 {
            "with `sparsity`"
        } else if r.temporal_continuity > 0.0 {
            "with `temporal_continuity`"
        } else if r.group_sparsity.is_some() {
            "with `group_sparsity.strength`"
        } else {
            return Ok(());
        };
        Err(Error::Setting {
            name: "solver",
            got: self.solver.name().into(),
            expected: format!("`mu` or `mu-extrapolated` {asked}"),
            advice: Some(
                Advice::plain("the other solvers minimize the plain Euclidean divergence, at the most with `alpha_*`")
                    .into(),
            ),
        })
    }
}

/// More components than any use has, and few enough for the sizes of their factors to be numbers.
const MAX_COMPONENTS: usize = 1 << 20;

pub(super) fn setting(name: &'static str, got: impl ToString, expected: &str) -> Error {
    Error::Setting { name, got: got.to_string(), expected: expected.into(), advice: None }
}
