//! Writes the members of a checked file.
//!
//! Running it twice is safe: a page is one transaction, which also records its members; a further run writes the others. A page locks the
//! import's row and is refused unless the import is running, so that an undo finds every page. The state of the import changes to completed in
//! the transaction that links the shared badges and enqueues the reconcile.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context as _, bail};
use arrakis_db::registry::{ImportedWallet, WalletImport};
use arrakis_db::{
    Actor, Checksum, CommunityId, MemberRows, MemberWrite, NewAuditEntry, NewProfileImport, ProfileImport,
    ProfileImportState, SharedBadge, TenantTx, UserId, WrittenMember,
};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::id::Id;
use uuid::Uuid;

use super::checks::wallets;
use super::present::PresentMembers;
use super::source::{SourceFile, SourceMember};
use super::target::Target;
use crate::jobs::{reconcile, tier_sync};

/// Members of one transaction, for whose time the head of the identity registry is locked.
const PAGE: usize = 250;
/// Shared badges of one statement.
const LINKS: usize = 2_000;

/// What an import has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ImportCounts {
    /// Members of the file.
    pub(crate) members: usize,
    /// Of these, members that this run has written; the others were written by an earlier run.
    pub(crate) written: usize,
    /// Members of this run who had a profile.
    pub(crate) merged: usize,
    /// Wallets that this run has verified.
    pub(crate) verified: usize,
    /// Wallets that members have removed on the platform, and that stay removed.
    pub(crate) kept_removed: usize,
    /// Badges that this run has written.
    pub(crate) badges: usize,
}

/// The import that a run continues, with the members that are written; `None` to begin one.
///
/// # Errors
/// When the database is unavailable, an import of another file is not finished, or one is being undone.
pub(crate) async fn resumable(
    target: &Target,
    content: Checksum,
) -> anyhow::Result<Option<(ProfileImport, BTreeSet<UserId>)>> {
    let mut tx = target.admin.tenant(target.community).await?;
    let mut imports = tx.profile_imports();
    let Some(latest) = imports.latest().await? else {
        return Ok(None);
    };
    let continued = match latest.state {
        ProfileImportState::Undone => None,
        ProfileImportState::Undoing => {
            bail!(
                "the import of {} is being undone; run `undo-profile-import` to the end first",
                latest.file_name
            )
        }
        ProfileImportState::Running if latest.content != content => bail!(
            "an import of {} is not finished, and this file has another content; import that file to the end, or undo it",
            latest.file_name
        ),
        ProfileImportState::Completed if latest.content != content => None,
        ProfileImportState::Running | ProfileImportState::Completed => {
            let written = imports.written(latest.id).await?;
            let users = written.into_iter().map(|(user, _)| user).collect();
            Some((latest, users))
        }
    };
    tx.rollback().await?;
    Ok(continued)
}

/// Writes the members that are not in `written`, and completes the import. Returns its counts and the checksum of all members' rows.
///
/// # Errors
/// When the database is unavailable, or a row conflicts with one that was written since the check: what is written stays, and a further
/// run continues. When an undo has begun: it restores all that was written.
pub(crate) async fn run(
    target: &Target,
    file: &SourceFile,
    (import, written): (NewProfileImport<'_>, Option<&BTreeSet<UserId>>),
    now: OffsetDateTime,
) -> anyhow::Result<(ImportCounts, Checksum)> {
    if written.is_none() {
        let mut tx = target.admin.tenant(target.community).await?;
        tx.profile_imports().begin(&import).await?;
        tx.commit().await?;
    }
    let users: Vec<UserId> = file.members.iter().map(SourceMember::user).collect();
    let others = other_communities(target, &users).await?;
    let mut counts = ImportCounts {
        members: file.members.len(),
        ..ImportCounts::default()
    };
    let left: Vec<&SourceMember> = file
        .members
        .iter()
        .filter(|member| written.is_none_or(|written| !written.contains(&member.user())))
        .collect();
    for page in left.chunks(PAGE) {
        write_page(target, import.id, (page, &others), now, &mut counts).await?;
    }
    let checksum = complete(target, file, &import, now).await?;
    Ok((counts, checksum))
}

/// The other communities in which these users have profiles: a wallet counts there, too.
pub(super) async fn other_communities(target: &Target, users: &[UserId]) -> anyhow::Result<Vec<CommunityId>> {
    let mut communities = target.admin.communities_of(users).await?;
    communities.retain(|community| *community != target.community);
    Ok(communities)
}

async fn write_page(
    target: &Target,
    import: Uuid,
    (page, others): (&[&SourceMember], &[CommunityId]),
    now: OffsetDateTime,
    counts: &mut ImportCounts,
) -> anyhow::Result<()> {
    let users: Vec<UserId> = page.iter().map(|member| member.user()).collect();
    let mut tx = target.admin.tenant(target.community).await?;
    // The import before the registry, and that before the profiles: the order of locks.
    lock_running(&mut tx, import).await?;
    let imported = tx
        .registry()
        .import_wallets(&wallets(page), target.chain_id, now)
        .await?;
    let writes = planned(&mut tx, target, (page, &imported), now).await?;
    tx.profile_imports().write(&writes).await?;
    let read = tx.profile_imports().members(&users).await?;
    let written = verified(&writes, &read, &imported)?;
    tx.profile_imports().record(import, &written).await?;
    let changed: Vec<UserId> = imported
        .iter()
        .filter(|wallet| is_verified(wallet))
        .map(|wallet| wallet.user)
        .collect();
    let tx = copy_wallets(tx, others, &changed, &format!("tier-sync:import:{import}"), now).await?;
    tx.commit().await?;
    counts.written += writes.len();
    counts.merged += writes.iter().filter(|write| write.previous.is_some()).count();
    counts.badges += writes.iter().map(|write| write.rows.badges.len()).sum::<usize>();
    counts.verified += changed.len();
    let kept = imported
        .iter()
        .filter(|wallet| wallet.import == WalletImport::KeptRemoved);
    counts.kept_removed += kept.count();
    tracing::info!(written = counts.written, members = counts.members, "imported profiles");
    Ok(())
}

/// Locks the import. A page of an import that is being undone is refused: the undo may have restored its last page.
async fn lock_running(tx: &mut TenantTx, import: Uuid) -> anyhow::Result<()> {
    match tx.profile_imports().lock(import).await? {
        Some(ProfileImportState::Running) => Ok(()),
        Some(ProfileImportState::Completed) => bail!("another run has completed the import"),
        Some(ProfileImportState::Undoing | ProfileImportState::Undone) => bail!(
            "`undo-profile-import` was started while this import was running: the import has ended, and all that it wrote is undone; run the \
             import again after the undo"
        ),
        None => bail!("the import does not exist any more"),
    }
}

fn is_verified(wallet: &ImportedWallet) -> bool {
    matches!(wallet.import, WalletImport::Verified { .. })
}

/// What is written of each member of a page.
async fn planned(
    tx: &mut TenantTx,
    target: &Target,
    (page, imported): (&[&SourceMember], &[ImportedWallet]),
    now: OffsetDateTime,
) -> anyhow::Result<Vec<MemberWrite>> {
    let users: Vec<UserId> = page.iter().map(|member| member.user()).collect();
    let present = PresentMembers::read(tx, &users).await?;
    page.iter()
        .zip(imported)
        .map(|(member, wallet)| {
            let user = member.user();
            present
                .merged(target, &member.rows, wallet.profile_wallet, now)
                .map_err(|reason| anyhow::anyhow!("member {user}: {reason}"))
        })
        .collect()
}

/// Compares what was written with what was to be written, by checksums.
fn verified<'a>(
    writes: &'a [MemberWrite],
    read: &[MemberRows],
    imported: &[ImportedWallet],
) -> anyhow::Result<Vec<WrittenMember<'a>>> {
    let read: BTreeMap<UserId, &MemberRows> = read.iter().map(|rows| (rows.profile.user_id, rows)).collect();
    writes
        .iter()
        .zip(imported)
        .map(|(write, wallet)| {
            let user = write.rows.profile.user_id;
            let read = read
                .get(&user)
                .with_context(|| format!("member {user} was not stored"))?;
            let stored = stored_of(&write.rows, read);
            let checksum = stored.checksum();
            if checksum != write.rows.checksum() {
                bail!(
                    "member {user} was stored otherwise than it was to be: {} in place of {}",
                    stored.canonical(),
                    write.rows.canonical()
                );
            }
            let verified = match wallet.import {
                WalletImport::Verified { address, event } => Some((address, event)),
                _ => None,
            };
            Ok(WrittenMember {
                write,
                checksum,
                verified,
            })
        })
        .collect()
}

/// The rows that were read, without those that the member had before.
fn stored_of(written: &MemberRows, read: &MemberRows) -> MemberRows {
    let mut stored = read.clone();
    stored
        .tiers
        .retain(|reached| written.tiers.iter().any(|other| other.tier == reached.tier));
    let days: HashSet<&str> = written.days.iter().map(|other| other.day.as_str()).collect();
    stored.days.retain(|activity| days.contains(activity.day.as_str()));
    stored
        .badges
        .retain(|badge| written.badges.iter().any(|other| other.badge_id == badge.badge_id));
    stored
}

/// Copies the primary wallets of members to their profiles in other communities, and enqueues a tier sync of those that changed, in the
/// transaction of the change.
pub(super) async fn copy_wallets(
    mut tx: TenantTx,
    communities: &[CommunityId],
    users: &[UserId],
    job: &str,
    now: OffsetDateTime,
) -> anyhow::Result<TenantTx> {
    if users.is_empty() {
        return Ok(tx);
    }
    for community in communities {
        tx = tx.enter(*community).await?;
        let changed = tx.profiles().copy_wallets_from_registry(users).await?;
        let members: Vec<_> = changed.iter().filter_map(|user| Id::new_checked(user.get())).collect();
        // A page has a job of its own, named after its first member.
        if let Some(first) = members.first() {
            let request = tier_sync::for_members(format!("{job}:{first}"), &members);
            tx.jobs().enqueue(&request.row(now)).await?;
        }
    }
    Ok(tx)
}

/// Links shared badges, and ends the import. Returns the checksum of all members' rows.
async fn complete(
    target: &Target,
    file: &SourceFile,
    import: &NewProfileImport<'_>,
    now: OffsetDateTime,
) -> anyhow::Result<Checksum> {
    let mut tx = target.admin.tenant(target.community).await?;
    lock_running(&mut tx, import.id).await?;
    let written = tx.profile_imports().written(import.id).await?;
    let expected: Vec<UserId> = file.members.iter().map(SourceMember::user).collect();
    let found: Vec<UserId> = written.iter().map(|(user, _)| *user).collect();
    if found != expected {
        bail!(
            "the import has {} members, and the file {}",
            found.len(),
            expected.len()
        );
    }
    let shares: Vec<SharedBadge> = file
        .members
        .iter()
        .flat_map(|member| member.shares.iter().copied())
        .collect();
    for links in shares.chunks(LINKS) {
        tx.profile_imports().link_shared_badges(links).await?;
    }
    let checksum = Checksum::of_all(written.into_iter().map(|(_, checksum)| checksum));
    let states = (ProfileImportState::Running, ProfileImportState::Completed);
    if !tx.profile_imports().advance(import.id, states, now).await? {
        bail!("the state of the import has changed");
    }
    tx.audit(&NewAuditEntry {
        actor: Actor::Operator(import.started_by.to_owned()),
        action: "profiles.import",
        subject: &import.id.to_string(),
        reason: None,
        detail: json!({
            "file": import.file_name,
            "members": expected.len(),
            "content": import.content.to_string(),
            "checksum": checksum.to_string(),
        }),
    })
    .await?;
    let job = reconcile::request(&format!("reconcile:import:{}", import.id));
    tx.jobs().enqueue(&job.row(now)).await?;
    tx.commit().await?;
    Ok(checksum)
}
