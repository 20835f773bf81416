//! Labels files, out of `partita separate --labels-out` and back in with `--labels`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use partita::audio::Recording;
use partita::error::shown;
use partita::knowledge::labels::{Labels, MAX_BYTES};
use partita::matrix_file::{self, NpzWriter};
use partita::separate::labelled::{self, LabelledConfig};
use partita::separate::{Analysis, AnalysisConfig, Detail, Places};
use partita::watch::Watch;
use partita::{Error, Separation, StftOptions, atomic};

use super::args::SeparateArgs;
use crate::cli::failure::Failure;
use crate::cli::outputs;
use crate::cli::stems::{Method, Outcome};

/// Where labels and factors go.
pub(super) struct Output {
    labels: PathBuf,
    factors: PathBuf,
    force: bool,
}

impl Output {
    /// Refuses what cannot be labelled, and files that exist, before any work.
    pub(super) fn new(args: &SeparateArgs) -> Result<Option<Self>, Failure> {
        let Some(labels) = &args.labels_out else { return Ok(None) };
        if args.inputs.paths.len() != 1 || args.inputs.paths[0].is_dir() {
            return Err(Failure::usage(
                "`--labels-out` is for one recording, and there are several",
                "separate them one by one, each with its own labels",
            ));
        }
        let output = Self { labels: labels.clone(), factors: labels.with_extension("npz"), force: args.output.force };
        if output.labels == output.factors {
            return Err(Failure::usage(
                format!("`--labels-out` is `{}`, where the factors are to go", shown(labels)),
                format!("use `--labels-out {}`", shown(&labels.with_extension("toml"))),
            ));
        }
        outputs::refuse_existing(&[output.labels.clone(), output.factors.clone()], output.force)?;
        Ok(Some(output))
    }

    /// Writes both.
    pub(super) fn write(&self, analysis: &Analysis, separation: &Separation) -> Result<String, Error> {
        let Some(factors) = separation.factorization() else { return Err(Error::NoComponents) };
        let name = self.factors.file_name().unwrap_or_default().to_string_lossy();
        let text = labelled::describe(analysis, separation, &name)?.text()?;
        let existing = outputs::may_replace(self.force);
        let mut writer = NpzWriter::create(&self.factors, existing)?;
        writer.array("W", factors.dictionary.view())?;
        writer.array("H", factors.activations.view())?;
        writer.finish()?;
        atomic::write(&self.labels, text.as_bytes(), existing)?;
        Ok(format!("Components to name are in `{0}`; then give `--labels {0}`.", shown(&self.labels)))
    }
}

/// Makes stems of what was named.
pub(super) struct Labelled {
    config: LabelledConfig,
    stft: StftOptions,
    places: Places,
}

impl Labelled {
    /// Reads a labels file, and the factors beside it.
    pub(super) fn new(path: &Path, places: Places) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        // UTF-16 takes twice as many; one byte more is refused where the text is looked at.
        let read = File::open(path).and_then(|file| file.take(2 * MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|source| Error::ReadMatrix { path: path.to_owned(), source })?;
        let labels = Labels::from_bytes(bytes).map_err(Failure::at(shown(path)))?;
        let factors = path.with_file_name(&labels.factors);
        let read = |name| matrix_file::read_member(&factors, name).map_err(Failure::at(shown(&factors)));
        let config = LabelledConfig { dictionary: read("W")?, activations: read("H")?, labels };
        let stft = config.stft().map_err(Failure::at(shown(path)))?;
        Ok(Self { config, stft, places })
    }
}

impl Method for Labelled {
    fn names(&self) -> Vec<String> {
        self.config.labels.names().0
    }

    fn analysis(&self) -> AnalysisConfig {
        // The factors are there already; the recording is only rendered.
        AnalysisConfig { stft: self.stft, detail: Detail::Outline, ..AnalysisConfig::default() }
    }

    fn places(&self) -> Places {
        self.places.clone()
    }

    fn fit(&self, _: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let separation = labelled::fit(analysis, &self.config, None, watch)?;
        let labels = &self.config.labels;
        let n_named = labels.components.iter().filter(|component| !component.name.is_empty()).count();
        let n_components = labels.components.len();
        let remark = match n_named {
            0 => "no component has a name: the suggestions count".to_owned(),
            _ => format!("{n_named} of {n_components} components have a name, the others follow"),
        };
        Ok(Outcome { remarks: vec![remark], ..separation.into() })
    }
}
