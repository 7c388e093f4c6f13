//! Audit entries of refused requests of admin routes: no key or an invalid one (401), a missing scope or a parameter that needs a key for all
//! communities (403), a user or a server that a key of one community does not see (404), a rate limit or a limit of the plan (429).
//!
//! Counted in memory, so that no answer waits for PostgreSQL. Of each minute there is one entry for each key, and one for each address
//! without a known key; further addresses share one, so that the log cannot be filled. A refusal of a key of one community is in that
//! community's log, every other one in the platform's. A process that is killed loses at most the last minute.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use arrakis_db::{Actor, ApiKey, CommunityId, DbError, NewAuditEntry};
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::authentication::PresentedKey;
use crate::client_address::rate_limit_id;
use crate::problem::{Problem, ProblemKind};
use crate::services::Services;

/// Addresses of a minute that have an entry of their own.
const MAX_ADDRESSES: usize = 20;
/// Keys of a minute that have an entry of their own.
const MAX_KEYS: usize = 200;
/// Subject of the addresses without an entry of their own.
const OTHER_ADDRESSES: &str = "other addresses";

/// Refused requests that are in no audit entry yet.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Window>);

#[derive(Debug)]
struct Window {
    began_at: OffsetDateTime,
    counts: HashMap<Refused, Counts>,
}

/// Requests by code and route template: two closed sets.
type Counts = BTreeMap<(&'static str, String), u64>;

/// Whose requests are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Refused {
    /// Those with this key, valid or not.
    Key(Uuid, Option<CommunityId>),
    /// Those of this address without a known key.
    Address(String),
}

impl Default for Window {
    fn default() -> Self {
        Self {
            began_at: OffsetDateTime::now_utc(),
            counts: HashMap::new(),
        }
    }
}

impl Window {
    fn add(&mut self, refused: Refused, code: &'static str, route: &str) {
        let is_known = self.counts.contains_key(&refused);
        let (keys, addresses) = self.counts.keys().fold((0, 0), |(keys, addresses), known| match known {
            Refused::Key(..) => (keys + 1, addresses),
            Refused::Address(_) => (keys, addresses + 1),
        });
        let is_full = match refused {
            Refused::Key(..) => keys >= MAX_KEYS,
            Refused::Address(_) => addresses >= MAX_ADDRESSES,
        };
        let refused = if is_full && !is_known {
            Refused::Address(OTHER_ADDRESSES.to_owned())
        } else {
            refused
        };
        let counts = self.counts.entry(refused).or_default();
        *counts.entry((code, route.to_owned())).or_default() += 1;
    }
}

impl Refusals {
    /// Counts the response of a route that needs a key, if it is a refusal.
    pub(crate) fn note(&self, route: &str, client: IpAddr, response: &Response) {
        let extensions = response.extensions();
        let key = extensions.get::<PresentedKey>().map(|presented| &presented.0);
        let problem = extensions.get::<Problem>();
        let Some(problem) = problem.filter(|problem| is_refusal(problem.kind, route, key)) else {
            return;
        };
        let refused = match key {
            Some(key) => Refused::Key(key.id, key.community),
            None => Refused::Address(rate_limit_id(client)),
        };
        self.0.lock().add(refused, problem.kind.code(), route);
    }

    /// Writes an entry for each key and address, until `stop` is cancelled, and then a last time.
    pub(crate) async fn write_periodically(services: Arc<Services>, stop: CancellationToken) {
        let mut is_last = false;
        while !is_last {
            tokio::select! {
                () = tokio::time::sleep(services.tuning.refusal_window) => {}
                () = stop.cancelled() => is_last = true,
            }
            services.refusals.write(&services).await;
        }
    }

    async fn write(&self, services: &Services) {
        let Window { began_at, counts } = std::mem::take(&mut *self.0.lock());
        for (refused, counts) in counts {
            if let Err(error) = write_one(services, &refused, began_at, &counts).await {
                let requests: u64 = counts.values().sum();
                services.metrics.unaudited_refusals.inc_by(requests);
                tracing::error!(%error, requests, ?refused, "the audit entry of refused requests was not written");
            }
        }
    }
}

fn is_refusal(kind: ProblemKind, route: &str, key: Option<&Arc<ApiKey>>) -> bool {
    match kind {
        ProblemKind::KeyRequired
        | ProblemKind::InvalidKey
        | ProblemKind::MissingScope
        | ProblemKind::AllCommunitiesRequired
        | ProblemKind::MfaNotEnrolled
        | ProblemKind::GrantRefused
        | ProblemKind::MfaThrottled
        | ProblemKind::UsageLimit => true,
        // The limit of addresses comes before the key.
        ProblemKind::RateLimited => key.is_some() || route.starts_with("/admin/"),
        // With a key for all communities there is no such user or server at all.
        ProblemKind::UnknownUser | ProblemKind::UnknownServer => key.is_some_and(|key| key.community.is_some()),
        _ => false,
    }
}

async fn write_one(
    services: &Services,
    refused: &Refused,
    began_at: OffsetDateTime,
    counts: &Counts,
) -> Result<(), DbError> {
    let (actor, subject) = match refused {
        Refused::Key(id, _) => (Actor::Operator(format!("api-key:{id}")), "admin-api"),
        Refused::Address(address) => (Actor::System("api".to_owned()), address.as_str()),
    };
    let entry = NewAuditEntry {
        actor,
        action: "api.refused",
        subject,
        reason: None,
        detail: detail(began_at, counts),
    };
    match refused {
        Refused::Key(_, Some(community)) => {
            let mut tx = services.database.tenant(*community).await?;
            tx.audit(&entry).await?;
            tx.commit().await
        }
        _ => {
            let mut tx = services.admin.database().global().await?;
            tx.audit(&entry).await?;
            tx.commit().await
        }
    }
}

fn detail(began_at: OffsetDateTime, counts: &Counts) -> Value {
    let requests: Vec<_> = counts
        .iter()
        .map(|((code, route), count)| json!({"code": code, "route": route, "count": count}))
        .collect();
    json!({
        "since": began_at.format(&Rfc3339).unwrap_or_default(),
        "count": counts.values().sum::<u64>(),
        "requests": requests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_the_limit_share_one_entry() {
        let mut window = Window::default();
        for number in 0..1_000 {
            window.add(
                Refused::Address(format!("192.0.2.{number}")),
                "key-required",
                "/admin/users",
            );
        }
        // A known address keeps its entry, and a key gets one.
        window.add(Refused::Address("192.0.2.0".to_owned()), "invalid-key", "/admin/users");
        window.add(Refused::Key(Uuid::now_v7(), None), "missing-scope", "/admin/users");
        assert_eq!(window.counts.len(), MAX_ADDRESSES + 2);
        let count = |address: &str| {
            window.counts[&Refused::Address(address.to_owned())]
                .values()
                .sum::<u64>()
        };
        assert_eq!((count("192.0.2.0"), count("192.0.2.1")), (2, 1));
        assert_eq!(count(OTHER_ADDRESSES), 1_000 - MAX_ADDRESSES as u64);
    }
}
