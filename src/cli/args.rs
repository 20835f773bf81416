//! The command line as it is typed: the commands there are. Each has its options in its own file.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

use super::debleed::DebleedArgs;
use super::denoise::DenoiseArgs;
use super::drums::DrumsArgs;
use super::evaluate::EvaluateArgs;
use super::factorize::FactorizeArgs;
use super::flags::GlobalArgs;
use super::hpss::HpssArgs;
use super::learn::LearnArgs;
use super::separate::SeparateArgs;
use super::spectrogram::SpectrogramArgs;
use super::stream::StreamArgs;
use super::studio::StudioArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Takes the parts out of a recording.
#[derive(Debug, Parser)]
#[command(name = "partita", version, styles = STYLES, max_term_width = 100, infer_subcommands = false)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Separates recordings into sources, each written as a file of its own
    Separate(Box<SeparateArgs>),
    /// Takes drums apart: kick, snare, hi-hat, or drums of which there are recordings
    Drums(Box<DrumsArgs>),
    /// Tells harmonic from percussive sound
    Hpss(Box<HpssArgs>),
    /// Cleans the microphones of a session: takes out of each what it hears of the sources of all others
    #[command(after_help = super::debleed::SESSIONS)]
    Debleed(Box<DebleedArgs>),
    /// Takes a noise out of recordings, of speech or of anything else
    Denoise(Box<DenoiseArgs>),
    /// Takes one stem out of raw samples on standard input as they come, and puts it out on standard output
    Stream(Box<StreamArgs>),
    /// Opens a page on which a recording and its parts are heard, painted and fitted again
    Studio(StudioArgs),
    /// Learns what sources sound like from recordings of each alone
    Learn(Box<LearnArgs>),
    /// Draws the spectrogram of a recording
    Spectrogram(Box<SpectrogramArgs>),
    /// Factorizes a matrix from a file: V ~ W H
    Factorize(Box<FactorizeArgs>),
    /// Scores estimates of sources against the sources themselves
    Evaluate(Box<EvaluateArgs>),
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints a manual page
    Man {
        /// The command it is about; without one, the program as a whole
        command: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
