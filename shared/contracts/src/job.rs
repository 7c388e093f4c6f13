//! The message of a job. It names the job's row in PostgreSQL, which holds the job's data; the message only causes a worker to run it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Version of the format of job messages.
pub const JOB_VERSION: u16 = 1;

/// Kinds of jobs. Each has its own queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Assigns the roles of their tiers to members.
    TierSync,
    /// Completes the verification of a wallet.
    Verification,
    /// Creates a backup.
    Backup,
    /// Compares a server with the platform's data, and repairs differences.
    Reconcile,
    /// Sends members the notifications that they subscribed to, and posts to channels.
    Notify,
    /// Makes bulk changes to a Discord server.
    Synthesis,
    /// Reads the transfers of a token from its chain and ranks the wallets. A job of the platform, without a community.
    EligibilitySync,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::TierSync,
        Self::Verification,
        Self::Backup,
        Self::Reconcile,
        Self::Notify,
        Self::Synthesis,
        Self::EligibilitySync,
    ];

    /// Name of the kind, which is also its routing key at the exchange `arrakis.jobs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TierSync => "tier-sync",
            Self::Verification => "verification",
            Self::Backup => "backup",
            Self::Reconcile => "reconcile",
            Self::Notify => "notify",
            Self::Synthesis => "synthesis",
            Self::EligibilitySync => "eligibility-sync",
        }
    }

    /// Name of the queue of jobs of this kind: `arrakis.jobs.` and the name of the kind, or `discord-synthesis`.
    pub fn queue(self) -> String {
        match self {
            Self::Synthesis => crate::names::SYNTHESIS.to_owned(),
            kind => format!("{}.{}", crate::names::JOBS, kind.name()),
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for JobKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("\"{text}\" is not a kind of job"))
    }
}

/// Payload of a [`JobKind::TierSync`] of one member, by the Discord id.
#[must_use]
pub fn tier_sync_of_member(user: u64) -> serde_json::Value {
    // As text, as Discord writes ids.
    serde_json::json!({"user": user.to_string()})
}

/// Payload of a [`JobKind::TierSync`] of all members of a community. Members lose the roles `retired`: Discord ids by the role's key.
#[must_use]
pub fn tier_sync_of_community<K: fmt::Display>(retired: impl IntoIterator<Item = (K, u64)>) -> serde_json::Value {
    let retired: serde_json::Map<String, serde_json::Value> = retired
        .into_iter()
        .map(|(key, role)| (key.to_string(), role.to_string().into()))
        .collect();
    serde_json::json!({"retired": retired})
}

/// Payload of a [`JobKind::Synthesis`] that repairs a server. At its end it makes this tier sync due, which needs the roles.
#[must_use]
pub fn repair_before_tier_sync(tier_sync: &str) -> serde_json::Value {
    serde_json::json!({"purpose": "repair", "tier_sync": tier_sync})
}

/// Id and payload of a [`JobKind::Reconcile`] that tells the admins of a community that the grace period of a theme begins. It ends at `until`,
/// in seconds since 1970.
#[must_use]
pub fn theme_grace_begins(theme: &str, until: i64) -> (String, serde_json::Value) {
    let payload = serde_json::json!({"theme_grace": {"theme": theme, "until": until, "replaced_by": null}});
    (format!("theme-grace:{until}:begun"), payload)
}

/// The body of the message that causes a worker to run a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Version of the message format: [`JOB_VERSION`].
    pub v: u16,
    /// Id of the job's row.
    pub id: String,
    /// Kind of the job.
    pub kind: JobKind,
    /// Community of the job; `None` for a job of the platform itself.
    pub community: Option<String>,
}

/// Why the body of a job's message cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It is not JSON with the expected fields.
    #[error("the body is not a job: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It has another version.
    #[error("unknown job version {0} (this build reads version {JOB_VERSION}); deploy the worker first")]
    UnknownVersion(u64),
}

impl Job {
    /// The message of a job, in the present version.
    pub fn new(id: impl Into<String>, kind: JobKind, community: Option<String>) -> Self {
        Self {
            v: JOB_VERSION,
            id: id.into(),
            kind,
            community,
        }
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and an enum of unit variants always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes the body of a message.
    ///
    /// # Errors
    /// When it has another version, which is checked first, or is not JSON with the expected fields.
    pub fn decode(body: &[u8]) -> Result<Self, JobError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let Version { v } = serde_json::from_slice(body)?;
        if v != u64::from(JOB_VERSION) {
            return Err(JobError::UnknownVersion(v));
        }
        Ok(serde_json::from_slice(body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Committed sample of version 1: it must decode for as long as version 1 is read.
    const SAMPLE_V1: &str = r#"{"v":1,"id":"tier-sync:2026-11-21T06","kind":"tier-sync","community":"0190b5a2-0000-7000-8000-000000000001"}"#;

    #[test]
    fn sample_of_version_1_round_trips() {
        let job = Job::decode(SAMPLE_V1.as_bytes()).unwrap();
        assert_eq!(job.kind, JobKind::TierSync);
        assert_eq!(String::from_utf8(job.encode()).unwrap(), SAMPLE_V1);
    }

    #[test]
    fn unknown_version_and_malformed_body_are_different_errors() {
        assert!(matches!(
            Job::decode(br#"{"v":2,"shape":"new"}"#),
            Err(JobError::UnknownVersion(2))
        ));
        assert!(matches!(Job::decode(b"not json"), Err(JobError::Malformed(_))));
        assert!(matches!(
            Job::decode(br#"{"v":1,"id":"x","kind":"dance","community":null}"#),
            Err(JobError::Malformed(_))
        ));
    }

    #[test]
    fn ids_of_retired_roles_are_text() {
        let payload = tier_sync_of_community([("naib", 1_200_000_000_000_100_000)]);
        assert_eq!(payload.to_string(), r#"{"retired":{"naib":"1200000000000100000"}}"#);
    }

    #[test]
    fn names_round_trip() {
        for kind in JobKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }
}
