//! `arrakis-worker api-key create|list|revoke`: keys of callers of the admin API.

use std::cmp::Reverse;
use std::process::ExitCode;

use anyhow::bail;
use arrakis_config::{Reader, Secret, variables};
use arrakis_db::{
    Actor, Admin, ApiKey, ApiKeyScope, CommunityId, Database, DatabaseOptions, GuildId, NewApiKey, NewAuditEntry,
    TenantTx, UserId,
};
use arrakis_security::ApiKeySecret;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::database::community_of;
use super::output::{print, print_json, printable, report, time_text};
use super::with_config;

/// Schemes of a PostgreSQL URL.
const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// The subcommands of `api-key`.
#[derive(Debug, Subcommand)]
pub(super) enum ApiKeyTask {
    /// Creates a key and prints it; it is shown once
    Create(Create),
    /// Lists keys, the newest first; without an option those for all communities and those of each community
    List {
        #[command(flatten)]
        selection: Selection,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key; it is refused from the next request on
    Revoke {
        /// Id of the key, as printed by `list`
        #[arg(value_parser = parse_id)]
        id: Uuid,
        #[command(flatten)]
        owner: Owner,
        /// Who revokes it, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// The communities of a key.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Owner {
    /// Discord server of the one community for which the key is valid (requires `DATABASE_URL`)
    #[arg(long, value_name = "SERVER_ID")]
    guild: Option<GuildId>,
    /// Keys that are valid for all communities (requires `DATABASE_ADMIN_URL`)
    #[arg(long)]
    all_communities: bool,
}

/// The keys that are listed; all without an option, which requires `DATABASE_ADMIN_URL`.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Selection {
    /// Only keys of the community of this Discord server (requires `DATABASE_URL`)
    #[arg(long, value_name = "SERVER_ID")]
    guild: Option<GuildId>,
    /// Only keys that are valid for all communities (requires `DATABASE_ADMIN_URL`)
    #[arg(long)]
    all_communities: bool,
}

/// The options of `api-key create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Name of the key, such as the program that uses it
    #[arg(long, value_parser = parse_name)]
    name: String,
    #[command(flatten)]
    owner: Owner,
    /// What the key permits: `users:read`, `users:write` (all communities only), `users:export`, `telegram` (all communities only),
    /// `servers:read`, `servers:write`, `plans:write` (all communities only), `approvals:write` (all communities only), `emergency` (all
    /// communities only); may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<ApiKeyScope>,
    /// Days until the key expires
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=730))]
    days: u16,
    /// Who creates it, for the audit log
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    by: String,
    /// Discord user to whom the key belongs: protected operations, such as a teardown, need the second factor of this user, and are
    /// refused to a key without a user
    #[arg(long, value_name = "USER_ID")]
    user: Option<UserId>,
    /// Print the key and its row as one JSON object
    #[arg(long)]
    json: bool,
}

fn parse_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if (1..=100).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 100 characters".to_owned())
    }
}

fn parse_id(text: &str) -> Result<Uuid, String> {
    text.parse()
        .map_err(|_| format!("{text} is not a key id (a UUID, see `arrakis-worker api-key list`)"))
}

impl ApiKeyTask {
    pub(super) fn run(self) -> ExitCode {
        let is_platform = match &self {
            Self::Create(create) => create.owner.all_communities,
            Self::Revoke { owner, .. } => owner.all_communities,
            Self::List { selection, .. } => selection.guild.is_none(),
        };
        let read = move |reader: &mut Reader| {
            let variable = if is_platform {
                &variables::DATABASE_ADMIN_URL
            } else {
                &variables::DATABASE_URL
            };
            reader.secret_url(variable, &SCHEMES)
        };
        with_config(read, |url| async move {
            match self {
                Self::Create(create) => create.run(&url).await,
                Self::List { selection, json } => list(&url, &selection, json).await,
                Self::Revoke { id, owner, by } => revoke(&url, &owner, id, &by).await,
            }
        })
    }
}

/// The database in which the keys of one owner are.
enum Keys {
    Community(Database, CommunityId),
    Platform(Admin),
}

impl Owner {
    async fn open(&self, url: &Secret) -> anyhow::Result<Keys> {
        open(url, self.guild).await
    }
}

/// Connects for the keys of a server's community, or with the admin login.
async fn open(url: &Secret, guild: Option<GuildId>) -> anyhow::Result<Keys> {
    let options = DatabaseOptions {
        application_name: "arrakis-worker api-key",
        max_connections: 1,
        ..DatabaseOptions::default()
    };
    let Some(guild) = guild else {
        return Ok(Keys::Platform(Admin::connect(url, options).await?));
    };
    let database = Database::connect(url, options).await?;
    let community = community_of(&database, guild).await?;
    Ok(Keys::Community(database, community))
}

impl Create {
    async fn run(mut self, url: &Secret) -> anyhow::Result<ExitCode> {
        self.scopes.sort_unstable();
        self.scopes.dedup();
        if let Some(scope) = self
            .scopes
            .iter()
            .find(|scope| scope.spans_communities() && !self.owner.all_communities)
        {
            bail!("the scope {scope} needs --all-communities: it is not limited to one community");
        }
        let secret = ApiKeySecret::generate();
        let key = NewApiKey {
            id: Uuid::now_v7(),
            name: &self.name,
            prefix: secret.prefix(),
            hash: *secret.hash().as_bytes(),
            scopes: &self.scopes,
            created_by: &self.by,
            user: self.user,
            expires_at: OffsetDateTime::now_utc() + time::Duration::days(self.days.into()),
        };
        let subject = key.id.to_string();
        let scopes: Vec<_> = self.scopes.iter().map(ToString::to_string).collect();
        let detail =
            json!({"name": key.name, "prefix": key.prefix, "scopes": scopes, "days": self.days, "user": self.user});
        let entry = entry("api_key.create", &self.by, &subject, detail);
        match self.owner.open(url).await? {
            Keys::Community(database, community) => {
                let mut tx = database.tenant(community).await?;
                tx.create_api_key(&key).await?;
                tx.audit(&entry).await?;
                tx.commit().await?;
            }
            Keys::Platform(admin) => {
                let mut tx = admin.database().global().await?;
                tx.create_platform_api_key(&key).await?;
                tx.audit(&entry).await?;
                tx.commit().await?;
            }
        }
        if self.json {
            print_json(
                &json!({"id": key.id, "key": secret.expose(), "expires_at": time_text(key.expires_at), "scopes": scopes}),
            )?;
        } else {
            print(secret.expose())?;
            let end = time_text(key.expires_at);
            report(format_args!(
                "created the key {subject}, valid until {end}; it is not stored and cannot be shown again"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn entry<'a>(action: &'a str, by: &str, subject: &'a str, detail: Value) -> NewAuditEntry<'a> {
    NewAuditEntry {
        actor: Actor::Operator(by.to_owned()),
        action,
        subject,
        reason: None,
        detail,
    }
}

async fn list(url: &Secret, selection: &Selection, json: bool) -> anyhow::Result<ExitCode> {
    let keys = match open(url, selection.guild).await? {
        Keys::Community(database, community) => keys_of(database.tenant(community).await?).await?,
        Keys::Platform(admin) => {
            let mut tx = admin.database().global().await?;
            let mut keys = tx.platform_api_keys().await?;
            tx.commit().await?;
            if !selection.all_communities {
                for (_, community) in admin.database().routes().await? {
                    keys.extend(keys_of(admin.tenant(community).await?).await?);
                }
                // Version 7 UUIDs are in the order of creation.
                keys.sort_unstable_by_key(|key| Reverse(key.id));
            }
            keys
        }
    };
    let now = OffsetDateTime::now_utc();
    for key in &keys {
        if json {
            print_json(&as_json(key, now))?;
        } else {
            print(summary(key, now))?;
        }
    }
    if keys.is_empty() {
        report("no keys");
    }
    Ok(ExitCode::SUCCESS)
}

async fn keys_of(mut tx: TenantTx) -> anyhow::Result<Vec<ApiKey>> {
    let keys = tx.api_keys().await?;
    tx.commit().await?;
    Ok(keys)
}

fn state(key: &ApiKey, now: OffsetDateTime) -> &'static str {
    match (key.revoked_at, key.is_valid(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "valid",
        (None, false) => "expired",
    }
}

fn scopes(key: &ApiKey) -> Vec<String> {
    key.scopes.iter().map(ToString::to_string).collect()
}

fn as_json(key: &ApiKey, now: OffsetDateTime) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "community": key.community,
        "scopes": scopes(key),
        "state": state(key, now),
        "created_by": key.created_by,
        "user": key.user,
        "created_at": time_text(key.created_at),
        "expires_at": time_text(key.expires_at),
        "revoked_at": key.revoked_at.map(time_text),
        "last_used_at": key.last_used_at.map(time_text),
    })
}

fn summary(key: &ApiKey, now: OffsetDateTime) -> String {
    format!(
        "{}  {}  {}  {}  {}  for {}  until {}  last used {}  created by {}",
        key.id,
        key.prefix,
        state(key, now),
        printable(&key.name),
        scopes(key).join(","),
        key.community.map_or_else(
            || "all communities".to_owned(),
            |community| format!("the community {community}")
        ),
        time_text(key.expires_at),
        key.last_used_at.map_or_else(|| "never".to_owned(), time_text),
        printable(&key.created_by)
    )
}

async fn revoke(url: &Secret, owner: &Owner, id: Uuid, by: &str) -> anyhow::Result<ExitCode> {
    let subject = id.to_string();
    let entry = entry("api_key.revoke", by, &subject, json!({}));
    let is_revoked = match owner.open(url).await? {
        Keys::Community(database, community) => {
            let mut tx = database.tenant(community).await?;
            let is_revoked = tx.revoke_api_key(id, by).await?;
            if is_revoked {
                tx.audit(&entry).await?;
            }
            tx.commit().await?;
            is_revoked
        }
        Keys::Platform(admin) => {
            let mut tx = admin.database().global().await?;
            let is_revoked = tx.revoke_platform_api_key(id, by).await?;
            if is_revoked {
                tx.audit(&entry).await?;
            }
            tx.commit().await?;
            is_revoked
        }
    };
    if is_revoked {
        report(format_args!("revoked the key {id}"));
        return Ok(ExitCode::SUCCESS);
    }
    report(format_args!(
        "there is no key {id} of this owner that is not revoked; `arrakis-worker api-key list` prints all"
    ));
    Ok(ExitCode::FAILURE)
}
