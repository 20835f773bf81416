//! Components of places as a model: what stands at a place is filtered out of both channels, and shared out among its
//! parts.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, s};
use realfft::num_complex::Complex32;

use super::factors::{Factors, row_of};
use crate::Result;
use crate::separate::methods::components::ComponentModel;
use crate::separate::pipeline::{Analysis, Block, Model, Row, Split};

/// Power that comes from anywhere, where the mean power of the mixture is 1.
const LEAST_POWER: f32 = 1e-10;

/// Components of places, which belong to parts.
#[derive(Debug, Clone)]
pub(super) struct PannedModel {
    factors: Arc<Factors>,
    /// All frames x components; `None`: found block by block.
    activations: Option<Arc<Array2<f32>>>,
    pub(super) places: Vec<PlaceParts>,
}

/// The parts that stand at a place.
#[derive(Debug, Clone)]
pub(super) enum PlaceParts {
    /// Of each component of the place, by its number there.
    Components(Vec<usize>),
    /// By masks on what stands there: a model of that, and the part of each of its components.
    Masks(Box<ComponentModel>, Vec<usize>),
}

impl PlaceParts {
    fn partition(&self) -> &[usize] {
        match self {
            Self::Components(parts) | Self::Masks(_, parts) => parts,
        }
    }

    fn with_partition(&self, parts: Vec<usize>) -> Self {
        match self {
            Self::Components(_) => Self::Components(parts),
            Self::Masks(model, _) => Self::Masks(model.clone(), parts),
        }
    }
}

impl PannedModel {
    /// With the activations of all frames that were looked at.
    pub(super) fn new(factors: Arc<Factors>, activations: Array2<f32>, places: Vec<PlaceParts>) -> Self {
        Self { factors, activations: Some(Arc::new(activations)), places }
    }

    /// With activations that are found block by block.
    pub(super) fn by_block(mut self) -> Self {
        for place in &mut self.places {
            if let PlaceParts::Masks(model, _) = place {
                **model = (**model).clone().by_block();
            }
        }
        Self { activations: None, ..self }
    }

    /// With these parts at the places.
    pub(super) fn with_places(self, places: Vec<PlaceParts>) -> Self {
        Self { places, ..self }
    }

    /// The part of each component, place by place.
    pub(super) fn partition(&self) -> Vec<usize> {
        self.places.iter().flat_map(|place| place.partition().to_vec()).collect()
    }

    /// With these parts of the components, place by place.
    pub(super) fn with_partition(&self, partition: &[usize]) -> Self {
        let mut left = partition;
        let place = |place: &PlaceParts| {
            let (own, rest) = left.split_at(place.partition().len());
            left = rest;
            place.with_partition(own.to_vec())
        };
        Self { places: self.places.iter().map(place).collect(), ..self.clone() }
    }

    /// What stands at a place in the frames that were looked at, in blocks: its magnitude, frames x bins.
    pub(super) fn heard_at(
        &self,
        place: usize,
        looked: &Analysis,
        blocks: impl Iterator<Item = Range<usize>>,
    ) -> Result<Array2<f32>> {
        let mut magnitude = Array2::zeros(looked.magnitude().raw_dim());
        let n_places = self.places.len();
        let parts = (0..n_places).map(|other| {
            PlaceParts::Components(vec![usize::from(other != place); self.places[other].partition().len()])
        });
        let alone = Self { places: parts.collect(), ..self.clone() };
        for rows in blocks {
            if let Some(image) = alone.images_of(looked, rows.clone())?.first() {
                magnitude.slice_mut(s![rows, ..]).assign(&magnitude_of(image));
            }
        }
        Ok(magnitude)
    }

    /// The energy of each part in some of the frames that were looked at.
    pub(super) fn energies(&self, looked: &Analysis, rows: Range<usize>) -> Result<Vec<f64>> {
        let energy =
            |image: &[Array2<Complex32>; 2]| image.iter().flatten().map(|x| f64::from(x.norm_sqr())).sum::<f64>();
        Ok(self.images_of(looked, rows)?.iter().map(energy).collect())
    }

    fn images_of(&self, looked: &Analysis, rows: Range<usize>) -> Result<Vec<[Array2<Complex32>; 2]>> {
        let (Some([left, right]), Some(activations)) = (looked.spectra(), &self.activations) else {
            return Ok(Vec::new());
        };
        let spectra = [left, right].map(|x| x.slice(s![rows.clone(), ..]));
        self.images(spectra, &activations.slice(s![rows.clone(), ..]).to_owned(), rows)
    }

    /// What each part is in both channels, frames x bins.
    fn images(
        &self,
        [left, right]: [ArrayView2<'_, Complex32>; 2],
        activations: &Array2<f32>,
        frames: Range<usize>,
    ) -> Result<Vec<[Array2<Complex32>; 2]>> {
        let n_parts = self.n_parts();
        let silence = || [0, 1].map(|_| Array2::<Complex32>::zeros(left.raw_dim()));
        let mut images: Vec<_> = (0..n_parts).map(|_| silence()).collect();
        let mut rest = [left.to_owned(), right.to_owned()];
        let powers = self.factors.powers(activations);
        let filtered = self.filtered([left, right], &powers);
        let mut first = 0;
        for (i, place) in self.places.iter().enumerate() {
            let templates = &self.factors.templates[i];
            let own = first..first + templates.nrows();
            first = own.end;
            let mut whole = silence();
            self.add_image(i, &powers[i], &filtered, &mut whole);
            rest.iter_mut().zip(&whole).for_each(|(rest, whole)| *rest -= whole);
            match place {
                PlaceParts::Components(parts) if parts.iter().all(|part| *part == parts[0]) => {
                    images[parts[0]].iter_mut().zip(&whole).for_each(|(sum, whole)| *sum += whole);
                }
                PlaceParts::Components(parts) => {
                    for part in distinct(parts) {
                        let members: Vec<_> = (0..parts.len()).filter(|k| parts[*k] == part).collect();
                        let h = activations.slice(s![.., own.clone()]).select(Axis(1), &members);
                        let power = h.dot(&templates.select(Axis(0), &members));
                        self.add_image(i, &power, &filtered, &mut images[part]);
                    }
                }
                PlaceParts::Masks(model, parts) => {
                    let magnitude = magnitude_of(&whole);
                    let block =
                        Block { frames: frames.clone(), magnitude: magnitude.view(), spectra: Vec::new(), before: 0 };
                    let (model, parts) = merged(model, parts);
                    for (mask, part) in model.masks(&block)?.iter().zip(parts) {
                        for (sum, whole) in images[part].iter_mut().zip(&whole) {
                            ndarray::Zip::from(sum).and(whole).and(mask).for_each(|y, x, m| *y += x * m);
                        }
                    }
                }
            }
        }
        // What rounding leaves over, and what is there without a model.
        for image in &mut images {
            for (image, rest) in image.iter_mut().zip(&rest) {
                ndarray::Zip::from(image).and(rest).for_each(|y, rest| *y += rest / n_parts as f32);
            }
        }
        Ok(images)
    }

    /// `C^-1 x` in every bin.
    fn filtered(&self, [left, right]: [ArrayView2<'_, Complex32>; 2], powers: &[Array2<f32>]) -> Vec<[Complex32; 2]> {
        let (n_frames, n_bins) = left.dim();
        let mut filtered = Vec::with_capacity(n_frames * n_bins);
        for frame in 0..n_frames {
            let mut mixture = Row::new(n_bins, LEAST_POWER);
            for (power, covariance) in powers.iter().zip(&self.factors.covariances) {
                mixture.add(covariance, row_of(power.view(), frame));
            }
            let x = [row_of(left, frame), row_of(right, frame)];
            filtered.extend(mixture.excess(x, self.factors.gain).map(|excess| excess.z));
        }
        filtered
    }

    /// Adds what of this power stands at a place.
    fn add_image(
        &self,
        place: usize,
        power: &Array2<f32>,
        filtered: &[[Complex32; 2]],
        image: &mut [Array2<Complex32>; 2],
    ) {
        let (covariance, gain) = (&self.factors.covariances[place], self.factors.gain);
        let [left, right] = image;
        for (((l, r), z), power) in left.iter_mut().zip(right).zip(filtered).zip(power) {
            let [a, b] = covariance.times(*z);
            *l += a * (power / gain);
            *r += b * (power / gain);
        }
    }
}

/// Parts in order, each once.
fn distinct(parts: &[usize]) -> Vec<usize> {
    let mut all = parts.to_vec();
    all.sort_unstable();
    all.dedup();
    all
}

/// The model with one mask for each of its parts, and these parts.
fn merged(model: &ComponentModel, parts: &[usize]) -> (ComponentModel, Vec<usize>) {
    let all = distinct(parts);
    let local = parts.iter().map(|part| all.partition_point(|other| other < part)).collect();
    (model.clone().with_partition(local), all)
}

fn magnitude_of([left, right]: &[Array2<Complex32>; 2]) -> Array2<f32> {
    ndarray::Zip::from(left).and(right).map_collect(|l, r| (l.norm_sqr() + r.norm_sqr()).sqrt())
}

impl Model for PannedModel {
    fn n_parts(&self) -> usize {
        self.places.iter().flat_map(PlaceParts::partition).max().map_or(0, |last| last + 1)
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let rows = block.before..block.before + block.frames.len();
        let [left, right] = [0, 1].map(|channel| block.spectra[channel].slice(s![rows.clone(), ..]));
        let activations = match &self.activations {
            Some(all) => all.slice(s![block.frames.clone(), ..]).to_owned(),
            None => self.factors.encode([left, right]),
        };
        let images = self.images([left, right], &activations, block.frames.clone())?;
        Ok(Split::Images(images.into_iter().map(Vec::from).collect()))
    }
}
