//! Checks of Discord's limits on numbers of resources.

use std::collections::BTreeMap;

use super::{Problem, StepChecks};
use crate::kinds::{Group, Limit};
use crate::model::{Address, Kind, Snowflake};
use crate::plan::document::Step;

impl StepChecks {
    /// Records the limits that a step would exceed.
    pub(super) fn limits(&mut self, step: &Step) {
        let Some(address) = step.address() else { return };
        for limit in self.run.adds_to(step) {
            let count = self.run.count(limit) + 1;
            if count > self.run.bound(limit).most {
                self.passed.push((limit, address.clone(), count));
            }
        }
    }

    /// The findings for exceeded limits.
    pub(super) fn passed_limits(&mut self) {
        let mut by_limit: BTreeMap<Limit, (usize, Vec<Address>)> = BTreeMap::new();
        for (limit, address, count) in std::mem::take(&mut self.passed) {
            let (most, addresses) = by_limit.entry(limit).or_default();
            *most = count.max(*most);
            addresses.push(address);
        }
        for (limit, (count, addresses)) in by_limit {
            let bound = self.run.bound(limit);
            let allowed = bound.most;
            let on_the_way = self.run.count(limit) <= allowed;
            let when = if on_the_way { "during the apply, " } else { "" };
            let what = format!(
                "{when}{} would have {count} {}, but Discord allows {allowed}",
                self.limit_name(limit),
                bound.what
            );
            let what_to_do = match on_the_way {
                true => {
                    "no removal can precede the creation; apply in two steps: first without the new resources, then the whole configuration"
                }
                false => bound.what_to_do,
            };
            for address in addresses {
                self.problems
                    .push(Problem::new(bound.rule, &address, what.clone(), what_to_do));
            }
        }
    }

    fn limit_name(&self, limit: Limit) -> String {
        match (limit.kind, limit.group) {
            (Kind::Channel, Group::Within(id)) => format!("the category {}", self.name_of(Kind::Category, id)),
            (_, Group::Within(id)) => self.name_of(Kind::Channel, id),
            (_, Group::All | Group::Variant(_) | Group::Animated(_)) => "the server".to_owned(),
        }
    }

    fn name_of(&self, kind: Kind, id: Snowflake) -> String {
        let mut managed = self.run.state.resources.iter();
        let found = managed.find(|(address, entry)| address.kind() == kind && entry.id == id);
        found.map_or_else(|| id.to_string(), |(address, _)| address.to_string())
    }
}
