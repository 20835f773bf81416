//! Projects of the studio, with `partita separate --project`.

use std::path::{Path, PathBuf};

use partita::audio::Recording;
use partita::error::shown;
use partita::project::{Project, Session};
use partita::separate::{Analysis, AnalysisConfig, Detail, Places};
use partita::watch::Watch;
use partita::{Error, names};

use crate::cli::failure::Failure;
use crate::cli::stems::{Method, Outcome};
use crate::cli::terminal::counted;

/// Makes the stems of a project.
pub(super) struct Painted {
    project: Project,
    /// Where its score and its examples are.
    folder: PathBuf,
    places: Places,
}

impl Painted {
    /// Reads a project, and the components beside it.
    pub(super) fn new(path: &Path, places: Places) -> Result<Self, Failure> {
        let project = Project::load(path).map_err(Failure::at(shown(path)))?;
        if project.document.debleed.is_some() {
            let message = format!("`{}` is of a session of microphones", shown(path));
            return Err(Failure::usage(
                message,
                "open it with `partita studio FOLDER`, or use `partita debleed FOLDER --rest`",
            ));
        }
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self { project, folder, places })
    }

    fn has_others(&self) -> bool {
        let document = &self.project.document;
        document.score.is_some() || !document.examples.is_empty()
    }
}

impl Method for Painted {
    fn names(&self) -> Vec<String> {
        let sources = &self.project.document.marks.sources;
        if sources.is_empty() {
            vec![names::source(1)]
        } else {
            sources.iter().map(|source| source.name.clone()).collect()
        }
    }

    fn has_more_names(&self) -> bool {
        self.has_others() || self.project.document.marks.sources.is_empty()
    }

    fn analysis(&self) -> AnalysisConfig {
        let config = self.project.document.analysis();
        match self.project.factors.is_some() && !self.has_others() {
            // The components are there already; the recording is only rendered.
            true => AnalysisConfig { detail: Detail::Outline, ..config },
            false => config,
        }
    }

    fn places(&self) -> Places {
        self.places.clone()
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let Project { recording: expected, document, factors } = &self.project;
        analysis.identity().check(expected)?;
        let session = Session::of(analysis.clone(), recording, document, &self.folder, watch)?;
        let separation = match factors {
            Some(factors) => session.restore(document, factors)?,
            None => session.fit(document, None, watch)?,
        };
        let marks = &document.marks;
        let remark = format!(
            "{} and {} of {}",
            counted(marks.strokes.len(), "stroke"),
            counted(marks.ranges.len(), "range"),
            counted(marks.sources.len(), "source"),
        );
        Ok(Outcome { remarks: vec![remark], ..separation.into() })
    }
}
