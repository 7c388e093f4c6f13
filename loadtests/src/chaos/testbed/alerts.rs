//! The alerts of a scenario: those that must fire, and those that fired besides.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::time::Instant;

use super::Testbed;
use crate::chaos::scenario::Invariant;
use crate::platform::Prometheus;

/// Time limit for an alert to fire. A worker counts the messages of its queues every 10 s.
const FIRES_WITHIN: Duration = Duration::from_secs(25);
/// Time limit for an alert to end after its fault.
const ENDS_WITHIN: Duration = Duration::from_secs(25);
/// Time limit for the first scrape, which Prometheus begins up to 5 s after a target was added, and for the end of alerts of processes that start.
const QUIET_WITHIN: Duration = Duration::from_secs(30);
/// Interval of the queries.
const QUERY_INTERVAL: Duration = Duration::from_millis(500);

impl Testbed {
    /// Whether the scenario runs with a Prometheus: without the guard, another check is expected to fail.
    pub(super) fn expects_alerts(&self) -> bool {
        self.guarded && !self.alerts.is_empty()
    }

    /// Waits until Prometheus has scraped every process and none of the scenario's alerts fires, and counts only alerts that fire from then on:
    /// processes that start raise some of them, too. Records under I6 that the alerts do not fire before the fault. [`Testbed::start_services`]
    /// does this; a scenario does it again where it stops a process before its fault.
    ///
    /// # Errors
    /// When Prometheus does not respond.
    pub async fn expect_no_alerts(&mut self) -> anyhow::Result<()> {
        if !self.expects_alerts() {
            return Ok(());
        }
        let (now, deadline) = (SystemTime::now(), Instant::now() + QUIET_WITHIN);
        let firing = loop {
            let firing = self.firing_of_scenario().await?;
            let scraped = self.prometheus()?.has_scraped_all_since(now).await?;
            if (scraped && firing.is_empty()) || Instant::now() >= deadline {
                break firing;
            }
            tokio::time::sleep(QUERY_INTERVAL).await;
        };
        self.alerts_from = Instant::now();
        self.expect(
            Invariant::I6,
            "the alerts of the fault do not fire before it",
            firing.is_empty(),
            firing.join(", "),
        );
        Ok(())
    }

    /// Waits until Prometheus has scraped every process, so that it has a sample of one that has just started.
    ///
    /// # Errors
    /// When Prometheus does not respond, or does not scrape.
    pub async fn wait_for_scrape(&mut self) -> anyhow::Result<()> {
        if !self.expects_alerts() {
            return Ok(());
        }
        let now = SystemTime::now();
        let scraped = async |testbed: &mut Testbed| testbed.prometheus()?.has_scraped_all_since(now).await;
        self.wait_until("Prometheus to scrape every process", scraped).await
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

    /// Waits until an alert that has fired has ended, after the fault. Records both under I6.
    ///
    /// # Errors
    /// When Prometheus does not respond.
    pub async fn expect_alert_ends(&mut self, alert: &str) -> anyhow::Result<()> {
        if !self.expects_alerts() {
            return Ok(());
        }
        self.expect_alert(alert).await?;
        let deadline = Instant::now() + ENDS_WITHIN;
        let mut fires = self.prometheus()?.firing().await?;
        while fires.iter().any(|name| name == alert) && Instant::now() < deadline {
            tokio::time::sleep(QUERY_INTERVAL).await;
            fires = self.prometheus()?.firing().await?;
        }
        self.expect(
            Invariant::I6,
            format!("the alert {alert} ends after the fault"),
            !fires.iter().any(|name| name == alert),
            "it still fires",
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

    /// Names of the alerts that have fired since [`Testbed::expect_no_alerts`].
    async fn fired(&mut self) -> anyhow::Result<Vec<String>> {
        let time = self.alerts_from.elapsed();
        self.prometheus()?.fired_within(time).await
    }

    /// Those of the scenario's alerts that fire now.
    async fn firing_of_scenario(&mut self) -> anyhow::Result<Vec<String>> {
        let mut firing = self.prometheus()?.firing().await?;
        firing.retain(|alert| self.alerts.contains(&alert.as_str()));
        Ok(firing)
    }

    fn prometheus(&mut self) -> anyhow::Result<&Prometheus> {
        let prometheus = self.platform().prometheus.as_ref();
        prometheus.context("the scenario has started no platform of its own")
    }
}
