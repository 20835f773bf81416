//! `--plot`: pictures beside the stems.

use std::path::PathBuf;

use partita::error::shown;
use partita::plot::{self, PlotConfig};
use partita::spectrogram::Overview;
use partita::watch::Watch;
use partita::{Error, Separation};

use super::write::Target;
use crate::cli::inputs::Input;
use crate::cli::sound::Sound;
use crate::cli::terminal::Terminal;

/// Every picture of `--plot`, named as stems are; the last three where there is a factorization.
pub(super) const PICTURES: [&str; 5] = ["spectrograms", "masks", "dictionary", "activations", "divergence"];

/// Draws pictures, and returns their files.
pub(super) fn plot(
    target: &Target<'_>,
    input: &Input,
    recording: &dyn Sound,
    separation: &Separation,
    terminal: &Terminal,
) -> Result<Vec<PathBuf>, Error> {
    let mut steps = terminal.steps();
    let mut tell = |progress| steps.tell(progress);
    let track = shown(&input.track);
    let config = |what: &str| PlotConfig {
        title: format!("{track}: {what}"),
        start_s: recording.start_s(),
        existing: target.existing(),
        ..PlotConfig::default()
    };
    let path = |picture| target.path(input, picture, "png");
    let [spectrograms, masks, dictionary, activations, divergence] = PICTURES;
    let names = || separation.names().iter().map(String::as_str);
    let (transform, sample_rate) = (*separation.stft().config(), recording.sample_rate());

    terminal.letters(names().chain([&*track]));
    let look = config("mixture and stems");
    let overviews = separation.overviews(recording, look.max_columns(), &mut Watch::new(&mut tell))?;
    let panels: Vec<_> = std::iter::once("mixture").chain(names()).zip(&overviews).collect();
    plot::panels(&panels, &look, &path(spectrograms))?;
    let shares = Overview::shares(&overviews[1..]);
    plot::masks(&names().zip(&shares).collect::<Vec<_>>(), &config("masks"), &path(masks))?;
    let Some(factors) = separation.factorization() else { return Ok(vec![path(spectrograms), path(masks)]) };
    let groups = separation.groups();
    let groups: Vec<_> =
        groups.into_iter().map(|(name, components)| plot::Group { name: name.to_owned(), components }).collect();
    let rows = plot::Rows::Frequency { config: transform, sample_rate };
    plot::dictionary(factors.dictionary.view(), rows, &groups, &config("dictionary"), &path(dictionary))?;
    let columns = plot::Columns::Time { config: transform, sample_rate };
    plot::activations(factors.activations.view(), columns, &groups, &config("activations"), &path(activations))?;
    plot::divergence(&factors.divergence_curve, &config("divergence"), &path(divergence))?;
    Ok(PICTURES.map(path).to_vec())
}
