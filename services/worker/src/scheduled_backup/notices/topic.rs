//! A topic of SNS, to which operators subscribe by e-mail, webhook or queue and filter by attributes:
//! <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>.

use std::error::Error;
use std::time::Duration;

use arrakis_causes::{causes, causes_below};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::types::MessageAttributeValue;

use super::settings::TopicArn;
use super::{MAX_DETAIL, Notice, SendError};

/// Time limit of a publication with its retries.
const LIMIT: Duration = Duration::from_secs(15);
/// Time limit of an attempt.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);

/// The topic.
#[derive(Debug)]
pub(super) struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// A client of a topic, with the credentials of the environment. No request is sent yet.
    pub(super) async fn connect(topic: &TopicArn) -> Self {
        let limits = TimeoutConfig::builder()
            .connect_timeout(ATTEMPT_LIMIT)
            .operation_attempt_timeout(ATTEMPT_LIMIT)
            .operation_timeout(LIMIT)
            .build();
        // The region of the topic, whatever the one of the store is.
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(topic.region.clone()))
            .timeout_config(limits);
        let config = Box::pin(loader.load()).await;
        Self {
            client: Client::new(&config),
            arn: topic.arn.clone(),
        }
    }

    /// Publishes a notice.
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), SendError> {
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(notice.subject())
            .message(message(notice));
        for (name, value) in notice.attributes() {
            let attribute = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| SendError::Permanent(error.to_string()))?;
            request = request.message_attributes(name, attribute);
        }
        let sent = Box::pin(request.send()).await;
        sent.map(drop).map_err(|error| {
            let text = describe(&error);
            if is_refusal(&error) {
                SendError::Permanent(text)
            } else {
                SendError::Transient(text)
            }
        })
    }
}

/// Whether the service refuses this notice, as opposed to a failure or a limit of requests. Credentials may be renewed, and a policy corrected.
fn is_refusal<E>(error: &SdkError<E>) -> bool {
    let SdkError::ServiceError(service) = error else {
        return false;
    };
    let status = service.raw().status().as_u16();
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 408 | 429)
}

/// One sentence for a failed publication: message, code and status of the service, or the causes of the SDK's error. Without the HTTP
/// response, which the SDK's own text has.
fn describe<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let SdkError::ServiceError(service) = error else {
        let reason = causes_below(error).unwrap_or_else(|| causes(error));
        return format!("no response from SNS: {reason}");
    };
    let (code, message) = (service.err().code(), service.err().message());
    let status = service.raw().status().as_u16();
    match (code, message) {
        (Some(code), Some(message)) => format!("SNS refused the notice: {message} ({code}, status {status})"),
        (Some(code), None) => format!("SNS refused the notice: {code}, status {status}"),
        (None, _) => format!("SNS refused the notice: status {status}"),
    }
}

/// The text that subscribers by e-mail read.
fn message(notice: &Notice) -> String {
    format!(
        "{}\n\nCommunity: {}\nServer: {}\nPlan: {}\nTask: {}\nOutcome: {}\nTime: {}\n\n{}\n",
        notice.subject(),
        notice.community,
        notice.server,
        notice.plan,
        notice.task.name(),
        notice.outcome.name(),
        notice.time(),
        notice.detail(MAX_DETAIL)
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_sns::config::http::HttpResponse;
    use aws_sdk_sns::error::ErrorMetadata;
    use aws_sdk_sns::operation::publish::PublishError;

    use super::super::example;
    use super::*;

    #[test]
    fn message_has_what_the_attributes_have() {
        let notice = example();
        let text = message(&notice);
        for (_, value) in notice.attributes() {
            assert!(text.contains(&value), "{text}");
        }
    }

    fn refusal(metadata: ErrorMetadata) -> String {
        let response = HttpResponse::new(403_u16.try_into().unwrap(), "<Error>\n a whole response".into());
        describe(&SdkError::service_error(PublishError::generic(metadata), response))
    }

    #[test]
    fn refusal_is_one_sentence_without_the_response() {
        let denied = || ErrorMetadata::builder().code("AuthorizationError");
        assert_eq!(
            refusal(denied().message("the user may not publish").build()),
            "SNS refused the notice: the user may not publish (AuthorizationError, status 403)"
        );
        assert_eq!(
            refusal(denied().build()),
            "SNS refused the notice: AuthorizationError, status 403"
        );
        assert_eq!(
            refusal(ErrorMetadata::builder().build()),
            "SNS refused the notice: status 403"
        );
    }

    #[test]
    fn missing_response_is_described_by_its_causes() {
        let error: SdkError<PublishError> = SdkError::timeout_error("no response within 15 s");
        let text = describe(&error);
        assert!(!is_refusal(&error));
        assert!(
            text.starts_with("no response from SNS: ") && text.contains("no response within 15 s"),
            "{text}"
        );
    }
}
