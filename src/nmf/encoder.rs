//! A dictionary that is prepared once and then finds the activations of any number of blocks, or of single columns as
//! they come. Decides on what runs in parallel; the arithmetic is in `columns` and `beta`.

mod columns;

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};
use rayon::prelude::*;

use self::columns::{KullbackLeibler, sum};
use super::beta::{self, stepped};
use super::config::setting;
use super::data::Data;
use super::factor::check_entry;
use super::general::{scaled, scales};
use super::kernel::{Element, Scratch, TILE};
use super::penalty::exponent;
use super::{Divergence, NmfConfig};
use crate::{Error, Result};

/// How an [`Encoder`] finds activations.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// What "close to V" means. Default Kullback-Leibler.
    pub divergence: Divergence,
    /// Iterations of [`Encoder::encode`]. Default 30.
    pub max_iter: usize,
    /// What each component's activations cost: `costs[k] * activations[k, j]` is added to the divergence, on the
    /// input's scale; `n_components` finite numbers of at least 0. Default: they cost nothing.
    pub costs: Option<Array1<f32>>,
    /// The power of each step, above 0 and below 2. Plain steps bring the product closer to V every time; longer ones need
    /// not, but come to rest where plain ones do, after fewer iterations: with 1.5, which costs a square root for each
    /// activation, about two thirds. Others cost a general power. Default 1, plain steps.
    pub relaxation: f32,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self { divergence: Divergence::KullbackLeibler, max_iter: 30, costs: None, relaxation: 1.0 }
    }
}

/// A dictionary that stays as it is, checked and packed once, for the activations of one block of columns after the
/// other.
///
/// Activations improve by multiplicative updates. For the Kullback-Leibler divergence, each column is a problem of
/// its own, with a scale of its own: it comes out with the same bits whatever stands beside it, however many columns
/// there are and for any number of threads, and with plain steps they are those of [`fit`](super::fit) on this column
/// alone. Other divergences share one scale in a block, so that the last digits depend on the block.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | dictionary | `n_rows` x `n_components` | |
/// | `v` | `n_rows` x any number of columns | any; the product has the same |
/// | activations | `n_components` x the same number of columns | |
///
/// # Cost
/// Memory: the dictionary, once as it is and once packed. For Kullback-Leibler, 4 `n_rows` `n_components` floating-point
/// operations per column and iteration, the columns shared out in sixes among rayon's threads; three to five that are
/// left over cost as much as six, one or two as much as they are. Up to six columns are done in the caller's thread.
///
/// # References
/// D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2001, theorem 2, with W fixed:
/// `h <- h * (W^T (v / W h)) / (W^T 1 + costs)`. Other divergences: C. Fevotte and J. Idier, "Algorithms for nonnegative
/// matrix factorization with the beta-divergence", Neural Computation 23(9), 2011. Powers of steps: R. Badeau, N. Bertin and
/// E. Vincent, "Stability analysis of multiplicative update algorithms and application to nonnegative matrix factorization",
/// IEEE Trans. Neural Networks 21(12), 2010.
///
/// # Examples
/// ```
/// use partita::nmf::{Encoder, EncoderConfig};
/// let dictionary = ndarray::array![[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]];
/// let encoder = Encoder::new(dictionary.view(), &EncoderConfig::default())?;
/// let activations = encoder.encode(dictionary.dot(&ndarray::array![[2.0], [0.5]]).view())?;
/// assert!((activations[(0, 0)] - 2.0).abs() < 1e-3 && (activations[(1, 0)] - 0.5).abs() < 1e-3);
/// # Ok::<(), partita::Error>(())
/// ```
pub struct Encoder {
    dictionary: Array2<f32>,
    max_iter: usize,
    prepared: Prepared,
}

enum Prepared {
    KullbackLeibler(KullbackLeibler),
    Other(Other),
}

/// For any other divergence.
struct Other {
    beta: f64,
    dictionary: beta::Dictionary<f32>,
    /// W on the input's scale over W in `dictionary`, a power of two.
    scale: f64,
    costs: Vec<f64>,
    relaxation: f32,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_rows, n_components) = self.dictionary.dim();
        let beta = match &self.prepared {
            Prepared::KullbackLeibler(_) => 1.0,
            Prepared::Other(other) => other.beta,
        };
        f.debug_struct("Encoder")
            .field("n_rows", &n_rows)
            .field("n_components", &n_components)
            .field("beta", &beta)
            .field("max_iter", &self.max_iter)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// Checks and packs a dictionary.
    ///
    /// # Errors
    /// [`Error::MatrixEntry`] for a negative, NaN or infinite entry; [`Error::Setting`] for a dictionary without
    /// components, a divergence or relaxation out of range, and costs that are too few, too many, or out of range.
    pub fn new(dictionary: ArrayView2<'_, f32>, config: &EncoderConfig) -> Result<Self> {
        let EncoderConfig { divergence, max_iter, costs, relaxation } = config;
        let n_components = dictionary.ncols();
        NmfConfig::<f32> { n_components, divergence: *divergence, ..NmfConfig::default() }.check_settings()?;
        if !(0.0 < *relaxation && *relaxation < 2.0) {
            return Err(setting("relaxation", relaxation, "above 0 and below 2"));
        }
        check_entries(dictionary)?;
        let costs = match costs {
            None => vec![0.0; n_components],
            Some(costs) => checked_costs(costs.view(), n_components)?,
        };
        let dictionary = dictionary.as_standard_layout().into_owned();
        let prepared = if divergence.beta() == 1.0 {
            Prepared::KullbackLeibler(KullbackLeibler::new(dictionary.view(), &costs, *relaxation))
        } else {
            Prepared::Other(Other::new(&dictionary, divergence.beta(), costs, *relaxation))
        };
        Ok(Self { dictionary, max_iter: *max_iter, prepared })
    }

    /// The dictionary as it was given, `n_rows` x `n_components`.
    pub fn dictionary(&self) -> ArrayView2<'_, f32> {
        self.dictionary.view()
    }

    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.dictionary.ncols()
    }

    /// Number of rows of the dictionary, and of what it encodes.
    pub fn n_rows(&self) -> usize {
        self.dictionary.nrows()
    }

    /// Finds the activations of every column, `n_components` x columns, from equal ones: the sum of the column over the
    /// number of components.
    ///
    /// # Errors
    /// [`Error::MatrixShape`] for another number of rows than the dictionary has, [`Error::MatrixEntry`] for a negative,
    /// NaN or infinite entry.
    pub fn encode(&self, v: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.check(v)?;
        let mut start = Array2::zeros((self.n_components(), v.ncols()));
        for (column, mut start) in v.columns().into_iter().zip(start.columns_mut()) {
            start.fill(((sum(column) / self.n_components() as f64) as f32).min(f32::MAX));
        }
        Ok(self.improved(v, start, self.max_iter))
    }

    /// [`Encoder::encode`] from given activations, with a number of iterations of its own; zeros stay zero, and where most
    /// are, it takes as much less time.
    ///
    /// # Errors
    /// Those of [`Encoder::encode`], of `start` as of `v`.
    pub fn encode_from(&self, v: ArrayView2<'_, f32>, start: Array2<f32>, n_iter: usize) -> Result<Array2<f32>> {
        self.check(v)?;
        let expected = (self.n_components(), v.ncols());
        if start.dim() != expected {
            return Err(Error::MatrixShape { what: "the matrix of activations", got: start.dim(), expected });
        }
        check_entries(start.view())?;
        Ok(self.improved(v, start, n_iter))
    }

    fn check(&self, v: ArrayView2<'_, f32>) -> Result<()> {
        if v.nrows() != self.n_rows() {
            let expected = (self.n_rows(), v.ncols());
            return Err(Error::MatrixShape { what: "the block", got: v.dim(), expected });
        }
        check_entries(v)
    }

    fn improved(&self, v: ArrayView2<'_, f32>, mut h: Array2<f32>, n_iter: usize) -> Array2<f32> {
        match &self.prepared {
            _ if n_iter == 0 => h,
            Prepared::Other(other) => other.improved(v, h, n_iter),
            Prepared::KullbackLeibler(kl) if v.ncols() <= TILE => {
                kl.improve(v, h.view_mut(), n_iter, &mut Scratch::new(self.n_components()));
                h
            }
            Prepared::KullbackLeibler(kl) => {
                v.axis_chunks_iter(Axis(1), TILE)
                    .into_par_iter()
                    .zip(h.axis_chunks_iter_mut(Axis(1), TILE).into_par_iter())
                    .for_each_init(
                        || Scratch::new(self.n_components()),
                        |scratch, (v, h)| kl.improve(v, h, n_iter, scratch),
                    );
                h
            }
        }
    }
}

impl Other {
    fn new(dictionary: &Array2<f32>, beta: f64, costs: Vec<f64>, relaxation: f32) -> Self {
        let scale = scales(1.0, dictionary).w;
        let dictionary = beta::Dictionary::new(&scaled(dictionary.clone(), 1.0 / scale), beta == 2.0);
        Self { beta, dictionary, scale, costs, relaxation }
    }

    fn improved(&self, v: ArrayView2<'_, f32>, h: Array2<f32>, n_iter: usize) -> Array2<f32> {
        let data = Data::new(v, None, self.beta);
        let scale = data.scale / self.scale;
        // The divergence shrinks by its power of the scale, and so does what is added to it.
        let shrunk = scale * data.scale.powf(-self.beta);
        let costs: Vec<_> = self.costs.iter().map(|cost| (cost * shrunk) as f32).collect();
        let exponent = self.relaxation * exponent(self.beta, false, false) as f32;
        let mut h = scaled(h.reversed_axes(), 1.0 / scale);
        for _ in 0..n_iter {
            data.for_each_block(&mut h, |block, mut h| {
                let terms = beta::activation_terms(&data, block, &self.dictionary, h.view());
                for ((i, k), h) in h.indexed_iter_mut() {
                    *h = stepped(
                        *h,
                        terms.numerator[(i, k)],
                        terms.denominator[(i, k)] + costs[k],
                        exponent,
                        f32::FLUSH,
                    );
                }
            });
        }
        scaled(h, scale).reversed_axes().as_standard_layout().into_owned()
    }
}

fn check_entries(x: ArrayView2<'_, f32>) -> Result<()> {
    // As they lie in memory, unless there is something to tell.
    if Zip::from(&x).all(|x| (0.0..f32::INFINITY).contains(x)) {
        return Ok(());
    }
    x.indexed_iter().try_for_each(|((row, column), &x)| check_entry(row, column, x))
}

fn checked_costs(costs: ArrayView1<'_, f32>, n_components: usize) -> Result<Vec<f64>> {
    if costs.len() != n_components {
        return Err(setting(
            "costs",
            format!("{} numbers", costs.len()),
            &format!("{n_components}, one for each component"),
        ));
    }
    if let Some(wrong) = costs.iter().find(|cost| !(cost.is_finite() && **cost >= 0.0)) {
        return Err(setting("costs", wrong, "finite numbers of at least 0"));
    }
    Ok(costs.iter().map(|&cost| f64::from(cost)).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::s;
    use proptest::prelude::*;

    use super::*;
    use crate::nmf::kernel::Kernel;
    use crate::nmf::testing::{assert_close, noise};
    use crate::nmf::{Factor, Regularization, Solver, fit};

    fn encoder(dictionary: &Array2<f32>, max_iter: usize) -> Encoder {
        Encoder::new(dictionary.view(), &EncoderConfig { max_iter, ..EncoderConfig::default() }).expect("a dictionary")
    }

    /// What `fit` makes of the same columns at once, from the same start.
    fn by_fit(v: ArrayView2<'_, f32>, dictionary: &Array2<f32>, config: NmfConfig) -> Array2<f32> {
        let n_components = dictionary.ncols();
        let level = |column: usize| (sum(v.column(column)) / n_components as f64) as f32;
        let start = Array2::from_shape_fn((n_components, v.ncols()), |(_, column)| level(column));
        let config = NmfConfig {
            n_components,
            solver: Solver::Mu,
            dictionary: Factor::Fixed(dictionary.clone()),
            activations: Factor::Seed(start),
            tol: 0.0,
            ..config
        };
        fit(v, &config).expect("fit").activations
    }

    /// Columns of very different levels, some of them silent.
    fn columns(shape: (usize, usize), seed: u64) -> Array2<f32> {
        let mut v = noise(shape, seed);
        for (i, mut column) in v.columns_mut().into_iter().enumerate() {
            column *= [1.0, 3e-7, 0.0, 2e9, 0.02][i % 5];
        }
        v
    }

    #[test]
    fn components_that_are_silent_might_as_well_not_be_there() {
        let dictionary = noise((70, 20), 3);
        for n_columns in [1, 2, 5, 6, 15] {
            let v = columns((70, n_columns), 4);
            // In each column, others sound.
            let start = Array2::from_shape_fn((20, n_columns), |(k, i)| if k % 5 == i % 2 { 0.3 } else { 0.0 });
            let together = encoder(&dictionary, 0).encode_from(v.view(), start.clone(), 7).expect("activations");
            for i in 0..n_columns {
                let own: Vec<_> = (0..20).filter(|k| start[(*k, i)] > 0.0).collect();
                let alone = encoder(&dictionary.select(Axis(1), &own), 0);
                let (v, start) = (v.slice(s![.., i..=i]), start.slice(s![.., i..=i]).select(Axis(0), &own));
                let expected = alone.encode_from(v, start, 7).expect("activations");
                let got = together.slice(s![.., i..=i]).select(Axis(0), &own);
                assert_eq!(got, expected, "column {i} of {n_columns}");
                assert_eq!(
                    together.column(i).iter().filter(|x| **x > 0.0).count(),
                    if v.sum() > 0.0 { own.len() } else { 0 }
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_column_comes_out_with_the_same_bits_whatever_stands_beside_it(
            (n_rows, n_components) in (1usize..90, 1usize..40),
            n_columns in prop_oneof![1usize..20, Just(32), Just(100)],
            first in 0usize..9,
            is_time_major in any::<bool>(),
            is_portable in any::<bool>(),
            seed: u64,
        ) {
            let (w, v) = (noise((n_rows, n_components), seed), columns((n_rows, n_columns), seed ^ 1));
            let time_major = v.t().as_standard_layout().into_owned();
            let mut encoder = encoder(&w, 7);
            if let (Prepared::KullbackLeibler(kl), true) = (&mut encoder.prepared, is_portable) {
                kl.kernel = Kernel::Portable;
            }
            let all = encoder.encode(if is_time_major { time_major.t() } else { v.view() }).expect("encode");
            for column in 0..n_columns {
                let alone = encoder.encode(v.slice(s![.., column..=column])).expect("encode");
                prop_assert_eq!(alone.column(0), all.column(column), "column {}", column);
            }
            let from = first.min(n_columns);
            let some = encoder.encode(v.slice(s![.., from..])).expect("encode");
            prop_assert_eq!(some, all.slice(s![.., from..]).to_owned(), "from column {}", from);
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let (encoder, v) = (encoder(&noise((50, 12), 1), 9), columns((50, 1000), 2));
        let found = [1, 2, 3].map(|n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            pool.install(|| encoder.encode(v.view()).expect("encode"))
        });
        assert_eq!(found[0], found[1], "1 and 2 threads");
        assert_eq!(found[0], found[2], "1 and 3 threads");
    }

    #[test]
    fn a_column_has_the_bits_that_fit_gives_it_alone() {
        for (n_rows, n_components) in [(1, 1), (40, 3), (77, 30), (700, 9), (16, 300)] {
            let (w, v) = (noise((n_rows, n_components), 1) * 7e-3, columns((n_rows, 13), 2));
            let found = encoder(&w, 20).encode(v.view()).expect("encode");
            for (i, column) in v.axis_chunks_iter(Axis(1), 1).enumerate() {
                let expected = by_fit(column, &w, NmfConfig { max_iter: 20, ..NmfConfig::default() });
                assert_eq!(
                    found.column(i),
                    expected.column(0),
                    "column {i} of {n_rows} rows, {n_components} components"
                );
            }
        }
    }

    #[test]
    fn costs_are_those_of_a_silent_row() {
        let (w, v) = (noise((60, 8), 1), noise((60, 31), 2));
        let costs = Array1::from_shape_fn(8, |k| (k % 3) as f32 * 4.0);
        let config = EncoderConfig { costs: Some(costs.clone()), ..EncoderConfig::default() };
        let found = Encoder::new(w.view(), &config).expect("costs").encode(v.view()).expect("encode");
        let (mut w_and_costs, mut v_and_zeros) = (w.clone(), v.clone());
        w_and_costs.push_row(costs.view()).expect("a row");
        v_and_zeros.push_row(Array1::zeros(31).view()).expect("a row");
        let expected = by_fit(v_and_zeros.view(), &w_and_costs, NmfConfig { max_iter: 30, ..NmfConfig::default() });
        // 30 iterations over sums of 60 terms in f32.
        assert_close("with costs", &found, &expected, 1e-5);
        let free = encoder(&w, 30).encode(v.view()).expect("encode");
        assert!(found.row(2).sum() < 0.5 * free.row(2).sum(), "what costs is used less");
    }

    #[test]
    fn longer_steps_end_at_the_same_activations_in_fewer_iterations() {
        let (w, v) = (noise((60, 8), 1), noise((60, 31), 2));
        let costs = Some(Array1::from_shape_fn(8, |k| (k % 3) as f32));
        for divergence in [Divergence::KullbackLeibler, Divergence::Euclidean, Divergence::ItakuraSaito] {
            let after = |max_iter, relaxation| {
                let config = EncoderConfig { divergence, max_iter, costs: costs.clone(), relaxation };
                Encoder::new(w.view(), &config).expect("a dictionary").encode(v.view()).expect("encode")
            };
            let end = after(3000, 1.0);
            let gap = |h: &Array2<f32>| {
                let gaps = h.columns().into_iter().zip(end.columns()).filter(|(_, end)| end.sum() > 0.0);
                gaps.map(|(h, end)| (&h - &end).mapv(f32::abs).sum() / end.sum()).sum::<f32>()
            };
            let plain = gap(&after(30, 1.0));
            for relaxation in [1.5, 1.7] {
                let n_iter = (30.0 / relaxation) as usize;
                let relaxed = gap(&after(n_iter, relaxation));
                assert!(
                    relaxed < 1.1 * plain,
                    "{divergence:?}, {relaxation}: {relaxed} after {n_iter}, {plain} after 30"
                );
            }
            assert!(after(20, 0.5).iter().all(|x| x.is_finite()), "{divergence:?}: shorter steps");
        }
    }

    #[test]
    fn other_divergences_are_those_of_fit() {
        let (w, v) = (noise((40, 6), 1), noise((40, 50), 2));
        for divergence in [Divergence::ItakuraSaito, Divergence::Euclidean, Divergence::Beta(1.5)] {
            let config = EncoderConfig { divergence, max_iter: 15, ..EncoderConfig::default() };
            let found = Encoder::new(w.view(), &config).expect("a dictionary").encode(v.view()).expect("encode");
            let nmf = NmfConfig { divergence, max_iter: 15, ..NmfConfig::default() };
            assert_close(&format!("{divergence:?}"), &found, &by_fit(v.view(), &w, nmf.clone()), 1e-5);

            // An l1 penalty costs every component the same.
            let config = EncoderConfig { costs: Some(Array1::from_elem(6, 0.05 * 40.0)), ..config };
            let found = Encoder::new(w.view(), &config).expect("costs").encode(v.view()).expect("encode");
            let regularization = Regularization { alpha_activations: 0.05, l1_ratio: 1.0, ..Regularization::default() };
            let expected = by_fit(v.view(), &w, NmfConfig { regularization, ..nmf });
            assert_close(&format!("{divergence:?} with costs"), &found, &expected, 1e-5);
        }
    }

    #[test]
    fn warm_starts_go_on_where_the_last_iterations_ended() {
        let (w, v) = (noise((40, 6), 1), columns((40, 50), 2));
        let halfway = encoder(&w, 10).encode(v.view()).expect("encode");
        let whole = encoder(&w, 15).encode(v.view()).expect("encode");
        let went_on = encoder(&w, 10).encode_from(v.view(), halfway.clone(), 5).expect("encode");
        assert_eq!(went_on, whole, "powers of two on the way out and in again change no digit");
        let unchanged = encoder(&w, 10).encode_from(v.view(), halfway.clone(), 0).expect("encode");
        assert_eq!(unchanged, halfway);
    }

    #[test]
    fn silence_gives_zeros_and_zeros_stay() {
        for divergence in [Divergence::KullbackLeibler, Divergence::Euclidean] {
            let mut w = noise((30, 5), 1);
            w.column_mut(3).fill(0.0);
            let config = EncoderConfig { divergence, ..EncoderConfig::default() };
            let encoder = Encoder::new(w.view(), &config).expect("a dictionary");
            let silence = encoder.encode(Array2::zeros((30, 9)).view()).expect("encode");
            assert!(silence.iter().all(|x| *x == 0.0), "{divergence:?}: {silence}");
            let mut start = Array2::ones((5, 9));
            start.row_mut(1).fill(0.0);
            let found = encoder.encode_from(noise((30, 9), 2).view(), start, 20).expect("encode");
            assert!(found.row(1).iter().all(|x| *x == 0.0), "{divergence:?}: a zero at the start stays");
            assert!(found.iter().all(|x| x.is_finite()), "{divergence:?}: an empty template does no harm: {found}");
        }
        let empty = encoder(&noise((30, 5), 1), 3).encode(Array2::zeros((30, 0)).view()).expect("encode");
        assert_eq!(empty.dim(), (5, 0));
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let w = noise((30, 5), 1);
        let refusal = |w: &Array2<f32>, config| Encoder::new(w.view(), &config).expect_err("refused").to_string();
        let config = EncoderConfig::default;
        let costs = |costs: &[f32]| EncoderConfig { costs: Some(costs.iter().copied().collect()), ..config() };
        assert_eq!(refusal(&w, costs(&[1.0])), "`costs` is 1 numbers, expected 5, one for each component");
        assert_eq!(
            refusal(&w, costs(&[1.0, 0.0, -2.0, 0.0, 0.0])),
            "`costs` is -2, expected finite numbers of at least 0"
        );
        assert_eq!(refusal(&Array2::zeros((3, 0)), config()), "`n_components` is 0, expected at least 1");
        for relaxation in [0.0, 2.0, f32::NAN] {
            let expected = format!("`relaxation` is {relaxation}, expected above 0 and below 2");
            assert_eq!(refusal(&w, EncoderConfig { relaxation, ..config() }), expected);
        }
        let divergence = EncoderConfig { divergence: Divergence::Beta(7.0), ..config() };
        assert_eq!(refusal(&w, divergence), "`divergence` is a beta of 7, expected a beta from -1 to 4");
        assert!(matches!(Encoder::new((-&w).view(), &config()), Err(Error::MatrixEntry { row: 0, column: 0, .. })));

        let encoder = encoder(&w, 3);
        let narrow = encoder.encode(noise((29, 4), 2).view());
        assert!(matches!(narrow, Err(Error::MatrixShape { got: (29, 4), expected: (30, 4), .. })), "{narrow:?}");
        let mut v = noise((30, 4), 2);
        let start = encoder.encode_from(v.view(), Array2::ones((4, 5)), 3);
        assert!(matches!(start, Err(Error::MatrixShape { got: (4, 5), expected: (5, 4), .. })), "{start:?}");
        v[(7, 2)] = f32::NAN;
        let entry = encoder.encode(v.view());
        assert!(matches!(entry, Err(Error::MatrixEntry { row: 7, column: 2, .. })), "{entry:?}");
    }
}
