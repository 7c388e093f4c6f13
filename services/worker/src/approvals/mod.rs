//! Approvals of plans at Discord: settings, the message with buttons, the end of approvals whose time is over, and signatures of decisions.
//!
//! The leader runs [`run`]. A press of a button is the component `approval` of `commands/approval.rs`. Decisions are made by `arrakis-db`, which
//! refuses a second one. Slack is the api's.

mod message;
mod sign_records;

use std::sync::Arc;
use std::time::Duration;

use arrakis_config::{ApprovalPeople, Reader, variables};
use arrakis_security::signing::Signer;
use twilight_model::id::Id;
use twilight_model::id::marker::ChannelMarker;

pub use self::message::show_approvals;
pub use self::sign_records::sign_approvals;
use crate::failure::Failure;
use crate::services::Services;

/// Interval of the rounds.
const INTERVAL: Duration = Duration::from_secs(2);

/// Who decides, and in which channel.
#[derive(Debug, Clone, Default)]
pub struct ApprovalConfig {
    /// The people (`APPROVAL_PEOPLE`).
    pub people: ApprovalPeople,
    /// The channel (`DISCORD_APPROVALS_CHANNEL`); `None`: nothing is shown at Discord.
    pub channel: Option<Id<ChannelMarker>>,
}

impl ApprovalConfig {
    /// Reads the settings; `None` if `reader` recorded an error.
    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let people = reader.optional::<ApprovalPeople>(&variables::APPROVAL_PEOPLE);
        let variable = &variables::DISCORD_APPROVALS_CHANNEL;
        let channel = match reader.optional::<u64>(variable)? {
            None => None,
            Some(id) => match Id::new_checked(id) {
                None => return reader.refuse(variable, "it must not be 0"),
                channel => channel,
            },
        };
        Some(Self {
            people: people?.unwrap_or_default(),
            channel,
        })
    }
}

/// What approvals need.
#[derive(Debug, Clone, Default)]
pub struct Approvals {
    /// Who decides, and where.
    pub config: ApprovalConfig,
    /// The platform's signer, which signs the records of decisions; `None`: they stay unsigned, and pipelines wait.
    pub signer: Option<Arc<dyn Signer>>,
}

/// Ends, shows and signs approvals for as long as it is polled. Apart from the other tasks of the leader: neither a signer nor a Discord that does
/// not respond delays them.
pub(crate) async fn run(services: &Services) {
    tokio::join!(end(services), show(services), sign(services));
}

async fn end(services: &Services) {
    loop {
        finish_round("ending approvals", lapse(services).await).await;
    }
}

async fn show(services: &Services) {
    loop {
        finish_round("showing approvals", Box::pin(show_approvals(services)).await).await;
    }
}

async fn sign(services: &Services) {
    loop {
        finish_round("signing approvals", Box::pin(sign_approvals(services)).await).await;
    }
}

/// Logs a failed round, and waits for the next one.
async fn finish_round(task: &'static str, result: Result<(), Failure>) {
    if let Err(failure) = result {
        tracing::warn!(%failure, task, "a round failed; it will be retried");
    }
    tokio::time::sleep(INTERVAL).await;
}

/// Ends approvals whose time is over.
async fn lapse(services: &Services) -> Result<(), Failure> {
    let mut tx = services.database.global().await?;
    let lapsed = tx.approvals().lapse().await?;
    tx.commit().await?;
    for approval in lapsed {
        tracing::info!(%approval, "an approval lapsed: nobody decided in time");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrakis_config::{Service, Source};

    use super::*;

    #[test]
    fn channel_is_optional_and_checked() {
        let load = |pairs: &[(&'static str, &'static str)]| {
            let source = Source::pairs(pairs.iter().copied());
            Reader::load(Service::Worker, source, ApprovalConfig::read).map_err(|error| error.to_string())
        };
        assert_eq!(load(&[]).unwrap().channel, None);
        let config = load(&[("DISCORD_APPROVALS_CHANNEL", "7"), ("APPROVAL_PEOPLE", "chani=1")]).unwrap();
        assert_eq!(config.channel, Some(Id::new(7)));
        assert_eq!(config.people.by_discord(1).unwrap().name, "chani");
        for (name, value) in [("DISCORD_APPROVALS_CHANNEL", "0"), ("APPROVAL_PEOPLE", "chani")] {
            let error = load(&[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}
