//! Rules of Discord's that configured values break.

use super::{Check, Finding, finding};

impl Check<'_> {
    /// One finding for each value, however many resources it concerns.
    pub(super) fn rules(&self, findings: &mut Vec<Finding>) {
        let first = findings.len();
        for rule in &self.plan.broken_rules {
            let place = rule
                .origin
                .as_ref()
                .map(|origin| format!("{}:{}:{}: ", origin.file, origin.line, origin.column));
            let what = format!("{}{}: {}", place.unwrap_or_default(), rule.address, rule.reason);
            if findings[first..].iter().all(|known| known.what != what) {
                findings.push(finding(
                    what,
                    "correct the value; only what the server has already may stay as it is",
                    vec![rule.address.clone()],
                ));
            }
        }
    }
}
