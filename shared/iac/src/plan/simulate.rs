//! Simulation of a plan on a snapshot of a server.
//!
//! Behaves like Discord by its documentation: values for attributes that a new resource is not configured with, new roles at the
//! bottom, new channels after those of their group, channels that follow their category, dependent deletions. Used by tests of
//! the planner, by preflight and for the order of steps. [`simulate`] checks Discord's limits and no permissions.

use std::collections::BTreeMap;

use super::document::{Mode, Plan, ResourcePosition, Step};
use crate::live::{LiveResource, LiveServer};
use crate::model::{Address, Attributes, Clearable, Kind, Reference, Role, Server, Snowflake, Target, normalised_name};
use crate::state::{State, StateEntry};

/// A step that cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct SimulationError {
    /// Description of the step.
    pub step: String,
    /// The reason.
    pub reason: String,
}

/// The server and the state after a plan.
///
/// # Errors
/// A step refers to a resource that does not exist or exceeds a limit: the order of the plan is wrong, or the plan was made
/// from other inputs.
pub fn simulate(live: &LiveServer, state: &State, plan: &Plan) -> Result<(LiveServer, State), SimulationError> {
    let mut run = Simulation::new(live, state);
    for step in &plan.steps {
        let refuse = |reason| SimulationError {
            step: step.describe(),
            reason,
        };
        if let Some(limit) = run.first_exceeded(step) {
            let bound = run.bound(limit);
            return Err(refuse(format!(
                "Discord allows {} {}, and the limit is reached",
                bound.most, bound.what
            )));
        }
        run.carry_out(step).map_err(refuse)?;
        if let (Step::Refresh { address, .. }, Mode::RefreshOnly) = (step, plan.mode) {
            run.state.altered.remove(address);
        }
    }
    Ok((run.live, run.state))
}

/// A server and a state during the simulation.
#[derive(Clone)]
pub(super) struct Simulation {
    pub(super) live: LiveServer,
    pub(super) state: State,
    next: u64,
}

type Outcome = Result<(), String>;

impl Simulation {
    /// The simulation before the first step.
    pub(super) fn new(live: &LiveServer, state: &State) -> Self {
        let highest = live.resources().map(|resource| resource.id.get()).max().unwrap_or(0);
        let mut run = Self {
            live: live.clone(),
            state: state.clone(),
            next: highest + 1,
        };
        run.state.guild_id = Some(live.guild_id);
        run
    }

    /// Carries out a step like Discord. Checks neither limits nor permissions.
    pub(super) fn carry_out(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Create { address, attributes } => self.create(address, attributes),
            Step::Update {
                address,
                id,
                attributes,
                fields,
            } => self.update(address, *id, attributes, fields),
            Step::PutOverwrite {
                address,
                target,
                overwrite,
            } => self.overwrite(address, target, Some(*overwrite)),
            Step::DeleteOverwrite { address, target } => self.overwrite(address, target, None),
            Step::BotRole { address, give } => self.bot_role(address, *give),
            Step::MoveRoles { places } => self.moved(places),
            Step::MoveChannels { places } => self.moved(places),
            Step::Delete { address, id } => self.delete(address, *id),
            Step::Adopt {
                address,
                id,
                attributes,
            } => {
                self.state.record(
                    address.clone(),
                    StateEntry {
                        id: *id,
                        attributes: attributes.clone(),
                    },
                );
                Ok(())
            }
            Step::Refresh { address, attributes } => {
                let id = self.id(address)?;
                self.state.record(
                    address.clone(),
                    StateEntry {
                        id,
                        attributes: attributes.clone(),
                    },
                );
                Ok(())
            }
            Step::Forget { address } => {
                self.state.forget(address);
                Ok(())
            }
        }
    }

    fn id(&self, address: &Address) -> Result<Snowflake, String> {
        self.state
            .id(address)
            .ok_or_else(|| format!("{address} is not in the state"))
    }

    /// The attributes as Discord stores them: references by id, names normalised, new tags with an id.
    fn stored(&mut self, attributes: &Attributes) -> Result<Attributes, String> {
        let mut stored = attributes.clone();
        let mut missing = None;
        stored.map_references(&mut |_, reference| {
            if let Reference::Address(address) = reference {
                match self.state.id(address) {
                    Some(id) => *reference = Reference::Id(id),
                    None => missing = Some(address.clone()),
                }
            }
        });
        if let Some(address) = missing {
            return Err(format!("{address} is referred to and not there"));
        }
        if let Some(channel) = stored.channel_mut() {
            if let Some(name) = &mut channel.name {
                *name = normalised_name(channel.kind, name);
            }
            if let Some(overwrites) = &mut channel.overwrites
                && let Some(own) = overwrites.remove(&Target::Bot)
            {
                overwrites.insert(Target::Member(self.live.bot.user_id), own);
            }
            if let Some(Clearable::Set(Reference::Id(category))) = &channel.category {
                let found = self.live.get(Kind::Category, *category).is_some();
                let is_there = found || self.live.unreadable(Kind::Category, *category).is_some();
                is_there.then_some(()).ok_or("its category is gone")?;
            }
            for tag in channel.tags.iter_mut().flatten().filter(|tag| tag.id.is_none()) {
                tag.id = Snowflake::new(self.next);
                self.next += 1;
            }
        }
        Ok(stored)
    }

    fn create(&mut self, address: &Address, attributes: &Attributes) -> Outcome {
        let mut stored = self.stored(attributes)?;
        // No reading of a server lacks an attribute that Discord gives a value.
        let defaults = stored.defaults();
        stored.complete_with(&defaults, &[]);
        let id = Snowflake::new(self.next).ok_or("there are no more ids")?;
        self.next += 1;
        let mut position = 0;
        match &mut stored {
            Attributes::Role(role) => {
                role.given_to_bot = Some(false);
                position = 1;
                let everyone = self.live.guild_id;
                let roles: Vec<Snowflake> = self.live.of_kind(Kind::Role).map(|role| role.id).collect();
                for other in roles.into_iter().filter(|id| *id != everyone) {
                    if let Some(other) = self.live.get_mut(Kind::Role, other) {
                        other.position += 1;
                    }
                }
            }
            Attributes::Channel(channel) | Attributes::Category(channel) => {
                let last = self.live.channels_in_order().last().map_or(0, |last| last.position);
                position = last + 1;
                let category = channel.category.get_or_insert(Clearable::Cleared).clone();
                if channel.overwrites.is_none() {
                    let parent = match category {
                        Clearable::Set(Reference::Id(id)) => self.live.channel(id).cloned(),
                        _ => None,
                    };
                    channel.overwrites = Some(parent.and_then(|parent| parent.overwrites).unwrap_or_default());
                }
            }
            _ => {}
        }
        if self.creation_is_animated(attributes) {
            self.live.animated_emoji.insert(id);
        }
        self.live.insert(LiveResource {
            id,
            attributes: stored,
            position,
            managed: false,
        });
        self.state.record(
            address.clone(),
            StateEntry {
                id,
                attributes: attributes.clone(),
            },
        );
        Ok(())
    }

    fn update(&mut self, address: &Address, id: Snowflake, attributes: &Attributes, fields: &[String]) -> Outcome {
        let stored = self.stored(attributes)?;
        let found = self.live.get_mut(address.kind(), id).ok_or("it is gone")?;
        found.attributes = found.attributes.with_fields(&stored, fields);
        if let Attributes::Server(Server {
            community: Some(community),
            ..
        }) = &found.attributes
        {
            match *community {
                true => self.live.features.insert("COMMUNITY".to_owned()),
                false => self.live.features.remove("COMMUNITY"),
            };
        }
        self.state.record(
            address.clone(),
            StateEntry {
                id,
                attributes: attributes.clone(),
            },
        );
        Ok(())
    }

    fn overwrite(&mut self, address: &Address, target: &Target, overwrite: Option<crate::model::Overwrite>) -> Outcome {
        let id = self.id(address)?;
        let stored = match target {
            Target::Role(Reference::Address(role)) => Target::Role(Reference::Id(self.id(role)?)),
            Target::Bot => Target::Member(self.live.bot.user_id),
            other => other.clone(),
        };
        let found = self.live.get_mut(address.kind(), id).ok_or("it is gone")?;
        let Some(channel) = found.attributes.channel_mut() else {
            return Err("it has no overwrites".to_owned());
        };
        let overwrites = channel.overwrites.get_or_insert_default();
        let before = overwrites.clone();
        match overwrite {
            Some(overwrite) => overwrites.insert(stored, overwrite),
            None => Some(overwrites.remove(&stored).ok_or("there is no such overwrite")?),
        };
        let now = overwrites.clone();
        if address.kind() == Kind::Category {
            let children: Vec<Snowflake> = self.live.of_kind(Kind::Channel).map(|channel| channel.id).collect();
            for child in children {
                if let Some(Attributes::Channel(channel)) = self
                    .live
                    .get_mut(Kind::Channel, child)
                    .map(|child| &mut child.attributes)
                    && channel.category == Some(Clearable::Set(Reference::Id(id)))
                    && channel.overwrites.as_ref() == Some(&before)
                {
                    channel.overwrites = Some(now.clone());
                }
            }
        }
        self.state.record_overwrite(address, target, overwrite);
        Ok(())
    }

    fn bot_role(&mut self, address: &Address, give: bool) -> Outcome {
        let id = self.id(address)?;
        if give {
            self.live.bot.roles.insert(id);
        } else {
            self.live.bot.roles.remove(&id);
        }
        let found = self.live.get_mut(Kind::Role, id).ok_or("it is gone")?;
        if let Attributes::Role(Role { given_to_bot, .. }) = &mut found.attributes {
            *given_to_bot = Some(give);
        }
        self.state.record_bot_role(address, give);
        Ok(())
    }

    fn moved(&mut self, places: &[ResourcePosition]) -> Outcome {
        for place in places {
            let id = match &place.of {
                Reference::Id(id) => *id,
                Reference::Address(address) => self.id(address)?,
            };
            let kinds = [Kind::Role, Kind::Channel, Kind::Category];
            let kind = kinds
                .into_iter()
                .find(|kind| self.live.get(*kind, id).is_some())
                .ok_or("it is gone")?;
            if let Some(found) = self.live.get_mut(kind, id) {
                found.position = place.position;
            }
        }
        Ok(())
    }

    fn delete(&mut self, address: &Address, id: Snowflake) -> Outcome {
        let count = self.live.unreadable.len();
        self.live.unreadable.retain(|value| value.id != id);
        let was_unreadable = self.live.unreadable.len() < count;
        let was_there = self.live.remove(address.kind(), id).is_some() || was_unreadable;
        was_there.then_some(()).ok_or("it is gone")?;
        self.live.bot.roles.remove(&id);
        let rest: BTreeMap<Snowflake, Kind> = [Kind::Channel, Kind::Category]
            .into_iter()
            .flat_map(|kind| self.live.of_kind(kind).map(move |channel| (channel.id, kind)))
            .collect();
        for (other, kind) in rest {
            let Some(channel) = self
                .live
                .get_mut(kind, other)
                .and_then(|other| other.attributes.channel_mut())
            else {
                continue;
            };
            if channel.category == Some(Clearable::Set(Reference::Id(id))) {
                channel.category = Some(Clearable::Cleared);
            }
            if let Some(overwrites) = &mut channel.overwrites {
                overwrites.remove(&Target::Role(Reference::Id(id)));
            }
        }
        if address.kind() == Kind::Channel {
            let webhooks: Vec<Snowflake> = self.live.of_kind(Kind::Webhook).map(|webhook| webhook.id).collect();
            for webhook in webhooks {
                if self.channel_of_webhook(webhook) == Some(id) {
                    self.live.remove(Kind::Webhook, webhook);
                }
            }
        }
        self.state.delete(address);
        Ok(())
    }
}
