//! The recordings that are compared: read side by side, and alike in rate, channels and length.
//! Nothing is measured here.

use ndarray::{ArrayView2, Axis, concatenate, s};

use crate::error::Quantity;
use crate::{Audio, Error, Result};

/// Recordings of one sample rate, channel count and length, read side by side, as often as it takes.
pub trait Signals: Sync {
    /// Of all recordings, in Hz.
    fn sample_rate(&self) -> u32;
    /// Channels of each recording.
    fn n_channels(&self) -> usize;
    /// Sources as they are.
    fn n_references(&self) -> usize;
    /// Sources as they were estimated.
    fn n_estimates(&self) -> usize;
    /// Samples per channel where they are known beforehand. They may be wrong: good for a progress bar.
    fn n_samples_hint(&self) -> Option<u64>;
    /// Whether the mixture comes last, to be judged as an estimate of each source.
    fn has_mixture(&self) -> bool;
    /// Hands over all samples in order, in blocks: a row for each channel of each reference, then of each estimate, then
    /// of the mixture.
    ///
    /// # Errors
    /// Whatever goes wrong on the way, or `sink` returns.
    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()>;
}

/// One channel of each recording.
pub(super) struct OneChannel<'a> {
    pub(super) signals: &'a dyn Signals,
    pub(super) channel: usize,
}

impl Signals for OneChannel<'_> {
    fn sample_rate(&self) -> u32 {
        self.signals.sample_rate()
    }

    fn n_channels(&self) -> usize {
        1
    }

    fn n_references(&self) -> usize {
        self.signals.n_references()
    }

    fn n_estimates(&self) -> usize {
        self.signals.n_estimates()
    }

    fn n_samples_hint(&self) -> Option<u64> {
        self.signals.n_samples_hint()
    }

    fn has_mixture(&self) -> bool {
        self.signals.has_mixture()
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let n_channels = self.signals.n_channels();
        self.signals.read(&mut |block| sink(block.slice(s![self.channel..;n_channels, ..])))
    }
}

/// Recordings in memory.
pub(super) struct InMemory<'a> {
    references: &'a [Audio],
    estimates: &'a [Audio],
    mixture: Option<&'a Audio>,
}

impl<'a> InMemory<'a> {
    pub(super) fn new(references: &'a [Audio], estimates: &'a [Audio], mixture: Option<&'a Audio>) -> Result<Self> {
        let Some(first) = references.first() else {
            return Err(Error::EstimateCount { got: estimates.len(), expected: 0 });
        };
        let numbered = |name: &'static str| move |(i, audio): (usize, &'a Audio)| (format!("{name} {}", i + 1), audio);
        let named = (references.iter().enumerate().map(numbered("reference")))
            .chain(estimates.iter().enumerate().map(numbered("estimate")))
            .chain(mixture.map(|audio| ("mixture".to_owned(), audio)));
        for (name, audio) in named {
            for (what, got, expected) in [
                (Quantity::SampleRate, audio.sample_rate() as u64, first.sample_rate() as u64),
                (Quantity::Channels, audio.n_channels() as u64, first.n_channels() as u64),
                (Quantity::Samples, audio.n_samples() as u64, first.n_samples() as u64),
            ] {
                what.check((&name, got), ("reference 1", expected))?;
            }
        }
        Ok(Self { references, estimates, mixture })
    }
}

impl Signals for InMemory<'_> {
    fn sample_rate(&self) -> u32 {
        self.references.first().map_or(0, Audio::sample_rate)
    }

    fn n_channels(&self) -> usize {
        self.references.first().map_or(0, Audio::n_channels)
    }

    fn n_references(&self) -> usize {
        self.references.len()
    }

    fn n_estimates(&self) -> usize {
        self.estimates.len()
    }

    fn n_samples_hint(&self) -> Option<u64> {
        self.references.first().map(|audio| audio.n_samples() as u64)
    }

    fn has_mixture(&self) -> bool {
        self.mixture.is_some()
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        /// Samples per channel at a time.
        const BLOCK: usize = 1 << 16;
        let n_samples = self.references.first().map_or(0, Audio::n_samples);
        for start in (0..n_samples).step_by(BLOCK) {
            let part = s![.., start..(start + BLOCK).min(n_samples)];
            let rows: Vec<_> = (self.references.iter().chain(self.estimates).chain(self.mixture))
                .map(|audio| audio.samples().slice_move(part))
                .collect();
            sink(concatenate(Axis(0), &rows).expect("lengths were checked").view())?;
        }
        Ok(())
    }
}

impl Quantity {
    /// Refuses two recordings, given by name, that do not have the same of it.
    ///
    /// # Errors
    /// [`Error::Unequal`].
    pub fn check(self, (name, got): (&str, u64), (other, expected): (&str, u64)) -> Result<()> {
        if got == expected {
            return Ok(());
        }
        Err(Error::Unequal { name: name.into(), got, other: other.into(), expected, unit: self })
    }
}
