//! What is known beside the paint, by a score or examples, brought into the form that paint corrects: for each source its
//! share by that knowledge, and components that explain this share.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use super::factors::{Factors, REST, encoder, products};
use crate::knowledge::marks::Marks;
use crate::names::RESIDUAL;
use crate::nmf::{Encoder, Factor, NmfConfig, fit_with};
use crate::separate::methods::group;
use crate::separate::pipeline::{Analysis, BLOCK_FRAMES, Block, Margin, Model, Split};
use crate::separate::separation::Separation;
use crate::watch::Watch;
use crate::{Error, Result};

/// Frames that the components of a source are learned from at the most, spread evenly over the recording.
const MAX_FRAMES: usize = 2048;

/// Iterations that find the components of a source by what the knowledge gives it.
const LEARN_ITERATIONS: usize = 50;

/// Iterations of all components together, before paint: what they find on their own is not the paint's doing.
const JOINT_ITERATIONS: usize = 30;

/// Components of what no source has.
const N_REST: usize = 12;

/// A separation by other knowledge, and components that say the same.
#[derive(Debug)]
pub struct Known {
    model: Arc<dyn Model>,
    /// The source of each of its parts; `None`: of none that is known.
    parts: Vec<Option<usize>>,
    /// The sources that it does not know: they share what is of none.
    missing: Vec<usize>,
    /// The number of each source, with that of the rest.
    pub(super) ids: Vec<u32>,
    /// Components that explain what it gives to each source.
    pub(super) factors: Factors,
    encoder: Arc<Encoder>,
    is_complete: bool,
    mask_exponent: f32,
    pub(super) warnings: Vec<String>,
}

impl Known {
    /// Looks at what a separation by other knowledge, of this analysis, gives to the sources of marks: they are found by
    /// name. Sources that it does not know share what it gives to others; where it knows all, that is one more source.
    ///
    /// # Errors
    /// Those of the separation's model, [`Error::Setting`] for one in several transforms, and [`Error::Cancelled`].
    ///
    /// # Cost
    /// The separation's masks twice, and a factorization for each source.
    pub fn new(
        analysis: &Analysis,
        marks: &Marks,
        separation: &Separation,
        seed: u64,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let [stage] = &separation.stages[..] else {
            return Err(Error::Setting {
                name: "known",
                got: "a separation in several transforms".into(),
                expected: "one transform".into(),
                advice: None,
            });
        };
        let source_of = |name: &String| marks.sources.iter().position(|source| source.name == *name);
        let sources: Vec<_> = separation.names.iter().map(source_of).collect();
        let parts: Vec<_> = separation.assignment.iter().map(|source| sources[*source]).collect();
        let missing: Vec<_> = (0..marks.sources.len()).filter(|source| !sources.contains(&Some(*source))).collect();
        let mut ids: Vec<_> = marks.sources.iter().map(|source| source.id).collect();
        if missing.is_empty() && parts.contains(&None) {
            ids.push(REST);
        }
        let mut known = Self {
            model: stage.model.clone(),
            parts,
            missing,
            factors: Factors {
                dictionary: Array2::zeros((0, 0)),
                activations: Array2::zeros((0, 0)),
                source_ids: Vec::new(),
            },
            encoder: encoder(&Array2::ones((1, 1)))?,
            ids,
            is_complete: analysis.is_complete(),
            mask_exponent: stage.model.mask_exponent(),
            warnings: separation.warnings.clone(),
        };
        known.learn(analysis, marks, seed, watch)?;
        known.encoder = encoder(&known.factors.dictionary)?;
        Ok(known)
    }

    /// Finds the components.
    fn learn(&mut self, analysis: &Analysis, marks: &Marks, seed: u64, watch: &mut Watch<'_>) -> Result<()> {
        let blocks = blocks(analysis, self.model.margin());
        let stride = (blocks.len() * BLOCK_FRAMES).div_ceil(MAX_FRAMES).max(1);
        // One target for each source that is known, and one for all others.
        let n_targets = marks.sources.len() + 1;
        let mut targets: Vec<Vec<Array2<f32>>> = vec![Vec::new(); n_targets];
        for (_, block) in blocks.iter().step_by(stride) {
            for (target, share) in targets.iter_mut().zip(self.shares(block, n_targets)?) {
                target.push(share);
            }
        }
        let (mut dictionaries, mut groups): (Vec<Array2<f32>>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut encoders = Vec::new();
        let n_bins = analysis.magnitude().ncols();
        for (i, target) in targets.into_iter().enumerate() {
            let is_rest = i == marks.sources.len();
            let n_components = match (is_rest, self.missing.len()) {
                (true, 0) if self.parts.contains(&None) => N_REST,
                (true, 0) => continue,
                (true, _) => self.missing.iter().map(|source| marks.sources[*source].n_components).sum(),
                (false, _) if self.missing.contains(&i) => continue,
                (false, _) => marks.sources[i].n_components,
            };
            let views: Vec<_> = target.iter().map(|matrix| matrix.view()).collect();
            let target = concatenate(Axis(0), &views).unwrap_or_else(|_| Array2::zeros((1, n_bins)));
            let nmf = NmfConfig { n_components, max_iter: LEARN_ITERATIONS, seed, ..NmfConfig::default() };
            let mut found = fit_with(target.t(), &nmf, watch)?.complete()?;
            if found.dictionary.iter().all(|x| *x == 0.0) {
                // Nothing was given to it: any components are as good as others.
                found.dictionary.fill(1.0);
            }
            match is_rest {
                false => groups.extend(vec![i; n_components]),
                true if self.missing.is_empty() => groups.extend(vec![marks.sources.len(); n_components]),
                true => {
                    let (stft, rate) = (analysis.stft().config(), analysis.sample_rate());
                    let likeness = group::by_likeness(&found, stft, rate, Some(self.missing.len()));
                    groups.extend(likeness.into_iter().map(|group| self.missing[group]));
                }
            }
            encoders.push((i, encoder(&found.dictionary)?));
            dictionaries.push(found.dictionary);
        }
        let views: Vec<_> = dictionaries.iter().map(|matrix| matrix.view()).collect();
        let dictionary = concatenate(Axis(1), &views).expect("dictionaries of one number of bins");
        let mut activations = Array2::zeros((groups.len(), analysis.magnitude().nrows()));
        for (first_row, block) in &blocks {
            let shares = self.shares(block, n_targets)?;
            let mut first = 0;
            for (i, encoder) in &encoders {
                let found = encoder.encode(shares[*i].t())?;
                let rows = *first_row..first_row + found.ncols();
                activations.slice_mut(s![first..first + found.nrows(), rows]).assign(&found);
                first += found.nrows();
            }
        }
        let nmf = NmfConfig {
            n_components: groups.len(),
            dictionary: Factor::Seed(dictionary),
            activations: Factor::Seed(activations),
            max_iter: JOINT_ITERATIONS,
            tol: 0.0,
            ..NmfConfig::default()
        };
        let found = fit_with(analysis.magnitude().t(), &nmf, watch)?.complete()?;
        self.factors = Factors {
            dictionary: found.dictionary,
            activations: found.activations,
            source_ids: groups.iter().map(|group| self.ids[*group]).collect(),
        };
        Ok(())
    }

    /// What it gives to each source that it knows, and last to all others, in magnitudes.
    fn shares(&self, block: &Block<'_>, n_targets: usize) -> Result<Vec<Array2<f32>>> {
        let mut shares = vec![Array2::zeros(block.core().raw_dim()); n_targets];
        for (part, mask) in self.parts.iter().zip(self.masks(block)?) {
            shares[part.unwrap_or(n_targets - 1)] += &mask;
        }
        shares.iter_mut().for_each(|share| *share *= &block.core());
        Ok(shares)
    }

    fn masks(&self, block: &Block<'_>) -> Result<Vec<Array2<f32>>> {
        match self.model.split(block)? {
            Split::Masks(masks) => Ok(masks),
            Split::Images(_) | Split::Tracks(_) => {
                let (got, expected) = ((0, 0), (self.parts.len(), 1));
                Err(Error::MatrixShape { what: "the list of masks of a model", got, expected })
            }
        }
    }

    pub(super) fn margin(&self) -> Margin {
        self.model.margin()
    }

    /// The shares of all sources in a block as masks, before paint.
    pub(super) fn source_masks(&self, block: &Block<'_>) -> Result<Vec<Array2<f32>>> {
        let mut masks = vec![Array2::zeros(block.core().raw_dim()); self.ids.len()];
        let own = self.components(block)?;
        for (part, mask) in self.parts.iter().zip(self.masks(block)?) {
            match part {
                Some(source) => masks[*source] += &mask,
                None if self.missing.is_empty() => masks[self.ids.len() - 1] += &mask,
                None => self.share_out(&mask, &own, &mut masks),
            }
        }
        Ok(masks)
    }

    /// Shares out what is of no known source among those that are missing.
    fn share_out(&self, mask: &Array2<f32>, own: &[Array2<f32>], masks: &mut [Array2<f32>]) {
        if let [source] = self.missing[..] {
            masks[source] += mask;
            return;
        }
        let mut total = Array2::from_elem(mask.raw_dim(), f32::MIN_POSITIVE);
        self.missing.iter().for_each(|source| total += &own[*source]);
        for (i, source) in self.missing.iter().enumerate() {
            let equal = if i == 0 { 1.0 } else { 0.0 };
            ndarray::Zip::from(&mut masks[*source]).and(mask).and(&own[*source]).and(&total).for_each(
                |sum, mask, own, total| *sum += mask * if *total > f32::MIN_POSITIVE { own / total } else { equal },
            );
        }
    }

    /// What the components of each source have in a block, before paint.
    pub(super) fn components(&self, block: &Block<'_>) -> Result<Vec<Array2<f32>>> {
        let activations = match self.is_complete {
            true => self.factors.activations.slice(s![.., block.frames.clone()]).to_owned(),
            false => self.encoder.encode(block.core().t())?,
        };
        let place = |id: &u32| self.ids.iter().position(|other| other == id).unwrap_or_default();
        let groups: Vec<_> = self.factors.source_ids.iter().map(place).collect();
        Ok(products(self.encoder.dictionary(), &activations, &groups, self.ids.len()))
    }

    /// The shares of sources as magnitudes whose masks they are.
    pub(super) fn magnitudes(
        &self,
        masks: Vec<Array2<f32>>,
        v: ArrayView2<'_, f32>,
        exponent: f32,
    ) -> Vec<Array2<f32>> {
        let root = 1.0 / exponent;
        let mut roots: Vec<_> = masks.into_iter().map(|mask| mask.mapv_into(|x| x.powf(root))).collect();
        let mut total = Array2::from_elem(v.raw_dim(), f32::MIN_POSITIVE);
        roots.iter().for_each(|root| total += root);
        for root in &mut roots {
            ndarray::Zip::from(root).and(&total).and(v).for_each(|x, total, v| *x *= v / total);
        }
        roots
    }

    /// The number and the name of each source, and of the rest where there is one.
    pub(super) fn names(&self, marks: &Marks) -> Vec<(u32, String)> {
        let mut names: Vec<_> = marks.sources.iter().map(|source| (source.id, source.name.clone())).collect();
        if self.ids.contains(&REST) {
            let is_free = |name: &String| !names.iter().any(|(_, other)| other == name);
            let numbered = (2..).map(|i| format!("{RESIDUAL}-{i}"));
            let name = std::iter::once(RESIDUAL.to_owned()).chain(numbered).find(is_free);
            names.push((REST, name.unwrap_or_default()));
        }
        names
    }

    /// Refuses what is known of other sources than those of the marks, or was made for other masks.
    pub(super) fn check(&self, marks: &Marks, mask_exponent: f32) -> Result<()> {
        let own = self.ids.iter().filter(|id| **id != REST);
        if own.eq(marks.sources.iter().map(|source| &source.id)) && self.mask_exponent == mask_exponent {
            return Ok(());
        }
        Err(Error::Setting {
            name: "known",
            got: "what is known of other sources".into(),
            expected: "of those of the marks".into(),
            advice: None,
        })
    }
}

/// The kept frames in blocks on the renderer's grid, each with as much of a margin as was kept, and its first row.
fn blocks(analysis: &Analysis, margin: Margin) -> Vec<(usize, Block<'_>)> {
    let mut blocks = Vec::new();
    for rows in analysis.consecutive() {
        for first in rows.clone().step_by(BLOCK_FRAMES) {
            let end = rows.end.min(first + BLOCK_FRAMES);
            let (from, to) = (first.saturating_sub(margin.before).max(rows.start), (end + margin.after).min(rows.end));
            let frame = analysis.frame_idx(first);
            let magnitude = analysis.magnitude().slice_move(s![from..to, ..]);
            let frames = frame..frame + end - first;
            blocks.push((first, Block { frames, magnitude, spectra: Vec::new(), before: first - from }));
        }
    }
    blocks
}
