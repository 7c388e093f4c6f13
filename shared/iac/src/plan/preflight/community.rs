//! Checks of community servers: what requires one, how a server becomes one, and what it must keep.

use arrakis_domain::Permission;

use super::{Problem, StepChecks, rules};
use crate::kinds::Sent;
use crate::model::{Address, Attributes, Clearable, ContentFilter, Kind, Reference, Server, Snowflake, Verification};

/// Settings of the server that reference a channel.
const CHANNELS: [&str; 5] = [
    "afk_channel",
    "system_channel",
    "rules_channel",
    "public_updates_channel",
    "safety_alerts_channel",
];
/// Those that a community server requires.
const KEPT: [&str; 2] = ["rules_channel", "public_updates_channel"];

fn setting<'a>(server: &'a Server, field: &str) -> Option<&'a Clearable<Reference>> {
    match field {
        "afk_channel" => server.afk_channel.as_ref(),
        "system_channel" => server.system_channel.as_ref(),
        "rules_channel" => server.rules_channel.as_ref(),
        "public_updates_channel" => server.public_updates_channel.as_ref(),
        _ => server.safety_alerts_channel.as_ref(),
    }
}

impl StepChecks {
    fn settings(&self) -> Server {
        let live = &self.run.live;
        match live.get(Kind::Server, live.guild_id).map(|found| &found.attributes) {
            Some(Attributes::Server(server)) => server.clone(),
            _ => Server::default(),
        }
    }

    /// The setting by which a community server requires a channel.
    pub(super) fn required_setting(&self, id: Snowflake) -> Option<&'static str> {
        let settings = self.settings();
        let is_it = |field: &&str| {
            let named = setting(&settings, field).and_then(Clearable::value);
            named.and_then(|reference| self.run.resolve(reference)) == Some(id)
        };
        KEPT.into_iter().find(is_it).filter(|_| self.run.live.is_community())
    }

    pub(super) fn server(&mut self, address: &Address, server: &Server, sent: Sent<'_>) {
        self.named_channels(address, server, sent);
        let is_community = self.run.live.is_community();
        let community = server
            .community
            .filter(|_| sent.has("community"))
            .unwrap_or(is_community);
        if community != is_community && !self.bot_permissions().contains(Permission::Administrator) {
            self.problems.push(Problem::new(
                rules::COMMUNITY_SWITCH,
                address,
                "only an administrator can enable or disable Community, and the bot is not one",
                "give the bot's role ADMINISTRATOR, or change it manually (Server Settings, Enable Community)",
            ));
        }
        if community {
            self.required_channels(address, server, sent);
        }
        if community && !is_community {
            self.becomes_community(address, server, sent);
        }
    }

    /// Reports settings that reference a channel of the wrong kind.
    fn named_channels(&mut self, address: &Address, server: &Server, sent: Sent<'_>) {
        for field in CHANNELS.into_iter().filter(|field| sent.has(field)) {
            let named = setting(server, field).and_then(Clearable::value);
            let Some((reference, id)) = named.and_then(|named| Some((named, self.run.resolve(named)?))) else {
                continue;
            };
            if !self.fits_setting(field, id) {
                let kind = if field == "afk_channel" {
                    "a voice"
                } else {
                    "a text or announcement"
                };
                self.problems.push(Problem::new(
                    rules::SERVER_CHANNEL,
                    address,
                    format!("`{field}` of the server requires {kind} channel, and {reference} is not one"),
                    "configure another channel",
                ));
            }
        }
    }

    /// Reports a community server without a rules channel or an updates channel.
    fn required_channels(&mut self, address: &Address, server: &Server, sent: Sent<'_>) {
        let settings = self.settings();
        let was_community = self.run.live.is_community();
        for field in KEPT {
            let is_sent = sent.has(field);
            let is_missing = match setting(server, field).filter(|_| is_sent) {
                Some(said) => said.value().is_none(),
                // An existing community server may lack one already.
                None => !was_community && setting(&settings, field).and_then(Clearable::value).is_none(),
            };
            if is_missing {
                self.problems.push(Problem::new(
                    rules::COMMUNITY_CHANNELS,
                    address,
                    format!("a community server requires a `{field}`, and this one would have none"),
                    format!("write `{field}: NAME` with a text channel under `server`, or `community: false`"),
                ));
            }
        }
    }

    fn becomes_community(&mut self, address: &Address, server: &Server, sent: Sent<'_>) {
        let settings = self.settings();
        let level = server.verification_level.filter(|_| sent.has("verification_level"));
        let filter = server
            .explicit_content_filter
            .filter(|_| sent.has("explicit_content_filter"));
        let lacking = [
            (
                level.or(settings.verification_level) == Some(Verification::None),
                "verification_level: low",
            ),
            (
                filter.or(settings.explicit_content_filter) != Some(ContentFilter::AllMembers),
                "explicit_content_filter: all_members",
            ),
        ];
        let lines: Vec<&str> = lacking
            .into_iter()
            .filter(|(lacks, _)| *lacks)
            .map(|(_, line)| line)
            .collect();
        if !lines.is_empty() {
            self.problems.push(Problem::warning(
                rules::COMMUNITY_SAFETY,
                address,
                "Discord's settings page requires these values when Community is enabled; Discord may change the settings or refuse the request",
                format!("write `{}` under `server`", lines.join("`, `")),
            ));
        }
    }

    /// Reports the deletion of the rules channel or the updates channel, which Discord refuses (error 50074).
    pub(super) fn community_deletion(&mut self, address: &Address, id: Snowflake) {
        if let Some(field) = self.required_setting(id) {
            self.problems.push(Problem::new(
                rules::COMMUNITY_DELETION,
                address,
                format!("{{}} is the server's {field}, which a community server must have"),
                format!("choose another channel as `{field}` of the server first (Server Settings, Community), or keep it: `gaib server state rm {address}`"),
            ));
        }
    }

    /// Reports a welcome screen or onboarding on a server that is not a community.
    pub(super) fn community_only(&mut self, address: &Address) {
        if !self.run.live.is_community() {
            self.problems.push(Problem::new(
                rules::COMMUNITY_ONLY,
                address,
                format!(
                    "the {} requires a community server, and this server is not one",
                    address.kind().noun()
                ),
                "enable Community first (Server Settings, Enable Community)",
            ));
        }
    }
}
