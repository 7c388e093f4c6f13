//! Checks of the role hierarchy: the bot cannot change a role at or above its highest role.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlanChecks, Problem, list, rules};
use crate::live::LiveResource;
use crate::model::{Address, Kind, Reference};
use crate::plan::document::{Action, Step};

impl PlanChecks<'_> {
    fn rank(&self, role: &LiveResource) -> (i64, std::cmp::Reverse<u64>) {
        (role.position, std::cmp::Reverse(role.id.get()))
    }

    /// Whether the bot can change a role: the role is below the bot's highest role.
    fn can_change(&self, role: &LiveResource) -> bool {
        let own = self.live.bot_role();
        role.id == self.live.guild_id
            || self.live.bot_is_owner()
            || own.is_some_and(|own| self.rank(role) < self.rank(own))
    }

    pub(super) fn hierarchy(&self, problems: &mut Vec<Problem>) {
        let mut beyond = BTreeMap::new();
        let mut of_applications = BTreeMap::new();
        for step in &self.plan.steps {
            let touched: Vec<(Address, &LiveResource)> = match step {
                Step::Update { address, id, .. } | Step::Delete { address, id } if address.kind() == Kind::Role => self
                    .live
                    .get(Kind::Role, *id)
                    .map(|role| (address.clone(), role))
                    .into_iter()
                    .collect(),
                Step::BotRole { address, .. } => self
                    .of_address(address)
                    .map(|role| (address.clone(), role))
                    .into_iter()
                    .collect(),
                Step::MoveRoles { places } => {
                    let moved = places.iter().filter_map(|place| {
                        let address = place.of.address()?;
                        Some((address.clone(), self.of_address(address)?))
                    });
                    moved.collect()
                }
                _ => continue,
            };
            for (address, role) in touched {
                let name = role.attributes.name().unwrap_or_default().to_owned();
                if !self.can_change(role) {
                    beyond.insert(address.clone(), name.clone());
                }
                if role.managed && matches!(step, Step::Delete { .. } | Step::BotRole { .. }) {
                    of_applications.insert(address, name);
                }
            }
        }
        self.unreachable_positions(&mut beyond);
        if !beyond.is_empty() {
            let roles: Vec<String> = beyond
                .iter()
                .map(|(address, name)| format!("`{name}` ({address})"))
                .collect();
            let own = self.live.bot_role().and_then(|role| role.attributes.name());
            let (where_it_is, what_to_do) = match own {
                Some(own) => (
                    format!("the bot's highest role `{own}` is not above"),
                    format!(
                        "drag `{own}` above them (Server Settings, Roles); Discord refuses changes of roles at or above the highest role of the bot"
                    ),
                ),
                None => (
                    "the bot has no role above".to_owned(),
                    "give the bot a role above them".to_owned(),
                ),
            };
            let what = format!("{where_it_is} {}", list(&roles));
            for address in beyond.into_keys() {
                problems.push(Problem::new(
                    rules::ROLE_HIERARCHY,
                    &address,
                    what.clone(),
                    what_to_do.clone(),
                ));
            }
        }
        for (address, name) in of_applications {
            problems.push(Problem::new(
                rules::ROLE_MANAGED,
                &address,
                format!("the role `{name}` ({address}) is managed by an application or by boosting and cannot be deleted or assigned"),
                format!("remove it from the state: `gaib server state rm {address}`"),
            ));
        }
    }

    /// New roles whose position would be at or above the bot's highest role.
    fn unreachable_positions(&self, beyond: &mut BTreeMap<Address, String>) {
        let placed: Option<BTreeSet<&Reference>> = self.plan.steps.iter().find_map(|step| match step {
            Step::MoveRoles { places } => Some(places.iter().map(|place| &place.of).collect()),
            _ => None,
        });
        let Some(placed) = placed else { return };
        for change in &self.plan.changes {
            let made = change.action == Action::Create && change.address.kind() == Kind::Role;
            if made && !placed.contains(&Reference::Address(change.address.clone())) {
                beyond.insert(change.address.clone(), change.name.clone().unwrap_or_default());
            }
        }
    }
}
