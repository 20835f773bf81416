//! A matrix in a graphics processor's memory, in as many buffers as the device wants.

use ndarray::{ArrayView2, ArrayViewMut2, Zip, s};
use rayon::prelude::*;

use super::device::Gpu;
use super::shape::{Shape, TILE};
use crate::Result;
use crate::error::GpuTrouble;
use crate::nmf::NmfConfig;
use crate::nmf::scales::power_of_two;

/// Bytes that go to the device at a time.
const WRITE_BYTES: usize = 16 << 20;

/// A matrix on a graphics processor, there for any number of fits.
#[derive(Debug)]
pub struct GpuMatrix<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) v: ArrayView2<'a, f32>,
    pub(super) mean: f64,
    pub(super) shape: Shape,
    pub(super) blocks: Vec<Block>,
}

/// Some entries of the longer axis of V, `[long][short]`, on the scale inside.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) v: wgpu::Buffer,
    /// Its first tile.
    pub(super) first: usize,
    pub(super) tiles: usize,
}

impl Gpu {
    /// Copies a non-negative matrix to the device.
    ///
    /// # Errors
    /// [`crate::Error::MatrixEntry`] for a negative, NaN or infinite entry, [`crate::Error::Gpu`] where the device has
    /// not enough memory, or fails.
    ///
    /// # Cost
    /// As much of the device's memory as `v` takes, with both sides padded to 64; 16 MiB here.
    pub fn load<'a>(&'a self, v: ArrayView2<'a, f32>) -> Result<GpuMatrix<'a>> {
        NmfConfig::default().check(v)?;
        let shape = Shape::new(v.dim());
        let too_small = |device| GpuTrouble::Buffers {
            device,
            buffer_bytes: self.buffer_bytes,
            what: format!("{} x {} entries", shape.long_part * TILE, shape.short),
        };
        let sizes = shape.blocks(self.buffer_bytes).ok_or_else(|| self.trouble(too_small))?;
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / (v.len().max(1) as f64);
        let (mut blocks, mut first) = (Vec::with_capacity(sizes.len()), 0);
        for tiles in sizes {
            let buffer = self.buffer(tiles * TILE * shape.short_padded())?;
            blocks.push(Block { v: buffer, first, tiles });
            first += tiles;
        }
        let matrix = GpuMatrix { gpu: self, v, mean, shape, blocks };
        matrix.blocks.iter().try_for_each(|block| matrix.upload(block))?;
        Ok(matrix)
    }
}

impl GpuMatrix<'_> {
    /// By which V is multiplied inside.
    pub(super) fn scale(&self) -> f64 {
        1.0 / power_of_two(self.mean)
    }

    fn upload(&self, block: &Block) -> Result<()> {
        let (scale, width) = (self.scale(), self.shape.short_padded());
        let v = if self.shape.rows_are_long { self.v } else { self.v.reversed_axes() };
        let at_a_time = (WRITE_BYTES / (4 * TILE * width)).max(1);
        let mut numbers = Vec::new();
        for from in (0..block.tiles).step_by(at_a_time) {
            let n_tiles = at_a_time.min(block.tiles - from);
            numbers.clear();
            numbers.resize(n_tiles * TILE * width, 0.0f32);
            numbers.par_chunks_exact_mut(TILE * width).enumerate().for_each(|(tile, numbers)| {
                let first = ((block.first + from + tile) * TILE).min(v.nrows());
                let part = v.slice(s![first..(first + TILE).min(v.nrows()), ..]);
                let all = ArrayViewMut2::from_shape((TILE, width), numbers).expect("a chunk is a tile of whole rows");
                let mut all = all;
                Zip::from(all.slice_mut(s![..part.nrows(), ..part.ncols()]))
                    .and(part)
                    .for_each(|to, &x| *to = (f64::from(x) * scale) as f32);
            });
            self.gpu.write(&block.v, from * TILE * width, &numbers)?;
            // What is written waits in memory of its own until something is submitted.
            self.gpu.guarded(0, || self.gpu.queue.submit([]))?;
            self.gpu.wait()?;
        }
        Ok(())
    }
}
