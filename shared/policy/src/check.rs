//! The check of a plan: reading, policies, migrations, cost; every failure rejects.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::cost;
use crate::engine::{self, PolicySet};
use crate::finding::{BUILT_IN, Finding};
use crate::gaib;
use crate::json::entries;
use crate::plan::Plan;
use crate::report::{Format, PlanSummary, Report};
use crate::sql;
use crate::terraform;

/// The time limit of a check.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a plan that are read.
pub const MAX_PLAN_BYTES: usize = 64 << 20;
/// Bytes of a plan of gaib. Its steps are read in whole.
const MAX_GAIB_BYTES: usize = 16 << 20;

/// The input of a check.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The plan: `terraform show -json` or a plan file of gaib.
    pub plan: Vec<u8>,
    /// Policies of the operator, each set evaluated apart.
    pub policies: Vec<PolicySet>,
    /// Migrations: file names and SQL.
    pub migrations: Vec<(String, String)>,
    /// The estimate of Infracost.
    pub infracost: Option<Vec<u8>>,
    /// The estimate before the change, for a report without a difference.
    pub infracost_baseline: Option<Vec<u8>>,
}

/// Checks a plan. Never fails: a plan that cannot be checked is rejected.
#[must_use]
pub fn check(inputs: &Inputs) -> Report {
    check_until(inputs, Instant::now() + TIME_LIMIT)
}

/// Checks a plan until a deadline, after which it is rejected.
#[must_use]
pub fn check_until(inputs: &Inputs, deadline: Instant) -> Report {
    let (format, plan) = match read_plan(&inputs.plan) {
        Ok(read) => read,
        Err(why) => return Report::unchecked("unreadable_plan", format!("the plan cannot be read: {why}")),
    };
    let summary = PlanSummary {
        format: Some(format),
        sha256: Some(digest(&inputs.plan)),
        changes: plan.counts,
    };
    let mut blocks = Vec::new();
    let mut warnings = Vec::new();
    match engine::built_in(&plan, deadline) {
        Ok(found) => {
            blocks.extend(found.blocks);
            warnings.extend(found.warnings);
        }
        Err(why) => blocks.push(failed(&why)),
    }
    for policies in &inputs.policies {
        match engine::custom(policies, &plan, deadline) {
            Ok(found) => {
                blocks.extend(found.blocks);
                warnings.extend(found.warnings);
            }
            Err(why) if policies.folder.is_empty() => blocks.push(failed(&why)),
            Err(why) => blocks.push(failed(&format!("{}: {why}", policies.folder))),
        }
    }
    for (file, text) in &inputs.migrations {
        check_migration(file, text, &mut blocks, &mut warnings);
    }
    if Instant::now() >= deadline {
        blocks.push(Finding::of_plan(
            "time_limit",
            "the check took longer than its time limit",
        ));
    }
    let report = Report::new(summary, blocks, warnings, None);
    match &inputs.infracost {
        Some(estimate) => report.with_cost(cost::evaluate(estimate, inputs.infracost_baseline.as_deref())),
        None => report,
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(plan: &[u8]) -> String {
    hex::encode(Sha256::digest(plan))
}

fn failed(why: &str) -> Finding {
    Finding::of_plan("policy_failed", format!("a policy did not evaluate: {why}"))
}

/// Reads a plan of either format.
///
/// # Errors
/// The bytes are no plan. The text names the reason and has no value of the plan.
pub fn read_plan(bytes: &[u8]) -> Result<(Format, Plan), String> {
    if bytes.len() > MAX_PLAN_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_PLAN_BYTES >> 20));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not in UTF-8".to_owned())?;
    let document = entries(text).map_err(|error| error.to_string())?;
    if terraform::is_terraform(&document) {
        return Ok((Format::Terraform, terraform::read(text)?));
    }
    if !document.iter().any(|(key, _)| key == "plan") {
        return Err("it is neither the output of `terraform show -json` nor a plan file of gaib".to_owned());
    }
    if bytes.len() > MAX_GAIB_BYTES {
        return Err(format!("a plan of gaib is larger than {} MiB", MAX_GAIB_BYTES >> 20));
    }
    Ok((Format::Gaib, gaib::read(text)?))
}

fn check_migration(file: &str, text: &str, blocks: &mut Vec<Finding>, warnings: &mut Vec<Finding>) {
    let found = |rule: &str, message: String, risk: u8| Finding {
        rule: rule.to_owned(),
        source: BUILT_IN.to_owned(),
        address: Some(file.to_owned()),
        message,
        risk,
    };
    match sql::of_migration(text) {
        Ok(effects) => {
            for effect in effects {
                let finding = found(effect.rule(), effect.describe().to_owned(), 50);
                if effect.is_block() {
                    blocks.push(finding);
                } else {
                    warnings.push(finding);
                }
            }
        }
        Err(why) => blocks.push(found(
            "unreadable_migration",
            format!("the migration cannot be read: {why}"),
            0,
        )),
    }
}
