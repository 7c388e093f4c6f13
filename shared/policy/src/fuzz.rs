//! Fuzz target of plans: see `arrakis-fuzz`.
//!
//! Beside the properties of every target, a plan that has passed contains no deletion of a protected type for another reader either:
//! the oracle reads the document as a plain JSON value and shares no code with the gate.

use std::collections::HashSet;
use std::path::Path;

use arrakis_fuzz::Fuzz;
use serde_json::Value;

use crate::{Inputs, Verdict, check, protected};

/// Whether any item of `resource_changes` deletes a protected type.
fn deletes_protected(plan: &[u8], protected: &HashSet<String>) -> bool {
    let Ok(document) = serde_json::from_slice::<Value>(plan) else {
        return false;
    };
    let changes = document.get("resource_changes").and_then(Value::as_array);
    changes.into_iter().flatten().any(|change| {
        let kind = change.get("type").and_then(Value::as_str).unwrap_or_default();
        let actions = change.pointer("/change/actions").and_then(Value::as_array);
        let deletes = actions.into_iter().flatten().any(|action| action == "delete");
        deletes && protected.contains(kind)
    })
}

#[test]
fn plans() {
    let tokens = [
        "\"resource_changes\":[",
        "\"actions\":[\"delete\"]",
        "\"actions\":[\"create\",\"delete\"]",
        "\"actions\":[\"no-op\"]",
        "\"type\":\"aws_db_instance\"",
        "\"address\":\"aws_db_instance.main\"",
        "\"previous_address\":",
        "\"mode\":\"data\"",
        "\"format_version\":\"1.2\"",
        "\"complete\":false",
        "\"after_sensitive\":true",
        "\"deferred_changes\":[]",
        "\\u0064elete",
        "null",
    ];
    let protected: HashSet<_> = protected::providers()
        .into_iter()
        .flat_map(|provider| provider.types.into_keys())
        .collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Fuzz::target(env!("CARGO_MANIFEST_DIR"), "plans")
        .extra_corpus(here.join("tests/it/plans"))
        .dictionary(&tokens)
        .max_length(16 << 10)
        // The policy and the list of types are compiled for each check.
        .max_memory(2_048, 32 << 20)
        .cases(300)
        .run(|plan| {
            let report = check(&Inputs {
                plan: plan.to_vec(),
                ..Inputs::default()
            });
            if deletes_protected(plan, &protected) {
                assert_eq!(report.verdict, Verdict::Rejected, "{}", report.to_text());
            }
            let rules: Vec<_> = report
                .blocks
                .iter()
                .chain(&report.warnings)
                .map(|finding| finding.rule.as_str())
                .collect();
            match rules.as_slice() {
                // The reason has a position; its words are the branch of the reader.
                ["unreadable_plan"] => report.blocks[0]
                    .message
                    .split(" at line ")
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .filter(|it| !it.is_ascii_digit())
                    .take(60)
                    .collect(),
                _ => rules.join(","),
            }
        });
}
