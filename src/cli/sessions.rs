//! Sessions: files of several microphones that are one recording.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use partita::Error;
use partita::audio::Recording;
use partita::audio::decode::AudioFile;
use partita::error::shown;
use partita::separate::bleed::{self, BleedConfig};

use super::failure::Failure;
use super::inputs::{Input, Member};
use super::terminal::Terminal;

/// Offsets below this, in seconds, are those of sound in a room.
const MAX_ROOM_S: f64 = 0.03;

/// Files in sessions: those of one folder together. What cannot be opened fails in its turn.
pub(super) fn of(inputs: Vec<Input>, audio_track: Option<usize>) -> Vec<Input> {
    let folder = |input: &Input| input.path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut members: HashMap<PathBuf, Vec<Input>> = HashMap::new();
    for input in inputs {
        let folder = folder(&input);
        if !members.contains_key(&folder) {
            folders.push(folder.clone());
        }
        members.entry(folder).or_default().push(input);
    }
    let member = |input: &Input| Member {
        path: input.path.clone(),
        name: input.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        n_channels: AudioFile::open_track(&input.path, audio_track).map_or(1, |file| file.n_channels()),
    };
    let mut sessions = Vec::new();
    for folder in folders {
        let files = members.remove(&folder).unwrap_or_default();
        let session = files.iter().map(member).collect();
        if let [input] = &files[..] {
            sessions.push(Input { session, ..input.clone() });
            continue;
        }
        // Below a folder that was walked, the track has the folders in between.
        let between = files[0].track.parent().filter(|track| *track != Path::new(""));
        let real = || folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let name = || real().file_name().map_or_else(|| "session".into(), PathBuf::from);
        let track = between.map_or_else(name, Path::to_path_buf);
        sessions.push(Input { path: folder, track, session });
    }
    sessions
}

/// The microphones of a session.
pub(super) fn config(session: &[Member]) -> BleedConfig {
    let files: Vec<_> = session.iter().map(|member| (member.name.clone(), member.n_channels)).collect();
    BleedConfig::of_files(&files)
}

/// Refuses a session whose microphones cannot be cleaned of each other; `hint` says how to give more than one.
pub(super) fn check(session: &Input, config: &BleedConfig, hint: &str) -> Result<(), Failure> {
    let names = config.names();
    if let Some(name) = names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name)) {
        let message = format!("`{}`: two microphones would be called `{name}`", session.label());
        return Err(Failure::usage(message, "name the files one by one, or give each a name of its own"));
    }
    if config.microphones.len() < 2 {
        let message = format!("`{}` has one microphone, expected at least 2", session.label());
        return Err(Failure::usage(message, hint));
    }
    Ok(())
}

/// Says which files are out of time, and how long each has to wait where they are to be lined up.
pub(super) fn delays(
    session: &[Member],
    files: &[AudioFile],
    align: bool,
    terminal: &Terminal,
) -> Result<Vec<u64>, Error> {
    let recordings: Vec<_> = files.iter().map(|file| file as &dyn Recording).collect();
    let offsets = bleed::offsets(&recordings)?;
    let named = || session.iter().map(|member| shown(&member.path)).zip(&offsets);
    let first = session.first().map(|member| shown(&member.path)).unwrap_or_default();
    for (name, offset_s) in named() {
        match offset_s {
            Some(offset_s) if offset_s.abs() > MAX_ROOM_S => {
                let when = if *offset_s > 0.0 { "late" } else { "early" };
                let told = format!("{name} is {:.3} s {when} beside {first}", offset_s.abs());
                match align {
                    true => terminal.say(&format!("{told}, and is lined up")),
                    false => terminal.warning(&format!("{told}; `--align` lines them up")),
                }
            }
            Some(_) => {}
            None if align => {
                terminal.warning(&format!("{name}: nothing in it tells when it began beside {first}"));
            }
            None => {}
        }
    }
    if !align {
        return Ok(vec![0; files.len()]);
    }
    let offsets: Vec<f64> =
        offsets.iter().map(|offset_s| offset_s.filter(|x| x.abs() > MAX_ROOM_S).unwrap_or(0.0)).collect();
    let latest = offsets.iter().fold(0.0f64, |latest, x| latest.max(*x));
    let rate = files.first().map_or(0, Recording::sample_rate);
    Ok(offsets.iter().map(|offset_s| ((latest - offset_s) * f64::from(rate)).round() as u64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(path: &str, track: &str) -> Input {
        Input { path: path.into(), track: track.into(), ..Input::default() }
    }

    #[test]
    fn files_of_one_folder_are_a_session_with_its_name() {
        let inputs = vec![
            input("takes/one/kick.wav", "one/kick"),
            input("takes/two/kick.wav", "two/kick"),
            input("takes/one/snare.wav", "one/snare"),
            input("takes/two/snare.wav", "two/snare"),
            input("alone/band.wav", "band"),
        ];
        let told: Vec<_> = of(inputs, None)
            .iter()
            .map(|input| (input.track.to_string_lossy().into_owned(), config(&input.session).names().join(" ")))
            .collect();
        let told: Vec<_> = told.iter().map(|(track, names)| (track.as_str(), names.as_str())).collect();
        assert_eq!(told, [("one", "kick snare"), ("two", "kick snare"), ("band", "mic-1")]);
    }
}
