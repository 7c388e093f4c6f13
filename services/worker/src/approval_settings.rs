//! Settings of approvals of plans, and what [`crate::approvals`] needs of a worker.

use std::sync::Arc;

use arrakis_config::{ApprovalPeople, Reader, variables};
use arrakis_security::signing::Signer;
use twilight_model::id::Id;
use twilight_model::id::marker::ChannelMarker;

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
