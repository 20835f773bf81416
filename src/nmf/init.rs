//! First values of W and H.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::data::{sum, weighted_sum};
use super::kernel::wide;
use super::svd::{Entries, Svd, truncated_svd};
use super::{Factor, Init, NmfConfig, Part, Real, SparseMatrix};

/// Entries of NNDSVD below this share of the root of V's mean become 0, as scikit-learn's do below 1e-6.
const NNDSVD_FLOOR: f64 = 1e-6;

/// Zeros of NNDSVD are filled with the mean of V, as in scikit-learn, although W and H are of the size of its root: for
/// a mean beyond 1e6 or below 1e-6 this would be out of all proportion, and the root times this is taken instead.
const MAX_IMBALANCE: f64 = 1e3;

/// W (rows x K) and H (K x columns) before the first iteration: given values where the config gives them, and the
/// config's [`Init`] elsewhere.
pub(super) fn factors<T: Real>(v: ArrayView2<'_, T>, config: &NmfConfig<T>) -> (Array2<T>, Array2<T>) {
    let mean = mean(v, config);
    if config.init == Init::Random || !config.needs_init() {
        return random_factors(v.dim(), mean, config);
    }
    let svd = truncated_svd(&filled(v, T::of(mean), config).view(), config.n_components, config.seed);
    placed(nndsvd(&svd, v.dim(), mean, config), v.dim(), mean, config)
}

/// [`factors`] for a matrix that is mostly zero, of the given mean, without weights.
pub(super) fn sparse_factors<T: Real>(v: &SparseMatrix<T>, mean: f64, config: &NmfConfig<T>) -> (Array2<T>, Array2<T>) {
    if config.init == Init::Random || !config.needs_init() {
        return random_factors(v.dim(), mean, config);
    }
    let svd = truncated_svd(&Entries { rows: v, columns: &v.transposed() }, config.n_components, config.seed);
    placed(nndsvd(&svd, v.dim(), mean, config), v.dim(), mean, config)
}

/// [`factors`] for [`Init::Random`], which needs to know of V only its shape and its mean.
pub(super) fn random_factors<T: Real>(
    (n_rows, n_columns): (usize, usize),
    mean: f64,
    config: &NmfConfig<T>,
) -> (Array2<T>, Array2<T>) {
    let free = random(n_rows, n_columns, config.n_components, T::of(mean), config.seed);
    placed(free, (n_rows, n_columns), mean, config)
}

/// Free factors with the given values in their places, and on the scale that these ask for.
fn placed<T: Real>(
    (w, h): (Array2<T>, Array2<T>),
    (n_rows, n_columns): (usize, usize),
    mean: f64,
    config: &NmfConfig<T>,
) -> (Array2<T>, Array2<T>) {
    let k = config.n_components;
    // The columns of W are its components: it is placed as its transpose.
    let (mut w, mut h) = (place(&config.dictionary, w.reversed_axes(), true), place(&config.activations, h, false));
    if config.init == Init::Random {
        let share = mean * n_rows as f64 * n_columns as f64 / k as f64;
        let (given_w, given_h) = (given(&config.dictionary, k), given(&config.activations, k));
        for k in (0..k).filter(|k| given_w[*k] != given_h[*k]) {
            let (mut free, other) = if given_h[k] { (w.row_mut(k), h.row(k)) } else { (h.row_mut(k), w.row(k)) };
            let sum = |x: ArrayView1<'_, T>| x.iter().map(|&x| wide(x)).sum::<f64>();
            let factor = share / (sum(free.view()) * sum(other));
            if factor.is_finite() && factor > 0.0 {
                free.mapv_inplace(|x| T::of((wide(x) * factor).min(wide(T::LARGEST))));
            }
        }
    }
    (w.reversed_axes(), h)
}

/// Mean of V, missing entries left out.
fn mean<T: Real>(v: ArrayView2<'_, T>, config: &NmfConfig<T>) -> f64 {
    let (sum, count) = match &config.weights {
        None => (sum(v), v.len() as f64),
        Some(weights) => weighted_sum(v, weights.view()),
    };
    if count > 0.0 { sum / count } else { 0.0 }
}

/// V with its mean where entries are missing.
fn filled<T: Real>(v: ArrayView2<'_, T>, mean: T, config: &NmfConfig<T>) -> Array2<T> {
    let mut v = v.to_owned();
    if let Some(weights) = &config.weights {
        Zip::from(&mut v).and(weights).for_each(|v, &weight| {
            if weight == T::of(0.0) {
                *v = mean;
            }
        });
    }
    v
}

/// Which components the config gives values for.
fn given<T: Real>(factor: &Factor<T>, k: usize) -> Vec<bool> {
    match factor {
        Factor::Free => vec![false; k],
        Factor::Seed(_) | Factor::Fixed(_) => vec![true; k],
        Factor::PerComponent(parts) => parts.iter().map(|part| *part != Part::Free).collect(),
    }
}

/// Puts the given values over the free ones; one component per row of `free`.
fn place<T: Real>(factor: &Factor<T>, mut free: Array2<T>, transposed: bool) -> Array2<T> {
    match factor {
        Factor::Free => free,
        Factor::Seed(x) | Factor::Fixed(x) if transposed => x.clone().reversed_axes(),
        Factor::Seed(x) | Factor::Fixed(x) => x.clone(),
        Factor::PerComponent(parts) => {
            for (mut row, part) in free.outer_iter_mut().zip(parts) {
                if let Part::Seed(x) | Part::Fixed(x) = part {
                    row.assign(x);
                }
            }
            free
        }
    }
}

/// Absolute normal numbers, so scaled that W H has about the given mean.
fn random<T: Real>(n_rows: usize, n_columns: usize, k: usize, mean: T, seed: u64) -> (Array2<T>, Array2<T>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let scale = (mean / T::of(k as f64)).sqrt();
    let mut draw = |shape| Array2::from_shape_simple_fn(shape, || scale * T::absolute_normal(&mut rng));
    let w = draw((n_rows, k));
    (w, draw((k, n_columns)))
}

/// Non-negative double singular value decomposition, and what the config asks for in place of its zeros.
///
/// # References
/// C. Boutsidis and E. Gallopoulos, "SVD based initialization: a head start for nonnegative matrix factorization",
/// Pattern Recognition 41(4), 2008.
fn nndsvd<T: Real>(
    svd: &Svd,
    (n_rows, n_columns): (usize, usize),
    mean: f64,
    config: &NmfConfig<T>,
) -> (Array2<T>, Array2<T>) {
    let k = config.n_components;
    let (mut w, mut h) = (Array2::zeros((n_rows, k)), Array2::zeros((k, n_columns)));
    let floor = NNDSVD_FLOOR * mean.sqrt();
    let kept = |x: f64| if x < floor { T::of(0.0) } else { T::of(x) };
    for component in 0..k {
        let (left, right) = non_negative_pair(svd, component);
        w.column_mut(component).assign(&left.mapv(kept));
        h.row_mut(component).assign(&right.mapv(kept));
    }
    let root = mean.sqrt();
    let fill_with = T::of(mean.clamp(root / MAX_IMBALANCE, root * MAX_IMBALANCE));
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut fill = |x: &mut T| {
        if *x == T::of(0.0) {
            *x = match config.init {
                Init::Nndsvda => fill_with,
                Init::Nndsvdar => T::of(0.01) * fill_with * T::absolute_normal(&mut rng),
                Init::Nndsvd | Init::Random => T::of(0.0),
            };
        }
    };
    w.iter_mut().for_each(&mut fill);
    h.iter_mut().for_each(&mut fill);
    (w, h)
}

/// The best non-negative approximation of a singular pair's product: the positive or the negative parts of both
/// vectors, whichever are larger, sharing out the scale evenly. The first pair has one sign throughout.
fn non_negative_pair(svd: &Svd, component: usize) -> (Array1<f64>, Array1<f64>) {
    let (u, v) = (svd.u.index_axis(Axis(0), component), svd.v.index_axis(Axis(0), component));
    let part = |x: ArrayView1<'_, f64>, sign: f64| {
        let part = if component == 0 { x.mapv(f64::abs) } else { x.mapv(|x| (sign * x).max(0.0)) };
        let norm = part.dot(&part).sqrt();
        (part, norm)
    };
    let [positive, negative] = [1.0, -1.0].map(|sign| (part(u, sign), part(v, sign)));
    let size = |pair: &((_, f64), (_, f64))| pair.0.1 * pair.1.1;
    let pair = if size(&positive) > size(&negative) { positive } else { negative };
    let size = (svd.s[component] * size(&pair)).sqrt();
    let scaled = |(x, norm): (Array1<f64>, f64)| if norm > 0.0 { x * (size / norm) } else { x };
    (scaled(pair.0), scaled(pair.1))
}
