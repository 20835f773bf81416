//! Recordings: arrays and files in, arrays and files out.

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;
use partita::audio::encode::{ClipMode, EncodeConfig, FileFormat, SampleFormat};
use partita::audio::{Audio, decode::AudioFile};
use partita::watch::{Step, Watch};
use pyo3::prelude::*;

use crate::errors::{raise, value_error};

/// A recording that work on any thread may read.
pub(crate) type Shared = Arc<dyn partita::audio::Recording + Send + Sync>;

/// A recording: samples in memory, or a file of any length.
#[pyclass(frozen, module = "partita._partita.audio")]
pub(crate) struct Recording {
    pub(crate) shared: Shared,
    /// The file, where it is one.
    pub(crate) file: Option<Arc<AudioFile>>,
}

/// All samples, `n_channels` x `n_samples`.
pub(crate) fn read_all(recording: &Shared, watch: &mut Watch<'_>) -> partita::Result<Array2<f32>> {
    let mut channels = vec![Vec::new(); recording.n_channels()];
    let total = recording.n_samples_hint();
    recording.read(&mut |block| {
        channels.iter_mut().zip(block.outer_iter()).for_each(|(channel, block)| channel.extend(block));
        watch.at(Step::Reading, channels.first().map_or(0, Vec::len) as u64, total)
    })?;
    let mut samples = Array2::zeros((channels.len(), channels.first().map_or(0, Vec::len)));
    samples.outer_iter_mut().zip(channels).for_each(|(mut row, channel)| row.assign(&ndarray::aview1(&channel)));
    Ok(samples)
}

/// How files are written: names as the command line spells them, and what suits the file where they are left out.
pub(crate) fn encode_config(
    file_format: &str,
    sample_format: Option<&str>,
    clip_mode: Option<&str>,
    overwrite: bool,
    seed: u64,
) -> PyResult<EncodeConfig> {
    let file_format = named("file_format", file_format, FileFormat::ALL, FileFormat::extension)?;
    let default = file_format.default_sample_format();
    let sample_format = match sample_format {
        Some(name) => named("sample_format", name, SampleFormat::ALL, SampleFormat::name)?,
        None => default,
    };
    let clip_mode = match clip_mode {
        Some(name) => named("clip_mode", name, ClipMode::ALL, ClipMode::name)?,
        None => sample_format.default_clip_mode(),
    };
    let existing = if overwrite { partita::atomic::Existing::Replace } else { partita::atomic::Existing::Refuse };
    Ok(EncodeConfig { file_format, sample_format, clip_mode, existing, seed, ..EncodeConfig::default() })
}

/// The value of this name.
pub(crate) fn named<T: Copy, const N: usize>(
    setting: &str,
    name: &str,
    all: [T; N],
    spelled: fn(T) -> &'static str,
) -> PyResult<T> {
    let expected = || all.map(|value| format!("`{}`", spelled(value))).join(", ");
    let found = all.into_iter().find(|value| spelled(*value) == name);
    found.ok_or_else(|| {
        let what = format!("`{setting}` is `{name}`, expected one of {}", expected());
        value_error(what, &format!("use {setting}=\"{}\"", spelled(all[0])))
    })
}

/// Recordings in and out.
#[pymodule]
pub(crate) mod audio {
    use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2};
    use partita::audio::encode;

    use super::*;
    use crate::interrupt::run;
    use crate::watch::Listener;

    #[pymodule_export]
    use super::Recording;

    /// Writes samples, `n_channels` x `n_samples`, and returns the gain and the number of samples that were cut.
    #[pyfunction]
    #[pyo3(signature = (path, samples, sample_rate, file_format, sample_format, clip_mode, overwrite, seed))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the function in Python")]
    fn write(
        py: Python<'_>,
        path: PathBuf,
        samples: PyReadonlyArray2<'_, f32>,
        sample_rate: u32,
        file_format: &str,
        sample_format: Option<&str>,
        clip_mode: Option<&str>,
        overwrite: bool,
        seed: u64,
    ) -> PyResult<(f32, u64)> {
        let config = encode_config(file_format, sample_format, clip_mode, overwrite, seed)?;
        let audio = Audio::new(samples.as_array().to_owned(), sample_rate).map_err(raise)?;
        let written = run(py, Listener::new(None), move |_| encode::write(&path, &audio, &config))?;
        Ok((written.gain, written.n_clamped))
    }

    /// All samples of a recording, `n_channels` x `n_samples`.
    #[pyfunction]
    fn read<'py>(
        py: Python<'py>,
        recording: &Recording,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let shared = recording.shared.clone();
        let samples = run(py, Listener::new(progress), move |watch| read_all(&shared, watch))?;
        Ok(samples.into_pyarray(py))
    }
}

#[pymethods]
impl Recording {
    /// Of samples, `n_channels` x `n_samples`.
    #[staticmethod]
    fn of(samples: numpy::PyReadonlyArray2<'_, f32>, sample_rate: u32) -> PyResult<Self> {
        let audio = Audio::new(samples.as_array().to_owned(), sample_rate).map_err(raise)?;
        Ok(Self { shared: Arc::new(audio), file: None })
    }

    /// Of a file, or a part of it.
    #[staticmethod]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        start: Option<f64>,
        duration: Option<f64>,
        audio_track: Option<usize>,
    ) -> PyResult<Self> {
        for (name, seconds) in [("start", start), ("duration", duration)] {
            if let Some(seconds) = seconds.filter(|seconds| !(seconds.is_finite() && *seconds >= 0.0)) {
                return Err(value_error(
                    format!("`{name}` is {seconds}, expected seconds of at least 0"),
                    "count from the start of the recording",
                ));
            }
        }
        let file = py.detach(|| AudioFile::open_track(&path, audio_track)).map_err(raise)?;
        let file = Arc::new(file.with_excerpt(start.unwrap_or(0.0), duration));
        Ok(Self { shared: Arc::new(ByRef(file.clone())), file: Some(file) })
    }

    #[getter]
    fn sample_rate(&self) -> u32 {
        self.shared.sample_rate()
    }

    #[getter]
    fn n_channels(&self) -> usize {
        self.shared.n_channels()
    }

    /// Samples per channel, where they are known beforehand.
    #[getter]
    fn n_samples(&self) -> Option<u64> {
        self.shared.n_samples_hint()
    }

    /// What was odd about the file.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.file.as_ref().map_or_else(Vec::new, |file| file.notes().to_vec())
    }
}

/// A file that others have a handle on, too.
struct ByRef(Arc<AudioFile>);

impl partita::audio::Recording for ByRef {
    fn sample_rate(&self) -> u32 {
        self.0.sample_rate()
    }

    fn n_channels(&self) -> usize {
        self.0.n_channels()
    }

    fn channel_mask(&self) -> Option<u32> {
        self.0.channel_mask()
    }

    fn n_samples_hint(&self) -> Option<u64> {
        self.0.n_samples_hint()
    }

    fn start_s(&self) -> f64 {
        self.0.start_s()
    }

    fn read(&self, sink: &mut dyn FnMut(ndarray::ArrayView2<'_, f32>) -> partita::Result<()>) -> partita::Result<()> {
        self.0.read(sink)
    }

    fn read_range(
        &self,
        range: std::ops::Range<u64>,
        sink: &mut dyn FnMut(ndarray::ArrayView2<'_, f32>) -> partita::Result<()>,
    ) -> partita::Result<()> {
        self.0.read_range(range, sink)
    }
}
