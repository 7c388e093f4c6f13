//! Export of traces by OTLP (<https://opentelemetry.io/docs/specs/otlp/>), over HTTP with protobuf. Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
//!
//! A trace begins in the ingestor or in `arrakis-interactions`, which decides whether it is sampled, and is continued across the queue and the proxy by the
//! `traceparent` of [`crate::trace`]. The spans are those of the code's `tracing` spans; their fields are the attributes. Log messages are not exported.
//! While the export is off, each function here is the read of one variable.
//!
//! The exporter has a thread of its own with a blocking client: with the asynchronous one, spans would be sent from a thread without a runtime,
//! which panics (opentelemetry-rust#2673).

use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::trace::Traceparent;

/// Time limit of the last export at the end of the process.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// The tracer of this process; empty while traces are not exported.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The collector's address (`OTEL_EXPORTER_OTLP_ENDPOINT`): a base URL, to which `/v1/traces` is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEndpoint(String);

/// The text is not a collector's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a base URL with http:// or https://, such as http://127.0.0.1:4318")]
pub struct InvalidTraceEndpoint;

impl FromStr for TraceEndpoint {
    type Err = InvalidTraceEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidTraceEndpoint> {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        match host {
            Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(InvalidTraceEndpoint),
        }
    }
}

/// The share of the traces that is exported (`OTEL_TRACES_SAMPLER_ARG`), from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio(f64);

/// The text is no number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number from 0 to 1")]
pub struct InvalidSampleRatio;

impl FromStr for SampleRatio {
    type Err = InvalidSampleRatio;

    fn from_str(text: &str) -> Result<Self, InvalidSampleRatio> {
        let ratio: f64 = text.parse().map_err(|_| InvalidSampleRatio)?;
        (0.0..=1.0)
            .contains(&ratio)
            .then_some(Self(ratio))
            .ok_or(InvalidSampleRatio)
    }
}

/// Decides whether a trace that begins here is sampled. A query begins none: what is read every second, outside of an event and a request, would be
/// most of the traces, each of one span.
#[derive(Debug, Clone)]
struct BeginningSampler(Sampler);

impl ShouldSample for BeginningSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if name.starts_with("db.") {
            return SamplingResult {
                decision: SamplingDecision::Drop,
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            };
        }
        self.0
            .should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

/// What every span of this process has: service, version, instance, and the group of a worker. `OTEL_RESOURCE_ATTRIBUTES` may state another instance.
fn resource(service: &'static str, group: Option<&str>) -> Resource {
    let instance = Key::from_static_str("service.instance.id");
    let builder = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let builder = match group {
        Some(group) => builder.with_attribute(KeyValue::new("arrakis.worker.group", group.to_owned())),
        None => builder,
    };
    let resource = Resource::builder().build();
    if resource.get(&instance).is_some() {
        return builder.build();
    }
    let (random, _) = Traceparent::new_root().ids();
    builder
        .with_attribute(KeyValue::new(instance, format!("{random:032x}")))
        .build()
}

/// The export of this process's traces. Dropping it sends the last spans, which blocks the thread for at most three seconds.
#[derive(Debug)]
pub struct TraceExport {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl TraceExport {
    /// Starts the export. The crypto provider must be installed before. `group` is that of a worker.
    ///
    /// # Errors
    /// When the exporter's settings (`OTEL_EXPORTER_OTLP_*`) are invalid.
    pub fn start(
        service: &'static str,
        group: Option<&str>,
        endpoint: &TraceEndpoint,
        ratio: SampleRatio,
    ) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.0))
            .build()?;
        let sampler = Sampler::ParentBased(Box::new(BeginningSampler(Sampler::TraceIdRatioBased(ratio.0))));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource(service, group))
            .build();
        let tracer = provider.tracer("arrakis");
        // An error means that another export of this process was started before; it stays the one of `root`.
        let _ = TRACER.set(tracer.clone());
        Ok(Self { provider, tracer })
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.tracer.clone()
    }
}

impl Drop for TraceExport {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_EXPORT) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// The first span of a trace. It ends when it is dropped.
#[derive(Debug)]
pub struct RootSpan(opentelemetry_sdk::trace::Span);

impl RootSpan {
    /// Its trace context, for a message or request that continues the trace.
    pub fn traceparent(&self) -> Traceparent {
        traceparent_of(self.0.span_context())
    }
}

impl Drop for RootSpan {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Begins a trace with a span that began at `since`; `attributes` are read only where the trace is sampled. `None` while traces are not
/// exported.
pub fn root<const N: usize>(
    name: &'static str,
    since: impl FnOnce() -> SystemTime,
    attributes: impl FnOnce() -> [(&'static str, String); N],
) -> Option<RootSpan> {
    let tracer = TRACER.get()?;
    let builder = tracer
        .span_builder(name)
        .with_kind(SpanKind::Producer)
        .with_start_time(since());
    let mut span = tracer.build_with_context(builder, &Context::new());
    if span.is_recording() {
        for (key, value) in attributes() {
            span.set_attribute(KeyValue::new(key, value));
        }
    }
    Some(RootSpan(span))
}

/// Makes `span` a child of the span of another process that `traceparent` names. `span` must not have been entered. Does nothing while traces are not
/// exported, or where `traceparent` is malformed.
pub fn set_parent(span: &tracing::Span, traceparent: &str) {
    if TRACER.get().is_none() {
        return;
    }
    let Ok(parent) = traceparent.parse::<Traceparent>() else {
        return;
    };
    let flags = TraceFlags::default().with_sampled(parent.is_sampled());
    let (trace, span_id) = parent.ids();
    let parent = SpanContext::new(
        TraceId::from(trace),
        SpanId::from(span_id),
        flags,
        true,
        TraceState::default(),
    );
    // An error means that the span is disabled: there is nothing to export.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// The trace context of the current span, for a call to another process. `None` while traces are not exported, or outside of a span.
pub fn current() -> Option<Traceparent> {
    TRACER.get()?;
    let context = tracing::Span::current().context();
    let span = context.span();
    let span_context = span.span_context();
    span_context.is_valid().then(|| traceparent_of(span_context))
}

fn traceparent_of(span: &SpanContext) -> Traceparent {
    Traceparent::new(
        u128::from_be_bytes(span.trace_id().to_bytes()),
        u64::from_be_bytes(span.span_id().to_bytes()),
        span.is_sampled(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        let read = || -> [(&'static str, String); 1] { panic!("attributes are read") };
        assert!(root("test.event.publish", || panic!("the time is read"), read).is_none());
        assert_eq!(current(), None);
        assert!(!Traceparent::new_root().is_sampled());
    }

    #[test]
    fn query_outside_of_a_trace_begins_none() {
        let sampler = BeginningSampler(Sampler::AlwaysOn);
        let decide = |name| {
            let trace = TraceId::from(7_u128);
            sampler
                .should_sample(None, trace, name, &SpanKind::Internal, &[], &[])
                .decision
        };
        assert_eq!(decide("db.rollout.canary_share"), SamplingDecision::Drop);
        assert_eq!(decide("api.request.handle"), SamplingDecision::RecordAndSample);
    }

    #[test]
    fn resource_names_the_build_the_process_and_the_group() {
        let value = |resource: &Resource, name: &'static str| {
            resource.get(&Key::from_static_str(name)).map(|value| value.to_string())
        };
        let (one, other) = (
            resource("arrakis-worker", Some("canary")),
            resource("arrakis-api", None),
        );
        assert_eq!(value(&one, "service.name").as_deref(), Some("arrakis-worker"));
        assert_eq!(
            value(&one, "service.version").as_deref(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(value(&one, "arrakis.worker.group").as_deref(), Some("canary"));
        assert_eq!(value(&other, "arrakis.worker.group"), None);
        let instance = value(&one, "service.instance.id");
        assert!(
            instance.is_some() && instance != value(&other, "service.instance.id"),
            "{instance:?}"
        );
    }

    #[test]
    fn endpoint_and_ratio_are_checked() {
        assert_eq!(
            "http://collector:4318/".parse(),
            Ok(TraceEndpoint("http://collector:4318".to_owned()))
        );
        for text in ["collector:4318", "http://", "http://a b", ""] {
            assert_eq!(text.parse::<TraceEndpoint>(), Err(InvalidTraceEndpoint), "{text}");
        }
        assert_eq!("0.25".parse(), Ok(SampleRatio(0.25)));
        for text in ["1.1", "-0.1", "NaN", "all"] {
            assert_eq!(text.parse::<SampleRatio>(), Err(InvalidSampleRatio), "{text}");
        }
    }
}
