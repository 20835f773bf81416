//! One iteration in parts, for benches/kernel.rs only.

use ndarray::ArrayView2;

use super::driver::Solve;
use super::kernel::Kernel;
use super::multiplicative::{Columns, Multiplicative};
use super::{NmfConfig, init};

/// Alternating iterations on one matrix.
#[derive(Debug)]
pub struct Iterations<'v>(Multiplicative<'v, f32>);

impl<'v> Iterations<'v> {
    /// With the fastest instructions of this processor, or with those that every processor has.
    pub fn new(v: ArrayView2<'v, f32>, n_components: usize, is_portable: bool) -> Self {
        let factors = init::factors(v, &NmfConfig { n_components, ..NmfConfig::default() });
        let free = (vec![true; n_components], vec![true; n_components]);
        let mut solve = Multiplicative::new(kernel(is_portable), Columns::Matrix(v), 1.0, factors, free, false, None);
        solve.check();
        Self(solve)
    }

    /// One complete iteration, in parts: `timed` is to run each, and is told its number.
    ///
    /// The first is W's update, the others are what belongs to one chunk of frames each: its H, and its share of
    /// the next W's numerators.
    pub fn run(&mut self, timed: &mut dyn FnMut(usize, &mut dyn FnMut())) {
        let solve = &mut self.0;
        timed(0, &mut || {
            solve.improve_w();
            solve.plan(true, false);
        });
        let (pass, chunks) = solve.plan(true, false);
        for (i, chunk) in chunks.iter_mut().enumerate() {
            timed(1 + i, &mut || {
                pass.over(chunk);
            });
        }
    }
}

/// Does 96 `n` multiply-adds, as fast as it can be done.
pub fn multiply_adds(n: usize) -> f32 {
    Kernel::detect().multiply_adds(n)
}

fn kernel(is_portable: bool) -> Kernel {
    if is_portable { Kernel::Portable } else { Kernel::detect() }
}
