//! Overwrites in a file: a map by target, or `synced`. How they are read and written.

use arrakis_domain::Permissions;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::values::limits::MAX_OVERWRITES;
use crate::values::{Address, Kind, Overwrite, Overwrites, Reference, RulePart, Target, permission_names};
use crate::yaml::reader::{At, FromNode, Reader};
use crate::yaml::scalar::{Link, List, Named, PermissionName};
use crate::yaml::tree::{Node, Tree, shortened};
use crate::yaml::{KnownAddresses, Yaml};

/// The value for the overwrites of the category.
const SYNCED: &str = "synced";

/// The permission overwrites of a channel or category.
#[derive(Clone, Debug)]
pub(crate) enum OverwritesEntry {
    /// Those of the category.
    Synced,
    /// These.
    Own(Named<OverwriteEntry>),
}

document! {
    /// Permissions that one target is allowed and denied.
    pub(crate) struct OverwriteEntry {
        /// Allowed permissions.
        allow: List<PermissionName>,
        /// Denied permissions.
        deny: List<PermissionName>,
    }
}

impl FromNode for OverwritesEntry {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.tree {
            Tree::Scalar { text, .. } if text == SYNCED => Some(Self::Synced),
            Tree::Scalar { .. } if !node.is_nothing() => {
                reader.refuse(
                    node.at,
                    "a map of targets is expected here, like `everyone: { deny: [VIEW_CHANNEL] }`, or `synced`",
                );
                None
            }
            _ => Named::read(node, reader).map(Self::Own),
        }
    }
}

impl JsonSchema for OverwritesEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Overwrites".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let own = generator.subschema_for::<Named<OverwriteEntry>>();
        json_schema!({
            "description": "By target: `everyone`, `bot`, a role's logical name, `role:ID` or `member:ID`; or `synced`.",
            "anyOf": [{ "const": SYNCED }, own],
        })
    }
}

/// The overwrites of a map by target. Targets that a flag drops are left out.
pub(super) fn read(
    address: &Address,
    entries: &Named<OverwriteEntry>,
    names: &KnownAddresses,
    reader: &mut Reader<'_>,
) -> Overwrites {
    let mut overwrites = Overwrites::new();
    if let Some((over, _)) = entries.0.get(MAX_OVERWRITES) {
        reader.break_rule_of(
            over.at,
            address,
            &[RulePart::OverwriteCount],
            format!("more than {MAX_OVERWRITES} overwrites; Discord accepts no more for one channel"),
        );
    }
    for (name, entry) in &entries.0 {
        let Some(target) = target(name, names, reader) else {
            continue;
        };
        let (allow, deny) = (set(entry.value.allow.as_ref()), set(entry.value.deny.as_ref()));
        check_both(address, &target, &entry.value, allow, reader);
        if overwrites.insert(target, Overwrite { allow, deny }).is_some() {
            reader.refuse(name.at, format!("`{}` occurs twice here", shortened(&name.value)));
        }
    }
    overwrites
}

fn target(name: &At<String>, names: &KnownAddresses, reader: &mut Reader<'_>) -> Option<Target> {
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
        Reference::Address(address) => Target::from(address),
        id @ Reference::Id(_) => Target::Role(id),
    })
}

fn set(list: Option<&At<List<PermissionName>>>) -> Permissions {
    list.into_iter()
        .flat_map(|list| &list.value.0)
        .fold(Permissions::NONE, |set, one| set | one.value.0)
}

/// The effect of a bit in both is not documented, so gaib sends none; a server may have one.
fn check_both(address: &Address, target: &Target, entry: &OverwriteEntry, allow: Permissions, reader: &mut Reader<'_>) {
    for denied in entry.deny.iter().flat_map(|deny| &deny.value.0) {
        let both = denied.value.0.intersection(allow);
        if !both.is_empty() {
            let names = permission_names(both).join(", ");
            let reason = format!("`{names}` is both allowed and denied; keep one");
            reader.break_rule_of(denied.at, address, &[RulePart::Overwrite(target.clone())], reason);
        }
    }
}

fn names(set: Permissions) -> Yaml {
    Yaml::List(permission_names(set).into_iter().map(Yaml::Text).collect())
}

/// Overwrites as a file has them.
pub(super) fn written(overwrites: &Overwrites) -> Yaml {
    let entry = |(target, overwrite): (&Target, &Overwrite)| {
        let target = target.to_string();
        let sets = [("allow", overwrite.allow), ("deny", overwrite.deny)];
        let sets = sets.into_iter().filter(|(_, set)| !set.is_empty());
        let sets = sets.map(|(word, set)| (word.to_owned(), names(set))).collect();
        (short_target(&target), Yaml::Map(sets))
    };
    Yaml::Map(overwrites.iter().map(entry).collect())
}

/// A role by its logical name, unless the name is `everyone` or `bot`.
fn short_target(target: &str) -> String {
    match target.strip_prefix("role.") {
        Some(key) if !matches!(key, "everyone" | "bot") => key.to_owned(),
        _ => target.to_owned(),
    }
}
