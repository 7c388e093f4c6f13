//! Each command, and each of its components that has an effect, on a worker that is killed between effect and acknowledgement: what the
//! command stores is committed, Discord has the reply, and neither is recorded elsewhere. Another worker receives the message again. The
//! member has one reply, and the effect is there once.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_contracts::names;
use arrakis_test_support::{Process, eventually, eventually_within};

use super::uses::{CommandUse, EDIT_ORIGINAL, Effect, Step, uses};
use super::{Expected, Used, environment, prepared, sent, worker};
use crate::platform::{Platform, Worker};

/// How long a worker takes at most until the fail point kills it.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// How long a job takes at most. It may wait for the first reconcile.
const JOB_LIMIT: Duration = Duration::from_secs(60);
/// Number of tests among which the rows are divided: each use starts two workers.
const PARTS: usize = 8;

/// Starts a worker process that is killed when the response to a call of this route is received.
async fn process(platform: &Platform, route: &str) -> Process {
    let health = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let mut environment = environment(platform);
    environment.push(("HEALTH_ADDR", health.clone()));
    environment.push(("ARRAKIS_FAIL_POINTS", format!("discord.called[{route}]=kill")));
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let mut process = Process::start_at(program, &[], environment);
    process.ready(&health).await;
    process
}

/// Waits until the worker has handled an interaction with this command, as a first delivery is handled.
async fn until_handled(worker: &Worker, command: &str, kind: &str) {
    let beginning = format!("arrakis_worker_interactions_total{{command=\"{command}\",kind=\"{kind}\",outcome=\"");
    let is_handled = async || {
        let text = worker.runtime.metrics.render();
        text.lines().any(|line| {
            let outcome = line.strip_prefix(beginning.as_str()).unwrap_or_default();
            let is_replied_to = outcome.starts_with("answered") || outcome.starts_with("refused");
            is_replied_to && !outcome.ends_with(" 0")
        })
    };
    eventually(is_handled, format!("/{command} to be handled again")).await;
}

/// Waits until the process is killed, and lets another worker complete the interaction and its job.
async fn complete_by_another(
    platform: &Platform,
    mut killed: Process,
    (command, kind): (&str, &str),
    (id, effect): (&str, Effect),
) {
    let status = killed.ended(KILL_LIMIT).await;
    assert_eq!(status.code(), None, "{command} was not killed: {:#?}", killed.lines());
    let second = worker(platform).await;
    until_handled(&second, command, kind).await;
    if let Some(beginning) = effect.job {
        let job = format!("{beginning}{id}");
        let has_ended = || async {
            let job = platform.tenant().await.jobs().get(&job).await.unwrap();
            job.is_some_and(|job| job.state.is_final())
        };
        eventually_within(JOB_LIMIT, has_ended, format!("job {job} to end")).await;
    }
    // It acknowledges its messages.
    second.stop().await.unwrap();
}

async fn use_command<'a>(platform: &Platform, usage: &'a CommandUse) -> Used<'a> {
    let expected = Expected::of_command(platform, usage).await;
    let first = process(platform, usage.response.reply_route()).await;
    // After the start of the worker: the first response is due within three seconds.
    let (id, dispatch) = sent(platform, usage).await;
    platform.publish(&dispatch).await;
    complete_by_another(platform, first, (usage.name, "command"), (id.as_str(), usage.effect)).await;
    let record = expected.check(platform, &id).await;
    Used { usage, id, record }
}

async fn use_step(platform: &Platform, used: &Used<'_>, step: &Step) {
    if step.input.opener().is_some() {
        let opener = worker(platform).await;
        used.open_modal(platform, step).await;
        opener.stop().await.unwrap();
    }
    let expected = Expected::of_step(platform, used, step).await;
    let first = process(platform, EDIT_ORIGINAL).await;
    let (id, dispatch) = used.sent(platform, step).await;
    platform.publish(&dispatch).await;
    let handled = (used.usage.name, step.input.kind());
    complete_by_another(platform, first, handled, (id.as_str(), step.effect)).await;
    expected.check(platform, &id).await;
}

/// Uses every eighth command, from this one on.
async fn killed_at_each_use(part: usize) {
    let (platform, first) = prepared().await;
    first.stop().await.unwrap();
    for usage in uses().iter().skip(part).step_by(PARTS) {
        let used = use_command(&platform, usage).await;
        for step in &usage.steps {
            use_step(&platform, &used, step).await;
        }
    }
    platform.until_messages(names::INTERACTIONS, 0).await;
    assert_eq!(platform.messages(names::DEAD_LETTERS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_1() {
    killed_at_each_use(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_2() {
    killed_at_each_use(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_3() {
    killed_at_each_use(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_4() {
    killed_at_each_use(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_5() {
    killed_at_each_use(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_6() {
    killed_at_each_use(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_7() {
    killed_at_each_use(6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_reply_and_one_effect_part_8() {
    killed_at_each_use(PARTS - 1).await;
}
