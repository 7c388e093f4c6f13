//! Undoes an import: members are as they were before it. Events of the identity registry stay; further ones remove the wallets.
//!
//! Running it twice is safe: a page is one transaction, which also deletes the rows that state what the import has written.

use anyhow::bail;
use arrakis_db::registry::WalletToUndo;
use arrakis_db::{Actor, ChangedMember, CommunityId, NewAuditEntry, ProfileImport, ProfileImportState, UserId};
use serde_json::json;
use time::OffsetDateTime;

use super::target::Target;
use super::write::{copy_wallets, other_communities};
use crate::jobs::reconcile;

/// Members of one transaction.
const PAGE: u32 = 250;
/// Changed members that a refusal names.
const NAMED: u32 = 20;

/// Result of [`undo`].
#[derive(Debug)]
pub(crate) enum Undone {
    /// The import is undone, with the number of members that this run has restored.
    Done(ProfileImport, usize),
    /// Nothing was written: these members have data from after the import, which would be deleted. At most the first twenty.
    Changed(ProfileImport, Vec<ChangedMember>),
}

/// Undoes the last import of a community that is not undone. Profiles that it created are deleted, with what was stored of them since, if `discard_changes`.
///
/// # Errors
/// When there is nothing to undo, or the database is unavailable. What is restored stays, and a further run continues.
pub(crate) async fn undo(
    target: &Target,
    by: &str,
    discard_changes: bool,
    now: OffsetDateTime,
) -> anyhow::Result<Undone> {
    let mut tx = target.admin.tenant(target.community).await?;
    let mut imports = tx.profile_imports();
    let Some(import) = imports.latest().await? else {
        bail!("the community has no import of profiles");
    };
    if import.state != ProfileImportState::Undoing {
        // Builds before wrote pages of an import that was being undone; its rows are what is left to undo.
        if import.state == ProfileImportState::Undone && imports.written(import.id).await?.is_empty() {
            bail!("the import of {} is undone already", import.file_name);
        }
        // First: it waits for the page that a running import writes. No further page is written.
        let states = (import.state, ProfileImportState::Undoing);
        if !imports.advance(import.id, states, now).await? {
            bail!("another run changes the import");
        }
        let changed = imports.changed_since(import.id, NAMED).await?;
        if !changed.is_empty() && !discard_changes {
            tx.rollback().await?;
            return Ok(Undone::Changed(import, changed));
        }
    }
    let written = imports.written(import.id).await?;
    tx.commit().await?;
    let users: Vec<UserId> = written.into_iter().map(|(user, _)| user).collect();
    let others = other_communities(target, &users).await?;
    let mut restored = 0;
    loop {
        let page = undo_page(target, &import, &others, now).await?;
        if page == 0 {
            break;
        }
        restored += page;
        tracing::info!(restored, members = users.len(), "undoing an import of profiles");
    }
    end(target, &import, by, now).await?;
    Ok(Undone::Done(import, restored))
}

/// Restores the next members; returns their number.
async fn undo_page(
    target: &Target,
    import: &ProfileImport,
    others: &[CommunityId],
    now: OffsetDateTime,
) -> anyhow::Result<usize> {
    let mut tx = target.admin.tenant(target.community).await?;
    // The import before the registry: the order of locks. Another undo waits, and does not restore the same members again.
    if tx.profile_imports().lock(import.id).await? != Some(ProfileImportState::Undoing) {
        bail!("another run has ended the undo");
    }
    let page = tx.profile_imports().to_undo(import.id, PAGE).await?;
    if page.is_empty() {
        tx.rollback().await?;
        return Ok(0);
    }
    let wallets: Vec<WalletToUndo> = page
        .iter()
        .filter_map(|member| {
            let (address, event) = member.verified?;
            Some(WalletToUndo {
                user: member.user,
                address,
                event,
            })
        })
        .collect();
    tx.registry().undo_wallets(&wallets, now).await?;
    let users: Vec<UserId> = page.iter().map(|member| member.user).collect();
    tx.profile_imports().undo(import.id, &users).await?;
    tx.profiles().copy_wallets_from_registry(&users).await?;
    let removed: Vec<UserId> = wallets.iter().map(|wallet| wallet.user).collect();
    let job = format!("tier-sync:undo-import:{}", import.id);
    let tx = copy_wallets(tx, others, &removed, &job, now).await?;
    tx.commit().await?;
    Ok(page.len())
}

async fn end(target: &Target, import: &ProfileImport, by: &str, now: OffsetDateTime) -> anyhow::Result<()> {
    let mut tx = target.admin.tenant(target.community).await?;
    let states = (ProfileImportState::Undoing, ProfileImportState::Undone);
    let mut imports = tx.profile_imports();
    if !imports.advance(import.id, states, now).await? {
        bail!("another run has ended the undo");
    }
    if !imports.written(import.id).await?.is_empty() {
        bail!("the import has members that are not restored; run the undo again");
    }
    tx.audit(&NewAuditEntry {
        actor: Actor::Operator(by.to_owned()),
        action: "profiles.import_undo",
        subject: &import.id.to_string(),
        reason: None,
        detail: json!({"file": import.file_name, "members": import.members}),
    })
    .await?;
    let job = reconcile::request(&format!("reconcile:undo-import:{}", import.id));
    tx.jobs().enqueue(&job.row(now)).await?;
    tx.commit().await?;
    Ok(())
}
