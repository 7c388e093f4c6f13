//! The status page for admins, rendered here: HTML without scripts. It is for people, so the OpenAPI document does not have it.
//!
//! | path | file |
//! |---|---|
//! | `/status/sign-in/{token}` | `sign_in.rs`: a link of `/admin-stats` becomes the cookie of a browser, once |
//! | `/status` | `overview.rs`: queues, workers, shards, jobs, syncs |
//! | `/status/dead-letters`, `…/replay` | `dead_letters.rs`: for operators of the platform |
//!
//! An admin sees the community in whose server the command was used; a user of `KILL_SWITCH_OPERATORS` sees the platform. Every form has a token of
//! its session, and a request that changes something must come from this page (`Origin`). A replay needs a code of a second factor.

mod dead_letters;
mod form;
mod html;
mod overview;
mod refusal;
mod session;
mod sign_in;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, header};

use crate::services::ApiState;

/// Nothing is loaded but the style sheet, nothing runs, and forms are sent here only.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// The routes of the status page.
pub(super) fn router() -> Router<ApiState> {
    Router::new()
        .route("/status", get(overview::show))
        .route("/status/dead-letters", get(dead_letters::list))
        .route("/status/dead-letters/replay", post(dead_letters::replay))
        .route("/status/sign-in/{token}", get(sign_in::page).post(sign_in::sign_in))
        .route("/status/sign-out", post(sign_in::sign_out))
        .route("/assets/status/status.css", get(style))
}

async fn style() -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/css; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60")),
    ];
    (headers, include_str!("status.css")).into_response()
}

/// A page with this text.
fn served(html: String) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Without a referrer, browsers send `Origin: null` with forms.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    (headers, html).into_response()
}
