//! `sess:{tenant}:{type}:{user}` and `sess:id:{session}`: the state of a dialog of several messages with one member.
//!
//! A member has at most one session of a type. A new one replaces it, and the old one's id then finds nothing. Every update
//! names the version that was read: of two clicks on one button one succeeds.

use std::fmt::Display;
use std::sync::LazyLock;

use deadpool_redis::redis::{Cmd, Script, pipe};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::keys::Key;
use crate::{Cache, CacheUnavailable, Ttl};

/// Names a session by its tenant, type and member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName(Key);

impl SessionName {
    /// Name of a member's session of this type.
    #[must_use]
    pub fn new(tenant: impl Display, kind: &str, user: impl Display) -> Self {
        Self(Key::new("sess", &[&tenant, &kind, &user]))
    }
}

/// A session as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<T> {
    /// Its id, which the custom ids of its buttons contain.
    pub id: Uuid,
    /// Its name.
    pub name: SessionName,
    /// Its version: 1 at the start, one more with each update.
    pub version: u64,
    /// The dialog's own state.
    pub data: T,
}

/// A session of a member, without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSession {
    /// Its id.
    pub id: Uuid,
    /// Its tenant, as the key has it.
    pub tenant: String,
    /// Its type, as the key has it.
    pub kind: String,
    key: Key,
}

/// Keys that Redis visits in one step of a scan.
const SCAN_COUNT: u32 = 500;

/// Why a session cannot be used. The texts are shown to members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Redis is unavailable.
    #[error("I cannot remember your steps right now, so nothing was started or changed. Please try again in a minute.")]
    Unavailable(#[from] CacheUnavailable),
    /// The session was updated or replaced since it was read, or it has ended.
    #[error("This has moved on or ended meanwhile. Please use the newest message, or start again.")]
    Superseded,
    /// The stored data cannot be decoded by this version.
    #[error("This was begun before an update and cannot go on. Please start again.")]
    Unreadable(String),
}

/// Updates a session if its id and version are still those that were read.
static UPDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local current = redis.call('HMGET', KEYS[1], 'id', 'version')
         if current[1] ~= ARGV[1] or current[2] ~= ARGV[2] then return 0 end
         redis.call('HSET', KEYS[1], 'version', ARGV[2] + 1, 'data', ARGV[3])
         redis.call('PEXPIRE', KEYS[1], ARGV[4])
         redis.call('SET', KEYS[2], KEYS[1], 'PX', ARGV[4])
         return 1",
    )
});

/// Ends a session if its id is still this one.
static END: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('DEL', KEYS[2])
         if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
         return redis.call('DEL', KEYS[1])",
    )
});

fn id_key(id: Uuid) -> Key {
    Key::new("sess", &[&"id", &id])
}

impl Cache {
    /// Begins a session, in place of the member's earlier one of this type.
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn begin_session<T: Serialize>(
        &self,
        name: SessionName,
        data: T,
        ttl: Ttl,
    ) -> Result<Session<T>, SessionError> {
        let id = Uuid::new_v4();
        let (key, milliseconds) = (name.0.as_str(), ttl.milliseconds());
        let mut pipeline = pipe();
        pipeline.atomic().del(key).ignore();
        pipeline
            .cmd("HSET")
            .arg(key)
            .arg("id")
            .arg(id.to_string())
            .arg("version")
            .arg(1)
            .arg("data")
            .arg(encode(&data)?)
            .ignore();
        pipeline.cmd("PEXPIRE").arg(key).arg(milliseconds).ignore();
        pipeline
            .cmd("SET")
            .arg(id_key(id).as_str())
            .arg(key)
            .arg("PX")
            .arg(milliseconds)
            .ignore();
        self.pipeline::<()>("session.begin", &pipeline).await?;
        Ok(Session {
            id,
            name,
            version: 1,
            data,
        })
    }

    /// The member's session of this type; `None` when there is none, or it has ended.
    ///
    /// # Errors
    /// When Redis is unavailable or the session cannot be decoded.
    pub async fn session<T: DeserializeOwned>(&self, name: SessionName) -> Result<Option<Session<T>>, SessionError> {
        let mut get = Cmd::new();
        get.arg("HMGET")
            .arg(name.0.as_str())
            .arg("id")
            .arg("version")
            .arg("data");
        let fields: (Option<String>, Option<u64>, Option<Vec<u8>>) = self.command("session.get", &get).await?;
        let (Some(id), Some(version), Some(data)) = fields else {
            return Ok(None);
        };
        let id = id
            .parse()
            .map_err(|why| SessionError::Unreadable(format!("id `{id}`: {why}")))?;
        let data = serde_json::from_slice(&data).map_err(|why| SessionError::Unreadable(why.to_string()))?;
        Ok(Some(Session {
            id,
            name,
            version,
            data,
        }))
    }

    /// The session of this id; `None` when it has ended or was replaced.
    ///
    /// # Errors
    /// When Redis is unavailable or the session cannot be decoded.
    pub async fn session_by_id<T: DeserializeOwned>(&self, id: Uuid) -> Result<Option<Session<T>>, SessionError> {
        let mut get = Cmd::new();
        get.arg("GET").arg(id_key(id).as_str());
        let Some(key) = self.command::<Option<String>>("session.find", &get).await? else {
            return Ok(None);
        };
        let session = self.session(SessionName(Key::stored(key))).await?;
        Ok(session.filter(|session| session.id == id))
    }

    /// Writes the session's data and starts its time to live again.
    ///
    /// # Errors
    /// When Redis is unavailable, or the session was updated since it was read.
    pub async fn update_session<T: Serialize>(
        &self,
        session: Session<T>,
        ttl: Ttl,
    ) -> Result<Session<T>, SessionError> {
        let pointer = id_key(session.id);
        let mut update = UPDATE.key(session.name.0.as_str());
        update
            .key(pointer.as_str())
            .arg(session.id.to_string())
            .arg(session.version);
        update.arg(encode(&session.data)?).arg(ttl.milliseconds());
        if self.script::<bool>("session.update", &update).await? {
            return Ok(Session {
                version: session.version + 1,
                ..session
            });
        }
        Err(SessionError::Superseded)
    }

    /// The sessions of a member, of every tenant and type. The keys are found by a scan: for operators, not for handlers.
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn sessions_of(&self, user: u64) -> Result<Vec<MemberSession>, CacheUnavailable> {
        let (mut cursor, mut found) = (0_u64, Vec::new());
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("sess:*:*:{user}"))
                .arg("COUNT")
                .arg(SCAN_COUNT)
                .arg("TYPE")
                .arg("hash");
            let (next, keys): (u64, Vec<String>) = self.command("session.scan", &scan).await?;
            for key in keys {
                found.extend(self.member_session(key).await?);
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        // A scan may return a key twice.
        found.sort_by(|one: &MemberSession, other| one.key.as_str().cmp(other.key.as_str()));
        found.dedup_by(|one, other| one.key == other.key);
        Ok(found)
    }

    async fn member_session(&self, key: String) -> Result<Option<MemberSession>, CacheUnavailable> {
        let mut get = Cmd::new();
        get.arg("HGET").arg(&key).arg("id");
        let id = self.command::<Option<String>>("session.get_id", &get).await?;
        let parts: Vec<&str> = key.split(':').collect();
        let ([_, tenant, kind, _], Some(id)) = (parts.as_slice(), id.and_then(|id| id.parse().ok())) else {
            return Ok(None);
        };
        Ok(Some(MemberSession {
            id,
            tenant: (*tenant).to_owned(),
            kind: (*kind).to_owned(),
            key: Key::stored(key.clone()),
        }))
    }

    /// Ends the sessions of a member, of every tenant and type; returns how many.
    ///
    /// # Errors
    /// When Redis is unavailable; some may have ended then.
    pub async fn end_sessions_of(&self, user: u64) -> Result<usize, CacheUnavailable> {
        let mut ended = 0;
        for session in self.sessions_of(user).await? {
            let pointer = id_key(session.id);
            let mut end = END.key(session.key.as_str());
            end.key(pointer.as_str()).arg(session.id.to_string());
            ended += usize::from(self.script::<bool>("session.end", &end).await?);
        }
        Ok(ended)
    }

    /// Ends a session. True when it existed.
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn end_session<T>(&self, session: &Session<T>) -> Result<bool, SessionError> {
        let pointer = id_key(session.id);
        let mut end = END.key(session.name.0.as_str());
        end.key(pointer.as_str()).arg(session.id.to_string());
        Ok(self.script("session.end", &end).await?)
    }
}

fn encode<T: Serialize>(data: &T) -> Result<Vec<u8>, SessionError> {
    serde_json::to_vec(data).map_err(|why| SessionError::Unreadable(why.to_string()))
}
