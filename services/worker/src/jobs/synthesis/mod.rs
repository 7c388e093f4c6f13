//! The job `synthesis`: brings a server to the manifest of its community: roles, categories, channels, by the engine of `gaib`.
//!
//! | file | what |
//! |---|---|
//! | `bindings.rs` | the bindings of roles behind an apply, and the jobs that follow |
//! | `end.rs` | what an admin sees of the end, and the end of the wizard |
//!
//! Running it twice, or two at once, is safe. One attempt holds the state of the server; a further one takes it over, and the earlier one
//! ends before its next creation, since each creation and each step is written to the state first. A creation without a response is in
//! the state: the next attempt searches the server for its result before it creates anything. Updates, overwrites and moves are
//! idempotent at Discord, and a second plan of an applied manifest has no steps. The bindings and the tier sync follow from the state.
//!
//! At most five run at once, in all workers; the others wait with progress. A frozen community's job is postponed before it starts. A
//! freeze in the middle refuses the next change: the attempt fails, and the retry is postponed.

mod bindings;
mod end;

use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::JobKind;
use arrakis_contracts::proxy::Urgency;
use arrakis_db::{StateHold, StateHolder};
use arrakis_iac::live::LiveServer;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::StateLock as _;
use arrakis_iac_apply::{Executor, ImageFolder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{JobHandler, JobRequest, JobRun};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::render::synthesis as render;
use crate::synthesis::{
    HOLD, Manifest, PlannedServer, Purpose, ReplyEdit, ReplyHandle, ServerClient, StepCounter, StoredState,
    apply_failure, connect, plan_server,
};

/// Jobs of this kind that one worker runs at once. All workers together run as many as there are slots (migration 0031).
pub(crate) const AT_ONCE: u16 = 5;
/// Interval at which a job looks for a free slot.
const ADMISSION_INTERVAL: Duration = Duration::from_millis(500);
/// Interval of the heartbeat, which stores the progress and extends the hold of state and slot.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Least time between two edits of the reply that shows the progress.
const EDIT_INTERVAL: Duration = Duration::from_secs(3);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    purpose: Purpose,
    /// Id of the tier sync that waits for this job.
    tier_sync: Option<String>,
}

/// What an attempt has done.
#[derive(Debug)]
struct AppliedServer {
    /// Number of steps.
    steps: usize,
    /// What Discord would refuse, and was therefore left out.
    left_out: Vec<String>,
}

/// The handler of `synthesis`.
#[derive(Debug)]
pub struct Synthesis;

/// A job that brings a server to the manifest in force, to enqueue.
pub fn request(id: String, purpose: Purpose) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::Synthesis,
        payload: json!({"purpose": purpose}),
    }
}

/// The same after a change of the theme: at its end it makes this tier sync due, which needs the bindings of the new roles.
pub(crate) fn request_before(id: String, purpose: Purpose, tier_sync: &str) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::Synthesis,
        payload: json!({"purpose": purpose, "tier_sync": tier_sync}),
    }
}

/// Id of the job of the wizard's session. The same session has the same job, however often it is deployed.
pub fn deploy_id(session: uuid::Uuid) -> String {
    format!("synthesis:deploy:{session}")
}

/// The wizard's session of a deploy, or of a copy of one that an operator replayed.
fn session_of(job: &str) -> Option<uuid::Uuid> {
    let session = job.strip_prefix("synthesis:deploy:")?;
    session.split('~').next()?.parse().ok()
}

impl JobHandler for Synthesis {
    fn kind(&self) -> JobKind {
        JobKind::Synthesis
    }

    fn waits_while_frozen(&self, _: &Value) -> bool {
        true
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        let payload = Payload::read(run.payload)?;
        let reply = ReplyHandle::new(run.services, run.community.id(), run.id);
        let result = Box::pin(run_admitted(run, &payload, reply)).await;
        run.services
            .metrics
            .synthesis
            .with_label_values(&[payload.purpose.name(), outcome(&result)])
            .inc();
        end::succeeded(run, &payload, &result?).await
    }

    async fn failed(&self, run: &JobRun<'_>, error: &str) -> Result<(), Failure> {
        end::failed(run, &Payload::read(run.payload)?, error).await
    }
}

impl Payload {
    fn read(payload: &Value) -> Result<Self, Failure> {
        Self::deserialize(payload)
            .map_err(|error| Failure::permanent(format!("invalid payload of a synthesis: {error}")))
    }
}

fn outcome(result: &Result<AppliedServer, Failure>) -> &'static str {
    result.as_ref().map_or_else(Failure::class, |_| "ok")
}

/// Waits for the state and a slot, applies, and gives both back.
async fn run_admitted(run: &JobRun<'_>, payload: &Payload, reply: ReplyHandle<'_>) -> Result<AppliedServer, Failure> {
    let state = wait_for_admission(run).await?;
    let result = match manifest_in_force(run).await {
        Ok(manifest) => Box::pin(apply(run, &manifest, payload, state.as_ref(), reply)).await,
        Err(failure) => Err(failure),
    };
    if let Err(error) = leave(run).await {
        tracing::warn!(%error, "the slot and the state are free when their time has passed");
    }
    result
}

/// The manifest to apply. It is read while this attempt holds the state: one that was read before the wait may have been replaced, and another
/// job may have applied its successor.
async fn manifest_in_force(run: &JobRun<'_>) -> Result<Manifest, Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let manifest = tx.manifests().latest().await?;
    tx.commit().await?;
    let missing = || Failure::drop("the community has no manifest: its server is not managed");
    Manifest::read(&manifest.ok_or_else(missing)?.manifest)
}

fn holder<'a>(run: &'a JobRun<'_>) -> StateHolder<'a> {
    StateHolder {
        job: run.id,
        attempt: run.attempt,
    }
}

/// The holder of a slot: the same for all attempts of a job.
fn slot_holder(run: &JobRun<'_>) -> String {
    format!("{}:{}", run.community.id(), run.id)
}

/// Waits until this attempt holds the state of the server and a slot; returns the state.
async fn wait_for_admission(run: &JobRun<'_>) -> Result<Option<Value>, Failure> {
    loop {
        // By the clock that all workers share: one whose own clock is ahead would take what others hold.
        let now = run.services.now();
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        let held = tx.server_state().hold(holder(run), now, now + HOLD).await?;
        tx.commit().await?;
        if let StateHold::Held(state) = held {
            let mut tx = run.services.database.global().await?;
            let has_slot = tx.synthesis_slots().take(&slot_holder(run), now, now + HOLD).await?;
            tx.commit().await?;
            if has_slot {
                return Ok(state);
            }
        }
        // Ends this attempt when there is a later one.
        run.progress(0, None).await?;
        tokio::time::sleep(ADMISSION_INTERVAL).await;
    }
}

async fn leave(run: &JobRun<'_>) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let was_holder = tx.server_state().release(holder(run)).await?;
    tx.commit().await?;
    if !was_holder {
        // A later attempt has the state, and the slot with it.
        return Ok(());
    }
    let mut tx = run.services.database.global().await?;
    tx.synthesis_slots().free(&slot_holder(run)).await?;
    tx.commit().await?;
    Ok(())
}

async fn apply(
    run: &JobRun<'_>,
    manifest: &Manifest,
    payload: &Payload,
    state: Option<&Value>,
    reply: ReplyHandle<'_>,
) -> Result<AppliedServer, Failure> {
    let theme = run.services.themes.theme(&manifest.theme).map_err(Failure::permanent)?;
    let counter = Arc::new(StepCounter::default());
    let (guild, community) = (run.community.guild(), run.community.id());
    let client = connect(run.services, guild, Some(community), Urgency::Bulk, counter.clone())?;
    let lineage = community.to_string();
    let planned = plan_server(&client, guild.get(), manifest, theme, state, &lineage).await?;
    planned.check()?;
    let steps = planned.plan.steps.len();
    let left_out: Vec<String> = planned
        .left_out
        .findings
        .iter()
        .map(|finding| finding.what.clone())
        .collect();
    let applied = tokio::select! {
        applied = execute(run, &client, planned) => applied,
        failure = heartbeat(run, &counter, payload.purpose, reply) => Err(failure),
    };
    let (state, live) = match applied {
        Err(_) if client.met_freeze() => {
            return Err(Failure::retry(
                "the community was frozen meanwhile, or the kill switch turned on",
            ));
        }
        applied => applied?,
    };
    let wanted = manifest.bindings(theme, &state, &live);
    let outcome = AppliedServer { steps, left_out };
    bindings::store(run, &wanted, &live, payload, &outcome).await?;
    run.progress(steps, Some(steps)).await?;
    Ok(outcome)
}

/// Carries the plan out; returns the state behind it, and the server before it.
async fn execute(
    run: &JobRun<'_>,
    client: &ServerClient,
    planned: PlannedServer,
) -> Result<(State, LiveServer), Failure> {
    let PlannedServer {
        plan,
        live,
        mut state,
        state_changed,
        left_out,
        ..
    } = planned;
    let mut store = StoredState::new(run.services, run.community.id(), run.id, run.attempt);
    if state_changed {
        let bytes = state.advance();
        store.write(&bytes).await.map_err(Failure::retry)?;
    }
    // The manifest has no images.
    let images = ImageFolder(std::path::PathBuf::new());
    Executor::new(&client.discord, &mut store, &images)
        .run(&plan, &live, &mut state)
        .await
        .map_err(|error| apply_failure(&error))?;
    if left_out.restore(&mut state) {
        let bytes = state.advance();
        store.write(&bytes).await.map_err(Failure::retry)?;
    }
    Ok((state, live))
}

/// Stores the progress and extends the hold, for as long as it is polled. Returns when this attempt must end.
async fn heartbeat(run: &JobRun<'_>, counter: &StepCounter, purpose: Purpose, reply: ReplyHandle<'_>) -> Failure {
    let mut edited: Option<Instant> = None;
    let mut shown = usize::MAX;
    let mut has_reply = true;
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let (done, total) = counter.counts();
        if let Err(failure) = beat(run, done, total).await {
            return failure;
        }
        let is_due = edited.is_none_or(|at| at.elapsed() >= EDIT_INTERVAL);
        if let Some(total) = total
            && has_reply
            && is_due
            && shown != done
            && let Ok(context) = run.community.render_context(run.services)
        {
            let embed = render::progress(&context, purpose, done, total);
            has_reply = reply.edit(&message(embed, Vec::new())).await != ReplyEdit::NoReply;
            (edited, shown) = (Some(Instant::now()), done);
        }
    }
}

async fn beat(run: &JobRun<'_>, done: usize, total: Option<usize>) -> Result<(), Failure> {
    match run.progress(done, total).await {
        Err(Failure::Retry(error)) => {
            // The hold outlives an outage of some seconds.
            tracing::warn!(%error, "the progress of a synthesis was not stored");
            return Ok(());
        }
        stored => stored?,
    }
    match extend(run).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::drop("another attempt holds the state of the server")),
        Err(failure) => {
            tracing::warn!(%failure, "the hold of the state was not extended");
            Ok(())
        }
    }
}

async fn extend(run: &JobRun<'_>) -> Result<bool, Failure> {
    let now = run.services.now();
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let is_holder = tx.server_state().renew(holder(run), now + HOLD).await?;
    tx.commit().await?;
    let mut tx = run.services.database.global().await?;
    tx.synthesis_slots().take(&slot_holder(run), now, now + HOLD).await?;
    tx.commit().await?;
    Ok(is_holder)
}

#[cfg(test)]
mod tests {
    use arrakis_contracts::job::repair_before_tier_sync;

    use super::*;

    #[test]
    fn session_follows_from_the_id_of_its_deploy_and_of_a_copy() {
        let session = uuid::Uuid::from_u128(7);
        let id = deploy_id(session);
        assert_eq!(session_of(&id), Some(session));
        assert_eq!(session_of(&super::super::copy_id(&id)), Some(session));
        assert_eq!(session_of("synthesis:reconcile:x"), None);
    }

    #[test]
    fn payload_is_read_as_it_is_enqueued() {
        for purpose in [Purpose::Deploy, Purpose::Repair] {
            let request = request("synthesis:x".to_owned(), purpose);
            let payload = Payload::read(&request.payload).unwrap();
            assert_eq!((payload.purpose, payload.tier_sync), (purpose, None));
            assert_eq!(request.payload, json!({"purpose": purpose.name()}));
            let before = request_before("synthesis:x".to_owned(), purpose, "tier-sync:y");
            let payload = Payload::read(&before.payload).unwrap();
            assert_eq!(payload.tier_sync.as_deref(), Some("tier-sync:y"));
        }
        // As the api enqueues it after a restore.
        let payload = Payload::deserialize(repair_before_tier_sync("tier-sync:y")).unwrap();
        assert_eq!(payload.purpose, Purpose::Repair);
        assert_eq!(payload.tier_sync.as_deref(), Some("tier-sync:y"));
    }
}
