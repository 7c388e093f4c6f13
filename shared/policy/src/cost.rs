//! The cost of a change, from an estimate of Infracost.
//!
//! Three formats are accepted, by their shape: the JSON of Infracost 0.10 (`totalMonthlyCost`), of `infracost scan` 2.x
//! (`summary.total_monthly_cost`) and of `infracost scan --diff` 2.x (`DiffTotalMonthlyCost`). Amounts are decimal texts. A report
//! with errors of a project says 0 for it, so errors reject; so do another currency than that of the limit, and missing amounts.
//! A report with parts of several formats is refused: which amount counts is not known.

use std::str::FromStr as _;

use bigdecimal::{BigDecimal, Signed as _, ToPrimitive as _, Zero as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::json::Budget;

/// An increase of the monthly cost over this many US dollars rejects the plan.
pub const LIMIT: u32 = 5_000;
/// The currency of the limit.
pub const CURRENCY: &str = "USD";

/// Bytes of an estimate.
pub const MAX_BYTES: usize = 32 << 20;
/// Values of an estimate.
const MAX_VALUES: usize = 1_000_000;
/// Digits of an amount, and the size of its exponent: `1e999999999` would need gigabytes.
const MAX_AMOUNT_LENGTH: usize = 40;
const MAX_EXPONENT: u64 = 30;

/// The cost of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Currency of the amounts.
    pub currency: String,
    /// Increase of the monthly cost, as a decimal text; negative for a decrease.
    pub increase: String,
    /// Monthly cost after the change.
    pub total: Option<String>,
    /// Monthly cost before it.
    pub before: Option<String>,
    /// Resources without a price.
    pub unsupported: u64,
}

impl Cost {
    /// The cost in one sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        let total = self
            .total
            .as_ref()
            .map_or_else(String::new, |total| format!(", {total} {} in all", self.currency));
        format!("{} {} a month more{total}", self.increase, self.currency)
    }

    /// Points of risk: 40 for the limit, in proportion below it.
    pub(crate) fn risk(&self) -> usize {
        let increase = amount_of_text(&self.increase).unwrap_or_else(|_| BigDecimal::from(LIMIT));
        if !increase.is_positive() {
            return 0;
        }
        let points = increase * BigDecimal::from(40) / BigDecimal::from(LIMIT);
        points.to_usize().unwrap_or(100).min(100)
    }
}

/// The findings of a cost estimate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The cost; `None` when the estimate could not be read.
    pub cost: Option<Cost>,
    /// Findings that reject.
    pub blocks: Vec<Finding>,
    /// Findings that need an approval.
    pub warnings: Vec<Finding>,
}

impl Outcome {
    /// The outcome of an estimate that could not be made or read.
    #[must_use]
    pub fn failed(why: &str) -> Self {
        Self {
            blocks: vec![Finding::of_plan("cost_unknown", format!("the cost is unknown: {why}"))],
            ..Self::default()
        }
    }
}

/// Amounts and problems that a report has.
#[derive(Default)]
struct Estimate {
    currency: String,
    total: Option<BigDecimal>,
    before: Option<BigDecimal>,
    /// Every amount of an increase in the report; they should be equal.
    increases: Vec<BigDecimal>,
    errors: Vec<String>,
    notes: Vec<String>,
    unsupported: u64,
}

/// Evaluates an estimate, with the one before the change for a report that has no difference.
#[must_use]
pub fn evaluate(bytes: &[u8], baseline: Option<&[u8]>) -> Outcome {
    let estimate = match read(bytes) {
        Ok(estimate) => estimate,
        Err(why) => return Outcome::failed(&why),
    };
    let baseline = match baseline.map(read).transpose() {
        Ok(baseline) => baseline,
        Err(why) => return Outcome::failed(&format!("baseline: {why}")),
    };
    decide(estimate, baseline)
}

fn decide(mut estimate: Estimate, baseline: Option<Estimate>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(baseline) = baseline {
        estimate.errors.extend(baseline.errors);
        if baseline.currency != estimate.currency {
            estimate
                .errors
                .push("the two estimates have different currencies".to_owned());
        }
        if estimate.before.is_none() {
            estimate.before = baseline.total;
        }
    }
    for error in estimate.errors.iter().take(20) {
        outcome.blocks.push(Finding::of_plan(
            "cost_error",
            format!("the estimate has an error: {error}"),
        ));
    }
    if estimate.currency != CURRENCY {
        let message = format!(
            "the estimate is in {:?}, and the limit is in {CURRENCY}",
            estimate.currency
        );
        outcome.blocks.push(Finding::of_plan("cost_currency", message));
    }
    if let Some(total) = &estimate.total {
        let before = estimate.before.clone().unwrap_or_else(BigDecimal::zero);
        estimate.increases.push(total - before);
    }
    // Reports whose amounts contradict each other: the largest decides.
    let Some(increase) = estimate.increases.iter().max().cloned() else {
        outcome.blocks.push(Finding::of_plan(
            "cost_unknown",
            "the cost is unknown: the estimate has no amounts",
        ));
        return outcome;
    };
    if increase > LIMIT {
        let message = format!(
            "the monthly cost increases by {} {CURRENCY}, and the limit is {LIMIT}",
            plain(&increase)
        );
        outcome.blocks.push(Finding::of_plan("cost_limit", message));
    }
    if estimate.unsupported > 0 {
        let message = match estimate.unsupported {
            1 => "1 resource has no price in the estimate".to_owned(),
            count => format!("{count} resources have no price in the estimate"),
        };
        outcome
            .warnings
            .push(Finding::of_plan("cost_unsupported", message).with_risk(10));
    }
    for note in estimate.notes.iter().take(20) {
        outcome
            .warnings
            .push(Finding::of_plan("cost_note", format!("the estimate has a warning: {note}")).with_risk(5));
    }
    outcome.cost = Some(Cost {
        currency: estimate.currency,
        increase: plain(&increase),
        total: estimate.total.as_ref().map(plain),
        before: estimate.before.as_ref().map(plain),
        unsupported: estimate.unsupported,
    });
    outcome
}

fn plain(amount: &BigDecimal) -> String {
    amount.normalized().to_plain_string()
}

fn read(bytes: &[u8]) -> Result<Estimate, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("the estimate is larger than {} MiB", MAX_BYTES >> 20));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "the estimate is not in UTF-8".to_owned())?;
    let report = Budget::new(MAX_VALUES)
        .read(text)
        .map_err(|error| format!("the estimate cannot be read: {error}"))?;
    let has = |name: &str| report.get(name).is_some();
    let is_scan = report
        .get("summary")
        .is_some_and(|summary| summary.get("total_monthly_cost").is_some());
    let is_diff = has("DiffTotalMonthlyCost") || has("TotalMonthlyCost") || has("Currency");
    let is_breakdown = has("totalMonthlyCost") || has("diffTotalMonthlyCost") || has("pastTotalMonthlyCost");
    // A mark of another format beside could hide an amount: which one counts is not known.
    match (is_breakdown, is_scan, is_diff) {
        (false, false, true) if has("DiffTotalMonthlyCost") && !has("projects") => scan_diff(&report),
        (true, false, false) if has("projects") => breakdown(&report),
        (false, true, false) => scan(&report),
        (false, false, false) => Err("the estimate has no known format of Infracost".to_owned()),
        _ => Err("the estimate has parts of several formats of Infracost, or lacks some of one".to_owned()),
    }
}

/// The format of Infracost 0.10: commands `breakdown`, `diff`, `output`.
fn breakdown(report: &Value) -> Result<Estimate, String> {
    let version = report.get("version").and_then(Value::as_str);
    // A merged report had an empty version.
    if !matches!(version, Some("0.2" | "0.1" | "")) {
        return Err(format!("the version {version:?} of the estimate is not supported"));
    }
    let mut estimate = Estimate {
        currency: text(report, "currency").unwrap_or_default(),
        total: amount(report, "totalMonthlyCost")?,
        before: amount(report, "pastTotalMonthlyCost")?,
        ..Estimate::default()
    };
    estimate.increases.extend(amount(report, "diffTotalMonthlyCost")?);
    for project in projects(report)? {
        let name = text(project, "name").unwrap_or_default();
        for error in messages(project.get("metadata").and_then(|metadata| metadata.get("errors")))? {
            estimate.errors.push(format!("{name}: {error}"));
        }
        for warning in messages(project.get("metadata").and_then(|metadata| metadata.get("warnings")))? {
            estimate.notes.push(format!("{name}: {warning}"));
        }
        if project.get("breakdown").is_none_or(Value::is_null) {
            estimate.errors.push(format!("{name}: it has no costs"));
        }
    }
    // The amounts of the projects together: a total that hides one is smaller.
    let (difference, after, before) = (
        sum(report, "diff")?,
        sum(report, "breakdown")?,
        sum(report, "pastBreakdown")?,
    );
    estimate.increases.extend(difference);
    estimate.total = estimate.total.max(after);
    estimate.before = match (estimate.before, before) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let summary = report.get("summary").unwrap_or(&Value::Null);
    estimate.unsupported = count(summary, "totalUnsupportedResources")?;
    if count(report, "missingPricesCount")? > 0 {
        estimate.errors.push("prices are missing".to_owned());
    }
    Ok(estimate)
}

/// The monthly costs of a part of each project together; `None` when no project has it.
fn sum(report: &Value, part: &str) -> Result<Option<BigDecimal>, String> {
    let mut sum: Option<BigDecimal> = None;
    for project in projects(report)? {
        if let Some(part) = project.get(part).filter(|part| !part.is_null())
            && let Some(cost) = amount(part, "totalMonthlyCost")?
        {
            sum = Some(sum.unwrap_or_else(BigDecimal::zero) + cost);
        }
    }
    Ok(sum)
}

/// A number of resources; 0 when it is absent or `null`.
fn count(value: &Value, name: &str) -> Result<u64, String> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Number(number)) if number.as_u64().is_some() => Ok(number.as_u64().unwrap_or_default()),
        Some(_) => Err(format!("{name} is no number of resources")),
    }
}

/// The format of `infracost scan` 2.x. It has totals after the change only.
fn scan(report: &Value) -> Result<Estimate, String> {
    let mut estimate = Estimate {
        currency: text(report, "currency").unwrap_or_default(),
        total: amount(&report["summary"], "total_monthly_cost")?,
        ..Estimate::default()
    };
    for project in projects(report)? {
        let name = text(project, "project_name").unwrap_or_default();
        for diagnostic in list(project.get("diagnostics"))? {
            let message = format!("{name}: {}", text(diagnostic, "message").unwrap_or_default());
            let severity = text(diagnostic, "severity").unwrap_or_default().to_lowercase();
            if severity.contains("warn") || severity.contains("info") {
                estimate.notes.push(message);
            } else {
                estimate.errors.push(message);
            }
        }
        let resources = list(project.get("resources"))?;
        let unsupported = resources
            .iter()
            .filter(|resource| resource.get("is_supported") != Some(&Value::Bool(true)));
        estimate.unsupported += u64::try_from(unsupported.count()).unwrap_or(u64::MAX);
    }
    Ok(estimate)
}

/// The format of `infracost scan --diff` 2.x.
fn scan_diff(report: &Value) -> Result<Estimate, String> {
    let mut estimate = Estimate {
        currency: text(report, "Currency").unwrap_or_default(),
        total: amount(report, "TotalMonthlyCost")?,
        before: amount(report, "PastTotalMonthlyCost")?,
        increases: amount(report, "DiffTotalMonthlyCost")?.into_iter().collect(),
        ..Estimate::default()
    };
    let parts = report.get("Diff").and_then(Value::as_object);
    let mut sum = BigDecimal::zero();
    for part in parts.into_iter().flat_map(serde_json::Map::values) {
        sum += amount(part, "DiffMonthlyCost")?.unwrap_or_else(BigDecimal::zero);
    }
    estimate.increases.push(sum);
    Ok(estimate)
}

fn projects(report: &Value) -> Result<Vec<&Value>, String> {
    let projects = list(report.get("projects"))?;
    if projects.is_empty() {
        return Err("the estimate has no project".to_owned());
    }
    Ok(projects)
}

fn list(value: Option<&Value>) -> Result<Vec<&Value>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.iter().collect()),
        Some(_) => Err("a list of the estimate is no list".to_owned()),
    }
}

fn messages(value: Option<&Value>) -> Result<Vec<String>, String> {
    let messages = list(value)?.into_iter();
    Ok(messages
        .map(|error| text(error, "message").unwrap_or_else(|| "without a message".to_owned()))
        .collect())
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// An amount: a decimal text or a whole number; `None` when it is absent or `null`. A number with a fraction is refused: it is read as a binary one, which
/// may be less than what the report has.
fn amount(value: &Value, name: &str) -> Result<Option<BigDecimal>, String> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => amount_of_text(text).map(Some).map_err(|why| format!("{name}: {why}")),
        Some(Value::Number(number)) if !number.is_f64() => amount_of_text(&number.to_string())
            .map(Some)
            .map_err(|why| format!("{name}: {why}")),
        Some(_) => Err(format!("{name} is no amount")),
    }
}

fn amount_of_text(text: &str) -> Result<BigDecimal, String> {
    let exponent = text
        .split(['e', 'E'])
        .nth(1)
        .map_or("0", |exponent| exponent.trim_start_matches(['+', '-']));
    let valid =
        text.len() <= MAX_AMOUNT_LENGTH && exponent.parse::<u64>().is_ok_and(|exponent| exponent <= MAX_EXPONENT);
    if !valid
        || !text
            .chars()
            .all(|character| character.is_ascii_digit() || "+-.eE".contains(character))
    {
        return Err("it is no amount".to_owned());
    }
    BigDecimal::from_str(text).map_err(|_| "it is no amount".to_owned())
}
