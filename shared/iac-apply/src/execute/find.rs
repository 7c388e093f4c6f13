//! What a creation whose answer was lost may have made.

use arrakis_iac::live::Live;
use arrakis_iac::model::{Address, Attributes, Clearable, Reference, Snowflake, same_name};
use arrakis_iac::state::{Pending, State};

/// Discord writes its clock in whole seconds, and a call takes a while: what was made is not older than this before the
/// time of the record.
const CLOCKS: u64 = 3_000;

/// The oldest thing on the server of this kind, name and parent that is not older than the record and that nobody manages.
pub(super) fn made(address: &Address, pending: &Pending, state: &State, live: &Live) -> Option<Snowflake> {
    let managed = |id| {
        let same =
            |(known, entry): (&Address, &arrakis_iac::state::Entry)| known.kind() == address.kind() && entry.id == id;
        state.resources.iter().any(same)
    };
    live.of_kind(address.kind())
        .filter(|found| found.id.created_at_ms() >= pending.since_ms.saturating_sub(CLOCKS))
        .filter(|found| !found.managed && !managed(found.id))
        .find(|found| is_like(&pending.attributes, &found.attributes, state))
        .map(|found| found.id)
}

fn is_like(asked: &Attributes, found: &Attributes, state: &State) -> bool {
    let id = |reference: &Reference| match reference {
        Reference::Id(id) => Some(*id),
        Reference::Address(address) => state.id(address),
    };
    match (asked, found) {
        (Attributes::Channel(asked), Attributes::Channel(found))
        | (Attributes::Category(asked), Attributes::Category(found)) => {
            let parent = |category: Option<&Clearable<Reference>>| category.and_then(Clearable::value).and_then(id);
            let names = asked.name.as_deref().zip(found.name.as_deref());
            asked.kind == found.kind
                && names.is_some_and(|(one, other)| same_name(found.kind, one, other))
                && parent(asked.category.as_ref()) == parent(found.category.as_ref())
        }
        (Attributes::Webhook(asked), Attributes::Webhook(found)) => {
            let channels = (asked.channel.as_ref().and_then(id), found.channel.as_ref().and_then(id));
            asked.name == found.name && channels.0 == channels.1
        }
        // Discord's words for a role without a name.
        (Attributes::Role(asked), Attributes::Role(found)) => {
            asked.name.as_deref().unwrap_or("new role") == found.name.as_deref().unwrap_or_default()
        }
        _ => asked.name().is_some() && asked.name() == found.name(),
    }
}
