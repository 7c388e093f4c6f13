//! `GET` and `POST /status/sign-in/{token}`, `POST /status/sign-out`.
//!
//! Opening a link changes nothing, so that a preview of it, by a chat program or a virus scanner, does not use it up. The button of the page
//! does: of several requests with one link, one signs in.

use arrakis_contracts::status::StatusAccess;
use arrakis_db::{Actor, CommunityId, NewAuditEntry, UserId};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::form::Form;
use super::html::Html;
use super::refusal::Refusal;
use super::served;
use super::session::{Viewer, find};
use crate::services::ApiState;

/// The page of a link, the same for every token.
pub(super) async fn page(Path(_token): Path<String>) -> Response {
    let mut html = Html::page("Sign in");
    html.markup("<main><h1>Status of the community</h1><p>Sign in with the link of <code>/admin-stats</code>. It works once.</p>")
        .markup("<form method=\"post\"><button>Sign in</button></form></main>");
    served(html.end())
}

/// Uses a link.
pub(super) async fn sign_in(
    State(services): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    Form::read(&services, request).await?;
    let link = find::<StatusAccess>(&services, &token).await?.ok_or_else(used)?;
    // Of several requests at once, one ends the session of the link.
    if !services.cache.end_session(&link).await? {
        return Err(used());
    }
    let access = &link.data;
    let user = UserId::new(access.user).map_err(|_| used())?;
    let mut tx = services
        .database
        .tenant(CommunityId::from_uuid(access.community))
        .await?;
    let entry = NewAuditEntry {
        actor: Actor::Member(user),
        action: "status.sign_in",
        subject: &user.to_string(),
        reason: None,
        detail: json!({}),
    };
    tx.audit(&entry).await?;
    tx.commit().await?;
    let cookie = Viewer::sign_in(&services, access).await?;
    Ok(to_status(cookie))
}

/// Ends the session of a browser.
pub(super) async fn sign_out(State(services): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let viewer = Viewer::of(&services, request.headers()).await?;
    let form = Form::read(&services, request).await?;
    viewer.check(&form)?;
    let cookie = viewer.sign_out(&services).await?;
    Ok(to_status(cookie))
}

fn to_status(cookie: HeaderValue) -> Response {
    let location = HeaderValue::from_static("/status");
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location), (header::SET_COOKIE, cookie)],
    )
        .into_response()
}

fn used() -> Refusal {
    let text = "The link was used, is older than five minutes, or was replaced by a newer one. Use /admin-stats again.";
    Refusal::new(StatusCode::GONE, "link-used", "This link does not work any more", text)
}
