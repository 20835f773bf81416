//! The command line: arguments -> config -> library -> files. It computes nothing itself.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
