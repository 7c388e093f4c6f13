//! The emulator, the seed's plan, and names for ids, as the demo's scenes use them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::platform::{Answer, Emulator};
use crate::seed::Plan;

/// Longer than every cooldown of a command that the demo repeats.
const COOLDOWN_SECONDS: u32 = 10;

/// What every scene uses.
pub(super) struct DemoContext<'a> {
    pub(super) discord: Emulator,
    pub(super) plan: &'a Plan,
    /// The server Sietch Tabr, which has a community: most scenes are in it.
    pub(super) tabr: DemoServer,
    /// The server Carthag Market, another community.
    pub(super) market: DemoServer,
    /// The server Polar Outpost, without a community until the demo runs `/onboard` there.
    pub(super) outpost: DemoServer,
}

/// A server and the text channel of the demo in it.
pub(super) struct DemoServer {
    pub(super) guild: u64,
    pub(super) channel: u64,
    roles: HashMap<String, String>,
}

impl<'a> DemoContext<'a> {
    /// Finds the servers of the plan in the emulator.
    pub(super) async fn find(discord: &Emulator, plan: &'a Plan) -> anyhow::Result<Self> {
        let guild = |name: &str| {
            let server = plan.servers.iter().find(|server| server.name == name);
            server
                .map(|server| server.guild)
                .with_context(|| format!("the plan has no {name}"))
        };
        Ok(Self {
            // Everyone may read the rules, so everyone may run a command there.
            tabr: DemoServer::find(discord, guild("Sietch Tabr")?, "water-discipline").await?,
            market: DemoServer::find(discord, guild("Carthag Market")?, "").await?,
            outpost: DemoServer::find(discord, guild("Polar Outpost")?, "general").await?,
            discord: discord.clone(),
            plan,
        })
    }

    /// Id of a newcomer.
    pub(super) fn newcomer(&self, name: &str) -> anyhow::Result<u64> {
        let newcomer = self.plan.newcomers.iter().find(|newcomer| newcomer.name == name);
        newcomer
            .map(|newcomer| newcomer.user)
            .with_context(|| format!("the plan has no {name}"))
    }

    /// Runs a command and waits for the full reply.
    pub(super) async fn run(
        &self,
        server: &DemoServer,
        user: u64,
        name: &str,
        options: Value,
    ) -> anyhow::Result<Answer> {
        let id = self
            .discord
            .command((server.guild, server.channel), user, name, options)
            .await?;
        self.discord.answer(&id).await.with_context(|| format!("/{name}"))
    }

    /// As [`DemoContext::run`], repeated each second while the reply is the refusal of a cooldown.
    pub(super) async fn run_after_cooldown(
        &self,
        server: &DemoServer,
        user: u64,
        name: &str,
        options: Value,
    ) -> anyhow::Result<Answer> {
        let mut last = self.run(server, user, name, options.clone()).await?;
        for _ in 0..COOLDOWN_SECONDS {
            if !last.text().contains("You have just used") {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            last = self.run(server, user, name, options.clone()).await?;
        }
        Ok(last)
    }

    /// Names of a member's roles, sorted; `None` for a user who is no member.
    pub(super) async fn roles(&self, server: &DemoServer, user: u64) -> anyhow::Result<Option<Vec<String>>> {
        let Some(member) = self.discord.member(server.guild, user).await? else {
            return Ok(None);
        };
        let mut names: Vec<_> = member.roles.iter().map(|id| server.role_name(id)).collect();
        names.sort();
        Ok(Some(names))
    }

    /// Waits until a member has exactly these roles. Returns the last observed roles.
    pub(super) async fn roles_become(
        &self,
        server: &DemoServer,
        user: u64,
        wanted: &[&str],
    ) -> anyhow::Result<Vec<String>> {
        let mut last = Vec::new();
        let reached = self
            .discord
            .until("the roles", async || {
                last = self.roles(server, user).await?.unwrap_or_default();
                Ok((last == wanted).then_some(()))
            })
            .await;
        // On a timeout, the transcript shows the roles that were there instead.
        drop(reached);
        Ok(last)
    }
}

impl DemoServer {
    async fn find(discord: &Emulator, guild: u64, channel: &str) -> anyhow::Result<Self> {
        let view = discord.guild(guild).await?;
        let channels = view["channels"].as_array().context("a server without channels")?;
        let is_meant = |candidate: &&Value| {
            candidate["type"] == 0 && (channel.is_empty() || candidate["name"].as_str() == Some(channel))
        };
        let id = channels
            .iter()
            .find(is_meant)
            .and_then(|channel| channel["id"].as_str());
        let id = id.with_context(|| format!("{guild} has no text channel {channel}"))?;
        let mut roles = HashMap::new();
        for role in view["roles"].as_array().into_iter().flatten() {
            if let (Some(id), Some(name)) = (role["id"].as_str(), role["name"].as_str()) {
                roles.insert(id.to_owned(), name.to_owned());
            }
        }
        Ok(Self {
            guild,
            channel: id.parse()?,
            roles,
        })
    }

    fn role_name(&self, id: &str) -> String {
        self.roles
            .get(id)
            .cloned()
            .unwrap_or_else(|| format!("unknown role {id}"))
    }

    /// Id of the role with this name.
    pub(super) fn role(&self, name: &str) -> anyhow::Result<String> {
        let found = self
            .roles
            .iter()
            .find(|(_, role)| *role == name)
            .map(|(id, _)| id.clone());
        found.with_context(|| format!("there is no role {name}"))
    }
}
