//! What systems, servers and programs leave in folders beside recordings, told by its name.

use std::path::Path;

use partita::audio::decode::is_audio_path;

/// Files and folders of systems and servers, in lower case: of macOS in archives, of network disks, Windows and Linux.
const LEFT: [&str; 9] = [
    "__macosx",
    "@eadir",
    "#recycle",
    "@recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "desktop.ini",
];

/// Endings of what browsers and other programs have not loaded whole.
const PARTIAL: [&str; 6] = ["part", "partial", "crdownload", "download", "opdownload", "!ut"];

/// Whether a file or folder that was met in a walk is hidden, or was left there by a system or a program.
pub(super) fn is_litter(path: &Path) -> bool {
    let name = name(path);
    // `~a.wav` is what a program has of `a.wav` while it works on it.
    let is_temporary = name.starts_with('~') && is_audio_path(path);
    name.starts_with('.') || is_system(&name) || is_partial(path) || is_temporary
}

/// Whether a path that stands in a list is not worth a try: hidden files may well be meant there.
pub(super) fn is_listed_litter(path: &Path) -> bool {
    path.ancestors().map(name).any(|name| is_system(&name)) || is_partial(path)
}

/// Whether a file has the ending of a recording, or will have it once it is loaded whole.
pub(super) fn is_like_audio(path: &Path) -> bool {
    is_audio_path(path) || is_partial(path)
}

/// Lower case, as some systems have it so.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn is_system(name: &str) -> bool {
    // `._a.wav` holds what macOS knows of `a.wav` beside its content, on disks that have no place for it.
    name.starts_with("._") || name.starts_with(".trash") || LEFT.contains(&name)
}

fn is_partial(path: &Path) -> bool {
    let is_ending = |ending: &std::ffi::OsStr| PARTIAL.iter().any(|partial| ending.eq_ignore_ascii_case(partial));
    path.extension().is_some_and(is_ending) && is_audio_path(&path.with_extension(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_leave_is_known_by_its_name() {
        let left =
            ["._a.wav", ".DS_Store", ".Trash-1000", "__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"];
        for name in
            left.iter().chain(&["x/.hidden.wav", "x/~a.wav", "a.wav.part", "a.MP3.crdownload", "b.flac.download"])
        {
            assert!(is_litter(Path::new(name)), "{name}");
        }
        for name in ["a.wav", "~", "x.part", "_a.wav", "trash.wav", "@home/a.wav", ".hidden/a.wav"] {
            assert!(!is_litter(Path::new(name)), "{name}");
        }
        assert!(is_listed_litter(Path::new("x/@eaDir/a.wav/SYNO.wav")));
        assert!(!is_listed_litter(Path::new("/home/u/.local/a.wav")));
    }
}
