//! The score service is slow, fails or flaps while members ask for their eligibility.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::chaos::Invariant::{I1, I3, I5, I6};
use crate::chaos::score_service::{Behaviour, KEY, ScoreService};
use crate::chaos::{Deployment, Guard, GuildChannel, Scenario, Testbed};
use crate::platform::{Answer, Emulator};

const GUARD: Guard = Guard::FailPoint("eligibility.guard.breaker=skip");
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 56,
        name: "score-service-slow",
        what: "the score service takes 10 s for each response",
        proves: &[I1, I3, I5, I6],
        alerts: &["score-service", "chain-degraded", "component-degraded"],
        expected: "every question is answered, from the chain; the breaker opens, and closes within 35 s after the service is well",
        guard: GUARD,
        without_guard: "the breaker stays closed",
        run: |testbed| Box::pin(is_impaired(testbed, Behaviour::Slow)),
    },
    Scenario {
        fault: 56,
        name: "score-service-failing",
        what: "the score service responds with status 500",
        proves: &[I1, I3, I5, I6],
        alerts: &["score-service", "chain-degraded", "component-degraded"],
        expected: "every question is answered, from the chain; the breaker opens, and closes within 35 s after the service is well",
        guard: GUARD,
        without_guard: "the breaker stays closed",
        run: |testbed| Box::pin(is_impaired(testbed, Behaviour::Failing)),
    },
    Scenario {
        fault: 56,
        name: "score-service-flapping",
        what: "two of three responses of the score service have status 500",
        proves: &[I1, I3, I5, I6],
        alerts: &["score-service", "chain-degraded", "component-degraded"],
        expected: "every question is answered; the breaker opens, and closes within 35 s after the service is well",
        guard: GUARD,
        without_guard: "the breaker stays closed",
        run: |testbed| Box::pin(is_impaired(testbed, Behaviour::Flapping)),
    },
];

const COMMAND: &str = "check-eligibility";
const BREAKER: &str = "arrakis_worker_score_breaker";
const ANSWERS: &str = "arrakis_worker_eligibility_answers_total";
/// Members who ask in turns. A member may ask again after 10 s.
const ASKING: usize = 80;
/// Questions at the same time.
const AT_ONCE: usize = 4;
/// Time limit for the breaker to open. A slow service is noticed after 5 s.
const OPENS_WITHIN: Duration = Duration::from_secs(15);
/// The breaker lets a probe through after 30 s.
const CLOSES_WITHIN: Duration = Duration::from_secs(35);
/// Time limit of an answer while the breaker is open. A worker waits 2.5 s for a service that does not respond.
const WITHOUT_WAITING: Duration = Duration::from_secs(2);

/// Where an answer comes from, as the member is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The score service.
    Score,
    /// The chain stands in for the score service.
    Degraded,
    /// A stored answer.
    Stored,
    /// Anything else, such as an error.
    Other,
}

impl Shown {
    fn of(answer: &Answer) -> Self {
        match answer.field("Source") {
            Some(text) if text.starts_with("Score service;") => Self::Score,
            Some(text) if text.contains("chain only, read just now") => Self::Degraded,
            Some(text) if text.starts_with("Stored answer") => Self::Stored,
            _ => Self::Other,
        }
    }
}

/// Members who ask, and what they were shown.
struct Questions {
    channel: GuildChannel,
    members: Vec<u64>,
    asked: usize,
    shown: Vec<Shown>,
    /// The first reply that was no answer.
    wrong: Option<String>,
}

impl Questions {
    fn of(testbed: &mut Testbed) -> anyhow::Result<Self> {
        let members = testbed.plan().servers[0].members.iter();
        let with_wallet = members.filter(|member| member.holder.is_some());
        Ok(Self {
            members: with_wallet.map(|member| member.user).take(ASKING).collect(),
            channel: testbed.channel(0)?,
            asked: 0,
            shown: Vec::new(),
            wrong: None,
        })
    }

    /// Some members ask at the same time. Returns what they were shown, and the longest time to a reply.
    async fn ask(&mut self, testbed: &mut Testbed, count: usize) -> anyhow::Result<(Vec<Shown>, Duration)> {
        let (begun, mut ids) = (Instant::now(), Vec::new());
        for _ in 0..count {
            let user = self.members[self.asked % self.members.len()];
            self.asked += 1;
            ids.push(testbed.command_with(self.channel, user, COMMAND, json!([])).await?);
        }
        let discord = testbed.discord();
        let replies = join_all(ids.iter().map(|id| reply(&discord, *id))).await;
        let took = begun.elapsed();
        let mut shown = Vec::new();
        for reply in replies {
            let (kind, text) = match reply {
                Ok(answer) => (Shown::of(&answer), answer.text()),
                Err(error) => (Shown::Other, error.to_string()),
            };
            if kind == Shown::Other {
                self.wrong.get_or_insert(text);
            }
            shown.push(kind);
        }
        self.shown.extend(&shown);
        Ok((shown, took))
    }

    fn count(&self, kind: Shown) -> usize {
        self.shown.iter().filter(|shown| **shown == kind).count()
    }
}

async fn reply(discord: &Emulator, id: u64) -> anyhow::Result<Answer> {
    discord.answer(&id.to_string()).await
}

async fn is_impaired(testbed: &mut Testbed, behaviour: Behaviour) -> anyhow::Result<()> {
    let service = ScoreService::start().await?;
    let deployment = Deployment::default()
        .worker_env("SCORE_API_URL", service.url())
        .worker_env("SCORE_API_KEY", KEY);
    testbed.prepare(&deployment).await?;
    let chain = testbed.start_chain(&[]).await?;
    testbed.start_services(deployment).await?;
    testbed.load_of_joins_and_leaves(15).await?;
    let mut questions = Questions::of(testbed)?;
    let (shown, _) = questions.ask(testbed, 3).await?;
    let rated = shown.iter().all(|shown| *shown == Shown::Score);
    testbed.expect(
        I1,
        "answers have the service's rating before the fault",
        rated,
        format!("{shown:?}"),
    );
    service.behave(behaviour);
    if opens(testbed, &mut questions).await? {
        stands_in(testbed, &mut questions, &service).await?;
        closes(testbed, &mut questions, &service).await?;
    }
    let wrong = questions.wrong.clone();
    testbed.expect(I1, "no reply is an error", wrong.is_none(), wrong.unwrap_or_default());
    let counted = testbed.worker_metric(ANSWERS, &[("source", "degraded")]).await?;
    let degraded = questions.count(Shown::Degraded);
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let equal = degraded > 0 && (counted - degraded as f64).abs() < 0.5;
    let found = format!("{counted} are counted, {degraded} of {} were shown", questions.asked);
    testbed.expect(
        I6,
        "the share of degraded answers is the one that members saw",
        equal,
        found,
    );
    testbed.note(format!("{degraded} of {} answers were degraded", questions.asked));
    drop(chain);
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

/// Sends commands until the breaker opens. Returns whether it has.
async fn opens(testbed: &mut Testbed, questions: &mut Questions) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut open = false;
    while !open && begun.elapsed() < OPENS_WITHIN {
        questions.ask(testbed, AT_ONCE).await?;
        open = testbed.worker_metric(BREAKER, &[("state", "open")]).await? > 0.0;
    }
    let what = format!("the breaker opens within {} s", OPENS_WITHIN.as_secs());
    testbed.expect(I6, what, open, "it is closed");
    if open {
        testbed.note(format!(
            "the breaker opened after {:.1} s",
            begun.elapsed().as_secs_f32()
        ));
        let degraded = async |testbed: &mut Testbed| health_is(testbed, "degraded").await;
        let limit = Duration::from_secs(2);
        testbed
            .expect_within(I6, "/health reports the score service", limit, degraded)
            .await?;
    }
    Ok(open)
}

/// While the breaker is open, answers come from the chain at once, and the service gets no request.
async fn stands_in(testbed: &mut Testbed, questions: &mut Questions, service: &ScoreService) -> anyhow::Result<()> {
    let before = service.requests();
    let (shown, took) = questions.ask(testbed, AT_ONCE).await?;
    let all = shown.iter().all(|shown| *shown == Shown::Degraded);
    testbed.expect(I1, "the chain stands in", all, format!("{shown:?}"));
    let found = format!("{:.1} s", took.as_secs_f32());
    testbed.expect(
        I5,
        "an answer does not wait for the service",
        took < WITHOUT_WAITING,
        found,
    );
    let sent = service.requests() - before;
    testbed.expect(
        I5,
        "the service gets no request while the breaker is open",
        sent == 0,
        sent,
    );
    Ok(())
}

/// The service is well again: the worker's own probe closes the breaker without a command, and the next answer has the service's rating.
async fn closes(testbed: &mut Testbed, questions: &mut Questions, service: &ScoreService) -> anyhow::Result<()> {
    service.behave(Behaviour::Healthy);
    let well = Instant::now();
    let up = async |testbed: &mut Testbed| health_is(testbed, "up").await;
    testbed
        .expect_within(I6, "/health is clear again", CLOSES_WITHIN, up)
        .await?;
    testbed.record_recovery(well.elapsed(), CLOSES_WITHIN);
    testbed.expect_alert_ends("score-service").await?;
    let (shown, _) = questions.ask(testbed, 1).await?;
    testbed.expect(
        I6,
        "the next answer has the service's rating",
        shown.contains(&Shown::Score),
        format!("{shown:?}"),
    );
    Ok(())
}

async fn health_is(testbed: &mut Testbed, status: &str) -> anyhow::Result<bool> {
    let health = testbed.platform().workers[0].health().await?;
    Ok(health["components"]["score-service"]["status"] == status)
}
