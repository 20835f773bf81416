//! What the page sends: JSON of bounded size, and files, which go to the disk piece by piece.

use std::fs::File;
use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::reply::bad;

/// Bytes of JSON at the most.
const MAX_JSON: usize = 8 << 20;

/// The pieces of a body, each of which comes soon enough.
struct Pieces {
    body: axum::body::BodyDataStream,
    n_bytes: u64,
    max_bytes: u64,
    timeout: Duration,
}

impl Pieces {
    fn of(body: Body, max_bytes: u64, timeout: Duration) -> Self {
        Self { body: body.into_data_stream(), n_bytes: 0, max_bytes, timeout }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Response> {
        let next = poll_fn(|context| Pin::new(&mut self.body).poll_next(context));
        let late = |_| bad(StatusCode::REQUEST_TIMEOUT, "the rest of the request did not come");
        match tokio::time::timeout(self.timeout, next).await.map_err(late)? {
            None => Ok(None),
            Some(Err(_)) => Err(bad(StatusCode::BAD_REQUEST, "the request was cut off")),
            Some(Ok(piece)) => {
                self.n_bytes += piece.len() as u64;
                if self.n_bytes > self.max_bytes {
                    let mb = self.max_bytes >> 20;
                    return Err(bad(StatusCode::PAYLOAD_TOO_LARGE, format!("that is more than {mb} MB")));
                }
                Ok(Some(piece))
            }
        }
    }
}

/// Reads JSON, which has to say that it is JSON; each piece of it has to come within `timeout`.
pub(super) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    timeout: Duration,
) -> Result<T, Response> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().is_none_or(|kind| kind.trim() != "application/json") {
        return Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/json"));
    }
    let mut pieces = Pieces::of(body, MAX_JSON as u64, timeout);
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    serde_json::from_slice(&bytes).map_err(|error| bad(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

/// Writes a body into a new file; each piece of it has to come within `timeout`.
pub(super) async fn file(body: Body, path: &Path, max_bytes: u64, timeout: Duration) -> Result<(), Response> {
    let refused =
        |error: std::io::Error| bad(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot keep the file: {error}"));
    let mut file = File::create(path).map_err(refused)?;
    let mut pieces = Pieces::of(body, max_bytes, timeout);
    while let Some(piece) = pieces.next().await? {
        file.write_all(&piece).map_err(refused)?;
    }
    Ok(())
}
