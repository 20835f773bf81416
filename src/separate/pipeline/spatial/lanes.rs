//! Complex numbers of several bins side by side, which the processor works on at once. Knows no audio.

use realfft::num_complex::Complex32;

/// Bins in one band.
pub(super) const LANES: usize = 8;

/// A complex number of each bin of a band.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes {
    pub(super) re: [f64; LANES],
    pub(super) im: [f64; LANES],
}

/// Some bins of a band: all bits of a bin's entry are set, or none, which is how the processor compares.
pub(super) type Which = [u64; LANES];

/// The bins in which something holds.
#[inline(always)]
pub(super) fn which(holds: impl Fn(usize) -> bool) -> Which {
    let mut which = [0; LANES];
    for (l, which) in which.iter_mut().enumerate() {
        *which = if holds(l) { u64::MAX } else { 0 };
    }
    which
}

/// The numbers of a band; behind the last bin there are zeros.
#[inline(always)]
pub(super) fn load(row: &[f32], band: usize) -> [f64; LANES] {
    let row = band_of(row, band);
    let mut bins = [0.0; LANES];
    for l in 0..LANES {
        bins[l] = f64::from(row[l]);
    }
    bins
}

/// What a row has for a band; behind its end there are zeros.
#[inline(always)]
fn band_of<T: Copy + Default>(row: &[T], band: usize) -> [T; LANES] {
    let row = &row[band * LANES..];
    if let Some(bins) = row.first_chunk() {
        return *bins;
    }
    let mut bins = [T::default(); LANES];
    bins[..row.len()].copy_from_slice(row);
    bins
}

impl Lanes {
    pub(super) const ZERO: Self = Self { re: [0.0; LANES], im: [0.0; LANES] };

    /// The numbers of a band; behind the last bin there are zeros.
    #[inline(always)]
    pub(super) fn load(row: &[Complex32], band: usize) -> Self {
        let mut bins = Self::ZERO;
        for (l, x) in band_of(row, band).iter().enumerate() {
            (bins.re[l], bins.im[l]) = (f64::from(x.re), f64::from(x.im));
        }
        bins
    }

    /// Puts them into their place.
    #[inline(always)]
    pub(super) fn store(&self, row: &mut [Complex32], band: usize) {
        let mut bins = [Complex32::ZERO; LANES];
        for (l, x) in bins.iter_mut().enumerate() {
            *x = Complex32::new(self.re[l] as f32, self.im[l] as f32);
        }
        let row = &mut row[band * LANES..];
        if let Some(to) = row.first_chunk_mut() {
            *to = bins;
        } else {
            row.copy_from_slice(&bins[..row.len()]);
        }
    }

    #[inline(always)]
    pub(super) fn times(&self, factor: &[f64; LANES]) -> Self {
        let mut product = *self;
        for (l, factor) in factor.iter().enumerate() {
            product.re[l] *= factor;
            product.im[l] *= factor;
        }
        product
    }

    /// Zero in all other bins.
    #[inline(always)]
    pub(super) fn only(&self, which: &Which) -> Self {
        let mut only = *self;
        for (l, which) in which.iter().enumerate() {
            only.re[l] = f64::from_bits(only.re[l].to_bits() & which);
            only.im[l] = f64::from_bits(only.im[l].to_bits() & which);
        }
        only
    }

    #[inline(always)]
    pub(super) fn add(&mut self, x: &Self) {
        for l in 0..LANES {
            self.re[l] += x.re[l];
            self.im[l] += x.im[l];
        }
    }

    #[inline(always)]
    pub(super) fn sub(&mut self, x: &Self) {
        for l in 0..LANES {
            self.re[l] -= x.re[l];
            self.im[l] -= x.im[l];
        }
    }

    /// Adds `a b` of real numbers.
    #[inline(always)]
    pub(super) fn add_real_product(&mut self, a: &[f64; LANES], b: &[f64; LANES]) {
        for l in 0..LANES {
            self.re[l] += a[l] * b[l];
        }
    }

    /// Adds `a b`.
    #[inline(always)]
    pub(super) fn add_product(&mut self, a: &Self, b: &Self) {
        for l in 0..LANES {
            self.re[l] += a.re[l] * b.re[l] - a.im[l] * b.im[l];
            self.im[l] += a.re[l] * b.im[l] + a.im[l] * b.re[l];
        }
    }

    /// Adds `a* b`.
    #[inline(always)]
    pub(super) fn add_conj_product(&mut self, a: &Self, b: &Self) {
        for l in 0..LANES {
            self.re[l] += a.re[l] * b.re[l] + a.im[l] * b.im[l];
            self.im[l] += a.re[l] * b.im[l] - a.im[l] * b.re[l];
        }
    }

    /// Subtracts `a b`.
    #[inline(always)]
    pub(super) fn sub_product(&mut self, a: &Self, b: &Self) {
        for l in 0..LANES {
            self.re[l] -= a.re[l] * b.re[l] - a.im[l] * b.im[l];
            self.im[l] -= a.re[l] * b.im[l] + a.im[l] * b.re[l];
        }
    }

    /// Subtracts `a* b`.
    #[inline(always)]
    pub(super) fn sub_conj_product(&mut self, a: &Self, b: &Self) {
        for l in 0..LANES {
            self.re[l] -= a.re[l] * b.re[l] + a.im[l] * b.im[l];
            self.im[l] -= a.re[l] * b.im[l] - a.im[l] * b.re[l];
        }
    }

    /// Adds the square of the absolute value to a sum.
    #[inline(always)]
    pub(super) fn add_power_to(&self, sum: &mut [f64; LANES]) {
        for (l, sum) in sum.iter_mut().enumerate() {
            *sum += self.re[l] * self.re[l] + self.im[l] * self.im[l];
        }
    }

    /// Subtracts it.
    #[inline(always)]
    pub(super) fn sub_power_from(&self, sum: &mut [f64; LANES]) {
        for (l, sum) in sum.iter_mut().enumerate() {
            *sum -= self.re[l] * self.re[l] + self.im[l] * self.im[l];
        }
    }
}
