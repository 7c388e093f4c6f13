use arrakis_db::ApiKeyScope::{ServersRead, ServersWrite};
use arrakis_db::{CommunityId, UserId};
use arrakis_domain::{RoleId, RoleKey};
use arrakis_test_support::eventually;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{alter_checkpoints, audit, lists};
use crate::support::TestApi;

const PATH: &str = "/admin/servers/100/checkpoints";

async fn start() -> (TestApi, CommunityId, String) {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let mut tx = api.database.tenant(community).await.unwrap();
    let key = RoleKey::new("naib").unwrap();
    tx.communities().bind_role(&key, RoleId(7)).await.unwrap();
    let (gate, tier) = ("leaderboard".parse().unwrap(), "naib".parse().unwrap());
    let admin = UserId::new(7).unwrap();
    tx.feature_gates().set(&gate, &tier, admin).await.unwrap();
    tx.commit().await.unwrap();
    let key = api.key(Some(community), &[ServersRead, ServersWrite]).await;
    (api, community, key)
}

fn new(purpose: &str) -> Value {
    json!({
        "request_id": Uuid::now_v7(), "purpose": purpose, "reason": "before a change", "server": lists(&[(7, "The Naib")]),
    })
}

#[tokio::test]
async fn checkpoint_has_the_configuration_and_is_stored_once() {
    let (api, community, key) = start().await;
    let body = new("manual");
    let created = api.post_as(&key, PATH, &body).await.ok();
    assert_eq!(created["frozen"], false);
    let checkpoint = &created["checkpoint"];
    let time = |name: &str| OffsetDateTime::parse(checkpoint[name].as_str().unwrap(), &Rfc3339).unwrap();
    assert_eq!(time("expires_at") - time("created_at"), Duration::days(30));
    assert_eq!(checkpoint["purpose"], "manual");
    assert_eq!(checkpoint["checksum"].as_str().unwrap().len(), 64);
    let again = api.post_as(&key, PATH, &body).await.ok();
    assert_eq!(again, created);
    let listed = api.get_as(&key, PATH).await.ok();
    assert_eq!(listed["checkpoints"], json!([checkpoint]));
    let path = format!("{PATH}/{}", checkpoint["id"].as_str().unwrap());
    let detail = api.get_as(&key, &path).await.ok();
    let content = &detail["content"];
    assert_eq!(
        (&content["theme"], &content["rule_set"]),
        (&json!("sietch"), &json!("balance"))
    );
    assert_eq!(
        content["roles"],
        json!([{"key": "naib", "id": "7", "name": "The Naib"}])
    );
    assert_eq!(content["gates"][0]["key"], "leaderboard");
    let entries = audit(&api, community).await;
    let stored: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "checkpoints.create")
        .collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].reason.as_deref(), Some("before a change"));
    assert_eq!(json!(stored[0].subject), checkpoint["id"]);
}

#[tokio::test]
async fn checkpoint_of_a_teardown_freezes_the_community() {
    let (api, community, key) = start().await;
    let created = api.post_as(&key, PATH, &new("teardown")).await.ok();
    assert_eq!(created["frozen"], true);
    let mut tx = api.database.tenant(community).await.unwrap();
    let frozen = tx.communities().get().await.unwrap().unwrap().frozen.unwrap();
    let id = created["checkpoint"]["id"].as_str().unwrap();
    assert!(frozen.reason.contains(id), "{}", frozen.reason);
    assert!(
        frozen.reason.starts_with(arrakis_db::TEARDOWN_FREEZE),
        "{}",
        frozen.reason
    );
}

#[tokio::test]
async fn id_of_a_manual_checkpoint_is_refused_for_a_teardown() {
    let (api, community, key) = start().await;
    let mut body = new("manual");
    api.post_as(&key, PATH, &body).await.ok();
    body["purpose"] = json!("teardown");
    api.post_as(&key, PATH, &body)
        .await
        .assert_problem(409, "request-conflict");
    let mut tx = api.database.tenant(community).await.unwrap();
    assert_eq!(tx.communities().get().await.unwrap().unwrap().frozen, None);
}

#[tokio::test]
async fn takeover_that_begins_before_the_teardown_has_the_lock_is_not_replaced() {
    let (api, community, key) = start().await;
    let admin = UserId::new(7).unwrap();
    let mut tx = api.database.tenant(community).await.unwrap();
    tx.communities().lock().await.unwrap();
    tx.communities()
        .take_over(admin, "a compromised account")
        .await
        .unwrap();
    let body = new("teardown");
    let begun = async {
        request_waits_for_a_lock(&api).await;
        tx.commit().await.unwrap();
    };
    let (created, ()) = tokio::join!(api.post_as(&key, PATH, &body), begun);
    assert_eq!(created.ok()["frozen"], true);
    let mut tx = api.database.tenant(community).await.unwrap();
    let record = tx.communities().get().await.unwrap().unwrap();
    assert_eq!(record.frozen.unwrap().reason, "a compromised account");
    assert_eq!(record.controlled_by, Some(admin));
}

async fn request_waits_for_a_lock(api: &TestApi) {
    let url = api.test_database.owner_url();
    let waits = async || {
        let mut owner = PgConnection::connect(&url).await.unwrap();
        let waiting = "select exists (select from pg_locks l join pg_stat_activity a using (pid)
                                       where not l.granted and a.datname = current_database())";
        sqlx::query_scalar::<_, bool>(waiting)
            .fetch_one(&mut owner)
            .await
            .unwrap()
    };
    eventually(waits, "the request to wait for the lock of the community").await;
}

#[tokio::test]
async fn other_communities_see_no_checkpoint() {
    let (api, _, key) = start().await;
    let created = api.post_as(&key, PATH, &new("manual")).await.ok();
    let id = created["checkpoint"]["id"].as_str().unwrap();
    let other = api.community(200).await;
    let stranger = api.key(Some(other), &[ServersRead, ServersWrite]).await;
    api.get_as(&stranger, PATH).await.assert_problem(404, "unknown-server");
    let path = format!("/admin/servers/200/checkpoints/{id}");
    api.get_as(&stranger, &path)
        .await
        .assert_problem(404, "unknown-checkpoint");
}

#[tokio::test]
async fn altered_checkpoint_is_listed_and_not_read() {
    let (api, community, key) = start().await;
    let created = api.post_as(&key, PATH, &new("manual")).await.ok();
    alter_checkpoints(&api, community).await;
    assert_eq!(
        api.get_as(&key, PATH).await.ok()["checkpoints"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let path = format!("{PATH}/{}", created["checkpoint"]["id"].as_str().unwrap());
    let problem = api.get_as(&key, &path).await.assert_problem(409, "damaged-checkpoint");
    assert!(problem["detail"].as_str().unwrap().contains("checksum"), "{problem}");
}

#[tokio::test]
async fn full_server_with_names_of_four_byte_characters_is_accepted() {
    let (api, _, key) = start().await;
    let name = "\u{1F3DC}".repeat(100);
    let listed = |first: u64, count: u64| -> Vec<Value> {
        let ids = first..first + count;
        ids.map(|id| json!({"id": (1_200_000_000_000_000_000 + id).to_string(), "name": name}))
            .collect()
    };
    let mut roles = listed(0, 249);
    roles.push(json!({"id": "100", "name": "@everyone"}));
    let mut body = new("manual");
    body["server"] = json!({"roles": roles, "channels": listed(1_000, 500)});
    api.post_as(&key, PATH, &body).await.ok();
}

/// Lists of a server with these further roles and channels.
fn of_server(roles: &[(&str, &str)], channels: &[(&str, &str)]) -> Value {
    let listed = |entries: &[(&str, &str)]| -> Vec<Value> {
        let entries = entries.iter();
        entries.map(|(id, name)| json!({"id": id, "name": name})).collect()
    };
    let roles = [listed(&[("100", "@everyone")]), listed(roles)].concat();
    json!({"roles": roles, "channels": listed(channels)})
}

#[tokio::test]
async fn lists_that_are_not_of_the_server_are_refused() {
    let (api, _, key) = start().await;
    for (server, field) in [
        (json!({"roles": [], "channels": []}), "@everyone"),
        (
            json!({"roles": [{"id": "seven", "name": "x"}], "channels": []}),
            "seven",
        ),
        (json!({"roles": []}), "channels"),
        (of_server(&[("9223372036854775808", "x")], &[]), "9223372036854775808"),
        (of_server(&[("18446744073709551615", "x")], &[]), "18446744073709551615"),
        (of_server(&[("+7", "x")], &[]), "+7"),
        (of_server(&[], &[("9223372036854775808", "x")]), "9223372036854775808"),
        (
            of_server(&[("7", "x".repeat(101).as_str())], &[]),
            "more than 100 characters",
        ),
        (
            of_server(&[], &[("7", "x".repeat(300_000).as_str())]),
            "more than 100 characters",
        ),
        (of_server(&[("7", "a\0b")], &[]), "control characters"),
        (of_server(&[], &[("7", "\u{1b}[31mevil")]), "control characters"),
    ] {
        let body = json!({"request_id": Uuid::now_v7(), "purpose": "manual", "server": server});
        let problem = api.post_as(&key, PATH, &body).await.assert_problem(400, "invalid-body");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
    }
    let created = api.post_as(&key, PATH, &new("manual")).await.ok();
    let path = format!("{PATH}/{}", created["checkpoint"]["id"].as_str().unwrap());
    let server = of_server(&[("9223372036854775808", "x")], &[]);
    let preview = json!({"server": server});
    let restore = json!({"request_id": Uuid::now_v7(), "server": server});
    for (last, body) in [("preview", preview), ("restore", restore)] {
        let response = api.post_as(&key, &format!("{path}/{last}"), &body).await;
        response.assert_problem(400, "invalid-body");
    }
    for guild in ["0100", "+100", "%2B100", "100%20"] {
        let path = format!("/admin/servers/{guild}/checkpoints");
        api.get_as(&key, &path).await.assert_problem(400, "invalid-parameter");
    }
    let path = format!("{PATH}/7");
    api.get_as(&key, &path).await.assert_problem(400, "invalid-parameter");
}
