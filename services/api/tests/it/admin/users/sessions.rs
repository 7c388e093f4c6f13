use arrakis_cache::{Cache, CacheOptions, SessionName, Ttl};
use arrakis_config::Secret;
use arrakis_db::ApiKeyScope::{ServersRead, UsersWrite};
use arrakis_db::{NewVerificationSession, SessionAccount, SessionNetwork, UserId};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::{TestApi, address};

#[tokio::test]
async fn sessions_of_a_person_are_listed_and_revoked() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let member = api.member(7, "Chani", address(1), &[community]).await;
    let (chani, other) = (UserId::new(7).unwrap(), UserId::new(8).unwrap());
    let day = Duration::days(1);
    let (own, own_key) = api.key_of(Some(community), &[ServersRead], day, Some(chani)).await;
    let (_, other_key) = api.key_of(None, &[ServersRead], day, Some(other)).await;
    let now = OffsetDateTime::now_utc();
    let session = Uuid::now_v7();
    let mut tx = api.database.tenant(community).await.unwrap();
    let new = NewVerificationSession {
        id: session,
        token_hash: [7; 32],
        account: SessionAccount {
            network: SessionNetwork::Discord,
            id: 7,
        },
        account_name: "Chani",
        community: Some(community),
        interaction_token: None,
        nonce: "0123456789",
        chain_id: 80_094,
        created_at: now,
        expires_at: now + Duration::minutes(14),
    };
    tx.verification_sessions().start(&new).await.unwrap();
    tx.commit().await.unwrap();
    let cache = Cache::new(&Secret::new(api.redis_url()), CacheOptions::default()).unwrap();
    let name = SessionName::new(100, "onboard", 7);
    cache.begin_session(name, json!({}), Ttl::seconds(900)).await.unwrap();

    let key = api.key(None, &[UsersWrite]).await;
    let path = format!("/admin/users/{}/sessions", member.identity);
    let listed = api.get_as(&key, &path).await.ok();
    let sessions = listed["sessions"].as_array().unwrap();
    let kinds: Vec<_> = sessions
        .iter()
        .map(|session| session["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["verification", "api-key", "dialog"]);
    assert_eq!(sessions[0]["id"], json!(session));
    assert_eq!(sessions[1]["id"], json!(own));
    api.get_as(&own_key, "/admin/servers/100/plan").await.ok();

    let revoke = format!("{path}/revoke");
    let revoked = api
        .post_as(&key, &revoke, &json!({"reason": "stolen account"}))
        .await
        .ok();
    assert_eq!(revoked, json!({"verifications": 1, "api_keys": 1, "dialogs": 1}));
    let refused = api.get_as(&own_key, "/admin/servers/100/plan").await;
    refused.assert_problem(401, "invalid-key");
    api.get_as(&other_key, "/admin/servers/100/plan").await.ok();
    assert_eq!(api.get_as(&key, &path).await.ok(), json!({"sessions": []}));
    let again = api
        .post_as(&key, &revoke, &json!({"reason": "stolen account"}))
        .await
        .ok();
    assert_eq!(again, json!({"verifications": 0, "api_keys": 0, "dialogs": 0}));
}
