//! How two channels go together: real, symmetric matrices of two rows, and what one bin says against them.

use std::f64::consts::FRAC_PI_4;

use realfft::num_complex::Complex32;

/// Share of a source's power that comes from anywhere: what a place is blurred by (-30 dB), so that matrices can be
/// inverted.
const BLUR: f32 = 1e-3;

/// A covariance of the left and the right channel, the same in every bin.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::separate) struct Covariance {
    pub(in crate::separate) ll: f32,
    pub(in crate::separate) lr: f32,
    pub(in crate::separate) rr: f32,
}

impl Covariance {
    /// Of what comes from anywhere, as loud in both channels.
    pub(in crate::separate) const ANYWHERE: Self = Self { ll: 0.5, lr: 0.0, rr: 0.5 };

    /// Of a source at a place, -1 (left) to 1 (right), by gains of constant power.
    pub(in crate::separate) fn at(place: f64) -> Self {
        let (right, left) = ((place + 1.0) * FRAC_PI_4).sin_cos();
        Self { ll: (left * left) as f32, lr: (left * right) as f32, rr: (right * right) as f32 }.blurred()
    }

    /// Of sums of products of the channels, at a trace of 1; where there is nothing, from anywhere.
    pub(in crate::separate) fn of_sums([ll, lr, rr]: [f64; 3]) -> Self {
        let trace = ll + rr;
        if !(trace.is_normal() && trace > 0.0) {
            return Self::ANYWHERE;
        }
        Self { ll: (ll / trace) as f32, lr: (lr / trace) as f32, rr: (rr / trace) as f32 }.blurred()
    }

    fn blurred(self) -> Self {
        Self { ll: self.ll + BLUR, rr: self.rr + BLUR, ..self }
    }

    /// Adds `power` times another one.
    pub(in crate::separate) fn add(&mut self, other: &Self, power: f32) {
        self.ll += power * other.ll;
        self.lr += power * other.lr;
        self.rr += power * other.rr;
    }

    /// The product with a vector.
    #[inline(always)]
    pub(in crate::separate) fn times(&self, [left, right]: [Complex32; 2]) -> [Complex32; 2] {
        [left * self.ll + right * self.lr, left * self.lr + right * self.rr]
    }

    /// What one bin of the mixture, whose covariance this is, says: `C^-1 x`, and by how much its products exceed `C`.
    #[inline(always)]
    pub(in crate::separate) fn excess(&self, [left, right]: [Complex32; 2]) -> Excess {
        let scale = (self.ll * self.rr - self.lr * self.lr).max(f32::MIN_POSITIVE).recip();
        let inverse = Self { ll: self.rr * scale, lr: -self.lr * scale, rr: self.ll * scale };
        let z = inverse.times([left, right]);
        let over = Self {
            ll: z[0].norm_sqr() - inverse.ll,
            lr: z[0].re * z[1].re + z[0].im * z[1].im - inverse.lr,
            rr: z[1].norm_sqr() - inverse.rr,
        };
        Excess { z, over }
    }
}

/// What one bin says against the model of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::separate) struct Excess {
    /// `C^-1 x`.
    pub(in crate::separate) z: [Complex32; 2],
    /// The real part of `z z^H`, without `C^-1`.
    pub(in crate::separate) over: Covariance,
}

impl Excess {
    /// The expected power of a source, divided by the square of what it was taken for, less the inverse of that: with
    /// `v` the power and `R` the covariance, `(tr(R^-1 E[y y^H]) / 2 - v) / v^2`.
    ///
    /// # References
    /// N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation using a
    /// full-rank spatial covariance model", IEEE TASLP 18(7), 2010, equations 20 to 24, put together.
    pub(in crate::separate) fn of(&self, source: &Covariance) -> f32 {
        0.5 * (source.ll * self.over.ll + source.rr * self.over.rr) + source.lr * self.over.lr
    }
}

/// The covariances of a mixture along a row of bins, and then what each bin says against them.
#[derive(Debug, Clone)]
pub(in crate::separate) struct Row {
    ll: Vec<f32>,
    lr: Vec<f32>,
    rr: Vec<f32>,
}

impl Row {
    /// Of so many bins, with a little that comes from anywhere, so that there is something to invert.
    pub(in crate::separate) fn new(n_bins: usize, least_power: f32) -> Self {
        let of = |share: f32| vec![share * least_power; n_bins];
        let anywhere = Covariance::ANYWHERE;
        Self { ll: of(anywhere.ll), lr: of(anywhere.lr), rr: of(anywhere.rr) }
    }

    /// Adds a source of these powers.
    #[inline(always)]
    pub(in crate::separate) fn add(&mut self, source: &Covariance, powers: &[f32]) {
        let bins = self.ll.iter_mut().zip(&mut self.lr).zip(&mut self.rr).zip(powers);
        for (((ll, lr), rr), power) in bins {
            *ll += power * source.ll;
            *lr += power * source.lr;
            *rr += power * source.rr;
        }
    }

    /// What each bin of the mixture, times a gain, says.
    pub(in crate::separate) fn excess<'a>(
        &'a self,
        [left, right]: [&'a [Complex32]; 2],
        gain: f32,
    ) -> impl Iterator<Item = Excess> + 'a {
        let bins = self.ll.iter().zip(&self.lr).zip(&self.rr).zip(left.iter().zip(right));
        bins.map(move |(((ll, lr), rr), (left, right))| {
            Covariance { ll: *ll, lr: *lr, rr: *rr }.excess([left * gain, right * gain])
        })
    }

    /// Puts by how much each bin exceeds the mixture in place of it.
    #[inline(always)]
    pub(in crate::separate) fn into_excess(mut self, [left, right]: [&[Complex32]; 2], gain: f32) -> Self {
        let bins = self.ll.iter_mut().zip(&mut self.lr).zip(&mut self.rr).zip(left.iter().zip(right));
        for (((ll, lr), rr), (left, right)) in bins {
            let over = Covariance { ll: *ll, lr: *lr, rr: *rr }.excess([left * gain, right * gain]).over;
            (*ll, *lr, *rr) = (over.ll, over.lr, over.rr);
        }
        self
    }

    /// The expected power of a source, divided by the square of what it was taken for, after [`Row::into_excess`].
    #[inline(always)]
    pub(in crate::separate) fn expected(&self, source: &Covariance, powers: &[f32], expected: &mut [f32]) {
        let bins = self.ll.iter().zip(&self.lr).zip(&self.rr).zip(powers.iter().zip(expected));
        for (((ll, lr), rr), (power, to)) in bins {
            let over = 0.5 * (source.ll * ll + source.rr * rr) + source.lr * lr;
            *to = (power.recip() + over).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_that_is_as_expected_says_nothing() {
        let at = Covariance::at(0.3);
        let mut mixture = Covariance::default();
        mixture.add(&at, 2.0);
        // The mean of x x^H over these is C: its square root, column by column.
        let root = mixture.ll.sqrt();
        let columns = [[root, mixture.lr / root], [0.0, (mixture.rr - (mixture.lr / root).powi(2)).sqrt()]];
        let said: f32 = columns
            .map(|[left, right]| {
                // Two values, each with the root of two as its gain.
                let gain = 2.0f32.sqrt();
                let excess = mixture.excess([Complex32::new(gain * left, 0.0), Complex32::new(gain * right, 0.0)]);
                excess.of(&at)
            })
            .iter()
            .sum();
        assert!(said.abs() < 1e-3, "{said}");
    }

    #[test]
    fn places_are_of_constant_power() {
        for place in [-1.0, -0.4, 0.0, 0.7, 1.0] {
            let at = Covariance::at(place);
            assert!((at.ll + at.rr - 1.0 - 2.0 * BLUR).abs() < 1e-6, "{at:?}");
        }
        assert!(Covariance::at(-1.0).rr < 2.0 * BLUR && Covariance::at(1.0).ll < 2.0 * BLUR);
    }
}
