//! The recordings of one track, read side by side.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ndarray::{Array2, ArrayView2, Axis, s};
use partita::Result;
use partita::audio::decode::Reader;
use partita::error::shown;
use partita::eval::{Quantity, Signals};

use crate::cli::failure::Failure;
use crate::cli::sound;
use crate::cli::terminal::Terminal;

/// Recordings that belong together.
pub(super) struct Track {
    /// The folder, below those that were given; empty where these hold the recordings themselves.
    pub(super) name: String,
    pub(super) references: Vec<Stem>,
    /// In the order of the references, unless the best match is looked for.
    pub(super) estimates: Vec<Stem>,
    pub(super) mixture: Option<PathBuf>,
}

/// A recording and its name without the ending.
pub(super) struct Stem {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Stem {
    pub(super) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Files of a track, read side by side.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    n_references: usize,
    n_estimates: usize,
    has_mixture: bool,
    sample_rate: u32,
    n_channels: usize,
    n_samples_hint: Option<u64>,
    /// Whether all end where the shortest does, else they have to be of one length.
    trim: bool,
    /// Samples per channel of each, once they turned out to differ.
    lengths: OnceLock<Vec<u64>>,
}

/// Samples per channel that are read at once.
const BLOCK: usize = 1 << 13;

impl Files {
    pub(super) fn new(track: &Track, trim: bool, terminal: &Terminal) -> std::result::Result<Self, Failure> {
        let stems = track.references.iter().chain(&track.estimates).map(|stem| stem.path.clone());
        let mut files = Self {
            paths: stems.chain(track.mixture.clone()).collect(),
            n_references: track.references.len(),
            n_estimates: track.estimates.len(),
            has_mixture: track.mixture.is_some(),
            sample_rate: 0,
            n_channels: 0,
            n_samples_hint: None,
            trim,
            lengths: OnceLock::new(),
        };
        let readers = files.open()?;
        if let Some(first) = readers.first() {
            files.sample_rate = first.sample_rate();
            files.n_channels = first.n_channels();
            files.n_samples_hint = first.n_samples_hint();
        }
        for (k, reader) in readers.iter().enumerate() {
            sound::warn(&shown(&files.paths[k]), reader.notes(), terminal);
            let (rate, channels) = (u64::from(reader.sample_rate()), reader.n_channels() as u64);
            files.check(Quantity::SampleRate, k, rate, u64::from(files.sample_rate))?;
            files.check(Quantity::Channels, k, channels, files.n_channels as u64)?;
        }
        Ok(files)
    }

    /// What of which files was left out, in samples per channel, after they were read.
    pub(super) fn trimmed(&self) -> Vec<(&Path, u64)> {
        let lengths = self.lengths.get().map_or(&[][..], Vec::as_slice);
        let shortest = lengths.iter().copied().min().unwrap_or(0);
        let longer = self.paths.iter().zip(lengths).filter(|(_, length)| **length > shortest);
        longer.map(|(path, length)| (&**path, length - shortest)).collect()
    }

    fn open(&self) -> Result<Vec<Reader>> {
        self.paths.iter().map(|path| Reader::open(path)).collect()
    }

    /// Refuses a file that differs from the first.
    fn check(&self, quantity: Quantity, k: usize, got: u64, expected: u64) -> Result<()> {
        let name = |k: usize| shown(&self.paths[k]);
        quantity.check((&name(k), got), (&name(0), expected))
    }
}

impl Signals for Files {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn n_channels(&self) -> usize {
        self.n_channels
    }

    fn n_references(&self) -> usize {
        self.n_references
    }

    fn n_estimates(&self) -> usize {
        self.n_estimates
    }

    fn n_samples_hint(&self) -> Option<u64> {
        self.n_samples_hint
    }

    fn has_mixture(&self) -> bool {
        self.has_mixture
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        let mut readers = self.open()?;
        let mut n_read = 0u64;
        let mut rows = Array2::zeros((readers.len() * self.n_channels, BLOCK));
        loop {
            let blocks: Vec<Array2<f32>> = readers.iter_mut().map(|r| r.read(BLOCK)).collect::<Result<_>>()?;
            let n_samples = blocks.iter().map(Array2::ncols).min().unwrap_or(0);
            let differ = blocks.iter().any(|block| block.ncols() != n_samples);
            if differ && self.lengths.get().is_none() {
                // To say how long each of them is, they are read to their ends.
                let mut lengths = Vec::new();
                for (reader, block) in readers.iter_mut().zip(&blocks) {
                    lengths.push(n_read + block.ncols() as u64 + reader.skip(u64::MAX)?);
                }
                if !self.trim {
                    let first = lengths.first().copied().unwrap_or(0);
                    for (k, length) in lengths.iter().enumerate() {
                        self.check(Quantity::Samples, k, *length, first)?;
                    }
                }
                self.lengths.get_or_init(|| lengths);
            }
            if n_samples > 0 {
                n_read += n_samples as u64;
                let mut rows = rows.slice_mut(s![.., ..n_samples]);
                for (block, mut rows) in blocks.iter().zip(rows.axis_chunks_iter_mut(Axis(0), self.n_channels)) {
                    rows.assign(&block.slice(s![.., ..n_samples]));
                }
                sink(rows.view())?;
            }
            if n_samples == 0 || differ {
                return Ok(());
            }
        }
    }
}
