//! The order of overwrite changes: no private channel is open at any time.
//!
//! Two rules ensure this. Changes that deny precede changes that allow, so that no intermediate step grants a permission
//! that neither the old nor the new overwrites grant. And since a change of a category also changes every channel whose
//! overwrites equal those of the category (see below), a channel that must
//! not change first gets a temporary overwrite for the bot.
//!
//! <https://discord.com/developers/docs/topics/permissions#permission-syncing>

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::{Permission, Permissions};

use super::document::Step;
use crate::model::{Address, Kind, Overwrite, Overwrites, Target};

/// A managed category or channel, after all creations and moves.
#[derive(Clone, Debug)]
pub(super) struct OverwriteNode {
    /// Its category, if that is managed.
    pub(super) parent: Option<Address>,
    /// Its overwrites, references by address.
    pub(super) current: Overwrites,
    /// The configured overwrites; `None` when they are not managed.
    pub(super) wanted: Option<Overwrites>,
}

/// The temporary overwrite for the bot: it has no effect and makes the overwrites differ from those of the category.
const APART: Overwrite = Overwrite {
    allow: Permissions::of(&[Permission::ViewChannel]),
    deny: Permissions::NONE,
};

/// A change of one overwrite; `None` removes it.
type OverwriteEdit = (Target, Option<Overwrite>);

/// All changes, channels before their categories. `own` are roles that only the bot has. Returns also the channels that change
/// with their category, without changes of their own.
pub(super) fn steps(mut nodes: BTreeMap<Address, OverwriteNode>, own: &BTreeSet<Target>) -> (Vec<Step>, Vec<Address>) {
    let mut steps = Vec::new();
    let followers: Vec<Address> = nodes
        .iter()
        .filter(|(_, node)| changes(node) && stays_synced(node, &nodes))
        .map(|(address, _)| address.clone())
        .collect();
    let following: BTreeSet<&Address> = followers.iter().collect();
    let changing = |kind: Kind, nodes: &BTreeMap<Address, OverwriteNode>| -> Vec<Address> {
        let changing = nodes
            .iter()
            .filter(|(address, node)| address.kind() == kind && changes(node));
        changing
            .map(|(address, _)| address.clone())
            .filter(|address| !following.contains(address))
            .collect()
    };
    for address in changing(Kind::Channel, &nodes) {
        for edit in edits_of(&nodes[&address], own) {
            apply(&mut nodes, &address, &edit);
            steps.push(step(&address, edit));
        }
    }
    for category in changing(Kind::Category, &nodes) {
        let mut apart = BTreeSet::new();
        for edit in edits_of(&nodes[&category], own) {
            for child in unintended_channels(&category, &nodes, &following) {
                let mark = (Target::Bot, Some(temporary_overwrite(&nodes[&child])));
                apply(&mut nodes, &child, &mark);
                steps.push(step(&child, mark));
                apart.insert(child);
            }
            let before = nodes[&category].current.clone();
            apply(&mut nodes, &category, &edit);
            apply_to_synced(&category, &before, &mut nodes);
            steps.push(step(&category, edit));
        }
        for child in apart {
            let own = nodes[&child]
                .wanted
                .as_ref()
                .and_then(|wanted| wanted.get(&Target::Bot))
                .copied();
            let back = (Target::Bot, own);
            apply(&mut nodes, &child, &back);
            steps.push(step(&child, back));
        }
    }
    (steps, followers)
}

fn changes(node: &OverwriteNode) -> bool {
    node.wanted.as_ref().is_some_and(|wanted| *wanted != node.current)
}

/// Whether it equals its category and should equal it afterwards: Discord then changes it with the category.
fn stays_synced(node: &OverwriteNode, nodes: &BTreeMap<Address, OverwriteNode>) -> bool {
    let category = node.parent.as_ref().and_then(|parent| nodes.get(parent));
    category.is_some_and(|category| category.current == node.current && category.wanted == node.wanted)
}

/// Channels that the next change of their category would change and must not.
fn unintended_channels(
    category: &Address,
    nodes: &BTreeMap<Address, OverwriteNode>,
    following: &BTreeSet<&Address>,
) -> Vec<Address> {
    let current = &nodes[category].current;
    let children = nodes.iter().filter(|(address, node)| {
        node.parent.as_ref() == Some(category)
            && node.wanted.is_some()
            && node.current == *current
            && !following.contains(address)
    });
    children.map(|(address, _)| address.clone()).collect()
}

/// An overwrite for the bot that differs from the present one.
fn temporary_overwrite(node: &OverwriteNode) -> Overwrite {
    match node.current.get(&Target::Bot) {
        Some(known) if *known == APART => Overwrite::default(),
        _ => APART,
    }
}

/// Applies a change of a category to its synced channels, like Discord.
fn apply_to_synced(category: &Address, before: &Overwrites, nodes: &mut BTreeMap<Address, OverwriteNode>) {
    let now = nodes[category].current.clone();
    let children = nodes.values_mut().filter(|node| node.parent.as_ref() == Some(category));
    for child in children.filter(|child| child.current == *before) {
        child.current.clone_from(&now);
    }
}

fn apply(nodes: &mut BTreeMap<Address, OverwriteNode>, address: &Address, (target, overwrite): &OverwriteEdit) {
    let Some(node) = nodes.get_mut(address) else { return };
    match overwrite {
        Some(overwrite) => node.current.insert(target.clone(), *overwrite),
        None => node.current.remove(target),
    };
}

fn step(address: &Address, (target, overwrite): OverwriteEdit) -> Step {
    let address = address.clone();
    match overwrite {
        Some(overwrite) => Step::PutOverwrite {
            address,
            target,
            overwrite,
        },
        None => Step::DeleteOverwrite { address, target },
    }
}

/// The changes from the present to the configured overwrites: first those that allow only the bot more (it might lose access
/// otherwise), then those that deny, then those that allow. An overwrite that does both has an intermediate value with the
/// permissions that old and new have in common.
fn edits_of(node: &OverwriteNode, own: &BTreeSet<Target>) -> Vec<OverwriteEdit> {
    let Some(wanted) = &node.wanted else { return Vec::new() };
    let targets: BTreeSet<&Target> = node.current.keys().chain(wanted.keys()).collect();
    let (mut first, mut withholding, mut granting, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for target in targets {
        let (old, new) = (node.current.get(target), wanted.get(target));
        if old == new {
            continue;
        }
        let edit = (target.clone(), new.copied());
        let (old, new) = (old.copied().unwrap_or_default(), new.copied().unwrap_or_default());
        if own.contains(target) {
            // The position depends on the bot's own access between the steps.
            if grants(&old, &new) {
                first.push(edit);
            } else {
                last.push(edit);
            }
        } else if !grants(&old, &new) {
            withholding.push(edit);
        } else {
            if withholds(&old, &new) {
                let narrow = Overwrite {
                    allow: old.allow.intersection(new.allow),
                    deny: old.deny | new.deny,
                };
                withholding.push((target.clone(), Some(narrow)));
            }
            granting.push(edit);
        }
    }
    first
        .into_iter()
        .chain(withholding)
        .chain(granting)
        .chain(last)
        .collect()
}

fn grants(old: &Overwrite, new: &Overwrite) -> bool {
    !new.allow.without(old.allow).is_empty() || !old.deny.without(new.deny).is_empty()
}

fn withholds(old: &Overwrite, new: &Overwrite) -> bool {
    !old.allow.without(new.allow).is_empty() || !new.deny.without(old.deny).is_empty()
}
