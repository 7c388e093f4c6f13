//! Rotation without downtime: every version verifies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrakis_security::signing::{SignError, Signature, Signer};
use arrakis_test_support::eventually;
use reqwest::Method;
use serde_json::json;

use crate::setup::{server, signer};

const ROTATIONS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_fails_no_signature_and_loses_none() {
    let (bao, role) = server().await;
    let signing = Arc::new(signer(&bao, &role));
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (signing, stop, count) = (Arc::clone(&signing), Arc::clone(&stop), Arc::clone(&count));
            tokio::spawn(async move {
                let mut signed: Vec<(String, Signature)> = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let message = format!("message {} of task {task}", signed.len());
                    let signature = signing.sign(message.as_bytes()).await.unwrap();
                    signed.push((message, signature));
                    count.fetch_add(1, Ordering::Relaxed);
                }
                signed
            })
        })
        .collect();
    // Another process rotates.
    let rotating = signer(&bao, &role);
    for version in 2..=ROTATIONS + 1 {
        let before = count.load(Ordering::Relaxed);
        let goes_on = || std::future::ready(count.load(Ordering::Relaxed) > before + 4);
        eventually(goes_on, "signatures by the version in use").await;
        assert_eq!(rotating.rotate().await.unwrap(), version);
        let batch = rotating.sign_batch(&[b"one", b"two"]).await.unwrap();
        assert_eq!(batch[1].version, version);
    }
    stop.store(true, Ordering::Relaxed);
    let mut versions = BTreeSet::new();
    let verifying = Arc::new(signer(&bao, &role));
    let mut verifications = Vec::new();
    for task in tasks {
        for (message, signature) in task.await.unwrap() {
            versions.insert(signature.version);
            let verifying = Arc::clone(&verifying);
            verifications.push(tokio::spawn(async move {
                verifying.verify(message.as_bytes(), &signature).await
            }));
        }
    }
    for verified in verifications {
        verified.await.unwrap().unwrap();
    }
    assert!(versions.contains(&1) && versions.len() > 1, "{versions:?}");
    let keys = verifying.public_keys().await.unwrap();
    let listed: Vec<u32> = keys.iter().map(|key| key.version).collect();
    assert_eq!(listed, Vec::from_iter(1..=ROTATIONS + 1));
}

#[tokio::test]
async fn version_that_the_server_does_not_list_any_more_is_verified_by_its_copy() {
    let (bao, role) = server().await;
    let first = signer(&bao, &role);
    let signature = first.sign(b"message").await.unwrap();
    let copy = first.public_keys().await.unwrap();
    assert_eq!(first.rotate().await.unwrap(), 2);
    let config = json!({"min_decryption_version": 2});
    bao.root(Method::POST, "transit/keys/arrakis/config", Some(&config))
        .await;
    first.verify(b"message", &signature).await.unwrap();
    let second = signer(&bao, &role);
    let unknown = second.verify(b"message", &signature).await;
    assert!(
        matches!(unknown, Err(SignError::UnknownKey { version: 1, .. })),
        "{unknown:?}"
    );
    second.remember(&copy);
    second.verify(b"message", &signature).await.unwrap();
    assert_eq!(second.public_keys().await.unwrap().len(), 2);
}
