//! The multiplicative steps of the Euclidean divergence over packed factors: V is met once in each, and W H nowhere.
//!
//! The denominators are products with the K x K matrices W^T W and H H^T. Both lie as what they are multiplied with asks:
//! as activations for W, as panels for H. H is held a second time, turned: as V lies, its components in place of the bins.

use super::layout::{Activations, Panels, Row, TILE, Tile, zero_row, zero_tile};
use super::phases::near_panels;
use super::simd::{Element, Job, Lanes, Simd};
use super::tile::{gather_all_h, lifted_product, store_sums};

/// What a step does beside the two products: denominators are raised by `l1 + l2 x`, what falls below `flush` is 0.
#[derive(Debug, Clone, Copy)]
pub(in crate::nmf) struct SquaresStep<'a, T: Element> {
    /// Which components may change.
    pub(in crate::nmf) free: &'a [bool],
    pub(in crate::nmf) l1: T,
    pub(in crate::nmf) l2: T,
    pub(in crate::nmf) flush: T,
}

impl<T: Element> SquaresStep<'_, T> {
    /// x numerator / (denominator + l1 + l2 x)
    #[inline(always)]
    fn stepped<S: Simd<T>>(&self, s: S, x: &Lanes<T>, numerator: &Lanes<T>, denominator: S::V) -> Lanes<T> {
        let costs = s.mul_add(s.splat(self.l2), s.load(x), s.splat(self.l1));
        let denominator = s.max(s.add(denominator, costs), s.splat(T::TINY));
        let mut ratio = Lanes::default();
        s.store(s.div(s.load(numerator), denominator), &mut ratio);
        let mut next = Lanes::default();
        for i in 0..T::LANES {
            let x = (x[i] * ratio[i].min(T::CEILING)).min(T::CEILING);
            next[i] = if x < self.flush { T::of(0.0) } else { x };
        }
        next
    }
}

/// W <- W * (V H^T) / (W H H^T), for some panels.
pub(super) struct StepW<'a, T: Element> {
    /// V H^T.
    pub(super) numerators: &'a [Row<T>],
    /// H H^T.
    pub(super) gram: &'a [Activations<T>],
    pub(super) step: SquaresStep<'a, T>,
    pub(super) w: &'a mut [Row<T>],
}

impl<T: Element> Job<T> for StepW<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let n_components = self.step.free.len();
        let mut next = vec![zero_row(); n_components];
        for (panel, numerators) in self.w.chunks_exact_mut(n_components).zip(self.numerators.chunks_exact(n_components))
        {
            for (group, gram) in self.gram.chunks_exact(n_components).enumerate() {
                let denominators = lifted_product(s, T::of(0.0), panel, gram);
                for (c, denominators) in denominators.iter().enumerate().take(n_components - group * TILE) {
                    let k = group * TILE + c;
                    for half in 0..2 {
                        let (x, n) = (&panel[k][half], &numerators[k][half]);
                        next[k][half] =
                            if self.step.free[k] { self.step.stepped(s, x, n, denominators[half]) } else { *x };
                    }
                }
            }
            panel.copy_from_slice(&next);
        }
    }
}

/// H <- H * (W^T V) / (W^T W H), for some tiles of frames.
pub(super) struct StepH<'a, T: Element> {
    pub(super) v: &'a [Tile<T>],
    pub(super) w: &'a Panels<T>,
    /// W^T W.
    pub(super) gram: &'a Panels<T>,
    pub(super) step: SquaresStep<'a, T>,
    pub(super) h: &'a mut [Activations<T>],
    pub(super) turned: &'a mut [Tile<T>],
}

impl<T: Element> Job<T> for StepH<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let n_components = self.w.n_components;
        let n_panels = (self.w.rows.len() / n_components).max(1);
        let n_near = near_panels::<T>(n_components, n_panels);
        let mut sums = vec![[Lanes::default(); TILE]; n_components];
        let mut numerators = vec![zero_tile::<T>(); n_components.div_ceil(T::PANEL)];
        // V is too long for the near caches: the tiles after those at work are fetched meanwhile.
        let mut ahead = self.v.iter().skip(n_near);
        let tiles = self.h.chunks_exact_mut(n_components).zip(self.turned.chunks_exact_mut(numerators.len()));
        for (v, (h, turned)) in self.v.chunks_exact(n_panels).zip(tiles) {
            sums.fill([Lanes::default(); TILE]);
            for (v, w) in v.chunks(n_near).zip(self.w.rows.chunks(n_near * n_components)) {
                ahead.by_ref().take(v.len()).flatten().for_each(|row| s.prefetch(row));
                gather_all_h(s, w, v, &mut sums);
            }
            for (numerators, sums) in numerators.iter_mut().zip(sums.chunks(T::PANEL)) {
                for (k, sums) in sums.iter().enumerate() {
                    for f in 0..TILE {
                        numerators[f][k / T::LANES][k % T::LANES] = s.sum(s.load(&sums[f]));
                    }
                }
            }
            for (i, (turned, gram)) in turned.iter_mut().zip(self.gram.rows.chunks_exact(n_components)).enumerate() {
                let denominators = lifted_product(s, T::of(0.0), gram, h);
                for f in 0..TILE {
                    for half in 0..2 {
                        let x = &mut turned[f][half];
                        let better = self.step.stepped(s, x, &numerators[i][f][half], denominators[f][half]);
                        let first = i * T::PANEL + half * T::LANES;
                        for (lane, (x, free)) in x.iter_mut().zip(self.step.free.iter().skip(first)).enumerate() {
                            *x = if *free { better[lane] } else { *x };
                        }
                    }
                }
            }
            turn_back(turned, h);
        }
    }
}

/// What was turned, as activations.
#[inline(always)]
fn turn_back<T: Element>(turned: &[Tile<T>], h: &mut [Activations<T>]) {
    for (h, tile) in h.chunks_mut(T::PANEL).zip(turned) {
        for (k, h) in h.iter_mut().enumerate() {
            for f in 0..TILE {
                h[f] = tile[f][k / T::LANES][k % T::LANES];
            }
        }
    }
}

/// Activations of some frames, turned.
pub(in crate::nmf) fn turn<T: Element>(h: &[Activations<T>], n_components: usize, turned: &mut [Tile<T>]) {
    let per_tile = n_components.div_ceil(T::PANEL);
    for (h, tiles) in h.chunks_exact(n_components).zip(turned.chunks_exact_mut(per_tile)) {
        for (h, tile) in h.chunks(T::PANEL).zip(tiles) {
            for (k, h) in h.iter().enumerate() {
                for f in 0..TILE {
                    tile[f][k / T::LANES][k % T::LANES] = h[f];
                }
            }
        }
    }
}

/// W^T W over some panels, as activations.
pub(super) struct GramW<'a, T: Element> {
    pub(super) w: &'a [Row<T>],
    pub(super) n_components: usize,
}

impl<T: Element> Job<T> for GramW<'_, T> {
    type Output = Vec<Activations<T>>;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> Self::Output {
        let n_components = self.n_components;
        let n_near = near_panels::<T>(n_components, self.w.len() / n_components);
        let mut gram = vec![[T::of(0.0); TILE]; n_components.div_ceil(TILE) * n_components];
        let mut tiles = vec![zero_tile(); n_near];
        let mut sums = vec![[Lanes::default(); TILE]; n_components];
        for (group, gram) in gram.chunks_exact_mut(n_components).enumerate() {
            sums.fill([Lanes::default(); TILE]);
            let here = group * TILE..n_components.min((group + 1) * TILE);
            tiles.fill(zero_tile());
            for w in self.w.chunks(n_near * n_components) {
                let panels = w.chunks_exact(n_components);
                let n_panels = panels.len();
                panels
                    .zip(&mut tiles)
                    .for_each(|(panel, tile)| tile[..here.len()].copy_from_slice(&panel[here.clone()]));
                gather_all_h(s, w, &tiles[..n_panels], &mut sums);
            }
            store_sums(s, &sums, gram);
        }
        gram
    }
}
