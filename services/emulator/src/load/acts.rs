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
pub(crate) enum Act {
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
pub(crate) struct Kind {
    /// Name in the results, e.g. `command position`.
    pub(crate) name: String,
    /// The share is this divided by the sum of all weights.
    pub(crate) weight: u32,
    /// The action.
    pub(crate) act: Act,
}

/// A member in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) guild: Id,
    pub(crate) channel: Id,
    pub(crate) user: Id,
}

/// Every member of these servers but bots, each in the first text channel of the server.
pub(crate) fn places(state: &State, guilds: &[Id]) -> Vec<Place> {
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
        Some(people.map(move |user| Place {
            guild: guild.id,
            channel,
            user: *user,
        }))
    };
    guilds.iter().filter_map(people).flatten().collect()
}

/// Users who joined in a run, and those of them who left again.
#[derive(Debug, Default)]
pub(super) struct Guests {
    inside: Vec<(Id, Id)>,
    outside: Vec<Id>,
    made: u64,
}

/// Ids of users that a load run creates: above those of every seed.
const FIRST_GUEST: u64 = 1_090_000_000_000_000_000;

impl Guests {
    /// Number of the next new user.
    fn next(&mut self, state: &mut State) -> Id {
        if let Some(known) = self.outside.pop() {
            return known;
        }
        loop {
            let id = Id(FIRST_GUEST + (self.made << 12));
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
pub(super) struct Cast {
    pub(super) guild: Id,
    pub(super) user: Id,
    pub(super) joins: bool,
}

impl Act {
    /// Selects the member. A leave takes a user who joined in this run; every other action takes `turn`.
    pub(super) fn cast(&self, place: &Place, state: &mut State, guests: &mut Guests, random: &mut StdRng) -> Cast {
        let whole = Cast {
            guild: place.guild,
            user: place.user,
            joins: false,
        };
        match self {
            Self::Interact { .. } | Self::Update => whole,
            Self::Leave if !guests.inside.is_empty() => {
                let (guild, user) = guests.inside.swap_remove(random.random_range(0..guests.inside.len()));
                Cast {
                    guild,
                    user,
                    joins: false,
                }
            }
            Self::Join | Self::Leave => Cast {
                user: guests.next(state),
                joins: true,
                ..whole
            },
        }
    }

    /// Carries the action out. Returns `Ok(None)` when it needs no response.
    ///
    /// # Errors
    /// When the server or the member does not exist any more.
    pub(super) fn happen(
        &self,
        cast: Cast,
        place: &Place,
        state: &mut State,
        guests: &mut Guests,
    ) -> Result<Option<Id>, Gone> {
        match self {
            Self::Interact { kind, data, command } => {
                let new = NewInteraction {
                    kind: *kind,
                    channel_id: place.channel,
                    user_id: cast.user,
                    data: data.clone(),
                    command: command.clone(),
                    message_id: None,
                };
                state.create_interaction(new).map(Some).ok_or(Gone)
            }
            Self::Join | Self::Leave if cast.joins => {
                let joined = state.join(cast.guild, cast.user);
                if joined {
                    guests.inside.push((cast.guild, cast.user));
                }
                joined.then_some(None).ok_or(Gone)
            }
            Self::Join | Self::Leave => {
                guests.outside.push(cast.user);
                state.leave(cast.guild, cast.user).then_some(None).ok_or(Gone)
            }
            Self::Update => {
                let mut member = state.member(cast.guild, cast.user).cloned().ok_or(Gone)?;
                let name = state.next_id();
                member.nick = Some(format!("Rider {name}"));
                state.update_member(cast.guild, member, &Cause::by(cast.user));
                Ok(None)
            }
        }
    }
}

/// The server, the channel or the member does not exist any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;
