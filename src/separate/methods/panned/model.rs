//! Components of places as a model: parts are sums of components, filtered with the phases.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, s};
use realfft::num_complex::Complex32;

use super::factors::Factors;
use crate::Result;
use crate::separate::pipeline::{Analysis, Block, Covariance, Model, Split};

/// Power that comes from anywhere, where the mean power of the mixture is 1.
const LEAST_POWER: f32 = 1e-10;

/// Components of places, which belong to parts.
#[derive(Debug, Clone)]
pub(super) struct PannedModel {
    factors: Arc<Factors>,
    /// All frames x components; `None`: found block by block.
    activations: Option<Arc<Array2<f32>>>,
    /// The part of each component.
    pub(super) partition: Vec<usize>,
}

/// The components that a part has at one place.
struct Share {
    part: usize,
    place: usize,
    power: Array2<f32>,
}

impl PannedModel {
    /// With the activations of all frames that were looked at.
    pub(super) fn new(factors: Arc<Factors>, activations: Array2<f32>, partition: Vec<usize>) -> Self {
        Self { factors, activations: Some(Arc::new(activations)), partition }
    }

    /// With activations that are found block by block.
    pub(super) fn by_block(self) -> Self {
        Self { activations: None, ..self }
    }

    /// With these parts.
    pub(super) fn with_partition(self, partition: Vec<usize>) -> Self {
        Self { partition, ..self }
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

    /// The energy of each part in some of the frames that were looked at.
    pub(super) fn energies(&self, looked: &Analysis, rows: Range<usize>) -> Vec<f64> {
        let (Some([left, right]), Some(activations)) = (looked.spectra(), &self.activations) else { return Vec::new() };
        let spectra = [left, right].map(|x| x.slice(s![rows.clone(), ..]));
        let energy =
            |image: &Vec<Array2<Complex32>>| image.iter().flatten().map(|x| f64::from(x.norm_sqr())).sum::<f64>();
        self.images(spectra, &activations.slice(s![rows, ..]).to_owned()).iter().map(energy).collect()
    }

    /// What each part is in both channels, frames x bins.
    fn images(
        &self,
        [left, right]: [ArrayView2<'_, Complex32>; 2],
        activations: &Array2<f32>,
    ) -> Vec<Vec<Array2<Complex32>>> {
        let shares = self.shares(activations);
        let (n_parts, gain) = (self.n_parts(), self.factors.gain);
        let mut images = vec![vec![Array2::<Complex32>::zeros(left.raw_dim()); 2]; n_parts];
        for at in ndarray::indices(left.raw_dim()) {
            let x = [left[at], right[at]];
            let mut mixture = Covariance::default();
            // So that there is something to invert where nothing is modeled.
            mixture.add(&Covariance::ANYWHERE, LEAST_POWER);
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
                for (image, rest) in image.iter_mut().zip(rest) {
                    image[at] += rest / n_parts as f32;
                }
            }
        }
        images
    }
}

impl Model for PannedModel {
    fn n_parts(&self) -> usize {
        self.partition.iter().max().map_or(0, |last| last + 1)
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let rows = block.before..block.before + block.frames.len();
        let [left, right] = [0, 1].map(|channel| block.spectra[channel].slice(s![rows.clone(), ..]));
        Ok(Split::Images(match &self.activations {
            Some(all) => self.images([left, right], &all.slice(s![block.frames.clone(), ..]).to_owned()),
            None => self.images([left, right], &self.factors.encode([left, right])),
        }))
    }
}
