//! Separations: what a method found, and the stems, masks, pictures and files that are made of it.

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::{Array2, Array3, s};
use numpy::{IntoPyArray, PyArray2, PyArray3};
use partita::separate::labelled::{self, LabelledConfig};
use partita::separate::{Analysis, Stems};
use partita::watch::Watch;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::audio::{Recording, Shared};
use crate::errors::{raise, value_error};
use crate::interrupt::run;
use crate::methods::Method;
use crate::save::{Written, save};
use crate::watch::Listener;

/// A recording taken apart.
#[pyclass(frozen, module = "partita._partita.separate")]
pub(crate) struct Separation {
    separation: Arc<partita::Separation>,
    analysis: Arc<Analysis>,
    method: Arc<Method>,
    recording: Shared,
}

/// Taking recordings apart.
#[pymodule]
pub(crate) mod separate {
    use super::*;

    #[pymodule_export]
    use super::Separation;

    /// Takes a recording apart by a method, with all of its settings.
    #[pyfunction]
    #[pyo3(signature = (method, recording, options, previous=None, progress=None))]
    fn fit(
        py: Python<'_>,
        method: &str,
        recording: &Recording,
        options: &Bound<'_, PyDict>,
        previous: Option<&Separation>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Separation> {
        let method = Arc::new(Method::new(method, options)?);
        let recording = recording.shared.clone();
        let before = previous.map(|of| (of.separation.clone(), of.analysis.clone(), of.method.clone()));
        run(py, Listener::new(progress), move |watch| {
            let seen = before.as_ref().filter(|(_, _, before)| before.analysis == method.analysis);
            let analysis = match seen {
                Some((_, analysis, _)) => analysis.clone(),
                None => Arc::new(Analysis::of(&*recording, &method.analysis, watch)?),
            };
            let previous = before.as_ref().map(|(separation, _, method)| (&**separation, &**method));
            let separation = Arc::new(method.fit(&recording, &analysis, previous, watch)?);
            Ok(Separation { separation, analysis, method, recording })
        })
    }
}

/// What to make: all stems, those of these names, one and the rest, or the components.
pub(crate) fn stems(only: Option<Vec<String>>, two_stems: Option<String>, components: bool) -> Stems {
    match (only, two_stems) {
        _ if components => Stems::Components,
        (_, Some(name)) => Stems::Two(name),
        (Some(names), None) => Stems::Only(names),
        (None, None) => Stems::All,
    }
}

/// Stems in memory, each `n_channels` x `n_samples`.
fn render(
    separation: &partita::Separation,
    recording: &Shared,
    stems: &Stems,
    watch: &mut Watch<'_>,
) -> partita::Result<Vec<Array2<f32>>> {
    let shape = (recording.n_channels(), separation.n_samples().unwrap_or(0));
    let mut whole = vec![Array2::zeros(shape); separation.stem_names(stems)?.len()];
    let mut start = 0;
    separation.render(&**recording, stems, watch, &mut |blocks| {
        let n_samples = blocks.first().map_or(0, Array2::ncols);
        for (whole, block) in whole.iter_mut().zip(blocks) {
            whole.slice_mut(s![.., start..start + n_samples]).assign(block);
        }
        start += n_samples;
        Ok(())
    })?;
    Ok(whole)
}

#[pymethods]
impl Separation {
    #[getter]
    fn names(&self) -> Vec<String> {
        self.separation.names().to_vec()
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.separation.warnings().to_vec()
    }

    /// Samples per second, channels, samples per channel, length of the transform, samples from frame to frame.
    #[getter]
    fn form(&self) -> (u32, usize, usize, usize, usize) {
        let transform = self.separation.stft().config();
        let n_samples = self.separation.n_samples().unwrap_or(0);
        (self.recording.sample_rate(), self.recording.n_channels(), n_samples, transform.n_fft, transform.hop_length)
    }

    /// Names of stems.
    #[pyo3(signature = (only=None, two_stems=None, components=false))]
    fn stem_names(
        &self,
        only: Option<Vec<String>>,
        two_stems: Option<String>,
        components: bool,
    ) -> PyResult<Vec<String>> {
        self.separation.stem_names(&stems(only, two_stems, components)).map_err(raise)
    }

    /// Stems, each `n_channels` x `n_samples`.
    #[pyo3(signature = (only=None, two_stems=None, components=false, progress=None))]
    fn render<'py>(
        &self,
        py: Python<'py>,
        only: Option<Vec<String>>,
        two_stems: Option<String>,
        components: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyArray2<f32>>>> {
        let stems = stems(only, two_stems, components);
        let (separation, recording) = (self.separation.clone(), self.recording.clone());
        let whole = run(py, Listener::new(progress), move |watch| render(&separation, &recording, &stems, watch))?;
        Ok(whole.into_iter().map(|stem| stem.into_pyarray(py)).collect())
    }

    /// A range of samples of each stem, each `n_channels` x the length of the range.
    fn render_range<'py>(
        &self,
        py: Python<'py>,
        start: usize,
        stop: usize,
    ) -> PyResult<Vec<Bound<'py, PyArray2<f32>>>> {
        let (separation, recording) = (self.separation.clone(), self.recording.clone());
        let parts = run(py, Listener::new(None), move |_| {
            let stop = stop.min(separation.n_samples().unwrap_or(stop)).max(start);
            let shape = (recording.n_channels(), stop - start);
            let mut parts = vec![Array2::zeros(shape); separation.names().len()];
            let mut at = 0;
            separation.render_range(&*recording, &Stems::All, start..stop, &mut |blocks| {
                let n_samples = blocks.first().map_or(0, Array2::ncols);
                for (part, block) in parts.iter_mut().zip(blocks) {
                    part.slice_mut(s![.., at..at + n_samples]).assign(block);
                }
                at += n_samples;
                Ok(())
            })?;
            Ok(parts)
        })?;
        Ok(parts.into_iter().map(|part| part.into_pyarray(py)).collect())
    }

    /// The same components under these names, each with the components (from 0) that have it.
    fn label(&self, py: Python<'_>, names: Vec<(String, Vec<usize>)>) -> PyResult<Self> {
        let mut labels = labelled::describe(&self.analysis, &self.separation, "factors.npz").map_err(raise)?;
        let Some(found) = self.separation.factorization() else { return Err(raise(partita::Error::NoComponents)) };
        let n_components = labels.components.len();
        for (name, members) in names {
            for k in members {
                let Some(component) = labels.components.get_mut(k) else {
                    let what = format!("`{name}` has component {k}, expected 0 to {}", n_components.saturating_sub(1));
                    return Err(value_error(what, "count components from 0, as the columns of the dictionary"));
                };
                component.name.clone_from(&name);
            }
        }
        let (dictionary, activations) = (found.dictionary.clone(), found.activations.clone());
        let config = LabelledConfig { labels, dictionary, activations };
        let (analysis, method, recording) = (self.analysis.clone(), self.method.clone(), self.recording.clone());
        run(py, Listener::new(None), move |watch| {
            let separation = Arc::new(labelled::fit(&analysis, &config, None, watch)?);
            Ok(Self { separation, analysis, method, recording })
        })
    }

    /// Masks in a range of frames: sources x bins x frames.
    fn masks<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let (separation, recording) = (self.separation.clone(), self.recording.clone());
        let masks = run(py, Listener::new(None), move |_| {
            let masks = separation.masks(&*recording, start..stop)?;
            let (n_frames, n_bins) = masks.first().map_or((0, 0), Array2::dim);
            let mut all = Array3::zeros((masks.len(), n_bins, n_frames));
            all.outer_iter_mut().zip(&masks).for_each(|(mut all, mask)| all.assign(&mask.t()));
            Ok(all)
        })?;
        Ok(masks.into_pyarray(py))
    }

    /// Power of the mixture and of each stem, in at most `max_columns` columns: bins x columns each.
    fn overviews<'py>(
        &self,
        py: Python<'py>,
        max_columns: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyArray2<f32>>>> {
        let (separation, recording) = (self.separation.clone(), self.recording.clone());
        let overviews = run(py, Listener::new(progress), move |watch| {
            let overviews = separation.overviews(&*recording, max_columns, watch)?;
            Ok(overviews.iter().map(|overview| overview.values().t().to_owned()).collect::<Vec<_>>())
        })?;
        Ok(overviews.into_iter().map(|overview| overview.into_pyarray(py)).collect())
    }

    /// What a factorization found: its factors, the components of each source, and how the fit went.
    #[getter]
    fn components<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let dict = PyDict::new(py);
        let groups: Vec<(String, Vec<usize>)>;
        if let Some(found) = self.separation.factorization() {
            dict.set_item("dictionary", found.dictionary.clone().into_pyarray(py))?;
            dict.set_item("activations", found.activations.clone().into_pyarray(py))?;
            dict.set_item("n_iter", found.n_iter)?;
            dict.set_item("divergence", found.divergence)?;
            dict.set_item("divergence_curve", found.divergence_curve.clone())?;
            dict.set_item("stop_reason", found.stop_reason.name())?;
            groups = self.separation.groups().into_iter().map(|(name, members)| (name.to_owned(), members)).collect();
        } else if let Some(found) = partita::project::factors(&self.separation) {
            groups = self.groups_of(&found.source_ids);
            dict.set_item("dictionary", found.dictionary.into_pyarray(py))?;
            dict.set_item("activations", found.activations.into_pyarray(py))?;
        } else {
            return Ok(None);
        }
        dict.set_item("groups", groups)?;
        Ok(Some(dict))
    }

    /// Hits of drums: drum, onset in seconds, level.
    #[getter]
    fn hits(&self) -> Vec<(String, f64, f32)> {
        let kit = self.method.kit();
        let name = |drum: usize| kit.get(drum).map(|drum| drum.name.clone()).unwrap_or_default();
        self.separation.hits().iter().map(|hit| (name(hit.drum), hit.onset_s, hit.level)).collect()
    }

    /// Notes that were found or followed: a name and (onset, offset, pitch, velocity) for each part.
    #[getter]
    #[expect(clippy::type_complexity, reason = "a list of parts with their notes, as Python spells it")]
    fn notes(&self) -> Option<Vec<(String, Vec<(f64, f64, u8, u8)>)>> {
        let score = self.separation.notes().or(self.method.score())?;
        let note = |note: &partita::knowledge::score::Note| (note.onset_s, note.offset_s, note.pitch, note.velocity);
        Some(score.parts.iter().map(|part| (part.name.clone(), part.notes.iter().map(note).collect())).collect())
    }

    /// Hits or notes as a MIDI file.
    fn midi(&self) -> Option<Vec<u8>> {
        if !self.separation.hits().is_empty() {
            let score = partita::separate::drums::hits_to_score(self.method.kit(), self.separation.hits());
            return Some(score.to_midi());
        }
        Some(self.separation.notes().or(self.method.score())?.to_midi())
    }

    /// Writes stems to files, block by block; `paths` are given in the order of `stem_names`.
    #[pyo3(signature = (paths, only, two_stems, components, file_format, sample_format, clip_mode, overwrite, seed, progress))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the function in Python")]
    fn save(
        &self,
        py: Python<'_>,
        paths: Vec<PathBuf>,
        only: Option<Vec<String>>,
        two_stems: Option<String>,
        components: bool,
        file_format: &str,
        sample_format: Option<&str>,
        clip_mode: Option<&str>,
        overwrite: bool,
        seed: u64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Vec<Written>> {
        let config = crate::audio::encode_config(file_format, sample_format, clip_mode, overwrite, seed)?;
        let stems = stems(only, two_stems, components);
        let (separation, recording) = (self.separation.clone(), self.recording.clone());
        run(py, Listener::new(progress), move |watch| save(&separation, &*recording, &stems, &paths, &config, watch))
    }
}

impl Separation {
    /// The components of each source, of the numbers that marks give them.
    fn groups_of(&self, source_ids: &[u32]) -> Vec<(String, Vec<usize>)> {
        let mut ids: Vec<u32> = Vec::new();
        for id in self.method.source_ids().into_iter().chain(source_ids.iter().copied()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let members = |id: &u32| (0..source_ids.len()).filter(|k| source_ids[*k] == *id).collect();
        self.separation.names().iter().cloned().zip(ids.iter().map(members)).collect()
    }
}
