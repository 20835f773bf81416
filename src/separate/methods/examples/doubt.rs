//! Whether an example is of a source that is in the recording: how much its templates explain, and how well.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Zip, s};
use rayon::prelude::*;

use super::model::{Templates, sum_of_slots};
use crate::Result;
use crate::separate::pipeline::{Analysis, BLOCK_FRAMES, Block};

/// An example is doubted that misses more than so many times the share of the recording that it explains. Right examples
/// of 30 recordings are doubted 1 of 119 times, those of other instruments 154 of 238 times.
const MOST_MISSED: f64 = 3.3;

/// So many blocks of frames are looked at, spread evenly over a longer recording.
const MAX_BLOCKS: usize = 24;

/// What the templates of a source explain.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// Sum of its shares of the magnitudes.
    own: f64,
    /// Divergence from these to the model of all.
    missed: f64,
}

/// What there is to say of examples that seem to be of something else than what is in the recording. Each bin of a band is
/// shared out as the models of the sources say; a source that is there has a good part of the sound, and what it has, its
/// templates make well.
pub(super) fn doubts(model: &Templates, names: &[String], analysis: &Analysis) -> Result<Vec<String>> {
    let blocks: Vec<_> = analysis.consecutive().into_iter().flat_map(cut).collect();
    let dictionary = model.encoder.dictionary().t().as_standard_layout().into_owned();
    let mut heard = vec![Heard::default(); model.parts.len()];
    let mut all = 0.0;
    for (rows, run) in blocks.iter().step_by(blocks.len().div_ceil(MAX_BLOCKS).max(1)) {
        let margin = model.n_context - 1;
        let start = rows.start.saturating_sub(margin).max(run.start);
        let first = analysis.frame_idx(rows.start);
        let block = Block {
            frames: first..first + rows.len(),
            magnitude: analysis.magnitude().slice_move(s![start..(rows.end + margin).min(run.end), ..]),
            spectra: Vec::new(),
            before: rows.start - start,
        };
        let of_block = listen(model, dictionary.view(), &block)?;
        heard.iter_mut().zip(&of_block).for_each(|(sum, one)| {
            sum.own += one.own;
            sum.missed += one.missed;
        });
        all += of_block.iter().map(|one| one.own).sum::<f64>();
    }
    let doubt = |(name, heard): (&String, &Heard)| {
        let (share, missed) = (heard.own / all, heard.missed / heard.own);
        if heard.own <= 0.0 {
            return Some(format!("`{name}` may not be in the recording: its example explains nothing of it"));
        }
        (missed > MOST_MISSED * share).then(|| {
            format!(
                "`{name}` may not be in the recording, or not sound as in its example, which explains {} of the sound and \
                 misses {} of that",
                percent(share),
                percent(missed)
            )
        })
    };
    if all <= 0.0 {
        return Ok(Vec::new());
    }
    Ok(names.iter().zip(&heard).filter_map(doubt).collect())
}

/// The blocks of consecutive rows, each beside all of these.
fn cut(run: Range<usize>) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    run.clone().step_by(BLOCK_FRAMES).map(move |start| (start..(start + BLOCK_FRAMES).min(run.end), run.clone()))
}

/// What each source explains of a block; the dictionary is that of the model, components x `n_context * n_bands`.
fn listen(model: &Templates, dictionary: ArrayView2<'_, f32>, block: &Block<'_>) -> Result<Vec<Heard>> {
    let n_frames = block.frames.len();
    let activations = model.activations(block)?;
    let v = model.bands.pool(block.core(), 1);
    let n_bands = model.bands.n_bands();
    let models: Vec<_> = (model.rows.par_iter())
        .map(|rows| {
            let active = activations.slice(s![rows.clone(), ..]);
            // Each of the stacks that hold a frame models all of it.
            sum_of_slots(active, dictionary.slice(s![rows.clone(), ..]), n_frames, n_bands) / model.n_context as f32
        })
        .collect();
    let mut sum = Array2::<f32>::zeros((n_frames, n_bands));
    models.iter().for_each(|part| sum += part);
    let heard = models.par_iter().map(|part| {
        let mut heard = Heard::default();
        Zip::from(part).and(&sum).and(&v).for_each(|part, sum, v| {
            let (sum, v) = (f64::from(*sum).max(f64::from(f32::MIN_POSITIVE)), f64::from(*v));
            let share = f64::from(*part) / sum;
            let gap = if v > 0.0 { v * (v / sum).ln() - v + sum } else { sum };
            heard.own += share * v;
            heard.missed += share * gap;
        });
        heard
    });
    Ok(heard.collect())
}

/// A share for people: `0.4 %`, `12 %`.
fn percent(share: f64) -> String {
    if share < 0.01 { format!("{:.1} %", 100.0 * share) } else { format!("{:.0} %", 100.0 * share) }
}
