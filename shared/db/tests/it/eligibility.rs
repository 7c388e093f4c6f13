//! The ranking, and members measured against it.

use arrakis_db::{CommunityId, Database, GuildId, RankingPosition, SyncHealth};
use arrakis_domain::{Address, Balance, EntryThreshold, Rank, Standing, TierId, Zones};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::{onboard, one_community, token, user};

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn address(number: u32) -> Address {
    let mut bytes = [0; 20];
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    Address::from_bytes(bytes)
}

fn rank(number: u32) -> Rank {
    Rank::new(number).unwrap()
}

/// Rank n holds 1000 - n tokens and a little that no float could keep.
fn held(rank: u32) -> Balance {
    Balance::from_tokens(u64::from(1000 - rank))
        .checked_add(Balance::ONE_UNIT)
        .unwrap()
}

async fn rank_wallets(database: &Database, count: u32, block: u64) {
    let holdings: Vec<_> = (1..=count).map(|rank| (address(rank), held(rank))).collect();
    let mut tx = database.global().await.unwrap();
    tx.replace_ranking(&token(), &holdings, block, NOON).await.unwrap();
    tx.commit().await.unwrap();
}

/// A member for each of these ranks, with the wallet of that rank and the rank as id.
async fn with_members(database: &Database, community: CommunityId, ranks: impl IntoIterator<Item = u32>) {
    let mut tx = database.tenant(community).await.unwrap();
    for rank in ranks {
        let member = user(u64::from(rank));
        tx.profiles()
            .join(member, &format!("Member {rank}"), NOON)
            .await
            .unwrap();
        tx.profiles().link_wallet(member, Some(address(rank))).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn largest_and_smallest_holding_round_trip() {
    let (_test, database, _) = one_community().await;
    let mut tx = database.global().await.unwrap();
    let holdings = [
        (address(1), Balance::MAX),
        (address(2), Balance::ONE_UNIT),
        (address(3), Balance::ZERO),
    ];
    tx.replace_ranking(&token(), &holdings, 5, NOON).await.unwrap();
    let mut ranking = tx.eligibility();
    for (number, (address, held)) in (1..).zip(holdings) {
        let standing = ranking.standing(&token(), address).await.unwrap();
        assert_eq!(standing, Standing::new(Rank::new(number), held));
        assert_eq!(ranking.held_at(&token(), rank(number)).await.unwrap(), Some(held));
    }
    assert_eq!(
        ranking.standing(&token(), address(9)).await.unwrap(),
        Standing::new(None, Balance::ZERO)
    );
    assert_eq!(ranking.held_at(&token(), rank(4)).await.unwrap(), None);
    assert_eq!(ranking.held_at(&token(), rank(u32::MAX)).await.unwrap(), None);
}

#[tokio::test]
async fn entry_threshold_and_waitlist_zone() {
    let (_test, database, _) = one_community().await;
    let threshold = async |database: &Database| {
        let mut tx = database.global().await.unwrap();
        tx.eligibility()
            .entry_threshold(&token(), Zones::STANDARD)
            .await
            .unwrap()
    };
    assert_eq!(threshold(&database).await, EntryThreshold::PlacesFree { free: 69 });
    rank_wallets(&database, 68, 1).await;
    assert_eq!(threshold(&database).await, EntryThreshold::PlacesFree { free: 1 });
    rank_wallets(&database, 150, 2).await;
    assert_eq!(
        threshold(&database).await,
        EntryThreshold::Holding { balance: held(69) }
    );
    assert_eq!(threshold(&database).await.distance(held(72)), Balance::from_tokens(3));

    let mut tx = database.global().await.unwrap();
    let waiting = tx.eligibility().holders(&token(), rank(70), rank(100)).await.unwrap();
    assert_eq!(
        (waiting.len(), waiting[0].rank, waiting[0].held),
        (31, rank(70), held(70))
    );
    assert_eq!(tx.eligibility().holder_count(&token()).await.unwrap(), 150);
    assert!(
        tx.eligibility()
            .holders(&token(), rank(1), rank(u32::MAX))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn wallet_that_an_override_added_sets_no_threshold() {
    let (_test, database, community) = one_community().await;
    rank_wallets(&database, 80, 1).await;
    let mark = async |numbers: &[u32]| {
        let wallets: Vec<_> = numbers.iter().map(|number| address(*number)).collect();
        let mut tx = database.global().await.unwrap();
        tx.mark_overrides(&token(), &wallets, Zones::STANDARD).await.unwrap();
        tx.commit().await.unwrap();
    };
    let holding = |rank| EntryThreshold::Holding { balance: held(rank) };
    for (by_override, threshold) in [
        (&[69, 68][..], holding(67)),
        (&[68][..], holding(69)),
        (&[][..], holding(69)),
    ] {
        mark(by_override).await;
        let mut tx = database.tenant(community).await.unwrap();
        let found = tx
            .eligibility()
            .entry_threshold(&token(), Zones::STANDARD)
            .await
            .unwrap();
        let position = tx
            .profiles()
            .ranking_position(&token(), user(1), Zones::STANDARD)
            .await
            .unwrap();
        let ranking = tx.eligibility().ranking(&token()).await.unwrap();
        assert_eq!((found, position.entry), (threshold, threshold), "{by_override:?}");
        assert_eq!(ranking.entry_threshold(Zones::STANDARD), threshold);
    }
    // Every eligible wallet is added: no holding is enough.
    mark(&(1..=69).collect::<Vec<_>>()).await;
    let mut tx = database.global().await.unwrap();
    let found = tx
        .eligibility()
        .entry_threshold(&token(), Zones::STANDARD)
        .await
        .unwrap();
    assert_eq!(found, holding(69));
}

#[tokio::test]
async fn rows_that_stay_are_not_written_again() {
    let (test, database, _) = one_community().await;
    let mut holdings: Vec<_> = (1..=25_000)
        .map(|rank| (address(rank), Balance::from_tokens(u64::from(90_000 - rank))))
        .collect();
    let replace = async |holdings: &[(Address, Balance)]| {
        let mut tx = database.global().await.unwrap();
        tx.replace_ranking(&token(), holdings, 1, NOON).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = database.global().await.unwrap();
        assert_eq!(tx.eligibility().ranking(&token()).await.unwrap().wallets(), holdings);
    };
    replace(&holdings).await;
    // Two wallets change places, the last ones are gone, others are new.
    holdings.swap(11_000, 11_001);
    holdings.truncate(24_990);
    holdings.extend((30_001..=30_004).map(|number| (address(number), Balance::from_tokens(1))));
    replace(&holdings).await;
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    let first = "eligibility_current where xmin::text = (select xmin::text from eligibility_current where rank = 1)";
    assert_eq!(crate::fixtures::count(&mut owner, first).await, 24_988);
    replace(&[]).await;
}

#[tokio::test]
async fn ranking_position_has_neighbours_and_entry_threshold() {
    let (_test, database, community) = one_community().await;
    rank_wallets(&database, 80, 1).await;
    with_members(&database, community, [1, 5, 80]).await;
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(500), "No wallet", NOON).await.unwrap();
    let entry = EntryThreshold::Holding { balance: held(69) };
    let place = |number: u32, above: Option<u32>, below: Option<u32>| RankingPosition {
        wallet: Some(address(number)),
        standing: Standing::new(Rank::new(number), held(number)),
        above: above.map(held),
        below: below.map(held),
        entry,
    };
    for (member, expected) in [
        (1, place(1, None, Some(2))),
        (5, place(5, Some(4), Some(6))),
        (80, place(80, Some(79), None)),
    ] {
        let position = tx
            .profiles()
            .ranking_position(&token(), user(member), Zones::STANDARD)
            .await
            .unwrap();
        assert_eq!(position, expected, "{member}");
    }
    let nowhere = RankingPosition {
        wallet: None,
        standing: Standing::default(),
        above: None,
        below: None,
        entry,
    };
    // A member without a wallet, and a user without a profile.
    for unranked in [500, 501] {
        let position = tx
            .profiles()
            .ranking_position(&token(), user(unranked), Zones::STANDARD)
            .await
            .unwrap();
        assert_eq!(position, nowhere, "{unranked}");
    }
    tx.commit().await.unwrap();
    rank_wallets(&database, 60, 2).await;
    let mut tx = database.tenant(community).await.unwrap();
    let position = tx
        .profiles()
        .ranking_position(&token(), user(80), Zones::STANDARD)
        .await
        .unwrap();
    let outside = RankingPosition {
        wallet: Some(address(80)),
        entry: EntryThreshold::PlacesFree { free: 9 },
        ..nowhere
    };
    assert_eq!(position, outside);
}

#[tokio::test]
async fn community_is_read_with_its_token() {
    let (_test, database, community) = one_community().await;
    let token = async || {
        let mut tx = database.tenant(community).await.unwrap();
        tx.communities().get().await.unwrap().unwrap().token
    };
    assert_eq!(token().await.last_success_at, None);
    assert!(!token().await.symbol.is_empty());
    rank_wallets(&database, 1, 1).await;
    assert_eq!(token().await.last_success_at, Some(NOON));
}

#[tokio::test]
async fn transaction_by_guild_has_the_same_community_as_by_id() {
    let (_test, database, community) = one_community().await;
    let guild = GuildId::new(100).unwrap();
    let both_ways = async || {
        let (by_guild, tx) = database.community_of(guild).await.unwrap().unwrap();
        assert_eq!(tx.community_id(), community);
        tx.commit().await.unwrap();
        let mut tx = database.tenant(community).await.unwrap();
        // Here rows come as bytes and there as text: what is read is the same.
        assert_eq!(Some(&by_guild), tx.communities().get().await.unwrap().as_ref());
        by_guild
    };
    assert_eq!(both_ways().await.frozen, None);
    rank_wallets(&database, 1, 1).await;
    let mut tx = database.tenant(community).await.unwrap();
    tx.communities().set_frozen(Some("it's Arrakis' own")).await.unwrap();
    tx.commit().await.unwrap();
    let frozen = both_ways().await;
    assert_eq!(frozen.frozen.unwrap().reason, "it's Arrakis' own");
    assert_eq!(frozen.token.last_success_at, Some(NOON));

    // The connection was used by a transaction of this tenant before: none of its settings apply to a guild without a
    // community.
    assert!(
        database
            .community_of(GuildId::new(999).unwrap())
            .await
            .unwrap()
            .is_none()
    );
    let (_, tx) = database.community_of(guild).await.unwrap().unwrap();
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn readers_see_the_old_ranking_or_the_new_one() {
    let (_test, database, community) = one_community().await;
    rank_wallets(&database, 100, 1).await;
    let mut writer = database.global().await.unwrap();
    writer
        .replace_ranking(&token(), &[(address(7), held(1))], 2, NOON)
        .await
        .unwrap();
    let mut reader = database.tenant(community).await.unwrap();
    assert_eq!(reader.eligibility().holder_count(&token()).await.unwrap(), 100);
    writer.commit().await.unwrap();
    assert_eq!(reader.eligibility().holder_count(&token()).await.unwrap(), 1);
    drop(reader);

    // A replacement that is rolled back changes nothing; an address that occurs twice is refused.
    let mut failing = database.global().await.unwrap();
    let twice = [(address(1), held(1)), (address(1), held(2))];
    let error = failing.replace_ranking(&token(), &twice, 3, NOON).await.unwrap_err();
    assert!(error.violates("eligibility_current_pkey"), "{error}");
    drop(failing);
    let mut tx = database.global().await.unwrap();
    assert_eq!(
        tx.eligibility().sync_health(&token()).await.unwrap().last_block,
        Some(2)
    );
}

#[tokio::test]
async fn sync_health_counts_failures_until_a_success() {
    let (_test, database, _) = one_community().await;
    let mut tx = database.global().await.unwrap();
    assert_eq!(
        tx.eligibility().sync_health(&token()).await.unwrap(),
        SyncHealth::default()
    );
    tx.replace_ranking(&token(), &[], 10, NOON).await.unwrap();
    for error in ["RPC is unavailable", "RPC is still unavailable"] {
        tx.eligibility()
            .record_failure(&token(), error, NOON + Duration::hours(6))
            .await
            .unwrap();
    }
    let ill = tx.eligibility().sync_health(&token()).await.unwrap();
    assert_eq!(
        (ill.consecutive_failures, ill.last_error.as_deref()),
        (2, Some("RPC is still unavailable"))
    );
    assert_eq!(
        (ill.last_success_at, ill.last_attempt_at),
        (Some(NOON), Some(NOON + Duration::hours(6)))
    );
    tx.replace_ranking(&token(), &[], 11, NOON + Duration::hours(12))
        .await
        .unwrap();
    let well = tx.eligibility().sync_health(&token()).await.unwrap();
    assert_eq!(
        (well.consecutive_failures, well.last_error, well.last_block),
        (0, None, Some(11))
    );
}

#[tokio::test]
async fn leaderboard_pages_are_in_order_of_rank_with_positions() {
    let (_test, database, community) = one_community().await;
    rank_wallets(&database, 60, 1).await;
    with_members(&database, community, (2..=50).step_by(2)).await;
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(900), "No wallet", NOON).await.unwrap();
    tx.profiles()
        .join(user(901), "Outside the ranking", NOON)
        .await
        .unwrap();
    tx.profiles().link_wallet(user(901), Some(address(901))).await.unwrap();
    tx.profiles().leave(user(4), NOON).await.unwrap();

    let page = tx.profiles().leaderboard(&token(), 10, 10).await.unwrap();
    assert_eq!((page.total, page.entries.len()), (24, 10));
    let first = &page.entries[0];
    assert_eq!(
        (first.position, first.rank, first.held, first.wallet),
        (11, rank(24), held(24), address(24))
    );
    let last = tx.profiles().leaderboard(&token(), 20, 10).await.unwrap();
    assert_eq!(
        last.entries.iter().map(|entry| entry.position).collect::<Vec<_>>(),
        [21, 22, 23, 24]
    );
    assert_eq!(tx.profiles().leaderboard(&token(), 24, 10).await.unwrap().entries, []);

    for entry in page.entries.iter().chain(&last.entries) {
        assert_eq!(
            tx.profiles().position(&token(), entry.user).await.unwrap(),
            Some(entry.position)
        );
    }
    for absent in [4, 900, 901, 12345] {
        assert_eq!(tx.profiles().position(&token(), user(absent)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn pages_of_standings_contain_each_member_once() {
    let (_test, database, community) = one_community().await;
    rank_wallets(&database, 10, 1).await;
    with_members(&database, community, 1..=12).await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut seen = Vec::new();
    while let page = tx
        .profiles()
        .standings(&token(), seen.last().copied(), 5)
        .await
        .unwrap()
        && !page.is_empty()
    {
        for member in page {
            let number = u32::try_from(member.user.get()).unwrap();
            let standing = if number <= 10 {
                Standing::new(Rank::new(number), held(number))
            } else {
                Standing::new(None, Balance::ZERO)
            };
            assert_eq!(member.standing, standing);
            seen.push(member.user);
        }
    }
    assert_eq!(seen, (1..=12).map(user).collect::<Vec<_>>());
    let one = tx.profiles().standing(&token(), user(3)).await.unwrap().unwrap();
    assert_eq!(one.standing, Standing::new(Rank::new(3), held(3)));
    let same = tx
        .profiles()
        .evaluation_input(&token(), user(3), NOON, 0)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(same.member, one);
}

#[tokio::test]
async fn counts_exclude_members_who_left_and_other_communities() {
    let (_test, database, community) = one_community().await;
    let other = onboard(&database, 200).await;
    with_members(&database, other, 1..=7).await;
    with_members(&database, community, 1..=3).await;
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(50), "No wallet", NOON).await.unwrap();
    let naib = TierId::new("naib").unwrap();
    for id in [1, 2, 3] {
        tx.profiles()
            .record_tier(user(id), Some(&naib), Some(&naib), NOON)
            .await
            .unwrap();
    }
    tx.profiles().leave(user(3), NOON).await.unwrap();
    let numbers = tx.profiles().counts().await.unwrap();
    assert_eq!((numbers.members, numbers.verified), (3, 2));
    assert_eq!(numbers.by_tier.into_iter().collect::<Vec<_>>(), [(naib, 2)]);
}
