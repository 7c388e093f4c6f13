//! `/control/guilds`, `/control/seed` and `/control/outage`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Id;

/// A server in the list of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuildSummary {
    /// Snowflake of the server.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// User id of the owner.
    pub owner_id: Id,
    /// Number of members, the bot among them.
    pub members: usize,
    /// Number of channels, threads among them.
    pub channels: usize,
    /// Number of roles, `@everyone` among them.
    pub roles: usize,
    /// Whether the server has an outage.
    pub unavailable: bool,
}

/// Servers to create. `G` is the description of a server; the README has its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SeedRequest<G = Value> {
    /// Two servers with roles, channels, members and messages.
    Lively {
        /// Seed of what is random; the emulator's own when absent.
        seed: Option<u64>,
    },
    /// Many small servers.
    Load {
        /// Number of servers in all; those that are missing are added.
        guilds: u64,
        /// Members of each, without the bot.
        #[serde(default = "three")]
        members: u64,
    },
    /// One server from a description.
    Server {
        /// The description.
        guild: G,
    },
}

const fn three() -> u64 {
    3
}

/// Begins or ends an outage of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// The server.
    pub guild_id: Id,
    /// `true` begins the outage, `false` ends it.
    pub unavailable: bool,
}
