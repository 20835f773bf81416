//! Any range of samples or frames has the bits that it has in the whole.

use std::ops::Range;

use ndarray::{Array2, s};
use partita::{Audio, Result};
use proptest::prelude::*;

use crate::cases::{BLOCK, Case, HOP, all_masks, cases, joined, rendered};

/// Places where something may end: anywhere, at a block's border or close to it, at the end and beyond.
fn place(unit: usize) -> impl Strategy<Value = (usize, i64)> {
    let near = -2i64..3;
    prop_oneof![
        (Just(0usize), 0i64..25_000),
        ((0usize..6).prop_map(move |block| block * unit), near.clone()),
        (Just(usize::MAX), prop_oneof![near, Just(5000i64)]),
    ]
}

/// Within a recording of `n` samples, or a little beyond; `usize::MAX` stands for its end.
fn at((base, offset): (usize, i64), n: usize) -> usize {
    let base = if base == usize::MAX { n } else { base };
    base.saturating_add_signed(offset as isize)
}

fn range_of(case: &Case, samples: Range<usize>) -> Result<Vec<Array2<f32>>> {
    let mut blocks = Vec::new();
    case.separation.render_range(&case.recording, &case.stems, samples, &mut |block| {
        blocks.push(block.to_vec());
        Ok(())
    })?;
    Ok(joined(&blocks, case.whole.len(), case.recording.n_channels()))
}

fn check_range(case: &Case, samples: Range<usize>) -> std::result::Result<(), TestCaseError> {
    let n_samples = case.recording.n_samples();
    let (start, end) = (samples.start.min(n_samples), samples.end.min(n_samples));
    let got = range_of(case, samples.clone()).expect("rendered");
    for (got, whole) in got.iter().zip(&case.whole) {
        let expected = whole.slice(s![.., start..end.max(start)]);
        prop_assert_eq!(got.dim(), expected.dim(), "{}: {:?}", case.what, samples);
        let differs = got.indexed_iter().find(|(at, x)| x.to_bits() != expected[*at].to_bits());
        prop_assert!(differs.is_none(), "{}: {:?}: {:?}", case.what, samples, differs);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_range_has_the_bits_of_the_whole(
        case in any::<prop::sample::Index>(),
        start in place(BLOCK),
        end in prop_oneof![place(BLOCK).prop_map(Some), Just(None)],
    ) {
        let case = case.get(cases());
        let n_samples = case.recording.n_samples();
        let start = at(start, n_samples);
        // Without an end, one sample.
        let end = end.map_or(start + 1, |end| at(end, n_samples));
        check_range(case, start..end)?;
    }

    #[test]
    fn masks_of_a_range_are_those_of_the_whole(
        case_idx in any::<prop::sample::Index>(),
        start in place(64),
        n_frames in prop_oneof![0usize..3, 60usize..70, Just(1000usize)],
    ) {
        let case_idx = case_idx.index(cases().len());
        let case = &cases()[case_idx];
        let whole = all_masks(case_idx);
        let start = at(start, whole[0].nrows()) % (whole[0].nrows() + 3);
        let frames = start..(start + n_frames).min(whole[0].nrows()).max(start);
        let got = case.separation.masks(&case.recording, frames.clone()).expect("masks");
        prop_assert_eq!(got.len(), case.separation.names().len());
        let known = frames.start.min(whole[0].nrows())..frames.end.min(whole[0].nrows());
        for (got, whole) in got.iter().zip(whole) {
            // Of sound to come, frames beyond the end are not known to be beyond it.
            let expected = whole.slice(s![known.clone(), ..]);
            let got = got.slice(s![..known.len().min(got.nrows()), ..]);
            prop_assert_eq!(got.dim(), expected.dim(), "{}: {:?}", &case.what, frames);
            let differs = got.indexed_iter().find(|(at, x)| x.to_bits() != expected[*at].to_bits());
            prop_assert!(differs.is_none(), "{}: {:?}: {:?}", &case.what, frames, differs);
        }
    }
}

#[test]
fn every_method_has_the_same_bits_at_every_border() {
    for case in cases() {
        let n = case.recording.n_samples();
        let borders = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - HOP, n / 2, n - 1, n, n + 100];
        for (i, start) in borders.into_iter().enumerate() {
            // Nothing, one sample, up to the next border but two, and to the end of time.
            let end = [start, start + 1, borders[(i + 3).min(9)], usize::MAX][i % 4];
            check_range(case, start..end).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn masks_lie_in_0_to_1_and_sum_to_one() {
    for (case_idx, case) in cases().iter().enumerate() {
        let masks = all_masks(case_idx);
        let sum = masks.iter().fold(Array2::<f32>::zeros(masks[0].raw_dim()), |sum, mask| sum + mask);
        // Up to six parts, each rounded once or twice.
        let far = sum.iter().fold(0.0f32, |far, x| far.max((x - 1.0).abs()));
        assert!(far < 2e-6, "{}: off by {far}", case.what);
        assert!(masks.iter().flatten().all(|x| (0.0..=1.0 + 1e-6).contains(x)), "{}", case.what);
    }
}

#[test]
fn a_range_that_ends_before_it_starts_is_empty() {
    for case in cases() {
        let samples = Range { start: 100, end: 50 };
        assert!(range_of(case, samples.clone()).expect("nothing").iter().all(Array2::is_empty), "{}", case.what);
        let masks = case.separation.masks(&case.recording, samples).expect("nothing");
        assert!(masks.iter().all(|mask| mask.nrows() == 0), "{}", case.what);
    }
}

#[test]
fn what_a_live_analysis_gives_is_what_one_of_the_recording_gives() {
    let find = |what: &str| cases().iter().find(|case| case.what == what).expect("a case");
    for (to_come, of_recording) in
        [("hpss of sound to come", "hpss"), ("denoise of sound to come", "denoise any, complete")]
    {
        for form in ["1 channels, 17618 samples", "2 channels, 12288 samples"] {
            let (a, b) = (find(&format!("{to_come}, {form}")), find(&format!("{of_recording}, {form}")));
            assert_eq!(a.whole, b.whole, "{to_come}, {form}");
        }
    }
}

#[test]
fn only_the_samples_that_a_range_takes_are_read() {
    use partita::audio::Recording;
    use std::cell::RefCell;

    /// Notes which samples are read.
    struct Noting<'a>(&'a Audio, RefCell<Vec<Range<u64>>>);
    impl Recording for Noting<'_> {
        fn sample_rate(&self) -> u32 {
            self.0.sample_rate()
        }
        fn n_channels(&self) -> usize {
            self.0.n_channels()
        }
        fn channel_mask(&self) -> Option<u32> {
            None
        }
        fn n_samples_hint(&self) -> Option<u64> {
            self.0.n_samples_hint()
        }
        fn read(&self, sink: &mut dyn FnMut(ndarray::ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
            self.1.borrow_mut().push(0..self.0.n_samples() as u64);
            self.0.read(sink)
        }
        fn read_range(
            &self,
            range: Range<u64>,
            sink: &mut dyn FnMut(ndarray::ArrayView2<'_, f32>) -> Result<()>,
        ) -> Result<()> {
            self.1.borrow_mut().push(range.clone());
            self.0.read_range(range, sink)
        }
    }
    let case =
        cases().iter().find(|case| case.what.starts_with("blind, incomplete, 1") && case.whole[0].ncols() > 4 * BLOCK);
    let case = case.expect("a long case");
    let noting = Noting(&case.recording, RefCell::default());
    case.separation
        .render_range(&noting, &case.stems, 2 * BLOCK + 300..2 * BLOCK + 400, &mut |_| Ok(()))
        .expect("rendered");
    let read = noting.1.into_inner();
    // The block, and half a window on both sides.
    let half = crate::cases::N_FFT as u64 / 2;
    let (first, last) = (2 * BLOCK as u64 - half, 3 * BLOCK as u64 - HOP as u64 + half);
    let expected = first..last;
    assert_eq!(read, std::slice::from_ref(&expected));
    assert_eq!(rendered(&case.separation, &case.recording, &case.stems), case.whole, "twice the same");
}
