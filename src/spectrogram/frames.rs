//! Power of frame after frame of a recording that comes block by block: of its channels together, or of each.
//! Keeps nothing of what was handed over.

use ndarray::ArrayView2;

use super::bands::Bands;
use super::constant_q::{BandAnalyzer, ConstantQ};
use crate::Result;
use crate::stft::{Analyzer, Stft};

/// How several channels are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channels {
    /// As one: their power is added.
    #[default]
    Together,
    /// Each by itself.
    Apart,
}

/// A planned transform.
#[derive(Debug)]
pub(super) enum Plan {
    Fourier(Stft),
    ConstantQ(ConstantQ),
}

impl Plan {
    pub(super) fn new(bands: &Bands, sample_rate: u32) -> Result<Self> {
        match bands {
            Bands::Fourier(config) => Ok(Self::Fourier(Stft::new(*config)?)),
            Bands::ConstantQ { hop_length } | Bands::PitchClasses { hop_length } => {
                Ok(Self::ConstantQ(ConstantQ::new(sample_rate, *hop_length)?))
            }
        }
    }

    fn analyzer(&self) -> AnyAnalyzer<'_> {
        match self {
            Self::Fourier(stft) => AnyAnalyzer::Fourier(stft.analyzer()),
            Self::ConstantQ(bands) => AnyAnalyzer::ConstantQ(Box::new(bands.analyzer())),
        }
    }

    fn n_bands(&self) -> usize {
        match self {
            Self::Fourier(stft) => stft.config().n_bins(),
            Self::ConstantQ(bands) => bands.n_bands(),
        }
    }
}

#[derive(Debug)]
enum AnyAnalyzer<'a> {
    Fourier(Analyzer<'a>),
    ConstantQ(Box<BandAnalyzer<'a>>),
}

impl AnyAnalyzer<'_> {
    /// Takes samples, and adds the power of the frames that they complete to those of the channels before.
    fn push(&mut self, samples: &[f32], sum: &mut PowerSum<'_>) {
        match self {
            Self::Fourier(analyzer) => analyzer.push(samples, &mut |bins| sum.add(bins.iter().map(|x| x.norm_sqr()))),
            Self::ConstantQ(analyzer) => {
                let mut power = Vec::new();
                analyzer.append(samples, &mut power);
                sum.add(power.into_iter());
            }
        }
    }

    fn finish(self, sum: &mut PowerSum<'_>) {
        match self {
            Self::Fourier(analyzer) => analyzer.finish(&mut |bins| sum.add(bins.iter().map(|x| x.norm_sqr()))),
            Self::ConstantQ(analyzer) => {
                let mut power = Vec::new();
                analyzer.append_last(&mut power);
                sum.add(power.into_iter());
            }
        }
    }
}

/// The frames of a recording that comes block by block.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    analyzers: Vec<AnyAnalyzer<'a>>,
    n_bands: usize,
    channels: Channels,
    /// Power of the frames that a block completes, of all channels or of one.
    power: Vec<f32>,
    samples: Vec<f32>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(plan: &'a Plan, n_channels: usize, channels: Channels) -> Self {
        let analyzers = (0..n_channels).map(|_| plan.analyzer()).collect();
        Self { analyzers, n_bands: plan.n_bands(), channels, power: Vec::new(), samples: Vec::new() }
    }

    /// Of the channels together.
    pub(super) fn of_stft(stft: &'a Stft, n_channels: usize) -> Self {
        let analyzers = (0..n_channels).map(|_| AnyAnalyzer::Fourier(stft.analyzer())).collect();
        let n_bands = stft.config().n_bins();
        Self { analyzers, n_bands, channels: Channels::Together, power: Vec::new(), samples: Vec::new() }
    }

    /// Takes a block, and hands over the frames that it completes: those of each channel, or all as number 0.
    ///
    /// # Panics
    /// If the block has not the channels.
    pub(super) fn push(&mut self, block: ArrayView2<'_, f32>, frame: &mut impl FnMut(usize, &[f32])) {
        assert_eq!(block.nrows(), self.analyzers.len(), "channels");
        let Self { analyzers, n_bands, channels, power, samples } = self;
        for (channel_idx, (analyzer, channel)) in analyzers.iter_mut().zip(block.outer_iter()).enumerate() {
            let mut sum = PowerSum { power, at: 0 };
            match channel.to_slice() {
                Some(samples) => analyzer.push(samples, &mut sum),
                None => {
                    samples.clear();
                    samples.extend(&channel);
                    analyzer.push(samples, &mut sum);
                }
            }
            if *channels == Channels::Apart {
                hand_over(power, *n_bands, channel_idx, frame);
            }
        }
        hand_over(power, *n_bands, 0, frame);
    }

    /// Ends the recording, and hands over the frames that are left.
    pub(super) fn finish(mut self, frame: &mut impl FnMut(usize, &[f32])) {
        for (channel_idx, analyzer) in self.analyzers.into_iter().enumerate() {
            analyzer.finish(&mut PowerSum { power: &mut self.power, at: 0 });
            if self.channels == Channels::Apart {
                hand_over(&mut self.power, self.n_bands, channel_idx, frame);
            }
        }
        hand_over(&mut self.power, self.n_bands, 0, frame);
    }
}

fn hand_over(power: &mut Vec<f32>, n_bands: usize, idx: usize, frame: &mut impl FnMut(usize, &[f32])) {
    power.chunks(n_bands).for_each(|bins| frame(idx, bins));
    power.clear();
}

/// Adds one channel's frames to those of the channels before it.
struct PowerSum<'a> {
    power: &'a mut Vec<f32>,
    at: usize,
}

impl PowerSum<'_> {
    fn add(&mut self, frame: impl ExactSizeIterator<Item = f32>) {
        let end = self.at + frame.len();
        if self.power.len() < end {
            self.power.resize(end, 0.0);
        }
        self.power[self.at..end].iter_mut().zip(frame).for_each(|(sum, x)| *sum += x);
        self.at = end;
    }
}
