//! Finds the tags that stand before, between and behind the sound of a file, so that they are taken for nothing else.
//! Does not read what is in them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::format::in_bytes;

/// Lengths in bytes of tags that have always the same: `ID3v1`, its extension before it, the header or footer of an APE
/// tag and of an `ID3v2` tag.
pub(super) const ID3V1_LEN: u64 = 128;
const EXTENDED_LEN: u64 = 227;
const APE_HEADER_LEN: u64 = 32;
const ID3_HEADER_LEN: u64 = 10;

/// Longest Lyrics3 tag that is looked for where its length is not told, in bytes; its first version has at most 5100.
const MAX_LYRICS_LEN: u64 = 1 << 16;

/// Tags behind the content that are looked for; a file has one of each kind.
const MAX_TAGS: usize = 16;

/// Length of the tag (`ID3v2`) that starts here, in bytes.
pub(super) fn id3_len(head: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', _, _, flags, a, b, c, d] = head.first_chunk::<10>()? else { return None };
    let body = id3_size([a, b, c, d]);
    // A footer repeats the header.
    Some(body + if flags & 0x10 != 0 { 2 * ID3_HEADER_LEN } else { ID3_HEADER_LEN })
}

/// Seven bits a byte.
fn id3_size(bytes: [u8; 4]) -> u64 {
    bytes.iter().fold(0, |len, &byte| len << 7 | u64::from(byte & 0x7f))
}

/// Length of the tag of any kind that starts here, in bytes; `input` stands behind `head`, and stays there.
pub(super) fn len(head: &[u8], input: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    if head.starts_with(b"TAG") {
        return Ok(Some(if head.starts_with(b"TAG+") { EXTENDED_LEN } else { ID3V1_LEN }));
    }
    if head.starts_with(b"APETAGEX") {
        let (size, is_header) = (u64::from(u32_at(head, 12)), u32_at(head, 20) >> 29 & 1 == 1);
        return Ok(Some(if is_header { APE_HEADER_LEN + size } else { APE_HEADER_LEN }));
    }
    if head.starts_with(b"LYRICSBEGIN") {
        let position = input.stream_position()?;
        let mut bytes = head.to_vec();
        input.by_ref().take(MAX_LYRICS_LEN).read_to_end(&mut bytes)?;
        input.seek(SeekFrom::Start(position))?;
        let end = bytes.windows(9).position(|window| window == b"LYRICS200" || window == b"LYRICSEND");
        return Ok(end.map(|end| end as u64 + 9));
    }
    Ok(id3_len(head))
}

/// Where the content of a file ends and the tags that were put behind it begin.
pub(super) fn content_end(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    for _ in 0..MAX_TAGS {
        let n_bytes = end.min(EXTENDED_LEN + ID3V1_LEN);
        let mut tail = vec![0; n_bytes as usize];
        file.seek(SeekFrom::Start(end - n_bytes))?;
        file.read_exact(&mut tail)?;
        let from_end = |n: u64| tail.get((n_bytes.saturating_sub(n)) as usize..).unwrap_or_default();
        let footer = from_end(APE_HEADER_LEN);
        let len = if from_end(ID3V1_LEN).starts_with(b"TAG") && n_bytes >= ID3V1_LEN {
            if tail.starts_with(b"TAG+") { EXTENDED_LEN + ID3V1_LEN } else { ID3V1_LEN }
        } else if footer.starts_with(b"APETAGEX") {
            // Bit 31: there is a header, too, which the size leaves out.
            u64::from(u32_at(footer, 12)) + if u32_at(footer, 20) >> 31 == 1 { APE_HEADER_LEN } else { 0 }
        } else if tail.ends_with(b"LYRICS200") {
            let digits = from_end(15).get(..6).and_then(|digits| std::str::from_utf8(digits).ok());
            digits.and_then(|digits| digits.parse().ok()).map_or(0, |size: u64| size + 15)
        } else if tail.ends_with(b"LYRICSEND") {
            lyrics_len(file, end)?
        } else if let Some(&[b'3', b'D', b'I', _, _, _, a, b, c, d]) = from_end(ID3_HEADER_LEN).first_chunk::<10>() {
            id3_size([a, b, c, d]) + 2 * ID3_HEADER_LEN
        } else {
            0
        };
        // A length of nothing, or of more than there is, is none.
        match end.checked_sub(len) {
            Some(start) if len > 0 && start > 0 => end = start,
            _ => break,
        }
    }
    Ok(end)
}

/// Length of a Lyrics3 tag of the first version that ends here.
fn lyrics_len(file: &mut File, end: u64) -> io::Result<u64> {
    let start = end.saturating_sub(MAX_LYRICS_LEN);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end - start).read_to_end(&mut bytes)?;
    let begin = bytes.windows(11).rposition(|window| window == b"LYRICSBEGIN");
    Ok(begin.map_or(0, |begin| (bytes.len() - begin) as u64))
}

/// Whether there is nothing from here to the end of a file but tags and zeros.
pub(super) fn is_no_content(input: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut position = input.stream_position()?;
    loop {
        let mut head = Vec::new();
        input.by_ref().take(4096).read_to_end(&mut head)?;
        if head.is_empty() {
            return Ok(true);
        }
        let n_zeros = head.iter().take_while(|&&byte| byte == 0).count() as u64;
        position += match len(&head, input)? {
            Some(len) => len,
            None if n_zeros > 0 => n_zeros,
            None => return Ok(false),
        };
        input.seek(SeekFrom::Start(position))?;
    }
}

/// The note on bytes behind the end that are no sound that could be read.
pub(super) fn left_out(n_bytes: u64) -> String {
    format!("what follows its end is not known to be sound, and left out: {}", in_bytes(n_bytes))
}

/// Little-endian, as in APE tags; 0 where there is none.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |&bytes| u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_tag_has_seven_bits_a_byte() {
        assert_eq!(id3_len(b"ID3\x04\0\0\0\0\x02\x01"), Some(267));
        assert_eq!(id3_len(b"ID3\x04\0\x10\0\0\x02\x01"), Some(277));
        assert_eq!(id3_len(b"ID3\x04"), None);
    }
}
