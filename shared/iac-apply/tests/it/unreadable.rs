//! Managed things that Discord returns with a kind that this version does not have: they stay managed, and nothing is made in
//! their place.

use std::sync::Arc;

use arrakis_iac::model::{Address, Configuration};
use arrakis_iac::plan::{Mode, preflight};
use arrakis_iac_apply::http::{Discord, Request, Response, SendError, Transport};
use arrakis_iac_apply::{ReadError, all_kinds, read};
use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, configuration};
use crate::support::empty;

/// Changes the value of one field of the resource with one id, in every list.
#[derive(Debug)]
struct Changing {
    inner: Arc<dyn Transport>,
    id: String,
    field: &'static str,
    value: Value,
}

#[async_trait]
impl Transport for Changing {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut answer = self.inner.send(request).await?;
        if request.method == Method::GET
            && let Ok(Value::Array(mut list)) = serde_json::from_slice(&answer.body)
        {
            let mine = list.iter_mut().filter(|one| one["id"] == self.id.as_str());
            mine.for_each(|one| one[self.field] = self.value.clone());
            answer.body = serde_json::to_vec(&list).unwrap().into();
        }
        Ok(answer)
    }
}

fn wanted() -> Configuration {
    configuration(&[
        ("role.naib", json!({ "name": "Naib", "permissions": [] })),
        (
            "category.rock",
            json!({ "kind": "category", "name": "Rock",
            "overwrites": { "role.naib": { "allow": ["VIEW_CHANNEL"] } } }),
        ),
        (
            "channel.cave",
            json!({ "kind": "text", "name": "cave", "category": "category.rock",
            "overwrites": { "role.naib": { "allow": ["SEND_MESSAGES"] } } }),
        ),
        ("webhook.news", json!({ "name": "News", "channel": "channel.cave" })),
        (
            "automod.words",
            json!({ "name": "words", "trigger": { "type": "keyword", "keywords": ["x"], "patterns": [], "allow": [] },
            "actions": [{ "type": "alert", "channel": "channel.cave" }] }),
        ),
        (
            "event.festival",
            json!({ "name": "Festival", "start": "2999-01-01T00:00:00Z", "end": "2999-01-02T00:00:00Z",
            "place": { "external": "Arrakeen" } }),
        ),
    ])
}

const CELLS: [(&str, &str); 5] = [
    ("category.rock", "type"),
    ("channel.cave", "type"),
    ("webhook.news", "type"),
    ("automod.words", "trigger_type"),
    ("event.festival", "entity_type"),
];

/// A server as configured, and a client that receives one resource with an unknown kind.
async fn changed(address: &str, field: &'static str) -> (Bench, Discord) {
    let mut bench = Bench::start(empty()).await;
    bench.kinds = all_kinds();
    bench.apply(&wanted()).await.unwrap();
    let address: Address = address.parse().unwrap();
    let transport = Arc::new(Changing {
        inner: Arc::new(bench.server.https()),
        id: bench.state().await.id(&address).unwrap().to_string(),
        field,
        value: json!(99),
    });
    let (discord, _) = bench.server.client_over(transport, CancellationToken::new());
    (bench, discord)
}

#[tokio::test]
async fn apply_and_refresh_keep_unreadable_resource() {
    for (address, field) in CELLS {
        let (bench, discord) = changed(address, field).await;
        let before = bench.state().await;
        for mode in [Mode::Apply, Mode::RefreshOnly, Mode::Apply] {
            let plan = bench.run_by(&discord, &wanted(), mode).await.unwrap();
            assert!(plan.steps.is_empty(), "{address} {mode:?}: {:#?}", plan.steps);
            let live = read(&discord, bench.guild(), &bench.kinds).await.unwrap();
            let findings = preflight(&plan, &live, &bench.state().await);
            let is_reported = findings.iter().any(|finding| {
                finding.rule == "unreadable" && !finding.blocking && finding.addresses[0].to_string() == address
            });
            assert!(is_reported && findings.len() == 1, "{address} {mode:?}: {findings:#?}");
        }
        assert_eq!(bench.state().await.resources, before.resources, "{address}");
        let plan = bench.plan(&wanted(), Mode::Apply).await;
        assert!(
            plan.is_empty(),
            "once it can be read again, nothing is left to do: {:#?}",
            plan.changes
        );
    }
}

#[tokio::test]
async fn destroy_deletes_unreadable_resources() {
    for (address, field) in CELLS {
        let (bench, discord) = changed(address, field).await;
        bench
            .run_by(&discord, &Configuration::default(), Mode::Destroy)
            .await
            .unwrap();
        let (state, live) = (bench.state().await, bench.live().await);
        assert!(state.resources.is_empty(), "{address}: {:?}", state.resources.keys());
        for name in ["Naib", "Rock", "cave", "News", "words", "Festival"] {
            let left = live
                .resources()
                .filter(|found| found.attributes.name() == Some(name))
                .count();
            assert_eq!(left, 0, "{address}: {name}");
        }
    }
}

#[tokio::test]
async fn bot_user_without_an_id_is_an_error_with_the_call() {
    #[derive(Debug)]
    struct Nameless(Arc<dyn Transport>);
    #[async_trait]
    impl Transport for Nameless {
        async fn send(&self, request: &Request) -> Result<Response, SendError> {
            let mut answer = self.0.send(request).await?;
            if request.path == "/users/@me" {
                answer.body = b"{\"username\": \"worm\"}".to_vec().into();
            }
            Ok(answer)
        }
    }
    let bench = Bench::start(empty()).await;
    let transport = Arc::new(Nameless(Arc::new(bench.server.https())));
    let (discord, watched) = bench.server.client_over(transport, CancellationToken::new());
    let error = read(&discord, bench.guild(), &bench.kinds).await.unwrap_err();
    assert!(matches!(error, ReadError::Unreadable(_)), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("GET /users/@me") && message.contains("`id`"),
        "{message}"
    );
    assert_eq!(watched.sent(), ["GET /users/@me"]);
}
