//! The factorization against scikit-learn and against slow, obviously right versions.

mod common;

use std::fs::File;
use std::path::PathBuf;

use common::matrices::{BETAS, divergence_of, gap, mixed, penalties, weights_of};
use ndarray::{Array1, Array2, ArrayView2};
use ndarray_npy::NpzReader;
use partita::nmf::*;

const PENALTIES: [(&str, f64, f64, f64); 4] =
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

#[test]
fn factors_and_divergences_are_those_of_scikit_learn() {
    let mut golden = Golden::open();
    let (v, w0, h0) = (golden.matrix_f32("v"), golden.matrix_f32("w0"), golden.matrix_f32("h0"));
    let mut cases: Vec<(Solver, &str, f64)> =
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
    sparsity: f64,
    /// Whether squares count in the exponent.
    minds_squares: bool,
}

impl Oracle {
    fn new(v: &Array2<f32>, config: &NmfConfig) -> Self {
        let r = &config.regularization;
        let (n_rows, n_columns) = (v.nrows() as f64, v.ncols() as f64);
        let l1_ratio = r.l1_ratio;
        let (a, b) = (r.alpha_dictionary * n_columns, r.alpha_activations * n_rows);
        Self {
            v: v.mapv(f64::from),
            weights: config.weights.as_ref().map_or(Array2::ones(v.dim()), |x| x.mapv(f64::from)),
            beta: config.divergence.beta(),
            l1: [a * l1_ratio, b * l1_ratio],
            l2: [a * (1.0 - l1_ratio), b * (1.0 - l1_ratio)],
            group: r.group_sparsity.clone(),
            continuity: r.temporal_continuity,
            sparsity: r.sparsity,
            minds_squares: config.solver == Solver::MuExtrapolated,
        }
    }

    fn mean(&self) -> f64 {
        (&self.v * &self.weights).sum() / self.weights.sum()
    }

    /// Cost of an activation under a template of norm 1.
    fn unit_cost(&self, n_rows: usize) -> f64 {
        self.sparsity * (n_rows as f64).sqrt() * self.mean().powf(self.beta - 1.0)
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
        let exponent = |l2: f64, norms: f64, continuity: f64| {
            let squares = continuity > 0.0 || norms > 0.0 || (self.minds_squares && l2 > 0.0);
            let highest = (self.beta - 1.0).max(if squares { 1.0 } else { 0.0 });
            1.0 / (highest - (self.beta - 2.0).min(if continuity > 0.0 { -1.0 } else { 0.0 }))
        };
        let (w0, h0) = (w.clone(), h.clone());
        for i in 0..n_rows {
            for k in 0..n_components {
                let norm = w0.column(k).dot(&w0.column(k)).sqrt();
                let of_norm = self.unit_cost(n_rows) * h0.row(k).sum() * w0[(i, k)] / norm;
                let (mut n, mut d) = (0.0, self.l1[0] + self.l2[0] * w0[(i, k)] + of_norm);
                for j in 0..n_columns {
                    let y = Self::y(&w0, &h0, i, j);
                    n += self.weights[(i, j)] * self.v[(i, j)] * y.powf(self.beta - 2.0) * h0[(k, j)];
                    d += self.weights[(i, j)] * y.powf(self.beta - 1.0) * h0[(k, j)];
                    if let Some(group) = &self.group {
                        let level = self.level(group, &w0, &h0, k, j);
                        d += group.strength * relative / self.mean() * h0[(k, j)] / (group.offset + level);
                    }
                }
                w[(i, k)] = w0[(i, k)] * (n / d).powf(exponent(self.l2[0], self.sparsity, 0.0));
            }
        }
        for k in 0..n_components {
            let squares: f64 = h0.row(k).iter().map(|x| x * x).sum();
            let steps: f64 = (1..n_columns).map(|j| (h0[(k, j)] - h0[(k, j - 1)]).powi(2)).sum();
            let unit = 2.0 * self.continuity * n_rows as f64 * relative * n_columns as f64 / squares;
            for j in 0..n_columns {
                let norm = w.column(k).dot(&w.column(k)).sqrt();
                let (mut n, mut d) = (0.0, self.l1[1] + self.l2[1] * h0[(k, j)] + self.unit_cost(n_rows) * norm);
                for i in 0..n_rows {
                    let y = Self::y(w, &h0, i, j);
                    n += self.weights[(i, j)] * self.v[(i, j)] * y.powf(self.beta - 2.0) * w[(i, k)];
                    d += self.weights[(i, j)] * y.powf(self.beta - 1.0) * w[(i, k)];
                }
                if let Some(group) = &self.group {
                    let level = self.level(group, w, &h0, k, j);
                    d += group.strength * relative / self.mean() * w.column(k).sum() / (group.offset + level);
                }
                let neighbors = h0[(k, j.saturating_sub(1))] + h0[(k, (j + 1).min(n_columns - 1))];
                n += unit * neighbors;
                d += unit * h0[(k, j)] * (2.0 * squares - steps) / squares;
                h[(k, j)] = h0[(k, j)] * (n / d).powf(exponent(self.l2[1], 0.0, self.continuity));
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
            total += self.unit_cost(n_rows) * w.column(k).dot(&w.column(k)).sqrt() * row.sum();
            total += self.continuity * relative * n_columns as f64 * steps / row.dot(&row);
        }
        if let Some(group) = &self.group {
            let firsts = (0..w.ncols()).filter(|k| !group.groups[..*k].contains(&group.groups[*k]));
            for k in firsts {
                for j in 0..n_columns {
                    let level = self.level(group, w, h, k, j);
                    total += group.strength * relative * (1.0 + level / group.offset).ln();
                }
            }
        }
        total
    }
}

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
        let (v, alpha, l1_ratio) = (v.mapv(f64::from), alpha, l1_ratio);
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
