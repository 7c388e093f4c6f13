use arrakis_db::ApprovalEventType;
use arrakis_test_support::eventually;
use futures_util::future::join_all;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{configure, plan, read, submitted, with_slack};
use crate::support::TestApi;
use crate::support::slack::{CHANNEL, SlackDouble, click, form, signature};

const APPROVE: &str = "approval_approve";
const REJECT: &str = "approval_reject";

/// The buttons of a message: their actions.
fn buttons(message: &Value) -> Vec<String> {
    let blocks = message["blocks"].as_array().unwrap();
    let actions = blocks.iter().filter(|block| block["type"] == "actions");
    actions
        .flat_map(|block| block["elements"].as_array().unwrap())
        .map(|button| button["action_id"].as_str().unwrap().to_owned())
        .collect()
}

async fn trail(api: &TestApi, id: &str) -> Vec<ApprovalEventType> {
    let mut tx = api.database.global().await.unwrap();
    let events = tx.approvals().events(id.parse().unwrap()).await.unwrap();
    events.into_iter().map(|event| event.event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_is_shown_approved_and_its_message_edited() {
    let (api, slack, key) = with_slack().await;
    let id = submitted(&api, &key, &plan(40)).await;
    let message = slack.call("chat.postMessage", 0).await;
    assert_eq!(
        (&message["channel"], &message["unfurl_links"]),
        (&json!(CHANNEL), &json!(false))
    );
    assert_eq!(buttons(&message), [APPROVE, REJECT]);
    let text = message["blocks"].to_string();
    for shown in [
        "Risk: 40 of 100",
        "changes a security group",
        "Requested by: thufir",
        "aws_security_group.web",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }

    let answer = api.slack(&click("USTILGAR", APPROVE, &id, "1764583000.000001")).await;
    assert_eq!(answer.ok(), json!({}));
    let view = read(&api, &key, &id).await;
    assert_eq!(
        (&view["state"], &view["decision"]["by"], &view["decision"]["via"]),
        (&json!("approved"), &json!("stilgar"), &json!("slack"))
    );
    let edited = slack.call("chat.update", 0).await;
    assert_eq!(
        (&edited["channel"], &edited["ts"]),
        (&json!(CHANNEL), &json!("1764583000.000001"))
    );
    assert!(buttons(&edited).is_empty());
    assert!(
        edited["text"].as_str().unwrap().contains("Approved by stilgar"),
        "{edited:#}"
    );
    assert_eq!(
        trail(&api, &id).await,
        [ApprovalEventType::Submitted, ApprovalEventType::Approved]
    );
    assert_eq!(slack.calls("chat.postMessage").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_concurrent_clicks_make_one_decision() {
    let (api, slack, key) = with_slack().await;
    let id = submitted(&api, &key, &plan(40)).await;
    slack.call("chat.postMessage", 0).await;
    let payloads: Vec<Value> = (0..50)
        .map(|number: usize| {
            let user = ["USTILGAR", "ULIET", "UCHANI"][number % 3];
            click(user, [APPROVE, REJECT][number % 2], &id, "1764583000.000001")
        })
        .collect();
    let answers = join_all(payloads.iter().map(|payload| api.slack(payload))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let view = read(&api, &key, &id).await;
    let trail = trail(&api, &id).await;
    assert_eq!(trail.len(), 2, "{trail:?}");
    let expected = match trail[1] {
        ApprovalEventType::Approved => "approved",
        _ => "rejected",
    };
    assert_eq!(view["state"], expected);
    let mut tx = api.admin.database().global().await.unwrap();
    let entries = tx.platform_audit_entries(100).await.unwrap();
    let decisions = entries
        .iter()
        .filter(|entry| ["approval.approve", "approval.reject"].contains(&entry.action.as_str()));
    assert_eq!(decisions.count(), 1);
}

#[tokio::test]
async fn requester_and_strangers_do_not_decide() {
    let (api, slack, key) = with_slack().await;
    let mut body = plan(40);
    body["requester"] = json!("Chani");
    let id = submitted(&api, &key, &body).await;
    for (number, (user, reason)) in [("UCHANI", "You requested this plan"), ("UNOBODY", "You may not decide")]
        .into_iter()
        .enumerate()
    {
        for action in [APPROVE, REJECT] {
            api.slack(&click(user, action, &id, "1.1")).await.ok();
        }
        let told = slack.call("chat.postEphemeral", number * 2).await;
        assert_eq!(told["user"], user);
        assert!(told["text"].as_str().unwrap().contains(reason), "{told}");
        slack.call("chat.postEphemeral", number * 2 + 1).await;
    }
    assert_eq!(read(&api, &key, &id).await["state"], "pending");
    let refused = ApprovalEventType::Refused;
    assert_eq!(trail(&api, &id).await, [ApprovalEventType::Submitted, refused, refused]);
}

#[tokio::test]
async fn unsigned_altered_and_old_requests_are_refused() {
    let (api, _slack, key) = with_slack().await;
    let id = submitted(&api, &key, &plan(40)).await;
    let body = form(&click("USTILGAR", APPROVE, &id, "1.1"));
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let at = |seconds: i64| (now + seconds).to_string();
    let old = at(-301);
    for (timestamp, sign, sent) in [
        (at(0), "v0=00".to_owned(), body.clone()),
        (at(0), String::new(), body.clone()),
        (at(0), signature(&at(0), &body), body.replace("USTILGAR", "ULIET")),
        (at(0), signature(&at(-1), &body), body.clone()),
        // A request that was signed by Slack, and is sent again after five minutes.
        (old.clone(), signature(&old, &body), body.clone()),
        (at(400), signature(&at(400), &body), body.clone()),
    ] {
        api.slack_raw(&timestamp, &sign, sent)
            .await
            .assert_problem(401, "invalid-signature");
    }
    assert_eq!(read(&api, &key, &id).await["state"], "pending");
    // Within the five minutes a repetition changes nothing.
    let (timestamp, sign) = (at(0), signature(&at(0), &body));
    for _ in 0..2 {
        api.slack_raw(&timestamp, &sign, body.clone()).await.ok();
    }
    assert_eq!(trail(&api, &id).await.len(), 2);
    let broken = "payload=%7B".to_owned();
    let sign = signature(&at(0), &broken);
    api.slack_raw(&at(0), &sign, broken)
        .await
        .assert_problem(400, "invalid-body");
    let large = format!("payload={}", "x".repeat(1 << 20));
    api.slack_raw(&at(0), "v0=00", large)
        .await
        .assert_problem(413, "body-too-large");
}

#[tokio::test]
async fn message_is_sent_after_slack_was_unavailable() {
    arrakis_runtime::install_crypto_provider();
    let slack = SlackDouble::start().await;
    slack.refuse_next("ratelimited");
    let api = TestApi::start_with(|config| configure(config, Some(&slack))).await;
    let key = api.key(None, &[arrakis_db::ApiKeyScope::ApprovalsWrite]).await;
    let id = submitted(&api, &key, &plan(40)).await;
    // The attempt that failed keeps the message for half a minute; here its time is over at once.
    let returned = async || {
        let mut owner = <sqlx::PgConnection as sqlx::Connection>::connect(&api.test_database.owner_url())
            .await
            .unwrap();
        sqlx::query("update approval_messages set taken_until = now() where message is null")
            .execute(&mut owner)
            .await
            .unwrap();
        !slack.calls("chat.postMessage").is_empty()
    };
    eventually(returned, "the message to be sent").await;
    let message = slack.call("chat.postMessage", 0).await;
    assert!(message.to_string().contains(&id));
}

#[tokio::test]
async fn decision_elsewhere_edits_the_message() {
    let (api, slack, key) = with_slack().await;
    let id = submitted(&api, &key, &plan(40)).await;
    slack.call("chat.postMessage", 0).await;
    let mut tx = api.database.global().await.unwrap();
    let actor = arrakis_db::ApprovalActor {
        name: "stilgar",
        via: arrakis_db::ApprovalVia::Discord,
        account: "102",
    };
    let approval = id.parse().unwrap();
    assert!(tx.approvals().decide(approval, false, actor, false).await.unwrap());
    tx.commit().await.unwrap();
    let edited = slack.call("chat.update", 0).await;
    assert!(
        edited["text"].as_str().unwrap().contains("Rejected by stilgar"),
        "{edited:#}"
    );
    // A click on the outdated message changes nothing, and its user is shown the decision.
    api.slack(&click("ULIET", APPROVE, &id, "1.1")).await.ok();
    let told = slack.call("chat.postEphemeral", 0).await;
    assert!(told["text"].as_str().unwrap().contains("Rejected by stilgar"), "{told}");
    assert_eq!(read(&api, &key, &id).await["state"], "rejected");
}
