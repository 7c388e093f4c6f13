//! Errors as answers: RFC 9457 problem details. [`ProblemKind::row`] is the one table from error to status.
//!
//! A handler returns a [`Problem`]; its response carries it as an extension, and `envelope` writes the body with the id of the request and
//! logs its cause. `type` is a stable URN and `code` its last part; `detail` is for people and may change. To add a kind: a variant, its
//! row, its name in [`PROBLEMS`], and its line in `docs/api.md`, which a test compares.

use std::fmt::Display;
use std::time::Duration;

use arrakis_cache::RateLimit;
use arrakis_causes::causes;
use arrakis_db::{ApiKeyScope, DbError, TokenProfileId};
use arrakis_domain::CheckedAddressError;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

/// Kinds of errors of the api, each with a stable code: the table in `docs/api.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// A part of the path or of the query is malformed.
    InvalidParameter,
    /// A text is not an address.
    InvalidAddress,
    /// An address in mixed case has a wrong checksum.
    WrongChecksum,
    /// There are several token profiles, and the request names none.
    ProfileRequired,
    /// The body is not the expected JSON.
    InvalidBody,
    /// No API key was sent.
    KeyRequired,
    /// The API key is unknown, expired or revoked.
    InvalidKey,
    /// The signature of a webhook's request is not valid.
    InvalidSignature,
    /// The API key lacks a scope.
    MissingScope,
    /// The request needs an API key for all communities.
    AllCommunitiesRequired,
    /// The caller has no second factor.
    MfaNotEnrolled,
    /// The code of a second factor is wrong or was used.
    MfaRefused,
    /// A grant does not permit the operation.
    GrantRefused,
    /// There is no such route.
    UnknownRoute,
    /// There is no such token profile.
    UnknownProfile,
    /// There is no such user, or none that the API key may see.
    UnknownUser,
    /// The Discord server has no community, or none that the API key may see.
    UnknownServer,
    /// There is no such checkpoint.
    UnknownCheckpoint,
    /// There is no such approval.
    UnknownApproval,
    /// The route does not have this method.
    MethodNotAllowed,
    /// None of the accepted media types is available.
    NotAcceptable,
    /// The person to whom the API key belongs may not turn the kill switch off.
    KillSwitchRefused,
    /// The user is not suspended.
    NotSuspended,
    /// The content of a checkpoint cannot be read.
    DamagedCheckpoint,
    /// A checkpoint cannot be restored as things are.
    RestoreRefused,
    /// The policy blocks the plan.
    PlanBlocked,
    /// A job changes the server at the moment.
    ServerBusy,
    /// The id of the request was used for another one.
    RequestConflict,
    /// The body is too large.
    BodyTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// A rate limit is exceeded.
    RateLimited,
    /// A limit of the plan is reached.
    UsageLimit,
    /// Too many codes of a second factor were wrong.
    MfaThrottled,
    /// A defect.
    Internal,
    /// A dependency is unavailable.
    Unavailable,
    /// The api cannot check codes of second factors.
    MfaNotConfigured,
    /// The request took too long.
    TimedOut,
}

/// Every kind.
pub const PROBLEMS: &[ProblemKind] = {
    use ProblemKind::*;
    &[
        InvalidParameter,
        InvalidAddress,
        WrongChecksum,
        ProfileRequired,
        InvalidBody,
        KeyRequired,
        InvalidKey,
        InvalidSignature,
        MissingScope,
        AllCommunitiesRequired,
        MfaNotEnrolled,
        MfaRefused,
        GrantRefused,
        UnknownRoute,
        UnknownProfile,
        UnknownUser,
        UnknownServer,
        UnknownCheckpoint,
        UnknownApproval,
        MethodNotAllowed,
        NotAcceptable,
        KillSwitchRefused,
        NotSuspended,
        DamagedCheckpoint,
        RestoreRefused,
        PlanBlocked,
        ServerBusy,
        RequestConflict,
        BodyTooLarge,
        UnsupportedMediaType,
        RateLimited,
        UsageLimit,
        MfaThrottled,
        Internal,
        Unavailable,
        MfaNotConfigured,
        TimedOut,
    ]
};

impl ProblemKind {
    /// Status, code and title.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidParameter => (S::BAD_REQUEST, "invalid-parameter", "A parameter is invalid"),
            Self::InvalidAddress => (S::BAD_REQUEST, "invalid-address", "Not a wallet address"),
            Self::WrongChecksum => (S::BAD_REQUEST, "wrong-checksum", "The checksum of the address is wrong"),
            Self::ProfileRequired => (
                S::BAD_REQUEST,
                "profile-required",
                "The request must name a token profile",
            ),
            Self::InvalidBody => (S::BAD_REQUEST, "invalid-body", "The body is invalid"),
            Self::KeyRequired => (S::UNAUTHORIZED, "key-required", "An API key is required"),
            Self::InvalidKey => (S::UNAUTHORIZED, "invalid-key", "The API key is not valid"),
            Self::InvalidSignature => (
                S::UNAUTHORIZED,
                "invalid-signature",
                "The signature of the request is not valid",
            ),
            Self::MissingScope => (S::FORBIDDEN, "missing-scope", "The API key lacks a scope"),
            Self::AllCommunitiesRequired => (
                S::FORBIDDEN,
                "all-communities-required",
                "An API key for all communities is required",
            ),
            Self::MfaNotEnrolled => (S::FORBIDDEN, "mfa-not-enrolled", "A second factor is required"),
            Self::MfaRefused => (S::FORBIDDEN, "mfa-refused", "The code is not accepted"),
            Self::GrantRefused => (S::FORBIDDEN, "grant-refused", "The grant does not permit this"),
            Self::UnknownRoute => (S::NOT_FOUND, "unknown-route", "No such route"),
            Self::UnknownProfile => (S::NOT_FOUND, "unknown-profile", "No such token profile"),
            Self::UnknownUser => (S::NOT_FOUND, "unknown-user", "No such user"),
            Self::UnknownServer => (S::NOT_FOUND, "unknown-server", "No such server"),
            Self::UnknownCheckpoint => (S::NOT_FOUND, "unknown-checkpoint", "No such checkpoint"),
            Self::UnknownApproval => (S::NOT_FOUND, "unknown-approval", "No such approval"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::NotAcceptable => (S::NOT_ACCEPTABLE, "not-acceptable", "No accepted format is available"),
            Self::KillSwitchRefused => (S::FORBIDDEN, "kill-switch-refused", "The kill switch stays on"),
            Self::NotSuspended => (S::CONFLICT, "not-suspended", "The user is not suspended"),
            Self::DamagedCheckpoint => (S::CONFLICT, "damaged-checkpoint", "The checkpoint cannot be read"),
            Self::RestoreRefused => (S::CONFLICT, "restore-refused", "The checkpoint cannot be restored"),
            Self::PlanBlocked => (S::CONFLICT, "plan-blocked", "The policy blocks the plan"),
            Self::ServerBusy => (S::CONFLICT, "server-busy", "A job changes the server"),
            Self::RequestConflict => (S::CONFLICT, "request-conflict", "The id of the request is used already"),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body must be JSON",
            ),
            Self::RateLimited => (S::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::UsageLimit => (S::TOO_MANY_REQUESTS, "usage-limit", "A limit is reached"),
            Self::MfaThrottled => (S::TOO_MANY_REQUESTS, "mfa-throttled", "Too many codes were wrong"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable"),
            Self::MfaNotConfigured => (S::SERVICE_UNAVAILABLE, "mfa-not-configured", "No code can be checked"),
            Self::TimedOut => (S::SERVICE_UNAVAILABLE, "timed-out", "The request took too long"),
        }
    }

    /// Status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().0
    }

    /// Stable code, the last part of `type`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().1
    }

    /// Title, the same for every occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

/// An error response: [`ProblemBody`], the header `Retry-After`, and the cause for the log.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// Kind: decides status, code and title.
    pub(crate) kind: ProblemKind,
    detail: Box<str>,
    profiles: Option<Vec<String>>,
    scope: Option<&'static str>,
    frees_at: Option<OffsetDateTime>,
    /// Value of the header `Retry-After`, which is in whole seconds.
    pub(crate) retry_after: Option<Duration>,
    /// What went wrong, for the log only: it is not sent to the client.
    pub(crate) cause: Option<String>,
}

/// Problem details of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457), media type `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:arrakis:problem:` and the code. Stable.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:arrakis:problem:[a-z-]+$")]
    type_urn: String,
    /// The kind of error for people; the same for every occurrence.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The kind of error for programs. Stable.
    #[schema(pattern = "^[a-z-]+$")]
    code: &'static str,
    /// What is wrong with this request and how to correct it.
    detail: String,
    /// Id of the request, also in the header `x-request-id`; logs contain it.
    request_id: String,
    /// The names of all token profiles, where the request named none or an unknown one.
    #[serde(skip_serializing_if = "Option::is_none")]
    profiles: Option<Vec<String>>,
    /// The scope that the API key lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    /// When what was refused by a limit works again.
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    frees_at: Option<OffsetDateTime>,
}

impl Problem {
    /// A problem of this kind. `detail` is for people: what is wrong and how to correct it.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            profiles: None,
            scope: None,
            frees_at: None,
            retry_after: None,
            cause: None,
        }
    }

    /// An internal error with its cause for the log.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let detail = "the error was logged under the id of this request";
        Self::new(ProblemKind::Internal, detail).caused_by(cause)
    }

    /// A dependency is unavailable, with the cause for the log.
    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        let problem = Self::new(
            ProblemKind::Unavailable,
            "a dependency is unavailable; send the request again later",
        );
        problem.retry_after(Duration::from_secs(2)).caused_by(cause)
    }

    /// A rate limit is exceeded; `limit` names what is limited, for the detail.
    pub(crate) fn rate_limited(limit: &str, retry_after: Duration) -> Self {
        let detail =
            format!("the rate limit of this {limit} is exceeded; send the next request after the time in Retry-After");
        Self::new(ProblemKind::RateLimited, detail).retry_after(retry_after)
    }

    /// A limit on the number of uses is reached; `what` names it, for the detail. The next use is possible at `frees_at`.
    pub(crate) fn usage_limit(what: impl Display, frees_at: OffsetDateTime, now: OffsetDateTime) -> Self {
        // To the second, and not before it is free.
        let frees_at = (frees_at + time::Duration::SECOND - time::Duration::NANOSECOND)
            .replace_nanosecond(0)
            .unwrap_or(frees_at);
        let until = frees_at.format(&Rfc3339).unwrap_or_else(|_| frees_at.to_string());
        let wait = Duration::try_from(frees_at - now).unwrap_or_default();
        let mut problem = Self::new(ProblemKind::UsageLimit, format!("{what}; it works again at {until}"));
        problem.frees_at = Some(frees_at);
        problem.retry_after(wait)
    }

    /// Adds the names of all token profiles.
    pub(crate) fn with_profiles(mut self, profiles: &[TokenProfileId]) -> Self {
        self.profiles = Some(profiles.iter().map(ToString::to_string).collect());
        self
    }

    /// Adds the scope that the API key lacks.
    pub(crate) fn with_scope(mut self, scope: ApiKeyScope) -> Self {
        self.scope = Some(scope.as_str());
        self
    }

    /// Adds the header `Retry-After`.
    pub(crate) fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The body for this request.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        let body = ProblemBody {
            type_urn: format!("urn:arrakis:problem:{}", self.kind.code()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            code: self.kind.code(),
            detail: self.detail.clone().into_string(),
            request_id: request_id.to_owned(),
            profiles: self.profiles.clone(),
            scope: self.scope,
            frees_at: self.frees_at,
        };
        // Texts and numbers always serialise.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl From<CheckedAddressError> for Problem {
    fn from(error: CheckedAddressError) -> Self {
        let kind = match error {
            CheckedAddressError::Malformed(_) => ProblemKind::InvalidAddress,
            CheckedAddressError::Checksum(_) => ProblemKind::WrongChecksum,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        let cause = causes(&error);
        if error.is_transient() {
            Self::unavailable(cause)
        } else {
            Self::internal(cause)
        }
    }
}

/// Refuses a request whose rate limit is exceeded. `limit` names what is limited. A request that could not be counted, since Redis is unavailable,
/// is accepted.
///
/// # Errors
/// [`ProblemKind::RateLimited`], with the time after which the next request may be sent.
pub(crate) fn check(limit: &'static str, result: RateLimit) -> Result<(), Problem> {
    match result {
        RateLimit::Within { .. } | RateLimit::Uncounted => Ok(()),
        RateLimit::Exceeded { retry_after } => Err(Problem::rate_limited(limit, retry_after)),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_differ_and_every_kind_is_listed_once() {
        let codes: BTreeSet<_> = PROBLEMS.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), PROBLEMS.len());
        assert!(PROBLEMS.iter().all(|kind| kind.status().as_u16() >= 400));
    }

    #[test]
    fn page_lists_every_problem() {
        let page = include_str!("../../../docs/api.md");
        for kind in PROBLEMS {
            let row = format!("| `{}` | {} |", kind.code(), kind.status().as_u16());
            assert!(page.contains(&row), "docs/api.md has no row that begins with {row}");
        }
    }
}
