use arrakis_db::ApiKeyScope::UsersRead;
use serde_json::{Value, json};

use crate::support::{TestApi, address};

fn names(body: &Value) -> Vec<&str> {
    let users = body["users"].as_array().unwrap();
    users.iter().map(|user| user["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn users_are_paged_newest_first() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    assert_eq!(
        api.get_as(&key, "/admin/users").await.ok(),
        json!({"users": [], "page": 1, "limit": 50, "total": 0})
    );
    for number in 1..=5_u8 {
        api.member(u64::from(number), &format!("Member {number}"), address(number), &[])
            .await;
    }
    let page = async |number: u32| {
        api.get_as(&key, &format!("/admin/users?limit=2&page={number}"))
            .await
            .ok()
    };
    assert_eq!(names(&page(1).await), ["Member 5", "Member 4"]);
    assert_eq!(names(&page(3).await), ["Member 1"]);
    assert_eq!(page(4).await, json!({"users": [], "page": 4, "limit": 2, "total": 5}));
}

#[tokio::test]
async fn users_are_found_by_account_name_and_wallet() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    api.member(1_234_567_890_123_456_789, "Chani Kynes", address(0xab), &[])
        .await;
    api.member(8, "Stilgar", address(2), &[]).await;
    let checksummed = address(0xab).checksummed();
    for query in [
        "discord_id=1234567890123456789",
        "name=kynes",
        "name=CHANI",
        &format!("address={}", address(0xab)),
        &format!("address={checksummed}"),
        &format!("name=chani&address={checksummed}"),
    ] {
        let body = api.get_as(&key, &format!("/admin/users?{query}")).await.ok();
        assert_eq!(
            (names(&body), &body["total"]),
            (vec!["Chani Kynes"], &json!(1)),
            "{query}"
        );
    }
    let body = api.get_as(&key, "/admin/users?name=chani&discord_id=8").await.ok();
    assert_eq!(body["total"], 0, "every condition must match");
    let body = api.get_as(&key, "/admin/users?name=%25").await.ok();
    assert_eq!(body["total"], 0, "a name is text and no pattern");
    let user = &api.get_as(&key, "/admin/users?discord_id=8").await.ok()["users"][0];
    assert_eq!((&user["discord_id"], &user["status"]), (&json!("8"), &json!("active")));
    assert_eq!(user["wallets"][0]["address"], address(2).to_string());
    assert_eq!(user["wallets"][0]["primary"], true);
}

#[tokio::test]
async fn invalid_parameter_is_refused() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    for (query, code, name) in [
        ("page=0", "invalid-parameter", "page: write a number from 1 to 100000"),
        ("page=x", "invalid-parameter", "page: write a number from 1 to 100000"),
        ("limit=201", "invalid-parameter", "limit: write a number from 1 to 200"),
        ("limit=abc", "invalid-parameter", "limit: write a number from 1 to 200"),
        ("discord_id=chani", "invalid-parameter", "discord_id"),
        ("telegram_id=-1", "invalid-parameter", "telegram_id"),
        ("nam=x", "invalid-parameter", "nam"),
        ("address=0x1", "invalid-address", "0x1"),
        (
            "address=0x656b95e5E50C07a9ffe548bd4085c72418Ceb1db",
            "wrong-checksum",
            "EIP-55",
        ),
    ] {
        let problem = api
            .get_as(&key, &format!("/admin/users?{query}"))
            .await
            .assert_problem(400, code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(name) && !detail.contains("deserialize"),
            "{query}: {problem}"
        );
    }
    let long = "x".repeat(101);
    api.get_as(&key, &format!("/admin/users?name={long}"))
        .await
        .assert_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn key_of_one_community_finds_its_members_only() {
    let api = TestApi::start().await;
    let (here, elsewhere) = (api.community(100).await, api.community(200).await);
    api.member(1, "Here", address(1), &[here]).await;
    api.member(2, "Elsewhere", address(2), &[elsewhere]).await;
    api.member(3, "Both", address(3), &[here, elsewhere]).await;
    api.member(4, "Nowhere", address(4), &[]).await;
    let key = api.key(Some(here), &[UsersRead]).await;
    let body = api.get_as(&key, "/admin/users").await.ok();
    assert_eq!((names(&body), &body["total"]), (vec!["Both", "Here"], &json!(2)));
    for query in [
        "name=Elsewhere",
        "discord_id=2",
        &format!("address={}", address(2)),
        "name=Nowhere",
    ] {
        assert_eq!(
            api.get_as(&key, &format!("/admin/users?{query}")).await.ok()["total"],
            0,
            "{query}"
        );
    }
}

#[tokio::test]
async fn request_is_in_the_audit_log_of_the_keys_community() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let key = api.key(Some(community), &[UsersRead]).await;
    api.get_as(&key, "/admin/users?name=chani").await.ok();
    let mut tx = api.database.tenant(community).await.unwrap();
    let entries = tx.audit_entries(10).await.unwrap();
    let keys = tx.api_keys().await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].action, "users.list");
    assert_eq!(
        entries[0].actor,
        arrakis_db::Actor::Operator(format!("api-key:{}", keys[0].id))
    );
    assert_eq!(entries[0].detail["name"], "chani");
}
