//! Answers that lack something, and copies of a server: what is read wrongly must not be forgotten, and what is exported sets
//! everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrakis_iac::config::{VariableInputs, load};
use arrakis_iac::export::{ExportDetail, assign, from_live, to_yaml};
use arrakis_iac::model::{Configuration, Kind, Snowflake};
use arrakis_iac::plan::{Mode, Options, PlanError, plan};
use arrakis_iac_apply::http::{CallError, Request, Response, SendError, Transport};
use arrakis_iac_apply::{ReadError, absent_members, all_kinds, read};
use arrakis_themes::Registry;
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, configuration};
use crate::support::empty;

/// Changes the answer to every GET of one path.
#[derive(Debug)]
struct Bent {
    inner: Arc<dyn Transport>,
    path: String,
    bend: fn(&mut Response),
}

#[async_trait]
impl Transport for Bent {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut answer = self.inner.send(request).await?;
        if request.path.ends_with(&self.path) && request.method == http::Method::GET {
            (self.bend)(&mut answer);
        }
        Ok(answer)
    }
}

fn change(answer: &mut Response, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&answer.body).unwrap();
    change(&mut value);
    answer.body = serde_json::to_vec(&value).unwrap().into();
}

fn bent(bench: &Bench, path: String, bend: fn(&mut Response)) -> arrakis_iac_apply::http::Discord {
    let inner: Arc<dyn Transport> = Arc::new(bench.server.https());
    let transport = Arc::new(Bent { inner, path, bend });
    bench.server.client_over(transport, CancellationToken::new()).0
}

#[tokio::test]
async fn response_without_roles_is_an_error_with_call_and_field() {
    let bench = Bench::start(empty()).await;
    bench
        .apply(&configuration(&[("role.naib", json!({ "name": "Naib" }))]))
        .await
        .unwrap();
    let path = format!("/guilds/{}", bench.guild());
    let discord = bent(&bench, path.clone(), |answer| {
        change(answer, |guild| {
            guild.as_object_mut().unwrap().remove("roles");
        });
    });
    let error = read(&discord, bench.guild(), &bench.kinds).await.unwrap_err();
    assert!(matches!(error, ReadError::Unreadable(_)), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("GET /guilds/{id}") && message.contains("`roles`"),
        "{message}"
    );
    let null = bent(&bench, path, |answer| {
        change(answer, |guild| guild["roles"][1]["permissions"] = Value::Null);
    });
    let message = read(&null, bench.guild(), &bench.kinds).await.unwrap_err().to_string();
    assert!(message.contains("roles[1].permissions"), "{message}");
}

#[tokio::test]
async fn missing_collection_is_an_error_and_not_empty() {
    let mut bench = Bench::start(empty()).await;
    bench.kinds = all_kinds();
    let config = configuration(&[
        ("channel.spice", json!({ "kind": "text", "name": "spice" })),
        ("webhook.news", json!({ "name": "News", "channel": "channel.spice" })),
    ]);
    bench.apply(&config).await.unwrap();
    let discord = bent(&bench, format!("/guilds/{}/webhooks", bench.guild()), |answer| {
        answer.status = http::StatusCode::NOT_FOUND;
        answer.body = br#"{"message": "404: Not Found", "code": 0}"#.to_vec().into();
    });
    let live = read(&discord, bench.guild(), &bench.kinds).await.unwrap();
    assert!(live.unread.contains(&Kind::Webhook));
    for mode in [Mode::Apply, Mode::RefreshOnly, Mode::Destroy] {
        let options = Options {
            mode,
            ..Options::default()
        };
        let refused = plan(&config, &bench.state().await, &live, &options).unwrap_err();
        assert_eq!(refused, PlanError::Unread(Kind::Webhook), "{mode:?}");
    }
}

/// A firewall's or a gateway's 404 states nothing about the server: a resource must not be forgotten because of it.
#[tokio::test]
async fn refusal_without_discord_error_body_is_an_outage() {
    let bench = Bench::start(empty()).await;
    for status in [http::StatusCode::NOT_FOUND, http::StatusCode::FORBIDDEN] {
        let bend = match status {
            http::StatusCode::NOT_FOUND => |answer: &mut Response| {
                answer.status = http::StatusCode::NOT_FOUND;
                answer.body = b"<html>no such page</html>".to_vec().into();
            },
            _ => |answer: &mut Response| {
                answer.status = http::StatusCode::FORBIDDEN;
                answer.body = b"<html>blocked</html>".to_vec().into();
            },
        };
        let discord = bent(&bench, format!("/guilds/{}/webhooks", bench.guild()), bend);
        let error = read(&discord, bench.guild(), &all_kinds()).await.unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(&error, ReadError::Call(CallError::Unavailable { .. })),
            "{error:?}"
        );
        assert!(
            message.contains(&format!("the response is not Discord's: status {}", status.as_u16())),
            "{message}"
        );
    }
}

#[tokio::test]
async fn absent_members_are_found() {
    let bench = Bench::start(empty()).await;
    let (discord, _) = bench.server.client();
    let bot = bench.live().await.bot.user_id;
    let nobody = Snowflake::new(4711).unwrap();
    let absent = absent_members(&discord, bench.guild(), &[bot, nobody].into())
        .await
        .unwrap();
    assert_eq!(absent, [nobody].into());
}

fn read_back(yaml: &str) -> Configuration {
    let loaded = load(
        "export.yaml",
        yaml.as_bytes(),
        &Registry::load(None).unwrap(),
        &VariableInputs::default(),
    );
    loaded
        .unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
        .configuration
}

/// The ids of tags are each server's own.
fn without_ids(value: &Value) -> Value {
    let mut value = value.clone();
    for entry in value.as_array_mut().into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("id");
        }
    }
    value
}

/// The export of one server applied to another sets every attribute, and a newer one sets them back to their defaults.
#[tokio::test]
async fn export_resets_another_server_to_defaults() {
    let one = Bench::start(json!({ "name": "One", "community": true })).await;
    let other = Bench::start(json!({ "name": "Other", "community": true })).await;
    let rich = configuration(&[
        (
            "role.naib",
            json!({ "name": "Naib", "color": "#FFD700", "hoist": true, "mentionable": true, "permissions": ["SPEAK"] }),
        ),
        ("category.hall", json!({ "kind": "category", "name": "Hall" })),
        (
            "channel.spice",
            json!({ "kind": "text", "name": "spice", "topic": "t", "nsfw": true, "slow_mode": 5, "auto_archive": "3d",
            "thread_slow_mode": 7, "category": "category.hall" }),
        ),
        (
            "channel.cave",
            json!({ "kind": "voice", "name": "cave", "user_limit": 5, "bitrate": 8_000, "video_quality": "full" }),
        ),
        (
            "channel.questions",
            json!({ "kind": "forum", "name": "questions", "tags": [{ "name": "one" }], "sort_order": "creation_date",
            "layout": "grid", "default_reaction": "🔥", "require_tag": true, "tag_match": "match_all" }),
        ),
    ]);
    let plain = configuration(&[
        (
            "role.naib",
            json!({ "name": "Naib", "color": "#000000", "hoist": false, "mentionable": false, "permissions": [] }),
        ),
        ("category.hall", json!({ "kind": "category", "name": "Hall" })),
        (
            "channel.spice",
            json!({ "kind": "text", "name": "spice", "topic": "", "nsfw": false, "slow_mode": 0, "auto_archive": "none",
            "thread_slow_mode": 0, "category": "none" }),
        ),
        (
            "channel.cave",
            json!({ "kind": "voice", "name": "cave", "user_limit": 0, "bitrate": 64_000, "video_quality": "auto" }),
        ),
        (
            "channel.questions",
            json!({ "kind": "forum", "name": "questions", "tags": [], "sort_order": "none", "layout": "not_set",
            "default_reaction": "none", "require_tag": false, "tag_match": "none" }),
        ),
    ]);
    for config in [&rich, &plain] {
        one.apply(config).await.unwrap();
        let (live, state) = (one.live().await, one.state().await);
        let managed: BTreeMap<_, _> = state
            .resources
            .iter()
            .map(|(address, entry)| (address.clone(), entry.id))
            .collect();
        let mut addresses = assign(&live, &managed);
        // Settings of the server name its own channels.
        addresses.retain(|address, _| managed.contains_key(address));
        let export = read_back(&to_yaml(&from_live(&live, &addresses, ExportDetail::Readable), ""));
        other.apply(&export).await.unwrap();
        let copy = other.live().await;
        for (address, id) in &managed {
            let mine = live.get(address.kind(), *id).unwrap().attributes.to_map();
            let theirs = other.state().await.resources[address].id;
            let theirs = copy.get(address.kind(), theirs).unwrap().attributes.to_map();
            for (field, value) in mine.iter().filter(|(field, _)| *field != "category") {
                let (value, copied) = (without_ids(value), theirs.get(field).map(without_ids));
                assert_eq!(copied, Some(value), "{address} {field}");
            }
        }
        assert!(other.plan(&export, Mode::Apply).await.is_empty());
    }
}
