//! Overwrites of categories and channels.

use arrakis_domain::Permissions;

use super::Names;
use crate::config::overwrites::OverwriteEntry;
use crate::config::reader::{At, Reader};
use crate::config::scalar::{Link, List, Named, PermissionName};
use crate::config::tree::shortened;
use crate::model::limits::MOST_OVERWRITES;
use crate::model::{Address, Kind, Overwrite, Overwrites, Part, Target, permission_names};

/// The overwrites of a map by target. Targets that a flag drops are left out.
pub(super) fn read(
    address: &Address,
    entries: &Named<OverwriteEntry>,
    names: &Names,
    reader: &mut Reader<'_>,
) -> Overwrites {
    let mut overwrites = Overwrites::new();
    if let Some((over, _)) = entries.0.get(MOST_OVERWRITES) {
        reader.break_rule_of(
            over.at,
            address,
            &[Part::OverwriteCount],
            format!("more than {MOST_OVERWRITES} overwrites; Discord takes no more for one channel"),
        );
    }
    for (name, entry) in &entries.0 {
        let Some(target) = target(name, names, reader) else {
            continue;
        };
        let (allow, deny) = (set(entry.value.allow.as_ref()), set(entry.value.deny.as_ref()));
        check_both(address, &target, &entry.value, allow, reader);
        if overwrites.insert(target, Overwrite { allow, deny }).is_some() {
            reader.refuse(name.at, format!("`{}` is meant twice here", shortened(&name.value)));
        }
    }
    overwrites
}

fn target(name: &At<String>, names: &Names, reader: &mut Reader<'_>) -> Option<Target> {
    let text = &name.value;
    if text.contains(':') || matches!(text.as_str(), "everyone" | "bot") {
        let target = text.parse::<Target>();
        return target.map_err(|error| reader.refuse(name.at, error.to_string())).ok();
    }
    if text.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
        let reason = format!(
            "is `{}` a role or a member? write `role:ID` or `member:ID`",
            shortened(text)
        );
        reader.refuse(name.at, reason);
        return None;
    }
    let link = At {
        value: Link(text.clone()),
        at: name.at,
    };
    let role = names.link(&link, Kind::Role, reader)?;
    Some(match role {
        crate::model::Reference::Address(address) => Target::from(address),
        id @ crate::model::Reference::Id(_) => Target::Role(id),
    })
}

fn set(list: Option<&At<List<PermissionName>>>) -> Permissions {
    list.into_iter()
        .flat_map(|list| &list.value.0)
        .fold(Permissions::NONE, |set, one| set | one.value.0)
}

/// What a bit in both means is not documented, so none is sent; a server may have one.
fn check_both(address: &Address, target: &Target, entry: &OverwriteEntry, allow: Permissions, reader: &mut Reader<'_>) {
    for denied in entry.deny.iter().flat_map(|deny| &deny.value.0) {
        let both = denied.value.0.intersection(allow);
        if !both.is_empty() {
            let names = permission_names(both).join(", ");
            let reason = format!("`{names}` is both allowed and denied; keep one");
            reader.break_rule_of(denied.at, address, &[Part::Overwrite(target.clone())], reason);
        }
    }
}
