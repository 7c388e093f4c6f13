use arrakis_db::ApiKeyScope::{UsersExport, UsersRead, UsersWrite};
use arrakis_db::UserId;
use arrakis_db::registry::{Account, Cause, EventSource, TelegramUserId, VerifiedWallet};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::{TestApi, address};

#[tokio::test]
async fn user_has_wallets_and_history() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    let member = api.member(7, "Chani", address(1), &[]).await;
    let answer = api.get_as(&key, &format!("/admin/users/{}", member.identity)).await;
    let body = answer.ok();
    assert_eq!(
        (&body["name"], &body["discord_id"], &body["status"]),
        (&json!("Chani"), &json!("7"), &json!("active"))
    );
    assert_eq!(body["wallets"][0]["address"], address(1).to_string());
    let types: Vec<_> = body["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["WALLET_VERIFIED", "IDENTITY_CREATED"]);
    assert_eq!(body["history"][1]["data"]["display_name"], "Chani");
    assert_eq!(body["history"][0]["source"], "discord_verification");
    assert_eq!(body["history_before"], json!(null));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn unknown_user_is_404_and_a_malformed_id_400() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    api.get_as(&key, &format!("/admin/users/{}", Uuid::now_v7()))
        .await
        .assert_problem(404, "unknown-user");
    api.get_as(&key, "/admin/users/7")
        .await
        .assert_problem(400, "invalid-parameter");
    api.get_as(&key, "/admin/users/%FF")
        .await
        .assert_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn user_of_another_community_does_not_exist_for_a_key_of_one() {
    let api = TestApi::start().await;
    let (here, elsewhere) = (api.community(100).await, api.community(200).await);
    let member = api.member(7, "Chani", address(1), &[here]).await;
    let path = format!("/admin/users/{}", member.identity);
    let (own, other) = (
        api.key(Some(here), &[UsersRead]).await,
        api.key(Some(elsewhere), &[UsersRead]).await,
    );
    assert_eq!(api.get_as(&own, &path).await.ok()["name"], "Chani");
    let hidden = api.get_as(&other, &path).await;
    let missing = api.get_as(&other, &format!("/admin/users/{}", Uuid::now_v7())).await;
    let (hidden, missing) = (
        hidden.assert_problem(404, "unknown-user"),
        missing.assert_problem(404, "unknown-user"),
    );
    assert_eq!(hidden["detail"], missing["detail"]);
}

/// A member of two communities whose identity has what a community must not see: a Telegram account, a second wallet, a former one, and a
/// suspension with a reason, by an operator.
async fn member_with_a_past(api: &TestApi) -> (arrakis_db::CommunityId, String) {
    let (here, elsewhere) = (api.community(100).await, api.community(200).await);
    let member = api.member(7, "Chani", address(1), &[here, elsewhere]).await;
    let now = OffsetDateTime::now_utc();
    let cause = Cause {
        source: EventSource::TelegramVerification,
        at: now,
    };
    let mut tx = api.database.global().await.unwrap();
    let mut registry = tx.registry();
    let telegram = Account::Telegram(TelegramUserId::new(424_242).unwrap());
    registry
        .link(member.identity, telegram, "Chani of Telegram", cause)
        .await
        .unwrap();
    for number in [2, 3] {
        let wallet = VerifiedWallet {
            address: address(number),
            chain_id: 80094,
            signature: None,
            verified_at: now,
        };
        registry.verify_wallet(member.identity, &wallet, cause).await.unwrap();
    }
    registry
        .remove_wallet(member.identity, address(3), "removed by elsewhere", cause)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let operator = api.key(None, &[UsersWrite]).await;
    let path = format!("/admin/users/{}", member.identity);
    let reason = json!({"reason": "evidence of elsewhere"});
    api.post_as(&operator, &format!("{path}/suspend"), &reason).await.ok();
    (here, path)
}

#[tokio::test]
async fn key_of_one_community_sees_what_counts_there_and_no_history() {
    let api = TestApi::start().await;
    let (here, path) = member_with_a_past(&api).await;
    let platform = api.key(None, &[UsersRead, UsersExport]).await;
    let key = api.key(Some(here), &[UsersRead, UsersExport]).await;
    let secrets = [
        "424242".to_owned(),
        "evidence of elsewhere".to_owned(),
        "api-key:".to_owned(),
        "removed by elsewhere".to_owned(),
        "verification".to_owned(),
        address(2).to_string(),
        address(3).to_string(),
    ];
    let whole = api.get_as(&platform, &path).await;
    for secret in &secrets {
        assert!(whole.text.contains(secret), "{secret} is not in {}", whole.text);
    }
    for request in [
        path.as_str(),
        "/admin/users",
        "/admin/users?discord_id=7",
        "/admin/users/export",
        "/admin/users/export?format=csv",
    ] {
        let answer = api.get_as(&key, request).await;
        assert_eq!(answer.status, 200, "{request}: {}", answer.text);
        assert!(answer.text.contains(&address(1).to_string()), "{request}");
        for secret in &secrets {
            assert!(
                !answer.text.contains(secret),
                "{request} shows {secret}: {}",
                answer.text
            );
        }
    }
    // The public state: account, primary wallet, and that the member has no roles at present.
    let seen = api.get_as(&key, &path).await.ok();
    assert_eq!(
        (&seen["discord_id"], &seen["name"], &seen["status"]),
        (&json!("7"), &json!("Chani"), &json!("suspended"))
    );
    assert_eq!(
        (&seen["telegram_id"], &seen["updated_at"], &seen["history_before"]),
        (&json!(null), &json!(null), &json!(null))
    );
    assert_eq!(seen["history"], json!([]));
    assert_eq!(seen["wallets"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&seen["wallets"][0]["primary"], &seen["wallets"][0]["source"]),
        (&json!(true), &json!(null))
    );
}

#[tokio::test]
async fn key_of_one_community_cannot_search_by_what_it_does_not_see() {
    let api = TestApi::start().await;
    let (here, path) = member_with_a_past(&api).await;
    let key = api.key(Some(here), &[UsersRead]).await;
    let platform = api.key(None, &[UsersRead]).await;
    for request in ["/admin/users?telegram_id=424242", "/admin/users?telegram_id=1"] {
        let problem = api
            .get_as(&key, request)
            .await
            .assert_problem(403, "all-communities-required");
        assert!(
            problem["detail"].as_str().unwrap().contains("--all-communities"),
            "{problem}"
        );
    }
    api.get_as(&key, &format!("{path}?before=3"))
        .await
        .assert_problem(403, "all-communities-required");
    let total =
        async |key: &str, query: &str| api.get_as(key, &format!("/admin/users?{query}")).await.ok()["total"].clone();
    for (number, found) in [(1, 1), (2, 0), (3, 0)] {
        let query = format!("address={}", address(number));
        assert_eq!(total(&key, &query).await, found, "{query}");
        assert_eq!(total(&platform, &query).await, 1, "{query}");
    }
    assert_eq!(total(&platform, "telegram_id=424242").await, 1);
}

#[tokio::test]
async fn member_who_left_is_not_seen_any_more() {
    let api = TestApi::start().await;
    let (here, path) = member_with_a_past(&api).await;
    let key = api.key(Some(here), &[UsersRead]).await;
    api.get_as(&key, &path).await.ok();
    let mut tx = api.database.tenant(here).await.unwrap();
    tx.profiles()
        .leave(UserId::new(7).unwrap(), OffsetDateTime::now_utc())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    api.get_as(&key, &path).await.assert_problem(404, "unknown-user");
    assert_eq!(api.get_as(&key, "/admin/users").await.ok()["total"], 0);
}

#[tokio::test]
async fn long_history_is_paged() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    let member = api.member(7, "Chani", address(1), &[]).await;
    let cause = Cause {
        source: EventSource::DiscordVerification,
        at: OffsetDateTime::now_utc(),
    };
    let mut tx = api.database.global().await.unwrap();
    for _ in 0..60 {
        let wallet = VerifiedWallet {
            address: address(2),
            chain_id: 80094,
            signature: None,
            verified_at: cause.at,
        };
        let mut registry = tx.registry();
        registry.verify_wallet(member.identity, &wallet, cause).await.unwrap();
        registry
            .remove_wallet(member.identity, address(2), "unlinked", cause)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let path = format!("/admin/users/{}", member.identity);
    let first = api.get_as(&key, &path).await.ok();
    // The wallet that is held, and the latest 20 of the removed ones.
    assert_eq!(first["wallets"].as_array().unwrap().len(), 21);
    assert_eq!(first["wallets"][0]["address"], address(1).to_string());
    assert_eq!(first["history"].as_array().unwrap().len(), 100);
    let before = first["history_before"].as_u64().unwrap();
    let second = api.get_as(&key, &format!("{path}?before={before}")).await.ok();
    assert_eq!(second["history"].as_array().unwrap().len(), 22);
    assert_eq!(second["history"][21]["type"], "IDENTITY_CREATED");
    assert_eq!(second["history_before"], json!(null));
}
