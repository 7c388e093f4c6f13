//! Reorders steps so that no step exceeds one of Discord's limits.
//!
//! The phases of [`super::steps`] create first and delete last, so that a replaced resource exists until its successor exists.
//! Near a limit, deletions precede creations instead. A channel that leaves a full category moves to its new category if
//! that has room, is deleted if nothing refers to it any more, and is otherwise moved out of all categories with its own
//! overwrites until its step comes. If no step makes room, the order stays, and preflight reports it before the first request.

use std::collections::{BTreeSet, VecDeque};

use super::document::Step;
use super::opening::opens;
use super::simulate::Simulation;
use crate::kinds::{Group, Limit};
use crate::live::LiveServer;
use crate::model::{Address, Attributes, Channel, Clearable, Kind, Reference, Server, Snowflake, Target};
use crate::state::State;

/// The steps in a possible order, with additional steps where necessary. Returns a note for each channel that is temporarily
/// moved out of its category.
pub(super) fn fit(steps: Vec<Step>, live: &LiveServer, state: &State) -> (Vec<Step>, Vec<String>) {
    if !is_near_a_limit(&steps, live, state) {
        return (steps, Vec::new());
    }
    let mut fitting = LimitOrdering {
        run: Simulation::new(live, state),
        left: steps.into(),
        done: Vec::new(),
        notes: Vec::new(),
        outcome: None,
    };
    while let Some(step) = fitting.left.pop_front() {
        while let Some(limit) = fitting.run.first_exceeded(&step) {
            let Some(earlier) = fitting.make_room(&step, limit) else {
                break;
            };
            fitting.carry_out(earlier);
        }
        fitting.carry_out(step);
    }
    (fitting.done, fitting.notes)
}

/// Whether a limit would be exceeded if all creations preceded all deletions.
fn is_near_a_limit(steps: &[Step], live: &LiveServer, state: &State) -> bool {
    let run = Simulation::new(live, state);
    let mut added: std::collections::BTreeMap<Limit, usize> = std::collections::BTreeMap::new();
    for step in steps {
        for limit in run.adds_to(step) {
            *added.entry(limit).or_default() += 1;
        }
    }
    added
        .into_iter()
        .any(|(limit, more)| run.count(limit) + more > run.bound(limit).most)
}

struct LimitOrdering {
    run: Simulation,
    left: VecDeque<Step>,
    done: Vec<Step>,
    notes: Vec<String>,
    /// The server after all steps; computed on first use.
    outcome: Option<LiveServer>,
}

impl LimitOrdering {
    fn carry_out(&mut self, step: Step) {
        // A step that cannot be executed is reported by preflight.
        let _ = self.run.carry_out(&step);
        self.done.push(step);
    }

    /// A step that makes room: one of the remaining steps, or an additional one.
    fn make_room(&mut self, step: &Step, limit: Limit) -> Option<Step> {
        let index = match (limit.kind, limit.group) {
            (Kind::Channel, Group::Within(category)) => {
                let found = self
                    .move_out(category, &mut BTreeSet::from([category]))
                    .or_else(|| self.deletion_in(category));
                match found {
                    Some(index) => index,
                    None => return self.move_out_temporarily(category),
                }
            }
            (Kind::Channel, _) => {
                let wanted = self.run.adds_to(step);
                let category = wanted.iter().find_map(|limit| match limit.group {
                    Group::Within(id) => Some(id),
                    Group::All | Group::Variant(_) | Group::Animated(_) => None,
                });
                let best = category.and_then(|category| self.deletion_in(category));
                best.or_else(|| self.find(Self::is_free_deletion))?
            }
            (Kind::Role, _) => return self.role_deletion(),
            (Kind::Webhook, Group::Within(channel)) => self.webhook_out(channel, &mut BTreeSet::from([channel]))?,
            (kind, group) => self.find(|this, index| this.deletes(index, kind, group))?,
        };
        self.left.remove(index)
    }

    fn find(&self, fits: impl Fn(&Self, usize) -> bool) -> Option<usize> {
        (0..self.left.len()).find(|index| fits(self, *index))
    }

    /// Whether a step that is left deletes a resource of this kind: of this variant, where the limit is the variant's.
    fn deletes(&self, index: usize, wanted: Kind, group: Group) -> bool {
        match &self.left[index] {
            Step::Delete { address, id } if address.kind() == wanted => {
                let found = self.run.live.get(wanted, *id);
                let limit = Limit { kind: wanted, group };
                found.is_some_and(|found| {
                    !matches!(group, Group::Variant(_)) || self.run.limits_of(&found.attributes).contains(&limit)
                })
            }
            _ => false,
        }
    }

    /// Index of a step that moves a channel out of a category into one with room; of a chain of full categories, the last.
    fn move_out(&self, category: Snowflake, visited: &mut BTreeSet<Snowflake>) -> Option<usize> {
        let leaving: Vec<usize> = (0..self.left.len())
            .filter(|index| self.moves_out_of(*index, category))
            .collect();
        let has_room = leaving
            .iter()
            .find(|index| self.run.first_exceeded(&self.left[**index]).is_none());
        if let Some(index) = has_room {
            return Some(*index);
        }
        for index in leaving {
            if let Some(Limit {
                kind: Kind::Channel,
                group: Group::Within(next),
            }) = self.run.first_exceeded(&self.left[index])
                && visited.insert(next)
                && let Some(found) = self.move_out(next, visited).or_else(|| self.deletion_in(next))
            {
                return Some(found);
            }
        }
        None
    }

    /// Whether a remaining step moves a channel out of a category and can be executed now: its references exist.
    fn moves_out_of(&self, index: usize, category: Snowflake) -> bool {
        let Step::Update {
            address,
            id,
            attributes: Attributes::Channel(after),
            fields,
        } = &self.left[index]
        else {
            return false;
        };
        let now = self
            .run
            .live
            .channel(*id)
            .and_then(|channel| self.run.category_of(channel));
        let next = self.run.category_of(after);
        let is_there = |reference: &Reference| self.run.resolve(reference).is_some();
        // A change of kind may need what an earlier step gives: a community.
        address.kind() == Kind::Channel
            && fields.iter().any(|field| field == "category")
            && fields.iter().all(|field| field != "kind")
            && now == Some(category)
            && next != Some(category)
            && after.category.as_ref().and_then(Clearable::value).is_none_or(is_there)
            && next.is_none_or(|next| self.run.live.get(Kind::Category, next).is_some())
    }

    /// Index of a possible deletion of a channel of a category.
    fn deletion_in(&self, category: Snowflake) -> Option<usize> {
        self.find(|this, index| match &this.left[index] {
            Step::Delete { address, id } if address.kind() == Kind::Channel => {
                let channel = this.run.live.channel(*id);
                let within = channel.and_then(|channel| this.run.category_of(channel));
                within == Some(category) && this.is_free_deletion(index)
            }
            _ => false,
        })
    }

    /// Whether a step deletes a channel or category, and no earlier step changes a resource that refers to it.
    fn is_free_deletion(&self, index: usize) -> bool {
        let Step::Delete { address, id } = &self.left[index] else {
            return false;
        };
        if !matches!(address.kind(), Kind::Channel | Kind::Category) || self.is_kept_by_community(*id) {
            return false;
        }
        let is_category = address.kind() == Kind::Category;
        self.left.iter().take(index).all(|step| match step {
            Step::Update { address, id: other, .. } => {
                // The channels of a deleted category are in no category until they move.
                let is_of_it = is_category && address.kind() == Kind::Channel;
                let found = self.run.live.get(address.kind(), *other).filter(|_| !is_of_it);
                found.is_none_or(|found| !found.attributes.references().contains(&&Reference::Id(*id)))
            }
            // Its replacement is created after it in any case.
            _ => true,
        })
    }

    fn is_kept_by_community(&self, id: Snowflake) -> bool {
        let live = &self.run.live;
        let server = live.get(Kind::Server, live.guild_id).map(|server| &server.attributes);
        let Some(Attributes::Server(Server {
            rules_channel,
            public_updates_channel,
            ..
        })) = server.filter(|_| live.is_community())
        else {
            return false;
        };
        let named = [rules_channel, public_updates_channel].into_iter().flatten();
        named
            .filter_map(Clearable::value)
            .any(|reference| self.run.resolve(reference) == Some(id))
    }

    /// Moves a channel that leaves this category later out of all categories. Its overwrites do not change.
    fn move_out_temporarily(&mut self, category: Snowflake) -> Option<Step> {
        let leaving = self.left.iter().find_map(|step| {
            match step {
                Step::Update {
                    address,
                    id,
                    attributes: Attributes::Channel(after),
                    fields,
                } if fields.iter().any(|field| field == "category")
                    && self.run.category_of(after) != Some(category) =>
                {
                    Some((address, *id))
                }
                Step::Delete { address, id } if address.kind() == Kind::Channel => Some((address, *id)),
                _ => None,
            }
            .filter(|(_, id)| {
                let channel = self.run.live.channel(*id);
                channel.and_then(|channel| self.run.category_of(channel)) == Some(category)
            })
        });
        let (address, id): (&Address, Snowflake) = leaving?;
        let Attributes::Channel(recorded) = &self.run.state.resources.get(address)?.attributes else {
            return None;
        };
        let attributes = Channel {
            category: Some(Clearable::Cleared),
            ..recorded.clone()
        };
        let address = address.clone();
        self.notes.push(format!(
            "{address} is temporarily moved out of all categories, with its own overwrites, because its category is full"
        ));
        Some(Step::Update {
            address,
            id,
            attributes: Attributes::Channel(attributes),
            fields: vec!["category".to_owned()],
        })
    }

    /// Index of a step that moves a webhook out of a channel into one with room.
    fn webhook_out(&self, channel: Snowflake, visited: &mut BTreeSet<Snowflake>) -> Option<usize> {
        let leaving: Vec<usize> = (0..self.left.len())
            .filter(|index| match &self.left[*index] {
                Step::Update { address, id, .. } if address.kind() == Kind::Webhook => {
                    let adds = self.run.adds_to(&self.left[*index]);
                    self.run.channel_of_webhook(*id) == Some(channel) && !adds.is_empty()
                }
                _ => false,
            })
            .collect();
        let has_room = leaving
            .iter()
            .find(|index| self.run.first_exceeded(&self.left[**index]).is_none());
        if let Some(index) = has_room {
            return Some(*index);
        }
        leaving
            .into_iter()
            .find_map(|index| match self.run.first_exceeded(&self.left[index]) {
                Some(Limit {
                    kind: Kind::Webhook,
                    group: Group::Within(next),
                }) if visited.insert(next) => self.webhook_out(next, visited),
                _ => None,
            })
    }

    /// The deletion of a role that grants no member permissions that they have neither before nor after the plan. Discord
    /// deletes the overwrites of a role with it, so the steps that would remove them are removed.
    fn role_deletion(&mut self) -> Option<Step> {
        let outcome = self.outcome().clone();
        let index = self.find(|this, index| match &this.left[index] {
            Step::Delete { address, id } if address.kind() == Kind::Role && !this.run.live.bot.roles.contains(id) => {
                let mut then = this.run.clone();
                then.carry_out(&this.left[index]).is_ok() && !opens(&this.run.live, &then.live, &outcome)
            }
            _ => false,
        })?;
        let step = self.left.remove(index)?;
        if let Some(role) = step.address() {
            let gone = Target::from(role.clone());
            self.left
                .retain(|step| !matches!(step, Step::DeleteOverwrite { target, .. } if *target == gone));
        }
        Some(step)
    }

    fn outcome(&mut self) -> &LiveServer {
        let (run, left) = (&self.run, &self.left);
        self.outcome.get_or_insert_with(|| {
            let mut run = run.clone();
            for step in left {
                let _ = run.carry_out(step);
            }
            run.live
        })
    }
}
