//! `gaib server theme registry / history`: the deployments of themes to a server.

use arrakis_iac::grammar::counted;
use arrakis_vault::{BackupRecord, Deployment, RecordKind, RegistryRebuild, ThemeRegistry, VaultError};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::theme::{History, Registry};
use crate::backups::{Backups, time_text};
use crate::commands::backup::one_line;
use crate::commands::deployment::deployment_message;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::table::table;

/// Number of deployments that `registry` shows.
const RECENT: usize = 5;
/// Longest message in the table, in characters.
const MESSAGE: usize = 30;

/// The current theme, and the last deployments.
pub(super) async fn show(context: &Context, arguments: &Registry) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let registry = match arguments.rebuild {
        true => match rebuild(context, &backups, arguments).await? {
            Some(registry) => registry,
            None => return Ok(()),
        },
        false => backups.vault.theme_registry(backups.server()).await?,
    };
    let count = counted(registry.deployments.len(), "deployment");
    let guild = backups.guild;
    context.printer.text(&match registry.current() {
        Some(current) => format!(
            "Theme of server {guild}: {} {}, since {} ({count}).\n\n",
            current.theme.name,
            current.theme.version,
            time_text(current.time)
        ),
        None if registry.deployments.is_empty() => String::new(),
        None => format!("Server {guild} has no theme: the last deployment is a destroy ({count}).\n\n"),
    });
    let listed = list(context, &backups, &registry, RECENT).await;
    summarize(context, &registry, listed);
    Ok(())
}

/// Makes the registry again, after its changes were shown and confirmed. `None` in a dry run.
async fn rebuild(context: &Context, backups: &Backups, arguments: &Registry) -> Result<Option<ThemeRegistry>> {
    let (printer, vault) = (context.printer, &backups.vault);
    let rebuild = vault.plan_registry_rebuild(backups.server()).await?;
    warn_of_damaged(context, &rebuild.rebuilt.damaged);
    let count = counted(rebuild.rebuilt.registry.deployments.len(), "deployment");
    if rebuild.is_empty() {
        printer.note(&format!(
            "The theme registry is whole and has {count}, also all that have an audit object. Nothing was changed."
        ));
        return Ok(Some(rebuild.rebuilt.registry));
    }
    let changes = show_changes(context, &rebuild);
    if arguments.dry_run {
        printer.note("Dry run: nothing was changed.");
        return Ok(None);
    }
    if !arguments.auto_approve {
        let question = format!(
            "Do you want to replace the theme registry of server {} by one with {count} ({changes})?",
            backups.guild
        );
        context
            .prompt
            .confirm(&question, "add --auto-approve (-f) to skip the confirmation")
            .await?;
    }
    match vault.complete_registry_rebuild(&rebuild).await {
        Err(VaultError::Store(error)) if error.is_condition_failed() => Err(Failure::new(
            "nothing was changed: another operation changed the theme registry after its changes were shown",
        )
        .help("run the same command again")),
        Err(error) => Err(error.into()),
        Ok(()) => {
            printer.note(&format!("Made the theme registry again, with {count} ({changes})."));
            Ok(Some(rebuild.rebuilt.registry))
        }
    }
}

/// Prints what a rebuild changes: what is wrong with the present registry, and the deployments that are added and removed. Returns
/// their numbers.
fn show_changes(context: &Context, rebuild: &RegistryRebuild) -> String {
    let (former, registry) = (&rebuild.former.deployments, &rebuild.rebuilt.registry.deployments);
    let added: Vec<&Deployment> = registry.iter().filter(|one| !former.contains(one)).collect();
    let removed: Vec<&Deployment> = former.iter().filter(|one| !registry.contains(one)).collect();
    let ids = |deployments: &[&Deployment]| deployments.iter().map(|one| one.id).collect::<Vec<_>>();
    context.printer.message(&json!({
        "type": "registry_rebuild", "damage": rebuild.damage.as_ref().map(VaultError::to_string),
        "deployments": registry.len(), "added": ids(&added), "removed": ids(&removed),
    }));
    let mut text = match &rebuild.damage {
        Some(damage) => format!("{damage}\n\nThe theme registry would be replaced:\n"),
        None => "The theme registry would be changed:\n".to_owned(),
    };
    for (sign, deployments) in [('+', &added), ('-', &removed)] {
        for one in deployments {
            text.push_str(&format!(
                "  {sign} {} {} {} {} ({})\n",
                time_text(one.time),
                one.action.as_str(),
                one.theme.name,
                one.theme.version,
                one.id
            ));
        }
    }
    if added.is_empty() && removed.is_empty() {
        text.push_str("  the deployments stay, sorted by their times\n");
    }
    text.push('\n');
    context.printer.text(&text);
    format!("{} added, {} removed", added.len(), removed.len())
}

/// Warns of the audit objects, and of the deployments of the former registry, that the registry was made without.
fn warn_of_damaged(context: &Context, damaged: &[VaultError]) {
    for error in damaged {
        let is_former = matches!(error, VaultError::Damaged { object, .. } if object.ends_with("/registry.json"));
        let (summary, help) = match is_former {
            true => (
                format!("the former {error}"),
                "this deployment has no audit object that is whole, so the registry was made without it",
            ),
            false => (
                format!("an audit object cannot be used: {error}"),
                "check whether the deployment of that time is listed: it is, where the former registry has it; the object stays as it is, \
                 and can be moved away",
            ),
        };
        context.printer.diagnostic(Severity::Warning, &summary, Some(help));
    }
}

/// All deployments that the plan of the server shows.
pub(super) async fn history(context: &Context, arguments: &History) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let registry = backups.vault.theme_registry(backups.server()).await?;
    let of_plan = backups.vault.theme_history(backups.server()).await?;
    let limit = usize::from(arguments.limit);
    let listed = list(context, &backups, &registry, limit.min(of_plan)).await;
    let total = registry.deployments.len();
    if listed < total {
        context.printer.note(&match listed == of_plan {
            true => format!(
                "The plan of the server shows {listed} of {}.",
                counted(total, "deployment")
            ),
            false => format!("There are {total}; --limit NUMBER lists more."),
        });
    }
    summarize(context, &registry, listed);
    Ok(())
}

/// Prints the newest deployments. Returns how many.
async fn list(context: &Context, backups: &Backups, registry: &ThemeRegistry, limit: usize) -> usize {
    let printer = context.printer;
    if registry.deployments.is_empty() {
        printer.note(&format!(
            "No theme was deployed to server {} yet; an apply of a configuration with a theme is a deployment.",
            backups.guild
        ));
        return 0;
    }
    let current = registry.current().map(|current| current.id);
    let shown: Vec<&Deployment> = registry.history(limit).collect();
    let mut rows = Vec::new();
    for deployment in &shown {
        let snapshot = SnapshotAvailability::of(backups, deployment).await;
        let mut message = deployment_message(deployment, Some(deployment.id) == current);
        message["snapshot_available"] = match snapshot {
            SnapshotAvailability::None => serde_json::Value::Null,
            other => (other == SnapshotAvailability::Kept).into(),
        };
        message["signed"] = deployment.signature.is_some().into();
        printer.message(&message);
        rows.push(row(deployment, snapshot));
    }
    let unsigned = shown.iter().filter(|deployment| deployment.signature.is_none()).count();
    if unsigned > 0 {
        printer.note(&format!(
            "{} without a signature: recorded by an earlier gaib, or the signature was removed.",
            counted(unsigned, "deployment")
        ));
    }
    let heading = ["TIME", "ACTION", "THEME", "SERIAL", "DEPLOYMENT", "SNAPSHOT", "MESSAGE"];
    printer.text(&table(heading, &rows));
    shown.len()
}

/// Whether a rollback to a deployment finds its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SnapshotAvailability {
    /// The deployment was made without one.
    None,
    Kept,
    /// An object is missing, or is not as it was stored.
    Damaged,
    Deleted,
    Expired,
    /// The catalogue cannot be read, or the record is damaged.
    Unreadable,
}

impl SnapshotAvailability {
    async fn of(backups: &Backups, deployment: &Deployment) -> Self {
        let Some(id) = deployment.snapshot else {
            return Self::None;
        };
        let (vault, now) = (&backups.vault, OffsetDateTime::now_utc());
        match vault.find(RecordKind::Snapshot, id, backups.server(), now).await {
            Ok(record) => Self::of_record(backups, record).await,
            Err(VaultError::UnknownId { .. }) => Self::Deleted,
            Err(VaultError::Expired { .. }) => Self::Expired,
            Err(_) => Self::Unreadable,
        }
    }

    /// Of a snapshot that is listed: by an inspection, which does not read its files.
    async fn of_record(backups: &Backups, record: BackupRecord) -> Self {
        let inspected = backups.vault.inspect(backups.server(), &[record]).await;
        match inspected.map(|mut results| results.pop()) {
            Ok(Some(Err(error))) if error.is_damage() => Self::Damaged,
            // A failure of the store is no damage of the snapshot.
            _ => Self::Kept,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Kept => "kept",
            Self::Damaged => "damaged",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Unreadable => "unreadable",
        }
    }
}

fn summarize(context: &Context, registry: &ThemeRegistry, listed: usize) {
    let current = registry.current();
    context.printer.message(&json!({
        "type": "registry_summary", "current": current.map(|current| current.id),
        "theme": current.map(|current| &current.theme.name), "version": current.map(|current| &current.theme.version),
        "listed": listed, "deployments": registry.deployments.len(),
    }));
}

fn row(deployment: &Deployment, snapshot: SnapshotAvailability) -> [String; 7] {
    let theme = &deployment.theme;
    [
        time_text(deployment.time),
        deployment.action.as_str().to_owned(),
        format!("{} {}", theme.name, theme.version),
        deployment.serial.to_string(),
        deployment.id.to_string(),
        snapshot.as_str().to_owned(),
        one_line(deployment.message.as_deref().unwrap_or_default(), MESSAGE),
    ]
}
