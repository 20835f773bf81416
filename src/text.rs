//! Text files as editors, spreadsheets and shells write them, brought into one form.
//! Knows nothing of what is in them, and no files.

/// A text as UTF-8 without a byte order mark. UTF-16 is known by its mark (spreadsheets and Windows write it); any other
/// bytes are left as they are. `None` for UTF-16 that is cut off or damaged.
///
/// # Examples
/// ```
/// use partita::text;
/// assert_eq!(text::to_utf8(b"\xef\xbb\xbfabc".to_vec()).as_deref(), Some(&b"abc"[..]));
/// assert_eq!(text::to_utf8(b"\xff\xfea\0b\0".to_vec()).as_deref(), Some(&b"ab"[..]));
/// assert_eq!(text::to_utf8(b"\xff\xfea\0b".to_vec()), None);
/// ```
pub fn to_utf8(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    const UTF_8: &[u8] = b"\xef\xbb\xbf";
    let unit: fn([u8; 2]) -> u16 = match bytes.get(..2) {
        Some(b"\xff\xfe") => u16::from_le_bytes,
        Some(b"\xfe\xff") => u16::from_be_bytes,
        _ => {
            let n_marked = if bytes.starts_with(UTF_8) { UTF_8.len() } else { 0 };
            bytes.drain(..n_marked);
            return Some(bytes);
        }
    };
    let (units, rest) = bytes[2..].as_chunks();
    let text: Result<String, _> = char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect();
    text.ok().filter(|_| rest.is_empty()).map(String::into_bytes)
}
