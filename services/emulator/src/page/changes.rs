//! Server-sent events that notify the page of changes, at most ten a second.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};

use crate::AppState;

/// Smallest interval between two events, so that a load run does not keep the browser busy.
const PAUSE: Duration = Duration::from_millis(100);

/// `GET /page/changes`.
pub(super) async fn changes(State(app): State<AppState>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = stream::unfold(app.world.changes(), |mut changes| async move {
        changes.changed().await.ok()?;
        tokio::time::sleep(PAUSE).await;
        let count = *changes.borrow_and_update();
        Some((Ok(Event::default().data(count.to_string())), changes))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}
