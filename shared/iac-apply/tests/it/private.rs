//! Private channels stay private: after every single request, from the creation of a channel to the change of its overwrites,
//! it is hidden from all members who may not view it before or after the apply.

use std::sync::Arc;

use arrakis_domain::{Permission, Permissions};
use arrakis_iac::model::{Attributes, Configuration, Kind, Target};
use arrakis_iac_apply::http::{Request, Response, SendError, Transport};
use arrakis_iac_apply::read;
use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, configuration};

/// Looks at the server after each request.
#[derive(Debug)]
struct Watchman {
    bench: Arc<Bench>,
}

#[async_trait]
impl Transport for Watchman {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let answer = self.bench.server.https().send(request).await;
        let (discord, _) = self.bench.server.client();
        let live = read(&discord, self.bench.guild(), &[].into()).await.unwrap();
        for channel in live.of_kind(Kind::Channel).chain(live.of_kind(Kind::Category)) {
            let (Attributes::Channel(attributes) | Attributes::Category(attributes)) = &channel.attributes else {
                continue;
            };
            if attributes.name.as_deref().is_some_and(|name| name.contains("secret")) {
                let everyone = attributes
                    .overwrites
                    .as_ref()
                    .and_then(|all| all.get(&Target::Everyone));
                let denied = everyone.map_or(Permissions::NONE, |overwrite| overwrite.deny);
                assert!(
                    denied.contains(Permission::ViewChannel),
                    "open after {} {}",
                    request.method,
                    request.path
                );
            }
        }
        answer
    }
}

/// The same secrets for other people, in another category, under another name.
fn stages() -> [Configuration; 3] {
    let hidden = |whom: &str| json!({ "everyone": { "deny": ["VIEW_CHANNEL"] }, whom: { "allow": ["VIEW_CHANNEL"] } });
    let with = |whom: &str, category: &str, name: &str, kind: &str| {
        configuration(&[
            ("role.naib", json!({ "name": "Naib" })),
            ("role.usul", json!({ "name": "Usul" })),
            (
                "category.open",
                json!({ "kind": "category", "name": "Open", "overwrites": {} }),
            ),
            (
                "category.closed",
                json!({ "kind": "category", "name": "secret rock", "overwrites": hidden(whom) }),
            ),
            (
                "channel.plans",
                json!({ "kind": kind, "name": name, "category": category, "overwrites": hidden(whom) }),
            ),
            (
                "channel.inherits",
                json!({ "kind": "text", "name": "secret-too", "category": "category.closed" }),
            ),
        ])
    };
    [
        with("role.naib", "category.closed", "secret-plans", "text"),
        with("role.usul", "category.open", "secret-designs", "text"),
        with("bot", "none", "secret voices", "voice"),
    ]
}

#[tokio::test]
async fn private_channel_is_never_open_between_steps() {
    let bench = Arc::new(Bench::start(json!({ "name": "Before", "community": true })).await);
    let before = bench.live().await;
    for stage in stages() {
        let watchman = Watchman {
            bench: Arc::clone(&bench),
        };
        let (discord, watched) = bench.server.client_over(Arc::new(watchman), CancellationToken::new());
        let mode = arrakis_iac::plan::Mode::Apply;
        bench.run_by(&discord, &stage, mode).await.unwrap();
        assert!(watched.sent().len() > 4, "{:?}", watched.sent());
        bench.assert_applied(&stage, &before).await;
    }
}
