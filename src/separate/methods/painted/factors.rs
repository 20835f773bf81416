//! Components that belong to sources, and what is done with them everywhere.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::Result;
use crate::nmf::{Encoder, EncoderConfig, Guidance, Run};

/// What a source that is denied a place has of what it models there while components are fitted.
const LEAK: f32 = 0.01;

/// Iterations that find the activations of one block where those of the fit do not cover it, as for components that nobody
/// painted; and as many again where something is painted.
pub(super) const BLOCK_ITERATIONS: usize = 30;

/// The number of a source that is none of the marks': what other knowledge gives to nobody.
pub const REST: u32 = u32::MAX;

/// The components of sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// Spectra, `n_bins` x `n_components`.
    pub dictionary: Array2<f32>,
    /// When they sound, `n_components` x kept frames.
    pub activations: Array2<f32>,
    /// The number of each component's source.
    pub source_ids: Vec<u32>,
}

pub(super) fn guidance(groups: Vec<usize>, runs: Vec<Run>) -> Guidance {
    Guidance { groups, runs, leak: LEAK }
}

/// One bit for each of so many.
pub(super) fn bits(n: usize) -> u64 {
    u64::MAX.checked_shr(64 - n.min(64) as u32).unwrap_or(0)
}

/// Those that are denied a place, with the rest where it is one source's.
pub(super) fn with_rest(denied: u64, n_marked: usize) -> u64 {
    let is_of_one = (bits(n_marked) & !denied).count_ones() == 1 && n_marked > 1;
    if is_of_one { denied | 1 << n_marked } else { denied }
}

/// Prepares a dictionary for the blocks of a recording.
pub(super) fn encoder(dictionary: &Array2<f32>) -> Result<Arc<Encoder>> {
    let config = EncoderConfig { max_iter: BLOCK_ITERATIONS, ..Default::default() };
    Ok(Arc::new(Encoder::new(dictionary.view(), &config)?))
}

/// What the components of each source have, frames x `n_bins`.
pub(super) fn products(
    dictionary: ArrayView2<'_, f32>,
    activations: &Array2<f32>,
    groups: &[usize],
    n_sources: usize,
) -> Vec<Array2<f32>> {
    let products = (0..n_sources).into_par_iter().map(|source| {
        let members: Vec<_> = (0..groups.len()).filter(|k| groups[*k] == source).collect();
        let (w, h) = (dictionary.select(Axis(1), &members), activations.select(Axis(0), &members));
        h.t().dot(&w.t())
    });
    products.collect()
}
