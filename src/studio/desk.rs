//! What is on the desk: the recording, the document with its revisions, and the fits that were made of it. Knows no HTTP.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use ndarray::Array2;
use serde_json::{Value, json};

use super::lock::Lock;
use super::pyramid::{Pyramid, Scan};
use super::sound::Listening;
use super::{StudioConfig, Words, tiles};
use crate::atomic::Existing;
use crate::audio::Recording;
use crate::audio::decode::AudioFile;
use crate::audio::spool::Spool;
use crate::knowledge::labels::Identity;
use crate::knowledge::marks::Source;
use crate::project::{self, Document, Project, Session};
use crate::separate::{Analysis, AnalysisConfig, Detail, Separation, labelled};
use crate::watch::{Progress, Step, Watch};
use crate::{Error, Result};

/// Fits that can be gone back to.
const MAX_FITS: usize = 100;

/// Memory for them, beside the current one.
const MAX_FIT_BYTES: usize = 192 << 20;

/// Why something is not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The library says no.
    Library(Error),
    /// The document is at another revision, this one.
    Revision(u64),
    /// These files would be replaced.
    Existing(Vec<String>),
    /// What is asked for makes no sense.
    Wrong(String),
    /// What is asked for is not there.
    Missing(String),
}

/// What is asked for, or why not.
pub(super) type Answer<T> = std::result::Result<T, Refusal>;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

/// The recording, the document and the fits.
#[derive(Debug)]
pub(super) struct Desk {
    config: StudioConfig,
    notes: Vec<String>,
    recording: Spool,
    pyramid: Pyramid,
    listening: Listening,
    /// Where files that the document names lie while the studio is open.
    folder: tempfile::TempDir,
    /// What tells that the file of the recording is still the one that was decoded.
    stamp: Mutex<Option<Stamp>>,
    session: Mutex<Option<Open>>,
    state: Mutex<State>,
    /// Held by the fit that is in progress.
    fitting: Mutex<()>,
    /// Set when that fit is to end.
    stop: Mutex<Arc<AtomicBool>>,
    _lock: Lock,
}

/// What was made of the recording and the files of the document.
#[derive(Debug, Clone)]
struct Open {
    session: Arc<Session>,
    document: Document,
}

#[derive(Debug)]
struct State {
    document: Document,
    revision: u64,
    saved: u64,
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
}

impl Fit {
    fn n_bytes(&self) -> usize {
        let factors = self.separation.factorization();
        // They are in the model, and for each component alone, too.
        3 * size_of::<f32>() * factors.map_or(0, |of| of.dictionary.len() + of.activations.len())
    }

    fn told(&self) -> Value {
        let stem = |(name, source)| json!({ "name": name, "source": source });
        let stems: Vec<_> = self.separation.names().iter().zip(&self.sources).map(stem).collect();
        json!({
            "id": self.id,
            "seconds": self.seconds,
            "stems": stems,
            "warnings": self.separation.warnings(),
        })
    }
}

/// A file's length, and when it was last written to.
type Stamp = (u64, Option<SystemTime>);

fn stamp(path: &Path) -> Option<Stamp> {
    path.metadata().ok().map(|metadata| (metadata.len(), metadata.modified().ok()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn open(config: StudioConfig, watch: &mut Watch<'_>) -> Result<Self> {
        let lock = Lock::of(&config.project)?;
        let stamp = stamp(&config.recording);
        let file = AudioFile::open(&config.recording)?;
        let (recording, pyramid) = decode(&file, watch)?;
        let refused = |source| Error::Spool { source };
        let desk = Self {
            listening: Listening::to(&recording),
            notes: file.notes().to_vec(),
            recording,
            pyramid,
            folder: tempfile::Builder::new().prefix("partita-studio-").tempdir().map_err(refused)?,
            stamp: Mutex::new(stamp),
            session: Mutex::default(),
            state: Mutex::new(State {
                document: Document::default(),
                revision: 1,
                saved: 0,
                fits: Vec::new(),
                current: None,
                next_id: 1,
            }),
            fitting: Mutex::default(),
            stop: Mutex::default(),
            config,
            _lock: lock,
        };
        if desk.config.project.exists() {
            desk.restore(watch)?;
        }
        Ok(desk)
    }

    /// Opens the project that is there.
    fn restore(&self, watch: &mut Watch<'_>) -> Result<()> {
        let project = Project::load(&self.config.project)?;
        let session = self.session(&project.document, watch)?;
        same(session.analysis().identity(), &project.recording)?;
        let mut state = locked(&self.state);
        (state.document, state.saved) = (project.document, state.revision);
        if let Some(factors) = &project.factors {
            let separation = session.restore(&state.document, factors)?;
            state.add(separation, 0.0);
        }
        Ok(())
    }

    pub(super) fn config(&self) -> &StudioConfig {
        &self.config
    }

    pub(super) fn words(&self) -> &Words {
        &self.config.words
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

    /// Where files that the document names lie.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All that a page has to know at its beginning.
    pub(super) fn told(&self) -> Value {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fingerprint =
            locked(&self.session).as_ref().map(|open| open.session.analysis().identity().fingerprint.clone());
        let state = locked(&self.state);
        json!({
            "revision": state.revision,
            "is_saved": state.saved == state.revision,
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
                "min_hz": tiles::MIN_HZ,
                "step_db": tiles::STEP_DB,
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
        let mut state = locked(&self.state);
        state.expect(revision)?;
        if state.document != document {
            state.document = document;
            state.revision += 1;
        }
        Ok(json!({ "revision": state.revision }))
    }

    /// Changes the document, whatever its revision. Returns the new one.
    pub(super) fn change(&self, change: impl FnOnce(&mut Document)) -> u64 {
        let mut state = locked(&self.state);
        change(&mut state.document);
        state.revision += 1;
        state.revision
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
        let mut state = locked(&self.state);
        if state.current != Some(id) {
            state.current = Some(id);
            state.revision += 1;
        }
        Ok(json!({ "fit": fit.told(), "revision": state.revision }))
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
        let previous = previous.filter(|_| is_warm);
        let separation = session.fit(&document, previous.as_ref().map(|fit| &fit.separation), watch)?;
        let mut state = locked(&self.state);
        if state.document.marks.sources.is_empty() && document.marks.sources.is_empty() {
            state.document.marks.sources = suggested(&separation);
        }
        let fit = state.add(separation, start.elapsed().as_secs_f64());
        state.revision += 1;
        Ok(json!({ "fit": fit.told(), "revision": state.revision, "document": state.document }))
    }

    /// What was made of the recording and the files of this document; made anew where others are named.
    fn session(&self, document: &Document, watch: &mut Watch<'_>) -> Result<Arc<Session>> {
        let open = locked(&self.session).clone();
        if let Some(open) = open.filter(|open| has_same_ground(&open.document, document)) {
            return Ok(open.session);
        }
        let session = Arc::new(Session::open(&self.recording, document, self.folder(), watch)?);
        *locked(&self.session) = Some(Open { session: session.clone(), document: document.clone() });
        Ok(session)
    }

    /// Refuses to go on where the file of the recording has other samples than those that were decoded.
    fn check_file(&self, watch: &mut Watch<'_>) -> Result<()> {
        let now = stamp(&self.config.recording);
        if now == *locked(&self.stamp) {
            return Ok(());
        }
        let outline = AnalysisConfig { detail: Detail::Outline, ..AnalysisConfig::default() };
        let file = AudioFile::open(&self.config.recording)?;
        let found = Analysis::of(&file, &outline, watch)?;
        let decoded = Analysis::of(&self.recording, &outline, watch)?;
        same(found.identity(), decoded.identity())?;
        *locked(&self.stamp) = now;
        Ok(())
    }

    /// What is known of each component.
    pub(super) fn components(&self, id: Option<u32>) -> Answer<Value> {
        let fit = self.fit_of(id)?;
        let session = locked(&self.session).clone().map(|open| open.session);
        let Some(session) = session else { return Err(Refusal::Missing("nothing was fitted yet".into())) };
        let labels = labelled::describe(session.analysis(), &fit.separation, "")?;
        let component = |of: &crate::knowledge::labels::Component| {
            json!({
                // As in the document, from 0.
                "index": of.index - 1,
                "suggested": of.suggested,
                "energy_share": of.energy_share,
                "centroid_hz": of.centroid_hz,
                "pitch_hz": of.pitch_hz,
                "onsets_per_s": of.onsets_per_s,
            })
        };
        Ok(labels.components.iter().map(component).collect::<Vec<_>>().into())
    }

    /// Writes the project, with the factors of the current fit.
    pub(super) fn save(&self) -> Answer<Value> {
        self.check_file(&mut Watch::none())?;
        let (document, revision, fit) = {
            let state = locked(&self.state);
            let fit = state.fits.iter().find(|fit| Some(fit.id) == state.current).cloned();
            (state.document.clone(), state.revision, fit)
        };
        let session = self.session(&document, &mut Watch::none())?;
        let factors = fit.as_ref().and_then(|fit| project::factors(&fit.separation));
        let project = Project { recording: session.analysis().identity().clone(), document, factors };
        project.save(&self.config.project, Existing::Replace)?;
        locked(&self.state).saved = revision;
        Ok(json!({ "path": self.config.project.to_string_lossy(), "revision": revision }))
    }
}

impl State {
    fn expect(&self, revision: u64) -> Answer<()> {
        if self.revision == revision { Ok(()) } else { Err(Refusal::Revision(self.revision)) }
    }

    /// Adds a fit, which is the current one then; the oldest that memory has no room for go.
    fn add(&mut self, separation: Separation, seconds: f64) -> Arc<Fit> {
        let of = |name: &String| self.document.marks.sources.iter().find(|source| source.name == *name).map(|s| s.id);
        let sources = separation.names().iter().map(of).collect();
        let fit = Arc::new(Fit { id: self.next_id, separation, seconds, sources });
        self.next_id += 1;
        self.current = Some(fit.id);
        self.fits.push(fit.clone());
        let n_bytes = |fits: &[Arc<Fit>]| fits.iter().map(|fit| fit.n_bytes()).sum::<usize>();
        while self.fits.len() > MAX_FITS || self.fits.len() > 2 && n_bytes(&self.fits) > MAX_FIT_BYTES {
            self.fits.remove(0);
        }
        fit
    }
}

/// Decodes a recording into a temporary file, and looks at it on the other core.
fn decode(file: &AudioFile, watch: &mut Watch<'_>) -> Result<(Spool, Pyramid)> {
    let mut scan = Scan::new(file.sample_rate(), file.n_channels())?;
    let (sender, receiver) = sync_channel::<Array2<f32>>(4);
    thread::scope(|scope| {
        let looking = scope.spawn(move || {
            while let Ok(block) = receiver.recv() {
                scan.push(block.view());
            }
            scan.finish()
        });
        let (mut n_samples, total) = (0, file.n_samples_hint());
        let spool = Spool::of(file, &mut |block| {
            n_samples += block.ncols() as u64;
            // It is there until the last block has come.
            let _ = sender.send(block.to_owned());
            watch.at(Step::Reading, n_samples, total)
        });
        drop(sender);
        let pyramid = looking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((spool?, pyramid))
    })
}

/// Whether what was made of the recording for one document serves another.
fn has_same_ground(_a: &Document, _b: &Document) -> bool {
    true
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
    let groups = separation.groups().into_iter().zip(1..);
    groups
        .map(|((name, members), id)| Source {
            id,
            name: name.to_owned(),
            n_components: members.len(),
            color: id - 1,
            gain_db: 0.0,
            mute: false,
            solo: false,
        })
        .collect()
}

/// Copies a file that the document names, if it is there.
#[expect(dead_code, reason = "uploads")]
fn copy_in(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).map_err(|source| Error::Spool { source })
}
