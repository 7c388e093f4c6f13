//! Clocks that are wrong, and dead letters that come back twice.

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
use crate::chaos::door::{self, Door};
use crate::chaos::{Guard, Place, Scenario, Shape, Stage};
use crate::ledger::Deed;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 49,
        name: "clocks-an-hour-off",
        what: "one worker an hour ahead, one an hour behind, Redis between them",
        proves: &[I1, I2, I3, I4],
        guard: Guard::FailPoint("worker.guard.clock=skip"),
        run: |stage| Box::pin(clocks(stage)),
    },
    Scenario {
        fault: 50,
        name: "dead-letters-replayed-twice",
        what: "two copies of each dead letter, replayed by two operators",
        proves: &[I1, I2],
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(replayed(stage)),
    },
];

/// A process that is told another time, but for how much of it passes.
fn told(offset: &str) -> anyhow::Result<[(&'static str, String); 3]> {
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

async fn clocks(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().workers(0)).await?;
    for offset in ["+1h", "-1h"] {
        let variables = told(offset)?.map(|(name, value)| (name.to_owned(), value));
        let variables = stage.armed(variables.into());
        stage.platform().spawn_worker(&variables)?.ready().await;
    }
    stage.load(30).await?;
    stage.flows(60).await?;
    stage.settle().await?;
    cooldown(stage).await?;
    let limited = stage.limited().await?;
    stage.expect(I4, "no 429", limited == 0, limited);
    let tally = stage.judge().await?;
    stage.expect(
        I3,
        "no interaction is taken for a late one",
        tally.expired == 0,
        tally.expired,
    );
    Ok(())
}

/// A cooldown of three seconds lasts three seconds, on whoever's clock.
async fn cooldown(stage: &mut Stage) -> anyhow::Result<()> {
    let server = stage.plan().servers[1].clone();
    let discord = stage.discord();
    let view = discord.guild(server.guild).await?;
    let mut channels = view["channels"].as_array().into_iter().flatten();
    let channel = channels
        .find(|channel| channel["type"] == 0)
        .and_then(|channel| channel["id"].as_str());
    let place = Place {
        guild: server.guild,
        channel: channel.context("no text channel")?.parse()?,
    };
    let user = server.members[0].user;
    let mut words = Vec::new();
    for wait in [0, 0, 3_200] {
        sleep(Duration::from_millis(wait)).await;
        if let Deed::Command { id, .. } = stage.command_by(place, user, "profile").await? {
            let answer = discord.answer(&id.to_string()).await;
            words.push(answer.map_or_else(|none| none.to_string(), |answer| answer.text()));
        }
    }
    ensure!(words.len() == 3, "three commands were run");
    let holds = words[0] != words[1] && words[0] == words[2];
    stage.expect(
        I3,
        "a cooldown of three seconds lasts three seconds",
        holds,
        format!("{words:?}"),
    );
    Ok(())
}

async fn replayed(stage: &mut Stage) -> anyhow::Result<()> {
    const LETTERS: usize = 20;
    stage.start(Shape::default().workers(0)).await?;
    let door = Door::new(&stage.platform().vhost().url());
    let guild = stage.plan().servers[0].guild;
    for number in 0..LETTERS {
        let id = format!("removed-{number}");
        let labels = door::labels(&id, "GUILD_DELETE", guild);
        let body = json!({"id": guild.to_string()}).to_string();
        let original = door::message("guild.leave", &id, "GUILD_DELETE", labels.headers(), body.as_bytes());
        for _ in 0..2 {
            door.send(dead(original.clone())).await?;
        }
    }
    let variables = stage.armed(Vec::new());
    stage.platform().spawn_worker(&variables)?.ready().await;
    let (first, second) = tokio::join!(door.replay(), door.replay());
    let replayed = first? + second?;
    ensure!(replayed as usize == LETTERS * 2, "{replayed} letters were replayed");
    for _ in 0..3 {
        stage.one_join().await?;
    }
    stage.settle().await?;
    let handled = async |stage: &mut Stage| {
        let done = [("queue", names::EVENTS_GUILD), ("verdict", "done")];
        let dropped = [("queue", names::EVENTS_GUILD), ("verdict", "drop")];
        let metric = "arrakis_worker_messages_total";
        let handled = stage.worker_metric(metric, &done).await? + stage.worker_metric(metric, &dropped).await?;
        Ok(handled >= 43.0
            && door.waiting(names::EVENTS_GUILD).await? == 0
            && door.waiting("arrakis.retry.5s").await? == 0)
    };
    stage.until("all copies to be handled", handled).await?;
    let mut admin = PgConnection::connect(&stage.platform().database().admin_url()).await?;
    let (entries,): (i64,) = sqlx::query_as("select count(*) from audit_log where action = 'guild.bot_removed'")
        .fetch_one(&mut admin)
        .await?;
    admin.close().await?;
    let once = usize::try_from(entries) == Ok(LETTERS);
    stage.expect(
        I2,
        "one entry for each letter",
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
