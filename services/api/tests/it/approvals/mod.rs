//! Approvals of plans: submission, decisions at Slack, messages.

mod second_factor;
mod slack;
mod submit;

use arrakis_api::{ApprovalConfig, Config, SlackConfig};
use arrakis_config::Secret;
use arrakis_db::ApiKeyScope::ApprovalsWrite;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TestApi;
use crate::support::slack::{BOT_TOKEN, CHANNEL, SIGNING_SECRET, SlackDouble};

/// Chani, Stilgar and Liet with an account at Slack; the first two at Discord. Thufir only requests.
const PEOPLE: &str = "chani=101/UCHANI,stilgar=102/USTILGAR,liet=ULIET,thufir=";

/// Configures approvals.
pub(crate) fn configure(config: &mut Config, slack: Option<&SlackDouble>) {
    config.approvals = ApprovalConfig {
        people: PEOPLE.parse().unwrap(),
        mfa_from_risk: 60,
        slack: slack.map(|slack| SlackConfig {
            base: format!("http://{}/api", slack.address),
            channel: CHANNEL.to_owned(),
            signing_secret: Secret::new(SIGNING_SECRET),
            bot_token: Secret::new(BOT_TOKEN),
        }),
    };
    config.tuning.approval_delivery = std::time::Duration::from_millis(50);
    config.tuning.per_address.burst = 1_000;
}

/// An api with Slack, and a key of a pipeline.
async fn with_slack() -> (TestApi, SlackDouble, String) {
    arrakis_runtime::install_crypto_provider();
    let slack = SlackDouble::start().await;
    let api = TestApi::start_with(|config| configure(config, Some(&slack))).await;
    let key = api.key(None, &[ApprovalsWrite]).await;
    (api, slack, key)
}

/// A plan of Thufir with this risk.
pub(crate) fn plan(risk: u8) -> Value {
    json!({
        "request_id": Uuid::now_v7(), "title": "Production <!here>", "plan_sha256": "ab".repeat(32), "verdict": "needs_approval",
        "risk_score": risk, "risk_reasons": ["changes a security group"], "summary": "~ aws_security_group.web", "requester": "thufir",
    })
}

/// Submits a plan; returns the id of its approval.
async fn submitted(api: &TestApi, key: &str, body: &Value) -> String {
    let answer = api.post_as(key, "/admin/approvals", body).await.ok();
    assert_eq!(answer["state"], "pending", "{answer:#}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn read(api: &TestApi, key: &str, id: &str) -> Value {
    api.get_as(key, &format!("/admin/approvals/{id}")).await.ok()
}
