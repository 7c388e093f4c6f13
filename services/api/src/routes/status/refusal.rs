//! A page that states why a request is refused, and what to do.

use arrakis_cache::SessionError;
use arrakis_causes::causes;
use arrakis_db::DbError;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::html::Html;
use super::served;
use crate::envelope::OwnBody;

/// A refused request.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    text: String,
}

impl Refusal {
    /// A refusal with this status. `code` is for the log.
    pub(super) fn new(status: StatusCode, code: &'static str, title: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            text: text.into(),
        }
    }

    /// There is no valid sign-in.
    pub(super) fn signed_out() -> Self {
        let text = "Use /admin-stats in your server, and open the link of its reply. A link works once, for five minutes; a sign-in lasts 30 minutes.";
        Self::new(StatusCode::UNAUTHORIZED, "signed-out", "You are not signed in", text)
    }

    /// The form of another site.
    pub(super) fn foreign() -> Self {
        let text = "The form was not sent from this page. Nothing was changed.";
        Self::new(StatusCode::FORBIDDEN, "foreign-form", "Not from here", text)
    }

    /// A form that cannot be read.
    pub(super) fn unreadable() -> Self {
        let text = "The form could not be read. Nothing was changed; open the page again.";
        Self::new(StatusCode::BAD_REQUEST, "unreadable-form", "Unreadable form", text)
    }

    /// The page is for operators of the platform.
    pub(super) fn operators_only() -> Self {
        let text = "This is for the operators of the platform.";
        Self::new(StatusCode::FORBIDDEN, "operators-only", "Not for you", text)
    }

    /// Something that the page needs does not respond.
    pub(super) fn unavailable(cause: &str) -> Self {
        tracing::warn!(cause, "the status page is incomplete");
        let text = "Something that this page needs does not respond. Nothing was changed; try again in a minute.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "unavailable", "Temporarily unavailable", text)
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        Self::unavailable(&causes(&error))
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unavailable(error) => Self::unavailable(&error.to_string()),
            SessionError::Superseded | SessionError::Unreadable(_) => Self::signed_out(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut html = Html::page(self.title);
        html.markup("<main><h1>")
            .text(self.title)
            .markup("</h1><p>")
            .text(&self.text)
            .markup("</p><p><a href=\"/status\">Status</a></p></main>");
        let mut response = served(html.end());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(OwnBody { code: self.code });
        response
    }
}
