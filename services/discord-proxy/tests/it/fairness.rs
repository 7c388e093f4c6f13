//! Fairness: tenants share the limit over all replicas whatever their demand; urgent calls precede without starving others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::support::{Replica, Reply, Seen, World, eventually, most_in, send};

const WINDOW: Duration = Duration::from_millis(1_100);

/// Callers that send calls in a loop until `end`.
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

    /// Keeps `waiting` calls of a tenant waiting at a replica.
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

fn tenant_of(call: &Seen) -> Option<usize> {
    call.path.rsplit('/').next()?.parse().ok()
}

fn by_tenant(seen: &[Seen]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for tenant in seen.iter().filter_map(tenant_of) {
        *counts.entry(tenant).or_default() += 1;
    }
    counts
}

/// Time in which the machine did not run this process, as measured by late timers.
#[derive(Debug, Default)]
struct Stolen(Mutex<Duration>);

impl Stolen {
    const TICK: Duration = Duration::from_millis(5);

    /// Measures until the test ends.
    fn watch() -> Arc<Self> {
        let stolen = Arc::<Self>::default();
        let watched = Arc::clone(&stolen);
        tokio::spawn(async move {
            loop {
                let slept = Instant::now();
                tokio::time::sleep(Self::TICK).await;
                // A timer has a resolution of one millisecond.
                let late = slept.elapsed().saturating_sub(Self::TICK + Duration::from_millis(2));
                *watched.0.lock() += late;
            }
        });
        stolen
    }

    fn so_far(&self) -> Duration {
        *self.0.lock()
    }
}

/// How many calls of a tenant wait at each of the two replicas before the first window ends.
fn waiting_calls(tenant: usize) -> [usize; 2] {
    match tenant {
        // Tenant 0 sends far more calls than all others, at one replica; nine tenants send at the other one, the rest at both.
        0 => [200, 0],
        1..=9 => [0, 16],
        _ => [8, 8],
    }
}

const TENANTS: usize = 20;
const URGENT: usize = 900;

/// Queues the calls of every tenant while the first window is not answered.
async fn fill(world: &World, replicas: &[Replica; 2], gate: &AtomicBool) -> JoinSet<u16> {
    let mut calls = JoinSet::new();
    let mut count = 0;
    for tenant in 0..TENANTS {
        for (replica, waiting) in replicas.iter().zip(waiting_calls(tenant)) {
            for _ in 0..waiting {
                let call = replica
                    .call(Method::GET, &format!("/guilds/{tenant}"))
                    .header("x-arrakis-tenant", tenant)
                    .header("x-arrakis-urgency", "bulk")
                    .header("x-arrakis-deadline-ms", "30000");
                calls.spawn(async move { send(call).await.status });
                count += 1;
            }
        }
    }
    eventually("every call waits or is under way", || {
        let waiting: f64 = replicas.iter().map(Replica::waiting).sum();
        waiting as usize + world.upstream.count() == count
    })
    .await;
    gate.store(true, Ordering::SeqCst);
    calls
}

/// Sends urgent calls one after the other, each together with a call that needs no permit. Returns how many calls arrived between the
/// two, sorted.
async fn passed_by(world: &World, replicas: &[Replica; 2]) -> Vec<usize> {
    let mut passed = Vec::new();
    for number in 0..20 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let replica = &replicas[number % 2];
        let (guild, callback) = (
            format!("/guilds/{}", URGENT + number),
            format!("/interactions/{number}/t/callback"),
        );
        let urgent = replica
            .call(Method::GET, &guild)
            .header("x-arrakis-urgency", "interactive");
        let (urgent, free) = tokio::join!(send(urgent), send(replica.call(Method::POST, &callback)));
        assert_eq!((urgent.status, free.status), (200, 200));
        let seen = world.upstream.seen();
        let position = |path: &str| seen.iter().position(|call| call.path.ends_with(path)).unwrap();
        passed.push(position(&guild).saturating_sub(position(&callback)));
    }
    passed.sort_unstable();
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_share_equally_over_replicas_and_urgent_calls_precede() {
    let gate = Arc::new(AtomicBool::new(false));
    let first_window = Arc::clone(&gate);
    let world = World::new(move |_| Reply::ok().behind(&first_window)).await;
    let replicas = [world.replica().await, world.replica().await];
    let mut calls = fill(&world, &replicas, &gate).await;
    let (begun, stolen) = (Instant::now(), Stolen::watch());
    let before = world.upstream.count();
    let passed = passed_by(&world, &replicas).await;
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    let lost = stolen.so_far();
    let seen = world.upstream.seen();
    let bound: Vec<_> = seen
        .iter()
        .filter(|call| call.path.contains("/guilds/"))
        .map(|call| call.at)
        .collect();
    let most = most_in(&bound, WINDOW);
    assert!(most <= 50, "{most}");
    // While calls of all tenants wait, each tenant is served equally often: by the upstream's order, not by a clock.
    let mut counts = by_tenant(&seen[..before]);
    let mut served: BTreeMap<usize, usize> = (0..TENANTS).map(|tenant| (tenant, 0)).collect();
    for call in &seen[before..] {
        let Some(tenant) = tenant_of(call).filter(|tenant| *tenant < TENANTS) else {
            continue;
        };
        *served.entry(tenant).or_default() += 1;
        *counts.entry(tenant).or_default() += 1;
        if counts[&tenant] == waiting_calls(tenant).iter().sum::<usize>() {
            break;
        }
    }
    let fair = served.values().sum::<usize>() as f64 / TENANTS as f64;
    assert!(fair >= 5.0, "too few calls to compare: {served:?}");
    // A replica that does not run for 150 ms loses its calls to the other (WAITING_TTL in acquire.lua).
    let left_to_others = lost.as_secs_f64() / WINDOW.as_secs_f64() * 50.0 / TENANTS as f64;
    for (tenant, count) in &served {
        assert!(
            *count as f64 >= fair * 0.8 - 1.0 - left_to_others,
            "tenant {tenant}: {count} of {fair:.1}; {lost:?} lost; {served:?}"
        );
    }
    // A quarter of a second is eleven calls.
    assert!(passed[passed.len() - 2] <= 11, "{passed:?}");
    // The rate is used, except for time in which the machine did not run this process.
    let bound: Vec<_> = bound.into_iter().filter(|at| *at > begun).collect();
    let span = (*bound.last().unwrap() - begun).saturating_sub(WINDOW + lost);
    let safe = span.as_secs_f64() / WINDOW.as_secs_f64() * 50.0;
    assert!(
        bound.len() as f64 >= safe * 0.9,
        "{} of {safe:.0}; {lost:?} lost",
        bound.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_urgent_classes_keep_a_tenth_under_urgent_load() {
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
        // A tenth, as far as 150 calls show: without a share of its own a class would have almost none.
        assert!(count * 100 >= all * 5, "tenant {tenant}: {count} of {all}; {counts:?}");
        assert!(count * 100 <= all * 14, "tenant {tenant}: {count} of {all}; {counts:?}");
    }
    assert!(world.upstream.most_in(WINDOW) <= 50);
}
