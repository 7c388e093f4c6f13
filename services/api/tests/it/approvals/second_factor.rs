use arrakis_db::mfa;
use arrakis_db::{ApprovalEventType, UserId};
use arrakis_security::mfa::{SecretCipher, Totp};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{configure, plan, read, submitted};
use crate::support::TestApi;
use crate::support::slack::{SlackDouble, click, submission};

const APPROVE: &str = "approval_approve";
const TS: &str = "1764583000.000001";

/// Gives a user a second factor, whose first code was of the time before; returns it.
async fn enrolled(api: &TestApi, cipher: &SecretCipher, user: u64) -> Totp {
    let totp = Totp::generate();
    let sealed = cipher.seal(user, totp.secret()).unwrap();
    let user = UserId::new(user).unwrap();
    let before = OffsetDateTime::now_utc() - Duration::seconds(60);
    let mut tx = api.database.global().await.unwrap();
    assert!(tx.mfa().begin(user, &sealed, before).await.unwrap());
    let confirmed = mfa::confirm(&mut tx, cipher, user, &totp.code_at(before), before).await;
    assert_eq!(confirmed.unwrap(), mfa::MfaOutcome::Accepted);
    tx.commit().await.unwrap();
    totp
}

/// An api with Slack, a key of a pipeline, and the second factor of an approver.
async fn started() -> (SlackDouble, TestApi, String, Totp) {
    arrakis_runtime::install_crypto_provider();
    let slack = SlackDouble::start().await;
    let cipher: SecretCipher = SecretCipher::generate_key("test").unwrap().parse().unwrap();
    let used = cipher.clone();
    let api = TestApi::start_with(|config| {
        configure(config, Some(&slack));
        config.mfa = Some(used);
    })
    .await;
    let key = api.key(None, &[arrakis_db::ApiKeyScope::ApprovalsWrite]).await;
    let totp = enrolled(&api, &cipher, 102).await;
    (slack, api, key, totp)
}

#[tokio::test]
async fn plan_of_high_risk_is_approved_with_a_code_in_a_modal() {
    let (slack, api, key, totp) = started().await;
    let id = submitted(&api, &key, &plan(90)).await;
    slack.call("chat.postMessage", 0).await;

    api.slack(&click("USTILGAR", APPROVE, &id, TS)).await.ok();
    let opened = slack.call("views.open", 0).await;
    assert_eq!(opened["trigger_id"], "13345224609.738474920");
    assert_eq!(opened["view"]["private_metadata"], id);
    assert_eq!(read(&api, &key, &id).await["state"], "pending");

    // Without a second factor there is no modal in which to type a code.
    api.slack(&click("UCHANI", APPROVE, &id, TS)).await.ok();
    let told = slack.call("chat.postEphemeral", 0).await;
    assert_eq!(told["user"], "UCHANI");
    assert!(told["text"].as_str().unwrap().contains("/mfa enrol"), "{told}");

    let wrong = api.slack(&submission("USTILGAR", &id, "abcdef")).await.ok();
    assert_eq!(wrong["response_action"], "errors");
    let text = wrong["errors"]["approval_code"].as_str().unwrap();
    assert!(text.contains("The code is wrong"), "{text}");
    // Of a person whose account has no second factor, and of one without an account at Discord.
    let not_enrolled = api.slack(&submission("UCHANI", &id, "123456")).await.ok();
    assert!(
        not_enrolled.to_string().contains("no second factor yet"),
        "{not_enrolled}"
    );
    let no_account = api.slack(&submission("ULIET", &id, "123456")).await.ok();
    assert!(
        no_account.to_string().contains("APPROVAL_PEOPLE has none for you"),
        "{no_account}"
    );

    let code = totp.code_at(OffsetDateTime::now_utc());
    let accepted = api.slack(&submission("USTILGAR", &id, &code)).await.ok();
    assert_eq!(accepted, json!({"response_action": "clear"}));
    let view = read(&api, &key, &id).await;
    assert_eq!(
        (&view["state"], &view["decision"]["second_factor"]),
        (&json!("approved"), &json!(true))
    );
    let edited = slack.call("chat.update", 0).await;
    assert!(
        edited["text"].as_str().unwrap().contains("Approved by stilgar"),
        "{edited:#}"
    );
    // Submitted again: its approval was decided by the same person, and the code is not needed again.
    let repeated = api.slack(&submission("USTILGAR", &id, &code)).await.ok();
    assert_eq!(repeated, json!({"response_action": "clear"}));
    let mut tx = api.database.global().await.unwrap();
    let events = tx.approvals().events(id.parse().unwrap()).await.unwrap();
    let events: Vec<_> = events.into_iter().map(|event| event.event).collect();
    let refused = ApprovalEventType::Refused;
    assert_eq!(
        events,
        [
            ApprovalEventType::Submitted,
            refused,
            refused,
            ApprovalEventType::Approved
        ]
    );
}

#[tokio::test]
async fn code_that_was_used_for_one_plan_does_not_approve_another() {
    let (_slack, api, key, totp) = started().await;
    let (one, other) = (
        submitted(&api, &key, &plan(90)).await,
        submitted(&api, &key, &plan(90)).await,
    );
    let code = totp.code_at(OffsetDateTime::now_utc());
    let accepted = api.slack(&submission("USTILGAR", &one, &code)).await.ok();
    assert_eq!(accepted["response_action"], "clear");
    let replayed = api.slack(&submission("USTILGAR", &other, &code)).await.ok();
    assert!(replayed.to_string().contains("was used before"), "{replayed}");
    assert_eq!(read(&api, &key, &other).await["state"], "pending");
}
