use arrakis_broker::{BrokerConnection, BrokerSettings, Message, PublishOutcome, Publisher};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use arrakis_test_support::eventually;
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
