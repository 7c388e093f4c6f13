//! Checks of uncertain resources: creations with an unknown outcome, and managed resources that cannot be read.

use super::{Problem, list, rules};
use crate::live::LiveServer;
use crate::plan::document::{Mode, Plan, Step};
use crate::plan::known::held;
use crate::plan::lost::{CreationOutcome, find_duplicates, find_pending};
use crate::state::State;

/// Reports managed resources that exist and cannot be read.
pub(super) fn unreadable(plan: &Plan, live: &LiveServer, state: &State) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (address, entry) in &state.resources {
        let Some(why) =
            held(address, entry, live).filter(|_| plan.targets.is_empty() || plan.targets.contains(address))
        else {
            continue;
        };
        let deleted = plan
            .steps
            .iter()
            .any(|step| matches!(step, Step::Delete { address: of, .. } if of == address));
        let outcome = if deleted {
            "it is deleted by its id"
        } else {
            "it stays managed, and no step changes it"
        };
        problems.push(Problem::warning(
            rules::UNREADABLE,
            address,
            format!("{{}} (id {}) cannot be read: {why}; {outcome}", entry.id),
            "use a newer gaib; `gaib server state rm ADDRESS` removes it from the state; it stays on the server",
        ));
    }
    problems
}

/// Reports creations with an unknown outcome for which several resources on the server may be the result.
pub(super) fn unknown_outcomes(plan: &Plan, live: &LiveServer, state: &State) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (address, pending) in &state.pending {
        if state.resources.contains_key(address) || plan.mode == Mode::RefreshOnly {
            continue;
        }
        let CreationOutcome::Unclear(candidates) = find_pending(address, pending, state, live) else {
            continue;
        };
        let makes = plan
            .steps
            .iter()
            .any(|step| matches!(step, Step::Create { address: of, .. } if of == address));
        if !makes && !plan.targets.is_empty() {
            continue;
        }
        let ids: Vec<String> = candidates.iter().map(ToString::to_string).collect();
        let what = format!(
            "the outcome of an earlier request for {{}} is unknown: no response was received, and the request may have created {} ({})",
            if ids.len() == 1 { "this" } else { "one of these" },
            list(&ids)
        );
        let kind = address.kind();
        let what_to_do = format!(
            "check it in Discord ({} by id). If gaib created it: `gaib server import {address} ID`. If another user created it: \
             `gaib server state rm {address}`, then plan again",
            kind.noun()
        );
        let mut problem = Problem::new(rules::OUTCOME_UNKNOWN, address, what, what_to_do);
        problem.blocking = makes;
        problems.push(problem);
    }
    problems
}

/// Reports resources that exist twice, since an earlier request without a response took effect after it was repeated.
pub(super) fn duplicates(live: &LiveServer, state: &State) -> Vec<Problem> {
    let doubles = find_duplicates(state, live).into_iter();
    let problem = |(address, ids): (_, Vec<crate::model::Snowflake>)| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Problem::warning(
            rules::DOUBLED,
            &address,
            format!(
                "{{}} seems to exist twice: it was created again after a missing response, and an earlier request seems to have created {} \
                 after all",
                list(&ids)
            ),
            "check it in Discord and delete it there if it is unused",
        )
    };
    doubles.map(problem).collect()
}
