//! The H phase of a single frame, for sound that comes frame by frame: a tile of six would be five sixths padding.
//!
//! Every sum takes its terms in the order of the tile's loops, so that a frame comes out with the same bits here and
//! there. With one frame, the registers hold several panels, or components, side by side instead.

use super::layout::{Activations, Panels, Row, TILE, Tile, improved};
use super::phases::{Scratch, near_panels};
use super::simd::{Element, Job, Lanes, Simd};

/// [`ImproveH`](super::phases::ImproveH) for one frame of one tile.
pub(super) struct ImproveColumn<'a, T: Element> {
    pub(super) v: &'a [Tile<T>],
    pub(super) w: &'a Panels<T>,
    pub(super) inverse_sums: &'a [Option<T>],
    pub(super) h: &'a mut [Activations<T>],
    pub(super) frame: usize,
    pub(super) scratch: &'a mut Scratch<T>,
}

impl<T: Element> Job<T> for ImproveColumn<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { v, w, inverse_sums, h, frame, scratch } = self;
        let n_components = w.n_components;
        let Scratch { quotients, numerators } = scratch;
        numerators.iter_mut().for_each(|numerator| numerator[frame] = Lanes::default());
        let n_near = near_panels::<T>(n_components, v.len().max(1));
        for (v, w) in v.chunks(n_near).zip(w.rows.chunks(n_near * n_components)) {
            let mut panels = w;
            let (fours, rest) = v.as_chunks::<4>();
            let (mut quotients_left, n_panels) = (&mut quotients[..v.len()], v.len());
            for v in fours {
                let (now, later) = quotients_left.split_at_mut(4);
                divide(s, v, product(s, panels, h, frame), frame, now);
                (quotients_left, panels) = (later, &panels[4 * n_components..]);
            }
            for v in rest {
                let (now, later) = quotients_left.split_at_mut(1);
                divide(s, std::array::from_ref(v), product(s, panels, h, frame), frame, now);
                (quotients_left, panels) = (later, &panels[n_components..]);
            }
            let quotients = &quotients[..n_panels];
            let (eights, rest) = numerators.as_chunks_mut::<8>();
            let n_eights = eights.len();
            for (i, numerators) in eights.iter_mut().enumerate() {
                gather(s, w, n_components, 8 * i, quotients, frame, numerators);
            }
            for (i, numerator) in rest.iter_mut().enumerate() {
                gather(s, w, n_components, 8 * n_eights + i, quotients, frame, std::array::from_mut(numerator));
            }
        }
        for ((h, numerator), inverse) in h.iter_mut().zip(numerators.iter()).zip(inverse_sums) {
            if let Some(inverse) = inverse {
                h[frame] = improved(h[frame], s.sum(s.load(&numerator[frame])) * *inverse);
            }
        }
    }
}

/// EPS + WH for one frame of P panels.
#[inline(always)]
fn product<T: Element, S: Simd<T>, const P: usize>(
    s: S,
    w: &[Row<T>],
    h: &[Activations<T>],
    frame: usize,
) -> [[S::V; 2]; P] {
    let panels: [&[Row<T>]; P] = std::array::from_fn(|p| &w[p * h.len()..][..h.len()]);
    let mut y = [[s.splat(T::EPS); 2]; P];
    for (k, h) in h.iter().enumerate() {
        let h = s.splat(h[frame]);
        for p in 0..P {
            let w = &panels[p][k];
            y[p][0] = s.mul_add(s.load(&w[0]), h, y[p][0]);
            y[p][1] = s.mul_add(s.load(&w[1]), h, y[p][1]);
        }
    }
    y
}

/// V / WH for one frame of P panels.
#[inline(always)]
fn divide<T: Element, S: Simd<T>, const P: usize>(
    s: S,
    v: &[Tile<T>; P],
    y: [[S::V; 2]; P],
    frame: usize,
    quotients: &mut [Tile<T>],
) {
    for ((v, y), quotient) in v.iter().zip(y).zip(quotients) {
        for half in 0..2 {
            s.store(s.div(s.load(&v[frame][half]), y[half]), &mut quotient[frame][half]);
        }
    }
}

/// Adds W^T (V / WH), over some panels of one frame, to the numerators of N components from `k` on.
#[inline(always)]
fn gather<T: Element, S: Simd<T>, const N: usize>(
    s: S,
    w: &[Row<T>],
    n_components: usize,
    k: usize,
    quotients: &[Tile<T>],
    frame: usize,
    numerators: &mut [[Lanes<T>; TILE]; N],
) {
    let mut sums = [s.splat(T::of(0.0)); N];
    for (sum, numerator) in sums.iter_mut().zip(numerators.iter()) {
        *sum = s.load(&numerator[frame]);
    }
    for (i, quotient) in quotients.iter().enumerate() {
        let panel = &w[i * n_components + k..][..N];
        for half in 0..2 {
            let q = s.load(&quotient[frame][half]);
            for j in 0..N {
                sums[j] = s.mul_add(s.load(&panel[j][half]), q, sums[j]);
            }
        }
    }
    for (sum, numerator) in sums.into_iter().zip(numerators) {
        s.store(sum, &mut numerator[frame]);
    }
}
