//! A server that is sealed, slow or away: nothing is signed by another key, and what is known is verified.

use std::time::Duration;

use arrakis_security::signing::{SignError, Signer, TransitOptions, TransitSigner};
use arrakis_test_support::eventually_within;

use crate::setup::{server, settings, signer};

const LIMIT: Duration = Duration::from_secs(30);

/// Limits at which a test need not wait.
const IMPATIENT: TransitOptions = TransitOptions {
    request_timeout: Duration::from_secs(2),
    connect_timeout: Duration::from_secs(1),
    max_failures: 2,
    pause: Duration::from_secs(2),
};

#[tokio::test]
async fn sealed_server_signs_nothing_and_signs_again_once_it_is_unsealed() {
    let (bao, role) = server().await;
    let signer = TransitSigner::new(&settings(&bao, &role), &IMPATIENT).unwrap();
    let signature = signer.sign(b"message").await.unwrap();
    bao.seal().await;
    let refused = signer.sign(b"message").await.unwrap_err();
    assert!(
        refused.is_transient() && refused.to_string().contains("sealed"),
        "{refused}"
    );
    signer.verify(b"message", &signature).await.unwrap();
    // A process that does not have the public keys cannot verify, and the signature does not count as wrong.
    let other = TransitSigner::new(&settings(&bao, &role), &IMPATIENT).unwrap();
    let unverified = other.verify(b"message", &signature).await.unwrap_err();
    assert!(
        unverified.is_transient() && !unverified.is_about_the_signature(),
        "{unverified}"
    );
    bao.unseal().await;
    let is_signed = || async { signer.sign(b"message").await.is_ok() };
    eventually_within(LIMIT, is_signed, "a signature").await;
}

#[tokio::test]
async fn breaker_opens_while_the_server_does_not_respond_and_closes_by_itself() {
    let (bao, role) = server().await;
    let signer = TransitSigner::new(&settings(&bao, &role), &IMPATIENT).unwrap();
    signer.sign(b"message").await.unwrap();
    bao.process().suspend();
    for _ in 0..2 {
        let slow = signer.sign(b"message").await.unwrap_err();
        assert!(
            slow.is_transient() && slow.to_string().contains("no response within 2000 ms"),
            "{slow}"
        );
    }
    let refused = signer.sign(b"message").await.unwrap_err();
    assert!(
        refused.is_transient() && refused.to_string().contains("no request is sent"),
        "{refused}"
    );
    bao.process().resume();
    let is_signed = || async { signer.sign(b"message").await.is_ok() };
    eventually_within(LIMIT, is_signed, "a signature").await;
}

#[tokio::test]
async fn server_that_is_away_is_unavailable() {
    let (bao, role) = server().await;
    let settings = settings(&bao, &role);
    let known = signer(&bao, &role);
    let signature = known.sign(b"message").await.unwrap();
    drop(bao);
    let signer = TransitSigner::new(&settings, &IMPATIENT).unwrap();
    // The folder with the secret id is gone as well: a login is not possible, and no other key takes its place.
    let refused = signer.sign(b"message").await.unwrap_err();
    assert!(
        matches!(refused, SignError::Unavailable { .. } | SignError::Refused { .. }),
        "{refused}"
    );
    let unavailable = known.sign(b"message").await.unwrap_err();
    assert!(unavailable.is_transient(), "{unavailable}");
    known.verify(b"message", &signature).await.unwrap();
}
