//! Logins, renewal and revocation.

use std::time::Duration;

use arrakis_config::SigningRevocation;
use arrakis_security::kill_switch::{RevokeSigning as _, RevokeSigningError};
use arrakis_security::signing::{SignError, Signer, TransitOptions, TransitRevoker};
use arrakis_test_support::{OpenBao, eventually, eventually_within};
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::setup::{KEY, LONG, ROLE, server, settings, signer};

const LIMIT: Duration = Duration::from_secs(30);

/// What revokes these policies, by a role of its own.
async fn revoker(bao: &OpenBao, policies: &[&str]) -> TransitRevoker {
    let operator = bao.create_revoker("revoker", policies).await;
    let revocation = SigningRevocation {
        transit: settings(bao, &operator),
        policies: policies.iter().map(|&policy| policy.to_owned()).collect(),
    };
    TransitRevoker::new(&revocation, &TransitOptions::default()).unwrap()
}

#[tokio::test]
async fn revoked_token_is_replaced_by_a_new_login() {
    let (bao, role) = server().await;
    let signer = signer(&bao, &role);
    signer.sign(b"message").await.unwrap();
    assert_eq!(bao.revoke_logins().await, 1);
    signer.sign(b"message").await.unwrap();
    assert_eq!(bao.revoke_logins().await, 1);
}

#[tokio::test]
async fn revoked_permission_is_refused_until_it_is_given_again() {
    let (bao, role) = server().await;
    let signer = signer(&bao, &role);
    let signature = signer.sign(b"message").await.unwrap();
    bao.forbid(ROLE).await;
    bao.revoke_logins().await;
    for _ in 0..3 {
        let refused = signer.sign(b"message").await.unwrap_err();
        assert!(matches!(refused, SignError::Refused { .. }), "{refused}");
    }
    // What was signed before remains verifiable.
    signer.verify(b"message", &signature).await.unwrap();
    bao.permit(ROLE, KEY).await;
    let is_signed = || async { signer.sign(b"message").await.is_ok() };
    eventually_within(LIMIT, is_signed, "the permission to be used").await;
}

#[tokio::test]
async fn revoked_permission_of_every_process_returns_when_it_is_restored() {
    let (bao, role) = server().await;
    let revoker = revoker(&bao, &[ROLE]).await;
    let signers = [signer(&bao, &role), signer(&bao, &role)];
    for signer in &signers {
        signer.sign(b"message").await.unwrap();
    }
    let revoked = revoker.revoke_all().await.unwrap();
    assert_eq!((revoked.policies, revoked.accessors), (vec![ROLE.to_owned()], 2));
    for signer in &signers {
        let refused = signer.sign(b"message").await.unwrap_err();
        assert!(matches!(refused, SignError::Refused { .. }), "{refused}");
    }
    revoker.revoke_all().await.unwrap();
    revoker.restore().await.unwrap();
    for signer in &signers {
        let is_signed = || async { signer.sign(b"message").await.is_ok() };
        eventually_within(LIMIT, is_signed, "the permission to be used").await;
    }
}

#[tokio::test]
async fn drill_revokes_a_token_of_its_own_and_no_permission_to_sign() {
    let (bao, role) = server().await;
    let signer = signer(&bao, &role);
    signer.sign(b"message").await.unwrap();
    let before = bao.logins().await;
    let revoker = revoker(&bao, &[ROLE]).await;
    let revoked = revoker.drill().await.unwrap().unwrap();
    assert_eq!((revoked.policies, revoked.accessors), (Vec::new(), 1));
    signer.sign(b"message").await.unwrap();
    let after = bao.logins().await;
    assert!(before.iter().all(|accessor| after.contains(accessor)), "{after:?}");
    // That of the revoker itself stays.
    assert_eq!(after.len(), before.len() + 1);
}

#[tokio::test]
async fn drill_fails_where_the_role_may_not_write_a_policy() {
    let (bao, _) = server().await;
    let operator = bao.create_revoker("revoker", &[]).await;
    let revocation = SigningRevocation {
        transit: settings(&bao, &operator),
        policies: vec![ROLE.to_owned()],
    };
    let revoker = TransitRevoker::new(&revocation, &TransitOptions::default()).unwrap();
    let refused = revoker.drill().await.unwrap_err();
    assert!(
        matches!(&refused, RevokeSigningError::Refused(reason) if reason.contains("sys/policies/acl/signer")),
        "{refused}"
    );
}

#[tokio::test]
async fn token_is_renewed_before_it_expires() {
    let (bao, _) = server().await;
    let ttl = Duration::from_secs(5);
    let role = bao.create_role("short", KEY, ttl, LONG).await;
    let signer = signer(&bao, &role);
    let began = Instant::now();
    signer.sign(b"message").await.unwrap();
    let first = bao.logins().await;
    let outlives = || async {
        signer.sign(b"message").await.unwrap();
        began.elapsed() > ttl + Duration::from_secs(1)
    };
    eventually_within(LIMIT, outlives, "the first lease to be over").await;
    assert_eq!(first.len(), 1);
    assert_eq!(bao.logins().await, first, "the token of the first login is in use");
}

#[tokio::test]
async fn expired_token_is_replaced_by_a_new_login() {
    let (bao, _) = server().await;
    let ttl = Duration::from_secs(1);
    // It cannot be renewed beyond its first lease.
    let role = bao.create_role("short", KEY, ttl, ttl).await;
    let signer = signer(&bao, &role);
    signer.sign(b"message").await.unwrap();
    let is_expired = || async { bao.logins().await.is_empty() };
    eventually(is_expired, "the token to expire").await;
    signer.sign(b"message").await.unwrap();
}

#[tokio::test]
async fn tokens_that_cannot_be_revoked_are_refused() {
    let (bao, _) = server().await;
    let properties = json!({"token_type": "batch", "token_policies": ROLE, "token_ttl": 60});
    let role = bao.create_role_of("batch", &properties).await;
    let refused = signer(&bao, &role).sign(b"message").await.unwrap_err();
    assert!(
        matches!(refused, SignError::Refused { .. }) && refused.to_string().contains("token_type=service"),
        "{refused}"
    );
}

#[tokio::test]
async fn replaced_secret_id_is_read_without_a_restart() {
    let (bao, role) = server().await;
    let secret_id = std::fs::read_to_string(&role.secret_id_file).unwrap();
    std::fs::write(&role.secret_id_file, "wrong").unwrap();
    let signer = signer(&bao, &role);
    let refused = signer.sign(b"message").await.unwrap_err();
    assert!(matches!(refused, SignError::Refused { .. }), "{refused}");
    assert!(!refused.to_string().contains(secret_id.trim()), "{refused}");
    std::fs::write(&role.secret_id_file, &secret_id).unwrap();
    let is_signed = || async { signer.sign(b"message").await.is_ok() };
    eventually_within(LIMIT, is_signed, "the new secret id to be used").await;
    let shown = format!("{signer:?} {:?}", settings(&bao, &role));
    assert!(
        !shown.contains(secret_id.trim()) && shown.contains("[redacted]"),
        "{shown}"
    );
}

#[tokio::test]
async fn role_without_a_right_to_rotate_signs_and_does_not_rotate() {
    let (bao, _) = server().await;
    let policy = json!({"policy": "path \"transit/sign/arrakis\" { capabilities = [\"update\"] }\npath \"transit/keys/arrakis\" { capabilities = [\"read\"] }"});
    bao.root(Method::PUT, "sys/policies/acl/sign-only", Some(&policy)).await;
    let properties = json!({"token_type": "service", "token_policies": "sign-only", "token_ttl": 60});
    let role = bao.create_role_of("sign-only", &properties).await;
    let signer = signer(&bao, &role);
    let refused = signer.rotate().await.unwrap_err();
    assert!(matches!(refused, SignError::Refused { .. }), "{refused}");
    assert_eq!(signer.sign(b"message").await.unwrap().version, 1);
}
