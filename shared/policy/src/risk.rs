//! The risk score: 0 to 100, with the reasons, for the reviewer of a plan.
//!
//! Warnings of the policies carry points. Their sum by rule is limited, so that one rule with many resources does not hide the
//! others; the rest follows from the number of changes and from the cost.

use std::collections::BTreeMap;

use arrakis_iac::grammar::counted;
use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::finding::{Counts, Finding};

/// From this score on, a plan without warnings needs an approval.
pub const MEDIUM: u8 = 30;
/// From this score on, an approval needs a second factor.
pub const HIGH: u8 = 70;

/// The class of a risk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below 30.
    #[default]
    Low,
    /// From 30 on: a person approves.
    Medium,
    /// From 70 on: a person approves with a second factor.
    High,
}

impl Level {
    /// The level in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A part of the score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Its points. The score is the sum, at most 100.
    pub points: u8,
    /// What it is for.
    pub text: String,
}

/// The risk of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// 0 to 100.
    pub score: u8,
    /// Its class.
    pub level: Level,
    /// The parts of the score, the largest first.
    pub reasons: Vec<Reason>,
}

impl Risk {
    pub(crate) fn new(changes: &Counts, blocks: &[Finding], warnings: &[Finding], cost: Option<&Cost>) -> Self {
        let mut reasons = of_findings(blocks, warnings);
        let bulk = [
            (changes.create, 1, 30, "created"),
            (changes.update, 2, 40, "changed in place"),
            (changes.forget, 2, 10, "removed from the state"),
        ];
        for (count, each, most, what) in bulk {
            if count > 0 {
                let points = count.saturating_mul(each).min(most);
                reasons.push(reason(points, format!("{} {what}", counted(count, "resource"))));
            }
        }
        reasons.extend(cost.map(of_cost));
        Self::of(reasons)
    }

    /// The same risk with further findings and a cost. A report lists a part of the findings only, so the reasons that it has are kept.
    pub(crate) fn with(self, blocks: &[Finding], warnings: &[Finding], cost: Option<&Cost>) -> Self {
        let mut reasons = self.reasons;
        reasons.extend(of_findings(blocks, warnings));
        reasons.extend(cost.map(of_cost));
        Self::of(reasons)
    }

    /// The sum of reasons.
    pub(crate) fn of(mut reasons: Vec<Reason>) -> Self {
        reasons.retain(|reason| reason.points > 0);
        reasons.sort_by(|one, other| other.points.cmp(&one.points).then_with(|| one.text.cmp(&other.text)));
        let sum = reasons
            .iter()
            .map(|reason| u32::from(reason.points))
            .sum::<u32>()
            .min(100);
        let score = u8::try_from(sum).unwrap_or(100);
        let level = match score {
            HIGH.. => Level::High,
            MEDIUM.. => Level::Medium,
            _ => Level::Low,
        };
        Self { score, level, reasons }
    }

    /// Whether the score alone needs an approval.
    #[must_use]
    pub const fn needs_approval(&self) -> bool {
        self.score >= MEDIUM
    }
}

fn of_findings(blocks: &[Finding], warnings: &[Finding]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !blocks.is_empty() {
        let verb = if blocks.len() == 1 { "rejects" } else { "reject" };
        let text = format!("{} {verb} the plan", counted(blocks.len(), "finding"));
        reasons.push(reason(100, text));
    }
    let mut rules: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    for warning in warnings {
        rules.entry((&warning.source, &warning.rule)).or_default().push(warning);
    }
    for ((source, rule), findings) in rules {
        reasons.extend(of_rule(source, rule, &findings));
    }
    reasons
}

fn of_cost(cost: &Cost) -> Reason {
    reason(cost.risk(), "increase of the monthly cost".to_owned())
}

/// The largest finding of a rule counts in full, each further one by a quarter of its points, up to twice the largest.
fn of_rule(source: &str, rule: &str, findings: &[&Finding]) -> Option<Reason> {
    let largest = findings.iter().map(|finding| usize::from(finding.risk)).max()?;
    let sum: usize = findings.iter().map(|finding| usize::from(finding.risk)).sum();
    let points = (largest + (sum - largest) / 4).min(largest * 2);
    let example = findings.iter().max_by_key(|finding| finding.risk)?;
    let text = match findings {
        [only] => format!("{source}/{rule}: {}", only.message),
        _ => format!(
            "{source}/{rule}: {}, such as: {}",
            counted(findings.len(), "finding"),
            example.message
        ),
    };
    Some(reason(points, text))
}

fn reason(points: usize, text: String) -> Reason {
    let points = u8::try_from(points.min(100)).unwrap_or(100);
    Reason { points, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_never_exceeds_100_and_has_reasons() {
        let warnings: Vec<_> = (0..300)
            .map(|number| Finding::of_plan(&format!("rule{}", number % 7), format!("{number}")).with_risk(90))
            .collect();
        let risk = Risk::new(&Counts::default(), &[], &warnings, None);
        assert_eq!((risk.score, risk.level), (100, Level::High));
        assert_eq!(risk.reasons.len(), 7);
    }

    #[test]
    fn more_findings_never_lower_the_score() {
        let mut warnings = Vec::new();
        let mut last = 0;
        for points in [5, 1, 40, 2, 9] {
            warnings.push(Finding::of_plan("rule", format!("{points}")).with_risk(points));
            let score = Risk::new(&Counts::default(), &[], &warnings, None).score;
            assert!(score >= last, "{score} after {last}");
            last = score;
        }
        assert!(last > 40);
    }

    #[test]
    fn empty_plan_has_no_risk() {
        assert_eq!(Risk::new(&Counts::default(), &[], &[], None), Risk::default());
    }
}
