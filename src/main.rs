//! The command line: arguments -> config -> library -> files. What it does is in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(partita::cli::main(std::env::args_os()))
}
