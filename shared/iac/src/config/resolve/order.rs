//! The order of roles, categories and channels: that of the file and its theme, changed by `after` and `before`.

use indexmap::IndexMap;

use crate::config::document::ServerFile;
use crate::kinds::Draft;
use crate::model::{Address, Kind, Reference};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::Link;
use crate::yaml::{KnownAddresses, address, entries};

/// A placement to stand next to another.
struct Placement {
    who: Address,
    next_to: Address,
    behind: bool,
    at: crate::yaml::tree::Mark,
}

pub(super) fn place(document: &ServerFile, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
    let mut placements = Vec::new();
    let mut placement = |kind: Kind, name: &At<String>, after: Option<&At<Link>>, before: Option<&At<Link>>| {
        if let (Some(_), Some(before)) = (after, before) {
            reader.refuse(before.at, "`after` and `before` exclude each other; use one of them");
        }
        for (link, behind) in [(after, true), (before, false)] {
            let Some(link) = link else { continue };
            let Some(Reference::Address(next_to)) = names.link(link, kind, reader) else {
                continue;
            };
            let Some(who) = address(kind, &name.value).filter(|who| draft.resources.contains_key(who)) else {
                continue;
            };
            match who == next_to {
                true => reader.refuse(link.at, format!("`{}` cannot be placed next to itself", name.value)),
                false => placements.push(Placement {
                    who,
                    next_to,
                    behind,
                    at: link.at,
                }),
            }
        }
    };
    for (name, entry) in entries(document.roles.as_ref()) {
        placement(
            Kind::Role,
            name,
            entry.value.after.as_ref(),
            entry.value.before.as_ref(),
        );
    }
    for (name, entry) in entries(document.categories.as_ref()) {
        placement(
            Kind::Category,
            name,
            entry.value.after.as_ref(),
            entry.value.before.as_ref(),
        );
        for (name, entry) in entries(entry.value.channels.as_ref()) {
            placement(
                Kind::Channel,
                name,
                entry.value.after.as_ref(),
                entry.value.before.as_ref(),
            );
        }
    }
    for (name, entry) in entries(document.channels.as_ref()) {
        placement(
            Kind::Channel,
            name,
            entry.value.after.as_ref(),
            entry.value.before.as_ref(),
        );
    }
    place_all(placements, draft, reader);
}

/// Moves each after the resource that its placement names has its place; placements that wait for one another are a cycle.
fn place_all(mut placements: Vec<Placement>, draft: &mut Draft, reader: &mut Reader<'_>) {
    while !placements.is_empty() {
        let (waiting, ready): (Vec<Placement>, Vec<Placement>) = {
            let movers: std::collections::BTreeSet<Address> =
                placements.iter().map(|placement| placement.who.clone()).collect();
            placements
                .into_iter()
                .partition(|placement| movers.contains(&placement.next_to))
        };
        if ready.is_empty() {
            let members: Vec<String> = waiting.iter().map(|placement| format!("`{}`", placement.who)).collect();
            let shown = members.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
            if let Some(first) = waiting.first() {
                reader.refuse(
                    first.at,
                    format!("a cycle: each of {shown} is placed relative to another one of them"),
                );
            }
            return;
        }
        // Resources after the same one keep their order if the last is moved first.
        let (behind, before): (Vec<Placement>, Vec<Placement>) =
            ready.into_iter().partition(|placement| placement.behind);
        for placement in before.into_iter().chain(behind.into_iter().rev()) {
            shift(&mut draft.resources, &placement);
        }
        placements = waiting;
    }
}

fn shift<V>(resources: &mut IndexMap<Address, V>, placement: &Placement) {
    let (Some(from), Some(next)) = (
        resources.get_index_of(&placement.who),
        resources.get_index_of(&placement.next_to),
    ) else {
        return;
    };
    let to = match (from < next, placement.behind) {
        (true, true) => next,
        (true, false) => next - 1,
        (false, true) => next + 1,
        (false, false) => next,
    };
    resources.move_index(from, to);
}
