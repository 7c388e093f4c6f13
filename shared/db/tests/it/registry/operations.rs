//! Each operation: its event, its effect, and what it refuses.

use arrakis_db::registry::{
    Cause, EventPayload, EventType, IdentitySearch, IdentityStatus, MAX_WALLETS, REMOVED_WALLETS, Refusal,
    RegistryError, SignatureKind, SignatureRecord, Suspension, Verified, VerifiedWallet,
};
use arrakis_test_support::TestDatabase;
use time::{Duration, OffsetDateTime};

use super::{address, admin, assert_refused, discord, held, identity, member, minute, record, telegram, wallet};
use crate::fixtures::{one_community, user};

#[tokio::test]
async fn identity_is_created_once_for_each_account() {
    let test = TestDatabase::create().await;
    let mut tx = test.database().await.global().await.unwrap();
    let chani = identity(&mut tx, 7, &[]).await;
    let again = tx.registry().create(discord(7), "Other", member(5)).await.unwrap();
    assert_eq!(again, chani);
    assert_eq!((again.display_name.as_str(), again.created_at), ("Member 7", minute(0)));
    let stilgar = tx
        .registry()
        .create(telegram(9), "Sti\nl\u{0}gar", member(1))
        .await
        .unwrap();
    assert_eq!((stilgar.discord_user, stilgar.display_name.as_str()), (None, "Stilgar"));

    tx.registry()
        .link(stilgar.id, discord(8), "Naib", member(2))
        .await
        .unwrap();
    let linked = record(&mut tx, stilgar.id).await.identity;
    assert_eq!(
        (linked.discord_user, linked.display_name.as_str()),
        (Some(user(8)), "Naib")
    );
    // Repeated, it writes nothing.
    tx.registry()
        .link(stilgar.id, discord(8), "Other", member(3))
        .await
        .unwrap();
    assert_eq!(tx.registry().head().await.unwrap().sequence, 3);
    let by_telegram = tx.registry().by_account(telegram(9)).await.unwrap().unwrap();
    assert_eq!(by_telegram.identity.id, stilgar.id);

    let other = tx.registry().link(stilgar.id, discord(10), "", member(3)).await;
    assert_refused(other, Refusal::AccountLinked);
    let taken = tx.registry().link(chani.id, telegram(9), "", member(3)).await;
    assert_refused(taken, Refusal::AccountInUse);
    let unknown = arrakis_db::registry::IdentityId::new();
    assert_refused(
        tx.registry().link(unknown, discord(11), "", member(3)).await,
        Refusal::UnknownIdentity,
    );
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn wallets_are_verified_removed_and_made_primary() {
    let test = TestDatabase::create().await;
    let mut tx = test.database().await.global().await.unwrap();
    let chani = identity(&mut tx, 7, &[]).await.id;
    let signed = VerifiedWallet {
        signature: Some(SignatureRecord {
            kind: SignatureKind::Erc6492,
            digest: [7; 32],
        }),
        ..wallet(1, 1)
    };
    let mut registry = tx.registry();
    assert_eq!(
        registry.verify_wallet(chani, &signed, member(1)).await.unwrap(),
        Verified::Added
    );
    for number in [2, 3] {
        registry
            .verify_wallet(chani, &wallet(number, 2), member(2))
            .await
            .unwrap();
    }
    let again = registry.verify_wallet(chani, &wallet(2, 5), member(5)).await.unwrap();
    assert_eq!(again, Verified::AlreadyHeld);
    let stored = record(&mut tx, chani).await;
    assert_eq!(held(&stored), [address(1), address(2), address(3)]);
    assert_eq!(
        (stored.wallets[0].signature, stored.wallets[1].signature),
        (signed.signature, None)
    );

    let mut registry = tx.registry();
    registry.set_primary(chani, address(3), member(3)).await.unwrap();
    assert_refused(
        registry.set_primary(chani, address(3), member(3)).await,
        Refusal::AlreadyPrimary,
    );
    assert_refused(
        registry.set_primary(chani, address(9), member(3)).await,
        Refusal::WalletNotHeld,
    );
    assert_eq!(
        held(&record(&mut tx, chani).await),
        [address(3), address(1), address(2)]
    );

    // The oldest of the others follows a removed primary wallet.
    let mut registry = tx.registry();
    registry
        .remove_wallet(chani, address(3), "unlinked", member(4))
        .await
        .unwrap();
    assert_refused(
        registry.remove_wallet(chani, address(3), "unlinked", member(4)).await,
        Refusal::WalletNotHeld,
    );
    let stored = record(&mut tx, chani).await;
    assert_eq!(held(&stored), [address(1), address(2)]);
    let removed = &stored.wallets[2];
    assert_eq!(
        (
            removed.removed_at,
            removed.removed_reason.as_deref(),
            removed.is_primary
        ),
        (Some(minute(4)), Some("unlinked"), false)
    );
    let types: Vec<_> = tx.registry().history(chani, None, 3).await.unwrap();
    let types: Vec<_> = types.iter().map(|event| event.payload.event_type()).collect();
    assert_eq!(
        types,
        [
            EventType::WalletSetPrimary,
            EventType::WalletRemoved,
            EventType::WalletSetPrimary
        ]
    );
    let oldest = tx.registry().history(chani, Some(2), 10).await.unwrap();
    assert_eq!(oldest.len(), 1);
    assert!(matches!(oldest[0].payload, EventPayload::IdentityCreated { .. }));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn wallet_of_another_identity_is_a_conflict_until_it_is_moved() {
    let test = TestDatabase::create().await;
    let mut tx = test.database().await.global().await.unwrap();
    let chani = identity(&mut tx, 7, &[1, 2]).await.id;
    let jamis = identity(&mut tx, 8, &[]).await.id;
    let mut registry = tx.registry();
    let error = registry
        .verify_wallet(jamis, &wallet(1, 1), member(1))
        .await
        .unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::WalletHeld));
    assert_eq!(error.to_string(), "another identity holds the wallet");
    assert_refused(
        registry.move_wallet(jamis, chani, &wallet(1, 1), "", member(1)).await,
        Refusal::WalletNotHeld,
    );
    assert_refused(
        registry.move_wallet(chani, chani, &wallet(1, 1), "", member(1)).await,
        Refusal::WalletAlreadyHeld,
    );
    registry
        .move_wallet(chani, jamis, &wallet(1, 1), "moved", member(1))
        .await
        .unwrap();
    let holder = registry.by_wallet(address(1)).await.unwrap().unwrap();
    assert_eq!(holder.identity.id, jamis);
    assert_eq!(registry.holders_ever(address(1)).await.unwrap(), [chani, jamis]);
    assert_eq!(held(&record(&mut tx, chani).await), [address(2)]);
    assert_eq!(held(&record(&mut tx, jamis).await), [address(1)]);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn number_of_wallets_and_chain_ids_are_limited() {
    let test = TestDatabase::create().await;
    let mut tx = test.database().await.global().await.unwrap();
    let numbers: Vec<u8> = (1..=u8::try_from(MAX_WALLETS).unwrap()).collect();
    let chani = identity(&mut tx, 7, &numbers).await.id;
    let mut registry = tx.registry();
    let more = registry.verify_wallet(chani, &wallet(200, 1), member(1)).await;
    assert_refused(more, Refusal::TooManyWallets);
    registry
        .remove_wallet(chani, address(5), "unlinked", member(1))
        .await
        .unwrap();
    for chain_id in [0, u64::MAX] {
        let odd = VerifiedWallet {
            chain_id,
            ..wallet(200, 1)
        };
        assert_refused(registry.verify_wallet(chani, &odd, member(1)).await, Refusal::ChainId);
    }
    registry.verify_wallet(chani, &wallet(200, 1), member(1)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn suspension_holds_until_it_ends_or_is_restored() {
    let test = TestDatabase::create().await;
    let operators = test.admin().await;
    let mut tx = operators.database().global().await.unwrap();
    let chani = identity(&mut tx, 7, &[1]).await.id;
    let suspension = |until: Option<i64>| Suspension {
        reason: "two accounts",
        by: "stilgar",
        until: until.map(minute),
    };
    let mut registry = tx.registry();
    assert_refused(registry.restore(chani, "", "", admin(1)).await, Refusal::NotSuspended);
    assert_refused(
        registry.suspend(chani, &suspension(Some(1)), admin(1)).await,
        Refusal::EndOfSuspension,
    );
    registry.suspend(chani, &suspension(Some(20)), admin(10)).await.unwrap();
    assert!(registry.is_suspended(user(7), minute(19)).await.unwrap());
    assert!(!registry.is_suspended(user(7), minute(20)).await.unwrap());
    assert!(!registry.is_suspended(user(8), minute(19)).await.unwrap());

    // Members change nothing meanwhile; operators do.
    for refused in [
        registry
            .verify_wallet(chani, &wallet(2, 11), member(11))
            .await
            .map(drop),
        registry.remove_wallet(chani, address(1), "", member(11)).await,
        registry.link(chani, telegram(1), "", member(11)).await,
        registry.set_primary(chani, address(1), member(11)).await,
    ] {
        assert_refused(refused, Refusal::Suspended);
    }
    registry.verify_wallet(chani, &wallet(2, 12), admin(12)).await.unwrap();

    // Over at its end, although no event is written yet; the event gets the time of the end.
    assert!(
        registry
            .end_expired_suspensions(minute(19), 10)
            .await
            .unwrap()
            .is_empty()
    );
    let ended = registry.end_expired_suspensions(minute(25), 10).await.unwrap();
    assert_eq!((ended.len(), ended[0].status), (1, IdentityStatus::Active));
    assert_eq!(
        registry.history(chani, None, 1).await.unwrap()[0].occurred_at,
        minute(20)
    );
    assert!(
        registry
            .end_expired_suspensions(minute(25), 10)
            .await
            .unwrap()
            .is_empty()
    );

    registry.suspend(chani, &suspension(None), admin(30)).await.unwrap();
    registry.suspend(chani, &suspension(Some(50)), admin(31)).await.unwrap();
    assert!(!registry.is_suspended(user(7), minute(50)).await.unwrap());
    registry.restore(chani, "appeal", "stilgar", admin(32)).await.unwrap();
    assert!(!registry.is_suspended(user(7), minute(33)).await.unwrap());
    registry.verify_wallet(chani, &wallet(3, 33), member(33)).await.unwrap();
    tx.commit().await.unwrap();
    let report = operators.database().verify_registry().await.unwrap();
    assert_eq!((report.problem, report.events), (None, 9));
}

/// Two workers' clocks differ: an event is never earlier than what it follows from.
#[tokio::test]
async fn event_is_not_earlier_than_the_last_one_of_its_identity_or_wallet() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    let chani = identity(&mut tx, 7, &[1]).await.id;
    let jamis = identity(&mut tx, 8, &[]).await.id;
    let mut registry = tx.registry();
    registry
        .remove_wallet(chani, address(1), "unlinked", member(10))
        .await
        .unwrap();
    registry.verify_wallet(chani, &wallet(2, 9), member(9)).await.unwrap();
    registry.verify_wallet(jamis, &wallet(1, 8), member(8)).await.unwrap();
    let of_jamis = record(&mut tx, jamis).await;
    assert_eq!(of_jamis.wallets[0].verified_at, minute(8));
    assert_eq!(of_jamis.identity.updated_at, minute(10));
    tx.commit().await.unwrap();
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

#[tokio::test]
async fn identities_are_searched_and_exported_in_pages() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.global().await.unwrap();
    for id in 1..=5 {
        identity(&mut tx, id, &[u8::try_from(id).unwrap()]).await;
    }
    let only_telegram = tx
        .registry()
        .create(telegram(6), "100% Chani_", member(9))
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut tx = database.global().await.unwrap();
    let everything = IdentitySearch::default();
    let mut found = Vec::new();
    for page in 1..=3 {
        let page = tx.registry().search(&everything, page, 2).await.unwrap();
        assert_eq!((page.total, page.identities.len()), (6, 2));
        found.extend(page.identities.iter().map(|record| record.identity.id));
    }
    assert_eq!(found[0], only_telegram.id, "newest first");
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 6);
    let beyond = tx.registry().search(&everything, 4, 2).await.unwrap();
    assert_eq!((beyond.total, beyond.identities.len()), (6, 0));

    let one = async |tx: &mut arrakis_db::GlobalTx, search: IdentitySearch| {
        let page = tx.registry().search(&search, 1, 10).await.unwrap();
        assert_eq!(page.total, u64::try_from(page.identities.len()).unwrap());
        page.identities
            .iter()
            .map(|record| record.identity.display_name.clone())
            .collect::<Vec<_>>()
    };
    let search = |name: &str| IdentitySearch {
        name: Some(name.to_owned()),
        ..IdentitySearch::default()
    };
    assert_eq!(one(&mut tx, search("member 3")).await, ["Member 3"]);
    assert_eq!(one(&mut tx, search("%")).await, ["100% Chani_"], "no wildcards");
    let by_address = IdentitySearch {
        address: Some(address(4)),
        ..IdentitySearch::default()
    };
    assert_eq!(one(&mut tx, by_address).await, ["Member 4"]);
    let by_both = IdentitySearch {
        address: Some(address(4)),
        discord_user: Some(user(3)),
        ..IdentitySearch::default()
    };
    assert!(one(&mut tx, by_both).await.is_empty());
    let by_telegram = IdentitySearch {
        telegram_user: Some(arrakis_db::registry::TelegramUserId::new(6).unwrap()),
        ..IdentitySearch::default()
    };
    assert_eq!(one(&mut tx, by_telegram).await.len(), 1);
    tx.commit().await.unwrap();

    // A tenant transaction finds members of the community only.
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(2), "Stilgar", minute(0)).await.unwrap();
    let page = tx.registry().search(&everything, 1, 10).await.unwrap();
    assert_eq!(
        (page.total, page.identities[0].identity.discord_user),
        (1, Some(user(2)))
    );
    let exported = tx.registry().export(None, 10).await.unwrap();
    assert_eq!((exported.len(), exported[0].wallets.len()), (1, 1));
    tx.commit().await.unwrap();
    assert_eq!(super::all_identities(&database).await.len(), 6);
}

#[tokio::test]
async fn overview_has_the_held_wallets_and_the_latest_removed_ones() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.global().await.unwrap();
    let id = identity(&mut tx, 2, &[1, 2]).await.id;
    let other = identity(&mut tx, 3, &[3]).await.id;
    for at in 0..REMOVED_WALLETS + 5 {
        let mut registry = tx.registry();
        registry.verify_wallet(id, &wallet(9, at), member(at)).await.unwrap();
        registry.remove_wallet(id, address(9), "x", member(at)).await.unwrap();
    }
    let removed = usize::try_from(REMOVED_WALLETS).unwrap();
    let overview = tx.registry().overview(id).await.unwrap().unwrap();
    let everything = record(&mut tx, id).await;
    assert_eq!(everything.wallets.len(), 2 + removed + 5);
    let mut expected = everything.clone();
    expected.wallets.drain(2..7);
    assert_eq!(overview, expected);
    let exported = tx.registry().export(None, 10).await.unwrap();
    assert_eq!(exported, [expected.clone(), record(&mut tx, other).await]);
    let page = tx.registry().search(&IdentitySearch::default(), 1, 10).await.unwrap();
    assert_eq!(page.identities[1], expected);
    tx.commit().await.unwrap();

    // By a wallet, a community finds who has it as the primary one; the platform finds who held it as well.
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(2), "Stilgar", minute(0)).await.unwrap();
    for (number, found) in [(1, 1), (2, 0), (9, 0)] {
        let search = IdentitySearch {
            address: Some(address(number)),
            ..IdentitySearch::default()
        };
        let page = tx.registry().search(&search, 1, 10).await.unwrap();
        assert_eq!(
            (page.total, page.identities.len()),
            (found, usize::try_from(found).unwrap()),
            "{number}"
        );
    }
    tx.commit().await.unwrap();
}

/// It would end a suspension early, and hide later events.
#[tokio::test]
async fn event_in_the_future_is_refused() {
    let (_test, database, _) = one_community().await;
    let mut tx = database.global().await.unwrap();
    let future = Cause {
        at: OffsetDateTime::now_utc() + Duration::hours(1),
        ..member(0)
    };
    let refused = tx.registry().create(discord(7), "Chani", future).await;
    assert!(matches!(refused, Err(RegistryError::Db(_))), "{refused:?}");
}
