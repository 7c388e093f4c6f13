//! The backups of a server: the vault of the settings, and the count of operations that a plan limits.
//!
//! `BACKUP_STORE` names the store; without it, it is the folder `.gaib/backups`. What is stored, checked and listed is decided in
//! `arrakis-vault`.

mod ids;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrakis_config::StoreLocation;
use arrakis_iac::grammar::counted;
use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_vault::catalogue::{CatalogueError, DamagedRecord};
use arrakis_vault::store::Encryption;
use arrakis_vault::{
    BackupRecord, NewBackup, ObjectKey, OpenError, OpenOptions, Operation, RecordKind, ServerId, StoreError, Trigger,
    Vault, VaultError, open_encrypted, paths,
};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::arguments::backup::OfServer;
use crate::arguments::platform::PlatformArguments;
use crate::backend::lock_wait;
use crate::context::Context;
use crate::error::{CHECK_PATH_AND_DISK, Failure, Result};
use crate::ownership;
use crate::platform::Platform;
use crate::printer::{Printer, Severity};
use crate::settings::guild_option;
use crate::uses::{CatalogueUses, KeptId, PlatformUses, Unlimited, UseCounter};
use crate::workspace::Workspace;
use crate::workspace_state;

/// Name of the key that signs backups, snapshots and deployments, in the folder of the user's records.
const KEY_FILE: &str = "gaib/backup-signing-key.pem";

/// What to do about a backup, a snapshot or a deployment that is signed by a key of another machine.
const TRUST: &str = "set BACKUP_TRUSTED_KEYS to the public key, if you trust its owner; where the key is (by default \
                     ~/.local/state/gaib/backup-signing-key.pem), this prints it: `openssl pkey -in backup-signing-key.pem -pubout \
                     -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \\n'`; several keys are separated by commas";

/// Value of `BACKUP_AGE_IDENTITY` that stores without encryption beside encrypted objects. A file of this name is `./none`.
const WITHOUT_ENCRYPTION: &str = "none";

/// How long after the creation of a snapshot a command that was killed is taken for repeated.
const REPEATED_WITHIN: Duration = Duration::HOUR;

/// A server, its workspace, and where its backups are.
#[derive(Clone, Debug)]
pub struct Backups {
    /// The workspace.
    pub workspace: Workspace,
    /// The server.
    pub guild: Snowflake,
    /// Store and catalogue.
    pub vault: Vault,
    /// Whether the store is a folder.
    pub is_local: bool,
    /// The folder that `BACKUP_STORE` names, where it does not exist yet.
    new_folder: Option<PathBuf>,
    printer: Printer,
    uses: Arc<dyn UseCounter>,
}

/// A use that was counted for an operation.
#[derive(Debug)]
#[must_use]
pub struct CountedUse {
    operation: Operation,
    id: Uuid,
    kept: KeptId,
}

impl CountedUse {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// The operation cannot be lost any more: its next run is another use.
    pub fn end(self) {
        self.kept.end();
    }
}

impl Backups {
    /// Opens the backups of the server that the command line names. Sends no request.
    ///
    /// # Errors
    /// When the workspace does not exist, no server is given, or the settings are invalid.
    pub async fn open(context: &Context, arguments: &OfServer) -> Result<Self> {
        let option = guild_option(&arguments.guild)?;
        let name = arguments.workspace.workspace.as_deref();
        let workspace = Workspace::open_for_guild(context, name, false, option).await?;
        let guild = server_of(context, &workspace, option).await?;
        Self::of(context, &workspace, guild).await
    }

    /// Opens the backups of a server.
    ///
    /// # Errors
    /// When the settings are invalid.
    pub async fn of(context: &Context, workspace: &Workspace, guild: Snowflake) -> Result<Self> {
        let default = workspace.store_path("backups");
        let settings = context.environment.backups(default.clone())?;
        let records = context.environment.state_home()?;
        let options = OpenOptions {
            default_key: records.map_or_else(
                || workspace.store_path("backup-signing-key.pem"),
                |folder| folder.join(KEY_FILE),
            ),
            program: "gaib",
            limits: None,
            wait: lock_wait(context.printer, context.interruption.clone()),
        };
        let encryption = open_encryption(context)?;
        let opened = Box::pin(open_encrypted(&settings, &options, encryption)).await;
        let vault = opened.map_err(|error| {
            let help = match &error {
                OpenError::Key(_) => {
                    "correct the key file and its permissions, or set BACKUP_SIGNING_KEY to another one"
                }
                OpenError::TrustedKey(_) => "correct BACKUP_TRUSTED_KEYS",
                _ => "correct the variable, or unset BACKUP_STORE to use the folder .gaib/backups",
            };
            Failure::new(format!("the backups cannot be used: {error}")).help(help)
        })?;
        let new_folder = match &settings.store {
            StoreLocation::Folder(folder) if *folder != default && !folder.exists() => Some(folder.clone()),
            _ => None,
        };
        let is_local = matches!(settings.store, StoreLocation::Folder(_));
        let platform = match is_local {
            true => None,
            false => context.environment.platform(&PlatformArguments::default())?,
        };
        let uses: Arc<dyn UseCounter> = match (is_local, platform) {
            (true, _) => Arc::new(Unlimited),
            (false, Some(address)) => Arc::new(PlatformUses {
                platform: Platform::new(address, guild)?,
            }),
            (false, None) => Arc::new(CatalogueUses { vault: vault.clone() }),
        };
        Ok(Self {
            workspace: workspace.clone(),
            guild,
            vault,
            is_local,
            new_folder,
            printer: context.printer,
            uses,
        })
    }

    /// The server, as the vault identifies it.
    #[must_use]
    pub const fn server(&self) -> ServerId {
        ServerId::new(self.guild.get())
    }

    /// Checks that the store can be written, before a command reads or changes a server for something that it is to store there.
    ///
    /// # Errors
    /// When the store does not respond, or refuses a write.
    pub async fn require_writable(&self) -> Result<()> {
        let checked = self.vault.store().check().await;
        checked.map_err(|error| Failure::from(VaultError::from(error)).and("nothing was changed"))?;
        if let Some(folder) = &self.new_folder {
            self.printer.note(&format!(
                "The folder of BACKUP_STORE, {}, did not exist, and was created.",
                folder.display()
            ));
        }
        Ok(())
    }

    /// The record of a backup or snapshot of the server. One that cannot be read is made again from its object.
    ///
    /// # Errors
    /// When there is none, it expired, it is of another server, or record and object are damaged.
    pub async fn find(&self, kind: RecordKind, id: Uuid) -> Result<BackupRecord> {
        let record = self.find_even_expired(kind, id).await?;
        match record.expires {
            Some(expired) if record.is_expired(OffsetDateTime::now_utc()) => {
                Err(VaultError::Expired { kind, id, expired }.into())
            }
            _ => Ok(record),
        }
    }

    /// The same, also of one that expired or whose deletion was interrupted.
    ///
    /// # Errors
    /// When there is none, it is of another server, or record and object are damaged.
    pub async fn find_even_expired(&self, kind: RecordKind, id: Uuid) -> Result<BackupRecord> {
        match self.vault.find_even_expired(kind, id, self.server()).await {
            Err(VaultError::Catalogue(CatalogueError::Damaged { item, reason })) => {
                Box::pin(self.make_record_again(id, &item, &reason)).await?;
                // It may be the record of the other kind.
                Ok(self.vault.find_even_expired(kind, id, self.server()).await?)
            }
            Err(error @ VaultError::UnknownId { .. }) => {
                let failure = Failure::of_vault(&error);
                Err(match self.other_kind(kind, id).await {
                    Some(other) => failure.help(format!(
                        "the id is that of a {other}: `gaib server {other} restore {id}`, or another command of `gaib server {other}`"
                    )),
                    None => failure,
                })
            }
            found => Ok(found?),
        }
    }

    /// The other kind, where the id is one of it.
    async fn other_kind(&self, kind: RecordKind, id: Uuid) -> Option<RecordKind> {
        let other = match kind {
            RecordKind::Backup => RecordKind::Snapshot,
            RecordKind::Snapshot => RecordKind::Backup,
        };
        let found = self.vault.find(other, id, self.server(), OffsetDateTime::now_utc());
        found.await.is_ok().then_some(other)
    }

    /// Makes a record again that cannot be read.
    async fn make_record_again(&self, id: Uuid, item: &str, reason: &str) -> Result<()> {
        for kind in [RecordKind::Backup, RecordKind::Snapshot] {
            match self.vault.recover_record(kind, id, self.server()).await {
                Ok(Some(_)) => {
                    self.printer.note(&format!(
                        "The record of the {kind} {id}, {item}, was damaged ({reason}), and was made again from its object, which is whole."
                    ));
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) if error.is_damage() => {
                    return Err(Failure::new(format!(
                        "the record of the {kind} {id}, {item}, is damaged ({reason}), and so is its object: {error}"
                    ))
                    .help(format!(
                        "use another {kind}, and delete both manually: no command can read them"
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(format!(
            "the record {item} is damaged ({reason}), and the store has no object of it"
        ))
        .help("use another one, and delete this record manually"))
    }

    /// Counts a use of an operation before it begins. Where an earlier run of the same operation was killed, this is its use, which is counted
    /// already. `target` is what the operation reads and replaces: the id that was counted is not accepted for another one.
    ///
    /// # Errors
    /// When the limit of the plan is reached, or the use cannot be counted.
    pub async fn take_use(&self, operation: Operation, target: &str) -> Result<CountedUse> {
        let purpose = format!("{}/{}/{target}", operation.as_str(), self.guild);
        let (kept, id) = match (self.is_local, operation) {
            (true, _) => bind(KeptId::unkept(), &purpose),
            // The snapshot gets this id, so that what exists shows whether the operation has ended.
            (false, Operation::Snapshot) => self.snapshot_id(&use_file(operation), &purpose).await?,
            (false, _) => bind(KeptId::keep(self.own_path(&use_file(operation))), &purpose),
        };
        self.take(operation, kept, id).await
    }

    /// Counts the use of an operation that continues, which has this id.
    ///
    /// # Errors
    /// As [`Backups::take_use`].
    pub async fn continue_use(&self, operation: Operation, id: Uuid) -> Result<CountedUse> {
        let kept = match self.is_local {
            true => KeptId::unkept(),
            false => KeptId::keep(self.own_path(&use_file(operation))),
        };
        self.take(operation, kept, id).await
    }

    async fn take(&self, operation: Operation, kept: KeptId, id: Uuid) -> Result<CountedUse> {
        self.uses.take(self.server(), operation, id).await?;
        Ok(CountedUse { operation, id, kept })
    }

    /// The id of a snapshot that is about to be created, by a value that is kept in this file of the workspace until the snapshot cannot be
    /// lost any more: a run that repeats a killed one has the same id, and finds the snapshot. The vault decides whether that one is its
    /// result. One that was listed more than an hour ago is not that of a run which is repeated.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub async fn snapshot_id(&self, file: &str, purpose: &str) -> Result<(KeptId, Uuid)> {
        let path = self.own_path(file);
        let (kept, id) = bind(KeptId::keep(path.clone()), purpose);
        let found = self.vault.catalogue().get(id, Some(self.server())).await;
        let now = OffsetDateTime::now_utc();
        let is_repeated = |record: BackupRecord| !record.is_expired(now) && record.created + REPEATED_WITHIN > now;
        if found.map_err(VaultError::from)?.is_none_or(is_repeated) {
            return Ok((kept, id));
        }
        kept.end();
        Ok(bind(KeptId::keep(path), purpose))
    }

    /// A file of the workspace in the folder `.gaib`.
    fn own_path(&self, file: &str) -> PathBuf {
        self.workspace
            .store_path(format!("workspaces/{}/{file}", self.workspace.name))
    }

    /// Returns the result of a part of an operation that has not ended. Where it failed, the use is given back.
    ///
    /// # Errors
    /// The error of the part.
    pub async fn checked<T>(&self, counted: &CountedUse, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.uses.give_back(self.server(), counted.operation, counted.id).await;
        }
        result
    }

    /// Returns the result of an operation. Where it failed, its use is given back; else the use has ended.
    ///
    /// # Errors
    /// The error of the operation.
    pub async fn counted<T>(&self, counted: CountedUse, result: Result<T>) -> Result<T> {
        let value = self.checked(&counted, result).await?;
        counted.end();
        Ok(value)
    }

    /// Backs the present state up before it is replaced. `None` where it never had a resource.
    ///
    /// # Errors
    /// When the backup cannot be stored.
    pub async fn keep_present(&self, context: &Context, state: &State, message: &str) -> Result<Option<BackupRecord>> {
        if state.serial == 0 && state.is_empty() {
            return Ok(None);
        }
        let bytes = state.to_bytes();
        let new = NewBackup {
            server: self.server(),
            workspace: self.workspace.name.as_str(),
            state: &bytes,
            message: Some(message),
            trigger: Trigger::Automatic,
        };
        let record = self.vault.create_backup(new, OffsetDateTime::now_utc()).await?;
        context.printer.message(&record_message(&record));
        context.printer.note(&format!(
            "Backed up the present state (serial {}) as {}.",
            state.serial, record.id
        ));
        Ok(Some(record))
    }

    /// Completes what interrupted commands left in a folder, before the next one. In a bucket, the jobs of the platform do that.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn recover(&self, context: &Context) -> Result<()> {
        if !self.is_local {
            return Ok(());
        }
        let report = self.vault.recover(self.server(), OffsetDateTime::now_utc()).await?;
        for record in &report.recovered {
            let (kind, id) = (record.kind, record.id);
            context.printer.message(&recovered_message(record, "listed"));
            context.printer.note(&format!(
                "Listed the {kind} {id} of an interrupted command, which is whole."
            ));
        }
        for record in &report.deleted {
            let (kind, id) = (record.kind, record.id);
            context.printer.message(&recovered_message(record, "deleted"));
            context
                .printer
                .note(&format!("Completed the deletion of the {kind} {id}."));
        }
        report_removed(context, self.server(), &report.removed);
        for damaged in &report.damaged {
            let failure = Failure::of_vault(damaged);
            context
                .printer
                .diagnostic(Severity::Warning, failure.summary(), failure.what_to_do());
        }
        Ok(())
    }
}

/// The keys of the encryption of backups; none where they are not encrypted.
fn open_encryption(context: &Context) -> Result<Encryption> {
    let Some(settings) = context.environment.backup_encryption()? else {
        return Ok(Encryption::default());
    };
    if settings.identity == Path::new(WITHOUT_ENCRYPTION) {
        return match settings.recipients.is_empty() {
            true => Ok(Encryption::intentionally_none()),
            false => Err(Failure::new(
                "BACKUP_AGE_IDENTITY=none stores backups without encryption, and BACKUP_AGE_RECIPIENTS is set",
            )
            .help("unset one of them")),
        };
    }
    Encryption::open(&settings.identity, &settings.recipients).map_err(|error| {
        Failure::new(format!("the backups cannot be used: {error}"))
            .help("correct BACKUP_AGE_IDENTITY and BACKUP_AGE_RECIPIENTS, or unset both")
    })
}

fn use_file(operation: Operation) -> String {
    format!("use-{}", operation.as_str())
}

fn bind(kept: KeptId, purpose: &str) -> (KeptId, Uuid) {
    let id = kept.bound(purpose);
    (kept, id)
}

/// The version of a state as the target of an operation: another one after each operation that changes it.
#[must_use]
pub fn version_text(state: Option<&State>) -> String {
    // One that was never written has a new lineage in each run.
    let state = state.filter(|state| state.serial > 0 || !state.is_empty());
    state.map_or_else(
        || "no state".to_owned(),
        |state| format!("{} {}", state.lineage, state.serial),
    )
}

/// The snapshot of an interrupted command that is complete, in a sentence without its end.
#[must_use]
pub fn finished_text(record: &BackupRecord) -> String {
    format!(
        "Finished the interrupted {} {} of {}",
        record.kind,
        record.id,
        time_text(record.created)
    )
}

/// What a recovery did with a backup or snapshot, as a message of `--json`.
#[must_use]
pub fn recovered_message(record: &BackupRecord, result: &str) -> Value {
    json!({"type": "recovered", "result": result, "kind": record.kind.as_str(), "id": record.id})
}

/// Reports the files of snapshots that were never whole, which were removed.
fn report_removed(context: &Context, server: ServerId, removed: &[ObjectKey]) {
    let mut snapshots: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    for key in removed {
        if let Some((id, path)) = paths::parse_snapshot(server, key) {
            snapshots.entry(id).or_default().push(path);
        }
    }
    for (id, files) in snapshots {
        let message = json!({"type": "recovered", "result": "removed", "kind": "snapshot", "id": id, "objects": files});
        context.printer.message(&message);
        context.printer.note(&format!(
            "Removed {} of the snapshot {id}, which was interrupted before it was whole: {}.",
            counted(files.len(), "file"),
            files.join(", ")
        ));
    }
}

/// The server of a command. Where the state cannot be read, it is the one that the workspace is recorded to manage.
async fn server_of(context: &Context, workspace: &Workspace, option: Option<Snowflake>) -> Result<Snowflake> {
    let state = workspace.read_state().await.ok().flatten();
    if let Some(guild) = workspace.guild(context, option, state.as_ref())? {
        return Ok(guild);
    }
    if let [guild] = ownership::servers_of(context, workspace).await.as_slice()
        && let Some(guild) = Snowflake::new(*guild)
    {
        return Ok(guild);
    }
    ownership::required_guild(
        context,
        workspace,
        option,
        &state.unwrap_or_else(workspace_state::empty),
    )
    .await
}

impl Failure {
    /// The error of an operation on backups, with advice where its text has none.
    #[must_use]
    pub fn of_vault(error: &VaultError) -> Self {
        let failure = Self::new(error);
        match error {
            VaultError::Damaged { object, .. } | VaultError::Store(StoreError::Damaged { object, .. })
                if object.ends_with("/registry.json") =>
            {
                failure
                    .help("`gaib server theme registry --rebuild` makes it again from the audit objects of its deployments")
            }
            VaultError::Damaged { .. } | VaultError::Store(StoreError::Damaged { .. }) => failure.help(
                "use another one: `gaib server backup list` and `gaib server snapshot list` list them; `gaib server backup verify --all` \
                 names all that are damaged",
            ),
            VaultError::NotTrusted { .. } => failure.help(TRUST),
            VaultError::Store(StoreError::Encrypted { .. }) => failure.help(
                "it may be whole: BACKUP_AGE_IDENTITY with the identity that it is encrypted for reads it; a file of identities may have several",
            ),
            VaultError::OtherServer { .. } => failure.help("check the id and --guild"),
            VaultError::OtherLineage { .. } => failure.help(
                "use the workspace of that state with --workspace; where its state is lost, restore into a workspace that has no state \
                 (`gaib server workspace new NAME`)",
            ),
            VaultError::NotAState { .. } => failure.help("`gaib server state ls` shows whether the state can be read"),
            VaultError::Store(StoreError::Io { .. }) | VaultError::Catalogue(CatalogueError::Io { .. }) => {
                failure.help(CHECK_PATH_AND_DISK)
            }
            _ => failure,
        }
    }
}

impl Failure {
    /// The error of reading a backup or a snapshot, with the command that deletes a damaged one.
    #[must_use]
    pub fn of_record(error: &VaultError, kind: RecordKind, id: Uuid) -> Self {
        let failure = Self::of_vault(error);
        match error {
            VaultError::OtherServer { .. } => failure,
            error if error.is_damage() => failure.help(format!(
                "use another one (`gaib server {kind} list` lists them), and delete this one: `gaib server {kind} delete {id}`"
            )),
            _ => failure,
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::of_vault(&error)
    }
}

/// The error for a backup or a deployment without a signature.
#[must_use]
pub fn refuse_unsigned(what: &str) -> Failure {
    Failure::new(format!(
        "{what} has no signature, so it may be another than the one that was stored; nothing was changed"
    ))
    .help(
        "an earlier gaib signed snapshots only: where it is certain that this one is older, and the difference that --dry-run shows is \
         the expected one, add --allow-unsigned",
    )
}

/// Names what has no signature in a dry run, which changes nothing in any case.
pub fn warn_unsigned(printer: Printer, what: &str) {
    let summary = format!("{what} has no signature, so it may be another than the one that was stored");
    let help = "without --dry-run it is refused, unless --allow-unsigned is given";
    printer.diagnostic(Severity::Warning, &summary, Some(help));
}

/// A record as a message of `--json`.
#[must_use]
pub fn record_message(record: &BackupRecord) -> Value {
    let mut message = json!(record);
    if let Some(fields) = message.as_object_mut() {
        fields.remove("signature");
    }
    message["signed"] = record.is_signed().into();
    message["type"] = record.kind.as_str().into();
    message["large"] = record.is_large().into();
    message
}

/// The verdict of a check in messages of `--json`; with spaces, in a text.
#[must_use]
pub fn verdict(error: Option<&VaultError>) -> &'static str {
    match error {
        None => "whole",
        Some(VaultError::NotTrusted { .. }) => "not_trusted",
        Some(error) if error.is_encrypted_for_others() => "encrypted_for_another_identity",
        Some(error) if error.is_damage() => "damaged",
        Some(_) => "unreadable",
    }
}

/// What to do about a record that cannot be read.
#[must_use]
pub fn help_for_record(record: &DamagedRecord) -> String {
    let kind = record.kind;
    record.id.map_or_else(
        || format!("its name has no id: delete it manually; `gaib server {kind} list` shows what is listed"),
        |id| {
            format!(
                "`gaib server {kind} verify {id}`, or any other command with this id, makes the record again from its object"
            )
        },
    )
}

/// A time for tables and messages: `2026-12-01T02:50:00Z`.
#[must_use]
pub fn time_text(time: OffsetDateTime) -> String {
    let second = time.replace_nanosecond(0).unwrap_or(time);
    second.format(&Rfc3339).unwrap_or_else(|_| second.to_string())
}

/// A size in bytes, kilobytes or megabytes.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_vault::Damage;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn damaged_registry_is_made_again_and_a_damaged_backup_is_not() {
        let help_of = |object: &str| {
            let error = VaultError::Damaged {
                object: object.to_owned(),
                damage: Damage::Missing,
            };
            let failure = Failure::of_vault(&error);
            failure.what_to_do().unwrap_or_default().to_owned()
        };
        assert!(help_of("s3://gaib/themes/7/registry.json").contains("--rebuild"));
        let object = "s3://gaib/state/7/default/backup.1.json.gz";
        assert!(help_of(object).contains("verify --all"));
        let error = VaultError::Damaged {
            object: object.to_owned(),
            damage: Damage::Missing,
        };
        let failure = Failure::of_record(&error, RecordKind::Backup, Uuid::from_u128(7));
        let delete = "`gaib server backup delete 00000000-0000-0000-0000-000000000007`";
        assert!(
            failure.what_to_do().is_some_and(|help| help.contains(delete)),
            "{failure:?}"
        );
        assert!(!failure.summary().contains("restored"), "{failure:?}");
    }

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [0, 999, 1_000, 12_345, 10_000_001].map(size_text);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "12.3 kB", "10.0 MB"]);
        let time = datetime!(2026-12-01 02:50:00.123 UTC);
        assert_eq!(time_text(time), "2026-12-01T02:50:00Z");
    }
}
