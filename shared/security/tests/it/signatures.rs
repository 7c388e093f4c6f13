//! What is signed, and by which keys.

use arrakis_security::signing::{Algorithm, LocalSigner, SignError, Signer, SigningPurpose, TrustedKeys};
use arrakis_test_support::OpenBao;
use reqwest::Method;
use serde_json::json;

use crate::setup::{KEY, LONG, ROLE, server, signer};

#[tokio::test]
async fn signature_is_of_the_message_and_its_purpose() {
    let (bao, role) = server().await;
    let signer = signer(&bao, &role);
    let signature = signer.sign_for(SigningPurpose::Approval, b"approved").await.unwrap();
    assert_eq!(
        (signature.algorithm, signature.key.as_str(), signature.version),
        (Algorithm::Ed25519Sha256, KEY, 1)
    );
    signer
        .verify_for(SigningPurpose::Approval, b"approved", &signature)
        .await
        .unwrap();
    for (purpose, content) in [
        (SigningPurpose::Approval, &b"rejected"[..]),
        (SigningPurpose::Manifest, b"approved"),
    ] {
        let refused = signer.verify_for(purpose, content, &signature).await;
        assert!(matches!(refused, Err(SignError::Invalid { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn batch_is_signed_in_order() {
    let (bao, role) = server().await;
    let signer = signer(&bao, &role);
    // More than one request.
    let texts: Vec<String> = (0..450).map(|number| format!("message {number}")).collect();
    let messages: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let signatures = signer.sign_batch(&messages).await.unwrap();
    assert_eq!(signatures.len(), messages.len());
    for (message, signature) in messages.iter().zip(&signatures) {
        signer.verify(message, signature).await.unwrap();
    }
    let swapped = signer.verify(messages[0], &signatures[1]).await;
    assert!(matches!(swapped, Err(SignError::Invalid { .. })), "{swapped:?}");
    assert!(signer.sign_batch(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn signature_is_verified_without_the_server_by_its_public_key() {
    let (bao, role) = server().await;
    let transit = signer(&bao, &role);
    let signature = transit.sign(b"message").await.unwrap();
    let keys = transit.public_keys().await.unwrap();
    drop(bao);
    // Another machine, which trusts the public key: gaib reads snapshots of the platform so.
    let other = LocalSigner::generate().unwrap();
    let unknown = other.verify(b"message", &signature).await;
    assert!(
        matches!(unknown, Err(SignError::UnknownKey { version: 1, .. })),
        "{unknown:?}"
    );
    let trusting = other.trusting([keys[0].public_key]);
    trusting.verify(b"message", &signature).await.unwrap();
    assert!(trusting.verify(b"other", &signature).await.is_err());
    transit.verify(b"message", &signature).await.unwrap();
}

#[tokio::test]
async fn signatures_of_an_earlier_local_key_are_accepted_where_it_is_trusted() {
    let (bao, role) = server().await;
    let local = LocalSigner::generate().unwrap();
    let signature = local.sign(b"message").await.unwrap();
    let transit = signer(&bao, &role);
    let unknown = transit.verify(b"message", &signature).await;
    assert!(matches!(unknown, Err(SignError::UnknownKey { .. })), "{unknown:?}");
    let trusting = transit.trusting(TrustedKeys::from_iter([local.public_key()]));
    trusting.verify(b"message", &signature).await.unwrap();
}

#[tokio::test]
async fn weaker_key_signs_nothing() {
    let bao = OpenBao::start().await;
    for (properties, reason) in [
        (json!({"type": "ed25519", "exportable": true}), "can be read"),
        (json!({"type": "ecdsa-p256"}), "type ed25519"),
        (json!({"type": "aes256-gcm96"}), "type ed25519"),
    ] {
        bao.create_key_of(KEY, &properties).await;
        let role = bao.create_role(ROLE, KEY, LONG, LONG).await;
        let signer = signer(&bao, &role);
        let refused = signer.sign(b"message").await.unwrap_err();
        assert!(
            matches!(refused, SignError::Failed { .. }) && refused.to_string().contains(reason),
            "{properties}: {refused}"
        );
        assert!(signer.sign_batch(&[b"message"]).await.is_err());
        let config = json!({"deletion_allowed": true});
        bao.root(Method::POST, "transit/keys/arrakis/config", Some(&config))
            .await;
        bao.root(Method::DELETE, "transit/keys/arrakis", None).await;
    }
}

#[tokio::test]
async fn key_that_was_deleted_and_created_again_is_refused() {
    let (bao, role) = server().await;
    let signer = signer(&bao, &role);
    let earlier = signer.sign(b"message").await.unwrap();
    let config = json!({"deletion_allowed": true});
    bao.root(Method::POST, "transit/keys/arrakis/config", Some(&config))
        .await;
    bao.root(Method::DELETE, "transit/keys/arrakis", None).await;
    let missing = signer.sign(b"message").await.unwrap_err();
    assert!(matches!(missing, SignError::Failed { .. }), "{missing}");
    bao.create_key(KEY).await;
    let other = signer.sign(b"message").await.unwrap_err();
    assert!(matches!(other, SignError::Failed { .. }), "{other}");
    let listed = signer.public_keys().await.unwrap_err();
    assert!(listed.to_string().contains("created again"), "{listed}");
    signer.verify(b"message", &earlier).await.unwrap();
}
