//! The ledger as JSON lines, the same as a live stream, and counts.

use std::convert::Infallible;

use arrakis_emulator_client::{Recording, StatsReport};
use axum::{
    Json,
    extract::{Query, State},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::response::Body;
use crate::{AppState, traffic::Record};

/// Filter of the ledger.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerQuery {
    /// Records with a larger `n`.
    #[serde(default)]
    since: u64,
    /// `rest` or `gateway`.
    kind: Option<String>,
    /// Name of a dispatch.
    event: Option<String>,
}

pub(super) async fn read(State(app): State<AppState>, Query(wanted): Query<LedgerQuery>) -> impl IntoResponse {
    let fits = |record: &Record| match record {
        Record::Rest(_) => wanted.event.is_none() && wanted.kind.as_deref().is_none_or(|kind| kind == "rest"),
        Record::Gateway(frame) => {
            wanted.kind.as_deref().is_none_or(|kind| kind == "gateway")
                && wanted.event.as_deref().is_none_or(|event| frame.event == Some(event))
        }
    };
    let mut lines = String::new();
    for entry in app.traffic.since(wanted.since) {
        if !fits(&entry.record) {
            continue;
        }
        if let Ok(line) = serde_json::to_string(&*entry) {
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    ([(CONTENT_TYPE, "application/x-ndjson")], lines)
}

pub(super) async fn switch(State(app): State<AppState>, Body(change): Body<Recording>) -> Json<Recording> {
    app.traffic.set_recording(change.recording);
    Json(Recording {
        recording: app.traffic.is_recording(),
    })
}

pub(super) async fn stream(State(app): State<AppState>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = stream::unfold(app.traffic.listen(), |mut live| async move {
        let event = match live.recv().await {
            Ok(entry) => Event::default().json_data(&*entry).unwrap_or_default(),
            // A client that is too slow receives the number of missed records.
            Err(RecvError::Lagged(missed)) => Event::default().event("missed").data(missed.to_string()),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), live))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

pub(super) async fn stats(State(app): State<AppState>) -> Json<StatsReport> {
    Json(app.traffic.stats())
}

pub(super) async fn reset(State(app): State<AppState>) -> Json<StatsReport> {
    app.traffic.reset_stats();
    Json(app.traffic.stats())
}
