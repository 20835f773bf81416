//! From what was typed to a list of recordings, each with the name of its track.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::WalkBuilder;
use partita::audio::decode::is_audio_path;
use partita::error::shown;
use serde_json::json;

use super::failure::Failure;
use super::file_list;
use super::flags::SEPARATED;
use super::litter::{is_like_audio, is_listed_litter, is_litter};
use super::terminal::Terminal;

/// What messages call the recording that comes from there.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// One recording to work on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Input {
    /// Its path; `-` is standard input.
    pub(super) path: PathBuf,
    /// What `{track}` stands for: the file's name without its ending, with the folders below a walked one.
    pub(super) track: PathBuf,
    /// The files of a session, of which `path` is the folder unless there is one only; none for a recording by itself.
    pub(super) session: Vec<Member>,
}

/// A file of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Member {
    pub(super) path: PathBuf,
    /// What its microphones are named after.
    pub(super) name: String,
    pub(super) n_channels: usize,
}

impl Input {
    /// The files that it is read from.
    pub(super) fn files(&self) -> Vec<&Path> {
        match &self.session[..] {
            [] => vec![&self.path],
            members => members.iter().map(|member| member.path.as_path()).collect(),
        }
    }

    pub(super) fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }

    /// What messages call it.
    pub(super) fn label(&self) -> String {
        if self.is_stdin() { STANDARD_INPUT.to_owned() } else { shown(&self.path) }
    }
}

/// The recordings that were found, before it is settled which of them are worked on.
#[derive(Debug, Default)]
pub(super) struct Found {
    candidates: Vec<Candidate>,
    /// What is passed over.
    left_out: Vec<(Reason, PathBuf)>,
}

/// Why a file is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It lies in folders and is no recording, though its name may say so.
    Litter,
    /// A pattern matches it beside recordings.
    Ending,
    /// It is the first line of a list, and no file.
    Heading,
    /// This program wrote it.
    Written,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Litter, Self::Ending, Self::Heading, Self::Written];

    fn told(self) -> &'static str {
        match self {
            Self::Litter => "hidden or left there by systems and programs",
            Self::Ending => "without the ending of a recording",
            Self::Heading => "taken for the heading of the list",
            Self::Written => "written by earlier runs",
        }
    }
}

#[derive(Debug)]
struct Candidate {
    input: Input,
    /// Where it was met: what was named by itself is worked on in any case.
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Named,
    /// In a walk through this folder.
    Folder(PathBuf),
    List,
}

/// Finds the recordings: files as given, those that a pattern matches, folders walked recursively in the order of their
/// names, and the lines of a list. What systems leave in folders is passed over, and so are stems in a folder that has the
/// name which theirs has by default.
pub(super) fn find(typed: &[PathBuf], files_from: Option<&Path>) -> Result<Found, Failure> {
    let mut found = Found::default();
    for path in typed {
        if path == Path::new("-") {
            found.add(path.clone(), "stdin".into(), Origin::Named);
        } else if let Some(pattern) = pattern(path) {
            found.matching(pattern)?;
        } else if path.is_dir() {
            let before = found.candidates.len();
            found.walk(path)?;
            if found.candidates.len() == before {
                return Err(Failure::usage(
                    format!("there is no recording in the folder `{}`", shown(path)),
                    "only files with the endings of audio formats are taken, and none that is hidden; name others one by one",
                ));
            }
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str());
            found.add(path.clone(), track(Path::new(name)), Origin::Named);
        }
    }
    // Tracks of a list keep their folders, so that files of one name do not collide.
    let listed = files_from.map(file_list::read).transpose()?.unwrap_or_default();
    found.left_out.extend(listed.heading.map(|line| (Reason::Heading, line)));
    for path in listed.paths {
        match is_listed_litter(&path) {
            true => found.left_out.push((Reason::Litter, path)),
            false => found.add(path.clone(), track(&path), Origin::List),
        }
    }
    found.leave_out(|_, path, base| {
        let below = base.and_then(|base| path.strip_prefix(base).unwrap_or(path).parent());
        below.is_some_and(|below| below.iter().any(|part| part == SEPARATED))
    });
    Ok(found)
}

impl Found {
    /// All that may be recordings.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.candidates.iter().map(|candidate| &candidate.input)
    }

    /// Leaves out what was not named by itself, and of which this is true: of its number, its path, and the folder that it
    /// was found in.
    pub(super) fn leave_out(&mut self, mut is_written: impl FnMut(usize, &Path, Option<&Path>) -> bool) {
        let mut i = 0;
        let is_left_out = |candidate: &mut Candidate| {
            i += 1;
            let path = &candidate.input.path;
            match &candidate.origin {
                Origin::Named => false,
                Origin::Folder(folder) => is_written(i - 1, path, Some(folder)),
                Origin::List => is_written(i - 1, path, None),
            }
        };
        let written = self.candidates.extract_if(.., is_left_out);
        self.left_out.extend(written.map(|candidate| (Reason::Written, candidate.input.path)));
    }

    /// The recordings to work on; says what was left out. Of files that differ in their endings, `song.wav` beside
    /// `song.flac`, the tracks keep these; others with the same track are refused, since their stems would overwrite each
    /// other.
    pub(super) fn settle(self, terminal: &Terminal) -> Result<Vec<Input>, Failure> {
        self.tell_left_out(terminal)?;
        self.distinct()
    }

    /// [`settle`](Self::settle), for recordings that are not each written to files of their own.
    pub(super) fn settle_together(self, terminal: &Terminal) -> Result<Vec<Input>, Failure> {
        self.tell_left_out(terminal)?;
        Ok(self.candidates.into_iter().map(|candidate| candidate.input).collect())
    }

    fn tell_left_out(&self, terminal: &Terminal) -> Result<(), Failure> {
        if let Some(told) = self.told() {
            if self.candidates.is_empty() {
                let hint = "name the files one by one, or the folder that they are in";
                return Err(Failure::usage(format!("no recording is left ({told})"), hint));
            }
            terminal.say(&if terminal.is_verbose() { format!("{told}:") } else { format!("{told}; `-v` lists them") });
            self.left_out.iter().for_each(|(_, path)| terminal.detail(&format!("  {}", shown(path))));
            let [litter, ending, heading, written] = Reason::ALL.map(|reason| self.n_left_out(reason));
            terminal.event(json!({
                "event": "left_out", "litter": litter, "ending": ending, "heading": heading, "written": written,
            }));
        }
        Ok(())
    }

    /// What is said of what was left out.
    fn told(&self) -> Option<String> {
        let counts = Reason::ALL.map(|reason| (self.n_left_out(reason), reason.told()));
        let parts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, told)| format!("{n} {told}")).collect();
        (!parts.is_empty()).then(|| format!("left out: {}", parts.join(", ")))
    }

    fn n_left_out(&self, reason: Reason) -> usize {
        self.left_out.iter().filter(|(why, _)| *why == reason).count()
    }

    fn distinct(self) -> Result<Vec<Input>, Failure> {
        let mut inputs: Vec<_> = self.candidates.into_iter().map(|candidate| candidate.input).collect();
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

    fn add(&mut self, path: PathBuf, track: PathBuf, origin: Origin) {
        self.candidates.push(Candidate { input: Input { path, track, session: Vec::new() }, origin });
    }

    /// Adds the files that a pattern matches, in the order of their names; their tracks begin after the folders that the
    /// pattern spells out.
    fn matching(&mut self, pattern: &str) -> Result<(), Failure> {
        let refused = |cause: String| {
            Failure::usage(
                format!("cannot use the pattern `{}`: {cause}", shown(pattern.as_ref())),
                "put a pattern into quotes: 'songs/**/*.flac'",
            )
        };
        let is_spelled_out = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let fixed: PathBuf = Path::new(pattern).components().take_while(is_spelled_out).collect();
        let open = Path::new(pattern).strip_prefix(&fixed).unwrap_or(Path::new(""));
        let folder = if fixed == Path::new("") { Path::new(".") } else { &*fixed };
        // A pattern that asks for hidden files gets them.
        let may_be_litter = open.iter().any(|part| is_litter(part.as_ref()));
        let n_before = self.candidates.len();
        let n_left_out = self.left_out.len();
        for path in glob::glob(pattern).map_err(|error| refused(error.to_string()))? {
            let path = path.map_err(|error| refused(error.to_string()))?;
            if path.is_file() {
                let below = path.strip_prefix(&fixed).unwrap_or(&path);
                match !may_be_litter && below.ancestors().any(is_litter) {
                    true => self.left_out.push((Reason::Litter, path)),
                    false => self.add(path.clone(), track(below), Origin::Folder(folder.into())),
                }
            }
        }
        if (self.candidates.len(), self.left_out.len()) == (n_before, n_left_out) {
            return Err(refused("no file matches it".into()));
        }
        let is_recording = |candidate: &Candidate| is_audio_path(&candidate.input.path);
        if self.candidates[n_before..].iter().any(is_recording) {
            let others = self.candidates.extract_if(n_before.., |candidate| !is_recording(candidate));
            self.left_out.extend(others.map(|candidate| (Reason::Ending, candidate.input.path)));
        }
        Ok(())
    }

    /// Adds every audio file below a folder; links are followed, loops are not, and ignore files say nothing.
    fn walk(&mut self, folder: &Path) -> Result<(), Failure> {
        let skipped = Arc::new(Mutex::new(Vec::new()));
        let skip = skipped.clone();
        let walker = WalkBuilder::new(folder)
            .standard_filters(false)
            .follow_links(true)
            .sort_by_file_name(|a, b| a.cmp(b))
            .filter_entry(move |entry| {
                let is_skipped = entry.depth() > 0 && is_litter(entry.path());
                if is_skipped && (entry.file_type().is_some_and(|kind| kind.is_dir()) || is_like_audio(entry.path())) {
                    skip.lock().unwrap_or_else(PoisonError::into_inner).push(entry.path().to_owned());
                }
                !is_skipped
            })
            .build();
        for entry in walker {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => match unreadable(&error) {
                    // It fails in its turn, as any other file that cannot be opened; the rest goes on.
                    Some(path) if !is_litter(path) => {
                        let track = track(path.strip_prefix(folder).unwrap_or(path));
                        self.add(path.to_owned(), track, Origin::Folder(folder.into()));
                        continue;
                    }
                    Some(_) => continue,
                    None if is_loop(&error) => continue,
                    None => return Err(Failure::Walk { path: folder.to_owned(), error }),
                },
            };
            let path = entry.path();
            if entry.file_type().is_some_and(|kind| kind.is_file()) && is_audio_path(path) {
                let track = track(path.strip_prefix(folder).unwrap_or(path));
                self.add(path.to_owned(), track, Origin::Folder(folder.into()));
            }
        }
        let skipped = std::mem::take(&mut *skipped.lock().unwrap_or_else(PoisonError::into_inner));
        self.left_out.extend(skipped.into_iter().map(|path| (Reason::Litter, path)));
        Ok(())
    }
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

    fn list(typed: &[PathBuf], files_from: Option<&Path>) -> Result<Vec<Input>, Failure> {
        find(typed, files_from)?.distinct()
    }

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
        assert_eq!(tracks, [Path::new("a"), Path::new("b/x")]);
    }
}
