//! What is on the desk: the recording, the document with its revisions, and the fits that were made of it. Knows no HTTP.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use ndarray::{Array2, Axis};
use serde_json::{Value, json};

use super::components;
use super::config::StudioConfig;
use super::files::Files;
use super::lock::Lock;
use super::pyramid::{Pyramid, Scan};
use super::refusal::{Answer, Refusal};
use super::sound::Listening;
use super::tiles;
use crate::atomic::{self, Existing};
use crate::audio::Recording;
use crate::audio::decode::AudioFile;
use crate::audio::gathered::Gathered;
use crate::audio::spool::Spool;
use crate::error::shown;
use crate::knowledge::labels::Identity;
use crate::knowledge::marks::Source;
use crate::project::{self, Document, Project, Session, Settings};
use crate::separate::bleed::{self, BleedConfig};
use crate::separate::blind::BlindConfig;
use crate::separate::{Analysis, AnalysisConfig, Detail, Separation};
use crate::watch::{Progress, Step, Watch};
use crate::{Error, Result};

/// Fits that can be gone back to.
const MAX_FITS: usize = 100;

/// Memory for them, beside the current one.
const MAX_FIT_BYTES: usize = 192 << 20;

/// Where it is looked how much a fit changed, and frames that are looked at there.
const LOOKS: usize = 4;
const LOOK_FRAMES: usize = 64;

/// The recording, the document and the fits.
#[derive(Debug)]
pub(super) struct Desk {
    config: StudioConfig,
    notes: Vec<String>,
    recording: Spool,
    pyramid: Pyramid,
    listening: Listening,
    files: Files,
    /// What tells that the files of the recording are still those that were decoded.
    stamps: Mutex<Vec<Option<Stamp>>>,
    /// What was made of the recording and of the files of the document; held for moments only.
    session: Mutex<Option<Arc<Session>>>,
    identity: Mutex<Option<Identity>>,
    state: Mutex<State>,
    /// Held by the fit that is in progress.
    fitting: Mutex<()>,
    /// Set when that fit is to end.
    stop: Mutex<Arc<AtomicBool>>,
    _lock: Lock,
}

#[derive(Debug)]
struct State {
    document: Document,
    revision: u64,
    /// The revision and the fit that are in the project file.
    saved: Option<(u64, Option<u32>)>,
    fits: Vec<Arc<Fit>>,
    current: Option<u32>,
    next_id: u32,
}

/// What came of one fit.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) id: u32,
    pub(super) separation: Separation,
    seconds: f64,
    /// The source of each stem, where it is one of the document's.
    sources: Vec<Option<u32>>,
    /// How much stems differ from those before.
    changed: Vec<(String, f64)>,
    /// Its components one by one, once somebody wants to hear one.
    alone: Mutex<Option<Arc<Separation>>>,
}

impl Fit {
    fn n_bytes(&self) -> usize {
        if let Some(factors) = self.separation.factorization() {
            // They are in the model, and for each component alone, too.
            return 3 * size_of::<f32>() * (factors.dictionary.len() + factors.activations.len());
        }
        // Of microphones, a covariance of each source in each bin.
        let n_microphones = self.sources.iter().flatten().count();
        2 * size_of::<f64>() * self.separation.stft().config().n_bins() * n_microphones.pow(3)
    }

    fn told(&self) -> Value {
        let stem = |(name, source)| json!({ "name": name, "source": source });
        let stems: Vec<_> = self.separation.names().iter().zip(&self.sources).map(stem).collect();
        json!({
            "id": self.id,
            "seconds": self.seconds,
            "stems": stems,
            "changed": self.changed.iter().map(|(name, share)| json!({ "name": name, "share": share })).collect::<Vec<_>>(),
            "warnings": self.separation.warnings(),
        })
    }
}

/// A file's length, and when it was last written to.
type Stamp = (u64, Option<SystemTime>);

fn stamps(config: &StudioConfig) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| path.metadata().ok().map(|metadata| (metadata.len(), metadata.modified().ok()));
    config.files().iter().map(stamp).collect()
}

/// The recording as it is in its files.
fn recorded(config: &StudioConfig) -> Result<Gathered<AudioFile>> {
    let files = config.files().iter().map(|path| AudioFile::open(path));
    Ok(Gathered::new(files.collect::<Result<_>>()?)?.with_delays(config.delays.clone()))
}

/// What is known of a recording at the beginning: which microphones there are.
fn begun(config: &StudioConfig, recorded: &Gathered<AudioFile>) -> Document {
    if config.microphones.is_empty() {
        return Document::default();
    }
    let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let files: Vec<_> =
        config.microphones.iter().map(name).zip(recorded.recordings().iter().map(Recording::n_channels)).collect();
    Document::of_microphones(&BleedConfig::of_files(&files), recorded.n_channels())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn open(config: StudioConfig, watch: &mut Watch<'_>) -> Result<Self> {
        let lock = Lock::of(&config.project)?;
        let stamps = stamps(&config);
        let recorded = recorded(&config)?;
        let project = config.project.exists().then(|| Project::load(&config.project)).transpose()?;
        let document = project.as_ref().map_or_else(|| begun(&config, &recorded), |project| project.document.clone());
        let (recording, pyramid, loudest) = decode(&recorded, watch)?;
        let desk = Self {
            listening: match document.debleed {
                Some(_) => Listening::to_microphones(&recording, loudest),
                None => Listening::to(&recording),
            },
            notes: recorded.recordings().iter().flat_map(|file| file.notes().to_vec()).collect(),
            recording,
            pyramid,
            files: Files::beside(&config.project)?,
            stamps: Mutex::new(stamps),
            session: Mutex::default(),
            identity: Mutex::default(),
            state: Mutex::new(State {
                document,
                revision: 1,
                saved: None,
                fits: Vec::new(),
                current: None,
                next_id: 1,
            }),
            fitting: Mutex::default(),
            stop: Mutex::default(),
            config,
            _lock: lock,
        };
        if let Some(project) = project {
            desk.restore(project, watch)?;
        } else {
            desk.hear_microphones(watch)?;
            if desk.config.seed != 0 {
                let transform = AnalysisConfig::default().transform(desk.recording.sample_rate());
                locked(&desk.state).document.settings = Some(Settings {
                    n_fft: transform.n_fft,
                    hop_length: transform.hop_length,
                    mask_exponent: BlindConfig::default().mask_exponent,
                    seed: desk.config.seed.to_string(),
                });
            }
        }
        Ok(desk)
    }

    /// Opens the project that is there.
    fn restore(&self, project: Project, watch: &mut Watch<'_>) -> Result<()> {
        self.files.bring(named(&project.document))?;
        let session = self.session(&project.document, watch)?;
        same(session.analysis().identity(), &project.recording)?;
        *locked(&self.identity) = Some(project.recording);
        self.hear_microphones(watch)?;
        let document = &project.document;
        let separation = match (&project.factors, &document.debleed) {
            (_, Some(debleed)) if debleed.is_done => Some(session.fit(document, None, watch)?),
            (Some(factors), None) => Some(session.restore(document, factors)?),
            _ => None,
        };
        let mut state = locked(&self.state);
        if let Some(separation) = separation {
            state.add(separation, 0.0, Vec::new());
        }
        state.saved = Some((state.revision, state.current));
        Ok(())
    }

    /// Takes microphones, where there are any, as the stems of a first fit: heard and seen as those of all others.
    fn hear_microphones(&self, watch: &mut Watch<'_>) -> Result<()> {
        let Some(config) = locked(&self.state).document.bleed()? else { return Ok(()) };
        let outline = self.outline(&self.recording, watch)?;
        *locked(&self.identity) = Some(outline.identity().clone());
        let separation = bleed::as_heard(&outline, &config.microphones)?;
        locked(&self.state).add(separation, 0.0, Vec::new());
        Ok(())
    }

    pub(super) fn config(&self) -> &StudioConfig {
        &self.config
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(super) fn recording(&self) -> &Spool {
        &self.recording
    }

    pub(super) fn pyramid(&self) -> &Pyramid {
        &self.pyramid
    }

    pub(super) fn listening(&self) -> &Listening {
        &self.listening
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// All that a page has to know at its beginning.
    pub(super) fn told(&self) -> Value {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fingerprint = locked(&self.identity).as_ref().map(|identity| identity.fingerprint.clone());
        let state = locked(&self.state);
        json!({
            "revision": state.revision,
            "saved": state.saved == Some((state.revision, state.current)),
            "recording": {
                "name": name(&self.config.recording),
                "sample_rate": self.recording.sample_rate(),
                "n_channels": self.recording.n_channels(),
                "n_samples": self.recording.n_samples(),
                "fingerprint": fingerprint,
                "notes": self.notes,
            },
            "audio": {
                "sample_rate": self.listening.sample_rate,
                "n_channels": self.listening.n_channels,
                "n_samples": self.listening.n_samples,
            },
            "tiles": {
                "columns": tiles::COLUMNS,
                "rows": tiles::ROWS,
                "hz": [tiles::MIN_HZ, 0.5 * f64::from(self.recording.sample_rate())],
                "step_db": tiles::STEP_DB,
                "sample_rate": self.recording.sample_rate(),
                "hop_length": self.pyramid.hop_length(),
                "n_frames": self.pyramid.n_frames(),
            },
            "project": name(&self.config.project),
            "out": self.config.out.to_string_lossy(),
            "version": env!("CARGO_PKG_VERSION"),
            "document": state.document,
            "fit": state.current,
            "fits": state.fits.iter().map(|fit| fit.told()).collect::<Vec<_>>(),
        })
    }

    /// Takes the next revision of the document.
    pub(super) fn put(&self, revision: u64, document: Document) -> Answer<Value> {
        document.check()?;
        let mut state = locked(&self.state);
        state.expect(revision)?;
        if state.document != document {
            state.document = document;
            state.revision += 1;
        }
        Ok(json!({ "revision": state.revision }))
    }

    /// Refuses what was asked for in view of another revision.
    pub(super) fn expect(&self, revision: Option<u64>) -> Answer<()> {
        let state = locked(&self.state);
        revision.map_or(Ok(()), |revision| state.expect(revision))
    }

    /// A fit of this number, or without a number the current one.
    pub(super) fn fit_of(&self, id: Option<u32>) -> Answer<Arc<Fit>> {
        let state = locked(&self.state);
        let id = id.or(state.current);
        let missing = || match id {
            Some(id) => Refusal::Missing(format!("fit {id} is not kept any more")),
            None => Refusal::Missing("nothing was fitted yet".into()),
        };
        state.fits.iter().find(|fit| Some(fit.id) == id).cloned().ok_or_else(missing)
    }

    /// Goes back, or on, to the factors of a fit.
    pub(super) fn make_current(&self, id: u32) -> Answer<Value> {
        let fit = self.fit_of(Some(id))?;
        locked(&self.state).current = Some(id);
        Ok(json!({ "fit": fit.told() }))
    }

    /// Ends the fit that is in progress.
    pub(super) fn stop(&self) {
        locked(&self.stop).store(true, Ordering::Relaxed);
    }

    /// Fits the document's revision, `is_warm` on from the current fit. A fit that is in progress ends first.
    pub(super) fn fit(
        &self,
        revision: Option<u64>,
        is_warm: bool,
        tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Answer<Value> {
        let stop = Arc::new(AtomicBool::new(false));
        std::mem::replace(&mut *locked(&self.stop), stop.clone()).store(true, Ordering::Relaxed);
        let _fitting = locked(&self.fitting);
        let mut tell = |progress| if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { tell(progress) };
        let watch = &mut Watch::new(&mut tell);
        watch.at(Step::Reading, 0, None)?;
        let (document, previous) = {
            let state = locked(&self.state);
            if let Some(revision) = revision {
                state.expect(revision)?;
            }
            (state.document.clone(), state.fits.iter().find(|fit| Some(fit.id) == state.current).cloned())
        };
        self.check_file(watch)?;
        let start = Instant::now();
        let session = self.session(&document, watch)?;
        let from = previous.as_ref().filter(|_| is_warm);
        let separation = session.fit(&document, from.map(|fit| &fit.separation), watch)?;
        let changed = match &previous {
            // What is taken out of microphones is a stem, too: it is seen there.
            Some(previous) if document.debleed.is_none() => self.changed(&previous.separation, &separation)?,
            _ => Vec::new(),
        };
        let mut state = locked(&self.state);
        let is_new = state.document.marks.sources.is_empty() && document.marks.sources.is_empty();
        if is_new {
            state.document.marks.sources = suggested(&separation);
            state.revision += 1;
        }
        let fit = state.add(separation, start.elapsed().as_secs_f64(), changed);
        let told = json!({ "fit": fit.told() });
        // Only where it is another: the page may have sent a later one since.
        let with = json!({ "fit": fit.told(), "revision": state.revision, "document": state.document });
        Ok(if is_new { with } else { told })
    }

    /// How much each stem is another than the one of its name before, relative to its magnitude: in some blocks that lie
    /// evenly over the recording.
    fn changed(&self, before: &Separation, after: &Separation) -> Result<Vec<(String, f64)>> {
        if before.stft().config() != after.stft().config() {
            return Ok(Vec::new());
        }
        let config = after.stft().config();
        let n_frames = config.n_frames(self.recording.n_samples() as usize);
        let (mut gaps, mut sums) = (vec![0.0; after.names().len()], vec![0.0; after.names().len()]);
        for i in 0..LOOKS {
            let start = n_frames * i / LOOKS / LOOK_FRAMES * LOOK_FRAMES;
            let frames = start..(start + LOOK_FRAMES).min(n_frames);
            let of = |separation: &Separation| separation.masks(&self.recording, frames.clone());
            let (before_masks, after_masks) = (of(before)?, of(after)?);
            let power = self.pyramid.powers(&self.recording, frames.clone(), 1)?;
            for (stem, (name, mask)) in after.names().iter().zip(&after_masks).enumerate() {
                let Some(place) = before.names().iter().position(|other| other == name) else { continue };
                let pairs = mask.iter().zip(&before_masks[place]);
                // The transform of tiles may be another; then all that is counted alike.
                let is_like = power.dim() == mask.dim();
                let weights = power.iter().map(|power| if is_like { power.sqrt() } else { 1.0 });
                for ((new, old), weight) in pairs.zip(weights) {
                    gaps[stem] += f64::from((new - old).abs() * weight);
                    sums[stem] += f64::from(old * weight);
                }
            }
        }
        let share = |(gap, sum): (f64, f64)| gap / f64::max(sum, f64::MIN_POSITIVE);
        Ok(after.names().iter().cloned().zip(gaps.into_iter().zip(sums).map(share)).collect())
    }

    /// What was made of the recording, and of the files of this document: again, where it names others. Only the fit that is in
    /// progress may ask.
    fn session(&self, document: &Document, watch: &mut Watch<'_>) -> Result<Arc<Session>> {
        let folder = self.files.folder();
        // Nobody else has it for longer than a moment, so that it is seldom copied.
        let taken = locked(&self.session).take();
        let Some(mut session) = taken else {
            let session = Arc::new(Session::open(&self.recording, document, folder, watch)?);
            *locked(&self.session) = Some(session.clone());
            return Ok(session);
        };
        let prepared = Arc::make_mut(&mut session).prepare(&self.recording, document, folder, watch);
        // Also where that was ended: what was found at the first look is right.
        *locked(&self.session) = Some(session.clone());
        prepared.map(|()| session)
    }

    /// Identifies the recording; reads it once, if that was not done yet.
    fn identity(&self, watch: &mut Watch<'_>) -> Result<Identity> {
        let mut known = locked(&self.identity);
        if let Some(identity) = &*known {
            return Ok(identity.clone());
        }
        let identity = self.outline(&self.recording, watch)?.identity().clone();
        *known = Some(identity.clone());
        Ok(identity)
    }

    /// What a recording is, without what is in it.
    fn outline(&self, recording: &dyn Recording, watch: &mut Watch<'_>) -> Result<Analysis> {
        let outline = AnalysisConfig { detail: Detail::Outline, ..AnalysisConfig::default() };
        Analysis::of(recording, &outline, watch)
    }

    /// Refuses to go on where the files of the recording have other samples than those that were decoded.
    fn check_file(&self, watch: &mut Watch<'_>) -> Answer<()> {
        let now = stamps(&self.config);
        if now == *locked(&self.stamps) {
            return Ok(());
        }
        let recorded = match recorded(&self.config) {
            Err(Error::OpenAudio { path, source }) if source.kind() == ErrorKind::NotFound => {
                return Err(Refusal::Gone(shown(&path)));
            }
            opened => opened?,
        };
        same(self.outline(&recorded, watch)?.identity(), &self.identity(watch)?)?;
        *locked(&self.stamps) = now;
        Ok(())
    }

    /// What is known of each component.
    pub(super) fn components(&self, id: Option<u32>) -> Answer<Value> {
        let fit = self.fit_of(id)?;
        let session = locked(&self.session).clone();
        let Some(session) = session else { return Err(Refusal::Missing("a fit is just beginning".into())) };
        let sources = fit.separation.names().iter().zip(&fit.sources);
        let sources: Vec<_> = sources.filter_map(|(name, id)| Some(((*id)?, name.clone()))).collect();
        Ok(components::told(session.analysis(), &fit.separation, &sources)?)
    }

    /// A separation of a fit with a stem for each of its components.
    pub(super) fn alone(&self, fit: &Fit) -> Answer<Arc<Separation>> {
        let mut alone = locked(&fit.alone);
        if let Some(alone) = &*alone {
            return Ok(alone.clone());
        }
        let session = locked(&self.session).clone();
        let Some(session) = session else { return Err(Refusal::Missing("a fit is just beginning".into())) };
        let settings = locked(&self.state).document.settings.clone();
        let exponent = settings.map_or(BlindConfig::default().mask_exponent, |settings| settings.mask_exponent);
        let made = Arc::new(components::alone(session.analysis(), &fit.separation, exponent)?);
        *alone = Some(made.clone());
        Ok(made)
    }

    /// Writes the project, with the factors of the current fit.
    pub(super) fn save(&self) -> Answer<Value> {
        self.check_file(&mut Watch::none())?;
        let (mut document, revision, fit) = {
            let state = locked(&self.state);
            let fit = state.fits.iter().find(|fit| Some(fit.id) == state.current).cloned();
            (state.document.clone(), state.revision, fit)
        };
        let factors = fit.as_ref().and_then(|fit| project::factors(&fit.separation));
        if let Some(debleed) = &mut document.debleed {
            // The first fit is the microphones as they are.
            debleed.is_done = fit.as_ref().is_some_and(|fit| fit.id > 1);
        }
        let project = Project { recording: self.identity(&mut Watch::none())?, document, factors };
        atomic::commit_all(self.files.save(named(&project.document))?)?;
        project.save(&self.config.project, Existing::Replace)?;
        locked(&self.state).saved = Some((revision, fit.map(|fit| fit.id)));
        Ok(json!({ "path": self.config.project.to_string_lossy(), "revision": revision }))
    }
}

impl State {
    fn expect(&self, revision: u64) -> Answer<()> {
        if self.revision == revision { Ok(()) } else { Err(Refusal::Revision(self.revision)) }
    }

    /// Adds a fit, which is the current one then; the oldest that memory has no room for go.
    fn add(&mut self, separation: Separation, seconds: f64, changed: Vec<(String, f64)>) -> Arc<Fit> {
        let of = |name: &String| self.document.marks.sources.iter().find(|source| source.name == *name).map(|s| s.id);
        let sources = separation.names().iter().map(of).collect();
        let fit = Arc::new(Fit { id: self.next_id, separation, seconds, sources, changed, alone: Mutex::default() });
        self.next_id += 1;
        self.current = Some(fit.id);
        self.fits.push(fit.clone());
        let n_bytes = |fits: &[Arc<Fit>]| fits.iter().map(|fit| fit.n_bytes()).sum::<usize>();
        while self.fits.len() > MAX_FITS || self.fits.len() > 2 && n_bytes(&self.fits) > MAX_FIT_BYTES {
            // Microphones as they are stay: they are the first.
            self.fits.remove(usize::from(self.document.debleed.is_some()));
        }
        fit
    }
}

/// Decodes a recording into a temporary file, and looks at it on the other core. Also tells the loudest sample of the
/// sum of its channels.
fn decode(recorded: &Gathered<AudioFile>, watch: &mut Watch<'_>) -> Result<(Spool, Pyramid, f32)> {
    let mut scan = Scan::new(recorded.sample_rate(), recorded.n_channels())?;
    let (sender, receiver) = sync_channel::<Array2<f32>>(4);
    thread::scope(|scope| {
        let looking = scope.spawn(move || {
            while let Ok(block) = receiver.recv() {
                scan.push(block.view());
            }
            scan.finish()
        });
        let (mut n_samples, total, mut loudest) = (0, recorded.n_samples_hint(), 0f32);
        let spool = Spool::of(recorded, &mut |block| {
            n_samples += block.ncols() as u64;
            loudest = block.sum_axis(Axis(0)).iter().fold(loudest, |loudest, x| loudest.max(x.abs()));
            // It is there until the last block has come.
            let _ = sender.send(block.to_owned());
            watch.at(Step::Reading, n_samples, total)
        });
        drop(sender);
        let pyramid = looking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((spool?, pyramid, loudest))
    })
}

/// The files that a document names.
fn named(document: &Document) -> impl Iterator<Item = &str> {
    let examples = document.examples.iter().map(|example| example.file.as_str());
    document.score.iter().map(|score| score.file.as_str()).chain(examples)
}

/// Refuses another recording.
fn same(got: &Identity, expected: &Identity) -> Result<()> {
    let told = |of: &Identity| {
        [
            format!("{} Hz", of.sample_rate),
            format!("{} channels", of.n_channels),
            format!("{} samples", of.n_samples),
            format!("the fingerprint {}", of.fingerprint),
        ]
    };
    let pair = told(got).into_iter().zip(told(expected)).find(|(got, expected)| got != expected);
    pair.map_or(Ok(()), |(got, expected)| Err(Error::OtherRecording { got, expected }))
}

/// The sources that a separation without any suggests.
fn suggested(separation: &Separation) -> Vec<Source> {
    let ids = project::factors(separation).map_or_else(Vec::new, |factors| factors.source_ids);
    let n_components = |id| ids.iter().filter(|of| **of == id).count().max(1);
    let names = separation.names().iter().zip(1..);
    names
        .map(|(name, id)| Source {
            id,
            name: name.clone(),
            n_components: n_components(id),
            color: id - 1,
            gain_db: 0.0,
            mute: false,
            solo: false,
        })
        .collect()
}
