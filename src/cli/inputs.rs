//! From what was typed to a list of recordings, each with the name of its track.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use ignore::WalkBuilder;
use partita::audio::decode::is_audio_path;
use partita::error::shown;

use super::failure::Failure;

/// What messages call the recording that comes from there.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// One recording to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    /// Its path; `-` is standard input.
    pub(super) path: PathBuf,
    /// What `{track}` stands for: the file's name without its ending, with the folders below a walked one.
    pub(super) track: PathBuf,
}

impl Input {
    pub(super) fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }

    /// What messages call it.
    pub(super) fn label(&self) -> String {
        if self.is_stdin() { STANDARD_INPUT.to_owned() } else { shown(&self.path) }
    }
}

/// [`gather`], for recordings that are each written to files of their own. Of files that differ in their endings,
/// `song.wav` beside `song.flac`, the tracks keep these; others with the same track are refused, since their stems would
/// overwrite each other.
pub(super) fn list(typed: &[PathBuf], files_from: Option<&Path>) -> Result<Vec<Input>, Failure> {
    let mut inputs = gather(typed, files_from)?;
    keep_endings(&mut inputs);
    let mut seen: HashMap<&Path, &Input> = HashMap::new();
    for input in &inputs {
        if let Some(other) = seen.insert(&input.track, input) {
            let message = format!(
                "`{}` and `{}` would be written to the same files, as track `{}`",
                other.label(),
                input.label(),
                shown(&input.track)
            );
            return Err(Failure::usage(message, "separate them one by one, each with its own `--out` folder"));
        }
    }
    Ok(inputs)
}

/// Finds the recordings: files as given, those that a pattern matches, folders walked recursively in the order of their
/// names, and the lines of a list.
pub(super) fn gather(typed: &[PathBuf], files_from: Option<&Path>) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for path in typed {
        if path == Path::new("-") {
            inputs.push(Input { path: path.clone(), track: "stdin".into() });
        } else if let Some(pattern) = pattern(path) {
            matching(pattern, &mut inputs)?;
        } else if path.is_dir() {
            let before = inputs.len();
            walk(path, &mut inputs)?;
            if inputs.len() == before {
                return Err(Failure::usage(
                    format!("there is no recording in the folder `{}`", shown(path)),
                    "only files with the endings of audio formats are taken; name others one by one",
                ));
            }
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str());
            inputs.push(Input { path: path.clone(), track: track(Path::new(name)) });
        }
    }
    if let Some(list) = files_from {
        inputs.extend(read_list(list)?);
    }
    Ok(inputs)
}

/// Adds the ending of the file to each track that is not the only one of its name.
fn keep_endings(inputs: &mut [Input]) {
    let mut counts: HashMap<PathBuf, usize> = HashMap::new();
    inputs.iter().for_each(|input| *counts.entry(input.track.clone()).or_default() += 1);
    for input in inputs.iter_mut().filter(|input| counts[&input.track] > 1) {
        if let Some(ending) = input.path.extension().filter(|_| input.track.file_name() == input.path.file_stem()) {
            input.track.as_mut_os_string().push(".");
            input.track.as_mut_os_string().push(ending);
        }
    }
}

/// The track of a file, from where its folders are kept: without its ending, and without what leads out of a folder. A
/// name that would be nothing but dots, as that of `...wav`, is kept whole.
fn track(path: &Path) -> PathBuf {
    let below: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let track = below.with_extension("");
    match track.components().next_back() {
        Some(Component::Normal(name)) if Some(name) == below.file_stem() => track,
        _ => below,
    }
}

/// The pattern that a path is, where no file has that name.
fn pattern(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains(['*', '?', '[']) && path.symlink_metadata().is_err())
}

/// The files that a pattern matches, in the order of their names; their tracks begin after the folders that the pattern
/// spells out.
fn matching(pattern: &str, inputs: &mut Vec<Input>) -> Result<(), Failure> {
    let refused = |cause: String| {
        Failure::usage(
            format!("cannot use the pattern `{}`: {cause}", shown(pattern.as_ref())),
            "put a pattern into quotes: 'songs/**/*.flac'",
        )
    };
    let fixed: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    let before = inputs.len();
    for path in glob::glob(pattern).map_err(|error| refused(error.to_string()))? {
        let path = path.map_err(|error| refused(error.to_string()))?;
        if path.is_file() {
            let track = track(path.strip_prefix(&fixed).unwrap_or(&path));
            inputs.push(Input { path, track });
        }
    }
    if inputs.len() == before {
        return Err(refused("no file matches it".into()));
    }
    Ok(())
}

/// Longest list of inputs that is read, in bytes.
const MAX_LIST_BYTES: u64 = 1 << 30;

/// The files that a list names. Their tracks keep their folders, so that files of one name do not collide.
fn read_list(list: &Path) -> Result<Vec<Input>, Failure> {
    let at = |source| Failure::at(shown(list))(partita::Error::OpenAudio { path: list.into(), source });
    let mut bytes = Vec::new();
    let read = match list == Path::new("-") {
        true => io::stdin().lock().take(MAX_LIST_BYTES).read_to_end(&mut bytes),
        false => std::fs::File::open(list).and_then(|file| file.take(MAX_LIST_BYTES).read_to_end(&mut bytes)),
    };
    read.map_err(at)?;
    let separator = if bytes.contains(&0) { 0 } else { b'\n' };
    let lines = bytes.split(|byte| *byte == separator);
    let lines = lines.map(|line| if separator == 0 { line } else { line.strip_suffix(b"\r").unwrap_or(line) });
    let inputs: Vec<_> = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let path = path_from(line);
            Input { track: track(&path), path }
        })
        .collect();
    if inputs.is_empty() {
        return Err(Failure::usage(format!("the list `{}` is empty", shown(list)), "give one file per line"));
    }
    Ok(inputs)
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

/// Every audio file below a folder; nothing is hidden or ignored, links are followed, loops are not.
fn walk(folder: &Path, inputs: &mut Vec<Input>) -> Result<(), Failure> {
    let walker =
        WalkBuilder::new(folder).standard_filters(false).follow_links(true).sort_by_file_name(|a, b| a.cmp(b)).build();
    for entry in walker {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => match unreadable(&error) {
                // It fails in its turn, as any other file that cannot be opened; the rest goes on.
                Some(path) => {
                    let track = track(path.strip_prefix(folder).unwrap_or(path));
                    inputs.push(Input { path: path.to_owned(), track });
                    continue;
                }
                None if is_loop(&error) => continue,
                None => return Err(Failure::Walk { path: folder.to_owned(), error }),
            },
        };
        let path = entry.path();
        if entry.file_type().is_some_and(|kind| kind.is_file()) && is_audio_path(path) {
            let track = track(path.strip_prefix(folder).unwrap_or(path));
            inputs.push(Input { path: path.to_owned(), track });
        }
    }
    Ok(())
}

/// What could not be read, where that is known: a link to nothing, a folder without permission.
fn unreadable(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, err } if err.is_io() && !is_loop(err) => Some(path),
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => unreadable(err),
        _ => None,
    }
}

/// A link to a folder that it lies in: all that is there is listed without it.
fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => is_loop(err),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_to_nothing_are_listed_and_loops_are_not_followed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("b")).expect("folder");
        std::fs::write(at("b/x.wav"), "").expect("file");
        std::os::unix::fs::symlink("/nonexistent/y.wav", at("a.wav")).expect("link");
        std::os::unix::fs::symlink(folder.path(), at("b/loop")).expect("link");
        let tracks: Vec<_> =
            list(&[folder.path().into()], None).expect("inputs").into_iter().map(|input| input.track).collect();
        assert_eq!(tracks, [Path::new("a"), Path::new("b/x")]);
    }

    #[test]
    fn two_inputs_of_one_name_are_refused() {
        let failure = list(&["a/song.wav".into(), "b/song.wav".into()], None).expect_err("collision");
        assert!(failure.to_string().contains("the same files, as track `song.wav`"), "{failure}");
        let typed = ["song.wav".into(), "song.flac".into(), "song.flac.mp3".into()];
        let failure = list(&typed, None).expect_err("collision with an ending");
        assert!(failure.to_string().contains("the same files, as track `song.flac`"), "{failure}");
    }

    #[test]
    fn files_that_differ_in_their_endings_are_tracks_of_their_own() {
        let typed = ["a/song.wav".into(), "-".into(), "b/song.flac".into(), "stdin.wav".into(), "other.wav".into()];
        let inputs = list(&typed, None).expect("inputs");
        let tracks: Vec<_> = inputs.iter().map(|input| input.track.to_string_lossy()).collect();
        assert_eq!(tracks, ["song.wav", "stdin", "song.flac", "stdin.wav", "other"]);
    }

    #[test]
    fn patterns_and_lists_give_tracks_that_do_not_collide() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("x/b")).expect("folder");
        for name in ["x/a.wav", "x/b/a.wav", "x/[1].wav"] {
            std::fs::write(at(name), "").expect("file");
        }
        let tracks = |typed: &[PathBuf], from: Option<&Path>| -> Vec<String> {
            let inputs = list(typed, from).expect("inputs");
            inputs.into_iter().map(|input| input.track.to_string_lossy().into_owned()).collect()
        };
        assert_eq!(tracks(&[at("x/**/a*.wav")], None), ["a", "b/a"]);
        assert_eq!(tracks(&[at("x/[1].wav")], None), ["[1]"], "a file of that name is no pattern");
        std::fs::write(at("list"), "x/a.wav\r\n../x/b/a.wav\n\n").expect("list");
        assert_eq!(tracks(&[], Some(&at("list"))), ["x/a", "x/b/a"]);
        std::fs::write(at("list"), "one\nname.wav\0two.wav\0").expect("list");
        assert_eq!(tracks(&[], Some(&at("list"))), ["one\nname", "two"]);
        assert!(list(&[at("x/*.flac")], None).is_err(), "no file matches");
    }

    #[test]
    fn a_folder_gives_tracks_with_their_folders() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir(folder.path().join("b")).expect("folder");
        for name in ["b/x.wav", "a.wav", "notes.txt", ".hidden.flac"] {
            std::fs::write(folder.path().join(name), "").expect("file");
        }
        let tracks: Vec<_> =
            list(&[folder.path().into()], None).expect("inputs").into_iter().map(|input| input.track).collect();
        assert_eq!(tracks, [Path::new(".hidden"), Path::new("a"), Path::new("b/x")]);
    }
}
