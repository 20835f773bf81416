//! Short-time Fourier transform and its inverse, for whole signals and for streams, with the same bits.
//! With `eval`, the only place that knows realfft. One channel at a time; nothing here knows about files or parts.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

pub use self::config::{StftConfig, StftOptions};
use crate::Result;

mod config;
pub mod window;

/// A planned transform: build once, use for any number of signals, from any number of threads.
#[derive(Clone)]
pub struct Stft {
    config: StftConfig,
    /// The window, padded to `n_fft`.
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl std::fmt::Debug for Stft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stft").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Stft {
    /// Plans the transform.
    ///
    /// # Errors
    /// Those of [`StftConfig::check`].
    ///
    /// # Examples
    /// ```
    /// use partita::{Stft, StftConfig};
    /// let stft = Stft::new(StftConfig::new(512))?;
    /// let signal = ndarray::Array1::from_shape_fn(5000, |i| (0.1 * i as f32).sin());
    /// let spectrum = stft.forward(signal.view());
    /// let back = stft.inverse(spectrum.view(), signal.len());
    /// assert!((&back - &signal).iter().all(|gap| gap.abs() < 1e-6), "the inverse gives the signal back");
    /// # Ok::<(), partita::Error>(())
    /// ```
    pub fn new(config: StftConfig) -> Result<Self> {
        config.check()?;
        let mut planner = RealFftPlanner::new();
        let mut window = vec![0.0; config.n_fft];
        // Centered on `n_fft / 2`, as the frame is.
        let start = config.n_fft / 2 - config.win_length / 2;
        window[start..start + config.win_length].copy_from_slice(&config.window.values(config.win_length));
        let (forward, inverse) = (planner.plan_fft_forward(config.n_fft), planner.plan_fft_inverse(config.n_fft));
        Ok(Self { config, window, forward, inverse })
    }

    /// The sizes and the window.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// Transforms a whole signal, frames in parallel.
    ///
    /// # Shapes and units
    /// | name | shape |
    /// |---|---|
    /// | `signal` | `n_samples` |
    /// | result | `n_frames(n_samples)` x `n_bins`, unnormalized as in librosa |
    ///
    /// # Cost
    /// O(`n_frames` `n_fft` log `n_fft`); allocates the result and one frame per thread.
    pub fn forward(&self, signal: ArrayView1<'_, f32>) -> Array2<Complex32> {
        let mut spectrum = Array2::zeros((self.config.n_frames(signal.len()), self.config.n_bins()));
        self.forward_frames(signal, 0, &mut spectrum);
        spectrum
    }

    /// Transforms the frames from `first_frame` on, one for each row of `spectrum`.
    pub fn forward_frames(&self, signal: ArrayView1<'_, f32>, first_frame: usize, spectrum: &mut Array2<Complex32>) {
        spectrum.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each_init(
            || {
                (
                    vec![0.0; self.config.n_fft],
                    self.forward.make_scratch_vec(),
                    vec![Complex32::ZERO; self.config.n_bins()],
                )
            },
            |(buffer, scratch, bins), (i, mut row)| {
                self.cut(signal, first_frame + i, buffer);
                self.transform(buffer, bins, scratch);
                row.assign(&ArrayView1::from(&bins[..]));
            },
        );
    }

    /// Magnitudes over several channels of one recording: the root of the channel-summed power, `n_frames` x `n_bins`.
    pub fn magnitude(&self, channels: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut magnitude = Array2::zeros((self.config.n_frames(channels.ncols()), self.config.n_bins()));
        magnitude.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each_init(
            || {
                (
                    vec![0.0; self.config.n_fft],
                    self.forward.make_scratch_vec(),
                    vec![Complex32::ZERO; self.config.n_bins()],
                )
            },
            |(buffer, scratch, bins), (frame_idx, mut row)| {
                for channel in channels.outer_iter() {
                    self.cut(channel, frame_idx, buffer);
                    self.transform(buffer, bins, scratch);
                    row.zip_mut_with(&ArrayView1::from(&bins[..]), |power, x| *power += x.norm_sqr());
                }
                row.mapv_inplace(f32::sqrt);
            },
        );
        magnitude
    }

    /// Turns frames back into a signal of exactly `n_samples`, the least-squares inverse of [`Stft::forward`].
    ///
    /// # References
    /// D. W. Griffin and J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE Trans. ASSP
    /// 32(2), 1984, equation (6).
    ///
    /// # Panics
    /// If `spectrum` has not `n_frames(n_samples)` rows and `n_bins` columns.
    pub fn inverse(&self, spectrum: ArrayView2<'_, Complex32>, n_samples: usize) -> Array1<f32> {
        assert_eq!(spectrum.dim(), (self.config.n_frames(n_samples), self.config.n_bins()), "frames and bins");
        let mut signal = Vec::with_capacity(n_samples);
        let mut synthesizer = self.synthesizer();
        let mut bins = vec![Complex32::ZERO; self.config.n_bins()];
        for frame in spectrum.outer_iter() {
            bins.iter_mut().zip(frame).for_each(|(bin, x)| *bin = *x);
            synthesizer.push(&mut bins, &mut signal);
        }
        synthesizer.finish(n_samples, &mut signal);
        Array1::from_vec(signal)
    }

    /// A forward transform fed block by block.
    pub fn analyzer(&self) -> Analyzer<'_> {
        self.analyzer_at(0)
    }

    /// A forward transform whose first frame is this one of the signal, and which is fed from the sample
    /// [`StftConfig::first_sample`] of that frame on.
    pub fn analyzer_at(&self, first_frame: usize) -> Analyzer<'_> {
        let n_zeros = (self.config.n_fft / 2).saturating_sub(first_frame * self.config.hop_length);
        Analyzer {
            stft: self,
            // Frame 0 is centered on sample 0: zeros stand before it.
            pending: vec![0.0; n_zeros],
            n_samples: self.config.first_sample(first_frame),
            next_frame: first_frame,
            bins: Vec::new(),
        }
    }

    /// An inverse transform fed frame by frame.
    pub fn synthesizer(&self) -> Synthesizer<'_> {
        self.synthesizer_at(0)
    }

    /// An inverse transform that is fed the frames of a signal from this one on. What it gives begins at the sample
    /// [`StftConfig::first_sample`] of that frame, and is the signal from where no frame before it reaches.
    pub fn synthesizer_at(&self, first_frame: usize) -> Synthesizer<'_> {
        Synthesizer {
            stft: self,
            sum: vec![0.0; self.config.n_fft],
            weight: vec![0.0; self.config.n_fft],
            n_frames: first_frame,
            n_samples: self.config.first_sample(first_frame),
            buffer: vec![0.0; self.config.n_fft],
            scratch: self.inverse.make_scratch_vec(),
        }
    }

    /// Copies the samples under a frame, zeros outside the signal.
    fn cut(&self, signal: ArrayView1<'_, f32>, frame_idx: usize, buffer: &mut [f32]) {
        let before = self.config.n_fft / 2;
        let start = frame_idx * self.config.hop_length;
        for (i, x) in buffer.iter_mut().enumerate() {
            *x = (start + i).checked_sub(before).and_then(|at| signal.get(at)).copied().unwrap_or(0.0);
        }
    }

    /// Windows and transforms `buffer`, which is used up.
    fn transform(&self, buffer: &mut [f32], bins: &mut [Complex32], scratch: &mut [Complex32]) {
        buffer.iter_mut().zip(&self.window).for_each(|(x, w)| *x *= w);
        self.forward.process_with_scratch(buffer, bins, scratch).expect("buffers have the planned lengths");
    }
}

/// A forward transform fed block by block; see [`Stft::analyzer`].
pub struct Analyzer<'a> {
    stft: &'a Stft,
    /// Samples from the start of the next frame on.
    pending: Vec<f32>,
    n_samples: usize,
    next_frame: usize,
    /// Room for the frames of one `push`.
    bins: Vec<Complex32>,
}

impl std::fmt::Debug for Analyzer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyzer").field("next_frame", &self.next_frame).finish_non_exhaustive()
    }
}

impl Analyzer<'_> {
    /// Takes samples, and hands each frame that they complete to `frame`.
    pub fn push(&mut self, samples: &[f32], frame: &mut impl FnMut(&[Complex32])) {
        let mut bins = std::mem::take(&mut self.bins);
        bins.clear();
        self.append(samples, &mut bins);
        bins.chunks_exact(self.stft.config.n_bins()).for_each(frame);
        self.bins = bins;
    }

    /// Takes samples, and appends the `n_bins` values of each frame that they complete to `spectrum`, frames in parallel.
    pub fn append(&mut self, samples: &[f32], spectrum: &mut Vec<Complex32>) {
        self.n_samples += samples.len();
        self.pending.extend_from_slice(samples);
        let StftConfig { n_fft, hop_length, .. } = self.stft.config;
        let n_frames = (self.pending.len() + hop_length).saturating_sub(n_fft) / hop_length;
        self.transform(n_frames, spectrum);
        self.pending.drain(..n_frames * hop_length);
    }

    /// Ends the signal, and hands over the frames that reach past its end.
    pub fn finish(self, frame: &mut impl FnMut(&[Complex32])) {
        let (n_bins, mut bins) = (self.stft.config.n_bins(), Vec::new());
        self.append_last(&mut bins);
        bins.chunks_exact(n_bins).for_each(frame);
    }

    /// Ends the signal, and appends the frames that reach past its end.
    pub fn append_last(mut self, spectrum: &mut Vec<Complex32>) {
        let StftConfig { n_fft, hop_length, .. } = self.stft.config;
        // A signal that ends before the first frame has none.
        let n_frames = self.stft.config.n_frames(self.n_samples).saturating_sub(self.next_frame);
        self.pending.resize(n_frames * hop_length + n_fft, 0.0);
        self.transform(n_frames, spectrum);
    }

    fn transform(&mut self, n_frames: usize, spectrum: &mut Vec<Complex32>) {
        let StftConfig { n_fft, hop_length, .. } = self.stft.config;
        let (n_bins, start) = (self.stft.config.n_bins(), spectrum.len());
        spectrum.resize(start + n_frames * n_bins, Complex32::ZERO);
        spectrum[start..].par_chunks_exact_mut(n_bins).enumerate().for_each_init(
            || (vec![0.0; n_fft], self.stft.forward.make_scratch_vec()),
            |(buffer, scratch), (i, bins)| {
                buffer.copy_from_slice(&self.pending[i * hop_length..i * hop_length + n_fft]);
                self.stft.transform(buffer, bins, scratch);
            },
        );
        self.next_frame += n_frames;
    }
}

/// An inverse transform fed frame by frame; see [`Stft::synthesizer`].
pub struct Synthesizer<'a> {
    stft: &'a Stft,
    /// Windowed sum and sum of squared windows from the start of the next frame on, `n_fft` of each.
    sum: Vec<f32>,
    weight: Vec<f32>,
    n_frames: usize,
    n_samples: usize,
    buffer: Vec<f32>,
    scratch: Vec<Complex32>,
}

impl std::fmt::Debug for Synthesizer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Synthesizer").field("n_frames", &self.n_frames).finish_non_exhaustive()
    }
}

impl Synthesizer<'_> {
    /// Takes one frame, and appends the samples that no later frame will change.
    ///
    /// `frame` is used up: the transform works in place.
    ///
    /// # Panics
    /// If `frame` has not `n_bins` values.
    pub fn push(&mut self, frame: &mut [Complex32], signal: &mut Vec<f32>) {
        let config = &self.stft.config;
        // A real signal has real values at 0 Hz and, for an even length, at the Nyquist frequency.
        frame[0].im = 0.0;
        if config.n_fft.is_multiple_of(2) {
            frame[config.n_fft / 2].im = 0.0;
        }
        self.stft
            .inverse
            .process_with_scratch(frame, &mut self.buffer, &mut self.scratch)
            .expect("buffers have the planned lengths");
        let scale = 1.0 / config.n_fft as f32;
        let sums = self.sum.iter_mut().zip(&mut self.weight);
        for ((sum, weight), (x, w)) in sums.zip(self.buffer.iter().zip(&self.stft.window)) {
            *sum += w * x * scale;
            *weight += w * w;
        }
        self.n_frames += 1;
        self.emit(config.hop_length, usize::MAX, signal);
        let hop_length = config.hop_length;
        self.sum.copy_within(hop_length.., 0);
        self.weight.copy_within(hop_length.., 0);
        let kept = config.n_fft - hop_length;
        self.sum[kept..].fill(0.0);
        self.weight[kept..].fill(0.0);
    }

    /// Ends the signal: appends what is left, or cuts off what is too much, so that `n_samples` were written in all.
    pub fn finish(mut self, n_samples: usize, signal: &mut Vec<f32>) {
        if self.n_samples > n_samples {
            // A signal that ends before the first frame has no samples.
            signal.truncate(signal.len().saturating_sub(self.n_samples - n_samples));
        } else {
            self.n_frames += 1;
            self.emit(self.stft.config.n_fft, n_samples, signal);
        }
    }

    /// Appends the first `count` sums, without those before sample 0 and from `end` on.
    fn emit(&mut self, count: usize, end: usize, signal: &mut Vec<f32>) {
        let start = (self.n_frames - 1) * self.stft.config.hop_length;
        let first = (self.stft.config.n_fft / 2).saturating_sub(start).min(count);
        let count = count.min(first.saturating_add(end.saturating_sub(self.n_samples)));
        let sums = self.sum[first..count].iter().zip(&self.weight[first..count]);
        signal.extend(sums.map(|(&sum, &weight)| if weight > 0.0 { sum / weight } else { 0.0 }));
        self.n_samples += count - first;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::window::Window;
    use super::*;

    fn noise(n_samples: usize) -> Array1<f32> {
        let mut state = 1u32;
        Array1::from_shape_simple_fn(n_samples, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
    }

    fn streamed(stft: &Stft, signal: &Array1<f32>, block: usize) -> (Array2<Complex32>, Vec<f32>) {
        let mut rows = Vec::new();
        let mut analyzer = stft.analyzer();
        for part in signal.as_slice().expect("contiguous").chunks(block) {
            analyzer.push(part, &mut |frame| rows.extend_from_slice(frame));
        }
        analyzer.finish(&mut |frame| rows.extend_from_slice(frame));
        let n_frames = rows.len() / stft.config().n_bins();
        let spectrum = Array2::from_shape_vec((n_frames, stft.config().n_bins()), rows).expect("whole frames");
        let (mut back, mut synthesizer) = (Vec::new(), stft.synthesizer());
        for frame in spectrum.outer_iter() {
            synthesizer.push(&mut frame.to_vec(), &mut back);
        }
        synthesizer.finish(signal.len(), &mut back);
        (spectrum, back)
    }

    fn relative_error(a: &[f32], b: &[f32]) -> f64 {
        assert_eq!(a.len(), b.len());
        let sum = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
        let gap = sum(&mut a.iter().zip(b).map(|(x, y)| x - y));
        (gap / sum(&mut a.iter().copied()).max(1e-30)).sqrt()
    }

    #[test]
    fn the_inverse_gives_back_every_length_from_0_to_5000() {
        let stft = Stft::new(StftConfig::new(256)).expect("config");
        let signal = noise(5000);
        for n_samples in 0..=5000 {
            let part = signal.slice(ndarray::s![..n_samples]);
            let back = stft.inverse(stft.forward(part).view(), n_samples);
            // Two transforms in f32, each within a few units of 6e-8.
            let error = relative_error(&part.to_vec(), &back.to_vec());
            assert!(error < 1e-6, "{n_samples} samples: relative error {error:e}");
        }
    }

    #[test]
    fn the_inverse_gives_back_noise_clicks_and_a_single_sample_for_every_window_and_overlap() {
        let mut click = Array1::zeros(3000);
        click[1234] = 1.0;
        for signal in [noise(3000), click, Array1::from_elem(1, 0.7)] {
            for window in Window::ALL {
                for (n_fft, win_length, hop_length) in [
                    (512, 512, 256),
                    (512, 512, 100),
                    (1024, 400, 200),
                    (255, 255, 64),
                    (300, 255, 64),
                    (4096, 4096, 1024),
                ] {
                    let stft = Stft::new(StftConfig { n_fft, win_length, hop_length, window }).expect("config");
                    let back = stft.inverse(stft.forward(signal.view()).view(), signal.len());
                    let error = relative_error(&signal.to_vec(), &back.to_vec());
                    let name = window.name();
                    assert!(error < 1e-6, "{name} {n_fft} {win_length} {hop_length}: relative error {error:e}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn streams_give_the_bits_of_the_whole(
            n_samples in 0usize..4000, block in 1usize..700, log_n_fft in 3u32..10, quarter in 1usize..5,
        ) {
            let n_fft = 1 << log_n_fft;
            let stft = Stft::new(StftConfig { hop_length: (n_fft * quarter / 8).max(1), ..StftConfig::new(n_fft) }).expect("config");
            let signal = noise(n_samples);
            let (spectrum, back) = streamed(&stft, &signal, block);
            prop_assert_eq!(&spectrum, &stft.forward(signal.view()));
            prop_assert_eq!(back, stft.inverse(spectrum.view(), n_samples).to_vec());
        }
    }
}
