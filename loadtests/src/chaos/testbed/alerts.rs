//! The alerts of a scenario: those that must fire, and those that fired besides.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::Testbed;
use crate::chaos::scenario::Invariant;

/// Time limit for an alert to fire. A worker counts the messages of its queues every 10 s.
const FIRES_WITHIN: Duration = Duration::from_secs(25);
/// Interval of the queries.
const QUERY_INTERVAL: Duration = Duration::from_millis(500);

impl Testbed {
    /// Whether the scenario runs with a Prometheus: without the guard, another check is expected to fail.
    pub(super) fn expects_alerts(&self) -> bool {
        self.guarded && !self.alerts.is_empty()
    }

    /// Waits until an alert has fired, while the fault lasts. Records it under I6.
    ///
    /// # Errors
    /// When Prometheus does not respond.
    pub async fn expect_alert(&mut self, alert: &str) -> anyhow::Result<()> {
        if !self.expects_alerts() {
            return Ok(());
        }
        let fired = self.fires(alert).await?;
        self.expect(
            Invariant::I6,
            format!("the alert {alert} fires"),
            fired,
            "it has not fired",
        );
        Ok(())
    }

    /// Checks that every alert of the scenario has fired, and notes the others.
    ///
    /// # Errors
    /// When Prometheus does not respond.
    pub(in crate::chaos) async fn check_alerts(&mut self) -> anyhow::Result<()> {
        if !self.expects_alerts() {
            return Ok(());
        }
        for alert in self.alerts {
            self.expect_alert(alert).await?;
        }
        let mut others = self.fired().await?;
        others.retain(|alert| !self.alerts.contains(&alert.as_str()));
        if !others.is_empty() {
            others.sort_unstable();
            self.note(format!("other alerts fired: {}", others.join(", ")));
        }
        Ok(())
    }

    async fn fires(&mut self, alert: &str) -> anyhow::Result<bool> {
        let deadline = Instant::now() + FIRES_WITHIN;
        loop {
            if self.fired().await?.iter().any(|fired| fired == alert) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(QUERY_INTERVAL).await;
        }
    }

    async fn fired(&mut self) -> anyhow::Result<Vec<String>> {
        let prometheus = self.platform().prometheus.as_ref();
        prometheus
            .context("the scenario has started no platform of its own")?
            .fired()
            .await
    }
}
