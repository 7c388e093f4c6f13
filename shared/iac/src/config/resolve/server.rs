//! `server`: the server's own settings.

use std::collections::BTreeSet;

use super::{Draft, Names};
use crate::config::document::{ServerEntry, ServerFile};
use crate::yaml::reader::Reader;
use crate::model::{Address, Attributes, Clearable, Kind, Part, Reference, Server};

pub(super) fn build(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    let Some(entry) = &document.server else { return };
    let at = entry.at;
    let entry = &entry.value;
    let mut channel =
        |link: Option<&_>| -> Option<Clearable<Reference>> { names.link_or_none(link, Kind::Channel, reader) };
    let links = (
        channel(entry.afk_channel.as_ref()),
        channel(entry.system_channel.as_ref()),
        channel(entry.rules_channel.as_ref()),
        channel(entry.public_updates_channel.as_ref()),
        channel(entry.safety_alerts_channel.as_ref()),
    );
    let (afk_channel, system_channel, rules_channel, public_updates_channel, safety_alerts_channel) = links;
    let own = Server {
        name: entry.name.as_ref().map(|name| name.value.0.clone()),
        description: entry
            .description
            .as_ref()
            .map(|description| description.value.0.clone()),
        verification_level: entry.verification_level.as_ref().map(|level| level.value.0),
        default_notifications: entry.default_notifications.as_ref().map(|level| level.value.0),
        explicit_content_filter: entry.explicit_content_filter.as_ref().map(|level| level.value.0),
        preferred_locale: entry.preferred_locale.as_ref().map(|locale| locale.value.0),
        afk_channel,
        afk_timeout: entry.afk_timeout.as_ref().map(|timeout| timeout.value.0),
        system_channel,
        suppressed_messages: suppressed(entry),
        community: entry.community.as_ref().map(|community| community.value.0),
        rules_channel,
        public_updates_channel,
        safety_alerts_channel,
        boost_progress_bar: entry.boost_progress_bar.as_ref().map(|shown| shown.value.0),
    };
    let mut server = match draft.resources.get(&Address::SERVER) {
        Some(Attributes::Server(theirs)) => theirs.clone(),
        _ => Server::default(),
    };
    server.override_with(own);
    if server.community == Some(true) {
        for (channel, key) in [
            (&server.rules_channel, "rules_channel"),
            (&server.public_updates_channel, "public_updates_channel"),
        ] {
            if *channel == Some(Clearable::Cleared) {
                let parts = ["community", key].map(|field| Part::Attribute(field.to_owned()));
                let reason = format!("a community server needs a `{key}`, and here it is `none`");
                reader.break_rule_of(at, &Address::SERVER, &parts, reason);
            }
        }
    }
    draft.put(Address::SERVER, Attributes::Server(server), at);
}

fn suppressed(entry: &ServerEntry) -> Option<BTreeSet<crate::model::SystemMessage>> {
    let list = entry.suppressed_messages.as_ref()?;
    Some(list.value.0.iter().map(|message| message.value.0).collect())
}
