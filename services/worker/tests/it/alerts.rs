//! Alerts from a notification event to the direct message, and `/alerts`.

use std::collections::BTreeSet;
use std::time::Duration;

use arrakis_db::{AlertOutcome, NewAlert, NewNotification, NotificationKind, Subscription};
use arrakis_domain::{AlertDelivery, AlertKind, AlertSettings, QuietHours};
use arrakis_emulator_client::Fault;
use arrakis_telemetry::Metrics;
use arrakis_test_support::{Process, eventually, eventually_within};
use arrakis_worker::jobs::{self, notify};
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::platform::{Platform, assert_description, assert_refusal, description, embed};

/// The leader enqueues the job every ten seconds.
const WAIT: Duration = Duration::from_secs(60);

/// Switches kinds on for a member.
async fn subscribe(platform: &Platform, name: &str, kinds: &[AlertKind]) {
    let settings = AlertSettings {
        kinds: kinds.iter().copied().collect(),
        ..AlertSettings::default()
    };
    store(platform, name, &settings).await;
}

async fn store(platform: &Platform, name: &str, settings: &AlertSettings) {
    let mut tx = platform.tenant().await;
    tx.alerts()
        .subscribe(platform.community.user_id(name), settings)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn subscription(platform: &Platform, name: &str) -> Option<Subscription> {
    let mut tx = platform.tenant().await;
    tx.alerts()
        .subscription(platform.community.user_id(name))
        .await
        .unwrap()
}

/// Adds an event of a member's rank, as the eligibility sync does.
async fn rank_event(platform: &Platform, name: &str, id: &str, ranks: (u32, u32)) {
    let place = |rank: u32| json!({"rank": rank, "held": "1500000000000000000000"});
    let event = NewNotification {
        id: format!("{id}:rank:{name}"),
        kind: NotificationKind::Rank,
        user: Some(platform.community.user_id(name)),
        payload: json!({"before": place(ranks.0), "after": place(ranks.1)}),
    };
    let mut tx = platform.tenant().await;
    assert_eq!(tx.notifications().add(&[event]).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// Runs a job `notify` with this id, and waits for its end.
async fn notify(platform: &Platform, id: &str) {
    let services = platform.services(&Metrics::new());
    let request = notify::request(format!("notify:test:{id}"));
    assert!(jobs::enqueue(&services, platform.community.id, &request).await.unwrap());
    let ended = || async {
        let mut tx = platform.tenant().await;
        let job = tx.jobs().get(&request.id).await.unwrap();
        job.is_some_and(|job| job.state.is_final())
    };
    eventually_within(WAIT, ended, "the job to end").await;
}

/// The alerts among the direct messages of a member.
async fn direct_messages(platform: &Platform, name: &str) -> Vec<Value> {
    let user = platform.community.user(name);
    let path = format!("/dms/{user}/messages");
    let listed: Result<Vec<Value>, _> = platform.control.request(Method::GET, &path, None::<&()>).await;
    let is_alert = |message: &Value| message["embeds"][0]["title"] == "Sietch Tabr: what changed";
    listed.unwrap_or_default().into_iter().filter(is_alert).collect()
}

async fn until_messages(platform: &Platform, name: &str, count: usize) -> Vec<Value> {
    let what = format!("{count} direct messages");
    eventually_within(
        WAIT,
        || async {
            let found = direct_messages(platform, name).await;
            (found.len() == count).then_some(found)
        },
        what,
    )
    .await
}

/// Outcomes of the alerts of a member that were created.
async fn outcomes(platform: &Platform, name: &str) -> Vec<Option<AlertOutcome>> {
    let mut tx = platform.tenant().await;
    let found = tx.alerts().outcomes(platform.community.user_id(name)).await.unwrap();
    found.into_iter().map(|(_, outcome)| outcome).collect()
}

async fn accept_messages(platform: &Platform, name: &str, accepts: bool) {
    let path = format!("/users/{}", platform.community.user(name));
    let body = json!({"accepts_dms": accepts});
    let _: Value = platform
        .control
        .request(Method::PATCH, &path, Some(&body))
        .await
        .unwrap();
}

/// Runs SQL on the rows of the community.
async fn sql(platform: &Platform, statement: &str) {
    let community = platform.community.id;
    let statement = format!("set app.current_tenant = '{community}'; {statement}");
    platform.sql(&statement).await;
}

/// A member runs `/alerts`; returns the record of the interaction once it is answered.
async fn command(platform: &Platform, name: &str, options: Value) -> Value {
    platform.delete_cooldowns();
    let id = platform.run_command(name, "alerts", options).await;
    platform.control.answered(&id).await
}

/// A member uses a component of a reply in the server.
async fn interact(platform: &Platform, name: &str, reply: &Value, custom_id: &str, values: &[&str]) -> Value {
    let request = json!({
        "kind": "component", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
        "user_id": name, "message_id": reply["message"]["id"], "custom_id": custom_id, "values": values, "force": true,
    });
    let id = platform.control.interact(request).await;
    platform.deliver("INTERACTION_CREATE").await;
    platform.control.answered(&id).await
}

/// A member presses a button of a direct message.
async fn press_in_dm(platform: &Platform, name: &str, message: &Value, custom_id: &str) -> Value {
    let request = json!({
        "kind": "component", "user_id": platform.community.user(name), "message_id": message["id"],
        "custom_id": custom_id, "force": true,
    });
    let id = platform.control.interact(request).await;
    platform.deliver("INTERACTION_CREATE").await;
    platform.control.answered(&id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_is_one_message_whatever_is_repeated() {
    let (platform, _worker) = Platform::with_worker().await;
    subscribe(&platform, "stilgar", &[AlertKind::Rank]).await;
    rank_event(&platform, "stilgar", "one", (82, 70)).await;
    // Nobody subscribed to this one.
    rank_event(&platform, "jamis", "one", (83, 71)).await;
    let messages = until_messages(&platform, "stilgar", 1).await;
    assert_eq!(embed(&messages[0])["title"], "Sietch Tabr: what changed");
    assert_description(&messages[0], "📈 Rank 82 → **70**. You hold 1,500 BGT.");

    // A second job finds nothing to do.
    notify(&platform, "again").await;
    assert_eq!(outcomes(&platform, "stilgar").await, [Some(AlertOutcome::Sent)]);
    // A worker that died after the call, before it recorded the outcome and before it recorded the message.
    for lost in ["", "delete from inbox where event_id like 'alert:%#sent';"] {
        let unfinished = format!("{lost} update alerts set outcome = null, finished_at = null");
        sql(&platform, &unfinished).await;
        notify(&platform, &format!("after-death-{}", lost.len())).await;
        assert_eq!(outcomes(&platform, "stilgar").await, [Some(AlertOutcome::Sent)]);
        assert_eq!(direct_messages(&platform, "stilgar").await.len(), 1);
    }
    assert!(direct_messages(&platform, "jamis").await.is_empty());
    platform.vhost.finish().await;
}

/// Killed before the first message, behind Discord's response, and before the outcome is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_message_for_each_event() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    for point in [
        "worker.alerts.dispatched",
        "discord.called[POST /channels/{channel}/messages]",
        "worker.alerts.sent",
    ] {
        let platform = Platform::start().await;
        subscribe(&platform, "stilgar", &[AlertKind::Rank]).await;
        rank_event(&platform, "stilgar", "one", (82, 70)).await;
        let mut environment = platform.environment();
        let health = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        environment.push(("HEALTH_ADDR", health.to_string()));
        environment.push(("ARRAKIS_FAIL_POINTS", format!("{point}=kill")));
        let mut killed = Process::start_at(program, &[], environment);
        killed.ended(WAIT).await;
        let _second = platform.worker().await;
        until_messages(&platform, "stilgar", 1).await;
        let sent = || async { outcomes(&platform, "stilgar").await == [Some(AlertOutcome::Sent)] };
        eventually_within(WAIT, sent, "the outcome to be recorded").await;
        assert_eq!(direct_messages(&platform, "stilgar").await.len(), 1, "{point}");
    }
}

/// Discord failed behind the effect, before it, and limited the call. The nonce and the retries make it one message.
/// A message to stilgar meets the fault, is postponed, and is sent once after the fault is gone.
async fn is_delayed_and_sent_once(fault: Fault) {
    let (platform, _worker) = Platform::with_worker().await;
    subscribe(&platform, "stilgar", &[AlertKind::Rank]).await;
    let fault = fault.method("POST").route("/channels/*");
    platform.control.fault(&fault).await.unwrap();
    rank_event(&platform, "stilgar", "event", (82, 81)).await;
    let postponed = || async {
        let mut tx = platform.tenant().await;
        let (now, later) = (OffsetDateTime::now_utc(), time::Duration::minutes(1));
        let ends = tx.alerts().unfinished(now + later).await.unwrap();
        ends.is_some() && tx.alerts().unfinished(now).await.unwrap().is_none()
    };
    eventually_within(WAIT, postponed, "the message to be postponed").await;
    platform.control.clear_faults().await.unwrap();
    sql(&platform, "update alerts set due_at = now() where outcome is null").await;
    let sent = || async { outcomes(&platform, "stilgar").await == [Some(AlertOutcome::Sent)] };
    eventually_within(WAIT, sent, "the outcome to be recorded").await;
    assert_eq!(direct_messages(&platform, "stilgar").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_whose_effect_is_followed_by_an_error_is_delayed_and_not_doubled() {
    is_delayed_and_sent_once(Fault::rest_status(502).after_effect(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_an_error_precedes_is_delayed() {
    is_delayed_and_sent_once(Fault::rest_status(503)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_at_a_rate_limit_beyond_the_call_is_delayed() {
    let limit = Fault {
        // Longer than the time limit of the call.
        retry_after: Some(8.0),
        ..Fault::of_kind("rest_rate_limit")
    };
    is_delayed_and_sent_once(limit).await;
}

/// The claim of a message of stilgar's whose attempt began four minutes ago, when Discord may have forgotten its nonce.
const OLD_ATTEMPT: &str = "insert into inbox (community_id, event_id, claimed_at) \
     select distinct community_id, 'alert:' || message_id, now() - interval '4 minutes' from alerts \
      where message_id is not null and outcome is null;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_of_a_long_dead_worker_is_sent_where_the_channel_lacks_it() {
    let platform = Platform::start().await;
    subscribe(&platform, "stilgar", &[AlertKind::Rank]).await;
    rank_event(&platform, "stilgar", "one", (82, 70)).await;
    let (user, message) = (platform.community.user_id("stilgar"), Uuid::now_v7());
    let mut tx = platform.tenant().await;
    let alert = NewAlert {
        user,
        event: "one:rank:stilgar",
        kind: AlertKind::Rank,
        due_at: OffsetDateTime::now_utc(),
    };
    tx.alerts().add(&[alert]).await.unwrap();
    tx.alerts()
        .mark_dispatched(&["one:rank:stilgar".to_owned()])
        .await
        .unwrap();
    let later = OffsetDateTime::now_utc() + time::Duration::SECOND;
    assert!(tx.alerts().compose(message, later).await.unwrap().is_some());
    tx.commit().await.unwrap();
    sql(&platform, OLD_ATTEMPT).await;
    let _worker = platform.worker().await;
    let sent = || async { outcomes(&platform, "stilgar").await == [Some(AlertOutcome::Sent)] };
    eventually_within(WAIT, sent, "the outcome to be recorded").await;
    assert_eq!(direct_messages(&platform, "stilgar").await.len(), 1);
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    assert!(entries.iter().all(|entry| entry.action != "discord.outcome_unknown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_of_a_long_dead_worker_is_found_in_the_channel() {
    let (platform, _worker) = Platform::with_worker().await;
    subscribe(&platform, "stilgar", &[AlertKind::Rank]).await;
    rank_event(&platform, "stilgar", "one", (82, 70)).await;
    until_messages(&platform, "stilgar", 1).await;
    let sent = || async { outcomes(&platform, "stilgar").await == [Some(AlertOutcome::Sent)] };
    eventually_within(WAIT, sent, "the outcome to be recorded").await;
    let calls = || platform.control.count("POST", "/messages", 200);
    let before = calls().await;
    let died = format!(
        "delete from inbox where event_id like 'alert:%'; update alerts set outcome = null, finished_at = null; {OLD_ATTEMPT}"
    );
    sql(&platform, &died).await;
    eventually_within(WAIT, sent, "the outcome to be recorded").await;
    assert_eq!(calls().await, before, "found, and not sent again");
    assert_eq!(direct_messages(&platform, "stilgar").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_with_closed_messages_is_not_tried_again_until_the_command_is_used() {
    let (platform, _worker) = Platform::with_worker().await;
    accept_messages(&platform, "stilgar", false).await;
    subscribe(&platform, "stilgar", &[AlertKind::Rank]).await;
    let attempts = || platform.control.count("POST", "/messages", 403);
    rank_event(&platform, "stilgar", "one", (82, 70)).await;
    let closed = || async { subscription(&platform, "stilgar").await.unwrap().closed_at.is_some() };
    eventually_within(WAIT, closed, "the refusal to be recorded").await;
    assert_eq!(attempts().await, 1);
    rank_event(&platform, "stilgar", "two", (70, 69)).await;
    notify(&platform, "closed").await;
    assert_eq!(attempts().await, 1);
    assert_eq!(
        outcomes(&platform, "stilgar").await,
        [Some(AlertOutcome::Refused)],
        "no alert of the second event"
    );

    let reply = command(&platform, "stilgar", json!({})).await;
    assert_description(&reply["message"], "Discord refused my message");
    accept_messages(&platform, "stilgar", true).await;
    let again = interact(&platform, "stilgar", &reply, "alerts:retry", &[]).await;
    assert!(!description(&again["message"]).contains("refused"), "{again:#}");
    rank_event(&platform, "stilgar", "three", (69, 68)).await;
    let messages = until_messages(&platform, "stilgar", 1).await;
    assert_description(&messages[0], "Rank 69 → **68**");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_has_an_off_switch_that_works() {
    let (platform, _worker) = Platform::with_worker().await;
    subscribe(&platform, "stilgar", &[AlertKind::Rank, AlertKind::Threshold]).await;
    rank_event(&platform, "stilgar", "one", (82, 70)).await;
    let messages = until_messages(&platform, "stilgar", 1).await;
    let community = platform.community.id;
    let off = press_in_dm(
        &platform,
        "stilgar",
        &messages[0],
        &format!("alerts:mute:{community}:rank"),
    )
    .await;
    assert_description(&off["message"], "still notifies you of: **entry**.");
    let buttons = messages[0]["components"][0]["components"].as_array().unwrap();
    let all = buttons.last().unwrap()["custom_id"].as_str().unwrap();
    assert!(all.starts_with(&format!("alerts:mute:{community}:all:")), "{all}");
    let off = press_in_dm(&platform, "stilgar", &messages[0], all).await;
    assert_description(&off["message"], "sends you no alerts any more");
    let kinds = async || subscription(&platform, "stilgar").await.unwrap().settings.kinds;
    assert!(kinds().await.is_empty());
    rank_event(&platform, "stilgar", "two", (70, 60)).await;
    notify(&platform, "off").await;
    assert_eq!(direct_messages(&platform, "stilgar").await.len(), 1);

    let undo = format!("alerts:undo:{community}:rank-threshold");
    let on = press_in_dm(&platform, "stilgar", &messages[0], &undo).await;
    assert_description(&on["message"], "notifies you of: **rank**, **entry**.");
    assert_eq!(kinds().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_in_quiet_hours_arrive_afterwards_in_one_message() {
    let (platform, _worker) = Platform::with_worker().await;
    let hour = OffsetDateTime::now_utc().hour();
    let settings = AlertSettings {
        kinds: BTreeSet::from([AlertKind::Rank]),
        quiet: QuietHours::new(hour, (hour + 2) % 24),
        ..AlertSettings::default()
    };
    store(&platform, "stilgar", &settings).await;
    rank_event(&platform, "stilgar", "one", (82, 70)).await;
    rank_event(&platform, "stilgar", "two", (70, 60)).await;
    notify(&platform, "quiet").await;
    assert_eq!(outcomes(&platform, "stilgar").await, [None, None]);
    assert!(direct_messages(&platform, "stilgar").await.is_empty());
    // Alerts that were due before the hours and could not be sent wait as well.
    sql(&platform, "update alerts set due_at = now() - interval '1 minute'").await;
    notify(&platform, "delayed").await;
    assert_eq!(outcomes(&platform, "stilgar").await, [None, None]);
    assert!(direct_messages(&platform, "stilgar").await.is_empty());
    // The hours are over.
    let over = AlertSettings {
        quiet: None,
        ..settings
    };
    store(&platform, "stilgar", &over).await;
    let messages = until_messages(&platform, "stilgar", 1).await;
    assert_description(&messages[0], "Rank 82 → **60**.");
    assert_description(&messages[0], "(2 changes)");
    let sent = Some(AlertOutcome::Sent);
    eventually(
        || async { outcomes(&platform, "stilgar").await == [sent, sent] },
        "the outcomes",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_who_left_receives_nothing() {
    let (platform, _worker) = Platform::with_worker().await;
    subscribe(&platform, "jamis", &[AlertKind::Rank]).await;
    let mut tx = platform.tenant().await;
    let user = platform.community.user_id("jamis");
    assert!(tx.profiles().leave(user, OffsetDateTime::now_utc()).await.unwrap());
    tx.commit().await.unwrap();
    rank_event(&platform, "jamis", "one", (82, 70)).await;
    notify(&platform, "left").await;
    assert_eq!(outcomes(&platform, "jamis").await, []);
    assert!(direct_messages(&platform, "jamis").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_changed_by_menus_and_options() {
    let (platform, _worker) = Platform::with_worker().await;
    let reply = command(&platform, "chani", json!({})).await;
    assert_eq!(reply["ephemeral"], true);
    assert_description(&reply["message"], "All alerts are off.");
    assert_eq!(subscription(&platform, "chani").await, None, "looking changes nothing");
    let chosen = interact(&platform, "chani", &reply, "alerts:kinds", &["rank", "waitlist"]).await;
    assert_description(&chosen["message"], "I write to you about: **rank**, **waitlist**.");
    interact(&platform, "chani", &reply, "alerts:delivery", &["digest"]).await;
    let options = json!({"quiet-from": 22, "quiet-to": 7, "time-zone": "europe/berlin", "digest-hour": 8});
    let reply = command(&platform, "chani", options).await;
    let fields = embed(&reply["message"])["fields"].to_string();
    assert!(
        fields.contains("at 08:00 (Europe/Berlin)") && fields.contains("22:00 to 07:00"),
        "{fields}"
    );
    let stored = subscription(&platform, "chani").await.unwrap().settings;
    assert_eq!(stored.kinds, BTreeSet::from([AlertKind::Rank, AlertKind::Waitlist]));
    assert_eq!((stored.delivery, stored.digest_hour), (AlertDelivery::Digest, 8));
    assert_eq!(
        (stored.quiet, stored.zone.name()),
        (QuietHours::new(22, 7), "Europe/Berlin")
    );
    let ended = interact(&platform, "chani", &reply, "alerts:no-quiet", &[]).await;
    assert!(
        embed(&ended["message"])["fields"].to_string().contains("None."),
        "{ended:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_are_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    for (options, refusal) in [
        (json!({"quiet-from": 22}), "Quiet hours have a beginning and an end."),
        (
            json!({"quiet-from": 7, "quiet-to": 7}),
            "cannot begin and end at the same hour",
        ),
        (json!({"time-zone": "Arrakeen"}), "`time-zone` cannot be \"Arrakeen\"."),
        (json!({"digest-hour": 24}), "`digest-hour` cannot be 24."),
    ] {
        let reply = command(&platform, "chani", options).await;
        assert_refusal(&reply["message"], refusal);
    }
    assert_eq!(subscription(&platform, "chani").await, None);
    // Without deleted cooldowns.
    platform.delete_cooldowns();
    let first = platform.run_command("chani", "alerts", json!({})).await;
    platform.control.answered(&first).await;
    let second = platform.run_command("chani", "alerts", json!({})).await;
    let reply = platform.control.answered(&second).await;
    assert_refusal(&reply["message"], "You have just used `/alerts`.");
}

/// A worker that ended between the commit and the acknowledgement leaves the message to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_one_interaction_stores_and_replies_the_same() {
    let (platform, _worker) = Platform::with_worker().await;
    let options = json!({"quiet-from": 22, "quiet-to": 7});
    let id = platform.send_command("chani", "alerts", options).await;
    let dispatch = platform.dispatch_of(&id).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let stored = subscription(&platform, "chani").await;
    platform.delete_done_markers();
    platform.delete_cooldowns();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let reply = platform.control.interaction(&id).await;
    assert!(
        embed(&reply["message"])["fields"]
            .to_string()
            .contains("22:00 to 07:00")
    );
    assert_eq!(reply["followups"], json!([]));
    assert_eq!(subscription(&platform, "chani").await, stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_zones_are_suggested_with_their_time() {
    let (platform, _worker) = Platform::with_worker().await;
    let request = json!({
        "kind": "autocomplete", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
        "user_id": "chani", "name": "alerts", "focused": "time-zone", "force": true, "options": {"time-zone": "berlin"},
    });
    let id = platform.control.interact(request).await;
    platform.deliver("INTERACTION_CREATE").await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["choices"][0]["value"], "Europe/Berlin", "{reply:#}");
    assert!(reply["choices"][0]["name"].as_str().unwrap().contains("where it is"));
}
