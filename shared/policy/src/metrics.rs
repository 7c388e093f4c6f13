//! Metrics of checks in a file for the textfile collector of Prometheus' node exporter: the command ends before it could be scraped.
//!
//! The file keeps counters over runs, of several processes at a time: it is locked while it is read and replaced.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::finding::BUILT_IN;
use crate::report::{Report, Verdict};

const CHECKS: &str = "arrakis_policy_checks_total";
const BLOCKS: &str = "arrakis_policy_blocks_total";

/// Adds the result of a check to the counters in a file.
///
/// # Errors
/// The file cannot be read or replaced.
pub fn record(path: &Path, report: &Report) -> io::Result<()> {
    let lock = path.with_extension("lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
    lock.lock()?;
    let mut counters = match std::fs::read_to_string(path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(error),
    };
    for verdict in [Verdict::Passed, Verdict::NeedsApproval, Verdict::Rejected] {
        let counter = counters
            .entry(format!("{CHECKS}{{verdict=\"{}\"}}", verdict.as_str()))
            .or_default();
        *counter += u64::from(verdict == report.verdict);
    }
    for block in &report.blocks {
        // Rules of operators have any name; a label must not.
        let rule = if block.source == BUILT_IN {
            block.rule.as_str()
        } else {
            "custom"
        };
        *counters.entry(format!("{BLOCKS}{{rule=\"{rule}\"}}")).or_default() += 1;
    }
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(format(&counters).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

fn parse(text: &str) -> BTreeMap<String, u64> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with(CHECKS) || line.starts_with(BLOCKS));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

fn format(counters: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (name, help) in [
        (BLOCKS, "Findings that rejected a plan, by rule"),
        (CHECKS, "Checked plans by verdict"),
    ] {
        text.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} counter\n"));
        for (counter, value) in counters.iter().filter(|(counter, _)| counter.starts_with(name)) {
            text.push_str(&format!("{counter} {value}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_added_over_runs_and_threads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("arrakis_policy.prom");
        let report = Report::unchecked("unreadable_plan", "reason");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5).for_each(|_| record(&path, &report).unwrap()));
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("arrakis_policy_blocks_total{rule=\"unreadable_plan\"} 20\n"),
            "{text}"
        );
        assert!(
            text.contains("arrakis_policy_checks_total{verdict=\"rejected\"} 20\n"),
            "{text}"
        );
        assert!(
            text.contains("arrakis_policy_checks_total{verdict=\"passed\"} 0\n"),
            "{text}"
        );
    }
}
