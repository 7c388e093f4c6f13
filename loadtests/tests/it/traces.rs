//! One trace from the gateway frame, or from the request of an interaction by HTTP, to the reply: ingestor or endpoint, queue, worker, proxy.

use std::time::Duration;

use arrakis_config::Secret;
use arrakis_test_support::{CollectedSpan, TraceCollector, eventually_within};
use loadtests::platform::Platform;
use loadtests::seed;
use serde_json::json;

/// Time limit for the spans of a command.
const LIMIT: Duration = Duration::from_secs(30);

/// How Discord delivers the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Gateway,
    Http,
}

/// The variables of processes that export this part of the traces.
fn export_to(collector: &TraceCollector, part: &str) -> Vec<(String, String)> {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_TRACES_SAMPLER_ARG", part),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "info,lapin=off,arrakis_discord=debug"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    variables.to_vec()
}

/// Starts a platform whose processes have these variables, and lets a member run `/help`. Returns the platform.
async fn platform_with_a_reply(variables: &[(String, String)], delivery: Delivery) -> Platform {
    arrakis_runtime::install_crypto_provider();
    let mut platform = Platform::prepare().await.unwrap();
    let admin_url = Secret::new(platform.database().admin_url());
    let plan = seed::run(&platform.discord, &admin_url, 1).await.unwrap();
    platform.spawn_proxy(variables).unwrap().ready().await;
    platform.spawn_worker(variables).unwrap().ready().await;
    platform.spawn_ingestor(variables).unwrap().ready().await;
    if delivery == Delivery::Http {
        platform.spawn_interactions(variables).await.unwrap().ready().await;
        platform.deliver_by_http(0).await.unwrap();
    }
    let server = &plan.servers[0];
    let view = platform.discord.guild(server.guild).await.unwrap();
    let channels = view["channels"].as_array().unwrap();
    let channel = channels.iter().find(|channel| channel["type"] == 0).unwrap();
    let place = (server.guild, channel["id"].as_str().unwrap().parse().unwrap());
    let command = platform
        .discord
        .command(place, server.members[1].user, "help", json!([]));
    platform.discord.answer(&command.await.unwrap()).await.unwrap();
    platform
}

/// The child of a span with this name and service.
fn child<'a>(spans: &'a [CollectedSpan], parent: &CollectedSpan, service: &str) -> Option<&'a CollectedSpan> {
    spans.iter().find(|span| {
        span.trace_id == parent.trace_id && span.parent_span_id == parent.span_id && span.service == service
    })
}

/// Whether a span is below another one, at any depth.
fn is_descendant(spans: &[CollectedSpan], span: &CollectedSpan, of: &CollectedSpan) -> bool {
    let mut at = span;
    for _ in 0..spans.len() {
        if at.parent_span_id == of.span_id {
            return true;
        }
        match spans.iter().find(|other| other.span_id == at.parent_span_id) {
            Some(parent) => at = parent,
            None => return false,
        }
    }
    false
}

/// The first span of the command in this service, and those of the worker and the proxy below it, once all are exported.
fn path_of_the_command(spans: &[CollectedSpan], ingress: &str) -> Option<[CollectedSpan; 3]> {
    let received = spans.iter().find(|span| {
        span.service == ingress
            && span
                .attributes
                .get("event")
                .is_some_and(|event| event == "INTERACTION_CREATE")
    })?;
    let handled = child(spans, received, "arrakis-worker")?;
    let forwarded = spans
        .iter()
        .find(|span| span.name == "proxy.call.forward" && is_descendant(spans, span, handled))?;
    Some([received.clone(), handled.clone(), forwarded.clone()])
}

#[tokio::test]
async fn command_is_one_trace_from_the_gateway_frame_to_the_reply() {
    let collector = TraceCollector::start().await;
    let variables = export_to(&collector, "1");
    let mut platform = platform_with_a_reply(&variables, Delivery::Gateway).await;

    let command = || async { path_of_the_command(&collector.spans(), "arrakis-ingestor") };
    let [received, handled, forwarded] = eventually_within(LIMIT, command, "the spans of the command").await;
    assert_eq!(received.parent_span_id, "", "{received:?}");
    assert_eq!(handled.name, "interaction.command.handle");
    assert_eq!(forwarded.service, "arrakis-discord-proxy");
    assert_eq!(forwarded.trace_id, received.trace_id);

    // The log of the worker has the same trace id.
    let is_logged = platform.workers[0]
        .log()
        .iter()
        .any(|line| line.contains(&received.trace_id));
    assert!(is_logged, "no log line of the worker has {}", received.trace_id);

    // What a service reads every second is in no trace.
    let begun_by_queries = |span: &CollectedSpan| span.parent_span_id.is_empty() && span.name.starts_with("db.");
    assert!(!collector.spans().iter().any(begun_by_queries));

    // Credentials are of a type that is never written.
    let application = base64_of_the_application();
    for span in collector.spans() {
        for (name, value) in &span.attributes {
            assert!(!value.contains(&application), "{}: {name} has the bot token", span.name);
            assert!(
                !value.contains(platform.credential()),
                "{}: {name} has a credential",
                span.name
            );
        }
    }
    for replica in platform.replicas() {
        let log = replica.log().join("\n");
        assert!(!log.contains(&application), "{} logs the bot token", replica.name());
    }
    platform.stop().await;
}

#[tokio::test]
async fn command_by_http_is_one_trace_from_the_request_to_the_reply() {
    let collector = TraceCollector::start().await;
    let variables = export_to(&collector, "1");
    let platform = platform_with_a_reply(&variables, Delivery::Http).await;

    let command = || async { path_of_the_command(&collector.spans(), "arrakis-interactions") };
    let [received, handled, forwarded] = eventually_within(LIMIT, command, "the spans of the command").await;
    assert_eq!(received.name, "interactions.event.publish");
    assert_eq!(received.parent_span_id, "", "{received:?}");
    assert_eq!(handled.name, "interaction.command.handle");
    assert_eq!(forwarded.service, "arrakis-discord-proxy");
    assert_eq!(forwarded.trace_id, received.trace_id);
    // The ingestor did not receive it.
    assert_eq!(path_of_the_command(&collector.spans(), "arrakis-ingestor"), None);
    platform.stop().await;
}

#[tokio::test]
async fn nothing_is_exported_without_a_sampled_trace() {
    let collector = TraceCollector::start().await;
    let variables = export_to(&collector, "0");
    // The ingestor has the events of the gateway all the same.
    let platform = platform_with_a_reply(&variables, Delivery::Http).await;
    // The end of each process exports what is left.
    platform.stop().await;
    assert!(collector.spans().is_empty(), "{:?}", collector.spans());
}

/// The beginning of the platform's bot token: the application's id in base64url.
fn base64_of_the_application() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("1100000000000000001")
}
