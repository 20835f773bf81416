//! The hot loops of NMF: V / WH, or what other divergences have in its place, and the products with W and H, without
//! ever storing WH or V / WH. Knows packed blocks of numbers only; what is free, scaled or extrapolated is decided by
//! the solvers.
//!
//! Everything works on *tiles* of 16 bins x 6 frames, whose twelve vectors of 8 fit the sixteen registers of AVX2
//! beside three operands:
//!
//! | matrix | packed as |
//! |---|---|
//! | V | `[frame / 6][bin / 16][frame % 6][bin % 16]`, padded with zeros |
//! | W | `[bin / 16][k][bin % 16]`, padded with zeros |
//! | H | `[frame / 6][k][frame % 6]`, padded with zeros |
//!
//! Three loops, each with its sums in registers, do all multiplications: [`product`] over k, [`gather_h`] over bins,
//! [`gather_w`] over frames. The quotients between them stay in the first-level cache. The divisions of one tile run
//! while the next is multiplied.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector instructions chosen at run time are three times as fast as portable code")
)]

use ndarray::{Array2, ArrayView2, s};

/// Frames in a tile.
pub(super) const TILE: usize = 6;
/// Bins in a tile.
pub(super) const PANEL: usize = 16;

/// One vector.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(32))]
pub(super) struct Lanes(pub(super) [f32; 8]);

/// 16 bins of one frame (V) or of one component (W).
pub(super) type Row = [Lanes; 2];
/// A tile of V or of V / WH.
pub(super) type Tile = [Row; TILE];
/// One component's activations in the frames of a tile.
pub(super) type Activations = [f32; TILE];

/// Rows of X that coordinate descent takes at once.
pub(super) const N_ABREAST: usize = 16;
/// One component in some rows of X.
pub(super) type Abreast = [f64; N_ABREAST];

/// Entries of W and H that are not 0 stay at or above it, so that nothing becomes subnormal. A floor that is reached
/// soon lets sunk entries rise again: 1e-16 changes the divergence after 1000 iterations by 5e-5.
pub(super) const FLOOR: f32 = 1e-30;
/// Entries of W and H stay at or below it, so that no product overflows, and far above what a V of mean 1 asks for.
const CEILING: f32 = 1e18;
/// Added to WH: far below the mean of V, which is 1; V / WH stays finite, and is 0 where all is padding.
pub(super) const EPS: f32 = 1e-20;
/// Bytes of W that the H phase goes over twice: a part of the second-level cache, out of which they come the second time.
const NEAR_BYTES: usize = 144 << 10;
/// Panels that the H phase goes over twice, at the most: their quotients take half of the first-level cache.
const MAX_NEAR: usize = 36;
/// Panels that the H phase of the general terms goes over twice, at the most: each has two tiles of terms.
const MAX_NEAR_TERMS: usize = 16;
/// Tiles from the one at work to the one that is fetched meanwhile, in the H phase: 400 to 6000 cycles.
const PREFETCH: usize = 6;
/// Tiles to do the H phase, then the W phase on, at the most.
pub(super) const BLOCK: usize = 14;
/// Bytes of V to do the H phase, then the W phase on: the second time, they come from the second-level cache.
const BLOCK_BYTES: usize = 360 << 10;
/// Tiles for which W and its numerators are read at the least, even if V then comes from further away.
const MIN_BLOCK: usize = 8;

/// Tiles to do the H phase, then the W phase on, so that blocks are as equal as can be.
pub(super) fn tiles_per_block(n_panels: usize, n_tiles: usize) -> usize {
    parts(n_tiles, (BLOCK_BYTES / (n_panels.max(1) * size_of::<Tile>())).clamp(MIN_BLOCK, BLOCK))
}

/// Panels that the H phase goes over twice: few components are done sooner than V comes from memory, of which it gets
/// less the longer nothing is asked for.
fn near_panels(n_components: usize, n_panels: usize) -> usize {
    let most = (NEAR_BYTES / (n_components * size_of::<Row>())).min(2 * n_components);
    parts(n_panels, most.clamp(6, MAX_NEAR))
}

/// The length of parts of `n` things, as equal as can be, none longer than `most`.
fn parts(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most).max(1)).max(1)
}

pub(super) const ZERO_ROW: Row = [Lanes([0.0; 8]); 2];
pub(super) const ZERO_TILE: Tile = [ZERO_ROW; TILE];

/// Packs columns of V, times `scale`.
pub(super) fn pack_columns(v: ArrayView2<'_, f32>, scale: f64) -> Vec<Tile> {
    let (n_bins, n_frames) = v.dim();
    let n_panels = n_bins.div_ceil(PANEL);
    let mut tiles = vec![ZERO_TILE; n_panels * n_frames.div_ceil(TILE)];
    for (frames, tiles) in tiles.chunks_exact_mut(n_panels.max(1)).enumerate() {
        let first_frame = frames * TILE;
        for (bins, tile) in tiles.iter_mut().enumerate() {
            let first_bin = bins * PANEL;
            let part =
                v.slice(s![first_bin..n_bins.min(first_bin + PANEL), first_frame..n_frames.min(first_frame + TILE)]);
            for (bin, row) in part.outer_iter().enumerate() {
                for (frame, &x) in tile.iter_mut().zip(row) {
                    frame[bin / 8].0[bin % 8] = (f64::from(x) * scale) as f32;
                }
            }
        }
    }
    tiles
}

/// W, packed.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    pub(super) rows: Vec<Row>,
    pub(super) n_components: usize,
}

impl Panels {
    /// Packs W, `n_bins` x `n_components`, each column times its scale.
    pub(super) fn pack(w: ArrayView2<'_, f32>, scales: &[f64]) -> Self {
        let (n_bins, n_components) = w.dim();
        let mut rows = vec![ZERO_ROW; n_bins.div_ceil(PANEL) * n_components];
        for ((bin, k), &x) in w.indexed_iter() {
            rows[bin / PANEL * n_components + k][bin % PANEL / 8].0[bin % 8] = lift(f64::from(x) * scales[k]);
        }
        Self { rows, n_components }
    }

    pub(super) fn at(&self, bin: usize, k: usize) -> f32 {
        self.rows[bin / PANEL * self.n_components + k][bin % PANEL / 8].0[bin % 8]
    }

    /// Sum of each column.
    pub(super) fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_components];
        for panel in self.rows.chunks_exact(self.n_components) {
            for (sum, row) in sums.iter_mut().zip(panel) {
                *sum += row.iter().map(|lanes| f64::from(lanes.0.iter().sum::<f32>())).sum::<f64>();
            }
        }
        sums
    }
}

/// Packs columns of H, `n_components` x frames, each row times its scale.
pub(super) fn pack_activations(h: ArrayView2<'_, f32>, scales: &[f64]) -> Vec<Activations> {
    let (n_components, n_frames) = h.dim();
    let mut packed = vec![[0.0; TILE]; n_frames.div_ceil(TILE) * n_components];
    for ((k, frame), &x) in h.indexed_iter() {
        packed[frame / TILE * n_components + k][frame % TILE] = lift(f64::from(x) * scales[k]);
    }
    packed
}

/// A given value: zeros stay zero, all others lie between floor and ceiling.
pub(super) fn lift(x: f64) -> f32 {
    if x > 0.0 { x.clamp(f64::from(FLOOR), f64::from(CEILING)) as f32 } else { 0.0 }
}

/// `x * gain`, kept at or above the floor unless x is 0.
#[inline(always)]
pub(super) fn improved(x: f32, gain: f32) -> f32 {
    (x * gain).max(x.min(FLOOR)).min(CEILING)
}

/// Working space of one thread.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    quotients: Vec<Tile>,
    /// H numerators of one tile, eight partial sums each.
    numerators: Vec<[Lanes; TILE]>,
}

impl Scratch {
    pub(super) fn new(n_components: usize) -> Self {
        Self {
            quotients: vec![ZERO_TILE; MAX_NEAR.max(BLOCK)],
            numerators: vec![[Lanes::default(); TILE]; n_components],
        }
    }
}

/// What the multiplicative updates of a beta-divergence read beside W and H.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries<'a> {
    pub(super) v: &'a [Tile],
    pub(super) weights: Option<&'a [Tile]>,
    pub(super) power: Power,
    /// Added to WH, or EPS if that is more.
    pub(super) lift: f32,
}

/// The powers y^(beta - 2) and y^(beta - 1), by what it takes to compute them: the betas that sound is worked with have
/// forms that vectorize.
#[derive(Debug, Clone, Copy)]
pub(super) enum Power {
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
    Any(f32),
}

impl Power {
    pub(super) fn of(beta: f32) -> Self {
        const FORMS: [(f32, Power); 6] = [
            (0.0, Power::ItakuraSaito),
            (0.5, Power::Half),
            (1.0, Power::KullbackLeibler),
            (1.5, Power::ThreeHalves),
            (2.0, Power::Euclidean),
            (3.0, Power::Three),
        ];
        FORMS.iter().find(|(with_form, _)| *with_form == beta).map_or(Self::Any(beta), |(_, power)| *power)
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
    pub(super) fn improve_h(
        self,
        v: &[Tile],
        w: &Panels,
        inverse_sums: &[Option<f32>],
        h: &mut [Activations],
        scratch: &mut Scratch,
    ) {
        self.run(ImproveH { v, w, inverse_sums, h, scratch });
    }

    /// Adds (V / WH) H^T to the W numerators; at most [`BLOCK`] tiles of frames at once.
    ///
    /// Returns the sum of `v ln(v / y) - v + y`, or 0 where it is not wanted.
    pub(super) fn gather_w(
        self,
        v: &[Tile],
        w: &Panels,
        h: &[Activations],
        numerators: &mut [Row],
        want_divergence: bool,
        scratch: &mut Scratch,
    ) -> f64 {
        if want_divergence {
            self.run(GatherW::<true> { v, w, h, numerators, scratch })
        } else {
            self.run(GatherW::<false> { v, w, h, numerators, scratch })
        }
    }

    /// The sum of `v ln(v / y) - v + y`.
    pub(super) fn divergence(self, v: &[Tile], w: &Panels, h: &[Activations]) -> f64 {
        self.run(Diverge { v, w, h })
    }

    /// WH, lifted by at least EPS, for as many tiles of frames as `h` has.
    pub(super) fn multiply(self, w: &Panels, h: &[Activations], lift: f32, out: &mut [Tile]) {
        self.run(Multiply { w, h, lift, out });
    }

    /// W^T X, for as many tiles of frames as `out` has.
    pub(super) fn gather_onto_h(self, w: &Panels, x: &[Tile], out: &mut [Activations]) {
        self.run(OntoH { w, x, out });
    }

    /// Adds X H^T to `out`, packed as W is; at most [`BLOCK`] tiles of frames at once.
    pub(super) fn gather_onto_w(self, x: &[Tile], h: &[Activations], n_components: usize, out: &mut [Row]) {
        self.run(OntoW { x, h, n_components, out });
    }

    /// W^T (V y^(beta - 2)) and W^T y^(beta - 1) with y = WH, for as many tiles of frames as `h` has; the second only
    /// where there is room for it.
    pub(super) fn terms_onto_h(
        self,
        entries: Entries<'_>,
        w: &Panels,
        h: &[Activations],
        numerators: &mut [Activations],
        denominators: &mut [Activations],
    ) {
        self.run(TermsOntoH { entries, w, h, numerators, denominators });
    }

    /// Adds (V y^(beta - 2)) H^T and y^(beta - 1) H^T with y = WH to sums packed as W is, the second only where there
    /// is room for it; at most [`BLOCK`] tiles of frames at once.
    pub(super) fn terms_onto_w(
        self,
        entries: Entries<'_>,
        w: &Panels,
        h: &[Activations],
        numerators: &mut [Row],
        denominators: &mut [Row],
    ) {
        self.run(TermsOntoW { entries, w, h, numerators, denominators });
    }

    /// One pass over the `free` entries of rows of X, each in turn to the minimum of `1/2 x G x^T - c x^T`.
    pub(super) fn sweep(self, gram: &Array2<f64>, free: &[usize], targets: &[Abreast], x: &mut [Abreast]) {
        self.run(Sweep { gram, free, targets, x });
    }

    /// `n` times twelve independent multiply-adds of whole vectors: what the processor can do at best.
    pub(super) fn multiply_adds(self, n: usize) -> f32 {
        self.run(MultiplyAdds { n })
    }

    pub(super) fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.run(job),
            Self::Portable => job.run(Portable),
        }
    }
}

// ---- phases ----------------------------------------------------------------------------------------------------------

/// Work that is compiled once for each kind of vector.
pub(super) trait Job {
    type Output;
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

struct ImproveH<'a> {
    v: &'a [Tile],
    w: &'a Panels,
    inverse_sums: &'a [Option<f32>],
    h: &'a mut [Activations],
    scratch: &'a mut Scratch,
}

impl Job for ImproveH<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let n_components = self.w.n_components;
        let n_panels = self.w.rows.len() / n_components;
        let Scratch { quotients, numerators } = self.scratch;
        if n_panels == 0 {
            return;
        }
        let n_near = near_panels(n_components, n_panels);
        let mut ahead = self.v.iter().skip(PREFETCH);
        for (v, h) in self.v.chunks_exact(n_panels).zip(self.h.chunks_exact_mut(n_components)) {
            numerators.fill([Lanes::default(); TILE]);
            for (v, w) in v.chunks(n_near).zip(self.w.rows.chunks(n_near * n_components)) {
                for (i, (v, quotient)) in v.iter().zip(quotients.iter_mut()).enumerate() {
                    if let Some(v) = ahead.next() {
                        s.prefetch(v);
                    }
                    divide(s, v, product(s, &w[i * n_components..][..n_components], h), quotient);
                }
                gather_all_h(s, w, &quotients[..v.len()], numerators);
            }
            for ((h, numerators), inverse) in h.iter_mut().zip(numerators.iter()).zip(self.inverse_sums) {
                if let Some(inverse) = inverse {
                    for (h, numerator) in h.iter_mut().zip(numerators) {
                        *h = improved(*h, s.sum(s.load(numerator)) * inverse);
                    }
                }
            }
        }
    }
}

struct GatherW<'a, const DIVERGENCE: bool> {
    v: &'a [Tile],
    w: &'a Panels,
    h: &'a [Activations],
    numerators: &'a mut [Row],
    scratch: &'a mut Scratch,
}

impl<const DIVERGENCE: bool> Job for GatherW<'_, DIVERGENCE> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
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
                    s.prefetch(v);
                }
                let y = product(s, panel, &self.h[i * n_components..][..n_components]);
                divide(s, v, y, quotient);
                if DIVERGENCE {
                    total += diverge(s, v, y, quotient);
                }
            }
            gather_all_w(s, quotients, self.h, numerators);
        }
        total
    }
}

struct Diverge<'a> {
    v: &'a [Tile],
    w: &'a Panels,
    h: &'a [Activations],
}

impl Job for Diverge<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let n_components = self.w.n_components;
        let n_panels = self.w.rows.len() / n_components;
        let mut total = 0.0;
        let mut quotient = ZERO_TILE;
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

struct Multiply<'a> {
    w: &'a Panels,
    h: &'a [Activations],
    lift: f32,
    out: &'a mut [Tile],
}

impl Job for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
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

struct OntoH<'a> {
    w: &'a Panels,
    x: &'a [Tile],
    out: &'a mut [Activations],
}

impl Job for OntoH<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let n_components = self.w.n_components;
        let n_panels = (self.w.rows.len() / n_components).max(1);
        let n_near = near_panels(n_components, n_panels);
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

struct OntoW<'a> {
    x: &'a [Tile],
    h: &'a [Activations],
    n_components: usize,
    out: &'a mut [Row],
}

impl Job for OntoW<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let n_components = self.n_components;
        let n_panels = self.out.len() / n_components;
        let mut tiles = [ZERO_TILE; BLOCK];
        let n_tiles = (self.h.len() / n_components).min(BLOCK);
        for (i, out) in self.out.chunks_exact_mut(n_components).enumerate() {
            for (near, far) in tiles.iter_mut().zip(self.x.iter().skip(i).step_by(n_panels)) {
                *near = *far;
            }
            gather_all_w(s, &tiles[..n_tiles], self.h, out);
        }
    }
}

struct TermsOntoH<'a> {
    entries: Entries<'a>,
    w: &'a Panels,
    h: &'a [Activations],
    numerators: &'a mut [Activations],
    denominators: &'a mut [Activations],
}

impl Job for TermsOntoH<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { entries, w, h, numerators, denominators } = self;
        let n_components = w.n_components;
        let n_panels = w.rows.len() / n_components;
        let n_near = near_panels(n_components, n_panels).min(MAX_NEAR_TERMS);
        let (mut near_n, mut near_d) = ([ZERO_TILE; MAX_NEAR_TERMS], [ZERO_TILE; MAX_NEAR_TERMS]);
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

struct TermsOntoW<'a> {
    entries: Entries<'a>,
    w: &'a Panels,
    h: &'a [Activations],
    numerators: &'a mut [Row],
    denominators: &'a mut [Row],
}

impl Job for TermsOntoW<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { entries, w, h, numerators, denominators } = self;
        let n_components = w.n_components;
        let n_panels = w.rows.len() / n_components;
        let n_tiles = (h.len() / n_components).min(BLOCK);
        let (mut near_n, mut near_d) = ([ZERO_TILE; BLOCK], [ZERO_TILE; BLOCK]);
        let mut denominators = denominators.chunks_exact_mut(n_components);
        let panels = w.rows.chunks_exact(n_components).zip(numerators.chunks_exact_mut(n_components));
        for (panel_idx, (panel, numerators)) in panels.enumerate() {
            let tiles = (panel_idx..).step_by(n_panels);
            for ((h, tile), (n, d)) in h.chunks_exact(n_components).zip(tiles).zip(near_n.iter_mut().zip(&mut near_d)) {
                terms(s, entries, tile, lifted_product(s, entries.lift, panel, h), n, d);
            }
            gather_all_w(s, &near_n[..n_tiles], h, numerators);
            if let Some(denominators) = denominators.next() {
                gather_all_w(s, &near_d[..n_tiles], h, denominators);
            }
        }
    }
}

struct Sweep<'a> {
    gram: &'a Array2<f64>,
    free: &'a [usize],
    targets: &'a [Abreast],
    x: &'a mut [Abreast],
}

impl Job for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for &k in self.free {
            let curvature = self.gram[(k, k)];
            if curvature > 0.0 {
                let mut slopes = self.targets[k].map(|target| -target);
                for (x, &g) in self.x.iter().zip(self.gram.row(k)) {
                    for (slope, x) in slopes.iter_mut().zip(x) {
                        *slope += x * g;
                    }
                }
                for (x, slope) in self.x[k].iter_mut().zip(slopes) {
                    // What is stored is rounded, and the next components are to see that.
                    *x = f64::from((*x - slope / curvature).max(0.0) as f32);
                }
            }
        }
    }
}

struct MultiplyAdds {
    n: usize,
}

impl Job for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(1.0); 12];
        let (a, b) = (s.splat(std::hint::black_box(0.5)), s.splat(std::hint::black_box(0.5)));
        for _ in 0..self.n {
            for sum in &mut sums {
                *sum = s.mul_add(*sum, a, b);
            }
        }
        sums.iter().map(|&sum| s.sum(sum)).sum()
    }
}

// ---- the loops -------------------------------------------------------------------------------------------------------

/// EPS + WH for one tile.
#[inline(always)]
fn product<S: Simd>(s: S, panel: &[Row], h: &[Activations]) -> [[S::V; 2]; TILE] {
    lifted_product(s, EPS, panel, h)
}

/// WH for one tile, lifted by EPS or more.
#[inline(always)]
fn lifted_product<S: Simd>(s: S, lift: f32, panel: &[Row], h: &[Activations]) -> [[S::V; 2]; TILE] {
    let mut y = [[s.splat(lift.max(EPS)); 2]; TILE];
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
fn divide<S: Simd>(s: S, v: &Tile, y: [[S::V; 2]; TILE], quotient: &mut Tile) {
    for f in 0..TILE {
        for half in 0..2 {
            s.store(s.div(s.load(&v[f][half]), y[f][half]), &mut quotient[f][half]);
        }
    }
}

/// V y^(beta - 2) and y^(beta - 1) for one tile, times the weights.
#[inline(always)]
fn terms<S: Simd>(
    s: S,
    entries: Entries<'_>,
    tile: usize,
    y: [[S::V; 2]; TILE],
    numerator: &mut Tile,
    denominator: &mut Tile,
) {
    let v = &entries.v[tile];
    let weights = entries.weights.map(|weights| &weights[tile]);
    for f in 0..TILE {
        for half in 0..2 {
            let (mut n, mut d) = powers(s, entries.power, s.load(&v[f][half]), y[f][half]);
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
fn powers<S: Simd>(s: S, power: Power, v: S::V, y: S::V) -> (S::V, S::V) {
    let one = s.splat(1.0);
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
            let power = raised(s, y, beta - 2.0);
            (s.mul(v, power), s.mul(y, power))
        }
    }
}

/// [`gather_h`] for all components.
#[inline(always)]
fn gather_all_h<S: Simd>(s: S, w: &[Row], tiles: &[Tile], sums: &mut [[Lanes; TILE]]) {
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
fn gather_all_w<S: Simd>(s: S, tiles: &[Tile], h: &[Activations], sums: &mut [Row]) {
    let n_components = sums.len();
    // Groups of at most 6 components, as equal as can be: 8 are 4 + 4, not 6 + 2.
    let n_groups = n_components.div_ceil(6);
    let (size, n_larger) = (n_components / n_groups, n_components % n_groups);
    let (mut k, mut rest) = (0, sums);
    for group in 0..n_groups {
        let size = size + usize::from(group < n_larger);
        let (sums, others) = rest.split_at_mut(size);
        match size {
            1 => gather_w::<S, 1>(s, tiles, h, n_components, k, sums),
            2 => gather_w::<S, 2>(s, tiles, h, n_components, k, sums),
            3 => gather_w::<S, 3>(s, tiles, h, n_components, k, sums),
            4 => gather_w::<S, 4>(s, tiles, h, n_components, k, sums),
            5 => gather_w::<S, 5>(s, tiles, h, n_components, k, sums),
            _ => gather_w::<S, 6>(s, tiles, h, n_components, k, sums),
        }
        k += size;
        rest = others;
    }
}

/// Adds up the eight partial sums of each entry.
#[inline(always)]
fn store_sums<S: Simd>(s: S, sums: &[[Lanes; TILE]], out: &mut [Activations]) {
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = s.sum(s.load(sum));
        }
    }
}

/// Adds W^T (V / WH), over some panels of one tile of frames, to the numerators of N components from `k` on.
#[inline(always)]
fn gather_h<S: Simd, const N: usize>(
    s: S,
    w: &[Row],
    n_components: usize,
    k: usize,
    quotients: &[Tile],
    numerators: &mut [[Lanes; TILE]; N],
) {
    let mut sums = [[s.splat(0.0); TILE]; N];
    for j in 0..N {
        for f in 0..TILE {
            sums[j][f] = s.load(&numerators[j][f]);
        }
    }
    for (i, quotient) in quotients.iter().enumerate() {
        let panel = &w[i * n_components + k..][..N];
        for half in 0..2 {
            let mut w = [s.splat(0.0); N];
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
fn gather_w<S: Simd, const N: usize>(
    s: S,
    quotients: &[Tile],
    h: &[Activations],
    n_components: usize,
    k: usize,
    numerators: &mut [Row],
) {
    let mut sums = [[s.splat(0.0); 2]; N];
    for (sum, row) in sums.iter_mut().zip(numerators.iter()) {
        *sum = [s.load(&row[0]), s.load(&row[1])];
    }
    for (i, quotient) in quotients.iter().enumerate() {
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
fn diverge<S: Simd>(s: S, v: &Tile, y: [[S::V; 2]; TILE], quotient: &Tile) -> f64 {
    let mut total = [s.splat(0.0); 2];
    for f in 0..TILE {
        for half in 0..2 {
            let v = s.load(&v[f][half]);
            let ln = logarithm(s, s.load(&quotient[f][half]));
            total[half] = s.add(total[half], s.mul_add(v, ln, s.sub(y[f][half], v)));
        }
    }
    f64::from(s.sum(s.add(total[0], total[1])))
}

/// y^p for y > 0, within 1e-6 of it (1e-5 without fused multiply-adds) for powers from 2^-126 to 2^127, and no further
/// out than these.
#[inline(always)]
fn raised<S: Simd>(s: S, y: S::V, p: f32) -> S::V {
    // 2^t is the sum over n of (t ln 2)^n / n!; the terms left out are below 1e-8 for |t| <= 0.6.
    const INVERSE_FACTORIALS: [f32; 8] =
        [1.0, 1.0, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];
    let (e, m) = s.split(s.max(y, s.splat(f32::MIN_POSITIVE)));
    // y = 2^e m: p log2(y) is split into a whole number and the rest before it is rounded.
    let log_m = s.mul(logarithm(s, m), s.splat(p * std::f32::consts::LOG2_E));
    let whole = s.round(s.mul_add(e, s.splat(p), log_m));
    let rest = s.add(s.mul_add(e, s.splat(p), s.sub(s.splat(0.0), whole)), log_m);
    let t = s.mul(rest, s.splat(std::f32::consts::LN_2));
    let mut power = s.splat(INVERSE_FACTORIALS[7]);
    for n in (0..7).rev() {
        power = s.mul_add(power, t, s.splat(INVERSE_FACTORIALS[n]));
    }
    s.mul(power, s.exp2(whole))
}

/// ln(x) for x >= 0, within 1.5 units in the last place; about -87 for 0.
#[inline(always)]
fn logarithm<S: Simd>(s: S, x: S::V) -> S::V {
    // ln(1 + t) = t - t^2 / 2 + t^3 p(t); p is the minimax polynomial on [-1/3, 1/3], within 5e-9 of the logarithm.
    const P: [f32; 8] = [
        0.333_332_24,
        -0.249_996_89,
        0.200_100_5,
        -0.166_854_8,
        0.140_108_05,
        -0.121_149_34,
        0.139_630_82,
        -0.131_925_08,
    ];
    let (exponent, mantissa) = s.split(s.max(x, s.splat(f32::MIN_POSITIVE)));
    let t = s.sub(mantissa, s.splat(1.0));
    let square = s.mul(t, t);
    let mut p = s.splat(P[7]);
    for i in (0..7).rev() {
        p = s.mul_add(p, t, s.splat(P[i]));
    }
    let tail = s.mul(square, s.mul_add(p, t, s.splat(-0.5)));
    s.mul_add(exponent, s.splat(std::f32::consts::LN_2), s.add(t, tail))
}

// ---- vectors ---------------------------------------------------------------------------------------------------------

/// Eight numbers at once.
pub(super) trait Simd: Copy {
    type V: Copy;
    fn load(self, from: &Lanes) -> Self::V;
    fn store(self, x: Self::V, to: &mut Lanes);
    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, x: Self::V) -> Self::V;
    /// a b + c
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Asks for a tile to be brought near; V is too long for the nearer caches, and its division comes too late to hide
    /// the wait.
    fn prefetch(self, _: &Tile) {}
    /// The sum of the eight.
    fn sum(self, a: Self::V) -> f32;
    /// e and m, where x = 2^e m and 2/3 <= m < 4/3, for positive normal x.
    fn split(self, x: Self::V) -> (Self::V, Self::V);
    /// The nearest whole number.
    fn round(self, x: Self::V) -> Self::V;
    /// 2^e for a whole number e, which counts as -126 where it is less, and as 127 where it is more.
    fn exp2(self, e: Self::V) -> Self::V;
}

/// The bits of 2/3, from which mantissas are counted.
const TWO_THIRDS: i32 = 0x3f2a_aaab;

#[derive(Debug, Clone, Copy)]
struct Portable;

#[inline(always)]
fn zip(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut out = a;
    for i in 0..8 {
        out.0[i] = f(a.0[i], b.0[i]);
    }
    out
}

impl Simd for Portable {
    type V = Lanes;

    #[inline(always)]
    fn load(self, from: &Lanes) -> Lanes {
        *from
    }
    #[inline(always)]
    fn store(self, x: Lanes, to: &mut Lanes) {
        *to = x;
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Lanes {
        Lanes([x; 8])
    }
    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, x: Lanes) -> Lanes {
        Lanes(x.0.map(f32::sqrt))
    }
    #[inline(always)]
    fn mul_add(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        // Without the instruction, `mul_add` is a call into the C library.
        const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
        let mut out = c;
        for i in 0..8 {
            out.0[i] = if FUSED { a.0[i].mul_add(b.0[i], c.0[i]) } else { a.0[i] * b.0[i] + c.0[i] };
        }
        out
    }
    #[inline(always)]
    fn sum(self, a: Lanes) -> f32 {
        let [a, b, c, d, e, f, g, h] = a.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn split(self, x: Lanes) -> (Lanes, Lanes) {
        let (mut exponent, mut mantissa) = (x, x);
        for i in 0..8 {
            let bits = x.0[i].to_bits() as i32;
            let e = (bits - TWO_THIRDS) >> 23;
            exponent.0[i] = e as f32;
            mantissa.0[i] = f32::from_bits((bits - (e << 23)) as u32);
        }
        (exponent, mantissa)
    }
    #[inline(always)]
    fn round(self, x: Lanes) -> Lanes {
        Lanes(x.0.map(f32::round_ties_even))
    }
    #[inline(always)]
    fn exp2(self, e: Lanes) -> Lanes {
        Lanes(e.0.map(|e| f32::from_bits(((e.clamp(-126.0, 127.0) as i32 + 127) as u32) << 23)))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Job, Lanes, Simd, TWO_THIRDS, Tile};

    /// Proof that the processor has AVX2 and FMA: only [`Avx2::detect`] makes one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) struct Avx2(());

    impl Avx2 {
        pub(super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
        }

        /// Runs a job compiled for AVX2 and FMA, into which everything below is inlined.
        pub(super) fn run<J: Job>(self, job: J) -> J::Output {
            #[target_feature(enable = "avx2,fma")]
            fn with_features<J: Job>(avx2: Avx2, job: J) -> J::Output {
                job.run(avx2)
            }
            // SAFETY: `self` proves that the processor has both features.
            unsafe { with_features(self, job) }
        }
    }

    impl Simd for Avx2 {
        type V = __m256;

        #[inline(always)]
        fn load(self, from: &Lanes) -> __m256 {
            // SAFETY: `self` proves AVX; `Lanes` is 32 bytes, aligned to 32.
            unsafe { _mm256_load_ps(from.0.as_ptr()) }
        }
        #[inline(always)]
        fn store(self, x: __m256, to: &mut Lanes) {
            // SAFETY: `self` proves AVX; `Lanes` is 32 bytes, aligned to 32.
            unsafe { _mm256_store_ps(to.0.as_mut_ptr(), x) }
        }
        #[inline(always)]
        fn splat(self, x: f32) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        fn add(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        fn div(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_div_ps(a, b) }
        }
        #[inline(always)]
        fn max(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        fn sqrt(self, x: __m256) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_sqrt_ps(x) }
        }
        #[inline(always)]
        fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            // SAFETY: `self` proves FMA.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn prefetch(self, tile: &Tile) {
            for row in tile {
                // SAFETY: a hint, without effect on memory, at the address of a reference.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast()) }
            }
        }
        #[inline(always)]
        fn sum(self, a: __m256) -> f32 {
            // SAFETY: `self` proves AVX.
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }
        #[inline(always)]
        fn split(self, x: __m256) -> (__m256, __m256) {
            // SAFETY: `self` proves AVX2.
            unsafe {
                let bits = _mm256_castps_si256(x);
                let e = _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(TWO_THIRDS)));
                let mantissa = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(e));
                (_mm256_cvtepi32_ps(e), _mm256_castsi256_ps(mantissa))
            }
        }
        #[inline(always)]
        fn round(self, x: __m256) -> __m256 {
            // SAFETY: `self` proves AVX.
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
        }
        #[inline(always)]
        fn exp2(self, e: __m256) -> __m256 {
            // SAFETY: `self` proves AVX2.
            unsafe {
                let e = _mm256_min_ps(_mm256_max_ps(e, _mm256_set1_ps(-126.0)), _mm256_set1_ps(127.0));
                let biased = _mm256_add_epi32(_mm256_cvtps_epi32(e), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Raise<'a>(&'a mut Lanes, f32);

    impl Job for Raise<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            s.store(raised(s, s.load(self.0), self.1), self.0);
        }
    }

    #[test]
    fn powers_are_those_of_f64() {
        for (kernel, p) in [Kernel::detect(), Kernel::Portable]
            .into_iter()
            .flat_map(|kernel| [-3.0, -1.7, -0.3, 0.0, 0.5, 2.2].map(|p| (kernel, p)))
        {
            for y in [1e-8, 3e-3, 0.67, 1.0, 1.5, 1e4] {
                let mut lanes = Lanes([y; 8]);
                kernel.run(Raise(&mut lanes, p));
                let expected = f64::from(y).powf(f64::from(p));
                // p log2(y) is at most 80: without a fused multiply-add it is rounded at 4e-6.
                let off = f64::from(lanes.0[0]) / expected - 1.0;
                assert!(off.abs() < 8e-6, "{y}^{p} off by {off:e} with {kernel:?}");
            }
        }
    }
}
