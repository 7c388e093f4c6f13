//! A worker in this process.

use std::time::Duration;

use arrakis_config::{Reader, Service, Source};
use arrakis_runtime::{HealthStatus, Runtime};
use arrakis_test_support::eventually;
use arrakis_worker::Config;
use tokio::task::JoinHandle;

/// A worker. Dropping it stops it at once, and its unacknowledged messages are requeued. (`start.rs` kills a process.)
pub struct Worker {
    pub runtime: Runtime,
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Worker {
    /// Starts a worker and waits until it serves.
    pub async fn start(environment: &[(&'static str, String)]) -> Self {
        let worker = Self::spawn(environment);
        eventually(|| async { worker.is_ready() }, "the worker to be ready").await;
        worker
    }

    /// Starts a worker.
    pub fn spawn(environment: &[(&'static str, String)]) -> Self {
        let pairs = environment.iter().map(|(name, value)| (*name, value.clone()));
        let config = Reader::load(Service::Worker, Source::pairs(pairs), Config::read).unwrap();
        let runtime = Runtime::for_test(Service::Worker);
        let task = tokio::spawn(arrakis_worker::serve(config, runtime.clone()));
        Self {
            runtime,
            task: Some(task),
        }
    }

    fn is_ready(&self) -> bool {
        let running = self.task.as_ref().is_some_and(|task| !task.is_finished());
        assert!(
            running,
            "the worker ended: {:?}",
            self.runtime.health.unhealthy_components()
        );
        let consumes = ["interactions", "canary.interactions", "shadow.interactions"]
            .iter()
            .any(|queue| self.metric(&format!("arrakis_worker_consuming{{queue=\"arrakis.{queue}\"}}")) == Some(1.0));
        consumes && self.runtime.health.status() != HealthStatus::Down
    }

    /// The value of a metric, by its name and labels as in the exposition format.
    pub fn metric(&self, line: &str) -> Option<f64> {
        let text = self.runtime.metrics.render();
        let found = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.map(|value| value.parse().unwrap())
    }

    /// Waits until a metric has this value.
    pub async fn until_metric(&self, line: &str, value: f64) {
        eventually(
            || async { self.metric(line) == Some(value) },
            format!("{line} to be {value}"),
        )
        .await;
    }

    /// Stops the worker as SIGTERM does; returns its result.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.runtime.shutdown.soft.cancel();
        let task = self.task.take().unwrap();
        tokio::time::timeout(Duration::from_secs(20), task)
            .await
            .expect("the worker should end")
            .unwrap()
    }

    /// Waits until the worker ends by itself; returns its result.
    pub async fn ended(mut self) -> anyhow::Result<()> {
        let task = self.task.take().unwrap();
        tokio::time::timeout(Duration::from_secs(20), task)
            .await
            .expect("the worker should end")
            .unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.runtime.shutdown.soft.cancel();
        self.runtime.shutdown.hard.cancel();
    }
}
