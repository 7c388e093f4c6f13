//! Backups: the compressed state of a workspace.

use std::collections::BTreeMap;

use arrakis_domain::Plan;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Vault;
use super::read::StateHeader;
use super::write::{NameTimes, to_millisecond};
use crate::checksum::checksum;
use crate::damage::Damage;
use crate::error::VaultError;
use crate::gzip;
use crate::key::ObjectKey;
use crate::limits::Operation;
use crate::paths;
use crate::record::{BackupRecord, RecordKind, StateVersion, plan_name};
use crate::sealed;
use crate::server::ServerId;
use crate::sign::Signature;
use crate::store::{Condition, NewObject, Object};

/// Longest message in the metadata of an object, in bytes. S3 permits 2,048 bytes of metadata.
const MAX_METADATA_MESSAGE: usize = 700;

/// Why a backup or a snapshot is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At a user's request: the plan's limit applies.
    OnDemand,
    /// By the schedule, or before an operation that changes the state.
    Automatic,
}

/// A backup to be created.
#[derive(Clone, Copy, Debug)]
pub struct NewBackup<'a> {
    /// The Discord server.
    pub server: ServerId,
    /// Workspace of the state.
    pub workspace: &'a str,
    /// The state: JSON with `lineage`, `serial` and `guild_id`.
    pub state: &'a [u8],
    /// The author's message.
    pub message: Option<&'a str>,
    /// Why it is created.
    pub trigger: Trigger,
}

/// What a backup or a snapshot that is read must belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The present server.
    pub server: ServerId,
    /// Lineage of the present state; `None` where there is no state, or for a check without a restore.
    pub lineage: Option<String>,
}

impl Vault {
    /// Creates a backup: the object, then its record.
    ///
    /// A process that ends between the two leaves an object that is in no list; [`Vault::recover`] makes its record.
    ///
    /// # Errors
    /// [`VaultError::NotAState`], [`VaultError::Limit`], or an error of store or catalogue.
    pub async fn create_backup(&self, new: NewBackup<'_>, now: OffsetDateTime) -> Result<BackupRecord, VaultError> {
        let version = state_version(new.server, new.state)?;
        let taken = match new.trigger {
            Trigger::OnDemand => self.take_use(new.server, Operation::Backup, now).await?,
            Trigger::Automatic => None,
        };
        let created = self.write_backup(new, version, now).await;
        if created.is_err() {
            self.give_back(taken).await;
        }
        created
    }

    async fn write_backup(
        &self,
        new: NewBackup<'_>,
        version: StateVersion,
        now: OffsetDateTime,
    ) -> Result<BackupRecord, VaultError> {
        let plan = self.plan(new.server).await?;
        let bytes = gzip::compress(new.state).map_err(|error| VaultError::encode("the backup", &error))?;
        let mut record = BackupRecord {
            id: Uuid::new_v4(),
            kind: RecordKind::Backup,
            server: new.server,
            workspace: new.workspace.to_owned(),
            created: to_millisecond(now),
            state: Some(version),
            message: new.message.map(str::to_owned),
            plan,
            size: bytes.len() as u64,
            checksum: checksum(&bytes),
            expires: None,
            signature: None,
        };
        self.put_backup(&mut record, &bytes).await?;
        self.parts.catalogue.insert(&record).await?;
        Ok(record)
    }

    /// Signs a backup and writes its object: at the first millisecond that is free, which the record gets.
    async fn put_backup(&self, record: &mut BackupRecord, bytes: &[u8]) -> Result<(), VaultError> {
        let mut times = NameTimes::from_now(record.created);
        loop {
            record.created = times.current();
            let key = record.object()?;
            let signature = sealed::sign(&record.statement(), &*self.parts.signer).await;
            record.signature = Some(signature.map_err(|error| self.unsealed(&key, error))?);
            let object = describe(record, NewObject::new(bytes))
                .map_err(|error| VaultError::encode(&self.name(&key), &error))?;
            let written = self.parts.store.put(&key, object, &Condition::Absent).await;
            if times.is_written(written)? {
                return Ok(());
            }
        }
    }

    /// Checks the signature of a backup, where it has one.
    pub(super) async fn check_signature(&self, key: &ObjectKey, record: &BackupRecord) -> Result<(), VaultError> {
        let Some(signature) = &record.signature else {
            return Ok(());
        };
        let checked = sealed::verify(&record.statement(), signature, &*self.parts.signer).await;
        checked.map_err(|damage| self.damaged(key, damage))
    }

    /// The state of a backup, after all checks. Nothing is written. One without a signature ([`BackupRecord::is_signed`]) passes them: the
    /// caller decides.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] with the object, [`VaultError::NotTrusted`], [`VaultError::OtherServer`], [`VaultError::OtherLineage`].
    pub async fn read_backup(&self, record: &BackupRecord, expected: &Expected) -> Result<Vec<u8>, VaultError> {
        let key = record.object()?;
        if record.kind != RecordKind::Backup {
            return Err(self.differs(&key, "kind", record.kind.as_str(), "backup"));
        }
        if record.server != expected.server {
            return Err(self.other_server(&key, record.server, expected.server));
        }
        let bytes = self.checked_bytes(&key, Some(record.size), &record.checksum).await?;
        let state = self.content(&key, &bytes)?;
        self.check_state(&key, &state, record, expected)?;
        self.check_signature(&key, record).await?;
        Ok(state)
    }

    /// The highest serial of this lineage that a backup or a snapshot of a server has, also an expired one; `None` where none has the
    /// lineage.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub async fn highest_serial(&self, server: ServerId, lineage: &str) -> Result<Option<u64>, VaultError> {
        let mut highest = None;
        for kind in [RecordKind::Backup, RecordKind::Snapshot] {
            let records = self.all_records(server, kind).await?;
            let states = records.iter().filter_map(|record| record.state.as_ref());
            let serials = states
                .filter(|state| state.lineage == lineage)
                .map(|state| state.serial);
            highest = highest.max(serials.max());
        }
        Ok(highest)
    }

    /// The record of a backup that is in no list, made from its object.
    pub(super) async fn record_of_backup(&self, server: ServerId, key: &ObjectKey) -> Result<BackupRecord, VaultError> {
        let Object { bytes, head } = self.parts.store.get(key).await?;
        let invalid = |reason: &str| self.damaged(key, Damage::Content(reason.to_owned()));
        let (workspace, created) = paths::parse_backup(server, key).ok_or_else(|| invalid("its name has no time"))?;
        let found = checksum(&bytes);
        if let Some(wanted) = head.metadata.get(CHECKSUM)
            && *wanted != found
        {
            let wanted = wanted.clone();
            return Err(self.damaged(key, Damage::Checksum { found, wanted }));
        }
        let state = self.content(key, &bytes)?;
        let header = StateHeader::parse(&state).map_err(|error| invalid(&error.to_string()))?;
        if let Some(found) = header.server()
            && found != server
        {
            return Err(self.other_server(key, found, server));
        }
        let Described {
            id,
            plan,
            message,
            signature,
        } = described(key, &head.metadata);
        let record = BackupRecord {
            id,
            kind: RecordKind::Backup,
            server,
            workspace,
            created,
            state: Some(header.version()),
            message,
            plan,
            size: bytes.len() as u64,
            checksum: found,
            expires: None,
            signature,
        };
        match self.check_signature(key, &record).await {
            // A restore refuses it until the key is trusted.
            Err(error) if !error.is_of_unknown_key() => Err(error),
            _ => Ok(record),
        }
    }
}

/// The version of a state that is about to be stored for a server.
pub(super) fn state_version(server: ServerId, state: &[u8]) -> Result<StateVersion, VaultError> {
    let header = StateHeader::parse(state).map_err(|error| VaultError::NotAState {
        reason: error.to_string(),
    })?;
    match header.server() {
        Some(found) if found != server => Err(VaultError::NotAState {
            reason: format!("it is the state of server {found}, not of server {server}"),
        }),
        _ => Ok(header.version()),
    }
}

const ID: &str = "id";
const CHECKSUM: &str = "checksum";
const PLAN: &str = "plan";
const MESSAGE: &str = "message";
const SIGNATURE: &str = "signature";

/// Tag of the plan, by which lifecycle rules choose the storage class.
pub(super) const TIER: &str = "Tier";

/// An object with what its record has beside its content, so that a lost record can be made again.
fn describe(record: &BackupRecord, object: NewObject) -> Result<NewObject, serde_json::Error> {
    let signature = record.signature.as_ref().map(serde_json::to_vec).transpose()?;
    let object = object
        .tagged(TIER, record.plan.as_str())
        .described(ID, record.id.to_string())
        .described(CHECKSUM, record.checksum.clone())
        .described(PLAN, record.plan.as_str());
    let object = match signature {
        Some(signature) => object.described(SIGNATURE, URL_SAFE_NO_PAD.encode(signature)),
        None => object,
    };
    Ok(match &record.message {
        Some(message) => {
            let end = (0..=message.len().min(MAX_METADATA_MESSAGE))
                .rev()
                .find(|at| message.is_char_boundary(*at));
            let kept = &message[..end.unwrap_or_default()];
            object.described(MESSAGE, URL_SAFE_NO_PAD.encode(kept))
        }
        None => object,
    })
}

/// The id of a backup with this metadata.
pub(super) fn id_of(key: &ObjectKey, metadata: &BTreeMap<String, String>) -> Uuid {
    described(key, metadata).id
}

/// What the metadata of an object have.
struct Described {
    id: Uuid,
    plan: Plan,
    message: Option<String>,
    signature: Option<Signature>,
}

/// What is recorded about an object. Where the metadata are lost, the id follows from the name, the plan is free, and nothing is signed.
fn described(key: &ObjectKey, metadata: &BTreeMap<String, String>) -> Described {
    let id = metadata.get(ID).and_then(|id| id.parse().ok());
    let plan = metadata.get(PLAN).and_then(|plan| plan_name::parse(plan));
    let decoded = |name: &str| metadata.get(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    Described {
        id: id.unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_URL, key.as_str().as_bytes())),
        plan: plan.unwrap_or(Plan::Free),
        message: decoded(MESSAGE).and_then(|bytes| String::from_utf8(bytes).ok()),
        signature: decoded(SIGNATURE).and_then(|bytes| serde_json::from_slice(&bytes).ok()),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::sign::Algorithm;

    #[test]
    fn description_of_an_object_is_the_same_after_a_round_trip() {
        let key = ObjectKey::new("state/1/default/backup.20261201T025000.123Z.json.gz").unwrap();
        let long = "ä".repeat(1_000);
        for message in [None, Some("before the ◌ sandstorm"), Some(long.as_str())] {
            let record = BackupRecord {
                id: Uuid::from_u128(7),
                kind: RecordKind::Backup,
                server: ServerId::new(1),
                workspace: "default".to_owned(),
                created: datetime!(2026-12-01 02:50:00.123 UTC),
                state: None,
                message: message.map(str::to_owned),
                plan: Plan::Premium,
                size: 1,
                checksum: "00".repeat(32),
                expires: None,
                signature: Some(Signature {
                    algorithm: Algorithm::Ed25519,
                    key: "0123456789abcdef".to_owned(),
                    version: 1,
                    value: "A".repeat(88),
                }),
            };
            let object = describe(&record, NewObject::new("x")).unwrap();
            assert!(
                object
                    .metadata
                    .values()
                    .all(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
            );
            assert!(
                object
                    .metadata
                    .iter()
                    .map(|(name, value)| name.len() + value.len())
                    .sum::<usize>()
                    < 1_500
            );
            let read = described(&key, &object.metadata);
            assert_eq!((read.id, read.plan), (record.id, Plan::Premium));
            assert_eq!(read.signature, record.signature);
            assert!(
                message
                    .unwrap_or_default()
                    .starts_with(&read.message.unwrap_or_default())
            );
        }
    }
}
