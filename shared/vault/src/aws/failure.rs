//! What a failed call of the SDK means, for S3 and DynamoDB alike.

use std::error::Error;

use arrakis_causes::{causes, causes_below};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// A failed call, after all attempts of the SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// The service's own words, or the causes of the SDK's error.
    pub(crate) reason: String,
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No such object.
    NotFound,
    /// No such bucket or table.
    NoContainer,
    /// The condition does not hold.
    ConditionFailed,
    /// A concurrent write of the same object: the same write may succeed now.
    Conflict,
    /// The service refuses the credentials or the operation.
    Denied,
    /// There are no credentials.
    NoCredentials,
    /// The service limits requests.
    Throttled,
    /// The service failed.
    Unavailable,
    /// No response within the time limit.
    TimedOut,
    /// The connection failed before a response.
    NoResponse,
    /// The service does not accept the request, or the request cannot be made.
    Refused,
}

const THROTTLED: [&str; 10] = [
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
];

const DENIED: [&str; 11] = [
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// What a failed call means.
pub(crate) fn classify<E>(error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let (code, message) = (service.err().code(), service.err().message());
        let status = service.raw().status().as_u16();
        return Failure {
            kind: of_response(code.unwrap_or_default(), status),
            reason: match (code, message) {
                (Some(code), Some(message)) => format!("{message} ({code})"),
                (Some(code), None) => format!("{code}, status {status}"),
                (None, _) => format!("status {status}"),
            },
        };
    }
    let reason = causes_below(error).unwrap_or_else(|| causes(error));
    let has_no_credentials = reason.to_lowercase().contains("credential");
    let kind = match error {
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) if has_no_credentials => {
            FailureKind::NoCredentials
        }
        SdkError::TimeoutError(_) => FailureKind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => FailureKind::TimedOut,
        SdkError::DispatchFailure(_) => FailureKind::NoResponse,
        SdkError::ResponseError(_) => FailureKind::Unavailable,
        _ => FailureKind::Refused,
    };
    Failure { kind, reason }
}

fn of_response(code: &str, status: u16) -> FailureKind {
    match (code, status) {
        ("NoSuchBucket" | "ResourceNotFoundException", _) => FailureKind::NoContainer,
        ("PreconditionFailed" | "ConditionalCheckFailedException", _) => FailureKind::ConditionFailed,
        ("ConditionalRequestConflict" | "OperationAborted" | "TransactionConflictException", _) => {
            FailureKind::Conflict
        }
        (code, _) if THROTTLED.contains(&code) => FailureKind::Throttled,
        (code, _) if DENIED.contains(&code) => FailureKind::Denied,
        (_, 401 | 403) => FailureKind::Denied,
        (_, 404) => FailureKind::NotFound,
        (_, 409) => FailureKind::Conflict,
        (_, 412) => FailureKind::ConditionFailed,
        (_, 429) => FailureKind::Throttled,
        (_, 500..) => FailureKind::Unavailable,
        _ => FailureKind::Refused,
    }
}

impl Failure {
    /// Whether a write with this result may have taken effect.
    pub(crate) fn may_have_written(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::ConditionFailed
                | FailureKind::NotFound
                | FailureKind::Conflict
                | FailureKind::Throttled
                | FailureKind::Unavailable
                | FailureKind::TimedOut
                | FailureKind::NoResponse
        )
    }

    /// What to do about refused or missing credentials. A permission does not help against a wrong clock or an expired token, whose codes are
    /// in the reason.
    pub(crate) fn hint(&self) -> &'static str {
        if self.kind == FailureKind::NoCredentials {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        } else if self.reason.contains("RequestTimeTooSkewed") {
            "set the clock of this machine"
        } else if self.reason.contains("ExpiredToken") {
            "renew the credentials, for example by a new login of AWS_PROFILE"
        } else {
            "permit it in the policy of the credentials, of the bucket or table, and of the key, or select other credentials by AWS_PROFILE"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_fits_the_refusal() {
        for (reason, expected) in [
            (
                "The difference between the request time and the current time is too large. (RequestTimeTooSkewed)",
                "clock",
            ),
            ("The provided token has expired. (ExpiredToken)", "renew"),
            ("The security token is expired (ExpiredTokenException)", "renew"),
            ("Access Denied (AccessDenied)", "policy"),
        ] {
            let failure = Failure {
                kind: FailureKind::Denied,
                reason: reason.to_owned(),
            };
            assert!(failure.hint().contains(expected), "{reason}: {}", failure.hint());
        }
    }

    #[test]
    fn code_counts_before_status() {
        for (code, status, kind) in [
            ("NoSuchKey", 404, FailureKind::NotFound),
            ("NoSuchBucket", 404, FailureKind::NoContainer),
            ("ResourceNotFoundException", 400, FailureKind::NoContainer),
            ("", 404, FailureKind::NotFound),
            ("PreconditionFailed", 412, FailureKind::ConditionFailed),
            ("ConditionalCheckFailedException", 400, FailureKind::ConditionFailed),
            ("ConditionalRequestConflict", 409, FailureKind::Conflict),
            ("SlowDown", 503, FailureKind::Throttled),
            ("ProvisionedThroughputExceededException", 400, FailureKind::Throttled),
            ("InternalError", 500, FailureKind::Unavailable),
            ("ServiceUnavailable", 503, FailureKind::Unavailable),
            ("AccessDenied", 403, FailureKind::Denied),
            ("UnrecognizedClientException", 400, FailureKind::Denied),
            ("", 403, FailureKind::Denied),
            ("ValidationException", 400, FailureKind::Refused),
        ] {
            assert_eq!(of_response(code, status), kind, "{code} {status}");
        }
    }
}
