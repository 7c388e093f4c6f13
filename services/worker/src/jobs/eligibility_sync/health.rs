//! The health component of the eligibility syncs, and the gauges of their ages.
//!
//! Degraded, never down: while a sync is late, replies use the stored ranking and state its age.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use arrakis_db::{DbError, SyncHealth, TokenProfile, TokenProfileId};
use arrakis_runtime::HealthComponent;
use time::OffsetDateTime;

use super::profiles_in_use;
use crate::services::Services;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// Interval at which the profiles of the communities are read.
const PROFILES_INTERVAL: Duration = Duration::from_secs(600);

/// State of the sync of one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProfileState {
    /// One sentence.
    text: String,
    is_degraded: bool,
}

/// Updates the health component `eligibility` and the gauges each 15 s; never returns. Both are computed from what the syncs store in
/// PostgreSQL, so each worker reports the syncs of all workers.
pub(crate) async fn watch(component: &HealthComponent, services: &Services) {
    let mut in_use: BTreeSet<TokenProfileId> = BTreeSet::new();
    let mut read_at: Option<Instant> = None;
    loop {
        if read_at.is_none_or(|at| at.elapsed() > PROFILES_INTERVAL)
            && let Ok(profiles) = profiles_in_use(&services.database).await
        {
            let now_in_use: BTreeSet<_> = profiles.into_keys().collect();
            for gone in in_use.difference(&now_in_use) {
                services.metrics.eligibility.forget(gone);
            }
            in_use = now_in_use;
            read_at = Some(Instant::now());
        }
        // Postgres has a component of its own.
        if let Ok(states) = states(services, &in_use).await {
            report(component, &states);
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

fn report(component: &HealthComponent, states: &[ProfileState]) {
    let texts: Vec<&str> = states.iter().map(|state| state.text.as_str()).collect();
    let text = texts.join("; ");
    if states.iter().any(|state| state.is_degraded) {
        component.degraded(text);
    } else if text.is_empty() {
        component.up_with("no community has a token profile");
    } else {
        component.up_with(text);
    }
}

/// The states of the profiles. One whose row is corrupt has a state that names what is wrong.
async fn states(services: &Services, in_use: &BTreeSet<TokenProfileId>) -> Result<Vec<ProfileState>, DbError> {
    let mut states = Vec::new();
    for id in in_use {
        match read_state(services, id).await {
            Ok(state) => states.extend(state),
            Err(error @ DbError::Corrupt { .. }) => states.push(ProfileState {
                text: format!(
                    "{id}: not synced, its row is corrupt: {error}; correct it by `arrakis-worker token-profiles put`"
                ),
                is_degraded: true,
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(states)
}

async fn read_state(services: &Services, id: &TokenProfileId) -> Result<Option<ProfileState>, DbError> {
    let now = services.now();
    let mut tx = services.database.global().await?;
    let health = tx.eligibility().sync_health(id).await?;
    let cursor = tx.eligibility().sync_cursor(id).await?;
    let metrics = &services.metrics.eligibility;
    metrics.set_age(id, health.last_success_at.map(|at| now - at));
    let behind = cursor.map_or(0, |cursor| cursor.blocks_behind());
    metrics.set_behind(id, behind);
    let profile = tx.eligibility().token_profile(id).await?;
    tx.commit().await?;
    let Some(profile) = profile else { return Ok(None) };
    let has_endpoints = services.chains.get(profile.chain_id).is_some();
    let stored = Stored {
        health,
        behind,
        has_endpoints,
    };
    Ok(Some(state(&profile, &stored, now, services.stale_after)))
}

/// What is known of the sync of a profile.
#[derive(Debug, Default)]
struct Stored {
    health: SyncHealth,
    /// Blocks whose logs are not stored.
    behind: u64,
    has_endpoints: bool,
}

fn state(profile: &TokenProfile, stored: &Stored, now: OffsetDateTime, stale_after: time::Duration) -> ProfileState {
    let health = &stored.health;
    let age = health.last_success_at.map(|at| now - at);
    let is_stale = age.is_none_or(|age| age > stale_after);
    let mut text = match age {
        Some(age) => format!("{}: ranking of {} ago", profile.id, duration(age)),
        None => format!("{}: no ranking yet", profile.id),
    };
    if is_stale && age.is_some() {
        text.push_str(&format!(", which is stale (more than {})", duration(stale_after)));
    }
    if stored.behind > 0 {
        text.push_str(&format!(", {} blocks to read", stored.behind));
    }
    if !stored.has_endpoints {
        text.push_str(&format!(
            ", not synced: CHAIN_RPC_URLS has no endpoint of chain {}",
            profile.chain_id
        ));
    }
    // Not degraded: a token that changes balances without transfers has mismatches in each sync.
    if health.mismatches > 0 {
        text.push_str(&format!(
            ", {} wallets have another balance on the chain than by their logs; if transfers are missing: `arrakis-worker eligibility sync {} \
             --from-start`",
            health.mismatches, profile.id
        ));
    }
    let is_failing = health.consecutive_failures > 0;
    if is_failing {
        let error = health.last_error.as_deref().unwrap_or("unknown error");
        text.push_str(&format!(
            ", {} failed syncs since: {error}",
            health.consecutive_failures
        ));
    }
    ProfileState {
        text,
        is_degraded: is_stale || is_failing,
    }
}

/// Days, hours or minutes.
pub(crate) fn duration(duration: time::Duration) -> String {
    let minutes = duration.whole_minutes().max(0);
    match (minutes / 1_440, minutes / 60) {
        (days, _) if days > 1 => format!("{days} days"),
        (_, hours) if hours > 1 => format!("{hours} h"),
        _ => format!("{minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_db::ProfileStandard;
    use arrakis_domain::Address;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

    fn profile() -> TokenProfile {
        TokenProfile {
            id: "bgt".parse().unwrap(),
            name: "BGT".to_owned(),
            symbol: "BGT".to_owned(),
            standard: ProfileStandard::Erc20,
            chain_id: 80_094,
            contract: Address::from_bytes([1; 20]),
            decimals: 18,
            claims_from: None,
            burns_to: None,
            token_ids: Vec::new(),
            start_block: 0,
        }
    }

    fn of(health: &SyncHealth, has_endpoints: bool) -> ProfileState {
        let stored = Stored {
            health: health.clone(),
            behind: 0,
            has_endpoints,
        };
        state(&profile(), &stored, NOW, time::Duration::hours(7))
    }

    fn synced(hours: i64) -> SyncHealth {
        SyncHealth {
            last_success_at: Some(NOW - time::Duration::hours(hours)),
            ..SyncHealth::default()
        }
    }

    #[test]
    fn recent_sync_is_up_with_its_age() {
        let found = of(&synced(3), true);
        assert_eq!(
            (found.text.as_str(), found.is_degraded),
            ("bgt: ranking of 3 h ago", false)
        );
    }

    #[test]
    fn stale_or_failing_sync_is_degraded_with_the_reason() {
        let stale = of(&synced(50), true);
        assert!(
            stale.is_degraded && stale.text.contains("bgt: ranking of 2 days ago, which is stale"),
            "{stale:?}"
        );
        let failing = SyncHealth {
            consecutive_failures: 2,
            last_error: Some("chain 80094: connection refused".to_owned()),
            ..synced(1)
        };
        let failing = of(&failing, true);
        assert!(
            failing.is_degraded
                && failing
                    .text
                    .ends_with("2 failed syncs since: chain 80094: connection refused")
        );
        let never = of(&SyncHealth::default(), true);
        assert!(never.is_degraded && never.text.contains("no ranking yet"), "{never:?}");
    }

    #[test]
    fn unread_blocks_are_named() {
        let stored = Stored {
            health: synced(3),
            behind: 12_000,
            has_endpoints: true,
        };
        let found = state(&profile(), &stored, NOW, time::Duration::hours(7));
        assert_eq!(found.text, "bgt: ranking of 3 h ago, 12000 blocks to read");
    }

    #[test]
    fn mismatches_are_named_with_the_command_that_reads_all_logs_again() {
        let mismatched = SyncHealth {
            mismatches: 2,
            ..synced(3)
        };
        let found = of(&mismatched, true);
        assert!(!found.is_degraded, "{found:?}");
        assert_eq!(
            found.text,
            "bgt: ranking of 3 h ago, 2 wallets have another balance on the chain than by their logs; if transfers are missing: \
             `arrakis-worker eligibility sync bgt --from-start`"
        );
    }

    #[test]
    fn missing_endpoints_are_named_and_not_degraded_while_the_ranking_is_fresh() {
        let found = of(&synced(0), false);
        assert!(
            !found.is_degraded && found.text.contains("CHAIN_RPC_URLS has no endpoint of chain 80094"),
            "{found:?}"
        );
    }
}
