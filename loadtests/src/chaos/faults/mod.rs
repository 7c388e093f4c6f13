//! The scenarios, one file for each group of faults. To add a file: its module and its line in [`all`].

mod alarms;
mod broker;
mod calls;
mod canary;
mod effects;
mod everything;
mod failures;
mod gateway;
mod ingestor;
mod interactions;
mod jobs;
mod kill_switch;
mod listeners;
mod partition;
mod poison;
mod postgres;
mod redis;
mod rest;
mod score;
mod signatures;
mod syncs;
mod synthesis;
mod time;
mod topology;
mod wire;
mod wizard;
mod workers;

use super::Scenario;

/// Every scenario, in the order of the fault numbers.
pub fn all() -> Vec<Scenario> {
    let mut all = [
        alarms::SCENARIOS,
        broker::SCENARIOS,
        canary::SCENARIOS,
        effects::SCENARIOS,
        everything::SCENARIOS,
        failures::SCENARIOS,
        gateway::SCENARIOS,
        ingestor::SCENARIOS,
        interactions::SCENARIOS,
        jobs::SCENARIOS,
        kill_switch::SCENARIOS,
        listeners::SCENARIOS,
        partition::SCENARIOS,
        poison::SCENARIOS,
        postgres::SCENARIOS,
        redis::SCENARIOS,
        rest::SCENARIOS,
        score::SCENARIOS,
        signatures::SCENARIOS,
        syncs::SCENARIOS,
        synthesis::SCENARIOS,
        time::SCENARIOS,
        topology::SCENARIOS,
        wire::SCENARIOS,
        wizard::SCENARIOS,
        workers::SCENARIOS,
    ]
    .concat();
    all.sort_by_key(|scenario| scenario.fault);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::all;
    use crate::chaos::{FAULTS, Invariant};

    #[test]
    fn names_are_unique_and_fault_numbers_exist() {
        let mut names = HashSet::new();
        for scenario in all() {
            assert!(names.insert(scenario.name), "{scenario:?} exists twice");
            assert!(FAULTS.contains(&scenario.fault), "{scenario:?}");
            assert!(!scenario.proves.is_empty(), "{scenario:?} checks no invariant");
        }
    }

    #[test]
    fn scenarios_with_alerts_list_i6() {
        for scenario in all().iter().filter(|scenario| !scenario.alerts.is_empty()) {
            assert!(scenario.proves.contains(&Invariant::I6), "{scenario:?}");
        }
    }
}
