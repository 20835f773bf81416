//! Stems into files: block by block, in bounded memory, all of them under their names or none.

use std::path::PathBuf;

use partita::Separation;
use partita::atomic::commit_all;
use partita::audio::Recording;
use partita::audio::encode::{self, ClipMode, EncodeConfig, Spec, Writer};
use partita::separate::Stems;
use partita::watch::Watch;

/// Name, file, share of the energy, gain and number of cut samples of a stem.
pub(crate) type Written = (String, PathBuf, f64, f32, u64);

/// Writes stems.
pub(crate) fn save(
    separation: &Separation,
    recording: &dyn Recording,
    stems: &Stems,
    paths: &[PathBuf],
    config: &EncodeConfig,
    watch: &mut Watch<'_>,
) -> partita::Result<Vec<Written>> {
    let names = separation.stem_names(stems)?;
    let gain = match config.clip_mode {
        ClipMode::Rescale => encode::rescale_gain(separation.peak(recording, stems, watch)?, config.sample_format),
        ClipMode::Clamp | ClipMode::None => 1.0,
    };
    let spec = || Spec {
        sample_rate: recording.sample_rate(),
        n_channels: recording.n_channels(),
        channel_mask: recording.channel_mask(),
        n_samples: separation.n_samples().map(|n_samples| n_samples as u64),
    };
    let mut writers = Vec::with_capacity(paths.len());
    for (path, stem_seed) in paths.iter().zip(config.seed..) {
        // Dithers of their own, so that they do not add up where stems are mixed again.
        writers.push(Writer::create(path, spec(), gain, &EncodeConfig { seed: stem_seed, ..config.clone() })?);
    }
    let rendered = separation.render(recording, stems, watch, &mut |blocks| {
        let mut pairs = writers.iter_mut().zip(blocks);
        let written = pairs.try_for_each(|(writer, block)| writer.write(block.view()));
        written.map_err(|error| error.in_whole(recording.start_s()))
    })?;
    let (mut files, mut all) = (Vec::new(), Vec::new());
    for (((writer, path), name), share) in writers.into_iter().zip(paths).zip(names).zip(&rendered.energy_shares) {
        let (file, written) = writer.close()?;
        files.push(file);
        all.push((name, path.clone(), *share, written.gain, written.n_clamped));
    }
    commit_all(files)?;
    Ok(all)
}
