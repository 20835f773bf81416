//! Tracks to parts: which notes one instrument plays, what it is called, and which are drums.
//! Knows no bytes; names are decoded.

use std::collections::{BTreeMap, BTreeSet};

use super::instrument::{self, Class};
use super::track::{Clock, DRUM_CHANNEL, Line, Track};
use super::{MidiConfig, Note, Part, Warning};
use crate::{Error, Result, names};

/// Parts of one score: each becomes a file.
const MAX_PARTS: usize = 256;

/// What a track of several channels is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// All there is: each channel is a part.
    WholePiece,
    /// An instrument, where it has a name.
    Instrument,
}

/// The parts of all tracks; drums of one name are put together.
pub(super) fn parts(
    tracks: &[Track],
    layout: Layout,
    config: &MidiConfig,
    programs: &BTreeMap<u8, u8>,
    clock: &Clock,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Part>> {
    let mut found = Found { parts: Vec::new(), n_open: 0, clock, programs };
    let mut drum_tracks = DrumTracks::new(config, tracks);
    let n_pitched = tracks.iter().filter(|track| track.lines().any(|(channel, _)| channel != DRUM_CHANNEL)).count();
    for track in tracks {
        let name = track.name.as_deref();
        let n_lines = track.lines().count();
        if n_lines == 0 {
            // The first track of many files only names the piece; where it also has a channel, notes were meant.
            if let Some(name) = name.filter(|_| !track.lines.is_empty()) {
                warnings.push(Warning::EmptyTrack { name: name.to_owned() });
            }
            continue;
        }
        let are_all_drums = drum_tracks.take(track);
        let is_drum = |channel: u8| are_all_drums || channel == DRUM_CHANNEL;
        let pitched: Vec<_> = track.lines().filter(|(channel, _)| !is_drum(*channel)).collect();
        let is_one = pitched.len() < 2
            || layout == Layout::Instrument && name.is_some_and(|name| n_pitched > 1 || found.are_one(name, &pitched));
        // The name of a track that has several parts is that of the piece.
        let own_name = name.filter(|_| n_lines == 1 || layout == Layout::Instrument && is_one);
        for (_, line) in track.lines().filter(|(channel, _)| is_drum(*channel)) {
            found.add_drums(track, line, own_name.filter(|_| pitched.is_empty()))?;
        }
        for lines in if is_one { vec![&pitched[..]] } else { pitched.chunks(1).collect() } {
            let Some((channel, first)) = lines.first() else { continue };
            let program = found.program(*channel, first);
            let by_program = || program.and_then(instrument::program).map(|(name, _)| name.to_owned());
            let name = own_name.map(str::to_owned).or_else(by_program);
            let name = name.unwrap_or_else(|| format!("channel-{}", channel + 1));
            if !are_all_drums && drum_tracks.take_part(&name) {
                for (_, line) in lines {
                    found.add_drums(track, line, None)?;
                }
                continue;
            }
            let part = found.part(name, own_name, program, track, lines)?;
            if looks_like_drums(&part, own_name) {
                warnings.push(Warning::LikeDrums { name: part.name.clone() });
            }
            found.parts.push(part);
        }
        if found.parts.len() > MAX_PARTS {
            return Err(Error::MalformedScore { reason: format!("it has more than {MAX_PARTS} parts") });
        }
    }
    drum_tracks.check(tracks)?;
    let Found { mut parts, n_open, .. } = found;
    // Once, at the end: the same drum may come from thousands of tracks. Stable: hits at one time keep their order.
    for part in parts.iter_mut().filter(|part| part.is_drum) {
        part.notes.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
    }
    if n_open > 0 {
        warnings.push(Warning::MissingNoteOffs { n_notes: n_open });
    }
    number_equal_names(&mut parts);
    Ok(parts)
}

/// The parts so far.
struct Found<'a> {
    parts: Vec<Part>,
    /// Notes that never end.
    n_open: usize,
    clock: &'a Clock,
    /// The first program of each channel, in any track.
    programs: &'a BTreeMap<u8, u8>,
}

impl Found<'_> {
    fn program(&self, channel: u8, line: &Line) -> Option<u8> {
        line.program.or_else(|| self.programs.get(&channel).copied())
    }

    /// Whether the channels of the only track with notes are one instrument: they play with one program, or those of one
    /// family where the name is that of an instrument. Else it is a piece in one track.
    fn are_one(&self, name: &str, lines: &[(u8, &Line)]) -> bool {
        /// Programs of one family of General MIDI.
        const FAMILY: u8 = 8;
        let programs: BTreeSet<_> = lines.iter().filter_map(|(channel, line)| self.program(*channel, line)).collect();
        let families: BTreeSet<_> = programs.iter().map(|program| program / FAMILY).collect();
        programs.len() < 2 || families.len() < 2 && instrument::class_of_name(name).is_some()
    }

    /// The part that these channels of a track play together.
    fn part(
        &mut self,
        name: String,
        own_name: Option<&str>,
        program: Option<u8>,
        track: &Track,
        lines: &[(u8, &Line)],
    ) -> Result<Part> {
        let by_program = |program: Option<u8>| program.and_then(instrument::program).map(|(_, class)| class);
        let by_name = own_name.and_then(instrument::class_of_name);
        let class = by_name.or(by_program(program)).unwrap_or(Class::Sustained);
        let of = |channel: u8, line: &Line, own: Option<u8>| own.or_else(|| self.program(channel, line));
        let all =
            lines.iter().flat_map(|(channel, line)| line.notes.iter().map(|note| of(*channel, line, note.program)));
        let is_played_in_one_way = all.collect::<BTreeSet<_>>().len() < 2;
        // A known name goes before the one program, which many files leave at 0, but not before several.
        let class_of = |own: Option<u8>| if is_played_in_one_way { class } else { by_program(own).unwrap_or(class) };
        let mut notes = Vec::new();
        let mut n_open = 0;
        for (channel, line) in lines {
            let (more, n_more_open) = line.notes(track.end, |own| class_of(of(*channel, line, own)), self.clock)?;
            notes.extend(more.into_iter().map(|(note, own)| (note, of(*channel, line, own))));
            n_open += n_more_open;
        }
        self.n_open += n_open;
        // Stable: chords keep their order.
        notes.sort_by(|(a, _), (b, _)| a.onset_s.total_cmp(&b.onset_s));
        let (notes, programs): (Vec<_>, Vec<_>) = notes.into_iter().unzip();
        let note_programs = if is_played_in_one_way { Vec::new() } else { programs };
        Ok(Part { name, class, is_drum: false, program, notes, note_programs })
    }

    /// Splits a channel by drum. A track of one drum that is named as one keeps its name.
    fn add_drums(&mut self, track: &Track, line: &Line, track_name: Option<&str>) -> Result<()> {
        let (mut notes, n_open) = line.notes(track.end, |_| Class::Percussion, self.clock)?;
        self.n_open += n_open;
        notes.sort_by(|(a, _), (b, _)| a.onset_s.total_cmp(&b.onset_s));
        let mut drums: BTreeMap<String, Vec<Note>> = BTreeMap::new();
        // In the order of the first hit.
        let mut order = Vec::new();
        for (note, _) in notes {
            let name = instrument::drum(note.pitch);
            if !drums.contains_key(&name) {
                order.push(name.clone());
            }
            drums.entry(name).or_default().push(note);
        }
        let own_name = track_name.filter(|name| order.len() == 1 && !instrument::is_kit(name));
        for name in order {
            let notes = drums.remove(&name).unwrap_or_default();
            let name = own_name.map_or(name, str::to_owned);
            match self.parts.iter_mut().find(|part| part.is_drum && part.name == name) {
                Some(part) => part.notes.extend(notes),
                None => self.parts.push(Part::drum(&name, notes)),
            }
        }
        Ok(())
    }
}

/// Which tracks were said to be drums, and which of them have been met.
struct DrumTracks<'a> {
    names: Vec<(&'a str, bool)>,
    /// Whether a track has this name: else it may be a number.
    is_name: Vec<bool>,
}

impl<'a> DrumTracks<'a> {
    fn new(config: &'a MidiConfig, tracks: &[Track]) -> Self {
        let names: Vec<_> = config.drum_tracks.iter().map(|name| (name.as_str(), false)).collect();
        let has = |name: &str| tracks.iter().any(|track| track.name.as_deref().is_some_and(|own| is_same(own, name)));
        let is_name = names.iter().map(|(name, _)| has(name)).collect();
        Self { names, is_name }
    }

    /// Whether this track, with notes, is one of them.
    fn take(&mut self, track: &Track) -> bool {
        let is_number = |name: &str| name.trim().parse() == Ok(track.number);
        let own = track.name.as_deref();
        let is_meant = |name: &str, is_name: bool| {
            if is_name { own.is_some_and(|own| is_same(own, name)) } else { is_number(name) }
        };
        let mut is_one = false;
        for ((name, is_met), is_name) in self.names.iter_mut().zip(&self.is_name) {
            if is_meant(name, *is_name) {
                (*is_met, is_one) = (true, true);
            }
        }
        is_one
    }

    /// Whether a part that would have this name is one of them.
    fn take_part(&mut self, part: &str) -> bool {
        let same = self.names.iter_mut().filter(|(name, _)| is_same(part, name));
        same.map(|(_, is_met)| *is_met = true).count() > 0
    }

    /// Refuses those that there are not.
    fn check(&self, tracks: &[Track]) -> Result<()> {
        let Some((missing, _)) = self.names.iter().find(|(_, is_met)| !is_met) else { return Ok(()) };
        let with_notes = tracks.iter().filter(|track| track.lines().next().is_some());
        let shown = |track: &Track| track.name.clone().unwrap_or_else(|| track.number.to_string());
        Err(Error::UnknownTrack { name: (*missing).to_owned(), tracks: with_notes.map(shown).collect() })
    }
}

/// Whether a track's name is meant: in any case, and as it is written or as it is shown.
fn is_same(own: &str, name: &str) -> bool {
    let key = |name: &str| names::tidy(name).unwrap_or_else(|| name.to_owned()).to_lowercase();
    key(own) == key(name)
}

/// Whether a part is likely to be drums, though it is not on channel 10: it is called so, or nothing says what it is, and
/// it has many short notes of few pitches that are a kick, a snare and a cymbal in the table of drums.
fn looks_like_drums(part: &Part, own_name: Option<&str>) -> bool {
    const LEAST_NOTES: usize = 8;
    const MOST_PITCHES: usize = 12;
    const SHORT_S: f64 = 0.3;
    if own_name.is_some_and(|name| instrument::is_kit(name) && part.class == Class::Percussion) {
        return true;
    }
    // Many files leave the program at 0.
    let is_unknown =
        own_name.is_none_or(|name| instrument::class_of_name(name).is_none()) && part.program.unwrap_or(0) == 0;
    let drums: BTreeSet<String> = part.notes.iter().map(|note| instrument::drum(note.pitch)).collect();
    let has = |names: &[&str]| names.iter().any(|name| drums.contains(*name));
    let pitches: BTreeSet<u8> = part.notes.iter().map(|note| note.pitch).collect();
    let n_short = part.notes.iter().filter(|note| note.offset_s - note.onset_s <= SHORT_S).count();
    is_unknown
        && part.notes.len() >= LEAST_NOTES
        && pitches.len() <= MOST_PITCHES
        && pitches.iter().all(|pitch| matches!(pitch, 22 | 26 | 35..=59))
        && 2 * n_short > part.notes.len()
        && has(&["kick"])
        && has(&["snare", "sidestick"])
        && has(&["hihat", "ride", "crash"])
}

/// Gives parts of equal names, in any case, a number each: two violins are `violin-1` and `violin-2`.
fn number_equal_names(parts: &mut [Part]) {
    let key = |name: &str| name.to_lowercase();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for part in &*parts {
        *counts.entry(key(&part.name)).or_default() += 1;
    }
    let is_free = |counts: &BTreeMap<String, usize>, name: &str| !counts.contains_key(&key(name));
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts {
        let own = key(&part.name);
        if counts.get(&own).is_none_or(|n| *n < 2) && own != names::RESIDUAL {
            continue;
        }
        let number = next.entry(own).or_insert(1);
        let mut name = format!("{}-{number}", part.name);
        while !is_free(&counts, &name) {
            *number += 1;
            name = format!("{}-{number}", part.name);
        }
        *number += 1;
        counts.insert(key(&name), 1);
        part.name = name;
    }
}
