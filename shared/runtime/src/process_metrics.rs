//! Metrics of the process and of its health components, which every service has. They are read when `/metrics` is requested.
//!
//! The names that begin with `process_` are those of Prometheus's client libraries.

use arrakis_telemetry::Metrics as Registry;
use procfs::process::{LimitValue, Process};
use prometheus::{Counter, Gauge, IntGauge, IntGaugeVec};

use crate::health::{Health, HealthStatus};
use crate::memory::resident_bytes;

/// Metrics of the process and of its health components.
#[derive(Debug, Clone)]
pub(crate) struct ProcessMetrics {
    components: IntGaugeVec,
    resident: IntGauge,
    memory_limit: IntGauge,
    descriptors: IntGauge,
    descriptor_limit: IntGauge,
    cpu: Counter,
    started: Gauge,
}

impl ProcessMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            components: registry.gauge_vec(
                "arrakis_component_status",
                "1 for the present status of a health component (up, degraded, down), 0 for the others.",
                &["component", "status"],
            ),
            resident: registry.gauge("process_resident_memory_bytes", "Resident memory of the process."),
            memory_limit: registry.gauge(
                "arrakis_memory_limit_bytes",
                "Resident memory above which the process reports itself as down; 0 without a limit.",
            ),
            descriptors: registry.gauge("process_open_fds", "Open file descriptors of the process."),
            descriptor_limit: registry.gauge("process_max_fds", "Largest number of open file descriptors."),
            cpu: registry.float_counter("process_cpu_seconds_total", "CPU time of the process, user and system."),
            started: registry.float_gauge("process_start_time_seconds", "Unix time at which the process started."),
        };
        if let Some(started) = start_time() {
            metrics.started.set(started);
        }
        metrics
    }

    /// Reads the present values. A value that `/proc` does not provide stays as it is.
    pub(crate) fn read(&self, health: &Health) {
        for (component, status) in health.component_statuses() {
            for known in HealthStatus::ALL {
                let gauge = self.components.with_label_values(&[component, known.name()]);
                gauge.set(i64::from(known == status));
            }
        }
        self.memory_limit.set(integer(health.memory_limit().unwrap_or(0)));
        if let Some(bytes) = resident_bytes() {
            self.resident.set(integer(bytes));
        }
        let Ok(process) = Process::myself() else {
            return;
        };
        if let Ok(count) = process.fd_count() {
            self.descriptors.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        if let Ok(limits) = process.limits() {
            self.descriptor_limit.set(match limits.max_open_files.soft_limit {
                LimitValue::Value(limit) => integer(limit),
                LimitValue::Unlimited => i64::MAX,
            });
        }
        if let Ok(stat) = process.stat() {
            let seconds = seconds_of(stat.utime + stat.stime);
            // Two concurrent requests may read in any order; a counter must not fall.
            let more = seconds - self.cpu.get();
            if more > 0.0 {
                self.cpu.inc_by(more);
            }
        }
    }
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Clock ticks as seconds.
fn seconds_of(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

/// Unix time at which the process started.
fn start_time() -> Option<f64> {
    let stat = Process::myself().ok()?.stat().ok()?;
    let boot = procfs::boot_time_secs().ok()?;
    Some(boot as f64 + seconds_of(stat.starttime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_a_component_and_the_memory_are_exported() {
        let registry = Registry::new();
        let metrics = ProcessMetrics::new(&registry);
        let health = Health::default();
        health.set_memory_limit(1 << 40);
        let broker = health.component("broker");
        broker.degraded("slow");
        metrics.read(&health);
        let text = registry.render();
        for sample in [
            "arrakis_component_status{component=\"broker\",status=\"degraded\"} 1",
            "arrakis_component_status{component=\"broker\",status=\"up\"} 0",
            "arrakis_memory_limit_bytes 1099511627776",
        ] {
            assert!(text.contains(sample), "{text}");
        }
        broker.up();
        metrics.read(&health);
        let text = registry.render();
        assert!(
            text.contains("arrakis_component_status{component=\"broker\",status=\"degraded\"} 0"),
            "{text}"
        );
        assert!(metrics.resident.get() > 1 << 20 && metrics.descriptors.get() > 2);
        assert!(metrics.started.get() > 1_600_000_000.0, "{}", metrics.started.get());
    }
}
