//! `roles`.

use arrakis_domain::{Color, Permissions};

use super::names::entries;
use super::{Draft, Names, present};
use crate::config::document::{RoleEntry, ServerFile};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Hue, OrNone};
use crate::model::{Attributes, Clearable, Kind, Part, Role};

pub(super) fn build(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    for (name, entry) in entries(document.roles.as_ref()) {
        let Some(address) = present(Kind::Role, name, names) else {
            continue;
        };
        let own = read(&entry.value);
        let mut role = match draft.resources.get(&address) {
            Some(Attributes::Role(theirs)) => theirs.clone(),
            _ => Role::default(),
        };
        role.override_with(own);
        if address.is_everyone() {
            refuse_more_than_permissions(entry, reader);
        } else {
            role.name.get_or_insert_with(|| name.value.clone());
            // Discord would copy @everyone's permissions to a role that is made without any.
            role.permissions.get_or_insert(Permissions::NONE);
        }
        if role
            .tertiary_color
            .as_ref()
            .is_some_and(|color| color.value().is_some())
            && role
                .secondary_color
                .as_ref()
                .is_none_or(|color| color.value().is_none())
        {
            let parts = ["secondary_color", "tertiary_color"].map(|field| Part::Attribute(field.to_owned()));
            reader.break_rule_of(
                name.at,
                &address,
                &parts,
                "a role with a third colour has a second one, too",
            );
        }
        draft.put(address, Attributes::Role(role), name.at);
    }
}

fn read(entry: &RoleEntry) -> Role {
    let set = |list: &At<crate::yaml::scalar::List<crate::yaml::scalar::PermissionName>>| {
        list.value
            .0
            .iter()
            .fold(Permissions::NONE, |set, permission| set | permission.value.0)
    };
    Role {
        name: entry.name.as_ref().map(|name| name.value.0.clone()),
        color: entry.color.as_ref().map(|color| color.value.0),
        secondary_color: color(entry.secondary_color.as_ref()),
        tertiary_color: color(entry.tertiary_color.as_ref()),
        hoist: entry.hoist.as_ref().map(|hoist| hoist.value.0),
        mentionable: entry.mentionable.as_ref().map(|mentionable| mentionable.value.0),
        permissions: entry.permissions.as_ref().map(set),
        unicode_emoji: entry.unicode_emoji.as_ref().map(|emoji| emoji.value.0.clone()),
        given_to_bot: entry.given_to_bot.as_ref().map(|given| given.value.0),
    }
}

fn color(entry: Option<&At<OrNone<Hue>>>) -> Option<Clearable<Color>> {
    entry.map(|color| match &color.value.0 {
        Clearable::Cleared => Clearable::Cleared,
        Clearable::Set(Hue(color)) => Clearable::Set(*color),
    })
}

/// @everyone has permissions and nothing else that could be changed.
fn refuse_more_than_permissions(entry: &At<RoleEntry>, reader: &mut Reader<'_>) {
    let RoleEntry {
        name,
        color,
        secondary_color,
        tertiary_color,
        hoist,
        mentionable,
        permissions: _,
        unicode_emoji,
        given_to_bot,
        unmanaged: _,
        flag: _,
        after,
        before,
    } = &entry.value;
    let marks = [
        name.as_ref().map(|one| one.at),
        color.as_ref().map(|one| one.at),
        secondary_color.as_ref().map(|one| one.at),
        tertiary_color.as_ref().map(|one| one.at),
        hoist.as_ref().map(|one| one.at),
        mentionable.as_ref().map(|one| one.at),
        unicode_emoji.as_ref().map(|one| one.at),
        given_to_bot.as_ref().map(|one| one.at),
        after.as_ref().map(|one| one.at),
        before.as_ref().map(|one| one.at),
    ];
    for at in marks.into_iter().flatten() {
        reader.refuse(
            at,
            "`everyone` is the role of all members: it has `permissions`, and nothing else can be set",
        );
    }
}
