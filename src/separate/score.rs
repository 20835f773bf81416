//! With a score: every note says where an instrument sounds, and one spectral envelope per instrument, learned from the
//! recording, says how. Everything here is deterministic; there is no random start.

use std::ops::{ControlFlow, Range};

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;

use super::analysis::{Analysis, analyze};
use super::model::{Block, Model};
use super::{Example, MUSIC_WINDOW_S, Progress, Separation, Step, analysis, check_mask_exponent};
use crate::audio::Recording;
use crate::audio::resample::Resampled;
use crate::names::RESIDUAL;
use crate::nmf::{NmfConfig, fit as fit_nmf};
use crate::score::{Class, Note, Part, Score, align};
use crate::stft::{Stft, StftConfig, StftOptions};
use crate::{Error, Result, mask};

/// Notes may start this much before the score says, and sound on this much after their end.
const BEFORE_S: f64 = 0.05;
const AFTER_S: f64 = 0.15;

/// A drum sounds this long after its hit.
const DRUM_S: f64 = 0.35;

/// The noise of a hammer or a pick lasts this long.
const ATTACK_S: f64 = 0.06;

/// Harmonics of a note at the most; above, there is next to nothing.
const N_HARMONICS: usize = 60;

/// Triangular bumps that make up an envelope, evenly spaced in log frequency from [`LOWEST_HZ`] to half the sample rate.
const N_BUMPS: usize = 32;
const LOWEST_HZ: f64 = 60.0;

/// Inharmonicity B of struck strings: that of a grand piano in the octaves below middle C, to within its order.
const STIFFNESS: f64 = 1e-4;

/// Where harmonics may lie at first, in semitones around their nominal place: instruments are out of tune by less.
const UNTUNED: Tuning = Tuning { center: 0.0, half_width: 0.3 };

/// After so many iterations it is known well enough where the harmonics of each part lie.
const TUNE_AFTER: usize = 10;

/// A drum's activations start from this much less per frame after its hit, as a factor's logarithm. What the fit makes of
/// them is its own business; that they start as a decay keeps a cymbal from taking what sounds on.
const DRUM_DECAY: f64 = 0.3;

/// Templates for what the score does not know.
const N_RESIDUAL: usize = 4;

/// They start from what exceeds the score's model by this factor: what does so by less is a fault of the model.
const RESIDUAL_FACTOR: f32 = 6.0;

/// Iterations that give them their start.
const RESIDUAL_ITERATIONS: usize = 30;

/// Half of the width of a Hann window's main lobe, in bins.
const LOBE_BINS: f64 = 2.0;

/// Iterations in which a note's template is a comb under the envelope of its instrument.
const TIED_ITERATIONS: usize = 30;

/// Iterations after them in which every template is free where it is not zero. More are worse: 20 cost a decibel.
const FREE_ITERATIONS: usize = 5;

/// No model is smaller than this share of the mean magnitude, so that no quotient is 0/0.
const EPSILON: f32 = 1e-9;

/// What the parts of a recording play, and how to find them.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreConfig {
    /// The score, in the time of the recording unless `timing` says otherwise.
    pub score: Score,
    /// Whether the score's times are those of the recording. Default: they are.
    pub timing: Timing,
    /// What becomes of sound that no note explains. Default: a stem `residual`.
    pub unscored: Unscored,
    /// Sizes of the transform. Default: the power of two nearest to 93 ms, and a hop of a quarter of it.
    pub stft: StftOptions,
    /// Exponent of the masks, above 0. Default 1.5.
    pub mask_exponent: f32,
    /// Frames that the templates are learned from at the most, at least 128; of a longer recording, runs of frames are
    /// spread evenly over its length. Default 20 000: 7.7 minutes at 44.1 kHz.
    pub max_frames: usize,
}

/// Whether a score and a recording keep the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timing {
    /// The recording plays each note when the score says.
    #[default]
    Exact,
    /// The recording plays the same notes in its own tempo: [`align::align`] finds when.
    Aligned,
}

/// What becomes of sound that no note explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unscored {
    /// It makes a stem of its own, `residual`.
    #[default]
    Residual,
    /// It is shared out among the parts.
    Shared,
}

impl ScoreConfig {
    /// The defaults, for a score.
    pub fn new(score: Score) -> Self {
        Self {
            score,
            timing: Timing::default(),
            unscored: Unscored::default(),
            stft: StftOptions::default(),
            mask_exponent: 1.5,
            max_frames: analysis::MAX_FRAMES,
        }
    }
}

/// [`by_score`], with recordings of some parts alone, at any sample rate: the envelopes and drums of the parts of these
/// names start from what is heard there, which helps where a part is never heard alone in the mixture.
///
/// # Errors
/// Those of [`by_score`]; [`Error::Example`] for an example that is silent or shorter than one window, and
/// [`Error::UnknownStem`] for one whose name no part of the score has.
pub fn by_score_and_examples(
    recording: &dyn Recording,
    config: &ScoreConfig,
    examples: &[Example<'_>],
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
    let stft = Stft::new(config.stft.resolve(recording.sample_rate(), MUSIC_WINDOW_S))?;
    let mut spectra = vec![None; config.score.parts.len()];
    for example in examples {
        let Some(part) = config.score.parts.iter().position(|part| part.name == example.name) else {
            let names = config.score.parts.iter().map(|part| part.name.clone()).collect();
            return Err(Error::UnknownStem { name: example.name.into(), names });
        };
        let solo = Resampled::new(example.recording, recording.sample_rate());
        let analysis = analyze(&solo, &stft, config.max_frames, progress).map_err(|error| example.error(error))?;
        let heard = analysis.magnitude.sum_axis(Axis(0));
        let sum = spectra[part].get_or_insert_with(|| Array1::zeros(heard.len()));
        *sum += &heard;
    }
    separate(recording, config, &spectra, progress)
}

/// Takes a recording apart by its score: one source for each part, and `residual`.
///
/// Each pitch of an instrument has one template, a comb of harmonics under a spectral envelope that all its pitches share
/// and that is learned from the recording, as is the tuning; struck strings have one more for their attacks, and each drum has one, which
/// starts from what its hits have in common. A template is active only around its notes. Masks are made of what the
/// templates explain.
///
/// # Errors
/// [`Error::EmptyScore`] for a score without notes, [`Error::ScoreMismatch`] where none of them lies in the recording,
/// [`Error::Silent`], [`Error::TooShort`], [`Error::Setting`] and [`Error::Cancelled`]. What may be wrong about the score
/// without being an error is told by [`Separation::warnings`].
///
/// # Cost
/// Time O(`n_frames` `n_bins` x notes that sound at once) per iteration, 35 iterations. Memory: three matrices of
/// `n_frames` (or `max_frames`) x `n_bins`.
///
/// # References
/// S. Ewert and M. Mueller, "Using score-informed constraints for NMF-based source separation", ICASSP 2012, for notes as
/// constraints; R. Hennequin, B. David and R. Badeau, "Score informed audio source separation using a parametric model of
/// non-negative spectrogram", ICASSP 2011, for combs of window lobes.
pub fn by_score(
    recording: &dyn Recording,
    config: &ScoreConfig,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
    separate(recording, config, &vec![None; config.score.parts.len()], progress)
}

/// `spectra`: of each part, what it sounds like alone, where that is known.
fn separate(
    recording: &dyn Recording,
    config: &ScoreConfig,
    spectra: &[Option<Array1<f32>>],
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Separation> {
    check_mask_exponent(config.mask_exponent)?;
    if config.score.n_notes() == 0 {
        return Err(Error::EmptyScore);
    }
    let stft = Stft::new(config.stft.resolve(recording.sample_rate(), MUSIC_WINDOW_S))?;
    let mut warnings: Vec<String> = config.score.warnings.iter().map(ToString::to_string).collect();
    let score = match config.timing {
        Timing::Exact => config.score.clone(),
        Timing::Aligned => align::align(&config.score, recording)?,
    };
    let analysis = analyze(recording, &stft, config.max_frames, progress)?;
    let grid = Grid {
        sample_rate: recording.sample_rate(),
        transform: *stft.config(),
        n_frames: analysis.n_frames,
        duration_s: analysis.n_samples as f64 / f64::from(recording.sample_rate()),
    };
    check_times(&score, &grid, &mut warnings)?;
    let mut templates = templates(&score, &grid);
    check_sound(&score, &templates, &analysis, &grid, &mut warnings);
    let (n_samples, is_complete) = (analysis.n_samples, analysis.is_complete());
    let (dictionaries, rows) = fit(&score, &mut templates, analysis, &grid, spectra, config.unscored, progress)?;
    let mut names: Vec<_> = score.parts.iter().map(|part| part.name.clone()).collect();
    if config.unscored == Unscored::Residual {
        names.push(RESIDUAL.to_owned());
    }
    let model = ScoreModel {
        n_parts: names.len(),
        templates,
        sums: dictionaries.iter().map(sums).collect(),
        dictionaries,
        rows: is_complete.then_some(rows),
        unscored: config.unscored,
        mask_exponent: config.mask_exponent,
    };
    Ok(Separation { warnings, ..Separation::new(stft, model, names, n_samples) })
}

/// The frames of a recording.
struct Grid {
    sample_rate: u32,
    transform: StftConfig,
    n_frames: usize,
    duration_s: f64,
}

impl Grid {
    /// The frame nearest to a time, within the recording.
    fn frame(&self, time_s: f64) -> usize {
        let frame = (time_s * f64::from(self.sample_rate) / self.transform.hop_length as f64).round();
        (frame.max(0.0) as usize).min(self.n_frames)
    }

    /// The bump below a frequency, and how far the frequency lies on the way to the next.
    fn place(&self, hz: f64) -> (usize, f32) {
        let octaves = (f64::from(self.sample_rate) / 2.0 / LOWEST_HZ).log2().max(1.0);
        let place = ((hz / LOWEST_HZ).max(1.0).log2() / octaves).clamp(0.0, 1.0) * (N_BUMPS - 1) as f64;
        let bump = (place as usize).min(N_BUMPS - 2);
        (bump, (place - bump as f64) as f32)
    }

    /// The frames from one time to another, both included.
    fn frames(&self, start_s: f64, end_s: f64) -> Range<usize> {
        self.frame(start_s)..(self.frame(end_s) + 1).min(self.n_frames)
    }
}

// ---- does the score belong to the recording? -----------------------------------------------------------------------

/// Refuses a score that lies outside the recording, and warns of one that lies partly outside.
fn check_times(score: &Score, grid: &Grid, warnings: &mut Vec<String>) -> Result<()> {
    /// Longer silences before the first note and after the last are odd, in seconds.
    const TAIL_S: f64 = 10.0;
    let Some((start_s, end_s)) = score.span_s() else { return Err(Error::EmptyScore) };
    let duration_s = grid.duration_s;
    let notes = || score.parts.iter().flat_map(|part| &part.notes);
    let is_inside = |note: &Note| note.onset_s < duration_s && note.offset_s >= 0.0;
    let n_outside = notes().filter(|note| !is_inside(note)).count();
    if n_outside == score.n_notes() {
        let reason = format!(
            "its notes lie at {start_s:.1} to {end_s:.1} s, outside of the recording, which lasts {duration_s:.1} s"
        );
        return Err(Error::ScoreMismatch { reason });
    }
    if n_outside > 0 {
        warnings.push(format!(
            "{n_outside} of {} notes of the score lie outside of the recording, which lasts {duration_s:.1} s; is it of \
             the same performance? `--align` moves a score to a recording",
            score.n_notes()
        ));
    } else if end_s > duration_s + 1.0 {
        warnings.push(format!(
            "the score ends at {end_s:.1} s, the recording at {duration_s:.1} s; `--align` moves a score to a recording"
        ));
    }
    if duration_s - end_s > TAIL_S.max(0.25 * duration_s) {
        warnings.push(format!(
            "the recording lasts {duration_s:.1} s, and the score ends at {end_s:.1} s: what follows goes to no part"
        ));
    }
    for part in &score.parts {
        if !part.notes.iter().any(is_inside) {
            warnings.push(format!("no note of `{}` lies in the recording: its stem is silent", part.name));
        }
    }
    Ok(())
}

/// Warns where little is heard under the notes, or something else than they say.
fn check_sound(score: &Score, templates: &[Template], analysis: &Analysis, grid: &Grid, warnings: &mut Vec<String>) {
    /// Less of the energy under the notes than this is odd.
    const LEAST_SHARE: f64 = 0.5;
    let mut heard = (0.0, 0.0);
    for (row, frame) in analysis.magnitude.outer_iter().enumerate() {
        let energy: f64 = frame.iter().map(|x| f64::from(*x).powi(2)).sum();
        let frame_idx = analysis.frame_idx(row);
        heard.1 += energy;
        if templates.iter().any(|template| template.is_active(frame_idx)) {
            heard.0 += energy;
        }
    }
    if heard.0 < LEAST_SHARE * heard.1 {
        warnings.push(format!(
            "only {:.0} % of the sound lies under the notes of the score; `--score-offset`, `--score-stretch` and \
             `--align` move it",
            100.0 * heard.0 / heard.1
        ));
        return;
    }
    let frame_s = |row| grid.transform.frame_s(analysis.frame_idx(row), grid.sample_rate);
    let chroma = align::Chroma::new(&grid.transform, grid.sample_rate);
    if let Some(better) = align::better_transposition(score, &chroma, analysis.magnitude.view(), frame_s) {
        warnings.push(format!(
            "the notes of the score fit the recording no better than others do, best {better} semitones higher: is it of \
             the same piece, in the same key, and in time? `--align` moves a score to a recording"
        ));
    }
}

// ---- templates ---------------------------------------------------------------------------------------------------

/// One column of the dictionary, and where it may be active.
#[derive(Debug, Clone)]
struct Template {
    part: usize,
    kind: Kind,
    /// Frames of the recording, apart and in order.
    spans: Vec<Range<usize>>,
    /// Frames at which its notes start, in order.
    onsets: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A pitch of an instrument.
    Pitch(u8),
    /// The attacks of a struck instrument.
    Attack,
    /// A drum.
    Drum,
    /// What no note explains.
    Residual,
}

impl Template {
    fn new(part: usize, kind: Kind, grid: &Grid, notes: &[Note], span_s: impl Fn(&Note) -> (f64, f64)) -> Self {
        let mut spans: Vec<_> = notes
            .iter()
            .filter(|note| note.onset_s < grid.duration_s && note.offset_s >= 0.0)
            .map(|note| {
                let (start_s, end_s) = span_s(note);
                grid.frames(start_s, end_s)
            })
            .filter(|span| !span.is_empty())
            .collect();
        spans.sort_by_key(|span| (span.start, span.end));
        spans.dedup_by(|next, last| {
            let joins = next.start <= last.end;
            if joins {
                last.end = last.end.max(next.end);
            }
            joins
        });
        let onsets = notes.iter().map(|note| grid.frame(note.onset_s)).filter(|frame| *frame < grid.n_frames).collect();
        Self { part, kind, spans, onsets }
    }

    fn is_active(&self, frame_idx: usize) -> bool {
        let next = self.spans.partition_point(|span| span.start <= frame_idx);
        next.checked_sub(1).and_then(|i| self.spans.get(i)).is_some_and(|span| frame_idx < span.end)
    }

    /// What an activation starts from: 1, and for a drum less and less after the hit.
    fn first_guess(&self, frame_idx: usize) -> f32 {
        if self.kind != Kind::Drum {
            return 1.0;
        }
        let next = self.onsets.partition_point(|onset| *onset <= frame_idx + 1);
        let onset = next.checked_sub(1).and_then(|i| self.onsets.get(i)).copied().unwrap_or(frame_idx);
        (-(frame_idx.saturating_sub(onset) as f64) * DRUM_DECAY).exp() as f32
    }
}

/// The templates of all parts; none is without a frame.
fn templates(score: &Score, grid: &Grid) -> Vec<Template> {
    let mut templates = Vec::new();
    for (part_idx, part) in score.parts.iter().enumerate() {
        let mut pitches: Vec<_> = part.notes.iter().map(|note| note.pitch).collect();
        pitches.sort_unstable();
        pitches.dedup();
        for pitch in pitches {
            let notes: Vec<_> = part.notes.iter().filter(|note| note.pitch == pitch).copied().collect();
            templates.push(match part.class {
                Class::Percussion => Template::new(part_idx, Kind::Drum, grid, &notes, |note| {
                    (note.onset_s - BEFORE_S, note.onset_s + DRUM_S)
                }),
                Class::Sustained | Class::Struck => Template::new(part_idx, Kind::Pitch(pitch), grid, &notes, |note| {
                    (note.onset_s - BEFORE_S, note.offset_s + AFTER_S)
                }),
            });
        }
        if part.class == Class::Struck {
            templates.push(Template::new(part_idx, Kind::Attack, grid, &part.notes, |note| {
                (note.onset_s - BEFORE_S, note.onset_s + ATTACK_S)
            }));
        }
    }
    templates.retain(|template| !template.spans.is_empty());
    templates
}

/// One harmonic of a template: a lobe, and its place in the envelope.
struct Harmonic {
    first_bin: usize,
    lobe: Vec<f32>,
    /// Sum of the lobe.
    area: f32,
    /// The bump below it, and the share of the one above.
    bump: usize,
    share: f32,
}

/// Main lobe of a Hann window's magnitude at a distance in bins, 1 at its center.
fn hann_lobe(distance: f64) -> f64 {
    let x = distance.abs();
    if x >= LOBE_BINS {
        0.0
    } else if x < 1e-9 {
        1.0
    } else if (x - 1.0).abs() < 1e-9 {
        0.5
    } else {
        let phase = std::f64::consts::PI * x;
        phase.sin() / (phase * (1.0 - x * x))
    }
}

/// Where the harmonics of a pitch lie, in semitones: each covers a range around a center beside the nominal pitch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tuning {
    center: f64,
    half_width: f64,
}

/// The comb of a pitch: lobes at f0 h sqrt(1 + B h^2) for h = 1, 2, ....
fn comb(part: &Part, pitch: u8, tuning: Tuning, grid: &Grid) -> Vec<Harmonic> {
    let hz_per_bin = grid.transform.bin_hz(1, grid.sample_rate);
    let nyquist_hz = f64::from(grid.sample_rate) / 2.0;
    let last_bin = grid.transform.n_bins() - 1;
    let stiffness = if part.class == Class::Struck { STIFFNESS } else { 0.0 };
    let fundamental_hz = Note::pitch_hz(pitch);
    let bins_of = |hz: f64, semitones: f64| hz * (semitones / 12.0).exp2() / hz_per_bin;
    let mut harmonics = Vec::new();
    for number in 1..=N_HARMONICS {
        let number = number as f64;
        let hz = fundamental_hz * number * (1.0 + stiffness * number * number).sqrt();
        let low = bins_of(hz, tuning.center - tuning.half_width);
        let high = bins_of(hz, tuning.center + tuning.half_width);
        let first_bin = (low - LOBE_BINS).ceil().max(0.0) as usize;
        if hz >= nyquist_hz || first_bin > last_bin {
            break;
        }
        let end_bin = ((high + LOBE_BINS).floor() as usize).min(last_bin);
        let lobe: Vec<_> = (first_bin..=end_bin)
            .map(|bin| hann_lobe((low - bin as f64).max(bin as f64 - high).max(0.0)) as f32)
            .collect();
        let (bump, share) = grid.place(hz);
        harmonics.push(Harmonic { first_bin, area: lobe.iter().sum(), lobe, bump, share });
    }
    harmonics
}

/// Finds where the harmonics of each part lie, and narrows its combs to there: one width for all of its pitches, and
/// centers that differ by little.
///
/// It is the maximization step of expectation-maximization, over a grid: `attributed`, templates x bins, is what the
/// templates explain by now, and of all combs the most likely one, with whatever gain, has the largest sum over f of
/// `E[f] ln(W[f] / sum(W))`. A pitch of which nothing was heard is tuned as the others are, and a part of which nothing
/// was heard not at all.
fn tune(
    score: &Score,
    templates: &[Template],
    combs: &mut [Vec<Harmonic>],
    envelopes: &[[f32; N_BUMPS]],
    attributed: &Array2<f32>,
    grid: &Grid,
) {
    /// Half widths that are tried, in semitones: vibrato, and a voice or a section that is not of one mind.
    const HALF_WIDTHS: [f64; 3] = [0.1, 0.15, 0.2];
    /// Centers that are tried: this far from the nominal place on both sides, in steps of [`STEP`] semitones.
    const N_STEPS: i32 = 7;
    const STEP: f64 = 0.05;
    /// Pitches of one instrument differ by this much in tuning, in semitones.
    const SPREAD: f64 = 0.1;
    /// What lies between harmonics counts as this share of the mean, so that noise rules nothing out.
    const FLOOR: f64 = 1e-2;
    let candidates: Vec<_> = HALF_WIDTHS
        .into_iter()
        .flat_map(|half_width| (-N_STEPS..=N_STEPS).map(move |i| Tuning { center: f64::from(i) * STEP, half_width }))
        .collect();
    let likelihoods: Vec<Vec<f64>> = templates
        .par_iter()
        .enumerate()
        .map(|(k, t)| {
            let Kind::Pitch(pitch) = t.kind else { return vec![0.0; candidates.len()] };
            let explained = template(attributed, k);
            let mut drawn = vec![0.0; explained.len()];
            let likelihood = |tuning: &Tuning| {
                draw(&comb(&score.parts[t.part], pitch, *tuning, grid), &envelopes[t.part], &mut drawn);
                let sum = drawn.iter().map(|x| f64::from(*x)).sum::<f64>().max(f64::MIN_POSITIVE);
                let floor = FLOOR * sum / drawn.len() as f64;
                let log = |(e, w): (&f32, &f32)| f64::from(*e) * (f64::from(*w).max(floor) / sum).ln();
                explained.iter().zip(&drawn).map(log).sum()
            };
            candidates.iter().map(likelihood).collect()
        })
        .collect();
    for (part_idx, part) in score.parts.iter().enumerate() {
        let pitches = || templates.iter().enumerate().filter(|(_, template)| template.part == part_idx);
        let is_heard = |k: usize| template(attributed, k).iter().any(|x| *x > 0.0);
        if !pitches().any(|(k, _)| is_heard(k)) {
            continue;
        }
        let together = |c: usize| pitches().map(|(k, _)| likelihoods[k][c]).sum::<f64>();
        let totals: Vec<_> = (0..candidates.len()).map(together).collect();
        let best = (0..candidates.len()).max_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0);
        let common = candidates[best];
        let is_near = |c: &usize| {
            let Tuning { center, half_width } = candidates[*c];
            half_width == common.half_width && (center - common.center).abs() < SPREAD + STEP / 2.0
        };
        for (k, t) in pitches() {
            let Kind::Pitch(pitch) = t.kind else { continue };
            let near = (0..candidates.len()).filter(|c| is_near(c) && is_heard(k));
            let own = near.max_by(|a, b| likelihoods[k][*a].total_cmp(&likelihoods[k][*b])).unwrap_or(best);
            combs[k] = comb(part, pitch, candidates[own], grid);
        }
    }
}

/// The envelope of a spectrum: its mean under each bump, on a scale of its own.
fn envelope(spectrum: &Array1<f32>, grid: &Grid) -> [f32; N_BUMPS] {
    let mut sums = [(0.0f32, 0.0f32); N_BUMPS];
    for (bin_idx, x) in spectrum.iter().enumerate() {
        let (bump, share) = grid.place(grid.transform.bin_hz(bin_idx, grid.sample_rate));
        for (at, weight) in [(bump, 1.0 - share), (bump + 1, share)] {
            sums[at].0 += weight * x;
            sums[at].1 += weight;
        }
    }
    let peak = sums.iter().map(|(sum, weight)| sum / weight.max(f32::MIN_POSITIVE)).fold(f32::MIN_POSITIVE, f32::max);
    // Nothing is ruled out by an example: what it lacks starts 60 dB below its peak.
    sums.map(|(sum, weight)| if weight > 0.0 { (sum / weight / peak).max(1e-3) } else { 1e-3 })
}

/// Writes the comb under an envelope.
fn draw(comb: &[Harmonic], envelope: &[f32; N_BUMPS], template: &mut [f32]) {
    template.fill(0.0);
    for Harmonic { first_bin, lobe, bump, share, .. } in comb {
        let gain = envelope[*bump] * (1.0 - share) + envelope[*bump + 1] * share;
        for (x, lobe) in template[*first_bin..].iter_mut().zip(lobe) {
            *x += gain * lobe;
        }
    }
}

/// The start of a template from what the onsets have in common: in each bin, the rise from just before them that most of
/// them exceed.
fn common_rise(template: &Template, v: ArrayView2<'_, f32>, row_of: impl Fn(usize) -> Option<usize>) -> Vec<f32> {
    /// Frames after an onset in which the sound is fullest, and before it, where it has not begun.
    const FULL: usize = 2;
    const BEFORE: usize = 3;
    const QUANTILE: f64 = 0.2;
    /// No bin is ruled out.
    const LEAST: f32 = 1e-3;
    let rows: Vec<_> = template
        .onsets
        .iter()
        .filter_map(|onset| Some((row_of(onset.saturating_sub(BEFORE))?, row_of(*onset)?)))
        .collect();
    let mut rises = Vec::with_capacity(rows.len());
    let bins = 0..v.ncols();
    let rise = bins.map(|bin| {
        rises.clear();
        rises.extend(rows.iter().map(|(before, onset)| {
            let full = v.slice(s![*onset..(*onset + FULL + 1).min(v.nrows()), bin]);
            (full.iter().fold(0.0f32, |most, x| most.max(*x)) - v[[*before, bin]]).max(0.0)
        }));
        rises.sort_by(f32::total_cmp);
        let chosen = (rises.len().saturating_sub(1) as f64 * QUANTILE) as usize;
        rises.get(chosen).copied().unwrap_or(0.0) + LEAST
    });
    rise.collect()
}

// ---- fit ---------------------------------------------------------------------------------------------------------

/// The templates that may be active in one frame, and how much each of them is.
#[derive(Debug, Clone)]
struct Row {
    active: Vec<u32>,
    activations: Vec<f32>,
}

impl Row {
    /// The start in a frame.
    fn new(templates: &[Template], frame_idx: usize) -> Self {
        let mut row = Self { active: Vec::new(), activations: Vec::new() };
        for (k, template) in templates.iter().enumerate() {
            if template.is_active(frame_idx) {
                row.active.push(k as u32);
                row.activations.push(template.first_guess(frame_idx));
            }
        }
        row
    }

    /// V / (W h), with a `dictionary` of templates x bins.
    fn quotient(&self, v: &[f32], dictionary: &Array2<f32>, quotient: &mut [f32]) {
        self.product(dictionary, quotient);
        for (x, v) in quotient.iter_mut().zip(v) {
            *x = v / x.max(EPSILON);
        }
    }

    /// W h.
    fn product(&self, dictionary: &Array2<f32>, product: &mut [f32]) {
        product.fill(0.0);
        for (k, activation) in self.active.iter().zip(&self.activations) {
            add(product, template(dictionary, *k as usize), *activation);
        }
    }

    /// h <- h * W^T (V / W h) / sum of W.
    fn update(&mut self, v: &[f32], dictionary: &Array2<f32>, sums: &[f32], quotient: &mut [f32]) {
        self.quotient(v, dictionary, quotient);
        for (k, activation) in self.active.iter().zip(&mut self.activations) {
            let k = *k as usize;
            *activation *= dot(quotient, template(dictionary, k)) / sums[k].max(EPSILON);
        }
    }
}

/// A row of the dictionary.
fn template(dictionary: &Array2<f32>, k: usize) -> &[f32] {
    let n_bins = dictionary.ncols();
    dictionary.as_slice().map_or(&[], |all| &all[k * n_bins..(k + 1) * n_bins])
}

/// sum += factor * x.
fn add(sum: &mut [f32], x: &[f32], factor: f32) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += factor * x;
    }
}

/// Scalar product, by a fixed number of partial sums.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn sums(dictionary: &Array2<f32>) -> Vec<f32> {
    dictionary.outer_iter().map(|row| row.iter().map(|x| f64::from(*x)).sum::<f64>() as f32).collect()
}

/// Fits templates and activations to the kept frames; gives the dictionaries, templates x bins, at the end of the tied
/// iterations and after each free one, and the activations of each kept frame.
fn fit(
    score: &Score,
    templates: &mut Vec<Template>,
    analysis: Analysis,
    grid: &Grid,
    spectra: &[Option<Array1<f32>>],
    unscored: Unscored,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Vec<Array2<f32>>, Vec<Row>)> {
    let frames: Vec<_> = (0..analysis.magnitude.nrows()).map(|row| analysis.frame_idx(row)).collect();
    // Frames are scaled to a mean of 1; masks do not depend on it.
    let mut v = analysis.magnitude;
    let mean = v.iter().map(|x| f64::from(*x)).sum::<f64>() / v.len() as f64;
    v.mapv_inplace(|x| x / mean as f32);
    let row_of = |frame_idx| frames.binary_search(&frame_idx).ok();

    let mut combs: Vec<Vec<Harmonic>> = templates
        .iter()
        .map(|template| match template.kind {
            Kind::Pitch(pitch) => comb(&score.parts[template.part], pitch, UNTUNED, grid),
            _ => Vec::new(),
        })
        .collect();
    let flat = [1.0f32; N_BUMPS];
    let mut envelopes: Vec<_> =
        spectra.iter().map(|spectrum| spectrum.as_ref().map_or(flat, |spectrum| envelope(spectrum, grid))).collect();
    let mut dictionary = Array2::zeros((templates.len(), v.ncols()));
    for ((template, comb), mut row) in templates.iter().zip(&combs).zip(dictionary.outer_iter_mut()) {
        let row = row.as_slice_mut().expect("a row of a new matrix is contiguous");
        match template.kind {
            Kind::Pitch(_) => draw(comb, &envelopes[template.part], row),
            Kind::Drum if spectra[template.part].is_some() => {
                row.iter_mut().zip(spectra[template.part].iter().flatten()).for_each(|(x, heard)| *x = *heard);
            }
            _ => row.copy_from_slice(&common_rise(template, v.view(), row_of)),
        }
    }
    let mut fit = Fit {
        rows: frames.iter().map(|frame_idx| Row::new(templates, *frame_idx)).collect(),
        quotients: Array2::zeros(v.raw_dim()),
        v: v.view(),
        dictionary,
    };
    let mut tell = |done: usize| {
        let (done, total) = (done as u64, Some((TIED_ITERATIONS + FREE_ITERATIONS) as u64));
        match progress(Progress { step: Step::Fitting, done, total, divergence: None }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    };
    for iteration in 0..TIED_ITERATIONS {
        tell(iteration)?;
        fit.update_activations();
        let (numerators, masses) = fit.numerators();
        learn_envelopes(&mut envelopes, templates, &combs, &numerators, &masses);
        if iteration + 1 == TUNE_AFTER {
            tune(score, templates, &mut combs, &envelopes, &(&numerators * &fit.dictionary), grid);
        }
        for (k, template) in templates.iter().enumerate() {
            match template.kind {
                Kind::Pitch(_) => {
                    if let Some(row) = fit.dictionary.row_mut(k).as_slice_mut() {
                        draw(&combs[k], &envelopes[template.part], row);
                    }
                }
                _ => fit.update_template(k, &numerators, masses[k]),
            }
        }
    }
    if unscored == Unscored::Residual {
        fit.add_residual(templates, score.parts.len(), grid.n_frames)?;
    }
    let mut dictionaries = vec![fit.dictionary.clone()];
    for iteration in 0..FREE_ITERATIONS {
        tell(TIED_ITERATIONS + iteration)?;
        fit.update_activations();
        let (numerators, masses) = fit.numerators();
        for (k, mass) in masses.iter().enumerate() {
            fit.update_template(k, &numerators, *mass);
        }
        dictionaries.push(fit.dictionary.clone());
    }
    // Back to the scale of the recording, so that other frames of it fit.
    dictionaries.iter_mut().for_each(|dictionary| *dictionary *= mean as f32);
    Ok((dictionaries, fit.rows))
}

/// The state of the fit. Each update lowers the Kullback-Leibler divergence from V, frames x bins, to the product of
/// activations and dictionary.
struct Fit<'a> {
    v: ArrayView2<'a, f32>,
    /// Templates x bins.
    dictionary: Array2<f32>,
    rows: Vec<Row>,
    /// Room for V over its model.
    quotients: Array2<f32>,
}

impl Fit<'_> {
    fn each_row(&mut self, work: impl Fn(&mut Row, &[f32], &Array2<f32>, &mut [f32]) + Sync) {
        let dictionary = &self.dictionary;
        let rows = self.rows.par_iter_mut().zip(self.quotients.axis_iter_mut(Axis(0)));
        rows.zip(self.v.axis_iter(Axis(0))).for_each(|((row, mut quotient), v)| {
            if let (Some(v), Some(quotient)) = (v.as_slice(), quotient.as_slice_mut()) {
                work(row, v, dictionary, quotient);
            }
        });
    }

    fn update_activations(&mut self) {
        let sums = sums(&self.dictionary);
        self.each_row(|row, v, dictionary, quotient| row.update(v, dictionary, &sums, quotient));
    }

    /// H (V / W H)^T, templates x bins, and the sum of the activations of each template. Templates in parallel, frames in
    /// order.
    fn numerators(&mut self) -> (Array2<f32>, Vec<f32>) {
        self.each_row(|row, v, dictionary, quotient| row.quotient(v, dictionary, quotient));
        let mut places: Vec<Vec<(usize, f32)>> = vec![Vec::new(); self.dictionary.nrows()];
        for (frame, row) in self.rows.iter().enumerate() {
            for (k, activation) in row.active.iter().zip(&row.activations) {
                places[*k as usize].push((frame, *activation));
            }
        }
        let mut numerators = Array2::zeros(self.dictionary.raw_dim());
        numerators.axis_iter_mut(Axis(0)).into_par_iter().zip(&places).for_each(|(mut numerator, places)| {
            let Some(numerator) = numerator.as_slice_mut() else { return };
            for (frame, activation) in places {
                if let Some(quotient) = self.quotients.row(*frame).to_slice() {
                    add(numerator, quotient, *activation);
                }
            }
        });
        let mass = |places: &Vec<(usize, f32)>| places.iter().map(|(_, x)| f64::from(*x)).sum::<f64>() as f32;
        (numerators, places.iter().map(mass).collect())
    }

    /// One that is active in none of the kept frames stays as it is: notes of it may lie elsewhere.
    fn update_template(&mut self, k: usize, numerators: &Array2<f32>, mass: f32) {
        if mass < EPSILON {
            return;
        }
        for (x, numerator) in self.dictionary.row_mut(k).iter_mut().zip(numerators.row(k)) {
            *x *= numerator / mass;
        }
    }

    /// Adds templates for what the notes leave unexplained, active everywhere.
    fn add_residual(&mut self, templates: &mut Vec<Template>, part: usize, n_frames: usize) -> Result<()> {
        self.each_row(|row, _, dictionary, product| row.product(dictionary, product));
        let excess = &mut self.quotients;
        Zip::from(&mut *excess).and(&self.v).for_each(|model, v| *model = (v - RESIDUAL_FACTOR * *model).max(0.0));
        if excess.iter().all(|x| *x == 0.0) {
            return Ok(());
        }
        let n_residual = N_RESIDUAL.min(excess.nrows());
        let max_iter = RESIDUAL_ITERATIONS;
        let config = NmfConfig { n_components: n_residual, max_iter, tol: 0.0, ..NmfConfig::default() };
        let found = fit_nmf(excess.t(), &config)?;
        let first = templates.len();
        self.dictionary.append(Axis(0), found.dictionary.t()).expect("as many bins");
        for k in 0..n_residual {
            let spans = std::iter::once(0..n_frames).collect();
            templates.push(Template { part, kind: Kind::Residual, spans, onsets: Vec::new() });
            for (row, activation) in self.rows.iter_mut().zip(found.activations.row(k)) {
                row.active.push((first + k) as u32);
                row.activations.push(*activation);
            }
        }
        Ok(())
    }
}

/// a <- a * A^T N / A^T M, over all pitches of an instrument, with N the numerators of its templates and M their masses.
fn learn_envelopes(
    envelopes: &mut [[f32; N_BUMPS]],
    templates: &[Template],
    combs: &[Vec<Harmonic>],
    numerators: &Array2<f32>,
    masses: &[f32],
) {
    let mut fractions = vec![[(0.0f64, 0.0f64); N_BUMPS]; envelopes.len()];
    for (k, (t, comb)) in templates.iter().zip(combs).enumerate() {
        let numerator = template(numerators, k);
        for Harmonic { first_bin, lobe, area, bump, share } in comb {
            let above = f64::from(dot(lobe, &numerator[*first_bin..*first_bin + lobe.len()]));
            let below = f64::from(*area) * f64::from(masses[k]);
            for (bump, share) in [(*bump, 1.0 - f64::from(*share)), (*bump + 1, f64::from(*share))] {
                let fraction = &mut fractions[t.part][bump];
                fraction.0 += share * above;
                fraction.1 += share * below;
            }
        }
    }
    for (a, (above, below)) in envelopes.iter_mut().flatten().zip(fractions.iter().flatten()) {
        if *below > 0.0 {
            *a *= (above / below) as f32;
        }
    }
}

// ---- masks -------------------------------------------------------------------------------------------------------

/// What the fit found: makes the masks of any frames.
#[derive(Debug)]
struct ScoreModel {
    templates: Vec<Template>,
    /// Templates x bins, at the end of the tied iterations and after each free one.
    dictionaries: Vec<Array2<f32>>,
    /// The sum of each template, of each dictionary.
    sums: Vec<Vec<f32>>,
    /// The activations of all frames; `None`: found block by block.
    rows: Option<Vec<Row>>,
    n_parts: usize,
    unscored: Unscored,
    mask_exponent: f32,
}

impl ScoreModel {
    /// Activations of a frame that the fit did not keep: with the tied templates as often as the fit had such, then once
    /// with each state of the free ones, since few steps leave activations short of what the last templates alone would
    /// make of them.
    fn solve(&self, frame_idx: usize, v: &[f32]) -> Row {
        let mut row = Row::new(&self.templates, frame_idx);
        let mut quotient = vec![0.0; v.len()];
        for (i, (dictionary, sums)) in self.dictionaries.iter().zip(&self.sums).take(FREE_ITERATIONS).enumerate() {
            for _ in 0..if i == 0 { TIED_ITERATIONS + 1 } else { 1 } {
                row.update(v, dictionary, sums, &mut quotient);
            }
        }
        row
    }
}

impl Model for ScoreModel {
    fn n_parts(&self) -> usize {
        self.n_parts
    }

    fn masks(&self, block: &Block<'_>) -> Vec<Array2<f32>> {
        let v = block.core();
        let last = &self.dictionaries[FREE_ITERATIONS];
        let solved: Vec<Row>;
        let rows = match &self.rows {
            Some(rows) => &rows[block.frames.clone()],
            None => {
                solved = (0..v.nrows())
                    .into_par_iter()
                    .map(|i| self.solve(block.frames.start + i, &v.row(i).to_vec()))
                    .collect();
                &solved
            }
        };
        let mut models: Vec<Array2<f32>> = (0..self.n_parts)
            .into_par_iter()
            .map(|part| {
                let mut model = Array2::zeros(v.raw_dim());
                for (mut frame, row) in model.outer_iter_mut().zip(rows) {
                    let Some(frame) = frame.as_slice_mut() else { continue };
                    for (k, activation) in row.active.iter().zip(&row.activations) {
                        let k = *k as usize;
                        if self.templates[k].part == part {
                            add(frame, template(last, k), *activation);
                        }
                    }
                }
                model
            })
            .collect();
        if self.unscored == Unscored::Residual
            && let Some((residual, parts)) = models.split_last_mut()
        {
            // Where no note explains anything, all of it is left over.
            for (i, mut frame) in residual.outer_iter_mut().enumerate() {
                for (bin, x) in frame.iter_mut().enumerate() {
                    if parts.iter().all(|part| part[[i, bin]] == 0.0) {
                        *x = v[[i, bin]].max(*x);
                    }
                }
            }
        }
        mask::wiener(&mut models, self.mask_exponent);
        models
    }
}
