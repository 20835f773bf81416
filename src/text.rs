//! Text files as editors, spreadsheets and shells write them, brought into one form.
//! Knows nothing of what is in them, and no files.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Value;

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

/// What is wrong with a text, and the line where that can be said, counted from 1.
pub type Flaw = (Option<usize>, String);

/// Reads a value from TOML. Keys that the value does not have are refused, also where its type would not.
///
/// # Errors
/// What is wrong, and where.
pub fn from_toml<T: Serialize + DeserializeOwned>(text: &str) -> Result<T, Flaw> {
    let line = |position: usize| text.get(..position).map(|before| 1 + before.matches('\n').count());
    let flaw = |error: toml::de::Error| (error.span().and_then(|span| line(span.start)), error.message().to_owned());
    let value: T = toml::from_str(text).map_err(flaw)?;
    let given: Value = toml::from_str(text).map_err(flaw)?;
    let known = Value::try_from(&value).map_err(|error| (None, error.to_string()))?;
    match unknown(&given, &known) {
        Some(key) => Err((None, format!("unknown field `{key}`"))),
        None => Ok(value),
    }
}

/// A value as TOML.
///
/// # Errors
/// What keeps it from being one.
pub fn to_toml<T: Serialize>(value: &T) -> Result<String, String> {
    toml::to_string(value).map_err(|error| error.to_string())
}

/// A key that is given and not known.
fn unknown(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Table(given), Value::Table(known)) => given.iter().find_map(|(key, given)| match known.get(key) {
            Some(known) => unknown(given, known),
            // What is empty may be left out.
            None if given.as_array().is_some_and(Vec::is_empty) => None,
            None => Some(key.clone()),
        }),
        (Value::Array(given), Value::Array(known)) => {
            given.iter().zip(known).find_map(|(given, known)| unknown(given, known))
        }
        _ => None,
    }
}
