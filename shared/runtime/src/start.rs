//! The start of a service from `main`, and its exit code.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_causes::causes;
use arrakis_config::{ConfigErrors, EXIT_CODE, Reader, Service, Source, variables};
use arrakis_fail_point as fail_point;
use arrakis_one_thread::SingleThreadRuntime;
use arrakis_telemetry::export::{SampleRatio, TraceEndpoint, TraceExport};
use arrakis_telemetry::{LogFormat, init_logs};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::descriptors::raise_open_file_limit;
use crate::health_server::health_router;
use crate::http::HttpLimits;
use crate::runtime::Runtime;

/// Number of threads for a service's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One, for a service that mostly waits: it needs the least memory and the fewest thread switches.
    One,
    /// One for each CPU core.
    Many,
}

/// An error that persists after a restart of the service. It ends the process with an exit code of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fatal {
    /// What is wrong and what the operator must correct.
    pub message: String,
    /// Exit code of the process.
    pub exit_code: u8,
}

impl Fatal {
    /// An error outside the configuration: exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: 1,
        }
    }

    /// An error of the configuration: exit code 78.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: EXIT_CODE,
        }
    }
}

/// Configuration that every service has.
struct CommonConfig {
    health_addr: SocketAddr,
    filter: String,
    format: LogFormat,
    /// The collector of traces; `None`: no export.
    traces: Option<TraceEndpoint>,
    ratio: SampleRatio,
    /// The group of a worker, for its traces.
    group: Option<String>,
    fail_points: Option<fail_point::Spec>,
}

impl CommonConfig {
    fn read(service: Service, reader: &mut Reader) -> Option<Self> {
        let group = match service {
            Service::Worker => reader.defaulted::<String>(&variables::WORKER_GROUP),
            _ => None,
        };
        let health_addr = reader.defaulted(&variables::HEALTH_ADDR);
        let filter = reader.defaulted::<String>(&variables::RUST_LOG);
        let format = reader.defaulted(&variables::LOG_FORMAT);
        let traces = reader.optional(&variables::OTEL_EXPORTER_OTLP_ENDPOINT);
        let ratio = reader.defaulted(&variables::OTEL_TRACES_SAMPLER_ARG);
        let fail_points = reader.optional(&variables::ARRAKIS_FAIL_POINTS);
        Some(Self {
            health_addr: health_addr?,
            filter: filter?,
            format: format?,
            traces: traces?,
            ratio: ratio?,
            group,
            fail_points: fail_points?,
        })
    }
}

/// Runs a service: reads its configuration, initialises logs, starts the health endpoints, and runs `serve` until it ends.
///
/// Returns the exit code of the process: 0 on success, 78 for invalid configuration, the code of a [`Fatal`] error, 1 for other
/// errors.
pub fn run<C, F>(
    service: Service,
    threads: Threads,
    read: impl FnOnce(&mut Reader) -> Option<C>,
    serve: impl FnOnce(C, Runtime) -> F + Send + 'static,
) -> ExitCode
where
    C: Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let loaded = Reader::load(service, Source::environment(), |reader| {
        let common = CommonConfig::read(service, reader);
        let own = read(reader);
        Some((common?, own?))
    });
    let (common, config) = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => return report_invalid_config(&errors),
    };
    match start(service, threads, &common, |runtime| serve(config, runtime)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = causes(error.as_ref()), "{} stops", service.binary());
            ExitCode::from(error.downcast_ref::<Fatal>().map_or(1, |fatal| fatal.exit_code))
        }
    }
}

/// Writes the errors to standard error: logs are not initialised yet.
fn report_invalid_config(errors: &ConfigErrors) -> ExitCode {
    // There is no other output when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{errors}");
    ExitCode::from(EXIT_CODE)
}

fn start<F: Future<Output = anyhow::Result<()>> + Send + 'static>(
    service: Service,
    threads: Threads,
    common: &CommonConfig,
    serve: impl FnOnce(Runtime) -> F + Send + 'static,
) -> anyhow::Result<()> {
    let filter = common.filter.parse().map_err(|error| {
        Fatal::configuration(format!(
            "RUST_LOG={} is not a log filter: {error}; example: RUST_LOG=info",
            common.filter
        ))
    })?;
    // The client of the export needs it.
    install_crypto_provider();
    // The last spans are exported when this function ends.
    let export = start_export(service, common)?;
    init_logs(common.format, filter, export.as_ref()).context("logs cannot be initialised")?;
    // Outside of the macro, which evaluates its fields only where the message is logged.
    let open_files = raise_open_file_limit();
    tracing::debug!(open_files, "limit of open files");
    if let Some(spec) = common.fail_points.clone().filter(|spec| !spec.is_empty()) {
        tracing::warn!(?spec, "fail points are armed");
        fail_point::arm(spec).map_err(|error| Fatal::configuration(format!("ARRAKIS_FAIL_POINTS: {error}")))?;
    }
    let mut runtime = Runtime::for_test(service);
    match threads {
        Threads::One => {
            let thread = SingleThreadRuntime::new().context("the async runtime cannot start")?;
            runtime.single_thread = Some(thread.clone());
            thread.run(serve_until_end(runtime, common.health_addr, serve))
        }
        Threads::Many => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let tokio = builder.enable_all().build().context("the async runtime cannot start")?;
            let result = tokio.block_on(serve_until_end(runtime, common.health_addr, serve));
            // Tasks that ignore both shutdown tokens must not delay the end of the process.
            tokio.shutdown_background();
            result
        }
    }
}

/// Starts the export of traces, if there is a collector.
fn start_export(service: Service, common: &CommonConfig) -> anyhow::Result<Option<TraceExport>> {
    let Some(endpoint) = &common.traces else {
        return Ok(None);
    };
    let export = TraceExport::start(service.binary(), common.group.as_deref(), endpoint, common.ratio);
    let export = export.map_err(|error| Fatal::configuration(format!("OTEL_EXPORTER_OTLP_*: {error}")))?;
    Ok(Some(export))
}

/// Runs the health endpoints, the signal handlers and the service until the service ends or the grace period has passed.
async fn serve_until_end<F: Future<Output = anyhow::Result<()>>>(
    runtime: Runtime,
    health_addr: SocketAddr,
    serve: impl FnOnce(Runtime) -> F,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(health_addr).await.map_err(|error| {
        let example = "HEALTH_ADDR=127.0.0.1:8081";
        Fatal::configuration(format!(
            "HEALTH_ADDR={health_addr} cannot be used: {error}; example: {example}"
        ))
    })?;
    tracing::info!(health_addr = %listener.local_addr()?, version = env!("CARGO_PKG_VERSION"), "{} starts",
        runtime.service.binary());
    // The endpoints stay until the process ends, so that a draining service can be observed.
    let server = runtime.http_server("health", HttpLimits::for_health());
    tokio::spawn(server.serve(listener, health_router(runtime.clone()), CancellationToken::new()));
    tokio::spawn(runtime.shutdown.clone().follow_signals());
    let hard = runtime.shutdown.hard.clone();
    tokio::select! {
        result = serve(runtime) => result,
        () = after_hard_stop(hard) => Err(anyhow::anyhow!("the service did not stop within the grace period; unfinished work is abandoned")),
    }
}

/// Resolves some time after the hard token: the service sees the token, too, and may end with a more specific error.
async fn after_hard_stop(hard: CancellationToken) {
    hard.cancelled().await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
}

/// Installs aws-lc-rs as the TLS provider of the process. Without it rustls panics at the first connection, because two providers
/// are compiled in. Further calls have no effect.
pub fn install_crypto_provider() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
