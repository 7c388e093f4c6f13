//! Full categories against the emulator, which refuses a 51st channel.

use arrakis_iac::model::Configuration;
use serde_json::{Value, json};

use crate::bench::{Bench, configuration};

/// Two categories of 50 channels. `swapped` of them have changed places, and `exchanged` are others.
fn full(swapped: usize, exchanged: usize) -> Configuration {
    let mut resources: Vec<(String, Value)> = Vec::new();
    for category in 0..2 {
        let value = json!({ "kind": "category", "name": format!("C{category}") });
        resources.push((format!("category.c{category}"), value));
    }
    for category in 0..2 {
        for index in 0..50 {
            let key = match index >= 50 - exchanged {
                true => format!("n{category}-{index}"),
                false => format!("t{category}-{index}"),
            };
            let place = if index < swapped { 1 - category } else { category };
            let value = json!({ "kind": "text", "name": key, "category": format!("category.c{place}"),
                "overwrites": { "everyone": { "deny": ["VIEW_CHANNEL"] } } });
            resources.push((format!("channel.{key}"), value));
        }
    }
    let borrowed: Vec<(&str, Value)> = resources
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    configuration(&borrowed)
}

#[tokio::test]
async fn channels_of_full_categories_are_swapped_and_replaced() {
    let bench = Bench::start(json!({ "name": "Before", "community": true })).await;
    let before = bench.live().await;
    for (swapped, exchanged) in [(0, 0), (2, 0), (2, 3), (0, 1)] {
        let config = full(swapped, exchanged);
        if let Err(error) = bench.apply(&config).await {
            panic!("{swapped} swapped, {exchanged} exchanged: {error}");
        }
        bench.assert_applied(&config, &before).await;
    }
}
