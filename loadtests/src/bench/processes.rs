//! CPU time and resident memory of each process, from `/proc`.
//!
//! A server process is found by the port that it listens on. PostgreSQL is counted as all of its processes together: their CPU
//! time, including ended ones, and their memory, with shared memory counted once.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use url::Url;

/// Interval of the memory samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(200);
/// Clock ticks per second in `/proc/*/stat`; 100 on every supported Linux (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// CPU time and memory of a process during a section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu_s: f64,
    /// Highest sampled resident memory.
    pub resident_peak_bytes: u64,
    /// Resident memory at the end.
    pub resident_bytes: u64,
}

/// A monitored process, or a process with its children.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MonitoredProcess {
    name: String,
    pid: u32,
    family: bool,
}

/// Samples processes until [`ProcessMonitor::end`].
#[derive(Debug)]
pub struct ProcessMonitor {
    processes: Vec<MonitoredProcess>,
    before: BTreeMap<String, f64>,
    peaks: Arc<Mutex<BTreeMap<String, u64>>>,
    task: JoinHandle<()>,
}

impl ProcessMonitor {
    /// Starts with these processes and the servers that the environment names.
    ///
    /// # Errors
    /// When the process of a server cannot be found.
    pub fn begin(processes: &[(String, u32)]) -> anyhow::Result<Self> {
        let mut monitored = servers()?;
        monitored.extend(processes.iter().map(|(name, pid)| MonitoredProcess {
            name: name.clone(),
            pid: *pid,
            family: false,
        }));
        let mut before = BTreeMap::new();
        for process in &monitored {
            *before.entry(process.name.clone()).or_default() += process.cpu_s()?;
        }
        let peaks: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
        let task = tokio::spawn(sample_memory(monitored.clone(), Arc::clone(&peaks)));
        Ok(Self {
            processes: monitored,
            before,
            peaks,
            task,
        })
    }

    /// Usage of each process since the start, by name.
    ///
    /// # Errors
    /// When a process has ended meanwhile.
    pub fn end(self) -> anyhow::Result<BTreeMap<String, Usage>> {
        self.task.abort();
        let mut usage: BTreeMap<String, Usage> = BTreeMap::new();
        for process in &self.processes {
            let (cpu_s, resident) = (process.cpu_s()?, process.resident()?);
            let entry = usage.entry(process.name.clone()).or_insert(Usage {
                cpu_s: -self.before.get(&process.name).copied().unwrap_or_default(),
                resident_peak_bytes: 0,
                resident_bytes: 0,
            });
            entry.cpu_s += cpu_s;
            entry.resident_bytes += resident;
        }
        let peaks = self.peaks.lock().map(|peaks| peaks.clone()).unwrap_or_default();
        for (name, entry) in &mut usage {
            let peak = peaks.get(name).copied().unwrap_or_default();
            entry.resident_peak_bytes = peak.max(entry.resident_bytes);
        }
        Ok(usage)
    }
}

impl Drop for ProcessMonitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn sample_memory(processes: Vec<MonitoredProcess>, peaks: Arc<Mutex<BTreeMap<String, u64>>>) {
    loop {
        let mut now: BTreeMap<&str, u64> = BTreeMap::new();
        for process in &processes {
            *now.entry(&process.name).or_default() += process.resident().unwrap_or_default();
        }
        if let Ok(mut peaks) = peaks.lock() {
            for (name, resident) in now {
                let peak = peaks.entry(name.to_owned()).or_default();
                *peak = (*peak).max(resident);
            }
        }
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    }
}

impl MonitoredProcess {
    fn cpu_s(&self) -> anyhow::Result<f64> {
        let mut ticks = ticks(self.pid, self.family).with_context(|| format!("{} has ended", self.name))?;
        if self.family {
            ticks += children(self.pid)
                .iter()
                .filter_map(|child| self::ticks(*child, false))
                .sum::<u64>();
        }
        #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds")]
        Ok(ticks as f64 / TICKS)
    }

    fn resident(&self) -> anyhow::Result<u64> {
        let own = memory(self.pid).with_context(|| format!("{} has ended", self.name))?;
        if !self.family {
            return Ok(own.private + own.shared);
        }
        let all = children(self.pid).into_iter().filter_map(memory);
        let all = all.fold(own, |sum, one| Memory {
            private: sum.private + one.private,
            shared: sum.shared.max(one.shared),
        });
        Ok(all.private + all.shared)
    }
}

/// CPU time of this process so far, in seconds.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn own_cpu_s() -> anyhow::Result<f64> {
    let own = MonitoredProcess {
        name: "loadtests".to_owned(),
        pid: std::process::id(),
        family: false,
    };
    own.cpu_s()
}

/// User and system ticks, with `with_ended` also those of ended children.
fn ticks(pid: u32, with_ended: bool) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The process name, in parentheses, may contain spaces.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let field = |n: usize| fields.get(n)?.parse::<u64>().ok();
    let own = field(11)? + field(12)?;
    let ended = if with_ended { field(13)? + field(14)? } else { 0 };
    Some(own + ended)
}

struct Memory {
    private: u64,
    shared: u64,
}

fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace()
            .nth(1)?
            .parse::<u64>()
            .ok()
            .map(|kib| kib * 1_024)
    };
    Some(Memory {
        private: field("RssAnon:")?,
        shared: field("RssFile:")? + field("RssShmem:")?,
    })
}

/// Processes that use CPU before the measurement: name and percent of a core over two seconds, from 3 % up, the largest first.
/// Such a process, for example one that an earlier run left behind, distorts every figure.
pub(super) async fn busy_processes() -> Vec<(String, f64)> {
    const OBSERVED: Duration = Duration::from_secs(2);
    let all = || -> BTreeMap<u32, u64> {
        let of = |pid| Some((pid, ticks(pid, false)?));
        processes().filter_map(of).collect()
    };
    let before = all();
    tokio::time::sleep(OBSERVED).await;
    let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "hundredths of seconds")]
    let used = |ticks: u64| ticks as f64 / TICKS / OBSERVED.as_secs_f64() * 100.0;
    let share = |(pid, now): (u32, u64)| Some((pid, used(now - before.get(&pid)?.min(&now))));
    let mut found: Vec<(String, f64)> = all()
        .into_iter()
        .filter_map(share)
        .filter(|(pid, share)| *share >= 3.0 && *pid != std::process::id())
        .map(|(pid, share)| (format!("{} ({pid})", name(pid).trim()), share))
        .collect();
    found.sort_by(|one, other| other.1.total_cmp(&one.1));
    found
}

/// Resident memory of a process now.
///
/// # Errors
/// When the process has ended.
pub(super) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let now = memory(pid).with_context(|| format!("process {pid} has ended"))?;
    Ok(now.private + now.shared)
}

/// The highest resident memory that a process has had, as the kernel records it.
///
/// # Errors
/// When the process has ended.
pub(super) fn high_water_bytes(pid: u32) -> anyhow::Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} has ended"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .context("no VmHWM")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .context("VmHWM without a number")?
        .parse()?;
    Ok(kib * 1_024)
}

fn children(parent: u32) -> Vec<u32> {
    let of = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    processes().filter(|pid| of(*pid) == Some(parent)).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn servers() -> anyhow::Result<Vec<MonitoredProcess>> {
    let server = |name: &str, variable: &str, port: u16, family: bool| {
        let url = std::env::var(variable).with_context(|| format!("{variable} is not set; run ./dev bench"))?;
        let port = Url::parse(&url)?.port().unwrap_or(port);
        let pid = listener(port).with_context(|| {
            format!("no process visible to this user listens on port {port}: the CPU time of {name} cannot be measured")
        })?;
        anyhow::Ok(MonitoredProcess {
            name: name.to_owned(),
            pid,
            family,
        })
    };
    Ok(vec![
        server("rabbitmq", "AMQP_URL", 5_672, false)?,
        server("postgres", "DATABASE_URL", 5_432, true)?,
        server("redis", "REDIS_URL", 6_379, false)?,
    ])
}

/// The process that listens on this port. `/proc/net/tcp` has the inode of the listening socket; a process links to it in the
/// folder of its open files. Where several processes share the socket, the lowest process id is the parent.
fn listener(port: u16) -> anyhow::Result<u32> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN.
            if let [_, local, _, "0A", ..] = fields[..]
                && local.ends_with(&format!(":{port:04X}"))
            {
                inodes.extend(fields.get(9).map(|inode| PathBuf::from(format!("socket:[{inode}]"))));
            }
        }
    }
    ensure!(!inodes.is_empty(), "nothing listens on port {port}");
    let holds = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| inodes.contains(&target))
    };
    processes()
        .filter(holds)
        .min()
        .context("the listening process belongs to another user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn working_process_has_cpu_time_and_memory() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = super::listener(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(own, std::process::id());
        let before = own_cpu_s().unwrap();
        let mut n = 0_u64;
        while own_cpu_s().unwrap() < before + 0.02 {
            n = std::hint::black_box(n.wrapping_mul(31) + 1);
        }
        let memory = memory(own).unwrap();
        assert!(memory.private > 100_000 && memory.shared > 100_000);
    }

    #[tokio::test]
    async fn busy_process_is_reported_before_a_run() {
        let busy = tokio::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let named = format!("({})", busy.id().unwrap());
        let found = busy_processes().await;
        assert!(
            found.iter().any(|(name, share)| name.ends_with(&named) && *share > 3.0),
            "{found:?}"
        );
    }
}
