//! What a service receives at its start.

use std::sync::Arc;

use arrakis_config::Service;
use arrakis_one_thread::SingleThreadRuntime;
use arrakis_telemetry::Metrics;

use crate::health::Health;
use crate::http::{HttpLimits, HttpMetrics, HttpServer};
use crate::process_metrics::ProcessMetrics;
use crate::shutdown::Shutdown;

/// Shutdown tokens, health, metrics and threads of a service. Clones share everything.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The service.
    pub service: Service,
    /// Tokens that stop the service.
    pub shutdown: Shutdown,
    /// State of the service, for the health endpoints.
    pub health: Health,
    /// Registers the service's metrics.
    pub metrics: Metrics,
    /// The tasks' runtime, if the service has one thread. A library's thread may take it over.
    pub single_thread: Option<Arc<SingleThreadRuntime>>,
    http: HttpMetrics,
    process: ProcessMetrics,
}

impl Runtime {
    /// A runtime without signal handlers and without health endpoints, for a service that a test starts in its own process.
    pub fn for_test(service: Service) -> Self {
        let metrics = Metrics::new();
        Self {
            service,
            shutdown: Shutdown::default(),
            health: Health::default(),
            http: HttpMetrics::new(&metrics),
            process: ProcessMetrics::new(&metrics),
            metrics,
            single_thread: None,
        }
    }

    /// All metrics in Prometheus's text format, with the present values of the process and of its health components.
    pub fn render_metrics(&self) -> String {
        self.process.read(&self.health);
        self.metrics.render()
    }

    /// An HTTP server for one listener. `name` is its value of the metrics label `listener`.
    pub fn http_server(&self, name: &'static str, limits: HttpLimits) -> HttpServer {
        HttpServer::new(name, limits, &self.http)
    }
}
