//! The scenarios, one file for each kin of faults. To add a file: its module and its line in [`all`].

mod broker;
mod calls;
mod effects;
mod everything;
mod gateway;
mod ingestor;
mod poison;
mod postgres;
mod redis;
mod rest;
mod time;
mod workers;

use super::Scenario;

/// Every scenario, in the order of the catalogue.
pub fn all() -> Vec<Scenario> {
    let mut all = [
        broker::SCENARIOS,
        everything::SCENARIOS,
        gateway::SCENARIOS,
        ingestor::SCENARIOS,
        effects::SCENARIOS,
        poison::SCENARIOS,
        postgres::SCENARIOS,
        time::SCENARIOS,
        workers::SCENARIOS,
        redis::SCENARIOS,
        rest::SCENARIOS,
    ]
    .concat();
    all.sort_by_key(|scenario| scenario.fault);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::all;
    use crate::chaos::FAULTS;

    #[test]
    fn names_are_unique_and_rows_exist() {
        let mut names = HashSet::new();
        for scenario in all() {
            assert!(names.insert(scenario.name), "{scenario:?} is there twice");
            assert!(FAULTS.contains(&scenario.fault), "{scenario:?}");
            assert!(!scenario.proves.is_empty(), "{scenario:?} proves nothing");
        }
    }
}
