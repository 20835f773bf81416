//! How the program ends: its exit codes, and the signal that asked it to stop.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::SIGINT;

/// Everything went well.
pub(super) const DONE: u8 = 0;
/// Some input failed.
pub(super) const FAILED: u8 = 1;
/// The command line asks for something that cannot be done.
pub(super) const USAGE: u8 = 2;

/// What shells add to a signal's number.
const BASE: u8 = 128;

/// The signal that asked to stop; 0: none.
static SIGNAL: AtomicUsize = AtomicUsize::new(0);

/// Notes this signal from now on, as one that asks to stop.
pub(super) fn on(signal: i32) -> io::Result<()> {
    signal_hook::flag::register_usize(signal, &SIGNAL, signal as usize).map(drop)
}

/// Whether the user asked to stop.
pub(super) fn is_interrupted() -> bool {
    SIGNAL.load(Ordering::Relaxed) != 0
}

/// The exit code of work that was stopped, as shells report it: 130 after Ctrl-C.
pub(super) fn interrupted() -> u8 {
    let signal = match SIGNAL.load(Ordering::Relaxed) {
        0 => SIGINT as usize,
        signal => signal,
    };
    u8::try_from(signal).map_or(u8::MAX, |signal| BASE.saturating_add(signal))
}
