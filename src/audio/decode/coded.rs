//! Reads the formats whose samples are in packets: stream after stream where several are strung together, without what
//! encoders add at both ends of each.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::vec;

use super::fault::Fault;
use super::format::{Format, MAX_CHANNELS};
use super::kind::Kind;
use super::metadata;
use super::ogg::Damage;
use super::parts::{self, Part};
use super::section::Section;
use super::stream::{Stream, channel_mask, codec_name, open_container};
use crate::audio::tags::Tags;

/// The streams of an opened file.
pub(super) struct Coded {
    kind: Kind,
    file: File,
    /// Which sound track of each stream is read, counted from 1.
    audio_track: Option<usize>,
    stream: Stream,
    /// The streams after it.
    next: vec::IntoIter<Part>,
    /// Where the file stops being whole, and why.
    damage: Option<Damage>,
    /// Samples per channel handed out, and how many of them were of the streams before this one.
    n_samples: u64,
    n_before: u64,
    /// Samples that may turn out to be padding, interleaved.
    held: Vec<f32>,
}

impl Coded {
    /// What the file says of its sound: the first of its streams.
    pub(super) fn tags(&mut self) -> Tags {
        match self.kind {
            Kind::Mpeg | Kind::Adts => metadata::of_frames(&mut self.file),
            _ => self.stream.tags(),
        }
    }

    /// Opens a file of a known kind. `parts`: where its streams are, of WAV; `cut_off`: it is already known to end before
    /// its headers say.
    pub(super) fn open(
        kind: Kind,
        mut file: File,
        parts: Vec<Range<u64>>,
        cut_off: bool,
        audio_track: Option<usize>,
    ) -> Result<(Self, Format), Fault> {
        let found = parts::find(kind, &mut file, parts, cut_off)?;
        let is_cut_off = matches!(found.damage, Some((u64::MAX, Fault::CutOff { .. })));
        let n_parts = found.all.len();
        let (mut next, mut notes) = (found.all.into_iter(), found.notes);
        let first = next.next().ok_or_else(Fault::unknown)?;
        let reader = open_container(kind, Section::new(&file, first.ranges)?);
        let reader = reader.map_err(|fault| if is_cut_off { Fault::CutOff { n_samples: None } } else { fault })?;
        let stream = Stream::new(kind, reader, &first.says, audio_track, &mut notes)?;
        let n_channels = stream.channels.count();
        if n_channels == 0 || n_channels > MAX_CHANNELS {
            return Err(Fault::channels(n_channels));
        }
        let format = Format {
            container: kind.name(),
            codec: codec_name(stream.codec).into(),
            sample_rate: stream.sample_rate,
            n_channels,
            channel_mask: channel_mask(&stream.channels),
            n_samples: stream.promised.filter(|_| n_parts == 1),
            notes,
        };
        let (damage, held) = (found.damage, Vec::new());
        Ok((Self { kind, file, audio_track, stream, next, damage, n_samples: 0, n_before: 0, held }, format))
    }

    /// Appends the samples of the next packet, interleaved. `false`: there are none left.
    pub(super) fn next(&mut self, block: &mut Vec<f32>) -> Result<bool, Fault> {
        match self.next_whole(block) {
            Ok(true) => Ok(true),
            // What was found before is the cause of whatever came up now.
            Ok(false) => self.damage.take().map_or(Ok(false), |(_, fault)| Err(fault)),
            Err(fault) => Err(self.damage.take().map_or(fault, |(_, fault)| fault)),
        }
    }

    /// As [`Coded::next`], but ends in silence where the file is known to be damaged.
    fn next_whole(&mut self, block: &mut Vec<f32>) -> Result<bool, Fault> {
        let n_whole = self.damage.as_ref().map_or(u64::MAX, |&(at, _)| at.saturating_sub(self.n_samples));
        if n_whole == 0 {
            return Ok(false);
        }
        let n_of_stream = self.n_samples - self.n_before;
        let n_left = self.stream.trim.limit.map_or(u64::MAX, |limit| limit.saturating_sub(n_of_stream));
        if n_left == 0 || !self.stream.next()? {
            return match self.stream.promised {
                Some(promised) if n_of_stream < promised => {
                    Err(Fault::CutOff { n_samples: Some(self.n_before + promised) })
                }
                _ => self.start_next(),
            };
        }
        let Stream { decoded, channels, trim, .. } = &mut self.stream;
        let n_channels = channels.count();
        let n_decoded = (decoded.len() / n_channels) as u64;
        let n_dropped = n_decoded.min(trim.skip);
        trim.skip -= n_dropped;
        // At most the count of the decoded samples, so it fits.
        self.held.extend_from_slice(&decoded[n_dropped as usize * n_channels..]);

        // The padding is known by its length only, so as much as that is held back until more comes.
        let n_held = (self.held.len() / n_channels) as u64;
        let n_kept = n_held.saturating_sub(trim.padding).min(n_whole).min(n_left);
        block.extend(self.held.drain(..n_kept as usize * n_channels));
        self.n_samples += n_kept;
        Ok(true)
    }

    /// Goes on with the next of the streams; `false`: this was the last one.
    fn start_next(&mut self) -> Result<bool, Fault> {
        let Some(Part { ranges, says }) = self.next.next() else { return Ok(false) };
        let reader = open_container(self.kind, Section::new(&self.file, ranges)?)?;
        // What there is to choose from was told of the first one.
        let next = Stream::new(self.kind, reader, &says, self.audio_track, &mut Vec::new())?;
        self.stream.check_unchanged(next.sample_rate, next.channels.count())?;
        self.stream = next;
        self.n_before = self.n_samples;
        self.held.clear();
        Ok(true)
    }
}

impl fmt::Debug for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coded").field("kind", &self.kind).field("n_samples", &self.n_samples).finish_non_exhaustive()
    }
}
