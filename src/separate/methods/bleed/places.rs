//! Where each source stands among the microphones, in each bin: a full-rank spatial covariance, learned by steps of
//! expectation and maximization, and the multichannel Wiener filter. Frames are worked on side by side, so that the
//! processor can, too. Knows one bin at a time.

use realfft::num_complex::{Complex32, Complex64};

/// Frames that are worked on side by side.
const LANES: usize = 4;

type Lane = [f64; LANES];

const ZERO: Lane = [0.0; LANES];

/// Added to the diagonal of the covariance of the mixture, relative to its mean: microphones that are equal, or dead,
/// leave it singular otherwise.
const REGULARIZATION: f64 = 1e-5;

/// Added to the diagonal of a source's first covariance, relative to its mean: no direction is ruled out.
const FIRST_LOAD: f64 = 1e-3;

/// The power of a source in a frame, relative to its mean, that it has at the least.
const POWER_FLOOR: f64 = 1e-10;

/// A complex matrix or vector, of several frames.
#[derive(Debug, Clone)]
struct Complexes {
    re: Vec<Lane>,
    im: Vec<Lane>,
}

impl Complexes {
    fn new(length: usize) -> Self {
        Self { re: vec![ZERO; length], im: vec![ZERO; length] }
    }
}

/// One bin of some frames: what the microphones hear, and the power of each source in its own microphone.
#[derive(Debug)]
pub(super) struct Bin {
    n_frames: usize,
    /// Groups of frames x microphones.
    heard: Complexes,
    /// Groups of frames x sources.
    power: Vec<Lane>,
    n_mics: usize,
    n_sources: usize,
}

impl Bin {
    pub(super) fn new(n_mics: usize, n_sources: usize, n_frames: usize) -> Self {
        let n_groups = n_frames.div_ceil(LANES);
        let (heard, power) = (Complexes::new(n_groups * n_mics), vec![ZERO; n_groups * n_sources]);
        Self { n_frames, heard, power, n_mics, n_sources }
    }

    /// What a microphone hears in each frame, times a gain.
    pub(super) fn hear(&mut self, mic: usize, spectrum: impl Iterator<Item = Complex32>, gain: f32) {
        for (frame, x) in spectrum.take(self.n_frames).enumerate() {
            let at = frame / LANES * self.n_mics + mic;
            self.heard.re[at][frame % LANES] = f64::from(x.re * gain);
            self.heard.im[at][frame % LANES] = f64::from(x.im * gain);
        }
    }

    /// The magnitude of a source in each frame.
    pub(super) fn expect(&mut self, source: usize, magnitudes: impl Iterator<Item = f32>) {
        for (frame, magnitude) in magnitudes.take(self.n_frames).enumerate() {
            self.power[frame / LANES * self.n_sources + source][frame % LANES] = f64::from(magnitude).powi(2);
        }
    }

    /// Of each source, its power summed over frames.
    pub(super) fn powers(&self) -> Vec<f64> {
        let of_source = |source: usize| self.power.iter().skip(source).step_by(self.n_sources).flatten().sum();
        (0..self.n_sources).map(of_source).collect()
    }

    fn n_groups(&self) -> usize {
        self.n_frames.div_ceil(LANES)
    }

    /// Mean power of a microphone.
    fn level(&self) -> f64 {
        let squares = self.heard.re.iter().chain(&self.heard.im).flatten().map(|x| x * x);
        squares.sum::<f64>() / (self.n_frames * self.n_mics).max(1) as f64
    }

    /// No power of a source is 0 where there is any.
    fn lift(&mut self) {
        for source in 0..self.n_sources {
            let of_source = || self.power.iter().skip(source).step_by(self.n_sources);
            let floor = POWER_FLOOR * of_source().flatten().sum::<f64>() / self.n_frames.max(1) as f64;
            for lane in self.power.iter_mut().skip(source).step_by(self.n_sources) {
                lane.iter_mut().for_each(|v| *v = v.max(floor));
            }
        }
    }
}

/// The covariances of all sources in one bin: sources x microphones x microphones, each Hermitian.
pub(super) type Covariances = [Complex64];

/// Room for the matrices of a group of frames.
#[derive(Debug)]
pub(super) struct Work {
    n_mics: usize,
    n_sources: usize,
    /// Lower triangle: the covariance of the mixture, then its Cholesky factor.
    factor: Complexes,
    /// One by the diagonal of the factor.
    pivots: Vec<Lane>,
    /// Lower triangle: the inverse of the factor.
    inverse: Complexes,
    /// The inverse covariance, times what the microphones hear.
    z: Complexes,
    /// Lower triangle: `z z^H - C^-1`.
    moment: Complexes,
}

impl Work {
    pub(super) fn new(n_mics: usize, n_sources: usize) -> Self {
        let square = || Complexes::new(n_mics * n_mics);
        Self {
            n_mics,
            n_sources,
            factor: square(),
            pivots: vec![ZERO; n_mics],
            inverse: square(),
            z: Complexes::new(n_mics),
            moment: square(),
        }
    }

    /// `C = sum over j of v_j R_j`, its Cholesky factor, and `z = C^-1 x`.
    fn solve(&mut self, bin: &Bin, group: usize, covariances: &Covariances, floor: f64) {
        let n = self.n_mics;
        let power = &bin.power[group * self.n_sources..(group + 1) * self.n_sources];
        let Complexes { re, im } = &mut self.factor;
        for i in 0..n {
            for k in 0..=i {
                let (mut sum_re, mut sum_im) = (ZERO, ZERO);
                for (source, v) in power.iter().enumerate() {
                    let r = covariances[(source * n + i) * n + k];
                    for lane in 0..LANES {
                        sum_re[lane] += v[lane] * r.re;
                        sum_im[lane] += v[lane] * r.im;
                    }
                }
                (re[i * n + k], im[i * n + k]) = (sum_re, sum_im);
            }
        }
        let mut load = [floor; LANES];
        for i in 0..n {
            (0..LANES).for_each(|lane| load[lane] += REGULARIZATION / n as f64 * re[i * n + i][lane]);
        }
        (0..n).for_each(|i| (0..LANES).for_each(|lane| re[i * n + i][lane] += load[lane]));
        for j in 0..n {
            let mut pivot = re[j * n + j];
            for k in 0..j {
                let (a, b) = (&re[j * n + k], &im[j * n + k]);
                (0..LANES).for_each(|lane| pivot[lane] -= a[lane] * a[lane] + b[lane] * b[lane]);
            }
            // What rounding makes of a pivot that has to be at least the load.
            let inverse: Lane = std::array::from_fn(|lane| 1.0 / pivot[lane].max(load[lane]).sqrt());
            self.pivots[j] = inverse;
            for i in j + 1..n {
                let (mut a, mut b) = (re[i * n + j], im[i * n + j]);
                for k in 0..j {
                    let (p, q) = (&re[i * n + k], &im[i * n + k]);
                    let (r, s) = (&re[j * n + k], &im[j * n + k]);
                    for lane in 0..LANES {
                        a[lane] -= p[lane] * r[lane] + q[lane] * s[lane];
                        b[lane] -= q[lane] * r[lane] - p[lane] * s[lane];
                    }
                }
                for lane in 0..LANES {
                    re[i * n + j][lane] = a[lane] * inverse[lane];
                    im[i * n + j][lane] = b[lane] * inverse[lane];
                }
            }
        }
        // L u = x, then L^H z = u.
        let heard = group * n..(group + 1) * n;
        self.z.re.copy_from_slice(&bin.heard.re[heard.clone()]);
        self.z.im.copy_from_slice(&bin.heard.im[heard]);
        for i in 0..n {
            let (mut a, mut b) = (self.z.re[i], self.z.im[i]);
            for k in 0..i {
                let (p, q) = (&re[i * n + k], &im[i * n + k]);
                let (r, s) = (&self.z.re[k], &self.z.im[k]);
                for lane in 0..LANES {
                    a[lane] -= p[lane] * r[lane] - q[lane] * s[lane];
                    b[lane] -= p[lane] * s[lane] + q[lane] * r[lane];
                }
            }
            let pivot = &self.pivots[i];
            for lane in 0..LANES {
                self.z.re[i][lane] = a[lane] * pivot[lane];
                self.z.im[i][lane] = b[lane] * pivot[lane];
            }
        }
        for i in (0..n).rev() {
            let (mut a, mut b) = (self.z.re[i], self.z.im[i]);
            for k in i + 1..n {
                let (p, q) = (&re[k * n + i], &im[k * n + i]);
                let (r, s) = (&self.z.re[k], &self.z.im[k]);
                for lane in 0..LANES {
                    a[lane] -= p[lane] * r[lane] + q[lane] * s[lane];
                    b[lane] -= p[lane] * s[lane] - q[lane] * r[lane];
                }
            }
            let pivot = &self.pivots[i];
            for lane in 0..LANES {
                self.z.re[i][lane] = a[lane] * pivot[lane];
                self.z.im[i][lane] = b[lane] * pivot[lane];
            }
        }
    }

    /// `z z^H - C^-1`, after [`Work::solve`].
    fn take_moment(&mut self) {
        let n = self.n_mics;
        let Complexes { re, im } = &self.factor;
        let inverse = &mut self.inverse;
        for j in 0..n {
            inverse.re[j * n + j] = self.pivots[j];
            inverse.im[j * n + j] = ZERO;
            for i in j + 1..n {
                let (mut a, mut b) = (ZERO, ZERO);
                for k in j..i {
                    let (p, q) = (&re[i * n + k], &im[i * n + k]);
                    let (r, s) = (&inverse.re[k * n + j], &inverse.im[k * n + j]);
                    for lane in 0..LANES {
                        a[lane] -= p[lane] * r[lane] - q[lane] * s[lane];
                        b[lane] -= p[lane] * s[lane] + q[lane] * r[lane];
                    }
                }
                let pivot = &self.pivots[i];
                for lane in 0..LANES {
                    inverse.re[i * n + j][lane] = a[lane] * pivot[lane];
                    inverse.im[i * n + j][lane] = b[lane] * pivot[lane];
                }
            }
        }
        for i in 0..n {
            for k in 0..=i {
                let (zr, zi) = (&self.z.re, &self.z.im);
                let (mut a, mut b) = (ZERO, ZERO);
                for lane in 0..LANES {
                    a[lane] = zr[i][lane] * zr[k][lane] + zi[i][lane] * zi[k][lane];
                    b[lane] = zi[i][lane] * zr[k][lane] - zr[i][lane] * zi[k][lane];
                }
                for m in i..n {
                    let (p, q) = (&inverse.re[m * n + i], &inverse.im[m * n + i]);
                    let (r, s) = (&inverse.re[m * n + k], &inverse.im[m * n + k]);
                    for lane in 0..LANES {
                        a[lane] -= p[lane] * r[lane] + q[lane] * s[lane];
                        b[lane] -= p[lane] * s[lane] - q[lane] * r[lane];
                    }
                }
                (self.moment.re[i * n + k], self.moment.im[i * n + k]) = (a, b);
            }
        }
    }

    /// `tr(R_j (z z^H - C^-1))`.
    fn trace(&self, covariance: &[Complex64]) -> Lane {
        let n = self.n_mics;
        let mut trace = ZERO;
        for i in 0..n {
            for k in 0..=i {
                let r = covariance[i * n + k] * if i == k { 1.0 } else { 2.0 };
                let (a, b) = (&self.moment.re[i * n + k], &self.moment.im[i * n + k]);
                (0..LANES).for_each(|lane| trace[lane] += r.re * a[lane] + r.im * b[lane]);
            }
        }
        trace
    }

    /// The power of each source, once more: `v_j <- v_j + v_j^2 tr(R_j (z z^H - C^-1)) / M`, the mean over the
    /// microphones of what is expected of its image. After [`Work::take_moment`].
    fn improve_power(&self, source: usize, covariances: &Covariances, power: &Lane) -> Lane {
        let n = self.n_mics;
        let trace = self.trace(&covariances[source * n * n..(source + 1) * n * n]);
        std::array::from_fn(|lane| {
            let v = power[lane];
            // Of a covariance, it cannot be below 0, but for rounding.
            (v + v * v * trace[lane] / n as f64).max(1e-6 * v)
        })
    }
}

/// Learns the covariances of all sources in one bin.
///
/// # References
/// N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation using a full-rank
/// spatial covariance model", IEEE TASLP 18(7), 2010: the model, and the steps of its algorithm (equations 12 to 18),
/// here without the inverse of `R_j`.
pub(super) fn learn(bin: &mut Bin, n_steps: usize, work: &mut Work) -> Vec<Complex64> {
    let (n, n_sources) = (bin.n_mics, bin.n_sources);
    bin.lift();
    let level = bin.level();
    let mut covariances = first_covariances(bin, level);
    let floor = 1e-9 * level + f64::MIN_POSITIVE.sqrt();
    for _ in 0..n_steps {
        let mut sums = vec![Complexes::new(n * n); n_sources];
        let mut ratios = vec![ZERO; n_sources];
        for group in 0..bin.n_groups() {
            work.solve(bin, group, &covariances, floor);
            work.take_moment();
            let n_left = bin.n_frames - group * LANES;
            for source in 0..n_sources {
                let old = bin.power[group * n_sources + source];
                let new = work.improve_power(source, &covariances, &old);
                bin.power[group * n_sources + source] = new;
                // `v / v'` and `v^2 / v'`; nothing in lanes that are no frames.
                let share: Lane =
                    std::array::from_fn(
                        |lane| {
                            if lane < n_left && new[lane] > 0.0 { old[lane] / new[lane] } else { 0.0 }
                        },
                    );
                let weight: Lane = std::array::from_fn(|lane| share[lane] * old[lane]);
                (0..LANES).for_each(|lane| ratios[source][lane] += share[lane]);
                let sum = &mut sums[source];
                for i in 0..n {
                    for k in 0..=i {
                        let at = i * n + k;
                        let (re, im) = (&work.moment.re[at], &work.moment.im[at]);
                        (0..LANES).for_each(|lane| sum.re[at][lane] += weight[lane] * re[lane]);
                        (0..LANES).for_each(|lane| sum.im[at][lane] += weight[lane] * im[lane]);
                    }
                }
            }
        }
        for (source, sum) in sums.iter().enumerate() {
            let ratio: f64 = ratios[source].iter().sum();
            let r = &mut covariances[source * n * n..(source + 1) * n * n];
            improve_covariance(r, ratio, sum, bin.n_frames);
        }
    }
    covariances
}

/// `R <- mean(v / v') R + R mean(v^2 / v' (z z^H - C^-1)) R`, the mean of what is expected of the image, relative to
/// its power.
fn improve_covariance(r: &mut [Complex64], ratio: f64, sum: &Complexes, n_frames: usize) {
    let n = r.len().isqrt();
    if ratio <= 0.0 {
        return;
    }
    let moment = |i: usize, k: usize| {
        let at = if i >= k { i * n + k } else { k * n + i };
        let (re, im): (f64, f64) = (sum.re[at].iter().sum(), sum.im[at].iter().sum());
        Complex64::new(re, if i >= k { im } else { -im }) / n_frames as f64
    };
    let old = r.to_vec();
    let mut half = vec![Complex64::ZERO; n * n];
    for i in 0..n {
        for k in 0..n {
            half[i * n + k] = (0..n).map(|m| moment(i, m) * old[m * n + k]).sum();
        }
    }
    let mut new = vec![Complex64::ZERO; n * n];
    for i in 0..n {
        for k in 0..=i {
            let more: Complex64 = (0..n).map(|m| old[i * n + m] * half[m * n + k]).sum();
            let x = old[i * n + k] * (ratio / n_frames as f64) + more;
            new[k * n + i] = x.conj();
            new[i * n + k] = x;
        }
        new[i * n + i] = Complex64::from(new[i * n + i].re.max(0.0));
    }
    if new.iter().all(|x| x.is_finite()) {
        r.copy_from_slice(&new);
    }
}

/// `R_j = sum of m_j x x^H / sum of m_j v_j`, with `m_j = v_j / sum of v`.
fn first_covariances(bin: &Bin, level: f64) -> Vec<Complex64> {
    let (n, n_sources) = (bin.n_mics, bin.n_sources);
    let mut covariances = vec![Complex64::ZERO; n_sources * n * n];
    let mut weights = vec![0.0; n_sources];
    for frame in 0..bin.n_frames {
        let (group, lane) = (frame / LANES, frame % LANES);
        let x: Vec<_> = (group * n..(group + 1) * n)
            .map(|at| Complex64::new(bin.heard.re[at][lane], bin.heard.im[at][lane]))
            .collect();
        let power = &bin.power[group * n_sources..(group + 1) * n_sources];
        let total: f64 = power.iter().map(|v| v[lane]).sum();
        if total <= 0.0 {
            continue;
        }
        for (source, v) in power.iter().enumerate() {
            let share = v[lane] / total;
            weights[source] += share * v[lane];
            for (i, row) in covariances[source * n * n..(source + 1) * n * n].chunks_exact_mut(n).enumerate() {
                row.iter_mut().zip(&x).for_each(|(sum, b)| *sum += x[i] * b.conj() * share);
            }
        }
    }
    for (covariance, weight) in covariances.chunks_exact_mut(n * n).zip(&weights) {
        let factor = if *weight > f64::MIN_POSITIVE.sqrt() { 1.0 / weight } else { 0.0 };
        covariance.iter_mut().for_each(|x| *x *= factor);
        let trace: f64 = (0..n).map(|i| covariance[i * n + i].re).sum();
        // A source that never sounds here takes nothing.
        let load = if trace > 0.0 { FIRST_LOAD * trace / n as f64 } else { 1e-12 * level };
        (0..n).for_each(|i| covariance[i * n + i] += load);
    }
    covariances
}

/// The image of a source in a microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) source: usize,
    pub(super) mic: usize,
}

/// Filters one bin: what each microphone hears of a source in each frame, after some more looks at the power of each.
/// `y = v_j R_j C^-1 x`.
pub(super) fn filter(
    bin: &mut Bin,
    covariances: &Covariances,
    images: &[Image],
    n_looks: usize,
    work: &mut Work,
    each: &mut dyn FnMut(usize, usize, Complex32),
) {
    let (n, n_sources) = (bin.n_mics, bin.n_sources);
    bin.lift();
    let floor = 1e-9 * bin.level() + f64::MIN_POSITIVE.sqrt();
    for group in 0..bin.n_groups() {
        for _ in 0..n_looks {
            work.solve(bin, group, covariances, floor);
            work.take_moment();
            for source in 0..n_sources {
                let power = &mut bin.power[group * n_sources + source];
                *power = work.improve_power(source, covariances, power);
            }
        }
        work.solve(bin, group, covariances, floor);
        for (number, image) in images.iter().enumerate() {
            let row = &covariances[(image.source * n + image.mic) * n..][..n];
            let (mut a, mut b) = (ZERO, ZERO);
            for (k, r) in row.iter().enumerate() {
                let (p, q) = (&work.z.re[k], &work.z.im[k]);
                for lane in 0..LANES {
                    a[lane] += r.re * p[lane] - r.im * q[lane];
                    b[lane] += r.re * q[lane] + r.im * p[lane];
                }
            }
            let power = &bin.power[group * n_sources + image.source];
            for lane in 0..LANES.min(bin.n_frames - group * LANES) {
                let v = power[lane];
                each(number, group * LANES + lane, Complex32::new((v * a[lane]) as f32, (v * b[lane]) as f32));
            }
        }
    }
}
