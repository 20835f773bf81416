//! How well the bundled samples come apart: the scores stay where they were recorded, and above a floor.

mod common;

use common::{analyze_and_fit, sample, si_sdr, stems_of};
use ndarray::Axis;
use partita::audio::decode;
use partita::names::RESIDUAL;
use partita::separate::AnalysisConfig;
use partita::separate::blind::BlindConfig;
use partita::separate::examples::{self, ExamplesConfig};
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, Example, together, transcribe};
use partita::watch::Watch;
use partita::{Audio, DictionaryConfig, Score, StftOptions, separate};

/// Mean over the references of the score of the best one-to-one assignment of stems to them.
fn best_mean(references: &[Audio], stems: &[Audio]) -> f64 {
    fn best(references: &[Audio], stems: &mut Vec<&Audio>) -> f64 {
        let Some((reference, rest)) = references.split_first() else { return 0.0 };
        (0..stems.len())
            .map(|i| {
                let stem = stems.remove(i);
                let total = si_sdr(reference.channel(0), stem.channel(0)) + best(rest, stems);
                stems.insert(i, stem);
                total
            })
            .fold(f64::NEG_INFINITY, f64::max)
    }
    best(references, &mut stems.iter().collect()) / references.len() as f64
}

fn score(song: &str, names: &[&str]) -> (f64, f64) {
    let read = |name: &str| decode::read(&sample(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mixture = read(&format!("{song}.wav"));
    let references: Vec<_> = names.iter().map(|name| read(&format!("{song}/{name}.wav"))).collect();
    let separation = separate(&mixture, &BlindConfig { n_sources: Some(names.len()), ..BlindConfig::default() });
    let stems = stems_of(&separation.expect("separation"), &mixture);
    let untouched = vec![mixture.clone(); names.len()];
    (best_mean(&references, &stems), best_mean(&references, &untouched))
}

#[test]
fn the_parts_of_the_samples_sum_to_them() {
    for (song, names) in
        [("drums-bass-guitar", ["drums", "bass", "guitar"]), ("kick-snare-hihat", ["kick", "snare", "hihat"])]
    {
        let read = |name: &str| decode::read(&sample(name)).expect("sample").samples().sum_axis(Axis(0));
        let sum: ndarray::Array1<f32> = names.iter().map(|name| read(&format!("{song}/{name}.wav"))).fold(
            ndarray::Array1::zeros(0),
            |sum, stem| {
                if sum.is_empty() { stem } else { sum + stem }
            },
        );
        let gap = (read(&format!("{song}.wav")) - sum).iter().fold(0.0f32, |worst, x| worst.max(x.abs()));
        assert!(gap < 1e-6, "{song}: off by {gap:e}");
    }
}

#[test]
fn samples_come_apart_as_well_as_recorded() {
    // (song, parts, recorded SI-SDR and least gain over the mixture in dB): mean over the parts, best assignment,
    // without knowledge.
    for (song, names, recorded, floor) in [
        ("drums-bass-guitar", ["drums", "bass", "guitar"], -1.10, 0.5),
        ("kick-snare-hihat", ["kick", "snare", "hihat"], 13.48, 10.0),
    ] {
        let (got, mixture) = score(song, &names);
        assert!(got > mixture + floor, "{song}: {got:.2} dB, and the mixture itself {mixture:.2} dB");
        // Recorded with fused multiply-adds. Other processors round otherwise, and a component between two sources may
        // then fall to the other side.
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            assert!((got - recorded).abs() < 0.1, "{song}: {got:.2} dB, recorded {recorded:.2} dB");
        }
        println!("{song}: {got:.2} dB, recorded {recorded:.2} dB, the mixture itself {mixture:.2} dB");
    }
}

#[test]
fn what_a_score_lacks_is_left_over_and_its_drums_do_not_take_it() {
    let read = |name: &str| decode::read(&sample(name)).expect("sample");
    let mixture = read("drums-bass-guitar.wav");
    let score = std::fs::read(sample("drums-bass-guitar.mid")).map(|midi| Score::from_midi(&midi)).expect("score");
    let config = ScoreConfig::new(score.expect("notes"));
    let separation = analyze_and_fit(&mixture, &AnalysisConfig::default(), score::fit, &config).expect("separation");
    let stems = stems_of(&separation, &mixture);
    let stem = |name: &str| {
        let place = separation.names().iter().position(|own| own == name).expect("a stem of this name");
        stems[place].channel(0).to_vec()
    };
    let kit: Vec<f32> = ["kick", "snare", "hihat"]
        .map(stem)
        .into_iter()
        .reduce(|sum, x| sum.iter().zip(x).map(|(a, b)| a + b).collect())
        .expect("three drums");
    // Recorded: 4.6 and 3.6 dB.
    for (name, got) in [("drums", kit), ("guitar", stem(RESIDUAL))] {
        let reference = read(&format!("drums-bass-guitar/{name}.wav"));
        let got_db = si_sdr(reference.channel(0), ndarray::ArrayView1::from(&got));
        let untouched_db = si_sdr(reference.channel(0), mixture.channel(0));
        println!("{name}: {got_db:.2} dB, in the mixture {untouched_db:.2} dB");
        assert!(got_db > 2.5 && got_db > untouched_db + 3.0, "{name}: {got_db:.2} dB, {untouched_db:.2} dB untouched");
    }
}

#[test]
fn examples_of_all_that_a_score_has_make_more_of_both_and_leave_the_rest_alone() {
    let read = |name: &str| decode::read(&sample(name)).expect("sample");
    let watch = &mut Watch::none();
    let mixture = read("drums-bass-guitar.wav");
    // The example of the drums is of three parts of the score.
    let [drums, bass] = ["drums", "bass"].map(|name| read(&format!("drums-bass-guitar/{name}.wav")));
    let example = |name, recording| Example { name, label: name, recording };
    let known = [example("drums", &drums), example("bass", &bass)];
    let (rate, look) = (mixture.sample_rate(), AnalysisConfig::default());
    let learn = DictionaryConfig::default();
    let dictionary = examples::learn(&known, rate, &StftOptions::default(), &learn, watch).expect("dictionary");
    let players = transcribe::listen(&known, rate, &look, watch).expect("players");
    let score = std::fs::read(sample("drums-bass-guitar.mid")).map(|midi| Score::from_midi(&midi)).expect("score");
    let config = ScoreConfig::new(score.expect("notes"));
    let analysis = Analysis::of(&mixture, &look, watch).expect("analysis");
    let alone = score::fit(&analysis, &config, None, watch).expect("by the score");
    let both = together::fit(&analysis, &config, &ExamplesConfig::new(dictionary), &players, watch).expect("together");
    assert_eq!(both.names(), alone.names());
    let parts = |separation: &partita::Separation| {
        let stems = stems_of(separation, &mixture);
        let sum = |names: &[&str]| {
            let chosen = separation.names().iter().zip(&stems).filter(|(name, _)| names.contains(&name.as_str()));
            chosen.map(|(_, stem)| stem.samples().sum_axis(Axis(0))).reduce(|sum, stem| sum + stem).expect("stems")
        };
        let own = [("drums", sum(&["kick", "snare", "hihat"])), ("bass", sum(&["bass"])), ("guitar", sum(&[RESIDUAL]))];
        own.map(|(name, stem)| {
            si_sdr(read(&format!("drums-bass-guitar/{name}.wav")).samples().sum_axis(Axis(0)).view(), stem.view())
        })
    };
    let (before, after) = (parts(&alone), parts(&both));
    println!("drums, bass, guitar: {before:.2?} dB by the score, {after:.2?} dB with examples");
    assert!(before.iter().zip(&after).all(|(before, after)| after > before), "{before:?} dB, {after:?} dB");
}
