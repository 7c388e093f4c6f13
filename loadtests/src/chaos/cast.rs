//! Who plays: members who run commands, members who leave, people who join. Nobody does two of these, so that each deed
//! has one effect that can be told.

use anyhow::Context as _;

use crate::platform::Emulator;
use crate::seed::Plan;

/// Ids of people who join in a chaos run begin here, far from the seed's.
const JOINERS: u64 = 1_220_000_000_000_000_000;

/// A server and a channel in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Server.
    pub guild: u64,
    /// Text channel.
    pub channel: u64,
}

/// Who does what. Hands people out one by one.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Onboarded servers.
    pub places: Vec<Place>,
    /// Members that run commands, by place.
    commanders: Vec<Vec<u64>>,
    /// Members that leave, with their server.
    leavers: Vec<(u64, u64)>,
    turn: usize,
    joined: u64,
}

impl Cast {
    /// Casts the members of the plan's onboarded servers.
    ///
    /// # Errors
    /// When the emulator does not know a server.
    pub(super) async fn of(discord: &Emulator, plan: &Plan) -> anyhow::Result<Self> {
        let mut cast = Self {
            places: Vec::new(),
            commanders: Vec::new(),
            leavers: Vec::new(),
            turn: 0,
            joined: 0,
        };
        for server in plan.servers.iter().filter(|server| server.community.is_some()) {
            cast.places.push(Place {
                guild: server.guild,
                channel: text_channel(discord, server.guild).await?,
            });
            // The first owns the server and stays.
            let members: Vec<u64> = server.members.iter().skip(1).map(|member| member.user).collect();
            let (commanders, leavers) = members.split_at(members.len() / 2);
            cast.commanders.push(commanders.to_vec());
            cast.leavers.extend(leavers.iter().map(|user| (server.guild, *user)));
        }
        Ok(cast)
    }

    /// The next member to run a command, and where.
    pub fn commander(&mut self) -> (Place, u64) {
        self.turn += 1;
        let place = self.turn % self.places.len();
        let members = &self.commanders[place];
        (
            self.places[place],
            members[self.turn / self.places.len() % members.len()],
        )
    }

    /// The next member to leave, and which server; `None` when all have gone.
    pub fn leaver(&mut self) -> Option<(u64, u64)> {
        self.leavers.pop()
    }

    /// The next one to join, and which server.
    pub fn joiner(&mut self) -> (u64, u64) {
        self.joined += 1;
        let place = usize::try_from(self.joined).unwrap_or(0) % self.places.len();
        (self.places[place].guild, JOINERS + self.joined)
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
