//! Tenants share the limit over all replicas, wherever they ask and however much; what is urgent passes, and starves nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use tokio::task::JoinSet;

use crate::support::{Replica, Reply, Seen, World, send};

const WINDOW: Duration = Duration::from_millis(1_100);

/// Callers that ask again and again until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    fn new() -> Self {
        Self {
            stop: Arc::new(AtomicBool::new(false)),
            callers: JoinSet::new(),
        }
    }

    /// `waiting` calls of a tenant wait at this replica all the time.
    fn keep(&mut self, replica: &Replica, tenant: usize, urgency: &'static str, waiting: usize) {
        for _ in 0..waiting {
            let stop = Arc::clone(&self.stop);
            let call = replica
                .call(Method::GET, &format!("/guilds/{tenant}"))
                .header("x-arrakis-tenant", tenant)
                .header("x-arrakis-urgency", urgency);
            self.callers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = send(call.try_clone().unwrap()).await;
                    assert!([200, 429].contains(&answer.status), "{answer:?}");
                }
            });
        }
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.abort_all();
    }
}

fn by_tenant(seen: &[Seen]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for call in seen {
        let tenant = call.path.rsplit('/').next().unwrap().parse().unwrap();
        *counts.entry(tenant).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tenant_has_its_share_wherever_it_asks_and_what_is_urgent_passes() {
    const TENANTS: usize = 20;
    const URGENT: usize = 900;
    let world = World::new(|_| Reply::ok()).await;
    let replicas = [world.replica().await, world.replica().await];
    let mut load = Load::new();
    // One asks for far more than all others, and at one replica only; nine at the other only; the rest at both.
    load.keep(&replicas[0], 0, "bulk", 300);
    for tenant in 1..TENANTS {
        if tenant >= 10 {
            load.keep(&replicas[0], tenant, "bulk", 3);
        }
        load.keep(&replicas[1], tenant, "bulk", 3);
    }
    // What passes an urgent call on its way: by the upstream's order, not by our clock.
    let begun = Instant::now();
    let mut passed = Vec::new();
    for number in 0..40 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = world.upstream.count();
        let call = replicas[number % 2].call(Method::GET, &format!("/guilds/{}", URGENT + number));
        let answer = send(call.header("x-arrakis-urgency", "interactive")).await;
        assert_eq!(answer.status, 200);
        let seen = world.upstream.seen();
        let path = format!("/api/v10/guilds/{}", URGENT + number);
        passed.push(
            seen.iter()
                .position(|call| call.path == path)
                .unwrap()
                .saturating_sub(before),
        );
    }
    load.end();
    let seen = world.upstream.seen();
    assert!(
        world.upstream.most_in(WINDOW) <= 50,
        "{}",
        world.upstream.most_in(WINDOW)
    );
    // By the upstream's clock, from the second window on.
    let steady: Vec<_> = seen.iter().filter(|call| call.at > begun + WINDOW).cloned().collect();
    let span = steady.last().unwrap().at - steady[0].at;
    let safe = span.as_secs_f64() / WINDOW.as_secs_f64() * 50.0;
    assert!(steady.len() as f64 >= safe * 0.9, "{} of {safe:.0}", steady.len());
    let mut counts = by_tenant(&steady);
    counts.retain(|tenant, _| *tenant < TENANTS);
    let fair = counts.values().sum::<usize>() as f64 / TENANTS as f64;
    assert_eq!(counts.len(), TENANTS);
    for (tenant, count) in &counts {
        assert!(
            *count as f64 >= fair * 0.8,
            "tenant {tenant}: {count} of {fair:.1}; {counts:?}"
        );
    }
    // A quarter of a second is eleven calls.
    passed.sort_unstable();
    assert!(passed[38] <= 11, "{passed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_calls_beyond_the_limit_leave_the_others_a_tenth() {
    let world = World::new(|_| Reply::ok()).await;
    let replicas = [world.replica().await, world.replica().await];
    let mut load = Load::new();
    for tenant in 0..10 {
        load.keep(&replicas[tenant % 2], tenant, "interactive", 12);
    }
    load.keep(&replicas[0], 20, "sync", 5);
    load.keep(&replicas[1], 30, "bulk", 5);
    let begun = Instant::now();
    crate::support::eventually("two hundred calls", || world.upstream.count() >= 200).await;
    load.end();
    let steady: Vec<_> = world
        .upstream
        .seen()
        .into_iter()
        .filter(|call| call.at > begun + WINDOW)
        .collect();
    let counts = by_tenant(&steady);
    let all = steady.len();
    for tenant in [20, 30] {
        let count = counts.get(&tenant).copied().unwrap_or(0);
        // A tenth, give or take what 150 calls tell: without a share of its own a class has next to none.
        assert!(count * 100 >= all * 5, "tenant {tenant}: {count} of {all}; {counts:?}");
        assert!(count * 100 <= all * 14, "tenant {tenant}: {count} of {all}; {counts:?}");
    }
    assert!(world.upstream.most_in(WINDOW) <= 50);
}
