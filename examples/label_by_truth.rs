//! Names components by the true parts of a recording, as a person with good ears would: the strongest ones of each part.
//! A test tool: it tells how far naming some components can lead.
//!
//! ```text
//! partita separate mixture.wav --labels-out labels.toml -o blind
//! cargo run --release --example label_by_truth -- labels.toml TRUE_PARTS [N_EACH]
//! partita separate mixture.wav --labels labels.toml -o labelled
//! ```

use std::path::{Path, PathBuf};
use std::{env, fs};

use ndarray::Array2;
use partita::audio::decode::{self, is_audio_path};
use partita::knowledge::labels::Labels;
use partita::matrix_file::read_member;
use partita::{Stft, StftConfig};

/// Components that are named of each part, unless another number is given.
const N_EACH: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let (Some(path), Some(folder)) = (args.next().map(PathBuf::from), args.next()) else {
        return Err("expected a labels file and the folder of the true parts".into());
    };
    let n_each = args.next().map_or(Ok(N_EACH), |n| n.parse())?;
    let mut labels = Labels::parse(&fs::read_to_string(&path)?)?;
    let factors = path.with_file_name(&labels.factors);
    let (dictionary, activations) = (read_member(&factors, "W")?, read_member(&factors, "H")?);
    let settings = &labels.settings;
    let (win_length, hop_length) = (settings.win_length, settings.hop_length);
    let stft = Stft::new(StftConfig { win_length, hop_length, ..StftConfig::new(settings.n_fft) })?;

    let mut parts = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    parts.retain(|part| is_audio_path(part));
    parts.sort();
    // Energy of each part under the mask of each component.
    let masks = masks(&dictionary, &activations, settings.mask_exponent as f32);
    let mut energies = Vec::new();
    for part in &parts {
        let magnitude = stft.magnitude(decode::read(part)?.samples());
        let energy =
            |mask: &Array2<f32>| mask.iter().zip(&magnitude).map(|(m, v)| f64::from(m * v).powi(2)).sum::<f64>();
        energies.push(masks.iter().map(energy).collect::<Vec<_>>());
    }
    let owner = |k: usize| (0..parts.len()).max_by(|a, b| energies[*a][k].total_cmp(&energies[*b][k])).unwrap_or(0);
    let owners: Vec<_> = (0..labels.components.len()).map(owner).collect();
    for (source, part) in parts.iter().enumerate() {
        let mut own: Vec<_> = (0..owners.len()).filter(|k| owners[*k] == source).collect();
        own.sort_by(|a, b| labels.components[*b].energy_share.total_cmp(&labels.components[*a].energy_share));
        for k in own.into_iter().take(n_each) {
            labels.components[k].name = stem(part);
        }
    }
    fs::write(&path, labels.text()?)?;
    Ok(())
}

/// The mask of each component, frames x bins.
fn masks(dictionary: &Array2<f32>, activations: &Array2<f32>, exponent: f32) -> Vec<Array2<f32>> {
    let model = |k: usize| {
        let (template, activation) = (dictionary.column(k), activations.row(k));
        Array2::from_shape_fn((activation.len(), template.len()), |(t, f)| (activation[t] * template[f]).powf(exponent))
    };
    let mut masks: Vec<_> = (0..dictionary.ncols()).map(model).collect();
    let mut total = Array2::from_elem(masks[0].raw_dim(), f32::MIN_POSITIVE);
    masks.iter().for_each(|mask| total += mask);
    masks.iter_mut().for_each(|mask| *mask /= &total);
    masks
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
