//! Discord's gateway requests a reconnect, ends sessions, closes connections, or stops responding.

use std::time::Duration;

use arrakis_emulator_client::Fault;
use tokio::time::Instant;

use crate::chaos::Invariant::{I1, I2, I3, I4, I5, I6};
use crate::chaos::{Deployment, Guard, PROCESS_BACK, Scenario, Testbed};

/// Minimum interval between identifies of one bucket.
pub(super) const IDENTIFY: Duration = Duration::from_secs(5);
/// A session whose RESUME fails each time is abandoned within this time: five failures with a timeout of ten seconds each.
const RESUME_GIVEN_UP: Duration = Duration::from_secs(90);
/// Heartbeat interval in milliseconds where a heartbeat is to be missed.
const HEARTBEAT_MS: u64 = 1_500;
/// Exit code for a wrong configuration.
const EX_CONFIG: i32 = 78;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 30,
        name: "op-7",
        what: "op 7: the gateway requests a reconnect",
        proves: &[I1, I2, I3, I4, I5],
        alerts: &[],
        expected: "the session is resumed once, within 5 s",
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        without_guard: "an identify used",
        run: |testbed| Box::pin(reconnect_requested(testbed)),
    },
    Scenario {
        fault: 31,
        name: "op-9-resumable",
        what: "op 9 with `d: true`: invalid session, resumable",
        proves: &[I1, I2, I3, I4, I5],
        alerts: &[],
        expected: "the session is resumed once, within 5 s",
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        without_guard: "",
        run: |testbed| Box::pin(invalid_but_resumable(testbed)),
    },
    Scenario {
        fault: 31,
        name: "op-9-gone",
        what: "op 9 with `d: false` while members join",
        proves: &[I1, I2, I5, I6],
        alerts: &["event-gap"],
        expected: "one new session within 10 s, one gap counted",
        guard: Guard::FailPoint("ingestor.guard.gap=skip"),
        without_guard: "",
        run: |testbed| Box::pin(session_gone(testbed)),
    },
    Scenario {
        fault: 31,
        name: "resume-reset-each-time",
        what: "the connection is reset at each RESUME while members join",
        proves: &[I1, I2, I5, I6],
        alerts: &["event-gap"],
        expected: "a new session after five failures, then recovery within 10 s",
        guard: Guard::FailPoint("ingestor.guard.resume_limit=skip"),
        without_guard: "459 of 928 events lost",
        run: |testbed| Box::pin(resume_fails(testbed, "reset")),
    },
    Scenario {
        fault: 31,
        name: "resume-met-with-silence",
        what: "no frame follows the HELLO of each RESUME while members join",
        proves: &[I1, I2, I5, I6],
        alerts: &["event-gap"],
        expected: "a new session after five failures, then recovery within 10 s",
        guard: Guard::FailPoint("ingestor.guard.resume_limit=skip"),
        without_guard: "",
        run: |testbed| Box::pin(resume_fails(testbed, "silence")),
    },
    Scenario {
        fault: 32,
        name: "fatal-closes",
        what: "close codes 4004 and 4014",
        proves: &[I4, I5, I6],
        alerts: &["service-down", "shards"],
        expected: "exit code 78 and a log message that names the setting",
        guard: Guard::FailPoint("ingestor.guard.fatal=skip"),
        without_guard: "the ingestor does not exit",
        run: |testbed| Box::pin(fatal_closes(testbed)),
    },
    Scenario {
        fault: 33,
        name: "session-closes",
        what: "close codes 4007 and 4009",
        proves: &[I1, I2, I5, I6],
        alerts: &["event-gap"],
        expected: "a new session within 10 s each, two gaps counted",
        guard: Guard::FailPoint("ingestor.guard.gap=skip"),
        without_guard: "",
        run: |testbed| Box::pin(session_closes(testbed)),
    },
    Scenario {
        fault: 34,
        name: "no-heartbeat-ack",
        what: "the gateway keeps the socket and acknowledges no heartbeat",
        proves: &[I1, I2, I4, I5],
        alerts: &[],
        expected: "resumed within two heartbeats and 5 s",
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        without_guard: "",
        run: |testbed| Box::pin(no_heartbeat_ack(testbed)),
    },
];

/// Injects a fault into the emulator.
pub(super) async fn inject(testbed: &mut Testbed, fault: &Fault) -> anyhow::Result<()> {
    testbed.discord().fault(fault).await?;
    Ok(())
}

/// Number of sessions that the gateway started.
pub(super) async fn identifies(testbed: &mut Testbed) -> anyhow::Result<u64> {
    Ok(testbed.stats().await?.identifies)
}

async fn resumes(testbed: &mut Testbed) -> anyhow::Result<u64> {
    Ok(testbed.stats().await?.resumes)
}

/// Checks that a join has its effect.
pub(super) async fn expect_join_effect(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.one_join().await?;
    let open = testbed.settle().await?;
    anyhow::ensure!(open.is_empty(), "a join has no effect");
    Ok(())
}

/// Checks that no session was started. Discord allows a bot a thousand of them per day.
pub(super) async fn expect_no_identify(testbed: &mut Testbed, before: u64) -> anyhow::Result<()> {
    let now = identifies(testbed).await?;
    testbed.expect(
        I4,
        "no identify is used",
        now == before,
        format!("{}", now.saturating_sub(before)),
    );
    Ok(())
}

/// Waits for outstanding effects and checks that no command expired.
pub(super) async fn expect_no_expired_command(testbed: &mut Testbed) -> anyhow::Result<()> {
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

async fn reconnect_requested(testbed: &mut Testbed) -> anyhow::Result<()> {
    expect_resume_after(testbed, &Fault::of_kind("gateway_reconnect")).await
}

async fn invalid_but_resumable(testbed: &mut Testbed) -> anyhow::Result<()> {
    expect_resume_after(testbed, &Fault::gateway_invalid_session(true)).await
}

async fn expect_resume_after(testbed: &mut Testbed, fault: &Fault) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let (before, resumed) = (identifies(testbed).await?, resumes(testbed).await?);
    inject(testbed, fault).await?;
    testbed.expect_recovery(PROCESS_BACK).await?;
    expect_no_identify(testbed, before).await?;
    let now = resumes(testbed).await?;
    testbed.expect(I5, "the session is resumed once", now == resumed + 1, now - resumed);
    expect_no_expired_command(testbed).await
}

/// Events between two sessions are not received: the reconcile after the new session's `GUILD_CREATE` finds members who
/// joined meanwhile.
async fn session_gone(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    testbed.load(10).await?;
    testbed.wait_for_effects(15).await?;
    let before = identifies(testbed).await?;
    inject(testbed, &Fault::gateway_invalid_session(false)).await?;
    testbed.burst(12).await?;
    testbed.expect_recovery(PROCESS_BACK + IDENTIFY).await?;
    let began = identifies(testbed).await? - before;
    testbed.expect(I5, "one new session", began == 1, began);
    expect_gaps(testbed, "invalid_session", 1).await?;
    testbed.expect_alert_ends("event-gap").await
}

/// A RESUME that never succeeds ends in a new session, also when the process is restarted meanwhile.
async fn resume_fails(testbed: &mut Testbed, mode: &str) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    testbed.load(10).await?;
    testbed.wait_for_effects(15).await?;
    let before = identifies(testbed).await?;
    inject(testbed, &Fault::of_kind("gateway_resume_answer").mode(mode)).await?;
    inject(testbed, &Fault::of_kind("gateway_drop")).await?;
    testbed.burst(12).await?;
    let ingestor = &mut testbed.platform().ingestors[0];
    ingestor.kill().await;
    ingestor.start_again();
    let began = testbed
        .expect_within(I5, "a new session begins", RESUME_GIVEN_UP, async |testbed| {
            Ok(identifies(testbed).await? > before)
        })
        .await?;
    if !began {
        return Ok(());
    }
    testbed.expect_recovery(PROCESS_BACK + IDENTIFY).await?;
    let sessions = identifies(testbed).await? - before;
    testbed.expect(I5, "one new session", sessions == 1, sessions);
    expect_gaps(testbed, "resume_failed", 1).await
}

async fn expect_gaps(testbed: &mut Testbed, reason: &str, wanted: u32) -> anyhow::Result<()> {
    let gaps = testbed
        .ingestor_metric("arrakis_ingestor_gaps_total", &[("reason", reason)])
        .await?;
    let right = (gaps - f64::from(wanted)).abs() < f64::EPSILON;
    testbed.expect(I6, format!("{wanted} gaps are counted"), right, gaps);
    Ok(())
}

async fn fatal_closes(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    for (code, setting) in [(4004, "DISCORD_TOKEN"), (4014, "Server Members Intent")] {
        expect_join_effect(testbed).await?;
        let before = identifies(testbed).await?;
        inject(testbed, &Fault::gateway_close(code)).await?;
        let status = testbed.platform().ingestors[0]
            .wait_for_exit(Duration::from_secs(10))
            .await;
        testbed.expect(
            I5,
            format!("{code}: exit code {EX_CONFIG}"),
            status.code() == Some(EX_CONFIG),
            status,
        );
        let code = code.to_string();
        testbed
            .wait_until("a log message that names what to fix", async |testbed| {
                let log = testbed.platform().ingestors[0].log();
                Ok(log.iter().any(|line| line.contains(setting) && line.contains(&code)))
            })
            .await?;
        expect_no_identify(testbed, before).await?;
        testbed.expect_alert("service-down").await?;
        testbed.expect_alert("shards").await?;
        // The configuration is corrected.
        let ingestor = &mut testbed.platform().ingestors[0];
        ingestor.start_again();
        ingestor.ready().await;
    }
    testbed.expect_recovery(PROCESS_BACK).await?;
    testbed.expect_alert_ends("service-down").await?;
    testbed.expect_alert_ends("shards").await
}

async fn session_closes(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    testbed.load(10).await?;
    testbed.wait_for_effects(15).await?;
    let before = identifies(testbed).await?;
    for (nth, code) in [(1, 4007), (2, 4009)] {
        inject(testbed, &Fault::gateway_close(code)).await?;
        // Events in flight still have their effect, so the new session is awaited first.
        let identified = async |testbed: &mut Testbed| Ok(identifies(testbed).await? >= before + nth);
        testbed.wait_until("the ingestor to identify", identified).await?;
        testbed.expect_recovery(PROCESS_BACK + IDENTIFY).await?;
        let began = identifies(testbed).await? - before;
        testbed.expect(I5, format!("{code}: a new session"), began == nth, began);
    }
    expect_gaps(testbed, "close_code", 2).await
}

async fn no_heartbeat_ack(testbed: &mut Testbed) -> anyhow::Result<()> {
    let deployment = Deployment::default()
        .emulator("--heartbeat-ms")
        .emulator(HEARTBEAT_MS.to_string());
    testbed.start(deployment).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let (before, resumed) = (identifies(testbed).await?, resumes(testbed).await?);
    let begun = Instant::now();
    // In both directions: twilight counts any received event as a sign that the connection works.
    inject(testbed, &Fault::of_kind("gateway_half_open")).await?;
    testbed
        .wait_until("the ingestor to reconnect", async |testbed| {
            Ok(resumes(testbed).await? > resumed || identifies(testbed).await? > before)
        })
        .await?;
    // The unanswered heartbeat, the next one, at which it is noticed, and the recovery.
    testbed.record_recovery(begun.elapsed(), Duration::from_millis(2 * HEARTBEAT_MS) + PROCESS_BACK);
    testbed.wait_for_effects(20).await?;
    expect_no_identify(testbed, before).await
}
