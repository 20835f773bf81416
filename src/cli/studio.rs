//! `partita studio`: a page on which a recording and its parts are heard, painted and fitted again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, ValueHint};
use partita::Error;
use partita::studio::{Studio, StudioConfig, Words};
use partita::watch::Watch;

use super::context::Context;
use super::exit;
use super::failure::Failure;
use super::flags::SEPARATED;

#[derive(Debug, Args)]
pub(super) struct StudioArgs {
    /// The recording
    #[arg(value_name = "RECORDING", value_hint = ValueHint::FilePath)]
    recording: PathBuf,
    /// The project file [default: RECORDING with the ending `.partita.toml`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    project: Option<PathBuf>,
    /// Folder that stems are exported to
    #[arg(short, long, default_value = SEPARATED, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,
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
    let config = StudioConfig {
        recording: args.recording.clone(),
        project: args.project.clone().unwrap_or_else(|| args.recording.with_extension("partita.toml")),
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
