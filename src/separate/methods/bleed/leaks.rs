//! What each source sounds like in its own microphone, and how much of it leaks into the others: a factorization of the
//! magnitudes of all microphones with dictionaries that they share. Knows no phases.

use std::ops::Range;

use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayViewMut1, Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::Result;
use crate::watch::{Step, Watch};

/// Frames that are worked on at once: their models stay near the processor.
const CHUNK: usize = 64;

/// Pieces whose sums are made side by side at the most, and added in order.
const MAX_PIECES: usize = 16;

/// Models are taken for at least this, relative to a mean magnitude of 1 (-200 dB).
const FLOOR: f32 = 1e-10;

/// Factors below this are 0: far below anything that is heard, and well above the numbers that processors are slow
/// with.
const NOTHING: f32 = 1e-18;

/// The least that a microphone hears of a source: -80 dB.
const MIN_LEAK: f32 = 1e-4;

/// How much of a source other microphones are taken to hear at first. Lower starts lost (0.1: 0.7 dB, 0.03: 2 dB).
const FIRST_LEAK: f32 = 0.3;

/// Magnitudes of all microphones, each `n_frames` x `n_bins`, every microphone relative to its own mean.
pub(super) type Magnitudes<'a> = [ArrayView2<'a, f32>];

/// `V_i ~ sum over j of L_ij P_j`, with `P_j = H_j B_j`: the magnitudes of microphone i, the leaks (of each bin), and
/// the magnitudes of source j in its own microphone.
///
/// # References
/// J. J. Carabias-Orti, M. Cobos, P. Vera-Candeas and F. J. Rodriguez-Serrano, "Nonnegative signal factorization with
/// learnt instrument models for sound source separation in close-microphone recordings", EURASIP JASP 2013:184: the
/// model; here nothing is learnt beforehand. T. Praetzlich, R. Bittner, A. Liutkus and M. Mueller, "Kernel additive
/// modeling for interference reduction in multi-channel music recordings", ICASSP 2015: the update of the leaks.
#[derive(Debug, Clone)]
pub(super) struct Leaks {
    /// Of each source, `n_components` x `n_bins`; each row sums to one.
    pub(super) dictionaries: Vec<Array2<f32>>,
    /// Microphones x sources x bins.
    pub(super) leaks: Array3<f32>,
    /// The microphone in which a source has its level; none for one without a microphone of its own.
    own: Vec<Option<usize>>,
}

/// Whether a source (the first) can sound in a frame.
pub(super) type MaySound<'a> = dyn Fn(usize, usize) -> bool + Sync + 'a;

/// Activations of some frames: of each source, `n_frames` x `n_components`.
pub(super) type Activations = Vec<Array2<f32>>;

/// The frames of a piece, and their activations.
struct Piece {
    rows: Range<usize>,
    activations: Activations,
}

/// What is improved beside the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Dictionaries,
    Leaks,
}

/// Numerators and denominators of an update.
struct Sums {
    /// Of each source, as its dictionary, or microphones x sources of one row each.
    upper: Vec<Array2<f32>>,
    /// Of each source: the sum of each component, or the sums of each bin.
    lower: Vec<Array1<f32>>,
}

/// How a source begins.
pub(super) struct Start {
    /// The microphone that has its level; none for one without a microphone of its own.
    pub(super) mic: Option<usize>,
    /// Templates to begin with, `n_components` x `n_bins`.
    pub(super) templates: Option<Array2<f32>>,
}

impl Start {
    /// Of its dictionary, where nothing else is known.
    pub(super) fn n_components(&self, default: usize) -> usize {
        self.templates.as_ref().map_or(default, Array2::nrows)
    }
}

impl Leaks {
    /// Goes on from these dictionaries and leaks, for some frames.
    pub(super) fn refit(
        mut self,
        magnitudes: &Magnitudes<'_>,
        n_iter: usize,
        may_sound: &MaySound<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let mut pieces: Vec<Piece> = pieces(magnitudes[0].nrows())
            .into_iter()
            .map(|rows| {
                let of_rows: Vec<_> = magnitudes.iter().map(|v| v.slice(s![rows.clone(), ..])).collect();
                let activations = self.first_activations(&of_rows, &|source, row| may_sound(source, rows.start + row));
                Piece { rows, activations }
            })
            .collect();
        for i in 0..n_iter {
            watch.at(Step::Fitting, i as u64, Some(n_iter as u64))?;
            self.improve(magnitudes, &mut pieces, Target::Dictionaries);
            self.improve(magnitudes, &mut pieces, Target::Leaks);
        }
        Ok(self)
    }

    /// Finds dictionaries and leaks: first what each microphone has alone, then all together. `may_sound` says of a
    /// source and a row of the magnitudes whether it can sound there: activations that are zero stay so.
    pub(super) fn fit(
        magnitudes: &Magnitudes<'_>,
        starts: &[Start],
        (n_components, n_iter): (usize, usize),
        seed: u64,
        may_sound: &MaySound<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        let (n_frames, n_bins) = magnitudes[0].dim();
        let pieces = pieces(n_frames);
        let total = Some(((starts.len() + 2) * n_iter) as u64);
        let mut n_done = 0;
        let mut all: Vec<Piece> =
            pieces.iter().map(|rows| Piece { rows: rows.clone(), activations: Vec::new() }).collect();
        let mut dictionaries = Vec::new();
        let mut leaks = Array3::from_elem((magnitudes.len(), starts.len(), n_bins), FIRST_LEAK);
        for (source, start) in starts.iter().enumerate() {
            // One without a microphone begins as what all have in common.
            let heard = match start.mic {
                None => magnitudes.to_vec(),
                Some(mic) => {
                    leaks.slice_mut(s![mic, source, ..]).fill(1.0);
                    vec![magnitudes[mic]]
                }
            };
            let mut alone = Self {
                dictionaries: vec![first_dictionary(start, n_components, n_bins, seed.wrapping_add(source as u64))],
                leaks: Array3::ones((heard.len(), 1, n_bins)),
                own: vec![Some(0)],
            };
            let mut parts: Vec<_> = pieces
                .iter()
                .map(|rows| {
                    let of_rows: Vec<_> = heard.iter().map(|v| v.slice(s![rows.clone(), ..])).collect();
                    let activations = alone.first_activations(&of_rows, &|_, row| may_sound(source, rows.start + row));
                    Piece { rows: rows.clone(), activations }
                })
                .collect();
            for _ in 0..n_iter {
                watch.at(Step::Fitting, n_done, total)?;
                alone.improve(&heard, &mut parts, Target::Dictionaries);
                n_done += 1;
            }
            dictionaries.extend(alone.dictionaries);
            for (piece, mut part) in all.iter_mut().zip(parts) {
                piece.activations.append(&mut part.activations);
            }
        }
        let own = starts.iter().map(|start| start.mic).collect();
        let mut found = Self { dictionaries, leaks, own };
        for _ in 0..n_iter {
            watch.at(Step::Fitting, n_done, total)?;
            found.improve(magnitudes, &mut all, Target::Dictionaries);
            found.improve(magnitudes, &mut all, Target::Leaks);
            n_done += 2;
        }
        Ok(found)
    }

    /// The activations of some frames under these dictionaries and leaks.
    pub(super) fn activations(
        &self,
        magnitudes: &Magnitudes<'_>,
        n_iter: usize,
        may_sound: &MaySound<'_>,
    ) -> Activations {
        let mut activations = self.first_activations(magnitudes, may_sound);
        let weights = self.weights();
        for _ in 0..n_iter {
            let shares = self.shares(magnitudes, &self.models(&activations));
            self.improve_activations(&shares, &weights, &mut activations);
        }
        activations
    }

    /// The magnitude of each source in its own microphone, `n_frames` x `n_bins`.
    pub(super) fn models(&self, activations: &[Array2<f32>]) -> Vec<Array2<f32>> {
        activations.iter().zip(&self.dictionaries).map(|(h, b)| h.dot(b)).collect()
    }

    /// How much of a source a microphone hears, in each bin.
    fn leak(&self, mic: usize, source: usize) -> &[f32] {
        let (_, n_sources, n_bins) = self.leaks.dim();
        let all = self.leaks.as_slice().expect("an array of its own stands row by row");
        &all[(mic * n_sources + source) * n_bins..][..n_bins]
    }

    /// As if all components of a source were as loud as its microphone, where it may sound.
    fn first_activations(&self, magnitudes: &Magnitudes<'_>, may_sound: &MaySound<'_>) -> Activations {
        let level = |v: &ArrayView2<'_, f32>| v.sum_axis(Axis(1));
        let of_source = |(source, (dictionary, own)): (usize, (&Array2<f32>, &Option<usize>))| {
            let level = match own {
                Some(mic) => level(&magnitudes[*mic]),
                None => {
                    let all = magnitudes.iter().map(level).fold(Array1::zeros(magnitudes[0].nrows()), |sum, x| sum + x);
                    all * (FIRST_LEAK / magnitudes.len() as f32)
                }
            };
            let n_components = dictionary.nrows();
            let each = |row: usize| if may_sound(source, row) { level[row] / n_components as f32 } else { 0.0 };
            Array2::from_shape_fn((level.len(), n_components), |(row, _)| each(row))
        };
        self.dictionaries.iter().zip(&self.own).enumerate().map(of_source).collect()
    }

    /// `sum over f of B_kf (sum over i of L_ijf)`, of each component of each source.
    fn weights(&self) -> Vec<Array1<f32>> {
        let of_source = |(source, dictionary): (usize, &Array2<f32>)| {
            let heard = self.leaks.slice(s![.., source, ..]).sum_axis(Axis(0));
            dictionary.dot(&heard)
        };
        self.dictionaries.iter().enumerate().map(of_source).collect()
    }

    /// `V_i / S_i`, of each microphone, with `S_i = sum over j of L_ij P_j`.
    fn quotients(&self, magnitudes: &Magnitudes<'_>, models: &[Array2<f32>]) -> Vec<Array2<f32>> {
        let quotient = |(mic, v): (usize, &ArrayView2<'_, f32>)| {
            let mut sum = Array2::zeros(v.raw_dim());
            for (source, model) in models.iter().enumerate() {
                add_scaled(&mut sum, self.leak(mic, source), model);
            }
            for (mut sum, v) in sum.outer_iter_mut().zip(v.outer_iter()) {
                rows(&mut sum).iter_mut().zip(row(&v)).for_each(|(sum, v)| *sum = v / sum.max(FLOOR));
            }
            sum
        };
        magnitudes.iter().enumerate().map(quotient).collect()
    }

    /// `N_j = sum over i of L_ij V_i / S_i`, of each source.
    fn shares(&self, magnitudes: &Magnitudes<'_>, models: &[Array2<f32>]) -> Vec<Array2<f32>> {
        let quotients = self.quotients(magnitudes, models);
        let share = |source: usize| {
            let mut share = Array2::zeros(models[source].raw_dim());
            for (mic, quotient) in quotients.iter().enumerate() {
                add_scaled(&mut share, self.leak(mic, source), quotient);
            }
            share
        };
        (0..models.len()).map(share).collect()
    }

    /// `H <- H (N B^T) / (D B^T)`.
    fn improve_activations(&self, shares: &[Array2<f32>], weights: &[Array1<f32>], activations: &mut Activations) {
        for (((h, share), dictionary), weights) in
            activations.iter_mut().zip(shares).zip(&self.dictionaries).zip(weights)
        {
            let upper = share.dot(&dictionary.t());
            for (mut h, upper) in h.outer_iter_mut().zip(upper.outer_iter()) {
                ndarray::Zip::from(&mut h)
                    .and(&upper)
                    .and(weights)
                    .for_each(|h, n, d| *h = kept(*h * n / d.max(FLOOR)));
            }
        }
    }

    /// One update of all activations, and then of the target.
    fn improve(&mut self, magnitudes: &Magnitudes<'_>, pieces: &mut [Piece], target: Target) {
        let weights = self.weights();
        let this = &*self;
        let sums: Vec<Sums> = pieces
            .par_iter_mut()
            .map(|piece| {
                let mut sums: Option<Sums> = None;
                for start in (0..piece.rows.len()).step_by(CHUNK) {
                    let rows = start..(start + CHUNK).min(piece.rows.len());
                    let of_all = piece.rows.start + rows.start..piece.rows.start + rows.end;
                    let v: Vec<_> = magnitudes.iter().map(|v| v.slice(s![of_all.clone(), ..])).collect();
                    let mut h: Activations =
                        piece.activations.iter().map(|h| h.slice(s![rows.clone(), ..]).to_owned()).collect();
                    this.improve_activations(&this.shares(&v, &this.models(&h)), &weights, &mut h);
                    let more = this.sums(&v, &h, target);
                    for (all, h) in piece.activations.iter_mut().zip(h) {
                        all.slice_mut(s![rows.clone(), ..]).assign(&h);
                    }
                    match &mut sums {
                        Some(sums) => sums.add(&more),
                        None => sums = Some(more),
                    }
                }
                sums
            })
            .collect::<Vec<_>>()
            .into_iter()
            .flatten()
            .collect();
        let Some(sums) = sums.into_iter().reduce(|mut sums, more| {
            sums.add(&more);
            sums
        }) else {
            return;
        };
        match target {
            Target::Dictionaries => self.improve_dictionaries(&sums, pieces),
            Target::Leaks => self.improve_leaks(&sums),
        }
    }

    fn sums(&self, magnitudes: &Magnitudes<'_>, activations: &Activations, target: Target) -> Sums {
        let models = self.models(activations);
        match target {
            Target::Dictionaries => {
                let shares = self.shares(magnitudes, &models);
                Sums {
                    upper: activations.iter().zip(&shares).map(|(h, share)| h.t().dot(share)).collect(),
                    lower: activations.iter().map(|h| h.sum_axis(Axis(0))).collect(),
                }
            }
            Target::Leaks => {
                let quotients = self.quotients(magnitudes, &models);
                let upper = quotients.iter().map(|quotient| {
                    let mut sums = Array2::zeros((models.len(), quotient.ncols()));
                    for (mut sum, model) in sums.outer_iter_mut().zip(&models) {
                        for (q, p) in quotient.outer_iter().zip(model.outer_iter()) {
                            let products = row(&q).iter().zip(row(&p)).map(|(q, p)| q * p);
                            rows(&mut sum).iter_mut().zip(products).for_each(|(sum, x)| *sum += x);
                        }
                    }
                    sums
                });
                Sums { upper: upper.collect(), lower: models.iter().map(|model| model.sum_axis(Axis(0))).collect() }
            }
        }
    }

    /// `B <- B (H^T N) / (H^T D)`; then each row sums to one, and the activations have its level.
    fn improve_dictionaries(&mut self, sums: &Sums, pieces: &mut [Piece]) {
        for source in 0..self.dictionaries.len() {
            let heard = self.leaks.slice(s![.., source, ..]).sum_axis(Axis(0));
            let dictionary = &mut self.dictionaries[source];
            for (k, mut row) in dictionary.outer_iter_mut().enumerate() {
                let active = sums.lower[source][k];
                if active <= 0.0 {
                    continue;
                }
                let upper = sums.upper[source].row(k);
                ndarray::Zip::from(&mut row).and(&upper).and(&heard).for_each(|b, n, d| {
                    *b *= n / (active * d).max(FLOOR);
                });
                let level = row.sum();
                if level.is_normal() {
                    row.mapv_inplace(|b| kept(b / level));
                    for piece in pieces.iter_mut() {
                        piece.activations[source].column_mut(k).mapv_inplace(|h| h * level);
                    }
                }
            }
        }
    }

    /// `L <- L (sum over t of P_j V_i / S_i) / (sum over t of P_j)`, of each bin; at most 1, which a source has in its
    /// own microphone.
    fn improve_leaks(&mut self, sums: &Sums) {
        for (mic, upper) in sums.upper.iter().enumerate() {
            for source in 0..self.own.len() {
                if self.own[source] == Some(mic) {
                    continue;
                }
                let mut leaks = self.leaks.slice_mut(s![mic, source, ..]);
                for ((leak, wanted), there) in leaks.iter_mut().zip(upper.row(source)).zip(&sums.lower[source]) {
                    if *there > FLOOR {
                        *leak = (*leak * wanted / there).clamp(MIN_LEAK, 1.0);
                    }
                }
            }
        }
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.upper.iter_mut().zip(&other.upper).for_each(|(sum, more)| *sum += more);
        self.lower.iter_mut().zip(&other.lower).for_each(|(sum, more)| *sum += more);
    }
}

/// The values of a row. Plain slices: iterators over arrays take several times as long here.
fn row<'a>(row: &ArrayView1<'a, f32>) -> &'a [f32] {
    row.to_slice().expect("matrices stand row by row")
}

fn rows<'a>(row: &'a mut ArrayViewMut1<'_, f32>) -> &'a mut [f32] {
    row.as_slice_mut().expect("matrices stand row by row")
}

/// Adds the rows of a matrix, each bin times a factor.
fn add_scaled(sums: &mut Array2<f32>, factors: &[f32], values: &Array2<f32>) {
    for (mut sum, value) in sums.outer_iter_mut().zip(values.outer_iter()) {
        let products = factors.iter().zip(row(&value)).map(|(l, x)| l * x);
        rows(&mut sum).iter_mut().zip(products).for_each(|(sum, x)| *sum += x);
    }
}

/// A factor, or 0 where it is nothing.
fn kept(x: f32) -> f32 {
    if x < NOTHING { 0.0 } else { x }
}

/// Rows in pieces of equal length, a multiple of the chunk.
fn pieces(n_frames: usize) -> Vec<Range<usize>> {
    let length = n_frames.div_ceil(MAX_PIECES).next_multiple_of(CHUNK).max(CHUNK);
    (0..n_frames).step_by(length).map(|start| start..(start + length).min(n_frames)).collect()
}

/// Templates that are given, else any.
fn first_dictionary(start: &Start, n_components: usize, n_bins: usize, seed: u64) -> Array2<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut dictionary = match &start.templates {
        // Nothing that was never heard in an example stays impossible.
        Some(templates) => templates.mapv(|x| x + 1e-3 / n_bins as f32),
        None => Array2::from_shape_simple_fn((n_components, n_bins), || random.random_range(0.1..1.0)),
    };
    for mut row in dictionary.outer_iter_mut() {
        let sum = row.sum();
        row /= sum;
    }
    dictionary
}
