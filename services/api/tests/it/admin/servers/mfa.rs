use arrakis_db::ApiKeyScope::ServersWrite;
use arrakis_db::UserId;
use futures_util::future::join_all;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::audit;
use crate::support::TestApi;

const PATH: &str = "/admin/servers/100/mfa";
const USE: &str = "/admin/servers/100/mfa/use";

fn chani() -> UserId {
    UserId::new(7).unwrap()
}

fn request(operation: &str, digest: &str, code: &str) -> Value {
    json!({"operation": operation, "plan_digest": digest.repeat(32), "code": code})
}

fn used(grant: &Value, operation: &str, digest: &str) -> Value {
    json!({"grant": grant["grant"], "operation": operation, "plan_digest": digest.repeat(32)})
}

#[tokio::test]
async fn grant_is_used_once_for_its_operation_and_plan() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let (_, key) = api
        .key_of(None, &[ServersWrite], Duration::days(1), Some(chani()))
        .await;
    let (totp, _) = api.enrol(chani()).await;
    let code = totp.code_at(OffsetDateTime::now_utc());
    let body = request("delete_channels", "ab", &code);
    let grant = api.post_as(&key, PATH, &body).await.ok();
    // The same code again.
    api.post_as(&key, PATH, &body).await.assert_problem(403, "mfa-refused");
    for other in [
        used(&grant, "delete_roles", "ab"),
        used(&grant, "delete_channels", "cd"),
    ] {
        api.post_as(&key, USE, &other)
            .await
            .assert_problem(403, "grant-refused");
    }
    let (_, of_another) = api
        .key_of(None, &[ServersWrite], Duration::days(1), Some(UserId::new(8).unwrap()))
        .await;
    let body = used(&grant, "delete_channels", "ab");
    let refused = api.post_as(&of_another, USE, &body).await;
    refused.assert_problem(403, "grant-refused");
    let answers = join_all((0..10).map(|_| api.post_as(&key, USE, &body))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 1);
    let entries = audit(&api, community).await;
    let count = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
    assert_eq!(
        (count("mfa.grant"), count("mfa.grant_use"), count("mfa.accepted")),
        (1, 1, 1)
    );
    assert!(
        entries
            .iter()
            .all(|entry| !entry.detail.to_string().contains(grant["grant"].as_str().unwrap()))
    );
}

#[tokio::test]
async fn concurrent_requests_with_one_code_get_one_grant() {
    let api = TestApi::start().await;
    api.community(100).await;
    let (_, key) = api
        .key_of(None, &[ServersWrite], Duration::days(1), Some(chani()))
        .await;
    let (totp, codes) = api.enrol(chani()).await;
    for code in [totp.code_at(OffsetDateTime::now_utc()).as_str(), codes[3].expose()] {
        // The others are refused as used.
        let body = request("teardown", "ab", code);
        let answers = join_all((0..4).map(|_| api.post_as(&key, PATH, &body))).await;
        assert_eq!(
            answers.iter().filter(|answer| answer.status == 200).count(),
            1,
            "{code}"
        );
    }
}

/// More requests than the api has connections to PostgreSQL.
#[tokio::test]
async fn code_that_is_sent_many_times_at_once_opens_no_breaker_and_throttles_nobody() {
    let api = TestApi::start().await;
    api.community(100).await;
    let (_, key) = api
        .key_of(None, &[ServersWrite], Duration::days(1), Some(chani()))
        .await;
    let (_, codes) = api.enrol(chani()).await;
    let body = request("teardown", "ab", codes[0].expose());
    let answers = join_all((0..24).map(|_| api.post_as(&key, PATH, &body))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(503)), (1, 0));
    assert!(count(403) >= 5, "as many as would begin a throttle");
    let body = request("teardown", "ab", codes[1].expose());
    api.post_as(&key, PATH, &body).await.ok();
}

#[tokio::test]
async fn key_without_a_person_and_person_without_a_second_factor_are_refused() {
    let api = TestApi::start().await;
    api.community(100).await;
    let without = api.key(None, &[ServersWrite]).await;
    let (_, of_chani) = api
        .key_of(None, &[ServersWrite], Duration::days(1), Some(chani()))
        .await;
    for key in [&without, &of_chani] {
        let answer = api.post_as(key, PATH, &request("teardown", "ab", "123456")).await;
        answer.assert_problem(403, "mfa-not-enrolled");
    }
    for invalid in [
        request("teardown", "xy", "123456"),
        request("everything", "ab", "123456"),
    ] {
        let answer = api.post_as(&of_chani, PATH, &invalid).await;
        answer.assert_problem(400, "invalid-body");
    }
}

#[tokio::test]
async fn wrong_codes_are_throttled_also_when_they_come_at_once() {
    let api = TestApi::start().await;
    api.community(100).await;
    let (_, key) = api
        .key_of(None, &[ServersWrite], Duration::days(1), Some(chani()))
        .await;
    let (_, codes) = api.enrol(chani()).await;
    // Of another form than a code of an app, so that none is right by chance.
    let body = request("teardown", "ab", "wrong");
    let answers = join_all((0..12).map(|_| api.post_as(&key, PATH, &body))).await;
    let wrong = answers.iter().filter(|answer| answer.status == 403).count();
    assert_eq!(wrong, 5, "each attempt is counted before the next one is checked");
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 7);
    let right = api
        .post_as(&key, PATH, &request("teardown", "ab", codes[0].expose()))
        .await;
    right.assert_problem(429, "mfa-throttled");
    let wait: i64 = right.header("retry-after").unwrap().parse().unwrap();
    assert!((600..=901).contains(&wait), "{wait}");
}
