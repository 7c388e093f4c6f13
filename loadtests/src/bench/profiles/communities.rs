//! Communities in Postgres for the emulator's servers: every member has a profile, a verified wallet and a rank, and holds the badge that
//! the theme lets members share.

use anyhow::Context as _;
use arrakis_db::{Activity, Admin, BadgeSource, CommunityId, GuildId, NewCommunity, TokenProfile, UserId};
use arrakis_domain::{Address, BadgeId, BadgeRule, RoleId, RuleSetId};
use arrakis_test_support::TestDatabase;
use arrakis_themes::Registry;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::bench::BenchPlatform;

/// Name of the token profile of all communities.
pub(super) const TOKEN: &str = "bgt";
/// Days before today on which each member was active.
const ACTIVE_DAYS: i64 = 3;
/// Communities that are written at the same time.
const AT_ONCE: usize = 4;
/// Time limit for the jobs that the leader enqueues when the first worker starts.
const JOBS_LIMIT: std::time::Duration = std::time::Duration::from_secs(900);

/// Onboards every server of the emulator with the theme `basic`.
pub(super) async fn onboard(platform: &BenchPlatform) -> anyhow::Result<()> {
    onboard_with(platform, "basic").await
}

/// Onboards every server of the emulator with this theme.
pub(super) async fn onboard_with(platform: &BenchPlatform, theme: &str) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc();
    let admin = platform.database.admin().await;
    let themes = Registry::load(None)?;
    let theme = themes.theme(theme)?;
    let shared = theme.badges.iter().find(|badge| badge.earned_by == BadgeRule::Shared);
    let shared = shared.map(|badge| badge.id.clone());
    write_ranking(&admin, platform.options.members, now).await?;
    let guilds = platform.discord.guilds().await?;
    let mut writing = tokio::task::JoinSet::new();
    for (n, guild) in (0_u128..).zip(guilds) {
        let members = platform.discord.members(guild.id).await?;
        let people = members.iter().filter(|member| member["user"]["bot"] != true);
        let people = people
            .map(|member| {
                member["user"]["id"]
                    .as_str()
                    .context("a member without an id")?
                    .parse()
                    .context("a member's id")
            })
            .collect::<anyhow::Result<Vec<u64>>>()?;
        let new = NewCommunity {
            guild: GuildId::new(guild.id.0)?,
            name: format!("Community {n}"),
            theme: theme.id.clone(),
            theme_plan: theme.plan,
            rule_set: RuleSetId::new("ranked")?,
            plan: theme.plan,
            token_profile: TOKEN.parse()?,
        };
        let community = community_id(n);
        let (admin, shared) = (admin.clone(), shared.clone());
        writing.spawn(async move { write_community(&admin, (community, &new), &people, shared.as_ref(), now).await });
        if writing.len() >= AT_ONCE
            && let Some(written) = writing.join_next().await
        {
            written??;
        }
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    // Production databases have statistics from autovacuum; without them the query plans would differ.
    analyze(&platform.database.owner_url()).await
}

async fn analyze(owner_url: &str) -> anyhow::Result<()> {
    let mut owner = PgConnection::connect(owner_url).await?;
    sqlx::raw_sql("vacuum analyze").execute(&mut owner).await?;
    Ok(owner.close().await?)
}

/// Creates a role for each automatic role of the theme `basic` in each server and binds it, in place of one that was bound before.
pub(super) async fn bind_roles(platform: &BenchPlatform) -> anyhow::Result<()> {
    let admin = platform.database.admin().await;
    let themes = Registry::load(None)?;
    let roles = &themes.theme("basic")?.roles;
    let guilds = platform.discord.guilds().await?;
    for (n, guild) in (0_u128..).zip(guilds) {
        let mut tx = admin.tenant(community_id(n)).await?;
        for role in roles.iter().filter(|role| role.given_to.is_automatic()) {
            let made = json!({"name": role.key.to_string()});
            let made = platform.discord.create_role(guild.id, &made).await?;
            let made = made["id"].as_str().with_context(|| format!("no id in {made}"))?;
            tx.communities().bind_role(&role.key, RoleId(made.parse()?)).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Waits until no job compares or changes roles any more: those of a first start would distort the figures. There must have been one.
pub(super) async fn until_jobs_ended(platform: &BenchPlatform) -> anyhow::Result<()> {
    until_jobs_ended_in(&platform.database).await
}

/// As [`until_jobs_ended`], of the platform with this database.
pub(super) async fn until_jobs_ended_in(database: &TestDatabase) -> anyhow::Result<()> {
    let counts = "select count(*), count(*) filter (where state not in ('succeeded', 'failed')) from jobs \
                  where kind in ('reconcile', 'tier-sync')";
    let mut connection = PgConnection::connect(&database.admin_url()).await?;
    let deadline = std::time::Instant::now() + JOBS_LIMIT;
    loop {
        let (all, left): (i64, i64) = sqlx::query_as(counts).fetch_one(&mut connection).await?;
        if all > 0 && left == 0 {
            return Ok(connection.close().await?);
        }
        anyhow::ensure!(
            std::time::Instant::now() < deadline,
            "{left} of {all} jobs have not ended after {} s",
            JOBS_LIMIT.as_secs()
        );
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}

/// Id of the community of the nth server.
pub(super) fn community_id(n: u128) -> CommunityId {
    CommunityId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_9000_0000_0000_0000 + n))
}

async fn write_ranking(admin: &Admin, holders: u32, now: OffsetDateTime) -> anyhow::Result<()> {
    let mut tx = admin.database().global().await?;
    tx.eligibility()
        .put_token_profile(&TokenProfile {
            id: TOKEN.parse()?,
            name: "Bera Governance Token".to_owned(),
            symbol: "BGT".to_owned(),
            standard: arrakis_db::ProfileStandard::Erc20,
            chain_id: 80_094,
            contract: Address::from_bytes([1; 20]),
            decimals: 18,
            claims_from: None,
            burns_to: None,
            token_ids: Vec::new(),
            start_block: 0,
        })
        .await?;
    let holdings = (0..holders)
        .map(|n| Ok((wallet(n), format!("{}.5", holders - n).parse()?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    tx.replace_ranking(&TOKEN.parse()?, &holdings, 1, now).await?;
    Ok(tx.commit().await?)
}

async fn write_community(
    admin: &Admin,
    (id, new): (CommunityId, &NewCommunity),
    people: &[u64],
    shared: Option<&BadgeId>,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    let mut tx = admin.tenant(id).await?;
    tx.communities().create(new).await?;
    for (n, user) in (0..).zip(people) {
        let user = UserId::new(*user)?;
        tx.profiles()
            .join(user, &format!("rider{n}"), now - Duration::days(30))
            .await?;
        tx.profiles().link_wallet(user, Some(wallet(n))).await?;
        if let Some(badge) = shared {
            tx.badges()
                .award(user, badge, BadgeSource::Admin(user), now, None)
                .await?;
        }
        // PostgreSQL plans queries of a table that was empty at the last ANALYZE as for an empty table.
        for day in 1..=ACTIVE_DAYS {
            let at = now - Duration::days(day);
            tx.profiles().count_activity(user, Activity::Command, at).await?;
        }
    }
    Ok(tx.commit().await?)
}

/// The wallet of the nth member of every community.
pub(super) fn wallet(n: u32) -> Address {
    let mut bytes = [0x77; 20];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Address::from_bytes(bytes)
}
