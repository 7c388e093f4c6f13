//! Servers, which Discord's documents call guilds. <https://discord.com/developers/docs/resources/guild>

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    AuditEntry, AutomodRule, Channel, Emoji, Id, Member, Onboarding, Role, ScheduledEvent, Sticker, Timestamp,
    WelcomeScreen,
};

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Banned user.
    pub user_id: Id,
    /// Reason.
    pub reason: Option<String>,
}

/// A server with its members, roles and channels. The state has the messages, by channel.
#[derive(Clone, Debug)]
pub struct Guild {
    /// Snowflake of the server.
    pub id: Id,
    /// 2–100 characters.
    pub name: String,
    /// Hash of the icon.
    pub icon: Option<String>,
    /// Hash of the invite's background.
    pub splash: Option<String>,
    /// Hash of the background in discovery.
    pub discovery_splash: Option<String>,
    /// Hash of the picture above the guide.
    pub home_header: Option<String>,
    /// Hash of the banner.
    pub banner: Option<String>,
    /// Text of a community server.
    pub description: Option<String>,
    /// Owner.
    pub owner_id: Id,
    /// Channel for idle voice users.
    pub afk_channel_id: Option<Id>,
    /// AFK timeout in seconds.
    pub afk_timeout: u32,
    /// Verification level, 0 none to 4 phone.
    pub verification_level: u8,
    /// Default notifications: 0 all messages, 1 mentions.
    pub default_message_notifications: u8,
    /// Explicit content filter, 0 off to 2 all members.
    pub explicit_content_filter: u8,
    /// Features, e.g. `COMMUNITY`.
    pub features: Vec<String>,
    /// Multi-factor authentication for moderators: 0 or 1.
    pub mfa_level: u8,
    /// System channel, where joins are announced.
    pub system_channel_id: Option<Id>,
    /// System channel flags: announcements that are suppressed.
    pub system_channel_flags: u64,
    /// Rules channel of a community server.
    pub rules_channel_id: Option<Id>,
    /// Public updates channel, for Discord's notices to moderators.
    pub public_updates_channel_id: Option<Id>,
    /// Channel for safety alerts.
    pub safety_alerts_channel_id: Option<Id>,
    /// Whether the widget is enabled.
    pub widget_enabled: bool,
    /// Channel of the widget's invite.
    pub widget_channel_id: Option<Id>,
    /// Boost level 0–3.
    pub premium_tier: u8,
    /// Number of boosts.
    pub premium_subscription_count: u32,
    /// Whether the progress bar of boosts is shown.
    pub premium_progress_bar_enabled: bool,
    /// Language of a community server.
    pub preferred_locale: String,
    /// 0 default to 3 age restricted.
    pub nsfw_level: u8,
    /// Time at which the bot joined.
    pub joined_at: Timestamp,
    /// Emulator only: whether the server has an outage.
    pub unavailable: bool,
    /// Roles by id, @everyone among them.
    pub roles: BTreeMap<Id, Role>,
    /// Channels and threads by id.
    pub channels: BTreeMap<Id, Channel>,
    /// Members by user id.
    pub members: BTreeMap<Id, Member>,
    /// Bans by user id.
    pub bans: BTreeMap<Id, Ban>,
    /// Emoji by id.
    pub emojis: BTreeMap<Id, Emoji>,
    /// Stickers by id.
    pub stickers: BTreeMap<Id, Sticker>,
    /// Rules of auto moderation.
    pub automod_rules: BTreeMap<Id, AutomodRule>,
    /// Welcome screen, once one has been set.
    pub welcome_screen: Option<WelcomeScreen>,
    /// Onboarding of new members.
    pub onboarding: Onboarding,
    /// Scheduled events, past ones among them.
    pub scheduled_events: BTreeMap<Id, ScheduledEvent>,
    /// Audit log, oldest first.
    pub audit_log: Vec<AuditEntry>,
}

impl Guild {
    /// A server with default values and the role @everyone.
    #[must_use]
    pub fn named(id: Id, name: &str, owner_id: Id, now: Timestamp) -> Self {
        Self {
            id,
            name: name.to_owned(),
            icon: None,
            splash: None,
            discovery_splash: None,
            home_header: None,
            banner: None,
            description: None,
            owner_id,
            afk_channel_id: None,
            afk_timeout: 300,
            verification_level: 0,
            default_message_notifications: 0,
            explicit_content_filter: 0,
            features: Vec::new(),
            mfa_level: 0,
            system_channel_id: None,
            system_channel_flags: 0,
            rules_channel_id: None,
            public_updates_channel_id: None,
            safety_alerts_channel_id: None,
            widget_enabled: false,
            widget_channel_id: None,
            premium_tier: 0,
            premium_subscription_count: 0,
            premium_progress_bar_enabled: false,
            preferred_locale: "en-US".to_owned(),
            nsfw_level: 0,
            joined_at: now,
            unavailable: false,
            roles: BTreeMap::from([(id, Role::everyone(id))]),
            channels: BTreeMap::new(),
            members: BTreeMap::new(),
            bans: BTreeMap::new(),
            emojis: BTreeMap::new(),
            stickers: BTreeMap::new(),
            automod_rules: BTreeMap::new(),
            welcome_screen: None,
            onboarding: Onboarding::default(),
            scheduled_events: BTreeMap::new(),
            audit_log: Vec::new(),
        }
    }

    /// Whether the server has this feature, e.g. `COMMUNITY`.
    #[must_use]
    pub fn has_feature(&self, feature: &str) -> bool {
        self.features.iter().any(|f| f == feature)
    }

    /// Clears every reference to a deleted channel, except overwrites and threads. Returns whether the server's own fields
    /// changed.
    pub fn clear_channel_references(&mut self, id: Id) -> bool {
        let slots = [
            &mut self.afk_channel_id,
            &mut self.system_channel_id,
            &mut self.rules_channel_id,
            &mut self.public_updates_channel_id,
            &mut self.safety_alerts_channel_id,
            &mut self.widget_channel_id,
        ];
        let mut changed = false;
        for slot in slots.into_iter().filter(|slot| **slot == Some(id)) {
            *slot = None;
            changed = true;
        }
        if let Some(screen) = &mut self.welcome_screen {
            screen.welcome_channels.retain(|channel| channel.channel_id != id);
        }
        self.onboarding.default_channel_ids.retain(|channel| *channel != id);
        for option in self
            .onboarding
            .prompts
            .iter_mut()
            .flat_map(|prompt| &mut prompt.options)
        {
            option.channel_ids.retain(|channel| *channel != id);
        }
        for rule in self.automod_rules.values_mut() {
            rule.exempt_channels.retain(|channel| *channel != id);
        }
        for event in self.scheduled_events.values_mut() {
            event.channel_id = event.channel_id.filter(|channel| *channel != id);
        }
        changed
    }

    /// Clears every reference to a deleted role, except the role's own entry.
    pub fn clear_role_references(&mut self, id: Id) {
        for member in self.members.values_mut() {
            member.roles.retain(|held| *held != id);
        }
        for channel in self.channels.values_mut() {
            channel.permission_overwrites.retain(|overwrite| overwrite.id != id);
        }
        for emoji in self.emojis.values_mut() {
            emoji.roles.retain(|allowed| *allowed != id);
        }
        for option in self
            .onboarding
            .prompts
            .iter_mut()
            .flat_map(|prompt| &mut prompt.options)
        {
            option.role_ids.retain(|role| *role != id);
        }
        for rule in self.automod_rules.values_mut() {
            rule.exempt_roles.retain(|role| *role != id);
        }
    }

    /// Roles from the highest to @everyone.
    #[must_use]
    pub fn roles_by_rank(&self) -> Vec<&Role> {
        let mut roles: Vec<&Role> = self.roles.values().collect();
        roles.sort_by_key(|role| std::cmp::Reverse(role.rank()));
        roles
    }

    /// The rank of each role above @everyone, which is 0, without gaps: roles with equal positions are ordered by id.
    #[must_use]
    pub fn ranks(&self) -> BTreeMap<Id, i64> {
        let mut roles: Vec<&Role> = self.roles.values().collect();
        roles.sort_by_key(|role| (role.id != self.id, role.rank()));
        (0..).zip(roles).map(|(place, role)| (role.id, place)).collect()
    }

    /// Serializes the fields that REST and the gateway share: all but channels, threads and members.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_fields<M: SerializeMap>(&self, out: &mut M) -> Result<(), M::Error> {
        out.serialize_entry("id", &self.id)?;
        out.serialize_entry("name", &self.name)?;
        out.serialize_entry("icon", &self.icon)?;
        out.serialize_entry("description", &self.description)?;
        out.serialize_entry("home_header", &self.home_header)?;
        out.serialize_entry("splash", &self.splash)?;
        out.serialize_entry("discovery_splash", &self.discovery_splash)?;
        out.serialize_entry("features", &self.features)?;
        out.serialize_entry("banner", &self.banner)?;
        out.serialize_entry("owner_id", &self.owner_id)?;
        out.serialize_entry("application_id", &None::<Id>)?;
        out.serialize_entry("region", "deprecated")?;
        out.serialize_entry("afk_channel_id", &self.afk_channel_id)?;
        out.serialize_entry("afk_timeout", &self.afk_timeout)?;
        out.serialize_entry("system_channel_id", &self.system_channel_id)?;
        out.serialize_entry("system_channel_flags", &self.system_channel_flags)?;
        out.serialize_entry("widget_enabled", &self.widget_enabled)?;
        out.serialize_entry("widget_channel_id", &self.widget_channel_id)?;
        out.serialize_entry("verification_level", &self.verification_level)?;
        out.serialize_entry("roles", &Values(&self.roles))?;
        out.serialize_entry("default_message_notifications", &self.default_message_notifications)?;
        out.serialize_entry("mfa_level", &self.mfa_level)?;
        out.serialize_entry("explicit_content_filter", &self.explicit_content_filter)?;
        out.serialize_entry("max_presences", &None::<u32>)?;
        out.serialize_entry("max_members", &500_000)?;
        out.serialize_entry("max_stage_video_channel_users", &50)?;
        out.serialize_entry("max_video_channel_users", &25)?;
        out.serialize_entry("vanity_url_code", &None::<String>)?;
        out.serialize_entry("premium_tier", &self.premium_tier)?;
        out.serialize_entry("premium_subscription_count", &self.premium_subscription_count)?;
        out.serialize_entry("preferred_locale", &self.preferred_locale)?;
        out.serialize_entry("rules_channel_id", &self.rules_channel_id)?;
        out.serialize_entry("safety_alerts_channel_id", &self.safety_alerts_channel_id)?;
        out.serialize_entry("public_updates_channel_id", &self.public_updates_channel_id)?;
        out.serialize_entry("premium_progress_bar_enabled", &self.premium_progress_bar_enabled)?;
        out.serialize_entry("premium_progress_bar_enabled_user_updated_at", &None::<Timestamp>)?;
        out.serialize_entry("nsfw", &(self.nsfw_level == 3))?;
        out.serialize_entry("nsfw_level", &self.nsfw_level)?;
        out.serialize_entry("emojis", &Values(&self.emojis))?;
        out.serialize_entry("stickers", &Values(&self.stickers))?;
        out.serialize_entry("incidents_data", &None::<()>)
    }
}

/// The JSON of REST's `GET /guilds/{id}` and of `GUILD_UPDATE`.
impl Serialize for Guild {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        self.serialize_fields(&mut out)?;
        out.end()
    }
}

/// The values of a map as a JSON array, without collecting them first.
pub(crate) struct Values<'a, T>(pub(crate) &'a BTreeMap<Id, T>);

impl<T: Serialize> Serialize for Values<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.values())
    }
}
