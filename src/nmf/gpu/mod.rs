//! Fits on a graphics processor, through Vulkan, Metal or Direct3D 12. Only with the feature `gpu`.
//! Knows the Kullback-Leibler divergence and multiplicative updates, and no file; what it cannot do, it refuses.
//!
//! `shape` cuts the matrix, `shader` writes the programs, `device` runs them, `matrix` holds V, `slots` the factors of
//! fits side by side, and `fit` leads them.
//!
//! # Examples
//! ```no_run
//! use partita::nmf::NmfConfig;
//! use partita::nmf::gpu::Gpu;
//! use partita::watch::Watch;
//! let v = ndarray::Array2::from_shape_fn((1000, 2000), |(i, j)| (i * j % 7) as f32);
//! let gpu = Gpu::open()?;
//! let matrix = gpu.load(v.view())?;
//! let fits = matrix.fit_many(&NmfConfig::default(), &[0, 1, 2, 3], &mut Watch::none())?;
//! assert_eq!(fits.len(), 4);
//! # Ok::<(), partita::Error>(())
//! ```

mod device;
mod fit;
mod matrix;
mod scope;
mod shader;
mod shape;
mod slots;

pub use device::Gpu;
pub use matrix::GpuMatrix;
pub(super) use scope::check;

/// On whatever device there is, most often a program that stands in for one; without any, they say so and pass.
#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::OnceLock;

    use ndarray::{Array1, Array2};

    use super::Gpu;
    use super::slots::{Axis, Plan, Slots, Turn};
    use crate::Error;
    use crate::error::GpuTrouble;
    use crate::nmf::testing::noise;
    use crate::nmf::{
        Divergence, Factor, Factorization, GroupSparsity, Init, NmfConfig, Part, Regularization, Solver, StopReason,
        Stopping, divergence, fit,
    };
    use crate::watch::{Progress, Watch};

    /// The device, opened once; none where there is none.
    fn gpu() -> Option<&'static Gpu> {
        static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
        let gpu = GPU.get_or_init(|| match Gpu::open() {
            Ok(gpu) => Some(gpu),
            Err(Error::Gpu(GpuTrouble::NoDevice)) => None,
            Err(error) => panic!("{error}"),
        });
        if gpu.is_none() {
            eprintln!("skipped: no graphics processor, and no program that stands in for one");
        }
        gpu.as_ref()
    }

    /// A product of `rank` components, with noise over it and a tenth of zeros.
    fn matrix(shape: (usize, usize), rank: usize) -> Array2<f32> {
        let product = noise((shape.0, rank), 11).dot(&noise((rank, shape.1), 12));
        let draws = noise(shape, 13);
        Array2::from_shape_fn(shape, |at| if draws[at] < 0.1 { 0.0 } else { 30.0 * product[at] * draws[at] })
    }

    fn config(n_components: usize, solver: Solver, max_iter: usize) -> NmfConfig {
        NmfConfig { n_components, solver, max_iter, tol: 0.0, ..NmfConfig::default() }
    }

    fn fitted(gpu: &Gpu, v: &Array2<f32>, config: &NmfConfig) -> Factorization {
        gpu.load(v.view()).and_then(|v| v.fit(config, &mut Watch::none())).unwrap()
    }

    const SOLVERS: [Solver; 2] = [Solver::Mu, Solver::MuExtrapolated];

    /// As far as two sums in f32, each in its order, may lie apart after some tens of iterations.
    const CLOSE: f64 = 1e-5;

    fn assert_same_course(what: &str, got: &Factorization, expected: &Factorization) {
        assert_eq!((got.n_iter, got.stop_reason), (expected.n_iter, expected.stop_reason), "{what}");
        let checks = |found: &Factorization| found.divergence_curve.iter().map(|(n, _)| *n).collect::<Vec<_>>();
        assert_eq!(checks(got), checks(expected), "{what}");
        // What is left of a fit that became exact is rounding.
        let least = 1e-6 * expected.divergence_curve[0].1;
        for ((n_iter, got), (_, expected)) in got.divergence_curve.iter().zip(&expected.divergence_curve) {
            let gap = (got - expected).abs() / expected.max(least);
            assert!(gap <= CLOSE, "{what}, iteration {n_iter}: {got}, expected {expected}, off by {gap:.1e}");
        }
    }

    #[test]
    fn fits_take_the_course_of_the_processor() {
        let Some(gpu) = gpu() else { return };
        for (shape, k) in [
            ((1, 1), 1),
            ((65, 40), 1),
            ((257, 300), 15),
            ((300, 257), 16),
            ((128, 192), 33),
            ((100, 130), 64),
            ((63, 70), 129),
        ] {
            let v = matrix(shape, 5);
            for solver in SOLVERS {
                let config = config(k, solver, 20);
                let what = format!("{shape:?}, {k} components, {}", solver.name());
                let got = fitted(gpu, &v, &config);
                assert_same_course(&what, &got, &fit(v.view(), &config).unwrap());
                let counted = divergence(v.view(), got.product().view(), Divergence::KullbackLeibler);
                let gap = (got.divergence - counted).abs();
                assert!(gap <= CLOSE * got.divergence_curve[0].1, "{what}: {} for {counted}", got.divergence);
                assert_eq!(fitted(gpu, &v, &config), got, "{what}: the same bits again");
            }
        }
    }

    /// Matrices of any layout, and what a row or column of zeros and the floor do.
    #[test]
    fn zeros_stay_zeros_in_any_layout() {
        let Some(gpu) = gpu() else { return };
        let mut v = matrix((70, 90), 4);
        v.row_mut(7).fill(0.0);
        v.column_mut(80).fill(0.0);
        let config = config(4, Solver::MuExtrapolated, 60);
        let got = fitted(gpu, &v, &config);
        assert_same_course("zeros", &got, &fit(v.view(), &config).unwrap());
        assert!(got.dictionary.row(7).iter().chain(got.activations.column(80)).all(|x| *x == 0.0));
        let turned = v.t().as_standard_layout().into_owned();
        let of_turned = gpu.load(turned.t()).unwrap().fit(&config, &mut Watch::none()).unwrap();
        assert_eq!(of_turned, got, "columns first in memory");
        for empty in [Array2::zeros((40, 30)), Array2::zeros((0, 3)), Array2::zeros((3, 0))] {
            let silent = fitted(gpu, &empty, &NmfConfig { tol: 1e-4, ..config.clone() });
            assert_eq!(silent.product(), empty);
            // What is added to W H, in the padding as well.
            assert!(silent.divergence < 1e-15, "{}", silent.divergence);
            assert_eq!(silent.stop_reason, StopReason::Converged, "{:?}", empty.dim());
        }
    }

    #[test]
    fn given_factors_are_improved_or_kept_as_on_the_processor() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((66, 130), 3);
        let (mut w, h) = (noise((66, 3), 1), noise((3, 130), 2));
        w[[5, 1]] = 0.0;
        let parts = |rows: &Array2<f32>| {
            let row = |i: usize| -> Array1<f32> { rows.row(i).to_owned() };
            Factor::PerComponent(vec![Part::Fixed(row(0)), Part::Seed(row(1)), Part::Free])
        };
        let turned_w = w.t().to_owned();
        for (dictionary, activations) in [
            (Factor::Seed(w.clone()), Factor::Seed(h.clone())),
            (Factor::Fixed(w.clone()), Factor::Free),
            (Factor::Free, Factor::Fixed(h.clone())),
            (parts(&turned_w), Factor::Free),
            (parts(&turned_w), parts(&h)),
            (Factor::Fixed(w.clone()), Factor::Fixed(h.clone())),
        ] {
            for solver in SOLVERS {
                let (dictionary, activations) = (dictionary.clone(), activations.clone());
                let what = format!("{dictionary:.0?} and {activations:.0?}").chars().take(30).collect::<String>();
                let config = NmfConfig { dictionary, activations, ..config(3, solver, 30) };
                let (got, expected) = (fitted(gpu, &v, &config), fit(v.view(), &config).unwrap());
                assert_same_course(&what, &got, &expected);
                assert_eq!(got.warnings.len(), expected.warnings.len() + usize::from(gpu.is_software()), "{what}");
                let is_kept = |k: usize, factor: &Factor| !factor.is_free(3)[k];
                for k in 0..3 {
                    if is_kept(k, &config.dictionary) {
                        assert_eq!(got.dictionary.column(k), w.column(k), "{what}");
                    }
                    if is_kept(k, &config.activations) {
                        assert_eq!(got.activations.row(k), h.row(k), "{what}");
                    }
                }
                if !config.dictionary.is_free(3)[0] || matches!(config.dictionary, Factor::Seed(_)) {
                    assert_eq!(got.dictionary[[5, 1]], 0.0, "{what}: zeros stay zero");
                }
            }
        }
        let config = NmfConfig { init: Init::Nndsvda, ..config(3, Solver::Mu, 30) };
        assert_same_course("nndsvda", &fitted(gpu, &v, &config), &fit(v.view(), &config).unwrap());
    }

    #[test]
    fn fits_end_by_the_rules_of_the_processor() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((80, 60), 2);
        for solver in SOLVERS {
            let open = NmfConfig { tol: 1e-3, max_iter: 500, ..config(3, solver, 500) };
            let (got, expected) = (fitted(gpu, &v, &open), fit(v.view(), &open).unwrap());
            assert_eq!(got.stop_reason, StopReason::Converged);
            assert_same_course("tol", &got, &expected);
            let middle = 0.5 * (expected.divergence_curve[1].1 + expected.divergence_curve[2].1);
            let aimed = NmfConfig { target_divergence: Some(middle), tol: 0.0, ..open.clone() };
            let (got, expected) = (fitted(gpu, &v, &aimed), fit(v.view(), &aimed).unwrap());
            assert_eq!(got.stop_reason, StopReason::TargetReached);
            assert_same_course("target", &got, &expected);
            let none = NmfConfig { max_iter: 0, ..open };
            assert_same_course("no iteration", &fitted(gpu, &v, &none), &fit(v.view(), &none).unwrap());
        }
    }

    #[test]
    fn many_fits_are_each_what_they_are_alone() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((70, 140), 4);
        let loaded = gpu.load(v.view()).unwrap();
        let seeds = [3, 1, 4, 1, 5];
        for solver in SOLVERS {
            let config = NmfConfig { tol: 2e-3, ..config(4, solver, 300) };
            let fits = loaded.fit_many(&config, &seeds, &mut Watch::none()).unwrap();
            assert_eq!(fits.len(), seeds.len());
            let lengths: std::collections::BTreeSet<_> = fits.iter().map(|fit| fit.n_iter).collect();
            assert!(lengths.len() > 1, "they end one after the other: {lengths:?}");
            for (fit, seed) in fits.iter().zip(seeds) {
                let alone = loaded.fit(&NmfConfig { seed, ..config.clone() }, &mut Watch::none()).unwrap();
                assert_eq!(*fit, alone, "seed {seed}, {}", solver.name());
            }
        }
        assert!(loaded.fit_many(&config(4, Solver::Mu, 1), &[], &mut Watch::none()).unwrap().is_empty());
    }

    #[test]
    fn threads_share_a_device() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((64, 64), 2);
        let config = config(2, Solver::MuExtrapolated, 10);
        let expected = fitted(gpu, &v, &config);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5).for_each(|_| assert_eq!(fitted(gpu, &v, &config), expected)));
            }
        });
    }

    /// Buffers as small as they can be cut V into many blocks, which changes no bit.
    #[test]
    fn blocks_change_no_bit() {
        let Some(gpu) = gpu() else { return };
        for shape in [(40, 3000), (2000, 70)] {
            let v = matrix(shape, 2);
            let whole = gpu.load(v.view()).unwrap();
            assert_eq!(whole.blocks.len(), 1);
            let mut small = Gpu::open().unwrap();
            small.buffer_bytes = (whole.shape.long_part * 64 * whole.shape.short_padded() * 4 * 3) as u64;
            let cut = small.load(v.view()).unwrap();
            assert!(cut.blocks.len() > 2, "{} blocks", cut.blocks.len());
            for solver in SOLVERS {
                let config = config(3, solver, 12);
                let seeds = [0, 1];
                let expected = whole.fit_many(&config, &seeds, &mut Watch::none()).unwrap();
                assert_eq!(cut.fit_many(&config, &seeds, &mut Watch::none()).unwrap(), expected, "{shape:?}");
                assert_same_course("blocks", &expected[0], &fit(v.view(), &config).unwrap());
            }
        }
    }

    #[test]
    fn a_matrix_above_the_limit_of_a_buffer_is_cut() {
        let Some(gpu) = gpu() else { return };
        // 152 MB; the program that stands in for a device has buffers of 128 MiB.
        let shape = (128, 298_000);
        let v = Array2::from_shape_fn(shape, |(i, j)| ((i * 31 + j * 17) % 97) as f32);
        let loaded = gpu.load(v.view()).unwrap();
        let config = config(2, Solver::Mu, 1);
        let got = loaded.fit(&config, &mut Watch::none()).unwrap();
        assert!(loaded.blocks.len() > 1);
        assert_same_course("large", &got, &fit(v.view(), &config).unwrap());
    }

    #[test]
    fn a_fit_is_watched_and_stopped() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((70, 60), 3);
        let loaded = gpu.load(v.view()).unwrap();
        let mut told = Vec::new();
        let mut tell = |progress: Progress| {
            told.push(progress);
            if progress.done >= 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let config = config(3, Solver::MuExtrapolated, 100);
        let stopped = loaded.fit(&config, &mut Watch::new(&mut tell)).unwrap();
        assert_eq!((stopped.n_iter, stopped.stop_reason), (20, StopReason::Cancelled));
        let counted = divergence(v.view(), stopped.product().view(), Divergence::KullbackLeibler);
        assert!((stopped.divergence - counted).abs() < CLOSE * counted, "{} for {counted}", stopped.divergence);
        assert!(matches!(stopped.complete(), Err(Error::Cancelled)));
        assert!(told.iter().all(|progress| progress.total == Some(100)));
        assert!(told.iter().any(|progress| progress.divergence.is_some()));
        let mut at_once = |_| ControlFlow::Break(());
        let many = loaded.fit_many(&config, &[1, 2], &mut Watch::new(&mut at_once)).unwrap();
        assert!(many.iter().all(|fit| fit.stop_reason == StopReason::Cancelled && fit.n_iter <= 10));
    }

    /// A fit that went astray.
    #[test]
    fn the_best_factors_come_back() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((70, 90), 3);
        let loaded = gpu.load(v.view()).unwrap();
        let free = vec![true; 3];
        let plan = Plan { n_components: 3, free_long: free.clone(), free_short: free, extrapolates: true };
        let mut slots = Slots::new(&loaded, plan.clone(), 2).unwrap();
        let (long, short) = (noise((3, 90), 1), noise((3, 70), 2));
        for slot in 0..2 {
            for k in 0..3 {
                slots.put(Axis::Long, slot, k, long.row(k).as_slice().unwrap()).unwrap();
                slots.put(Axis::Short, slot, k, short.row(k).as_slice().unwrap()).unwrap();
            }
            slots.begin(slot).unwrap();
        }
        let factors = |slots: &Slots<'_, '_>, slot| {
            (slots.take(Axis::Long, slot, 90).unwrap(), slots.take(Axis::Short, slot, 70).unwrap())
        };
        let all = |rows: &Array2<f32>| rows.iter().copied().collect::<Vec<_>>();
        assert_eq!(factors(&slots, 1), (all(&long), all(&short)));
        let turns = |factor| vec![Turn { slot: 0, factor }, Turn { slot: 1, factor }];
        slots.iterate(turns(0.5));
        let best = slots.divergences(&[0, 1]).unwrap();
        let kept = factors(&slots, 1);
        slots.keep(1).unwrap();
        (0..3).for_each(|_| slots.iterate(turns(0.9)));
        assert_ne!(slots.divergences(&[0, 1]).unwrap(), best);
        slots.restore(1).unwrap();
        assert_eq!(factors(&slots, 1), kept);
        assert_eq!(slots.divergences(&[1]).unwrap(), best[1..]);
        // Nothing of the way there is left: it goes on as one that starts from these factors does.
        let mut fresh = Slots::new(&loaded, plan, 2).unwrap();
        for (axis, values) in [(Axis::Long, &kept.0), (Axis::Short, &kept.1)] {
            let n = values.len() / 3;
            values.chunks(n).enumerate().for_each(|(k, row)| fresh.put(axis, 1, k, row).unwrap());
        }
        fresh.begin(1).unwrap();
        for slots in [&mut slots, &mut fresh] {
            slots.iterate(turns(0.9)[1..].to_vec());
            slots.divergences(&[1]).unwrap();
        }
        assert_eq!(factors(&slots, 1), factors(&fresh, 1));
    }

    // ---- what cannot be done ----------------------------------------------------------------------------------------

    #[test]
    fn what_only_the_processor_can_do_is_refused_by_its_name() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((20, 30), 2);
        let loaded = gpu.load(v.view()).unwrap();
        let plain = config(2, Solver::Mu, 5);
        let penalty = |regularization: Regularization| NmfConfig { regularization, ..plain.clone() };
        let group = GroupSparsity { groups: vec![0, 1], strength: 0.1, offset: 0.01 };
        for (name, config) in [
            ("divergence", NmfConfig { divergence: Divergence::ItakuraSaito, ..plain.clone() }),
            ("divergence", NmfConfig { divergence: Divergence::Beta(1.5), ..plain.clone() }),
            ("solver", NmfConfig { solver: Solver::Anls, ..plain.clone() }),
            ("stopping", NmfConfig { stopping: Stopping::ScikitLearn, ..plain.clone() }),
            ("weights", NmfConfig { weights: Some(Array2::ones((20, 30))), ..plain.clone() }),
            ("alpha_dictionary", penalty(Regularization { alpha_dictionary: 0.1, ..Regularization::default() })),
            ("alpha_activations", penalty(Regularization { alpha_activations: 0.1, ..Regularization::default() })),
            ("sparsity", penalty(Regularization { sparsity: 0.1, ..Regularization::default() })),
            ("temporal_continuity", penalty(Regularization { temporal_continuity: 0.1, ..Regularization::default() })),
            (
                "group_sparsity.strength",
                penalty(Regularization { group_sparsity: Some(group), ..Regularization::default() }),
            ),
        ] {
            let error = loaded.fit(&config, &mut Watch::none()).unwrap_err();
            let Error::Setting { name: found, .. } = &error else { panic!("{error}") };
            assert_eq!(*found, name);
            assert!(error.to_string().contains("on a graphics processor"), "{error}");
            assert_eq!(error.hint().as_deref(), Some("use `device cpu`"), "{error}");
        }
        let wrong = NmfConfig { dictionary: Factor::Fixed(Array2::ones((3, 3))), ..plain.clone() };
        assert!(matches!(loaded.fit(&wrong, &mut Watch::none()), Err(Error::MatrixShape { .. })));
        assert!(matches!(gpu.load((-&v).view()), Err(Error::MatrixEntry { .. })));
    }

    #[test]
    fn too_little_memory_is_an_error_and_what_fits_is_still_fitted() {
        let Some(gpu) = gpu() else { return };
        let v = matrix((100, 200), 2);
        let mut small = Gpu::open().unwrap();
        small.buffer_bytes = 64 << 10;
        let loaded = small.load(v.view());
        let error = loaded.and_then(|v| v.fit(&config(300, Solver::Mu, 5), &mut Watch::none())).unwrap_err();
        assert!(matches!(error, Error::Gpu(GpuTrouble::Buffers { .. })), "{error}");
        small.buffer_bytes = 1 << 10;
        assert!(matches!(small.load(v.view()), Err(Error::Gpu(GpuTrouble::Buffers { .. }))));
        let (plain, seeds) = (config(2, Solver::MuExtrapolated, 20), [0, 1, 2, 3, 4]);
        let expected = gpu.load(v.view()).unwrap().fit_many(&plain, &seeds, &mut Watch::none()).unwrap();
        // As large as V, which is enough for four fits side by side, and for none with 70 components.
        (small.buffer_bytes, small.short_above) = (gpu.buffer_bytes, Some(4 * 128 * 256));
        let loaded = small.load(v.view()).unwrap();
        let found = loaded.fit_many(&plain, &seeds, &mut Watch::none()).unwrap();
        assert!(found == expected, "in groups, each is what it was");
        let error = loaded.fit(&config(70, Solver::Mu, 5), &mut Watch::none()).unwrap_err();
        assert!(matches!(error, Error::Gpu(GpuTrouble::Memory { .. })), "{error}");
        small.short_above = Some(4 * 128 * 255);
        assert!(matches!(small.load(v.view()), Err(Error::Gpu(GpuTrouble::Memory { .. }))));
        // The driver's own refusal.
        let error = gpu.buffer((gpu.device.limits().max_buffer_size / 4) as usize + 64).unwrap_err();
        assert!(matches!(error, Error::Gpu(GpuTrouble::Driver { .. } | GpuTrouble::Memory { .. })), "{error}");
        assert!(fitted(gpu, &v, &config(2, Solver::Mu, 5)).divergence > 0.0, "the device goes on");
    }

    #[test]
    fn a_lost_device_is_an_error_wherever_the_work_was() {
        if gpu().is_none() {
            return;
        }
        let v = matrix((100, 200), 2);
        let is_lost = |error: Error| {
            assert!(matches!(error, Error::Gpu(GpuTrouble::Lost { .. })), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("`device cpu`")), "{error}");
        };
        let gpu = Gpu::open().unwrap();
        let loaded = gpu.load(v.view()).unwrap();
        let mut lose = |progress: Progress| {
            if progress.done == 10 {
                gpu.device.destroy();
            }
            ControlFlow::Continue(())
        };
        is_lost(loaded.fit(&config(2, Solver::Mu, 50), &mut Watch::new(&mut lose)).unwrap_err());
        is_lost(loaded.fit(&config(40, Solver::Mu, 50), &mut Watch::none()).unwrap_err());
        is_lost(gpu.load(v.view()).unwrap_err());
    }
}
