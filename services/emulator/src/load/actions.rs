//! Actions of members in a load run.

use std::collections::hash_map::Entry;

use rand::{RngExt as _, rngs::StdRng};
use serde_json::Value;

use crate::{
    model::{ChannelKind, Id, InteractionKind, User},
    world::{Cause, NewInteraction, State},
};

/// An action of a member.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A command, or autocomplete for one of its options.
    Interact {
        /// Command or autocomplete.
        kind: InteractionKind,
        /// `data` of the dispatch, validated; the same for all members.
        data: Value,
        /// Name of the command.
        command: Option<String>,
    },
    /// A user joins: one who left in this run, else a new one.
    Join,
    /// A user who joined in this run leaves; a user joins instead when there is none.
    Leave,
    /// A member's nickname changes.
    Update,
}

/// An action with its share of all events.
#[derive(Clone, Debug)]
pub(crate) struct EventKind {
    /// Name in the results, e.g. `command position`.
    pub(crate) name: String,
    /// The share is this divided by the sum of all weights.
    pub(crate) weight: u32,
    /// The action.
    pub(crate) action: Action,
}

/// A member in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActingMember {
    pub(crate) guild: Id,
    pub(crate) channel: Id,
    pub(crate) user: Id,
}

/// Every member of these servers but bots, each in the first text channel of the server.
pub(crate) fn acting_members(state: &State, guilds: &[Id]) -> Vec<ActingMember> {
    let people = |id: &Id| {
        let guild = state.guilds.get(id)?;
        let text = guild
            .channels
            .values()
            .filter(|channel| channel.kind == ChannelKind::Text);
        let channel = text.min_by_key(|channel| (channel.position, channel.id))?.id;
        let people = guild
            .members
            .keys()
            .filter(|user| !state.users.get(user).is_some_and(|user| user.bot));
        Some(people.map(move |user| ActingMember {
            guild: guild.id,
            channel,
            user: *user,
        }))
    };
    guilds.iter().filter_map(people).flatten().collect()
}

/// Users who joined in a run, and those of them who left again.
#[derive(Debug, Default)]
pub(super) struct JoinedUsers {
    inside: Vec<(Id, Id)>,
    outside: Vec<Id>,
    made: u64,
}

/// Ids of users that a load run creates: above those of every seed.
const FIRST_JOINED_USER: u64 = 1_090_000_000_000_000_000;

impl JoinedUsers {
    /// Number of the next new user.
    fn next(&mut self, state: &mut State) -> Id {
        if let Some(known) = self.outside.pop() {
            return known;
        }
        loop {
            let id = Id(FIRST_JOINED_USER + (self.made << 12));
            self.made += 1;
            if let Entry::Vacant(free) = state.users.entry(id) {
                free.insert(User::person(id, &format!("guest{:06}", self.made), None));
                return id;
            }
        }
    }
}

/// The member of an event, selected before it happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct SelectedMember {
    pub(super) guild: Id,
    pub(super) user: Id,
    pub(super) joins: bool,
}

impl Action {
    /// Selects the member. A leave takes a user who joined in this run; every other action takes `turn`.
    pub(super) fn select(
        &self,
        member: &ActingMember,
        state: &mut State,
        joined: &mut JoinedUsers,
        random: &mut StdRng,
    ) -> SelectedMember {
        let whole = SelectedMember {
            guild: member.guild,
            user: member.user,
            joins: false,
        };
        match self {
            Self::Interact { .. } | Self::Update => whole,
            Self::Leave if !joined.inside.is_empty() => {
                let (guild, user) = joined.inside.swap_remove(random.random_range(0..joined.inside.len()));
                SelectedMember {
                    guild,
                    user,
                    joins: false,
                }
            }
            Self::Join | Self::Leave => SelectedMember {
                user: joined.next(state),
                joins: true,
                ..whole
            },
        }
    }

    /// Carries the action out. Returns `Ok(None)` when it needs no response.
    ///
    /// # Errors
    /// When the server or the member does not exist any more.
    pub(super) fn carry_out(
        &self,
        selected: SelectedMember,
        member: &ActingMember,
        state: &mut State,
        joined: &mut JoinedUsers,
    ) -> Result<Option<Id>, MissingObject> {
        match self {
            Self::Interact { kind, data, command } => {
                let new = NewInteraction {
                    kind: *kind,
                    channel_id: member.channel,
                    user_id: selected.user,
                    data: data.clone(),
                    command: command.clone(),
                    message_id: None,
                };
                state.create_interaction(new).map(Some).ok_or(MissingObject)
            }
            Self::Join | Self::Leave if selected.joins => {
                let accepted = state.join(selected.guild, selected.user);
                if accepted {
                    joined.inside.push((selected.guild, selected.user));
                }
                accepted.then_some(None).ok_or(MissingObject)
            }
            Self::Join | Self::Leave => {
                joined.outside.push(selected.user);
                state
                    .leave(selected.guild, selected.user)
                    .then_some(None)
                    .ok_or(MissingObject)
            }
            Self::Update => {
                let mut member = state
                    .member(selected.guild, selected.user)
                    .cloned()
                    .ok_or(MissingObject)?;
                let name = state.next_id();
                member.nick = Some(format!("Rider {name}"));
                state.update_member(selected.guild, member, &Cause::by(selected.user));
                Ok(None)
            }
        }
    }
}

/// The server, the channel or the member does not exist any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissingObject;
