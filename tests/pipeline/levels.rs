//! A faint recording is separated as a loud one is.

use ndarray::Array2;
use partita::Audio;
use partita::separate::denoise::{self, Content, DenoiseConfig};
use partita::separate::{Analysis, Stems};
use partita::watch::Watch;

use crate::cases::{LENGTHS, complete, recording, rendered, separations};

#[test]
fn the_scale_of_a_recording_is_that_of_its_stems() {
    let reference = recording(2, LENGTHS[2]);
    let expected = stems_at(1.0, &reference);
    // Powers of two, -60 and 60 dB, round nothing: not a bit may differ.
    for scale in [1.0 / 1024.0, 1024.0] {
        for ((what, found), (_, expected)) in stems_at(scale, &reference).into_iter().zip(&expected) {
            for (stem, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert!(*found == expected * scale, "{what}, stem {stem}, times {scale}");
            }
        }
    }
}

/// The stems of every method, by its name, of a recording times `scale`.
fn stems_at(scale: f32, reference: &Audio) -> Vec<(String, Vec<Array2<f32>>)> {
    let watch = &mut Watch::none();
    let scaled = Audio::new(reference.samples().mapv(|x| x * scale), reference.sample_rate()).expect("audio");
    // A noise that was heard elsewhere has a level of its own.
    let mut found: Vec<_> =
        separations(&scaled).into_iter().filter(|(what, ..)| !what.starts_with("denoise")).collect();
    let analysis = Analysis::of(&scaled, &complete(), watch).expect("analysis");
    for content in Content::ALL {
        let config = DenoiseConfig { content, ..DenoiseConfig::default() };
        let denoised = denoise::fit(&analysis, &config, None, watch).expect("denoised");
        found.push((format!("denoise {}", content.name()), denoised, true));
    }
    found.into_iter().map(|(what, separation, _)| (what, rendered(&separation, &scaled, &Stems::All))).collect()
}
