//! Runs a command: finds its community, keeps its cooldown, bounds its time, catches its panic.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arrakis_db::TenantTx;
use arrakis_runtime::fail_point;
use futures_util::FutureExt as _;
use tokio::time::timeout;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::invocation::Ask;
use super::refusal::Refusal;
use super::{Ended, Interactions, Received, first_answer};
use crate::commands::{Answer, Answers, Call, CommandError, Entry, Scope};
use crate::community::Community;
use crate::failure::Failure;

/// With the limit passed over, for fault runs.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// How long a command that works anywhere waits for its community.
const NEAR: Duration = Duration::from_millis(400);
/// What an answer at once leaves of the three seconds for its way to Discord.
const WAY: Duration = Duration::from_millis(400);

impl Interactions {
    pub(super) async fn run(&self, received: &Received, entry: &Entry) -> Answer {
        let limit = match first_answer(entry, &received.invocation) {
            Answers::Deferred { .. } | Answers::Update => self.services.command_limit,
            Answers::Immediate | Answers::Modal => received.deadline.response_left().saturating_sub(WAY),
        };
        let guarded = AssertUnwindSafe(self.run_unguarded(received, entry)).catch_unwind();
        let limit = if fail_point::skips("worker.guard.limit") {
            FOR_EVER
        } else {
            limit
        };
        match timeout(limit, guarded).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => {
                let words = panic.downcast_ref::<String>().map(String::as_str);
                let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
                Err(Failure::retry(format!("the command panicked: {}", words.unwrap_or("no words"))).into())
            }
            Err(_) => Err(Failure::retry(format!("the command was stopped after {} ms", limit.as_millis())).into()),
        }
    }

    async fn run_unguarded(&self, received: &Received, entry: &Entry) -> Answer {
        let services = &*self.services;
        let invocation = &received.invocation;
        fail_point::hit_at("worker.running", &[invocation.command()]).await;
        let (community, tx) = self.community(received, entry).await?.unzip();
        let call = Call::new(services, invocation, community.as_ref(), tx);
        if let Some(refusal) = services.gate.refusal(&call, &entry.definition).await? {
            return Err(refusal.into());
        }
        self.cool_down(received, entry, community.as_ref()).await?;
        let (answer, counts) = match &invocation.ask {
            Ask::Command { .. } | Ask::Suggest { .. } => (entry.command.run(&call).await, true),
            Ask::Press { custom_id, .. } => (entry.command.press(&call, &arguments(custom_id)).await, false),
            Ask::Submit { custom_id, .. } => (entry.command.submit(&call, &arguments(custom_id)).await, false),
        };
        let tx = call.into_tx();
        match (&answer, tx, &community) {
            // What was answered counts as used.
            (Ok(_), Some(tx), _) if counts => services.record_use(tx, invocation, &received.labels.event_id).await,
            (Ok(_), Some(tx), _) => tx.commit().await?,
            // What failed may be tried again at once.
            (Err(CommandError::Failed(_)), _, Some(community)) if counts => {
                services
                    .end_cool_down(community, invocation.command(), invocation.author.id)
                    .await;
            }
            _ => {}
        }
        answer
    }

    /// The server's community with a transaction on its rows, or the word that there is none.
    async fn community(
        &self,
        received: &Received,
        entry: &Entry,
    ) -> Result<Option<(Community, TenantTx)>, CommandError> {
        let found = match (received.invocation.guild, entry.definition.scope) {
            (None, _) => None,
            (Some(guild), Scope::Community) => Community::open(&self.services, guild).await?,
            (Some(guild), Scope::Anywhere) => self.community_if_near(guild).await,
        };
        match (entry.definition.scope, found) {
            (_, Some(community)) => Ok(Some(community)),
            (Scope::Anywhere, None) => Ok(None),
            (Scope::Community, None) => Err(not_onboarded(received.invocation.guild.is_some()).into()),
        }
    }

    /// For what works without one: a database that is slow or away leaves it out.
    async fn community_if_near(&self, guild: Id<GuildMarker>) -> Option<(Community, TenantTx)> {
        match timeout(NEAR, Community::open(&self.services, guild)).await {
            Ok(Ok(community)) => community,
            Ok(Err(failure)) => {
                tracing::warn!(%failure, "answering without the community");
                None
            }
            Err(_) => {
                tracing::warn!("answering without the community: Postgres takes too long");
                None
            }
        }
    }

    /// Presses of buttons turn pages and are not slowed.
    async fn cool_down(
        &self,
        received: &Received,
        entry: &Entry,
        community: Option<&Community>,
    ) -> Result<(), Refusal> {
        let (Ask::Command { name, .. }, Some(community)) = (&received.invocation.ask, community) else {
            return Ok(());
        };
        let cooldown = entry.definition.cooldown;
        // What was refused is not tried again, and who failed ended the cooldown: a retry is not asked. Any other copy is known
        // by the event that began the cooldown.
        if cooldown.is_zero() || received.delivery.attempts() > 0 {
            return Ok(());
        }
        let event = received.labels.event_id.as_str();
        let left = self
            .services
            .cool_down(community, name, received.invocation.author.id, event, cooldown)
            .await;
        left.map_or(Ok(()), |left| {
            let seconds = left.as_millis().div_ceil(1000).max(1);
            let unit = if seconds == 1 { "second" } else { "seconds" };
            Err(Refusal::new(
                format!("You have just used `/{name}`."),
                format!("Try again in {seconds} {unit}."),
            ))
        })
    }

    /// Suggestions: at once or not at all, and never an error to someone who is typing.
    pub(super) async fn suggest(&self, received: &Received, entry: &Entry) -> Ended {
        let limit = received.deadline.response_left().saturating_sub(WAY);
        let suggested = AssertUnwindSafe(self.suggestions(received, entry)).catch_unwind();
        let choices = match timeout(limit, suggested).await {
            Ok(Ok(Ok(choices))) => choices,
            Ok(Ok(Err(failure))) => {
                tracing::warn!(%failure, "no suggestions");
                Vec::new()
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("no suggestions: the command panicked or took too long");
                Vec::new()
            }
        };
        let invocation = &received.invocation;
        let calls = received.calls.clone().within(received.deadline.response_left());
        let sent = calls.suggest(invocation.id, &invocation.token, choices).await;
        self.first_response(received, sent).await
    }

    async fn suggestions(
        &self,
        received: &Received,
        entry: &Entry,
    ) -> Result<Vec<twilight_model::application::command::CommandOptionChoice>, Failure> {
        let Ask::Suggest { focused, typed, .. } = &received.invocation.ask else {
            return Ok(Vec::new());
        };
        let opened = match received.invocation.guild {
            Some(guild) => Community::open(&self.services, guild).await?,
            None => None,
        };
        let (community, tx) = opened.unzip();
        let call = Call::new(&self.services, &received.invocation, community.as_ref(), tx);
        if call.community.is_none() && entry.definition.scope == Scope::Community {
            return Ok(Vec::new());
        }
        let suggested = entry.command.suggest(&call, focused, typed).await;
        if let Some(tx) = call.into_tx() {
            tx.commit().await?;
        }
        suggested
    }
}

fn arguments(custom_id: &str) -> Vec<&str> {
    custom_id.split(':').skip(1).collect()
}

fn not_onboarded(in_server: bool) -> Refusal {
    if in_server {
        Refusal::new(
            "This server has not been set up for Arrakis yet.",
            "An admin of the server can have it onboarded; until then only /help works here.",
        )
    } else {
        Refusal::new(
            "This command works in a server.",
            "Run it in a channel of your community's server.",
        )
    }
}
