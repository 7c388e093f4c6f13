//! Checks of a file as a whole, and against the community. They write nothing.

use std::collections::{BTreeSet, HashMap};

use arrakis_db::registry::MemberWallet;
use arrakis_db::{BadgeRow, TenantTx, UserId};
use arrakis_domain::{Address, BadgeId, TierId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::present::PresentMembers;
use super::problems::Problems;
use super::source::{SourceFile, SourceMember};
use super::target::Target;

const PROFILES: &str = "profiles";
const BADGES: &str = "badges";
/// Members that one transaction compares with the community.
const PAGE: usize = 500;

/// Checks what rows of the file state about each other, and that the theme has its tiers and badges.
pub(crate) fn check_file(target: &Target, file: &SourceFile, problems: &mut Problems) {
    check_wallets(file, problems);
    for member in &file.members {
        check_tiers(target, member, problems);
    }
    let badges = Badges::of(file);
    for member in &file.members {
        for badge in &member.rows.badges {
            let refuse = |problems: &mut Problems, reason: String| {
                problems.add(
                    BADGES,
                    member.badge_rows.get(&badge.badge_id).copied(),
                    Some(member.user()),
                    reason,
                );
            };
            if target.theme.badge(&badge.badge).is_none() {
                let reason = format!("the theme {} has no badge {}", target.theme.id, badge.badge);
                refuse(problems, reason);
            }
            for reason in badges.conflicts(member, badge) {
                refuse(problems, reason);
            }
        }
    }
}

/// A wallet is one member's. The registry holds an address in one case only, so `0xAB…` and `0xab…` are the same.
fn check_wallets(file: &SourceFile, problems: &mut Problems) {
    let mut owners: HashMap<Address, UserId> = HashMap::new();
    for member in &file.members {
        let Some(wallet) = member.rows.profile.wallet else {
            continue;
        };
        if let Some(owner) = owners.insert(wallet, member.user()) {
            let reason = format!("the wallet {wallet} is also that of member {owner}");
            problems.add(PROFILES, Some(member.row), Some(member.user()), reason);
        }
    }
}

fn check_tiers(target: &Target, member: &SourceMember, problems: &mut Problems) {
    let profile = &member.rows.profile;
    let unknown = |tier: &TierId| target.place(tier).is_none();
    let reason = |tier: &TierId| format!("the theme {} has no tier {tier}", target.theme.id);
    for tier in profile
        .tier
        .iter()
        .chain(&profile.highest_tier)
        .filter(|&tier| unknown(tier))
    {
        problems.add(PROFILES, Some(member.row), Some(member.user()), reason(tier));
    }
    for reached in member.rows.tiers.iter().filter(|reached| unknown(&reached.tier)) {
        problems.add("tiers_reached", None, Some(member.user()), reason(&reached.tier));
    }
    let place = |tier: &Option<TierId>| tier.as_ref().and_then(|tier| target.place(tier));
    if let (Some(tier), Some(highest)) = (place(&profile.tier), place(&profile.highest_tier))
        && highest > tier
    {
        let reason = "highest_tier is below tier";
        problems.add(PROFILES, Some(member.row), Some(member.user()), reason);
    }
}

/// The badges of a file, by what must be unique.
struct Badges<'a> {
    /// How many rows have an id.
    ids: HashMap<Uuid, u32>,
    /// How many rows of a member hold a badge.
    held: HashMap<(UserId, &'a BadgeId), u32>,
    /// How many held badges a member has shared.
    shares: HashMap<(UserId, &'a BadgeId), u32>,
    /// Rows by their id, with their members.
    rows: HashMap<Uuid, (UserId, &'a BadgeRow)>,
    /// Which badge a shared one comes from.
    sources: HashMap<Uuid, Uuid>,
}

impl<'a> Badges<'a> {
    fn of(file: &'a SourceFile) -> Self {
        let mut badges = Self {
            ids: HashMap::new(),
            held: HashMap::new(),
            shares: HashMap::new(),
            rows: HashMap::new(),
            sources: HashMap::new(),
        };
        for member in &file.members {
            for badge in &member.rows.badges {
                *badges.ids.entry(badge.badge_id).or_default() += 1;
                badges.rows.insert(badge.badge_id, (member.user(), badge));
                if badge.revoked_at.is_some() {
                    continue;
                }
                *badges.held.entry((member.user(), &badge.badge)).or_default() += 1;
                if let Some(giver) = badge.awarded_by.filter(|_| badge.source == "share") {
                    *badges.shares.entry((giver, &badge.badge)).or_default() += 1;
                }
            }
            let shares = member.shares.iter().map(|share| (share.badge_id, share.shared_from));
            badges.sources.extend(shares);
        }
        badges
    }

    /// What is wrong with a badge.
    fn conflicts(&self, member: &SourceMember, badge: &BadgeRow) -> Vec<String> {
        let mut reasons = Vec::new();
        let is_more = |count: Option<&u32>| count.is_some_and(|count| *count > 1);
        if is_more(self.ids.get(&badge.badge_id)) {
            reasons.push(format!("the badge_id {} is there twice", badge.badge_id));
        }
        if badge.revoked_at.is_none() && is_more(self.held.get(&(member.user(), &badge.badge))) {
            reasons.push(format!("the member holds the badge {} twice", badge.badge));
        }
        if let Some(giver) = badge.awarded_by
            && badge.source == "share"
            && badge.revoked_at.is_none()
            && is_more(self.shares.get(&(giver, &badge.badge)))
        {
            reasons.push(format!("member {giver} has shared the badge {} twice", badge.badge));
        }
        if let Some(source) = self.sources.get(&badge.badge_id) {
            reasons.extend(self.wrong_source(badge, *source));
        }
        reasons
    }

    /// What is wrong with the badge that a shared one comes from.
    fn wrong_source(&self, badge: &BadgeRow, source: Uuid) -> Option<String> {
        let Some((giver, from)) = self.rows.get(&source) else {
            return Some(format!("shared_from: the file has no badge {source}"));
        };
        if badge.awarded_by != Some(*giver) || badge.badge != from.badge {
            return Some(format!(
                "shared_from: {source} is not the {} of the member in awarded_by",
                badge.badge
            ));
        }
        // A lineage ends at a badge that was not shared.
        let mut at = source;
        for _ in 0..self.sources.len() {
            match self.sources.get(&at) {
                Some(next) => at = *next,
                None => return None,
            }
        }
        Some("shared_from: the lineage returns to this badge".to_owned())
    }
}

/// Checks the file against the rows of the community and the identity registry. `written` are the members that an unfinished import of
/// this file has written: their rows are no conflict.
///
/// # Errors
/// When the database is unavailable.
pub(crate) async fn check_database(
    target: &Target,
    file: &SourceFile,
    (import, written): (Option<Uuid>, &BTreeSet<UserId>),
    now: OffsetDateTime,
    problems: &mut Problems,
) -> anyhow::Result<()> {
    let left: Vec<&SourceMember> = file
        .members
        .iter()
        .filter(|member| !written.contains(&member.user()))
        .collect();
    for page in left.chunks(PAGE) {
        let mut tx = target.admin.tenant(target.community).await?;
        check_registry(&mut tx, target, page, now, problems).await?;
        let users: Vec<UserId> = page.iter().map(|member| member.user()).collect();
        let others = tx.profile_imports().written_by_others(import, &users).await?;
        for member in page.iter().filter(|member| others.contains(&member.user())) {
            let reason = "an earlier import has written the member; undo it first";
            problems.add(PROFILES, Some(member.row), Some(member.user()), reason);
        }
        check_profiles(&mut tx, page, problems).await?;
        check_badges(&mut tx, page, problems).await?;
        check_members(&mut tx, target, (page, &users), now, problems).await?;
        tx.rollback().await?;
    }
    Ok(())
}

/// The wallets of members, as the registry imports them.
pub(super) fn wallets<'a>(page: &[&'a SourceMember]) -> Vec<MemberWallet<'a>> {
    page.iter()
        .map(|member| MemberWallet {
            user: member.user(),
            display_name: &member.rows.profile.display_name,
            wallet: member.rows.profile.wallet.zip(member.verified_at),
        })
        .collect()
}

async fn check_registry(
    tx: &mut TenantTx,
    target: &Target,
    page: &[&SourceMember],
    now: OffsetDateTime,
    problems: &mut Problems,
) -> anyhow::Result<()> {
    let conflicts = tx
        .registry()
        .wallet_conflicts(&wallets(page), target.chain_id, now)
        .await?;
    for conflict in conflicts {
        let row = page.iter().find(|member| member.user() == conflict.user);
        let reason = format!("wallet {}: {}", conflict.address, conflict.refusal);
        problems.add(PROFILES, row.map(|member| member.row), Some(conflict.user), reason);
    }
    Ok(())
}

/// A profile whose wallet is not in the registry is from before it.
async fn check_profiles(tx: &mut TenantTx, page: &[&SourceMember], problems: &mut Problems) -> anyhow::Result<()> {
    let wallets: Vec<Address> = page.iter().filter_map(|member| member.rows.profile.wallet).collect();
    let owners = tx.profile_imports().owners_of_wallets(&wallets).await?;
    for member in page {
        let owner = member.rows.profile.wallet.and_then(|wallet| owners.get(&wallet));
        if owner.is_some_and(|owner| *owner != member.user()) {
            let reason = "another member of the community has the wallet";
            problems.add(PROFILES, Some(member.row), Some(member.user()), reason);
        }
    }
    Ok(())
}

async fn check_badges(tx: &mut TenantTx, page: &[&SourceMember], problems: &mut Problems) -> anyhow::Result<()> {
    let mut imports = tx.profile_imports();
    let ids: Vec<Uuid> = page.iter().flat_map(|member| ids_of_badges(member)).collect();
    let owners = imports.owners_of_badges(&ids).await?;
    let givers: BTreeSet<UserId> = page
        .iter()
        .flat_map(|member| member.rows.badges.iter().filter_map(|badge| badge.awarded_by))
        .collect();
    let givers: Vec<UserId> = givers.into_iter().collect();
    let shares = imports.shares_of(&givers).await?;
    for member in page {
        for badge in &member.rows.badges {
            let row = member.badge_rows.get(&badge.badge_id).copied();
            if owners.contains_key(&badge.badge_id) {
                let reason = format!("the community has a badge with the badge_id {}", badge.badge_id);
                problems.add(BADGES, row, Some(member.user()), reason);
            }
            let is_share = badge.source == "share" && badge.revoked_at.is_none();
            let before = shares.iter().find(|(giver, kind, id)| {
                is_share && badge.awarded_by == Some(*giver) && *kind == badge.badge && *id != badge.badge_id
            });
            if let Some((giver, kind, _)) = before {
                let reason = format!("member {giver} has shared the badge {kind} on the platform");
                problems.add(BADGES, row, Some(member.user()), reason);
            }
        }
    }
    Ok(())
}

fn ids_of_badges(member: &SourceMember) -> impl Iterator<Item = Uuid> {
    member.rows.badges.iter().map(|badge| badge.badge_id)
}

async fn check_members(
    tx: &mut TenantTx,
    target: &Target,
    (page, users): (&[&SourceMember], &[UserId]),
    now: OffsetDateTime,
    problems: &mut Problems,
) -> anyhow::Result<()> {
    let present = PresentMembers::read(tx, users).await?;
    for member in page {
        if let Err(reason) = present.merged(target, &member.rows, None, now) {
            problems.add(BADGES, None, Some(member.user()), reason);
        }
    }
    Ok(())
}
