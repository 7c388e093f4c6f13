//! Deployments of themes: what an apply and a destroy record in the theme registry, with their snapshots.
//!
//! A deployment that has begun is a file of the workspace until it is recorded. So the next apply completes the record of an
//! interrupted one, and keeps the snapshot from before its first change.

use std::path::PathBuf;

use arrakis_iac::model::Snowflake;
use arrakis_iac::plan::{Mode, Plan, Step};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::Discord;
use arrakis_vault::{Action, BackupRecord, Deployment, Operation, ThemeVersion};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::backup::one_line;
use super::snapshot::{Capture, NewCapture};
use crate::backups::{Backups, CountedUse, finished_text, record_message, time_text, version_text};
use crate::context::Context;
use crate::error::{Failure, OrFail as _, Result};
use crate::files;
use crate::printer::Severity;
use crate::uses::KeptId;
use crate::workspace::Workspace;

const VERSION: u32 = 1;

/// A deployment that has begun and is not recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    version: u32,
    id: Uuid,
    /// Whether the server is destroyed.
    destroys: bool,
    /// `None` without a theme: then only the snapshots are kept.
    theme: Option<ThemeVersion>,
    /// The snapshot before the first change.
    snapshot_before: Option<Uuid>,
    /// Whether a snapshot is kept after the last change.
    keeps_snapshot: bool,
    message: Option<String>,
}

impl Begun {
    /// A deployment that continues an interrupted one, where there is one: with its id and its first snapshot.
    fn new(destroys: bool, theme: Option<ThemeVersion>, options: &DeploymentOptions, earlier: Option<&Self>) -> Self {
        let message = earlier.and_then(|earlier| earlier.message.clone());
        Self {
            version: VERSION,
            id: earlier.map_or_else(Uuid::new_v4, |earlier| earlier.id),
            destroys,
            theme,
            snapshot_before: earlier.and_then(|earlier| earlier.snapshot_before),
            keeps_snapshot: options.snapshot || earlier.is_some_and(|earlier| earlier.keeps_snapshot),
            message: options.message.clone().or(message),
        }
    }
}

/// What the command line requests.
#[derive(Clone, Debug, Default)]
pub(super) struct DeploymentOptions {
    /// Whether snapshots are kept.
    pub(super) snapshot: bool,
    /// The author's message.
    pub(super) message: Option<String>,
}

/// The workspace and the server of a deployment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deployed<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) guild: Snowflake,
    pub(super) discord: &'a Discord,
}

impl Deployed<'_> {
    async fn backups(&self, context: &Context) -> Result<Backups> {
        Backups::of(context, self.workspace, self.guild).await
    }
}

/// A deployment in progress.
#[derive(Debug)]
pub(super) struct DeploymentInProgress<'a> {
    deployed: Deployed<'a>,
    path: PathBuf,
    begun: Begun,
}

impl<'a> DeploymentInProgress<'a> {
    /// Begins a deployment before the first change: keeps a snapshot, where it is requested. `None` for a plan that does not change the
    /// server, and for one without a theme of which no snapshot is requested.
    pub(super) async fn begin(
        context: &Context,
        deployed: Deployed<'a>,
        plan: &Plan,
        state: &State,
        options: &DeploymentOptions,
    ) -> Result<Option<Self>> {
        if plan.mode == Mode::RefreshOnly {
            return Ok(None);
        }
        if !changes_server(plan) {
            // One that was interrupted after its last change is completed.
            let interrupted = Self::interrupted(deployed)?;
            note_without_snapshot(context, options, interrupted.as_ref());
            return Ok(interrupted);
        }
        let path = path(deployed.workspace);
        let earlier = read(&path)?;
        let destroys = plan.mode == Mode::Destroy;
        let theme = match &plan.theme {
            Some(theme) => Some(ThemeVersion {
                name: theme.id.clone(),
                version: theme.version.clone(),
            }),
            None if destroys => current_theme(context, deployed).await,
            None => None,
        };
        if theme.is_none() && !options.snapshot && earlier.is_none() {
            return Ok(None);
        }
        let mut begun = Begun::new(destroys, theme, options, earlier.as_ref());
        let mut kept = None;
        if options.snapshot && begun.snapshot_before.is_none() {
            let before = keep_before(context, deployed, &begun, state).await?;
            begun.snapshot_before = Some(before.record.id);
            kept = Some(before);
        }
        let deployment = Self { deployed, path, begun };
        deployment.write()?;
        // The file of the deployment has the snapshot, which is kept once.
        if let Some(before) = kept {
            before.counted_use.end();
            if let Some(id) = before.id {
                id.end();
            }
        }
        Ok(Some(deployment))
    }

    /// Continues a deployment that was interrupted after its last change; `None` where there is none.
    pub(super) fn interrupted(deployed: Deployed<'a>) -> Result<Option<Self>> {
        let path = path(deployed.workspace);
        let begun = read(&path)?;
        Ok(begun.map(|begun| Self { deployed, path, begun }))
    }

    /// Keeps the snapshot after the last change, and records the deployment. `state` is the one that was written.
    ///
    /// # Errors
    /// When a requested snapshot cannot be kept. A deployment that cannot be recorded is a warning: the next apply records it.
    pub(super) async fn complete(self, context: &Context, state: &State) -> Result<()> {
        let recorded = self.record(context, state).await;
        let Err(failure) = recorded else {
            return remove(&self.path);
        };
        let summary = format!(
            "the server is changed, and its deployment is not recorded yet: {}",
            failure.summary()
        );
        let help = failure.what_to_do().map(|help| format!("{help}; ")).unwrap_or_default();
        let help = format!("{help}the next apply records it");
        if self.begun.keeps_snapshot {
            return Err(Failure::new(summary).help(help));
        }
        context.printer.diagnostic(Severity::Warning, &summary, Some(&help));
        Ok(())
    }

    async fn record(&self, context: &Context, state: &State) -> Result<()> {
        let (deployed, begun) = (self.deployed, &self.begun);
        let backups = deployed.backups(context).await?;
        let snapshot = match begun.keeps_snapshot {
            // An interrupted run may have kept it: it has the id that follows from the deployment.
            true => {
                let id = Uuid::new_v5(&begun.id, format!("after {}", version_text(Some(state))).as_bytes());
                Some(keep(context, &backups, deployed, begun, state, ("after", id)).await?.id)
            }
            false => None,
        };
        let Some(theme) = begun.theme.clone() else {
            return Ok(());
        };
        let deployment = Deployment {
            id: begun.id,
            time: OffsetDateTime::now_utc(),
            workspace: deployed.workspace.name.as_str().to_owned(),
            theme,
            serial: state.serial,
            // A destroy of some targets leaves the theme deployed.
            action: match begun.destroys && state.is_empty() {
                true => Action::Destroy,
                false => Action::Apply,
            },
            snapshot_before: begun.snapshot_before,
            snapshot,
            restored: None,
            message: begun.message.clone(),
            signature: None,
        };
        backups.vault.record_deployment(backups.server(), &deployment).await?;
        report(context, &deployment);
        Ok(())
    }

    fn write(&self) -> Result<()> {
        let bytes = serde_json::to_vec(&self.begun).or_fail("write the record of the deployment")?;
        files::write_own(&self.path, &bytes)
    }
}

/// Checks that the store of a requested snapshot or export can be written, before the server is read.
///
/// # Errors
/// When it cannot.
pub(super) async fn require_writable(context: &Context, workspace: &Workspace, guild: Snowflake) -> Result<()> {
    Backups::of(context, workspace, guild).await?.require_writable().await
}

/// Whether a plan is a deployment: it sends a request that changes the server, or ends the management of what does not exist any more. A step that
/// only updates the state, such as a refresh, is none.
fn changes_server(plan: &Plan) -> bool {
    plan.mode == Mode::Destroy || plan.steps.iter().any(Step::is_request)
}

/// Reports that a requested snapshot is not stored, because nothing on the server changes.
pub(super) fn note_without_snapshot(
    context: &Context,
    options: &DeploymentOptions,
    interrupted: Option<&DeploymentInProgress<'_>>,
) {
    if options.snapshot && interrupted.is_none() {
        context.printer.note(
            "No snapshot was stored, since nothing on the server changes; `gaib server snapshot create` stores one.",
        );
    }
}

/// The theme that a destroy removes: that of the newest deployment.
async fn current_theme(context: &Context, deployed: Deployed<'_>) -> Option<ThemeVersion> {
    match read_current_theme(context, deployed).await {
        Ok(theme) => theme,
        Err(failure) => {
            let summary = format!(
                "the theme registry cannot be read, so the destroy is not recorded: {}",
                failure.summary()
            );
            context
                .printer
                .diagnostic(Severity::Warning, &summary, failure.what_to_do());
            None
        }
    }
}

async fn read_current_theme(context: &Context, deployed: Deployed<'_>) -> Result<Option<ThemeVersion>> {
    let backups = deployed.backups(context).await?;
    let registry = backups.vault.theme_registry(backups.server()).await?;
    Ok(registry.current().map(|current| current.theme.clone()))
}

/// Message of the deployment of a teardown.
const TEARDOWN: &str = "teardown";

/// Records a teardown as a destroy of the theme that the server has, if any. `before` is the snapshot from before the deletions. A teardown
/// that is continued after its record has no theme left to destroy. One that cannot be recorded is a warning: the server is empty.
pub(super) async fn record_teardown(context: &Context, deployed: Deployed<'_>, serial: u64, before: Option<Uuid>) {
    if let Err(failure) = try_record_teardown(context, deployed, serial, before).await {
        let summary = format!(
            "the server is empty, and the theme registry does not have it: {}",
            failure.summary()
        );
        context
            .printer
            .diagnostic(Severity::Warning, &summary, failure.what_to_do());
    }
}

async fn try_record_teardown(
    context: &Context,
    deployed: Deployed<'_>,
    serial: u64,
    before: Option<Uuid>,
) -> Result<()> {
    let backups = deployed.backups(context).await?;
    let registry = backups.vault.theme_registry(backups.server()).await?;
    let Some(current) = registry.current() else {
        return Ok(());
    };
    let deployment = Deployment {
        id: Uuid::new_v4(),
        time: OffsetDateTime::now_utc(),
        workspace: deployed.workspace.name.as_str().to_owned(),
        theme: current.theme.clone(),
        serial,
        action: Action::Destroy,
        snapshot_before: before,
        snapshot: None,
        restored: None,
        message: Some(TEARDOWN.to_owned()),
        signature: None,
    };
    backups.vault.record_deployment(backups.server(), &deployment).await?;
    report(context, &deployment);
    context.printer.note(&format!(
        "Recorded the teardown in the theme registry, as {}: the server has no theme.",
        deployment.id
    ));
    Ok(())
}

/// The snapshot before the first change.
#[derive(Debug)]
struct SnapshotBefore {
    record: BackupRecord,
    counted_use: CountedUse,
    /// From which its id follows, where that is not the id of its use. Both are kept until the deployment is written: else a run that is killed
    /// before leaves a snapshot of no deployment.
    id: Option<KeptId>,
}

/// Keeps the snapshot before the first change, which is counted with the one after the last.
async fn keep_before(
    context: &Context,
    deployed: Deployed<'_>,
    begun: &Begun,
    state: &State,
) -> Result<SnapshotBefore> {
    let backups = deployed.backups(context).await?;
    backups.recover(context).await?;
    let target = format!("before {}", version_text(Some(state)));
    let counted_use = backups.take_use(Operation::Snapshot, &target).await?;
    let (kept_id, id) = match backups.is_local {
        true => {
            let (kept, id) = backups.snapshot_id("snapshot-before", &target).await?;
            (Some(kept), id)
        }
        false => (None, counted_use.id()),
    };
    let kept = keep(context, &backups, deployed, begun, state, ("before", id)).await;
    let record = backups.checked(&counted_use, kept).await?;
    Ok(SnapshotBefore {
        record,
        counted_use,
        id: kept_id,
    })
}

/// Keeps a snapshot before or after a deployment, with this id.
async fn keep(
    context: &Context,
    backups: &Backups,
    deployed: Deployed<'_>,
    begun: &Begun,
    state: &State,
    (when, id): (&str, Uuid),
) -> Result<BackupRecord> {
    let what = match &begun.theme {
        Some(theme) => format!("{when} the deployment of {} {}", theme.name, theme.version),
        None => format!("{when} an apply"),
    };
    // The message of the author names the deployment in the list of snapshots, too.
    let message = match (&begun.message, &begun.theme) {
        (Some(message), Some(theme)) => format!("{when} {} {}: {message}", theme.name, theme.version),
        (Some(message), None) => format!("{what}: {message}"),
        (None, _) => what.clone(),
    };
    let state = Some(state).filter(|state| state.serial > 0 || !state.is_empty());
    let new = NewCapture {
        id: Some(id),
        state,
        theme: begun.theme.as_ref(),
        message: Some(&message),
    };
    let capture = Capture::read(context, deployed.discord, backups.guild, state).await?;
    let created = capture.store(context, backups, new).await?;
    let record = created.record;
    let mut message = record_message(&record);
    message["when"] = when.into();
    context.printer.message(&message);
    context.printer.note(&match created.is_finished {
        true => format!("{}, {what}: the server has not changed since.", finished_text(&record)),
        false => format!("Created snapshot {} {what}.", record.id),
    });
    Ok(record)
}

/// Reports a recorded deployment.
pub(super) fn report(context: &Context, deployment: &Deployment) {
    context.printer.message(&deployment_message(deployment, true));
}

/// Longest message of a deployment in a sentence, in characters.
const LONGEST_MESSAGE: usize = 60;

/// A deployment in questions and advice: its theme, its time and its message.
pub(super) fn described(deployment: &Deployment) -> String {
    let message = deployment
        .message
        .as_deref()
        .map(|message| one_line(message, LONGEST_MESSAGE));
    format!(
        "of {} {} ({}{})",
        deployment.theme.name,
        deployment.theme.version,
        time_text(deployment.time),
        message.map(|message| format!(", \"{message}\"")).unwrap_or_default()
    )
}

/// A deployment as a message of `--json`.
pub(super) fn deployment_message(deployment: &Deployment, is_current: bool) -> serde_json::Value {
    let mut message = json!(deployment);
    message["type"] = "deployment".into();
    if let Some(fields) = message.as_object_mut() {
        fields.remove("signature");
    }
    message["current"] = is_current.into();
    message
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.store_path(format!("workspaces/{}/deployment.json", workspace.name))
}

/// The deployment that was interrupted; `None` where there is none.
fn read(path: &std::path::Path) -> Result<Option<Begun>> {
    let bytes = match files::read_own(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).or_fail(format_args!("read {}", path.display())),
    };
    let begun: Result<Begun, String> = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
    let begun = begun.and_then(|begun: Begun| match begun.version {
        VERSION => Ok(begun),
        version => Err(format!(
            "it has version {version}, and this gaib reads version {VERSION}"
        )),
    });
    let begun = begun.map_err(|reason| {
        Failure::new(format!(
            "the record of an interrupted deployment, {}, cannot be read: {reason}",
            path.display()
        ))
        .help("use a newer gaib; or delete the file: the interrupted deployment is then not recorded")
    })?;
    Ok(Some(begun))
}

fn remove(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).or_fail(format_args!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
