//! Demixing, one bin at a time: what the microphones hear, the matrix that makes sources of it, and its update by
//! iterative projection. Knows nothing of other bins.

use realfft::num_complex::{Complex32, Complex64};

use crate::nmf::kernel::{Loops, widest};

/// Added to the diagonal of a weighted covariance, relative to its mean.
const LOAD: f64 = 1e-9;

/// Frames that are worked on at once: so many sums stay in registers.
pub(super) const LANES: usize = 16;

/// Sums of so many frames are taken in single precision before they are added up.
const CHUNK: usize = 4 * LANES;

/// One bin: microphones x frames, and the matrix. Frames are as many as a multiple of [`LANES`]; silence follows those
/// of the recording.
#[derive(Debug)]
pub(super) struct Bin {
    /// Frames of the recording.
    pub(super) n_frames: usize,
    /// Real and imaginary parts, of each microphone.
    x: Vec<[Vec<f32>; 2]>,
    /// Rows are the conjugates of the vectors that make the sources: sources x microphones.
    pub(super) w: Vec<Complex64>,
    /// Power of each source in each frame.
    pub(super) power: Vec<Vec<f32>>,
    /// Whether anything was ever heard here.
    pub(super) has_sound: bool,
}

impl Bin {
    /// What each microphone hears, in frames, times a gain.
    pub(super) fn new(mut x: Vec<[Vec<f32>; 2]>) -> Self {
        let (n, n_frames) = (x.len(), x.first().map_or(0, |x| x[0].len()));
        let n_padded = n_frames.next_multiple_of(LANES);
        x.iter_mut().flatten().for_each(|part| part.resize(n_padded, 0.0));
        let mut w = vec![Complex64::ZERO; n * n];
        (0..n).for_each(|i| w[i * n + i] = Complex64::ONE);
        let has_sound = x.iter().flatten().flatten().any(|x| *x != 0.0);
        let mut bin = Self { n_frames, x, w, power: vec![vec![0.0; n_padded]; n], has_sound };
        (0..n).for_each(|source| bin.listen(source));
        bin
    }

    pub(super) fn n_microphones(&self) -> usize {
        self.x.len()
    }

    /// What a microphone hears in a frame.
    pub(super) fn heard(&self, mic: usize, frame: usize) -> Complex32 {
        let [re, im] = &self.x[mic];
        Complex32::new(re[frame], im[frame])
    }

    /// The power of a source, `|w^H x|^2`.
    #[inline(always)]
    fn listen(&mut self, source: usize) {
        let n = self.n_microphones();
        let row: Vec<Complex32> =
            self.w[source * n..(source + 1) * n].iter().map(|w| Complex32::new(w.re as f32, w.im as f32)).collect();
        for (i, power) in self.power[source].chunks_exact_mut(LANES).enumerate() {
            let frames = i * LANES..(i + 1) * LANES;
            let (mut re, mut im) = ([0.0f32; LANES], [0.0f32; LANES]);
            for (w, [a, b]) in row.iter().zip(&self.x) {
                let (a, b) = (&a[frames.clone()], &b[frames.clone()]);
                for lane in 0..LANES {
                    re[lane] += w.re * a[lane] - w.im * b[lane];
                    im[lane] += w.re * b[lane] + w.im * a[lane];
                }
            }
            for lane in 0..LANES {
                power[lane] = re[lane] * re[lane] + im[lane] * im[lane];
            }
        }
    }

    /// The power of a source in all frames together.
    pub(super) fn total(&self, source: usize) -> f64 {
        let mut total = 0.0;
        for chunk in self.power[source].chunks(CHUNK) {
            let mut sums = [0.0f32; LANES];
            for power in chunk.chunks_exact(LANES) {
                for lane in 0..LANES {
                    sums[lane] += power[lane];
                }
            }
            total += f64::from(sums.iter().sum::<f32>());
        }
        total
    }

    /// One step of iterative projection for a source whose variance in each frame, silence included, is one by `weights`:
    /// `w <- (W V)^-1 e`, `w <- w / sqrt(w^H V w)`, with `V = mean of weights x x^H`.
    ///
    /// # References
    /// N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function technique",
    /// WASPAA 2011, equations 17 to 19.
    pub(super) fn project(&mut self, source: usize, weights: &[f32]) {
        widest(Project { bin: self, source, weights });
    }

    #[inline(always)]
    fn step(&mut self, source: usize, weights: &[f32]) {
        let n = self.n_microphones();
        if !self.has_sound {
            return;
        }
        let v = self.covariance(weights);
        // A = W V, and A w = e.
        let mut a = vec![Complex64::ZERO; n * n];
        for i in 0..n {
            for k in 0..n {
                a[i * n + k] = (0..n).map(|m| self.w[i * n + m] * v[m * n + k]).sum();
            }
        }
        let mut e = vec![Complex64::ZERO; n];
        e[source] = Complex64::ONE;
        if !solve(&mut a, &mut e) {
            return;
        }
        let of_row = |i: usize| (0..n).map(|k| v[i * n + k] * e[k]).sum::<Complex64>();
        let square: f64 = (0..n).map(|i| (e[i].conj() * of_row(i)).re).sum();
        if !(square.is_normal() && square > 0.0) {
            return;
        }
        let scale = square.sqrt().recip();
        for (to, w) in self.w[source * n..(source + 1) * n].iter_mut().zip(&e) {
            *to = w.conj() * scale;
        }
        self.listen(source);
    }

    /// `mean of weights x x^H`, with a little on its diagonal.
    #[inline(always)]
    fn covariance(&self, weights: &[f32]) -> Vec<Complex64> {
        let n = self.n_microphones();
        let mut v = vec![Complex64::ZERO; n * n];
        for i in 0..n {
            for k in 0..i {
                let x = weighted_product(weights, &self.x[i], &self.x[k]) / self.n_frames as f64;
                v[k * n + i] = x.conj();
                v[i * n + k] = x;
            }
            v[i * n + i] = (weighted_power(weights, &self.x[i]) / self.n_frames as f64).into();
        }
        let trace: f64 = (0..n).map(|i| v[i * n + i].re).sum();
        (0..n).for_each(|i| v[i * n + i] = (v[i * n + i].re + LOAD * trace / n as f64).into());
        v
    }

    /// Makes a source so many times as strong in power.
    pub(super) fn scale(&mut self, source: usize, factor: f64) {
        let n = self.n_microphones();
        let root = factor.sqrt();
        self.w[source * n..(source + 1) * n].iter_mut().for_each(|w| *w *= root);
        self.power[source].iter_mut().for_each(|p| *p *= factor as f32);
    }

    /// What the microphones hear of each source when it is as strong as it is here: the inverse of the matrix,
    /// microphones x sources. `None` where there is none.
    pub(super) fn mixing(&self) -> Option<Vec<Complex64>> {
        let n = self.n_microphones();
        let mut inverse = vec![Complex64::ZERO; n * n];
        for source in 0..n {
            let (mut a, mut e) = (self.w.clone(), vec![Complex64::ZERO; n]);
            e[source] = Complex64::ONE;
            if !solve(&mut a, &mut e) {
                return None;
            }
            (0..n).for_each(|mic| inverse[mic * n + source] = e[mic]);
        }
        Some(inverse)
    }
}

/// [`Bin::project`].
struct Project<'a> {
    bin: &'a mut Bin,
    source: usize,
    weights: &'a [f32],
}

impl Loops for Project<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.bin.step(self.source, self.weights);
    }
}

/// Sum of `weights |x|^2`.
#[inline(always)]
fn weighted_power(weights: &[f32], [a, b]: &[Vec<f32>; 2]) -> f64 {
    weighted_sum(weights, [a, a], [b, b], 1.0)
}

/// Sum of `weights x conj(y)`. Both parts in one loop would be compiled to shuffles.
#[inline(always)]
fn weighted_product(weights: &[f32], [a, b]: &[Vec<f32>; 2], [c, d]: &[Vec<f32>; 2]) -> Complex64 {
    Complex64::new(weighted_sum(weights, [a, c], [b, d], 1.0), weighted_sum(weights, [b, c], [a, d], -1.0))
}

/// Sum of `weights (a b + sign c d)`.
#[inline(always)]
fn weighted_sum(weights: &[f32], [a, b]: [&[f32]; 2], [c, d]: [&[f32]; 2], sign: f32) -> f64 {
    let mut total = 0.0;
    let pairs = a.chunks(CHUNK).zip(b.chunks(CHUNK)).zip(c.chunks(CHUNK).zip(d.chunks(CHUNK)));
    for (weights, ((a, b), (c, d))) in weights.chunks(CHUNK).zip(pairs) {
        let mut sums = [0.0f32; LANES];
        let [(weights, _), (a, _), (b, _), (c, _), (d, _)] = [weights, a, b, c, d].map(<[f32]>::as_chunks::<LANES>);
        for ((weights, (a, b)), (c, d)) in weights.iter().zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
            for lane in 0..LANES {
                sums[lane] += weights[lane] * (a[lane] * b[lane] + sign * c[lane] * d[lane]);
            }
        }
        total += f64::from(sums.iter().sum::<f32>());
    }
    total
}

/// Solves A z = x by elimination with pivots; z takes the place of x. `false` where A is singular.
fn solve(a: &mut [Complex64], x: &mut [Complex64]) -> bool {
    let n = x.len();
    for j in 0..n {
        let pivot = (j..n).max_by(|p, q| a[p * n + j].norm_sqr().total_cmp(&a[q * n + j].norm_sqr())).unwrap_or(j);
        let value = a[pivot * n + j];
        if !(value.norm_sqr().is_finite() && value.norm_sqr() > 0.0) {
            return false;
        }
        if pivot != j {
            (0..n).for_each(|k| a.swap(j * n + k, pivot * n + k));
            x.swap(j, pivot);
        }
        for i in j + 1..n {
            let factor = a[i * n + j] / value;
            for k in j..n {
                let y = a[j * n + k];
                a[i * n + k] -= factor * y;
            }
            let y = x[j];
            x[i] -= factor * y;
        }
    }
    for i in (0..n).rev() {
        let done: Complex64 = (i + 1..n).map(|k| a[i * n + k] * x[k]).sum();
        x[i] = (x[i] - done) / a[i * n + i];
    }
    x.iter().all(|z| z.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved_whatever_its_order() {
        let c = Complex64::new;
        let a = [
            c(0.0, 0.0),
            c(1.0, 2.0),
            c(3.0, 0.0),
            c(1.0, 0.0),
            c(0.0, 1.0),
            c(2.0, 0.0),
            c(0.0, -1.0),
            c(4.0, 0.0),
            c(0.5, 0.5),
        ];
        let x = [c(1.0, 0.0), c(0.0, 1.0), c(2.0, -1.0)];
        let (mut factor, mut z) = (a, x);
        assert!(solve(&mut factor, &mut z));
        for (row, x) in a.chunks(3).zip(x) {
            let product: Complex64 = row.iter().zip(&z).map(|(a, z)| a * z).sum();
            assert!((product - x).norm() < 1e-12, "{product}, expected {x}");
        }
        assert!(!solve(&mut [c(0.0, 0.0)], &mut [c(1.0, 0.0)]), "a singular one is not");
    }

    #[test]
    fn two_sources_that_take_turns_are_told_apart() {
        // Two microphones that hear both, with weights that say when each sounds.
        let n_frames = 200;
        let wave = |seed: usize, t: usize| (((t * 7919 + seed * 104_729) % 1009) as f32 / 1009.0) - 0.5;
        let on = |source: usize, t: usize| if (t / 20) % 2 == source { 1.0f32 } else { 0.05 };
        let sound = |source: usize, t: usize| on(source, t) * wave(source + 1, t);
        let mic = |gains: [f32; 2]| {
            let re = (0..n_frames).map(|t| gains[0] * sound(0, t) + gains[1] * sound(1, t)).collect();
            [re, vec![0.0; n_frames]]
        };
        let mut bin = Bin::new(vec![mic([1.0, 0.8]), mic([0.7, 1.0])]);
        for _ in 0..10 {
            for source in 0..2 {
                let n_padded = bin.power[source].len();
                let weights: Vec<f32> = (0..n_padded).map(|t| on(source, t).powi(-2)).collect();
                bin.project(source, &weights);
            }
        }
        // Row by row, what is left of each source.
        for (source, row) in bin.w.chunks(2).enumerate() {
            let gain = |other: usize| {
                let heard = if other == 0 { [1.0, 0.7] } else { [0.8, 1.0] };
                (row[0] * heard[0] + row[1] * heard[1]).norm()
            };
            assert!(gain(source) > 20.0 * gain(1 - source), "{} and {}", gain(source), gain(1 - source));
        }
    }
}
