//! The hot loops of NMF: V / WH, or what other divergences have in its place, and the products with W and H, without
//! ever storing WH or V / WH. Knows packed blocks of numbers only; what is free, scaled or extrapolated is decided by
//! the solvers.
//!
//! Everything works on *tiles* of 16 bins x 6 frames (8 bins in `f64`), whose twelve vectors fit the sixteen registers of
//! AVX2 beside three operands. `layout` says how V, W and H are packed into them, `tile` is the arithmetic of one, `phases`
//! the order in which they are gone through, and `simd` the instructions.
//!
//! Three loops, each with its sums in registers, do all multiplications: [`tile::product`] over k, [`tile::gather_h`]
//! over bins, [`tile::gather_w`] over frames. The quotients between them stay in the first-level cache. The divisions
//! of one tile run while the next is multiplied.

mod column;
mod element;
mod layout;
mod math;
mod peak;
mod phases;
mod simd;
mod squares;
mod sweep;
mod tile;

use std::ops::Range;

use ndarray::Array2;

pub(super) use self::layout::{
    Activations, Panels, Row, TILE, Tile, improved, lift, pack_activations, pack_columns, pack_each_column,
    pack_frames, pack_onto, unpack_frames, zero_row, zero_tile,
};
pub(super) use self::phases::{BLOCK, Scratch, tiles_per_block};
pub(super) use self::simd::{Element, Job, Lanes, Simd, wide};
pub(super) use self::squares::{SquaresStep, turn};
pub(super) use self::sweep::{BATCH, RowBatch};
pub(super) use self::tile::{Entries, Power};

use self::column::ImproveColumn;
use self::peak::MultiplyAdds;
use self::phases::{Diverge, GatherW, ImproveH, ImproveW, Multiply, OntoH, OntoW, SquaredGaps, TermsOntoH, TermsOntoW};
#[cfg(target_arch = "x86_64")]
use self::simd::avx2::Avx2;
use self::simd::portable::Portable;
use self::squares::{GramW, StepH, StepW};
use self::sweep::Sweep;

/// What [`Kernel::gather_w`] is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Those whose numerators are gathered.
    pub(super) components: Range<usize>,
    pub(super) divergence: bool,
}

impl Wanted {
    /// From the first to the last component whose template may change.
    pub(super) fn of(free: &[bool], divergence: bool) -> Self {
        let first = free.iter().position(|free| *free).unwrap_or(free.len());
        let last = free.iter().rposition(|free| *free);
        Self { components: first..last.map_or(first, |last| last + 1), divergence }
    }
}

/// The instructions to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// What every processor has.
    Portable,
}

impl Kernel {
    /// The fastest that this processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Portable
    }

    /// H <- H * (W^T (V / WH)) / (W^T 1), for as many tiles of frames as `h` has.
    ///
    /// `inverse_sums` is 1 / (W^T 1), or none for a component that stays as it is.
    pub(super) fn improve_h<T: Dispatch>(
        self,
        v: &[Tile<T>],
        w: &Panels<T>,
        inverse_sums: &[Option<T>],
        h: &mut [Activations<T>],
        scratch: &mut Scratch<T>,
    ) {
        self.run(ImproveH { v, w, inverse_sums, h, scratch });
    }

    /// W <- W * ((V / WH) H^T) / (1 H^T) for some panels, their numerators being the sum of the lists given.
    pub(super) fn improve_w<T: Dispatch>(self, numerators: &[&[Row<T>]], inverse_sums: &[Option<T>], w: &mut [Row<T>]) {
        self.run(ImproveW { numerators, inverse_sums, w });
    }

    /// [`Kernel::improve_h`] for one frame of one tile, with the same bits.
    pub(super) fn improve_column<T: Dispatch>(
        self,
        v: &[Tile<T>],
        w: &Panels<T>,
        inverse_sums: &[Option<T>],
        h: &mut [Activations<T>],
        frame: usize,
        scratch: &mut Scratch<T>,
    ) {
        self.run(ImproveColumn { v, w, inverse_sums, h, frame, scratch });
    }

    /// Adds (V / WH) H^T to the W numerators of one component or more; at most [`BLOCK`] tiles of frames at once.
    ///
    /// Returns the sum of `v ln(v / y) - v + y`, or 0 where it is not wanted.
    pub(super) fn gather_w<T: Dispatch>(
        self,
        v: &[Tile<T>],
        w: &Panels<T>,
        h: &[Activations<T>],
        numerators: &mut [Row<T>],
        wanted: &Wanted,
        scratch: &mut Scratch<T>,
    ) -> f64 {
        let components = wanted.components.clone();
        if wanted.divergence {
            self.run(GatherW::<T, true> { v, w, h, numerators, components, scratch })
        } else {
            self.run(GatherW::<T, false> { v, w, h, numerators, components, scratch })
        }
    }

    /// The sum of `v ln(v / y) - v + y`.
    pub(super) fn divergence<T: Dispatch>(self, v: &[Tile<T>], w: &Panels<T>, h: &[Activations<T>]) -> f64 {
        self.run(Diverge { v, w, h })
    }

    /// WH, lifted by at least EPS, for as many tiles of frames as `h` has.
    pub(super) fn multiply<T: Dispatch>(self, w: &Panels<T>, h: &[Activations<T>], lift: T, out: &mut [Tile<T>]) {
        self.run(Multiply { w, h, lift, out });
    }

    /// The sum of the squares of the differences of two lists of tiles.
    pub(super) fn squared_gaps<T: Dispatch>(self, a: &[Tile<T>], b: &[Tile<T>]) -> f64 {
        self.run(SquaredGaps { a, b })
    }

    /// W^T X, for as many tiles of frames as `out` has.
    pub(super) fn gather_onto_h<T: Dispatch>(self, w: &Panels<T>, x: &[Tile<T>], out: &mut [Activations<T>]) {
        self.run(OntoH { w, x, out });
    }

    /// Adds X H^T to `out`, packed as W is; at most [`BLOCK`] tiles of frames at once.
    pub(super) fn gather_onto_w<T: Dispatch>(
        self,
        x: &[Tile<T>],
        h: &[Activations<T>],
        n_components: usize,
        out: &mut [Row<T>],
    ) {
        self.run(OntoW { x, h, n_components, out });
    }

    /// W^T (V y^(beta - 2)) and W^T y^(beta - 1) with y = WH, for as many tiles of frames as `h` has; the second only
    /// where there is room for it.
    pub(super) fn terms_onto_h<T: Dispatch>(
        self,
        entries: Entries<'_, T>,
        w: &Panels<T>,
        h: &[Activations<T>],
        numerators: &mut [Activations<T>],
        denominators: &mut [Activations<T>],
    ) {
        self.run(TermsOntoH { entries, w, h, numerators, denominators });
    }

    /// Adds (V y^(beta - 2)) H^T and y^(beta - 1) H^T with y = WH to sums packed as W is, the second only where there
    /// is room for it; at most [`BLOCK`] tiles of frames at once.
    pub(super) fn terms_onto_w<T: Dispatch>(
        self,
        entries: Entries<'_, T>,
        w: &Panels<T>,
        h: &[Activations<T>],
        numerators: &mut [Row<T>],
        denominators: &mut [Row<T>],
    ) {
        self.run(TermsOntoW { entries, w, h, numerators, denominators });
    }

    /// One pass over some entries of rows of X, each in turn to the minimum of `1/2 x G x^T - c x^T`. Returns the sum of
    /// the absolute projected gradients of each row.
    pub(super) fn sweep<T: Dispatch>(
        self,
        gram: &Array2<f64>,
        order: &[usize],
        targets: &[RowBatch],
        x: &mut [RowBatch],
    ) -> RowBatch {
        self.run::<T, _>(Sweep { gram, order, targets, x })
    }

    /// W <- W * (V H^T) / (W H H^T), from the numerators and H H^T.
    pub(super) fn squares_step_w<T: Dispatch>(
        self,
        numerators: &[Row<T>],
        gram: &[Activations<T>],
        step: SquaresStep<'_, T>,
        w: &mut [Row<T>],
    ) {
        self.run(StepW { numerators, gram, step, w });
    }

    /// H <- H * (W^T V) / (W^T W H), from W^T W, for as many tiles of frames as `h` has; `turned` is H as [`turn`] gives it.
    pub(super) fn squares_step_h<T: Dispatch>(
        self,
        v: &[Tile<T>],
        w: &Panels<T>,
        gram: &Panels<T>,
        step: SquaresStep<'_, T>,
        h: &mut [Activations<T>],
        turned: &mut [Tile<T>],
    ) {
        self.run(StepH { v, w, gram, step, h, turned });
    }

    /// W^T W over some panels, as activations.
    pub(super) fn gram_w<T: Dispatch>(self, w: &[Row<T>], n_components: usize) -> Vec<Activations<T>> {
        self.run(GramW { w, n_components })
    }

    /// `n` times twelve independent multiply-adds of whole vectors: what the processor can do at best.
    pub(super) fn multiply_adds(self, n: usize) -> f32 {
        self.run(MultiplyAdds { n })
    }

    pub(super) fn run<T: Dispatch, J: Job<T>>(self, job: J) -> J::Output {
        T::run(self, job)
    }
}

/// A number for which every instruction set has vectors.
pub(super) trait Dispatch: Element {
    fn run<J: Job<Self>>(kernel: Kernel, job: J) -> J::Output;
}

macro_rules! dispatch {
    ($T:ty) => {
        impl Dispatch for $T {
            fn run<J: Job<Self>>(kernel: Kernel, job: J) -> J::Output {
                match kernel {
                    #[cfg(target_arch = "x86_64")]
                    Kernel::Avx2(avx2) => avx2.run(job),
                    Kernel::Portable => job.run(Portable),
                }
            }
        }
    };
}

dispatch!(f32);
dispatch!(f64);

/// Plain loops of other modules, worth being compiled for wide vectors. `run` is to be `#[inline(always)]`, as it is then
/// compiled once for each kind; the bits are the same, as nothing is fused that is not written so.
pub(crate) trait Loops {
    type Output;
    fn run(self) -> Self::Output;
}

/// Runs loops with the widest vectors that this processor has.
pub(crate) fn widest<L: Loops>(loops: L) -> L::Output {
    struct Plain<L>(L);
    impl<L: Loops> Job<f32> for Plain<L> {
        type Output = L::Output;

        #[inline(always)]
        fn run<S: Simd<f32>>(self, _: S) -> L::Output {
            self.0.run()
        }
    }
    Kernel::detect().run::<f32, _>(Plain(loops))
}
