//! The number of components, and dictionaries that learn from streams.

mod common;

use common::matrices::{divergence_of, exponential, mixed};
use ndarray::{Array2, Axis};
use partita::nmf::*;

#[test]
fn the_planted_number_of_components_is_found() {
    let mut found = Vec::new();
    for seed in 0..10 {
        let (w, h) = (exponential((40, 4), 100 + seed), exponential((4, 60), 200 + seed));
        // Noise in proportion to the level, some 10 %: what sound is like, and what no template explains.
        let v = w.dot(&h) * exponential((40, 60), 300 + seed).mapv(|x| 0.8 + 0.2 * x.min(3.0));
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
    let (w, h) = (exponential((30, 3), 1).mapv(|x| x * x), exponential((3, 640), 2).mapv(|x| x * x));
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
        let w = exponential((20, 2), if n < 4 { 3 } else { 4 }).mapv(|x| x * x);
        last = w.dot(&exponential((2, 24), 10 + n));
        online.partial_fit(last.view()).unwrap();
    }
    let now = transform(last.view(), online.dictionary().unwrap(), &config).unwrap();
    let share = now.divergence / f64::from(last.sum());
    assert!(share < 0.02, "{share} of the newest block is left unexplained");
}

#[test]
fn a_stream_keeps_what_is_fixed_and_survives_silence() {
    let given = exponential((6, 1), 5).column(0).to_owned();
    let dictionary = Factor::PerComponent(vec![Part::Fixed(given.clone()), Part::Free]);
    let mut online = Online::new(NmfConfig { n_components: 2, dictionary, ..NmfConfig::default() }, 0.7).unwrap();
    let silent = Array2::zeros((6, 4));
    assert_eq!(online.partial_fit(silent.view()).unwrap(), Array2::<f32>::zeros((2, 4)));
    for n in 0..3 {
        online.partial_fit(exponential((6, 4), 6 + n).view()).unwrap();
        let before = online.dictionary();
        online.partial_fit(silent.view()).unwrap();
        assert_eq!(online.dictionary(), before, "silence teaches nothing");
    }
    assert_eq!(online.dictionary().unwrap().column(0), given);
    let message = online.partial_fit(exponential((5, 4), 9).view()).unwrap_err().to_string();
    assert!(message.starts_with("the dictionary is"), "{message}");
}
