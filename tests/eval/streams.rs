//! Signals that are read block by block.

use std::ops::ControlFlow;

use ndarray::{ArrayView2, Axis, concatenate};
use partita::eval::{Channels, EvalConfig, Framing, Signals, evaluate, evaluate_with};
use partita::watch::{Progress, Step, Watch};
use partita::{Audio, Error};

use crate::made::{RATE, mix, short, stereo};

/// Signals that come in blocks.
struct Streamed(Vec<Audio>);

impl Signals for Streamed {
    fn sample_rate(&self) -> u32 {
        RATE
    }

    fn n_channels(&self) -> usize {
        2
    }

    fn n_references(&self) -> usize {
        self.0.len() / 2
    }

    fn n_estimates(&self) -> usize {
        self.0.len() / 2
    }

    fn n_samples_hint(&self) -> Option<u64> {
        Some(self.0[0].n_samples() as u64)
    }

    fn has_mixture(&self) -> bool {
        false
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> partita::Result<()>) -> partita::Result<()> {
        let rows: Vec<_> = self.0.iter().map(Audio::samples).collect();
        let all = concatenate(Axis(0), &rows).expect("equal");
        all.axis_chunks_iter(Axis(1), 777).try_for_each(sink)
    }
}

#[test]
fn scores_do_not_depend_on_the_blocks_or_the_number_of_threads() {
    let (a, b) = (stereo(6000, 1), stereo(6000, 5));
    let estimates = [mix(&[(1.0, &a), (0.1, &b)]), mix(&[(1.0, &b), (0.1, &a)])];
    let config = EvalConfig { framing: Some(Framing { window_s: 0.1, hop_s: 0.03 }), ..short(32) };
    let whole = evaluate(&[a.clone(), b.clone()], &estimates, None, &config).expect("scores");
    let [x, y] = estimates;
    let streamed = Streamed(vec![a, b, x, y]);
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
        pool.install(|| evaluate_with(&streamed, &config, &mut Watch::none()).expect("scores"))
    };
    let (one, three) = (with_threads(1), with_threads(3));
    assert_eq!(one, three, "the same bits");
    for (in_blocks, at_once) in one.sources.iter().zip(&whole.sources) {
        assert_eq!(in_blocks.frames.len(), at_once.frames.len());
        for (a, b) in in_blocks.frames.iter().zip(&at_once.frames) {
            // Sums in another order.
            assert!((a.bss_sdr - b.bss_sdr).abs() < 1e-9 && (a.bss_sar - b.bss_sar).abs() < 1e-6, "{a:?}, {b:?}");
        }
    }
}

#[test]
fn the_work_is_told_to_its_end_and_can_be_stopped_at_every_step() {
    let a = stereo(6000, 1);
    let streamed = Streamed(vec![a.clone(), a]);
    let side_by_side = Some(Framing { window_s: 0.1, hop_s: 0.1 });
    let overlapping = Some(Framing { window_s: 0.1, hop_s: 0.05 });
    for (channels, framing, n_passes) in [
        (Channels::Together, None, 1),
        (Channels::Together, side_by_side, 1),
        (Channels::Together, overlapping, 2),
        (Channels::Apart, None, 2),
        (Channels::Apart, side_by_side, 2),
        (Channels::Apart, overlapping, 4),
    ] {
        let config = EvalConfig { channels, framing, ..short(8) };
        let mut told = Vec::new();
        let mut tell = |progress: Progress| {
            assert_eq!((progress.step, progress.total), (Step::Scoring, Some(6000 * n_passes)));
            told.push(progress.done);
            ControlFlow::Continue(())
        };
        evaluate_with(&streamed, &config, &mut Watch::new(&mut tell)).expect("scores");
        assert!(told.is_sorted() && told.last() == Some(&(6000 * n_passes)), "{told:?}");
        for n_before in 0..told.len() {
            let mut n_told = 0;
            let mut stop = |_| {
                n_told += 1;
                if n_told > n_before { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let error = evaluate_with(&streamed, &config, &mut Watch::new(&mut stop)).expect_err("stopped");
            assert!(matches!(error, Error::Cancelled) && n_told == n_before + 1, "after {n_told}: {error}");
        }
    }
}
