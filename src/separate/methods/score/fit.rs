//! The fit: templates and activations of the kept frames.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Axis, Zip, s};
use rayon::prelude::*;

use super::comb::{Harmonic, Tuning, UNTUNED, comb, draw, envelope, learn_envelopes};
use super::config::Unscored;
use super::course::{Course, TIED_ITERATIONS};
use super::grid::{Grid, N_BUMPS};
use super::hits;
use super::percussion::{self, Percussion};
use super::template::{self, CommonRise, Kind, Template};
use super::tune::tune;
use super::unscored;
use crate::Result;
use crate::knowledge::score::{Class, Score};
use crate::names::RESIDUAL;
use crate::nmf::support::{SparseColumn, TemplateRows, dictionary_terms};
use crate::nmf::{NmfConfig, fit as fit_nmf};
use crate::separate::pipeline::Analysis;
use crate::watch::{Step, Watch};

/// After so many iterations it is known well enough where the harmonics of each part lie.
const TUNE_AFTER: usize = 10;

/// Templates for what the score does not know.
const N_RESIDUAL: usize = 4;

/// They start from what exceeds the score's model by this factor: what does so by less is a fault of the model.
const RESIDUAL_FACTOR: f32 = 6.0;

/// Iterations that give them their start.
const RESIDUAL_ITERATIONS: usize = 30;

/// As many, where they go on from an earlier fit: envelopes and tunings are known, and activations nearly so.
const WARM_TIED_ITERATIONS: usize = 2;

/// Iterations after them in which every template is free where it is not zero. More are worse: 20 cost a decibel.
const FREE_ITERATIONS: usize = 5;

/// Activations of an earlier fit start from at least this much of the mean.
const LEAST: f32 = 1e-3;

/// What is known of the parts before the fit.
pub(super) struct Start<'a> {
    pub(super) score: &'a Score,
    pub(super) grid: &'a Grid,
    /// Of each part, what it sounds like alone, where that is known.
    pub(super) spectra: &'a [Option<Array1<f32>>],
    pub(super) unscored: Unscored,
    /// An earlier fit.
    pub(super) previous: Option<&'a Fitted>,
}

/// What a fit found.
#[derive(Debug)]
pub(super) struct Fitted {
    /// Names of the parts of the score, and of what it lacks.
    names: Vec<String>,
    /// The templates, those of the residual last.
    pub(super) templates: Vec<Template>,
    /// Of each part, what it was said to sound like alone.
    spectra: Vec<Option<Array1<f32>>>,
    /// The envelope of each part.
    envelopes: Vec<[f32; N_BUMPS]>,
    /// Where the harmonics of each template lie.
    tunings: Vec<Tuning>,
    /// The dictionaries that the fit went through, on the scale of the recording.
    pub(super) course: Course,
    /// The frame of each row.
    frames: Vec<usize>,
    /// The activations of each kept frame.
    pub(super) columns: Vec<SparseColumn>,
}

/// Fits templates and activations to the kept frames.
pub(super) fn fit(
    start: &Start<'_>,
    templates: Vec<Template>,
    analysis: &Analysis,
    watch: &mut Watch<'_>,
) -> Result<Fitted> {
    let Start { score, grid, unscored, previous, .. } = *start;
    let mut templates = templates;
    let v = analysis.magnitude();
    let frames: Vec<_> = (0..v.nrows()).map(|row| analysis.frame_idx(row)).collect();
    // Frames are scaled to a mean of 1; masks do not depend on it.
    let mean = ((v.iter().map(|x| f64::from(*x)).sum::<f64>() / v.len() as f64) as f32).max(f32::MIN_POSITIVE);

    let n_scored = templates.len();
    let mut names: Vec<_> = score.parts.iter().map(|part| part.name.clone()).collect();
    let mut spectra = start.spectra.to_vec();
    let had_none = |before: &Fitted| !before.templates.iter().any(|t| matches!(t.kind, Kind::Unscored(_)));
    if unscored == Unscored::Residual && !previous.is_some_and(had_none) {
        templates.extend(unscored::templates(names.len(), grid.n_frames));
        names.push(RESIDUAL.to_owned());
        spectra.push(Some(v.sum_axis(Axis(0))));
    }

    let known = |k: usize| previous.and_then(|previous| previous.like(&names[templates[k].voice], &templates, k));
    let known: Vec<_> = (0..templates.len()).map(known).collect();
    let tuning = |k: usize| match (previous, known[k]) {
        (Some(previous), Some(before)) => previous.tunings[before],
        (Some(previous), None) => previous.tuning_of(&names[templates[k].voice]).unwrap_or(UNTUNED),
        (None, _) => UNTUNED,
    };
    let mut tunings: Vec<_> = (0..templates.len()).map(tuning).collect();
    let comb_of = |(template, tuning): (&Template, &Tuning)| match template.kind {
        Kind::Pitch(pitch) => comb(score.parts[template.voice].class, pitch, *tuning, grid),
        Kind::Unscored(pitch) => comb(Class::Sustained, pitch, *tuning, grid),
        _ => Vec::new(),
    };
    let mut combs: Vec<Vec<Harmonic>> = templates.iter().zip(&tunings).map(comb_of).collect();
    let envelope_of = |voice: usize| {
        let spectrum = spectra[voice].as_ref();
        let before = previous.and_then(|previous| previous.envelope_of(&names[voice], spectrum));
        let flat = [1.0f32; N_BUMPS];
        before.unwrap_or_else(|| spectrum.map_or(flat, |spectrum| envelope(spectrum, grid)))
    };
    let mut envelopes: Vec<_> = (0..names.len()).map(envelope_of).collect();
    let percussion = Percussion::new(grid);
    let mut common_rise = CommonRise::new(v, mean, |frame_idx| analysis.row_of(frame_idx));
    let mut hit = |template: &Template| {
        let heard = spectra[template.voice].as_ref().filter(|_| template.kind != Kind::Attack);
        let mut row = heard.map_or_else(|| common_rise.of(template).to_vec(), |heard| heard.to_vec());
        percussion.shape(&mut row, template.kind);
        row
    };
    let mut dictionary = Array2::zeros((templates.len(), v.ncols()));
    for (k, mut row) in dictionary.outer_iter_mut().enumerate() {
        let row = row.as_slice_mut().expect("a row of a new matrix is contiguous");
        let Template { voice: part, kind, .. } = templates[k];
        let is_as_before = |previous: &&Fitted| previous.has_heard(&names[part], spectra[part].as_ref());
        match (kind, previous.filter(is_as_before).zip(known[k])) {
            (Kind::Pitch(_) | Kind::Unscored(_), _) => draw(&combs[k], &envelopes[part], row),
            (_, Some((previous, before))) => {
                let before = previous.course.tied.template(before);
                row.iter_mut().zip(before).for_each(|(x, before)| *x = before / mean);
            }
            _ => row.copy_from_slice(&hit(&templates[k])),
        }
    }
    let mut columns: Vec<_> = frames.iter().map(|frame_idx| template::start(&templates, *frame_idx)).collect();
    if let Some(previous) = previous {
        previous.give(&known, &frames, &mut columns);
    }
    let quotients = Array2::zeros(v.raw_dim());
    let mut fit = Fit { columns, quotients, v, mean, dictionary: TemplateRows::new(dictionary) };
    fit.dictionary.set_cost(n_scored, unscored::COST);
    let looks_for_drums =
        unscored == Unscored::Residual && score.parts.iter().any(|part| part.class == Class::Percussion);
    let n_tied = if previous.is_some() { WARM_TIED_ITERATIONS } else { TIED_ITERATIONS };
    let total = Some((n_tied + FREE_ITERATIONS) as u64);
    for iteration in 0..n_tied {
        watch.at(Step::Fitting, iteration as u64, total)?;
        fit.update_activations();
        percussion::pool(&mut fit.columns, &templates, &fit.dictionary, |frame_idx| analysis.row_of(frame_idx));
        if let Some(n) = unscored::kept_after(iteration + 1, previous.is_some()) {
            fit.columns.par_iter_mut().for_each(|column| unscored::thin_out(column, n, &templates, &fit.dictionary));
        }
        let (numerators, masses) = fit.numerators();
        learn_envelopes(&mut envelopes, &templates, &combs, &numerators, &masses);
        if iteration + 1 == TUNE_AFTER {
            let attributed = &numerators * fit.dictionary.rows();
            tune(score, &templates, &mut tunings, &envelopes, &attributed, grid);
            combs = templates.iter().zip(&tunings).map(comb_of).collect();
        }
        fit.dictionary.edit(|dictionary| {
            for (k, (template, mut row)) in templates.iter().zip(dictionary.outer_iter_mut()).enumerate() {
                match (template.kind, row.as_slice_mut()) {
                    (Kind::Pitch(_) | Kind::Unscored(_), Some(row)) => draw(&combs[k], &envelopes[template.voice], row),
                    _ => update_template(row, numerators.row(k), masses[k]),
                }
            }
            percussion.constrain(&templates, dictionary);
        });
        if looks_for_drums
            && iteration + 1 == hits::LOOK_AFTER
            && fit.add_missing_drums(&mut templates, score.parts.len(), &frames, &percussion)
        {
            combs.resize_with(templates.len(), Vec::new);
            tunings.resize(templates.len(), UNTUNED);
            // What has taken in hits of these drums begins again beside them.
            fit.begin_again(&templates[..n_scored], &mut hit);
        }
    }
    if !unscored::are_needed(score, &fit.columns, &templates, &fit.dictionary) {
        fit.keep_first(n_scored);
        templates.truncate(n_scored);
        tunings.truncate(n_scored);
    }
    if unscored == Unscored::Residual {
        // What was left over by a score that lacked a part holds that part.
        match previous.filter(|previous| previous.residual().next().is_some()) {
            Some(previous) => fit.take_residual(previous, &mut templates, score.parts.len(), &frames),
            None => fit.add_residual(&mut templates, score.parts.len(), grid.n_frames)?,
        }
        tunings.resize(templates.len(), UNTUNED);
    }
    let tied = fit.dictionary.clone();
    fit.dictionary.set_cost(0, 0.0);
    let mut free = Vec::with_capacity(FREE_ITERATIONS);
    for iteration in 0..FREE_ITERATIONS {
        watch.at(Step::Fitting, (n_tied + iteration) as u64, total)?;
        free.push(fit.dictionary.clone());
        fit.update_activations();
        let (numerators, masses) = fit.numerators();
        fit.dictionary.edit(|dictionary| {
            for ((row, numerator), mass) in dictionary.outer_iter_mut().zip(numerators.outer_iter()).zip(&masses) {
                update_template(row, numerator, *mass);
            }
        });
    }
    // Back to the scale of the recording, so that other frames of it fit.
    let mut course = Course { tied, free, last: fit.dictionary };
    course.scale(mean);
    Ok(Fitted { names, templates, spectra, envelopes, tunings, course, frames, columns: fit.columns })
}

impl Fitted {
    /// Whether a part of this name was there.
    pub(super) fn has_part(&self, name: &str) -> bool {
        self.part(name).is_some()
    }

    fn part(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// Whether it was known alike what a part sounds like alone. What was learned since then goes before what was learned
    /// without it.
    fn has_heard(&self, name: &str, spectrum: Option<&Array1<f32>>) -> bool {
        self.part(name).is_some_and(|part| self.spectra[part].as_ref() == spectrum)
    }

    fn envelope_of(&self, name: &str, spectrum: Option<&Array1<f32>>) -> Option<[f32; N_BUMPS]> {
        self.part(name).filter(|_| self.has_heard(name, spectrum)).map(|part| self.envelopes[part])
    }

    /// Where the harmonics of a part lie on the whole: as those of one of its pitches.
    fn tuning_of(&self, name: &str) -> Option<Tuning> {
        let part = self.part(name)?;
        let is_pitch = |t: &&(usize, &Template)| t.1.voice == part && matches!(t.1.kind, Kind::Pitch(_));
        let middle: Vec<_> = self.templates.iter().enumerate().filter(|t| is_pitch(&t)).collect();
        middle.get(middle.len() / 2).map(|(k, _)| self.tunings[*k])
    }

    /// The template that was for the same notes: of the same part, and of the same pitch or, of drums, at the same place.
    fn like(&self, name: &str, templates: &[Template], k: usize) -> Option<usize> {
        let part = self.part(name)?;
        let Template { voice: own, kind, .. } = templates[k];
        let place = templates[..k].iter().filter(|t| t.voice == own && t.kind == kind).count();
        let mut same =
            (0..self.templates.len()).filter(|k| self.templates[*k].voice == part && self.templates[*k].kind == kind);
        same.nth(place)
    }

    /// The templates of what no note explained.
    fn residual(&self) -> impl Iterator<Item = usize> {
        (0..self.templates.len()).filter(|k| self.templates[*k].kind == Kind::Residual)
    }

    /// Whether drums were added that the score lacked.
    pub(super) fn has_missing_drums(&self) -> bool {
        let residual = self.part(RESIDUAL);
        self.templates.iter().any(|t| Some(t.voice) == residual && matches!(t.kind, Kind::Drum { .. }))
    }

    /// The activation of a template in a frame, where that was kept and it was active.
    fn activation(&self, frame_idx: usize, template: usize) -> Option<f32> {
        let column = &self.columns[self.frames.binary_search(&frame_idx).ok()?];
        let at = column.components.binary_search(&(template as u32)).ok()?;
        Some(column.activations[at])
    }

    /// Hands the activations of frames that were there before on to the templates that were.
    fn give(&self, known: &[Option<usize>], frames: &[usize], columns: &mut [SparseColumn]) {
        for (frame_idx, column) in frames.iter().zip(columns) {
            for (k, activation) in column.components.iter().zip(&mut column.activations) {
                let before = known[*k as usize].and_then(|template| self.activation(*frame_idx, template));
                // None is lost for good, so that a note can grow again.
                *activation = before.map_or(*activation, |before| before.max(LEAST));
            }
        }
    }
}

/// Activations below this much of the mean, added up over all frames, say nothing about a template.
const LEAST_MASS: f32 = 1e-9;

/// W <- W * numerator / mass, for one template. One that is active in none of the kept frames stays as it is: notes of it
/// may lie elsewhere.
fn update_template(mut row: ArrayViewMut1<'_, f32>, numerator: ArrayView1<'_, f32>, mass: f32) {
    if mass >= LEAST_MASS {
        Zip::from(&mut row).and(numerator).for_each(|x, numerator| *x *= numerator / mass);
    }
}

/// The state of the fit. Each update lowers the Kullback-Leibler divergence from V, frames x bins, to the product of
/// activations and dictionary.
struct Fit<'a> {
    /// On the scale of the recording; all else is relative to its mean.
    v: ArrayView2<'a, f32>,
    mean: f32,
    dictionary: TemplateRows,
    columns: Vec<SparseColumn>,
    /// Room for V over its model.
    quotients: Array2<f32>,
}

impl Fit<'_> {
    fn each_frame(&mut self, work: impl Fn(&mut SparseColumn, &[f32], &TemplateRows, &mut [f32]) + Sync) {
        let (dictionary, scale) = (&self.dictionary, self.mean.recip());
        let frames = self.columns.par_iter_mut().zip(self.quotients.axis_iter_mut(Axis(0)));
        frames.zip(self.v.axis_iter(Axis(0))).for_each_init(Vec::new, |scaled, ((column, mut quotient), v)| {
            if let (Some(v), Some(quotient)) = (v.as_slice(), quotient.as_slice_mut()) {
                scaled.clear();
                scaled.extend(v.iter().map(|x| x * scale));
                work(column, scaled, dictionary, quotient);
            }
        });
    }

    fn update_activations(&mut self) {
        self.each_frame(|column, v, dictionary, quotient| column.update(v, dictionary, quotient));
    }

    /// H (V / W H)^T, templates x bins, and the sum of the activations of each template.
    fn numerators(&mut self) -> (Array2<f32>, Vec<f32>) {
        self.each_frame(|column, v, dictionary, quotient| column.quotient(v, dictionary, quotient));
        dictionary_terms(&self.columns, self.quotients.view(), &self.dictionary)
    }

    /// Drops all templates but the first.
    fn keep_first(&mut self, n: usize) {
        self.dictionary.edit(|rows| *rows = rows.slice(s![..n, ..]).to_owned());
        self.columns.par_iter_mut().for_each(|column| {
            let kept = column.iter().filter(|(k, _)| *k < n).map(|(k, h)| (k as u32, h));
            let (components, activations) = kept.unzip();
            *column = SparseColumn { components, activations };
        });
    }

    /// Adds the templates that an earlier fit had for what the notes leave unexplained.
    fn take_residual(&mut self, previous: &Fitted, templates: &mut Vec<Template>, part: usize, frames: &[usize]) {
        for k in previous.residual() {
            let spectrum = &ArrayView1::from(previous.course.tied.template(k)) / self.mean;
            let own = templates.len() as u32;
            self.dictionary.edit(|rows| rows.push_row(spectrum.view()).expect("as many bins"));
            templates.push(Template { voice: part, ..previous.templates[k].clone() });
            for (column, frame_idx) in self.columns.iter_mut().zip(frames) {
                column.components.push(own);
                column.activations.push(previous.activation(*frame_idx, k).unwrap_or(LEAST).max(LEAST));
            }
        }
    }

    /// How much the recording exceeds `factor` times the model.
    fn excess(&mut self, factor: f32) -> &mut Array2<f32> {
        self.each_frame(|column, _, dictionary, product| column.product(dictionary, product));
        let mean = self.mean;
        Zip::from(&mut self.quotients).and(&self.v).for_each(|model, v| *model = (v / mean - factor * *model).max(0.0));
        &mut self.quotients
    }

    /// Adds the drums that the score lacks; returns whether there are any.
    fn add_missing_drums(
        &mut self,
        templates: &mut Vec<Template>,
        part: usize,
        frames: &[usize],
        percussion: &Percussion<'_>,
    ) -> bool {
        let (v, mean) = (self.v, self.mean);
        let excess = self.excess(1.0).view();
        let drums = hits::find(templates, excess, |row, bin| v[[row, bin]] / mean, frames, percussion);
        let mut common_rise = CommonRise::new(excess, 1.0, |frame_idx| frames.binary_search(&frame_idx).ok());
        let drums = drums.iter().flat_map(|(like, onsets)| percussion::of_hits(part, *like, percussion.grid, onsets));
        let start = |template: Template| {
            let mut row = common_rise.of(&template).to_vec();
            percussion.shape(&mut row, template.kind);
            (template, row)
        };
        let drums: Vec<_> = drums.filter(|template| !template.spans.is_empty()).map(start).collect();
        let is_missing = !drums.is_empty();
        self.dictionary.edit(|rows| {
            for (_, row) in &drums {
                rows.push_row(ArrayView1::from(row)).expect("as many bins");
            }
        });
        for (template, _) in drums {
            for (column, frame_idx) in self.columns.iter_mut().zip(frames) {
                if template.is_active(*frame_idx) {
                    column.components.push(templates.len() as u32);
                    column.activations.push(template.first_guess());
                }
            }
            templates.push(template);
        }
        is_missing
    }

    /// Gives the templates of hits, of the first ones that there are, the start `hit` and first guesses of their activations.
    fn begin_again(&mut self, templates: &[Template], mut hit: impl FnMut(&Template) -> Vec<f32>) {
        let is_hit = |k: usize| matches!(templates.get(k).map(|t| t.kind), Some(Kind::Drum { .. } | Kind::Attack));
        self.dictionary.edit(|rows| {
            for (k, template) in templates.iter().enumerate().filter(|(k, _)| is_hit(*k)) {
                rows.row_mut(k).assign(&ArrayView1::from(&hit(template)));
            }
        });
        for column in &mut self.columns {
            for (k, activation) in column.components.iter().zip(&mut column.activations) {
                if is_hit(*k as usize) {
                    *activation = templates[*k as usize].first_guess();
                }
            }
        }
    }

    /// Adds templates for what the notes leave unexplained, active everywhere.
    fn add_residual(&mut self, templates: &mut Vec<Template>, part: usize, n_frames: usize) -> Result<()> {
        let excess = self.excess(RESIDUAL_FACTOR);
        if excess.iter().all(|x| *x == 0.0) {
            return Ok(());
        }
        let n_residual = N_RESIDUAL.min(excess.nrows());
        let max_iter = RESIDUAL_ITERATIONS;
        let config = NmfConfig { n_components: n_residual, max_iter, tol: 0.0, ..NmfConfig::default() };
        let found = fit_nmf(excess.t(), &config)?;
        let first = templates.len();
        self.dictionary.edit(|rows| rows.append(Axis(0), found.dictionary.t()).expect("as many bins"));
        for k in 0..n_residual {
            let spans = std::iter::once(0..n_frames).collect();
            templates.push(Template { voice: part, kind: Kind::Residual, spans, onsets: Vec::new() });
            for (column, activation) in self.columns.iter_mut().zip(found.activations.row(k)) {
                column.components.push((first + k) as u32);
                column.activations.push(*activation);
            }
        }
        Ok(())
    }
}
