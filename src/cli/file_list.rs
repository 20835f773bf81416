//! `--files-from`: the files that a list names, as shells, spreadsheets and people write such lists.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use partita::error::shown;
use partita::text::to_utf8;

use super::failure::Failure;
use super::litter::is_like_audio;

/// Longest list of inputs that is read, in bytes.
const MAX_LIST_BYTES: u64 = 1 << 30;

/// What stands between the columns of a table.
const SEPARATORS: [u8; 3] = *b"\t;,";

/// What a list names.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The first line, if others follow, and it names neither a file nor what could be a recording.
    pub(super) heading: Option<PathBuf>,
    pub(super) paths: Vec<PathBuf>,
}

/// The files that a list names, one per line or separated by NUL; `-` is standard input.
pub(super) fn read(list: &Path) -> Result<Listed, Failure> {
    let at = |source| Failure::at(shown(list))(partita::Error::OpenAudio { path: list.into(), source });
    let mut bytes = Vec::new();
    let read = match list == Path::new("-") {
        true => io::stdin().lock().take(MAX_LIST_BYTES).read_to_end(&mut bytes),
        false => File::open(list).and_then(|file| file.take(MAX_LIST_BYTES).read_to_end(&mut bytes)),
    };
    read.map_err(at)?;
    let Some(text) = to_utf8(bytes) else {
        let message = format!("the list `{}` is cut off or damaged: it is no whole text in UTF-16", shown(list));
        return Err(Failure::usage(message, "save it again, as UTF-8"));
    };
    let mut heading = None;
    let mut paths: Vec<_> = if text.contains(&0) {
        text.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(path_from).collect()
    } else {
        text.split(|byte| matches!(byte, b'\n' | b'\r')).filter_map(of_line).collect()
    };
    let is_heading = |path: &PathBuf| !exists(path) && !is_row(path);
    if !text.contains(&0) && paths.len() > 1 && paths.first().is_some_and(is_heading) {
        heading = Some(paths.remove(0));
    }
    if paths.is_empty() {
        return Err(Failure::usage(format!("the list `{}` is empty", shown(list)), "give one file per line"));
    }
    Ok(Listed { heading, paths })
}

/// The file that a line names: that of exactly this name if there is one; else without the blanks around it, the quotes,
/// and the further columns of a table, whichever file there is.
fn of_line(line: &[u8]) -> Option<PathBuf> {
    let trimmed = line.trim_ascii();
    let unquoted = trimmed.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'")).unwrap_or(trimmed);
    let columns = SEPARATORS.map(|separator| first_column(trimmed, separator));
    let readings = [line, trimmed, unquoted].into_iter().chain(columns.iter().map(Vec::as_slice)).map(path_from);
    // Where there is no such file, the message has the name as it was most likely meant.
    let meant = if trimmed.starts_with(b"\"") { &columns[0] } else { unquoted };
    readings
        .into_iter()
        .find(|path| exists(path))
        .or_else(|| Some(path_from(meant)).filter(|path| path != Path::new("")))
}

/// Whether a line that names no file begins with what could be a recording.
fn is_row(line: &Path) -> bool {
    let columns = SEPARATORS.map(|separator| first_column(line.as_os_str().as_encoded_bytes(), separator));
    is_like_audio(line) || columns.iter().any(|column| is_like_audio(&path_from(column)))
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The first column of a row, without its quotes.
fn first_column(row: &[u8], separator: u8) -> Vec<u8> {
    let Some(quoted) = row.strip_prefix(b"\"") else {
        return row.split(|byte| *byte == separator).next().unwrap_or_default().trim_ascii_end().to_vec();
    };
    let mut column = Vec::new();
    let mut rest = quoted.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        // A quote that belongs to the name is doubled.
        if byte == b'"' && rest.next_if_eq(&b'"').is_none() {
            break;
        }
        column.push(byte);
    }
    column
}

#[cfg(unix)]
fn path_from(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path_from(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_programs_write_them() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        for name in ["a b.wav", "c, d.wav", "e.wav ", "e.wav", "\"f\".wav", "g'.wav"] {
            std::fs::write(at(name), "").expect("file");
        }
        let read_bytes = |bytes: &[u8]| {
            std::fs::write(at("list"), bytes).expect("list");
            let Listed { heading, paths } = read(at("list").as_ref()).expect("paths");
            heading
                .iter()
                .chain(&paths)
                .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
                .collect()
        };
        let listed = |text: &str| -> Vec<String> { read_bytes(text.as_bytes()) };
        let (ab, cd, e, f, g) = (at("a b.wav"), at("c, d.wav"), at("e.wav"), at("\"f\".wav"), at("g'.wav"));
        assert_eq!(listed(&format!("\u{feff}{ab}\r\n\r\n  {e}  \r\n \t\r\n")), ["a b.wav", "e.wav"]);
        assert_eq!(listed(&format!("{e} \n{e}\n")), ["e.wav ", "e.wav"], "the exact line wins");
        assert_eq!(listed(&format!("\"{ab}\"\n'{ab}'\n'{g}'\n")), ["a b.wav", "a b.wav", "g'.wav"]);
        assert_eq!(
            listed(&format!("{cd}\n\"{cd}\",12\n{ab};;\n{ab}\trock\n")),
            ["c, d.wav", "c, d.wav", "a b.wav", "a b.wav"]
        );
        assert_eq!(listed(&format!("\"{}\";1\n", f.replace('"', "\"\""))), ["\"f\".wav"]);
        assert_eq!(listed("\"no such.wav\"\n'nor this.wav' \n"), ["no such.wav", "nor this.wav"]);
        assert_eq!(listed(&format!("{ab}\r{e}\r")), ["a b.wav", "e.wav"], "line ends of old systems");
        let heading = |text: &str| {
            std::fs::write(at("list"), text).expect("list");
            read(at("list").as_ref()).expect("paths").heading
        };
        assert_eq!(heading(&format!("file,title\n{ab},x\n")), Some("file,title".into()));
        for text in
            [&format!("lost.wav\n{ab}\n"), &format!("lost.wav,1\n{ab}\n"), &format!("file\0{ab}\0"), "file\n", &ab]
        {
            assert_eq!(heading(text), None, "{text:?}");
        }
        let wide = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let text: Vec<_> = format!("{ab}\r\n{e}\r\n").encode_utf16().flat_map(bytes).collect();
            [mark, &text].concat()
        };
        let (little, big) = (wide(b"\xff\xfe", u16::to_le_bytes), wide(b"\xfe\xff", u16::to_be_bytes));
        for bytes in [&little, &big] {
            let listed: Vec<String> = read_bytes(bytes);
            assert_eq!(listed, ["a b.wav", "e.wav"]);
        }
        std::fs::write(at("list"), &little[..little.len() - 1]).expect("list");
        assert!(read(at("list").as_ref()).is_err(), "cut off");
        std::fs::write(at("list"), "\u{feff}\r\n \r\n").expect("list");
        assert!(read(at("list").as_ref()).is_err(), "empty");
    }
}
