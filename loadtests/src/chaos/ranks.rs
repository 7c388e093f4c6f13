//! The ranking of a scenario's token, counted from what the scenario did on the chain, and what the platform has stored about it. Reads the
//! tables directly and not through the services' queries.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, bail};
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
        let place = |ranks: &Ranks| {
            let at = ranks.iter().position(|(address, _)| *address == wallet)?;
            Some((at + 1, ranks[at].1))
        };
        let events = chains.remove(&(community, user)).unwrap_or_default();
        if let Some(problem) = problem(&events, place(before), place(after)) {
            bail!("member {user}: {problem}");
        }
    }
    Ok(count)
}

/// What is wrong with the events of a member whose wallet had the place `before` and has the place `after`: rank and holding.
fn problem(events: &[Value], before: Option<(usize, U256)>, after: Option<(usize, U256)>) -> Option<String> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return (before != after).then(|| format!("no event, although the place changed from {before:?} to {after:?}"));
    };
    let broken = events.windows(2).find(|pair| pair[0]["after"] != pair[1]["before"]);
    if let Some(pair) = broken {
        return Some(format!("{} is followed by {}", pair[0], pair[1]));
    }
    if let Some(event) = events.iter().find(|event| event["before"] == event["after"]) {
        return Some(format!("{event} states no change"));
    }
    let ends = [("before", first, before), ("after", last, after)];
    ends.into_iter().find_map(|(end, event, expected)| {
        let found = event[end]["rank"].as_u64().and_then(|rank| usize::try_from(rank).ok());
        let expected = expected.map(|(rank, _)| rank);
        (found != expected).then(|| format!("the rank {end} the changes is {found:?} instead of {expected:?}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(before: u64, after: u64) -> Value {
        json!({"before": {"rank": before, "held": "1"}, "after": {"rank": after, "held": "2"}})
    }

    #[test]
    fn missing_doubled_and_wrong_events_are_found() {
        let place = |rank: usize| Some((rank, U256::from(rank)));
        let found = |events: &[Value]| problem(events, place(5), place(3));
        assert_eq!(found(&[event(5, 3)]), None);
        let first = event(5, 4);
        let second = json!({"before": first["after"], "after": {"rank": 3, "held": "9"}});
        assert_eq!(found(&[first.clone(), second.clone()]), None);
        assert!(found(&[]).unwrap().contains("no event"));
        assert!(
            found(&[first.clone(), first.clone(), second])
                .unwrap()
                .contains("is followed by")
        );
        assert!(found(&[first]).unwrap().contains("after"));
        assert!(found(&[event(6, 3)]).unwrap().contains("before"));
        assert_eq!(problem(&[], place(5), place(5)), None);
    }

    #[test]
    fn first_difference_of_two_rankings_is_named() {
        let wallet = |number: u8| Address::from_bytes([number; 20]);
        let ranks = vec![(wallet(1), U256::from(9)), (wallet(2), U256::from(8))];
        assert_eq!(difference(&ranks, &ranks), None);
        let shorter = ranks[..1].to_vec();
        assert!(
            difference(&shorter, &ranks)
                .unwrap()
                .starts_with("rank 2 has no wallet")
        );
    }
}
