//! A server at Discord's limits, drawn from a seed. Names, topics, colours and permissions differ, so that compression finds no more to
//! repeat than in a server of people.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::SeedRequest;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::platform::Emulator;

/// Discord id of the server; no other seed has ids near it.
const GUILD: u64 = 1_220_000_000_000_000_000;
/// Channels of a category, itself included: 500 channels are 20 such categories.
const PER_CATEGORY: usize = 25;
/// Roles of a member, beside @everyone.
const ROLES_OF_MEMBER: usize = 3;
/// @everyone and the role of the bot, which each server has.
const FIXED_ROLES: usize = 2;
/// Number of colours.
const COLORS: u32 = 1 << 24;

/// Permissions that roles and overwrites have.
const PERMISSIONS: [&str; 20] = [
    "VIEW_CHANNEL",
    "SEND_MESSAGES",
    "MANAGE_MESSAGES",
    "EMBED_LINKS",
    "ATTACH_FILES",
    "READ_MESSAGE_HISTORY",
    "ADD_REACTIONS",
    "MENTION_EVERYONE",
    "CONNECT",
    "SPEAK",
    "STREAM",
    "MUTE_MEMBERS",
    "MOVE_MEMBERS",
    "MANAGE_CHANNELS",
    "MANAGE_WEBHOOKS",
    "MANAGE_THREADS",
    "CREATE_PUBLIC_THREADS",
    "SEND_MESSAGES_IN_THREADS",
    "USE_APPLICATION_COMMANDS",
    "CREATE_INSTANT_INVITE",
];

/// Words of names and topics.
const WORDS: [&str; 48] = [
    "spice", "water", "desert", "storm", "market", "guild", "council", "harvest", "wind", "stone", "river", "north",
    "south", "trade", "news", "rules", "voice", "music", "games", "books", "maps", "code", "design", "support", "help",
    "events", "archive", "random", "quiet", "public", "private", "open", "late", "early", "weekly", "daily", "old",
    "new", "red", "blue", "amber", "silver", "harbour", "garden", "tower", "bridge", "lantern", "compass",
];

/// Numbers of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerSize {
    /// Roles, @everyone and the bot's own among them.
    pub(super) roles: usize,
    /// Channels and categories.
    pub(super) channels: usize,
    /// Members, without owner and bot.
    pub(super) members: usize,
}

impl ServerSize {
    /// Discord's limits of roles and channels.
    pub(super) const FULL: Self = Self {
        roles: 250,
        channels: 500,
        members: 1_000,
    };
    /// A server for tests.
    pub(super) const SMALL: Self = Self {
        roles: 12,
        channels: 50,
        members: 20,
    };

    /// Roles and channels that gaib can manage.
    pub(super) const fn resources(self) -> usize {
        self.roles - FIXED_ROLES + self.channels
    }
}

/// Creates the server, in which the bot is an administrator. Returns its id.
pub(super) async fn create(discord: &Emulator, size: ServerSize, seed: u64) -> anyhow::Result<u64> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
    let guild = draw.server(size);
    discord
        .seed(&SeedRequest::Server { guild })
        .await
        .context("a server at Discord's limits")?;
    let view = discord.guild(GUILD).await?;
    let count = |kind: &str| view[kind].as_array().map_or(0, Vec::len);
    let found = (count("roles"), count("channels"));
    ensure!(
        found == (size.roles, size.channels),
        "the server has {} roles and {} channels instead of {} and {}",
        found.0,
        found.1,
        size.roles,
        size.channels
    );
    Ok(GUILD)
}

/// The random choices.
struct Draw(ChaCha8Rng);

impl Draw {
    fn server(&mut self, size: ServerSize) -> Value {
        let names: Vec<String> = (FIXED_ROLES..size.roles)
            .map(|number| format!("{} {number}", self.words(2, " ")))
            .collect();
        let roles: Vec<Value> = names.iter().map(|name| self.role(name)).collect();
        let categories: Vec<Value> = (0..size.channels / PER_CATEGORY)
            .map(|number| self.category(number, &names))
            .collect();
        let members: Vec<Value> = (0..size.members).map(|number| self.member(number, &names)).collect();
        json!({
            "id": GUILD.to_string(), "name": "Full Server", "community": true, "roles": roles, "channels": categories,
            "members": members,
        })
    }

    fn role(&mut self, name: &str) -> Value {
        let color = format!("#{:06x}", self.0.random_range(0..COLORS));
        json!({
            "name": name, "color": color, "permissions": self.permissions(), "hoist": self.0.random_bool(0.3),
            "mentionable": self.0.random_bool(0.3),
        })
    }

    fn category(&mut self, number: usize, roles: &[String]) -> Value {
        let first = number * PER_CATEGORY;
        let channels: Vec<Value> = (first + 1..first + PER_CATEGORY)
            .map(|number| self.channel(number, roles))
            .collect();
        json!({
            "name": format!("{} {first}", self.words(2, " ")), "kind": "category", "overwrites": self.overwrites(roles),
            "channels": channels,
        })
    }

    /// A text or voice channel. Half of them have overwrites of their own, the others those of the category.
    fn channel(&mut self, number: usize, roles: &[String]) -> Value {
        let name = format!("{}-{number}", self.words(2, "-"));
        let mut channel = if self.0.random_bool(0.2) {
            json!({"name": name, "kind": "voice", "user_limit": self.0.random_range(0..100_u32)})
        } else {
            let words = self.0.random_range(8..30_usize);
            let slow_mode = self.0.random_range(0..60_u32);
            json!({"name": name, "topic": self.words(words, " "), "slow_mode": slow_mode})
        };
        if self.0.random_bool(0.5) {
            channel["overwrites"] = self.overwrites(roles);
        }
        channel
    }

    fn overwrites(&mut self, roles: &[String]) -> Value {
        let chosen = self.roles(roles, 3);
        let overwrites = chosen.iter().map(|role| {
            let (allow, deny) = (self.permissions(), self.permissions());
            json!({"role": role, "allow": allow, "deny": deny})
        });
        overwrites.collect()
    }

    fn member(&mut self, number: usize, roles: &[String]) -> Value {
        let name = format!("{}-{number}", self.words(1, ""));
        json!({
            "name": name, "roles": self.roles(roles, ROLES_OF_MEMBER), "joined_days_ago": self.0.random_range(0..900_u32),
        })
    }

    fn words(&mut self, count: usize, separator: &str) -> String {
        let words: Vec<&str> = (0..count).map(|_| WORDS[self.0.random_range(0..WORDS.len())]).collect();
        words.join(separator)
    }

    fn permissions(&mut self) -> Vec<&'static str> {
        let all = PERMISSIONS.into_iter();
        all.filter(|_| self.0.random_bool(0.4)).collect()
    }

    /// This many of the roles.
    fn roles(&mut self, among: &[String], count: usize) -> Vec<String> {
        let mut chosen = BTreeSet::new();
        while chosen.len() < count.min(among.len()) {
            chosen.insert(self.0.random_range(0..among.len()));
        }
        chosen
            .into_iter()
            .filter_map(|index| among.get(index).cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(size: ServerSize) -> (usize, usize) {
        let server = Draw(ChaCha8Rng::seed_from_u64(1)).server(size);
        let categories = server["channels"].as_array().unwrap();
        let inside = categories
            .iter()
            .map(|category| category["channels"].as_array().unwrap().len());
        let roles = server["roles"].as_array().unwrap().len();
        (roles + FIXED_ROLES, categories.len() + inside.sum::<usize>())
    }

    #[test]
    fn server_has_as_many_roles_and_channels_as_its_size_states() {
        assert_eq!(counts(ServerSize::FULL), (250, 500));
        assert_eq!(counts(ServerSize::SMALL), (12, 50));
    }

    #[test]
    fn equal_seeds_give_equal_servers() {
        let server = |seed| Draw(ChaCha8Rng::seed_from_u64(seed)).server(ServerSize::SMALL);
        assert_eq!(server(1), server(1));
        assert_ne!(server(1), server(2));
    }
}
