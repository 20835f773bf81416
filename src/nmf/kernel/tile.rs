//! The arithmetic of one tile: its model, its quotients and its share of the numerators, all sums in registers.

use std::ops::Range;

use super::layout::{Activations, Row, TILE, Tile};
use super::math::raised;
use super::simd::{Element, Lanes, Simd, wide};

/// What the multiplicative updates of a beta-divergence read beside W and H.
#[derive(Debug, Clone, Copy)]
pub(in crate::nmf) struct Entries<'a, T: Element> {
    pub(in crate::nmf) v: &'a [Tile<T>],
    pub(in crate::nmf) weights: Option<&'a [Tile<T>]>,
    pub(in crate::nmf) power: Power<T>,
    /// WH counts as at least this.
    pub(in crate::nmf) least: T,
    /// Added to WH, or EPS if that is more.
    pub(in crate::nmf) lift: T,
}

/// The powers y^(beta - 2) and y^(beta - 1), by what it takes to compute them: the betas that sound is worked with have
/// forms that vectorize.
#[derive(Debug, Clone, Copy)]
pub(in crate::nmf) enum Power<T: Element> {
    /// Beta 0: 1 / y^2 and 1 / y.
    ItakuraSaito,
    /// Beta 0.5.
    Half,
    /// Beta 1: 1 / y and 1.
    KullbackLeibler,
    /// Beta 1.5.
    ThreeHalves,
    /// Beta 2: 1 and y.
    Euclidean,
    /// Beta 3: y and y^2.
    Three,
    Any(T),
}

impl<T: Element> Power<T> {
    pub(in crate::nmf) fn of(beta: f64) -> Self {
        let forms = [
            (0.0, Self::ItakuraSaito),
            (0.5, Self::Half),
            (1.0, Self::KullbackLeibler),
            (1.5, Self::ThreeHalves),
            (2.0, Self::Euclidean),
            (3.0, Self::Three),
        ];
        forms.iter().find(|(with_form, _)| *with_form == beta).map_or(Self::Any(T::of(beta)), |(_, power)| *power)
    }
}

/// EPS + WH for one tile.
#[inline(always)]
pub(super) fn product<T: Element, S: Simd<T>>(s: S, panel: &[Row<T>], h: &[Activations<T>]) -> [[S::V; 2]; TILE] {
    lifted_product(s, T::EPS, panel, h)
}

/// WH for one tile, lifted by EPS or more.
#[inline(always)]
pub(super) fn lifted_product<T: Element, S: Simd<T>>(
    s: S,
    lift: T,
    panel: &[Row<T>],
    h: &[Activations<T>],
) -> [[S::V; 2]; TILE] {
    let mut y = [[s.splat(lift.max(T::EPS)); 2]; TILE];
    for (w, h) in panel.iter().zip(h) {
        let w = [s.load(&w[0]), s.load(&w[1])];
        for f in 0..TILE {
            let h = s.splat(h[f]);
            y[f][0] = s.mul_add(w[0], h, y[f][0]);
            y[f][1] = s.mul_add(w[1], h, y[f][1]);
        }
    }
    y
}

/// V / WH for one tile.
#[inline(always)]
pub(super) fn divide<T: Element, S: Simd<T>>(s: S, v: &Tile<T>, y: [[S::V; 2]; TILE], quotient: &mut Tile<T>) {
    for f in 0..TILE {
        for half in 0..2 {
            s.store(s.div(s.load(&v[f][half]), y[f][half]), &mut quotient[f][half]);
        }
    }
}

/// V y^(beta - 2) and y^(beta - 1) for one tile, times the weights.
#[inline(always)]
pub(super) fn terms<T: Element, S: Simd<T>>(
    s: S,
    entries: Entries<'_, T>,
    tile: usize,
    y: [[S::V; 2]; TILE],
    numerator: &mut Tile<T>,
    denominator: &mut Tile<T>,
) {
    let v = &entries.v[tile];
    let weights = entries.weights.map(|weights| &weights[tile]);
    let least = s.splat(entries.least);
    for f in 0..TILE {
        for half in 0..2 {
            let (mut n, mut d) = powers(s, entries.power, s.load(&v[f][half]), s.max(least, y[f][half]));
            if let Some(weights) = weights {
                let weights = s.load(&weights[f][half]);
                (n, d) = (s.mul(n, weights), s.mul(d, weights));
            }
            s.store(n, &mut numerator[f][half]);
            s.store(d, &mut denominator[f][half]);
        }
    }
}

/// v y^(beta - 2) and y^(beta - 1)
#[inline(always)]
fn powers<T: Element, S: Simd<T>>(s: S, power: Power<T>, v: S::V, y: S::V) -> (S::V, S::V) {
    let one = s.splat(T::of(1.0));
    match power {
        Power::ItakuraSaito => {
            let d = s.div(one, y);
            (s.mul(s.mul(v, d), d), d)
        }
        Power::Half => {
            let d = s.div(one, s.sqrt(y));
            (s.mul(s.mul(v, d), s.mul(d, d)), d)
        }
        Power::KullbackLeibler => (s.div(v, y), one),
        Power::ThreeHalves => {
            let d = s.sqrt(y);
            (s.div(v, d), d)
        }
        Power::Euclidean => (v, y),
        Power::Three => (s.mul(v, y), s.mul(y, y)),
        Power::Any(beta) => {
            let power = raised(s, y, beta - T::of(2.0));
            (s.mul(v, power), s.mul(y, power))
        }
    }
}

/// [`gather_h`] for all components.
#[inline(always)]
pub(super) fn gather_all_h<T: Element, S: Simd<T>>(
    s: S,
    w: &[Row<T>],
    tiles: &[Tile<T>],
    sums: &mut [[Lanes<T>; TILE]],
) {
    let n_components = sums.len();
    let (pairs, rest) = sums.as_chunks_mut::<2>();
    let n_pairs = pairs.len();
    for (i, pair) in pairs.iter_mut().enumerate() {
        gather_h(s, w, n_components, 2 * i, tiles, pair);
    }
    if let [last] = rest {
        gather_h(s, w, n_components, 2 * n_pairs, tiles, std::array::from_mut(last));
    }
}

/// [`gather_w`] for all components.
#[inline(always)]
pub(super) fn gather_all_w<'a, T: Element, S: Simd<T>>(
    s: S,
    tiles: impl Iterator<Item = &'a Tile<T>> + Clone,
    h: &[Activations<T>],
    sums: &mut [Row<T>],
) {
    gather_some_w(s, tiles, h, 0..sums.len(), sums);
}

/// [`gather_w`] for some components, at least one.
#[inline(always)]
pub(super) fn gather_some_w<'a, T: Element, S: Simd<T>>(
    s: S,
    tiles: impl Iterator<Item = &'a Tile<T>> + Clone,
    h: &[Activations<T>],
    components: Range<usize>,
    sums: &mut [Row<T>],
) {
    let n_components = sums.len();
    // Groups of at most 6 components, as equal as can be: 8 are 4 + 4, not 6 + 2.
    let n_groups = components.len().div_ceil(6);
    let (size, n_larger) = (components.len() / n_groups, components.len() % n_groups);
    let (mut k, mut rest) = (components.start, &mut sums[components]);
    for group in 0..n_groups {
        let size = size + usize::from(group < n_larger);
        let (sums, others) = rest.split_at_mut(size);
        match size {
            1 => gather_w::<T, S, 1>(s, tiles.clone(), h, n_components, k, sums),
            2 => gather_w::<T, S, 2>(s, tiles.clone(), h, n_components, k, sums),
            3 => gather_w::<T, S, 3>(s, tiles.clone(), h, n_components, k, sums),
            4 => gather_w::<T, S, 4>(s, tiles.clone(), h, n_components, k, sums),
            5 => gather_w::<T, S, 5>(s, tiles.clone(), h, n_components, k, sums),
            _ => gather_w::<T, S, 6>(s, tiles.clone(), h, n_components, k, sums),
        }
        k += size;
        rest = others;
    }
}

/// Adds up the eight partial sums of each entry.
#[inline(always)]
pub(super) fn store_sums<T: Element, S: Simd<T>>(s: S, sums: &[[Lanes<T>; TILE]], out: &mut [Activations<T>]) {
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = s.sum(s.load(sum));
        }
    }
}

/// Adds W^T (V / WH), over some panels of one tile of frames, to the numerators of N components from `k` on.
#[inline(always)]
fn gather_h<T: Element, S: Simd<T>, const N: usize>(
    s: S,
    w: &[Row<T>],
    n_components: usize,
    k: usize,
    quotients: &[Tile<T>],
    numerators: &mut [[Lanes<T>; TILE]; N],
) {
    let mut sums = [[s.splat(T::of(0.0)); TILE]; N];
    for j in 0..N {
        for f in 0..TILE {
            sums[j][f] = s.load(&numerators[j][f]);
        }
    }
    for (i, quotient) in quotients.iter().enumerate() {
        let panel = &w[i * n_components + k..][..N];
        for half in 0..2 {
            let mut w = [s.splat(T::of(0.0)); N];
            for j in 0..N {
                w[j] = s.load(&panel[j][half]);
            }
            for f in 0..TILE {
                let q = s.load(&quotient[f][half]);
                for j in 0..N {
                    sums[j][f] = s.mul_add(w[j], q, sums[j][f]);
                }
            }
        }
    }
    for j in 0..N {
        for f in 0..TILE {
            s.store(sums[j][f], &mut numerators[j][f]);
        }
    }
}

/// Adds (V / WH) H^T, over some tiles of frames of one panel, to the numerators of N components from `k` on.
#[inline(always)]
fn gather_w<'a, T: Element, S: Simd<T>, const N: usize>(
    s: S,
    quotients: impl Iterator<Item = &'a Tile<T>>,
    h: &[Activations<T>],
    n_components: usize,
    k: usize,
    numerators: &mut [Row<T>],
) {
    let mut sums = [[s.splat(T::of(0.0)); 2]; N];
    for (sum, row) in sums.iter_mut().zip(numerators.iter()) {
        *sum = [s.load(&row[0]), s.load(&row[1])];
    }
    for (i, quotient) in quotients.enumerate() {
        let h = &h[i * n_components + k..][..N];
        for f in 0..TILE {
            let q = [s.load(&quotient[f][0]), s.load(&quotient[f][1])];
            for j in 0..N {
                let h = s.splat(h[j][f]);
                sums[j][0] = s.mul_add(q[0], h, sums[j][0]);
                sums[j][1] = s.mul_add(q[1], h, sums[j][1]);
            }
        }
    }
    for (sum, row) in sums.iter().zip(numerators) {
        s.store(sum[0], &mut row[0]);
        s.store(sum[1], &mut row[1]);
    }
}

/// The sum of `v ln(v / y) + (y - v)` over one tile: in this order, the rounding errors of y and of the quotient
/// cancel where v is near y.
#[inline(always)]
pub(super) fn diverge<T: Element, S: Simd<T>>(s: S, v: &Tile<T>, y: [[S::V; 2]; TILE], quotient: &Tile<T>) -> f64 {
    let mut total = [s.splat(T::of(0.0)); 2];
    for f in 0..TILE {
        for half in 0..2 {
            let v = s.load(&v[f][half]);
            let ln = T::logarithm(s, s.load(&quotient[f][half]));
            total[half] = s.add(total[half], s.mul_add(v, ln, s.sub(y[f][half], v)));
        }
    }
    let total = wide(s.sum(s.add(total[0], total[1])));
    // Every entry adds at least 0: below it is rounding. NaN stays NaN.
    if total < 0.0 { 0.0 } else { total }
}
