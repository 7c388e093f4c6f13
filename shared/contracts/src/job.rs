//! The envelope of a job: which row of Postgres it is about. The row holds the facts; the message only wakes a worker.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Version of the envelope.
pub const JOB_VERSION: u16 = 1;

/// Kinds of jobs, each with a queue of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Gives members the roles of their tiers.
    TierSync,
    /// Follows up a wallet verification.
    Verification,
    /// Makes a backup.
    Backup,
    /// Compares what should be with what is, and repairs.
    Reconcile,
    /// Tells members what they asked to be told.
    Notify,
    /// Bulk changes to a server.
    Synthesis,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::TierSync,
        Self::Verification,
        Self::Backup,
        Self::Reconcile,
        Self::Notify,
        Self::Synthesis,
    ];

    /// Name, which is also the routing key at `arrakis.jobs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TierSync => "tier-sync",
            Self::Verification => "verification",
            Self::Backup => "backup",
            Self::Reconcile => "reconcile",
            Self::Notify => "notify",
            Self::Synthesis => "synthesis",
        }
    }

    /// Queue of this kind.
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
            .ok_or_else(|| format!("\"{text}\" is no kind of job"))
    }
}

/// The message that wakes a worker for a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Version of this envelope.
    pub v: u16,
    /// Id of the job's row.
    pub id: String,
    /// Kind.
    pub kind: JobKind,
    /// Community the job is for; `None` for work of the platform itself.
    pub community: Option<String>,
}

/// Why a job's message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Not the JSON of an envelope.
    #[error("the body is not a job: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by another version.
    #[error("job version {0} is not known here (this build reads version {JOB_VERSION}); deploy the worker first")]
    UnknownVersion(u64),
}

impl Job {
    /// A job of today's version.
    pub fn new(id: impl Into<String>, kind: JobKind, community: Option<String>) -> Self {
        Self {
            v: JOB_VERSION,
            id: id.into(),
            kind,
            community,
        }
    }

    /// Bytes as they are published.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and an enum of unit variants always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// When it is not JSON, not an envelope, or of another version; the version is looked at first.
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
    fn the_sample_of_version_1_decodes_and_encodes_to_itself() {
        let job = Job::decode(SAMPLE_V1.as_bytes()).unwrap();
        assert_eq!(job.kind, JobKind::TierSync);
        assert_eq!(String::from_utf8(job.encode()).unwrap(), SAMPLE_V1);
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
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
    fn names_round_trip() {
        for kind in JobKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }
}
