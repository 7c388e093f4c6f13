//! A chain on which the plan's wallets hold what the plan says.

use std::time::Duration;

use anyhow::{Context as _, bail};
use arrakis_domain::{Address, Balance};
use serde_json::Value;
use tokio::time::Instant;

use super::{POLL_INTERVAL, Testbed};
use crate::chaos::member_pool::GuildChannel;
use crate::ledger::MemberAction;
use crate::platform::{Answer, Chain};
use crate::seed::TOKEN_PROFILE;

/// Time limit for a worker to register its commands.
const REGISTERED_WITHIN: Duration = Duration::from_secs(15);

impl Testbed {
    /// Starts a chain on which the plan's wallets, and `more`, hold what is stated, and makes its token that of the communities.
    /// Workers and the api that start later read it. Between [`Testbed::prepare`] and [`Testbed::start_services`].
    ///
    /// # Errors
    /// When anvil is not installed, or the token profile cannot be written.
    pub async fn start_chain(&mut self, more: &[(Address, Balance)]) -> anyhow::Result<Chain> {
        let chain = Chain::start().await?;
        let holders = self.plan.holders.iter();
        let mut holdings: Vec<_> = holders.map(|holder| (holder.address, holder.held)).collect();
        holdings.extend_from_slice(more);
        chain.seed_history(&holdings).await;
        let admin = self.platform().database().admin().await;
        let mut tx = admin.database().global().await?;
        tx.eligibility()
            .put_token_profile(&chain.token_profile(TOKEN_PROFILE)?)
            .await?;
        tx.commit().await?;
        self.platform().read_chain(chain.rpc_urls());
        Ok(chain)
    }

    /// An onboarded server, by its index in the plan, and a text channel in it.
    ///
    /// # Errors
    /// When the platform has not been started, or there is no such server.
    pub fn channel(&self, server: usize) -> anyhow::Result<GuildChannel> {
        let pool = self.pool.as_ref().context("the platform has not been started")?;
        let channel = pool.lock().channels.get(server).copied();
        channel.with_context(|| format!("there is no onboarded server {server}"))
    }

    /// This member runs a command with options, as soon as a worker has registered it; returns the interaction's id.
    ///
    /// # Errors
    /// When the emulator rejects it.
    pub async fn command_with(
        &mut self,
        target: GuildChannel,
        user: u64,
        name: &str,
        options: Value,
    ) -> anyhow::Result<u64> {
        let generator = self.generator()?;
        let deadline = Instant::now() + REGISTERED_WITHIN;
        loop {
            match generator.command_with(target, user, name, options.clone()).await {
                Ok(MemberAction::Command { id, .. }) => return Ok(id),
                Ok(other) => bail!("{other} is no command"),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// The reply to this member's command.
    ///
    /// # Errors
    /// When the emulator rejects the command, or it is not answered.
    pub async fn reply_to(
        &mut self,
        target: GuildChannel,
        user: u64,
        name: &str,
        options: Value,
    ) -> anyhow::Result<Answer> {
        let id = self.command_with(target, user, name, options).await?;
        self.discord().answer(&id.to_string()).await
    }
}
