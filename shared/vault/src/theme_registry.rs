//! [`ThemeRegistry`]: the deployments of themes to a server.
//!
//! Each apply, destroy and rollback with a theme is a deployment. The registry is an object of the store; the audit object of each
//! deployment is written before it, so the registry can be made again from them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::manifest::ThemeVersion;
use crate::sealed::Statement;
use crate::server::ServerId;
use crate::sign::{Signature, SigningPurpose};

/// What a deployment did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// An apply.
    Apply,
    /// A destroy.
    Destroy,
    /// A rollback to an earlier deployment.
    Rollback,
}

impl Action {
    /// The name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Destroy => "destroy",
            Self::Rollback => "rollback",
        }
    }
}

/// A deployment of a theme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Random id: recording the same deployment again changes nothing.
    pub id: Uuid,
    /// Time of its end, in UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// Workspace of the state.
    pub workspace: String,
    /// The theme.
    pub theme: ThemeVersion,
    /// Serial of the state afterwards.
    pub serial: u64,
    /// What it did.
    pub action: Action,
    /// Snapshot of the server before it, with which this deployment is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_before: Option<Uuid>,
    /// Snapshot of the server after it, which a rollback to this deployment restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Uuid>,
    /// Of a rollback: the deployment that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Uuid>,
    /// The author's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The signature of all the rest, with the server; `None` before it is recorded, and of one that an earlier version recorded or whose
    /// signature was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// What the signature of a deployment states.
#[derive(Serialize)]
pub(crate) struct DeploymentStatement<'a> {
    server: ServerId,
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    workspace: &'a str,
    theme: &'a ThemeVersion,
    serial: u64,
    action: Action,
    snapshot_before: Option<Uuid>,
    snapshot: Option<Uuid>,
    restored: Option<Uuid>,
    message: Option<&'a str>,
}

impl Statement for DeploymentStatement<'_> {
    const PURPOSE: SigningPurpose = SigningPurpose::Deployment;
}

impl Deployment {
    /// What the signature of a deployment to this server states.
    pub(crate) fn statement(&self, server: ServerId) -> DeploymentStatement<'_> {
        DeploymentStatement {
            server,
            id: self.id,
            time: self.time,
            workspace: &self.workspace,
            theme: &self.theme,
            serial: self.serial,
            action: self.action,
            snapshot_before: self.snapshot_before,
            snapshot: self.snapshot,
            restored: self.restored,
            message: self.message.as_deref(),
        }
    }
}

/// The audit object of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentAudit {
    /// The Discord server.
    pub server: ServerId,
    /// The deployment.
    pub deployment: Deployment,
}

/// The deployments of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThemeRegistry {
    /// The Discord server.
    pub server: ServerId,
    /// The deployments, oldest first.
    pub deployments: Vec<Deployment>,
}

/// Which deployment a rollback restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackTo {
    /// The deployment that is this many deployments before the current one.
    Steps(usize),
    /// The deployment with this id.
    Id(Uuid),
}

/// Why there is nothing to roll back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollbackError {
    /// The server has no deployments.
    #[error("no theme was deployed to server {0} yet, so there is nothing to roll back to")]
    Empty(ServerId),
    /// Zero steps.
    #[error("a rollback of 0 steps changes nothing; use --steps 1 for the deployment before the current one")]
    NoSteps,
    /// There are fewer deployments.
    #[error(
        "a rollback by {} has no target: the registry has {} before the last one; `gaib server theme history` lists them",
        deployments(.steps),
        deployments(.earlier)
    )]
    TooFar {
        /// Requested steps.
        steps: usize,
        /// Deployments before the current one, within the history of the plan.
        earlier: usize,
    },
    /// No deployment has this id.
    #[error("no deployment has the id {0}; `gaib server theme history` lists them")]
    UnknownId(Uuid),
    /// The deployment has no snapshot.
    #[error("the deployment {0} has no snapshot, and only a snapshot can be restored")]
    NoSnapshot(Uuid),
    /// The deployment is a destroy.
    #[error("the deployment {0} is a destroy, which leaves nothing to restore")]
    Destroyed(Uuid),
}

fn deployments(count: &usize) -> String {
    match count {
        1 => "1 deployment".to_owned(),
        count => format!("{count} deployments"),
    }
}

impl ThemeRegistry {
    /// A registry without deployments.
    #[must_use]
    pub fn new(server: ServerId) -> Self {
        Self {
            server,
            deployments: Vec::new(),
        }
    }

    /// The newest deployment; `None` before the first one, and after a destroy.
    #[must_use]
    pub fn current(&self) -> Option<&Deployment> {
        self.deployments
            .last()
            .filter(|deployment| deployment.action != Action::Destroy)
    }

    /// The newest deployments, newest first, at most `limit`.
    pub fn history(&self, limit: usize) -> impl Iterator<Item = &Deployment> {
        self.deployments.iter().rev().take(limit)
    }

    /// Adds a deployment. Returns whether it is new.
    pub fn add(&mut self, deployment: Deployment) -> bool {
        if self.deployments.iter().any(|other| other.id == deployment.id) {
            return false;
        }
        self.deployments.push(deployment);
        true
    }

    /// The deployments before the last one that a rollback can restore, newest first, of the newest `limit`: those with a snapshot. The store
    /// may have deleted it since.
    pub fn restorable(&self, limit: usize) -> impl Iterator<Item = &Deployment> {
        let earlier = self.history(limit).skip(1);
        earlier.filter(|deployment| deployment.action != Action::Destroy && deployment.snapshot.is_some())
    }

    /// The first deployment that a rollback undoes, of the newest `limit`: the one after its target.
    #[must_use]
    pub fn first_undone(&self, to: RollbackTo, limit: usize) -> Option<&Deployment> {
        let after = match to {
            RollbackTo::Steps(steps) => steps.checked_sub(1)?,
            RollbackTo::Id(id) => self.history(limit).position(|other| other.id == id)?.checked_sub(1)?,
        };
        self.history(limit).nth(after)
    }

    /// The deployment whose snapshot a rollback restored, also by way of other rollbacks; of an apply, itself. It took the snapshot.
    #[must_use]
    pub fn origin<'a>(&'a self, deployment: &'a Deployment) -> &'a Deployment {
        let mut origin = deployment;
        // A registry that was changed may have a circle.
        for _ in &self.deployments {
            let earlier = self.deployments.iter().find(|other| Some(other.id) == origin.restored);
            match earlier {
                Some(earlier) => origin = earlier,
                None => break,
            }
        }
        origin
    }

    /// The deployment that a rollback restores, of the newest `limit` ([`crate::theme_history`] of the plan), with the id of its
    /// snapshot.
    ///
    /// # Errors
    /// There is no such deployment, or it has no snapshot.
    pub fn target(&self, to: RollbackTo, limit: usize) -> Result<(&Deployment, Uuid), RollbackError> {
        let count = self.deployments.len().min(limit);
        if count == 0 {
            return Err(RollbackError::Empty(self.server));
        }
        let target = match to {
            RollbackTo::Steps(0) => return Err(RollbackError::NoSteps),
            RollbackTo::Steps(steps) => self.history(count).nth(steps).ok_or(RollbackError::TooFar {
                steps,
                earlier: count - 1,
            })?,
            RollbackTo::Id(id) => self
                .history(count)
                .find(|deployment| deployment.id == id)
                .ok_or(RollbackError::UnknownId(id))?,
        };
        if target.action == Action::Destroy {
            return Err(RollbackError::Destroyed(target.id));
        }
        let snapshot = target.snapshot.ok_or(RollbackError::NoSnapshot(target.id))?;
        Ok((target, snapshot))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn deployment(number: u128, action: Action, snapshot: bool) -> Deployment {
        Deployment {
            id: Uuid::from_u128(number),
            time: datetime!(2026-12-01 00:00 UTC),
            workspace: "default".to_owned(),
            theme: ThemeVersion {
                name: "sietch".to_owned(),
                version: "1.0.0".to_owned(),
            },
            serial: 1,
            action,
            snapshot_before: None,
            snapshot: snapshot.then(|| Uuid::from_u128(100 + number)),
            restored: None,
            message: None,
            signature: None,
        }
    }

    fn registry(deployments: Vec<Deployment>) -> ThemeRegistry {
        ThemeRegistry {
            server: ServerId::new(1),
            deployments,
        }
    }

    #[test]
    fn steps_count_deployments_before_the_current_one() {
        let registry = registry(vec![
            deployment(1, Action::Apply, true),
            deployment(2, Action::Destroy, false),
            deployment(3, Action::Apply, false),
            deployment(4, Action::Rollback, true),
        ]);
        let target = |to| registry.target(to, usize::MAX).map(|(found, _)| found.id.as_u128());
        assert_eq!(target(RollbackTo::Steps(3)), Ok(1));
        assert_eq!(target(RollbackTo::Id(Uuid::from_u128(4))), Ok(4));
        assert_eq!(target(RollbackTo::Steps(0)), Err(RollbackError::NoSteps));
        assert_eq!(
            target(RollbackTo::Steps(4)),
            Err(RollbackError::TooFar { steps: 4, earlier: 3 })
        );
        assert_eq!(
            RollbackError::TooFar { steps: 1, earlier: 0 }.to_string(),
            "a rollback by 1 deployment has no target: the registry has 0 deployments before the last one; `gaib server theme history` lists them"
        );
        let (second, third) = (Uuid::from_u128(2), Uuid::from_u128(3));
        assert_eq!(target(RollbackTo::Steps(2)), Err(RollbackError::Destroyed(second)));
        assert_eq!(target(RollbackTo::Steps(1)), Err(RollbackError::NoSnapshot(third)));
        let restorable = registry.restorable(usize::MAX).map(|found| found.id.as_u128());
        assert_eq!(restorable.collect::<Vec<_>>(), [1]);
        let undone = |to| registry.first_undone(to, usize::MAX).map(|found| found.id.as_u128());
        assert_eq!(undone(RollbackTo::Steps(1)), Some(4));
        assert_eq!(undone(RollbackTo::Id(second)), Some(3));
        assert_eq!(undone(RollbackTo::Id(Uuid::from_u128(4))), None);
        assert_eq!(
            (undone(RollbackTo::Steps(0)), undone(RollbackTo::Steps(5))),
            (None, None)
        );
        let unknown = Uuid::from_u128(9);
        assert_eq!(target(RollbackTo::Id(unknown)), Err(RollbackError::UnknownId(unknown)));
        assert_eq!(registry.current().map(|current| current.id.as_u128()), Some(4));
    }

    #[test]
    fn history_of_the_plan_limits_the_targets() {
        let registry = registry((1..=8).map(|number| deployment(number, Action::Apply, true)).collect());
        assert!(registry.target(RollbackTo::Steps(4), 5).is_ok());
        assert_eq!(
            registry.target(RollbackTo::Steps(5), 5),
            Err(RollbackError::TooFar { steps: 5, earlier: 4 })
        );
        let oldest = Uuid::from_u128(1);
        assert_eq!(
            registry.target(RollbackTo::Id(oldest), 5),
            Err(RollbackError::UnknownId(oldest))
        );
    }

    #[test]
    fn deployment_is_added_once_and_a_destroy_leaves_no_current_one() {
        let mut registry = registry(Vec::new());
        assert_eq!(
            registry.target(RollbackTo::Steps(1), 5),
            Err(RollbackError::Empty(ServerId::new(1)))
        );
        assert!(registry.add(deployment(1, Action::Apply, true)));
        assert!(!registry.add(deployment(1, Action::Apply, true)));
        assert!(registry.current().is_some());
        assert!(registry.add(deployment(2, Action::Destroy, false)));
        assert_eq!((registry.current(), registry.deployments.len()), (None, 2));
    }
}
