//! `partita studio`: a page on which a recording and its parts are heard, painted and fitted again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, ValueHint};
use partita::Error;
use partita::audio::decode::AudioFile;
use partita::error::shown;
use partita::studio::{Studio, StudioConfig, Words};
use partita::watch::Watch;

use super::context::Context;
use super::exit;
use super::failure::Failure;
use super::flags::SEPARATED;
use super::terminal::Terminal;
use super::{inputs, sessions};

#[derive(Debug, Args)]
pub(super) struct StudioArgs {
    /// The recording, or the folder of a session with a file for each microphone
    #[arg(value_name = "RECORDING", value_hint = ValueHint::AnyPath)]
    recording: PathBuf,
    /// The project file [default: RECORDING with the ending `.partita.toml`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    project: Option<PathBuf>,
    /// Folder that stems are exported to
    #[arg(short, long, default_value = SEPARATED, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Line up a session's files that began at different times, by what all of them hear [default: leave them as
    /// they are, and say so]
    #[arg(long)]
    align: bool,
    /// Port on 127.0.0.1 that the page is served on [default: one that is free]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Do not open the page in a browser
    #[arg(long)]
    no_open: bool,
}

pub(super) fn run(args: &StudioArgs, context: &Context) -> Result<u8, Failure> {
    let terminal = &context.terminal;
    let words = terminal.for_all();
    let (recording, microphones, delays) = match args.recording.is_dir() {
        true => session(&args.recording, args.align, terminal)?,
        false if args.align => {
            let message =
                format!("`--align` lines up the files of a session, and `{}` is no folder", shown(&args.recording));
            return Err(Failure::usage(message, "name the folder that they are in"));
        }
        false => (args.recording.clone(), Vec::new(), Vec::new()),
    };
    let beside = || match recording.is_dir() {
        true => {
            let mut name = recording.file_name().unwrap_or_default().to_owned();
            name.push(".partita.toml");
            recording.with_file_name(name)
        }
        false => recording.with_extension("partita.toml"),
    };
    let config = StudioConfig {
        project: args.project.clone().unwrap_or_else(beside),
        recording,
        microphones,
        delays,
        out: args.out.clone(),
        port: args.port.unwrap_or(0),
        seed: context.seed,
        read_timeout: StudioConfig::READ_TIMEOUT,
        words: Words::new(move |error| words.words(error)),
    };
    let studio = {
        let mut steps = terminal.steps();
        let mut tell = |progress| steps.tell(progress);
        Studio::open(config, &mut Watch::new(&mut tell))?
    };
    for note in studio.notes() {
        terminal.warning(note);
    }
    // It is there as long as the studio is open, and gone with it.
    let mut redirect = None;
    let mut ready = |address: &str| {
        terminal.say(&format!("the studio is open at {address}"));
        terminal.event(serde_json::json!({ "event": "ready", "address": address }));
        if !args.no_open {
            redirect = open(address);
            if redirect.is_none() {
                terminal.say("no browser could be started: open the address in one");
            }
        }
    };
    studio.serve(&mut ready, &exit::is_interrupted)?;
    drop(redirect);
    Ok(exit::interrupted())
}

/// What is opened of a folder, the files of its microphones, and how long each waits.
fn session(folder: &Path, align: bool, terminal: &Terminal) -> Result<(PathBuf, Vec<PathBuf>, Vec<u64>), Failure> {
    let found = inputs::find(&[folder.to_owned()], None)?.settle_together(terminal)?;
    let sessions = sessions::of(found, None);
    let [session] = &sessions[..] else {
        let message = format!("there are {} sessions in `{}`, expected one", sessions.len(), shown(folder));
        let folders: Vec<_> = sessions.iter().map(|session| format!("`{}`", session.label())).collect();
        return Err(Failure::usage(message, format!("open one of them: {}", folders.join(", "))));
    };
    let hint = "put the files of its microphones into the folder, or open the recording itself";
    sessions::check(session, &sessions::config(&session.session), hint)?;
    let paths = session.session.iter().map(|member| member.path.clone());
    let files = paths.clone().map(|path| AudioFile::open(&path)).collect::<Result<Vec<_>, _>>()?;
    let delays = sessions::delays(&session.session, &files, align, terminal).map_err(Failure::at(session.label()))?;
    // `.` and `..` have a name, too.
    let is_named = session.path.file_name().is_some();
    let path = if is_named { session.path.clone() } else { session.path.canonicalize().unwrap_or_default() };
    Ok((path, paths.collect(), delays))
}

/// Opens an address in a browser by way of a private file, since arguments of programs are seen by all users of a machine.
fn open(address: &str) -> Option<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("partita-").suffix(".html").tempfile().ok()?;
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>partita studio</title>\
         <meta http-equiv=\"refresh\" content=\"0; url={address}\"><a href=\"{address}\">partita studio</a>\n"
    );
    file.write_all(page.as_bytes()).and_then(|()| file.flush()).ok()?;
    start(file.path()).ok()?;
    Some(file)
}

/// Opens a file with the program that the system has for it.
fn start(path: &Path) -> Result<(), Error> {
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        let mut command = Command::new("cmd");
        command.args(["/c", "start", ""]);
        command
    } else {
        Command::new("xdg-open")
    };
    let quiet = command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().map(drop).map_err(|source| Error::OpenAudio { path: path.into(), source })
}
