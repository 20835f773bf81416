//! Where the fit starts.

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::even;
use super::kit::{analytic, hump};
use crate::nmf::{ConvolutiveConfig, Factor, fit_convolutive};
use crate::stft::StftConfig;
use crate::watch::Watch;

/// The first bin of each band, and the end.
fn bands(stft: &StftConfig, sample_rate: u32) -> Vec<usize> {
    let width: f64 = 2f64.powf(1.0 / 6.0);
    let mut edges = vec![0usize, 1];
    let n = stft.n_bins();
    while *edges.last().unwrap() < n {
        let last = *edges.last().unwrap();
        edges.push(((last as f64 * width).round() as usize).max(last + 1).min(n));
    }
    let _ = sample_rate;
    edges
}

/// rows = bins
fn fold(x: ArrayView2<'_, f32>, edges: &[usize]) -> Array2<f32> {
    let mut out = Array2::zeros((edges.len() - 1, x.ncols()));
    for (i, pair) in edges.windows(2).enumerate() {
        out.row_mut(i).assign(&x.slice(s![pair[0]..pair[1], ..]).sum_axis(Axis(0)));
    }
    out
}

pub(super) fn best(
    given: Vec<Array2<f32>>,
    magnitude: ArrayView2<'_, f32>,
    stft: &StftConfig,
    sample_rate: u32,
    n_lags: usize,
    run_length: Option<usize>,
) -> Vec<Array2<f32>> {
    let n = given.len();
    if n != 3 || std::env::var("DR_OFF").is_ok() {
        return given;
    }
    let mut starts: Vec<Vec<Array2<f32>>> = vec![given];
    let a = |f: &dyn Fn(f64) -> f64, fade: f64| analytic(f, fade, stft, sample_rate, n_lags);
    for kick_hz in [50.0, 75.0, 110.0] {
        for snare in 0..3 {
            for hat_hz in [1500.0f64, 4000.0, 8000.0] {
                let noise = |hz: f64, lo: f64, hi: f64| 1.0 / ((1.0 + (lo / hz).powi(2)) * (1.0 + (hz / hi).powi(2)));
                let kick = a(&|hz| hump(hz, kick_hz, 0.8) + 0.003 / (1.0 + hz / 2000.0), 0.12);
                let sn = match snare {
                    0 => a(&|hz| 0.5 * hump(hz, 200.0, 0.5) + 0.3 * noise(hz, 300.0, 3500.0), 0.1),
                    1 => a(&|hz| 0.5 * hump(hz, 200.0, 0.4) + 0.05 * noise(hz, 300.0, 5500.0), 0.1),
                    _ => a(&|hz| 0.3 * noise(hz, 1000.0, 6000.0), 0.1),
                };
                let hat = a(&|hz| 1.0 / (1.0 + (hat_hz / hz).powi(4)), 0.06);
                starts.push(vec![kick, sn, hat]);
            }
        }
    }
    let edges = bands(stft, sample_rate);
    let v = fold(magnitude.t(), &edges);
    let sum: f64 = v.iter().map(|&x| f64::from(x)).sum();
    let iters = std::env::var("DR_IT").map_or(40, |x| x.parse().unwrap());
    let tries: Vec<_> = starts
        .par_iter()
        .map(|start| {
            let mut d = Array2::zeros((v.nrows(), n * n_lags));
            for (k, t) in start.iter().enumerate() {
                d.slice_mut(s![.., k * n_lags..(k + 1) * n_lags]).assign(&fold(t.view(), &edges));
            }
            let config = ConvolutiveConfig {
                n_components: n,
                n_lags,
                dictionary: Factor::Seed(d),
                activations: Factor::Seed(even(n, v.t())),
                n_held: 5,
                run_length,
                max_iter: iters,
                tol: 0.0,
                seed: 0,
            };
            let f = fit_convolutive(v.view(), &config, &mut Watch::none()).unwrap();
            f.divergence_curve.last().unwrap().1 / sum
        })
        .collect();
    let forced = std::env::var("DR_START").ok().map(|x| x.parse::<usize>().unwrap());
    let best = (0..tries.len()).fold(0, |b, i| if tries[i] < tries[b] { i } else { b });
    let pick = forced.unwrap_or(best);
    eprintln!("bands {} tries {:.4?} best {best} pick {pick}", v.nrows(), tries);
    starts.swap_remove(pick)
}
