//! Two tenants with one row in every tenant table, and helpers for SQL in tests.

use arrakis_db::{CommunityId, Database, GuildId, NewCommunity, ProfileStandard, TokenProfile, TokenProfileId, UserId};
use arrakis_domain::{Plan, RuleSetId, ThemeId};
use arrakis_test_support::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// For each tenant table the required columns after `community_id`, and their values. `{n}` is the tenant's number, for
/// values that must differ between tenants. A tenant table without an entry fails the tests.
const ROWS: [(&str, &str, &str); 34] = [
    (
        "communities",
        "guild_id, name, theme, rule_set, plan, token_profile_id",
        "{n}, 'C', 'sietch', 'balance', 'free', 'bgt'",
    ),
    ("guild_routes", "guild_id", "{n}"),
    ("role_bindings", "role_key, discord_role_id", "'naib', 5"),
    ("feature_gates", "gate_key, tier, set_by", "'leaderboard', 'naib', 7"),
    ("profiles", "user_id, display_name, joined_at", "7, 'Chani', now()"),
    (
        "tier_imports",
        "import_id, source, days, members, created_by",
        "9, 'the role Holder', 14, '[]', 7",
    ),
    (
        "imported_tiers",
        "user_id, import_id, tier, expires_at",
        "7, 9, 'usul', now()",
    ),
    ("profile_activity", "user_id, day", "7, '2026-11-21'"),
    (
        "profile_imports",
        "import_id, content, file_name, members, started_by, started_at",
        "'00000000-0000-0000-0000-000000000001', sha256('{n}'), 'members.sqlite', 1, 'stilgar', now()",
    ),
    (
        "profile_import_members",
        "import_id, user_id, imported, checksum, badge_ids, tiers, days",
        "'00000000-0000-0000-0000-000000000001', 7, '{}', sha256('{n}'), '{}', '{}', '{}'",
    ),
    ("tiers_reached", "user_id, tier, reached_at", "7, 'naib', now()"),
    (
        "badges",
        "badge_id, user_id, badge, source, awarded_at",
        "'00000000-0000-0000-0000-000000000001', 7, 'month', 'rule', now()",
    ),
    ("jobs", "job_id, kind", "'reconcile:1', 'reconcile'"),
    (
        "audit_log",
        "entry_id, actor_kind, actor, action, subject",
        "'00000000-0000-0000-0000-000000000001', 'system', 'test', 'badge.give', '7'",
    ),
    ("inbox", "event_id", "'event'"),
    ("manifests", "version, manifest, created_by", "1, '{}', '7'"),
    (
        "mfa_grants",
        "grant_hash, user_id, operation, plan_digest, created_at, expires_at",
        "sha256('{n}'), 7, 'teardown', sha256('{n}'), now(), now() + interval '5 minutes'",
    ),
    (
        "configuration_versions",
        "version, cause, recorded_by, recorded_at, content, checksum",
        "1, 'theme', 'stilgar', now(), '{}', sha256('{n}')",
    ),
    (
        "reconcile_reports",
        "job_id, finished_at, report",
        "'reconcile:1', now(), '{}'",
    ),
    (
        "rule_changes",
        "change_id, rule_set, requested_by, requested_at, effective_at",
        "'00000000-0000-0000-0000-000000000001', 'ranked', 7, now(), now()",
    ),
    ("shadow_states", "state", "'{}'"),
    (
        "notification_events",
        "event_id, kind, user_id, payload",
        "'snapshot:rank:7', 'rank', 7, '{}'",
    ),
    (
        "subscriptions",
        "user_id, kinds, delivery, time_zone, digest_hour",
        "7, '{rank}', 'at_once', 'UTC', 18",
    ),
    (
        "alerts",
        "user_id, event_id, kind, due_at",
        "7, 'snapshot:rank:7', 'rank', now()",
    ),
    ("posts", "post", "'digest'"),
    ("backup_runs", "task, last_attempt_at", "'backup', now()"),
    ("backup_due", "task, due_since", "'backup', now()"),
    ("bot_presence", "seen_at", "now()"),
    (
        "operator_notices",
        "notice_id, destination, notice, created_at",
        "'backup:backup:1#failed', 'webhook', '{}', now()",
    ),
    (
        "arrivals",
        "event_id, user_id, display_name, joined",
        "'event', 7, 'Chani', true",
    ),
    (
        "api_keys",
        "key_id, name, prefix, secret_hash, scopes, created_by, expires_at",
        "'00000000-0000-0000-0000-000000000001', 'CI', 'arrakis_abcdefgh', sha256('{n}'), '{users:read}', 'stilgar', now()",
    ),
    (
        "checkpoints",
        "checkpoint_id, request_id, purpose, created_by, created_at, expires_at, content, checksum",
        "'00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', 'manual', 'stilgar', now(), \
         now() + interval '30 days', '{}', sha256('{}')",
    ),
    (
        "checkpoint_restores",
        "request_id, checkpoint_id, restored_by, restored_at, result",
        "'00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001', 'stilgar', now(), '{}'",
    ),
    (
        "backup_uses",
        "kind, use_id, used_by, used_at",
        "'backup', '00000000-0000-0000-0000-000000000001', 'stilgar', now()",
    ),
];

/// INSERT statement of a table's row for this tenant.
pub(crate) fn insert(table: &str, tenant: CommunityId, number: u64) -> String {
    let Some((_, columns, values)) = ROWS.iter().find(|(name, ..)| *name == table) else {
        panic!("tenant table {table} has no row in tests/it/fixtures.rs: add one")
    };
    let values = values.replace("{n}", &number.to_string());
    format!("insert into {table} (community_id, {columns}) values ('{tenant}', {values})")
}

/// Two tenants, each with one row in every tenant table of the catalogue.
pub(crate) struct TwoTenants {
    pub(crate) database: TestDatabase,
    pub(crate) a: CommunityId,
    pub(crate) b: CommunityId,
    /// The tenant tables, in an order in which rows can be inserted.
    pub(crate) tables: Vec<String>,
}

impl TwoTenants {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create().await;
        let (a, b) = (CommunityId::new(), CommunityId::new());
        let mut owner = connect(&database.owner_url()).await;
        // In SQL: a service refuses an unprotected database, and some of these tests need one.
        run(
            &mut owner,
            "insert into token_profiles (token_profile_id, name, symbol, chain_id, contract, decimals)
             values ('bgt', 'Bera Governance Token', 'BGT', 80094, '0x656b95e550c07a9ffe548bd4085c72418ceb1dba', 18)",
        )
        .await
        .unwrap();
        let tables = tenant_tables(&mut owner).await;
        for (tenant, number) in [(a, 1), (b, 2)] {
            set_tenant(&mut owner, Some(tenant)).await;
            for table in &tables {
                run(&mut owner, &insert(table, tenant, number)).await.unwrap();
            }
        }
        Self { database, a, b, tables }
    }

    /// All rows of all tenant tables, read with the admin's login.
    pub(crate) async fn everything(&self) -> Vec<String> {
        let mut admin = connect(&self.database.admin_url()).await;
        let mut rows = Vec::new();
        for table in &self.tables {
            let sql = format!("select '{table} ' || to_jsonb(t)::text from {table} t order by 1");
            rows.extend(
                sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
                    .fetch_all(&mut admin)
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(rows.len(), 2 * self.tables.len());
        rows
    }
}

/// Tenant tables of the catalogue, each behind the tables to which it refers.
pub(crate) async fn tenant_tables(connection: &mut PgConnection) -> Vec<String> {
    let mut left: Vec<(String, Vec<String>)> = sqlx::query_as(
        "select c.oid::regclass::text,
                array(select k.confrelid::regclass::text from pg_constraint k
                       where k.contype = 'f' and k.conrelid = c.oid and k.confrelid <> c.oid)
           from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'community_id' and not a.attisdropped
          where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    assert!(
        left.len() >= 10,
        "the catalogue lists {} tenant tables: is the query right?",
        left.len()
    );
    let mut sorted = Vec::new();
    while !left.is_empty() {
        let names: Vec<_> = left.iter().map(|(name, _)| name.clone()).collect();
        let (free, bound) = left
            .into_iter()
            .partition(|(_, refers)| !refers.iter().any(|to| names.contains(to)));
        let free: Vec<(String, Vec<String>)> = free;
        assert!(!free.is_empty(), "tenant tables refer to each other in a circle");
        sorted.extend(free.into_iter().map(|(name, _)| name));
        left = bound;
    }
    sorted
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Sets the tenant for the whole session, which only tests do.
pub(crate) async fn set_tenant(connection: &mut PgConnection, tenant: Option<CommunityId>) {
    let tenant = tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
    sqlx::query("select set_config('app.current_tenant', $1, false)")
        .bind(tenant)
        .execute(connection)
        .await
        .unwrap();
}

/// Runs SQL; returns the number of rows it changed, or the SQLSTATE with which it was refused.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) -> Result<u64, String> {
    match sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await {
        Ok(done) => Ok(done.rows_affected()),
        Err(sqlx::Error::Database(error)) => Err(format!("{} {}", error.code().unwrap_or_default(), error.message())),
        Err(error) => panic!("{sql}: {error}"),
    }
}

pub(crate) async fn count(connection: &mut PgConnection, from: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {from}")))
        .fetch_one(connection)
        .await
        .unwrap()
}

/// SQLSTATE of a right that is missing, a row that row-level security refuses, and our append-only triggers.
pub(crate) const REFUSED: &str = "42501";

pub(crate) fn is_refused(outcome: &Result<u64, String>) -> bool {
    outcome.as_ref().is_err_and(|why| why.starts_with(REFUSED))
}

pub(crate) fn token() -> TokenProfileId {
    TokenProfileId::new("bgt").unwrap()
}

pub(crate) async fn put_token_profile(database: &Database) {
    let mut tx = database.global().await.unwrap();
    let profile = TokenProfile {
        id: token(),
        name: "Bera Governance Token".to_owned(),
        symbol: "BGT".to_owned(),
        standard: ProfileStandard::Bgt,
        chain_id: 80094,
        contract: "0x656b95e550c07a9ffe548bd4085c72418ceb1dba".parse().unwrap(),
        decimals: 18,
        claims_from: Some("0xd2f19a79b026fb636a7c300bf5947df113940761".parse().unwrap()),
        burns_to: Some("0x0000000000000000000000000000000000000000".parse().unwrap()),
        token_ids: Vec::new(),
        start_block: 1,
    };
    tx.eligibility().put_token_profile(&profile).await.unwrap();
    assert_eq!(tx.eligibility().token_profile(&token()).await.unwrap(), Some(profile));
    tx.commit().await.unwrap();
}

pub(crate) fn user(id: u64) -> UserId {
    UserId::new(id).unwrap()
}

/// A community that is created as onboarding creates one.
pub(crate) async fn onboard(database: &Database, guild: u64) -> CommunityId {
    let community = CommunityId::new();
    let mut tx = database.tenant(community).await.unwrap();
    let new = NewCommunity {
        guild: GuildId::new(guild).unwrap(),
        name: format!("Community {guild}"),
        theme: ThemeId::new("sietch").unwrap(),
        theme_plan: Plan::Premium,
        rule_set: RuleSetId::new("balance").unwrap(),
        plan: Plan::Premium,
        token_profile: token(),
    };
    tx.communities().create(&new).await.unwrap();
    tx.commit().await.unwrap();
    community
}

/// A database with the token profile and one community.
pub(crate) async fn one_community() -> (TestDatabase, Database, CommunityId) {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    put_token_profile(&database).await;
    let community = onboard(&database, 100).await;
    (test, database, community)
}
