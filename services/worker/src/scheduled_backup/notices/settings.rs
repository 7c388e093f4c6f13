//! Whether and where notices are sent: `GAIB_NOTIFICATIONS_ENABLED`, `NOTIFY_WEBHOOK_URL`, `BACKUP_NOTIFICATION_TOPIC`.

use arrakis_config::{Reader, Secret, is_loopback, variables};
use url::Url;

/// Where notices are sent.
#[derive(Debug, Clone, Default)]
pub struct NotificationSettings {
    /// URL of a webhook of Discord. Whoever has it can post to the channel.
    pub(super) webhook: Option<Secret>,
    /// ARN of a topic of SNS.
    pub(super) topic: Option<TopicArn>,
}

/// ARN of a topic of SNS, `arn:aws:sns:us-east-1:123456789012:gaib-backup-notifications`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicArn {
    pub(super) arn: String,
    pub(super) region: String,
}

/// The text is not the ARN of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME")]
pub(super) struct TopicArnError;

impl std::str::FromStr for TopicArn {
    type Err = TopicArnError;

    fn from_str(text: &str) -> Result<Self, TopicArnError> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["arn", partition, "sns", region, account, name]
                if [partition, region, account, name].iter().all(|part| !part.is_empty()) =>
            {
                Ok(Self {
                    arn: text.to_owned(),
                    region: region.to_owned(),
                })
            }
            _ => Err(TopicArnError),
        }
    }
}

impl NotificationSettings {
    /// Reads the settings; `Some(None)` where notices are off. The outer `None` means that `reader` recorded an error.
    pub fn read(reader: &mut Reader) -> Option<Option<Self>> {
        let switch = &variables::GAIB_NOTIFICATIONS_ENABLED;
        let is_enabled = match reader.optional::<String>(switch)?.as_deref() {
            None | Some("no" | "false") => false,
            Some("yes" | "true") => true,
            Some(_) => return reader.refuse(switch, "it must be yes or no"),
        };
        let webhook = webhook(reader);
        let topic = reader.optional::<TopicArn>(&variables::BACKUP_NOTIFICATION_TOPIC);
        let settings = Self {
            webhook: webhook?,
            topic: topic?,
        };
        if !is_enabled {
            return Some(None);
        }
        if settings.webhook.is_none() && settings.topic.is_none() {
            return reader.refuse(
                switch,
                "no notice would be sent: set NOTIFY_WEBHOOK_URL or BACKUP_NOTIFICATION_TOPIC",
            );
        }
        Some(Some(settings))
    }
}

fn webhook(reader: &mut Reader) -> Option<Option<Secret>> {
    let variable = &variables::NOTIFY_WEBHOOK_URL;
    let Some(text) = reader.optional::<String>(variable)? else {
        return Some(None);
    };
    match Url::parse(&text) {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => {
            Some(Some(Secret::new(text)))
        }
        Ok(_) => reader.refuse(
            variable,
            "the URL must begin with https://, or with http:// for an address of this machine",
        ),
        Err(error) => reader.refuse(variable, format!("not a URL: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Option<NotificationSettings>, String> {
        let source = Source::pairs(pairs.iter().copied());
        Reader::load(Service::Worker, source, NotificationSettings::read).map_err(|error| error.to_string())
    }

    const WEBHOOK: (&str, &str) = ("NOTIFY_WEBHOOK_URL", "https://discord.com/api/webhooks/1/SEKRET");
    const TOPIC: (&str, &str) = (
        "BACKUP_NOTIFICATION_TOPIC",
        "arn:aws:sns:us-west-2:123456789012:gaib-backup-notifications",
    );

    #[test]
    fn notices_are_opt_in() {
        assert!(load(&[WEBHOOK, TOPIC]).unwrap().is_none());
        assert!(
            load(&[("GAIB_NOTIFICATIONS_ENABLED", "no"), WEBHOOK])
                .unwrap()
                .is_none()
        );
        let settings = load(&[("GAIB_NOTIFICATIONS_ENABLED", "yes"), WEBHOOK, TOPIC])
            .unwrap()
            .unwrap();
        assert!(!format!("{settings:?}").contains("SEKRET"));
        assert_eq!(settings.topic.unwrap().region, "us-west-2");
    }

    #[test]
    fn notices_without_a_destination_are_refused() {
        let error = load(&[("GAIB_NOTIFICATIONS_ENABLED", "yes")]).unwrap_err();
        assert!(error.contains("no notice would be sent"), "{error}");
        let error = load(&[("GAIB_NOTIFICATIONS_ENABLED", "maybe")]).unwrap_err();
        assert!(error.contains("it must be yes or no"), "{error}");
    }

    #[test]
    fn invalid_destinations_are_named_without_their_secret() {
        let error = load(&[("NOTIFY_WEBHOOK_URL", "http://discord.com/api/webhooks/1/SEKRET")]).unwrap_err();
        assert!(
            error.contains("NOTIFY_WEBHOOK_URL") && !error.contains("SEKRET"),
            "{error}"
        );
        for wrong in [
            "gaib-backup-notifications",
            "arn:aws:sqs:us-west-2:1:q",
            "arn:aws:sns::1:q",
        ] {
            let error = load(&[("BACKUP_NOTIFICATION_TOPIC", wrong)]).unwrap_err();
            assert!(error.contains("ARN of a topic"), "{error}");
        }
    }
}
