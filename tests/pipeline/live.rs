//! Pushed in blocks of any size, sound comes out with the bits of the whole; live, also early enough.

use ndarray::{Array2, s};
use partita::separate::denoise::{self, Content};
use partita::separate::hpss::{self, HpssConfig};
use partita::separate::{Analysis, AnalysisConfig, Renderer, Stems};
use partita::watch::Watch;
use partita::{Audio, Separation};
use proptest::prelude::*;

use crate::cases::{Case, N_FFT, SAMPLE_RATE, cases, complete, denoised, joined, long_cases};

/// Pushes a recording in blocks of these sizes, again and again, and says by how much the stems were late at most.
fn pushed(mut renderer: Renderer<'_>, case: &Case, sizes: &[usize]) -> (Vec<Array2<f32>>, usize) {
    let (mut blocks, mut n_out, mut start, mut most) = (Vec::new(), 0, 0, 0);
    let n_samples = case.recording.n_samples();
    for size in sizes.iter().cycle() {
        if start == n_samples {
            break;
        }
        let end = (start + size).min(n_samples);
        let block = case.recording.samples();
        let block = block.slice(s![.., start..end]);
        let push = renderer.push(block, &mut |block| {
            n_out += block[0].ncols();
            blocks.push(block.to_vec());
            Ok(())
        });
        push.unwrap_or_else(|error| panic!("{}: {error}", case.what));
        start = end;
        most = most.max(start - n_out);
    }
    let finish = renderer.finish(&mut |block| {
        blocks.push(block.to_vec());
        Ok(())
    });
    let finish = finish.unwrap_or_else(|error| panic!("{}: {error}", case.what));
    assert_eq!((finish.n_samples, finish.peaks.len()), (n_samples, case.whole.len()), "{}", case.what);
    (joined(&blocks, case.whole.len(), case.recording.n_channels()), most)
}

/// The first sample that has other bits, if any.
fn difference(got: &[Array2<f32>], case: &Case) -> Option<String> {
    got.iter().zip(&case.whole).enumerate().find_map(|(stem, (got, whole))| {
        if got.dim() != whole.dim() {
            return Some(format!("stem {stem}: {:?}, expected {:?}", got.dim(), whole.dim()));
        }
        let differs = |(at, x): &((usize, usize), &f32)| x.to_bits() != whole[*at].to_bits();
        let (at, x) = got.indexed_iter().find(differs)?;
        Some(format!("stem {stem} at {at:?}: {x:e}, expected {:e}", whole[at]))
    })
}

fn assert_same(got: &[Array2<f32>], case: &Case, how: &str) {
    assert_eq!(difference(got, case), None, "{}, {how}", case.what);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn what_is_pushed_has_the_bits_of_what_is_pulled(
        case in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(prop_oneof![1usize..10, 1usize..300, 1usize..9000], 1..12),
    ) {
        let case = case.get(cases());
        let renderer = case.separation.renderer(&case.stems).expect("renderer");
        prop_assert_eq!(difference(&pushed(renderer, case, &sizes).0, case), None, "{}", &case.what);
    }

    #[test]
    fn what_is_made_live_has_the_bits_of_the_whole_and_is_not_late(
        case in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(1usize..200, 1..12),
    ) {
        let live: Vec<_> = cases().iter().filter(|case| case.is_live).collect();
        let case = case.get(&live);
        let renderer = case.separation.live_renderer(&case.stems).expect("renderer");
        let latency = renderer.latency();
        let (stems, most) = pushed(renderer, case, &sizes);
        prop_assert_eq!(difference(&stems, case), None, "{}", &case.what);
        prop_assert!(most <= latency, "{}: {} samples late, at most {}", &case.what, most, latency);
    }
}

#[test]
fn every_method_can_be_pushed_and_those_that_can_be_live_are() {
    for case in long_cases() {
        let renderer = case.separation.renderer(&case.stems).expect("renderer");
        assert_same(&pushed(renderer, case, &[1000]).0, case, "pushed");
        if case.is_live {
            let renderer = case.separation.live_renderer(&case.stems).expect("renderer");
            let latency = renderer.latency();
            let (stems, most) = pushed(renderer, case, &[48]);
            assert_same(&stems, case, "live");
            assert!(most <= latency, "{}: {most} samples late, at most {latency}", case.what);
        }
    }
}

/// How many samples are pushed, one by one, from a click until it is out in one of the stems.
fn delay_of_a_click(separation: &Separation) -> (usize, usize) {
    let at = 4321;
    let mut renderer = separation.live_renderer(&Stems::All).expect("renderer");
    let latency = renderer.latency();
    let mut out: Vec<f32> = Vec::new();
    for i in 0..at + 2 * latency {
        let x = if i == at { 1.0 } else { 0.0 };
        let push = renderer.push(Array2::from_elem((1, 1), x).view(), &mut |stems| {
            out.extend(stems.iter().fold(Array2::zeros(stems[0].raw_dim()), |sum, stem| sum + stem).row(0));
            Ok(())
        });
        push.expect("pushed");
        if out.get(at).is_some_and(|x| *x > 0.9) {
            return (i - at, latency);
        }
    }
    panic!("the click never came, {} samples did", out.len());
}

#[test]
fn a_click_is_out_within_the_latency() {
    let live = Analysis::live(SAMPLE_RATE, 1, &complete()).expect("a form");
    let watch = &mut Watch::none();
    let denoise = denoise::fit(&live, &denoised(&live, Content::Any), None, watch).expect("denoise");
    let hpss = hpss::fit(&live, &HpssConfig { harmonic_s: 0.05, ..HpssConfig::default() }, None, watch).expect("hpss");
    // A frame is whole when its last sample is there: nothing that is transformed can be out before half a window.
    let (delay, latency) = delay_of_a_click(&denoise);
    assert_eq!(latency, N_FFT);
    assert!((N_FFT / 2..=latency).contains(&delay), "denoise: {delay} of {latency} samples");
    let (delay, latency) = delay_of_a_click(&hpss);
    assert!((N_FFT..=latency).contains(&delay), "hpss: {delay} of {latency} samples");
}

#[test]
fn a_live_renderer_never_ends_by_itself() {
    let config = AnalysisConfig { stft: crate::cases::STFT, ..AnalysisConfig::default() };
    let live = Analysis::live(SAMPLE_RATE, 2, &config).expect("a form");
    assert!(live.is_live() && !live.is_complete() && live.n_samples() == 0);
    let parts = hpss::fit(&live, &HpssConfig::default(), None, &mut Watch::none()).expect("hpss");
    assert_eq!(parts.n_samples(), None);
    // Of nothing, nothing comes.
    let nothing = parts.live_renderer(&Stems::All).expect("renderer").finish(&mut |_| panic!("a block"));
    assert_eq!(nothing.expect("ended").n_samples, 0);
    for n_samples in [1, 100, 3000] {
        let audio = Audio::new(Array2::from_elem((2, n_samples), 0.5), SAMPLE_RATE).expect("audio");
        let stems = parts.stems(&audio, &mut Watch::none()).expect("of any length");
        assert_eq!(stems[0].samples().dim(), (2, n_samples));
        crate::common::assert_sum(&audio, &stems, &n_samples.to_string());
    }
}
