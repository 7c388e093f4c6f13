//! The health component of the shadows, and the gauges. Degraded, never down: the database is complete without them.
//!
//! The leader stores the result of each comparison, so every worker reports the same.

use std::time::Duration;

use arrakis_db::{DbError, ShadowHealth};
use arrakis_runtime::HealthComponent;

use crate::services::Services;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// Problems that the component names.
const MAX_NAMED: usize = 3;

/// Updates the health component and the gauges each 15 s; never returns.
pub(super) async fn watch(component: &HealthComponent, services: &Services) {
    if services.shadows.is_none() {
        component.up_with("not configured (BACKUP_STORE)");
        return std::future::pending().await;
    }
    loop {
        // Postgres has a component of its own.
        if let Ok(health) = read(services).await {
            let gauge = |state, count| {
                services
                    .metrics
                    .shadows
                    .with_label_values(&[state])
                    .set(i64::from(count));
            };
            let counts = health
                .as_ref()
                .map_or((0, 0), |health| (health.pending, health.problem_count));
            gauge("pending", counts.0);
            gauge("mismatched", counts.1);
            report(component, health.as_ref());
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

async fn read(services: &Services) -> Result<Option<ShadowHealth>, DbError> {
    let mut tx = services.database.global().await?;
    let health = tx.shadow_health().await?;
    tx.commit().await?;
    Ok(health)
}

fn report(component: &HealthComponent, health: Option<&ShadowHealth>) {
    let Some(health) = health else {
        return component.up_with("not compared yet");
    };
    let mut degraded = Vec::new();
    if let Some(error) = &health.error {
        degraded.push(format!("{} versions are not in the store: {error}", health.pending));
    }
    if health.problem_count > 0 {
        let named = health.problems.iter().take(MAX_NAMED);
        let named: Vec<String> = named
            .map(|of| format!("server {}: {}", of.server, of.problem))
            .collect();
        degraded.push(format!(
            "{} shadows are damaged or differ from the database: {}; `arrakis-worker configurations verify` names all",
            health.problem_count,
            named.join("; ")
        ));
    }
    if degraded.is_empty() {
        component.up_with(format!("{} versions to be written", health.pending));
    } else {
        component.degraded(degraded.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use arrakis_db::ShadowProblem;
    use arrakis_runtime::Health;
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn mismatch_and_failure_of_the_store_are_degraded_with_the_reason() {
        let health = Health::default();
        let component = health.component("configurations");
        let text = |found: &ShadowHealth| {
            report(&component, Some(found));
            health.document("worker", "0")["components"]["configurations"].to_string()
        };
        let mut found = ShadowHealth {
            checked_at: OffsetDateTime::UNIX_EPOCH,
            pending: 2,
            problems: Vec::new(),
            problem_count: 0,
            error: None,
        };
        let up = text(&found);
        assert!(
            up.contains("2 versions to be written") && !up.contains("degraded"),
            "{up}"
        );
        found.problem_count = 1;
        found.problems = vec![ShadowProblem {
            server: "7".to_owned(),
            problem: "1.json.gz is damaged".to_owned(),
        }];
        let damaged = text(&found);
        assert!(
            damaged.contains("degraded") && damaged.contains("server 7: 1.json.gz is damaged"),
            "{damaged}"
        );
        found.error = Some("access denied".to_owned());
        let failed = text(&found);
        assert!(
            failed.contains("2 versions are not in the store: access denied")
                && failed.contains("server 7: 1.json.gz is damaged"),
            "{failed}"
        );
    }
}
