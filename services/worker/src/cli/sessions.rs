//! `arrakis-worker sessions list|revoke`: what one person can act by at the moment, and the end of all of it.
//!
//! | session | where |
//! |---|---|
//! | verification of a wallet | PostgreSQL, by the Discord account |
//! | key of the admin API that belongs to the person | PostgreSQL, with the admin login |
//! | dialog, such as `/onboard` | Redis |
//!
//! A login at Discord is not the platform's to end.

use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_cache::{Cache, CacheOptions};
use arrakis_config::{Reader, Secret, variables};
use arrakis_db::registry::Account;
use arrakis_db::{Actor, Admin, Database, DatabaseOptions, NewAuditEntry, SessionAccount, SessionNetwork, UserId};
use clap::Subcommand;
use serde_json::json;
use time::OffsetDateTime;

use super::database::{connect, database_url};
use super::output::{counted, print, print_json, printable, report, time_text};
use super::with_config;

/// The subcommands of `sessions`.
#[derive(Debug, Subcommand)]
pub(super) enum SessionsTask {
    /// Lists the sessions of a person
    List {
        /// Id of the Discord user
        #[arg(value_name = "USER_ID")]
        user: UserId,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ends all sessions of a person; exit code 1 where nothing of the person is stored
    Revoke {
        /// Id of the Discord user
        #[arg(value_name = "USER_ID")]
        user: UserId,
        /// Why
        #[arg(long, value_name = "WHY")]
        reason: String,
        /// Who you are, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// Connections to where sessions are.
struct Stores {
    database: Database,
    admin: Admin,
    cache: Cache,
}

fn urls(reader: &mut Reader) -> Option<[Secret; 3]> {
    let database = database_url(reader);
    let admin = reader.secret_url(&variables::DATABASE_ADMIN_URL, &["postgres", "postgresql"]);
    let redis = reader.secret_url(&variables::REDIS_URL, &["redis", "rediss"]);
    Some([database?, admin?, redis?])
}

impl Stores {
    async fn open([database, admin, redis]: [Secret; 3]) -> anyhow::Result<Self> {
        let options = DatabaseOptions {
            application_name: "arrakis-worker sessions",
            max_connections: 1,
            ..DatabaseOptions::default()
        };
        Ok(Self {
            database: connect(&database).await?,
            admin: Admin::connect(&admin, options).await?,
            cache: Cache::new(&redis, CacheOptions::default()).context("REDIS_URL")?,
        })
    }
}

impl SessionsTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(urls, move |urls| async move {
            let stores = Stores::open(urls).await?;
            match self {
                Self::List { user, json } => list(&stores, user, json).await,
                Self::Revoke { user, reason, by } => revoke(&stores, user, &reason, by).await,
            }
        })
    }
}

/// The Discord account of a user.
fn account(user: UserId) -> anyhow::Result<SessionAccount> {
    Ok(SessionAccount {
        network: SessionNetwork::Discord,
        id: i64::try_from(user.get())?,
    })
}

/// One session, as it is printed.
struct Listed {
    kind: &'static str,
    id: String,
    what: String,
    ends_at: Option<OffsetDateTime>,
}

async fn list(stores: &Stores, user: UserId, as_json: bool) -> anyhow::Result<ExitCode> {
    let now = OffsetDateTime::now_utc();
    let mut listed = Vec::new();
    let mut tx = stores.database.global().await?;
    let verification = tx.verification_sessions().current_of(account(user)?, now).await?;
    tx.commit().await?;
    listed.extend(verification.map(|session| Listed {
        kind: "verification",
        id: session.id.to_string(),
        what: session.state.as_str().to_owned(),
        ends_at: Some(session.expires_at),
    }));
    let keys = stores.admin.api_keys_of(user).await?;
    listed.extend(keys.into_iter().map(|key| Listed {
        kind: "api-key",
        id: key.id.to_string(),
        what: format!("{} {}", key.prefix, printable(&key.name)),
        ends_at: Some(key.expires_at),
    }));
    let dialogs = stores.cache.sessions_of(user.get()).await?;
    listed.extend(dialogs.into_iter().map(|dialog| Listed {
        kind: "dialog",
        id: dialog.id.to_string(),
        what: format!("/{} in {}", printable(&dialog.kind), printable(&dialog.tenant)),
        ends_at: None,
    }));
    for session in &listed {
        let ends_at = session.ends_at.map(time_text);
        if as_json {
            print_json(&json!({"kind": session.kind, "id": session.id, "what": session.what, "ends_at": ends_at}))?;
        } else {
            let until = ends_at.map(|ends_at| format!("  until {ends_at}")).unwrap_or_default();
            print(format_args!(
                "{}  {}  {}{until}",
                session.kind, session.id, session.what
            ))?;
        }
    }
    if listed.is_empty() {
        report(format_args!("the user {user} has no sessions"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Safe to run twice: what has ended is not ended again. The keys are first, since they permit most.
async fn revoke(stores: &Stores, user: UserId, reason: &str, by: String) -> anyhow::Result<ExitCode> {
    let subject = user.to_string();
    let mut tx = stores.admin.database().global().await?;
    let keys = tx.revoke_api_keys_of(user, &by).await?;
    let entry = NewAuditEntry {
        actor: Actor::Operator(by),
        action: "sessions.revoke",
        subject: &subject,
        reason: Some(reason),
        detail: json!({"api_keys": keys}),
    };
    tx.audit(&entry).await?;
    tx.commit().await?;
    let mut tx = stores.database.global().await?;
    let now = OffsetDateTime::now_utc();
    let verifications = tx.verification_sessions().end_all_of(account(user)?, now).await?;
    tx.commit().await?;
    // Without Redis, the dialogs end by themselves within minutes: the error says so, and the command can be run again.
    let dialogs = stores.cache.end_sessions_of(user.get()).await;
    let dialogs = dialogs.context("the API keys and verifications are revoked, the dialogs in Redis are not")?;
    if keys == 0 && verifications == 0 && dialogs == 0 && !is_present(&stores.database, user).await? {
        report(format_args!(
            "nothing was revoked: the user {user} has no session, no identity and no second factor here; check the id"
        ));
        return Ok(ExitCode::FAILURE);
    }
    report(format_args!(
        "revoked {}, {} and {} of the user {user}",
        counted(keys, "API key"),
        counted(verifications, "verification"),
        counted(dialogs, "dialog")
    ));
    Ok(ExitCode::SUCCESS)
}

/// Whether the platform has an identity or a second factor of this user.
async fn is_present(database: &Database, user: UserId) -> anyhow::Result<bool> {
    let mut tx = database.global().await?;
    let identity = tx.registry().by_account(Account::Discord(user)).await?;
    let second_factor = tx.mfa().status(user).await?;
    tx.commit().await?;
    Ok(identity.is_some() || second_factor.is_some())
}
