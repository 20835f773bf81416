//! With a score.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::score::{Class, Note, Score};

pub fn env(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|x| x.parse().ok()).unwrap_or(default)
}

#[derive(Debug, Clone)]
pub struct Template {
    pub part: usize,
    pub kind: Kind,
    pub spans: Vec<Range<usize>>,
    pub onsets: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Pitched(u8),
    Onset,
    Drum(u8),
    Residual,
}

pub struct Grid {
    pub sample_rate: f64,
    pub n_fft: usize,
    pub hop: usize,
    pub n_frames: usize,
}

impl Grid {
    fn frame(&self, s: f64) -> usize {
        ((s * self.sample_rate / self.hop as f64).round().max(0.0) as usize).min(self.n_frames)
    }
}

fn merge(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|s| s.start);
    let mut out: Vec<Range<usize>> = Vec::new();
    for s in spans {
        if s.is_empty() {
            continue;
        }
        match out.last_mut() {
            Some(l) if s.start <= l.end => l.end = l.end.max(s.end),
            _ => out.push(s),
        }
    }
    out
}

pub fn templates(score: &Score, grid: &Grid) -> Vec<Template> {
    let mut out = Vec::new();
    for (part_idx, part) in score.parts.iter().enumerate() {
        let mut pitches: Vec<u8> = part.notes.iter().map(|n| n.pitch).collect();
        pitches.sort_unstable();
        pitches.dedup();
        for p in pitches {
            let notes: Vec<&Note> = part.notes.iter().filter(|n| n.pitch == p).collect();
            let (kind, spans) = if part.class == Class::Percussion {
                (Kind::Drum(p), notes.iter().map(|n| grid.frame(n.onset_s - env("DPRE", 0.05))..grid.frame(n.onset_s + env("DPOST", 0.5)) + 1).collect())
            } else {
                (
                    Kind::Pitched(p),
                    notes.iter().map(|n| grid.frame(n.onset_s - env("PRE", 0.05))..grid.frame(n.offset_s + env("POST", 0.15)) + 1).collect(),
                )
            };
            let spans = merge(spans);
            if !spans.is_empty() {
                out.push(Template { part: part_idx, kind, spans, onsets: notes.iter().map(|n| grid.frame(n.onset_s)).collect() });
            }
        }
        if part.class == Class::Struck && env("ONSET", 1.0) > 0.0 {
            let spans = merge(
                part.notes.iter().map(|n| grid.frame(n.onset_s - 0.05)..grid.frame(n.onset_s + env("OPOST", 0.06)) + 1).collect(),
            );
            out.push(Template { part: part_idx, kind: Kind::Onset, spans, onsets: part.notes.iter().map(|n| grid.frame(n.onset_s)).collect() });
        }
    }
    out
}

struct Harmonic {
    first: usize,
    lobe: Vec<f32>,
    bump: usize,
    fraction: f32,
}

fn hann_lobe(x: f64) -> f64 {
    let x = x.abs();
    if x >= 2.0 {
        0.0
    } else if (x - 1.0).abs() < 1e-6 {
        0.5
    } else if x < 1e-6 {
        1.0
    } else {
        (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) / (1.0 - x * x)
    }
}

const N_BUMPS: usize = 32;

fn harmonics(pitch: u8, struck: bool, grid: &Grid, tuning: f64) -> Vec<Harmonic> {
    let n_bumps = env("BUMPS", N_BUMPS as f64);
    let b = if struck { env("B", 3e-4) } else { 0.0 };
    let f0 = Note::pitch_hz(pitch) * (tuning / 12.0).exp2();
    let nyquist = grid.sample_rate / 2.0;
    let hz_per_bin = grid.sample_rate / grid.n_fft as f64;
    let n_bins = grid.n_fft / 2 + 1;
    let mut out = Vec::new();
    let up = (env("UP", 0.25) / 12.0).exp2();
    let down = (-env("DOWN", 0.0) / 12.0).exp2();
    for h in 1..=env("NH", 60.0) as usize {
        let h = h as f64;
        let f = f0 * h * (1.0 + b * h * h).sqrt();
        if f >= nyquist {
            break;
        }
        let (lo, hi) = (f * down / hz_per_bin, f * up / hz_per_bin);
        let first = (lo - 2.0).ceil().max(0.0) as usize;
        let last = ((hi + 2.0).floor() as usize).min(n_bins - 1);
        if first > last {
            break;
        }
        let lobe = (first..=last)
            .map(|bin| {
                let x = bin as f64;
                let d = if x < lo { lo - x } else if x > hi { x - hi } else { 0.0 };
                hann_lobe(d) as f32
            })
            .collect();
        let low = 60f64;
        let top = env("TOP", 0.0);
        let top = if top > 0.0 { top } else { nyquist };
        let pos = ((f / low).ln() / (top / low).ln() * (n_bumps - 1.0)).clamp(0.0, n_bumps - 1.0);
        let bump = (pos.floor() as usize).min(n_bumps as usize - 2);
        out.push(Harmonic { first, lobe, bump, fraction: (pos - bump as f64) as f32 });
    }
    out
}

pub struct Row {
    pub active: Vec<u32>,
    pub h: Vec<f32>,
}

pub struct Fit {
    pub w: Array2<f32>,
    pub rows: Vec<Row>,
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0f32; 16];
    let (ca, cb) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = ca.remainder().iter().zip(cb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ca.zip(cb) {
        for i in 0..16 {
            acc[i] += x[i] * y[i];
        }
    }
    acc.iter().sum::<f32>() + tail
}

const EPS: f32 = 1e-9;

fn ratio(v: &[f32], row: &Row, w: &Array2<f32>, r: &mut [f32]) {
    r.fill(0.0);
    for (k, h) in row.active.iter().zip(&row.h) {
        let wk = w.row(*k as usize);
        let wk = wk.as_slice().unwrap_or(&[]);
        for (r, w) in r.iter_mut().zip(wk) {
            *r += h * w;
        }
    }
    for (r, v) in r.iter_mut().zip(v) {
        *r = v / r.max(EPS);
    }
}

fn update_h(v: ArrayView2<f32>, fit: &mut Fit, r: &mut Array2<f32>) {
    let sums: Vec<f32> = fit.w.outer_iter().map(|w| w.iter().map(|x| f64::from(*x)).sum::<f64>() as f32).collect();
    let w = &fit.w;
    fit.rows.par_iter_mut().zip(r.axis_iter_mut(Axis(0))).zip(v.axis_iter(Axis(0))).for_each(|((row, mut r), v)| {
        let r = r.as_slice_mut().unwrap_or(&mut []);
        let v = v.to_slice().unwrap_or(&[]);
        ratio(v, row, w, r);
        for i in 0..row.active.len() {
            let k = row.active[i] as usize;
            let num = dot(r, w.row(k).to_slice().unwrap_or(&[]));
            row.h[i] *= num / sums[k].max(1e-12);
        }
    });
}

/// Numerators (templates x bins) and sums of activations.
fn numerators(v: ArrayView2<f32>, fit: &Fit, r: &mut Array2<f32>) -> (Array2<f32>, Vec<f32>) {
    let w = &fit.w;
    fit.rows.par_iter().zip(r.axis_iter_mut(Axis(0))).zip(v.axis_iter(Axis(0))).for_each(|((row, mut r), v)| {
        ratio(v.to_slice().unwrap_or(&[]), row, w, r.as_slice_mut().unwrap_or(&mut []));
    });
    let mut lists: Vec<Vec<(u32, f32)>> = vec![Vec::new(); w.nrows()];
    for (t, row) in fit.rows.iter().enumerate() {
        for (k, h) in row.active.iter().zip(&row.h) {
            lists[*k as usize].push((t as u32, *h));
        }
    }
    let mut num = Array2::<f32>::zeros(w.raw_dim());
    num.axis_iter_mut(Axis(0)).into_par_iter().zip(&lists).for_each(|(mut num, list)| {
        let num = num.as_slice_mut().unwrap_or(&mut []);
        for (t, h) in list {
            let r = r.row(*t as usize);
            for (n, r) in num.iter_mut().zip(r.to_slice().unwrap_or(&[])) {
                *n += h * r;
            }
        }
    });
    let sums = lists.iter().map(|l| l.iter().map(|(_, h)| f64::from(*h)).sum::<f64>() as f32).collect();
    (num, sums)
}

pub fn fit(v: ArrayView2<f32>, score: &Score, templates: &[Template], grid: &Grid) -> Fit {
    let (n_frames, n_bins) = v.dim();
    let mean = v.iter().map(|x| f64::from(*x)).sum::<f64>() / v.len() as f64;
    let v = v.mapv(|x| x / mean as f32);
    let v = v.view();
    let n_bumps = env("BUMPS", N_BUMPS as f64) as usize;
    // Envelopes.
    let mut envelopes: Vec<Vec<f32>> = score
        .parts
        .iter()
        .map(|_| (0..n_bumps).map(|b| (-(b as f64) * env("SLOPE", 0.0) / n_bumps as f64).exp() as f32).collect())
        .collect();
    let combs: Vec<Vec<Harmonic>> = templates
        .iter()
        .map(|t| match t.kind {
            Kind::Pitched(p) => harmonics(p, score.parts[t.part].class == Class::Struck, grid, env("TUNE", 0.0)),
            _ => Vec::new(),
        })
        .collect();
    let mut w = Array2::<f32>::zeros((templates.len(), n_bins));
    let render = |k: usize, comb: &[Harmonic], a: &[f32], w: &mut Array2<f32>| {
        let mut row = w.row_mut(k);
        let row = row.as_slice_mut().unwrap_or(&mut []);
        row.fill(0.0);
        for h in comb {
            let x = a[h.bump] * (1.0 - h.fraction) + a[h.bump + 1] * h.fraction;
            for (w, l) in row[h.first..].iter_mut().zip(&h.lobe) {
                *w += x * l;
            }
        }
    };
    for (k, t) in templates.iter().enumerate() {
        match t.kind {
            Kind::Pitched(_) => render(k, &combs[k], &envelopes[t.part], &mut w),
            _ => {
                // What is louder at the hits than before them.
                let mut row = w.row_mut(k);
                let d = env("DAFTER", 2.0) as usize;
                for bin in 0..n_bins {
                    let mut xs: Vec<f32> = t
                        .onsets
                        .iter()
                        .filter(|o| **o < n_frames)
                        .map(|&o| {
                            let after = (o..(o + d + 1).min(n_frames)).map(|t| v[[t, bin]]).fold(0.0, f32::max);
                            let before = v[[o.saturating_sub(env("DBEFORE", 3.0) as usize), bin]];
                            (after - before).max(0.0)
                        })
                        .collect();
                    xs.sort_by(f32::total_cmp);
                    let m = if xs.is_empty() { 0.0 } else { xs[((xs.len() - 1) as f64 * env("DQUANT", 0.5)) as usize] };
                    row[bin] = m + 1e-3;
                }
            }
        }
    }
    let mut rows: Vec<Row> = (0..n_frames).map(|_| Row { active: vec![], h: vec![] }).collect();
    for (k, t) in templates.iter().enumerate() {
        for span in &t.spans {
            for f in span.start..span.end.min(n_frames) {
                let h0 = match t.kind {
                    Kind::Drum(_) => {
                        let last = t.onsets.iter().rev().find(|o| **o <= f + 1).map_or(0, |o| f.saturating_sub(*o));
                        (-(last as f64) * env("DDECAY", 0.0)).exp() as f32
                    }
                    _ => 1.0,
                };
                rows[f].active.push(k as u32);
                rows[f].h.push(h0);
            }
        }
    }
    let mut fit = Fit { w, rows };
    let mut r = Array2::<f32>::zeros(v.raw_dim());
    for _ in 0..env("ITER", 30.0) as usize {
        update_h(v, &mut fit, &mut r);
        let (num, sums) = numerators(v, &fit, &mut r);
        let mut a_num = vec![vec![0f64; n_bumps]; score.parts.len()];
        let mut a_den = vec![vec![0f64; n_bumps]; score.parts.len()];
        for (k, t) in templates.iter().enumerate() {
            match t.kind {
                Kind::Pitched(_) => {
                    for h in &combs[k] {
                        let n: f64 = num.row(k).as_slice().unwrap_or(&[])[h.first..].iter().zip(&h.lobe).map(|(n, l)| f64::from(n * l)).sum();
                        let d: f64 = h.lobe.iter().map(|l| f64::from(*l)).sum::<f64>() * f64::from(sums[k]);
                        for (b, x) in [(h.bump, 1.0 - h.fraction), (h.bump + 1, h.fraction)] {
                            a_num[t.part][b] += f64::from(x) * n;
                            a_den[t.part][b] += f64::from(x) * d;
                        }
                    }
                }
                _ => {
                    for (w, n) in fit.w.row_mut(k).iter_mut().zip(num.row(k)) {
                        *w *= n / sums[k].max(1e-12);
                    }
                }
            }
        }
        for (a, (num, den)) in envelopes.iter_mut().zip(a_num.iter().zip(&a_den)) {
            for (a, (n, d)) in a.iter_mut().zip(num.iter().zip(den)) {
                if *d > 0.0 {
                    *a *= (n / d) as f32;
                }
            }
        }
        for (k, t) in templates.iter().enumerate() {
            if let Kind::Pitched(_) = t.kind {
                render(k, &combs[k], &envelopes[t.part], &mut fit.w);
            }
        }
    }
    for _ in 0..env("FREE", 5.0) as usize {
        update_h(v, &mut fit, &mut r);
        let (num, sums) = numerators(v, &fit, &mut r);
        for k in 0..templates.len() {
            for (w, n) in fit.w.row_mut(k).iter_mut().zip(num.row(k)) {
                *w *= n / sums[k].max(1e-12);
            }
        }
    }
    fit
}

pub fn separate(audio: &crate::Audio, score: &Score) -> crate::Result<super::Separation> {
    let stft = crate::Stft::new(crate::StftOptions::default().resolve(audio.sample_rate(), env("WIN", 0.093)))?;
    let v = stft.magnitude(audio.samples());
    let grid = Grid {
        sample_rate: f64::from(audio.sample_rate()),
        n_fft: stft.config().n_fft,
        hop: stft.config().hop_length,
        n_frames: v.nrows(),
    };
    let templates = templates(score, &grid);
    let f = fit(v.view(), score, &templates, &grid);
    let mut h = Array2::<f32>::zeros((templates.len(), v.nrows()));
    for (t, row) in f.rows.iter().enumerate() {
        for (k, x) in row.active.iter().zip(&row.h) {
            h[[*k as usize, t]] = *x;
        }
    }
    let assignment = templates.iter().map(|t| t.part).collect();
    Ok(super::Separation {
        stft,
        factorization: crate::nmf::Factorization {
            dictionary: f.w.reversed_axes(),
            activations: h,
            n_iter: 1,
            divergence: 0.0,
            divergence_curve: vec![(0, 0.0)],
            stop_reason: crate::nmf::StopReason::MaxIter,
        },
        assignment,
        names: score.parts.iter().map(|p| p.name.clone()).collect(),
        energy_shares: vec![0.0; score.parts.len()],
        mask_exponent: env("MASK", 1.5) as f32,
    })
}
