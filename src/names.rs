//! Names of stems: which can be the name of a file, and those that the methods give.
//! The one rule for all of them; knows no sound and no files.

use crate::{Error, Result};

/// What no source explains.
pub const RESIDUAL: &str = "residual";
/// What lasts, of harmonic-percussive separation.
pub const HARMONIC: &str = "harmonic";
/// What is short, of harmonic-percussive separation.
pub const PERCUSSIVE: &str = "percussive";
/// What is left without the noise.
pub const CLEAN: &str = "clean";
/// What was taken out as noise.
pub const NOISE: &str = "noise";

/// Longest name, in bytes. With `no_` before it and an ending behind it, it is shorter than what any file system takes:
/// 255, and 143 where names are encrypted.
pub const MAX_BYTES: usize = 128;

/// Longest name that is made of any text, in bytes: a number of several digits still fits behind it.
const MAX_TIDY_BYTES: usize = MAX_BYTES - 8;

/// The source number `i` of those that nobody named, counted from 1: `source-1`.
pub fn source(i: usize) -> String {
    format!("source-{i}")
}

/// The component number `i`, counted from 1: `component-01`.
pub fn component(i: usize) -> String {
    format!("component-{i:02}")
}

/// Everything but the source of this name: `no_vocals`.
pub fn without(name: &str) -> String {
    format!("no_{name}")
}

/// What was taken out of the microphone of this name: `vocals_rest`.
pub fn rest(name: &str) -> String {
    format!("{name}_rest")
}

/// Whether a method gives this name to a stem that nobody named.
pub fn is_given(name: &str) -> bool {
    let is_numbered = |before: &str| {
        let number = name.strip_prefix(before).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    [RESIDUAL, HARMONIC, PERCUSSIVE, CLEAN, NOISE].contains(&name)
        || is_numbered("source-")
        || is_numbered("component-")
}

/// Refuses what cannot be the name of a stem, on any system: it becomes the name of a file.
///
/// # Errors
/// [`Error::SourceName`] for a name that is empty or longer than [`MAX_BYTES`]; one with a slash, a colon or a
/// control character; one that begins or ends with a dot or a space; and for the names of devices.
///
/// # Examples
/// ```
/// use partita::names;
/// assert!(names::check("lead guitar").is_ok());
/// assert!(names::check("../guitar").is_err());
/// ```
pub fn check(name: &str) -> Result<()> {
    match flaw(name) {
        Some(reason) => Err(Error::SourceName { name: shortened(name), reason }),
        None => Ok(()),
    }
}

/// What keeps a text from being a name.
fn flaw(name: &str) -> Option<&'static str> {
    let flaw = if name.trim().is_empty() {
        "is empty"
    } else if name.len() > MAX_BYTES {
        "is longer than 128 bytes"
    } else if name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | ':')) {
        "has a slash, a colon or a control character"
    } else if name.starts_with('.') || name.ends_with('.') || name.trim() != name {
        "begins or ends with a dot or a space"
    } else if name == METADATA || is_device(name) {
        "has another meaning for some system or file"
    } else {
        return None;
    };
    Some(flaw)
}

/// What a dictionary's file calls its own description.
const METADATA: &str = "__metadata__";

/// Whether Windows takes it for a device, whatever its ending.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_lowercase();
    let numbered = stem.strip_prefix("com").or(stem.strip_prefix("lpt"));
    ["con", "prn", "aux", "nul"].contains(&&*stem) || numbered.is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']))
}

/// The name that is nearest to a text, such as that of a track; `None` where nothing is left of it.
///
/// # Examples
/// ```
/// use partita::names;
/// assert_eq!(names::tidy(" Flute 1/2 ").as_deref(), Some("Flute 1_2"));
/// assert_eq!(names::tidy("///"), None);
/// ```
pub fn tidy(text: &str) -> Option<String> {
    let is_safe = |c: char| c.is_alphanumeric() || " -_.,+&#()[]'".contains(c);
    let replaced: String = text.trim().chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    let mut end = replaced.len().min(MAX_TIDY_BYTES);
    while !replaced.is_char_boundary(end) {
        end -= 1;
    }
    // Leading dots hide a file, leading dashes make it an option, trailing dots and spaces get lost.
    let kept = replaced[..end].trim_matches(['.', ' ', '-']);
    match kept {
        _ if kept.chars().all(|c| c == '_' || c.is_whitespace()) => None,
        // Before the ending, which does not count.
        _ if is_device(kept) => Some(kept.split_once('.').map_or(format!("{kept}_"), |(a, b)| format!("{a}_.{b}"))),
        _ => Some(kept.to_owned()),
    }
}

/// What a message quotes of a text of any length.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_system_has_no_files_of_are_refused() {
        let long = "x".repeat(MAX_BYTES + 1);
        for name in [
            "",
            "  ",
            ".",
            "..",
            ".x",
            "x.",
            " x",
            "x ",
            "a/b",
            "a\\b",
            "a:b",
            "a\nb",
            "a\0b",
            "\u{9b}x",
            "CON",
            "nul.txt",
            "aux .wav",
            "Com1",
            "lpt9.x",
            "__metadata__",
            &long,
        ] {
            assert!(matches!(check(name), Err(Error::SourceName { .. })), "{name:?}");
        }
        for name in ["x", "lead guitar", "Flöte (2)", "no_vocals", "a.b", "-x", "com10", "console", &long[1..]] {
            assert!(check(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn what_the_methods_give_are_names() {
        let given = [RESIDUAL, HARMONIC, PERCUSSIVE, CLEAN, NOISE].map(str::to_owned);
        let made = [source(1), source(64), component(1), component(65_536), without(&source(12))];
        assert_eq!(made, ["source-1", "source-64", "component-01", "component-65536", "no_source-12"]);
        for name in given.iter().chain(&made) {
            assert!(check(name).is_ok(), "{name}");
            assert!(is_given(name.strip_prefix("no_").unwrap_or(name)), "{name}");
        }
        assert!(!is_given("source-") && !is_given("source-x") && !is_given("violin"));
    }

    #[test]
    fn any_text_becomes_a_name_or_nothing() {
        let pieces =
            ["", " ", ".", "-", "con", "aux.", "/", "\\", "\u{0}", "\u{202e}", "ß", "日本", "x", ":", "\t", "LPT1"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    let text = format!("{a}{b}{c}").repeat(1 + 60 * usize::from(c == "x"));
                    if let Some(name) = tidy(&text) {
                        assert!(check(&name).is_ok(), "{text:?} became {name:?}: {:?}", flaw(&name));
                        assert!(name.len() <= MAX_TIDY_BYTES + 1, "{name}");
                    }
                }
            }
        }
        for (text, name) in
            [("../etc/passwd", "_etc_passwd"), ("  Violin 1.", "Violin 1"), ("con", "con_"), ("nul.mid", "nul_.mid")]
        {
            assert_eq!(tidy(text).as_deref(), Some(name), "{text}");
        }
        assert_eq!(tidy(" _ "), None);
    }
}
