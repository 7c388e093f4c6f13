//! Approvals of plans at Discord: the message, its buttons, the code of a second factor, the end after the time, and the signature.

use std::sync::Arc;

use arrakis_db::mfa;
use arrakis_db::{
    Approval, ApprovalEventType, ApprovalState, ApprovalVerdict, ApprovalVia, Database, NewApproval, UserId,
};
use arrakis_security::mfa::{SecretCipher, Totp};
use arrakis_security::signing::{Algorithm, LocalSigner, Signer, SigningPurpose};
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_worker::approvals::{ApprovalConfig, Approvals, show_approvals, sign_approvals};
use arrakis_worker::services::Services;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::platform::{Platform, Worker};

const DAY: Duration = Duration::hours(24);

fn people(platform: &Platform) -> String {
    let user = |name: &str| platform.community.user(name).to_owned();
    format!("stilgar={},chani={},thufir=", user("stilgar"), user("chani"))
}

/// A platform with a worker that shows approvals, and the key of its second factors.
async fn started() -> (Platform, Worker, SecretCipher) {
    let platform = Platform::start().await;
    let key = SecretCipher::generate_key("test").unwrap();
    let mut environment = platform.environment();
    environment.extend([
        ("APPROVAL_PEOPLE", people(&platform)),
        ("DISCORD_APPROVALS_CHANNEL", platform.community.channel.clone()),
        ("MFA_ENCRYPTION_KEY", key.clone()),
    ]);
    let worker = Worker::start(&environment).await;
    platform.commands_registered().await;
    (platform, worker, key.parse().unwrap())
}

async fn submit(database: &Database, requester: &str, needs_mfa: bool, validity: Duration) -> Uuid {
    let new = NewApproval {
        id: Uuid::now_v7(),
        title: "Production: network",
        plan_digest: [7; 32],
        verdict: ApprovalVerdict::NeedsApproval,
        risk_score: 40,
        risk_reasons: &["changes a security group".to_owned()],
        summary: "~ aws_security_group.web",
        requester,
        submitted_by: "api-key:1",
        needs_mfa,
        validity,
    };
    let mut tx = database.global().await.unwrap();
    assert!(tx.approvals().submit(&new).await.unwrap());
    tx.commit().await.unwrap();
    new.id
}

async fn stored(platform: &Platform, id: Uuid) -> Approval {
    let mut tx = platform.database.global().await.unwrap();
    tx.approvals().get(id).await.unwrap().unwrap()
}

async fn trail(platform: &Platform, id: Uuid) -> Vec<ApprovalEventType> {
    let mut tx = platform.database.global().await.unwrap();
    let events = tx.approvals().events(id).await.unwrap();
    events.into_iter().map(|event| event.event).collect()
}

/// The messages of the channel about this approval or any other one.
async fn messages(platform: &Platform) -> Vec<Value> {
    let (guild, channel) = (platform.community.guild.as_str(), platform.community.channel.as_str());
    platform.control.messages(guild, channel).await.unwrap()
}

/// Waits for the message with a button of this approval.
async fn shown(platform: &Platform, id: Uuid) -> Value {
    let id = id.to_string();
    let found = || async {
        let all = messages(platform).await;
        all.into_iter()
            .find(|message| message["components"].to_string().contains(&id))
    };
    eventually(found, "the message of the approval").await
}

/// Presses a button of a message; returns the id of the interaction.
async fn press(platform: &Platform, user: &str, message: &Value, custom_id: &str) -> String {
    let user = platform.community.user(user);
    let message = message["id"].as_str().unwrap();
    let id = platform
        .control
        .press(&platform.community, user, message, custom_id)
        .await;
    platform.deliver("INTERACTION_CREATE").await;
    id
}

async fn until_edited(platform: &Platform, message: &Value, text: &str) {
    let edited = || async {
        let all = messages(platform).await;
        let found = all.iter().find(|found| found["id"] == message["id"]).unwrap();
        found["embeds"].to_string().contains(text) && found["components"] == json!([])
    };
    eventually(edited, format!("the message to show: {text}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_is_shown_and_approved_by_a_button() {
    let (platform, _worker, _) = started().await;
    let id = submit(&platform.database, "thufir", false, DAY).await;
    let message = shown(&platform, id).await;
    let embed = message["embeds"][0].to_string();
    for text in [
        // With the colon of a name of an emoji escaped.
        r"Production\\: network",
        "40 of 100",
        "changes a security group",
        "aws_security_group.web",
        "thufir",
    ] {
        assert!(embed.contains(text), "{text}: {embed}");
    }
    press(&platform, "stilgar", &message, &format!("approval:approve:{id}")).await;
    until_edited(&platform, &message, "Approved by stilgar").await;
    let approval = stored(&platform, id).await;
    let decision = approval.decision.unwrap();
    assert_eq!(
        (approval.state, decision.via),
        (ApprovalState::Approved, ApprovalVia::Discord)
    );
    assert_eq!(decision.account, platform.community.user("stilgar"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_presses_make_one_decision() {
    let (platform, _worker, _) = started().await;
    let id = submit(&platform.database, "thufir", false, DAY).await;
    let message = shown(&platform, id).await;
    let mut presses = Vec::new();
    for number in 0..50 {
        let user = ["stilgar", "chani"][number % 2];
        let action = ["approve", "reject"][number / 2 % 2];
        presses.push(press(&platform, user, &message, &format!("approval:{action}:{id}")).await);
    }
    for press in presses {
        platform.control.answered(&press).await;
    }
    assert_eq!(trail(&platform, id).await.len(), 2);
    assert_ne!(stored(&platform, id).await.state, ApprovalState::Pending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requester_and_members_who_are_not_listed_do_not_decide() {
    let (platform, _worker, _) = started().await;
    let id = submit(&platform.database, "chani", false, DAY).await;
    let message = shown(&platform, id).await;
    for user in ["liet", "chani"] {
        press(&platform, user, &message, &format!("approval:approve:{id}")).await;
    }
    let refused = || async { trail(&platform, id).await.contains(&ApprovalEventType::Refused) };
    eventually(refused, "the refusal of the requester").await;
    platform.until_messages("arrakis.interactions", 0).await;
    assert_eq!(stored(&platform, id).await.state, ApprovalState::Pending);
    press(&platform, "stilgar", &message, &format!("approval:reject:{id}")).await;
    until_edited(&platform, &message, "Rejected by stilgar").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_of_high_risk_needs_a_code() {
    let (platform, _worker, cipher) = started().await;
    let user: UserId = platform.community.user_id("stilgar");
    let totp = Totp::generate();
    let before = OffsetDateTime::now_utc() - Duration::seconds(60);
    let sealed = cipher.seal(user.get(), totp.secret()).unwrap();
    let mut tx = platform.database.global().await.unwrap();
    assert!(tx.mfa().begin(user, &sealed, before).await.unwrap());
    let confirmed = mfa::confirm(&mut tx, &cipher, user, &totp.code_at(before), before).await;
    assert_eq!(confirmed.unwrap(), mfa::MfaOutcome::Accepted);
    tx.commit().await.unwrap();

    let id = submit(&platform.database, "thufir", true, DAY).await;
    let message = shown(&platform, id).await;
    // Without a second factor there is no modal in which to type a code.
    let not_enrolled = press(&platform, "chani", &message, &format!("approval:ask:{id}")).await;
    let refused = platform
        .until(&not_enrolled, |view| {
            view["state"] == "answered" || view["callback_type"] == 9
        })
        .await;
    assert!(
        refused.to_string().contains("You have no second factor yet."),
        "{refused:#}"
    );
    assert!(refused.to_string().contains("/mfa enrol"), "{refused:#}");
    // A press that leaves the modal out decides nothing.
    let forged = press(&platform, "stilgar", &message, &format!("approval:approve:{id}")).await;
    let opened = press(&platform, "stilgar", &message, &format!("approval:ask:{id}")).await;
    platform.until(&opened, |view| view["callback_type"] == 9).await;
    let is_handled = |view: &Value| view["state"] != "pending";
    platform.until(&forged, is_handled).await;
    assert_eq!(stored(&platform, id).await.state, ApprovalState::Pending);

    let submitted = async |code: &str| {
        let request = json!({
            "kind": "modal", "custom_id": format!("approval:code:{id}"), "fields": {"code": code}, "interaction_id": opened,
            "guild_id": platform.community.guild, "channel_id": platform.community.channel,
            "user_id": platform.community.user("stilgar"), "force": true,
        });
        platform.control.interact(request).await;
        platform.deliver("INTERACTION_CREATE").await;
    };
    submitted("abcdef").await;
    let refused = || async { trail(&platform, id).await.contains(&ApprovalEventType::Refused) };
    eventually(refused, "the refusal of the wrong code").await;
    submitted(&totp.code_at(OffsetDateTime::now_utc())).await;
    until_edited(&platform, &message, "Approved by stilgar").await;
    assert!(stored(&platform, id).await.decision.unwrap().second_factor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approval_lapses_by_the_leader() {
    let (platform, _worker, _) = started().await;
    let late = submit(&platform.database, "thufir", false, Duration::milliseconds(1)).await;
    let lapsed = || async { stored(&platform, late).await.state == ApprovalState::Lapsed };
    eventually(lapsed, "the approval to lapse").await;
}

/// The services of a worker with approvals, without its other tasks.
fn services(platform: &Platform, signer: Option<Arc<dyn Signer>>) -> Services {
    let channel = platform.community.channel.parse::<u64>().unwrap();
    Services {
        approvals: Approvals {
            config: ApprovalConfig {
                people: people(platform).parse().unwrap(),
                channel: Some(twilight_model::id::Id::new(channel)),
            },
            signer,
        },
        ..platform.services(&Metrics::new())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_leaders_send_one_message() {
    let platform = Platform::start().await;
    let (one, other) = (services(&platform, None), services(&platform, None));
    let id = submit(&platform.database, "thufir", false, DAY).await;
    let (first, second) = tokio::join!(show_approvals(&one), show_approvals(&other));
    first.unwrap();
    second.unwrap();
    show_approvals(&one).await.unwrap();
    let all = messages(&platform).await;
    let found = all
        .iter()
        .filter(|message| message["components"].to_string().contains(&id.to_string()));
    assert_eq!(found.count(), 1, "{all:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decision_is_signed_once_for_its_purpose() {
    let platform = Platform::start().await;
    let signer = Arc::new(LocalSigner::generate().unwrap());
    let services = services(&platform, Some(signer.clone()));
    let id = submit(&platform.database, "thufir", false, DAY).await;
    sign_approvals(&services).await.unwrap();
    assert_eq!(stored(&platform, id).await.signature, None, "it is pending");
    let mut tx = platform.database.global().await.unwrap();
    let actor = arrakis_db::ApprovalActor {
        name: "stilgar",
        via: ApprovalVia::Slack,
        account: "U1",
    };
    let attempt = arrakis_db::DecisionAttempt {
        approval: id,
        approves: true,
        actor,
    };
    let outcome = tx.attempt_decision(attempt, None).await.unwrap();
    assert!(
        matches!(outcome, arrakis_db::DecisionOutcome::Decided(_)),
        "{outcome:?}"
    );
    tx.commit().await.unwrap();
    // Written to the database without an entry in the audit log.
    let forged = submit(&platform.database, "thufir", false, DAY).await;
    let mut tx = platform.database.global().await.unwrap();
    assert!(tx.approvals().decide(forged, true, actor, false).await.unwrap());
    tx.commit().await.unwrap();
    sign_approvals(&services).await.unwrap();
    assert_eq!(stored(&platform, forged).await.signature, None);
    let signed = stored(&platform, id).await.signature.unwrap();
    sign_approvals(&services).await.unwrap();
    assert_eq!(stored(&platform, id).await.signature.as_ref(), Some(&signed));
    assert_eq!(signed.signature.algorithm, Algorithm::Ed25519);
    signer
        .verify_for(SigningPurpose::Approval, &signed.record, &signed.signature)
        .await
        .unwrap();
    let other = signer
        .verify_for(SigningPurpose::Manifest, &signed.record, &signed.signature)
        .await;
    assert!(other.is_err(), "a signature of a decision is none of a manifest");
    let record: Value = serde_json::from_slice(&signed.record).unwrap();
    assert_eq!(
        (&record["decided_by"], &record["state"]),
        (&json!("stilgar"), &json!("approved"))
    );
}
