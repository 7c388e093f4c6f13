//! Description of the machine that a run was measured on.

use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The machine and the servers on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model as in `/proc/cpuinfo`.
    pub processor: String,
    /// Usable cores; all processes of a run share them.
    pub cores: usize,
    /// Memory of the machine, in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// RabbitMQ's version.
    pub rabbitmq: String,
    /// Build profile of the measured binaries: `debug` or `release`.
    pub build: String,
    /// Git commit; `unknown` where `BENCH_COMMIT` is not set.
    pub commit: String,
}

impl Machine {
    /// Reads the description. A value that cannot be read is `unknown`.
    pub async fn describe() -> Self {
        let field = |path: &str, key: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib / 1_024,
            kernel: kernel.trim().to_owned(),
            rabbitmq: broker_version().await.unwrap_or_else(|| "unknown".to_owned()),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            commit: std::env::var("BENCH_COMMIT").unwrap_or_else(|_| "unknown".to_owned()),
        }
    }
}

async fn broker_version() -> Option<String> {
    let url = std::env::var("RABBITMQ_MANAGEMENT_URL").ok()?;
    let overview = format!("{}/api/overview", url.trim_end_matches('/'));
    let answer = reqwest::get(overview).await.ok()?;
    let overview: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
    overview["rabbitmq_version"].as_str().map(str::to_owned)
}
