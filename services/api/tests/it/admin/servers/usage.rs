use arrakis_db::ApiKeyScope::{PlansWrite, ServersRead, ServersWrite};
use futures_util::future::join_all;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::audit;
use crate::support::TestApi;

const PATH: &str = "/admin/servers/100/backup-usage";

fn usage_of(kind: &str) -> Value {
    json!({"kind": kind, "request_id": Uuid::now_v7()})
}

async fn on_the_free_plan() -> (TestApi, arrakis_db::CommunityId, String) {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let key = api.key(None, &[ServersRead, ServersWrite, PlansWrite]).await;
    api.put_as(&key, "/admin/servers/100/plan", &json!({"plan": "free"}))
        .await
        .ok();
    (api, community, key)
}

#[tokio::test]
async fn use_beyond_the_limit_is_refused_with_the_time_at_which_it_works_again() {
    let (api, community, key) = on_the_free_plan().await;
    let body = usage_of("backup");
    for _ in 0..2 {
        // The same request counts once.
        let counted = api.post_as(&key, PATH, &body).await.ok();
        assert_eq!(counted, json!({"kind": "backup", "left": 0}));
    }
    let refused = api.post_as(&key, PATH, &usage_of("backup")).await;
    let problem = refused.assert_problem(429, "usage-limit");
    let frees_at = problem["frees_at"].as_str().unwrap();
    let wait = OffsetDateTime::parse(frees_at, &Rfc3339).unwrap() - OffsetDateTime::now_utc();
    assert!((86_000..=86_401).contains(&wait.whole_seconds()), "{wait}");
    let retry_after: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((86_000..=86_402).contains(&retry_after));
    // The other kinds have limits of their own.
    let left = async |kind: &str| api.post_as(&key, PATH, &usage_of(kind)).await.ok()["left"].clone();
    assert_eq!(left("restore").await, 2);
    assert_eq!(left("snapshot").await, 2);
    assert_eq!(left("snapshot-restore").await, 0);
    let usage = api.get_as(&key, PATH).await.ok();
    assert_eq!(usage["plan"], "free");
    let backup = &usage["usage"][0];
    assert_eq!(
        (
            &backup["kind"],
            &backup["limit"],
            &backup["within_hours"],
            &backup["used"]
        ),
        (&json!("backup"), &json!(1), &json!(24), &json!(1))
    );
    let entries = audit(&api, community).await;
    let counted = entries.iter().filter(|entry| entry.action == "servers.backup_use");
    // A repeated id is an entry of its own: the platform cannot detect whether it is the same operation.
    let of_first = counted.clone().filter(|entry| entry.detail["id"] == body["request_id"]);
    assert_eq!((counted.count(), of_first.count()), (5, 2));
}

#[tokio::test]
async fn use_of_a_failed_operation_is_given_back_once() {
    let (api, community, key) = on_the_free_plan().await;
    let (first, second) = (usage_of("restore"), usage_of("restore"));
    let left = async |body: &Value| api.post_as(&key, PATH, body).await.ok()["left"].clone();
    assert_eq!(left(&first).await, 2);
    assert_eq!(left(&second).await, 1);
    let mut failed = second.clone();
    failed["give_back"] = json!(true);
    for _ in 0..2 {
        assert_eq!(left(&failed).await, 2);
    }
    // One that was never counted.
    let mut unknown = usage_of("restore");
    unknown["give_back"] = json!(true);
    assert_eq!(left(&unknown).await, 2);
    // It is counted again when the operation is repeated.
    assert_eq!(left(&second).await, 1);
    let entries = audit(&api, community).await;
    let returned = entries
        .iter()
        .filter(|entry| entry.action == "servers.backup_use_returned" && entry.detail["returned"] == true);
    assert_eq!(returned.count(), 1);
}

#[tokio::test]
async fn requests_at_the_same_time_do_not_exceed_the_limit() {
    let (api, _, key) = on_the_free_plan().await;
    let requests = (0..8).map(|_| {
        let (api, key) = (&api, &key);
        async move { api.post_as(key, PATH, &usage_of("restore")).await.status }
    });
    let mut statuses = join_all(requests).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
}

#[tokio::test]
async fn premium_plan_has_no_limit() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let key = api.key(Some(community), &[ServersRead, ServersWrite]).await;
    for _ in 0..3 {
        let counted = api.post_as(&key, PATH, &usage_of("backup")).await.ok();
        assert_eq!(counted["left"], Value::Null);
    }
    let usage = api.get_as(&key, PATH).await.ok();
    assert_eq!(usage["usage"][0]["limit"], Value::Null);
}
