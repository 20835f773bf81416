//! The factorization against scikit-learn, a slow oracle, and truths about any matrix.

use std::fs::File;
use std::path::PathBuf;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use ndarray_npy::NpzReader;
use partita::nmf::*;

const PENALTIES: [(&str, f32, f32, f32); 4] =
    [("free", 0.0, 0.0, 0.0), ("l1", 0.02, 0.03, 1.0), ("l2", 0.05, 0.01, 0.0), ("mixed", 0.01, 0.04, 0.3)];

struct Golden(NpzReader<File>);

impl Golden {
    fn open() -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nmf.npz");
        let file = File::open(path).expect("tests/golden/nmf.npz is part of the repository");
        Self(NpzReader::new(file).expect("an archive of arrays"))
    }

    fn matrix(&mut self, name: &str) -> Array2<f64> {
        self.0.by_name(&format!("{name}.npy")).expect("every case has its arrays")
    }

    fn matrix_f32(&mut self, name: &str) -> Array2<f32> {
        self.matrix(name).mapv(|x| x as f32)
    }
}

/// Largest difference over the largest entry.
fn gap(ours: &Array2<f32>, theirs: &Array2<f64>) -> f64 {
    assert_eq!(ours.dim(), theirs.dim());
    let largest = theirs.fold(0.0, |a: f64, b| a.max(b.abs()));
    (ours.mapv(f64::from) - theirs).fold(0.0, |a: f64, b| a.max(b.abs())) / largest
}

fn divergence_of(beta: f32) -> Divergence {
    match beta {
        0.0 => Divergence::ItakuraSaito,
        1.0 => Divergence::KullbackLeibler,
        2.0 => Divergence::Euclidean,
        _ => Divergence::Beta(beta),
    }
}

#[test]
fn factors_and_divergences_are_those_of_scikit_learn() {
    let mut golden = Golden::open();
    let (v, w0, h0) = (golden.matrix_f32("v"), golden.matrix_f32("w0"), golden.matrix_f32("h0"));
    let mut cases: Vec<(Solver, &str, f32)> =
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0].into_iter().map(|beta| (Solver::Mu, "mu", beta)).collect();
    cases.push((Solver::CoordinateDescent, "cd", 2.0));
    for (solver, solver_name, beta) in cases {
        for (penalty, alpha_dictionary, alpha_activations, l1_ratio) in PENALTIES {
            let name = format!("{solver_name}_{beta}_{penalty}");
            let config = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver,
                dictionary: Factor::Seed(w0.clone()),
                activations: Factor::Seed(h0.clone()),
                regularization: Regularization {
                    alpha_dictionary,
                    alpha_activations,
                    l1_ratio,
                    ..Regularization::default()
                },
                max_iter: 30,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let ours = fit(v.view(), &config).unwrap();
            let theirs: Array1<f64> = golden.0.by_name(&format!("{name}.divergence.npy")).unwrap();
            let ratio = ours.divergence / theirs[0] - 1.0;
            // f32 rounds at 6e-8; thirty iterations bring factors of a flat optimum some 1e-5 apart.
            assert!(ratio.abs() < 1e-4, "{name}: divergence off by {ratio:e}");
            let (w, h) = (
                gap(&ours.dictionary, &golden.matrix(&format!("{name}.w"))),
                gap(&ours.activations, &golden.matrix(&format!("{name}.h"))),
            );
            assert!(w < 1e-4 && h < 1e-4, "{name}: dictionary off by {w:e}, activations by {h:e}");
        }
    }
}

#[test]
fn nndsvd_is_that_of_scikit_learn() {
    let mut golden = Golden::open();
    let v = golden.matrix_f32("v");
    for (name, init) in [("nndsvd", Init::Nndsvd), ("nndsvda", Init::Nndsvda)] {
        // No iteration is made: this is the start.
        let config = NmfConfig { n_components: 4, init, max_iter: 0, ..NmfConfig::default() };
        let start = fit(v.view(), &config).unwrap();
        let (w, h) = (
            gap(&start.dictionary, &golden.matrix(&format!("{name}.w"))),
            gap(&start.activations, &golden.matrix(&format!("{name}.h"))),
        );
        assert!(w < 1e-5 && h < 1e-5, "{name}: dictionary off by {w:e}, activations by {h:e}");
    }
}

// ---- a slow oracle: triple loops in f64 ------------------------------------------------------------------------------

/// A multiplicative update of W, then H, spelled out entry by entry.
struct Oracle {
    v: Array2<f64>,
    weights: Array2<f64>,
    beta: f64,
    l1: [f64; 2],
    l2: [f64; 2],
    group: Option<GroupSparsity>,
    continuity: f64,
    /// Whether squares count in the exponent.
    minds_squares: bool,
}

impl Oracle {
    fn new(v: &Array2<f32>, config: &NmfConfig) -> Self {
        let r = &config.regularization;
        let (n_rows, n_columns) = (v.nrows() as f64, v.ncols() as f64);
        let l1_ratio = f64::from(r.l1_ratio);
        let (a, b) = (f64::from(r.alpha_dictionary) * n_columns, f64::from(r.alpha_activations) * n_rows);
        Self {
            v: v.mapv(f64::from),
            weights: config.weights.as_ref().map_or(Array2::ones(v.dim()), |x| x.mapv(f64::from)),
            beta: f64::from(config.divergence.beta()),
            l1: [a * l1_ratio, b * l1_ratio],
            l2: [a * (1.0 - l1_ratio), b * (1.0 - l1_ratio)],
            group: r.group_sparsity.clone(),
            continuity: f64::from(r.temporal_continuity),
            minds_squares: config.solver == Solver::MuExtrapolated,
        }
    }

    fn mean(&self) -> f64 {
        (&self.v * &self.weights).sum() / self.weights.sum()
    }

    /// W H at one entry.
    fn y(w: &Array2<f64>, h: &Array2<f64>, i: usize, j: usize) -> f64 {
        (0..w.ncols()).map(|k| w[(i, k)] * h[(k, j)]).sum()
    }

    /// Mean over the rows, relative to that of V, of what the group of component `k` adds to column `j`.
    fn level(&self, group: &GroupSparsity, w: &Array2<f64>, h: &Array2<f64>, k: usize, j: usize) -> f64 {
        let mut sum = 0.0;
        for other in (0..w.ncols()).filter(|other| group.groups[*other] == group.groups[k]) {
            for i in 0..w.nrows() {
                sum += w[(i, other)] * h[(other, j)];
            }
        }
        sum / w.nrows() as f64 / self.mean()
    }

    fn update(&self, w: &mut Array2<f64>, h: &mut Array2<f64>) {
        let (n_rows, n_columns, n_components) = (w.nrows(), h.ncols(), w.ncols());
        let relative = self.mean().powf(self.beta);
        let exponent = |l2: f64, continuity: f64| {
            let squares = continuity > 0.0 || (self.minds_squares && l2 > 0.0);
            let highest = (self.beta - 1.0).max(if squares { 1.0 } else { 0.0 });
            1.0 / (highest - (self.beta - 2.0).min(if continuity > 0.0 { -1.0 } else { 0.0 }))
        };
        let (w0, h0) = (w.clone(), h.clone());
        for i in 0..n_rows {
            for k in 0..n_components {
                let (mut n, mut d) = (0.0, self.l1[0] + self.l2[0] * w0[(i, k)]);
                for j in 0..n_columns {
                    let y = Self::y(&w0, &h0, i, j);
                    n += self.weights[(i, j)] * self.v[(i, j)] * y.powf(self.beta - 2.0) * h0[(k, j)];
                    d += self.weights[(i, j)] * y.powf(self.beta - 1.0) * h0[(k, j)];
                    if let Some(group) = &self.group {
                        let level = self.level(group, &w0, &h0, k, j);
                        d += f64::from(group.strength) * relative / self.mean() * h0[(k, j)]
                            / (f64::from(group.offset) + level);
                    }
                }
                w[(i, k)] = w0[(i, k)] * (n / d).powf(exponent(self.l2[0], 0.0));
            }
        }
        for k in 0..n_components {
            let squares: f64 = h0.row(k).iter().map(|x| x * x).sum();
            let steps: f64 = (1..n_columns).map(|j| (h0[(k, j)] - h0[(k, j - 1)]).powi(2)).sum();
            let unit = 2.0 * self.continuity * n_rows as f64 * relative * n_columns as f64 / squares;
            for j in 0..n_columns {
                let (mut n, mut d) = (0.0, self.l1[1] + self.l2[1] * h0[(k, j)]);
                for i in 0..n_rows {
                    let y = Self::y(w, &h0, i, j);
                    n += self.weights[(i, j)] * self.v[(i, j)] * y.powf(self.beta - 2.0) * w[(i, k)];
                    d += self.weights[(i, j)] * y.powf(self.beta - 1.0) * w[(i, k)];
                }
                if let Some(group) = &self.group {
                    let level = self.level(group, w, &h0, k, j);
                    d += f64::from(group.strength) * relative / self.mean() * w.column(k).sum()
                        / (f64::from(group.offset) + level);
                }
                let neighbors = h0[(k, j.saturating_sub(1))] + h0[(k, (j + 1).min(n_columns - 1))];
                n += unit * neighbors;
                d += unit * h0[(k, j)] * (2.0 * squares - steps) / squares;
                h[(k, j)] = h0[(k, j)] * (n / d).powf(exponent(self.l2[1], self.continuity));
            }
        }
    }

    /// Divergence and penalties.
    fn objective(&self, w: &Array2<f64>, h: &Array2<f64>) -> f64 {
        let (n_rows, n_columns) = (w.nrows(), h.ncols());
        let relative = self.mean().powf(self.beta) * n_rows as f64;
        let mut total = 0.0;
        for i in 0..n_rows {
            for j in 0..n_columns {
                let (v, y, b) = (self.v[(i, j)], Self::y(w, h, i, j), self.beta);
                let d = if b == 0.0 {
                    v / y - (v / y).ln() - 1.0
                } else if b == 1.0 {
                    v * (v / y).ln() - v + y
                } else {
                    v.powf(b) / (b * (b - 1.0)) + y.powf(b) / b - v * y.powf(b - 1.0) / (b - 1.0)
                };
                total += self.weights[(i, j)] * d;
            }
        }
        for (x, at) in [(w, 0), (h, 1)] {
            total += self.l1[at] * x.sum() + 0.5 * self.l2[at] * x.mapv(|x| x * x).sum();
        }
        for k in 0..w.ncols() {
            let row = h.row(k);
            let steps: f64 = (1..n_columns).map(|j| (row[j] - row[j - 1]).powi(2)).sum();
            total += self.continuity * relative * n_columns as f64 * steps / row.dot(&row);
        }
        if let Some(group) = &self.group {
            let firsts = (0..w.ncols()).filter(|k| !group.groups[..*k].contains(&group.groups[*k]));
            for k in firsts {
                for j in 0..n_columns {
                    let level = self.level(group, w, h, k, j);
                    total += f64::from(group.strength) * relative * (1.0 + level / f64::from(group.offset)).ln();
                }
            }
        }
        total
    }
}

/// Positive numbers that look random, of rank 4 and some noise; mean about 1.
fn mixed(n_rows: usize, n_columns: usize, seed: usize) -> Array2<f32> {
    let x = |i: usize, j: usize, salt: usize| {
        let n = (i * 7919 + j * 104_729 + salt * 15_485_863 + seed * 32_452_843) as f64;
        ((n * 0.618_033_988_749_895).fract() * 12.9898).sin().mul_add(43_758.545, 0.0).fract().abs()
    };
    Array2::from_shape_fn((n_rows, n_columns), |(i, j)| {
        let clean: f64 = (0..4).map(|k| x(i, k, 1).powi(3) * x(k, j, 2).powi(2)).sum();
        (3.0 * clean + 0.1 + 0.2 * x(i, j, 3)) as f32
    })
}

fn penalties() -> Vec<(&'static str, Regularization)> {
    let group = GroupSparsity { groups: vec![4, 4, 1], strength: 0.2, offset: 0.1 };
    vec![
        ("no penalty", Regularization::default()),
        ("l1", Regularization { alpha_dictionary: 0.02, alpha_activations: 0.05, l1_ratio: 1.0, ..Default::default() }),
        ("l2", Regularization { alpha_dictionary: 0.02, alpha_activations: 0.05, ..Default::default() }),
        ("continuity", Regularization { temporal_continuity: 0.3, ..Default::default() }),
        ("groups", Regularization { group_sparsity: Some(group.clone()), ..Default::default() }),
        (
            "everything",
            Regularization {
                alpha_dictionary: 0.01,
                alpha_activations: 0.02,
                l1_ratio: 0.4,
                temporal_continuity: 0.1,
                group_sparsity: Some(group),
            },
        ),
    ]
}

fn weights_of(shape: (usize, usize)) -> Array2<f32> {
    Array2::from_shape_fn(shape, |(i, j)| [0.0, 1.0, 0.5, 2.0, 1.0][(i * 3 + j) % 5])
}

const BETAS: [f32; 9] = [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0];

#[test]
fn multiplicative_updates_are_those_of_triple_loops_in_f64() {
    let v = mixed(7, 9, 1);
    let (w0, h0) = (mixed(7, 3, 2), mixed(3, 9, 3));
    for beta in BETAS {
        for weights in [None, Some(weights_of(v.dim()))] {
            for (penalty, regularization) in penalties() {
                let config = NmfConfig {
                    n_components: 3,
                    divergence: divergence_of(beta),
                    solver: Solver::Mu,
                    dictionary: Factor::Seed(w0.clone()),
                    activations: Factor::Seed(h0.clone()),
                    regularization,
                    weights: weights.clone(),
                    max_iter: 3,
                    tol: 0.0,
                    ..NmfConfig::default()
                };
                let name = format!("beta {beta}, {penalty}, weights {}", weights.is_some());
                let ours = fit(v.view(), &config).unwrap();
                let oracle = Oracle::new(&v, &config);
                let (mut w, mut h) = (w0.mapv(f64::from), h0.mapv(f64::from));
                let first = oracle.objective(&w, &h);
                for _ in 0..3 {
                    oracle.update(&mut w, &mut h);
                }
                let (dw, dh) = (gap(&ours.dictionary, &w), gap(&ours.activations, &h));
                // A few rounding errors of f32 (6e-8) per sum, power and iteration.
                assert!(dw < 1e-5 && dh < 1e-5, "{name}: dictionary off by {dw:e}, activations by {dh:e}");
                let (last, ours) = (oracle.objective(&w, &h), ours.divergence_curve);
                assert!((ours[0].1 / first - 1.0).abs() < 1e-5, "{name}: starts at {}, expected {first}", ours[0].1);
                let end = ours.last().unwrap().1;
                assert!((end / last - 1.0).abs() < 1e-4, "{name}: ends at {end}, expected {last}");
            }
        }
    }
}

/// The non-negative x that minimizes `1/2 x^T gram x - rhs^T x`, by trying every set of non-zero entries.
fn least_squares(gram: &Array2<f64>, rhs: &Array1<f64>) -> Array1<f64> {
    let n = rhs.len();
    let objective = |x: &Array1<f64>| 0.5 * x.dot(&gram.dot(x)) - rhs.dot(x);
    let mut best = Array1::zeros(n);
    for set in 0..1_usize << n {
        let at: Vec<usize> = (0..n).filter(|k| set >> k & 1 == 1).collect();
        // Gauss-Jordan elimination of the passive part.
        let m = at.len();
        let mut a = Array2::from_shape_fn((m, m + 1), |(i, j)| if j < m { gram[(at[i], at[j])] } else { rhs[at[i]] });
        for p in 0..m {
            let pivot = a[(p, p)];
            a.row_mut(p).mapv_inplace(|x| x / pivot);
            for i in (0..m).filter(|i| *i != p) {
                let factor = a[(i, p)];
                for j in 0..=m {
                    a[(i, j)] -= factor * a[(p, j)];
                }
            }
        }
        let mut x = Array1::zeros(n);
        for (i, &k) in at.iter().enumerate() {
            x[k] = a[(i, m)];
        }
        if x.iter().all(|x| *x >= 0.0) && objective(&x) < objective(&best) {
            best = x;
        }
    }
    best
}

/// Each row of X to its least-squares solution for V ~ X B.
fn solve_rows(v: ArrayView2<'_, f64>, b: &Array2<f64>, l1: f64, l2: f64) -> Array2<f64> {
    let gram = b.dot(&b.t()) + Array2::<f64>::eye(b.nrows()) * l2;
    let mut x = Array2::zeros((v.nrows(), b.nrows()));
    for (mut row, v) in x.rows_mut().into_iter().zip(v.rows()) {
        row.assign(&least_squares(&gram, &(b.dot(&v) - l1)));
    }
    x
}

#[test]
fn block_pivoting_finds_the_least_squares_solutions() {
    let v = mixed(9, 14, 4);
    let h0 = mixed(5, 14, 5) - 0.3;
    let h0 = h0.mapv(|x| x.max(0.0));
    for (alpha, l1_ratio) in [(0.0, 0.0), (0.03, 0.0), (0.05, 1.0)] {
        let config = NmfConfig {
            n_components: 5,
            divergence: Divergence::Euclidean,
            solver: Solver::Anls,
            activations: Factor::Seed(h0.clone()),
            regularization: Regularization {
                alpha_dictionary: alpha,
                alpha_activations: alpha,
                l1_ratio,
                ..Default::default()
            },
            max_iter: 1,
            tol: 0.0,
            ..NmfConfig::default()
        };
        let ours = fit(v.view(), &config).unwrap();
        let (v, alpha, l1_ratio) = (v.mapv(f64::from), f64::from(alpha), f64::from(l1_ratio));
        let (l1, l2) = (alpha * l1_ratio, alpha * (1.0 - l1_ratio));
        let w = solve_rows(v.view(), &h0.mapv(f64::from), 14.0 * l1, 14.0 * l2);
        let h = solve_rows(v.t(), &w.t().to_owned(), 9.0 * l1, 9.0 * l2).reversed_axes();
        let (dw, dh) = (gap(&ours.dictionary, &w), gap(&ours.activations, &h));
        // The products with V are f32, and G has a condition of some 100.
        assert!(dw < 1e-4 && dh < 1e-4, "alpha {alpha}: dictionary off by {dw:e}, activations by {dh:e}");
        assert!(w.iter().any(|x| *x == 0.0), "the test should meet a bound");
    }
}

#[test]
fn all_euclidean_solvers_find_the_same_activations_for_a_fixed_dictionary() {
    let v = mixed(12, 10, 6);
    let w = mixed(12, 4, 7).mapv(|x| (x - 0.4).max(0.0));
    let expected = solve_rows(v.mapv(f64::from).t(), &w.t().mapv(f64::from), 0.0, 0.0).reversed_axes();
    for solver in [Solver::CoordinateDescent, Solver::Anls, Solver::ProjectedGradient] {
        let config = NmfConfig {
            divergence: Divergence::Euclidean,
            solver,
            max_iter: 3000,
            tol: 0.0,
            n_components: 4,
            ..NmfConfig::default()
        };
        let ours = transform(v.view(), w.clone(), &config).unwrap();
        assert_eq!(ours.dictionary, w, "{solver:?} changed a fixed dictionary");
        let off = gap(&ours.activations, &expected);
        // The projected gradient ends by a tolerance; the optimum is quadratic, so that half of the digits of f32 are
        // what an objective in f32 could tell apart.
        assert!(off < 1e-3, "{solver:?}: activations off by {off:e}");
    }
}

// ---- truths about any matrix -----------------------------------------------------------------------------------------

const ALL_SOLVERS: [Solver; 5] =
    [Solver::Mu, Solver::MuExtrapolated, Solver::CoordinateDescent, Solver::Anls, Solver::ProjectedGradient];

/// Every solver with each divergence that it knows.
fn solvers_and_divergences() -> Vec<(Solver, f32)> {
    let euclidean = [Solver::CoordinateDescent, Solver::Anls, Solver::ProjectedGradient].map(|solver| (solver, 2.0));
    let multiplicative = [Solver::Mu, Solver::MuExtrapolated].into_iter().flat_map(|s| BETAS.map(|beta| (s, beta)));
    multiplicative.chain(euclidean).collect()
}

#[test]
fn the_objective_never_rises() {
    let v = mixed(15, 22, 8);
    for (solver, beta) in solvers_and_divergences() {
        let is_mu = matches!(solver, Solver::Mu | Solver::MuExtrapolated);
        for weights in [None, is_mu.then(|| weights_of(v.dim()))].into_iter().take(if is_mu { 2 } else { 1 }) {
            for (penalty, regularization) in penalties() {
                let others = regularization.temporal_continuity > 0.0 || regularization.group_sparsity.is_some();
                let squares = regularization.alpha_dictionary > 0.0 && regularization.l1_ratio < 1.0;
                // What the documentation excepts.
                if (others && !is_mu) || (squares && solver == Solver::Mu && beta < 2.0) {
                    continue;
                }
                let config = NmfConfig {
                    n_components: 3,
                    divergence: divergence_of(beta),
                    solver,
                    regularization,
                    weights: weights.clone(),
                    max_iter: 120,
                    tol: 0.0,
                    seed: 3,
                    ..NmfConfig::default()
                };
                let curve = fit(v.view(), &config).unwrap().divergence_curve;
                for pair in curve.windows(2) {
                    let rise = (pair[1].1 - pair[0].1) / pair[0].1.abs();
                    // Sums of f32 products differ by some 1e-7; each check compares two of them.
                    assert!(rise < 2e-6, "{solver:?}, beta {beta}, {penalty}: rises by {rise:e} at {}", pair[1].0);
                }
                let (first, last) = (curve[0].1, curve[curve.len() - 1].1);
                assert!(last < first, "{solver:?}, beta {beta}, {penalty}: from {first} to {last}");
            }
        }
    }
}

#[test]
fn a_plain_multiplicative_iteration_never_raises_the_objective() {
    let v = mixed(8, 11, 9);
    for beta in BETAS {
        for (penalty, regularization) in penalties() {
            if beta < 2.0 && regularization.alpha_dictionary > 0.0 && regularization.l1_ratio < 1.0 {
                continue;
            }
            let mut config = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver: Solver::Mu,
                regularization,
                max_iter: 1,
                tol: 0.0,
                ..NmfConfig::default()
            };
            for n_iter in 0..60 {
                let parts = fit(v.view(), &config).unwrap();
                let (before, after) = (parts.divergence_curve[0].1, parts.divergence_curve[1].1);
                let rise = (after - before) / before.abs();
                assert!(rise < 2e-6, "beta {beta}, {penalty}: iteration {n_iter} rises by {rise:e}");
                config.dictionary = Factor::Seed(parts.dictionary);
                config.activations = Factor::Seed(parts.activations);
            }
        }
    }
}

#[test]
fn factors_are_finite_and_non_negative_on_any_matrix() {
    let mut holes = mixed(8, 9, 10);
    holes.row_mut(2).fill(0.0);
    holes.column_mut(5).fill(0.0);
    let mut spike = Array2::zeros((8, 9));
    spike[(3, 4)] = 1.0;
    let mut wide = mixed(8, 9, 11);
    wide[(0, 0)] = 1e30;
    wide[(1, 1)] = 1e-30;
    let matrices = [
        ("zeros", Array2::zeros((8, 9))),
        ("a zero row and column", holes),
        ("one entry", spike),
        ("1e-30", mixed(8, 9, 12) * 1e-30),
        ("subnormal", mixed(8, 9, 12) * 1e-42),
        ("1e30", mixed(8, 9, 13) * 1e30),
        ("1e30 and 1e-30", wide),
        ("rank one", Array2::from_shape_fn((8, 9), |(i, j)| (i * (j + 1)) as f32)),
        ("one by one", Array2::ones((1, 1))),
        ("more components than rows", mixed(2, 9, 14)),
        ("no columns", Array2::zeros((8, 0))),
        ("no rows", Array2::zeros((0, 9))),
    ];
    for (name, v) in &matrices {
        for init in [Init::Random, Init::Nndsvd, Init::Nndsvda, Init::Nndsvdar] {
            for (solver, beta) in solvers_and_divergences() {
                let n_components = if init == Init::Random { 4 } else { v.nrows().min(v.ncols()).min(4) };
                if n_components == 0 {
                    continue;
                }
                let config = NmfConfig {
                    n_components,
                    divergence: divergence_of(beta),
                    solver,
                    init,
                    max_iter: 25,
                    ..NmfConfig::default()
                };
                let parts = fit(v.view(), &config).unwrap();
                for (what, x) in [("dictionary", &parts.dictionary), ("activations", &parts.activations)] {
                    let wrong = x.iter().find(|x| !(x.is_finite() && **x >= 0.0));
                    assert!(wrong.is_none(), "{name}, {init:?}, {solver:?}, beta {beta}: {wrong:?} in the {what}");
                }
                assert!(parts.divergence.is_finite(), "{name}, {init:?}, {solver:?}, beta {beta}");
                let product = parts.product();
                assert!(product.iter().all(|x| x.is_finite()), "{name}, {init:?}, {solver:?}, beta {beta}");
            }
        }
    }
}

#[test]
fn a_louder_matrix_has_a_louder_factorization() {
    let v = mixed(10, 13, 15);
    for (solver, beta) in solvers_and_divergences() {
        for init in [Init::Random, Init::Nndsvd] {
            let is_mu = matches!(solver, Solver::Mu | Solver::MuExtrapolated);
            let groups = GroupSparsity { groups: vec![0, 0, 1], strength: 0.01, offset: 0.1 };
            let regularization = Regularization {
                temporal_continuity: if is_mu { 0.1 } else { 0.0 },
                group_sparsity: is_mu.then_some(groups),
                ..Default::default()
            };
            let config = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver,
                init,
                regularization,
                max_iter: 20,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let soft = fit(v.view(), &config).unwrap();
            for scale in [2f32.powi(-40), 1e-9, 3.7, 1e12] {
                let loud = fit((&v * scale).view(), &config).unwrap();
                let expected = soft.product().mapv(|x| f64::from(x) * f64::from(scale));
                let off = gap(&loud.product(), &expected);
                // Twenty iterations of rounding; the projected gradient's line search may take another branch.
                let tolerance = if solver == Solver::ProjectedGradient { 1e-2 } else { 1e-4 };
                assert!(off < tolerance, "{solver:?}, beta {beta}, {init:?}, times {scale:e}: off by {off:e}");
                let ratio = loud.divergence / (soft.divergence * f64::from(scale).powf(f64::from(beta)));
                assert!((ratio - 1.0).abs() < 10.0 * tolerance, "{solver:?}, beta {beta}: divergence times {ratio}");
            }
        }
    }
}

#[test]
fn permuting_the_rows_permutes_the_dictionary() {
    let v = mixed(9, 12, 16);
    let (w0, h0) = (mixed(9, 3, 17), mixed(3, 12, 18));
    let order = [4, 0, 8, 2, 6, 1, 7, 3, 5];
    for (solver, beta) in solvers_and_divergences() {
        let config = |w: Array2<f32>| NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            solver,
            dictionary: Factor::Seed(w),
            activations: Factor::Seed(h0.clone()),
            max_iter: 10,
            tol: 0.0,
            ..NmfConfig::default()
        };
        let straight = fit(v.view(), &config(w0.clone())).unwrap();
        let permuted = fit(v.select(Axis(0), &order).view(), &config(w0.select(Axis(0), &order))).unwrap();
        let expected = straight.dictionary.select(Axis(0), &order).mapv(f64::from);
        let off = gap(&permuted.dictionary, &expected);
        let tolerance = if solver == Solver::ProjectedGradient { 1e-2 } else { 1e-4 };
        assert!(off < tolerance, "{solver:?}, beta {beta}: off by {off:e}");
    }
}

#[test]
fn weights_of_one_change_nothing() {
    let v = mixed(10, 13, 19);
    for solver in [Solver::Mu, Solver::MuExtrapolated] {
        // The extrapolated Kullback-Leibler fit without weights has a kernel of its own, which updates H first.
        for beta in BETAS.into_iter().filter(|beta| solver == Solver::Mu || *beta != 1.0) {
            let plain = NmfConfig {
                n_components: 3,
                divergence: divergence_of(beta),
                solver,
                max_iter: 15,
                tol: 0.0,
                ..NmfConfig::default()
            };
            let weighted = NmfConfig { weights: Some(Array2::ones(v.dim())), ..plain.clone() };
            let (a, b) = (fit(v.view(), &plain).unwrap(), fit(v.view(), &weighted).unwrap());
            let off = gap(&b.product(), &a.product().mapv(f64::from));
            // Sums run in another order without weights.
            assert!(off < 1e-4, "{solver:?}, beta {beta}: off by {off:e}");
        }
    }
}

#[test]
fn missing_entries_are_recovered_from_the_others() {
    let (w, h) = (mixed(40, 3, 20), mixed(3, 50, 21));
    let v = w.mapv(|x| x * x).dot(&h.mapv(|x| x * x));
    // The median of the exponential distribution is ln 2: half of the entries.
    let seen = noise(v.dim(), 22).mapv(|x| if x < 0.693 { 1.0 } else { 0.0 });
    let error = |parts: &Factorization| {
        let hidden = seen.mapv(|x| f64::from(1.0 - x));
        let gap = (parts.product() - &v).mapv(f64::from) * &hidden;
        ((&gap * &gap).sum() / (v.mapv(|x| f64::from(x).powi(2)) * &hidden).sum()).sqrt()
    };
    let holes = ndarray::Zip::from(&v).and(&seen).map_collect(|&v, &seen| if seen > 0.0 { v } else { f32::NAN });
    for beta in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0] {
        let weighted = NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            weights: Some(seen.clone()),
            max_iter: 2000,
            tol: 0.0,
            ..NmfConfig::default()
        };
        let with = error(&fit(holes.view(), &weighted).unwrap());
        assert!(with < 0.05, "beta {beta}: hidden entries off by {with}");
        let unweighted = NmfConfig { weights: None, ..weighted };
        let without = error(&fit((&v * &seen).view(), &unweighted).unwrap());
        assert!(without > 0.2, "beta {beta}: zeros for missing entries cost only {without}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let v = mixed(20, 300, 22);
    for (solver, beta) in solvers_and_divergences() {
        let is_mu = matches!(solver, Solver::Mu | Solver::MuExtrapolated);
        let config = NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            solver,
            init: Init::Nndsvdar,
            weights: is_mu.then(|| weights_of(v.dim())),
            max_iter: 6,
            ..NmfConfig::default()
        };
        let with = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| fit(v.view(), &config).unwrap())
        };
        assert_eq!(with(1), with(4), "{solver:?}, beta {beta}");
    }
}

#[test]
fn fixed_components_stay_as_they_are() {
    let v = mixed(9, 12, 23);
    let given = mixed(9, 1, 24).column(0).to_owned();
    let zeros = Array1::from_shape_fn(9, |i| if i < 4 { 0.0 } else { 1.0 });
    for (solver, beta) in solvers_and_divergences() {
        let parts = vec![Part::Fixed(given.clone()), Part::Seed(zeros.clone()), Part::Free];
        let config = NmfConfig {
            n_components: 3,
            divergence: divergence_of(beta),
            solver,
            dictionary: Factor::PerComponent(parts),
            max_iter: 25,
            ..NmfConfig::default()
        };
        let found = fit(v.view(), &config).unwrap();
        assert_eq!(found.dictionary.column(0), given, "{solver:?}, beta {beta}");
        let curve = &found.divergence_curve;
        assert!(curve[curve.len() - 1].1 < curve[0].1, "{solver:?}, beta {beta}: {curve:?}");
        if matches!(solver, Solver::Mu | Solver::MuExtrapolated) && beta != 1.0 {
            assert!(found.dictionary.slice(s![..4, 1]).iter().all(|x| *x == 0.0), "{solver:?}, beta {beta}");
        }
    }
}

#[test]
fn penalties_do_what_they_are_for() {
    let v = mixed(20, 60, 25);
    let config = NmfConfig { n_components: 3, max_iter: 300, tol: 0.0, ..NmfConfig::default() };
    let with = |regularization| fit(v.view(), &NmfConfig { regularization, ..config.clone() }).unwrap();
    let plain = with(Regularization::default());

    let roughness = |parts: &Factorization| -> f32 {
        let of_row = |row: ndarray::ArrayView1<'_, f32>| {
            row.windows(2).into_iter().map(|x| (x[1] - x[0]).powi(2)).sum::<f32>() / row.dot(&row)
        };
        parts.activations.rows().into_iter().map(of_row).sum()
    };
    let smooth = with(Regularization { temporal_continuity: 1.0, ..Default::default() });
    let (before, after) = (roughness(&plain), roughness(&smooth));
    assert!(after < 0.5 * before, "temporal continuity: roughness from {before} to {after}");

    let n_zeros = |x: &Array2<f32>| x.iter().filter(|x| **x < 1e-6).count();
    let l1 = Regularization { alpha_dictionary: 0.1, alpha_activations: 0.1, l1_ratio: 1.0, ..Default::default() };
    let sparse = with(l1);
    let (before, after) = (plain.product().sum(), sparse.product().sum());
    assert!(after < 0.98 * before, "l1: the product sums to {after}, {before} without it");

    let groups = GroupSparsity { groups: vec![0, 1, 2], strength: 0.3, offset: 0.01 };
    let grouped = with(Regularization { group_sparsity: Some(groups), ..Default::default() });
    let (before, after) = (n_zeros(&plain.activations), n_zeros(&grouped.activations));
    assert!(after > before + 20, "group sparsity: silent entries from {before} to {after}");
}

// ---- settings --------------------------------------------------------------------------------------------------------

/// The message of a refusal.
fn refusal(v: &Array2<f32>, config: NmfConfig) -> String {
    fit(v.view(), &config).expect_err("a refusal").to_string()
}

#[test]
fn a_solver_that_cannot_do_what_is_asked_is_refused() {
    let v = mixed(4, 5, 26);
    for solver in ALL_SOLVERS {
        let config = NmfConfig { solver, n_components: 2, ..NmfConfig::default() };
        if matches!(solver, Solver::Mu | Solver::MuExtrapolated) {
            assert!(fit(v.view(), &config).is_ok());
            continue;
        }
        let euclidean = NmfConfig { divergence: Divergence::Euclidean, ..config.clone() };
        assert!(fit(v.view(), &euclidean).is_ok());
        let expected = format!("`solver` is {}, expected `mu` or `mu-extrapolated`", solver.name());
        assert_eq!(refusal(&v, config), format!("{expected} for this divergence"));
        let weighted = NmfConfig { weights: Some(Array2::ones(v.dim())), ..euclidean.clone() };
        assert_eq!(refusal(&v, weighted), format!("{expected} with weights"));
        let smooth = Regularization { temporal_continuity: 1.0, ..Default::default() };
        let smooth = NmfConfig { regularization: smooth, ..euclidean };
        assert_eq!(refusal(&v, smooth), format!("{expected} with `temporal_continuity`"));
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let v = mixed(4, 5, 27);
    let plain = NmfConfig { n_components: 2, ..NmfConfig::default() };
    let regularized = |regularization| NmfConfig { regularization, ..plain.clone() };
    let group = |groups, strength, offset| {
        let group_sparsity = Some(GroupSparsity { groups, strength, offset });
        regularized(Regularization { group_sparsity, ..Default::default() })
    };
    let weighted = |at, value| {
        let mut weights = Array2::ones(v.dim());
        weights[at] = value;
        NmfConfig { weights: Some(weights), ..plain.clone() }
    };
    for (config, expected) in [
        (
            NmfConfig { divergence: Divergence::Beta(5.0), ..plain.clone() },
            "`divergence` is a beta of 5, expected a beta from -1 to 4",
        ),
        (
            regularized(Regularization { l1_ratio: 1.5, ..Default::default() }),
            "`l1_ratio` is 1.5, expected a number from 0 to 1",
        ),
        (
            regularized(Regularization { alpha_dictionary: -1.0, ..Default::default() }),
            "`alpha_dictionary` is -1, expected a finite number of at least 0",
        ),
        (group(vec![0], 1.0, 0.1), "`group_sparsity.groups` is 1 groups, expected 2, one for each component"),
        (group(vec![0, 1], 1.0, 0.0), "`group_sparsity.offset` is 0, expected a finite number above 0"),
        (weighted((1, 2), -1.0), "`weights` is -1 at row 1, column 2, expected finite numbers of at least 0"),
        (
            NmfConfig { weights: Some(Array2::ones((4, 4))), ..plain.clone() },
            "the matrix of weights is 4 x 4, expected 4 x 5",
        ),
        (
            NmfConfig { n_components: 5, init: Init::Nndsvda, ..plain.clone() },
            "`n_components` is 5, expected at most 4, the smaller side of the matrix, for this `init`",
        ),
    ] {
        assert_eq!(refusal(&v, config), expected);
    }
}

#[test]
fn only_missing_entries_may_be_anything() {
    let mut v = mixed(4, 5, 28);
    v[(1, 1)] = f32::NAN;
    v[(2, 2)] = f32::INFINITY;
    let mut weights = Array2::ones(v.dim());
    weights[(1, 1)] = 0.0;
    let mut config = NmfConfig { n_components: 2, weights: Some(weights.clone()), ..NmfConfig::default() };
    let message = refusal(&v, config.clone());
    assert_eq!(message, "the matrix has inf at row 2, column 2, expected finite numbers of at least 0");
    weights[(2, 2)] = 0.0;
    config.weights = Some(weights);
    for init in [Init::Random, Init::Nndsvda] {
        let parts = fit(v.view(), &NmfConfig { init, ..config.clone() }).unwrap();
        assert!(parts.product().iter().all(|x| x.is_finite()), "{init:?}");
    }
}

// ---- the number of components, and streams ---------------------------------------------------------------------------

/// Positive numbers from a seed.
fn noise(shape: (usize, usize), seed: u64) -> Array2<f32> {
    use rand::SeedableRng;
    use rand_distr::{Distribution, Exp1};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn(shape, || Exp1.sample(&mut rng))
}

#[test]
fn the_planted_number_of_components_is_found() {
    let mut found = Vec::new();
    for seed in 0..10 {
        let (w, h) = (noise((40, 4), 100 + seed), noise((4, 60), 200 + seed));
        // Noise in proportion to the level, some 10 %: what sound is like, and what no template explains.
        let v = w.dot(&h) * noise((40, 60), 300 + seed).mapv(|x| 0.8 + 0.2 * x.min(3.0));
        let config = NmfConfig { max_iter: 150, seed, ..NmfConfig::default() };
        found.push(select_rank(v.view(), 2..=7, &config, &HoldOut::default()).unwrap().best);
    }
    let n_right = found.iter().filter(|k| **k == 4).count();
    assert!(n_right >= 9, "4 components were planted, found {found:?}");
}

#[test]
fn settings_of_the_rank_selection_are_checked() {
    let v = mixed(6, 7, 29);
    let plain = NmfConfig::default();
    let refusal = |range, config: &NmfConfig, share, n_repeats| {
        select_rank(v.view(), range, config, &HoldOut { share, n_repeats }).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(0..=2, &plain, 0.1, 5),
        "`range` is 0..=2, expected a range of at least one number, from 1 or more"
    );
    assert_eq!(refusal(1..=2, &plain, 0.7, 5), "`share` is 0.7, expected above 0, at most 0.5");
    assert_eq!(refusal(1..=2, &plain, 0.1, 1), "`n_repeats` is 1, expected at least 2");
    let anls = NmfConfig { solver: Solver::Anls, divergence: Divergence::Euclidean, ..plain };
    assert_eq!(refusal(1..=2, &anls, 0.1, 5), "`solver` is anls, expected `mu` or `mu-extrapolated`");
}

#[test]
fn a_stream_teaches_what_the_whole_would() {
    let (w, h) = (noise((30, 3), 1).mapv(|x| x * x), noise((3, 640), 2).mapv(|x| x * x));
    let v = w.dot(&h) + 0.01;
    for beta in [0.0, 0.5, 1.0, 1.5, 2.0] {
        let config =
            NmfConfig { n_components: 3, divergence: divergence_of(beta), max_iter: 100, ..NmfConfig::default() };
        let mut online = Online::new(config.clone(), 0.7).unwrap();
        assert!(online.dictionary().is_none());
        for block in v.axis_chunks_iter(Axis(1), 32) {
            let activations = online.partial_fit(block).unwrap();
            assert_eq!(activations.dim(), (3, 32));
        }
        let learned = transform(v.view(), online.dictionary().unwrap(), &config).unwrap().divergence;
        let batch = fit(v.view(), &config).unwrap().divergence;
        let null = fit(v.view(), &NmfConfig { n_components: 1, ..config }).unwrap().divergence;
        // What one component leaves unexplained is the unit: the stream explains nearly all of it.
        assert!(learned < batch + 0.03 * null, "beta {beta}: stream {learned}, batch {batch}, one component {null}");
    }
}

#[test]
fn a_stream_follows_a_change() {
    let config = NmfConfig { n_components: 2, max_iter: 100, ..NmfConfig::default() };
    let mut online = Online::new(config.clone(), 0.5).unwrap();
    let mut last = Array2::zeros((0, 0));
    for n in 0..16 {
        let w = noise((20, 2), if n < 4 { 3 } else { 4 }).mapv(|x| x * x);
        last = w.dot(&noise((2, 24), 10 + n));
        online.partial_fit(last.view()).unwrap();
    }
    let now = transform(last.view(), online.dictionary().unwrap(), &config).unwrap();
    let share = now.divergence / f64::from(last.sum());
    assert!(share < 0.02, "{share} of the newest block is left unexplained");
}

#[test]
fn a_stream_keeps_what_is_fixed_and_survives_silence() {
    let given = noise((6, 1), 5).column(0).to_owned();
    let dictionary = Factor::PerComponent(vec![Part::Fixed(given.clone()), Part::Free]);
    let mut online = Online::new(NmfConfig { n_components: 2, dictionary, ..NmfConfig::default() }, 0.7).unwrap();
    let silent = Array2::zeros((6, 4));
    assert_eq!(online.partial_fit(silent.view()).unwrap(), Array2::<f32>::zeros((2, 4)));
    for n in 0..3 {
        online.partial_fit(noise((6, 4), 6 + n).view()).unwrap();
        let before = online.dictionary();
        online.partial_fit(silent.view()).unwrap();
        assert_eq!(online.dictionary(), before, "silence teaches nothing");
    }
    assert_eq!(online.dictionary().unwrap().column(0), given);
    let message = online.partial_fit(noise((5, 4), 9).view()).unwrap_err().to_string();
    assert!(message.starts_with("the dictionary is"), "{message}");
}
