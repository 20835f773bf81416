//! What a separating command is given beside its own options.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use partita::batch::{content_hash, text};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::terminal::Terminal;

/// What a separating command is given beside its own options.
pub(super) struct Context {
    pub(super) terminal: Terminal,
    pub(super) seed: u64,
    pub(super) typed: Typed,
}

/// The command line as it was typed.
pub(super) struct Typed {
    command: clap::Command,
    matches: ArgMatches,
}

/// Options that say which recordings are worked on, and how it is told, but not what is made of one.
const WITHOUT_EFFECT: [&str; 14] = [
    "inputs",
    "force",
    "skip_existing",
    "dry_run",
    "files_from",
    "memory",
    "manifest",
    "resume",
    "shard",
    "quiet",
    "verbose",
    "color",
    "jobs",
    "json",
];

impl Typed {
    pub(super) fn new(mut command: clap::Command, matches: ArgMatches) -> Self {
        // Its subcommands now have the options that all have.
        command.build();
        Self { command, matches }
    }

    /// Everything that a result depends on beside the recording: the version, the command, the options that were given,
    /// and the content of the files that they name.
    pub(super) fn parameters(&self) -> Result<Value, Failure> {
        let Some((command, matches)) = self.matches.subcommand() else { return Ok(Value::Null) };
        let arguments = self.command.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
        let mut options = Map::new();
        for id in arguments.map(|argument| argument.get_id().as_str()) {
            let is_given = matches.value_source(id) == Some(ValueSource::CommandLine);
            if is_given && !WITHOUT_EFFECT.contains(&id) {
                options.insert(id.into(), values(matches, id)?.into());
            }
        }
        Ok(json!({ "version": env!("CARGO_PKG_VERSION"), "command": command, "options": options }))
    }
}

fn values(matches: &ArgMatches, id: &str) -> Result<Vec<String>, Failure> {
    let Ok(Some(values)) = matches.try_get_raw(id) else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    for value in values {
        let typed = text(Path::new(value));
        let name = typed.split_once('=').map_or(typed.as_str(), |(_, name)| name);
        let path = if name == typed { Path::new(value) } else { Path::new(name) };
        if path.is_file() {
            let failed = |source| partita::Error::OpenAudio { path: path.into(), source };
            texts.push(format!("{typed} (sha256 {})", content_hash(path).map_err(failed)?));
        } else {
            texts.push(typed);
        }
    }
    Ok(texts)
}
