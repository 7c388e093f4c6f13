//! The report of a reconcile: what was found, what is repaired, and what needs an admin.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::configuration::ConfigurationDrift;
use crate::failure::Failure;

/// Most broken rules and changes that a report names.
const MAX_NAMED: usize = 50;

/// A rule that cannot hold until an admin has corrected the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenRule {
    /// Its name: a role, a rule of the engine, or a check.
    pub name: String,
    /// The reason, and what to do.
    pub reason: String,
}

/// How roles and channels of the server compare with the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StructureReport {
    /// They were not compared, because the check failed.
    #[default]
    Unknown,
    /// The community has no manifest.
    NotManaged,
    /// They are as the manifest has them.
    Equal,
    /// They differ.
    Differs {
        /// The differences, one line each.
        changes: Vec<String>,
        /// Id of the job that repairs them; `None` if none is enqueued.
        job: Option<String>,
    },
}

/// What a reconcile found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileReport {
    /// Whether differences were only reported.
    #[serde(default)]
    pub only_compared: bool,
    /// Members of the server without bots.
    pub members: usize,
    /// Members whose join was missed.
    pub joined: usize,
    /// Members whose leave was missed.
    pub left: usize,
    /// Members whose roles differ.
    pub differing: usize,
    /// Roles and channels.
    pub structure: StructureReport,
    /// The configuration, its shadow and the server.
    #[serde(default)]
    pub drift: ConfigurationDrift,
    /// Rules that cannot hold.
    pub broken: Vec<BrokenRule>,
}

impl ReconcileReport {
    /// Reads a stored report; `None` for one of another build.
    pub fn read(stored: &Value) -> Option<Self> {
        Self::deserialize(stored).ok()
    }

    /// Adds a broken rule, once for each name.
    pub(crate) fn add_broken(&mut self, name: impl Into<String>, reason: &str) {
        let name = name.into();
        let is_new = self.broken.iter().all(|broken| broken.name != name);
        if is_new && self.broken.len() < MAX_NAMED {
            self.broken.push(BrokenRule {
                name,
                reason: reason.to_owned(),
            });
        }
    }

    /// Records a check that failed permanently as a broken rule, so that the other checks run. Other failures stay.
    pub(crate) fn absorb(&mut self, check: &str, result: Result<(), Failure>) -> Result<(), Failure> {
        match result {
            Err(failure @ Failure::Permanent(_)) => {
                tracing::warn!(%failure, check, "a check of the reconcile failed; the others run");
                self.add_broken(check, &failure.to_string());
                Ok(())
            }
            other => other,
        }
    }

    /// Whether nothing differs and nothing is broken.
    pub fn is_clean(&self) -> bool {
        let structure = matches!(self.structure, StructureReport::NotManaged | StructureReport::Equal);
        structure && self.broken.is_empty() && self.joined + self.left + self.differing == 0
    }

    /// The changes that a report names.
    pub(crate) fn named(changes: Vec<String>) -> Vec<String> {
        changes.into_iter().take(MAX_NAMED).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_failure_of_a_check_is_a_broken_rule_and_others_stay() {
        let mut report = ReconcileReport::default();
        assert!(report.absorb("structure", Err(Failure::permanent("no access"))).is_ok());
        assert!(report.absorb("members", Err(Failure::retry("outage"))).is_err());
        assert!(report.absorb("members", Ok(())).is_ok());
        let names: Vec<_> = report.broken.iter().map(|broken| broken.name.as_str()).collect();
        assert_eq!(names, ["structure"]);
        assert!(!report.is_clean());
    }

    #[test]
    fn stored_report_is_read_again() {
        let report = ReconcileReport {
            structure: StructureReport::Differs {
                changes: vec!["create role.naib".to_owned()],
                job: Some("synthesis:reconcile:x".to_owned()),
            },
            ..ReconcileReport::default()
        };
        let stored = serde_json::to_value(&report).unwrap();
        assert_eq!(ReconcileReport::read(&stored), Some(report));
        assert_eq!(ReconcileReport::read(&serde_json::json!({"later": 1})), None);
    }
}
