//! Drums of a recording in which other instruments may play, too: then hits are told from what lasts first.
//! Puts methods together; takes nothing apart itself.

use super::methods::{drums, hpss};
use super::pipeline::{Analysis, AnalysisConfig, Detail};
use super::separation::Separation;
use crate::audio::Recording;
use crate::watch::Watch;
use crate::{Result, names};

/// Whether other instruments play beside the drums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accompaniment {
    /// It is listened for ([`drums::has_accompaniment`]).
    #[default]
    Auto,
    /// They do.
    Present,
    /// There are only drums.
    Absent,
}

/// Takes drums apart and finds all of their hits: [`drums::fit`] and [`drums::follow`]. Where other instruments play, hits
/// are told from what lasts before ([`hpss`]), and what lasts is a part `residual`, so that stems sum to the recording.
///
/// `analysis` is that of the recording by `analysis_config`.
///
/// # Errors
/// Those of the three.
///
/// # Cost
/// Without other instruments, that of [`drums::fit`] and [`drums::follow`]; else two more passes over the recording.
pub fn drums_of(
    recording: &dyn Recording,
    analysis: &Analysis,
    analysis_config: &AnalysisConfig,
    config: &drums::DrumsConfig,
    accompaniment: Accompaniment,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    let has_others = match accompaniment {
        Accompaniment::Auto => drums::has_accompaniment(analysis)?,
        Accompaniment::Present => !analysis.is_silent(),
        Accompaniment::Absent => false,
    };
    if !has_others {
        let separation = drums::fit(analysis, config, None, watch)?;
        return drums::follow(separation, recording, watch);
    }
    let outline = AnalysisConfig { detail: Detail::Outline, ..AnalysisConfig::default() };
    let outline = Analysis::of(recording, &outline, watch)?;
    let hits_and_rest = hpss::fit(&outline, &hpss::HpssConfig::default(), None, watch)?;
    let hits = hits_and_rest.rest(recording);
    let analysis = Analysis::of(&hits, analysis_config, watch)?;
    let separation = drums::fit(&analysis, config, None, watch)?;
    let separation = drums::follow(separation, &hits, watch)?;
    drop(hits);
    Ok(hits_and_rest.then(separation, names::RESIDUAL))
}
