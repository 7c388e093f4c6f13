//! From `main` to the service and back to an exit code.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use arrakis_causes::causes;
use arrakis_config::{ConfigErrors, EXIT_CODE, Reader, Service, Source, variables};
use arrakis_fail_point as fail_point;
use arrakis_one_thread::OneThread;
use arrakis_telemetry::{LogFormat, Metrics, init_logs};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::descriptors::raise_limit;
use crate::health::Health;
use crate::http::{HttpLimits, HttpMetrics, HttpServer};
use crate::server::router;
use crate::shutdown::Shutdown;

/// How many threads a service's tasks run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One: least memory and least waking, for a service that mostly waits.
    One,
    /// One for each core.
    Many,
}

/// What a service gets beside its configuration. Cloning shares everything.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// Which service this is.
    pub service: Service,
    /// When to stop.
    pub shutdown: Shutdown,
    /// What to tell of oneself.
    pub health: Health,
    /// What to count.
    pub metrics: Metrics,
    /// What the tasks run on, where the service has one thread. A library that insists on its own may take its place.
    pub one_thread: Option<Arc<OneThread>>,
    http: HttpMetrics,
}

impl Runtime {
    /// A runtime without signals and without a health server, for a service started inside a test.
    pub fn for_test(service: Service) -> Self {
        let metrics = Metrics::new();
        Self {
            service,
            shutdown: Shutdown::default(),
            health: Health::default(),
            http: HttpMetrics::new(&metrics),
            metrics,
            one_thread: None,
        }
    }

    /// A server for one listener, counted under `name`.
    pub fn http_server(&self, name: &'static str, limits: HttpLimits) -> HttpServer {
        HttpServer::new(name, limits, &self.http)
    }
}

/// An error that restarting cannot mend: says what to fix and with which code the process ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fatal {
    /// What is wrong and what to do, for the operator.
    pub message: String,
    /// Exit code of the process.
    pub exit_code: u8,
}

impl Fatal {
    /// Something outside must be mended first: exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: 1,
        }
    }

    /// The configuration must be mended first: exit code 78.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: EXIT_CODE,
        }
    }
}

/// What every service reads for itself.
struct Common {
    health_addr: SocketAddr,
    filter: String,
    format: LogFormat,
    fail_points: Option<fail_point::Spec>,
}

impl Common {
    fn read(reader: &mut Reader) -> Option<Self> {
        let health_addr = reader.defaulted(&variables::HEALTH_ADDR);
        let filter = reader.defaulted::<String>(&variables::RUST_LOG);
        let format = reader.defaulted(&variables::LOG_FORMAT);
        let fail_points = reader.optional(&variables::ARRAKIS_FAIL_POINTS);
        Some(Self {
            health_addr: health_addr?,
            filter: filter?,
            format: format?,
            fail_points: fail_points?,
        })
    }
}

/// Runs a service: reads its configuration, starts logs and health endpoints, serves until it ends or a signal comes, and
/// answers the exit code: 0, 1, 78 for configuration, or what a [`Fatal`] says.
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
        let common = Common::read(reader);
        let own = read(reader);
        Some((common?, own?))
    });
    let (common, config) = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => return refuse(&errors),
    };
    match start(service, threads, &common, |runtime| serve(config, runtime)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = causes(error.as_ref()), "{} stops", service.binary());
            ExitCode::from(error.downcast_ref::<Fatal>().map_or(1, |fatal| fatal.exit_code))
        }
    }
}

/// Says what is wrong with the environment. Logs are not set up yet, so this goes to standard error as it is.
fn refuse(errors: &ConfigErrors) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{errors}");
    ExitCode::from(EXIT_CODE)
}

fn start<F: Future<Output = anyhow::Result<()>> + Send + 'static>(
    service: Service,
    threads: Threads,
    common: &Common,
    serve: impl FnOnce(Runtime) -> F + Send + 'static,
) -> anyhow::Result<()> {
    let filter = common.filter.parse().map_err(|error| {
        Fatal::configuration(format!(
            "RUST_LOG={} is no log filter: {error}; example: RUST_LOG=info",
            common.filter
        ))
    })?;
    init_logs(common.format, filter).context("logs cannot be set up")?;
    tracing::debug!(open_files = raise_limit(), "limit of open files");
    install_crypto();
    if let Some(spec) = common.fail_points.clone().filter(|spec| !spec.is_empty()) {
        tracing::warn!(?spec, "fail points are armed");
        fail_point::arm(spec).map_err(|error| Fatal::configuration(format!("ARRAKIS_FAIL_POINTS: {error}")))?;
    }
    let mut runtime = Runtime::for_test(service);
    match threads {
        Threads::One => {
            let thread = OneThread::new().context("the async runtime cannot start")?;
            runtime.one_thread = Some(thread.clone());
            thread.run(serve_until_end(runtime, common.health_addr, serve))
        }
        Threads::Many => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let tokio = builder.enable_all().build().context("the async runtime cannot start")?;
            let result = tokio.block_on(serve_until_end(runtime, common.health_addr, serve));
            // Tasks that ignore both tokens must not hold the process.
            tokio.shutdown_background();
            result
        }
    }
}

/// Health endpoints, signals and the service, until it ends or its time is over.
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
    // Until the process ends, and not only until it drains: what it still does is asked for here.
    let server = runtime.http_server("health", HttpLimits::for_health());
    tokio::spawn(server.serve(listener, router(runtime.clone()), CancellationToken::new()));
    tokio::spawn(runtime.shutdown.clone().follow_signals());
    let hard = runtime.shutdown.hard.clone();
    tokio::select! {
        result = serve(runtime) => result,
        () = left_behind(hard) => Err(anyhow::anyhow!("work was left behind when the grace period was over")),
    }
}

/// A service sees the hard token too and may end by itself a moment later, with a better word than ours.
async fn left_behind(hard: CancellationToken) {
    hard.cancelled().await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
}

/// Chooses aws-lc-rs for TLS. With two providers compiled in, rustls would otherwise refuse to choose, at the first
/// connection and with a panic. Calling it again is harmless.
pub fn install_crypto() {
    // An error says that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
