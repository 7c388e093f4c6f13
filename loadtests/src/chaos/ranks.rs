//! The ranking of a scenario's token, counted from what the scenario did on the chain, and what the platform has stored about it. Reads the
//! tables directly and not through the services' queries.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, ensure};
use arrakis_domain::{Address, U256};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use super::Testbed;
use crate::platform::Chain;
use crate::seed::TOKEN_PROFILE;

/// Wallets with what they hold in the token's smallest unit, from rank 1.
pub(super) type Ranks = Vec<(Address, U256)>;

/// The ranking by the chain's ledger: the larger holding first, of equal ones the one that changed earlier, then the address.
pub(super) fn expected(chain: &Chain) -> Ranks {
    let (token, zero) = (chain.token(), Address::from_bytes([0; 20]));
    let mut held: HashMap<Address, (U256, usize)> = HashMap::new();
    let ledger = chain.anvil().ledger();
    for (at, movement) in ledger.of(token.address()).enumerate() {
        if movement.amount.is_zero() {
            continue;
        }
        if movement.from == token.distributor() {
            let (sum, since) = held.entry(movement.to).or_default();
            (*sum, *since) = (*sum + movement.amount, at);
        } else if movement.to == zero {
            let (sum, since) = held.entry(movement.from).or_default();
            (*sum, *since) = (sum.saturating_sub(movement.amount), at);
        }
    }
    let mut ranks: Vec<_> = held.into_iter().filter(|(_, (held, _))| !held.is_zero()).collect();
    ranks.sort_unstable_by_key(|(address, (held, since))| (Reverse(*held), *since, *address));
    ranks.into_iter().map(|(address, (held, _))| (address, held)).collect()
}

/// The stored ranking.
///
/// # Errors
/// When Postgres does not respond.
pub(super) async fn stored(testbed: &mut Testbed) -> anyhow::Result<Ranks> {
    let mut admin = admin(testbed).await?;
    let rows: Vec<(String, String)> =
        sqlx::query_as("select address, held::text from eligibility_current where token_profile_id = $1 order by rank")
            .bind(TOKEN_PROFILE)
            .fetch_all(&mut admin)
            .await?;
    admin.close().await?;
    let row = |(address, held): (String, String)| Ok((address.parse()?, held.parse()?));
    rows.into_iter().map(row).collect()
}

/// A connection with the admin login, which sees the rows of every community.
///
/// # Errors
/// When Postgres does not respond.
pub(super) async fn admin(testbed: &mut Testbed) -> anyhow::Result<PgConnection> {
    let url = testbed.platform().database().admin_url();
    PgConnection::connect(&url)
        .await
        .context("connecting to Postgres to read the rows")
}

/// The first difference of two rankings; `None` when they are equal.
pub(super) fn difference(found: &Ranks, expected: &Ranks) -> Option<String> {
    if found == expected {
        return None;
    }
    let place = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at))?;
    let text = |ranks: &Ranks| match ranks.get(place) {
        Some((address, held)) => format!("{address} with {held}"),
        None => "no wallet".to_owned(),
    };
    Some(format!(
        "rank {} has {} instead of {}",
        place + 1,
        text(found),
        text(expected)
    ))
}

/// Checks the notification events of members whose rank or holding changed: each member's events are a chain of places, each of which
/// begins where the one before it ended, from the rank in `before` to the rank in `after`. A missing, a second or a wrong event breaks
/// the chain. Returns the number of events.
///
/// # Errors
/// When a chain is broken; the error names the first one. When Postgres does not respond.
pub(super) async fn check_notifications(testbed: &mut Testbed, before: &Ranks, after: &Ranks) -> anyhow::Result<usize> {
    let mut admin = admin(testbed).await?;
    let events: Vec<(String, i64, Value)> = sqlx::query_as(
        "select community_id::text, user_id, payload from notification_events where kind = 'rank' order by created_at, event_id",
    )
    .fetch_all(&mut admin)
    .await?;
    let members: Vec<(String, i64, String)> = sqlx::query_as(
        "select community_id::text, user_id, wallet from profiles where wallet is not null and left_at is null",
    )
    .fetch_all(&mut admin)
    .await?;
    admin.close().await?;
    let count = events.len();
    let mut chains: BTreeMap<(String, i64), Vec<Value>> = BTreeMap::new();
    for (community, user, payload) in events {
        chains.entry((community, user)).or_default().push(payload);
    }
    for (community, user, wallet) in members {
        let wallet: Address = wallet.parse()?;
        let rank = |ranks: &Ranks| {
            ranks
                .iter()
                .position(|(address, _)| *address == wallet)
                .map(|at| at + 1)
        };
        let held = |ranks: &Ranks| {
            ranks
                .iter()
                .find(|(address, _)| *address == wallet)
                .map(|(_, held)| *held)
        };
        let chain = chains.remove(&(community, user)).unwrap_or_default();
        let changed = rank(before) != rank(after) || held(before) != held(after);
        ensure!(
            !changed || !chain.is_empty(),
            "member {user} has no event although the rank changed from {:?} to {:?}",
            rank(before),
            rank(after)
        );
        for pair in chain.windows(2) {
            ensure!(
                pair[0]["after"] == pair[1]["before"],
                "member {user} has the events {} and {}, which do not follow each other",
                pair[0],
                pair[1]
            );
        }
        let ends = [
            ("before", chain.first(), rank(before)),
            ("after", chain.last(), rank(after)),
        ];
        for (end, event, expected) in ends {
            let Some(event) = event else { continue };
            let found = event[end]["rank"].as_u64().and_then(|rank| usize::try_from(rank).ok());
            ensure!(
                found == expected,
                "the events of member {user} have the rank {found:?} {end} the changes instead of {expected:?}"
            );
        }
    }
    Ok(count)
}
