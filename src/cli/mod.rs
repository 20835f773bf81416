//! One file per subcommand; what they share beside them. Only `terminal` prints.

mod args;
mod batch;
mod completions;
mod evaluate;
mod drums;
mod denoise;
mod exit;
mod factorize;
mod failure;
mod hpss;
mod inputs;
mod interrupt;
mod labels;
mod learn;
mod meter;
mod outputs;
mod separate;
mod sound;
mod spectrogram;
mod stems;
mod terminal;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failure;
use terminal::Terminal;

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.global.color.write_global();
    let terminal = Terminal::new(&cli.global);
    // A fault in a decoder is caught where it happens, and told as an error of the file; nothing else is printed of it.
    // One that comes through to here is a fault of ours, and is told in one place, as all errors are.
    static FAULT: Mutex<String> = Mutex::new(String::new());
    panic::set_hook(Box::new(|info| {
        if let Ok(mut fault) = FAULT.lock() {
            *fault = info.to_string();
        }
    }));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(cli, &terminal)));
    let fault = |_| Err(Failure::Fault(FAULT.lock().map_or_else(|_| String::new(), |fault| fault.clone())));
    let exit_code = match outcome.unwrap_or_else(fault) {
        Ok(exit_code) => exit_code,
        Err(failure) => {
            terminal.failure(&failure);
            failure.exit_code()
        }
    };
    ExitCode::from(exit_code)
}

fn run(cli: Cli, terminal: &Terminal) -> Result<u8, Failure> {
    interrupt::listen(terminal).map_err(Failure::signal)?;
    rayon::ThreadPoolBuilder::new().num_threads(cli.global.jobs).build_global().map_err(Failure::threads)?;
    match cli.command {
        Command::Separate(args) => separate::run(&args, cli.global.seed, terminal),
        Command::Drums(args) => drums::run(&args, cli.global.seed, terminal),
        Command::Hpss(args) => hpss::run(&args, cli.global.seed, terminal),
        Command::Denoise(args) => denoise::run(&args, cli.global.seed, terminal),
        Command::Learn(args) => learn::run(&args, cli.global.seed, terminal),
        Command::Spectrogram(args) => spectrogram::run(&args, terminal),
        Command::Factorize(args) => factorize::run(&args, cli.global.seed, terminal),
        Command::Evaluate(args) => evaluate::run(&args, terminal),
        Command::Completions { shell } => completions::completions(shell, Cli::command()),
        Command::Man { command } => completions::man(command.as_deref(), Cli::command()),
    }
}
