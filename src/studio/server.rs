//! Connections on 127.0.0.1, as long as the studio is open.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use super::desk::Desk;
use super::guard::Guard;
use super::routes;
use crate::{Error, Result};

/// How often it is asked whether it is enough.
const LOOK: Duration = Duration::from_millis(50);

/// How long work gets to notice that it is over.
const GRACE: Duration = Duration::from_millis(300);

/// Threads that wait for disks and do the work; what is heavy shares all cores among itself.
const MAX_WORKERS: usize = 16;

pub(super) fn serve(desk: Arc<Desk>, ready: &mut dyn FnMut(&str), is_over: &dyn Fn() -> bool) -> Result<()> {
    let port = desk.config().port;
    let refused = |source| Error::Serve { port, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(MAX_WORKERS)
        .enable_all()
        .build()
        .map_err(refused)?;
    let served = runtime.block_on(listen(desk.clone(), ready, is_over));
    desk.stop();
    runtime.shutdown_timeout(GRACE);
    served.map_err(refused)
}

async fn listen(desk: Arc<Desk>, ready: &mut dyn FnMut(&str), is_over: &dyn Fn() -> bool) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", desk.config().port)).await?;
    let no_numbers = || std::io::Error::other("the system has no random numbers");
    let guard = Arc::new(Guard::new(listener.local_addr()?.port()).ok_or_else(no_numbers)?);
    ready(&guard.address());
    let router = routes::all(desk.clone(), guard);
    while !is_over() {
        let Ok(accepted) = tokio::time::timeout(LOOK, listener.accept()).await else { continue };
        let Ok((stream, _)) = accepted else {
            // Too many files are open, or the other side has gone.
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(desk.config().read_timeout)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
    Ok(())
}
