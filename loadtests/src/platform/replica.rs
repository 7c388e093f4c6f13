//! One process of Arrakis: start, kill, suspend, restart at the same address, read health and metrics.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_test_support::Process;
use serde_json::Value;

/// Time limit of a request for health or metrics.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// A process with its variables, so that it can be started again.
#[derive(Debug)]
pub struct Replica {
    name: String,
    path: PathBuf,
    variables: Vec<(String, String)>,
    health: String,
    process: Process,
    /// Output of earlier runs of the process.
    past: Vec<String>,
}

impl Replica {
    /// Starts the binary at `path` with these variables and this health address. Does not wait.
    pub(super) fn spawn(name: String, path: PathBuf, variables: Vec<(String, String)>, health: String) -> Self {
        let process = launch(&path, &variables, &health);
        Self {
            name,
            path,
            variables,
            health,
            process,
            past: Vec::new(),
        }
    }

    /// Name, for example `worker-2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the process is ready.
    ///
    /// # Panics
    /// When it ends or does not become ready.
    pub async fn ready(&mut self) {
        self.process.ready(&self.health).await;
    }

    /// Sends SIGKILL.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Sends SIGTERM without waiting.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When the process does not end within `grace`.
    pub async fn stop(&mut self, grace: Duration) -> ExitStatus {
        self.process.terminate();
        self.process.ended(grace).await
    }

    /// Sends SIGSTOP: the process keeps its connections and does nothing.
    pub fn suspend(&self) {
        self.process.suspend();
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When the process does not end within the limit.
    pub async fn wait_for_exit(&mut self, limit: Duration) -> ExitStatus {
        self.process.ended(limit).await
    }

    /// Exit status, once the process has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.has_ended()
    }

    /// Starts the process again with the same variables at the same address, after it has ended. Does not wait.
    pub fn start_again(&mut self) {
        self.past.extend(self.process.lines());
        self.past.push("--- started again".to_owned());
        self.process = launch(&self.path, &self.variables, &self.health);
    }

    /// Changes a variable for the next start; `None` removes it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// All output, including that of earlier runs.
    pub fn log(&self) -> Vec<String> {
        let mut lines = self.past.clone();
        lines.extend(self.process.lines());
        lines
    }

    /// Process id; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Address of the health endpoints, `host:port`.
    pub fn health_addr(&self) -> &str {
        &self.health
    }

    /// Body of `GET /health`, whatever its status.
    ///
    /// # Errors
    /// When the process does not respond.
    pub async fn health(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.get("/health").await?)?)
    }

    /// Whether `GET /readyz` answers 200.
    pub async fn is_ready(&self) -> bool {
        self.get_ok("/readyz").await.unwrap_or(false)
    }

    /// Sum of a metric over the series with these labels; 0 where there is none.
    ///
    /// # Errors
    /// When the process does not respond.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        Ok(sum(&self.get("/metrics").await?, name, labels))
    }

    /// Resident memory in bytes; 0 once the process has ended.
    pub fn resident_bytes(&self) -> u64 {
        let read = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        read().unwrap_or(0) * 1024
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("http://{}{path}", self.health);
        let response = reqwest::Client::new().get(&url).timeout(TIME_LIMIT).send().await;
        let response = response.with_context(|| format!("{} does not response", self.name))?;
        Ok(response.text().await?)
    }

    async fn get_ok(&self, path: &str) -> anyhow::Result<bool> {
        let url = format!("http://{}{path}", self.health);
        let response = reqwest::Client::new().get(&url).timeout(TIME_LIMIT).send().await?;
        Ok(response.status().is_success())
    }
}

fn launch(path: &std::path::Path, variables: &[(String, String)], health: &str) -> Process {
    let common = [("HEALTH_ADDR", health), ("LOG_FORMAT", "text")];
    let given = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // Given variables come last, so that a scenario can change the log format.
    Process::start_at(path, &[], common.into_iter().chain(given))
}

/// Sums the samples of one metric in Prometheus' text format.
fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let sample = |line: &str| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        let carries = |(label, value): &(&str, &str)| rest.contains(&format!("{label}=\"{value}\""));
        labels.iter().all(carries).then_some(())?;
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    };
    text.lines().filter_map(sample).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_label() {
        let text = "# TYPE a_total counter\na_total{queue=\"x\",verdict=\"done\"} 3\na_total{queue=\"y\",verdict=\"done\"} 4\n\
                    a_total_more 9\nb 5\n";
        assert!((sum(text, "a_total", &[]) - 7.0).abs() < f64::EPSILON);
        assert!((sum(text, "a_total", &[("queue", "y")]) - 4.0).abs() < f64::EPSILON);
        assert!((sum(text, "b", &[]) - 5.0).abs() < f64::EPSILON);
        assert!((sum(text, "c", &[])).abs() < f64::EPSILON);
    }
}
