//! A community in a database of its own, and SQLite files to import into it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arrakis_db::{
    CommunityId, Database, GuildId, NewCommunity, ProfileStandard, TenantTx, TokenProfile, TokenProfileId, UserId,
};
use arrakis_domain::{Plan, RuleSetId, ThemeId};
use arrakis_test_support::{Process, TestDatabase};
use rusqlite::Connection;
use tempfile::TempDir;

/// How long a run may take.
pub const LIMIT: Duration = Duration::from_secs(300);
/// The first server.
pub const GUILD: u64 = 100;

/// Tables of a file as a tool has them.
pub const SCHEMA: &str = "
    create table profiles (
        user_id text primary key, display_name text, wallet text, verified_at, joined_at, left_at text, tier text,
        tier_since text, highest_tier text, protected integer, hidden integer, waitlisted_at text, commands integer,
        messages integer, last_active_at text, created_at text, updated_at text);
    create table badges (
        badge_id text primary key, user_id text, badge text, source text, awarded_by text, awarded_at text, reason text,
        shared_from text, revoked_at text, revoked_by text, revoke_reason text);
    create table tiers_reached (user_id text, tier text, reached_at text);
    create table activity (user_id text, day text, commands integer, messages integer);";

/// A database with a community, and a folder for files.
pub struct Setup {
    pub test: TestDatabase,
    pub database: Database,
    pub community: CommunityId,
    folder: TempDir,
}

impl Setup {
    /// A database without a community. Its id is one that is not used.
    pub async fn empty() -> Self {
        let test = TestDatabase::create().await;
        Self {
            database: test.database().await,
            test,
            community: CommunityId::new(),
            folder: TempDir::new().unwrap(),
        }
    }

    pub async fn create() -> Self {
        let mut setup = Self::empty().await;
        let mut tx = setup.database.global().await.unwrap();
        let profile = TokenProfile {
            id: token(),
            name: "BGT".to_owned(),
            symbol: "BGT".to_owned(),
            standard: ProfileStandard::Erc20,
            chain_id: 80094,
            contract: "0x656b95e550c07a9ffe548bd4085c72418ceb1dba".parse().unwrap(),
            decimals: 18,
            claims_from: None,
            burns_to: None,
            token_ids: Vec::new(),
            start_block: 1,
        };
        tx.eligibility().put_token_profile(&profile).await.unwrap();
        tx.commit().await.unwrap();
        setup.community = onboard(&setup.database, GUILD).await;
        setup
    }

    /// Path of a file in the test's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with the tables of a tool and the rows of these statements.
    pub fn file(&self, name: &str, rows: &str) -> PathBuf {
        let path = self.path(name);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection.execute_batch(rows).unwrap();
        path
    }

    pub async fn tenant(&self) -> TenantTx {
        self.database.tenant(self.community).await.unwrap()
    }

    /// Imports a file; returns the exit code and the printed lines.
    pub async fn import(&self, file: &Path, options: &[&str]) -> (i32, String) {
        self.import_with(file, options, "").await
    }

    /// The same with fail points.
    pub async fn import_with(&self, file: &Path, options: &[&str], fail_points: &str) -> (i32, String) {
        let file = file.to_str().unwrap();
        let mut arguments = vec!["import-profiles", "--from", file, "--community", "100", "--by", "liet"];
        arguments.extend(options);
        self.run(&arguments, fail_points).await
    }

    /// Undoes the last import.
    pub async fn undo(&self, options: &[&str]) -> (i32, String) {
        self.undo_with(options, "").await
    }

    /// The same with fail points.
    pub async fn undo_with(&self, options: &[&str], fail_points: &str) -> (i32, String) {
        let mut arguments = vec!["undo-profile-import", "--community", "100", "--by", "liet"];
        arguments.extend(options);
        self.run(&arguments, fail_points).await
    }

    /// Starts an import with fail points, and does not wait for its end.
    pub fn start_import(&self, file: &Path, fail_points: &str) -> Process {
        let file = file.to_str().unwrap();
        let arguments = ["import-profiles", "--from", file, "--community", "100", "--by", "liet"];
        let variables = [
            ("DATABASE_URL", self.test.app_url()),
            ("DATABASE_ADMIN_URL", self.test.admin_url()),
            ("ARRAKIS_FAIL_POINTS", fail_points.to_owned()),
        ];
        Process::start_at(Path::new(env!("CARGO_BIN_EXE_arrakis-worker")), &arguments, variables)
    }

    async fn run(&self, arguments: &[&str], fail_points: &str) -> (i32, String) {
        let mut variables = Vec::new();
        if !fail_points.is_empty() {
            variables.push(("ARRAKIS_FAIL_POINTS", fail_points.to_owned()));
        }
        self.command(arguments, variables).await
    }

    /// Runs a subcommand of the worker with the database's logins and these variables; returns the exit code and the printed lines.
    pub async fn command(&self, arguments: &[&str], variables: Vec<(&'static str, String)>) -> (i32, String) {
        let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
        let mut environment = vec![
            ("DATABASE_URL", self.test.app_url()),
            ("DATABASE_ADMIN_URL", self.test.admin_url()),
        ];
        environment.extend(variables);
        let (status, text) = Process::start_at(program, arguments, environment).output(LIMIT).await;
        // Killed by a signal: no code.
        (status.code().unwrap_or(-1), text)
    }

    /// The rows of a query with the admin's login, which sees every community.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let url = self.test.admin_url();
        let arguments = [
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--command",
            query,
            &url,
        ];
        let done = tokio::process::Command::new("psql")
            .args(arguments)
            .output()
            .await
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// The number of rows of a table.
    pub async fn count(&self, table: &str) -> usize {
        self.rows(&format!("select count(*) from {table}")).await[0]
            .parse()
            .unwrap()
    }

    /// Everything that an import may change, but the events of the registry.
    pub async fn everything(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in ["profiles", "badges", "tiers_reached", "profile_activity"] {
            // The time of the last change is that of the undo.
            let query = format!("select '{table} ' || (to_jsonb(t) - 'updated_at')::text from {table} t order by 1");
            all.extend(self.rows(&query).await);
        }
        all
    }

    /// Verifies the chain of the registry.
    pub async fn verify_registry(&self) {
        let report = self.database.verify_registry().await.unwrap();
        assert_eq!(report.problem, None);
    }
}

pub fn token() -> TokenProfileId {
    TokenProfileId::new("bgt").unwrap()
}

pub fn user(id: u64) -> UserId {
    UserId::new(id).unwrap()
}

/// A community of a server with this id.
pub async fn onboard(database: &Database, guild: u64) -> CommunityId {
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

/// Statements for this many members with a wallet, a badge each, and a tier.
pub fn many(count: u32) -> String {
    format!(
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {count})
         insert into profiles (user_id, display_name, wallet, verified_at, joined_at, tier, tier_since, commands)
         select 1000000 + n, 'Member ' || n, printf('0x%040x', n), '2026-01-02 00:00:00', '2026-01-01T00:00:00Z', 'hajra',
                '2026-01-02T00:00:00Z', n
           from numbers;
         insert into badges (badge_id, user_id, badge, source, awarded_at)
         select printf('01890a5d-ac96-774b-bcce-%012x', rowid), user_id, 'first-crossing', 'rule', '2026-01-03T00:00:00Z' from profiles;
         insert into tiers_reached select user_id, 'hajra', '2026-01-02T00:00:00Z' from profiles;"
    )
}
