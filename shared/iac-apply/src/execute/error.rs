//! Errors of an apply.

use arrakis_iac::model::{Address, Snowflake};
use arrakis_iac::state::StateError;

use crate::http::CallError;
use crate::kinds::FormError;
use crate::read::ReadError;
use crate::store::StoreError;

/// The error that ended an apply. The state contains all earlier steps: another apply completes the plan.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A call failed, was refused, or was cancelled.
    #[error("{step}: {source}")]
    Call {
        /// Description of the step, as in `create role.naib`.
        step: String,
        /// The cause.
        source: CallError,
    },
    /// The search for a resource whose creation has no response failed.
    #[error("{step}: the search for the created resource failed: {source}")]
    Search {
        /// Description of the step.
        step: String,
        /// The cause.
        source: ReadError,
    },
    /// A response is missing, and new resources may be the result of the request or of another user.
    #[error(
        "{step}: outcome unknown: no response was received, and {} may have been created by the request; check in Discord. If gaib created it: \
         `gaib server import {address} ID`. If another user created it: `gaib server state rm {address}`. Then run the same command again",
        ids(candidates)
    )]
    Unclear {
        /// Description of the step.
        step: String,
        /// Address of the requested resource.
        address: Address,
        /// Ids of the candidates.
        candidates: Vec<Snowflake>,
    },
    /// A request cannot be built.
    #[error("{step}: {source}")]
    Form {
        /// Description of the step.
        step: String,
        /// The cause.
        source: FormError,
    },
    /// A step is not valid for the state.
    #[error("{step}: {source}; create the plan again")]
    State {
        /// Description of the step.
        step: String,
        /// The cause.
        source: StateError,
    },
    /// The plan was made from another state.
    #[error(
        "the plan was created from the state with lineage {planned}, and this state has lineage {present}; create the plan again"
    )]
    Lineage {
        /// Serial in the plan.
        planned: String,
        /// Serial of the state.
        present: String,
    },
    /// The state could not be written. It does not contain the last step.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApplyError {
    /// Whether another apply of the plan would fail at the same step: the request is invalid, or Discord refused it.
    #[must_use]
    pub const fn stays(&self) -> bool {
        matches!(
            self,
            Self::Form { .. }
                | Self::Call {
                    source: CallError::Refused { .. } | CallError::Denied { .. },
                    ..
                }
        )
    }

    /// Whether the apply was cancelled.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Call {
                source: CallError::Cancelled { .. },
                ..
            }
        )
    }
}

/// Ids for messages.
fn ids(candidates: &[Snowflake]) -> String {
    let ids: Vec<String> = candidates.iter().map(ToString::to_string).collect();
    match ids.as_slice() {
        [one] => one.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}
