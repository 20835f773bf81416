//! The one file of the command line that prints: errors, hints, warnings and progress to standard error, data to
//! standard output.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anstream::{eprintln, stdout};
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use partita::error::shown;
use partita::plot::letters_without_font;
use partita::watch::Progress;
use serde_json::{Value, json};

use super::advice;
use super::exit::is_interrupted;
use super::failure::Failure;
use super::flags::GlobalArgs;
use super::meter;
use super::spelling::Flags;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How to talk to the user.
#[derive(Debug)]
pub(super) struct Terminal {
    quiet: bool,
    verbose: bool,
    json: bool,
    /// Somebody is looking at standard error.
    interactive: bool,
    /// The bars that are shown, one below the other.
    bars: MultiProgress,
    /// What a bar is about, where several recordings are worked on.
    about: String,
    /// How settings are spelled.
    flags: Arc<Flags>,
    /// Whether it was said that some letters have no font.
    has_told_of_letters: Arc<AtomicBool>,
}

impl Terminal {
    pub(super) fn new(global: &GlobalArgs, flags: Flags) -> Self {
        let interactive = std::io::stderr().is_terminal() && !global.quiet;
        let (quiet, verbose, json) = (global.quiet, global.verbose, global.json);
        Self {
            quiet,
            verbose,
            json,
            interactive,
            bars: MultiProgress::new(),
            about: String::new(),
            flags: Arc::new(flags),
            has_told_of_letters: Arc::default(),
        }
    }

    /// For the work on one of several recordings: its bars carry its name.
    pub(super) fn for_one(&self, track: &Path) -> Self {
        Self { about: shown(Path::new(track.file_name().unwrap_or(track.as_os_str()))), ..self.for_all() }
    }

    /// For what concerns all of the program.
    pub(super) fn for_all(&self) -> Self {
        let (flags, has_told_of_letters) = (self.flags.clone(), self.has_told_of_letters.clone());
        Self { about: String::new(), bars: self.bars.clone(), flags, has_told_of_letters, ..*self }
    }

    /// The last words before an end that the work itself does not come to; the bars go.
    pub(super) fn interrupted(&self) {
        let _ = self.bars.clear();
        self.failure(&partita::Error::Cancelled.into());
    }

    /// Prints a line to standard error, above the bars.
    fn tell(&self, line: impl std::fmt::Display) {
        if self.interactive {
            self.bars.suspend(|| eprintln!("{line}"));
        } else {
            eprintln!("{line}");
        }
    }

    /// An error with its causes and its hint; with `--json` also as an event.
    pub(super) fn failure(&self, failure: &Failure) {
        let message = visible(&self.flags.in_text(&chain(failure)));
        let hint = failure.hint(&self.flags).map(|hint| visible(&hint));
        let advice = hint.as_ref().map_or(String::new(), |hint| format!("\n\n{HINT}hint{HINT:#}: {hint}"));
        self.tell(format_args!("{ERROR}error{ERROR:#}: {message}{advice}"));
        self.event(json!({ "event": "error", "message": message, "hint": hint }));
    }

    /// The message of an error, and its hint, as they are told here: for a page that tells them instead.
    pub(super) fn words(&self, error: &partita::Error) -> (String, Option<String>) {
        let hint = error.advice().map(|advice| visible(&advice::words(&advice, &self.flags)));
        (visible(&self.flags.in_text(&chain(error))), hint)
    }

    /// Something that the user should know although the work goes on.
    pub(super) fn warning(&self, message: &str) {
        if !self.quiet {
            self.tell(format_args!("{WARNING}warning{WARNING:#}: {}", visible(&self.flags.in_text(message))));
        }
    }

    /// Warns, once, of letters in titles and labels of a PNG that cannot be drawn.
    pub(super) fn letters<'a>(&self, mut texts: impl Iterator<Item = &'a str>) {
        if texts.any(|text| !letters_without_font(text).is_empty()) && !self.has_told_of_letters.swap(true, Relaxed) {
            self.warning(
                "some letters of titles and labels cannot be drawn here, and pictures show them as escapes such as \
                 `\\u{97f3}`; install a font that has them (Noto Sans CJK for Chinese, Japanese and Korean), or draw an `.svg`",
            );
        }
    }

    /// A line, or several that stay together, for the person at the terminal.
    pub(super) fn say(&self, line: &str) {
        if !self.quiet {
            self.tell(visible(line));
        }
    }

    /// A line for whoever asked for more.
    pub(super) fn detail(&self, line: &str) {
        if self.verbose {
            self.tell(visible(line));
        }
    }

    /// Whether more is asked for.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Lines of data on standard output, unless `--json` puts objects there.
    pub(super) fn print(&self, text: &str) {
        if !self.json {
            let _ = writeln!(stdout().lock(), "{}", visible(text));
        }
    }

    /// Whether `--json` asks for data.
    pub(super) fn has_events(&self) -> bool {
        self.json
    }

    /// One JSON object on standard output, where `--json` asks for it.
    pub(super) fn event(&self, event: Value) {
        if self.json {
            // A reader that went away is not worth ending the work for.
            let mut stdout = stdout().lock();
            let _ = writeln!(stdout, "{event}").and_then(|()| stdout.flush());
        }
    }

    /// A progress bar, on a terminal only; it vanishes when dropped.
    pub(super) fn bar(&self, length: u64, label: &str) -> Bar {
        if !self.interactive {
            return Bar(ProgressBar::hidden());
        }
        let bar = self.bars.add(ProgressBar::new(length));
        let mut template = "{prefix:12} {wide_bar:.cyan/blue} {percent:>3} %  {elapsed}".to_owned();
        if self.about.is_empty() {
            // The `^C` that a terminal shows goes to a line of its own, and the topmost one stays: better an empty one.
            template.insert(0, '\n');
        } else {
            // What is left at 40 columns is a bar of 4.
            let n_columns = (meter::columns().unwrap_or(80) / 4).clamp(8, 24);
            template.insert_str(0, &format!("{{msg:{n_columns}!}}  "));
            bar.set_message(shortened(&self.about, n_columns));
        }
        let style = ProgressStyle::with_template(&template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar(bar)
    }

    /// A bar for each of several steps.
    pub(super) fn steps(&self) -> Steps<'_> {
        Steps { terminal: self, shown: None }
    }
}

/// A progress bar that leaves no trace.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn set(&self, position: u64) {
        self.0.set_position(position);
    }
}

/// The bars of work in steps: each follows the one before.
pub(super) struct Steps<'a> {
    terminal: &'a Terminal,
    shown: Option<(&'static str, Bar)>,
}

impl Steps<'_> {
    /// Shows how far the work is; answers whether the user wants it to go on.
    pub(super) fn tell(&mut self, progress: Progress) -> ControlFlow<()> {
        let (step, total) = (progress.step.name(), progress.total.unwrap_or(0));
        // The old one goes before the new one comes.
        self.shown = self.shown.take().filter(|(shown, _)| *shown == step);
        self.shown.get_or_insert_with(|| (step, self.terminal.bar(total, step))).1.set(progress.done);
        if let Some(divergence) = progress.divergence {
            self.terminal.event(json!({
                "event": "progress", "iteration": progress.done, "max_iter": total, "divergence": divergence,
            }));
        }
        if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// So many of a thing, as in `1 channel`.
pub(super) fn counted(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// A message with its causes, each after a colon.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

/// The beginning and the end of a name, which tell numbered files apart, in `n_chars` characters at the most.
fn shortened(name: &str, n_chars: usize) -> String {
    let n_all = name.chars().count();
    if n_all <= n_chars {
        return name.to_owned();
    }
    let n_first = n_chars / 2;
    let n_left_out = n_all + 1 - n_chars;
    name.chars().take(n_first).chain(['…']).chain(name.chars().skip(n_first + n_left_out)).collect()
}

/// Text with nothing in it that a terminal would obey: names of files and tags come from anywhere.
fn visible(text: &str) -> String {
    text.split('\n').map(|line| shown(Path::new(line))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_in_the_middle() {
        assert_eq!(shortened("a song, number 12", 9), "a so…r 12");
        assert_eq!(shortened("a song", 6), "a song");
    }
}
