//! Work that Ctrl-C ends within a second: it runs on a thread of the pool, while the thread that asked for it looks for
//! signals and passes on the news.

use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use partita::watch::{Progress, Watch};
use pyo3::prelude::*;

use crate::errors::raise;
use crate::watch::{Listener, pool};

/// How often signals are looked for.
const LOOK: Duration = Duration::from_millis(50);

/// What work that is to end gets for ending in order: it looks many times in that, but one iteration of a large fit may
/// take longer. Then it is left alone, ends at its next look, and what it made is dropped.
const GRACE: Duration = Duration::from_millis(600);

enum News<T> {
    Progress(Progress),
    Done(std::thread::Result<partita::Result<T>>),
}

/// Does `work` without the interpreter's lock. `work` owns what it needs: it may outlive the call that an interrupt ends.
///
/// # Errors
/// The exception of a signal (`KeyboardInterrupt`), that of `listener`, or that of the library's error.
pub(crate) fn run<T: Send + 'static>(
    py: Python<'_>,
    listener: Listener,
    work: impl FnOnce(&mut Watch<'_>) -> partita::Result<T> + Send + 'static,
) -> PyResult<T> {
    let pool = pool(py)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (send, mut news) = mpsc::channel();
    let (end, wants_news) = (is_over.clone(), listener.is_listening());
    pool.spawn(move || {
        let mut tell = |progress| {
            if wants_news {
                // Nobody receives any more where the work was given up.
                let _ = send.send(News::Progress(progress));
            }
            if end.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let done = panic::catch_unwind(AssertUnwindSafe(|| work(&mut Watch::new(&mut tell))));
        let _ = send.send(News::Done(done));
    });
    loop {
        let stop = match py.detach(|| wait(&mut news, LOOK)) {
            Some(News::Done(Ok(outcome))) => return outcome.map_err(raise),
            Some(News::Done(Err(fault))) => panic::resume_unwind(fault),
            Some(News::Progress(progress)) => listener.tell(py, &progress).and_then(|()| py.check_signals()),
            None => py.check_signals(),
        };
        if let Err(stop) = stop {
            is_over.store(true, Ordering::Relaxed);
            py.detach(|| {
                let until = Instant::now() + GRACE;
                while let Some(News::Progress(_)) = wait(&mut news, until.saturating_duration_since(Instant::now())) {}
            });
            return Err(stop);
        }
    }
}

/// The next news, if there are any in that time.
fn wait<T>(news: &mut Receiver<News<T>>, time: Duration) -> Option<News<T>> {
    news.recv_timeout(time).ok()
}
