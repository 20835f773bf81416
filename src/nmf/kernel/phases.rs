//! The phases of the multiplicative updates: what is done to each tile of V, in which order, so that most of what they
//! read is in a near cache. The arithmetic of one tile is in `tile`.

use std::ops::Range;

use super::layout::{Activations, Panels, Row, TILE, Tile, improved, zero_tile};
use super::simd::{Element, Job, Lanes, Simd, wide};
use super::tile::{
    Entries, diverge, divide, gather_all_h, gather_all_w, gather_some_w, lifted_product, product, store_sums, terms,
};

/// Bytes of W that stay near: W is swept twice per H phase; sized to stay in L2.
const NEAR_BYTES: usize = 144 << 10;
/// Panels that the H phase goes over twice, at the most: their quotients take half of the first-level cache.
const MAX_NEAR: usize = 36;
/// Panels that the H phase of the general terms goes over twice, at the most: each has two tiles of terms.
const MAX_NEAR_TERMS: usize = 16;
/// Tiles from the one at work to the one that is fetched meanwhile, in the H phase: 400 to 6000 cycles.
const PREFETCH: usize = 6;
/// Tiles to do the H phase, then the W phase on, at the most.
pub(in crate::nmf) const BLOCK: usize = 14;
/// Bytes of V to do the H phase, then the W phase on: the second time, they come from the second-level cache.
const BLOCK_BYTES: usize = 360 << 10;
/// Tiles for which W and its numerators are read at the least, even if V then comes from further away.
const MIN_BLOCK: usize = 8;

/// Tiles to do the H phase, then the W phase on, so that blocks are as equal as can be.
pub(in crate::nmf) fn tiles_per_block<T: Element>(n_panels: usize, n_tiles: usize) -> usize {
    parts(n_tiles, (BLOCK_BYTES / (n_panels.max(1) * size_of::<Tile<T>>())).clamp(MIN_BLOCK, BLOCK))
}

/// Panels that the H phase goes over twice: few components are done sooner than V comes from memory, of which it gets
/// less the longer nothing is asked for.
pub(super) fn near_panels<T: Element>(n_components: usize, n_panels: usize) -> usize {
    let most = (NEAR_BYTES / (n_components * size_of::<Row<T>>())).min(2 * n_components);
    parts(n_panels, most.clamp(6, MAX_NEAR))
}

/// The length of parts of `n` things, as equal as can be, none longer than `most`.
fn parts(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most).max(1)).max(1)
}

/// Working space of one thread.
#[derive(Debug, Clone)]
pub(in crate::nmf) struct Scratch<T: Element = f32> {
    pub(super) quotients: Vec<Tile<T>>,
    /// H numerators of one tile, eight partial sums each.
    pub(super) numerators: Vec<[Lanes<T>; TILE]>,
}

impl<T: Element> Scratch<T> {
    pub(in crate::nmf) fn new(n_components: usize) -> Self {
        Self {
            quotients: vec![zero_tile(); MAX_NEAR.max(BLOCK)],
            numerators: vec![[Lanes::default(); TILE]; n_components],
        }
    }
}

pub(super) struct ImproveH<'a, T: Element> {
    pub(super) v: &'a [Tile<T>],
    pub(super) w: &'a Panels<T>,
    pub(super) inverse_sums: &'a [Option<T>],
    pub(super) h: &'a mut [Activations<T>],
    pub(super) scratch: &'a mut Scratch<T>,
}

impl<T: Element> Job<T> for ImproveH<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let n_components = self.w.n_components;
        let n_panels = self.w.rows.len() / n_components;
        let Scratch { quotients, numerators } = self.scratch;
        if n_panels == 0 {
            return;
        }
        let n_near = near_panels::<T>(n_components, n_panels);
        let mut ahead = self.v.iter().skip(PREFETCH);
        for (v, h) in self.v.chunks_exact(n_panels).zip(self.h.chunks_exact_mut(n_components)) {
            numerators.fill([Lanes::default(); TILE]);
            for (v, w) in v.chunks(n_near).zip(self.w.rows.chunks(n_near * n_components)) {
                for (i, (v, quotient)) in v.iter().zip(quotients.iter_mut()).enumerate() {
                    if let Some(v) = ahead.next() {
                        v.iter().for_each(|row| s.prefetch(row));
                    }
                    divide(s, v, product(s, &w[i * n_components..][..n_components], h), quotient);
                }
                gather_all_h(s, w, &quotients[..v.len()], numerators);
            }
            for ((h, numerators), inverse) in h.iter_mut().zip(numerators.iter()).zip(self.inverse_sums) {
                if let Some(inverse) = inverse {
                    for (h, numerator) in h.iter_mut().zip(numerators) {
                        *h = improved(*h, s.sum(s.load(numerator)) * *inverse);
                    }
                }
            }
        }
    }
}

pub(super) struct ImproveW<'a, T: Element> {
    pub(super) numerators: &'a [&'a [Row<T>]],
    pub(super) inverse_sums: &'a [Option<T>],
    pub(super) w: &'a mut [Row<T>],
}

impl<T: Element> Job<T> for ImproveW<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let of_components = self.inverse_sums.iter().cycle();
        for (i, (row, inverse)) in self.w.iter_mut().zip(of_components).enumerate() {
            let Some(inverse) = inverse else { continue };
            for half in 0..2 {
                let mut sum = s.splat(T::of(0.0));
                for part in self.numerators {
                    sum = s.add(sum, s.load(&part[i][half]));
                }
                let mut gain = Lanes::default();
                s.store(s.mul(sum, s.splat(*inverse)), &mut gain);
                for (w, gain) in row[half].iter_mut().zip(gain.iter()) {
                    *w = improved(*w, *gain);
                }
            }
        }
    }
}

pub(super) struct GatherW<'a, T: Element, const DIVERGENCE: bool> {
    pub(super) v: &'a [Tile<T>],
    pub(super) w: &'a Panels<T>,
    pub(super) h: &'a [Activations<T>],
    pub(super) numerators: &'a mut [Row<T>],
    pub(super) components: Range<usize>,
    pub(super) scratch: &'a mut Scratch<T>,
}

impl<T: Element, const DIVERGENCE: bool> Job<T> for GatherW<'_, T, DIVERGENCE> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> f64 {
        let n_components = self.w.n_components;
        let n_panels = self.w.rows.len() / n_components;
        let n_tiles = self.h.len() / n_components;
        let quotients = &mut self.scratch.quotients[..n_tiles];
        let panels = self.w.rows.chunks_exact(n_components).zip(self.numerators.chunks_exact_mut(n_components));
        let mut total = 0.0;
        for (panel_idx, (panel, numerators)) in panels.enumerate() {
            for (i, quotient) in quotients.iter_mut().enumerate() {
                let v = &self.v[i * n_panels + panel_idx];
                if let Some(v) = self.v.get(i * n_panels + panel_idx + 1) {
                    v.iter().for_each(|row| s.prefetch(row));
                }
                let y = product(s, panel, &self.h[i * n_components..][..n_components]);
                divide(s, v, y, quotient);
                if DIVERGENCE {
                    total += diverge(s, v, y, quotient);
                }
            }
            gather_some_w(s, quotients.iter(), self.h, self.components.clone(), numerators);
        }
        total
    }
}

pub(super) struct Diverge<'a, T: Element> {
    pub(super) v: &'a [Tile<T>],
    pub(super) w: &'a Panels<T>,
    pub(super) h: &'a [Activations<T>],
}

impl<T: Element> Job<T> for Diverge<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> f64 {
        let n_components = self.w.n_components;
        let n_panels = self.w.rows.len() / n_components;
        let mut total = 0.0;
        let mut quotient = zero_tile();
        for (v, h) in self.v.chunks_exact(n_panels.max(1)).zip(self.h.chunks_exact(n_components)) {
            for (v, panel) in v.iter().zip(self.w.rows.chunks_exact(n_components)) {
                let y = product(s, panel, h);
                divide(s, v, y, &mut quotient);
                total += diverge(s, v, y, &quotient);
            }
        }
        total
    }
}

pub(super) struct Multiply<'a, T: Element> {
    pub(super) w: &'a Panels<T>,
    pub(super) h: &'a [Activations<T>],
    pub(super) lift: T,
    pub(super) out: &'a mut [Tile<T>],
}

impl<T: Element> Job<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let n_components = self.w.n_components;
        let n_panels = self.w.rows.len() / n_components;
        for (out, h) in self.out.chunks_exact_mut(n_panels.max(1)).zip(self.h.chunks_exact(n_components)) {
            for (out, panel) in out.iter_mut().zip(self.w.rows.chunks_exact(n_components)) {
                let y = lifted_product(s, self.lift, panel, h);
                for f in 0..TILE {
                    s.store(y[f][0], &mut out[f][0]);
                    s.store(y[f][1], &mut out[f][1]);
                }
            }
        }
    }
}

/// The sum of the squares of differences, in f64.
pub(super) struct SquaredGaps<'a, T: Element> {
    pub(super) a: &'a [Tile<T>],
    pub(super) b: &'a [Tile<T>],
}

impl<T: Element> Job<T> for SquaredGaps<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) -> f64 {
        let mut sums = [0.0; 8];
        let (a, b) = (self.a.as_flattened().as_flattened(), self.b.as_flattened().as_flattened());
        for (a, b) in a.iter().zip(b) {
            for i in 0..T::LANES {
                let gap = wide(a[i]) - wide(b[i]);
                sums[i] += gap * gap;
            }
        }
        sums.iter().sum()
    }
}

pub(super) struct OntoH<'a, T: Element> {
    pub(super) w: &'a Panels<T>,
    pub(super) x: &'a [Tile<T>],
    pub(super) out: &'a mut [Activations<T>],
}

impl<T: Element> Job<T> for OntoH<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let n_components = self.w.n_components;
        let n_panels = (self.w.rows.len() / n_components).max(1);
        let n_near = near_panels::<T>(n_components, n_panels);
        let mut sums = vec![[Lanes::default(); TILE]; n_components];
        for (x, out) in self.x.chunks_exact(n_panels).zip(self.out.chunks_exact_mut(n_components)) {
            sums.fill([Lanes::default(); TILE]);
            for (x, w) in x.chunks(n_near).zip(self.w.rows.chunks(n_near * n_components)) {
                gather_all_h(s, w, x, &mut sums);
            }
            store_sums(s, &sums, out);
        }
    }
}

pub(super) struct OntoW<'a, T: Element> {
    pub(super) x: &'a [Tile<T>],
    pub(super) h: &'a [Activations<T>],
    pub(super) n_components: usize,
    pub(super) out: &'a mut [Row<T>],
}

impl<T: Element> Job<T> for OntoW<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let n_components = self.n_components;
        let n_panels = self.out.len() / n_components;
        for (i, out) in self.out.chunks_exact_mut(n_components).enumerate() {
            gather_all_w(s, self.x[i..].iter().step_by(n_panels), self.h, out);
        }
    }
}

pub(super) struct TermsOntoH<'a, T: Element> {
    pub(super) entries: Entries<'a, T>,
    pub(super) w: &'a Panels<T>,
    pub(super) h: &'a [Activations<T>],
    pub(super) numerators: &'a mut [Activations<T>],
    pub(super) denominators: &'a mut [Activations<T>],
}

impl<T: Element> Job<T> for TermsOntoH<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { entries, w, h, numerators, denominators } = self;
        let n_components = w.n_components;
        let n_panels = w.rows.len() / n_components;
        let n_near = near_panels::<T>(n_components, n_panels).min(MAX_NEAR_TERMS);
        let (mut near_n, mut near_d) = ([zero_tile(); MAX_NEAR_TERMS], [zero_tile(); MAX_NEAR_TERMS]);
        let mut sums_n = vec![[Lanes::default(); TILE]; n_components];
        let mut sums_d = sums_n.clone();
        let mut denominators = denominators.chunks_exact_mut(n_components);
        for (frames, (h, numerators)) in
            h.chunks_exact(n_components).zip(numerators.chunks_exact_mut(n_components)).enumerate()
        {
            let denominators = denominators.next();
            sums_n.fill([Lanes::default(); TILE]);
            sums_d.fill([Lanes::default(); TILE]);
            let mut tiles = frames * n_panels..;
            for w in w.rows.chunks(n_near * n_components) {
                let n_tiles = w.len() / n_components;
                for ((panel, tile), (n, d)) in
                    w.chunks_exact(n_components).zip(&mut tiles).zip(near_n.iter_mut().zip(&mut near_d))
                {
                    terms(s, entries, tile, lifted_product(s, entries.lift, panel, h), n, d);
                }
                gather_all_h(s, w, &near_n[..n_tiles], &mut sums_n);
                if denominators.is_some() {
                    gather_all_h(s, w, &near_d[..n_tiles], &mut sums_d);
                }
            }
            store_sums(s, &sums_n, numerators);
            if let Some(denominators) = denominators {
                store_sums(s, &sums_d, denominators);
            }
        }
    }
}

pub(super) struct TermsOntoW<'a, T: Element> {
    pub(super) entries: Entries<'a, T>,
    pub(super) w: &'a Panels<T>,
    pub(super) h: &'a [Activations<T>],
    pub(super) numerators: &'a mut [Row<T>],
    pub(super) denominators: &'a mut [Row<T>],
}

impl<T: Element> Job<T> for TermsOntoW<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { entries, w, h, numerators, denominators } = self;
        let n_components = w.n_components;
        let n_panels = w.rows.len() / n_components;
        let n_tiles = (h.len() / n_components).min(BLOCK);
        let (mut near_n, mut near_d) = ([zero_tile(); BLOCK], [zero_tile(); BLOCK]);
        let mut denominators = denominators.chunks_exact_mut(n_components);
        let panels = w.rows.chunks_exact(n_components).zip(numerators.chunks_exact_mut(n_components));
        for (panel_idx, (panel, numerators)) in panels.enumerate() {
            let tiles = (panel_idx..).step_by(n_panels);
            for ((h, tile), (n, d)) in h.chunks_exact(n_components).zip(tiles).zip(near_n.iter_mut().zip(&mut near_d)) {
                terms(s, entries, tile, lifted_product(s, entries.lift, panel, h), n, d);
            }
            gather_all_w(s, near_n[..n_tiles].iter(), h, numerators);
            if let Some(denominators) = denominators.next() {
                gather_all_w(s, near_d[..n_tiles].iter(), h, denominators);
            }
        }
    }
}
