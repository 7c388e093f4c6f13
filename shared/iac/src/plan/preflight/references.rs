//! Checks that referenced ids exist on the server.
//!
//! Each sent id of a role, category, channel or emoji is looked up in the live server. The caller looks up members, since the
//! live server does not contain them: see [`crate::plan::members`].

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, PlanChecks, Problem, list, rules};
use crate::live::LiveServer;
use crate::model::{Address, Attributes, Kind, Kinds, Reference, Snowflake, Target};
use crate::plan::document::{Action, Change, Plan};

/// The resource and the attribute that contain an id.
type Uses = BTreeMap<(Kind, Snowflake), BTreeSet<String>>;

impl PlanChecks<'_> {
    pub(super) fn references(&self, problems: &mut Vec<Problem>) {
        let mut uses = Uses::new();
        let mut addresses: BTreeSet<Address> = BTreeSet::new();
        for change in &self.plan.changes {
            if missing(change, self.live, &mut uses) {
                addresses.insert(change.address.clone());
            }
        }
        if uses.is_empty() {
            return;
        }
        let named = uses.iter().map(|((kind, id), uses)| {
            let uses: Vec<String> = uses.iter().cloned().collect();
            format!("{} {id} ({})", kind.noun(), list(&uses))
        });
        let named: Vec<String> = named.collect();
        let what = format!(
            "{} referenced by id {} not on this server: {}",
            count(named.len()),
            if named.len() == 1 { "is" } else { "are" },
            named.join("; ")
        );
        for address in addresses {
            problems.push(Problem::new(
                rules::REFERENCE,
                &address,
                what.clone(),
                "use an address or an id of this server instead, or remove them; `--drop-missing` plans without them, \
                 as for a copy of another server",
            ));
        }
    }
}

fn count(number: usize) -> String {
    if number == 1 {
        "one resource".to_owned()
    } else {
        format!("{number} resources")
    }
}

/// Collects the ids that a change sends and the server does not have. Returns whether there are any.
fn missing(change: &Change, live: &LiveServer, uses: &mut Uses) -> bool {
    let Some(sent) = sent(change) else { return false };
    let mut found = false;
    // Most resources contain no ids.
    if sent
        .references()
        .into_iter()
        .all(|reference| reference.address().is_some())
    {
        return false;
    }
    for field in sent.fields() {
        let mut one = sent.clone();
        for other in sent.fields().iter().filter(|other| *other != field) {
            one.release(other);
        }
        one.map_references(&mut |kinds, reference| {
            if let Reference::Id(id) = reference
                && !exists(live, kinds, *id)
                && let Some(kind) = kinds.first()
            {
                let place = format!("`{field}` of {}", change.address);
                uses.entry((*kind, *id)).or_default().insert(place);
                found = true;
            }
        });
    }
    found
}

/// Whether the server has a resource of one of these kinds with the id.
pub(in crate::plan) fn exists(live: &LiveServer, kinds: Kinds, id: Snowflake) -> bool {
    // The id may be of an unreadable resource.
    let is_there = |kind: &Kind| live.get(*kind, id).is_some() || live.unreadable(*kind, id).is_some();
    kinds.iter().any(is_there)
}

/// The attributes that a change sends. An update sends only changed attributes and overwrites.
pub(in crate::plan) fn sent(change: &Change) -> Option<Attributes> {
    let mut sent = change.after.clone()?;
    match change.action {
        Action::Delete | Action::Forget => return None,
        Action::Create | Action::Replace => return Some(sent),
        Action::Update | Action::Adopt => {}
    }
    for field in sent.fields() {
        if !change.fields.iter().any(|changed| changed == field) {
            sent.release(field);
        }
    }
    let before = change
        .before
        .as_ref()
        .and_then(Attributes::overwrites)
        .cloned()
        .unwrap_or_default();
    if let Some(channel) = sent.channel_mut()
        && let Some(overwrites) = &mut channel.overwrites
    {
        overwrites.retain(|target, overwrite| before.get(target) != Some(overwrite));
    }
    Some(sent)
}

/// The members in overwrites that a plan sends. The live server does not contain members: the caller looks these up at Discord
/// and passes the absent ones to [`absent_members`].
#[must_use]
pub fn members(plan: &Plan) -> BTreeSet<Snowflake> {
    plan.changes.iter().flat_map(members_of).collect()
}

fn members_of(change: &Change) -> Vec<Snowflake> {
    let sent = sent(change);
    let targets = sent
        .as_ref()
        .and_then(Attributes::overwrites)
        .into_iter()
        .flat_map(BTreeMap::keys);
    let members = targets.filter_map(|target| match target {
        Target::Member(id) => Some(*id),
        _ => None,
    });
    members.collect()
}

/// Warnings for overwrites of users who are not members. Discord accepts an overwrite for any user:
/// <https://github.com/discord/discord-api-docs/issues/2856>.
#[must_use]
pub fn absent_members(plan: &Plan, absent: &BTreeSet<Snowflake>) -> Option<Finding> {
    let named = |change: &&Change| members_of(change).iter().any(|member| absent.contains(member));
    let addresses: Vec<Address> = plan
        .changes
        .iter()
        .filter(named)
        .map(|change| change.address.clone())
        .collect();
    if addresses.is_empty() {
        return None;
    }
    let ids: Vec<String> = absent.iter().map(|id| format!("member:{id}")).collect();
    let places: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    Some(Finding {
        rule: rules::ABSENT_MEMBER.to_owned(),
        blocking: false,
        what: format!(
            "overwrites reference users who are not members of this server: {} (in {})",
            list(&ids),
            list(&places)
        ),
        what_to_do: "remove them, unless these users will join: Discord accepts an overwrite for any user".to_owned(),
        addresses,
    })
}
