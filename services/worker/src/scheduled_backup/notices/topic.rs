//! A topic of SNS, to which operators subscribe by e-mail, webhook or queue and filter by attributes:
//! <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::DisplayErrorContext;
use aws_sdk_sns::types::MessageAttributeValue;

use super::Notice;
use super::settings::TopicArn;

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
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
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
                .map_err(|error| error.to_string())?;
            request = request.message_attributes(name, attribute);
        }
        let sent = Box::pin(request.send()).await;
        sent.map(drop).map_err(|error| DisplayErrorContext(&error).to_string())
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
        notice.detail()
    )
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn message_has_what_the_attributes_have() {
        let notice = example();
        let text = message(&notice);
        for (_, value) in notice.attributes() {
            assert!(text.contains(&value), "{text}");
        }
        // SNS refuses longer subjects and those with other characters.
        assert!(notice.subject().len() < 100 && notice.subject().is_ascii());
    }
}
