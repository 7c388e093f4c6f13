//! What a commit says when there was nothing left to commit.

use arrakis_test_support::TestDatabase;

use crate::fixtures::TwoTenants;

#[tokio::test]
async fn committing_a_failed_transaction_is_an_error_and_nothing_is_kept() {
    let two = TwoTenants::create().await;
    let database = two.database.database().await;
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(tx.claim("kept?").await.unwrap());
    // Text with a zero byte is refused by Postgres, which ends the transaction; the caller passes over the error.
    tx.claim("zero\0byte").await.unwrap_err();
    let error = tx.commit().await.unwrap_err();
    assert!(
        error.is_passing() && error.to_string().contains("transaction.commit"),
        "{error}"
    );
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(tx.claim("kept?").await.unwrap(), "nothing of it was kept");
    tx.commit().await.unwrap();
    let mut tx = database.tenant(two.a).await.unwrap();
    assert!(!tx.claim("kept?").await.unwrap(), "what was committed is kept");
}

#[tokio::test]
async fn the_same_holds_for_what_belongs_to_no_tenant() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    assert!(tx.claim("kept?").await.unwrap());
    tx.claim("zero\0byte").await.unwrap_err();
    tx.commit().await.unwrap_err();
    // The connection is used again, clean.
    let mut tx = database.global().await.unwrap();
    assert!(tx.claim("kept?").await.unwrap());
    tx.commit().await.unwrap();
}
