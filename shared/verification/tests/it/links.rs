//! Signed links to the wallet page.

use std::sync::Arc;

use arrakis_security::signing::{LocalSigner, Signer};
use arrakis_verification::{Account, AccountNetwork, Refusal, VerificationError};

use crate::support::{TestService, now};

const BASE: &str = "https://verify.example.org";
const MEMBER: Account = Account {
    network: AccountNetwork::Discord,
    id: 42,
};

async fn refused(service: &TestService, segment: &str) -> Refusal {
    match service.verification.session(segment, now()).await {
        Err(VerificationError::Refused(refusal)) => refusal,
        other => panic!("{segment}: {other:?}"),
    }
}

#[tokio::test]
async fn forged_and_unsigned_links_are_refused_where_links_are_signed() {
    let mut service = TestService::start(BASE).await;
    let unsigned = service.verification.clone();
    let signer = Arc::new(LocalSigner::generate().unwrap());
    service.verification = unsigned.clone().signed_by(Arc::clone(&signer) as Arc<dyn Signer>);
    let (_, link) = service.begin(MEMBER, "Chani").await;
    assert_eq!(service.state(&link).await, "open");
    let (token, signature) = link.split_once('~').unwrap();
    assert_eq!(refused(&service, token).await, Refusal::UnknownSession);
    let (start, value) = link.rsplit_once('~').unwrap();
    let first = if value.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{start}~{first}{}", &value[1..]);
    assert_eq!(refused(&service, &changed).await, Refusal::UnknownSession);
    // The signature of another session, and one by another key.
    let other = Account { id: 43, ..MEMBER };
    let (_, other_link) = service.begin(other, "Liet").await;
    let (other_token, _) = other_link.split_once('~').unwrap();
    let moved = format!("{other_token}~{signature}");
    assert_eq!(refused(&service, &moved).await, Refusal::UnknownSession);
    let stranger = Arc::new(LocalSigner::generate().unwrap());
    service.verification = unsigned.clone().signed_by(stranger);
    assert_eq!(refused(&service, &link).await, Refusal::UnknownSession);
    // An api that does not verify links accepts those of workers that sign.
    service.verification = unsigned;
    assert_eq!(service.state(&link).await, "open");
}

#[tokio::test]
async fn link_of_an_earlier_version_of_the_key_is_valid_after_a_rotation() {
    let mut service = TestService::start(BASE).await;
    let signer = Arc::new(LocalSigner::generate().unwrap());
    service.verification = service
        .verification
        .clone()
        .signed_by(Arc::clone(&signer) as Arc<dyn Signer>);
    let (_, link) = service.begin(MEMBER, "Chani").await;
    signer.rotate().await.unwrap();
    assert_eq!(service.state(&link).await, "open");
}
