//! Steps that the changes of a plan do not show.
//!
//! Changes and orders are what people and policies read, and steps are what is executed. A plan file has no secret, so that any user can write one
//! whose steps do something else. This compares them; what only changes the state is no part of it.

use std::collections::BTreeMap;

use arrakis_domain::Permissions;

use super::document::{Action, Change, Plan, Step};
use crate::model::{Address, Attributes, Clearable, Kind, Overwrite, Target};

impl Plan {
    /// The steps that change the server and do not follow from a change or an order that the plan shows.
    #[must_use]
    pub fn hidden_steps(&self) -> Vec<&Step> {
        let last = self.last_values();
        let requests = self.steps.iter().enumerate().filter(|(_, step)| step.is_request());
        requests
            .filter(|(at, step)| !self.is_shown(step) || !self.ends_as_shown(*at, step, &last))
            .map(|(_, step)| step)
            .collect()
    }

    fn changes_of<'a>(&'a self, address: &'a Address) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().filter(move |change| change.address == *address)
    }

    fn is_shown(&self, step: &Step) -> bool {
        match step {
            Step::Create { address, attributes } => self.changes_of(address).any(|change| {
                matches!(change.action, Action::Create | Action::Replace)
                    && change
                        .after
                        .as_ref()
                        .is_some_and(|after| without_bot_role(after) == without_bot_role(attributes))
            }),
            Step::Update {
                address,
                id,
                attributes,
                fields,
            } => self.changes_of(address).any(|change| {
                change.id == Some(*id) && (is_moved_out(attributes, fields) || updates(change, attributes, fields))
            }),
            Step::PutOverwrite {
                address,
                target,
                overwrite,
            } => {
                self.is_mark(target)
                    || self
                        .changes_of(address)
                        .any(|change| allows(change, target, overwrite.allow))
            }
            Step::DeleteOverwrite { address, target } => {
                self.is_mark(target)
                    || self
                        .changes_of(address)
                        .any(|change| allows(change, target, Permissions::NONE))
            }
            Step::BotRole { address, give } => self.changes_of(address).any(|change| {
                matches!(&change.after, Some(Attributes::Role(after)) if *give == (after.given_to_bot == Some(true)))
            }),
            Step::Delete { address, id } => self.changes_of(address).any(|change| {
                matches!(change.action, Action::Delete | Action::Replace) && change.id == Some(*id)
            }),
            // A new resource is put in its place.
            Step::MoveRoles { .. } => self.orders(&[Kind::Role]),
            Step::MoveChannels { .. } => self.orders(&[Kind::Category, Kind::Channel]),
            Step::Adopt { .. } | Step::Refresh { .. } | Step::Forget { .. } => true,
        }
    }

    /// Whether the plan shows a change of order, or a change that gives a resource of these kinds a place: the channels of a deleted category
    /// are in none.
    fn orders(&self, kinds: &[Kind]) -> bool {
        let moved = self
            .reorders
            .iter()
            .any(|reorder| (reorder.of == "roles") == (kinds == [Kind::Role]));
        let arrives = |change: &Change| {
            matches!(change.action, Action::Create | Action::Replace)
                || (change.action == Action::Delete && change.address.kind() == Kind::Category)
                || has_field(change, "category")
                || has_field(change, "kind")
        };
        moved
            || self
                .changes
                .iter()
                .any(|change| kinds.contains(&change.address.kind()) && arrives(change))
    }

    /// Whether an overwrite of the bot keeps a channel apart from its category while the overwrites of the category change.
    fn is_mark(&self, target: &Target) -> bool {
        *target == Target::Bot
            && self
                .changes
                .iter()
                .any(|change| change.address.kind() == Kind::Category && has_field(change, "overwrites"))
    }

    /// The index of the last step that sets a value which several steps may set.
    fn last_values(&self) -> BTreeMap<(&Address, Option<&Target>), usize> {
        let mut last = BTreeMap::new();
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::PutOverwrite { address, target, .. } | Step::DeleteOverwrite { address, target } => {
                    last.insert((address, Some(target)), at);
                }
                Step::Update { address, fields, .. } if fields.iter().any(|field| field == "permissions") => {
                    last.insert((address, None), at);
                }
                _ => {}
            }
        }
        last
    }

    /// Whether the last one of several steps leaves the value that is shown.
    fn ends_as_shown(&self, at: usize, step: &Step, last: &BTreeMap<(&Address, Option<&Target>), usize>) -> bool {
        let is_last = |key: &(&Address, Option<&Target>)| last.get(key) == Some(&at);
        match step {
            Step::PutOverwrite {
                address,
                target,
                overwrite,
            } => {
                self.is_mark(target)
                    || !is_last(&(address, Some(target)))
                    || self
                        .changes_of(address)
                        .any(|change| shown(change, target) == Some(overwrite))
            }
            Step::DeleteOverwrite { address, target } => {
                self.is_mark(target)
                    || !is_last(&(address, Some(target)))
                    || self.changes_of(address).any(|change| shown(change, target).is_none())
            }
            Step::Update {
                address, attributes, ..
            } if is_last(&(address, None)) => self.changes_of(address).any(|change| {
                let after = change.after.as_ref().map(permissions);
                after == Some(permissions(attributes))
            }),
            _ => true,
        }
    }
}

fn has_field(change: &Change, wanted: &str) -> bool {
    change.fields.iter().any(|field| field == wanted)
}

/// Another step sets whether the bot has the role.
fn without_bot_role(attributes: &Attributes) -> Attributes {
    let mut attributes = attributes.clone();
    if let Attributes::Role(role) = &mut attributes {
        role.given_to_bot = None;
    }
    attributes
}

/// Whether an update moves a channel out of its category for some time, since the category is full.
fn is_moved_out(attributes: &Attributes, fields: &[String]) -> bool {
    fields == ["category"]
        && matches!(attributes, Attributes::Channel(channel) if channel.category == Some(Clearable::Cleared))
}

/// Whether each value that is sent is shown. Permissions of a role may have an intermediate value.
fn updates(change: &Change, attributes: &Attributes, fields: &[String]) -> bool {
    let Some(after) = &change.after else { return false };
    if !matches!(change.action, Action::Update | Action::Adopt) {
        return false;
    }
    let (sent, wanted) = (attributes.to_map(), after.to_map());
    fields.iter().all(|field| {
        has_field(change, field)
            && if field == "permissions" {
                let before = change.before.as_ref().map(permissions).unwrap_or_default();
                permissions(attributes).without(before | permissions(after)).is_empty()
            } else {
                sent.get(field) == wanted.get(field)
            }
    })
}

fn permissions(attributes: &Attributes) -> Permissions {
    match attributes {
        Attributes::Role(role) => role.permissions.unwrap_or_default(),
        _ => Permissions::NONE,
    }
}

/// Whether a change shows a change of overwrites, and `allow` is of those before or after it.
fn allows(change: &Change, target: &Target, allow: Permissions) -> bool {
    let of = |attributes: &Option<Attributes>| {
        let overwrites = attributes.as_ref().and_then(Attributes::overwrites);
        overwrites
            .and_then(|overwrites| overwrites.get(target))
            .map(|overwrite| overwrite.allow)
            .unwrap_or_default()
    };
    has_field(change, "overwrites") && allow.without(of(&change.before) | of(&change.after)).is_empty()
}

/// The overwrite after a change.
fn shown<'a>(change: &'a Change, target: &Target) -> Option<&'a Overwrite> {
    change.after.as_ref()?.overwrites()?.get(target)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "1300000000000000001";

    fn plan(changes: &Value, steps: &Value) -> Plan {
        serde_json::from_value(json!({
            "version": 2,
            "made_from": {"guild_id": "1300000000000000000", "bot_id": "1300000000000000009", "workspace": "default",
                "lineage": "a", "serial": 1, "configuration": null, "live": "b", "kinds": ["role", "channel"]},
            "mode": "apply", "targets": [], "allow_replace": false, "theme": null, "drift": [],
            "changes": changes, "reorders": [], "steps": steps, "notes": [],
        }))
        .unwrap()
    }

    fn change(address: &str, action: &str, fields: &[&str], before: &Value, after: &Value) -> Value {
        json!({"address": address, "action": action, "reason": "configured", "id": ID, "name": "x", "before": before, "after": after,
            "fields": fields, "forces_replacement": [], "loses_messages": false, "origin": null})
    }

    fn role(name: &str, permissions: &[&str]) -> Value {
        json!({"resource": "role", "name": name, "permissions": permissions})
    }

    fn update(attributes: &Value, fields: &[&str]) -> Value {
        json!({"do": "update", "address": "role.naib", "id": ID, "attributes": attributes, "fields": fields})
    }

    #[track_caller]
    fn assert_hidden(changes: &Value, steps: &Value, hidden: usize) {
        let plan = plan(changes, steps);
        assert_eq!(plan.hidden_steps().len(), hidden, "{:?}", plan.hidden_steps());
    }

    #[test]
    fn steps_of_shown_changes_are_not_hidden() {
        let (before, after) = (role("Naib", &["SEND_MESSAGES"]), role("Fedaykin", &["ADD_REACTIONS"]));
        let changes = json!([change("role.naib", "update", &["name", "permissions"], &before, &after)]);
        let steps = json!([
            update(&role("Fedaykin", &[]), &["name", "permissions"]),
            update(&after, &["permissions"])
        ]);
        assert_hidden(&changes, &steps, 0);
        let created = json!([change("role.naib", "create", &[], &Value::Null, &after)]);
        let steps = json!([{"do": "create", "address": "role.naib", "attributes": after}]);
        assert_hidden(&created, &steps, 0);
        let deleted = json!([change("role.naib", "delete", &[], &before, &Value::Null)]);
        assert_hidden(
            &deleted,
            &json!([{"do": "delete", "address": "role.naib", "id": ID}]),
            0,
        );
        assert_hidden(&json!([]), &json!([{"do": "forget", "address": "role.naib"}]), 0);
    }

    #[test]
    fn step_that_does_more_than_its_change_is_hidden() {
        let (before, after) = (role("Naib", &[]), role("Fedaykin", &[]));
        let changes = json!([change("role.naib", "update", &["name"], &before, &after)]);
        for step in [
            update(&role("Fedaykin", &["ADMINISTRATOR"]), &["name", "permissions"]),
            update(&role("Other", &[]), &["name"]),
            json!({"do": "update", "address": "role.naib", "id": "1300000000000000002", "attributes": after, "fields": ["name"]}),
            json!({"do": "update", "address": "role.warden", "id": ID, "attributes": after, "fields": ["name"]}),
            json!({"do": "delete", "address": "role.naib", "id": ID}),
            json!({"do": "create", "address": "role.naib", "attributes": after}),
            json!({"do": "bot_role", "address": "role.naib", "give": true}),
            json!({"do": "bot_role", "address": "role.warden", "give": true}),
            json!({"do": "delete_overwrite", "address": "channel.rumours", "target": "everyone"}),
            json!({"do": "put_overwrite", "address": "channel.rumours", "target": "everyone", "overwrite": {"allow": ["VIEW_CHANNEL"]}}),
            json!({"do": "move_roles", "places": [{"of": "role.naib", "position": 3}]}),
        ] {
            assert_hidden(&changes, &json!([step]), 1);
        }
        let gained = json!([change(
            "role.naib",
            "update",
            &["permissions"],
            &before,
            &role("Naib", &["ADD_REACTIONS"])
        )]);
        assert_hidden(
            &gained,
            &json!([update(&role("Naib", &["ADMINISTRATOR"]), &["permissions"])]),
            1,
        );
        assert_hidden(&gained, &json!([update(&role("Naib", &[]), &["permissions"])]), 1);
    }

    #[test]
    fn overwrites_are_those_of_the_change() {
        let channel = |allow: &[&str]| json!({"resource": "channel", "kind": "text", "overwrites": {"everyone": {"allow": allow}}});
        let changes = json!([change(
            "channel.a",
            "update",
            &["overwrites"],
            &channel(&[]),
            &channel(&["VIEW_CHANNEL"])
        )]);
        let put = |target: &str, allow: &[&str]| json!({"do": "put_overwrite", "address": "channel.a", "target": target, "overwrite": {"allow": allow}});
        assert_hidden(
            &changes,
            &json!([put("everyone", &[]), put("everyone", &["VIEW_CHANNEL"])]),
            0,
        );
        assert_hidden(
            &changes,
            &json!([put("everyone", &["VIEW_CHANNEL"]), put("everyone", &[])]),
            1,
        );
        assert_hidden(&changes, &json!([put("everyone", &["MANAGE_ROLES"])]), 1);
        assert_hidden(&changes, &json!([put("role.naib", &["VIEW_CHANNEL"])]), 1);
    }
}
