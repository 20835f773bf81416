//! Many fits of one matrix, and what they have in common.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use ndarray::{Array1, Array2, ArrayView1};
use partita::nmf::{
    Consensus, ConsensusConfig, Divergence, Factor, Init, Matrix, NmfConfig, NoShelf, Replicate, Replicates,
    ReplicatesConfig, Shelf, Side, Solver, SparseMatrix, fit, fit_sparse, most_stable,
};
use partita::watch::{Progress, Watch};
use partita::{Error, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, Poisson};

/// Counts of `n_genes` in `n_cells` that each follow a mixture of programs, and the programs: genes x programs.
fn counts(n_genes: usize, n_cells: usize, n_programs: usize, depth: f64, seed: u64) -> (Array2<f32>, Array2<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (common, own) = (
        Gamma::new(1.0, 1.0).expect("nothing stands in its way"),
        Gamma::new(0.15, 1.0).expect("nothing stands in its way"),
    );
    let base: Vec<f64> = (0..n_genes).map(|_| common.sample(&mut rng)).collect();
    // A tenth of the genes is each program's own.
    let mut programs = Array2::from_shape_fn((n_genes, n_programs), |(gene, program)| {
        base[gene] * if gene % (n_programs + 4) == program { 12.0 } else { 1.0 }
    });
    for mut program in programs.columns_mut() {
        let sum = program.sum();
        program /= sum;
    }
    let mut v = Array2::zeros((n_genes, n_cells));
    for mut cell in v.columns_mut() {
        let mut usage = Array1::from_shape_simple_fn(n_programs, || own.sample(&mut rng) + 1e-9);
        usage /= usage.sum();
        for (count, mean) in cell.iter_mut().zip(&programs.dot(&usage)) {
            let mean: f64 = depth * mean;
            *count = Poisson::new(mean.max(1e-9)).expect("nothing stands in its way").sample(&mut rng) as f32;
        }
    }
    (v, programs)
}

fn sparse(v: &Array2<f32>) -> SparseMatrix {
    let entries = v.indexed_iter().map(|((row, column), &x)| (row as u32, column as u32, x)).collect();
    SparseMatrix::from_entries(v.dim(), entries).expect("nothing stands in its way")
}

fn config(n_runs: usize) -> ReplicatesConfig {
    ReplicatesConfig {
        nmf: NmfConfig { max_iter: 60, seed: 5, ..NmfConfig::default() },
        n_runs,
        side: Side::Dictionary,
    }
}

fn fitted(v: Matrix<'_>, config: &ReplicatesConfig, ranks: &[usize]) -> Vec<Vec<Replicate>> {
    Replicates::new(v, config)
        .expect("nothing stands in its way")
        .fit(ranks, &NoShelf, &mut Watch::none())
        .expect("nothing stands in its way")
}

fn cosine(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f32>) -> f64 {
    let b = b.mapv(f64::from);
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// The cosine of each program with the component that is most like it, the lowest of them.
fn worst_match(programs: &Array2<f64>, components: &Array2<f32>) -> f64 {
    let best = |program| components.columns().into_iter().map(|c| cosine(program, c)).fold(0.0, f64::max);
    programs.columns().into_iter().map(best).fold(1.0, f64::min)
}

#[test]
fn each_run_is_the_fit_with_its_seed() {
    let (v, _) = counts(40, 60, 3, 300.0, 1);
    let entries = sparse(&v);
    for (divergence, solver) in [
        (Divergence::KullbackLeibler, Solver::MuExtrapolated),
        (Divergence::Euclidean, Solver::CoordinateDescent),
        (Divergence::Euclidean, Solver::Mu),
    ] {
        let mut config = config(3);
        (config.nmf.divergence, config.nmf.solver) = (divergence, solver);
        for is_sparse in [false, true] {
            let given = if is_sparse { Matrix::Sparse(&entries) } else { Matrix::Dense(v.view()) };
            for (rank, runs) in [2, 4].into_iter().zip(fitted(given, &config, &[2, 4])) {
                for (i, run) in runs.iter().enumerate() {
                    let seed = 5 + i as u64;
                    let alone = NmfConfig { n_components: rank, seed, ..config.nmf.clone() };
                    let expected = if is_sparse {
                        fit_sparse(&entries, &alone).expect("nothing stands in its way")
                    } else {
                        fit(v.view(), &alone).expect("nothing stands in its way")
                    };
                    assert_eq!(run.components, expected.dictionary, "{solver:?}, {rank} components, seed {seed}");
                    assert_eq!((run.seed, run.divergence, run.n_iter), (seed, expected.divergence, expected.n_iter));
                    assert_eq!(run.clusters.len(), 60);
                }
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (v, _) = counts(50, 80, 3, 300.0, 2);
    let found = [1, 2, 5].map(|n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("nothing stands in its way");
        pool.install(|| {
            let replicates = Replicates::new(Matrix::Dense(v.view()), &config(4)).expect("nothing stands in its way");
            let runs = replicates.fit(&[3, 2], &NoShelf, &mut Watch::none()).expect("nothing stands in its way");
            let of = |runs: &Vec<Replicate>| {
                replicates
                    .consensus(runs, &ConsensusConfig::default(), &mut Watch::none())
                    .expect("nothing stands in its way")
            };
            let consensus: Vec<Consensus> = runs.iter().map(of).collect();
            (runs, consensus)
        })
    });
    assert_eq!(found[0], found[1], "1 and 2 threads");
    assert_eq!(found[0], found[2], "1 and 5 threads");
}

/// Keeps fits in memory, and fails after so many.
struct Memory {
    kept: Mutex<BTreeMap<(usize, u64), Replicate>>,
    most: usize,
}

impl Memory {
    fn new(most: usize) -> Self {
        Self { kept: Mutex::new(BTreeMap::new()), most }
    }

    fn n_kept(&self) -> usize {
        self.kept.lock().expect("nothing stands in its way").len()
    }
}

impl Shelf for Memory {
    fn find(&self, n_components: usize, seed: u64) -> Result<Option<Replicate>> {
        Ok(self.kept.lock().expect("nothing stands in its way").get(&(n_components, seed)).cloned())
    }

    fn keep(&self, replicate: &Replicate) -> Result<()> {
        let mut kept = self.kept.lock().expect("nothing stands in its way");
        if kept.len() == self.most {
            return Err(Error::SparseStructure { reason: "no more room".into() });
        }
        kept.insert((replicate.components.ncols(), replicate.seed), replicate.clone());
        Ok(())
    }
}

#[test]
fn what_was_fitted_is_not_fitted_again() {
    let (v, _) = counts(40, 50, 3, 300.0, 3);
    let config = config(4);
    let replicates = Replicates::new(Matrix::Dense(v.view()), &config).expect("nothing stands in its way");
    let expected = replicates.fit(&[2, 3], &NoShelf, &mut Watch::none()).expect("nothing stands in its way");
    // Ended by the third fit that cannot be kept.
    let memory = Memory::new(3);
    let ended = replicates.fit(&[2, 3], &memory, &mut Watch::none()).unwrap_err();
    assert!(ended.to_string().contains("no more room"), "the cause, not what it ended: {ended}");
    assert_eq!(memory.n_kept(), 3);
    let memory = Memory { most: usize::MAX, ..memory };
    // One that would give itself away.
    let mut marked = memory
        .kept
        .lock()
        .expect("nothing stands in its way")
        .values()
        .next()
        .expect("nothing stands in its way")
        .clone();
    marked.divergence = -1.0;
    memory.keep(&marked).expect("nothing stands in its way");
    let mut found = replicates.fit(&[2, 3], &memory, &mut Watch::none()).expect("nothing stands in its way");
    let taken = found.iter_mut().flatten().find(|run| run.divergence == -1.0).expect("it was taken from the shelf");
    taken.divergence = expected
        .iter()
        .flatten()
        .find(|run| run.components == taken.components)
        .expect("nothing stands in its way")
        .divergence;
    assert_eq!(found, expected, "the others have the same bits");
    assert_eq!(memory.n_kept(), 8);
}

#[test]
fn a_watch_ends_all_fits_and_leaves_those_that_are_done() {
    let (v, _) = counts(40, 50, 3, 300.0, 3);
    let memory = Memory::new(usize::MAX);
    let fit = |n_runs: usize, max_iter: usize, watch: &mut Watch<'_>| {
        let mut config = config(n_runs);
        (config.nmf.max_iter, config.nmf.tol) = (max_iter, 0.0);
        let replicates = Replicates::new(Matrix::Dense(v.view()), &config).expect("nothing stands in its way");
        replicates.fit(&[3], &memory, watch)
    };
    fit(2, 20, &mut Watch::none()).expect("nothing stands in its way");
    assert_eq!(memory.n_kept(), 2);
    let mut totals = Vec::new();
    let mut stop = |progress: Progress| {
        totals.push(progress.total);
        ControlFlow::Break(())
    };
    // More iterations than anybody waits for.
    let ended = fit(6, 1_000_000_000, &mut Watch::new(&mut stop)).unwrap_err();
    assert!(matches!(ended, Error::Cancelled), "{ended}");
    assert_eq!(memory.n_kept(), 2);
    assert_eq!(totals, [Some(6_000_000_000)], "it is asked once");
}

#[test]
fn the_consensus_finds_planted_programs_on_either_side() {
    let (v, programs) = counts(140, 200, 4, 600.0, 4);
    let turned = v.t().as_standard_layout().into_owned();
    let entries = sparse(&v);
    for (what, given, side) in [
        ("genes in rows", Matrix::Dense(v.view()), Side::Dictionary),
        ("genes in columns", Matrix::Dense(turned.view()), Side::Activations),
        ("sparse", Matrix::Sparse(&entries), Side::Dictionary),
    ] {
        let mut config = config(8);
        (config.side, config.nmf.max_iter) = (side, 200);
        let replicates = Replicates::new(given, &config).expect("nothing stands in its way");
        let runs = replicates.fit(&[4], &NoShelf, &mut Watch::none()).expect("nothing stands in its way");
        let found = replicates
            .consensus(&runs[0], &ConsensusConfig::default(), &mut Watch::none())
            .expect("nothing stands in its way");
        let components = match side {
            Side::Dictionary => found.factors.dictionary.clone(),
            Side::Activations => found.factors.activations.t().to_owned(),
        };
        let worst = worst_match(&programs, &components);
        assert!(worst > 0.95, "{what}: {worst}");
        assert!(found.stability > 0.8 && found.silhouette >= found.stability, "{what}: {}", found.stability);
        for column in components.columns() {
            assert!((column.sum() - 1.0).abs() < 1e-4, "{what}: {}", column.sum());
        }
        let usage = match side {
            Side::Dictionary => found.factors.activations.clone(),
            Side::Activations => found.factors.dictionary.t().to_owned(),
        };
        let sums: Vec<f32> = usage.rows().into_iter().map(|row| row.sum()).collect();
        assert!(sums.is_sorted_by(|a, b| a >= b), "{what}: the most used first, {sums:?}");
        assert_eq!(found.components.dim(), (140, 32), "{what}");
        assert_eq!(found.clusters.iter().flatten().count() + found.n_outliers(), 32, "{what}");
        assert_eq!(found.connectivity.shares.dim(), (200, 200), "{what}");
        // The median of what belongs to it is near each member.
        for (component, cluster) in found.components.columns().into_iter().zip(&found.clusters) {
            if let Some(cluster) = cluster {
                let near = cosine(components.column(*cluster).mapv(f64::from).view(), component);
                assert!(near > 0.85, "{what}: {near}");
            }
        }
    }
}

#[test]
fn a_component_that_comes_back_in_no_other_run_is_an_outlier() {
    let (v, programs) = counts(140, 200, 4, 600.0, 4);
    let mut config = config(8);
    config.nmf.max_iter = 200;
    let replicates = Replicates::new(Matrix::Dense(v.view()), &config).expect("nothing stands in its way");
    let mut runs = replicates.fit(&[4], &NoShelf, &mut Watch::none()).expect("nothing stands in its way").remove(0);
    // All in one gene.
    runs[3].components.column_mut(1).fill(0.0);
    runs[3].components[(17, 1)] = 9.0;
    let strict = ConsensusConfig { density_threshold: 0.6, ..ConsensusConfig::default() };
    let found = replicates.consensus(&runs, &strict, &mut Watch::none()).expect("nothing stands in its way");
    assert_eq!(found.clusters[3 * 4 + 1], None);
    assert!(worst_match(&programs, &found.factors.dictionary) > 0.95);
    let lax = ConsensusConfig { density_threshold: 2.0, ..strict };
    let with_it = replicates.consensus(&runs, &lax, &mut Watch::none()).expect("nothing stands in its way");
    assert_eq!(with_it.n_outliers(), 0);
    assert!(with_it.silhouette < found.silhouette, "{} and {}", with_it.silhouette, found.silhouette);
    assert!((with_it.silhouette - with_it.stability).abs() < 1e-12);
}

#[test]
fn the_planted_number_of_programs_is_the_largest_stable_one() {
    let (v, _) = counts(140, 200, 4, 600.0, 4);
    let mut config = config(8);
    config.nmf.max_iter = 200;
    let replicates = Replicates::new(Matrix::Dense(v.view()), &config).expect("nothing stands in its way");
    let ranks = [2, 3, 4, 5, 6];
    let curve: Vec<(usize, f64)> = replicates
        .fit(&ranks, &NoShelf, &mut Watch::none())
        .expect("nothing stands in its way")
        .iter()
        .zip(ranks)
        .map(|(runs, rank)| {
            let lax = ConsensusConfig { density_threshold: 2.0, ..ConsensusConfig::default() };
            (rank, replicates.consensus(runs, &lax, &mut Watch::none()).expect("nothing stands in its way").stability)
        })
        .collect();
    assert_eq!(most_stable(&curve), Some(4), "{curve:?}");
    assert_eq!(most_stable(&[]), None);
}

#[test]
fn what_cannot_work_is_refused() {
    let v = Array2::<f32>::ones((6, 7));
    let given = |config: &ReplicatesConfig| Replicates::new(Matrix::Dense(v.view()), config).map(|_| ());
    let plain = config(3);
    let nmf = |nmf: NmfConfig| ReplicatesConfig { nmf, ..plain.clone() };
    let wrong = [
        (ReplicatesConfig { n_runs: 1, ..plain.clone() }, "`n_runs` is 1, expected at least 2"),
        (nmf(NmfConfig { init: Init::Nndsvd, ..plain.nmf.clone() }), "`init` is nndsvd"),
        (
            nmf(NmfConfig { dictionary: Factor::Fixed(Array2::ones((6, 8))), ..plain.nmf.clone() }),
            "`dictionary` is given",
        ),
        (nmf(NmfConfig { tol: -1.0, ..plain.nmf.clone() }), "`tol` is -1"),
    ];
    for (config, expected) in wrong {
        let found = given(&config).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}, expected {expected}");
    }
    let replicates = Replicates::new(Matrix::Dense(v.view()), &plain).expect("nothing stands in its way");
    let none = replicates.fit(&[0], &NoShelf, &mut Watch::none()).unwrap_err();
    assert!(none.to_string().starts_with("`n_components` is 0"), "{none}");
    let runs = replicates.fit(&[2], &NoShelf, &mut Watch::none()).expect("nothing stands in its way").remove(0);
    let consensus = |config: ConsensusConfig, runs: &[Replicate]| {
        replicates.consensus(runs, &config, &mut Watch::none()).map(|_| ()).unwrap_err().to_string()
    };
    let plain = ConsensusConfig::default();
    for (config, expected) in [
        (ConsensusConfig { density_threshold: 0.0, ..plain }, "`density_threshold` is 0, expected above 0"),
        (ConsensusConfig { neighborhood: 1.5, ..plain }, "`neighborhood` is 1.5"),
    ] {
        assert!(consensus(config, &runs).starts_with(expected));
    }
    let mut others = runs.clone();
    others[1].components = Array2::ones((5, 2));
    assert!(consensus(plain, &others).starts_with("a run's components is 5 x 2, expected 6 x 2"));
    assert!(consensus(plain, &[]).starts_with("`n_runs` is 0"));
}

#[test]
fn a_threshold_that_leaves_too_little_says_which_one_would_do() {
    let (v, _) = counts(40, 50, 3, 300.0, 3);
    let replicates = Replicates::new(Matrix::Dense(v.view()), &config(4)).expect("nothing stands in its way");
    let runs = replicates.fit(&[3], &NoShelf, &mut Watch::none()).expect("nothing stands in its way").remove(0);
    let strict = ConsensusConfig { density_threshold: 1e-9, ..ConsensusConfig::default() };
    let refused = replicates.consensus(&runs, &strict, &mut Watch::none()).unwrap_err().to_string();
    let least: f64 = refused
        .split("expected above ")
        .nth(1)
        .expect("nothing stands in its way")
        .split(',')
        .next()
        .expect("nothing stands in its way")
        .parse()
        .expect("nothing stands in its way");
    assert!(refused.ends_with("so that 3 of 12 components are left"), "{refused}");
    let lax = ConsensusConfig { density_threshold: least + 0.002, ..strict };
    let found = replicates.consensus(&runs, &lax, &mut Watch::none()).expect("nothing stands in its way");
    assert!(found.n_outliers() <= 9);
}
