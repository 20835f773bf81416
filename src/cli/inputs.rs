//! From what was typed to a list of recordings, each with the name of its track.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use partita::audio::decode::is_audio_path;

use super::failure::Failure;

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
}

/// Lists the recordings: files as given, folders walked recursively in the order of their names. Two with the same
/// track are refused, since their stems would overwrite each other.
pub(super) fn list(typed: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for path in typed {
        if path == Path::new("-") {
            inputs.push(Input { path: path.clone(), track: "stdin".into() });
        } else if path.is_dir() {
            let before = inputs.len();
            walk(path, &mut inputs)?;
            if inputs.len() == before {
                return Err(Failure::usage(
                    format!("there is no recording in the folder `{}`", path.display()),
                    "files with the endings of audio formats are looked for; name other files one by one",
                ));
            }
        } else {
            let track = path.file_stem().unwrap_or(path.as_os_str()).into();
            inputs.push(Input { path: path.clone(), track });
        }
    }
    let mut seen: HashMap<&Path, &Path> = HashMap::new();
    for input in &inputs {
        if let Some(other) = seen.insert(&input.track, &input.path) {
            let message = format!(
                "`{}` and `{}` would be written to the same files, as track `{}`",
                other.display(),
                input.path.display(),
                input.track.display()
            );
            return Err(Failure::usage(message, "separate them one by one, each with its own `--out` folder"));
        }
    }
    Ok(inputs)
}

/// Every audio file below a folder; nothing is hidden or ignored, links are followed, loops are not.
fn walk(folder: &Path, inputs: &mut Vec<Input>) -> Result<(), Failure> {
    let walker =
        WalkBuilder::new(folder).standard_filters(false).follow_links(true).sort_by_file_name(|a, b| a.cmp(b)).build();
    for entry in walker {
        let entry = entry.map_err(|error| Failure::Walk { path: folder.to_owned(), error })?;
        let path = entry.path();
        if entry.file_type().is_some_and(|kind| kind.is_file()) && is_audio_path(path) {
            let track = path.strip_prefix(folder).unwrap_or(path).with_extension("");
            inputs.push(Input { path: path.to_owned(), track });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_inputs_of_one_name_are_refused() {
        let failure = list(&["a/song.wav".into(), "b/song.mp3".into()]).expect_err("collision");
        assert!(failure.to_string().contains("the same files, as track `song`"), "{failure}");
    }

    #[test]
    fn a_folder_gives_tracks_with_their_folders() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir(folder.path().join("b")).expect("folder");
        for name in ["b/x.wav", "a.wav", "notes.txt", ".hidden.flac"] {
            std::fs::write(folder.path().join(name), "").expect("file");
        }
        let tracks: Vec<_> =
            list(&[folder.path().into()]).expect("inputs").into_iter().map(|input| input.track).collect();
        assert_eq!(tracks, [Path::new(".hidden"), Path::new("a"), Path::new("b/x")]);
    }
}
