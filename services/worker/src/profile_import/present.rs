//! What the community has of members, with which the rows of a file are merged: the same for the check and for the write.

use std::collections::BTreeMap;

use arrakis_db::{MemberRows, MemberWrite, TenantTx, UserId};
use arrakis_domain::{Address, TierId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::merge::{MergeRules, merged};
use super::target::Target;

/// The rows that some members have.
pub(super) struct PresentMembers {
    rows: BTreeMap<UserId, MemberRows>,
    /// Badges of them from which another one is shared.
    shared_on: Vec<Uuid>,
}

impl PresentMembers {
    /// Reads the rows of these users.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub(super) async fn read(tx: &mut TenantTx, users: &[UserId]) -> anyhow::Result<Self> {
        let mut imports = tx.profile_imports();
        let members = imports.members(users).await?;
        let held = members.iter().flat_map(|rows| &rows.badges);
        let held: Vec<Uuid> = held.map(|badge| badge.badge_id).collect();
        let shared_on = imports.shared_on(&held).await?;
        let rows = members.into_iter().map(|rows| (rows.profile.user_id, rows)).collect();
        Ok(Self { rows, shared_on })
    }

    /// The rows to write of a member of a file, whose wallet in the registry is `wallet`.
    ///
    /// # Errors
    /// The reason, when the member holds a badge of the file by another row, which must not be replaced.
    pub(super) fn merged(
        &self,
        target: &Target,
        source: &MemberRows,
        wallet: Option<Address>,
        now: OffsetDateTime,
    ) -> Result<MemberWrite, String> {
        let place = |tier: &TierId| target.place(tier);
        let rules = MergeRules {
            place: &place,
            shared_on: &self.shared_on,
            now,
        };
        merged(source, self.rows.get(&source.profile.user_id), wallet, &rules)
    }
}
