//! What the page may ask for. Every answer is made of what is on the desk; no request names a path.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};

use super::assets::{ASSETS, Asset};
use super::desk::Desk;
use super::export::{self, Plan};
use super::guard::{self, Guard};
use super::pyramid::Place;
use super::refusal::{Answer, Refusal};
use super::reply::{self, Line, after, missing};
use super::sound::{Region, Tracks};
use super::tiles::Scale;
use super::upload;
use crate::audio::Recording;
use crate::audio::decode::{AudioFile, is_audio_path};
use crate::knowledge::score::{Class, Part, Score};
use crate::project::Document;
use crate::separate::AnalysisConfig;
use crate::stft::Stft;
use crate::watch::{Progress, Watch};

/// Samples per channel that are handed out at once at the most, over all tracks: 64 MB of them.
const MAX_SAMPLES: u64 = 1 << 24;

/// Bytes of a score, and of a recording of one source, at the most.
const MAX_SCORE: u64 = 16 << 20;
const MAX_EXAMPLE: u64 = 2 << 30;

/// Whether a tile is a sketch, and the tile itself is still to be asked for.
const X_SKETCH: HeaderName = HeaderName::from_static("x-sketch");

/// How often it is told how far a fit is.
const TELL: Duration = Duration::from_millis(50);

type Here = State<Arc<Desk>>;

/// All routes, behind their guard.
pub(super) fn all(desk: Arc<Desk>, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/", get(|| async { asset(&ASSETS[0]) }))
        .route("/favicon.ico", get(|| async { file("icon.svg") }))
        .route("/studio/{name}", get(|Path(name): Path<String>| async move { file(&name) }))
        .route("/api/project", get(project).put(put))
        .route("/api/fit", post(fit))
        .route("/api/fits/{id}/current", post(current))
        .route("/api/audio", get(audio))
        .route("/api/tiles/{track}/{level}/{index}", get(tile))
        .route("/api/peaks/{track}/{level}/{index}", get(peaks))
        .route("/api/components", get(components))
        .route("/api/score", post(score))
        .route("/api/examples", post(example))
        .route("/api/save", post(save))
        .route("/api/export", post(export))
        .fallback(|| async { missing() })
        .method_not_allowed_fallback(|| async { reply::bad(StatusCode::METHOD_NOT_ALLOWED, "not in this way") })
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(desk)
}

// ---- the page ----------------------------------------------------------------------------------------------------

fn file(name: &str) -> Response {
    ASSETS.iter().find(|asset| asset.name == name).map_or_else(missing, asset)
}

fn asset(asset: &'static Asset) -> Response {
    ([(header::CONTENT_TYPE, asset.content_type)], asset.bytes).into_response()
}

// ---- what is asked for -------------------------------------------------------------------------------------------

/// What stands behind the `?`.
struct Query(HashMap<String, String>);

impl Query {
    fn of(raw: Option<&str>) -> Self {
        let pairs = raw.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number, where there is one.
    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let wrong = |text: &str| Refusal::Wrong(format!("`{name}` is `{text}`, expected a whole number"));
        self.text(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }

    fn region(&self) -> Result<Option<Region>, Refusal> {
        let Some(text) = self.text("box") else { return Ok(None) };
        let numbers: Vec<f64> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
        match numbers[..] {
            [t0, t1, f0, f1] if numbers.iter().all(|x| x.is_finite()) && t0 <= t1 && f0 <= f1 => {
                Ok(Some(Region { t: [t0, t1], hz: [f0, f1] }))
            }
            _ => Err(Refusal::Wrong("`box` is expected to be four numbers, from and to in s, then in Hz".into())),
        }
    }
}

/// Text without the escapes of addresses.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

// ---- the document ------------------------------------------------------------------------------------------------

async fn project(State(desk): Here) -> Response {
    Json(desk.told()).into_response()
}

#[derive(Deserialize)]
struct Put {
    revision: u64,
    document: Value,
}

/// A document; keys that it does not have are refused, also where its type would not.
fn document(given: &Value) -> Answer<Document> {
    fn unknown<'a>(given: &'a Value, known: &Value) -> Option<&'a str> {
        match (given, known) {
            (Value::Object(given), Value::Object(known)) => {
                given.iter().find_map(|(key, given)| match known.get(key) {
                    Some(known) => unknown(given, known),
                    // What is empty may be left out.
                    None if given.is_null() || given.as_array().is_some_and(Vec::is_empty) => None,
                    None if given.as_object().is_some_and(serde_json::Map::is_empty) => None,
                    None => Some(key),
                })
            }
            (Value::Array(given), Value::Array(known)) => {
                given.iter().zip(known).find_map(|(given, known)| unknown(given, known))
            }
            _ => None,
        }
    }
    let wrong = |error: serde_json::Error| Refusal::Wrong(error.to_string());
    let document: Document = serde_json::from_value(given.clone()).map_err(wrong)?;
    match unknown(given, &serde_json::to_value(&document).map_err(wrong)?) {
        Some(key) => Err(Refusal::Wrong(format!("unknown field `{key}`"))),
        None => Ok(document),
    }
}

async fn put(State(desk): Here, headers: HeaderMap, body: Body) -> Response {
    match upload::json::<Put>(&headers, body, desk.config().read_timeout).await {
        Ok(put) => after(desk, move |desk| desk.put(put.revision, document(&put.document)?), json_answer).await,
        Err(refused) => refused,
    }
}

async fn save(State(desk): Here) -> Response {
    after(desk, |desk| desk.save(), json_answer).await
}

fn json_answer(value: Value) -> Response {
    Json(value).into_response()
}

// ---- fits --------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum From {
    Warm,
    Cold,
}

#[derive(Deserialize)]
struct FitRequest {
    revision: Option<u64>,
    from: From,
}

async fn fit(State(desk): Here, headers: HeaderMap, body: Body) -> Response {
    let asked = match upload::json::<FitRequest>(&headers, body, desk.config().read_timeout).await {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let is_warm = matches!(asked.from, From::Warm);
    match desk.expect(asked.revision) {
        Ok(()) => reply::lines(desk, move |desk, line| desk.fit(asked.revision, is_warm, &mut told_to(line))),
        Err(refusal) => reply::refused(&refusal, &desk),
    }
}

/// Tells the page how far work is, as often as is good for it; the work ends when the page has gone.
pub(super) fn told_to(line: &Line) -> impl FnMut(Progress) -> ControlFlow<()> {
    let mut last: Option<(Instant, &str)> = None;
    move |progress| {
        let (now, step) = (Instant::now(), progress.step.name());
        let is_due = last.is_none_or(|(then, before)| before != step || now - then >= TELL);
        let is_read = if is_due {
            last = Some((now, step));
            line.send(&json!({
                "step": step,
                "done": progress.done,
                "total": progress.total,
                "divergence": progress.divergence,
            }))
        } else {
            !line.is_cut()
        };
        if is_read { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

async fn current(State(desk): Here, Path(id): Path<u32>) -> Response {
    after(desk, move |desk| desk.make_current(id), json_answer).await
}

async fn components(State(desk): Here, RawQuery(query): RawQuery) -> Response {
    let query = Query::of(query.as_deref());
    after(desk, move |desk| desk.components(query.number("fit")?), json_answer).await
}

async fn export(State(desk): Here, headers: HeaderMap, body: Body) -> Response {
    match upload::json::<export::Request>(&headers, body, desk.config().read_timeout).await {
        Ok(asked) => match Plan::new(&desk, asked) {
            Ok(plan) => reply::lines(desk, move |desk, line| plan.run(desk, &mut Watch::new(&mut told_to(line)))),
            Err(refusal) => reply::refused(&refusal, &desk),
        },
        Err(refused) => refused,
    }
}

// ---- files that come ---------------------------------------------------------------------------------------------

async fn score(State(desk): Here, RawQuery(query): RawQuery, body: Body) -> Response {
    let is_score = |path: &std::path::Path| {
        let is = |ending: &str| path.extension().is_some_and(|of| of.eq_ignore_ascii_case(ending));
        ["mid", "midi", "kar"].into_iter().any(is)
    };
    let look = |path: &std::path::Path| {
        let score = Score::load(path)?;
        let is_drum = |part: &&Part| part.class == Class::Percussion;
        let names = |parts: &mut dyn Iterator<Item = &Part>| parts.map(|part| part.name.clone()).collect::<Vec<_>>();
        let drums = names(&mut score.parts.iter().filter(is_drum));
        Ok(json!({ "tracks": names(&mut score.parts.iter()), "drums": drums }))
    };
    file_in(desk, &Query::of(query.as_deref()), body, MAX_SCORE, is_score, look).await
}

async fn example(State(desk): Here, RawQuery(query): RawQuery, body: Body) -> Response {
    let look = |path: &std::path::Path| {
        let file = AudioFile::open(path)?;
        Ok(json!({ "sample_rate": file.sample_rate(), "n_samples": file.n_samples_hint() }))
    };
    file_in(desk, &Query::of(query.as_deref()), body, MAX_EXAMPLE, is_audio_path, look).await
}

/// Takes a file, looks whether it is what it should be, and tells its name beside what was found.
async fn file_in(
    desk: Arc<Desk>,
    query: &Query,
    body: Body,
    max_bytes: u64,
    has_ending: impl Fn(&std::path::Path) -> bool + Send + 'static,
    look: impl FnOnce(&std::path::Path) -> crate::Result<Value> + Send + 'static,
) -> Response {
    let Some(name) = query.text("name").map(str::to_owned) else {
        return reply::bad(StatusCode::UNPROCESSABLE_ENTITY, "`name` is missing, the name of the file");
    };
    let path = match desk.files().incoming() {
        Ok(path) => path,
        Err(error) => return reply::refused(&error.into(), &desk),
    };
    if let Err(refused) = upload::file(body, &path, max_bytes, desk.config().read_timeout).await {
        return refused;
    }
    let keep = move |desk: &Desk| {
        let name = desk.files().keep(path, &name, &has_ending)?;
        let path = desk.files().folder().join(&name);
        let mut found = look(&path).inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        found["file"] = name.into();
        Ok(found)
    };
    after(desk, keep, json_answer).await
}

// ---- sound and pictures ------------------------------------------------------------------------------------------

async fn audio(State(desk): Here, RawQuery(query): RawQuery) -> Response {
    let query = Query::of(query.as_deref());
    let work = move |desk: &Desk| {
        let (recording, listening) = (desk.recording(), desk.listening());
        let from = query.number::<u64>("from")?.unwrap_or(0);
        let n = query.number::<u64>("n")?.unwrap_or(2 * u64::from(listening.sample_rate));
        let fit = query.number("fit")?.map(|id| desk.fit_of(Some(id))).transpose()?;
        let component = query.number::<usize>("component")?;
        let alone = match (&fit, component) {
            (Some(fit), Some(_)) => Some(desk.alone(fit)?),
            _ => None,
        };
        let tracks = match (&fit, component) {
            (None, None) => Tracks::Mixture,
            (None, Some(_)) => return Err(Refusal::Wrong("a component is of a fit: `fit` is missing".into())),
            (Some(fit), None) => Tracks::Stems(&fit.separation),
            (Some(fit), Some(component)) => Tracks::Component(alone.as_deref().unwrap_or(&fit.separation), component),
        };
        let n_tracks = tracks.n_tracks();
        let n = n.min(MAX_SAMPLES / (n_tracks * listening.n_channels) as u64);
        let region = match query.region()? {
            Some(region) => {
                let transform = AnalysisConfig::default().transform(recording.sample_rate());
                Some((Stft::new(transform)?, region))
            }
            None => None,
        };
        let bytes = listening.chunk(recording, tracks, from..from.saturating_add(n), region.as_ref())?;
        let n_samples = bytes.len() / size_of::<f32>() / (n_tracks * listening.n_channels);
        Ok((bytes, [n_tracks, listening.n_channels, n_samples, listening.sample_rate as usize]))
    };
    let answer = |(bytes, [n_tracks, n_channels, n_samples, rate]): (Vec<u8>, [usize; 4])| {
        let headers = [
            ("content-type", "application/octet-stream".to_owned()),
            ("x-tracks", n_tracks.to_string()),
            ("x-channels", n_channels.to_string()),
            ("x-samples", n_samples.to_string()),
            ("x-sample-rate", rate.to_string()),
        ];
        (headers, bytes).into_response()
    };
    after(desk, work, answer).await
}

type At = (usize, u32, usize);

async fn tile(State(desk): Here, Path((track, level, index)): Path<At>, RawQuery(query): RawQuery) -> Response {
    let query = Query::of(query.as_deref());
    let work = move |desk: &Desk| {
        let fit = stem(desk, &query, track)?;
        let scale = if query.text("axis") == Some("linear") { Scale::Linear } else { Scale::Log };
        let of = fit.as_ref().map(|fit| (fit.id, &fit.separation));
        let place = Place { track, level, index, scale };
        if let Some(of) = of.filter(|_| query.text("sketch").is_some())
            && let Some(sketch) = desk.pyramid().sketch(desk.recording(), of, place)?
        {
            return Ok((sketch.to_vec(), true));
        }
        let tile = desk.pyramid().tile(desk.recording(), of, place)?;
        Ok((tile.map(|tile| tile.to_vec()).ok_or_else(beyond)?, false))
    };
    let answer = |(bytes, is_sketch): (Vec<u8>, bool)| {
        ([(header::CONTENT_TYPE, "application/octet-stream"), (X_SKETCH, if is_sketch { "1" } else { "0" })], bytes)
            .into_response()
    };
    after(desk, work, answer).await
}

async fn peaks(State(desk): Here, Path((track, level, index)): Path<At>, RawQuery(query): RawQuery) -> Response {
    let query = Query::of(query.as_deref());
    let work = move |desk: &Desk| {
        let fit = stem(desk, &query, track)?;
        let of = fit.as_ref().map(|fit| (fit.id, &fit.separation));
        desk.pyramid().peaks(desk.recording(), of, track, level, index)?.ok_or_else(beyond)
    };
    after(desk, work, bytes_answer).await
}

/// The fit that a track is of; none for the recording itself.
fn stem(desk: &Desk, query: &Query, track: usize) -> Result<Option<Arc<super::desk::Fit>>, Refusal> {
    if track == 0 {
        return Ok(None);
    }
    let fit = desk.fit_of(query.number("fit")?)?;
    if track > fit.separation.names().len() {
        return Err(Refusal::Missing(format!("there is no track {track}")));
    }
    Ok(Some(fit))
}

fn beyond() -> Refusal {
    Refusal::Missing("that is beyond the end of the recording".into())
}

fn bytes_answer(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}
