//! Checks of the kinds of channels: where Discord allows a kind, and which kind a setting requires.

use arrakis_domain::Permission;

use super::{Problem, StepChecks, rules};
use crate::kinds::Sent;
use crate::model::limits::{ONBOARDING_MIN_CHANNELS, ONBOARDING_MIN_WRITABLE};
use crate::model::{Address, Attributes, Channel, ChannelKind, Kind, Onboarding, OnboardingMode, Reference, Snowflake};

impl StepChecks {
    /// Reports kinds of channels that require a community server.
    pub(super) fn channel_kind(&mut self, address: &Address, channel: &Channel, sent: Sent<'_>) {
        if !sent.has("kind") {
            return;
        }
        let kind = channel.kind;
        // Text channels become announcement channels, and the reverse, only on community servers.
        let needs_community = kind.needs_community() || !sent.is_creation();
        if needs_community && !self.run.live.is_community() {
            let instead = if kind.is_voice() { "voice" } else { "text" };
            let what = match sent.is_creation() {
                true => format!("{kind} channels require a community server, and this server is not one: {{}}"),
                false => format!("the change to {kind} requires a community server, and this server is not one: {{}}"),
            };
            self.problems.push(Problem::new(
                rules::CHANNEL_KIND,
                address,
                what,
                format!("enable Community (Server Settings, Enable Community, or `community: true` of the server), or write `kind: {instead}` instead"),
            ));
        }
        let id = self.run.state.id(address).filter(|_| !sent.is_creation());
        if let Some(field) = id.and_then(|id| self.required_setting(id)) {
            self.problems.push(Problem::new(
                rules::CHANNEL_CONVERSION,
                address,
                format!("{{}} is the server's {field}, which stays a text channel"),
                format!("choose another channel as `{field}` of the server first"),
            ));
        }
    }

    /// Reports enabled onboarding that shows @everyone fewer channels than Discord requires.
    pub(super) fn onboarding(&mut self, address: &Address, onboarding: &Onboarding) {
        let live = &self.run.live;
        let found = live.get(Kind::Onboarding, live.guild_id).map(|found| &found.attributes);
        let known = match found {
            Some(Attributes::Onboarding(known)) => known.clone(),
            _ => Onboarding::default(),
        };
        let is_on = onboarding.enabled.or(known.enabled) == Some(true);
        let mode = onboarding.mode.or(known.mode);
        let channels = onboarding.default_channels.as_ref().or(known.default_channels.as_ref());
        let mut shown: Vec<&Reference> = channels.into_iter().flatten().collect();
        if mode == Some(OnboardingMode::Advanced) {
            let prompts = onboarding.prompts.as_ref().or(known.prompts.as_ref());
            let options = prompts.into_iter().flatten().flat_map(|prompt| &prompt.options);
            shown.extend(options.flat_map(|option| &option.channels));
        }
        let ids: std::collections::BTreeSet<Snowflake> = shown
            .into_iter()
            .filter_map(|reference| self.run.resolve(reference))
            .collect();
        let may = |id: &&Snowflake, permission| {
            let channel = live.channel(**id);
            channel.is_some_and(|channel| live.member_permissions_in(channel, None).contains(permission))
        };
        let visible = ids.iter().filter(|id| may(id, Permission::ViewChannel)).count();
        let writable = ids.iter().filter(|id| may(id, Permission::SendMessages)).count();
        if is_on && (visible < ONBOARDING_MIN_CHANNELS || writable < ONBOARDING_MIN_WRITABLE) {
            self.problems.push(Problem::new(
                rules::ONBOARDING_CHANNELS,
                address,
                format!(
                    "enabled onboarding requires {ONBOARDING_MIN_CHANNELS} channels that @everyone can view, and @everyone must be able to send messages in {ONBOARDING_MIN_WRITABLE} of them; this configuration has {visible} and {writable}"
                ),
                "add channels to `default_channels`, or allow @everyone VIEW_CHANNEL and SEND_MESSAGES in them",
            ));
        }
    }

    /// Whether a channel has a kind that a setting of the server accepts.
    pub(super) fn fits_setting(&self, field: &str, id: Snowflake) -> bool {
        let kind = self.run.live.get(Kind::Channel, id).map(|found| &found.attributes);
        let Some(Attributes::Channel(Channel { kind, .. })) = kind else {
            // `references` reports an id that does not exist.
            return true;
        };
        match field {
            "afk_channel" => *kind == ChannelKind::Voice,
            _ => matches!(kind, ChannelKind::Text | ChannelKind::Announcement),
        }
    }
}
