//! Clocks that are wrong, and dead letters that are replayed twice.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_broker::Message;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use crate::chaos::Invariant::{I1, I2, I3, I4};
use crate::chaos::broker_client::{self, BrokerClient};
use crate::chaos::{Deployment, Guard, GuildChannel, Scenario, Testbed};
use crate::ledger::MemberAction;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 49,
        name: "clocks-an-hour-off",
        what: "one worker's clock an hour ahead, one's an hour behind",
        proves: &[I1, I2, I3, I4],
        alerts: &[],
        expected: "no interaction counts as late; a cooldown lasts three seconds",
        guard: Guard::FailPoint("worker.guard.clock=skip"),
        without_guard: "24 of 98 commands expired, no cooldown was shown",
        run: |testbed| Box::pin(clocks(testbed)),
    },
    Scenario {
        fault: 50,
        name: "dead-letters-replayed-twice",
        what: "two copies of each dead letter, replayed by two operators",
        proves: &[I1, I2],
        alerts: &[],
        expected: "one audit entry for each letter",
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        without_guard: "",
        run: |testbed| Box::pin(replayed(testbed)),
    },
];

/// Variables of a process whose wall clock has this offset. Its monotonic clock stays unchanged.
fn shifted_clock(offset: &str) -> anyhow::Result<[(&'static str, String); 3]> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let library = folders
        .iter()
        .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"));
    let library = library.into_iter().find(|path| Path::new(path).is_file());
    let library = library.context("libfaketime is not installed: apt-get install faketime")?;
    Ok([
        ("LD_PRELOAD", library),
        ("FAKETIME", offset.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ])
}

async fn clocks(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default().workers(0)).await?;
    for offset in ["+1h", "-1h"] {
        let variables = shifted_clock(offset)?.map(|(name, value)| (name.to_owned(), value));
        let variables = testbed.with_guard_points(variables.into());
        testbed.platform().spawn_worker(&variables)?.ready().await;
    }
    testbed.load(30).await?;
    testbed.wait_for_effects(60).await?;
    testbed.settle().await?;
    cooldown(testbed).await?;
    let limited = testbed.limited().await?;
    testbed.expect(I4, "no 429", limited == 0, limited);
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no interaction counts as late", tally.expired == 0, tally.expired);
    Ok(())
}

/// Checks that a cooldown of three seconds lasts three seconds, with any worker's clock.
async fn cooldown(testbed: &mut Testbed) -> anyhow::Result<()> {
    let server = testbed.plan().servers[1].clone();
    let discord = testbed.discord();
    let view = discord.guild(server.guild).await?;
    let mut channels = view["channels"].as_array().into_iter().flatten();
    let channel = channels
        .find(|channel| channel["type"] == 0)
        .and_then(|channel| channel["id"].as_str());
    let target = GuildChannel {
        guild: server.guild,
        channel: channel.context("no text channel")?.parse()?,
    };
    let user = server.members[0].user;
    let mut replies = Vec::new();
    for wait in [0, 0, 3_200] {
        sleep(Duration::from_millis(wait)).await;
        if let MemberAction::Command { id, .. } = testbed.command_by(target, user, "profile").await? {
            let answer = discord.answer(&id.to_string()).await;
            replies.push(answer.map_or_else(|none| none.to_string(), |answer| answer.text()));
        }
    }
    ensure!(replies.len() == 3, "expected three commands");
    let holds = replies[0] != replies[1] && replies[0] == replies[2];
    testbed.expect(
        I3,
        "a cooldown of three seconds lasts three seconds",
        holds,
        format!("{replies:?}"),
    );
    Ok(())
}

async fn replayed(testbed: &mut Testbed) -> anyhow::Result<()> {
    const LETTERS: usize = 20;
    testbed.start(Deployment::default().workers(0)).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    let guild = testbed.plan().servers[0].guild;
    for number in 0..LETTERS {
        let id = format!("removed-{number}");
        let labels = broker_client::labels(&id, "GUILD_DELETE", guild);
        let body = json!({"id": guild.to_string()}).to_string();
        let original = broker_client::message("guild.leave", &id, "GUILD_DELETE", labels.headers(), body.as_bytes());
        for _ in 0..2 {
            broker.publish(dead(original.clone())).await?;
        }
    }
    let variables = testbed.with_guard_points(Vec::new());
    testbed.platform().spawn_worker(&variables)?.ready().await;
    let (first, second) = tokio::join!(broker.replay_dead_letters(), broker.replay_dead_letters());
    let replayed = first? + second?;
    ensure!(replayed as usize == LETTERS * 2, "{replayed} letters were replayed");
    for _ in 0..3 {
        testbed.one_join().await?;
    }
    testbed.settle().await?;
    let handled = async |testbed: &mut Testbed| {
        let done = [("queue", names::EVENTS_GUILD), ("verdict", "done")];
        let dropped = [("queue", names::EVENTS_GUILD), ("verdict", "drop")];
        let metric = "arrakis_worker_messages_total";
        let handled = testbed.worker_metric(metric, &done).await? + testbed.worker_metric(metric, &dropped).await?;
        Ok(handled >= 43.0
            && broker.ready_messages(names::EVENTS_GUILD).await? == 0
            && broker.ready_messages("arrakis.retry.5s").await? == 0)
    };
    testbed.wait_until("all copies to be handled", handled).await?;
    let mut admin = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    let (entries,): (i64,) = sqlx::query_as("select count(*) from audit_log where action = 'guild.bot_removed'")
        .fetch_one(&mut admin)
        .await?;
    admin.close().await?;
    let once = usize::try_from(entries) == Ok(LETTERS);
    testbed.expect(
        I2,
        "one audit entry for each letter",
        once,
        format!("{entries} entries for {LETTERS} letters"),
    );
    Ok(())
}

/// The message as a dead letter.
fn dead(mut message: Message) -> Message {
    let mut set = |name: &str, value: HeaderValue| message.headers.insert(name.to_owned(), value);
    set(headers::ORIGIN_QUEUE, HeaderValue::Text(names::EVENTS_GUILD.to_owned()));
    set(headers::ORIGIN_KEY, HeaderValue::Text(message.routing_key.clone()));
    set(headers::DEAD_REASON, HeaderValue::Text("exhausted".to_owned()));
    set(headers::DEAD_AT_MS, HeaderValue::Integer(1));
    set(headers::ATTEMPTS, HeaderValue::Integer(4));
    set(headers::LAST_ERROR, HeaderValue::Text("a scenario's".to_owned()));
    message.exchange = names::DEAD_LETTERS.to_owned();
    message
}
