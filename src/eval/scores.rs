//! Scores: of a window, of a source, of all; their means and medians, and over how many these are.
//! Knows no signals.

/// The scores of one estimate, in dB: higher is better. No score lies outside -150 to 150 dB: beyond, double precision
/// tells nothing.
///
/// NaN is a score that does not exist. Where the reference is silent, none does. Silence as an estimate has those that its
/// energies define: an SDR and an ISR of 0 dB in [`Mode::Images`](super::Mode::Images). The others are 0 / 0: SI-SDR
/// always, for silence is the limit of good and of bad estimates alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Source to distortion ratio.
    pub bss_sdr: f64,
    /// Image to spatial distortion ratio; NaN in [`Mode::Sources`](super::Mode::Sources).
    pub bss_isr: f64,
    /// Source to interference ratio.
    pub bss_sir: f64,
    /// Sources to artifacts ratio.
    pub bss_sar: f64,
    /// Scale-invariant signal to distortion ratio, zero mean, channels averaged.
    pub si_sdr: f64,
}

impl Scores {
    /// Scores of nothing.
    pub const NAN: Self =
        Self { bss_sdr: f64::NAN, bss_isr: f64::NAN, bss_sir: f64::NAN, bss_sar: f64::NAN, si_sdr: f64::NAN };

    /// SDR, ISR, SIR, SAR and SI-SDR, in this order.
    pub fn values(&self) -> [f64; 5] {
        [self.bss_sdr, self.bss_isr, self.bss_sir, self.bss_sar, self.si_sdr]
    }

    fn from_values([bss_sdr, bss_isr, bss_sir, bss_sar, si_sdr]: [f64; 5]) -> Self {
        Self { bss_sdr, bss_isr, bss_sir, bss_sar, si_sdr }
    }

    /// The mean of each score, over those that exist: [`Scores::n_existing`] of them.
    pub fn mean(all: &[Self]) -> Self {
        Self::summary(all, |values| mean(values.iter().copied()))
    }

    /// The median of each score, over those that exist: [`Scores::n_existing`] of them.
    pub fn median(all: &[Self]) -> Self {
        Self::summary(all, median)
    }

    /// How many there are of each score, in the order of [`Scores::values`].
    pub fn n_existing(all: &[Self]) -> [usize; 5] {
        std::array::from_fn(|k| all.iter().filter(|scores| !scores.values()[k].is_nan()).count())
    }

    /// The mean of each score; none where one of them does not exist.
    pub(super) fn mean_of_all(all: &[Self]) -> Self {
        Self::summary(all, |values| values.iter().sum::<f64>() / values.len() as f64)
    }

    fn summary(all: &[Self], summarize: impl Fn(&mut [f64]) -> f64) -> Self {
        Self::from_values(std::array::from_fn(|k| {
            let mut values: Vec<_> = all.iter().map(|scores| scores.values()[k]).collect();
            summarize(&mut values)
        }))
    }

    /// One score, where the other has it, too.
    fn if_both(&self, other: &Self, k: usize) -> f64 {
        if other.values()[k].is_nan() { f64::NAN } else { self.values()[k] }
    }

    fn minus(&self, other: &Self) -> Self {
        let (a, b) = (self.values(), other.values());
        Self::from_values(std::array::from_fn(|k| a[k] - b[k]))
    }
}

/// Why some scores do not exist, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The reference is silent throughout: there are no scores.
    Reference,
    /// The estimate is: some do not exist, see [`Scores`].
    Estimate,
}

/// How one source came out.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceEvaluation {
    /// The estimate that belongs to it.
    pub estimate: usize,
    /// What is silent throughout, if anything.
    pub silence: Option<Silence>,
    /// Scores of each window in the order of time, or of the whole alone. A window in which any reference is silent has
    /// none, as in museval; one in which the estimate is silent has those that exist, or silence would pay.
    pub frames: Vec<Scores>,
    /// The scores that the mixture would get as the estimate, where it was given.
    pub mixture_frames: Vec<Scores>,
}

impl SourceEvaluation {
    /// The scores of the whole: the medians over windows, of which [`Scores::n_existing`] of `frames` have a part in each.
    pub fn scores(&self) -> Scores {
        Scores::median(&self.frames)
    }

    /// How much better it is than the mixture, which was given for comparison, in the windows in which both have the
    /// score; the first of these is known as `SDRi`.
    pub fn improvement(&self) -> Option<Scores> {
        if self.mixture_frames.is_empty() {
            return None;
        }
        let both = |a: &[Scores], b: &[Scores]| -> Vec<Scores> {
            a.iter().zip(b).map(|(a, b)| Scores::from_values(std::array::from_fn(|k| a.if_both(b, k)))).collect()
        };
        let (ours, mixture) = (&self.frames, &self.mixture_frames);
        Some(Scores::median(&both(ours, mixture)).minus(&Scores::median(&both(mixture, ours))))
    }

    /// Windows without any score.
    pub fn n_silent_frames(&self) -> usize {
        self.frames.iter().filter(|scores| scores.values().iter().all(|score| score.is_nan())).count()
    }
}

/// How all sources came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One per reference, in their order.
    pub sources: Vec<SourceEvaluation>,
    /// Samples per channel that were compared.
    pub n_samples: usize,
}

impl Evaluation {
    /// The scores of each source.
    pub fn scores(&self) -> Vec<Scores> {
        self.sources.iter().map(SourceEvaluation::scores).collect()
    }

    /// The improvement of each source, where the mixture was given.
    pub fn improvements(&self) -> Option<Vec<Scores>> {
        self.sources.iter().map(SourceEvaluation::improvement).collect()
    }

    /// The mean over the sources that have the score.
    pub fn mean(&self) -> Scores {
        Scores::mean(&self.scores())
    }

    /// The mean over sources of [`SourceEvaluation::improvement`].
    pub fn mean_improvement(&self) -> Option<Scores> {
        self.improvements().map(|all| Scores::mean(&all))
    }
}

/// Ratios beyond it, in dB, are rounding.
pub(super) const MAX_DB: f64 = 150.0;

/// A ratio of energies in dB; NaN where both are zero.
pub(super) fn ratio_db(of: f64, to: f64) -> f64 {
    let (of, to) = (of.max(0.0), to.max(0.0));
    if of == 0.0 && to == 0.0 {
        return f64::NAN;
    }
    (10.0 * (of / to).log10()).clamp(-MAX_DB, MAX_DB)
}

/// The mean of the numbers among these; NaN of none.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.filter(|x| !x.is_nan()).fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
    sum / n
}

/// The median of the numbers among these; NaN of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.iter().filter(|x| !x.is_nan()).count();
    // NaN of either sign may stand at either end.
    let first = values.iter().position(|x| !x.is_nan()).unwrap_or(0);
    match values.get(first..first + n) {
        Some([]) | None => f64::NAN,
        Some(numbers) => numbers[(n - 1) / 2].midpoint(numbers[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_means_leave_out_what_is_no_number() {
        assert_eq!(median(&mut [3.0, f64::NAN, 1.0, -f64::NAN]), 2.0);
        assert_eq!(median(&mut [3.0, 7.0, 1.0]), 3.0);
        assert!(median(&mut [f64::NAN]).is_nan() && median(&mut []).is_nan());
        assert_eq!(mean([3.0, f64::NAN, 1.0].into_iter()), 2.0);
    }
}
