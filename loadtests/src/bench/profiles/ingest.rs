//! The ingestor alone, with ten thousand servers on four shards: latency, CPU and throughput against the ceiling, and memory
//! during a burst and while the broker blocks publishers.

use std::time::{Duration, Instant};

use arrakis_emulator_client::load::{Arrivals, Load, LoadStage};
use arrakis_test_support::FaultProxy;

use super::{QUEUES, WINDOW, commands, community_life, measure_ceiling, waiting};
use crate::bench::ceiling::{self, BenchConnection, SampleMessage};
use crate::bench::drain::DrainProcess;
use crate::bench::processes::high_water_bytes;
use crate::bench::rounds::Rounds;
use crate::bench::{Bench, BenchPlatform, BenchPlatformOptions, Bound, ProcessMonitor, SETTLE, Scrape, Section};

const CONFIRM: &str = "arrakis_ingestor_confirm_seconds";
const CONFIRMED: &str = "arrakis_ingestor_confirm_seconds_count";
/// Events that wait for the ingestor when its throughput is measured.
const BACKLOG_RATE: f64 = 12_000.0;
const BACKLOG_SECONDS: f64 = 5.0;
/// Number of rounds for each rate, alternating with the bare publisher.
const RATE_ROUNDS: usize = 5;
/// Seconds of such a round, and of the bare publisher's.
const ROUND_S: (f64, f64) = (6.0, 4.0);
/// Number of rounds at saturation, alternating with the ceiling.
const SATURATION_ROUNDS: usize = 3;
/// Seconds of each ceiling measurement between two rounds.
const CEILING_S: f64 = 3.0;
/// Time limit for the backlog: far more than any machine needs.
const BACKLOG_LIMIT: Duration = Duration::from_secs(120);
/// Measured part of the backlog: without the start-up, and without the end, where some shards have finished.
const MEASURED: (f64, f64) = (0.1, 0.85);

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    bench.progress("the ingestor alone: 10,000 servers, 4 shards");
    let mut platform = BenchPlatform::open(BenchPlatformOptions {
        guilds: 10_000,
        members: 3,
        shards: 4,
    })
    .await?;
    platform.start_ingestor().await?;
    let samples = measure_ceiling(bench, &platform, community_life(), 6.0).await?;
    let drain = platform.start_drain(&QUEUES).await;
    for rate in [500.0, 1_000.0] {
        at_rate(bench, &platform, (&drain, &samples), rate).await?;
    }
    // From here on messages are counted in their queues.
    drop(drain);
    // Each section starts its own ingestor process: one receives ten thousand GUILD_CREATE, one a backlog, one a blocked broker.
    let mut most = high_water_bytes(platform.pid("ingestor")?)?;
    most = most.max(at_saturation(bench, &mut platform, &samples).await?);
    most = most.max(blocked(bench, &mut platform).await?);
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let most = most as f64 / 1e6;
    let name = "ingestor: highest resident memory, 10,000 servers, 4 shards, burst and blocked broker";
    bench.figure(name, most, "MB", Bound::Below(20.0));
    platform.close().await
}

/// Rounds at a fixed rate, alternating with the bare publisher.
async fn at_rate(
    bench: &mut Bench,
    platform: &BenchPlatform,
    (drain, samples): (&DrainProcess, &[SampleMessage]),
    rate: f64,
) -> anyhow::Result<()> {
    bench.progress(&format!("ingestor at {rate:.0}/s, alternating with a bare publisher"));
    let (mut rounds, mut sections) = (Rounds::default(), Vec::new());
    for _ in 0..RATE_ROUNDS {
        sections.push(steady(bench, &mut rounds, (platform, drain), rate, ROUND_S.0).await?);
        measure_paced(&mut rounds, platform, samples, rate, ROUND_S.1).await?;
    }
    bench.sections.extend(sections.into_iter().reduce(Section::and));
    rounds.report(bench);
    Ok(())
}

/// One round at a fixed rate, with a consumer on the queues.
async fn steady(
    bench: &Bench,
    rounds: &mut Rounds,
    (platform, drain): (&BenchPlatform, &DrainProcess),
    rate: f64,
    seconds: f64,
) -> anyhow::Result<Section> {
    // The warm-up is a load of its own, so that its CPU time is excluded, too.
    for (stage, seconds) in [("warm-up", 1.0), ("steady", seconds)] {
        let processes: Vec<_> = platform.processes().into_iter().chain(drain.process()).collect();
        let monitor = ProcessMonitor::begin(&processes)?;
        let (before, began) = (platform.scrape("ingestor").await?, Instant::now());
        let load = Load {
            stages: vec![LoadStage::steady(stage, rate, seconds)],
            ..Load::steady(bench.options.seed, rate, seconds, community_life())
        };
        platform.discord.start_load(&load).await?;
        let made = platform.discord.wait_for_load().await?;
        let confirmed = confirmed_since(platform, &before, made.counts.made).await?;
        let (usage, took) = (monitor.end()?, began.elapsed().as_secs_f64());
        if stage == "warm-up" {
            continue;
        }
        for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            let has_threshold = name == "p99" && rate >= 1_000.0;
            let bound = if has_threshold {
                Bound::Below(5.0)
            } else {
                Bound::Reported
            };
            let name = format!("ingestor: frame received → confirmed, {name} at {rate:.0}/s");
            rounds.figure(&name, confirmed.quantile_ms(CONFIRM, quantile)?, "ms", bound);
        }
        let results = platform.discord.load_results().await?;
        // No worker runs, so every interaction expires: these are in the counts and are no failures of the ingestor.
        let mut section = Section::of_load(&format!("ingestor at {rate:.0}/s"), took, &results, usage)?;
        (section.load, section.expired) = (Vec::new(), 0);
        let bound = if rate < 1_000.0 {
            Bound::Below(130.0)
        } else {
            Bound::Reported
        };
        let name = format!("ingestor: CPU per event at {rate:.0}/s");
        rounds.figure(&name, section.cpu_us_per_event("ingestor"), "µs/event", bound);
        return Ok(section);
    }
    unreachable!("the second round returns")
}

/// The ingestor's metrics since `before`, once it has had this many events confirmed.
async fn confirmed_since(platform: &BenchPlatform, before: &Scrape, events: u64) -> anyhow::Result<Scrape> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let since = platform.scrape("ingestor").await?.since(before);
        let confirmed = since.sum(CONFIRMED);
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        if confirmed >= events as f64 {
            return Ok(since);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{confirmed} of {events} events were confirmed: events were lost, or the ingestor is too slow"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A bare publisher of the same messages at the same rate in the same run, with the same consumer: the broker's share of the
/// time to a confirm, and publishing's share of the CPU time.
async fn measure_paced(
    rounds: &mut Rounds,
    platform: &BenchPlatform,
    samples: &[SampleMessage],
    rate: f64,
    seconds: f64,
) -> anyhow::Result<()> {
    let channels = usize::try_from(platform.options.shards)?;
    let measure_paced =
        ceiling::measure_paced(&platform.vhost.url(), samples.to_vec(), channels, rate, seconds).await?;
    let times = &measure_paced.times;
    for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99)] {
        let index = times.len() * percent / 100;
        let name = format!("bare publisher: sent → confirmed, {name} at {rate:.0}/s");
        rounds.figure(&name, times[index].as_secs_f64() * 1e3, "ms", Bound::Reported);
    }
    let name = format!("bare publisher: CPU per message at {rate:.0}/s");
    rounds.figure(&name, measure_paced.publisher_us, "µs/event", Bound::Reported);
    Ok(())
}

/// Rounds at saturation, each compared with the ceilings before and after it. Returns the highest resident memory of an
/// ingestor, in bytes.
async fn at_saturation(
    bench: &mut Bench,
    platform: &mut BenchPlatform,
    samples: &[SampleMessage],
) -> anyhow::Result<u64> {
    bench.progress("ingestor at saturation: a backlog after a restart, alternating with the ceiling");
    let (mut rounds, mut sections) = (Rounds::default(), Vec::new());
    let (mut before, mut most) = (ceiling_now(platform, samples).await?, 0);
    for _ in 0..SATURATION_ROUNDS {
        let section = saturation(bench, platform).await?;
        most = most.max(high_water_bytes(platform.pid("ingestor")?)?);
        let after = ceiling_now(platform, samples).await?;
        #[expect(clippy::cast_precision_loss, reason = "counts of events")]
        let per_second = section.events as f64 / section.seconds;
        let share = per_second * 100.0 / f64::midpoint(before, after);
        before = after;
        let cpu = section.cpu_us_per_event("ingestor");
        rounds.figure("ingestor: throughput", per_second, "/s", Bound::Reported);
        let name = "ingestor: throughput, share of the ceiling";
        rounds.figure(name, share, "%", Bound::AtLeast(90.0));
        let name = "ingestor: CPU per event at saturation";
        rounds.figure(name, cpu, "µs/event", Bound::Below(60.0));
        sections.push(section);
    }
    bench.sections.extend(sections.into_iter().reduce(Section::and));
    rounds.report(bench);
    Ok(most)
}

/// The present ceiling, in messages per second.
async fn ceiling_now(platform: &BenchPlatform, samples: &[SampleMessage]) -> anyhow::Result<f64> {
    let connection = BenchConnection::open(&platform.vhost.url()).await?;
    let channels = usize::try_from(platform.options.shards)?;
    let measured = ceiling::measure(&platform.vhost.url(), samples.to_vec(), channels, WINDOW, CEILING_S).await?;
    for queue in QUEUES {
        connection.purge(queue).await?;
    }
    connection.close().await;
    Ok(measured.per_second)
}

/// Throughput at saturation: the ingestor is stopped, events gather in the emulator, and the restarted ingestor resumes.
async fn saturation(bench: &Bench, platform: &mut BenchPlatform) -> anyhow::Result<Section> {
    let connection = BenchConnection::open(&platform.vhost.url()).await?;
    platform.stop_service("ingestor").await?;
    for queue in QUEUES {
        connection.purge(queue).await?;
    }
    let load = Load {
        arrivals: Arrivals::Even,
        stages: vec![LoadStage::steady("backlog", BACKLOG_RATE, BACKLOG_SECONDS)],
        ..Load::steady(bench.options.seed, BACKLOG_RATE, BACKLOG_SECONDS, community_life())
    };
    platform.discord.start_load(&load).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of events")]
    let made = platform.discord.wait_for_load().await?.counts.made as f64;
    platform.begin_ingestor().await?;
    let deadline = Instant::now() + BACKLOG_LIMIT;
    let reach = async |share: f64| -> anyhow::Result<(Instant, f64)> {
        loop {
            // It has confirmed nothing until its metrics endpoint listens.
            let confirmed = platform
                .scrape("ingestor")
                .await
                .map_or(0.0, |scrape| scrape.sum(CONFIRMED));
            if confirmed >= made * share {
                return Ok((Instant::now(), confirmed));
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the ingestor published {confirmed} of {made} events of the backlog within {} s",
                BACKLOG_LIMIT.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (began, first) = reach(MEASURED.0).await?;
    let monitor = ProcessMonitor::begin(&platform.processes())?;
    let (ended, last) = reach(MEASURED.1).await?;
    let usage = monitor.end()?;
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
    waiting(&connection, made as u64).await?;
    for queue in QUEUES {
        connection.purge(queue).await?;
    }
    connection.close().await;
    Ok(section)
}

/// A burst, a broker that blocks publishers while the burst goes on, then the delivery of everything. Returns the highest
/// resident memory of the ingestor, in bytes.
async fn blocked(bench: &mut Bench, platform: &mut BenchPlatform) -> anyhow::Result<u64> {
    bench.progress("ingestor during a burst, and with a blocked broker");
    let connection = BenchConnection::open(&platform.vhost.url()).await?;
    platform.stop_service("ingestor").await?;
    for queue in QUEUES {
        connection.purge(queue).await?;
    }
    let proxy = FaultProxy::start(&platform.vhost.url()).await;
    let through = proxy.proxied_url(&platform.vhost.url());
    platform.start_ingestor_at(&through, true).await?;
    let monitor = ProcessMonitor::begin(&platform.processes())?;
    let began = Instant::now();
    let load = Load {
        arrivals: Arrivals::Poisson,
        stages: vec![
            LoadStage::steady("burst", 3_000.0, 4.0),
            LoadStage::steady("blocked", 3_000.0, 6.0),
        ],
        ..Load::steady(bench.options.seed, 3_000.0, 10.0, commands())
    };
    platform.discord.start_load(&load).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    proxy.stall(true);
    let made = platform.discord.wait_for_load().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let high_water = high_water_bytes(platform.pid("ingestor")?)?;
    proxy.stall(false);
    waiting(&connection, made.counts.made).await?;
    let high_water = high_water.max(high_water_bytes(platform.pid("ingestor")?)?);
    let usage = monitor.end()?;
    let section = Section {
        name: "ingestor during a burst, then blocked".to_owned(),
        seconds: began.elapsed().as_secs_f64(),
        events: made.counts.made,
        expired: 0,
        processes: usage,
        load: Vec::new(),
        timeline: Vec::new(),
    };
    bench.sections.push(section);
    connection.close().await;
    Ok(high_water)
}
