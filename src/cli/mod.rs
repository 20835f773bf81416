//! The program `partita`: arguments -> config -> library -> files. It computes nothing, and uses only what is public.
//! One file per subcommand; what they share beside them. Only `terminal` prints.

mod advice;
mod args;
mod batch;
mod completions;
mod consensus;
mod context;
mod debleed;
mod evaluate;
mod drums;
mod denoise;
mod exit;
mod factorize;
mod failure;
mod file_list;
mod flags;
mod hpss;
mod inputs;
mod interrupt;
mod learn;
mod ledger;
mod litter;
mod meter;
mod outputs;
mod parse;
mod penalties;
mod precision;
mod separate;
mod sessions;
mod sound;
mod spectrogram;
mod spelling;
mod sources;
mod stems;
mod stream;
mod studio;
mod terminal;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use context::{Context, Typed};
use failure::Failure;
use spelling::Flags;
use terminal::Terminal;

/// Does what a command line says, the name of the program first, and returns the exit code: 0 for done, 1 where some input
/// failed, 2 for wrong usage, 130 for Ctrl-C.
///
/// For the whole life of a process: it listens to signals, which end the process where the work does not end soon enough,
/// sets the number of rayon's threads and the hook for panics, and writes to standard output and standard error.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let exit_code = parse_and_run(args);
    // A host that is no Rust program does not do this at its end.
    let _ = io::stdout().flush();
    exit_code
}

fn parse_and_run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut command = Cli::command();
    let flags = Flags::of(&command);
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        Ok((matches, cli))
    });
    let (matches, cli) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    cli.global.color.write_global();
    let terminal = Terminal::new(&cli.global, flags);
    let context = Context { terminal, seed: cli.global.seed, typed: Typed::new(command, matches) };
    // A fault in a decoder is caught where it happens, and told as an error of the file; nothing else is printed of it.
    // One that comes through to here is a fault of ours, and is told in one place, as all errors are.
    static FAULT: Mutex<String> = Mutex::new(String::new());
    panic::set_hook(Box::new(|info| {
        if let Ok(mut fault) = FAULT.lock() {
            *fault = info.to_string();
        }
    }));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(cli, &context)));
    let fault = |_| Err(Failure::Fault(FAULT.lock().map_or_else(|_| String::new(), |fault| fault.clone())));
    match outcome.unwrap_or_else(fault) {
        Ok(exit_code) => exit_code,
        Err(failure) => {
            context.terminal.failure(&failure);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli, context: &Context) -> Result<u8, Failure> {
    let (seed, terminal) = (context.seed, &context.terminal);
    interrupt::listen(terminal).map_err(Failure::signal)?;
    rayon::ThreadPoolBuilder::new().num_threads(cli.global.jobs).build_global().map_err(Failure::threads)?;
    match cli.command {
        Command::Separate(args) => separate::run(&args, context),
        Command::Drums(args) => drums::run(&args, context),
        Command::Hpss(args) => hpss::run(&args, context),
        Command::Debleed(args) => debleed::run(&args, context),
        Command::Denoise(args) => denoise::run(&args, context),
        Command::Stream(args) => stream::run(&args, context),
        Command::Studio(args) => studio::run(&args, context),
        Command::Learn(args) => learn::run(&args, seed, terminal),
        Command::Spectrogram(args) => spectrogram::run(&args, context),
        Command::Factorize(args) => factorize::run(&args, seed, terminal),
        Command::Evaluate(args) => evaluate::run(&args, terminal),
        Command::Completions { shell } => completions::completions(shell, Cli::command()),
        Command::Man { command } => completions::man(command.as_deref(), Cli::command()),
    }
}
