//! Measures the dispatches a second that the gateway delivers: 10,000 servers, four shards, zlib-stream or plain.
//!
//! `cargo run --release -p discord-emulator --example throughput -- 100000 [zlib-stream|zstd-stream]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement for a person at a shell"
)]

use std::time::Instant;

use discord_emulator::{
    Emulator, Options,
    model::{Author, Message},
    seed::load,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::{connect_async, tungstenite};

const SHARDS: u64 = 4;
const GUILDS: u64 = 10_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    let compress = arguments
        .next()
        .map(|name| format!("&compress={name}"))
        .unwrap_or_default();
    let options = Options {
        max_concurrency: 16,
        traffic_kept: 0,
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.unwrap();
    let started = Instant::now();
    emulator.app().world.write(|state| load::load(state, GUILDS, 3));
    println!("{GUILDS} servers made in {:?}", started.elapsed());
    let url = format!("{}/?v=10&encoding=json{compress}", emulator.addresses().gateway);
    let per_shard = GUILDS / SHARDS;
    let mut readers = Vec::new();
    let started = Instant::now();
    for shard in 0..SHARDS {
        let (mut socket, _) = connect_async(&url).await.unwrap();
        let identify = json!({"op": 2, "d": {"token": emulator.token(), "intents": 515, "shard": [shard, SHARDS],
            "properties": {"os": "linux", "browser": "x", "device": "x"}}});
        socket
            .send(tungstenite::Message::text(identify.to_string()))
            .await
            .unwrap();
        // Frames are counted, not decoded: HELLO, READY, the servers; then the messages.
        for _ in 0..2 + per_shard {
            socket.next().await.unwrap().unwrap();
        }
        readers.push(tokio::spawn(async move {
            for _ in 0..events / SHARDS {
                socket.next().await.unwrap().unwrap();
            }
        }));
    }
    println!(
        "{SHARDS} shards of {per_shard} servers announced in {:?}",
        started.elapsed()
    );
    let started = Instant::now();
    for n in 0..events {
        emulator.app().world.write(|state| {
            let guild = load::guild_id(n % GUILDS);
            let (id, now) = (state.next_id(), state.now());
            let (channel, author) = (load::channel_id(guild), Author::User(load::person_id(0)));
            state.create_message(Message::text(
                id,
                channel,
                Some(guild),
                author,
                "The spice must flow.",
                now,
            ));
        });
        if n % 256 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let took = started.elapsed();
    #[allow(clippy::cast_precision_loss, reason = "a rate for reading")]
    let rate = events as f64 / took.as_secs_f64();
    println!("{events} dispatches in {took:?}: {rate:.0} a second");
    emulator.shutdown().await;
}
