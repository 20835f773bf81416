//! Components of places as a model: parts are sums of components, filtered with the phases.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, s};
use realfft::num_complex::Complex32;

use super::factors::{Factors, row_of};
use crate::Result;
use crate::separate::pipeline::{Analysis, Block, Model, Row, Split};

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
        let (n_frames, n_bins) = left.dim();
        let mut images = vec![vec![Array2::<Complex32>::zeros(left.raw_dim()); 2]; n_parts];
        for frame in 0..n_frames {
            let x = [row_of(left, frame), row_of(right, frame)];
            let mut mixture = Row::new(n_bins, LEAST_POWER);
            for share in &shares {
                mixture.add(&self.factors.covariances[share.place], row_of(share.power.view(), frame));
            }
            let filtered: Vec<_> = mixture.excess(x, gain).map(|excess| excess.z).collect();
            let mut rest = x.map(<[Complex32]>::to_vec);
            for share in &shares {
                let covariance = &self.factors.covariances[share.place];
                let [to_left, to_right] = &mut images[share.part][..] else { continue };
                let image = to_left.row_mut(frame).into_iter().zip(to_right.row_mut(frame));
                let [rest_left, rest_right] = &mut rest;
                let bins = image.zip(rest_left.iter_mut().zip(rest_right)).zip(&filtered);
                for ((((l, r), (rest_l, rest_r)), z), power) in bins.zip(row_of(share.power.view(), frame)) {
                    let y = covariance.times(*z).map(|y| y * (power / gain));
                    (*l, *r) = (*l + y[0], *r + y[1]);
                    (*rest_l, *rest_r) = (*rest_l - y[0], *rest_r - y[1]);
                }
            }
            // What rounding leaves over, and what is there without a model.
            for image in &mut images {
                for (image, rest) in image.iter_mut().zip(&rest) {
                    image.row_mut(frame).iter_mut().zip(rest).for_each(|(y, rest)| *y += rest / n_parts as f32);
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
