//! Runs a command: opens its community, applies its cooldown, limits its time, catches its panic.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arrakis_db::{Activity, TenantTx};
use arrakis_runtime::fail_point;
use futures_util::FutureExt as _;
use tokio::time::timeout;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use super::gate;
use super::in_flight::InFlight;
use super::mfa::{self, Guarded};
use crate::commands::{CommandContext, CommandEntry, CommandScope, ResponseMode};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply};

/// The time limit while the fail point skips the guard.
const NO_LIMIT: Duration = Duration::from_secs(3600);
/// How long a command with the scope `Anywhere` waits for its community.
const OPTIONAL_COMMUNITY_LIMIT: Duration = Duration::from_millis(400);
/// The part of the three seconds that an immediate response needs to reach Discord.
pub(super) const TRANSIT_TIME: Duration = Duration::from_millis(400);

/// Runs the command within its time limit.
pub(super) async fn run(in_flight: InFlight<'_>, entry: &CommandEntry) -> CommandResult {
    let InFlight { services, received, .. } = in_flight;
    let limit = match in_flight.response_mode(entry) {
        ResponseMode::Deferred { .. } | ResponseMode::DeferredUpdate => services.command_limit,
        // Its three seconds are over: the reply takes the place of a notice.
        _ if received.is_replayed() => services.command_limit,
        ResponseMode::Immediate | ResponseMode::Modal => {
            let left = received.deadline.response_left().saturating_sub(TRANSIT_TIME);
            // A redelivery after the three seconds: Discord states whether an earlier attempt has responded. Stopped at once, it would
            // become a dead letter although the member has the reply.
            if left.is_zero() && received.may_have_been_started() {
                services.command_limit
            } else {
                left
            }
        }
    };
    let limit = if fail_point::skips("worker.guard.limit") {
        NO_LIMIT
    } else {
        limit
    };
    let guarded = AssertUnwindSafe(run_unguarded(in_flight, entry)).catch_unwind();
    match timeout(limit, guarded).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
            let message = message.unwrap_or("no message");
            Err(Failure::retry(format!("the command panicked: {message}")).into())
        }
        Err(_) => Err(Failure::retry(format!("the command was stopped after {} ms", limit.as_millis())).into()),
    }
}

async fn run_unguarded(in_flight: InFlight<'_>, entry: &CommandEntry) -> CommandResult {
    let InFlight { services, received, .. } = in_flight;
    let invocation = &received.invocation;
    fail_point::hit_at("worker.running", &[invocation.command()]).await;
    let (community, tx) = open_community(in_flight, entry).await?.unzip();
    let context = CommandContext::new(services, in_flight.commands, invocation, community.as_ref(), tx);
    gate::check(&context, &entry.definition).await?;
    start_cooldown(in_flight, entry, community.as_ref()).await?;
    let guarded = Box::pin(mfa::check(&context, &entry.definition)).await?;
    let context = match guarded {
        Guarded::Open => context,
        Guarded::Accepted => context.with_mfa(),
        Guarded::Ask(modal) => return Ok(Reply::Modal(*modal)),
    };
    let (result, is_command) = match &invocation.data {
        InvocationData::Command { .. } | InvocationData::Autocomplete { .. } => {
            (entry.command.run(&context).await, true)
        }
        InvocationData::Component { custom_id, .. } => {
            (entry.command.component(&context, &arguments(custom_id)).await, false)
        }
        InvocationData::ModalSubmit { custom_id, .. } => match entry.definition.confirmed_button(custom_id) {
            Some(button) => (entry.command.component(&context, &arguments(&button)).await, false),
            None => (entry.command.modal_submit(&context, &arguments(custom_id)).await, false),
        },
    };
    let tx = context.into_tx();
    match (&result, tx, &community) {
        // A command with a reply is counted.
        (Ok(_), Some(tx), _) if is_command => count_use(in_flight, tx).await,
        (Ok(_), Some(tx), _) => tx.commit().await?,
        // The command has committed its transaction.
        (Ok(_), None, Some(community)) if is_command => match services.database.tenant(community.id()).await {
            Ok(tx) => count_use(in_flight, tx).await,
            Err(error) => tracing::warn!(%error, "the use of a command was not counted"),
        },
        // The member may repeat a failed command immediately.
        (Err(CommandError::Failed(_)), _, Some(community)) if is_command => {
            services
                .cache
                .end_cooldown(community.id(), invocation.command(), invocation.author.id)
                .await;
        }
        _ => {}
    }
    result
}

/// Counts the use of a command, once for each interaction, and commits its transaction. The reply does not depend on it, so a
/// failure is only logged.
async fn count_use(in_flight: InFlight<'_>, tx: TenantTx) {
    let InFlight { services, received, .. } = in_flight;
    let counted = async {
        let user = user_id(received.invocation.author.id)?;
        let event = received.labels.event_id.as_str();
        tx.count_once_and_commit(event, user, Activity::Command, services.now())
            .await?;
        Ok::<_, Failure>(())
    };
    if let Err(failure) = counted.await {
        tracing::warn!(%failure, "the use of a command was not counted");
    }
}

/// The server's community with a transaction on its rows, or the refusal that there is none.
async fn open_community(
    in_flight: InFlight<'_>,
    entry: &CommandEntry,
) -> Result<Option<(Community, TenantTx)>, CommandError> {
    let guild = in_flight.received.invocation.guild;
    let scope = in_flight.scope(entry);
    let opened = match (guild, scope) {
        (None, _) => None,
        (Some(guild), CommandScope::Community) => Community::open(in_flight.services, guild).await?,
        (Some(guild), CommandScope::Anywhere) => open_optional_community(in_flight, guild).await,
    };
    match (scope, opened) {
        (_, Some(community)) => Ok(Some(community)),
        (CommandScope::Anywhere, None) => Ok(None),
        (CommandScope::Community, None) => Err(not_onboarded(guild.is_some()).into()),
    }
}

/// For a command that works without a community: a Postgres that is slow or unavailable means that there is none.
async fn open_optional_community(in_flight: InFlight<'_>, guild: Id<GuildMarker>) -> Option<(Community, TenantTx)> {
    let opened = Community::open(in_flight.services, guild);
    match timeout(OPTIONAL_COMMUNITY_LIMIT, opened).await {
        Ok(Ok(community)) => community,
        Ok(Err(failure)) => {
            tracing::warn!(%failure, "running the command without its community: it could not be read");
            None
        }
        Err(_) => {
            tracing::warn!("running the command without its community: Postgres did not respond in time");
            None
        }
    }
}

/// Starts the command's cooldown, or refuses while an earlier one lasts. Components have none.
async fn start_cooldown(
    in_flight: InFlight<'_>,
    entry: &CommandEntry,
    community: Option<&Community>,
) -> Result<(), Refusal> {
    let InFlight { services, received, .. } = in_flight;
    let (InvocationData::Command { name, .. }, Some(community)) = (&received.invocation.data, community) else {
        return Ok(());
    };
    let cooldown = entry.definition.cooldown;
    // A refused command is not retried, and a failed one ended its cooldown, so a retry needs none. Another copy of the message is
    // recognised by the event that started the cooldown.
    if cooldown.is_zero() || received.delivery.attempts() > 0 {
        return Ok(());
    }
    let event = received.labels.event_id.as_str();
    let user = received.invocation.author.id;
    let Some(left) = services
        .start_cooldown(community.id(), name, user, event, cooldown)
        .await
    else {
        return Ok(());
    };
    let seconds = left.as_millis().div_ceil(1000).max(1);
    let unit = if seconds == 1 { "second" } else { "seconds" };
    Err(Refusal::new(
        format!("You have just used `/{name}`."),
        format!("Try again in {seconds} {unit}."),
    ))
}

fn arguments(custom_id: &str) -> Vec<&str> {
    custom_id.split(':').skip(1).collect()
}

fn not_onboarded(in_server: bool) -> Refusal {
    if in_server {
        Refusal::new(
            "This server has not been set up for Arrakis yet.",
            "An admin of the server sets it up by `/onboard`; until then only `/help` works here.",
        )
    } else {
        Refusal::new(
            "This command works in a server.",
            "Run it in a channel of your community's server.",
        )
    }
}
