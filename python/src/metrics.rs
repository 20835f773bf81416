//! BSS Eval and SI-SDR of estimates against references, in samples instead of seconds.

use ndarray::{Array2, Array3, Axis, s};
use numpy::{IntoPyArray, PyArray3, PyReadonlyArray2};
use partita::Audio;
use partita::eval::{Channels, EvalConfig, Framing, Matching, Mode, Signals};
use pyo3::prelude::*;

use crate::errors::raise;

/// References and estimates in memory, in an order of their own.
struct InMemory {
    references: Vec<Audio>,
    estimates: Vec<Audio>,
}

/// Samples per channel that are handed over at a time.
const BLOCK_SAMPLES: usize = 1 << 16;

impl Signals for InMemory {
    /// Windows are in samples: a second is one.
    fn sample_rate(&self) -> u32 {
        1
    }

    fn n_channels(&self) -> usize {
        self.references.first().map_or(0, Audio::n_channels)
    }

    fn n_references(&self) -> usize {
        self.references.len()
    }

    fn n_estimates(&self) -> usize {
        self.estimates.len()
    }

    fn n_samples_hint(&self) -> Option<u64> {
        self.references.first().map(|first| first.n_samples() as u64)
    }

    fn has_mixture(&self) -> bool {
        false
    }

    fn read(&self, sink: &mut dyn FnMut(ndarray::ArrayView2<'_, f32>) -> partita::Result<()>) -> partita::Result<()> {
        let (n_channels, n_samples) = self.references.first().map_or((0, 0), |first| first.samples().dim());
        let all = || self.references.iter().chain(&self.estimates);
        let mut blocks = Array2::zeros((all().count() * n_channels, n_samples.min(BLOCK_SAMPLES)));
        for start in (0..n_samples).step_by(BLOCK_SAMPLES) {
            let part = start..(start + BLOCK_SAMPLES).min(n_samples);
            let mut block = blocks.slice_mut(s![.., ..part.len()]);
            for (signal, mut rows) in all().zip(block.axis_chunks_iter_mut(Axis(0), n_channels)) {
                rows.assign(&signal.samples().slice(s![.., part.clone()]));
            }
            sink(block.view())?;
        }
        Ok(())
    }
}

/// Scores of estimates.
#[pymodule]
pub(crate) mod metrics {
    use super::*;
    use crate::interrupt::run;
    use crate::watch::Listener;

    /// SDR, ISR, SIR, SAR and SI-SDR of each source in each window (sources x windows x 5), and the estimate of each
    /// source. References and estimates are `n_channels` x `n_samples` each, all of one shape.
    #[pyfunction]
    #[pyo3(signature = (references, estimates, framing, n_taps, sources_mode, apart, permute, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of functions in Python")]
    fn bss_eval<'py>(
        py: Python<'py>,
        references: Vec<PyReadonlyArray2<'py, f32>>,
        estimates: Vec<PyReadonlyArray2<'py, f32>>,
        framing: Option<(f64, f64)>,
        n_taps: usize,
        sources_mode: bool,
        apart: bool,
        permute: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Bound<'py, PyArray3<f64>>, Vec<usize>)> {
        let config = EvalConfig {
            mode: if sources_mode { Mode::Sources } else { Mode::Images },
            channels: if apart { Channels::Apart } else { Channels::Together },
            framing: framing.map(|(window_s, hop_s)| Framing { window_s, hop_s }),
            matching: if permute { Matching::BestSir } else { Matching::InOrder },
            n_taps,
        };
        let owned = |signals: &[PyReadonlyArray2<'py, f32>]| -> PyResult<Vec<_>> {
            // One copy, channel by channel; also for the check that all samples are finite.
            let audio = |signal: &PyReadonlyArray2<'py, f32>| {
                Audio::new(signal.as_array().as_standard_layout().into_owned(), 1).map_err(raise)
            };
            signals.iter().map(audio).collect()
        };
        let signals = InMemory { references: owned(&references)?, estimates: owned(&estimates)? };
        let evaluation =
            run(py, Listener::new(progress), move |watch| partita::eval::evaluate_with(&signals, &config, watch))?;
        let sources = &evaluation.sources;
        let n_windows = sources.first().map_or(0, |source| source.frames.len());
        let score = |(source, window, kind): (usize, usize, usize)| {
            let sources: &partita::eval::SourceEvaluation = &sources[source];
            sources.frames[window].values()[kind]
        };
        let scores = Array3::from_shape_fn((sources.len(), n_windows, 5), score);
        Ok((scores.into_pyarray(py), sources.iter().map(|source| source.estimate).collect()))
    }
}
