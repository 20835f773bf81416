//! Several recordings as one: a session in which each microphone has a file of its own.
//! Reads them side by side; knows no format.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use ndarray::{Array2, ArrayView2, s};

use super::Recording;
use crate::{Error, Result};

/// Blocks of a recording that wait to be taken at the most.
const N_WAITING: usize = 2;

/// Recordings of one sample rate as one, with the channels of all of them in order. It lasts as long as the longest:
/// silence follows the others.
///
/// # Examples
/// ```
/// use partita::audio::{Audio, Recording, gathered::Gathered};
/// let kick = Audio::new(ndarray::Array2::ones((1, 10)), 8000)?;
/// let rooms = Audio::new(ndarray::Array2::ones((2, 12)), 8000)?;
/// let session = Gathered::new(vec![kick, rooms])?.with_delays(vec![3, 0]);
/// assert_eq!((session.n_channels(), session.n_samples_hint()), (3, Some(13)));
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug)]
pub struct Gathered<R> {
    recordings: Vec<R>,
    /// Samples of silence before each.
    delays: Vec<u64>,
}

impl<R: Recording + Sync> Gathered<R> {
    /// Puts recordings side by side.
    ///
    /// # Errors
    /// [`Error::OtherRecording`] where they differ in their sample rates, [`Error::Setting`] without any.
    pub fn new(recordings: Vec<R>) -> Result<Self> {
        let Some(first) = recordings.first() else {
            let expected = "at least 1".into();
            return Err(Error::Setting { name: "recordings", got: "0".into(), expected, advice: None });
        };
        let rate = |recording: &R| format!("{} Hz", recording.sample_rate());
        let (expected, other) = (rate(first), recordings.iter().map(rate).find(|got| *got != rate(first)));
        match other {
            Some(got) => Err(Error::OtherRecording { got, expected }),
            None => Ok(Self { delays: vec![0; recordings.len()], recordings }),
        }
    }

    /// With so many samples of silence before each of them; those that are not named begin at once.
    #[must_use]
    pub fn with_delays(mut self, delays: Vec<u64>) -> Self {
        self.delays.iter_mut().zip(delays).for_each(|(delay, wanted)| *delay = wanted);
        self
    }

    /// The samples in which the recording of a channel lasts, as far as its length is known: after its delay, and before
    /// the silence that follows it. Those of no recording, where there is no such channel.
    pub fn extent_of(&self, channel: usize) -> Range<u64> {
        let mut n_before = 0;
        for (recording, delay) in self.recordings.iter().zip(&self.delays) {
            n_before += recording.n_channels();
            if channel < n_before {
                return *delay
                    ..recording.n_samples_hint().map_or(u64::MAX, |n_samples| delay.saturating_add(n_samples));
            }
        }
        0..0
    }

    /// The recordings, in order.
    pub fn recordings(&self) -> &[R] {
        &self.recordings
    }
}

impl<R: Recording + Sync> Recording for Gathered<R> {
    fn sample_rate(&self) -> u32 {
        self.recordings[0].sample_rate()
    }

    fn n_channels(&self) -> usize {
        self.recordings.iter().map(Recording::n_channels).sum()
    }

    /// That of a recording by itself; which speakers several together are for, nobody knows.
    fn channel_mask(&self) -> Option<u32> {
        if let [one] = &self.recordings[..] { one.channel_mask() } else { None }
    }

    fn n_samples_hint(&self) -> Option<u64> {
        let ends = self
            .recordings
            .iter()
            .zip(&self.delays)
            .map(|(recording, delay)| Some(recording.n_samples_hint()?.saturating_add(*delay)));
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    fn start_s(&self) -> f64 {
        self.recordings[0].start_s()
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        if let ([one], [0]) = (&self.recordings[..], &self.delays[..]) {
            return one.read(sink);
        }
        // Each is read by a thread of its own, since a recording gives its samples at its own pace.
        thread::scope(|scope| {
            let mut streams: Vec<Stream> = Vec::with_capacity(self.recordings.len());
            for (recording, delay) in self.recordings.iter().zip(&self.delays) {
                let (sender, blocks) = sync_channel(N_WAITING);
                scope.spawn(move || {
                    let read = recording.read(&mut |block| {
                        // Nobody takes more: the work has ended.
                        sender.send(Ok(block.to_owned())).map_err(|_| Error::Cancelled)
                    });
                    if let Err(error) = read {
                        drop(sender.send(Err(error)));
                    }
                });
                let pending = Array2::zeros((recording.n_channels(), 0));
                streams.push(Stream { blocks, n_silent: *delay, pending, n_taken: 0, is_over: false });
            }
            loop {
                for stream in &mut streams {
                    stream.fill()?;
                }
                let n_samples = streams.iter().filter_map(Stream::n_ready).min();
                let Some(n_samples) = n_samples else { return Ok(()) };
                let mut all = Array2::zeros((self.n_channels(), n_samples));
                let mut first = 0;
                for stream in &mut streams {
                    let channels = first..first + stream.pending.nrows();
                    first = channels.end;
                    stream.take(all.slice_mut(s![channels, ..]));
                }
                sink(all.view())?;
            }
        })
    }
}

/// One recording as its samples come in.
struct Stream {
    blocks: Receiver<Result<Array2<f32>>>,
    /// Samples of silence that are yet to come.
    n_silent: u64,
    /// The block at hand.
    pending: Array2<f32>,
    n_taken: usize,
    is_over: bool,
}

impl Stream {
    /// Waits for samples where none are at hand.
    fn fill(&mut self) -> Result<()> {
        while self.n_silent == 0 && !self.is_over && self.n_taken == self.pending.ncols() {
            match self.blocks.recv() {
                Ok(block) => (self.pending, self.n_taken) = (block?, 0),
                Err(_) => self.is_over = true,
            }
        }
        Ok(())
    }

    /// Samples at hand; none once it is over.
    fn n_ready(&self) -> Option<usize> {
        match (self.n_silent, self.is_over) {
            (0, true) => None,
            (0, false) => Some(self.pending.ncols() - self.n_taken),
            (n_silent, _) => Some(usize::try_from(n_silent).unwrap_or(usize::MAX).min(super::BLOCK_SAMPLES)),
        }
    }

    /// Hands out samples; silence stays where there are none.
    fn take(&mut self, mut to: ndarray::ArrayViewMut2<'_, f32>) {
        let n_samples = to.ncols();
        if self.n_silent > 0 {
            self.n_silent -= n_samples as u64;
        } else if !self.is_over {
            to.assign(&self.pending.slice(s![.., self.n_taken..self.n_taken + n_samples]));
            self.n_taken += n_samples;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Audio;

    fn ramp(n_channels: usize, n_samples: usize) -> Audio {
        let samples = Array2::from_shape_fn((n_channels, n_samples), |(c, i)| (c * 1_000_000 + i + 1) as f32);
        Audio::new(samples, 8000).expect("audio")
    }

    fn read(recording: &dyn Recording) -> Vec<Vec<f32>> {
        let mut channels = vec![Vec::new(); recording.n_channels()];
        let mut take = |block: ArrayView2<'_, f32>| {
            channels.iter_mut().zip(block.outer_iter()).for_each(|(all, more)| all.extend(more));
            Ok(())
        };
        recording.read(&mut take).expect("read");
        channels
    }

    #[test]
    fn channels_stand_side_by_side_and_silence_follows_the_shorter_ones() {
        let (long, short) = (ramp(1, 200_000), ramp(2, 70_000));
        let session = Gathered::new(vec![long.clone(), short.clone()]).expect("one rate");
        let channels = read(&session);
        assert_eq!(channels[0], long.channel(0).to_vec());
        for (i, channel) in channels[1..].iter().enumerate() {
            assert_eq!(channel[..70_000], short.channel(i).to_vec(), "channel {i}");
            assert_eq!(channel[70_000..], [0.0; 130_000], "channel {i}");
        }
    }

    #[test]
    fn one_by_itself_is_as_it_is() {
        let one = ramp(2, 70_000).with_channel_mask(Some(3));
        let alone = Gathered::new(vec![one.clone()]).expect("one");
        assert_eq!(read(&alone), read(&one));
        assert_eq!((alone.channel_mask(), alone.n_samples_hint()), (Some(3), Some(70_000)));
    }

    #[test]
    fn one_that_is_late_is_preceded_by_silence() {
        let session = Gathered::new(vec![ramp(1, 100), ramp(1, 10)]).expect("one rate").with_delays(vec![0, 95]);
        let channels = read(&session);
        assert_eq!((channels[0].len(), session.n_samples_hint()), (105, Some(105)));
        assert_eq!(channels[1][95..], ramp(1, 10).channel(0).to_vec());
        assert_eq!((channels[1][94], channels[0][100]), (0.0, 0.0));
        assert_eq!([0, 1, 2].map(|channel| session.extent_of(channel)), [0..100, 95..105, 0..0]);
    }

    #[test]
    fn another_rate_is_refused_and_an_early_end_ends_all() {
        let other = Audio::new(Array2::zeros((1, 5)), 44_100).expect("audio");
        let refused = Gathered::new(vec![ramp(1, 5), other]).expect_err("another rate");
        assert!(matches!(refused, Error::OtherRecording { .. }), "{refused}");
        let session = Gathered::new(vec![ramp(1, 1_000_000), ramp(1, 1_000_000)]).expect("one rate");
        let mut n_blocks = 0;
        let ended = session.read(&mut |_| {
            n_blocks += 1;
            Err(Error::Cancelled)
        });
        assert!(matches!(ended, Err(Error::Cancelled)) && n_blocks == 1);
    }
}
