//! Broken rules of values that a plan sends, which block it. Existing values of the server can stay.

use std::collections::BTreeMap;

use super::document::{Action, Change};
use crate::model::{Attributes, BrokenRule, Overwrites, RulePart, Target};

/// The broken rules of values that `changes` send.
pub(super) fn blocking(broken: &[BrokenRule], changes: &[Change]) -> Vec<BrokenRule> {
    let changes: BTreeMap<_, _> = changes.iter().map(|change| (&change.address, change)).collect();
    let sent = |rule: &&BrokenRule| {
        let change = changes.get(&rule.address);
        change.is_some_and(|change| sends(change, &rule.part))
    };
    broken.iter().filter(sent).cloned().collect()
}

fn sends(change: &Change, part: &RulePart) -> bool {
    match change.action {
        Action::Delete | Action::Forget => return false,
        Action::Create | Action::Replace => return true,
        Action::Update | Action::Adopt => {}
    }
    let before = change.before.as_ref().and_then(Attributes::overwrites);
    let after = change.after.as_ref().and_then(Attributes::overwrites);
    match part {
        RulePart::Creation => false,
        RulePart::Attribute(name) => change.fields.contains(name),
        RulePart::Overwrite(target) => overwrite_of(before, target) != overwrite_of(after, target),
        RulePart::OverwriteCount => after.map_or(0, Overwrites::len) > before.map_or(0, Overwrites::len),
    }
}

fn overwrite_of<'a>(overwrites: Option<&'a Overwrites>, target: &Target) -> Option<&'a crate::model::Overwrite> {
    overwrites?.get(target)
}
