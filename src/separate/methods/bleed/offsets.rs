//! By how much recordings of one session are out of time, told by what all of them hear.
//! Knows when it becomes louder, and nothing else.

use crate::audio::Recording;
use crate::{Error, Result};

/// Step of the levels that are compared, in seconds: sound takes as long for 0.7 m.
const STEP_S: f64 = 0.002;

/// What is compared of each recording, in seconds.
const SPAN_S: f64 = 120.0;

/// The largest offset that is looked for, in seconds.
const MAX_OFFSET_S: f64 = 10.0;

/// How far the best offset must stand out of all others, in standard deviations.
const CLEAR: f64 = 6.0;

/// By how many seconds each recording is late, compared with the first one: where that one hears a hit at 1 s and
/// another hears it at 1.5 s, 0.5. `None` where nothing tells. Within 2 ms, of the first two minutes, up to 10 s.
///
/// # Errors
/// Those of the recordings.
///
/// # Cost
/// Reads two minutes of each recording.
pub fn offsets(recordings: &[&dyn Recording]) -> Result<Vec<Option<f64>>> {
    let rises = recordings.iter().map(|recording| rises(*recording)).collect::<Result<Vec<_>>>()?;
    let Some((first, others)) = rises.split_first() else { return Ok(Vec::new()) };
    let of_others = others.iter().map(|rises| Some(best_lag(first, rises)? as f64 * STEP_S));
    Ok(std::iter::once(Some(0.0)).chain(of_others).collect())
}

/// How much louder it becomes in each step, in decibels, without its mean.
fn rises(recording: &dyn Recording) -> Result<Vec<f64>> {
    let step = ((STEP_S * f64::from(recording.sample_rate())) as usize).max(1);
    let n_steps = (SPAN_S / STEP_S) as usize;
    let mut energies = Vec::new();
    let (mut energy, mut n_in_step) = (0.0, 0);
    let mut last = vec![0.0f32; recording.n_channels()];
    let read = recording.read(&mut |block| {
        for column in block.columns() {
            // What is high in it tells time best.
            for (x, last) in column.iter().zip(&mut last) {
                energy += f64::from(x - *last).powi(2);
                *last = *x;
            }
            n_in_step += 1;
            if n_in_step == step {
                energies.push(energy);
                (energy, n_in_step) = (0.0, 0);
            }
        }
        // The only way to stop reading.
        if energies.len() >= n_steps { Err(Error::Cancelled) } else { Ok(()) }
    });
    match read {
        Err(Error::Cancelled) if energies.len() >= n_steps => energies.truncate(n_steps),
        read => read?,
    }
    let loudest = energies.iter().fold(0.0f64, |loudest, x| loudest.max(*x));
    // 60 dB below the loudest nothing is heard.
    let level = |energy: f64| 10.0 * (energy + 1e-6 * loudest + f64::MIN_POSITIVE).log10();
    let mut rises: Vec<_> = energies.windows(2).map(|pair| (level(pair[1]) - level(pair[0])).max(0.0)).collect();
    let mean = rises.iter().sum::<f64>() / rises.len().max(1) as f64;
    rises.iter_mut().for_each(|rise| *rise -= mean);
    Ok(rises)
}

/// By how many steps the second is late.
fn best_lag(first: &[f64], second: &[f64]) -> Option<isize> {
    let shortest = first.len().min(second.len());
    let max_lag = ((MAX_OFFSET_S / STEP_S) as usize).min(shortest / 2) as isize;
    let product = |lag: isize| {
        let (a, b) = (lag.min(0).unsigned_abs().min(first.len()), lag.max(0).unsigned_abs().min(second.len()));
        first[a..].iter().zip(&second[b..]).map(|(x, y)| x * y).sum::<f64>()
    };
    let products: Vec<_> = (-max_lag..=max_lag).map(product).collect();
    let n = products.len() as f64;
    let mean = products.iter().sum::<f64>() / n;
    let deviation = (products.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let (at, best) = products.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    (*best - mean > CLEAR * deviation && deviation > 0.0).then_some(at as isize - max_lag)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::Audio;

    /// Hits at irregular times, some of them quieter.
    fn hits(first: usize, n_samples: usize, gain: f32) -> Audio {
        let mut samples = Array2::zeros((1, n_samples));
        for number in 0..40usize {
            let at = 500 + number * 1500 + number * number * 37 % 700;
            for i in 0..200usize {
                let sample = (at + i).wrapping_sub(first);
                if sample < n_samples {
                    let wave = if (i * 7919) % 13 < 6 { 1.0 } else { -1.0 };
                    samples[(0, sample)] += gain * wave * (-(i as f32) / 60.0).exp();
                }
            }
        }
        Audio::new(samples, 8000).expect("audio")
    }

    #[test]
    fn a_recording_that_began_later_is_early() {
        let (first, later) = (hits(0, 60_000, 0.5), hits(6000, 54_000, 0.05));
        let found = offsets(&[&first, &later, &first]).expect("offsets");
        assert!(found[1].is_some_and(|offset| (offset + 0.75).abs() <= 0.004), "{found:?}");
        assert!(found[2].is_some_and(|offset| offset.abs() <= 0.004), "{found:?}");
    }

    #[test]
    fn silence_and_what_is_not_there_tell_nothing() {
        let silent = Audio::new(Array2::zeros((1, 60_000)), 8000).expect("audio");
        let short = Audio::new(Array2::ones((1, 3)), 8000).expect("audio");
        let found = offsets(&[&hits(0, 60_000, 1.0), &silent, &short]).expect("offsets");
        assert_eq!(found, [Some(0.0), None, None]);
    }
}
