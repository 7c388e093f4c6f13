use arrakis_test_support::TestRedis;
use deadpool_redis::redis::cmd;

#[test]
fn each_test_has_a_redis_database_that_is_flushed_at_the_end() {
    let (one, other) = (TestRedis::create(), TestRedis::create());
    assert_ne!(one.url(), other.url());
    cmd("SET")
        .arg("key")
        .arg("value")
        .query::<()>(&mut one.connection())
        .unwrap();
    assert_eq!(one.keys(), ["key"]);
    assert!(other.keys().is_empty());

    let mut behind = one.connection();
    drop(one);
    assert_eq!(cmd("DBSIZE").query::<u64>(&mut behind).unwrap(), 0);
}
