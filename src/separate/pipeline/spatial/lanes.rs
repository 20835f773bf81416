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

/// The numbers of a band; behind the last bin there are zeros.
#[inline(always)]
pub(super) fn load(row: &[f32], band: usize) -> [f64; LANES] {
    let mut bins = [0.0; LANES];
    bins.iter_mut().zip(&row[band * LANES..]).for_each(|(to, x)| *to = f64::from(*x));
    bins
}

impl Lanes {
    pub(super) const ZERO: Self = Self { re: [0.0; LANES], im: [0.0; LANES] };

    /// The numbers of a band; behind the last bin there are zeros.
    #[inline(always)]
    pub(super) fn load(row: &[Complex32], band: usize) -> Self {
        let mut bins = Self::ZERO;
        let to = bins.re.iter_mut().zip(&mut bins.im);
        to.zip(&row[band * LANES..]).for_each(|((re, im), x)| (*re, *im) = (f64::from(x.re), f64::from(x.im)));
        bins
    }

    /// Puts them into their place.
    #[inline(always)]
    pub(super) fn store(&self, row: &mut [Complex32], band: usize) {
        let bins = row.iter_mut().skip(band * LANES).take(LANES);
        bins.zip(self.re.iter().zip(&self.im)).for_each(|(x, (re, im))| *x = Complex32::new(*re as f32, *im as f32));
    }

    #[inline(always)]
    pub(super) fn times(&self, factor: &[f64; LANES]) -> Self {
        let mut product = *self;
        product.re.iter_mut().zip(factor).for_each(|(x, factor)| *x *= factor);
        product.im.iter_mut().zip(factor).for_each(|(x, factor)| *x *= factor);
        product
    }

    /// Zero where `is` is not.
    #[inline(always)]
    pub(super) fn only(&self, is: &[bool; LANES]) -> Self {
        let mut only = *self;
        only.re.iter_mut().zip(is).for_each(|(x, is)| *x = if *is { *x } else { 0.0 });
        only.im.iter_mut().zip(is).for_each(|(x, is)| *x = if *is { *x } else { 0.0 });
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
        let lanes = sum.iter_mut().zip(self.re.iter().zip(&self.im));
        lanes.for_each(|(sum, (re, im))| *sum += re * re + im * im);
    }

    /// Subtracts it.
    #[inline(always)]
    pub(super) fn sub_power_from(&self, sum: &mut [f64; LANES]) {
        let lanes = sum.iter_mut().zip(self.re.iter().zip(&self.im));
        lanes.for_each(|(sum, (re, im))| *sum -= re * re + im * im);
    }
}
