//! Paths in messages.

use std::path::Path;

/// A path as a message shows it, so that it is one line and a terminal obeys nothing in it: control characters, and those
/// that change the direction of the text, are escaped (`\n`, `\u{1b}`), and bytes that are no UTF-8 are `\xNN`.
///
/// # Examples
/// ```
/// assert_eq!(partita::error::shown("a\nb\u{1b}[31m.wav".as_ref()), r"a\nb\u{1b}[31m.wav");
/// ```
pub fn shown(path: &Path) -> String {
    let hides = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    path.as_os_str().as_encoded_bytes().utf8_chunks().fold(String::new(), |mut text, chunk| {
        for c in chunk.valid().chars() {
            if hides(c) { text.extend(c.escape_default()) } else { text.push(c) }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        text
    })
}
