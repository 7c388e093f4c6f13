//! The members of a chaos run: those that run commands, those that leave, and users that join. Each does only one of these, so
//! that each action has exactly one effect that can be checked.

use anyhow::Context as _;

use crate::platform::Emulator;
use crate::seed::Plan;

/// First id of the users that join in a chaos run, far from the seed's ids.
const FIRST_JOINING_USER: u64 = 1_220_000_000_000_000_000;

/// A server and a text channel in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuildChannel {
    /// Server.
    pub guild: u64,
    /// Text channel.
    pub channel: u64,
}

/// Members and users by the action that they take. Returns each of them once, except for those that run commands.
#[derive(Debug, Clone)]
pub struct MemberPool {
    /// The onboarded servers.
    pub channels: Vec<GuildChannel>,
    /// Members that run commands, by index in `channels`.
    commanders: Vec<Vec<u64>>,
    /// Members that leave, with their server.
    leavers: Vec<(u64, u64)>,
    commands: usize,
    joined: u64,
}

impl MemberPool {
    /// Takes the members of the plan's onboarded servers.
    ///
    /// # Errors
    /// When the emulator has no such server.
    pub(super) async fn of(discord: &Emulator, plan: &Plan) -> anyhow::Result<Self> {
        let mut pool = Self {
            channels: Vec::new(),
            commanders: Vec::new(),
            leavers: Vec::new(),
            commands: 0,
            joined: 0,
        };
        for server in plan.servers.iter().filter(|server| server.community.is_some()) {
            pool.channels.push(GuildChannel {
                guild: server.guild,
                channel: text_channel(discord, server.guild).await?,
            });
            // The first member owns the server and stays.
            let members: Vec<u64> = server.members.iter().skip(1).map(|member| member.user).collect();
            let (commanders, leavers) = members.split_at(members.len() / 2);
            pool.commanders.push(commanders.to_vec());
            pool.leavers.extend(leavers.iter().map(|user| (server.guild, *user)));
        }
        Ok(pool)
    }

    /// The next member to run a command, and where.
    pub fn commander(&mut self) -> (GuildChannel, u64) {
        self.commands += 1;
        let index = self.commands % self.channels.len();
        let members = &self.commanders[index];
        (
            self.channels[index],
            members[self.commands / self.channels.len() % members.len()],
        )
    }

    /// The next member to leave, and the server; `None` when all have left.
    pub fn leaver(&mut self) -> Option<(u64, u64)> {
        self.leavers.pop()
    }

    /// The next user to join, and the server.
    pub fn joiner(&mut self) -> (u64, u64) {
        self.joined += 1;
        let index = usize::try_from(self.joined).unwrap_or(0) % self.channels.len();
        (self.channels[index].guild, FIRST_JOINING_USER + self.joined)
    }
}

async fn text_channel(discord: &Emulator, guild: u64) -> anyhow::Result<u64> {
    let view = discord.guild(guild).await?;
    let mut channels = view["channels"].as_array().into_iter().flatten();
    let id = channels
        .find(|channel| channel["type"] == 0)
        .and_then(|channel| channel["id"].as_str());
    let id = id.with_context(|| format!("{guild} has no text channel"))?;
    Ok(id.parse()?)
}
