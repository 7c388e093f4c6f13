//! `gaib server teardown`: empties a server in four stages, each after a confirmation.
//!
//! | stage | what | file |
//! |---|---|---|
//! | 1 | an export of the whole server, then a snapshot of it in the store of backups | `record.rs` has its path and its digest; `copy.rs` |
//! | 2 | a checkpoint of the community at the platform, which is frozen meanwhile | `checkpoint.rs` |
//! | 3 | deletion of channels, with what belongs to them | `removal.rs` |
//! | 4 | deletion of everything else | `removal.rs` |
//!
//! The deletions are plans of the engine: everything that the server has is added to the state of the workspace first, so a teardown that was
//! killed continues with the same command, and what stays is managed afterwards: an apply of the export in this workspace does not create it a
//! second time. Nothing is deleted that the export does not have. The store of backups has a record of it as well, so that another folder or
//! machine does not take what is left for the whole server (`unfinished.rs`).

mod checkpoint;
mod copy;
mod record;
mod removal;
mod unfinished;

use std::path::{Path, PathBuf};

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Kind, Snowflake};
use arrakis_iac::state::State;
use arrakis_iac_apply::store::StateLock;
use arrakis_iac_apply::{ImageFolder, all_kinds};
use serde_json::json;
use uuid::Uuid;

use self::checkpoint::Checkpointing;
use self::record::Record;
use self::removal::{Kept, Part, Removal};
use crate::arguments::server;
use crate::backups::Backups;
use crate::commands::deployment::{self, Deployed};
use crate::commands::execution::Execution;
use crate::commands::{export, plan as planning, platform};
use crate::connection::{connect_silently, read_live};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::guard::{self, Permit};
use crate::images::ImageNames;
use crate::ownership::{self, Ownership};
use crate::printer::Severity;
use crate::settings::guild_option;
use crate::workspace::{Workspace, release_after, shell_quoted};
use crate::workspace_state;

/// Advice where no answer can be read: nothing replaces the confirmations.
const BY_A_PERSON: &str = "a teardown is confirmed by a person: run it in a terminal, without --json and --input=false; `gaib server teardown --dry-run` \
                           needs no confirmation";

pub(super) async fn run(context: &Context, arguments: &server::Teardown) -> Result<ExitStatus> {
    if !arguments.confirm_teardown && !arguments.dry_run {
        return Err(
            Failure::new("a teardown deletes everything from the server, and --confirm-teardown is not given").help(
                "`gaib server teardown --dry-run` shows what would be deleted; `gaib server teardown --confirm-teardown` deletes it, \
                 after four confirmations",
            ),
        );
    }
    let option = guild_option(&arguments.community.guild)?;
    let name = arguments.community.workspace.workspace.as_deref();
    let workspace = Workspace::open_for_guild(context, name, false, option).await?;
    let state = workspace_state::read_or_empty(context, &workspace).await?;
    let guild = ownership::required_guild(context, &workspace, option, &state).await?;
    let teardown = Teardown {
        context,
        arguments,
        workspace: &workspace,
        guild,
    };
    if arguments.dry_run {
        teardown.preview(state).await?;
        return Ok(ExitStatus::Success);
    }
    let mut guard = workspace.lock(context, "teardown").await?;
    let result = Box::pin(teardown.under_lock(&mut *guard)).await;
    release_after(guard, result).await?;
    Ok(ExitStatus::Success)
}

/// A teardown, without what it changes.
struct Teardown<'a> {
    context: &'a Context,
    arguments: &'a server::Teardown,
    workspace: &'a Workspace,
    guild: Snowflake,
}

/// What changes during a teardown.
struct Progress<'a> {
    guard: &'a mut dyn StateLock,
    ownership: &'a Ownership,
    execution: &'a Execution,
    backups: &'a Backups,
    /// Snapshots of earlier teardowns that were not finished.
    earlier_snapshots: Vec<Uuid>,
    state: State,
    record: Record,
    /// The permission to delete, from the first deletion on.
    permit: Option<Permit>,
    /// What stays, so far.
    kept: Vec<Kept>,
    deleted: usize,
}

impl Teardown<'_> {
    async fn under_lock(&self, guard: &mut dyn StateLock) -> Result<()> {
        let context = self.context;
        let state = workspace_state::read_or_empty(context, self.workspace).await?;
        self.check(&state)?;
        let ownership = ownership::acquire(context, self.workspace, self.guild, &state, guard.record()).await?;
        let result = Box::pin(self.as_owner(guard, &ownership, state)).await;
        ownership.unlock(result).await
    }

    /// All stages, while no other operation changes the server.
    async fn as_owner(&self, guard: &mut dyn StateLock, ownership: &Ownership, mut state: State) -> Result<()> {
        let context = self.context;
        let execution = Execution::new(context, self.guild)?;
        let live = read_live(context, &execution.discord, self.guild, &all_kinds()).await?;
        let record = Record::open(self.folder(), self.guild)?;
        record.check_export()?;
        let backups = Backups::of(context, self.workspace, self.guild).await?;
        let earlier_snapshots = self.earlier_snapshots(&backups, &record).await?;
        removal::adopt_everything(&mut state, &live, &record.addresses());
        // Both deletions are checked before the first stage.
        let removals = removals(&state, &live)?;
        require_exported(&record, &removals)?;
        if !record.is_deleting() && removals.iter().all(|removal| removal.count() == 0) {
            context
                .printer
                .note("The server is empty already, but for what Discord keeps; nothing was changed.");
            return Ok(());
        }
        self.introduce(&live, &removals, &record);
        let mut progress = Progress {
            guard,
            ownership,
            execution: &execution,
            backups: &backups,
            earlier_snapshots,
            state,
            record,
            permit: None,
            kept: Vec::new(),
            deleted: 0,
        };
        self.secure(&mut progress, &live).await?;
        for part in Part::ALL {
            self.delete(part, &mut progress).await?;
        }
        self.finish(&progress).await
    }

    fn check(&self, state: &State) -> Result<()> {
        planning::check_ids(state)?;
        match state.guild_id.filter(|of| *of != self.guild) {
            Some(of) => Err(
                Failure::new(format!("the state belongs to server {of}, not to {}", self.guild))
                    .help("use another workspace for this server"),
            ),
            None => Ok(()),
        }
    }

    /// The folder of exports and records of this server.
    fn folder(&self) -> PathBuf {
        self.workspace.store_path(format!("teardown/{}", self.guild))
    }

    fn introduce(&self, live: &LiveServer, removals: &[Removal], record: &Record) {
        let printer = self.context.printer;
        let (name, guild) = (server_name(live), self.guild);
        if record.is_deleting() {
            printer.note(&format!("Continuing the interrupted teardown of server {guild}."));
        }
        let deleted: Vec<String> = removals.iter().map(Removal::described).collect();
        let deleted: Vec<String> = deleted.into_iter().filter(|counts| !counts.is_empty()).collect();
        let deleted = match deleted.is_empty() {
            true => "nothing".to_owned(),
            false => deleted.join(", "),
        };
        printer.note(&format!(
            "Teardown of server \"{name}\" ({guild}), in four stages: export, checkpoint, channels, everything else. To be deleted: {deleted}."
        ));
    }

    /// The first two stages: what the server is recovered from. An interrupted teardown that was deleting has them already.
    async fn secure(&self, progress: &mut Progress<'_>, live: &LiveServer) -> Result<()> {
        let record = &mut progress.record;
        let has_export = record.is_deleting() && record.export().is_some();
        let checkpointing = match has_checkpoint(record) {
            true => None,
            // Before the first question: without it the teardown is refused.
            false => Some(Checkpointing::find(self.context, self.arguments, self.guild).await?),
        };
        if !has_export {
            let backups = progress.backups;
            backups.require_writable().await?;
            let path = record.new_export(&export::timestamp());
            let question = format!("export the server to {}, and store a snapshot of it?", path.display());
            self.confirm(1, &question, "yes", record).await?;
            self.export(record, &progress.state, live, &path).await?;
            let discord = &progress.execution.discord;
            let stored = Box::pin(copy::store(self.context, backups, discord, &progress.state)).await?;
            record.set_snapshot(stored)?;
        }
        if let Some(checkpointing) = checkpointing {
            let question = checkpointing.question();
            self.confirm(2, &question, "yes", record).await?;
            checkpointing.carry_out(self.context, record, live).await?;
        }
        Ok(())
    }

    async fn export(&self, record: &mut Record, state: &State, live: &LiveServer, path: &Path) -> Result<()> {
        let context = self.context;
        export::warn_of_unknown(context, live);
        let missing = export::save(context, self.workspace, live, state, path, ImageNames::ByImage).await?;
        let managed = state.resources.iter();
        let managed = managed.map(|(address, entry)| (address.clone(), entry.id));
        record.set_export(path, arrakis_iac::export::assign(live, &managed.collect()))?;
        context
            .printer
            .note(&format!("Wrote server {} to {}.", self.guild, path.display()));
        if missing > 0 {
            context.printer.diagnostic(
                Severity::Warning,
                "images that could not be exported (above) are lost with their emoji and stickers",
                Some(
                    "keep the files elsewhere before stage 4; after the teardown, put them beside the export and write `image: FILE` under \
                     the resources",
                ),
            );
        }
        Ok(())
    }

    /// The third and the fourth stage.
    async fn delete(&self, part: Part, progress: &mut Progress<'_>) -> Result<()> {
        let context = self.context;
        let live = read_live(context, &progress.execution.discord, self.guild, &all_kinds()).await?;
        removal::adopt_everything(&mut progress.state, &live, &progress.record.addresses());
        let removal = removal::plan(part, &progress.state, &live)?;
        list(context, &removal);
        let created = removal.without(&progress.record.exported());
        progress.record.refuse_created(&created)?;
        let (stage, question, expected) = self.question(part, &removal, &live);
        if removal.count() == 0 {
            context
                .printer
                .note(&format!("Stage {stage} of 4: there is nothing to delete."));
        } else {
            self.confirm(stage, &question, &expected, &progress.record).await?;
        }
        if progress.permit.is_none() && !removal.plan.steps.is_empty() {
            progress.permit = Some(self.permit(&removal).await?);
        }
        progress.record.set_deleting()?;
        // Also where this run continues: the one before may have been killed between the two.
        self.record_in_store(progress.backups, &progress.record, &progress.earlier_snapshots)
            .await?;
        let bytes = progress.state.advance();
        progress.guard.write(&bytes).await?;
        progress
            .ownership
            .write_marker(context, self.workspace, &progress.state)
            .await?;
        if let (false, Some(permit)) = (removal.plan.steps.is_empty(), progress.permit.clone()) {
            let images = ImageFolder(PathBuf::new());
            let (state, guard) = (&mut progress.state, &mut *progress.guard);
            let execution = progress.execution;
            execution
                .run(context, (&removal.plan, &permit), &live, state, guard, &images)
                .await?;
        }
        progress.deleted += removal.count();
        progress.kept.extend(removal.kept);
        Ok(())
    }

    /// The permission to delete, which covers the later stage as well: one code for one teardown.
    async fn permit(&self, removal: &Removal) -> Result<Permit> {
        let platform = &self.arguments.community.platform;
        let code = self.arguments.mfa.as_deref();
        let digest = removal.plan.digest();
        Box::pin(guard::permit_teardown(
            self.context,
            platform,
            self.guild,
            &digest,
            code,
        ))
        .await
    }

    /// The number of a stage, its question and the answer that confirms it.
    fn question(&self, part: Part, removal: &Removal, live: &LiveServer) -> (u8, String, String) {
        let (what, guild) = (removal.described(), self.guild);
        match part {
            Part::Channels => {
                let name = server_name(live);
                let question = format!(
                    "delete {what} from server \"{name}\"? All messages and threads are lost; no export and no checkpoint has them."
                );
                (3, question, name)
            }
            Part::Others => (
                4,
                format!("delete {what} from server {guild}? Members lose these roles."),
                guild.to_string(),
            ),
        }
    }

    async fn confirm(&self, stage: u8, question: &str, expected: &str, record: &Record) -> Result<()> {
        let question = format!("Stage {stage} of 4: {question}");
        if self.context.prompt.accepts(&question, expected, BY_A_PERSON).await? {
            return Ok(());
        }
        let checkpoint = record.checkpoint();
        let done = match (stage, record.is_deleting()) {
            (1, _) => "nothing was changed",
            (2, false) => "the server was exported, and nothing was changed",
            (3, false) => "nothing was deleted",
            (2 | 3, true) => "nothing further was deleted",
            _ => "the channels are deleted, and everything else is not",
        };
        let frozen = match checkpoint {
            Some(_) if stage > 2 => ", and the community is frozen",
            // An earlier run froze it, unless a checkpoint was restored since.
            Some(_) => ", and the freeze of an earlier run stays",
            None => "",
        };
        let ends_freeze = checkpoint.map(|checkpoint| {
            format!(
                "; `gaib restore exec --checkpoint {}` ends the freeze of the community",
                checkpoint.id
            )
        });
        let again = match record.is_deleting() {
            true => "the same command continues there",
            // The export would be older than the server.
            false => "the same command begins again with stage 1, and exports the server as it is then",
        };
        let help = format!("{again}{}", ends_freeze.unwrap_or_default());
        Err(Failure::new(format!("Cancelled before stage {stage} of 4: {done}{frozen}.")).help(help))
    }

    /// Reports what stays, and how the server is recovered.
    async fn finish(&self, progress: &Progress<'_>) -> Result<()> {
        let (context, guild) = (self.context, self.guild);
        let live = read_live(context, &progress.execution.discord, guild, &all_kinds()).await?;
        let left = removal::left(&live, &progress.kept);
        let state = &progress.state;
        progress.ownership.remove_marker_if_empty(context, state).await?;
        let (kept, new): (Vec<_>, Vec<_>) = left.into_iter().partition(|(_, stays)| *stays);
        if !new.is_empty() {
            let new: Vec<String> = new.iter().map(|(resource, _)| resource.to_string()).collect();
            return Err(Failure::new(format!("the server is not empty: {}", new.join("; ")))
                .help("delete it manually, since the export does not have it; then run the same command again"));
        }
        let kept: Vec<Kept> = kept.into_iter().map(|(kept, _)| kept).collect();
        let deployed = Deployed {
            workspace: self.workspace,
            guild,
            discord: &progress.execution.discord,
        };
        let snapshot = progress.record.snapshot().map(|snapshot| snapshot.id);
        let recorded = deployment::record_teardown(context, deployed, state.serial, snapshot);
        Box::pin(recorded).await;
        // Before the record of this folder: with that one, a run that is killed here is continued.
        progress
            .backups
            .vault
            .finish_teardown(progress.backups.server())
            .await?;
        self.show_result(progress, &live, &kept);
        progress.record.finish()
    }

    fn show_result(&self, progress: &Progress<'_>, live: &LiveServer, kept: &[Kept]) {
        let printer = self.context.printer;
        let (record, guild) = (&progress.record, self.guild);
        let checkpoint = record.checkpoint();
        let export = record.export().unwrap_or_default();
        printer.message(&json!({
            "type": "teardown_complete", "guild": guild, "deleted": progress.deleted, "kept": kept,
            "export": export.display().to_string(), "snapshot": record.snapshot().map(|snapshot| snapshot.id),
            "checkpoint": checkpoint.map(|checkpoint| checkpoint.id),
        }));
        let mut text = format!(
            "\nServer \"{}\" ({guild}) is empty but for what Discord keeps:\n",
            server_name(live)
        );
        for kept in kept {
            text.push_str(&format!("  {kept}\n"));
        }
        if live.foreign_channels > 0 {
            text.push_str("  channels of kinds that this version of gaib does not support\n");
        }
        text.push_str(&recovery_text(&self.recovery(record, &export)));
        for id in &progress.earlier_snapshots {
            text.push_str(&format!(
                "An earlier teardown was not finished; the server from before it is in the snapshot {id}: \
                 `gaib server snapshot restore {id} --apply --guild {guild}`.\n"
            ));
        }
        if let Some(snapshot) = record.snapshot().filter(|snapshot| !snapshot.has_members) {
            text.push_str(&format!(
                "Members do not get back their roles: the snapshot {} has no roles of members, because Discord refused the list.\n",
                snapshot.id
            ));
        }
        printer.text(&text);
    }

    /// The commands that recover the server, in their order. The apply creates what the snapshot then finds by name, so that members get back
    /// their roles; the checkpoint comes last, because it refers to roles and channels.
    fn recovery(&self, record: &Record, export: &Path) -> Vec<String> {
        let guild = self.guild;
        let (command, option) = (self.workspace.server_command(), self.workspace.workspace_option());
        let mut commands = vec![format!(
            "{command} apply -f {} --guild {guild}{option}",
            shell_quoted(export)
        )];
        // Without the roles of members, which Discord may have refused, the snapshot adds nothing to the export.
        let with_members = record.snapshot().filter(|snapshot| snapshot.has_members);
        commands.extend(with_members.map(|snapshot| {
            let id = snapshot.id;
            format!(
                "{command} snapshot restore {id} --apply --guild {guild}{option}   (members get back the roles that the \
                 snapshot has)"
            )
        }));
        commands.extend(record.checkpoint().map(|checkpoint| {
            format!(
                "gaib restore exec --checkpoint {} --guild {guild}   (until {}, at {})",
                checkpoint.id,
                platform::time(checkpoint.expires_at),
                checkpoint.platform
            )
        }));
        commands
    }

    /// `--dry-run`.
    async fn preview(&self, mut state: State) -> Result<()> {
        let (context, guild) = (self.context, self.guild);
        self.check(&state)?;
        ownership::check(context, self.workspace, guild, &state).await?;
        let discord = connect_silently(context, guild)?;
        let live = read_live(context, &discord, guild, &all_kinds()).await?;
        let record = Record::open(self.folder(), guild)?;
        let backups = Backups::of(context, self.workspace, guild).await?;
        if let Err(refused) = self.earlier_snapshots(&backups, &record).await {
            let (summary, help) = (refused.summary(), refused.what_to_do());
            context.printer.diagnostic(Severity::Warning, summary, help);
        }
        removal::adopt_everything(&mut state, &live, &record.addresses());
        let removals = removals(&state, &live)?;
        self.introduce(&live, &removals, &record);
        for removal in &removals {
            show(context, removal);
        }
        if let Err(refused) = require_exported(&record, &removals) {
            let (summary, help) = (refused.summary(), refused.what_to_do());
            context.printer.diagnostic(Severity::Warning, summary, help);
        }
        self.preview_checkpoint(&record).await;
        let kept: Vec<Kept> = removals.into_iter().flat_map(|removal| removal.kept).collect();
        context
            .printer
            .message(&json!({"type": "teardown_preview", "guild": guild, "kept": kept}));
        context.printer.note("Nothing was changed (--dry-run).");
        Ok(())
    }

    /// What the second stage would be.
    async fn preview_checkpoint(&self, record: &Record) {
        let printer = self.context.printer;
        if has_checkpoint(record) {
            printer.note("Stages 1 and 2 of 4 are done: the teardown would continue with stage 3.");
            return;
        }
        match Checkpointing::find(self.context, self.arguments, self.guild).await {
            Ok(checkpointing) => printer.note(&format!("Stage 2 of 4 would be: {}", checkpointing.question())),
            Err(refused) => printer.diagnostic(Severity::Warning, refused.summary(), refused.what_to_do()),
        }
    }
}

/// Whether an interrupted teardown that was deleting has its checkpoint, or the reason why there is none.
fn has_checkpoint(record: &Record) -> bool {
    record.is_deleting() && (record.checkpoint().is_some() || record.without_checkpoint().is_some())
}

/// The commands of a recovery, one a line.
fn recovery_text(commands: &[String]) -> String {
    let order = match commands.len() {
        1 => "",
        _ => ", in this order",
    };
    let lines: Vec<String> = commands.iter().map(|command| format!("  {command}\n")).collect();
    format!("\nTo recover it{order}:\n{}", lines.concat())
}

/// Refuses to continue an interrupted teardown where the server has what the export does not have.
fn require_exported(record: &Record, removals: &[Removal]) -> Result<()> {
    if !record.is_deleting() {
        return Ok(());
    }
    let exported = record.exported();
    let created = removals.iter().flat_map(|removal| removal.without(&exported));
    record.refuse_created(&created.collect::<Vec<Address>>())
}

/// Prints what is deleted and what stays, with all attributes.
fn show(context: &Context, removal: &Removal) {
    if removal.count() > 0 {
        planning::show(context, &removal.plan, &[]);
    }
    show_kept(context, removal);
}

/// Prints what is deleted and what stays, one resource a line: the question is to stand below them on one page.
fn list(context: &Context, removal: &Removal) {
    if removal.count() > 0 {
        let note = "To be deleted (`gaib server teardown --dry-run` shows the attributes):";
        context.printer.text(&format!("{note}\n{}", removal.listed()));
    }
    show_kept(context, removal);
}

fn show_kept(context: &Context, removal: &Removal) {
    for kept in &removal.kept {
        context.printer.note(&format!("Stays: {kept}."));
    }
}

/// The deletions of both parts.
fn removals(state: &State, live: &LiveServer) -> Result<Vec<Removal>> {
    Part::ALL
        .into_iter()
        .map(|part| removal::plan(part, state, live))
        .collect()
}

/// The name of a server; its id where it has none that could be typed.
fn server_name(live: &LiveServer) -> String {
    let settings = live.get(Kind::Server, live.guild_id);
    let name = settings
        .and_then(|settings| settings.attributes.name())
        .unwrap_or_default();
    match name.trim() {
        "" => live.guild_id.to_string(),
        name => name.to_owned(),
    }
}
