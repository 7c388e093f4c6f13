//! Many small servers for load runs. They share their users to save memory.

use super::ids;
use crate::{
    model::{Channel, ChannelKind, Guild, Id, Member, Permissions, Role, RoleTags, Timestamp, User},
    world::State,
};

/// Largest number of servers; each takes about 5 KB of memory.
pub const MAX_GUILDS: u64 = 200_000;
/// Largest number of members of each.
pub const MAX_MEMBERS: u64 = 10_000;

/// First id of the servers for load. Each id has another millisecond, so that servers are distributed evenly over shards.
const FIRST: u64 = 1_150_000_000_000_000_000;

/// Id of server number `n`, counted from 0.
#[must_use]
pub const fn guild_id(n: u64) -> Id {
    Id(((FIRST >> 22) + n) << 22)
}

/// Id of user number `n` of all load servers, counted from 0.
#[must_use]
pub const fn person_id(n: u64) -> Id {
    ids::person(1_000_000 + n)
}

/// The text channel of a load server.
#[must_use]
pub const fn channel_id(guild: Id) -> Id {
    Id(guild.0 + 2)
}

/// The role of a load server that the bot may assign.
#[must_use]
pub const fn role_id(guild: Id) -> Id {
    Id(guild.0 + 1)
}

/// Adds servers with `members` users each until there are this many. Returns the number of added servers.
pub fn load(state: &mut State, guilds: u64, members: u64) -> u64 {
    for n in 0..members {
        let id = person_id(n);
        state
            .users
            .entry(id)
            .or_insert_with(|| User::person(id, &format!("rider{n:05}"), None));
    }
    let now = state.now();
    let mut added = 0;
    for n in 0..guilds {
        let id = guild_id(n);
        if !state.guilds.contains_key(&id) {
            state.add_guild(guild(id, n, members, state.bot_id, now));
            added += 1;
        }
    }
    added
}

fn guild(id: Id, n: u64, members: u64, bot: Id, now: Timestamp) -> Guild {
    let owner = if members > 0 { person_id(0) } else { ids::OWNER };
    let mut guild = Guild::named(id, &format!("Sietch {n:05}"), owner, now);
    let member = Role {
        position: 1,
        hoist: true,
        ..Role::named(role_id(id), "Fremen")
    };
    let own = Role {
        position: 2,
        managed: true,
        permissions: Permissions::ADMINISTRATOR,
        tags: Some(RoleTags {
            bot_id: Some(bot),
            ..RoleTags::default()
        }),
        ..Role::named(Id(id.0 + 4), "Bot")
    };
    let text = Channel::named(channel_id(id), id, ChannelKind::Text, "general");
    let voice = Channel {
        position: 1,
        ..Channel::named(Id(id.0 + 3), id, ChannelKind::Voice, "Voice")
    };
    guild.members.insert(
        bot,
        Member {
            roles: vec![own.id],
            ..Member::joined(bot, now)
        },
    );
    guild
        .members
        .extend((0..members).map(|n| (person_id(n), Member::joined(person_id(n), now))));
    guild.roles.extend([(member.id, member), (own.id, own)]);
    guild.channels.extend([(text.id, text), (voice.id, voice)]);
    guild
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_servers_spread_evenly_over_shards() {
        let mut counts = [0; 4];
        for n in 0..10_000 {
            counts[usize::try_from(guild_id(n).shard(4)).unwrap()] += 1;
        }
        assert_eq!(counts, [2_500; 4]);
    }
}
