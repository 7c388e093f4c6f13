//! The ingestor alone, with ten thousand servers on four shards: latency, CPU and throughput against the ceiling, and memory
//! under a burst and while the broker takes nothing.

use std::time::{Duration, Instant};

use arrakis_emulator_client::load::{Arrivals, Load, Stage};
use arrakis_test_support::FaultProxy;

use super::{QUEUES, WINDOW, commands, community_life, measure_ceiling, waiting};
use crate::bench::ceiling::{self, Plain, Sample};
use crate::bench::processes::high_water_bytes;
use crate::bench::rounds::Rounds;
use crate::bench::taker::Taker;
use crate::bench::{Bench, Bound, SETTLE, Scrape, Section, Site, SiteOptions, Watch};

const CONFIRM: &str = "arrakis_ingestor_confirm_seconds";
const CONFIRMED: &str = "arrakis_ingestor_confirm_seconds_count";
/// Events that wait for the ingestor when its throughput is measured: some seconds of work.
const BACKLOG_RATE: f64 = 12_000.0;
const BACKLOG_SECONDS: f64 = 5.0;
/// How often each rate is measured, by turns with the bare publisher.
const RATE_ROUNDS: usize = 5;
/// Seconds of one such round, and of the bare publisher's.
const ROUND_S: (f64, f64) = (6.0, 4.0);
/// How often saturation is measured, by turns with the ceiling.
const SATURATION_ROUNDS: usize = 3;
/// Seconds of the ceiling between two of them.
const CEILING_S: f64 = 3.0;
/// How long the backlog may take: far more than any machine needs.
const WORKED_OFF_WITHIN: Duration = Duration::from_secs(120);
/// What of the backlog is measured; the beginning is start-up, the end has shards that are done.
const MEASURED: (f64, f64) = (0.1, 0.85);

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    bench.say("the ingestor alone: 10,000 servers, 4 shards");
    let mut site = Site::open(SiteOptions {
        guilds: 10_000,
        members: 3,
        shards: 4,
    })
    .await?;
    site.start_ingestor().await?;
    let samples = measure_ceiling(bench, &site, community_life(), 6.0).await?;
    let taker = site.start_taker(&QUEUES).await;
    for rate in [500.0, 1_000.0] {
        at_rate(bench, &site, (&taker, &samples), rate).await?;
    }
    // From here on messages are counted in their queues.
    drop(taker);
    // Of each process that there was: one saw ten thousand servers announced, some a backlog, one a blocked broker.
    let mut most = high_water_bytes(site.pid("ingestor")?)?;
    most = most.max(at_saturation(bench, &mut site, &samples).await?);
    most = most.max(blocked(bench, &mut site).await?);
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let most = most as f64 / 1e6;
    let name = "ingestor: most resident memory, 10,000 servers, 4 shards, burst and blocked broker";
    bench.figure(name, most, "MB", Bound::Below(20.0));
    site.close().await
}

/// Rounds at a fixed rate, and of the bare publisher between them.
async fn at_rate(
    bench: &mut Bench,
    site: &Site,
    (taker, samples): (&Taker, &[Sample]),
    rate: f64,
) -> anyhow::Result<()> {
    bench.say(&format!("ingestor at {rate:.0}/s, by turns with a bare publisher"));
    let (mut rounds, mut sections) = (Rounds::default(), Vec::new());
    for _ in 0..RATE_ROUNDS {
        sections.push(steady(bench, &mut rounds, (site, taker), rate, ROUND_S.0).await?);
        floor(&mut rounds, site, samples, rate, ROUND_S.1).await?;
    }
    bench.sections.extend(sections.into_iter().reduce(Section::and));
    rounds.tell(bench);
    Ok(())
}

/// A fixed rate, and somebody who takes what comes.
async fn steady(
    bench: &Bench,
    rounds: &mut Rounds,
    (site, taker): (&Site, &Taker),
    rate: f64,
    seconds: f64,
) -> anyhow::Result<Section> {
    // The warm-up is a load of its own, so that CPU is cut, too.
    for (stage, seconds) in [("warm-up", 1.0), ("steady", seconds)] {
        let processes: Vec<_> = site.processes().into_iter().chain(taker.process()).collect();
        let watch = Watch::begin(&processes)?;
        let (before, began) = (site.scrape("ingestor").await?, Instant::now());
        let load = Load {
            stages: vec![Stage::steady(stage, rate, seconds)],
            ..Load::steady(bench.options.seed, rate, seconds, community_life())
        };
        site.discord.start_load(&load).await?;
        let made = site.discord.wait_for_load().await?;
        let confirmed = confirmed_since(site, &before, made.counts.made).await?;
        let (usage, took) = (watch.end()?, began.elapsed().as_secs_f64());
        if stage == "warm-up" {
            continue;
        }
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let judged = name == "p99" && rate >= 1_000.0;
            let bound = if judged { Bound::Below(5.0) } else { Bound::Told };
            let name = format!("ingestor: frame received → confirmed, {name} at {rate:.0}/s");
            rounds.figure(&name, confirmed.quantile_ms(CONFIRM, quantile)?, "ms", bound);
        }
        let results = site.discord.load_results().await?;
        // Nobody answers here on purpose: what expires is not a failure of the ingestor, and is told in the counts.
        let mut section = Section::of_load(&format!("ingestor at {rate:.0}/s"), took, &results, usage)?;
        (section.load, section.expired) = (Vec::new(), 0);
        let bound = if rate < 1_000.0 {
            Bound::Below(130.0)
        } else {
            Bound::Told
        };
        let name = format!("ingestor: CPU per event at {rate:.0}/s");
        rounds.figure(&name, section.cpu_us_per_event("ingestor"), "µs/event", bound);
        return Ok(section);
    }
    unreachable!("the second round returns")
}

/// What the ingestor says of itself since then, once it has had so many events confirmed.
async fn confirmed_since(site: &Site, before: &Scrape, events: u64) -> anyhow::Result<Scrape> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let since = site.scrape("ingestor").await?.since(before);
        let confirmed = since.sum(CONFIRMED);
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        if confirmed >= events as f64 {
            return Ok(since);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{confirmed} of {events} events were confirmed: events are lost, or the ingestor is far behind"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What of the time to a confirmation is the broker's own, and what of the CPU is that of publishing: a bare publisher of the
/// same messages at the same rate in the same run, and the same taker.
async fn floor(rounds: &mut Rounds, site: &Site, samples: &[Sample], rate: f64, seconds: f64) -> anyhow::Result<()> {
    let channels = usize::try_from(site.options.shards)?;
    let floor = ceiling::floor(&site.vhost.url(), samples.to_vec(), channels, rate, seconds).await?;
    let times = &floor.times;
    for (name, place) in [("p50", times.len() / 2), ("p99", times.len() * 99 / 100)] {
        let name = format!("bare publisher: sent → confirmed, {name} at {rate:.0}/s");
        rounds.figure(&name, times[place].as_secs_f64() * 1e3, "ms", Bound::Told);
    }
    let name = format!("bare publisher: CPU per message at {rate:.0}/s");
    rounds.figure(&name, floor.publisher_us, "µs/event", Bound::Told);
    Ok(())
}

/// Rounds at saturation, each judged by the ceilings before and after it. Answers the most memory that an ingestor had, in
/// bytes.
async fn at_saturation(bench: &mut Bench, site: &mut Site, samples: &[Sample]) -> anyhow::Result<u64> {
    bench.say("ingestor at saturation: working off what gathered while it was away, by turns with the ceiling");
    let (mut rounds, mut sections) = (Rounds::default(), Vec::new());
    let (mut before, mut most) = (ceiling_now(site, samples).await?, 0);
    for _ in 0..SATURATION_ROUNDS {
        let section = saturation(bench, site).await?;
        most = most.max(high_water_bytes(site.pid("ingestor")?)?);
        let after = ceiling_now(site, samples).await?;
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let per_second = section.events as f64 / section.seconds;
        let share = per_second * 100.0 / f64::midpoint(before, after);
        before = after;
        let cpu = section.cpu_us_per_event("ingestor");
        rounds.figure("ingestor: throughput", per_second, "/s", Bound::Told);
        let name = "ingestor: throughput, share of the ceiling";
        rounds.figure(name, share, "%", Bound::AtLeast(90.0));
        let name = "ingestor: CPU per event at saturation";
        rounds.figure(name, cpu, "µs/event", Bound::Below(60.0));
        sections.push(section);
    }
    bench.sections.extend(sections.into_iter().reduce(Section::and));
    rounds.tell(bench);
    Ok(most)
}

/// The ceiling of this moment, messages a second.
async fn ceiling_now(site: &Site, samples: &[Sample]) -> anyhow::Result<f64> {
    let plain = Plain::open(&site.vhost.url()).await?;
    let channels = usize::try_from(site.options.shards)?;
    let measured = ceiling::measure(&site.vhost.url(), samples.to_vec(), channels, WINDOW, CEILING_S).await?;
    for queue in QUEUES {
        plain.purge(queue).await?;
    }
    plain.close().await;
    Ok(measured.per_second)
}

/// As fast as it can: it is stopped, events gather at Discord, it resumes and works them off.
async fn saturation(bench: &Bench, site: &mut Site) -> anyhow::Result<Section> {
    let plain = Plain::open(&site.vhost.url()).await?;
    site.stop_service("ingestor").await?;
    for queue in QUEUES {
        plain.purge(queue).await?;
    }
    let load = Load {
        arrivals: Arrivals::Even,
        stages: vec![Stage::steady("backlog", BACKLOG_RATE, BACKLOG_SECONDS)],
        ..Load::steady(bench.options.seed, BACKLOG_RATE, BACKLOG_SECONDS, community_life())
    };
    site.discord.start_load(&load).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of events")]
    let made = site.discord.wait_for_load().await?.counts.made as f64;
    site.begin_ingestor().await?;
    let deadline = Instant::now() + WORKED_OFF_WITHIN;
    let reach = async |share: f64| -> anyhow::Result<(Instant, f64)> {
        loop {
            // Until it listens it has confirmed nothing.
            let confirmed = site
                .scrape("ingestor")
                .await
                .map_or(0.0, |scrape| scrape.sum(CONFIRMED));
            if confirmed >= made * share {
                return Ok((Instant::now(), confirmed));
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the ingestor worked off {confirmed} of {made} events within {} s",
                WORKED_OFF_WITHIN.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (began, first) = reach(MEASURED.0).await?;
    let watch = Watch::begin(&site.processes())?;
    let (ended, last) = reach(MEASURED.1).await?;
    let usage = watch.end()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of events"
    )]
    let section = Section {
        name: "ingestor at saturation".to_owned(),
        seconds: (ended - began).as_secs_f64(),
        events: (last - first) as u64,
        expired: 0,
        processes: usage,
        load: Vec::new(),
        timeline: Vec::new(),
    };
    reach(1.0).await?;
    waiting(&plain, made as u64).await?;
    for queue in QUEUES {
        plain.purge(queue).await?;
    }
    plain.close().await;
    Ok(section)
}

/// A burst, then a broker that takes nothing while the burst goes on, then everything must arrive. Answers the most memory
/// that the ingestor had, in bytes.
async fn blocked(bench: &mut Bench, site: &mut Site) -> anyhow::Result<u64> {
    bench.say("ingestor under a burst, and with the broker blocked");
    let plain = Plain::open(&site.vhost.url()).await?;
    site.stop_service("ingestor").await?;
    for queue in QUEUES {
        plain.purge(queue).await?;
    }
    let proxy = FaultProxy::start(&site.vhost.url()).await;
    let through = proxy.proxied_url(&site.vhost.url());
    site.start_ingestor_at(&through, true).await?;
    let watch = Watch::begin(&site.processes())?;
    let began = Instant::now();
    let load = Load {
        arrivals: Arrivals::Poisson,
        stages: vec![
            Stage::steady("burst", 3_000.0, 4.0),
            Stage::steady("blocked", 3_000.0, 6.0),
        ],
        ..Load::steady(bench.options.seed, 3_000.0, 10.0, commands())
    };
    site.discord.start_load(&load).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    proxy.stall(true);
    let made = site.discord.wait_for_load().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let high_water = high_water_bytes(site.pid("ingestor")?)?;
    proxy.stall(false);
    waiting(&plain, made.counts.made).await?;
    let high_water = high_water.max(high_water_bytes(site.pid("ingestor")?)?);
    let usage = watch.end()?;
    let section = Section {
        name: "ingestor under a burst, then blocked".to_owned(),
        seconds: began.elapsed().as_secs_f64(),
        events: made.counts.made,
        expired: 0,
        processes: usage,
        load: Vec::new(),
        timeline: Vec::new(),
    };
    bench.sections.push(section);
    plain.close().await;
    Ok(high_water)
}
