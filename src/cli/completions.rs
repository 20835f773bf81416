//! `partita completions SHELL` and `partita man [COMMAND]`.

use std::io::{self, Write};

use clap_complete::Shell;

use super::exit::DONE;
use super::failure::Failure;

pub(super) fn completions(shell: Shell, mut command: clap::Command) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "partita", &mut script);
    print(&script)
}

/// The page of the program, or that of one command.
pub(super) fn man(name: Option<&str>, mut command: clap::Command) -> Result<u8, Failure> {
    command.build();
    let page = match name {
        None => command,
        Some(name) => {
            let known: Vec<_> = command.get_subcommands().map(|c| format!("`{}`", c.get_name())).collect();
            let found = command.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                Failure::usage(format!("there is no command `{name}`"), format!("use one of {}", known.join(", ")))
            })?
        }
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff).map_err(Failure::Stdout)?;
    print(&roff)
}

fn print(text: &[u8]) -> Result<u8, Failure> {
    match io::stdout().write_all(text) {
        // A reader that has seen enough (`| head`) is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Stdout(error)),
        _ => Ok(DONE),
    }
}
