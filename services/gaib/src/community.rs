//! Community servers: announcement channels of a theme on other servers, and the configuration that enables Community.
//!
//! Discord has announcement channels only on servers with Community. A theme is written for any server, so without Community its
//! announcement channels become text channels, with a warning. Discord converts a text channel to an announcement channel in
//! place, so no message is lost when Community is enabled later. An announcement channel of the configuration itself is not
//! changed: preflight refuses it.

use std::collections::BTreeSet;

use arrakis_domain::Permission;
use arrakis_iac::config::from_theme;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{
    Address, Attributes, Channel, ChannelKind, Clearable, Configuration, ContentFilter, Kind, Resource, Server, Target,
    Verification,
};
use arrakis_iac::plan::{Action, Change, Finding, Plan};
use arrakis_iac::state::State;
use arrakis_themes::Registry;

use crate::printer::Printer;

const ENABLE_COMMUNITY: &str = "enable Community in Discord (Server Settings, Enable Community), or with the section \
                                `server` that `gaib server init --theme NAME --community` writes in an empty folder";

/// The announcement channels of the theme that a configuration uses.
#[must_use]
pub fn announcements_of_theme(configuration: &Configuration, themes: &Registry) -> BTreeSet<Address> {
    let theme = configuration
        .theme
        .as_ref()
        .and_then(|used| themes.theme(&used.id).ok());
    let of_theme = theme.map(|theme| from_theme(theme)).unwrap_or_default();
    let announcements = of_theme
        .of_kind(Kind::Channel)
        .filter(|(_, attributes)| is_announcement(attributes));
    announcements.map(|(address, _)| address.clone()).collect()
}

/// Converts the theme's announcement channels to text channels when Community is neither enabled on the server nor by the
/// configuration. Returns a warning for those that the state does not have as text channels: each is reported once, and not by every later
/// command.
pub fn convert_announcements(
    configuration: &mut Configuration,
    theme_announcements: &BTreeSet<Address>,
    state: &State,
    live: &LiveServer,
) -> Option<Finding> {
    let configured = match configuration.get(&Address::SERVER) {
        Some(Attributes::Server(server)) => server.community,
        _ => None,
    };
    if configured.unwrap_or_else(|| live.is_community()) {
        return None;
    }
    let mut converted = Vec::new();
    for (address, resource) in &mut configuration.resources {
        if let Attributes::Channel(channel) = &mut resource.attributes
            && channel.kind == ChannelKind::Announcement
            && theme_announcements.contains(address)
        {
            channel.kind = ChannelKind::Text;
            if !is_text(state, address) {
                converted.push(address.clone());
            }
        }
    }
    let what = match converted.len() {
        0 => return None,
        1 => "is a text channel",
        _ => "are text channels",
    };
    let names: Vec<String> = converted.iter().map(Address::to_string).collect();
    Some(Finding {
        rule: "channel-kind".to_owned(),
        blocking: false,
        what: format!(
            "{} {what} here: announcement channels require Community, which is not enabled on server {}",
            names.join(", "),
            live.guild_id
        ),
        what_to_do: ENABLE_COMMUNITY.to_owned(),
        addresses: converted,
    })
}

/// Whether the state has a channel as a text channel.
fn is_text(state: &State, address: &Address) -> bool {
    let entry = state.resources.get(address);
    entry.is_some_and(
        |entry| matches!(&entry.attributes, Attributes::Channel(channel) if channel.kind == ChannelKind::Text),
    )
}

/// Prints the configuration that enables Community, for a plan that preflight refuses because of channels that require it.
pub fn print_advice(plan: &Plan, configuration: &Configuration, live: &LiveServer, printer: Printer) {
    let planned = plan.changes.iter().find_map(|change| match &change.after {
        Some(Attributes::Server(server)) => server.community,
        _ => None,
    });
    let is_written = |change: &Change| !matches!(change.action, Action::Delete | Action::Forget);
    let needs_community =
        |change: &Change| matches!(&change.after, Some(Attributes::Channel(channel)) if channel.kind.needs_community());
    let refused = plan
        .changes
        .iter()
        .any(|change| is_written(change) && needs_community(change));
    if !refused || planned.unwrap_or_else(|| live.is_community()) {
        return;
    }
    if let Some(lines) = configuration_lines(configuration) {
        printer.note(&format!(
            "Add these lines to discord-server.yaml to enable Community (the bot needs ADMINISTRATOR):\n\n{lines}"
        ));
    }
}

/// The lines of a configuration that enable Community; `None` when the configuration has no text channel.
#[must_use]
pub fn configuration_lines(configuration: &Configuration) -> Option<String> {
    let settings = settings(configuration)?;
    let (rules, updates) = (settings.rules_channel?, settings.public_updates_channel?);
    let mut text =
        format!("server:\n  community: true\n  rules_channel: {rules}\n  public_updates_channel: {updates}\n");
    if let Some(level) = settings.verification_level {
        text.push_str(&format!("  verification_level: {level}\n"));
    }
    if let Some(filter) = settings.explicit_content_filter {
        text.push_str(&format!("  explicit_content_filter: {filter}\n"));
    }
    Some(text)
}

/// Enables Community in a configuration; `false` when it has no text channel.
pub fn enable(configuration: &mut Configuration) -> bool {
    let Some(settings) = settings(configuration) else {
        return false;
    };
    let server = configuration
        .resources
        .entry(Address::SERVER)
        .or_insert_with(|| Resource {
            attributes: Attributes::Server(Server::default()),
            origin: None,
        });
    if let Attributes::Server(server) = &mut server.attributes {
        server.override_with(settings);
    }
    configuration
        .resources
        .sort_by(|one, _, other, _| one.kind().cmp(&other.kind()));
    true
}

/// The settings that enable Community, without those that the configuration has; `None` when it has no text channel.
///
/// Discord requires a rules channel, a channel for its notices to moderators, verified e-mail addresses and a content filter
/// for all members: <https://support.discord.com/hc/en-us/articles/360047132851>
fn settings(configuration: &Configuration) -> Option<Server> {
    let rules = rules_channel(configuration)?.clone();
    let updates = updates_channel(configuration)?.clone();
    let configured = match configuration.get(&Address::SERVER) {
        Some(Attributes::Server(server)) => server.clone(),
        _ => Server::default(),
    };
    let needs_level = configured.verification_level.is_none();
    let needs_filter = configured.explicit_content_filter.is_none();
    Some(Server {
        community: Some(true),
        rules_channel: Some(Clearable::Set(rules.into())),
        public_updates_channel: Some(Clearable::Set(updates.into())),
        verification_level: needs_level.then_some(Verification::Low),
        explicit_content_filter: needs_filter.then_some(ContentFilter::AllMembers),
        ..Server::default()
    })
}

fn text_channels(configuration: &Configuration) -> impl Iterator<Item = (&Address, &Channel)> {
    configuration
        .of_kind(Kind::Channel)
        .filter_map(|(address, attributes)| match attributes {
            Attributes::Channel(channel) if channel.kind == ChannelKind::Text => Some((address, channel)),
            _ => None,
        })
}

fn is_private(channel: &Channel) -> bool {
    let everyone = channel.overwrites.as_ref().and_then(|all| all.get(&Target::Everyone));
    everyone.is_some_and(|everyone| everyone.deny.contains(Permission::ViewChannel))
}

/// The first text channel that everyone can view.
fn rules_channel(configuration: &Configuration) -> Option<&Address> {
    let public = text_channels(configuration).find(|(_, channel)| !is_private(channel));
    public.map(|(address, _)| address)
}

/// The private text channel that the fewest roles see; without a private one, the last text channel.
fn updates_channel(configuration: &Configuration) -> Option<&Address> {
    let readers = |channel: &Channel| {
        let all = channel.overwrites.iter().flatten();
        all.filter(|(_, overwrite)| overwrite.allow.contains(Permission::ViewChannel))
            .count()
    };
    let private = text_channels(configuration).filter(|(_, channel)| is_private(channel));
    let private = private.min_by_key(|(_, channel)| readers(channel));
    private
        .or_else(|| text_channels(configuration).last())
        .map(|(address, _)| address)
}

fn is_announcement(attributes: &Attributes) -> bool {
    matches!(attributes, Attributes::Channel(channel) if channel.kind == ChannelKind::Announcement)
}
