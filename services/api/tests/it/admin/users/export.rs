use arrakis_db::ApiKeyScope::UsersExport;
use reqwest::Method;
use serde_json::json;

use crate::support::{TestApi, address};

#[tokio::test]
async fn export_is_empty_without_users() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    assert_eq!(api.get_as(&key, "/admin/users/export").await.ok(), json!({"users": []}));
    let csv = api.get_as(&key, "/admin/users/export?format=csv").await;
    let header =
        "id,discord_id,telegram_id,name,status,suspended_until,primary_wallet,wallets,created_at,updated_at\r\n";
    assert_eq!((csv.status, csv.text.as_str()), (200, header));
}

#[tokio::test]
async fn export_has_every_user_once_in_both_formats() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    // More than one page of the export.
    let count = 501;
    let mut tx = api.database.global().await.unwrap();
    for number in 1..=count {
        let user = arrakis_db::UserId::new(number).unwrap();
        let cause = arrakis_db::registry::Cause {
            source: arrakis_db::registry::EventSource::DiscordVerification,
            at: time::OffsetDateTime::now_utc(),
        };
        let account = arrakis_db::registry::Account::Discord(user);
        tx.registry().create(account, "Member", cause).await.unwrap();
    }
    tx.commit().await.unwrap();
    let body = api.get_as(&key, "/admin/users/export?format=json").await.ok();
    let mut ids: Vec<u64> = body["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["discord_id"].as_str().unwrap().parse().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=count).collect::<Vec<_>>());
    let csv = api.get_as(&key, "/admin/users/export?format=csv").await;
    assert_eq!(csv.text.matches("\r\n").count() as u64, count + 1);
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    let disposition = csv.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"arrakis-users-") && disposition.ends_with(".csv\""));
}

#[tokio::test]
async fn name_that_is_a_formula_becomes_text() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    let member = api.member(7, "=HYPERLINK(\"http://x\",\"y\")", address(1), &[]).await;
    let csv = api.get_as(&key, "/admin/users/export?format=csv").await.text;
    let start = format!(
        "{},7,,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",active,,{w},{w},",
        member.identity,
        w = address(1)
    );
    assert!(csv.lines().nth(1).unwrap().starts_with(&start), "{csv}");
}

#[tokio::test]
async fn format_is_negotiated() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersExport]).await;
    let accept = async |accept: &str, query: &str| {
        let request = api.request(Method::GET, &format!("/admin/users/export{query}"));
        let answer = api.send(request.bearer_auth(&key).header("accept", accept)).await;
        (
            answer.status,
            answer
                .header("content-type")
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned(),
        )
    };
    let (json, csv) = ((200, "application/json".to_owned()), (200, "text/csv".to_owned()));
    assert_eq!(accept("*/*", "").await, json);
    assert_eq!(accept("text/csv", "").await, csv);
    assert_eq!(accept("text/html, text/csv;q=0.9, */*;q=0.1", "").await, csv);
    assert_eq!(accept("text/csv", "?format=json").await, json);
    assert_eq!(accept("image/png", "").await.0, 406);
    api.get_as(&key, "/admin/users/export?format=xml")
        .await
        .assert_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn key_of_one_community_exports_its_members_only() {
    let api = TestApi::start().await;
    let (here, elsewhere) = (api.community(100).await, api.community(200).await);
    api.member(1, "Here", address(1), &[here]).await;
    api.member(2, "Elsewhere", address(2), &[elsewhere]).await;
    let key = api.key(Some(here), &[UsersExport]).await;
    let body = api.get_as(&key, "/admin/users/export").await.ok();
    assert_eq!(body["users"].as_array().unwrap().len(), 1);
    assert_eq!(body["users"][0]["name"], "Here");
}
