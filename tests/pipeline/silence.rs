//! Of a recording that is silent, every method makes silent stems of the names that it knows, and says so.

use partita::separate::Stems;
use partita::watch::Watch;

use crate::cases::{LENGTHS, recording, rendered, separations};

#[test]
fn every_method_makes_silent_stems_of_silence() {
    for n_channels in [1, 2] {
        let sound = recording(n_channels, LENGTHS[1]);
        let silence = partita::Audio::new(0.0 * &sound.samples(), sound.sample_rate()).expect("audio");
        let (of_sound, of_silence) = (separations(&sound), separations(&silence));
        assert_eq!(of_sound.len(), of_silence.len());
        for ((what, of_sound, _), (_, parts, _)) in of_sound.iter().zip(&of_silence) {
            assert_eq!(parts.names(), of_sound.names(), "{what}");
            let is_told = parts.warnings() == ["the recording is silent, and so are its stems"];
            // Of sound to come, nobody knows.
            assert!(is_told || parts.n_samples().is_none(), "{what}: {:?}", parts.warnings());
            let mut all = vec![(parts.clone(), Stems::All)];
            if parts.n_samples().is_some() {
                let placed = parts.clone().with_places(&silence, 1000, &mut Watch::none());
                all.push((placed.unwrap_or_else(|error| panic!("{what}: {error}")), Stems::All));
            }
            if of_sound.factorization().is_some() {
                all.push((parts.clone(), Stems::Components));
            }
            for (parts, stems) in all {
                let stems = rendered(&parts, &silence, &stems);
                let is_silent = |stem: &ndarray::Array2<f32>| {
                    stem.dim() == silence.samples().dim() && stem.iter().all(|x| *x == 0.0)
                };
                assert!(stems.iter().all(is_silent), "{what}");
            }
        }
    }
}
