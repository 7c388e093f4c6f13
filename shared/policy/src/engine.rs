//! The evaluation of policies in Rego, by regorus.
//!
//! Fails closed: a rule without a value, with a value of another shape, with an unknown function or with an error is an error here,
//! and an error rejects the plan. Policies of operators are evaluated apart from the built-in ones, so that they cannot define a
//! rule of the same package.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use regorus::utils::limits::ExecutionTimerConfig;
use serde_json::{Value, json};

use crate::finding::{BUILT_IN, Finding};
use crate::json::Budget;
use crate::plan::Plan;

/// Policies in Rego with the data that they read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    /// The folder, for messages; empty when the policies are of no folder.
    pub folder: String,
    /// Names and texts of the files.
    pub files: Vec<(String, String)>,
    /// JSON documents, merged under `data`.
    pub data: Vec<String>,
}

/// What the rules found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Results of `deny` and `violation`.
    pub blocks: Vec<Finding>,
    /// Results of `warn`.
    pub warnings: Vec<Finding>,
}

/// Names of rules that reject.
const BLOCKING: &[&str] = &["deny", "violation"];
/// The name of rules that warn.
const WARNING: &str = "warn";
/// Packages with this first name are libraries: they may have no such rule.
const LIBRARY: &str = "data.lib";
/// Points of a warning without a number of its own.
const DEFAULT_RISK: u8 = 15;
/// Findings of one rule that are read.
const MAX_FINDINGS: usize = 20_000;
/// Values of a data file.
const MAX_DATA_VALUES: usize = 1_000_000;
/// Steps of the evaluation between two looks at the clock.
const CHECK_INTERVAL: u32 = 256;

const TERRAFORM: (&str, &str) = (
    "arrakis-terraform.rego",
    include_str!("../policies/arrakis-terraform.rego"),
);
const GAIB: (&str, &str) = ("arrakis-gaib.rego", include_str!("../policies/arrakis-gaib.rego"));

/// Evaluates the built-in policy for the plan's format.
///
/// # Errors
/// The policy did not evaluate, or did not read the whole plan.
pub fn built_in(plan: &Plan, deadline: Instant) -> Result<Findings, String> {
    let (package, (name, text)) = match plan.input.get("format").and_then(Value::as_str) {
        Some("terraform") => ("data.arrakis.terraform", TERRAFORM),
        Some("gaib") => ("data.arrakis.gaib", GAIB),
        _ => return Err("no policy applies to the format of the plan".to_owned()),
    };
    let mut engine = Evaluation::new(deadline)?;
    engine.add_policy(name, text)?;
    engine.add_data(&crate::protected::data())?;
    let mut input = plan.input.clone();
    let left_out = leave_out_unchanged(&mut input);
    engine.set_input(&input)?;
    let checked = engine.rule(&format!("{package}.checked"))?;
    let expected = plan
        .checked
        .checked_sub(left_out)
        .and_then(|left| u64::try_from(left).ok());
    if checked.as_u64() != expected {
        return Err(format!("the policy read {checked} of {} changes", plan.checked));
    }
    Ok(Findings {
        blocks: engine.findings(package, "deny", BUILT_IN)?,
        warnings: engine.findings(package, WARNING, BUILT_IN)?,
    })
}

/// Removes the resources that do not change, of which the built-in rules have nothing to say: they are the most of a large plan. Returns their number.
/// One that is imported, deposed or moved, or has an unknown mode, stays.
fn leave_out_unchanged(input: &mut Value) -> usize {
    let Some(changes) = input.get_mut("resource_changes").and_then(Value::as_array_mut) else {
        return 0;
    };
    let count = changes.len();
    changes.retain(|change| {
        let is_plain = change["change"]["actions"] == json!(["no-op"])
            && change["change"]["importing"] == json!(false)
            && change["previous_address"].is_null()
            && change["deposed"].is_null()
            && matches!(change["mode"].as_str(), Some("managed" | "data"));
        !is_plain
    });
    count - changes.len()
}

/// Evaluates policies of an operator.
///
/// # Errors
/// No policy declares `deny` or `violation`, a package has no rule, or the evaluation failed.
pub fn custom(policies: &PolicySet, plan: &Plan, deadline: Instant) -> Result<Findings, String> {
    let mut engine = Evaluation::new(deadline)?;
    let packages = engine.add(policies)?;
    engine.set_input(&plan.input)?;
    let mut findings = Findings::default();
    let mut blocking = 0;
    for (file, package) in &packages {
        let rules: Vec<_> = BLOCKING
            .iter()
            .chain(&[WARNING])
            .filter(|rule| engine.declares(file, rule))
            .collect();
        if rules.is_empty()
            && !is_library(package)
            && !is_test(file)
            && !declared_elsewhere(&engine, &packages, package)
        {
            return Err(format!(
                "{file}: the package has no rule `deny`, `violation` or `warn`; libraries are in packages `lib.…`"
            ));
        }
    }
    let mut names: Vec<_> = packages.iter().map(|(_, package)| package.clone()).collect();
    names.sort();
    names.dedup();
    for package in names {
        let declares = |rule: &str| {
            packages
                .iter()
                .any(|(file, name)| *name == package && engine.declares(file, rule))
        };
        let rules: Vec<_> = BLOCKING
            .iter()
            .chain(&[WARNING])
            .copied()
            .filter(|rule| declares(rule))
            .collect();
        let source = package.strip_prefix("data.").unwrap_or(&package).to_owned();
        for rule in rules {
            let found = engine.findings(&package, rule, &source)?;
            if rule == WARNING {
                findings.warnings.extend(found);
            } else {
                blocking += 1;
                findings.blocks.extend(found);
            }
        }
    }
    if blocking == 0 {
        return Err("no policy declares `deny` or `violation`".to_owned());
    }
    Ok(findings)
}

/// Whether another file of the package declares a rule that blocks or warns.
fn declared_elsewhere(engine: &Evaluation, packages: &[(String, String)], package: &str) -> bool {
    let mut files = packages.iter().filter(|(_, name)| name == package);
    files.any(|(file, _)| {
        let mut rules = BLOCKING.iter().chain(&[WARNING]);
        rules.any(|rule| engine.declares(file, rule))
    })
}

fn is_library(package: &str) -> bool {
    package == LIBRARY || package.starts_with("data.lib.")
}

/// Whether a file has tests: `…_test.rego`.
pub(crate) fn is_test(file: &str) -> bool {
    file.ends_with("_test.rego")
}

/// An engine with policies, data, an input and a time limit.
pub(crate) struct Evaluation {
    engine: regorus::Engine,
    deadline: Instant,
}

impl Evaluation {
    pub(crate) fn new(deadline: Instant) -> Result<Self, String> {
        let mut engine = regorus::Engine::new();
        // Otherwise a failing function makes its rule undefined: a block would be missing.
        engine.set_strict_builtin_errors(true);
        let mut evaluation = Self { engine, deadline };
        evaluation.limit_time()?;
        Ok(evaluation)
    }

    fn limit_time(&mut self) -> Result<(), String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the time limit was reached".to_owned());
        }
        self.engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: left.max(Duration::from_millis(1)),
            check_interval: NonZeroU32::new(CHECK_INTERVAL).unwrap_or(NonZeroU32::MIN),
        });
        Ok(())
    }

    /// Adds the files and the data; returns each file with its package.
    pub(crate) fn add(&mut self, policies: &PolicySet) -> Result<Vec<(String, String)>, String> {
        let mut packages = Vec::new();
        for (file, text) in &policies.files {
            packages.push((file.clone(), self.add_policy(file, text)?));
        }
        for data in &policies.data {
            self.refuse_data_of_rules(data, &packages)?;
            let data = regorus::Value::from_json_str(data).map_err(|error| format!("data.json: {error:#}"))?;
            self.engine
                .add_data(data)
                .map_err(|error| format!("data.json: {error:#}"))?;
        }
        if packages.is_empty() {
            return Err("there is no policy".to_owned());
        }
        Ok(packages)
    }

    /// Refuses data at the path of a rule: it would stand in the rule's place. OPA refuses it too.
    fn refuse_data_of_rules(&self, data: &str, packages: &[(String, String)]) -> Result<(), String> {
        // A repeated key is refused: regorus and this reader could take another one of them.
        let data = Budget::new(MAX_DATA_VALUES)
            .read(data)
            .map_err(|error| format!("data.json: {error}"))?;
        for (file, package) in packages {
            let mut found = Some(&data);
            for name in package.split('.').skip(1) {
                found = match found {
                    Some(Value::Object(object)) => object.get(name),
                    other => other,
                };
            }
            let rule = match found {
                None => continue,
                Some(Value::Object(object)) => object.keys().find(|key| self.declares(file, key)),
                // The package itself, or what contains it.
                Some(_) => return Err(format!("data.json has a value in the place of {package}")),
            };
            if let Some(rule) = rule {
                return Err(format!(
                    "data.json has a value in the place of the rule {package}.{rule}"
                ));
            }
        }
        Ok(())
    }

    fn add_policy(&mut self, file: &str, text: &str) -> Result<String, String> {
        let package = self.engine.add_policy(file.to_owned(), text.to_owned());
        let package = package.map_err(|error| {
            let why = one_line(&error);
            // A position begins with the name of the file.
            if why.starts_with(file) {
                why
            } else {
                format!("{file}: {why}")
            }
        })?;
        let valid = package.split('.').all(|name| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || character == '_')
        });
        if valid {
            Ok(package)
        } else {
            Err(format!("{file}: names of packages are letters, digits and _"))
        }
    }

    fn add_data(&mut self, data: &Value) -> Result<(), String> {
        self.engine.add_data(to_rego(data)?).map_err(|error| one_line(&error))
    }

    pub(crate) fn set_input(&mut self, input: &Value) -> Result<(), String> {
        self.engine.set_input(to_rego(input)?);
        Ok(())
    }

    /// Whether a file declares a rule.
    pub(crate) fn declares(&self, file: &str, rule: &str) -> bool {
        self.engine.has_declared_rule_rooted_at(file, rule).unwrap_or(false)
    }

    /// The value of a rule; an undefined one is an error.
    pub(crate) fn rule(&mut self, path: &str) -> Result<Value, String> {
        self.limit_time()?;
        let value = self
            .engine
            .eval_rule(path.to_owned())
            .map_err(|error| format!("{path}: {}", one_line(&error)))?;
        if value == regorus::Value::Undefined {
            return Err(format!("{path} is undefined"));
        }
        let text = value
            .to_json_str()
            .map_err(|error| format!("{path}: {}", one_line(&error)))?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }

    fn findings(&mut self, package: &str, rule: &str, source: &str) -> Result<Vec<Finding>, String> {
        let path = format!("{package}.{rule}");
        let Value::Array(results) = self.rule(&path)? else {
            return Err(format!(
                "{path} is no set: declare it as `{rule} contains … if {{ … }}`"
            ));
        };
        if results.len() > MAX_FINDINGS {
            return Err(format!("{path} has more than {MAX_FINDINGS} results"));
        }
        let findings = results.iter().map(|result| finding(rule, source, result));
        findings
            .collect::<Option<_>>()
            .ok_or_else(|| format!("{path} has a result that is neither a text nor an object with `msg`"))
    }
}

fn finding(rule: &str, source: &str, result: &Value) -> Option<Finding> {
    let text = |name: &str| result.get(name).and_then(Value::as_str).map(str::to_owned);
    let message = match result {
        Value::String(message) => message.clone(),
        Value::Object(_) => text("msg")?,
        _ => return None,
    };
    let risk = result
        .get("risk")
        .and_then(Value::as_u64)
        .unwrap_or(u64::from(DEFAULT_RISK))
        .min(100);
    Some(Finding {
        rule: text("rule").unwrap_or_else(|| rule.to_owned()),
        source: source.to_owned(),
        address: text("address"),
        message,
        risk: u8::try_from(risk).unwrap_or(100),
    })
}

fn to_rego(value: &Value) -> Result<regorus::Value, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("the document cannot be given to a policy: {error}"))
}

/// An error of regorus on one line: `tags.rego:3:5: the reason`. Regorus prints several, with the line of the policy and a mark below the column.
fn one_line(error: &impl std::fmt::Display) -> String {
    let text = format!("{error:#}");
    position_and_reason(&text)
        .unwrap_or(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The position and the reason of an error with one position; `None` when the text has another form.
fn position_and_reason(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("-->")?;
    let (position, rest) = rest.split_once('\n')?;
    let (_, reason) = rest.split_once("\nerror: ")?;
    (!rest.contains("-->")).then(|| format!("{before} {}: {reason}", position.trim()))
}
