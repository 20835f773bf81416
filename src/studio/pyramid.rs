//! All tiles and outlines of a recording and of its stems: coarse ones of the recording are made while it is decoded and
//! kept, all others when they are asked for.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, s};

use super::tiles::{self, COLUMNS, Grid, ROWS, Scale};
use crate::audio::Recording;
use crate::audio::spool::Spool;
use crate::separate::{AnalysisConfig, Separation, Stems};
use crate::stft::Stft;
use crate::{Error, Result};

/// The finest level that is made of the whole recording: 8 frames in a column.
const BASE: u32 = 3;

/// The lowest level of which tiles of stems are sketched first: 256 frames in a column.
const SKETCHED: u32 = 8;

/// Frames of each column that a sketch looks at.
const SKETCH_FRAMES: usize = 64;

/// Frames that are transformed at once.
const BATCH: usize = 256;

/// Bytes of tiles that are kept for the next time they are asked for.
const CACHE_BYTES: usize = 96 << 20;

/// The highest level: more frames in a column than any recording has.
pub(super) const MAX_LEVEL: u32 = 40;

/// Looks at a recording while it is decoded.
#[derive(Debug)]
pub(super) struct Scan {
    grid: Grid,
    n_channels: usize,
    /// Samples from the frame `first` on, of each channel.
    pending: Vec<Vec<f32>>,
    first: usize,
    next: usize,
    n_samples: usize,
    /// Columns of the level [`BASE`].
    log: Vec<u8>,
    linear: Vec<u8>,
    outline: Outline,
}

/// Least and largest sample in each hop, over all channels.
#[derive(Debug)]
struct Outline {
    hop_length: usize,
    n_samples: usize,
    extremes: Vec<(f32, f32)>,
}

impl Outline {
    fn new(hop_length: usize) -> Self {
        Self { hop_length, n_samples: 0, extremes: Vec::new() }
    }

    fn push(&mut self, block: ArrayView2<'_, f32>) {
        let mut start = 0;
        while start < block.ncols() {
            let within = self.n_samples % self.hop_length;
            if within == 0 {
                self.extremes.push((f32::INFINITY, f32::NEG_INFINITY));
            }
            let n = (self.hop_length - within).min(block.ncols() - start);
            if let Some((least, largest)) = self.extremes.last_mut() {
                for x in block.slice(s![.., start..start + n]) {
                    (*least, *largest) = (least.min(*x), largest.max(*x));
                }
            }
            (start, self.n_samples) = (start + n, self.n_samples + n);
        }
    }

    /// Two bytes for each hop; 128 is 0, and 1 and 255 are full scale.
    fn bytes(&self) -> Vec<[u8; 2]> {
        let byte = |x: f32| (128.0 + (127.0 * x).round().clamp(-127.0, 127.0)) as u8;
        self.extremes.iter().map(|(least, largest)| [byte(*least), byte(*largest)]).collect()
    }
}

impl Scan {
    /// # Errors
    /// Those of [`Stft::new`].
    pub(super) fn new(sample_rate: u32, n_channels: usize) -> Result<Self> {
        let stft = Stft::new(AnalysisConfig::default().transform(sample_rate))?;
        let hop_length = stft.config().hop_length;
        Ok(Self {
            grid: Grid::new(stft, sample_rate, n_channels),
            n_channels,
            pending: vec![Vec::new(); n_channels],
            first: 0,
            next: 0,
            n_samples: 0,
            log: Vec::new(),
            linear: Vec::new(),
            outline: Outline::new(hop_length),
        })
    }

    /// Takes the next samples.
    pub(super) fn push(&mut self, block: ArrayView2<'_, f32>) {
        self.outline.push(block);
        self.n_samples += block.ncols();
        self.pending.iter_mut().zip(block.outer_iter()).for_each(|(all, channel)| all.extend(channel));
        let (hop_length, half) = (self.grid.stft().config().hop_length, self.grid.stft().config().n_fft / 2);
        // The last frame of a batch reaches so far.
        while self.n_samples >= (self.next + BATCH) * hop_length + half {
            self.take(BATCH);
        }
    }

    fn take(&mut self, n_frames: usize) {
        let n_pending = self.pending.first().map_or(0, Vec::len);
        let samples = self.pending.concat();
        let signal = ArrayView2::from_shape((self.n_channels, n_pending), &samples).expect("channels of one length");
        let powers = self.grid.powers(signal, self.next - self.first, n_frames, 1 << BASE);
        self.log.extend(self.grid.bytes(powers.view(), Scale::Log));
        self.linear.extend(self.grid.bytes(powers.view(), Scale::Linear));
        self.next += n_frames;
        let config = self.grid.stft().config();
        let first = self.next.saturating_sub((config.n_fft / 2).div_ceil(config.hop_length));
        let n_gone = ((first - self.first) * config.hop_length).min(n_pending);
        self.pending.iter_mut().for_each(|channel| drop(channel.drain(..n_gone)));
        self.first = first;
    }

    /// Ends the recording.
    pub(super) fn finish(mut self) -> Pyramid {
        let n_frames = self.grid.stft().config().n_frames(self.n_samples);
        while self.next < n_frames {
            self.take(BATCH.min(n_frames - self.next));
        }
        Pyramid {
            n_frames,
            n_samples: self.n_samples,
            log: self.log,
            linear: self.linear,
            outline: self.outline.bytes(),
            grid: self.grid,
            cache: Mutex::default(),
            making: Mutex::default(),
        }
    }
}

/// All tiles and outlines of a recording and of its stems.
#[derive(Debug)]
pub(super) struct Pyramid {
    grid: Grid,
    n_frames: usize,
    n_samples: usize,
    log: Vec<u8>,
    linear: Vec<u8>,
    outline: Vec<[u8; 2]>,
    cache: Mutex<Cache>,
    /// Held while something is made, so that nothing is made twice, and all cores work on one thing.
    making: Mutex<()>,
}

/// Whose stems: a fit and its number.
pub(super) type Of<'a> = (u32, &'a Separation);

/// Which tile: of the recording (track 0) or a stem of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) track: usize,
    pub(super) level: u32,
    pub(super) index: usize,
    pub(super) scale: Scale,
}

/// What is kept: tiles of a fit (0 where it is of the recording), and outlines of its stems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Tile(u32, Place),
    Sketch(u32, Place),
    Outlines(u32, usize),
}

type Bytes = Arc<Vec<u8>>;

#[derive(Debug, Default)]
struct Cache {
    found: HashMap<Key, Bytes>,
    order: VecDeque<Key>,
    n_bytes: usize,
}

impl Cache {
    fn insert(&mut self, key: Key, bytes: Bytes) {
        self.n_bytes += bytes.len();
        if let Some(old) = self.found.insert(key, bytes) {
            self.n_bytes -= old.len();
        } else {
            self.order.push_back(key);
        }
        while self.n_bytes > CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.n_bytes -= self.found.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }
}

impl Pyramid {
    pub(super) fn hop_length(&self) -> usize {
        self.grid.stft().config().hop_length
    }

    pub(super) fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// Tiles of a level.
    fn n_tiles(&self, level: u32) -> usize {
        self.n_frames.div_ceil(COLUMNS << level)
    }

    /// The bytes of a tile; `None` where there is none.
    ///
    /// # Errors
    /// Those of the recording and of the separation.
    pub(super) fn tile(&self, recording: &Spool, of: Option<Of<'_>>, place: Place) -> Result<Option<Bytes>> {
        if place.level > MAX_LEVEL || place.index >= self.n_tiles(place.level) {
            return Ok(None);
        }
        let key = Key::Tile(of.map_or(0, |(fit, _)| fit), place);
        if let Some(found) = self.kept(&key) {
            return Ok(Some(found));
        }
        if place.level > BASE {
            let child = |index| self.tile(recording, of, Place { level: place.level - 1, index, ..place });
            let first = child(2 * place.index)?.unwrap_or_default();
            let second = child(2 * place.index + 1)?.unwrap_or_default();
            return Ok(Some(self.keep(key, tiles::join(&first, &second))));
        }
        // Only here, so that a tile of a few frames is not behind one of a whole hour.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.make(recording, of, place).map(Some)
    }

    /// A tile of a stem as it may be, before all of it is known: the recording's own, with the share of the stem in some
    /// frames of each column. Only of levels where that is much less work; `None` elsewhere, and where the tile is there.
    ///
    /// # Errors
    /// Those of the recording and of the separation.
    pub(super) fn sketch(&self, recording: &Spool, (fit, separation): Of<'_>, place: Place) -> Result<Option<Bytes>> {
        let is_wanted = (SKETCHED..=MAX_LEVEL).contains(&place.level) && place.track > 0;
        if !is_wanted || place.index >= self.n_tiles(place.level) || self.kept(&Key::Tile(fit, place)).is_some() {
            return Ok(None);
        }
        let key = Key::Sketch(fit, place);
        if let Some(found) = self.kept(&key) {
            return Ok(Some(found));
        }
        let Some(mixture) = self.tile(recording, None, Place { track: 0, ..place })? else { return Ok(None) };
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.kept(&key) {
            return Ok(Some(found));
        }
        let n_stems = separation.names().len();
        let mut stems = vec![vec![0; COLUMNS * ROWS]; n_stems];
        let span = 1 << place.level;
        for (column, all) in mixture.chunks_exact(ROWS).enumerate() {
            let start = (place.index * COLUMNS + column) * span;
            // On the grid of blocks that stems are made in.
            let first = (start + (span.min(self.n_frames.saturating_sub(start)) / 2)) / SKETCH_FRAMES * SKETCH_FRAMES;
            let frames = first..(first + SKETCH_FRAMES).min(self.n_frames);
            if start >= self.n_frames || frames.is_empty() {
                break;
            }
            let column_of = |powers: &Array2<f32>| self.grid.bytes(powers.view(), place.scale);
            let before = column_of(&self.powers(recording, frames.clone(), SKETCH_FRAMES)?);
            let powers = self.stem_powers(recording, separation, frames, SKETCH_FRAMES)?;
            for (stem, powers) in stems.iter_mut().zip(&powers) {
                let own = column_of(powers);
                let cells = stem[column * ROWS..][..ROWS].iter_mut().zip(all);
                cells.zip(own.iter().zip(&before)).for_each(|((cell, all), (own, before))| {
                    *cell = all.saturating_sub(before.saturating_sub(*own));
                });
            }
        }
        let keep = |(stem, bytes)| self.keep(Key::Sketch(fit, Place { track: stem + 1, ..place }), bytes);
        let made: Vec<_> = stems.into_iter().enumerate().map(keep).collect();
        Ok(made.get(place.track - 1).cloned())
    }

    fn kept(&self, key: &Key) -> Option<Bytes> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).found.get(key).cloned()
    }

    fn keep(&self, key: Key, bytes: Vec<u8>) -> Bytes {
        let bytes = Arc::new(bytes);
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(key, bytes.clone());
        bytes
    }

    /// Makes a tile that is not joined from others.
    fn make(&self, recording: &Spool, of: Option<Of<'_>>, place: Place) -> Result<Bytes> {
        let fit = of.map_or(0, |(fit, _)| fit);
        if let Some(found) = self.kept(&Key::Tile(fit, place)) {
            return Ok(found);
        }
        let is_mixture = place.track == 0;
        if is_mixture && place.level == BASE {
            let all = if place.scale == Scale::Log { &self.log } else { &self.linear };
            let start = place.index * COLUMNS * ROWS;
            return Ok(Arc::new(whole(all[start..all.len().min(start + COLUMNS * ROWS)].to_vec())));
        }
        let start = place.index * (COLUMNS << place.level);
        let frames = start..(start + (COLUMNS << place.level)).min(self.n_frames);
        let per_column = 1 << place.level;
        let bytes = |powers: &Array2<f32>| whole(self.grid.bytes(powers.view(), place.scale));
        match of.filter(|_| !is_mixture) {
            None => {
                let make = |batch| Ok(vec![self.powers(recording, batch, per_column)?]);
                let powers = self.in_batches(frames, per_column, 1, make)?;
                Ok(self.keep(Key::Tile(fit, place), bytes(&powers[0])))
            }
            Some((fit, separation)) => {
                let n_stems = separation.names().len();
                let powers = self.in_batches(frames, per_column, n_stems, |batch| {
                    self.stem_powers(recording, separation, batch, per_column)
                })?;
                // All stems come together.
                let keep =
                    |(stem, powers)| self.keep(Key::Tile(fit, Place { track: stem + 1, ..place }), bytes(powers));
                let made: Vec<_> = powers.iter().enumerate().map(keep).collect();
                Ok(made.get(place.track - 1).cloned().unwrap_or_default())
            }
        }
    }

    /// Powers of some tracks, made in batches of frames, each of whole columns.
    fn in_batches(
        &self,
        frames: Range<usize>,
        per_column: usize,
        n_tracks: usize,
        mut make: impl FnMut(Range<usize>) -> Result<Vec<Array2<f32>>>,
    ) -> Result<Vec<Array2<f32>>> {
        let shape = (frames.len().div_ceil(per_column), self.grid.stft().config().n_bins());
        let mut all = vec![Array2::zeros(shape); n_tracks];
        for start in frames.clone().step_by(BATCH) {
            let batch = start..(start + BATCH).min(frames.end);
            let column = (start - frames.start) / per_column;
            for (all, part) in all.iter_mut().zip(make(batch)?) {
                all.slice_mut(s![column..column + part.nrows(), ..]).assign(&part);
            }
        }
        Ok(all)
    }

    /// The samples that some frames of the recording lie in, from a frame on, and the first of them counted from there.
    fn around(&self, frames: &Range<usize>) -> (Range<usize>, usize) {
        let config = self.grid.stft().config();
        let first = frames.start.saturating_sub((config.n_fft / 2).div_ceil(config.hop_length));
        let end = (frames.end * config.hop_length + config.n_fft / 2).min(self.n_samples);
        (first * config.hop_length..end.max(first * config.hop_length), frames.start - first)
    }

    /// Power in columns of so many frames, summed over channels.
    ///
    /// # Errors
    /// Those of the recording.
    pub(super) fn powers(&self, recording: &Spool, frames: Range<usize>, per_column: usize) -> Result<Array2<f32>> {
        let (samples, first) = self.around(&frames);
        let mut signal = Array2::zeros((recording.n_channels(), samples.len()));
        let mut start = 0;
        recording.read_range(samples.start as u64..samples.end as u64, &mut |block| {
            signal.slice_mut(s![.., start..start + block.ncols()]).assign(&block);
            start += block.ncols();
            Ok(())
        })?;
        Ok(self.grid.powers(signal.view(), first, frames.len(), per_column))
    }

    /// The recording under the mask of each stem, or the stems themselves where they were made in another transform or
    /// are heard in one channel.
    fn stem_powers(
        &self,
        recording: &Spool,
        separation: &Separation,
        frames: Range<usize>,
        per_column: usize,
    ) -> Result<Vec<Array2<f32>>> {
        let n_channels = separation.n_stem_channels();
        if separation.stft().config() == self.grid.stft().config() && n_channels == recording.n_channels() {
            let mixture = self.powers(recording, frames.clone(), 1)?;
            let shape = (frames.len().div_ceil(per_column), mixture.ncols());
            let under = |mask: &Array2<f32>| {
                let mut powers = Array2::zeros(shape);
                tiles::add_power(&mut powers, mask.view(), per_column, |at, m: f32| m * m * mixture[at]);
                powers
            };
            return Ok(separation.masks(recording, frames)?.iter().map(under).collect());
        }
        let (samples, first) = self.around(&frames);
        let mut stems = vec![Array2::zeros((n_channels, samples.len())); separation.names().len()];
        let mut start = 0;
        separation.render_range(recording, &Stems::All, samples, &mut |blocks| {
            let range = start..start + blocks[0].ncols();
            stems.iter_mut().zip(blocks).for_each(|(stem, block)| stem.slice_mut(s![.., range.clone()]).assign(block));
            start = range.end;
            Ok(())
        })?;
        // Tiles are of the mean over the recording's channels.
        let share = recording.n_channels() as f32 / n_channels as f32;
        let powers = |stem: &Array2<f32>| self.grid.powers(stem.view(), first, frames.len(), per_column) * share;
        Ok(stems.iter().map(powers).collect())
    }

    /// Least and largest sample in each column, two bytes for each; `None` where there is no such tile.
    ///
    /// # Errors
    /// Those of the recording and of the separation.
    pub(super) fn peaks(
        &self,
        recording: &Spool,
        of: Option<Of<'_>>,
        track: usize,
        level: u32,
        index: usize,
    ) -> Result<Option<Vec<u8>>> {
        if level > MAX_LEVEL || index >= self.n_tiles(level) {
            return Ok(None);
        }
        let hops = index * (COLUMNS << level)..((index + 1) * (COLUMNS << level)).min(self.outline.len());
        let hops = hops.start.min(hops.end)..hops.end;
        let of_stem = |(fit, separation): Of<'_>| -> Result<Vec<[u8; 2]>> {
            let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            let span = COLUMNS << BASE;
            let mut all = Vec::new();
            for chunk in hops.start / span..hops.end.div_ceil(span) {
                let outlines = self.outlines(recording, fit, separation, chunk)?;
                let n_hops = outlines.len() / 2 / separation.names().len().max(1);
                let stem = outlines.get(2 * (track - 1) * n_hops..2 * track * n_hops).unwrap_or_default();
                let wanted = hops.start.max(chunk * span) - chunk * span..(hops.end - chunk * span).min(n_hops);
                all.extend(stem.chunks_exact(2).map(|pair| [pair[0], pair[1]]).skip(wanted.start).take(wanted.len()));
            }
            Ok(all)
        };
        let extremes = match of.filter(|_| track > 0) {
            None => self.outline[hops].to_vec(),
            Some(of) => of_stem(of)?,
        };
        let joined = extremes.chunks(1 << level.min(30)).flat_map(|column| {
            let least = column.iter().map(|pair| pair[0]).min().unwrap_or(128);
            [least, column.iter().map(|pair| pair[1]).max().unwrap_or(128)]
        });
        let mut bytes: Vec<u8> = joined.collect();
        bytes.resize(2 * COLUMNS, 128);
        Ok(Some(bytes))
    }

    /// Outlines of all stems in a part of the recording, one after the other.
    fn outlines(&self, recording: &Spool, fit: u32, separation: &Separation, chunk: usize) -> Result<Bytes> {
        let key = Key::Outlines(fit, chunk);
        if let Some(found) = self.kept(&key) {
            return Ok(found);
        }
        let span = (COLUMNS << BASE) * self.hop_length();
        let samples = chunk * span..((chunk + 1) * span).min(self.n_samples);
        let mut outlines: Vec<_> = separation.names().iter().map(|_| Outline::new(self.hop_length())).collect();
        separation.render_range(recording, &Stems::All, samples, &mut |blocks| {
            outlines.iter_mut().zip(blocks).for_each(|(outline, block)| outline.push(block.view()));
            Ok::<_, Error>(())
        })?;
        Ok(self.keep(key, outlines.iter().flat_map(|outline| outline.bytes().concat()).collect()))
    }
}

/// A tile of full size; what is beyond the end of the recording is silent.
fn whole(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(COLUMNS * ROWS, 0);
    bytes
}
