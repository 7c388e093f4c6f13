use arrakis_test_support::{TestDatabase, required_variable};
use sqlx::{Connection, PgConnection};

async fn exists(name: &str) -> bool {
    let mut owner = PgConnection::connect(&required_variable("DATABASE_OWNER_URL"))
        .await
        .unwrap();
    sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(&mut owner)
        .await
        .unwrap()
}

#[tokio::test]
async fn each_test_has_a_database_with_the_schema_that_is_dropped_at_the_end() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    assert_ne!(one.name(), other.name());
    assert!(exists(one.name()).await);
    let pool = one.database().await;
    assert_eq!(pool.routes().await.unwrap(), []);
    assert_eq!(one.admin().await.communities().await.unwrap(), []);

    let name = one.name().to_owned();
    // A connection may still be open: the drop ends it.
    drop(one);
    assert!(!exists(&name).await);
}
