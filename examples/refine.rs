//! Knowledge that changes: a fit by a score, the score corrected, and a second fit that goes on from the first.
//!
//! ```text
//! cargo run --release --example refine [RECORDING SCORE]
//! ```

use std::time::Instant;

use partita::Score;
use partita::audio::decode::AudioFile;
use partita::separate::score::{self, ScoreConfig};
use partita::separate::{Analysis, AnalysisConfig, Stems};
use partita::watch::Watch;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (recording, full) = match &arguments[..] {
        [recording, score] => (recording.as_str(), score.as_str()),
        _ => ("samples/drums-bass-guitar.wav", "samples/drums-bass-guitar.mid"),
    };
    let (recording, full) = (AudioFile::open(recording.as_ref())?, Score::load(full.as_ref())?);
    let watch = &mut Watch::none();
    let timed = |what: &str, began: Instant| println!("{what}: {:.2} s", began.elapsed().as_secs_f64());

    // The recording is looked at once, for any number of fits.
    let began = Instant::now();
    let analysis = Analysis::of(&recording, &AnalysisConfig::default(), watch)?;
    timed("analysis", began);

    // A score whose last part is wrong by two semitones.
    let mut wrong = full.clone();
    for note in wrong.parts.iter_mut().next_back().into_iter().flat_map(|part| &mut part.notes) {
        note.pitch += 2;
    }
    let began = Instant::now();
    let first = score::fit(&analysis, &ScoreConfig::new(wrong), None, watch)?;
    timed("first fit", began);

    // Corrected: what the first fit found of the other parts still holds.
    let began = Instant::now();
    let second = score::fit(&analysis, &ScoreConfig::new(full), Some(&first), watch)?;
    timed("second fit", began);

    // A second of it, to listen to at once: the same samples as in the whole stems.
    let began = Instant::now();
    let rate = analysis.sample_rate() as usize;
    let mut n_samples = 0;
    second.render_range(&recording, &Stems::All, rate..2 * rate, &mut |stems| {
        n_samples += stems[0].ncols();
        Ok(())
    })?;
    timed(&format!("{} stems of {n_samples} samples", second.names().len()), began);
    Ok(())
}
