//! Commits of transactions in which a statement failed.

use arrakis_test_support::TestDatabase;

use crate::fixtures::TwoTenants;

#[tokio::test]
async fn commit_of_a_failed_transaction_is_an_error_and_keeps_nothing() {
    let two = TwoTenants::create().await;
    let database = two.database.database().await;
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(tx.claim("kept?").await.unwrap());
    // PostgreSQL refuses text with a zero byte and aborts the transaction; the caller ignores the error.
    tx.claim("zero\0byte").await.unwrap_err();
    let error = tx.commit().await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("transaction.commit"),
        "{error}"
    );
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(tx.claim("kept?").await.unwrap(), "nothing of it was kept");
    tx.commit().await.unwrap();
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(!tx.claim("kept?").await.unwrap(), "what was committed is kept");
}

#[tokio::test]
async fn commit_of_a_failed_global_transaction_is_an_error() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    assert!(tx.claim("kept?").await.unwrap());
    tx.claim("zero\0byte").await.unwrap_err();
    tx.commit().await.unwrap_err();
    // The connection is used again, without a transaction.
    let mut tx = database.global().await.unwrap();
    assert!(tx.claim("kept?").await.unwrap());
    tx.commit().await.unwrap();
}
