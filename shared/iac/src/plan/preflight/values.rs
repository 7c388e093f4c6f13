//! Findings for configured values that break a rule of Discord.

use super::{PlanChecks, Problem, rules};

impl PlanChecks<'_> {
    /// One finding for each value, also if several resources have it.
    pub(super) fn values(&self, problems: &mut Vec<Problem>) {
        let mut known: Vec<String> = Vec::new();
        for rule in &self.plan.broken_rules {
            let place = rule
                .origin
                .as_ref()
                .map(|origin| format!("{}:{}:{}: ", origin.file, origin.line, origin.column));
            let what = format!("{}{}: {}", place.unwrap_or_default(), rule.address, rule.reason);
            if known.contains(&what) {
                continue;
            }
            known.push(what.clone());
            problems.push(Problem::new(
                rules::VALUE,
                &rule.address,
                what,
                "correct the value; only a value that the server has already can stay",
            ));
        }
    }
}
