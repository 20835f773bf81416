//! Components of places as a model: parts are sums of components, filtered with the phases.

use std::collections::BTreeSet;
use std::sync::Arc;

use ndarray::{Array2, Axis, s};
use realfft::num_complex::Complex32;

use super::factors::Factors;
use crate::Result;
use crate::separate::pipeline::{Block, Covariance, Model, Split};

/// Components of places, which belong to parts.
#[derive(Debug, Clone)]
pub(super) struct PannedModel {
    factors: Arc<Factors>,
    /// All frames x components; `None`: found block by block.
    activations: Option<Arc<Array2<f32>>>,
    /// The part of each component.
    partition: Vec<usize>,
}

/// The components that a part has at one place.
struct Share {
    part: usize,
    place: usize,
    power: Array2<f32>,
}

impl PannedModel {
    pub(super) fn new(factors: Arc<Factors>, activations: Option<Arc<Array2<f32>>>, partition: Vec<usize>) -> Self {
        Self { factors, activations, partition }
    }

    /// A part for each component.
    pub(super) fn by_component(&self) -> Self {
        Self { partition: (0..self.partition.len()).collect(), ..self.clone() }
    }

    /// The power of each part at each of its places, frames x bins.
    fn shares(&self, activations: &Array2<f32>) -> Vec<Share> {
        let places = self.factors.places();
        let pairs: BTreeSet<(usize, usize)> = self.partition.iter().copied().zip(places.iter().copied()).collect();
        let first = |place: usize| places.iter().position(|other| *other == place).unwrap_or(0);
        let share = |(part, place): (usize, usize)| {
            let members: Vec<_> =
                (0..places.len()).filter(|k| self.partition[*k] == part && places[*k] == place).collect();
            let own: Vec<_> = members.iter().map(|k| k - first(place)).collect();
            let templates = self.factors.templates[place].select(Axis(0), &own);
            Share { part, place, power: activations.select(Axis(1), &members).dot(&templates) }
        };
        pairs.into_iter().map(share).collect()
    }
}

impl Model for PannedModel {
    fn n_parts(&self) -> usize {
        self.partition.iter().max().map_or(0, |last| last + 1)
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let (n_frames, n_bins) = block.core().dim();
        let rows = block.before..block.before + n_frames;
        let [left, right] = [0, 1].map(|channel| block.spectra[channel].slice(s![rows.clone(), ..]));
        let activations = match &self.activations {
            Some(activations) => activations.slice(s![block.frames.clone(), ..]).to_owned(),
            None => self.factors.encode([left, right]),
        };
        let shares = self.shares(&activations);
        let n_parts = self.n_parts();
        let mut images = vec![vec![Array2::<Complex32>::zeros((n_frames, n_bins)); 2]; n_parts];
        let anywhere = Covariance::ANYWHERE;
        let gain = self.factors.gain;
        for frame in 0..n_frames {
            for bin in 0..n_bins {
                let at = [frame, bin];
                let x = [left[at], right[at]];
                let mut mixture = Covariance::default();
                // So that there is something to invert where nothing is modeled.
                mixture.add(&anywhere, 1e-10);
                for share in &shares {
                    mixture.add(&self.factors.covariances[share.place], share.power[at]);
                }
                let z = mixture.excess([x[0] * gain, x[1] * gain]).z;
                let mut rest = x;
                for share in &shares {
                    let y = self.factors.covariances[share.place].times(z);
                    for channel in 0..2 {
                        let y = y[channel] * (share.power[at] / gain);
                        images[share.part][channel][at] += y;
                        rest[channel] -= y;
                    }
                }
                // What rounding leaves over, and what is there without a model.
                for image in &mut images {
                    for (channel, image) in image.iter_mut().enumerate() {
                        image[at] += rest[channel] / n_parts as f32;
                    }
                }
            }
        }
        Ok(Split::Images(images))
    }
}
