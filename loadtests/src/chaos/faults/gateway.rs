//! What Discord's gateway does to an ingestor: asks to reconnect, ends sessions, closes, goes silent.

use std::time::Duration;

use arrakis_emulator_client::Fault;
use tokio::time::Instant;

use crate::chaos::Invariant::{I1, I2, I3, I4, I5, I6};
use crate::chaos::{Guard, PROCESS_BACK, Scenario, Shape, Stage};

/// Identifies of one bucket are this far apart.
pub(super) const IDENTIFY: Duration = Duration::from_secs(5);
/// A session whose RESUME fails each time is given up within this time: five failures, each met with silence for ten seconds.
const RESUME_GIVEN_UP: Duration = Duration::from_secs(90);
/// Milliseconds between heartbeats where one is to be missed.
const BEAT_MS: u64 = 1_500;
/// Exit code of a configuration that only a person can mend.
const EX_CONFIG: i32 = 78;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 30,
        name: "op-7",
        what: "Discord asks to reconnect",
        proves: &[I1, I2, I3, I4, I5],
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        run: |stage| Box::pin(asked_to_reconnect(stage)),
    },
    Scenario {
        fault: 31,
        name: "op-9-resumable",
        what: "invalid session, resumable",
        proves: &[I1, I2, I3, I4, I5],
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        run: |stage| Box::pin(invalid_but_resumable(stage)),
    },
    Scenario {
        fault: 31,
        name: "op-9-gone",
        what: "invalid session, gone, while members join",
        proves: &[I1, I2, I5, I6],
        guard: Guard::FailPoint("ingestor.guard.gap=skip"),
        run: |stage| Box::pin(session_gone(stage)),
    },
    Scenario {
        fault: 31,
        name: "resume-reset-each-time",
        what: "the connection is reset at each RESUME, while members join",
        proves: &[I1, I2, I5, I6],
        guard: Guard::FailPoint("ingestor.guard.resume_limit=skip"),
        run: |stage| Box::pin(resume_fails(stage, "reset")),
    },
    Scenario {
        fault: 31,
        name: "resume-met-with-silence",
        what: "nothing follows the HELLO of each RESUME, while members join",
        proves: &[I1, I2, I5, I6],
        guard: Guard::FailPoint("ingestor.guard.resume_limit=skip"),
        run: |stage| Box::pin(resume_fails(stage, "silence")),
    },
    Scenario {
        fault: 32,
        name: "fatal-closes",
        what: "close codes 4004 and 4014",
        proves: &[I4, I5],
        guard: Guard::FailPoint("ingestor.guard.fatal=skip"),
        run: |stage| Box::pin(fatal_closes(stage)),
    },
    Scenario {
        fault: 33,
        name: "session-closes",
        what: "close codes 4007 and 4009",
        proves: &[I1, I2, I5, I6],
        guard: Guard::FailPoint("ingestor.guard.gap=skip"),
        run: |stage| Box::pin(session_closes(stage)),
    },
    Scenario {
        fault: 34,
        name: "no-heartbeat-ack",
        what: "the gateway keeps the socket and answers no heartbeat",
        proves: &[I1, I2, I4, I5],
        guard: Guard::FailPoint("ingestor.guard.resume=skip"),
        run: |stage| Box::pin(no_heartbeat_ack(stage)),
    },
];

/// Throws a fault of the emulator's.
pub(super) async fn strike(stage: &mut Stage, fault: &Fault) -> anyhow::Result<()> {
    stage.discord().fault(fault).await?;
    Ok(())
}

/// Sessions that the gateway began.
pub(super) async fn identifies(stage: &mut Stage) -> anyhow::Result<u64> {
    Ok(stage.stats().await?.identifies)
}

async fn resumes(stage: &mut Stage) -> anyhow::Result<u64> {
    Ok(stage.stats().await?.resumes)
}

/// Somebody joins and is noted: it works.
pub(super) async fn works(stage: &mut Stage) -> anyhow::Result<()> {
    stage.one_join().await?;
    let open = stage.settle().await?;
    anyhow::ensure!(open.is_empty(), "nothing flows");
    Ok(())
}

/// No identify more than before: each one lost is one of a thousand a day.
pub(super) async fn none_spent(stage: &mut Stage, before: u64) -> anyhow::Result<()> {
    let now = identifies(stage).await?;
    stage.expect(
        I4,
        "no identify is spent",
        now == before,
        format!("{}", now.saturating_sub(before)),
    );
    Ok(())
}

/// Settles, and notes whether somebody waited in vain.
pub(super) async fn nobody_waits_in_vain(stage: &mut Stage) -> anyhow::Result<()> {
    let tally = stage.judge().await?;
    stage.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

async fn asked_to_reconnect(stage: &mut Stage) -> anyhow::Result<()> {
    struck_and_resumed(stage, &Fault::of_kind("gateway_reconnect")).await
}

async fn invalid_but_resumable(stage: &mut Stage) -> anyhow::Result<()> {
    struck_and_resumed(stage, &Fault::gateway_invalid_session(true)).await
}

async fn struck_and_resumed(stage: &mut Stage, fault: &Fault) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    stage.load(20).await?;
    stage.flows(20).await?;
    let (before, resumed) = (identifies(stage).await?, resumes(stage).await?);
    strike(stage, fault).await?;
    stage.recovers(PROCESS_BACK).await?;
    none_spent(stage, before).await?;
    let now = resumes(stage).await?;
    stage.expect(I5, "the session is resumed once", now == resumed + 1, now - resumed);
    nobody_waits_in_vain(stage).await
}

/// What happens between two sessions nobody is told of: members who joined meanwhile are found by the reconcile that the
/// new session's servers ask for.
async fn session_gone(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    stage.load(10).await?;
    stage.flows(15).await?;
    let before = identifies(stage).await?;
    strike(stage, &Fault::gateway_invalid_session(false)).await?;
    stage.burst(12).await?;
    stage.recovers(PROCESS_BACK + IDENTIFY).await?;
    let began = identifies(stage).await? - before;
    stage.expect(I5, "one new session", began == 1, began);
    gaps_are(stage, "invalid_session", 1).await
}

/// A RESUME that never succeeds ends in a new session, also when the process is started again meanwhile.
async fn resume_fails(stage: &mut Stage, mode: &str) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    stage.load(10).await?;
    stage.flows(15).await?;
    let before = identifies(stage).await?;
    strike(stage, &Fault::of_kind("gateway_resume_answer").mode(mode)).await?;
    strike(stage, &Fault::of_kind("gateway_drop")).await?;
    stage.burst(12).await?;
    let ingestor = &mut stage.platform().ingestors[0];
    ingestor.kill().await;
    ingestor.start_again();
    let began = stage
        .sees(I5, "a new session begins", RESUME_GIVEN_UP, async |stage| {
            Ok(identifies(stage).await? > before)
        })
        .await?;
    if !began {
        return Ok(());
    }
    stage.recovers(PROCESS_BACK + IDENTIFY).await?;
    let sessions = identifies(stage).await? - before;
    stage.expect(I5, "one new session", sessions == 1, sessions);
    gaps_are(stage, "resume_failed", 1).await
}

async fn gaps_are(stage: &mut Stage, reason: &str, wanted: u32) -> anyhow::Result<()> {
    let gaps = stage
        .ingestor_metric("arrakis_ingestor_gaps_total", &[("reason", reason)])
        .await?;
    let right = (gaps - f64::from(wanted)).abs() < f64::EPSILON;
    stage.expect(I6, format!("{wanted} gaps are counted"), right, gaps);
    Ok(())
}

async fn fatal_closes(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    for (code, word) in [(4004, "DISCORD_TOKEN"), (4014, "Server Members Intent")] {
        works(stage).await?;
        let before = identifies(stage).await?;
        strike(stage, &Fault::gateway_close(code)).await?;
        let status = stage.platform().ingestors[0].ended(Duration::from_secs(10)).await;
        stage.expect(
            I5,
            format!("{code}: exit code {EX_CONFIG}"),
            status.code() == Some(EX_CONFIG),
            status,
        );
        let code = code.to_string();
        stage
            .until("a word in the log of what to fix", async |stage| {
                let log = stage.platform().ingestors[0].log();
                Ok(log.iter().any(|line| line.contains(word) && line.contains(&code)))
            })
            .await?;
        none_spent(stage, before).await?;
        // Somebody has put it right.
        let ingestor = &mut stage.platform().ingestors[0];
        ingestor.start_again();
        ingestor.ready().await;
    }
    stage.recovers(PROCESS_BACK).await.map(drop)
}

async fn session_closes(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    stage.load(10).await?;
    stage.flows(15).await?;
    let before = identifies(stage).await?;
    for (nth, code) in [(1, 4007), (2, 4009)] {
        strike(stage, &Fault::gateway_close(code)).await?;
        // Effects of what was on its way still come; the way back is over when there is a session.
        let identified = async |stage: &mut Stage| Ok(identifies(stage).await? >= before + nth);
        stage.until("the ingestor to identify", identified).await?;
        stage.recovers(PROCESS_BACK + IDENTIFY).await?;
        let began = identifies(stage).await? - before;
        stage.expect(I5, format!("{code}: a new session"), began == nth, began);
    }
    gaps_are(stage, "close_code", 2).await
}

async fn no_heartbeat_ack(stage: &mut Stage) -> anyhow::Result<()> {
    let shape = Shape::default()
        .emulator("--heartbeat-ms")
        .emulator(BEAT_MS.to_string());
    stage.start(shape).await?;
    stage.load(20).await?;
    stage.flows(20).await?;
    let (before, resumed) = (identifies(stage).await?, resumes(stage).await?);
    let begun = Instant::now();
    // Without a word in either direction: twilight takes any event for a sign of life.
    strike(stage, &Fault::of_kind("gateway_half_open")).await?;
    stage
        .until("the connection to be made anew", async |stage| {
            Ok(resumes(stage).await? > resumed || identifies(stage).await? > before)
        })
        .await?;
    // A beat that stays unanswered, the next one, at which it is noticed, and the way back.
    stage.recovered(begun.elapsed(), Duration::from_millis(2 * BEAT_MS) + PROCESS_BACK);
    stage.flows(20).await?;
    none_spent(stage, before).await
}
