//! Who is let in: only the page, and only from this machine. Every page of the web can reach a loopback address, so that
//! this is no protection by itself.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::TryRng;
use rand::rngs::SysRng;

use super::reply;

/// What a request must show.
#[derive(Debug)]
pub(super) struct Guard {
    port: u16,
    token: String,
}

/// What every answer carries.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

impl Guard {
    /// With a new token of 128 bits from the system; `None` where the system has no random numbers.
    pub(super) fn new(port: u16) -> Option<Self> {
        let mut bits = [0; 16];
        SysRng.try_fill_bytes(&mut bits).ok()?;
        Some(Self { port, token: bits.iter().map(|byte| format!("{byte:02x}")).collect() })
    }

    /// What opens the page. The token stands in the fragment, which browsers send nowhere.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/#{}", self.port, self.token)
    }

    /// Why a request is refused; `None`: it is not.
    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
        let only = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            let first = values.next().and_then(|value| value.to_str().ok());
            first.filter(|_| values.next().is_none())
        };
        let is_ours = |authority: &str| {
            let (name, port) = authority.rsplit_once(':').unwrap_or_default();
            (name == "127.0.0.1" || name == "localhost") && port == self.port.to_string()
        };
        // Exactly ours: a beginning that is ours, or a host that is equal to the origin, says nothing.
        let is_here = only(header::HOST).is_some_and(is_ours) && uri.authority().is_none_or(|a| is_ours(a.as_str()));
        if !is_here {
            return Some("this address is not that of the studio");
        }
        let is_read = method == Method::GET || method == Method::HEAD;
        let is_own = only(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")).is_some_and(is_ours);
        if !is_read && !is_own {
            return Some("another page asks");
        }
        let is_api = uri.path() == "/api" || uri.path().starts_with("/api/");
        let token = only(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if is_api && !token.is_some_and(|token| is_equal(token.as_bytes(), self.token.as_bytes())) {
            return Some("the token is missing, or that of another studio");
        }
        None
    }
}

/// In the same time, wherever they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |gap, (a, b)| gap | (a ^ b)) == 0
}

/// Lets through what may pass, and gives every answer its headers.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(request.method(), request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(why) => {
            let hint = "open the page with the address that `partita studio` printed";
            (StatusCode::FORBIDDEN, reply::told(why, Some(hint))).into_response()
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_have_128_bits() {
        let token = || Guard::new(1).expect("random numbers").token;
        let (a, b) = (token(), token());
        assert!(a != b && a.len() == 32 && a.bytes().all(|byte| byte.is_ascii_hexdigit()), "{a} {b}");
        assert!(is_equal(a.as_bytes(), a.as_bytes()) && !is_equal(a.as_bytes(), &a.as_bytes()[1..]));
    }
}
