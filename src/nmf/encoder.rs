//! Stand-in.
#![allow(missing_docs)]
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;

use super::{Factor, NmfConfig, Solver, fit};
use crate::{Error, Result};

#[derive(Debug, Clone, Default)]
pub struct EncoderConfig {
    pub max_iter: usize,
    pub costs: Option<Array1<f32>>,
}

#[derive(Debug)]
pub struct Encoder {
    pooled: Array2<f32>,
    max_iter: usize,
}

impl Encoder {
    pub fn new(dictionary: ArrayView2<'_, f32>, config: &EncoderConfig) -> Result<Self> {
        let costs = config.costs.clone().expect("costs").insert_axis(Axis(0));
        let pooled = concatenate(Axis(0), &[dictionary, costs.view()]).expect("rows");
        Ok(Self { pooled, max_iter: config.max_iter })
    }
    pub fn n_components(&self) -> usize {
        self.pooled.ncols()
    }
    pub fn encode(&self, v: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        let n_components = self.pooled.ncols();
        let level: Array1<f32> = v.sum_axis(Axis(0)) / n_components as f32;
        let start = level.broadcast((n_components, v.ncols())).expect("one level per stack").to_owned();
        self.encode_from(v, start, self.max_iter)
    }
    pub fn encode_from(&self, v: ArrayView2<'_, f32>, start: Array2<f32>, max_iter: usize) -> Result<Array2<f32>> {
        let mut found = Array2::zeros(start.raw_dim());
        let chunks = v.axis_chunks_iter(Axis(1), 32).into_par_iter();
        let chunks = chunks.zip(start.axis_chunks_iter(Axis(1), 32).into_par_iter());
        let chunks = chunks.zip(found.axis_chunks_iter_mut(Axis(1), 32).into_par_iter());
        chunks.try_for_each(|((v, start), mut found)| {
            let v = concatenate(Axis(0), &[v, Array2::zeros((1, v.ncols())).view()]).expect("row");
            let v = v.t().as_standard_layout().to_owned().reversed_axes();
            let nmf = NmfConfig {
                n_components: self.pooled.ncols(),
                solver: Solver::Mu,
                dictionary: Factor::Fixed(self.pooled.clone()),
                activations: Factor::Seed(start.to_owned()),
                max_iter,
                tol: 0.0,
                ..NmfConfig::default()
            };
            found.assign(&fit(v.view(), &nmf)?.activations);
            Ok::<_, Error>(())
        })?;
        Ok(found)
    }
}
