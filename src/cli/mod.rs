//! One file per subcommand; what they share beside them. Only `terminal` prints.

mod advice;
mod args;
mod batch;
mod completions;
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
mod separate;
mod sound;
mod spectrogram;
mod spelling;
mod sources;
mod stems;
mod stream;
mod studio;
mod terminal;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use context::{Context, Typed};
use failure::Failure;
use spelling::Flags;
use terminal::Terminal;

pub(crate) fn main() -> ExitCode {
    let mut command = Cli::command();
    let flags = Flags::of(&command);
    let matches = command.get_matches_mut();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
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
    let exit_code = match outcome.unwrap_or_else(fault) {
        Ok(exit_code) => exit_code,
        Err(failure) => {
            context.terminal.failure(&failure);
            failure.exit_code()
        }
    };
    ExitCode::from(exit_code)
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
