//! The result of a check: verdict, findings, risk, cost. Pipelines read it as JSON, and approvals show it to a reviewer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrakis_iac::grammar::counted;
use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::finding::{Counts, Finding};
use crate::risk::Risk;

/// The version of the report's format.
pub const VERSION: u32 = 1;

/// Whether a plan may be applied. The order of the variants is that of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The plan may be applied.
    Passed,
    /// A person must approve the plan.
    NeedsApproval,
    /// The plan must not be applied. No approval overrides this.
    Rejected,
}

impl Verdict {
    /// The exit code of `arrakis-policy check`. Pipelines rely on the numbers; 1 is an error of the command itself, and 4, of `submit` and
    /// `wait`, an approval that has lapsed.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::NeedsApproval => 2,
            Self::Rejected => 3,
        }
    }

    /// What to do next, in a sentence; `None` for a plan that may be applied.
    #[must_use]
    pub const fn next_step(self) -> Option<&'static str> {
        match self {
            Self::Passed => None,
            Self::NeedsApproval => Some(
                "`arrakis-policy submit` with the same plan and options, --title and --requester submits it for approval",
            ),
            Self::Rejected => Some("change what is blocked and make a new plan; no approval overrides a block"),
        }
    }

    /// The verdict as in the JSON report and the label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::NeedsApproval => "needs_approval",
            Self::Rejected => "rejected",
        }
    }
}

/// The format of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `terraform show -json`, also of `tofu`.
    Terraform,
    /// `gaib server plan --out`.
    Gaib,
}

/// The plan that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// Its format; `None` when it could not be read.
    pub format: Option<Format>,
    /// SHA-256 of its bytes in hexadecimal: an approval is of this plan and no other. `None` when it was not read to its end.
    pub sha256: Option<String>,
    /// Its changes.
    pub changes: Counts,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this format.
    pub version: u32,
    /// Whether the plan may be applied.
    pub verdict: Verdict,
    /// The plan.
    pub plan: PlanSummary,
    /// Findings that reject the plan.
    pub blocks: Vec<Finding>,
    /// Findings that need an approval.
    pub warnings: Vec<Finding>,
    /// The risk.
    pub risk: Risk,
    /// The cost; `None` when there is no estimate.
    pub cost: Option<Cost>,
}

/// Findings that a report lists; further ones are counted.
const MAX_LISTED: usize = 500;
/// The rule of the finding that counts those that are not listed.
const MORE: &str = "more";
/// Findings of a rule that are listed before a second part of another rule.
const LISTED_IN_TURN: usize = 10;

impl Report {
    /// A report of findings. The verdict and the risk follow from them.
    #[must_use]
    pub fn new(plan: PlanSummary, blocks: Vec<Finding>, warnings: Vec<Finding>, cost: Option<Cost>) -> Self {
        let risk = Risk::new(&plan.changes, &blocks, &warnings, cost.as_ref());
        Self {
            version: VERSION,
            verdict: verdict(&blocks, &warnings, &risk),
            plan,
            blocks: listed(blocks),
            warnings: listed(warnings),
            risk,
            cost,
        }
    }

    /// A report that rejects a plan which could not be checked.
    #[must_use]
    pub fn unchecked(rule: &str, message: impl Into<String>) -> Self {
        let block = Finding::of_plan(rule, message);
        Self::new(PlanSummary::default(), vec![block], Vec::new(), None)
    }

    /// The same report with the result of a cost estimate.
    #[must_use]
    pub fn with_cost(mut self, outcome: crate::cost::Outcome) -> Self {
        self.risk = self
            .risk
            .with(&outcome.blocks, &outcome.warnings, outcome.cost.as_ref());
        let verdict = verdict(&outcome.blocks, &outcome.warnings, &self.risk);
        self.verdict = self.verdict.max(verdict);
        self.blocks.extend(outcome.blocks);
        self.warnings.extend(outcome.warnings);
        self.cost = outcome.cost.or(self.cost);
        self
    }

    /// Checks a report that was kept in a file: that its verdict and its score are those of its findings and reasons.
    ///
    /// # Errors
    /// The report has another version, or its verdict or risk is not the one of its findings. The text names which.
    pub fn check_consistency(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "it has version {}, and this program reads version {VERSION}",
                self.version
            ));
        }
        if self.verdict != verdict(&self.blocks, &self.warnings, &self.risk) {
            return Err("its verdict is not that of its findings".to_owned());
        }
        let sum = Risk::of(self.risk.reasons.clone());
        let mut least = Risk::new(&self.plan.changes, &self.blocks, &self.warnings, self.cost.as_ref());
        if self
            .warnings
            .iter()
            .chain(&self.blocks)
            .any(|finding| finding.rule == MORE)
        {
            // The findings that are not listed count as well.
            least.score = least.score.min(self.risk.score);
        }
        if (sum.score, sum.level) != (self.risk.score, self.risk.level) || self.risk.score < least.score {
            return Err("its risk is not that of its findings".to_owned());
        }
        Ok(())
    }

    /// The report for people, without characters that control a terminal or change the direction of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.findings_and_cost();
        let _ = writeln!(text, "Risk: {} of 100 ({})", self.risk.score, self.risk.level.as_str());
        for reason in &self.risk.reasons {
            let _ = writeln!(text, "  +{} {}", reason.points, printable(&reason.text));
        }
        text.push_str(&self.changes());
        let result = match self.verdict {
            Verdict::Passed => "passed",
            Verdict::NeedsApproval => "needs approval",
            Verdict::Rejected => "rejected",
        };
        let _ = writeln!(text, "Result: {result}");
        text
    }

    /// The part of [`Report::to_text`] that an approval does not show beside it: without the risk, its reasons and the result.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}{}", self.findings_and_cost(), self.changes())
    }

    fn findings_and_cost(&self) -> String {
        let mut text = String::new();
        for (heading, findings) in [("Blocked", &self.blocks), ("Warning", &self.warnings)] {
            for finding in findings {
                let address = finding
                    .address
                    .as_deref()
                    .map_or_else(String::new, |it| format!(" {}:", printable(it)));
                let message = printable(&finding.message);
                let rule = printable(&finding.rule);
                let source = printable(&finding.source);
                let _ = writeln!(text, "{heading}:{address} {message} [{source}/{rule}]");
            }
        }
        if let Some(cost) = &self.cost {
            let _ = writeln!(text, "Cost: {}", printable(&cost.describe()));
        }
        text
    }

    /// The line with the numbers of changes; empty for a plan that was not read.
    fn changes(&self) -> String {
        if self.plan.format.is_none() {
            return String::new();
        }
        let counts = &self.plan.changes;
        format!(
            "Plan: {} to create, {} to change, {} to replace, {} to delete, {} to forget\n",
            counts.create, counts.update, counts.replace, counts.delete, counts.forget
        )
    }
}

fn verdict(blocks: &[Finding], warnings: &[Finding], risk: &Risk) -> Verdict {
    if !blocks.is_empty() {
        Verdict::Rejected
    } else if !warnings.is_empty() || risk.needs_approval() {
        Verdict::NeedsApproval
    } else {
        Verdict::Passed
    }
}

/// The findings that a report lists, those with the most points first. Each rule has its share, so that many findings of one rule hide no other.
fn listed(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|one, other| other.risk.cmp(&one.risk).then_with(|| one.cmp(other)));
    findings.dedup();
    let count = findings.len();
    if count <= MAX_LISTED {
        return findings;
    }
    let mut of_rule: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, Finding)> = Vec::with_capacity(count);
    for finding in findings {
        let number = of_rule
            .entry((finding.source.clone(), finding.rule.clone()))
            .or_default();
        ranked.push((*number / LISTED_IN_TURN, finding));
        *number += 1;
    }
    // A stable sort: within a turn, the order by points stays.
    ranked.sort_by_key(|(turn, _)| *turn);
    ranked.truncate(MAX_LISTED);
    let mut findings: Vec<Finding> = ranked.into_iter().map(|(_, finding)| finding).collect();
    findings.push(Finding::of_plan(
        MORE,
        format!("{} not listed", counted(count - MAX_LISTED, "further finding")),
    ));
    findings
}

/// `text` with control characters and characters that reorder text as escapes: a name in a plan must not change what a reviewer
/// sees.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters without a glyph, and those that change the direction of text (Unicode Technical Report 36).
const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_and_reordering_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[2K\u{202e}é"), "a\\u{1b}[2K\\u{202e}é");
    }

    #[test]
    fn long_lists_are_cut_and_stay_a_block() {
        let many = (0..2_000)
            .map(|number| Finding::of_plan("rule", format!("{number}")))
            .collect();
        let report = Report::new(PlanSummary::default(), many, Vec::new(), None);
        assert_eq!(report.blocks.len(), MAX_LISTED + 1);
        assert_eq!(report.verdict, Verdict::Rejected);
    }

    #[test]
    fn many_findings_of_one_rule_hide_no_other_and_a_cost_lowers_no_risk() {
        let mut warnings: Vec<_> = (0..2_000)
            .map(|number| Finding::of_plan("import", format!("{number:04}")).with_risk(10))
            .collect();
        for rule in ["permissions", "protection_removed", "public_network"] {
            warnings.push(Finding::of_plan(rule, "dangerous").with_risk(40));
        }
        let report = Report::new(PlanSummary::default(), Vec::new(), warnings, None);
        assert_eq!(report.risk.score, 100);
        for rule in ["permissions", "protection_removed", "public_network"] {
            assert!(report.warnings.iter().any(|warning| warning.rule == rule), "{rule}");
        }
        let cost = crate::cost::Cost {
            currency: "USD".to_owned(),
            increase: "0".to_owned(),
            total: None,
            before: None,
            unsupported: 0,
        };
        let outcome = crate::cost::Outcome {
            cost: Some(cost),
            ..crate::cost::Outcome::default()
        };
        let with_cost = report.clone().with_cost(outcome);
        assert_eq!((with_cost.risk.score, with_cost.verdict), (100, Verdict::NeedsApproval));
        assert_eq!(with_cost.warnings, report.warnings);
        let rejected = report.with_cost(crate::cost::Outcome::failed("no answer"));
        assert_eq!(rejected.verdict, Verdict::Rejected);
    }

    #[test]
    fn summary_leaves_out_what_an_approval_shows_and_an_unread_plan_has_no_counts() {
        let plan = PlanSummary {
            format: Some(Format::Terraform),
            ..PlanSummary::default()
        };
        let warnings = vec![Finding::of_plan("import", "it is imported").with_risk(20)];
        let report = Report::new(plan, Vec::new(), warnings, None);
        let summary = report.summary();
        assert!(
            summary.contains("it is imported") && summary.contains("Plan: 0 to create"),
            "{summary}"
        );
        assert!(
            !summary.contains("Risk: ") && !summary.contains("Result: "),
            "{summary}"
        );
        let text = Report::unchecked("unreadable_plan", "reason").to_text();
        assert!(!text.contains("Plan: "), "{text}");
        assert!(text.contains("+100 1 finding rejects the plan"), "{text}");
    }

    #[test]
    fn verdicts_have_distinct_exit_codes_and_only_a_pass_is_0() {
        let codes = [Verdict::Passed, Verdict::NeedsApproval, Verdict::Rejected].map(Verdict::exit_code);
        assert_eq!(codes, [0, 2, 3]);
    }
}
