//! Community servers: what a theme's announcement channel becomes on any other server, and the lines that make one.
//!
//! Discord has announcement channels on Community servers only. A theme does not know the server it is applied to, so its
//! announcement channels become text channels there, with a warning; Discord turns a text channel into an announcement channel
//! in place, so nothing is lost when the server becomes a Community later. What a configuration itself asks for is never
//! changed: preflight refuses it.

use std::collections::BTreeSet;

use arrakis_domain::Permission;
use arrakis_iac::config::from_theme;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Attributes, Channel, ChannelKind, Configuration, Kind, Server, Target};
use arrakis_iac::plan::{Action, Change, Plan};
use arrakis_themes::Registry;

use crate::configuration::Source;
use crate::printer::{Printer, Severity};

/// Announcement channels of the theme that a configuration builds on.
#[must_use]
pub fn announcements_of_theme(configuration: &Configuration, themes: &Registry) -> BTreeSet<Address> {
    let theme = configuration
        .theme
        .as_ref()
        .and_then(|used| themes.theme(&used.id).ok());
    let theirs = theme.map(|theme| from_theme(theme)).unwrap_or_default();
    let announcements = theirs
        .of_kind(Kind::Channel)
        .filter(|(_, attributes)| is_announcement(attributes));
    announcements.map(|(address, _)| address.clone()).collect()
}

/// Makes the theme's announcement channels text channels where the server is no Community and does not become one.
pub fn fit(source: &mut Source, live: &LiveServer, printer: Printer) {
    let server = source.configuration.get(&Address::SERVER);
    let asked = match server {
        Some(Attributes::Server(server)) => server.community,
        _ => None,
    };
    if asked.unwrap_or_else(|| live.is_community()) {
        return;
    }
    let mut changed = Vec::new();
    for (address, resource) in &mut source.configuration.resources {
        if let Attributes::Channel(channel) = &mut resource.attributes
            && channel.kind == ChannelKind::Announcement
            && source.theme_announcements.contains(address)
        {
            channel.kind = ChannelKind::Text;
            changed.push(address.to_string());
        }
    }
    if changed.is_empty() {
        return;
    }
    printer.diagnostic(
        Severity::Warning,
        &format!(
            "{} is a text channel here: announcement channels need a Community server, and server {} is not one",
            changed.join(", "),
            live.guild_id
        ),
        Some(&advice(&source.configuration)),
    );
}

/// The lines for a plan that makes channels of its own configuration which only a Community server has: preflight refuses it.
pub fn advise(plan: &Plan, configuration: &Configuration, live: &LiveServer, printer: Printer) {
    let will_be = plan.changes.iter().find_map(|change| match &change.after {
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
    if !refused || will_be.unwrap_or_else(|| live.is_community()) {
        return;
    }
    if let Some(lines) = lines(configuration) {
        printer.note(&format!(
            "These lines in discord-server.yaml make the server a Community (the bot needs ADMINISTRATOR):\n\n{lines}"
        ));
    }
}

/// How to make the server a Community, with the lines for discord-server.yaml.
fn advice(configuration: &Configuration) -> String {
    match lines(configuration) {
        Some(lines) => format!(
            "to have announcement channels, enable Community in Discord (Server Settings, Enable Community), or add these lines to discord-server.yaml (the bot \
             needs ADMINISTRATOR) (`gaib server init --theme NAME --community` \
             writes them):\n\n{lines}"
        ),
        None => {
            "to have announcement channels, enable Community in Discord (Server Settings, Enable Community)".to_owned()
        }
    }
}

/// The lines that make the server a Community; `None` where there is no text channel to name.
///
/// Discord asks for a rules channel, a channel for its notices to moderators, verified e-mail addresses and a content filter
/// for all members: <https://support.discord.com/hc/en-us/articles/360047132851>
#[must_use]
pub fn lines(configuration: &Configuration) -> Option<String> {
    let rules = rules_channel(configuration)?;
    let updates = updates_channel(configuration)?;
    let server = match configuration.get(&Address::SERVER) {
        Some(Attributes::Server(server)) => server.clone(),
        _ => Server::default(),
    };
    let mut text =
        format!("server:\n  community: true\n  rules_channel: {rules}\n  public_updates_channel: {updates}\n");
    if server.verification_level.is_none() {
        text.push_str("  verification_level: low\n");
    }
    if server.explicit_content_filter.is_none() {
        text.push_str("  explicit_content_filter: all_members\n");
    }
    Some(text)
}

fn text_channels(configuration: &Configuration) -> impl Iterator<Item = (&Address, &Channel)> {
    configuration
        .of_kind(Kind::Channel)
        .filter_map(|(address, attributes)| match attributes {
            Attributes::Channel(channel) if channel.kind == ChannelKind::Text => Some((address, channel)),
            _ => None,
        })
}

fn is_closed(channel: &Channel) -> bool {
    let everyone = channel.overwrites.as_ref().and_then(|all| all.get(&Target::Everyone));
    everyone.is_some_and(|everyone| everyone.deny.contains(Permission::ViewChannel))
}

/// The first text channel that everyone sees: what members read first.
fn rules_channel(configuration: &Configuration) -> Option<&Address> {
    let open = text_channels(configuration).find(|(_, channel)| !is_closed(channel));
    open.map(|(address, _)| address)
}

/// The text channel that the fewest roles see; where all are open, the last one.
fn updates_channel(configuration: &Configuration) -> Option<&Address> {
    let readers = |channel: &Channel| {
        let all = channel.overwrites.iter().flatten();
        all.filter(|(_, overwrite)| overwrite.allow.contains(Permission::ViewChannel))
            .count()
    };
    let closed = text_channels(configuration).filter(|(_, channel)| is_closed(channel));
    let closed = closed.min_by_key(|(_, channel)| readers(channel));
    closed
        .or_else(|| text_channels(configuration).last())
        .map(|(address, _)| address)
}

fn is_announcement(attributes: &Attributes) -> bool {
    matches!(attributes, Attributes::Channel(channel) if channel.kind == ChannelKind::Announcement)
}
