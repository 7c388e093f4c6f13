//! Why a plan was not carried out to its end.

use arrakis_iac::model::{Address, Snowflake};
use arrakis_iac::state::StateError;

use crate::http::CallError;
use crate::kinds::FormError;
use crate::read::ReadError;
use crate::store::StoreError;

/// What ended it. Whatever was done before is in the state: the same again finishes it.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A call failed, was refused, or was not made since somebody asked to stop.
    #[error("{step}: {source}")]
    Call {
        /// The step, as in `create role.naib`.
        step: String,
        /// Why.
        source: CallError,
    },
    /// The server could not be looked through for what a lost answer may have made.
    #[error("{step}: the search for the created resource failed: {source}")]
    SearchOutcome {
        /// The step.
        step: String,
        /// Why.
        source: ReadError,
    },
    /// An answer was lost, and something came that may have been made by the request, or by somebody else.
    #[error(
        "{step}: outcome unknown: the answer was lost, and {} may have been made by the request; look at it in Discord. If gaib created it: \
         `gaib server import {address} ID`. If another user created it: `gaib server state rm {address}`. Then run the same again",
        ids(candidates)
    )]
    Unclear {
        /// The step.
        step: String,
        /// What was to be made.
        address: Address,
        /// Ids of what may have been made.
        candidates: Vec<Snowflake>,
    },
    /// A request cannot be made.
    #[error("{step}: {source}")]
    Form {
        /// The step.
        step: String,
        /// Why.
        source: FormError,
    },
    /// The plan and the state do not fit.
    #[error("{step}: {source}; create the plan again")]
    State {
        /// The step.
        step: String,
        /// Why.
        source: StateError,
    },
    /// The plan was made from another state.
    #[error(
        "the plan was created from the state with lineage {planned}, and this state has lineage {present}; create the plan again"
    )]
    Lineage {
        /// Of the plan.
        planned: String,
        /// Of the state.
        present: String,
    },
    /// The state could not be written. What the last step did is not in it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApplyError {
    /// Whether the same again would end at the same step: what the request needs is wrong or missing, or Discord refused it.
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

    /// Whether somebody asked to stop.
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

/// Ids for people.
fn ids(candidates: &[Snowflake]) -> String {
    let ids: Vec<String> = candidates.iter().map(ToString::to_string).collect();
    match ids.as_slice() {
        [one] => one.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}
