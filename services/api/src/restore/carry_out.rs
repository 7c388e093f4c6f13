//! The writes and the jobs of a restore, within the caller's transaction.

use arrakis_contracts::JobKind;
use arrakis_contracts::job::{repair_before_tier_sync, tier_sync_of_community};
use arrakis_db::{NewJob, RuleChangeEnd, StateHold, StateHolder, TenantTx, UserId};
use arrakis_iac::model::{Address, Kind};
use arrakis_iac::state::{State, StateEntry};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::plan::{PostPlan, RestorePlan};
use super::{PresentServer, RestoreInputs};
use crate::jobs::StoredJob;
use crate::problem::{Problem, ProblemKind};

/// How long the state of the server is held. The transaction ends before.
const STATE_HELD: Duration = Duration::MINUTE;
/// When the tier sync runs, even if the synthesis that precedes it has not made it due.
const AFTER_SYNTHESIS: Duration = Duration::minutes(15);

/// A request for a restore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoreRequest<'a> {
    /// Its id, which the caller chose.
    pub(crate) id: Uuid,
    /// Who requests it.
    pub(crate) by: &'a str,
    /// The present time.
    pub(crate) now: OffsetDateTime,
}

/// What a restore did.
#[derive(Debug)]
pub(crate) struct Done {
    /// Whether a freeze that a teardown had begun was ended.
    pub(crate) unfrozen: bool,
    /// Jobs to be published after the commit.
    pub(crate) jobs: Vec<StoredJob>,
}

/// Makes the planned configuration the present one, and stores the jobs that change the members' roles.
///
/// # Errors
/// When PostgreSQL is unavailable; [`ProblemKind::ServerBusy`] while a job changes the server. The caller then rolls back.
pub(crate) async fn carry_out(
    tx: &mut TenantTx,
    inputs: &RestoreInputs<'_>,
    planned: &RestorePlan,
    request: &RestoreRequest<'_>,
) -> Result<Done, Problem> {
    set_evaluation(tx, inputs, planned).await?;
    set_gates(tx, inputs, planned).await?;
    tx.replace_role_bindings(&planned.bindings).await?;
    if inputs.record.welcome_channel != planned.welcome_channel {
        tx.communities().set_welcome_channel(planned.welcome_channel).await?;
    }
    for post in &planned.posts {
        set_post(tx, *post).await?;
    }
    if let Some(manifest) = &planned.manifest {
        tx.manifests().put(manifest, request.by).await?;
    }
    forget_deleted(tx, inputs.server, request).await?;
    let unfrozen = inputs.record.is_frozen_by_teardown();
    if unfrozen {
        tx.communities().set_frozen(None).await?;
    }
    let jobs = store_jobs(tx, inputs, planned, request).await?;
    Ok(Done { unfrozen, jobs })
}

/// What members are evaluated by: the token profile, the theme, the rule set and the role policy.
async fn set_evaluation(tx: &mut TenantTx, inputs: &RestoreInputs<'_>, planned: &RestorePlan) -> Result<(), Problem> {
    let (record, wanted) = (inputs.record, inputs.wanted);
    if inputs.stored_token.is_none() {
        tx.eligibility().put_token_profile(&wanted.token_profile).await?;
    }
    if record.token_profile != wanted.token_profile.id {
        tx.communities().set_token_profile(&wanted.token_profile.id).await?;
    }
    let changes_theme = record.theme != wanted.theme;
    let changes_rules = changes_theme || record.rule_set != planned.rule_set;
    match &inputs.wanted_theme {
        Some(theme) if changes_theme => {
            let mut communities = tx.communities();
            communities.set_theme(&theme.id, theme.plan, &planned.rule_set).await?;
        }
        _ if changes_rules => tx.communities().set_rule_set(&planned.rule_set).await?,
        _ => {}
    }
    if changes_rules && let Some(pending) = tx.rule_changes().pending().await? {
        tx.rule_changes().end(pending.id, RuleChangeEnd::Cancelled).await?;
    }
    if record.tier_roles != planned.tier_roles {
        tx.communities().set_tier_roles(planned.tier_roles).await?;
    }
    Ok(())
}

async fn set_gates(tx: &mut TenantTx, inputs: &RestoreInputs<'_>, planned: &RestorePlan) -> Result<(), Problem> {
    for gate in &inputs.present.gates {
        if !planned.gates.iter().any(|wanted| wanted.key == gate.key) {
            tx.feature_gates().remove(&gate.key).await?;
        }
    }
    for gate in &planned.gates {
        let by = UserId::new(gate.set_by).map_err(|why| Problem::internal(format!("a stored gate: {why}")))?;
        tx.feature_gates().set(&gate.key, &gate.tier, by).await?;
    }
    Ok(())
}

/// Switches a post on or off. In another channel it begins with a new message.
async fn set_post(tx: &mut TenantTx, wanted: PostPlan) -> Result<(), Problem> {
    let mut posts = tx.posts();
    let stored = posts.get(wanted.kind).await?;
    if stored.enabled != wanted.enabled {
        posts.set_enabled(wanted.kind, wanted.enabled).await?;
    }
    if wanted.channel.is_some() && stored.channel != wanted.channel {
        posts.end_attempt(wanted.kind, stored.attempt).await?;
        let mut post = stored;
        post.channel = wanted.channel;
        post.message = None;
        post.content_hash = None;
        posts.put(wanted.kind, &post).await?;
    }
    Ok(())
}

/// Removes roles and channels that do not exist any more from the state of the server. A synthesis takes over the ones of the same name only
/// where the state has none; it would create each of them a second time.
async fn forget_deleted(
    tx: &mut TenantTx,
    server: &PresentServer,
    request: &RestoreRequest<'_>,
) -> Result<(), Problem> {
    let Some(stored) = tx.server_state().get().await? else {
        return Ok(());
    };
    let unreadable = |why: String| Problem::internal(format!("the state of the server cannot be read: {why}"));
    let state = State::from_bytes(stored.to_string().as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    if deleted(&state, server).is_empty() {
        return Ok(());
    }
    let job = format!("restore:{}", request.id);
    let holder = StateHolder { job: &job, attempt: 1 };
    let until = request.now + STATE_HELD;
    let StateHold::Held(Some(stored)) = tx.server_state().hold(holder, request.now, until).await? else {
        let detail = "a job changes the server at the moment; nothing was changed, repeat the request in a few minutes";
        return Err(Problem::new(ProblemKind::ServerBusy, detail));
    };
    // Read again: a job may have written it before the hold.
    let mut state = State::from_bytes(stored.to_string().as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    for address in deleted(&state, server) {
        state.delete(&address);
    }
    let written = state.advance();
    let written: Value = serde_json::from_slice(&written).map_err(|error| unreadable(error.to_string()))?;
    tx.server_state().write(holder, &written, until).await?;
    tx.server_state().release(holder).await?;
    Ok(())
}

/// Addresses of the roles and channels of a state that the server does not have.
fn deleted(state: &State, server: &PresentServer) -> Vec<Address> {
    let exists = |address: &Address, entry: &StateEntry| match address.kind() {
        Kind::Role => server.has_role(entry.id.get()),
        Kind::Category | Kind::Channel => server.has_channel(entry.id.get()),
        _ => true,
    };
    let resources = state.resources.iter();
    resources
        .filter(|(address, entry)| !exists(address, entry))
        .map(|(address, _)| address.clone())
        .collect()
}

/// Stores the tier sync of all members and, where roles are missing, the synthesis that creates and binds them first. Returns those that are
/// due.
async fn store_jobs(
    tx: &mut TenantTx,
    inputs: &RestoreInputs<'_>,
    planned: &RestorePlan,
    request: &RestoreRequest<'_>,
) -> Result<Vec<StoredJob>, Problem> {
    let tier_sync = format!("{}:restore:{}", JobKind::TierSync, request.id);
    let wait = if planned.needs_synthesis {
        AFTER_SYNTHESIS
    } else {
        Duration::ZERO
    };
    let new = NewJob {
        id: &tier_sync,
        kind: JobKind::TierSync.name(),
        payload: tier_sync_of_community(planned.retired.iter().map(|(key, role)| (key, role.0))),
        due_at: request.now + wait,
    };
    tx.jobs().enqueue(&new).await?;
    let stored = |id: String, kind| StoredJob {
        id,
        kind,
        community: Some(inputs.record.id),
    };
    if !planned.needs_synthesis {
        return Ok(vec![stored(tier_sync, JobKind::TierSync)]);
    }
    let synthesis = format!("{}:restore:{}", JobKind::Synthesis, request.id);
    let new = NewJob {
        id: &synthesis,
        kind: JobKind::Synthesis.name(),
        payload: repair_before_tier_sync(&tier_sync),
        due_at: request.now,
    };
    tx.jobs().enqueue(&new).await?;
    Ok(vec![stored(synthesis, JobKind::Synthesis)])
}
