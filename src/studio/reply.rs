//! Answers: errors in the words of whoever opened the studio, and lines of JSON while work goes on.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::desk::Desk;
use super::refusal::Refusal;
use crate::Error;

/// An error and what to do about it.
pub(super) fn told(error: &str, hint: Option<&str>) -> Json<Value> {
    Json(json!({ "error": error, "hint": hint }))
}

/// An answer with one of the words for it.
pub(super) fn bad(status: StatusCode, error: impl AsRef<str>) -> Response {
    (status, told(error.as_ref(), None)).into_response()
}

/// There is no such thing.
pub(super) fn missing() -> Response {
    bad(StatusCode::NOT_FOUND, "there is nothing here")
}

/// What a refusal says, with its status.
pub(super) fn worded(refusal: &Refusal, desk: &Desk) -> (StatusCode, Value) {
    match refusal {
        Refusal::Library(error) => {
            let (message, hint) = desk.config().words.of(error, desk.files().folder());
            (status(error), json!({ "error": message, "hint": hint }))
        }
        Refusal::Revision(revision) => {
            let error = "the project was changed in another tab";
            let hint = "take what is there now, and do it again";
            (StatusCode::CONFLICT, json!({ "error": error, "hint": hint, "revision": revision }))
        }
        Refusal::Existing(paths) => {
            let error = "files are there that would be replaced";
            let hint = "export again and replace them, or start the studio with another `--out` folder";
            (StatusCode::CONFLICT, json!({ "error": error, "hint": hint, "files": paths }))
        }
        Refusal::Gone(recording) => {
            let error = format!("`{recording}` is not there any more");
            let hint = "put it back and do it again: what is on this page stays as long as it is open. Or open the project, \
                        as it was saved, with the recording's new place";
            (StatusCode::CONFLICT, json!({ "error": error, "hint": hint }))
        }
        Refusal::Full(n_bytes, free) => {
            let mb = |bytes: &u64| *bytes as f64 / 1e6;
            let error = format!("the files take {:.1} MB, and the disk has room for {:.1} MB", mb(n_bytes), mb(free));
            let hint = "free some space, or export fewer stems, as FLAC, or with fewer bits";
            (StatusCode::INSUFFICIENT_STORAGE, json!({ "error": error, "hint": hint }))
        }
        Refusal::Wrong(error) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "error": error, "hint": null })),
        Refusal::Missing(error) => (StatusCode::NOT_FOUND, json!({ "error": error, "hint": null })),
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::OtherRecording { .. } | Error::RecordingChanged { .. } | Error::Length { .. } => StatusCode::CONFLICT,
        Error::Cancelled => StatusCode::CONFLICT,
        Error::WriteFile { .. } | Error::CreateFolder { .. } | Error::Spool { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The answer for a refusal.
pub(super) fn refused(refusal: &Refusal, desk: &Desk) -> Response {
    let (status, told) = worded(refusal, desk);
    (status, Json(told)).into_response()
}

/// Does work on a thread of its own, and answers with what it gives.
pub(super) async fn after<T: Send + 'static>(
    desk: Arc<Desk>,
    work: impl FnOnce(&Desk) -> Result<T, Refusal> + Send + 'static,
    answer: impl FnOnce(T) -> Response,
) -> Response {
    let done = move || work(&desk).map_err(|refusal| worded(&refusal, &desk));
    match tokio::task::spawn_blocking(done).await {
        Ok(Ok(made)) => answer(made),
        Ok(Err((status, told))) => (status, Json(told)).into_response(),
        Err(_) => bad(StatusCode::INTERNAL_SERVER_ERROR, "partita itself is at fault; please report it"),
    }
}

/// Where work tells how far it is: each line goes to the page at once.
#[derive(Debug)]
pub(super) struct Line(mpsc::Sender<Bytes>);

impl Line {
    /// Whether there is somebody who reads it.
    pub(super) fn send(&self, value: &Value) -> bool {
        let mut line = value.to_string();
        line.push('\n');
        self.0.blocking_send(line.into()).is_ok()
    }

    /// Whether nobody reads any more.
    pub(super) fn is_cut(&self) -> bool {
        self.0.is_closed()
    }
}

/// Answers at once with lines of JSON, while work goes on on a thread of its own. The last line is what the work gives.
pub(super) fn lines(
    desk: Arc<Desk>,
    work: impl FnOnce(&Desk, &Line) -> Result<Value, Refusal> + Send + 'static,
) -> Response {
    let (sender, receiver) = mpsc::channel(16);
    tokio::task::spawn_blocking(move || {
        let line = Line(sender);
        let last = work(&desk, &line);
        line.send(&last.unwrap_or_else(|refusal| worded(&refusal, &desk).1));
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(Lines(receiver))).into_response()
}

struct Lines(mpsc::Receiver<Bytes>);

impl Stream for Lines {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|line| line.map(Ok))
    }
}
