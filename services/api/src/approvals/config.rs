//! Settings of approvals.

use arrakis_config::{ApprovalPeople, Reader, Secret, is_loopback, variables};

/// Score above the highest risk: no approval needs a second factor.
const NEVER: u8 = 101;

/// The people who may request and decide about plans, the risk from which they need a second factor, and the Slack app.
#[derive(Debug, Clone, Default)]
pub struct ApprovalConfig {
    /// The people (`APPROVAL_PEOPLE`).
    pub people: ApprovalPeople,
    /// Risk score from which an approval needs a second factor (`APPROVAL_MFA_FROM_RISK`).
    pub mfa_from_risk: u8,
    /// The Slack app; `None`: nothing is shown at Slack.
    pub slack: Option<SlackConfig>,
}

/// Settings of the Slack app that shows approvals.
#[derive(Debug, Clone)]
pub struct SlackConfig {
    /// Base URL of the Web API, without a trailing slash (`SLACK_API_BASE`).
    pub base: String,
    /// Id of the channel for approvals (`SLACK_APPROVALS_CHANNEL`).
    pub channel: String,
    /// Secret by which Slack signs its requests to the api (`SLACK_SIGNING_SECRET`).
    pub signing_secret: Secret,
    /// Token of its bot (`SLACK_BOT_TOKEN`).
    pub bot_token: Secret,
}

impl ApprovalConfig {
    /// Reads the settings; `None` if `reader` recorded an error.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let people = reader.optional::<ApprovalPeople>(&variables::APPROVAL_PEOPLE);
        let mfa_from_risk = risk(reader);
        let slack = SlackConfig::read(reader);
        Some(Self {
            people: people?.unwrap_or_default(),
            mfa_from_risk: mfa_from_risk?,
            slack: slack?,
        })
    }
}

fn risk(reader: &mut Reader) -> Option<u8> {
    let variable = &variables::APPROVAL_MFA_FROM_RISK;
    let score = reader.defaulted::<u8>(variable)?;
    if score <= NEVER {
        Some(score)
    } else {
        reader.refuse(variable, format!("it must be from 0 to {NEVER}"))
    }
}

impl SlackConfig {
    fn read(reader: &mut Reader) -> Option<Option<Self>> {
        let channel = reader.optional::<String>(&variables::SLACK_APPROVALS_CHANNEL);
        let signing_secret = reader.optional::<String>(&variables::SLACK_SIGNING_SECRET);
        let bot_token = reader.optional::<String>(&variables::SLACK_BOT_TOKEN);
        let base = reader.url(&variables::SLACK_API_BASE, &["https", "http"])?;
        if base.scheme() == "http" && !is_loopback(&base) {
            let reason =
                "http:// would send SLACK_BOT_TOKEN in clear text; use https://, or an address of this machine";
            return reader.refuse(&variables::SLACK_API_BASE, reason);
        }
        match (channel?, signing_secret?, bot_token?) {
            (None, None, None) => Some(None),
            (Some(channel), Some(signing_secret), Some(bot_token)) => Some(Some(Self {
                base: base.as_str().trim_end_matches('/').to_owned(),
                channel,
                signing_secret: Secret::new(signing_secret),
                bot_token: Secret::new(bot_token),
            })),
            _ => reader.refuse(
                &variables::SLACK_APPROVALS_CHANNEL,
                "SLACK_APPROVALS_CHANNEL, SLACK_SIGNING_SECRET and SLACK_BOT_TOKEN are needed together: at least one is not set",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    const SLACK: [(&str, &str); 3] = [
        ("SLACK_APPROVALS_CHANNEL", "C1"),
        ("SLACK_SIGNING_SECRET", "SEKRET"),
        ("SLACK_BOT_TOKEN", "xoxb-SEKRET"),
    ];

    fn load(pairs: &[(&str, &str)]) -> Result<ApprovalConfig, String> {
        let source = Source::pairs(pairs.iter().copied());
        Reader::load(Service::Api, source, ApprovalConfig::read).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_required() {
        let config = load(&[]).unwrap();
        assert!(config.people.is_empty() && config.slack.is_none());
        assert_eq!(config.mfa_from_risk, 70);
    }

    #[test]
    fn settings_of_slack_are_needed_together_and_not_printed() {
        let config = load(&SLACK).unwrap();
        assert!(!format!("{config:?}").contains("SEKRET"));
        assert_eq!(config.slack.unwrap().base, "https://slack.com/api");
        for left_out in 0..SLACK.len() {
            let mut pairs = SLACK.to_vec();
            pairs.remove(left_out);
            let error = load(&pairs).unwrap_err();
            assert!(
                error.contains("needed together") && !error.contains("SEKRET"),
                "{error}"
            );
        }
    }

    #[test]
    fn invalid_values_are_named() {
        for (name, value, reason) in [
            ("SLACK_API_BASE", "http://slack.example.org/api", "clear text"),
            ("APPROVAL_MFA_FROM_RISK", "102", "from 0 to 101"),
            ("APPROVAL_PEOPLE", "chani=1,CHANI=2", "in two entries"),
        ] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(reason), "{error}");
        }
    }
}
