//! Factorizations of matrices that come in blocks, against those of the same matrices held whole.

mod common;

use std::ops::{ControlFlow, Range};

use common::matrices::{self, assert_close};
use ndarray::{Array2, ArrayViewMut2, s};
use ndarray_npy::write_npy;
use partita::matrix_file::blocks::{self, NpyBlocks};
use partita::nmf::{BlockConfig, ColumnBlocks, Divergence, Factor, Factorization, NmfConfig, Solver};
use partita::nmf::{StopReason, WarmStart, divergence, fit, fit_blocks};
use partita::watch::{Progress, Watch};
use partita::{Error, Result};

/// A matrix in memory that is read as if it were not.
struct Held(Array2<f32>);

impl ColumnBlocks for Held {
    fn dim(&self) -> (usize, usize) {
        self.0.dim()
    }

    fn read(&mut self, columns: Range<usize>, mut block: ArrayViewMut2<'_, f32>) -> Result<()> {
        block.assign(&self.0.slice(s![.., columns]));
        Ok(())
    }
}

/// Numbers from 0 to 0.9, some of them 0.
fn noise(shape: (usize, usize), seed: u64) -> Array2<f32> {
    matrices::noise(shape, seed).mapv(|x| (x - 0.1).max(0.0))
}

fn config(solver: Solver, block_bytes: usize) -> BlockConfig {
    let nmf = NmfConfig { n_components: 5, solver, max_iter: 20, tol: 0.0, ..NmfConfig::default() };
    BlockConfig { nmf, block_bytes, ..BlockConfig::default() }
}

fn assert_same(what: &str, got: &Factorization, expected: &Factorization) {
    assert_close(&format!("{what}, dictionary"), got.dictionary.view(), expected.dictionary.view(), 1e-5);
    assert_close(&format!("{what}, activations"), got.activations.view(), expected.activations.view(), 1e-5);
    assert_eq!((got.n_iter, got.stop_reason), (expected.n_iter, expected.stop_reason), "{what}");
    let gap = (got.divergence - expected.divergence).abs();
    // The second term is for exact fits, where only rounding is left.
    assert!(gap <= 1e-5 * expected.divergence.abs() + 1e-7 * expected.divergence_curve[0].1, "{what}: {gap}");
}

#[test]
fn blocks_give_the_factors_of_the_whole() {
    for shape in [(40, 200), (200, 33), (1, 70), (70, 1), (16, 96)] {
        let v = noise(shape, 1);
        for solver in [Solver::Mu, Solver::MuExtrapolated] {
            for block_bytes in [0, 10_000, 1 << 20] {
                let config = config(solver, block_bytes);
                let found = fit_blocks(&mut Held(v.clone()), &config, &mut Watch::none()).unwrap();
                let what = format!("{shape:?}, {solver:?}, blocks of {block_bytes} bytes");
                assert_same(&what, &found, &fit(v.view(), &config.nmf).unwrap());
            }
        }
    }
}

#[test]
fn a_matrix_without_sides_or_sound_has_finite_factors() {
    for shape in [(0, 9), (9, 0), (0, 0), (9, 7)] {
        for solver in [Solver::Mu, Solver::MuExtrapolated] {
            let found = fit_blocks(&mut Held(Array2::zeros(shape)), &config(solver, 100), &mut Watch::none()).unwrap();
            assert_eq!((found.dictionary.dim(), found.activations.dim()), ((shape.0, 5), (5, shape.1)));
            assert!(found.product().iter().all(|&y| y == 0.0), "{shape:?}");
            assert!(found.divergence.abs() < 1e-9, "{shape:?}: {}", found.divergence);
        }
    }
}

#[test]
fn fixed_factors_keep_every_bit() {
    let v = noise((30, 80), 1);
    let (w, h) = (noise((30, 5), 2) * 3e-33, noise((5, 80), 3) * 7e20);
    let mut config = config(Solver::MuExtrapolated, 2000);
    config.nmf.dictionary = Factor::Fixed(w.clone());
    let found = fit_blocks(&mut Held(v.clone()), &config, &mut Watch::none()).unwrap();
    assert_eq!(found.dictionary, w);
    assert_same("fixed dictionary", &found, &fit(v.view(), &config.nmf).unwrap());
    (config.nmf.dictionary, config.nmf.activations) = (Factor::Free, Factor::Fixed(h.clone()));
    let found = fit_blocks(&mut Held(v.clone()), &config, &mut Watch::none()).unwrap();
    assert_eq!(found.activations, h);
    assert_same("fixed activations", &found, &fit(v.view(), &config.nmf).unwrap());
}

#[test]
fn a_warm_start_is_ahead_after_few_iterations() {
    let v = noise((60, 4), 1).dot(&noise((4, 1200), 2)) + noise((60, 1200), 3) * 0.1;
    let mut config = config(Solver::Mu, 20_000);
    let cold = fit_blocks(&mut Held(v.clone()), &config, &mut Watch::none()).unwrap();
    config.warm_start = Some(WarmStart::default());
    config.nmf.max_iter = 5;
    let warm = fit_blocks(&mut Held(v.clone()), &config, &mut Watch::none()).unwrap();
    assert!(warm.divergence < cold.divergence, "{} after 5 iterations, {} after 20", warm.divergence, cold.divergence);
    let expected = divergence(v.view(), warm.product().view(), Divergence::KullbackLeibler);
    assert!((warm.divergence - expected).abs() < 1e-5 * expected, "{} for {expected}", warm.divergence);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let v = noise((50, 700), 1);
    let config = BlockConfig { warm_start: Some(WarmStart::default()), ..config(Solver::MuExtrapolated, 30_000) };
    let found = [1, 2, 3].map(|n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| fit_blocks(&mut Held(v.clone()), &config, &mut Watch::none()).unwrap())
    });
    assert_eq!(found[0], found[1], "1 and 2 threads");
    assert_eq!(found[0], found[2], "1 and 3 threads");
}

#[test]
fn what_cannot_be_read_ends_the_fit_with_its_error() {
    /// Breaks after so many blocks.
    struct Breaking(usize);
    impl ColumnBlocks for Breaking {
        fn dim(&self) -> (usize, usize) {
            (10, 100)
        }
        fn read(&mut self, _: Range<usize>, mut block: ArrayViewMut2<'_, f32>) -> Result<()> {
            self.0 = self.0.checked_sub(1).ok_or(Error::Silent)?;
            block.fill(1.0);
            Ok(())
        }
    }
    // Blocks of 48 columns, 3 in a pass.
    for n_blocks in [0, 1, 3, 4, 7, 20] {
        let found = fit_blocks(&mut Breaking(n_blocks), &config(Solver::MuExtrapolated, 2000), &mut Watch::none());
        assert!(matches!(found, Err(Error::Silent)), "{n_blocks} blocks: {found:?}");
    }
}

#[test]
fn a_fit_can_be_stopped() {
    let mut stop_at_3 = |now: Progress| match now.done {
        3 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let v = noise((20, 90), 1);
    let found = fit_blocks(&mut Held(v.clone()), &config(Solver::Mu, 2000), &mut Watch::new(&mut stop_at_3)).unwrap();
    assert_eq!((found.n_iter, found.stop_reason), (3, StopReason::Cancelled));
    let expected = divergence(v.view(), found.product().view(), Divergence::KullbackLeibler);
    assert!((found.divergence - expected).abs() < 1e-5 * expected, "{} for {expected}", found.divergence);
}

#[test]
fn wrong_entries_and_settings_are_refused() {
    let mut v = noise((20, 90), 1);
    v[[7, 77]] = f32::NAN;
    let refused = fit_blocks(&mut Held(v), &config(Solver::Mu, 2000), &mut Watch::none());
    assert!(matches!(refused, Err(Error::MatrixEntry { row: 7, column: 77, .. })), "{refused:?}");
    let mut wrong = [config(Solver::Mu, 0), config(Solver::Mu, 0), config(Solver::Mu, 0)];
    wrong[0].nmf.divergence = Divergence::Euclidean;
    wrong[1].warm_start = Some(WarmStart { every: 0, ..WarmStart::default() });
    wrong[2].warm_start = Some(WarmStart::default());
    wrong[2].nmf.activations = Factor::Seed(Array2::ones((5, 90)));
    for (config, setting) in wrong.iter().zip(["divergence", "warm_start.every", "activations"]) {
        match fit_blocks(&mut Held(noise((20, 90), 1)), config, &mut Watch::none()) {
            Err(Error::Setting { name, .. }) => assert_eq!(name, setting),
            other => panic!("{setting}: {other:?}"),
        }
    }
}

#[test]
fn npy_files_of_both_orders_and_types_are_factorized_by_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.npy");
    let v = noise((70, 130), 1);
    let wide = v.mapv(f64::from);
    let mut config = config(Solver::MuExtrapolated, 5000);
    config.nmf.dictionary = Factor::Seed(noise((70, 5), 2));
    config.nmf.activations = Factor::Seed(noise((5, 130), 3));
    // Rows after rows, the transpose is fitted: H first.
    let mut exchanged = config.nmf.clone();
    exchanged.dictionary = Factor::Seed(noise((5, 130), 3).reversed_axes());
    exchanged.activations = Factor::Seed(noise((70, 5), 2).reversed_axes());
    let by_rows = fit(v.t(), &exchanged).unwrap();
    let by_rows = Factorization {
        dictionary: by_rows.activations.clone().reversed_axes(),
        activations: by_rows.dictionary.clone().reversed_axes(),
        ..by_rows
    };
    let by_columns = fit(v.view(), &config.nmf).unwrap();
    let found = || blocks::factorize(&path, &config, &mut Watch::none()).unwrap();
    write_npy(&path, &v).unwrap();
    assert_same("f32, C order", &found(), &by_rows);
    write_npy(&path, &wide).unwrap();
    assert_same("f64, C order", &found(), &by_rows);
    write_npy(&path, &v.t().as_standard_layout().reversed_axes()).unwrap();
    assert_same("f32, Fortran order", &found(), &by_columns);
    write_npy(&path, &wide.t().as_standard_layout().reversed_axes()).unwrap();
    assert_same("f64, Fortran order", &found(), &by_columns);
    let little = std::fs::read(&path).unwrap();
    let start = little.len() - 8 * v.len();
    let mut big = String::from_utf8_lossy(&little[10..start]).replace("<f8", ">f8").into_bytes();
    big.splice(0..0, little[..10].iter().copied());
    big.extend(little[start..].chunks(8).flat_map(|x| x.iter().rev().copied()));
    std::fs::write(&path, big).unwrap();
    assert_same("f64, big-endian", &found(), &by_columns);
}

#[test]
fn files_that_hold_no_matrix_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.npy");
    let message = || NpyBlocks::open(&path).unwrap_err().to_string();
    assert!(message().contains("cannot read `"), "{}", message());
    write_npy(&path, &noise((7, 9), 1)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let huge = String::from_utf8_lossy(&whole[10..]).replace("(7, 9)", "(9999999999, 9999999999)");
    let huge = [&whole[..10], &huge.into_bytes()[..whole.len() - 10]].concat();
    let cases = [
        (&whole[..whole.len() - 1], "it is too short for the 7 x 9 entries it declares"),
        (&whole[..50], "cut off in its header"),
        (&huge[..], "it is too short for the 9999999999 x 9999999999 entries it declares"),
        (b"RIFF, and so on and on", "it is no .npy file"),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&path, bytes).unwrap();
        assert!(message().contains(expected), "{}\nexpected: {expected}", message());
    }
}
