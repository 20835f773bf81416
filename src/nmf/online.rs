//! A dictionary that learns from a stream, block by block.

use ndarray::{Array2, ArrayView2, Zip};

use super::beta::{BetaMu, Terms, dictionary_terms, power};
use super::data::Data;
use super::driver::run;
use super::general::{scaled, scales};
use super::kernel::wide;
use super::penalty::{Penalties, Scales, exponent};
use super::{Factor, Init, NmfConfig, Real, Solver, fit, init};
use crate::watch::Watch;
use crate::{Error, Result};

/// Rounds of activations and dictionary on one block.
const ROUNDS: usize = 3;

/// A dictionary that learns from blocks of columns as they come, in memory that does not grow.
///
/// Each block finds its activations under the present dictionary; the numerator and the denominator of the
/// dictionary's multiplicative update then join running sums over all blocks, older ones counting less. Silent blocks
/// teach nothing. For beta up to 1 the running sums are those of the majorizers themselves.
///
/// # References
/// A. Lefevre, F. Bach and C. Fevotte, "Online algorithms for nonnegative matrix factorization with the
/// Itakura-Saito divergence", WASPAA 2011; the general form is that of scikit-learn's `MiniBatchNMF`.
///
/// # Examples
/// ```
/// use partita::nmf::{NmfConfig, Online};
/// let mut online = Online::new(NmfConfig { n_components: 1, ..NmfConfig::default() }, 0.7)?;
/// for level in [1.0, 0.0, 2.0] {
///     let block = ndarray::Array2::from_shape_fn((3, 4), |(i, j)| level * (i + 1) as f32 * (j + 1) as f32);
///     let activations = online.partial_fit(block.view())?;
///     assert_eq!(activations.dim(), (1, 4));
/// }
/// let w = online.dictionary().expect("a block that sounded");
/// assert!((w[(2, 0)] / w[(0, 0)] - 3.0).abs() < 1e-2);
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Online<T: Real = f32> {
    config: NmfConfig<T>,
    forget_factor: f32,
    state: Option<State<T>>,
}

#[derive(Debug, Clone)]
struct State<T: Real> {
    /// W over `scales.w`, rows x K.
    w: Array2<T>,
    scales: Scales,
    /// W^(1/gamma) times the numerators, summed over the blocks.
    numerator: Array2<T>,
    /// The denominators, summed over the blocks.
    denominator: Array2<T>,
    n_blocks: u64,
}

impl<T: Real> Online<T> {
    /// Takes the settings, which mean what they mean for [`fit`], per block: `max_iter` and `tol` govern the search
    /// for a block's activations, and `dictionary` may be given in whole or in part.
    ///
    /// `forget_factor` is the share of the running sums that each new block leaves, from 0 (only the newest block
    /// counts) to 1 (all count the same); scikit-learn's default is 0.7.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting out of range, for a solver other than the multiplicative ones, and where
    /// weights or activations are given, for they would belong to one block.
    pub fn new(config: NmfConfig<T>, forget_factor: f32) -> Result<Self> {
        config.check_settings()?;
        let refused = |name, got: String, expected: &str| {
            Err(Error::Setting { name, got, expected: expected.into(), advice: None })
        };
        if !(0.0..=1.0).contains(&forget_factor) {
            return refused("forget_factor", forget_factor.to_string(), "a number from 0 to 1");
        }
        if !matches!(config.solver, Solver::Mu | Solver::MuExtrapolated) {
            return refused("solver", config.solver.name().into(), "`Mu` or `MuExtrapolated`");
        }
        if config.weights.is_some() {
            return refused("weights", "given".into(), "none: blocks differ in length");
        }
        if config.guidance.is_some() {
            return refused("guidance", "given".into(), "none: blocks differ in length");
        }
        if config.activations != Factor::Free {
            return refused("activations", "given".into(), "`Free`: each block finds its own");
        }
        Ok(Self { config, forget_factor, state: None })
    }

    /// Learns from one block (`n_rows` x any number of columns), and returns its activations.
    ///
    /// # Errors
    /// Those of [`fit`]; [`Error::MatrixShape`] for a block with another number of rows than the first.
    pub fn partial_fit(&mut self, block: ArrayView2<'_, T>) -> Result<Array2<T>> {
        // The config's start is for the dictionary, and used up with the first block.
        let init = if self.state.is_some() { Init::Random } else { self.config.init };
        let config = NmfConfig { init, ..self.config.clone() };
        config.check(block)?;
        let k = config.n_components;
        if block.iter().all(|x| *x == T::of(0.0)) {
            return Ok(Array2::zeros((k, block.ncols())));
        }
        let state = match self.state.take() {
            Some(state) if state.w.nrows() != block.nrows() => {
                let expected = (state.w.nrows(), block.ncols());
                self.state = Some(state);
                return Err(Error::MatrixShape { what: "the block", got: block.dim(), expected });
            }
            Some(state) => state,
            None => State::new(fit(block, &config)?.dictionary, block, &config),
        };
        let (state, h) = state.learn(block, &NmfConfig { init: Init::Random, ..config }, self.forget_factor);
        let h = scaled(h, state.scales.h).reversed_axes();
        self.state = Some(state);
        Ok(h)
    }

    /// The dictionary so far, `n_rows` x `n_components`; none before the first block that is not silent.
    pub fn dictionary(&self) -> Option<Array2<T>> {
        self.state.as_ref().map(|state| scaled(state.w.clone(), state.scales.w))
    }
}

impl<T: Real> State<T> {
    fn new(w: Array2<T>, block: ArrayView2<'_, T>, config: &NmfConfig<T>) -> Self {
        let scales = scales(Data::new(block, None, config.divergence.beta()).scale, &w);
        let w = scaled(w, 1.0 / scales.w);
        let zeros = Array2::zeros(w.dim());
        Self { w, scales, numerator: zeros.clone(), denominator: zeros, n_blocks: 0 }
    }

    /// The state after the block, and the block's activations in the problem's units, columns x K.
    fn learn(mut self, block: ArrayView2<'_, T>, config: &NmfConfig<T>, forget_factor: f32) -> (Self, Array2<T>) {
        let k = config.n_components;
        let free = config.dictionary.is_free(k);
        let beta = config.divergence.beta();
        let data = || Data::with_scale(block, None, beta, self.scales.v);
        let penalties = Penalties::new(&config.regularization, block.dim(), self.scales, beta, data().mean);
        let exponent = T::of(exponent(beta, penalties.has_dictionary_squares(true), false));
        let forget_factor = T::of(wide(forget_factor));
        let seeded = NmfConfig { seed: config.seed.wrapping_add(self.n_blocks), ..config.clone() };
        let fixed = NmfConfig { dictionary: Factor::Fixed(scaled(self.w.clone(), self.scales.w)), ..seeded };
        let mut h = scaled(init::factors(block, &fixed).1.reversed_axes(), 1.0 / self.scales.h);
        let past = (self.numerator * forget_factor, self.denominator * forget_factor);
        (self.numerator, self.denominator) = past.clone();
        for _ in 0..ROUNDS {
            let start = (self.w, h);
            let mut solve =
                BetaMu::new(data(), start, (vec![false; k], vec![true; k]), penalties.clone(), config.solver);
            run(&mut solve, config, &mut Watch::none());
            (self.w, h) = (solve.w, solve.h);
            let Terms { numerator, mut denominator } = dictionary_terms(&data(), &self.w, &h);
            denominator += &penalties.dictionary_slopes(&self.w, &h);
            denominator += &(&self.w * &penalties.dictionary_squares(&self.w, &h));
            self.numerator = self.w.mapv(|w| power(w, T::of(1.0) / exponent)) * numerator + &past.0;
            self.denominator = denominator + &past.1;
            for (k, mut column) in self.w.columns_mut().into_iter().enumerate().filter(|(k, _)| free[*k]) {
                Zip::from(&mut column).and(self.numerator.column(k)).and(self.denominator.column(k)).for_each(
                    |w, &n, &d| {
                        // Where nothing was heard of an entry yet, it stays.
                        if d > T::of(0.0) {
                            let next = power((n / d).min(T::CEILING), exponent);
                            *w = if next < T::FLUSH { T::of(0.0) } else { next };
                        }
                    },
                );
            }
        }
        self.n_blocks += 1;
        (self, h)
    }
}
