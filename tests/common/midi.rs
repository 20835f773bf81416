//! MIDI files by hand.

/// 96 ticks per quarter note.
pub const PPQ_96: [u8; 2] = [0, 96];

/// A tempo of 120 beats per minute: 96 ticks last half a second.
pub const ONE_NOTE: &[u8] = &[0, 0x90, 69, 80, 96, 0x80, 69, 0];

/// A MIDI file: header and tracks, each without its end mark.
pub fn midi(format: u8, division: [u8; 2], tracks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"MThd\0\0\0\x06".to_vec();
    bytes.extend([0, format, 0, tracks.len() as u8]);
    bytes.extend(division);
    for track in tracks {
        bytes.extend(b"MTrk");
        bytes.extend((track.len() as u32 + 4).to_be_bytes());
        bytes.extend(*track);
        bytes.extend([0, 0xff, 0x2f, 0]);
    }
    bytes
}

/// The events of a track, after its name.
pub fn named(name: impl AsRef<[u8]>, events: &[u8]) -> Vec<u8> {
    let name = name.as_ref();
    [&[0, 0xff, 3, name.len() as u8][..], name, events].concat()
}
