//! `arrakis-policy test DIR`: the tests of an operator's policies.
//!
//! A test is a rule whose name begins with `test_`, in any file of the folder. It passes when its value is `true`; `false`, an
//! undefined value and an error fail. A folder without tests fails. `input` is an empty object unless the test replaces it (`with input as …`).

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::check::TIME_LIMIT;
use crate::engine::{Evaluation, PolicySet};

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// Package and rule.
    pub name: String,
    /// Why it failed; `None` when it passed.
    pub failure: Option<String>,
}

/// Runs all tests of a set of policies.
///
/// # Errors
/// The policies cannot be compiled, or there is no test.
pub fn run(policies: &PolicySet) -> Result<Vec<TestResult>, String> {
    let mut names = BTreeSet::new();
    let mut engine = Evaluation::new(Instant::now() + TIME_LIMIT)?;
    let packages = engine.add(policies)?;
    for ((file, package), (_, text)) in packages.iter().zip(&policies.files) {
        for rule in test_names(text) {
            // A name in a comment, a text or a call is no rule.
            if engine.declares(file, rule) {
                names.insert(format!("{package}.{rule}"));
            }
        }
    }
    if names.is_empty() {
        return Err("there is no rule whose name begins with `test_`".to_owned());
    }
    engine.set_input(&Value::Object(serde_json::Map::new()))?;
    let results = names.into_iter().map(|name| {
        let failure = match engine.rule(&name) {
            Ok(Value::Bool(true)) => None,
            Ok(value) => Some(format!("expected true, found {value}")),
            Err(why) => Some(why),
        };
        let name = name.strip_prefix("data.").unwrap_or(&name).to_owned();
        TestResult { name, failure }
    });
    Ok(results.collect())
}

/// Names in a text that begin with `test_`, wherever they are: also those of rules with a default.
fn test_names(text: &str) -> BTreeSet<&str> {
    let names = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    names.filter(|name| name.starts_with("test_")).collect()
}
