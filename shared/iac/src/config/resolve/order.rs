//! The order of roles, categories and channels: that of the file and its theme, changed by `after` and `before`.

use indexmap::IndexMap;

use crate::config::document::ServerFile;
use crate::kinds::Draft;
use crate::model::{Address, Kind, Reference};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::Link;
use crate::yaml::{Names, address, entries};

/// A wish to stand next to another.
struct Wish {
    who: Address,
    next_to: Address,
    behind: bool,
    at: crate::yaml::tree::Mark,
}

pub(super) fn place(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    let mut wishes = Vec::new();
    let mut wish = |kind: Kind, name: &At<String>, after: Option<&At<Link>>, before: Option<&At<Link>>| {
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
                false => wishes.push(Wish {
                    who,
                    next_to,
                    behind,
                    at: link.at,
                }),
            }
        }
    };
    for (name, entry) in entries(document.roles.as_ref()) {
        wish(
            Kind::Role,
            name,
            entry.value.after.as_ref(),
            entry.value.before.as_ref(),
        );
    }
    for (name, entry) in entries(document.categories.as_ref()) {
        wish(
            Kind::Category,
            name,
            entry.value.after.as_ref(),
            entry.value.before.as_ref(),
        );
        for (name, entry) in entries(entry.value.channels.as_ref()) {
            wish(
                Kind::Channel,
                name,
                entry.value.after.as_ref(),
                entry.value.before.as_ref(),
            );
        }
    }
    for (name, entry) in entries(document.channels.as_ref()) {
        wish(
            Kind::Channel,
            name,
            entry.value.after.as_ref(),
            entry.value.before.as_ref(),
        );
    }
    grant(wishes, draft, reader);
}

/// Moves each once what it stands next to has its place; wishes that wait for one another are a cycle.
fn grant(mut wishes: Vec<Wish>, draft: &mut Draft, reader: &mut Reader<'_>) {
    while !wishes.is_empty() {
        let (waiting, ready): (Vec<Wish>, Vec<Wish>) = {
            let movers: std::collections::BTreeSet<Address> = wishes.iter().map(|wish| wish.who.clone()).collect();
            wishes.into_iter().partition(|wish| movers.contains(&wish.next_to))
        };
        if ready.is_empty() {
            let members: Vec<String> = waiting.iter().map(|wish| format!("`{}`", wish.who)).collect();
            let shown = members.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
            if let Some(first) = waiting.first() {
                reader.refuse(
                    first.at,
                    format!("a cycle: each of {shown} is placed relative to another one of them"),
                );
            }
            return;
        }
        // Those that stand behind the same one keep their order only when the last is moved first.
        let (behind, before): (Vec<Wish>, Vec<Wish>) = ready.into_iter().partition(|wish| wish.behind);
        for wish in before.into_iter().chain(behind.into_iter().rev()) {
            shift(&mut draft.resources, &wish);
        }
        wishes = waiting;
    }
}

fn shift<V>(resources: &mut IndexMap<Address, V>, wish: &Wish) {
    let (Some(from), Some(next)) = (resources.get_index_of(&wish.who), resources.get_index_of(&wish.next_to)) else {
        return;
    };
    let to = match (from < next, wish.behind) {
        (true, true) => next,
        (true, false) => next - 1,
        (false, true) => next + 1,
        (false, false) => next,
    };
    resources.move_index(from, to);
}
