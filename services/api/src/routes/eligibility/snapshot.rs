//! The token profile of a request, and what answers from one snapshot have in common.

use arrakis_db::{GlobalTx, PublishedSnapshot, TokenProfileId};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Problem, ProblemKind};

/// The longest time for which a cache may answer without asking again.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// The query of both routes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProfileQuery {
    /// Name of the token profile. It may be left out when there is exactly one.
    #[param(example = "bgt")]
    pub(crate) profile: Option<String>,
}

/// The snapshot from which an answer is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Provenance {
    /// Name of the token profile
    #[schema(example = "bgt")]
    pub(crate) profile: String,
    /// When the ranking was last synced from the chain; null before the first sync
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub(crate) as_of: Option<OffsetDateTime>,
    /// The block up to which the chain was read; null before the first sync
    #[schema(required = true)]
    pub(crate) block: Option<u64>,
    /// Whether the last sync is older than it should be, or has not happened yet
    pub(crate) stale: bool,
}

impl Provenance {
    /// The origin of this snapshot. It is stale when its sync is longer ago than `stale_after`, or there was none.
    pub(crate) fn new(profile: &TokenProfileId, snapshot: &PublishedSnapshot, stale_after: time::Duration) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            profile: profile.to_string(),
            as_of: snapshot.as_of,
            block: snapshot.block,
            stale: snapshot.as_of.is_none_or(|as_of| now - as_of > stale_after),
        }
    }

    /// The entity tag: it changes with each snapshot, and when the ranking becomes stale.
    pub(crate) fn etag(&self, snapshot: &PublishedSnapshot) -> String {
        let id = snapshot.snapshot.unwrap_or_default().simple();
        let synced = snapshot.as_of.map_or(0, OffsetDateTime::unix_timestamp);
        format!("\"{}.{id}.{synced}.{}\"", self.profile, u8::from(self.stale))
    }
}

/// The token profile that the request names, or the only one.
pub(crate) async fn profile(tx: &mut GlobalTx, query: &ProfileQuery) -> Result<TokenProfileId, Problem> {
    if let Some(name) = &query.profile {
        let invalid =
            |error: &dyn std::fmt::Display| Problem::new(ProblemKind::InvalidParameter, format!("profile: {error}"));
        return TokenProfileId::new(name.as_str()).map_err(|error| invalid(&error));
    }
    let mut profiles = tx.eligibility().token_profile_ids().await?;
    match (profiles.pop(), profiles.as_slice()) {
        (Some(only), []) => Ok(only),
        (last, _) => {
            profiles.extend(last);
            let detail = format!(
                "there are {} token profiles; name one of them: ?profile=NAME",
                profiles.len()
            );
            Err(Problem::new(ProblemKind::ProfileRequired, detail).with_profiles(&profiles))
        }
    }
}

/// The problem of a profile that does not exist.
pub(crate) async fn unknown_profile(tx: &mut GlobalTx, name: &TokenProfileId) -> Problem {
    match tx.eligibility().token_profile_ids().await {
        Ok(profiles) => {
            let detail = format!("there is no token profile `{name}`; `profiles` lists all");
            Problem::new(ProblemKind::UnknownProfile, detail).with_profiles(&profiles)
        }
        Err(error) => error.into(),
    }
}

/// The answer, or 304 when the client has it already.
pub(crate) fn respond(request: &HeaderMap, etag: &str, body: impl Serialize) -> Response {
    let mut response = if is_known(request, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, value);
    }
    response
}

/// Whether `If-None-Match` has this entity tag, by weak comparison.
fn is_known(request: &HeaderMap, etag: &str) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_compared_weakly_and_in_lists() {
        let has = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, "\"bgt.1\"")
        };
        assert!(has("\"bgt.1\"") && has("W/\"bgt.1\"") && has("*") && has("\"a\", W/\"bgt.1\""));
        assert!(!has("\"bgt.2\"") && !has("bgt.1") && !has(""));
        assert!(!is_known(&HeaderMap::new(), "\"bgt.1\""));
    }
}
