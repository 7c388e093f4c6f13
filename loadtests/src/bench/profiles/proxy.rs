//! The proxy alone: what it adds to a call where no limit is reached, and who gets what when every limit is.
//!
//! Two replicas. Added latency is measured beside direct calls to the emulator, in the same seconds, open-loop. Then a hundred
//! tenants want more than Discord gives for minutes: shares, the rate, and what an interactive call waits meanwhile. Then a
//! storm of 403s.

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
use crate::bench::{Bench, Bound, Section, Site, SiteOptions, Watch};

/// Tenants that share the limit.
const TENANTS: usize = 100;
/// Servers: the tenants, and some for the storm.
const SERVERS: usize = TENANTS + STORMY;
/// Servers that refuse everything in the storm.
const STORMY: usize = 4;
/// Calls of the loudest tenant that wait at its one replica at any moment; its backlog never ends.
const LOUD: usize = 1_000;
/// What Discord allows without harm: 50 in any 1.1 s.
const SAFE: f64 = 50.0 / 1.1;
/// Longest latency that is told apart.
const LONGEST_US: u64 = 120_000_000;
/// Left out at the beginning of each stretch.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long each stretch is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    callbacks: Duration,
    bot_calls: Duration,
    shares: Duration,
    storm: Duration,
}

impl Steps {
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

pub(super) async fn measure(bench: &mut Bench, steps: Steps) -> anyhow::Result<()> {
    let options = SiteOptions {
        guilds: u32::try_from(SERVERS)?,
        members: 8,
        shards: 1,
    };
    let mut site = Site::open(options).await?;
    site.start_ingestor().await?;
    measure_ceiling(bench, &site, commands(), 3.0).await?;
    site.stop_service("ingestor").await?;
    for _ in 0..2 {
        site.start_proxy().await?;
    }
    let callers = Arc::new(Callers::of(&site, bench.options.seed).await?);
    callbacks(bench, &site, &callers, steps.callbacks).await?;
    bot_calls(bench, &site, &callers, steps.bot_calls).await?;
    shares(bench, &site, &callers, steps.shares).await?;
    storm(bench, &site, &callers, steps.storm).await?;
    site.close().await
}

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// Straight to Discord.
    Discord,
    /// To this replica.
    Proxy(usize),
}

/// A call.
#[derive(Debug, Clone)]
struct Call {
    to: To,
    method: Method,
    path: String,
    urgency: &'static str,
    bot: bool,
    body: Value,
}

impl Call {
    fn interactive(to: To, path: String) -> Self {
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
struct Server {
    guild: u64,
    members: Vec<String>,
}

/// Everything that a call needs.
#[derive(Debug)]
struct Callers {
    http: reqwest::Client,
    proxies: Vec<String>,
    credential: &'static str,
    api_base: String,
    token: String,
    servers: Vec<Server>,
    seed: u64,
}

impl Callers {
    async fn of(site: &Site, seed: u64) -> anyhow::Result<Self> {
        let mut servers = Vec::new();
        for guild in site.discord.guilds().await? {
            let members = site.discord.members(guild.id).await?;
            let people = members.iter().filter(|member| member["user"]["bot"] != true);
            let members = people.filter_map(|member| member["user"]["id"].as_str().map(str::to_owned));
            servers.push(Server {
                guild: guild.id.0,
                members: members.collect(),
            });
        }
        ensure!(servers.len() >= SERVERS, "the emulator has {} servers", servers.len());
        let (proxies, credential) = site.proxies();
        let (api_base, token) = site.discord_api();
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

    /// A path that reads a member: five in a second for each server, so that the global limit is the only one met.
    fn member(&self, server: usize, number: usize) -> String {
        let server = &self.servers[server % self.servers.len()];
        let member = &server.members[number % server.members.len()];
        format!("/guilds/{}/members/{member}", server.guild)
    }

    /// Gives a member the role of a server that the bot may give.
    fn role(&self, server: usize, number: usize) -> String {
        format!(
            "{}/roles/{}",
            self.member(server, number),
            self.servers[server].guild + 1
        )
    }

    async fn send(&self, call: &Call) -> anyhow::Result<u16> {
        let base = match call.to {
            To::Discord => self.api_base.clone(),
            To::Proxy(at) => format!("{}/api/v10", self.proxies[at]),
        };
        let mut request = self.http.request(call.method.clone(), format!("{base}{}", call.path));
        request = match call.to {
            To::Proxy(_) => request
                .bearer_auth(self.credential)
                .header("x-arrakis-urgency", call.urgency),
            To::Discord if call.bot => request.header("authorization", format!("Bot {}", self.token)),
            To::Discord => request,
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

/// Sends a call every `gap`, whatever became of the earlier ones, and measures each from its intended moment.
async fn open_loop(
    callers: &Arc<Callers>,
    (gap, length): (Duration, Duration),
    wanted: u16,
    make: impl Fn(usize) -> Call,
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
            anyhow::Ok((call.to == To::Discord, status, regular, intended.elapsed()))
        });
        number += 1;
    }
    let mut histograms = BTreeMap::new();
    while let Some(ended) = sent.join_next().await {
        let (direct, status, at, took) = ended??;
        ensure!(status == wanted, "a call was answered {status} instead of {wanted}");
        if at >= WARM_UP {
            // With bounds: without, what does not fit is put at the bottom or the top of two milliseconds.
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

/// Tells what the proxy adds, at the same quantile of both distributions.
fn added(bench: &mut Bench, what: &str, histograms: &BTreeMap<bool, Histogram<u64>>) -> anyhow::Result<u64> {
    let of = |direct: bool| histograms.get(&direct).context("no call was measured");
    let (through, direct) = (of(false)?, of(true)?);
    for (quantile, name) in [(0.5, "p50"), (0.99, "p99")] {
        let bound = if name == "p99" { Bound::Below(2.0) } else { Bound::Told };
        let added = ms(through, quantile) - ms(direct, quantile);
        bench.figure(&format!("proxy: added latency {name}, {what}"), added, "ms", bound);
    }
    let (p99, beside) = (ms(through, 0.99), ms(direct, 0.99));
    bench.figure(&format!("proxy: whole latency p99, {what}"), p99, "ms", Bound::Told);
    bench.figure(
        &format!("emulator directly: latency p99, {what}"),
        beside,
        "ms",
        Bound::Told,
    );
    Ok(through.len() + direct.len())
}

fn section(name: &str, seconds: f64, events: u64, watch: Watch) -> anyhow::Result<Section> {
    Ok(Section {
        name: name.to_owned(),
        seconds,
        events,
        expired: 0,
        processes: watch.end()?,
        load: Vec::new(),
        timeline: Vec::new(),
    })
}

/// First responses to interactions: the lane without token and global limit. Nobody waits for these, so Discord's answer is
/// 10062 each time, which costs both sides the same.
async fn callbacks(bench: &mut Bench, site: &Site, callers: &Arc<Callers>, length: Duration) -> anyhow::Result<()> {
    bench.say("first responses, 250 a second through the proxies and 250 directly");
    let watch = Watch::begin(&site.processes())?;
    let histograms = open_loop(callers, (Duration::from_millis(2), length), 404, |number| Call {
        to: if number % 2 == 0 {
            To::Discord
        } else {
            To::Proxy(number / 2 % 2)
        },
        method: Method::POST,
        path: format!("/interactions/{}/of-the-bench/callback", 1_000_000 + number),
        urgency: "interactive",
        bot: false,
        body: json!({"type": 5}),
    })
    .await?;
    let events = added(bench, "first responses at 250/s", &histograms)?;
    let section = section("first responses", (WARM_UP + length).as_secs_f64(), events, watch)?;
    bench.sections.push(section);
    Ok(())
}

/// Calls with the bot token, below the limit: Redis is asked for each.
async fn bot_calls(bench: &mut Bench, site: &Site, callers: &Arc<Callers>, length: Duration) -> anyhow::Result<()> {
    bench.say("bot calls, 20 a second through the proxies and 20 directly");
    let watch = Watch::begin(&site.processes())?;
    let histograms = open_loop(callers, (Duration::from_millis(25), length), 200, |number| {
        let to = if number % 2 == 0 {
            To::Discord
        } else {
            To::Proxy(number / 2 % 2)
        };
        Call::interactive(to, callers.member(number, number))
    })
    .await?;
    let events = added(bench, "bot calls at 20/s", &histograms)?;
    let section = section(
        "bot calls below the limit",
        (WARM_UP + length).as_secs_f64(),
        events,
        watch,
    )?;
    bench.sections.push(section);
    Ok(())
}

/// Callers that keep so many calls of a tenant waiting at a replica.
fn keep_waiting(
    crowd: &mut JoinSet<()>,
    callers: &Arc<Callers>,
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
                let call = Call {
                    to: To::Proxy(at),
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
                    // It waited half a minute in vain, or there is no room: its turn comes later.
                    _ => tokio::time::sleep(Duration::from_millis(500)).await,
                }
            }
        });
    }
}

/// A hundred tenants: one with a backlog without end at one replica, half of the others at the other replica only.
async fn shares(bench: &mut Bench, site: &Site, callers: &Arc<Callers>, length: Duration) -> anyhow::Result<()> {
    bench.say(&format!(
        "a hundred tenants, bulk without end, for {} s",
        length.as_secs()
    ));
    let stop = Arc::new(AtomicBool::new(false));
    let done: Arc<Vec<AtomicU64>> = Arc::new((0..TENANTS).map(|_| AtomicU64::new(0)).collect());
    let mut crowd = JoinSet::new();
    keep_waiting(&mut crowd, callers, (0, 0, LOUD), &stop, &done);
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
    site.discord.reset_stats().await?;
    let (before, watch, begun) = (counts(), Watch::begin(&site.processes())?, Instant::now());
    let urgent = open_loop(callers, (Duration::from_millis(250), length), 200, |number| {
        Call::interactive(To::Proxy(number % 2), callers.member(number * 7, number))
    })
    .await?;
    let stats = site.discord.stats().await?;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), counts());
    let total = stats.rest_total;
    let section = section("a hundred tenants at the limit", seconds, total, watch)?;
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
    bench.figure(
        "proxy: 429s that Discord answered",
        figure(limited),
        "",
        Bound::Below(1.0),
    );
    bench.figure(
        "proxy: most calls in any 1.1 s",
        figure(in_window),
        "",
        Bound::Below(51.0),
    );
    let used = figure(total) / seconds / SAFE * 100.0;
    bench.figure("proxy: safe rate used, 100 tenants", used, "%", Bound::AtLeast(90.0));
    bench.figure("proxy: rate, 100 tenants", figure(total) / seconds, "/s", Bound::Told);
    bench.figure(
        "proxy: least share of a tenant, of its fair share",
        least,
        "%",
        Bound::AtLeast(80.0),
    );
    bench.figure(
        "proxy: largest share of a tenant, of its fair share",
        most,
        "%",
        Bound::Told,
    );
    let urgent = urgent.get(&false).context("no interactive call was measured")?;
    bench.figure(
        "proxy: interactive p50 while bulk saturates",
        ms(urgent, 0.5),
        "ms",
        Bound::Told,
    );
    bench.figure(
        "proxy: interactive p99 while bulk saturates",
        ms(urgent, 0.99),
        "ms",
        Bound::Below(250.0),
    );
    let proxy = section.processes.get("proxy").context("the proxies were not watched")?;
    bench.figure(
        "proxy: both replicas, CPU at the limit",
        proxy.cpu_s / seconds * 100.0,
        "% of a core",
        Bound::Told,
    );
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let resident = proxy.resident_peak_bytes as f64 / 1e6;
    bench.figure(
        "proxy: both replicas, resident with 1,300 calls waiting",
        resident,
        "MB",
        Bound::Told,
    );
    bench.sections.push(section);
    Ok(())
}

/// Four servers refuse everything, and forty callers go on asking.
async fn storm(bench: &mut Bench, site: &Site, callers: &Arc<Callers>, length: Duration) -> anyhow::Result<()> {
    bench.say("a storm of 403s from four servers");
    for server in &callers.servers[TENANTS..] {
        let fault = Fault::rest_status(403).path(&format!("/guilds/{}/", server.guild));
        site.discord.fault(&fault).await?;
    }
    site.discord.reset_stats().await?;
    let watch = Watch::begin(&site.processes())?;
    let stop = Arc::new(AtomicBool::new(false));
    let done: Arc<Vec<AtomicU64>> = Arc::new((0..SERVERS).map(|_| AtomicU64::new(0)).collect());
    let mut crowd = JoinSet::new();
    for tenant in TENANTS..SERVERS {
        for at in 0..2 {
            keep_waiting(&mut crowd, callers, (tenant, at, 5), &stop, &done);
        }
    }
    tokio::time::sleep(length).await;
    let stats = site.discord.stats().await?;
    stop.store(true, Ordering::Relaxed);
    crowd.abort_all();
    while crowd.join_next().await.is_some() {}
    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    let invalid = stats.invalid as f64;
    // Eight causes (two routes of each server): 50 at once, then one a second at each replica, and none from 250 on. In ten
    // minutes that is 2,000 of Discord's 10,000.
    let bound = 8.0 * (50.0 + 2.0 * length.as_secs_f64());
    let name = format!("proxy: invalid requests in {} s of a storm", length.as_secs());
    bench.figure(&name, invalid, "", Bound::Below(bound));
    let total = stats.rest_total;
    bench
        .sections
        .push(section("a storm of 403s", length.as_secs_f64(), total, watch)?);
    Ok(())
}
