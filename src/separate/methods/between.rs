//! Two models of the same parts, and masks between theirs.

use std::sync::Arc;

use ndarray::{Array2, Zip, s};

use crate::Result;
use crate::separate::pipeline::{Block, Margin, Model, Split, mask};

/// Masks between those of two models of the same parts.
#[derive(Debug)]
pub(super) struct Between {
    pub(super) one: Arc<dyn Model>,
    pub(super) other: Arc<dyn Model>,
    /// The part of the other that each part of the one belongs to, where those are not the same: its parts share it as the
    /// one says, and parts that are beyond this list have none of it.
    pub(super) sources: Option<Vec<usize>>,
    /// What those of the other count for in each part of the one, 0 to 1.
    pub(super) weights: Vec<f32>,
}

impl Between {
    /// A block with this much of its margin.
    fn within<'a>(block: &'a Block<'_>, margin: Margin) -> Block<'a> {
        let first = block.before - block.before.min(margin.before);
        let end = (block.before + block.frames.len() + margin.after).min(block.magnitude.nrows());
        Block {
            frames: block.frames.clone(),
            magnitude: block.magnitude.slice(s![first..end, ..]),
            spectra: block.spectra.iter().map(|spectrum| spectrum.slice_move(s![first..end, ..])).collect(),
            before: block.before - first,
        }
    }

    /// The masks of both, for each part of the one. None where either has images: no method in one transform gives these
    /// before places are looked for.
    pub(super) fn masks(&self, block: &Block<'_>) -> Result<Option<[Vec<Array2<f32>>; 2]>> {
        let one = self.one.split(&Self::within(block, self.one.margin()))?;
        let other = self.other.split(&Self::within(block, self.other.margin()))?;
        let (Split::Masks(masks), Split::Masks(others)) = (one, other) else { return Ok(None) };
        let others = match &self.sources {
            Some(sources) => shared_out(&masks, others, sources),
            None => others,
        };
        Ok(Some([masks, others]))
    }
}

impl Model for Between {
    fn n_parts(&self) -> usize {
        self.one.n_parts()
    }

    fn margin(&self) -> Margin {
        let (one, other) = (self.one.margin(), self.other.margin());
        Margin { before: one.before.max(other.before), after: one.after.max(other.after) }
    }

    fn mask_exponent(&self) -> f32 {
        self.one.mask_exponent()
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let Some([mut masks, others]) = self.masks(block)? else {
            return self.one.split(&Self::within(block, self.one.margin()));
        };
        for ((mask, other), weight) in masks.iter_mut().zip(&others).zip(&self.weights) {
            mask.zip_mut_with(other, |x, other| *x += weight * (other - *x));
        }
        if self.weights.windows(2).any(|pair| pair[0] != pair[1]) {
            mask::wiener(&mut masks, 1.0);
        }
        Ok(Split::Masks(masks))
    }
}

/// Masks of sources, shared out among the parts that belong to each as their own masks say.
fn shared_out(masks: &[Array2<f32>], others: Vec<Array2<f32>>, sources: &[usize]) -> Vec<Array2<f32>> {
    let mut sums: Vec<Array2<f32>> = others.iter().map(|other| Array2::zeros(other.raw_dim())).collect();
    let mut counts = vec![0; others.len()];
    for (mask, source) in masks.iter().zip(sources) {
        sums[*source] += mask;
        counts[*source] += 1;
    }
    let share = |(mask, source): (&Array2<f32>, &usize)| {
        let n = counts[*source] as f32;
        let mut own = others[*source].clone();
        if counts[*source] > 1 {
            Zip::from(&mut own).and(mask).and(&sums[*source]).for_each(|x, mask, sum| {
                *x *= if *sum > 0.0 { mask / sum } else { 1.0 / n };
            });
        }
        own
    };
    let mut shared: Vec<_> = masks.iter().zip(sources).map(share).collect();
    shared.resize(masks.len(), Array2::zeros(masks[0].raw_dim()));
    shared
}
