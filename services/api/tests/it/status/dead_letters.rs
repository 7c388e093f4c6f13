use arrakis_broker::{BrokerConnection, BrokerSettings, Message, PublishOutcome, Publisher};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use arrakis_test_support::{FaultProxy, eventually, required_variable};
use futures_util::future::join_all;
use time::OffsetDateTime;

use super::{ADMIN, OPERATOR, form_token, operator, read, signed_in, submit};
use crate::support::TestApi;

/// A dead letter of the queue of guild events.
async fn dead_letter(api: &TestApi, id: &str, error: &str) {
    let connection = BrokerConnection::open(&BrokerSettings::new(api.vhost.url()), "test");
    let mut message = Message::new("", names::DEAD_LETTERS, id, "GUILD_MEMBER_ADD", b"{}".as_slice());
    for (name, value) in [
        (headers::ORIGIN_QUEUE, names::EVENTS_GUILD),
        (headers::ORIGIN_KEY, "member.join"),
        (headers::DEAD_REASON, "permanent"),
        (headers::LAST_ERROR, error),
    ] {
        message
            .headers
            .insert(name.to_owned(), HeaderValue::Text(value.to_owned()));
    }
    let published = Publisher::new(connection).publish(&message).await.unwrap();
    assert_eq!(published, PublishOutcome::Confirmed);
    let stored = || async { api.vhost.messages(names::DEAD_LETTERS).await > 0 };
    eventually(stored, "the dead letter").await;
}

/// Waits until there are as many dead letters: a reader returns what it does not remove.
async fn until_letters(api: &TestApi, count: u64) {
    let counted = || async { api.vhost.messages(names::DEAD_LETTERS).await == count };
    eventually(counted, format!("{count} dead letters")).await;
}

async fn api_with_operator() -> TestApi {
    TestApi::start_with(|config| config.kill_switch.operators = vec![OPERATOR]).await
}

#[tokio::test]
async fn operator_replays_a_dead_letter_with_a_code() {
    let api = api_with_operator().await;
    let community = api.community(100).await;
    dead_letter(&api, "event<1>", "the role \"x\" & <b>more</b>").await;
    let (totp, _) = api.enrol(operator()).await;
    let cookie = signed_in(&api, community, OPERATOR).await;
    let page = read(&api, "/status/dead-letters", &cookie).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.text.contains("event&lt;1&gt;") && page.text.contains("&lt;b&gt;more"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<b>"), "{}", page.text);
    let token = form_token(&page);

    let wrong = format!("form_token={token}&id=event%3C1%3E&code=000000");
    let refused = submit(&api, "/status/dead-letters/replay", &cookie, &wrong).await;
    assert!(
        refused.status == 403 && refused.text.contains("The code is wrong"),
        "{}",
        refused.text
    );
    until_letters(&api, 1).await;

    let code = totp.code_at(OffsetDateTime::now_utc());
    let right = format!("form_token={token}&id=event%3C1%3E&code={code}");
    let replayed = submit(&api, "/status/dead-letters/replay", &cookie, &right).await;
    assert!(
        replayed.status == 200 && replayed.text.contains("Replayed"),
        "{}",
        replayed.text
    );
    let returned = || async { api.vhost.messages(names::EVENTS_GUILD).await == 1 };
    eventually(returned, "the message in its queue").await;
    until_letters(&api, 0).await;

    // The same form again: its code is used up.
    let again = submit(&api, "/status/dead-letters/replay", &cookie, &right).await;
    assert!(
        again.status == 403 && again.text.contains("used already"),
        "{}",
        again.text
    );
    let mut tx = api.admin.database().global().await.unwrap();
    let entries = tx.platform_audit_entries(20).await.unwrap();
    let replays: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "dead_letter.replay")
        .collect();
    assert_eq!((replays.len(), replays[0].subject.as_str()), (1, "event<1>"));
}

/// The broker is connected and does not respond: pages state it, and no code is used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_that_does_not_respond_is_stated_and_uses_up_no_code() {
    let proxy = FaultProxy::start(&required_variable("AMQP_URL")).await;
    let api = TestApi::start_with(|config| {
        config.kill_switch.operators = vec![OPERATOR];
        config.broker = BrokerSettings::new(proxy.proxied_url(config.broker.url.expose()));
    })
    .await;
    let community = api.community(100).await;
    dead_letter(&api, "event-1", "an error").await;
    let (_, codes) = api.enrol(operator()).await;
    let cookie = signed_in(&api, community, OPERATOR).await;
    let listed = || async { read(&api, "/status/dead-letters", &cookie).await.status == 200 };
    eventually(listed, "the api to be connected to the broker").await;
    let page = read(&api, "/status", &cookie).await;
    let token = form_token(&page);
    let nul = format!("form_token={token}&id=event%00&code={}", codes[0].expose());
    assert_eq!(
        submit(&api, "/status/dead-letters/replay", &cookie, &nul).await.status,
        400
    );

    proxy.stall(true);
    let page = read(&api, "/status", &cookie).await;
    assert!(
        page.status == 200 && !page.text.contains("no worker consumes"),
        "{}",
        page.text
    );
    let list = read(&api, "/status/dead-letters", &cookie).await;
    assert!(
        list.status == 503 && list.text.contains("does not respond"),
        "{}",
        list.text
    );
    let form = format!("form_token={token}&id=event-1&code={}", codes[0].expose());
    let replay = submit(&api, "/status/dead-letters/replay", &cookie, &form).await;
    assert!(
        replay.status == 503 && replay.text.contains("Nothing was changed"),
        "{}",
        replay.text
    );
    let mut tx = api.admin.database().global().await.unwrap();
    let entries = tx.platform_audit_entries(20).await.unwrap();
    assert!(
        entries.iter().all(|entry| entry.action != "dead_letter.replay"),
        "{entries:?}"
    );
    drop(tx);

    proxy.stall(false);
    let replayed = || async {
        let answer = submit(&api, "/status/dead-letters/replay", &cookie, &form).await;
        answer.status == 200
    };
    eventually(replayed, "the replay with the same code").await;
}

/// More requests than the api has connections to PostgreSQL.
#[tokio::test]
async fn replay_that_is_sent_many_times_at_once_opens_no_breaker_and_replays_once() {
    let api = api_with_operator().await;
    let community = api.community(100).await;
    dead_letter(&api, "event-1", "an error").await;
    let (_, codes) = api.enrol(operator()).await;
    let cookie = signed_in(&api, community, OPERATOR).await;
    let page = read(&api, "/status", &cookie).await;
    let form = format!("form_token={}&id=event-1&code={}", form_token(&page), codes[0].expose());
    let answers = join_all((0..24).map(|_| submit(&api, "/status/dead-letters/replay", &cookie, &form))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(503)), (1, 0));
    assert!(count(403) >= 5, "as many as would begin a throttle");
    let returned = || async { api.vhost.messages(names::EVENTS_GUILD).await == 1 };
    eventually(returned, "the message in its queue, once").await;
    until_letters(&api, 0).await;
}

#[tokio::test]
async fn admin_of_a_community_neither_sees_nor_replays_dead_letters() {
    let api = api_with_operator().await;
    let community = api.community(100).await;
    dead_letter(&api, "event-1", "an error").await;
    let cookie = signed_in(&api, community, ADMIN).await;
    let page = read(&api, "/status", &cookie).await;
    assert!(!page.text.contains("/status/dead-letters"), "{}", page.text);
    assert_eq!(read(&api, "/status/dead-letters", &cookie).await.status, 403);
    let form = format!("form_token={}&id=event-1&code=000000", form_token(&page));
    assert_eq!(
        submit(&api, "/status/dead-letters/replay", &cookie, &form).await.status,
        403
    );
    until_letters(&api, 1).await;
}

#[tokio::test]
async fn replay_is_refused_without_a_second_factor_or_the_forms_token() {
    let api = api_with_operator().await;
    let community = api.community(100).await;
    dead_letter(&api, "event-1", "an error").await;
    let cookie = signed_in(&api, community, OPERATOR).await;
    let page = read(&api, "/status/dead-letters", &cookie).await;
    let form = format!("form_token={}&id=event-1&code=123456", form_token(&page));
    let refused = submit(&api, "/status/dead-letters/replay", &cookie, &form).await;
    assert!(
        refused.status == 403 && refused.text.contains("no second factor"),
        "{}",
        refused.text
    );
    let forged = submit(&api, "/status/dead-letters/replay", &cookie, "id=event-1&code=123456").await;
    assert!(
        forged.status == 403 && forged.text.contains("not sent from this page"),
        "{}",
        forged.text
    );
    until_letters(&api, 1).await;
}
