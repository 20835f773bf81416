//! Ctrl-C and its like: work that looks at [`exit::is_interrupted`] ends in order, and what does not look soon enough is
//! ended.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use partita::atomic;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::exit;
use super::terminal::Terminal;

/// How often a signal is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// What the work gets to end in order, so that all is over within a second: most of it looks many times in that, but one
/// iteration of a large fit, a wait for a pipe or a slow disk can take longer.
const GRACE: Duration = Duration::from_millis(500);

/// How long a terminal or a pipe may take to show the last words.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Begins to listen.
pub(super) fn listen(terminal: &Terminal) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup()) {
        exit::on(signal)?;
    }
    let terminal = terminal.for_all();
    thread::Builder::new().name("signals".into()).spawn(move || watch(terminal)).map(drop)
}

/// Ends the program where the work does not do so itself.
fn watch(terminal: Terminal) {
    while !exit::is_interrupted() {
        thread::sleep(LOOK);
    }
    thread::sleep(GRACE);
    // Stems that are just getting their names all get them.
    atomic::abandon();
    let (said, is_said) = mpsc::channel();
    // Beside this thread: a reader that has gone to sleep does not hold up the end.
    let last_words = move || {
        terminal.interrupted();
        said.send(())
    };
    if thread::Builder::new().spawn(last_words).is_ok() {
        let _ = is_said.recv_timeout(LAST_WORDS);
    }
    std::process::exit(exit::interrupted().into());
}

/// The signal of a terminal that was closed, unless the program was started to outlive it, as `nohup` does.
#[cfg(unix)]
fn hangup() -> Option<i32> {
    use signal_hook::consts::SIGHUP;
    // Linux tells which signals are ignored; where nobody does, it is left to the system.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    (ignored & (1 << (SIGHUP - 1)) == 0).then_some(SIGHUP)
}

#[cfg(not(unix))]
fn hangup() -> Option<i32> {
    None
}
