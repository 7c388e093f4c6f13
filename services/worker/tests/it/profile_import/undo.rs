//! Undoing an import.

use arrakis_db::registry::{Account, Cause, EventSource, VerifiedWallet};
use arrakis_db::{Activity, Actor, BadgeSource};
use arrakis_domain::{AlertSettings, BadgeId};
use arrakis_test_support::eventually;
use time::OffsetDateTime;

use super::setup::{LIMIT, Setup, many, user};
use super::{JOINED, THREE_MEMBERS};

/// Chani has a profile, activity and a badge of the platform.
async fn with_a_member() -> Setup {
    let setup = Setup::create().await;
    let mut tx = setup.tenant().await;
    let later = JOINED + time::Duration::days(20);
    tx.profiles().join(user(1), "Chani", later).await.unwrap();
    tx.profiles()
        .count_activity(user(1), Activity::Command, later)
        .await
        .unwrap();
    let contributor = BadgeId::new("contributor").unwrap();
    tx.badges()
        .award(user(1), &contributor, BadgeSource::Admin(user(9)), later, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    setup
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_restores_what_was_before_and_a_further_import_is_possible() {
    let setup = with_a_member().await;
    let before = setup.everything().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    assert_eq!(setup.import(&file, &[]).await.0, 0);
    let imported = setup.everything().await;
    assert_ne!(imported, before);
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("the import of members.sqlite is undone; this run has restored 3 of 3 members"),
        "{text}"
    );
    assert_eq!(setup.everything().await, before);
    setup.verify_registry().await;
    let mut tx = setup.tenant().await;
    let record = tx
        .registry()
        .by_account(Account::Discord(user(1)))
        .await
        .unwrap()
        .unwrap();
    assert!(record.held().next().is_none(), "the event stays, the wallet is removed");
    let entry = tx.audit_entries(1).await.unwrap().remove(0);
    assert_eq!(
        (entry.action.as_str(), entry.actor),
        ("profiles.import_undo", Actor::Operator("liet".to_owned()))
    );
    drop(tx);

    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is undone already"), "{text}");
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 wallets, 3 badges"), "{text}");
    assert_eq!(setup.everything().await, imported);
    setup.verify_registry().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_badge_that_an_import_replaced_is_held_again_after_the_undo() {
    let setup = Setup::create().await;
    let first_crossing = BadgeId::new("first-crossing").unwrap();
    let member = user(1_000_001);
    let mut tx = setup.tenant().await;
    tx.profiles().join(member, "Member 1", JOINED).await.unwrap();
    tx.badges()
        .award(
            member,
            &first_crossing,
            BadgeSource::Rule,
            JOINED,
            Some("a first trade"),
        )
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let before = setup.everything().await;
    let file = setup.file("members.sqlite", &many(1));
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        setup.rows("select badge_id from badges").await,
        ["01890a5d-ac96-774b-bcce-000000000001"]
    );
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(setup.everything().await, before);

    // Where the imported badge was revoked and the member has earned another one since, that one stays.
    assert_eq!(setup.import(&file, &[]).await.0, 0);
    let mut tx = setup.tenant().await;
    tx.badges()
        .revoke(member, &first_crossing, Some(user(9)), "a drill")
        .await
        .unwrap();
    tx.badges()
        .award(member, &first_crossing, BadgeSource::Rule, JOINED, Some("once more"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(setup.undo(&[]).await.0, 0);
    assert_eq!(setup.rows("select reason from badges").await, ["once more"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_are_undone_one_after_the_other() {
    let setup = Setup::create().await;
    let before = setup.everything().await;
    let first = setup.file("first.sqlite", THREE_MEMBERS);
    let liet = "insert into profiles (user_id, display_name, joined_at) values ('7', 'Liet', '2026-01-01T12:00:00Z')";
    let second = setup.file("second.sqlite", liet);
    for file in [&first, &second] {
        let (code, text) = setup.import(file, &[]).await;
        assert_eq!(code, 0, "{text}");
    }
    for name in ["second.sqlite", "first.sqlite"] {
        let (code, text) = setup.undo(&[]).await;
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(&format!("the import of {name} is undone")), "{text}");
    }
    assert_eq!(setup.everything().await, before);
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("the import of second.sqlite is undone already"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_without_an_import_is_refused() {
    let setup = Setup::create().await;
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("has no import of profiles"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_from_after_the_import_is_not_deleted_without_consent() {
    let setup = with_a_member().await;
    let before = setup.everything().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    assert_eq!(setup.import(&file, &[]).await.0, 0);
    let mut tx = setup.tenant().await;
    let now = OffsetDateTime::now_utc();
    let contributor = BadgeId::new("contributor").unwrap();
    // Of a profile from before the import, and of one that the import created.
    tx.profiles()
        .count_activity(user(1), Activity::Command, now)
        .await
        .unwrap();
    tx.badges()
        .award(user(2), &contributor, BadgeSource::Admin(user(9)), now, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("2  Stilgar 沙") && text.contains("--discard-changes"),
        "{text}"
    );
    assert!(!text.contains("1  Chani"), "{text}");
    assert_eq!(setup.count("profiles").await, 3);
    let (code, text) = setup.undo(&["--discard-changes"]).await;
    assert_eq!(code, 0, "{text}");
    let mut tx = setup.tenant().await;
    let chani = tx.profiles().by_user(user(1)).await.unwrap().unwrap();
    assert_eq!(chani.commands, 2, "one before the import, one since");
    drop(tx);
    // The day and the last activity of today are Chani's own.
    let after = setup.everything().await;
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_that_a_member_has_chosen_are_not_deleted_without_consent() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    assert_eq!(setup.import(&file, &[]).await.0, 0);
    let mut tx = setup.tenant().await;
    tx.alerts().subscribe(user(2), &AlertSettings::default()).await.unwrap();
    tx.commit().await.unwrap();
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("2  Stilgar 沙") && !text.contains("1  Chani"), "{text}");
    assert_eq!(setup.count("profiles").await, 3);
    let (code, text) = setup.undo(&["--discard-changes"]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        (setup.count("profiles").await, setup.count("subscriptions").await),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wallet_that_the_member_has_removed_stays_removed() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    let mut tx = setup.tenant().await;
    let mut registry = tx.registry();
    let by_member = |day| Cause {
        source: EventSource::DiscordVerification,
        at: JOINED + time::Duration::days(day),
    };
    let wallet = VerifiedWallet {
        address: "0x00000000000000000000000000000000000000a1".parse().unwrap(),
        chain_id: 80094,
        signature: None,
        verified_at: JOINED,
    };
    let account = Account::Discord(user(1));
    let chani = registry.create(account, "Chani", by_member(0)).await.unwrap().id;
    registry.verify_wallet(chani, &wallet, by_member(0)).await.unwrap();
    registry
        .remove_wallet(chani, wallet.address, "unlinked", by_member(3))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 wallets stay removed"), "{text}");
    let mut tx = setup.tenant().await;
    assert_eq!(tx.profiles().by_user(user(1)).await.unwrap().unwrap().wallet, None);
    setup.verify_registry().await;
}

/// The commits: the state, page 1, page 2, the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_undo_is_continued() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", &many(260));
    for point in ["db.committing", "db.committed"] {
        for commit in 1..=4 {
            assert_eq!(setup.import(&file, &[]).await.0, 0);
            let (code, text) = setup.undo_with(&[], &format!("{point}=kill@{commit}")).await;
            assert_eq!(code, -1, "{point} {commit}: {text}");
            setup.verify_registry().await;
            let (code, text) = setup.undo(&[]).await;
            // Killed after the last commit: the undo is complete.
            let is_complete = point == "db.committed" && commit == 4;
            assert_eq!(code, i32::from(is_complete), "{point} {commit}: {text}");
            for table in ["profiles", "badges", "tiers_reached", "profile_import_members"] {
                assert_eq!(setup.count(table).await, 0, "{table}: {point} {commit}");
            }
            setup.verify_registry().await;
        }
    }
}

/// The import is suspended after the commit of its first page, while it is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_that_is_undone_while_it_runs_writes_no_further_page() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", &many(600));
    let import = setup.start_import(&file, "db.committed=sleep(3000)@2");
    let first_page = async || setup.count("profile_import_members").await == 250;
    eventually(first_page, "the first page of the import").await;
    import.suspend();
    let (code, text) = setup.undo(&[]).await;
    import.resume();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("restored 250 of 600 members"), "{text}");
    let (status, text) = import.output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(
        text.contains("`undo-profile-import` was started while this import was running"),
        "{text}"
    );
    for table in ["profiles", "badges", "tiers_reached", "profile_import_members"] {
        assert_eq!(setup.count(table).await, 0, "{table}");
    }
    assert_eq!(setup.rows("select state from profile_imports").await, ["undone"]);
    setup.verify_registry().await;
    let (code, text) = setup.import(&file, &[]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(setup.count("profiles").await, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_an_earlier_build_left_of_an_undone_import_are_undone() {
    let setup = Setup::create().await;
    let file = setup.file("members.sqlite", THREE_MEMBERS);
    assert_eq!(setup.import(&file, &[]).await.0, 0);
    setup.rows("update profile_imports set state = 'undone'").await;
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("restored 3 of 3 members"), "{text}");
    assert!(setup.everything().await.is_empty());
    let (code, text) = setup.undo(&[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is undone already"), "{text}");
}
