//! What cannot be imported is reported with row and reason, before anything is written.

use arrakis_db::registry::{Account, Cause, EventSource, Suspension, VerifiedWallet};
use arrakis_db::{Activity, BadgeSource};
use arrakis_domain::BadgeId;
use rusqlite::Connection;
use serde_json::{Value, json};
use time::macros::datetime;

use super::setup::{SCHEMA, Setup, user};
use super::{JOINED, THREE_MEMBERS, VERIFIED};

/// Imports a file that is refused, checks that nothing was written, and returns the output.
async fn refused(setup: &Setup, rows: &str) -> String {
    let file = setup.path("refused.sqlite");
    let _ = std::fs::remove_file(&file);
    let file = setup.file("refused.sqlite", rows);
    let before = setup.everything().await;
    let events = setup.count("identity_events").await;
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("nothing was written"), "{text}");
    assert_eq!(setup.everything().await, before);
    assert_eq!(setup.count("identity_events").await, events);
    assert_eq!(setup.count("profile_imports").await, 0);
    text
}

/// A row of `profiles` with these values in place of an ordinary member's.
fn profile(values: &[(&str, &str)]) -> String {
    let mut columns = vec![
        ("user_id", "'7'"),
        ("display_name", "'Duncan'"),
        ("joined_at", "'2026-01-01T00:00:00Z'"),
    ];
    columns.retain(|(column, _)| values.iter().all(|(other, _)| other != column));
    columns.extend(values);
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    format!(
        "insert into profiles ({}) values ({});",
        names.join(", "),
        values.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_values_are_problems() {
    let setup = Setup::create().await;
    let (time, wallet) = ("'2026-01-01T00:00:00Z'", "'0x00000000000000000000000000000000000000a1'");
    let cases: [(&[(&str, &str)], &str); 17] = [
        (&[("user_id", "'chani'")], "profiles row 1: user_id: a Discord id is"),
        (&[("user_id", "null")], "profiles row 1: user_id is empty"),
        (
            &[("display_name", "''")],
            "profiles row 1 (member 7): display_name: the text has 0 characters",
        ),
        (
            &[("display_name", "x'ff'")],
            "profiles row 1 (member 7): display_name: a blob of 1 bytes is not a text",
        ),
        (&[("joined_at", "'tomorrow'")], "joined_at: `tomorrow` is not a time"),
        (&[("joined_at", "'2999-01-01T00:00:00Z'")], "is in the future"),
        (&[("left_at", "'2025-12-31T00:00:00Z'")], "left_at is before joined_at"),
        (&[("commands", "-1")], "commands: -1 is not a whole number from 0"),
        (
            &[("messages", "9223372036854775807")],
            "profiles row 1 (member 7): messages: 9223372036854775807 is more than 1000000000000",
        ),
        (&[("protected", "'yes'")], "protected: `yes` is neither 0 nor 1"),
        (&[("tier", "'usul'")], "tier and tier_since are set together"),
        (
            &[("tier", "'gold'"), ("tier_since", time)],
            "the theme sietch has no tier gold",
        ),
        (
            &[("tier", "'naib'"), ("tier_since", time), ("highest_tier", "'hajra'")],
            "highest_tier is below tier",
        ),
        (&[("wallet", wallet)], "wallet and verified_at are set together"),
        (
            &[("wallet", "'0xa1'"), ("verified_at", time)],
            "wallet: `0xa1` is not a wallet address",
        ),
        (
            &[
                ("wallet", "'0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed'"),
                ("verified_at", time),
            ],
            "wallet: the checksum of",
        ),
        (
            &[
                ("wallet", "'0x0000000000000000000000000000000000000000'"),
                ("verified_at", time),
            ],
            "wallet: 0x0000000000000000000000000000000000000000 is the zero address",
        ),
    ];
    for (values, reason) in cases {
        let text = refused(&setup, &profile(values)).await;
        assert!(text.contains(reason), "{values:?}: {text}");
    }
    let day = format!(
        "{} insert into activity values ('7', '2026-01-05', 2147483647, 0);",
        profile(&[])
    );
    let text = refused(&setup, &day).await;
    let reason = "activity row 1 (member 7): commands: 2147483647 is more than 1000000000";
    assert!(text.contains(reason), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn platform_adds_to_the_largest_counts_that_are_imported() {
    let setup = Setup::create().await;
    let rows = format!(
        "{} insert into activity values ('7', '2026-01-05', 1000000000, 0);",
        profile(&[("commands", "1000000000000")])
    );
    let file = setup.file("members.sqlite", &rows);
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    let mut tx = setup.tenant().await;
    let at = datetime!(2026-01-05 12:00 UTC);
    tx.profiles()
        .count_activity(user(7), Activity::Command, at)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(setup.rows("select commands from profiles").await, ["1000000000001"]);
    assert_eq!(
        setup.rows("select commands from profile_activity").await,
        ["1000000001"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_contradict_each_other_are_problems() {
    let setup = Setup::create().await;
    let member = profile(&[]);
    let badge = |id: u8, member: u8, source: &str, more: &str| {
        format!(
            "insert into badges (badge_id, user_id, badge, awarded_at, source, awarded_by, shared_from)
             values ('01890a5d-ac96-774b-bcce-00000000000{id}', '{member}', 'water-sharer', '2026-01-05T00:00:00Z', '{source}', {more});"
        )
    };
    let wallet = [
        ("wallet", "'0x00000000000000000000000000000000000000a1'"),
        ("verified_at", "'2026-01-02T00:00:00Z'"),
    ];
    let wallets = [&[("user_id", "'8'")][..], &wallet].concat();
    let from = |id: u8| format!("'01890a5d-ac96-774b-bcce-00000000000{id}'");
    let two = format!("{member}{}", profile(&[("user_id", "'8'")]));
    for (rows, reason) in [
        (
            format!("{}{}", profile(&wallet), profile(&wallets)),
            "profiles row 2 (member 8): the wallet 0x00000000000000000000000000000000000000a1 is also that of member 7",
        ),
        (
            badge(1, 7, "rule", "null, null"),
            "badges row 1 (member 7): the member has no row in profiles",
        ),
        (
            format!("{member}{}", badge(1, 7, "given", "null, null")),
            "the source is none of rule, admin and share",
        ),
        (
            format!("{member}{}", badge(1, 7, "admin", "null, null")),
            "has an awarded_by",
        ),
        (
            format!("{member}{}", badge(1, 7, "share", "7, null")),
            "cannot share a badge with oneself",
        ),
        (
            format!(
                "{member}{}{}",
                badge(1, 7, "admin", "9, null"),
                badge(2, 7, "admin", "9, null")
            ),
            "badges row 2 (member 7): the member holds the badge water-sharer twice",
        ),
        (
            format!("{member}{}", badge(1, 7, "share", &format!("8, {}", from(9)))),
            "shared_from: the file has no badge 01890a5d-ac96-774b-bcce-000000000009",
        ),
        (
            format!(
                "{two}{}{}",
                badge(1, 7, "share", &format!("8, {}", from(2))),
                badge(2, 8, "share", &format!("7, {}", from(1)))
            ),
            "the lineage returns to this badge",
        ),
        (
            format!(
                "{member}insert into tiers_reached values ('7', 'naib', '2026-01-05T00:00:00Z'), ('7', 'naib', '2026-01-06T00:00:00Z');"
            ),
            "tiers_reached row 2 (member 7): the member has reached naib in a row before this one",
        ),
    ] {
        let text = refused(&setup, &rows).await;
        assert!(text.contains(reason), "{rows}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_columns_and_missing_tables_are_problems() {
    let setup = Setup::create().await;
    let text = refused(
        &setup,
        "alter table profiles add column email text; alter table badges drop column source;",
    )
    .await;
    assert!(text.contains("profiles: unknown column `email`"), "{text}");
    assert!(text.contains("badges: the column `source` is missing"), "{text}");
    let text = refused(&setup, "drop table profiles").await;
    assert!(text.contains("profiles: the file has no such table"), "{text}");
    // A view in place of a table, and a table that is not imported.
    let view = format!(
        "{} alter table profiles rename to people; create view profiles as select user_id, display_name, joined_at from people;",
        profile(&[])
    );
    let file = setup.file("view.sqlite", &view);
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the table people is not imported"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_with_the_platform_are_problems() {
    let setup = Setup::create().await;
    let wallet = VerifiedWallet {
        address: "0x00000000000000000000000000000000000000a1".parse().unwrap(),
        chain_id: 80094,
        signature: None,
        verified_at: VERIFIED,
    };
    let cause = Cause {
        source: EventSource::DiscordVerification,
        at: VERIFIED,
    };
    let mut tx = setup.tenant().await;
    let mut registry = tx.registry();
    let holder = registry
        .create(Account::Discord(user(70)), "Feyd", cause)
        .await
        .unwrap();
    registry.verify_wallet(holder.id, &wallet, cause).await.unwrap();
    let water_sharer = BadgeId::new("water-sharer").unwrap();
    tx.profiles().join(user(1), "Chani", JOINED).await.unwrap();
    tx.badges()
        .award(user(1), &water_sharer, BadgeSource::Admin(user(9)), JOINED, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let text = refused(&setup, THREE_MEMBERS).await;
    let held = "profiles row 1 (member 1): wallet 0x00000000000000000000000000000000000000a1: another identity holds the wallet";
    assert!(text.contains(held), "{text}");
    assert!(
        text.contains("badges (member 1): the member holds the badge water-sharer already"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wallet_of_a_suspended_identity_is_a_problem_until_the_suspension_ends() {
    let setup = Setup::create().await;
    let operators = setup.test.admin().await;
    let cause = |source| Cause { source, at: VERIFIED };
    let mut tx = operators.database().global().await.unwrap();
    let chani = tx
        .registry()
        .create(
            Account::Discord(user(1)),
            "Chani",
            cause(EventSource::DiscordVerification),
        )
        .await
        .unwrap();
    let suspension = Suspension {
        reason: "two accounts",
        by: "liet",
        until: None,
    };
    let admin = cause(EventSource::Admin);
    tx.registry().suspend(chani.id, &suspension, admin).await.unwrap();
    tx.commit().await.unwrap();
    let text = refused(&setup, THREE_MEMBERS).await;
    let suspended =
        "profiles row 1 (member 1): wallet 0x00000000000000000000000000000000000000a1: the identity is suspended";
    assert!(text.contains(suspended), "{text}");
    let mut tx = operators.database().global().await.unwrap();
    tx.registry()
        .restore(chani.id, "a mistake", "liet", admin)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let file = setup.path("refused.sqlite");
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    setup.verify_registry().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_are_printed_as_json() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", &profile(&[("commands", "'many'")]));
    let (code, text) = setup.import(&file, &["--json"]).await;
    assert_eq!(code, 1, "{text}");
    let line = text.lines().find(|line| line.starts_with('{')).unwrap();
    let problem: Value = serde_json::from_str(line).unwrap();
    let expected = json!({"table": "profiles", "row": 1, "user_id": "7", "reason": "commands: `many` is not a whole number from 0"});
    assert_eq!(problem, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_is_no_sound_database_is_refused() {
    let setup = Setup::create().await;
    let missing = setup.path("missing.sqlite");
    let (code, text) = setup.import(&missing, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("there is no file"), "{text}");
    let words = setup.path("words.sqlite");
    std::fs::write(&words, "Fear is the mind-killer. ".repeat(100)).unwrap();
    let (code, text) = setup.import(&words, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("cannot be read as a SQLite database"), "{text}");
    let whole = setup.file("whole.sqlite", &super::many(2_000));
    let bytes = std::fs::read(&whole).unwrap();
    let half = setup.path("half.sqlite");
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let (code, text) = setup.import(&half, &[]).await;
    assert_eq!(code, 1, "{text}");
    // A later format: the version of reading, <https://www.sqlite.org/fileformat.html#file_format_version_numbers>.
    let mut bytes = bytes;
    bytes[19] = 3;
    let newer = setup.path("newer.sqlite");
    std::fs::write(&newer, bytes).unwrap();
    let (code, text) = setup.import(&newer, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("cannot be read as a SQLite database"), "{text}");
    assert_eq!(setup.count("profile_imports").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn view_that_computes_a_huge_value_is_refused() {
    let setup = Setup::create().await;
    let view = "drop table profiles;
        create view profiles as
            select '7' as user_id, hex(zeroblob(400000000)) as display_name, '2026-01-01T12:00:00Z' as joined_at;";
    let file = setup.file("view.sqlite", view);
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("too big"), "{text}");
    assert_eq!(setup.count("profile_imports").await, 0);
}

/// The rows of the write-ahead log belong to the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_another_program_has_open_is_read() {
    let setup = Setup::create().await;
    let path = setup.path("live.sqlite");
    let live = Connection::open(&path).unwrap();
    live.execute_batch("pragma journal_mode = wal").unwrap();
    live.execute_batch(SCHEMA).unwrap();
    live.execute_batch(&profile(&[])).unwrap();
    let (code, text) = setup.import(&path, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("imported 1 of 1 members"), "{text}");
    drop(live);
}
