//! Versions of a configuration in the database: changes are recorded, and damaged rows are replaced.

use serde_json::json;

use super::setup::{Shadowed, two_versions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_versions_in_the_store() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    shadowed.lead().await;
    // Nothing has changed since.
    shadowed.lead().await;
    let (code, text) = setup
        .command(&["plan", "100", "premium", "--by", "liet"], Vec::new())
        .await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = setup
        .command(&["theme", "100", "basic", "--by", "liet"], Vec::new())
        .await;
    assert_eq!(code, 0, "{text}");
    let to_shadow = setup
        .rows("select version from configuration_versions where shadowed_at is null")
        .await;
    assert_eq!(
        to_shadow,
        ["2"],
        "recorded with the change, and not written by the command"
    );
    shadowed.lead().await;
    assert!(
        setup
            .rows("select version from configuration_versions where shadowed_at is null")
            .await
            .is_empty()
    );

    let (code, text) = shadowed.run(&["history", "100"]).await;
    assert_eq!(code, 0, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("2  ") && line.contains("  theme by liet  ")),
        "{text}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("1  ") && line.contains("  found by arrakis-worker  ")),
        "{text}"
    );
    assert_eq!(shadowed.json(&["show", "100"]).await["configuration"]["theme"], "basic");
    assert_eq!(
        shadowed.json(&["show", "100", "--version", "1"]).await["configuration"]["theme"],
        "sietch"
    );
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
    let drift = shadowed.json(&["drift", "100", "--json"]).await;
    assert_eq!((&drift["version"], &drift["settings"]), (&json!(2), &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_row_is_replaced_by_the_next_version_and_fails_no_change() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    let damage = "update configuration_versions set content = content || ' '";
    shadowed.lead().await;
    setup.rows(damage).await;
    let change = ["theme", "100", "basic", "--by", "liet"];
    let (code, text) = setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    assert_eq!(shadowed.run(&["verify"]).await.0, 0);
    setup.rows(damage).await;
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
}

/// A build before recorded the largest number that the column can have, after which no change could be recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_above_the_largest_number_stops_no_change_and_is_replaced_by_a_record() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    two_versions(&shadowed).await;
    setup
        .rows("update configuration_versions set version = 2147483647 where version = 2")
        .await;
    let change = ["theme", "100", "sietch", "--by", "liet"];
    let (code, text) = setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 3 is the newest"), "{text}");
    let largest = "select max(version) from configuration_versions";
    assert_eq!(setup.rows(largest).await, ["3"]);
    assert_eq!(
        shadowed.json(&["show", "100"]).await["configuration"]["theme"],
        "sietch"
    );
    assert_eq!(shadowed.run(&["verify"]).await.0, 0);
}
