//! `gaib server snapshot restore`: the state of a snapshot, or the whole server by plan and apply.
//!
//! A restore of a server has a journal from its first change to its end, so that the same command continues after an interruption.
//! Its plan creates and changes; a plan that would delete or replace a resource leaves that resource as it is.

mod journal;
mod members;
mod report;
mod split;

use arrakis_iac::grammar::counted;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::Address;
use arrakis_iac::plan::{self, Action, Finding, Options, Plan};
use arrakis_iac::snapshot::{Restoration, RestoreInputs, restoration};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::{Discord, Reason};
use arrakis_iac_apply::store::StateLock;
use arrakis_iac_apply::unusable_images;
use arrakis_vault::{Action as DeploymentAction, Deployment, Operation, RecordKind};
use time::OffsetDateTime;
use uuid::Uuid;

use self::members::MembersToRestore;
use self::split::SplitLock;
use super::stored::{self, StoredSnapshot};
use crate::arguments::backup::ConfirmedArguments;
use crate::arguments::snapshot::Restore;
use crate::backups::{Backups, CountedUse, version_text};
use crate::commands::apply::refuse_blocked;
use crate::commands::backup::{PresentState, StateRestore, require_whole, restore_message, serial_after_loss};
use crate::commands::execution::Execution;
use crate::commands::{deployment, export, plan as planning};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::guard::Permit;
use crate::ownership::{self, Ownership};
use crate::workspace::release_after;

pub(in crate::commands) use journal::{InterruptedRollback, Journal};

/// Rounds in which a plan is made without what it would delete. One is enough; the second checks.
const ROUNDS: usize = 3;

pub(super) async fn run(context: &Context, arguments: &Restore) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let id = backups.id_of(RecordKind::Snapshot, &arguments.id).await?;
    if !arguments.apply {
        return state_only(context, &backups, id, arguments).await;
    }
    let job = RestoreJob {
        backups,
        snapshot: id,
        rollback: None,
        confirmed: arguments.confirmed.clone(),
        with_members: !arguments.no_members,
    };
    job.run(context).await
}

async fn state_only(context: &Context, backups: &Backups, id: Uuid, arguments: &Restore) -> Result<()> {
    let present = PresentState::read(&backups.workspace).await;
    let read = stored::read(backups, id, &present.expected(backups)).await;
    let (record, snapshot) = read.map_err(|failure| arguments.confirmed.without_restore(failure))?;
    let Some(bytes) = snapshot.state() else {
        return Err(Failure::new(format!(
            "the snapshot {} has no state: the server was not managed",
            record.id
        ))
        .help("add --apply to take the server back to the snapshot"));
    };
    let restore = StateRestore::new(backups, &record, bytes, Operation::SnapshotRestore)?;
    restore.run(context, &present, &arguments.confirmed).await
}

/// A rollback, of which a restore is the main part.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Rollback {
    /// Id of the rollback as a deployment of its own.
    pub(in crate::commands) id: Uuid,
    /// The deployment that is restored.
    pub(in crate::commands) target: Deployment,
    /// The deployment that took the snapshot: the target, or, where the target is a rollback, the deployment that it restored.
    pub(in crate::commands) origin: Deployment,
    /// The author's message.
    pub(in crate::commands) message: Option<String>,
}

impl Rollback {
    /// Refuses a snapshot that is not the one after the deployment: its manifest is signed, and the registry could name another one.
    fn check(&self, stored: &StoredSnapshot) -> Result<()> {
        let origin = &self.origin;
        let serial = stored.state.as_ref().map(|state| state.serial);
        let fits = stored.theme.as_ref() == Some(&origin.theme)
            // A rollback whose target is not in the registry any more has a later serial than the snapshot.
            && (serial == Some(origin.serial) || origin.action == DeploymentAction::Rollback)
            && origin.theme == self.target.theme
            && origin.snapshot == self.target.snapshot
            && stored.record.workspace == origin.workspace;
        if fits {
            return Ok(());
        }
        let theme = stored.theme.as_ref().map_or_else(
            || "no theme".to_owned(),
            |theme| format!("{} {}", theme.name, theme.version),
        );
        let serial = serial.map_or_else(|| "no state".to_owned(), |serial| format!("serial {serial}"));
        Err(Failure::new(format!(
            "{} is not that of the deployment {}: it has {theme} and {serial} in workspace {}, and the deployment {} {} and serial {} in \
             workspace {}; nothing was changed",
            stored.name(),
            origin.id,
            stored.record.workspace,
            origin.theme.name,
            origin.theme.version,
            origin.serial,
            origin.workspace
        ))
        .help(
            "the registry names another snapshot than the one that was taken: find that one by `gaib server snapshot list`, and take \
             the server back by `gaib server snapshot restore ID --apply`",
        ))
    }
}

/// The restore of a server.
#[derive(Debug)]
pub(in crate::commands) struct RestoreJob {
    pub(in crate::commands) backups: Backups,
    /// Id of the snapshot.
    pub(in crate::commands) snapshot: Uuid,
    pub(in crate::commands) rollback: Option<Rollback>,
    pub(in crate::commands) confirmed: ConfirmedArguments,
    /// Whether members get their roles back.
    pub(in crate::commands) with_members: bool,
}

/// What a restore starts from.
struct Inputs {
    journal: Journal,
    stored: StoredSnapshot,
    state: State,
    /// Whether the workspace has a state.
    has_state: bool,
}

/// A restore that is ready to be shown.
struct Prepared {
    stored: StoredSnapshot,
    restoration: Restoration,
    live: LiveServer,
    plan: Plan,
    findings: Vec<Finding>,
    members: MembersToRestore,
    has_state: bool,
}

impl Prepared {
    /// Whether neither a resource nor a member's role differs from the snapshot.
    fn is_empty(&self) -> bool {
        self.plan.steps.is_empty() && self.members.counts(&self.restoration).0 == 0
    }

    /// The numbers of changes, for the question: the plan above it may be long.
    fn extent(&self) -> String {
        let counts = self.plan.counts();
        let (grants, _) = self.members.counts(&self.restoration);
        format!(
            "{} to add, {} to change, {} to give back to members",
            counts.add,
            counts.change,
            counted(grants, "role assignment")
        )
    }
}

impl RestoreJob {
    /// Restores the server under the locks of its workspace and of the server.
    pub(in crate::commands) async fn run(&self, context: &Context) -> Result<()> {
        let operation = match self.rollback {
            Some(_) => "rollback",
            None => "restore",
        };
        let mut guard = self.backups.workspace.lock(context, operation).await?;
        let result = self.under_lock(context, &mut *guard).await;
        release_after(guard, result).await
    }

    async fn under_lock(&self, context: &Context, guard: &mut dyn StateLock) -> Result<()> {
        let (workspace, guild) = (&self.backups.workspace, self.backups.guild);
        let journal = self.journal()?;
        let present = PresentState::read(workspace).await;
        let has_state = present.state().is_some();
        let stored = StoredSnapshot::for_restore(&self.backups, self.snapshot, &present).await;
        let stored = stored.map_err(|failure| self.confirmed.without_restore(failure))?;
        if let Some(rollback) = &self.rollback {
            rollback.check(&stored)?;
        }
        let lineage = stored.state.as_ref().map(|state| state.lineage.as_str());
        let state = require_whole(present, lineage)?;
        if let Some(of) = state.guild_id.filter(|of| *of != guild) {
            return Err(
                Failure::new(format!("the state belongs to server {of}, not to {guild}"))
                    .help("use another workspace for this server"),
            );
        }
        planning::check_ids(&state)?;
        let ownership = ownership::acquire(context, workspace, guild, &state, guard.record()).await?;
        let inputs = Inputs {
            journal,
            stored,
            state,
            has_state,
        };
        let result = Box::pin(self.as_owner(context, guard, &ownership, inputs)).await;
        ownership.unlock(result).await
    }

    /// The journal of this restore, or the one of an interrupted run of it.
    fn journal(&self) -> Result<Journal> {
        let rollback = self.rollback.as_ref().map(|rollback| InterruptedRollback {
            deployment: rollback.id,
            target: rollback.target.id,
        });
        match Journal::read(&self.backups.workspace)? {
            None => Ok(Journal::new(&self.backups.workspace, self.snapshot, rollback)),
            Some(journal) if journal.snapshot() == self.snapshot && journal.rollback() == rollback.as_ref() => {
                Ok(journal)
            }
            Some(journal) => Err(journal.refuses_another()),
        }
    }

    async fn as_owner(
        &self,
        context: &Context,
        guard: &mut dyn StateLock,
        ownership: &Ownership,
        inputs: Inputs,
    ) -> Result<()> {
        let execution = Execution::new(context, self.backups.guild)?;
        let (mut journal, state) = (inputs.journal.clone(), inputs.state.clone());
        let prepared = self.prepare(context, &execution.discord, inputs).await?;
        planning::show(context, &prepared.plan, &prepared.findings);
        report::before(context, &prepared.restoration, &prepared.members);
        if self.confirmed.dry_run {
            context.printer.note("Dry run: nothing was changed.");
            return Ok(());
        }
        if prepared.is_empty() && self.rollback.is_none() && !journal.is_resumed() {
            report::unchanged(context, &prepared.stored);
            return Ok(());
        }
        refuse_blocked(&prepared.plan, &prepared.findings, false)?;
        self.confirm(context, &prepared).await?;
        let counted_use = self.take_use(&mut journal, &state).await?;
        if !journal.is_resumed() {
            let message = restore_message(&prepared.stored.record);
            let kept = self.backups.keep_present(context, &state, &message).await;
            self.backups.checked(&counted_use, kept).await?;
        }
        let working = self
            .apply(context, guard, ownership, &mut journal, &execution, &prepared)
            .await?;
        // The journal has the id of the use until the restore is complete.
        counted_use.end();
        let members = &prepared.members;
        let reason = self.reason();
        let given = members
            .give(context, &execution.discord, &prepared.restoration, &working, &reason)
            .await?;
        self.record(context, working.serial).await?;
        journal.remove()?;
        report::after(
            context,
            &self.backups,
            &prepared.stored,
            &prepared.restoration,
            &working,
            &given,
        );
        Ok(())
    }

    /// Counts the restore, before its first change. An interrupted one that continues has been counted.
    async fn take_use(&self, journal: &mut Journal, state: &State) -> Result<CountedUse> {
        let operation = Operation::SnapshotRestore;
        if journal.is_resumed() {
            return self.backups.continue_use(operation, journal.use_id()).await;
        }
        let target = format!("{} {}", self.snapshot, version_text(Some(state)));
        let counted_use = self.backups.take_use(operation, &target).await?;
        journal.set_use_id(counted_use.id());
        Ok(counted_use)
    }

    async fn prepare(&self, context: &Context, discord: &Discord, inputs: Inputs) -> Result<Prepared> {
        let Inputs {
            journal,
            stored,
            state,
            has_state,
        } = inputs;
        if journal.is_resumed() {
            context.printer.note(&format!(
                "Continuing the restore of {} that was interrupted.",
                stored.name()
            ));
        }
        let live = export::read_everything(context, discord, self.backups.guild).await?;
        let mut restoration = restoration(&RestoreInputs {
            record: &stored.server,
            recorded_state: stored.state.as_ref(),
            state: &state,
            borrowed: journal.borrowed(),
            live: &live,
            now_ms: OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000,
        });
        let (plan, findings) = self.plan(context, discord, &mut restoration, &live, &stored).await?;
        let record = stored.members.clone().filter(|_| self.with_members);
        let members = MembersToRestore::read(context, discord, self.backups.guild, record).await?;
        Ok(Prepared {
            stored,
            restoration,
            live,
            plan,
            findings,
            members,
            has_state,
        })
    }

    /// Plans the restore. A resource that the plan would delete or replace stays as it is.
    async fn plan(
        &self,
        context: &Context,
        discord: &Discord,
        restoration: &mut Restoration,
        live: &LiveServer,
        stored: &StoredSnapshot,
    ) -> Result<(Plan, Vec<Finding>)> {
        let options = Options {
            drop_missing: true,
            ..Options::default()
        };
        for _ in 0..ROUNDS {
            let planned = plan::plan(&restoration.configuration, &restoration.state, live, &options);
            let mut plan = planned.map_err(|error| planning::plan_failure(&error))?;
            let lost: Vec<Address> = plan
                .changes
                .iter()
                .filter(|change| matches!(change.action, Action::Delete | Action::Replace))
                .map(|change| change.address.clone())
                .collect();
            for address in &lost {
                restoration.leave(
                    address,
                    live,
                    "stays as it is: Discord cannot change it in place, and a restore deletes nothing",
                );
            }
            if lost.is_empty() {
                plan.made_from.workspace = self.backups.workspace.name.as_str().to_owned();
                let mut findings = plan::preflight(&plan, live, &restoration.state);
                findings.extend(unusable_images(&plan, &stored.files));
                findings.extend(planning::absent_members(context, discord, &plan).await?);
                return Ok((plan, findings));
            }
        }
        Err(Failure::new(
            "nothing was changed: every plan of this restore deletes a resource, and a restore deletes nothing",
        )
        .help("complete an interrupted apply first (`gaib server apply`), then restore again"))
    }

    async fn confirm(&self, context: &Context, prepared: &Prepared) -> Result<()> {
        if self.confirmed.auto_approve || prepared.is_empty() {
            return Ok(());
        }
        let what = match &self.rollback {
            Some(rollback) => format!(
                "roll server {} back to the deployment {} {}",
                self.backups.guild,
                rollback.target.id,
                deployment::described(&rollback.target)
            ),
            None => format!("restore server {} to {}", self.backups.guild, prepared.stored.name()),
        };
        let question = format!("Do you want to {what}: {}? Nothing is deleted.", prepared.extent());
        let alternative = "add --auto-approve (-f) to skip the confirmation";
        context.prompt.confirm(&question, alternative).await
    }

    /// Executes the plan. Returns the working state after it.
    async fn apply(
        &self,
        context: &Context,
        guard: &mut dyn StateLock,
        ownership: &Ownership,
        journal: &mut Journal,
        execution: &Execution,
        prepared: &Prepared,
    ) -> Result<State> {
        let workspace = &self.backups.workspace;
        let mut working = prepared.restoration.state.clone();
        if let (false, Some(recorded)) = (prepared.has_state, &prepared.stored.state) {
            working.serial = serial_after_loss(&self.backups, &prepared.stored.record, recorded).await?;
        }
        let mut lock = SplitLock::new(guard, &prepared.restoration, journal, prepared.has_state);
        lock.write(&working.advance()).await?;
        let managed = prepared.restoration.split(&working).managed;
        if !managed.is_empty() {
            ownership.write_marker(context, workspace, &managed).await?;
        }
        execution
            .run(
                context,
                // A restore deletes nothing.
                (&prepared.plan, &Permit::without_deletions()),
                &prepared.live,
                &mut working,
                &mut lock,
                &prepared.stored.files,
            )
            .await?;
        let managed = prepared.restoration.split(&working).managed;
        ownership.remove_marker_if_empty(context, &managed).await?;
        Ok(working)
    }

    /// The reason of role grants in the audit log.
    fn reason(&self) -> Reason {
        Reason::new(&format!("gaib restore of snapshot {}", self.snapshot))
    }

    /// Records a rollback in the theme registry.
    async fn record(&self, context: &Context, serial: u64) -> Result<()> {
        let Some(rollback) = &self.rollback else {
            return Ok(());
        };
        let deployment = Deployment {
            id: rollback.id,
            time: OffsetDateTime::now_utc(),
            workspace: self.backups.workspace.name.as_str().to_owned(),
            theme: rollback.target.theme.clone(),
            serial,
            action: DeploymentAction::Rollback,
            snapshot_before: None,
            snapshot: Some(self.snapshot),
            restored: Some(rollback.target.id),
            message: rollback.message.clone(),
            signature: None,
        };
        self.backups
            .vault
            .record_deployment(self.backups.server(), &deployment)
            .await?;
        deployment::report(context, &deployment);
        context.printer.note(&format!(
            "Recorded the rollback to {} {} in the theme registry, as {}.",
            deployment.theme.name, deployment.theme.version, deployment.id
        ));
        Ok(())
    }
}
