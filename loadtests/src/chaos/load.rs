//! Load from an open-loop schedule of commands, joins and leaves, derived from a seed. A slow reply does not delay other actions.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::member_pool::{GuildChannel, MemberPool};
use crate::ledger::{ActionLog, MemberAction};
use crate::platform::Emulator;

/// Commands that every member may run, and that use Postgres, Redis and Discord to different degrees.
const COMMANDS: [&str; 4] = ["position", "threshold", "stats", "help"];
/// First id of the users whose joins are not recorded in the ledger.
const FIRST_UNRECORDED_USER: u64 = 1_230_000_000_000_000_000;
/// Concurrent actions of a burst.
const BURST: usize = 16;

/// Which actions a load consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionMix {
    /// Commands, joins and leaves.
    Mixed,
    /// Joins and leaves.
    JoinsAndLeaves,
    /// Commands.
    Commands,
}

/// Performs members' actions through the emulator and records them.
#[derive(Debug, Clone)]
pub(super) struct LoadGenerator {
    discord: Emulator,
    pool: Arc<Mutex<MemberPool>>,
    sent: ActionLog,
}

/// A load that runs in the background.
#[derive(Debug)]
pub(super) struct RunningLoad {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl LoadGenerator {
    pub(super) fn new(discord: Emulator, pool: Arc<Mutex<MemberPool>>, sent: ActionLog) -> Self {
        Self { discord, pool, sent }
    }

    /// The next member of the pool runs this command, without options.
    pub(super) async fn command(&self, name: &str) -> anyhow::Result<MemberAction> {
        let (target, user) = self.pool.lock().commander();
        self.command_by(target, user, name).await
    }

    /// This member runs this command.
    pub(super) async fn command_by(&self, target: GuildChannel, user: u64, name: &str) -> anyhow::Result<MemberAction> {
        self.command_with(target, user, name, json!([])).await
    }

    /// This member runs this command with options.
    pub(super) async fn command_with(
        &self,
        target: GuildChannel,
        user: u64,
        name: &str,
        options: Value,
    ) -> anyhow::Result<MemberAction> {
        // Forced: Discord's client would hide the command until a worker has registered it.
        let id = self
            .discord
            .forced_command((target.guild, target.channel), user, name, options)
            .await?;
        let action = MemberAction::Command {
            id: id.parse()?,
            guild: target.guild,
            user,
        };
        self.sent.record(action);
        Ok(action)
    }

    /// The next user joins.
    pub(super) async fn join(&self) -> anyhow::Result<MemberAction> {
        let (guild, user) = self.pool.lock().joiner();
        self.discord
            .join(guild, user, &format!("fremen{}", user % 1_000_000))
            .await?;
        let action = MemberAction::Join { guild, user };
        self.sent.record(action);
        Ok(action)
    }

    /// The next member leaves for good; when all have left, a user joins instead.
    pub(super) async fn leave(&self) -> anyhow::Result<MemberAction> {
        let leaver = self.pool.lock().leaver();
        let Some((guild, user)) = leaver else {
            return self.join().await;
        };
        self.discord.leave(guild, user).await?;
        let action = MemberAction::Leave { guild, user };
        self.sent.record(action);
        Ok(action)
    }

    /// Starts a load with this many actions per second. The same seed gives the same actions in the same order.
    pub(super) fn begin(&self, mix: ActionMix, rate: u32, seed: u64) -> RunningLoad {
        let stop = CancellationToken::new();
        let generator = self.clone();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { generator.run(mix, rate, seed, &stop).await }
        });
        RunningLoad { stop, task }
    }

    async fn run(&self, mix: ActionMix, rate: u32, seed: u64, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let every = Duration::from_secs(1) / rate.max(1);
        let mut next = Instant::now();
        loop {
            next += every;
            tokio::select! {
                () = sleep_until(next) => {}
                () = stop.cancelled() => return Ok(()),
            }
            let choice = match mix {
                ActionMix::Mixed => random.random_range(0..10),
                ActionMix::JoinsAndLeaves => random.random_range(5..10),
                ActionMix::Commands => random.random_range(0..5),
            };
            match choice {
                0..5 => self.command(COMMANDS[random.random_range(0..COMMANDS.len())]).await?,
                5..8 => self.join().await?,
                _ => self.leave().await?,
            };
        }
    }

    /// This many joins of one server, which are not recorded.
    pub(super) async fn flood(&self, guild: u64, joins: u64) -> anyhow::Result<()> {
        let join = |n| async move {
            self.discord
                .join(guild, FIRST_UNRECORDED_USER + n, &format!("stranger{n}"))
                .await
        };
        let mut under_way = futures_util::stream::iter(0..joins).map(join).buffer_unordered(BURST);
        while let Some(joined) = under_way.next().await {
            joined?;
        }
        Ok(())
    }

    /// This many joins, as fast as the emulator accepts them.
    pub(super) async fn burst(&self, joins: usize) -> anyhow::Result<()> {
        let mut under_way = futures_util::stream::iter(0..joins)
            .map(|_| self.join())
            .buffer_unordered(BURST);
        while let Some(joined) = under_way.next().await {
            joined?;
        }
        Ok(())
    }
}

impl RunningLoad {
    /// Ends the load after the action that is in progress.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task
            .await
            .context("the load's task panicked")?
            .context("the load ended with an error")
    }
}
