//! Many inputs: several at once, within the memory that there is; one that fails is reported, and the others go on.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use partita::batch::text;
use serde_json::json;

use super::exit::{DONE, is_interrupted};
use super::failure::Failure;
use super::inputs::Input;
use super::meter;
use super::terminal::Terminal;

/// What a machine is taken to have that does not tell, in bytes.
const UNKNOWN_MEMORY: u64 = 4 << 30;

/// Bytes for recordings that are worked on at the same time, where nobody says how many.
pub(super) fn default_memory() -> u64 {
    meter::memory_bytes().unwrap_or(UNKNOWN_MEMORY) / 2
}

/// Works through the inputs, as many at once as there are worker threads.
pub(super) fn each(
    inputs: &[Input],
    terminal: &Terminal,
    done: &'static str,
    work: &(dyn Fn(&Input, &Terminal) -> Result<(), Failure> + Sync),
) -> Result<u8, Failure> {
    if let [input] = inputs {
        work(input, terminal)?;
        return Ok(DONE);
    }
    let n_inputs = inputs.len();
    let next = AtomicUsize::new(0);
    let failed: Mutex<Vec<(usize, String)>> = Mutex::new(Vec::new());
    let bar = terminal.bar(n_inputs as u64, "all files");
    let n_done = AtomicUsize::new(0);
    let turn = || loop {
        let input_idx = next.fetch_add(1, Ordering::Relaxed);
        let Some(input) = inputs.get(input_idx).filter(|_| !is_interrupted()) else { return };
        let terminal = terminal.for_one(&input.track);
        // A fault that one input brings out is its own failure.
        let fault = |_| Err(Failure::Fault(format!("at `{}`", input.label())));
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| work(input, &terminal))).unwrap_or_else(fault);
        match outcome {
            Err(failure) if failure.is_interruption() => return,
            Err(failure) => {
                terminal.failure(&failure);
                lock(&failed).push((input_idx, failure.to_string()));
            }
            Ok(()) => {}
        }
        bar.set(n_done.fetch_add(1, Ordering::Relaxed) as u64 + 1);
    };
    std::thread::scope(|scope| {
        (1..rayon::current_num_threads().min(n_inputs)).for_each(|_| drop(scope.spawn(turn)));
        turn();
    });
    drop(bar);
    if is_interrupted() {
        return Err(partita::Error::Cancelled.into());
    }
    let mut failed = failed.into_inner().unwrap_or_else(|poison| poison.into_inner());
    failed.sort_unstable();
    let names: Vec<_> = failed.iter().map(|(i, _)| text(&inputs[*i].path)).collect();
    terminal.event(json!({ "event": "summary", "inputs": n_inputs, "failed": names }));
    if failed.is_empty() {
        terminal.say(&format!("{n_inputs} of {n_inputs} {done}"));
        return Ok(DONE);
    }
    let lines: Vec<_> = failed.iter().map(|(_, message)| format!("  {message}")).collect();
    terminal.say(&format!("failed:\n{}", lines.join("\n")));
    Err(Failure::Some { n_failed: failed.len(), n_inputs, done })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}
