//! Whether there is more than drums: other instruments hold their tones.

use ndarray::{Axis, s};

use crate::Result;
use crate::separate::methods::median::median;
use crate::separate::pipeline::Analysis;

/// Where other instruments have most of their power and long cymbals and deep kicks have little, in Hz.
const TONES_HZ: (f64, f64) = (200.0, 4000.0);

/// A tone is held for half of so many seconds.
const HELD_S: f64 = 0.4;

/// And stands out of half of so many Hz.
const NARROW_HZ: f64 = 190.0;

/// Share of the power that is held, in songs from 0.49 on (one of 16 has less: 0.40), in drums alone up to 0.40.
const HELD_SHARE: f64 = 0.45;

/// Whether other instruments play beside the drums: whether 45 % or more of the power between 200 and 4000 Hz is in tones
/// that are held.
///
/// # Errors
/// [`crate::Error::Setting`] for an analysis without magnitudes.
///
/// # References
/// D. Fitzgerald, "Harmonic/percussive separation using median filtering", 13th International Conference on Digital
/// Audio Effects, 2010.
pub fn has_accompaniment(analysis: &Analysis) -> Result<bool> {
    analysis.need_magnitudes()?;
    let (stft, sample_rate) = (analysis.stft().config(), analysis.sample_rate());
    let bin_hz = stft.bin_hz(1, sample_rate);
    let bin = |hz: f64| ((hz / bin_hz).ceil() as usize).min(stft.n_bins());
    let time_radius = (0.5 * HELD_S / stft.frame_s(1, sample_rate)).round().max(1.0) as usize;
    let frequency_radius = (0.5 * NARROW_HZ / bin_hz).round().max(1.0) as usize;
    let (mut held, mut all) = (0.0f64, 0.0f64);
    for run in analysis.runs() {
        let run = run.slice(s![.., bin(TONES_HZ.0)..bin(TONES_HZ.1)]);
        let lasting = median(run, Axis(0), time_radius, 0..run.nrows());
        let broad = median(run, Axis(1), frequency_radius, 0..run.ncols());
        for ((x, lasting), broad) in run.iter().zip(&lasting).zip(&broad) {
            let power = f64::from(*x).powi(2);
            let (lasting, broad) = (f64::from(*lasting).powi(2), f64::from(*broad).powi(2));
            all += power;
            held += if lasting > 0.0 { power * lasting / (lasting + broad) } else { 0.0 };
        }
    }
    Ok(held > 0.0 && held >= HELD_SHARE * all)
}
