//! Discord's global limit, by the emulator's own record.

use std::sync::Arc;

use arrakis_iac_apply::NoProgress;
use arrakis_iac_apply::http::{Discord, Pace};
use discord_emulator::Options;
use discord_emulator::seed::load;
use futures_util::future::join_all;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{Server, empty, quick};

/// Reads of 50 servers at once: each server has buckets of its own, so the global limit alone holds them back.
async fn read_all(server: &Server, discord: &Discord) -> usize {
    server.emulator.app().world.write(|state| load::load(state, 50, 1));
    let paths = (0..50).flat_map(|number| {
        let guild = load::guild_id(number);
        ["", "/roles", "/channels"].map(|rest| format!("/guilds/{guild}{rest}"))
    });
    let reads = paths.map(|path| {
        let discord = discord.clone();
        async move { discord.get::<Value>(&path).await }
    });
    let answers = join_all(reads).await;
    for answer in &answers {
        assert!(answer.is_ok(), "{answer:?}");
    }
    answers.len()
}

fn client(server: &Server) -> Discord {
    Discord::new(Arc::new(server.https()), Arc::new(NoProgress), CancellationToken::new()).with_retry_policy(quick())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_holds_more_than_half_of_the_global_limit() {
    let server = Server::with(Options::default(), empty()).await;
    assert_eq!(read_all(&server, &client(&server)).await, 150);
    let stats = server.emulator.app().traffic.stats();
    assert!(stats.limited.is_empty(), "{:?}", stats.limited);
    // What was sent in 1.1 s may arrive in a little less.
    assert!(
        stats.most_requests_in_1100_ms <= 50,
        "{}",
        stats.most_requests_in_1100_ms
    );
    assert!(
        stats.most_requests_in_1100_ms >= 20,
        "{}",
        stats.most_requests_in_1100_ms
    );
}

/// Without the pace the same reads pass the limit: the test above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_pace_the_global_limit_is_passed() {
    let server = Server::with(Options::default(), empty()).await;
    let discord = client(&server).with_pace(Pace::unlimited());
    read_all(&server, &discord).await;
    let stats = server.emulator.app().traffic.stats();
    assert!(stats.limited.contains_key("global"), "{:?}", stats.limited);
}
