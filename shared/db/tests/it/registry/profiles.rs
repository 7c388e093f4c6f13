//! Copying wallets to profiles, and what a suspension does to an evaluation.

use arrakis_db::registry::{SignatureKind, SignatureRecord, Suspension, VerifiedWallet, WalletCopy};
use arrakis_db::{Admin, Database, GlobalTx, TenantTx};
use arrakis_domain::{Address, Balance, Rank, Standing};

use super::{address, admin, identity, member, minute, wallet};
use crate::fixtures::{one_community, token, user};

async fn wallet_of(tx: &mut TenantTx, id: u64) -> Option<Address> {
    tx.profiles().by_user(user(id)).await.unwrap().unwrap().wallet
}

async fn copy(tx: &mut TenantTx, id: u64) -> WalletCopy {
    tx.profiles().copy_wallet_from_registry(user(id)).await.unwrap()
}

#[tokio::test]
async fn profile_gets_the_primary_wallet_of_the_identity() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.global().await.unwrap();
    let chani = identity(&mut tx, 7, &[1, 2]).await.id;
    let jamis = identity(&mut tx, 8, &[]).await.id;
    tx.commit().await.unwrap();

    let mut tx = database.tenant(community).await.unwrap();
    for id in [7, 8] {
        tx.profiles().join(user(id), "Member", minute(0)).await.unwrap();
    }
    let changed = WalletCopy {
        changed: true,
        taken_from: None,
    };
    assert_eq!(copy(&mut tx, 7).await, changed);
    assert_eq!(wallet_of(&mut tx, 7).await, Some(address(1)));
    assert_eq!(copy(&mut tx, 7).await, WalletCopy::default(), "repeated");
    assert_eq!(copy(&mut tx, 99).await, WalletCopy::default(), "without a profile");

    // The wallet moves; its former owner's profile is not up to date.
    let mut registry = tx.registry();
    registry
        .move_wallet(chani, jamis, &wallet(1, 1), "moved", member(1))
        .await
        .unwrap();
    let taken = WalletCopy {
        changed: true,
        taken_from: Some(user(7)),
    };
    assert_eq!(copy(&mut tx, 8).await, taken);
    assert_eq!(
        (wallet_of(&mut tx, 7).await, wallet_of(&mut tx, 8).await),
        (None, Some(address(1)))
    );
    assert_eq!(copy(&mut tx, 7).await, changed);
    assert_eq!(wallet_of(&mut tx, 7).await, Some(address(2)));

    let mut registry = tx.registry();
    registry
        .remove_wallet(chani, address(2), "unlinked", member(2))
        .await
        .unwrap();
    assert_eq!(copy(&mut tx, 7).await, changed);
    assert_eq!(wallet_of(&mut tx, 7).await, None);
    tx.commit().await.unwrap();
}

async fn suspend(operators: &Admin, until: Option<i64>, at: i64) {
    let mut tx: GlobalTx = operators.database().global().await.unwrap();
    let account = arrakis_db::registry::Account::Discord(user(7));
    let chani = tx.registry().by_account(account).await.unwrap().unwrap().identity.id;
    let suspension = Suspension {
        reason: "spam",
        by: "ops",
        until: until.map(minute),
    };
    tx.registry().suspend(chani, &suspension, admin(at)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn evaluated(database: &Database, community: arrakis_db::CommunityId, at: i64) -> (bool, Standing) {
    let mut tx = database.tenant(community).await.unwrap();
    let input = tx
        .profiles()
        .evaluation_input(&token(), user(7), minute(at), 0)
        .await
        .unwrap()
        .unwrap();
    (input.suspended, input.member.standing)
}

#[tokio::test]
async fn suspended_member_has_no_standing_in_an_evaluation() {
    let (test, database, community) = one_community().await;
    let mut tx = database.global().await.unwrap();
    identity(&mut tx, 7, &[1]).await;
    let held = Balance::from_units_text("1000").unwrap();
    tx.replace_ranking(&token(), &[(address(1), held)], 1, minute(0))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(7), "Chani", minute(0)).await.unwrap();
    copy(&mut tx, 7).await;
    tx.commit().await.unwrap();

    let first = Standing::new(Rank::new(1), held);
    assert_eq!(evaluated(&database, community, 5).await, (false, first));
    let operators = test.admin().await;
    suspend(&operators, Some(20), 10).await;
    assert_eq!(evaluated(&database, community, 19).await, (true, Standing::default()));
    assert_eq!(
        evaluated(&database, community, 20).await,
        (false, first),
        "over at its end"
    );
    suspend(&operators, None, 30).await;
    assert_eq!(
        evaluated(&database, community, 1_000_000).await,
        (true, Standing::default())
    );
}

/// Its address may have other owners on another chain.
#[tokio::test]
async fn contract_wallet_counts_only_on_the_chain_of_its_contract() {
    let (_test, database, community) = one_community().await;
    let chain = {
        let mut tx = database.global().await.unwrap();
        let profile = tx.eligibility().token_profile(&token()).await.unwrap().unwrap();
        profile.chain_id
    };
    for (id, kind, chain_id, counts) in [
        (7, SignatureKind::Erc1271, chain, true),
        (8, SignatureKind::Erc1271, chain + 1, false),
        (9, SignatureKind::Erc6492, chain + 1, false),
        (10, SignatureKind::Eip191, chain + 1, true),
    ] {
        let mut tx = database.global().await.unwrap();
        let owner = identity(&mut tx, id, &[]).await.id;
        let proven = VerifiedWallet {
            chain_id,
            signature: Some(SignatureRecord { kind, digest: [7; 32] }),
            ..wallet(u8::try_from(id).unwrap(), 1)
        };
        tx.registry().verify_wallet(owner, &proven, member(1)).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = database.tenant(community).await.unwrap();
        tx.profiles().join(user(id), "Member", minute(0)).await.unwrap();
        copy(&mut tx, id).await;
        assert_eq!(
            wallet_of(&mut tx, id).await.is_some(),
            counts,
            "{kind:?} on chain {chain_id}"
        );
        tx.commit().await.unwrap();
    }
}
