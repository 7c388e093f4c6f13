//! `sess:{tenant}:{type}:{user}` and `sess:id:{session}`: what a member is in the middle of.
//!
//! One session of a type for each member; a new one takes the old one's place, and the old one's id then finds nothing. Every
//! step names the version that it saw: of two presses of one button, one goes on.

use std::fmt::Display;
use std::sync::LazyLock;

use deadpool_redis::redis::{Cmd, Script, pipe};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::keys::Key;
use crate::{Away, Cache, Ttl};

/// Whose session of which type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionName(Key);

impl SessionName {
    /// The session of this type of a member.
    #[must_use]
    pub fn new(tenant: impl Display, kind: &str, user: impl Display) -> Self {
        Self(Key::new("sess", &[&tenant, &kind, &user]))
    }
}

/// A session as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<T> {
    /// Its id, which may stand in a button or be typed.
    pub id: Uuid,
    /// Whose and which.
    pub name: SessionName,
    /// Counts its steps.
    pub version: u64,
    /// What it holds.
    pub data: T,
}

/// Why a session cannot be used. The text is fit for a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Redis is away.
    #[error("I cannot remember your steps right now, so nothing was started or changed. Please try again in a minute.")]
    Away(#[source] Away),
    /// A step was taken meanwhile, or the session has ended.
    #[error("This has moved on or ended meanwhile. Please use the newest message, or start again.")]
    MovedOn,
    /// What is stored is not what this version understands.
    #[error("This was begun before an update and cannot go on. Please start again.")]
    Unreadable(String),
}

impl From<Away> for SessionError {
    fn from(away: Away) -> Self {
        Self::Away(away)
    }
}

/// Takes a step, if the session is still the one that was seen.
static STEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local seen = redis.call('HMGET', KEYS[1], 'id', 'version')
         if seen[1] ~= ARGV[1] or seen[2] ~= ARGV[2] then return 0 end
         redis.call('HSET', KEYS[1], 'version', ARGV[2] + 1, 'data', ARGV[3])
         redis.call('PEXPIRE', KEYS[1], ARGV[4])
         redis.call('SET', KEYS[2], KEYS[1], 'PX', ARGV[4])
         return 1",
    )
});

/// Ends a session, if it is still this one.
static END: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('DEL', KEYS[2])
         if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
         return redis.call('DEL', KEYS[1])",
    )
});

fn by_id(id: Uuid) -> Key {
    Key::new("sess", &[&"id", &id])
}

impl Cache {
    /// Begins a session, in place of the member's earlier one of this type.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn begin_session<T: Serialize>(
        &self,
        name: SessionName,
        data: T,
        ttl: Ttl,
    ) -> Result<Session<T>, SessionError> {
        let id = Uuid::new_v4();
        let (key, milliseconds) = (name.0.as_str(), ttl.milliseconds());
        let mut steps = pipe();
        steps.atomic().del(key).ignore();
        steps
            .cmd("HSET")
            .arg(key)
            .arg("id")
            .arg(id.to_string())
            .arg("version")
            .arg(1)
            .arg("data")
            .arg(encode(&data)?)
            .ignore();
        steps.cmd("PEXPIRE").arg(key).arg(milliseconds).ignore();
        steps
            .cmd("SET")
            .arg(by_id(id).as_str())
            .arg(key)
            .arg("PX")
            .arg(milliseconds)
            .ignore();
        self.pipeline::<()>("session.begin", &steps).await?;
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
    /// When Redis is away or the session cannot be read.
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

    /// The session of this id; `None` when it has ended or another has taken its place.
    ///
    /// # Errors
    /// When Redis is away or the session cannot be read.
    pub async fn session_by_id<T: DeserializeOwned>(&self, id: Uuid) -> Result<Option<Session<T>>, SessionError> {
        let mut get = Cmd::new();
        get.arg("GET").arg(by_id(id).as_str());
        let Some(key) = self.command::<Option<String>>("session.find", &get).await? else {
            return Ok(None);
        };
        let session = self.session(SessionName(Key::stored(key))).await?;
        Ok(session.filter(|session| session.id == id))
    }

    /// Takes a step: puts new data in the place of what was read and gives the session its whole time again.
    ///
    /// # Errors
    /// When Redis is away, or somebody took a step since the session was read.
    pub async fn step_session<T: Serialize>(&self, session: Session<T>, ttl: Ttl) -> Result<Session<T>, SessionError> {
        let pointer = by_id(session.id);
        let mut step = STEP.key(session.name.0.as_str());
        step.key(pointer.as_str())
            .arg(session.id.to_string())
            .arg(session.version);
        step.arg(encode(&session.data)?).arg(ttl.milliseconds());
        if self.script::<bool>("session.step", &step).await? {
            return Ok(Session {
                version: session.version + 1,
                ..session
            });
        }
        Err(SessionError::MovedOn)
    }

    /// Ends a session. True when it was there.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn end_session<T>(&self, session: &Session<T>) -> Result<bool, SessionError> {
        let pointer = by_id(session.id);
        let mut end = END.key(session.name.0.as_str());
        end.key(pointer.as_str()).arg(session.id.to_string());
        Ok(self.script("session.end", &end).await?)
    }
}

fn encode<T: Serialize>(data: &T) -> Result<Vec<u8>, SessionError> {
    serde_json::to_vec(data).map_err(|why| SessionError::Unreadable(why.to_string()))
}
