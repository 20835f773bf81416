//! Text of MIDI files, which do not say how it is written. The only file that knows encodings.

use std::borrow::Cow;

use encoding_rs::{Encoding, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::names::MAX_BYTES;

/// Bytes of a text that are kept, four times what is kept of a name: bounded before memory is spent, and enough where it
/// starts with spaces.
const MAX_KEPT: usize = 4 * MAX_BYTES;

/// The bytes of a text, as far as they are kept.
#[derive(Debug, Clone)]
pub(super) struct RawText {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl RawText {
    /// `None` for a text of nothing but spaces.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let start = bytes.get(..MAX_KEPT).unwrap_or(bytes);
        let is_blank = start.iter().all(|byte| *byte <= b' ');
        (!is_blank).then(|| Self { bytes: start.to_vec(), is_cut: start.len() < bytes.len() })
    }

    /// The text, where it says itself how it is written: by a byte order mark, or as it is UTF-8.
    fn plain(&self) -> Option<String> {
        match Encoding::for_bom(&self.bytes) {
            Some((encoding, n_bytes)) if encoding == UTF_16LE || encoding == UTF_16BE => {
                Some(encoding.decode_without_bom_handling(&self.bytes[n_bytes..]).0.into_owned())
            }
            Some((_, n_bytes)) => Some(String::from_utf8_lossy(&self.bytes[n_bytes..]).into_owned()),
            None => match str::from_utf8(&self.bytes) {
                Ok(text) => Some(text.to_owned()),
                // The cut went through a letter.
                Err(error) if self.is_cut && error.error_len().is_none() => {
                    Some(String::from_utf8_lossy(&self.bytes[..error.valid_up_to()]).into_owned())
                }
                Err(_) => None,
            },
        }
    }

    fn shift_jis(&self) -> Option<String> {
        let decode = |n_bytes: usize| {
            SHIFT_JIS.decode_without_bom_handling_and_without_replacement(&self.bytes[..n_bytes]).map(Cow::into_owned)
        };
        // The cut may have gone through a letter of two bytes.
        decode(self.bytes.len()).or_else(|| decode(self.bytes.len() - usize::from(self.is_cut)))
    }
}

/// Decodes all texts of one file: each UTF-16 or UTF-8 where it says so; the others Shift-JIS where together they are
/// Japanese in it, else Windows-1252, which Latin-1 is a part of.
pub(super) fn decode<'a>(texts: impl Iterator<Item = &'a RawText> + Clone) -> Vec<String> {
    let others = texts.clone().filter(|text| text.plain().is_none());
    let japanese: Option<String> = others.map(RawText::shift_jis).collect();
    let is_japanese = japanese.is_some_and(|text| is_japanese(&text));
    let decode = |text: &RawText| {
        let other = || match text.shift_jis().filter(|_| is_japanese) {
            Some(text) => text,
            None => WINDOWS_1252.decode_without_bom_handling(&text.bytes).0.into_owned(),
        };
        text.plain().unwrap_or_else(other)
    };
    texts.map(decode).collect()
}

/// Whether most letters are Japanese. In a text of Europe that is read as Shift-JIS, those with accents become Japanese
/// letters between Latin ones.
fn is_japanese(text: &str) -> bool {
    let is_half_wide = |c: char| matches!(c, '\u{ff66}'..='\u{ff9f}');
    let is_wide = |c: char| matches!(c, '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}');
    // What Shift-JIS leaves to each system, no file can mean.
    if text.chars().any(|c| matches!(c, '\u{e000}'..='\u{f8ff}')) {
        return false;
    }
    let n_letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let n_wide = text.chars().filter(|c| is_wide(*c)).count();
    let n_half_wide = text.chars().filter(|c| is_half_wide(*c)).count();
    2 * (n_wide + n_half_wide) > n_letters && (n_wide > 0 || n_half_wide > 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::tidy;

    fn decoded(bytes: &[u8]) -> String {
        decode(RawText::new(bytes).iter()).concat()
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        // 512 is no multiple of three: the cut goes through a letter.
        let long = "\u{3042}".repeat(200);
        assert_eq!(tidy(&decoded(long.as_bytes())), Some("\u{3042}".repeat((MAX_BYTES - 8) / 3)));
        let (odd, _, _) = SHIFT_JIS.encode("a\u{3042}");
        let long = [&odd[..1], &odd[1..].repeat(300)].concat();
        assert!(decoded(&long).starts_with("a\u{3042}\u{3042}"));
    }

    #[test]
    fn texts_of_europe_are_not_taken_for_japanese() {
        let names = [
            "Flöte",
            "Flügel",
            "café",
            "Große Trommel",
            "Contrabaixo à arco",
            "Œuvre",
            "Éclat",
            "Él",
            "Müller’s Baß",
            "Trägt",
            "Viloncelló",
            "ÄÖ",
            "Señor",
            "Ångström",
            "Tromp\u{ea}te",
            "Th\u{e9}or\u{e8}me",
        ];
        for name in names {
            let (bytes, _, _) = WINDOWS_1252.encode(name);
            assert_eq!(decoded(&bytes), name);
        }
        for name in ["ドラム", "ﾄﾞﾗﾑ", "鼓", "第1ヴァイオリン", "ピアノ(右手)", "Gt.エレキ"]
        {
            let (bytes, _, _) = SHIFT_JIS.encode(name);
            assert_eq!(decoded(&bytes), name);
        }
    }
}
