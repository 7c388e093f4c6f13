//! `arrakis-worker import-profiles` and `undo-profile-import`, with real SQLite files.

mod problems;
pub mod setup;
mod undo;

use std::time::{Duration, Instant};

use arrakis_db::registry::{Account, EventSource};
use arrakis_db::{Actor, BadgeSource};
use arrakis_domain::{BadgeId, TierId};
use rusqlite::Connection;
use time::OffsetDateTime;
use time::macros::datetime;

use self::setup::{GUILD, Setup, many, onboard, user};

const JOINED: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const VERIFIED: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);

/// Chani (1) shares the badge that she was given with Stilgar (2); Jamis (3) has left.
const THREE_MEMBERS: &str = "
    insert into profiles values
        ('1', 'Chani', '0x00000000000000000000000000000000000000A1', '2026-01-02T12:00:00Z', '2026-01-01 12:00:00', null, 'usul',
         '2026-01-03T00:00:00Z', 'naib', 1, 0, null, 12, 34, '2026-01-05T00:00:00.5+01:00', null, '2026-01-06T00:00:00Z'),
        ('2', 'Stilgar 沙', '0x00000000000000000000000000000000000000a2', 1767355200, 1767268800, null, null, null, null, 0, 1,
         '2026-01-04T00:00:00Z', null, null, null, null, null),
        ('3', 'Jamis', null, null, '2026-01-01T12:00:00Z', '2026-01-02T00:00:00Z', null, null, null, null, null, null, null, null, null,
         null, null);
    insert into badges values
        ('01890a5d-ac96-774b-bcce-000000000001', '2', 'water-sharer', 'share', '1', '2026-01-05T00:00:00Z', null,
         '01890a5d-ac96-774b-bcce-000000000002', null, null, null),
        ('01890a5d-ac96-774b-bcce-000000000002', '1', 'water-sharer', 'admin', '9', '2026-01-04T00:00:00Z', 'the first', null, null,
         null, null),
        ('01890a5d-ac96-774b-bcce-000000000003', '3', 'contributor', 'admin', '9', '2026-01-01T13:00:00Z', null, null,
         '2026-01-02T00:00:00Z', '9', 'left');
    insert into tiers_reached values ('1', 'naib', '2026-01-02T13:00:00Z'), ('1', 'usul', '2026-01-03T00:00:00Z');
    insert into activity values ('1', '2026-01-05', 2, 7);";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_imported_with_ids_times_wallets_and_badges() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("imported 3 of 3 members (0 of them had a profile), 2 wallets, 3 badges"),
        "{text}"
    );

    let mut tx = setup.tenant().await;
    let chani = tx.profiles().by_user(user(1)).await.unwrap().unwrap();
    assert_eq!((chani.display_name.as_str(), chani.joined_at), ("Chani", JOINED));
    assert_eq!(
        chani.wallet.unwrap().to_string(),
        "0x00000000000000000000000000000000000000a1"
    );
    assert_eq!(
        (chani.tier, chani.highest_tier),
        (Some(tier("usul")), Some(tier("naib")))
    );
    assert_eq!((chani.commands, chani.messages, chani.protected), (12, 34, true));
    assert_eq!(chani.last_active_at, Some(datetime!(2026-01-04 23:00:00.5 UTC)));
    let stilgar = tx.profiles().by_user(user(2)).await.unwrap().unwrap();
    assert_eq!(
        (stilgar.joined_at, stilgar.display_name.as_str()),
        (JOINED, "Stilgar 沙")
    );
    assert_eq!(stilgar.waitlisted_at, Some(datetime!(2026-01-04 00:00 UTC)));
    let jamis = tx.profiles().by_user(user(3)).await.unwrap().unwrap();
    assert_eq!(
        (jamis.wallet, jamis.left_at),
        (None, Some(datetime!(2026-01-02 00:00 UTC)))
    );
    let reached = tx.profiles().tiers_reached(user(1)).await.unwrap();
    assert_eq!(reached[0], (tier("naib"), datetime!(2026-01-02 13:00 UTC)));

    let held = tx.badges().of(user(2)).await.unwrap();
    assert_eq!(held[0].source, BadgeSource::Share(user(1)));
    let water_sharer = BadgeId::new("water-sharer").unwrap();
    let lineage = tx.badges().lineage(Some(user(1)), &water_sharer).await.unwrap();
    let holders: Vec<_> = lineage.iter().map(|entry| (entry.user, entry.depth)).collect();
    assert_eq!(holders, [(user(1), 0), (user(2), 1)]);
    assert!(tx.badges().of(user(3)).await.unwrap().is_empty(), "revoked");
    assert_eq!(
        setup.rows("select badge_id from badges order by 1").await[2],
        "01890a5d-ac96-774b-bcce-000000000003"
    );
    assert_eq!(
        setup.rows("select user_id, hidden from profiles order by 1").await,
        ["1|f", "2|t", "3|f"]
    );
    assert_eq!(
        setup.rows("select day, commands, messages from profile_activity").await,
        ["2026-01-05|2|7"]
    );
    let times = "select created_at = joined_at, updated_at at time zone 'UTC' from profiles where user_id = 1";
    assert_eq!(setup.rows(times).await, ["t|2026-01-06 00:00:00"]);

    let record = tx
        .registry()
        .by_account(Account::Discord(user(1)))
        .await
        .unwrap()
        .unwrap();
    let wallet = record.primary().unwrap();
    assert_eq!((wallet.verified_at, wallet.source), (VERIFIED, EventSource::Migration));
    assert_eq!((record.identity.created_at, wallet.chain_id), (VERIFIED, 80094));
    assert_eq!(tx.registry().by_account(Account::Discord(user(3))).await.unwrap(), None);
    let entry = tx.audit_entries(1).await.unwrap().remove(0);
    assert_eq!(
        (entry.action.as_str(), entry.actor),
        ("profiles.import", Actor::Operator("liet".to_owned()))
    );
    assert_eq!(setup.rows("select kind from jobs").await, ["reconcile"]);
    setup.verify_registry().await;
}

fn tier(id: &str) -> TierId {
    TierId::new(id).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_content_is_imported_once() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    assert_eq!(setup.import(&file, &[]).await.0, 0);
    let before = setup.everything().await;
    let events = setup.count("identity_events").await;
    // Other bytes, the same content.
    Connection::open(&file)
        .unwrap()
        .execute_batch("vacuum; create table other (n int)")
        .unwrap();
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("this content is imported already, from members.sqlite by liet"),
        "{text}"
    );
    // Another content with the same members would count their activity twice.
    Connection::open(&file)
        .unwrap()
        .execute_batch("update profiles set commands = 13 where user_id = '1'")
        .unwrap();
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("profiles row 1 (member 1): an earlier import has written the member; undo it first"),
        "{text}"
    );
    assert_eq!(setup.everything().await, before);
    assert_eq!(setup.count("identity_events").await, events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dry_run_writes_nothing() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    let (code, text) = setup.import(&file, &["--dry-run"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("3 members, 3 badges, 2 tiers reached, 1 days of activity; 0 problems"),
        "{text}"
    );
    assert!(setup.everything().await.is_empty());
    assert_eq!(
        (
            setup.count("profile_imports").await,
            setup.count("identity_events").await
        ),
        (0, 0)
    );
}

/// The bot is there before the import: members have profiles, and badges by rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn existing_profiles_get_what_was_before_and_keep_what_is_newer() {
    let setup = Setup::create().await;
    let now = datetime!(2026-02-01 00:00 UTC);
    let mut tx = setup.tenant().await;
    tx.profiles().join(user(1), "Chani of the Fremen", now).await.unwrap();
    tx.profiles().join(user(3), "Jamis", now).await.unwrap();
    let walker = BadgeId::new("sand-walker").unwrap();
    tx.badges()
        .award(user(1), &walker, BadgeSource::Rule, now, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let rule_badge =
        "insert into badges values ('01890a5d-ac96-774b-bcce-000000000004', '1', 'sand-walker', 'rule', null,
                                                 '2026-01-31T00:00:00Z', null, null, null, null, null);";
    let file = setup.file("members.sqlite", &format!("{THREE_MEMBERS} {rule_badge}"));
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("imported 3 of 3 members (2 of them had a profile)"),
        "{text}"
    );
    let mut tx = setup.tenant().await;
    let chani = tx.profiles().by_user(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (chani.display_name.as_str(), chani.joined_at),
        ("Chani of the Fremen", JOINED)
    );
    assert_eq!((chani.commands, chani.tier), (12, Some(tier("usul"))));
    let jamis = tx.profiles().by_user(user(3)).await.unwrap().unwrap();
    assert_eq!(jamis.left_at, None, "the platform knows who is there");
    let held = tx.badges().of(user(1)).await.unwrap();
    let awarded: Vec<_> = held.iter().map(|held| (held.badge.as_str(), held.awarded_at)).collect();
    assert_eq!(
        awarded,
        [
            ("water-sharer", datetime!(2026-01-04 00:00 UTC)),
            ("sand-walker", datetime!(2026-01-31 00:00 UTC)),
        ]
    );
}

/// The wallet of a member counts in every community of the platform.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imported_wallet_is_copied_to_other_communities() {
    let setup = Setup::create().await;
    let other = onboard(&setup.database, GUILD + 1).await;
    let mut tx = setup.database.tenant(other).await.unwrap();
    tx.profiles().join(user(1), "Chani", JOINED).await.unwrap();
    tx.commit().await.unwrap();
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    assert_eq!(setup.import(&file, &[]).await.0, 0);
    let mut tx = setup.database.tenant(other).await.unwrap();
    assert!(tx.profiles().by_user(user(1)).await.unwrap().unwrap().wallet.is_some());
    let jobs = format!("select kind from jobs where community_id = '{other}'");
    assert_eq!(setup.rows(&jobs).await, ["tier-sync"]);
    assert_eq!(setup.undo(&[]).await.0, 0);
    let mut tx = setup.database.tenant(other).await.unwrap();
    assert_eq!(tx.profiles().by_user(user(1)).await.unwrap().unwrap().wallet, None);
}

/// Two pages and the end. The commits: the import's row, page 1, page 2, the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_import_is_continued_and_doubles_nothing() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", &many(260));
    for point in ["db.committing", "db.committed"] {
        for commit in 1..=4 {
            let (code, text) = setup.import_with(&file, &[], &format!("{point}=kill@{commit}")).await;
            assert_eq!(code, -1, "{point} {commit}: {text}");
            setup.verify_registry().await;
            let (code, text) = setup.import(&file, &[]).await;
            assert_eq!(code, 0, "{point} {commit}: {text}");
            for table in ["profiles", "badges", "tiers_reached", "profile_import_members"] {
                assert_eq!(setup.count(table).await, 260, "{table}: {point} {commit}");
            }
            setup.verify_registry().await;
            let (code, text) = setup.undo(&[]).await;
            assert_eq!(code, 0, "{text}");
        }
    }
    let imports = "select state, count(*) from profile_imports group by 1";
    assert_eq!(setup.rows(imports).await, ["undone|8"]);
    let jobs = "select count(*) from jobs where job_id like 'reconcile:import:%'";
    assert_eq!(setup.rows(jobs).await, ["8"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_of_another_file_waits_for_the_end_of_the_first() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", &many(260));
    assert_eq!(setup.import_with(&file, &[], "db.committed=kill@2").await.0, -1);
    let other = setup.file("others.sqlite", THREE_MEMBERS);
    let (code, text) = setup.import(&other, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("an import of members.sqlite is not finished"), "{text}");
    assert_eq!(setup.undo(&[]).await.0, 0);
    let (code, text) = setup.import(&other, &[]).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_profiles_take_less_than_five_minutes() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", &many(10_000));
    let started = Instant::now();
    let (code, text) = setup.import(&file, &[]).await;
    let took = started.elapsed();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("imported 10000 of 10000 members"), "{text}");
    assert!(took < Duration::from_secs(300), "{took:?}");
    println!("10,000 profiles with wallets and badges: {took:?}");
    for (table, rows) in [("profiles", 10_000), ("badges", 10_000), ("identity_events", 20_000)] {
        assert_eq!(setup.count(table).await, rows, "{table}");
    }
    let differing = "select count(*) from profiles where wallet <> '0x' || lpad(to_hex(user_id - 1000000), 40, '0')";
    assert_eq!(setup.rows(differing).await, ["0"]);
    setup.verify_registry().await;
}
