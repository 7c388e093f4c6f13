//! A private Prometheus from Debian's package, which scrapes the processes of a platform and evaluates the rules of `deploy/prometheus`.
//!
//! All durations of the rules are a sixtieth, so that an alert that waits a minute in operation fires after a second. Thresholds stay.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use arrakis_test_support::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The folder of the rules.
pub const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/rules");
/// Durations of the rules are divided by this.
const SPEED: u64 = 60;
/// Time limit of a start.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Time limit of a query.
const QUERY_LIMIT: Duration = Duration::from_secs(5);
/// Texts after which a rule has a duration.
const BEFORE_DURATIONS: [&str; 4] = ["[", "offset ", "for: ", "interval: "];

/// A Prometheus server. Killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    targets: Vec<Target>,
    process: Process,
    folder: TempDir,
}

#[derive(Debug)]
struct Target {
    /// Name of the program.
    job: String,
    /// Name of the process.
    instance: String,
    /// Address of its health listener.
    address: String,
}

impl Prometheus {
    /// Starts a server on a free loopback port. It scrapes nothing yet.
    ///
    /// # Errors
    /// When it does not respond, or is not installed.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        write_configuration(folder.path())?;
        let address = super::free_address()?;
        let arguments = [
            format!("--config.file={}", folder.path().join("prometheus.yaml").display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
            "--storage.tsdb.retention.time=1h".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::start_at(&program()?, &arguments, std::iter::empty::<(&str, &str)>());
        let server = Self {
            url: format!("http://{address}"),
            targets: Vec::new(),
            process,
            folder,
        };
        server.responds().await?;
        Ok(server)
    }

    /// Scrapes this process from now on. The address of an earlier process is scraped on: a process that has ended does not respond.
    ///
    /// # Errors
    /// When the list of targets cannot be written.
    pub fn add_target(&mut self, job: &str, instance: &str, address: &str) -> anyhow::Result<()> {
        self.targets.push(Target {
            job: job.to_owned(),
            instance: instance.to_owned(),
            address: address.to_owned(),
        });
        let list: Vec<Value> = self
            .targets
            .iter()
            .map(|target| {
                let labels = json!({"job": target.job, "instance": target.instance});
                json!({"targets": [target.address], "labels": labels})
            })
            .collect();
        // Prometheus watches the folder and must not read half of a file.
        let (written, path) = (self.folder.path().join("next"), self.folder.path().join("targets.json"));
        std::fs::write(&written, serde_json::to_vec(&list)?)?;
        Ok(std::fs::rename(written, path)?)
    }

    /// The result of a query now: its series.
    ///
    /// # Errors
    /// When the query is refused, or Prometheus does not respond.
    pub async fn query(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let address = format!("{}/api/v1/query", self.url);
        let response = reqwest::Client::new()
            .get(url::Url::parse_with_params(&address, [("query", query)])?)
            .timeout(QUERY_LIMIT)
            .send()
            .await
            .context("Prometheus does not respond")?;
        let body: Value = response.json().await?;
        ensure!(body["status"] == "success", "{query}: {}", body["error"]);
        let result = &body["data"]["result"];
        Ok(result.as_array().cloned().unwrap_or_default())
    }

    /// Names of the alerts that have fired within this time until now.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn fired_within(&self, time: Duration) -> anyhow::Result<Vec<String>> {
        let milliseconds = time.as_millis().max(1);
        let firing = format!("max_over_time(ALERTS{{alertstate=\"firing\"}}[{milliseconds}ms])");
        self.alert_names(&firing).await
    }

    /// Names of the alerts that fire now.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn firing(&self) -> anyhow::Result<Vec<String>> {
        self.alert_names("ALERTS{alertstate=\"firing\"}").await
    }

    /// Whether every process has been scraped since then, with or without success.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn has_scraped_all_since(&self, moment: SystemTime) -> anyhow::Result<bool> {
        let seconds = moment.duration_since(UNIX_EPOCH)?.as_secs_f64();
        let scraped = self.query(&format!("timestamp(up) > {seconds:.3}")).await?;
        Ok(scraped.len() >= self.targets.len())
    }

    async fn alert_names(&self, alerts: &str) -> anyhow::Result<Vec<String>> {
        let series = self.query(&format!("group by (alertname) ({alerts})")).await?;
        let names = series.iter().filter_map(|one| one["metric"]["alertname"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Output of the process.
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }

    async fn responds(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + TIME_LIMIT;
        while self.query("vector(1)").await.is_err() {
            if tokio::time::Instant::now() > deadline {
                bail!("Prometheus did not start: {}", self.process.lines().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// The path of the program.
///
/// # Errors
/// When it is not installed.
fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("prometheus"))
        .find(|path| path.is_file());
    found.context("prometheus is not installed: apt-get install prometheus")
}

fn write_configuration(folder: &Path) -> anyhow::Result<()> {
    let rules = folder.join("rules");
    std::fs::create_dir(&rules)?;
    for entry in std::fs::read_dir(RULES).context(RULES)? {
        let entry = entry?;
        let text = std::fs::read_to_string(entry.path())?;
        std::fs::write(rules.join(entry.file_name()), shortened(&text))?;
    }
    std::fs::write(folder.join("targets.json"), "[]")?;
    let configuration = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n\
        rule_files: [rules/*.yaml]\n\
        scrape_configs:\n\
        - job_name: platform\n  file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]\n";
    Ok(std::fs::write(folder.join("prometheus.yaml"), configuration)?)
}

/// The rules with each duration divided by [`SPEED`].
fn shortened(rules: &str) -> String {
    let mut text = String::with_capacity(rules.len());
    let mut rest = rules;
    while let Some(next) = rest.chars().next() {
        let Some(prefix) = BEFORE_DURATIONS.iter().find(|prefix| rest.starts_with(**prefix)) else {
            text.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        text.push_str(prefix);
        rest = &rest[prefix.len()..];
        if let Some((milliseconds, length)) = duration(rest) {
            text.push_str(&format!("{}ms", milliseconds / SPEED));
            rest = &rest[length..];
        }
    }
    text
}

/// The duration at the beginning of a text, in milliseconds, and the length of its text.
fn duration(text: &str) -> Option<(u64, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = match text.as_bytes().get(digits)? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    Some((number * seconds * 1_000, digits + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_rules_are_divided_and_nothing_else_changes() {
        let rules = "    interval: 30s\n    expr: increase(a{b=~\"[1-9]x|[a-z]\"}[10m]) > 3600 unless a offset 1h\n    for: 1m\n";
        let wanted = "    interval: 500ms\n    expr: increase(a{b=~\"[1-9]x|[a-z]\"}[10000ms]) > 3600 unless a offset 60000ms\n    for: 1000ms\n";
        assert_eq!(shortened(rules), wanted);
    }
}
