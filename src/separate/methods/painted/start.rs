//! Where a fit begins: components, each in a source, from an earlier fit or from what the recording itself suggests.

use ndarray::{Array1, Array2, Axis, s};

use super::{PaintedConfig, State};
use crate::knowledge::painting::Painting;
use crate::nmf::{Factorization, NmfConfig, fit_with};
use crate::separate::methods::group;
use crate::separate::pipeline::Analysis;
use crate::watch::Watch;
use crate::{Result, names};

/// Components where nobody said how many.
const N_COMPONENTS: usize = 32;

/// Iterations of the components that nothing is known of.
const BLIND_ITERATIONS: usize = 100;

/// The factors that a fit begins with.
pub(super) struct Start {
    pub(super) dictionary: Array2<f32>,
    pub(super) activations: Array2<f32>,
    /// The source of each component, counted from 0.
    pub(super) groups: Vec<usize>,
    /// The number of each source.
    pub(super) ids: Vec<u32>,
    pub(super) names: Vec<(u32, String)>,
}

pub(super) fn knob(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|x| x.parse().ok()).unwrap_or(default)
}

/// From an earlier fit, or anew.
pub(super) fn start(
    analysis: &Analysis,
    config: &PaintedConfig,
    painting: &Painting,
    previous: Option<&State>,
    watch: &mut Watch<'_>,
) -> Result<Start> {
    let marks = &config.marks;
    let mut start = match previous {
        Some(state) => warm(analysis, config, state),
        None => cold(analysis, config, painting, watch)?,
    };
    if !marks.sources.is_empty() {
        let evidence = Evidence::of(analysis, painting, &start);
        let known = evidence.known(&start, previous.is_some());
        if std::env::var("DEBUG_KNOWN").is_ok() {
            eprintln!("{known:?} {:?}", start.groups);
        }
        start.groups = if previous.is_some() {
            start.groups.iter().zip(known).map(|(own, known)| known.unwrap_or(*own)).collect()
        } else if known.iter().any(Option::is_some) {
            let stft = analysis.stft().config();
            let (w, h) = (start.dictionary.view(), start.activations.view());
            let n = known.iter().flatten().collect::<std::collections::HashSet<_>>().len();
            if n == marks.sources.len() {
                group::follow(w, h, stft, analysis.sample_rate(), &known)
            } else {
                start.groups.iter().zip(known).map(|(own, known)| known.unwrap_or(*own)).collect()
            }
        } else {
            start.groups
        };
    }
    for named in &marks.names {
        let source = marks.sources.iter().position(|source| source.id == named.source);
        if let (Some(source), Some(group)) = (source, start.groups.get_mut(named.component)) {
            *group = source;
        }
    }
    silence_others(analysis, painting, &mut start);
    Ok(start)
}

/// Components without knowledge, grouped into as many sources as there are.
fn cold(analysis: &Analysis, config: &PaintedConfig, _painting: &Painting, watch: &mut Watch<'_>) -> Result<Start> {
    let sources = &config.marks.sources;
    let n_components = match sources.len() {
        0 => N_COMPONENTS,
        _ => sources.iter().map(|source| source.n_components).sum(),
    };
    let nmf = NmfConfig { n_components, max_iter: BLIND_ITERATIONS, seed: config.seed, ..NmfConfig::default() };
    let found = fit_with(analysis.magnitude().t(), &nmf, watch)?.complete()?;
    let n_sources = (!sources.is_empty()).then_some(sources.len());
    let groups = group::by_likeness(&found, analysis.stft().config(), analysis.sample_rate(), n_sources);
    let n_groups = groups.iter().max().map_or(1, |last| last + 1);
    let names: Vec<_> = match sources.len() {
        0 => (1..=n_groups).map(|i| (i as u32, names::source(i))).collect(),
        _ => sources.iter().map(|source| (source.id, source.name.clone())).collect(),
    };
    let Factorization { dictionary, activations, .. } = found;
    Ok(Start { dictionary, activations, groups, ids: names.iter().map(|(id, _)| *id).collect(), names })
}

/// The components of an earlier fit.
fn warm(analysis: &Analysis, config: &PaintedConfig, state: &State) -> Start {
    let factors = &state.factors;
    let wake = knob("WAKE", 0.0) as f32;
    let mut activations = factors.activations.clone();
    if wake > 0.0 {
        for mut row in activations.outer_iter_mut() {
            let least = wake * row.mean().unwrap_or(0.0);
            row.mapv_inplace(|x| x.max(least));
        }
    }
    let names: Vec<_> = config.marks.sources.iter().map(|source| (source.id, source.name.clone())).collect();
    let groups = factors.source_ids.iter().map(|id| names.iter().position(|(other, _)| other == id).unwrap_or(0));
    let _ = analysis;
    Start {
        dictionary: factors.dictionary.clone(),
        activations,
        groups: groups.collect(),
        ids: names.iter().map(|(id, _)| *id).collect(),
        names,
    }
}

/// Where sources play alone, the others do not.
fn silence_others(analysis: &Analysis, painting: &Painting, start: &mut Start) {
    for alone in &painting.alone {
        for row in alone.frames.clone().filter_map(|frame| analysis.row_of(frame)) {
            let mut column = start.activations.column_mut(row);
            for (x, group) in column.iter_mut().zip(&start.groups) {
                if alone.sources >> group & 1 == 0 {
                    *x = 0.0;
                }
            }
        }
    }
}

/// How much of what each component explains was painted as whose.
struct Evidence {
    /// Components x sources.
    credit: Array2<f64>,
    /// All that a component explains.
    total: Array1<f64>,
}

impl Evidence {
    fn of(analysis: &Analysis, painting: &Painting, start: &Start) -> Self {
        let (w, h) = (&start.dictionary, &start.activations);
        let (n_components, n_sources) = (w.ncols(), start.ids.len());
        let mut credit = Array2::zeros((n_components, n_sources));
        let v = analysis.magnitude();
        let all = u64::MAX >> (64 - n_sources);
        for run in &painting.runs {
            let allowed = all & !run.denied;
            let Some(row) = analysis.row_of(run.column as usize) else { continue };
            for bin in run.start as usize..run.end as usize {
                let (w, h) = (w.row(bin), h.column(row));
                let model: f32 = w.dot(&h);
                if model <= 0.0 {
                    continue;
                }
                let ratio = f64::from(v[[row, bin]] / model);
                if allowed.count_ones() == 1 {
                    let source = allowed.trailing_zeros() as usize;
                    for (k, (w, h)) in w.iter().zip(h).enumerate() {
                        credit[[k, source]] += f64::from(w * h) * ratio;
                    }
                } else {
                    for (k, (w, h)) in w.iter().zip(h).enumerate() {
                        for source in (0..n_sources).filter(|source| run.denied >> source & 1 == 1) {
                            credit[[k, source]] -= f64::from(w * h) * ratio;
                        }
                    }
                }
            }
        }
        for alone in &painting.alone {
            if alone.sources.count_ones() != 1 {
                continue;
            }
            let source = alone.sources.trailing_zeros() as usize;
            let sums = w.sum_axis(Axis(0));
            for row in alone.frames.clone().filter_map(|frame| analysis.row_of(frame)) {
                for k in 0..n_components {
                    credit[[k, source]] += f64::from(sums[k] * h[[k, row]]);
                }
            }
        }
        let (w, h) = (w.sum_axis(Axis(0)), h.sum_axis(Axis(1)));
        let total = Array1::from_shape_fn(n_components, |k| f64::from(w[k]) * f64::from(h[k]));
        let _ = s![..];
        Self { credit, total }
    }

    /// The source of those components for which it is clear.
    fn known(&self, start: &Start, is_warm: bool) -> Vec<Option<usize>> {
        let alpha = if is_warm { knob("ALPHA_WARM", 0.01) } else { knob("ALPHA_COLD", 0.01) };
        let of = |(k, own): (usize, &usize)| {
            let credit = self.credit.row(k);
            let (best, most) = credit.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
            let against = if is_warm { credit[*own] } else { 0.0 };
            (*most > against + alpha * self.total[k]).then_some(best)
        };
        start.groups.iter().enumerate().map(of).collect()
    }
}
