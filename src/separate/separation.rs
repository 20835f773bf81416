//! A recording taken apart: what is needed to make its stems, as often as one likes.
//! The same for every method; what a method found beside its parts is there as [`Found`].

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, s};

use super::pipeline::{
    self, Analysis, Block, Margin, Model, Output, Rendered, Renderer, Rest, Stage, block_masks, check_channels,
    check_pans, count_samples, each_span, locate, locate_between, masks_of_stems, render_range,
};
use crate::audio::Recording;
use crate::knowledge::labels::Settings;
use crate::knowledge::score::Score;
use crate::nmf::Factorization;
use crate::spectrogram::{Overview, OverviewStream};
use crate::stft::Stft;
use crate::watch::{Step, Watch};
use crate::{Audio, Error, Result, names};

/// A recording taken apart: what is needed to make its stems, as often as one likes.
#[derive(Debug, Clone)]
pub struct Separation {
    /// Each stage's last part feeds the next stage.
    pub(super) stages: Vec<Stage>,
    pub(super) names: Vec<String>,
    /// The source of each part.
    pub(super) assignment: Vec<usize>,
    /// The recording.
    pub(super) form: pipeline::Form,
    pub(super) found: Found,
    pub(super) warnings: Vec<String>,
    /// What a later fit of the same method goes on from.
    pub(super) state: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a method found beside its parts.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Found {
    /// Nothing.
    #[default]
    Nothing,
    /// The components of a factorization.
    Components(Box<Components>),
    /// When drums were hit, in the order of time.
    Hits(Vec<Hit>),
    /// What is played, in the time of the recording.
    Notes(Box<Score>),
    /// A noise.
    Noise {
        /// The parts of the recording that it was learned from, in seconds; none where it came from elsewhere. Of a
        /// recording of which only some frames were kept, pauses are looked for in these.
        parts_s: Vec<Range<f64>>,
        /// Whether what is beside it was taken for speech.
        is_speech: bool,
    },
}

/// The components of a separation by factorization.
#[derive(Debug, Clone)]
pub struct Components {
    pub(super) factorization: Factorization,
    /// The source of each component.
    pub(super) assignment: Vec<usize>,
    /// Their masks, one by one.
    pub(super) stage: Stage,
    /// What made them.
    pub(super) settings: Settings,
}

/// One hit of a drum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The drum, as an index into the kit.
    pub drum: usize,
    /// Time of the attack in the recording, in seconds.
    pub onset_s: f64,
    /// Level relative to the strongest hit of this drum, above 0 to 1.
    pub level: f32,
}

/// Which stems to make of a [`Separation`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stems {
    /// One per source.
    #[default]
    All,
    /// Only the sources of these names.
    Only(Vec<String>),
    /// The source of this name, and all others together as `no_NAME`.
    Two(String),
    /// One per component, `component-01` and so on.
    Components,
}

/// Gives another model for the parts of a stage, whose recording is there.
type Locate<'a> = dyn FnMut(Range<usize>, &dyn Recording, Stage) -> Result<Arc<dyn Model>> + 'a;

/// What the caller is told of silence.
const SILENT: &str = "the recording is silent, and so are its stems";

impl Separation {
    /// A model whose parts are the sources, with a name for each. It can be one of your own: `examples/own_method.rs`.
    ///
    /// # Errors
    /// [`Error::SourceName`] for a name that no stem can have, or that two parts have; [`Error::MatrixShape`] for another
    /// number of names than parts.
    pub fn new(analysis: &Analysis, model: impl Model + 'static, names: Vec<String>) -> Result<Self> {
        if names.len() != model.n_parts() {
            let (got, expected) = ((names.len(), 1), (model.n_parts(), 1));
            return Err(Error::MatrixShape { what: "the list of names", got, expected });
        }
        for (i, name) in names.iter().enumerate() {
            names::check(name)?;
            if names[..i].contains(name) {
                return Err(Error::SourceName { name: name.clone(), reason: "is that of another source, too" });
            }
        }
        let assignment = (0..names.len()).collect();
        Ok(Self::of_stages(analysis, vec![(analysis.stft().clone(), Arc::new(model))], names, assignment))
    }

    /// Stages one after the other, each fed with the last part of the one before, and the source of each other part.
    pub(super) fn of_stages(
        analysis: &Analysis,
        stages: Vec<(Stft, Arc<dyn Model>)>,
        names: Vec<String>,
        assignment: Vec<usize>,
    ) -> Self {
        Self {
            stages: stages.into_iter().map(|(stft, model)| Stage { stft, model }).collect(),
            names,
            assignment,
            form: pipeline::Form {
                sample_rate: analysis.sample_rate(),
                n_channels: analysis.n_channels(),
                n_stem_channels: analysis.n_channels(),
                n_samples: (!analysis.is_live()).then_some(analysis.n_samples()),
            },
            found: Found::Nothing,
            warnings: analysis.is_silent().then(|| SILENT.to_owned()).into_iter().collect(),
            state: None,
        }
    }

    /// With stems of one channel, each heard in one only.
    pub(super) fn in_mono(mut self) -> Self {
        self.form.n_stem_channels = 1;
        self
    }

    /// With what a later fit goes on from.
    pub(super) fn with_state(self, state: impl Any + Send + Sync) -> Self {
        Self { state: Some(Arc::new(state)), ..self }
    }

    /// What a fit of the same method left.
    pub(super) fn state<T: Any>(&self) -> Option<&T> {
        self.state.as_ref()?.downcast_ref()
    }

    /// What a fit of the same method left to go on from with another analysis; nothing where that has another transform.
    pub(super) fn state_for<T: Any>(&self, analysis: &Analysis) -> Option<&T> {
        self.state().filter(|_| self.is_like(analysis))
    }

    /// Whether frames and bins are those of an analysis.
    pub(super) fn is_like(&self, analysis: &Analysis) -> bool {
        self.form.sample_rate == analysis.sample_rate() && self.stft().config() == analysis.stft().config()
    }

    /// What the last part sounds like, as a recording; it is made anew each time that it is read.
    pub(super) fn rest<'a>(&'a self, recording: &'a dyn Recording) -> impl Recording + 'a {
        Rest { stages: &self.stages, form: &self.form, recording }
    }

    /// The parts of `inner`, a separation of [`Separation::rest`], in place of the last part; all others are one source of
    /// this name, after those of `inner` or together with the one that is called so.
    pub(super) fn then(self, inner: Self, others: &str) -> Self {
        let mut names = inner.names;
        let source = names.iter().position(|name| name == others).unwrap_or(names.len());
        if source == names.len() {
            names.push(others.to_owned());
        }
        let n_others = self.assignment.len() - 1;
        Self {
            stages: [self.stages, inner.stages].concat(),
            assignment: [vec![source; n_others], inner.assignment].concat(),
            names,
            form: self.form,
            found: inner.found,
            warnings: self.warnings,
            state: None,
        }
    }

    /// With another model in its only stage.
    pub(super) fn with_model(mut self, model: Arc<dyn Model>) -> Self {
        self.stages.iter_mut().for_each(|stage| stage.model = model.clone());
        self
    }

    /// The same under other names, one for each of the first names; sources of one name are one.
    pub(crate) fn renamed(mut self, names: &[String]) -> Self {
        let mut merged: Vec<String> = Vec::new();
        let mut places = Vec::with_capacity(self.names.len());
        for (i, own) in self.names.iter().enumerate() {
            let name = names.get(i).unwrap_or(own);
            places.push(merged.iter().position(|other| other == name).unwrap_or(merged.len()));
            if places[i] == merged.len() {
                merged.push(name.clone());
            }
        }
        self.assignment.iter_mut().for_each(|source| *source = places[*source]);
        Self { names: merged, ..self }
    }

    /// Hands over spans of frames of the recording, with a margin around each.
    pub(super) fn each_span(
        &self,
        recording: &dyn Recording,
        span: usize,
        margin: Margin,
        watch: &mut Watch<'_>,
        each: &mut dyn FnMut(&Block<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check_form(recording)?;
        each_span(recording, self.stft(), span, margin, watch, each)
    }

    /// Names of the sources.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the method found beside its parts.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// The components, and how the fit went, where a factorization found them.
    pub fn factorization(&self) -> Option<&Factorization> {
        self.components().map(|components| &components.factorization)
    }

    pub(super) fn components(&self) -> Option<&Components> {
        if let Found::Components(components) = &self.found { Some(components) } else { None }
    }

    /// The hits of drums; none where no drums were looked for.
    pub fn hits(&self) -> &[Hit] {
        if let Found::Hits(hits) = &self.found { hits } else { &[] }
    }

    /// The notes; `None` where none were looked for.
    pub fn notes(&self) -> Option<&Score> {
        if let Found::Notes(score) = &self.found { Some(score) } else { None }
    }

    /// The components of each source; none without a factorization.
    pub fn groups(&self) -> Vec<(&str, Vec<usize>)> {
        let assignment = self.components().map_or(&[][..], |components| &components.assignment);
        let members = |source| (0..assignment.len()).filter(|k| assignment[*k] == source).collect();
        self.names.iter().enumerate().map(|(source, name)| (name.as_str(), members(source))).collect()
    }

    /// Samples per channel of the recording, and of each stem; `None` where it was not there for the fit.
    pub fn n_samples(&self) -> Option<usize> {
        self.form.n_samples
    }

    /// Channels of each stem: those of the recording, or one where each source is heard in one of them only.
    pub fn n_stem_channels(&self) -> usize {
        self.form.n_stem_channels
    }

    /// The transform of the first stage.
    pub fn stft(&self) -> &Stft {
        &self.stages[0].stft
    }

    /// What the caller should know although there is a result.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Names of the stems that [`Separation::render`] makes.
    ///
    /// # Errors
    /// [`Error::UnknownStem`] for a name that no source has, [`Error::NoComponents`] where components are asked for that
    /// no factorization found.
    pub fn stem_names(&self, stems: &Stems) -> Result<Vec<String>> {
        Ok(self.outputs(stems)?.into_iter().map(|output| output.name).collect())
    }

    /// Sources that are also told apart by where they stand among the channels: one step of the multichannel Wiener filter
    /// over the masks. Of a single channel, it is the same separation.
    ///
    /// Places are learned from at most about `max_frames` frames, or 4000, spread evenly over the recording.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    ///
    /// # Cost
    /// One pass over the recording for each stage; rendering costs some 10 `n_parts` `n_channels`^3 operations more per bin.
    ///
    /// # References
    /// N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation using a full-rank
    /// spatial covariance model", IEEE TASLP 18(7), 2010.
    pub fn with_places(self, recording: &dyn Recording, max_frames: usize, watch: &mut Watch<'_>) -> Result<Self> {
        self.check_form(recording)?;
        let Some(n_samples) = self.form.n_samples else { return Err(Error::Length { got: 0, expected: 1 }) };
        self.relocate(recording, &mut |_, rest, Stage { stft, model }| {
            locate(rest, &stft, model, stft.config().n_frames(n_samples), max_frames, watch)
        })
    }

    /// Sources of a stereo recording that are also told apart by where they stand between left and right. Where they do not
    /// stand apart, and of other than two channels, it is the same separation. Sources that are `said` to stand at a place,
    /// from -1 (left) to 1 (right), are looked for around there.
    ///
    /// # Errors
    /// [`Error::UnknownStem`], [`Error::Setting`] for what is no place, and those of [`Separation::render`].
    ///
    /// # Cost
    /// One pass over the recording for each stage; rendering costs some 100 operations more per part and bin.
    pub fn with_pans(self, recording: &dyn Recording, said: &[(String, f64)], watch: &mut Watch<'_>) -> Result<Self> {
        self.check_form(recording)?;
        check_pans(said, self.form.n_channels)?;
        let mut places = vec![None; self.names.len()];
        for (name, place) in said {
            places[self.source(name)?] = Some(*place);
        }
        let Some(n_samples) = self.form.n_samples.filter(|_| self.form.n_channels == 2) else { return Ok(self) };
        let said: Vec<_> = self.assignment.iter().map(|source| places[*source]).collect();
        self.relocate(recording, &mut |parts, rest, Stage { stft, model }| {
            locate_between(rest, &stft, model, stft.config().n_frames(n_samples), &said[parts], watch)
        })
    }

    /// With other models, made of those of each stage, its parts that are no other stage's, and what it is fed with.
    fn relocate(mut self, recording: &dyn Recording, locate: &mut Locate<'_>) -> Result<Self> {
        let mut first_part = 0;
        for i in 0..self.stages.len() {
            let n_own = self.stages[i].model.n_parts() - usize::from(i + 1 < self.stages.len());
            let rest = Rest { stages: &self.stages[..i], form: &self.form, recording };
            self.stages[i].model = locate(first_part..first_part + n_own, &rest, self.stages[i].clone())?;
            first_part += n_own;
        }
        Ok(self)
    }

    /// All stems, each with the sample rate, the channels and the length of the mixture; together they sum to it.
    ///
    /// `recording` is the one that was taken apart.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    ///
    /// # Cost
    /// Memory for all samples of all stems; [`Separation::render`] needs only some blocks of them.
    pub fn stems(&self, recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Vec<Audio>> {
        let n_channels = self.form.n_stem_channels;
        let channel_mask = recording.channel_mask().filter(|_| n_channels == recording.n_channels());
        let mut stems = vec![Vec::new(); self.names.len() * n_channels];
        self.render(recording, &Stems::All, watch, &mut |blocks| {
            let channels = blocks.iter().flat_map(|block| block.outer_iter());
            stems.iter_mut().zip(channels).for_each(|(stem, block)| stem.extend(block));
            Ok(())
        })?;
        let n_samples = stems.first().map_or(0, Vec::len);
        let audio = |channels: &[Vec<f32>]| {
            let shape = (channels.len(), n_samples);
            let samples = Array2::from_shape_vec(shape, channels.concat()).expect("channels of one length");
            Ok(Audio::new(samples, recording.sample_rate())?.with_channel_mask(channel_mask))
        };
        stems.chunks(n_channels).map(audio).collect()
    }

    /// Largest absolute sample of any of these stems: what decides whether integers can hold them.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    pub fn peak(&self, recording: &dyn Recording, stems: &Stems, watch: &mut Watch<'_>) -> Result<f32> {
        let rendered = self.render_as(Step::Measuring, recording, stems, watch, &mut |_| Ok(()))?;
        Ok(rendered.peaks.into_iter().fold(0.0, f32::max))
    }

    /// Makes the stems block by block, and hands each block to `sink`: one `n_channels` x n matrix for each of
    /// [`Separation::stem_names`], all of one length, in the order of time.
    ///
    /// # Errors
    /// [`Error::OtherRecording`] for a recording of another sample rate or number of channels, [`Error::Length`] for one of
    /// another length, [`Error::UnknownStem`], [`Error::NoComponents`] where components are asked for that no
    /// factorization found, [`Error::Cancelled`], and whatever `sink` returns.
    ///
    /// # Cost
    /// One pass over the recording: one forward transform per channel and one inverse per stem and channel; memory for
    /// some 64 frames of each.
    pub fn render(
        &self,
        recording: &dyn Recording,
        stems: &Stems,
        watch: &mut Watch<'_>,
        sink: &mut dyn FnMut(&[Array2<f32>]) -> Result<()>,
    ) -> Result<Rendered> {
        self.render_as(Step::Rendering, recording, stems, watch, sink)
    }

    /// [`Separation::render`], told as this step.
    fn render_as(
        &self,
        step: Step,
        recording: &dyn Recording,
        stems: &Stems,
        watch: &mut Watch<'_>,
        sink: &mut dyn FnMut(&[Array2<f32>]) -> Result<()>,
    ) -> Result<Rendered> {
        self.check_form(recording)?;
        let mut renderer = self.renderer(stems)?;
        let (mut n_samples, total) = (0, recording.n_samples_hint());
        recording.read(&mut |block| {
            n_samples += block.ncols();
            watch.at(step, n_samples as u64, total)?;
            // Of one that is too long, the length is told.
            if self.form.n_samples.is_some_and(|expected| n_samples > expected) {
                return Ok(());
            }
            renderer.push(block, sink)
        })?;
        if let Some(expected) = self.form.n_samples.filter(|expected| n_samples != *expected) {
            return Err(Error::Length { got: n_samples, expected });
        }
        renderer.finish(sink)
    }

    /// [`Separation::render`] of a range of samples, with the same bits as in the whole. Only the samples that it takes are
    /// read ([`Recording::read_range`]). What lies beyond the end of the recording is left out.
    ///
    /// # Errors
    /// [`Error::OtherRecording`], [`Error::Length`] for a recording that ends within the range although the one that was
    /// taken apart went on, [`Error::UnknownStem`], [`Error::NoComponents`], those of the recording and the model, and
    /// whatever `sink` returns.
    ///
    /// # Cost
    /// As for [`Separation::render`] of the range and some hundred frames around it.
    pub fn render_range(
        &self,
        recording: &dyn Recording,
        stems: &Stems,
        samples: Range<usize>,
        sink: &mut dyn FnMut(&[Array2<f32>]) -> Result<()>,
    ) -> Result<()> {
        self.check_form(recording)?;
        let outputs = self.outputs(stems)?;
        render_range(self.stages_of(stems), recording, &self.form, &outputs, samples, sink)
    }

    /// Takes the samples of the recording in blocks of any size, and gives those of the stems: [`Separation::render`] the
    /// other way round, with the same bits.
    ///
    /// # Errors
    /// [`Error::UnknownStem`], [`Error::NoComponents`].
    pub fn renderer(&self, stems: &Stems) -> Result<Renderer<'_>> {
        Ok(Renderer::new(self.stages_of(stems), &self.form, &self.outputs(stems)?, false))
    }

    /// [`Separation::renderer`] that gives every sample as soon as it can be known, for sound that is live: at most
    /// [`Renderer::latency`] samples later. The bits are the same, and it costs more, for models that look at each frame by
    /// itself or with its margin: all but that of `blind` and `drums` where the analysis kept only some of the frames.
    ///
    /// # Errors
    /// [`Error::UnknownStem`], [`Error::NoComponents`].
    pub fn live_renderer(&self, stems: &Stems) -> Result<Renderer<'_>> {
        Ok(Renderer::new(self.stages_of(stems), &self.form, &self.outputs(stems)?, true))
    }

    /// The masks of all sources in a range of frames of [`Separation::stft`], each frames x `n_bins`, in [0, 1]; they sum
    /// to one. Where sources are told apart in several transforms or by their places, the shares of the stems in the
    /// magnitude. Frames beyond the end of the recording are left out.
    ///
    /// # Errors
    /// [`Error::OtherRecording`], [`Error::Length`] for a recording that ends within the range although the one that was
    /// taken apart went on, and those of the recording and the model.
    ///
    /// # Cost
    /// As for [`Separation::render_range`]; where the recording was not there for the fit, one pass to find its end.
    pub fn masks(&self, recording: &dyn Recording, frames: Range<usize>) -> Result<Vec<Array2<f32>>> {
        self.check_form(recording)?;
        let n_samples = self.form.n_samples.map_or_else(|| count_samples(recording), Ok)?;
        let n_frames = self.stft().config().n_frames(n_samples);
        let frames = frames.start.min(n_frames)..frames.end.min(n_frames);
        let [stage] = &self.stages[..] else {
            return masks_of_stems(self.stft(), &self.form, frames, |samples| {
                let mut stems = vec![Array2::zeros((self.form.n_channels, samples.len())); self.names.len()];
                let mut start = 0;
                self.render_range(recording, &Stems::All, samples, &mut |blocks| {
                    let range = start..start + blocks[0].ncols();
                    stems.iter_mut().zip(blocks).for_each(|(stem, block)| {
                        stem.slice_mut(s![.., range.clone()]).assign(block);
                    });
                    start = range.end;
                    Ok(())
                })?;
                Ok(stems)
            });
        };
        let parts = block_masks(stage, recording, &self.form, frames)?;
        let mut masks = vec![Array2::zeros(parts[0].raw_dim()); self.names.len()];
        self.assignment.iter().zip(&parts).for_each(|(source, mask)| masks[*source] += mask);
        Ok(masks)
    }

    /// Spectrograms of the mixture and of each source, in at most `max_columns` columns: for pictures. Their shares
    /// ([`Overview::shares`]) are the masks.
    ///
    /// # Errors
    /// Those of [`Separation::render`].
    pub fn overviews(
        &self,
        recording: &dyn Recording,
        max_columns: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Overview>> {
        let stft = self.stft();
        let new = |n_channels| OverviewStream::new(stft, recording.sample_rate(), n_channels, max_columns);
        let mut mixture = new(recording.n_channels());
        let (mut n_samples, total) = (0, recording.n_samples_hint());
        recording.read(&mut |block| {
            mixture.push(block);
            n_samples += block.ncols();
            watch.at(Step::Drawing, n_samples as u64, total)
        })?;
        let mut stems: Vec<_> = self.names.iter().map(|_| new(self.form.n_stem_channels)).collect();
        self.render_as(Step::Drawing, recording, &Stems::All, watch, &mut |blocks| {
            stems.iter_mut().zip(blocks).for_each(|(stem, block)| stem.push(block.view()));
            Ok(())
        })?;
        Ok(std::iter::once(mixture).chain(stems).map(OverviewStream::finish).collect())
    }

    /// Refuses a recording that cannot be the one that was taken apart.
    fn check_form(&self, recording: &dyn Recording) -> Result<()> {
        let (got, expected) = (recording.sample_rate(), self.form.sample_rate);
        if got != expected {
            return Err(Error::OtherRecording { got: format!("{got} Hz"), expected: format!("{expected} Hz") });
        }
        check_channels(recording.n_channels(), self.form.n_channels)
    }

    /// The source of this name.
    fn source(&self, name: &str) -> Result<usize> {
        let unknown = || Error::UnknownStem { name: name.to_owned(), names: self.names.clone() };
        self.names.iter().position(|other| other == name).ok_or_else(unknown)
    }

    fn stages_of(&self, stems: &Stems) -> &[Stage] {
        match (stems, self.components()) {
            (Stems::Components, Some(components)) => std::slice::from_ref(&components.stage),
            _ => &self.stages,
        }
    }

    fn outputs(&self, stems: &Stems) -> Result<Vec<Output>> {
        let parts = |wanted: &dyn Fn(usize) -> bool| {
            (0..self.assignment.len()).filter(|part| wanted(self.assignment[*part])).collect()
        };
        let output = |name: &str, wanted: &dyn Fn(usize) -> bool| Output { name: name.into(), parts: parts(wanted) };
        Ok(match stems {
            Stems::All => self.names.iter().enumerate().map(|(s, name)| output(name, &|source| source == s)).collect(),
            Stems::Only(names) => {
                let only = |name: &String| {
                    let wanted = self.source(name)?;
                    Ok(output(name, &|source| source == wanted))
                };
                names.iter().map(only).collect::<Result<_>>()?
            }
            Stems::Two(name) if self.form.n_stem_channels != self.form.n_channels => {
                let expected = "stems by their names: each is of a channel of its own".into();
                return Err(Error::Setting { name: "two_stems", got: name.clone(), expected, advice: None });
            }
            Stems::Two(name) => {
                let wanted = self.source(name)?;
                let rest = names::without(name);
                vec![output(name, &|source| source == wanted), output(&rest, &|source| source != wanted)]
            }
            Stems::Components => {
                let components = self.components().ok_or(Error::NoComponents)?;
                let n_components = components.factorization.n_components();
                (0..n_components).map(|k| Output { name: names::component(k + 1), parts: vec![k] }).collect()
            }
        })
    }
}
