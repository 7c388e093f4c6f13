//! Reads a live server, with one GET for each list of resources.

use std::collections::BTreeSet;

use arrakis_iac::live::{Collections, LiveServer, Unreadable, read_me};
use arrakis_iac::model::{Kind, Snowflake};
use serde_json::Value;

use crate::http::{CallError, Discord};

/// A failure to read a server.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bot is not on the server, or the server does not exist.
    #[error("the bot is not on server {0}, or there is no such server; check the id and invite the bot")]
    NoServer(Snowflake),
    /// The bot lacks permissions that are required to read lists.
    #[error("the bot is not allowed to read {}; grant: {} (Server Settings, Roles, the bot's role)", what.join(", "), permissions.join(", "))]
    Forbidden {
        /// The kinds that cannot be read.
        kinds: BTreeSet<Kind>,
        /// The names of their lists.
        what: Vec<&'static str>,
        /// The missing permissions.
        permissions: Vec<&'static str>,
    },
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A response has an unknown form.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// All kinds that can be read.
#[must_use]
pub fn all_kinds() -> BTreeSet<Kind> {
    Kind::ALL.iter().copied().collect()
}

/// Maximum number of members that are looked up, with one request each.
const MAX_LOOKED_FOR: usize = 50;

/// The users that are not members of the server. Only the first of very many are looked up, since each is a request.
///
/// # Errors
/// A call failed, other than by an unknown user or member.
pub async fn absent_members(
    discord: &Discord,
    guild: Snowflake,
    users: &BTreeSet<Snowflake>,
) -> Result<BTreeSet<Snowflake>, CallError> {
    let mut absent = BTreeSet::new();
    for user in users.iter().take(MAX_LOOKED_FOR) {
        match discord.get::<Value>(&format!("/guilds/{guild}/members/{user}")).await {
            Ok(_) => {}
            Err(error) if matches!(error.code(), Some(10_007 | 10_013)) => {
                absent.insert(*user);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(absent)
}

/// Reads a server. Roles, categories, channels, emoji, stickers and settings are always read, other kinds only if they are in
/// `kinds`: pass each kind of the configuration and the state.
///
/// # Errors
/// See [`ReadError`].
pub async fn read(discord: &Discord, guild: Snowflake, kinds: &BTreeSet<Kind>) -> Result<LiveServer, ReadError> {
    let base = format!("/guilds/{guild}");
    let of_guild = |error: CallError| match error.code() {
        Some(10_004 | 50_001) => ReadError::NoServer(guild),
        _ => error.into(),
    };
    let me: Value = discord.get("/users/@me").await?;
    let bot = read_me(&me)?;
    let (own, channels) = (format!("{base}/members/{bot}"), format!("{base}/channels"));
    let (found, channels, bot) = tokio::join!(
        discord.get::<Value>(&base),
        discord.get::<Value>(&channels),
        discord.get::<Value>(&own)
    );
    let mut collections = Collections {
        me,
        guild: found.map_err(of_guild)?,
        channels: channels.map_err(of_guild)?,
        bot: bot.map_err(of_guild)?,
        ..Collections::default()
    };
    let (mut forbidden, mut what, mut permissions) = (BTreeSet::new(), Vec::new(), Vec::new());
    for kind in kinds {
        let Some(list) = kind.list() else { continue };
        let answer = match discord.get(&format!("{base}/{}", list.path)).await {
            Ok(answer) => answer,
            Err(error) if error.is_gone() && list.is_nullable => Value::Null,
            // The server, or the API, does not have this kind.
            Err(error) if error.is_gone() => continue,
            Err(error) if error.code() == Some(50_013) => {
                forbidden.insert(*kind);
                what.push(list.what);
                if !permissions.contains(&list.permission) {
                    permissions.push(list.permission);
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        collections.lists.insert(*kind, answer);
    }
    if !what.is_empty() {
        return Err(ReadError::Forbidden {
            kinds: forbidden,
            what,
            permissions,
        });
    }
    Ok(LiveServer::read(&collections)?)
}
