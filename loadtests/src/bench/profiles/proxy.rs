//! The discord-proxy alone: its added latency below every limit, and the distribution of calls at the limit.
//!
//! Two replicas. Added latency is measured against direct calls to the emulator in the same seconds, open-loop. Then a hundred
//! tenants request more than Discord allows, for minutes: shares, the rate, and the latency of interactive calls. Then many calls
//! that Discord answers with 403.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::Fault;
use hdrhistogram::Histogram;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{commands, measure_ceiling};
use crate::bench::{Bench, BenchPlatform, BenchPlatformOptions, Bound, ProcessMonitor, Section};

/// Tenants that share the limit.
const TENANTS: usize = 100;
/// Servers: the tenants, and some for the 403s.
const SERVERS: usize = TENANTS + FAILING_SERVERS;
/// Servers whose calls are all answered 403.
const FAILING_SERVERS: usize = 4;
/// Waiting calls of the busiest tenant at its one replica.
const BUSIEST_WAITING: usize = 1_000;
/// The rate that never exceeds Discord's limit: 50 in any 1.1 s.
const SAFE_RATE: f64 = 50.0 / 1.1;
/// Highest latency that the histogram distinguishes.
const LONGEST_US: u64 = 120_000_000;
/// Excluded time at the beginning of each section.
const WARM_UP: Duration = Duration::from_secs(3);

/// Length of each section.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProxySteps {
    callbacks: Duration,
    bot_calls: Duration,
    shares: Duration,
    storm: Duration,
}

impl ProxySteps {
    /// Everything.
    pub(super) const fn all() -> Self {
        Self {
            callbacks: Duration::from_secs(15),
            bot_calls: Duration::from_secs(30),
            shares: Duration::from_secs(240),
            storm: Duration::from_secs(20),
        }
    }
}

pub(super) async fn measure(bench: &mut Bench, steps: ProxySteps) -> anyhow::Result<()> {
    let options = BenchPlatformOptions {
        guilds: u32::try_from(SERVERS)?,
        members: 8,
        shards: 1,
    };
    let mut platform = BenchPlatform::open(options).await?;
    platform.start_ingestor().await?;
    measure_ceiling(bench, &platform, commands(), 3.0).await?;
    platform.stop_service("ingestor").await?;
    for _ in 0..2 {
        platform.start_proxy().await?;
    }
    let callers = Arc::new(BenchCallers::of(&platform, bench.options.seed).await?);
    callbacks(bench, &platform, &callers, steps.callbacks).await?;
    bot_calls(bench, &platform, &callers, steps.bot_calls).await?;
    shares(bench, &platform, &callers, steps.shares).await?;
    storm(bench, &platform, &callers, steps.storm).await?;
    platform.close().await
}

/// Target of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallTarget {
    /// The emulator, directly.
    Discord,
    /// The replica with this index.
    Proxy(usize),
}

/// A call.
#[derive(Debug, Clone)]
struct BenchCall {
    to: CallTarget,
    method: Method,
    path: String,
    urgency: &'static str,
    bot: bool,
    body: Value,
}

impl BenchCall {
    fn interactive(to: CallTarget, path: String) -> Self {
        Self {
            to,
            method: Method::GET,
            path,
            urgency: "interactive",
            bot: true,
            body: Value::Null,
        }
    }
}

/// A server of the emulator.
#[derive(Debug)]
struct BenchServer {
    guild: u64,
    members: Vec<String>,
}

/// What a call needs: addresses, credentials, servers and a random source.
#[derive(Debug)]
struct BenchCallers {
    http: reqwest::Client,
    proxies: Vec<String>,
    credential: &'static str,
    api_base: String,
    token: String,
    servers: Vec<BenchServer>,
    seed: u64,
}

impl BenchCallers {
    async fn of(platform: &BenchPlatform, seed: u64) -> anyhow::Result<Self> {
        let mut servers = Vec::new();
        for guild in platform.discord.guilds().await? {
            let members = platform.discord.members(guild.id).await?;
            let people = members.iter().filter(|member| member["user"]["bot"] != true);
            let members = people.filter_map(|member| member["user"]["id"].as_str().map(str::to_owned));
            servers.push(BenchServer {
                guild: guild.id.0,
                members: members.collect(),
            });
        }
        ensure!(servers.len() >= SERVERS, "the emulator has {} servers", servers.len());
        let (proxies, credential) = platform.proxies();
        let (api_base, token) = platform.discord_api();
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            proxies: proxies.to_vec(),
            credential,
            api_base: api_base.to_owned(),
            token: token.to_owned(),
            servers,
            seed,
        })
    }

    /// A path that reads a member. Each server has few enough calls that only the global limit applies.
    fn member(&self, server: usize, number: usize) -> String {
        let server = &self.servers[server % self.servers.len()];
        let member = &server.members[number % server.members.len()];
        format!("/guilds/{}/members/{member}", server.guild)
    }

    /// A path that assigns the server's role to a member.
    fn role(&self, server: usize, number: usize) -> String {
        format!(
            "{}/roles/{}",
            self.member(server, number),
            self.servers[server].guild + 1
        )
    }

    async fn send(&self, call: &BenchCall) -> anyhow::Result<u16> {
        let base = match call.to {
            CallTarget::Discord => self.api_base.clone(),
            CallTarget::Proxy(at) => format!("{}/api/v10", self.proxies[at]),
        };
        let mut request = self.http.request(call.method.clone(), format!("{base}{}", call.path));
        request = match call.to {
            CallTarget::Proxy(_) => request
                .bearer_auth(self.credential)
                .header("x-arrakis-urgency", call.urgency),
            CallTarget::Discord if call.bot => request.header("authorization", format!("Bot {}", self.token)),
            CallTarget::Discord => request,
        };
        if !call.body.is_null() {
            request = request.json(&call.body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}

/// Sends a call every `gap` without waiting for earlier ones, and measures each from its intended moment.
async fn open_loop(
    callers: &Arc<BenchCallers>,
    (gap, length): (Duration, Duration),
    wanted: u16,
    make: impl Fn(usize) -> BenchCall,
) -> anyhow::Result<BTreeMap<bool, Histogram<u64>>> {
    let mut random = ChaCha8Rng::seed_from_u64(callers.seed);
    let begun = tokio::time::Instant::now();
    let mut sent = JoinSet::new();
    let mut number = 0_usize;
    loop {
        let regular = gap.mul_f64(f64::from(u32::try_from(number)?));
        if regular > WARM_UP + length {
            break;
        }
        let intended = begun + regular + gap.mul_f64(random.random_range(0.0..0.2));
        tokio::time::sleep_until(intended).await;
        let (callers, call) = (Arc::clone(callers), make(number));
        sent.spawn(async move {
            let status = callers.send(&call).await?;
            anyhow::Ok((call.to == CallTarget::Discord, status, regular, intended.elapsed()))
        });
        number += 1;
    }
    let mut histograms = BTreeMap::new();
    while let Some(ended) = sent.join_next().await {
        let (direct, status, at, took) = ended??;
        ensure!(status == wanted, "a call was answered {status} instead of {wanted}");
        if at >= WARM_UP {
            // With bounds: the default histogram would clamp values to a small range.
            let histogram = histograms
                .entry(direct)
                .or_insert(Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3)?);
            histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
    Ok(histograms)
}

fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of seconds")]
    let us = histogram.value_at_quantile(quantile) as f64;
    us / 1_000.0
}

/// Adds figures of the proxy's added latency, at the same quantile of both distributions.
fn added(bench: &mut Bench, what: &str, histograms: &BTreeMap<bool, Histogram<u64>>) -> anyhow::Result<u64> {
    let of = |direct: bool| histograms.get(&direct).context("no call was measured");
    let (through, direct) = (of(false)?, of(true)?);
    for (quantile, name) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
        let bound = if name == "p99" {
            Bound::Below(2.0)
        } else {
            Bound::Reported
        };
        let added = ms(through, quantile) - ms(direct, quantile);
        bench.figure(&format!("proxy: added latency {name}, {what}"), added, "ms", bound);
    }
    let (p99, beside) = (ms(through, 0.99), ms(direct, 0.99));
    bench.figure(&format!("proxy: total latency p99, {what}"), p99, "ms", Bound::Reported);
    bench.figure(
        &format!("emulator directly: latency p99, {what}"),
        beside,
        "ms",
        Bound::Reported,
    );
    Ok(through.len() + direct.len())
}

fn section(name: &str, seconds: f64, events: u64, monitor: ProcessMonitor) -> anyhow::Result<Section> {
    Ok(Section {
        name: name.to_owned(),
        seconds,
        events,
        expired: 0,
        processes: monitor.end()?,
        load: Vec::new(),
        timeline: Vec::new(),
    })
}

/// First responses to interactions, which need no token and have no global limit. The interactions do not exist: Discord's
/// answer is 10062 each time, which costs both sides the same.
async fn callbacks(
    bench: &mut Bench,
    platform: &BenchPlatform,
    callers: &Arc<BenchCallers>,
    length: Duration,
) -> anyhow::Result<()> {
    bench.progress("first responses, 250/s through the proxies and 250/s directly");
    let monitor = ProcessMonitor::begin(&platform.processes())?;
    let histograms = open_loop(callers, (Duration::from_millis(2), length), 404, |number| BenchCall {
        to: if number % 2 == 0 {
            CallTarget::Discord
        } else {
            CallTarget::Proxy(number / 2 % 2)
        },
        method: Method::POST,
        path: format!("/interactions/{}/of-the-bench/callback", 1_000_000 + number),
        urgency: "interactive",
        bot: false,
        body: json!({"type": 5}),
    })
    .await?;
    let events = added(bench, "first responses at 250/s", &histograms)?;
    let section = section("first responses", (WARM_UP + length).as_secs_f64(), events, monitor)?;
    bench.sections.push(section);
    Ok(())
}

/// Calls with the bot token, below the limit: each of them uses Redis.
async fn bot_calls(
    bench: &mut Bench,
    platform: &BenchPlatform,
    callers: &Arc<BenchCallers>,
    length: Duration,
) -> anyhow::Result<()> {
    bench.progress("bot calls, 20/s through the proxies and 20/s directly");
    let monitor = ProcessMonitor::begin(&platform.processes())?;
    let histograms = open_loop(callers, (Duration::from_millis(25), length), 200, |number| {
        let to = if number % 2 == 0 {
            CallTarget::Discord
        } else {
            CallTarget::Proxy(number / 2 % 2)
        };
        BenchCall::interactive(to, callers.member(number, number))
    })
    .await?;
    let events = added(bench, "bot calls at 20/s", &histograms)?;
    let section = section(
        "bot calls below the limit",
        (WARM_UP + length).as_secs_f64(),
        events,
        monitor,
    )?;
    bench.sections.push(section);
    Ok(())
}

/// Tasks that keep this many calls of a tenant waiting at a replica.
fn keep_waiting(
    crowd: &mut JoinSet<()>,
    callers: &Arc<BenchCallers>,
    (tenant, at, waiting): (usize, usize, usize),
    stop: &Arc<AtomicBool>,
    done: &Arc<Vec<AtomicU64>>,
) {
    for first in 0..waiting {
        let (callers, stop, done) = (Arc::clone(callers), Arc::clone(stop), Arc::clone(done));
        crowd.spawn(async move {
            let mut number = first;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let read = number % 2 == 0;
                let call = BenchCall {
                    to: CallTarget::Proxy(at),
                    method: if read { Method::GET } else { Method::PUT },
                    path: if read {
                        callers.member(tenant, number)
                    } else {
                        callers.role(tenant, number)
                    },
                    urgency: "bulk",
                    bot: true,
                    body: Value::Null,
                };
                match callers.send(&call).await {
                    Ok(200 | 204) => {
                        done[tenant].fetch_add(1, Ordering::Relaxed);
                    }
                    // The call timed out after half a minute, or the queue is full: the next one follows.
                    _ => tokio::time::sleep(Duration::from_millis(500)).await,
                }
            }
        });
    }
}

/// A hundred tenants: one with an endless backlog at one replica, half of the others only at the other replica.
async fn shares(
    bench: &mut Bench,
    platform: &BenchPlatform,
    callers: &Arc<BenchCallers>,
    length: Duration,
) -> anyhow::Result<()> {
    bench.progress(&format!(
        "a hundred tenants with endless bulk calls, for {} s",
        length.as_secs()
    ));
    let stop = Arc::new(AtomicBool::new(false));
    let done: Arc<Vec<AtomicU64>> = Arc::new((0..TENANTS).map(|_| AtomicU64::new(0)).collect());
    let mut crowd = JoinSet::new();
    keep_waiting(&mut crowd, callers, (0, 0, BUSIEST_WAITING), &stop, &done);
    for tenant in 1..TENANTS {
        if tenant % 2 == 0 {
            keep_waiting(&mut crowd, callers, (tenant, 0, 2), &stop, &done);
        }
        let waiting = if tenant % 2 == 0 { 2 } else { 4 };
        keep_waiting(&mut crowd, callers, (tenant, 1, waiting), &stop, &done);
    }
    tokio::time::sleep(WARM_UP).await;
    let counts = || {
        done.iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect::<Vec<_>>()
    };
    platform.discord.reset_stats().await?;
    let (before, monitor, begun) = (counts(), ProcessMonitor::begin(&platform.processes())?, Instant::now());
    let urgent = open_loop(callers, (Duration::from_millis(250), length), 200, |number| {
        BenchCall::interactive(CallTarget::Proxy(number % 2), callers.member(number * 7, number))
    })
    .await?;
    let stats = platform.discord.stats().await?;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), counts());
    let total = stats.rest_total;
    let section = section("a hundred tenants at the limit", seconds, total, monitor)?;
    stop.store(true, Ordering::Relaxed);
    crowd.abort_all();
    while crowd.join_next().await.is_some() {}

    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    let figure = |count: u64| count as f64;
    let served: Vec<f64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| figure(after - before))
        .collect();
    let fair = served.iter().sum::<f64>() / served.len() as f64;
    let least = served.iter().copied().fold(f64::INFINITY, f64::min) / fair * 100.0;
    let most = served.iter().copied().fold(0.0, f64::max) / fair * 100.0;
    let limited: u64 = stats.limited.values().sum();
    let in_window = stats.most_requests_in_1100_ms;
    bench.figure("proxy: 429s from Discord", figure(limited), "", Bound::Below(1.0));
    bench.figure(
        "proxy: most calls in any 1.1 s",
        figure(in_window),
        "",
        Bound::Below(51.0),
    );
    let used = figure(total) / seconds / SAFE_RATE * 100.0;
    bench.figure("proxy: safe rate used, 100 tenants", used, "%", Bound::AtLeast(90.0));
    bench.figure(
        "proxy: rate, 100 tenants",
        figure(total) / seconds,
        "/s",
        Bound::Reported,
    );
    bench.figure(
        "proxy: lowest share of a tenant, relative to its fair share",
        least,
        "%",
        Bound::AtLeast(80.0),
    );
    bench.figure(
        "proxy: highest share of a tenant, relative to its fair share",
        most,
        "%",
        Bound::Reported,
    );
    let urgent = urgent.get(&false).context("no interactive call was measured")?;
    bench.figure(
        "proxy: interactive p50 while bulk saturates",
        ms(urgent, 0.5),
        "ms",
        Bound::Reported,
    );
    bench.figure(
        "proxy: interactive p95 while bulk saturates",
        ms(urgent, 0.95),
        "ms",
        Bound::Reported,
    );
    bench.figure(
        "proxy: interactive p99 while bulk saturates",
        ms(urgent, 0.99),
        "ms",
        Bound::Below(250.0),
    );
    let proxy = section
        .processes
        .get("proxy")
        .context("the proxies were not monitored")?;
    bench.figure(
        "proxy: both replicas, CPU at the limit",
        proxy.cpu_s / seconds * 100.0,
        "% of a core",
        Bound::Reported,
    );
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let resident = proxy.resident_peak_bytes as f64 / 1e6;
    bench.figure(
        "proxy: both replicas, resident with 1,300 calls waiting",
        resident,
        "MB",
        Bound::Reported,
    );
    bench.sections.push(section);
    Ok(())
}

/// Four servers answer 403 to every call, and forty callers repeat their calls.
async fn storm(
    bench: &mut Bench,
    platform: &BenchPlatform,
    callers: &Arc<BenchCallers>,
    length: Duration,
) -> anyhow::Result<()> {
    bench.progress("403 for every call of four servers");
    for server in &callers.servers[TENANTS..] {
        let fault = Fault::rest_status(403).path(&format!("/guilds/{}/", server.guild));
        platform.discord.fault(&fault).await?;
    }
    platform.discord.reset_stats().await?;
    let monitor = ProcessMonitor::begin(&platform.processes())?;
    let stop = Arc::new(AtomicBool::new(false));
    let done: Arc<Vec<AtomicU64>> = Arc::new((0..SERVERS).map(|_| AtomicU64::new(0)).collect());
    let mut crowd = JoinSet::new();
    for tenant in TENANTS..SERVERS {
        for at in 0..2 {
            keep_waiting(&mut crowd, callers, (tenant, at, 5), &stop, &done);
        }
    }
    tokio::time::sleep(length).await;
    let stats = platform.discord.stats().await?;
    stop.store(true, Ordering::Relaxed);
    crowd.abort_all();
    while crowd.join_next().await.is_some() {}
    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    let invalid = stats.invalid as f64;
    // Eight causes (two routes of each server): 50 at once, then one per second at each replica, and none from 250 on. In ten
    // minutes that is 2,000 of Discord's 10,000.
    let bound = 8.0 * (50.0 + 2.0 * length.as_secs_f64());
    let name = format!("proxy: invalid requests in {} s of 403s", length.as_secs());
    bench.figure(&name, invalid, "", Bound::Below(bound));
    let total = stats.rest_total;
    bench.sections.push(section(
        "403 for every call of four servers",
        length.as_secs_f64(),
        total,
        monitor,
    )?);
    Ok(())
}
