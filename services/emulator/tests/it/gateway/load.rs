use std::collections::BTreeSet;

use discord_emulator::seed::load;
use serde_json::json;

use crate::support::{Emu, INTENTS};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_servers_on_four_shards_are_each_announced_once() {
    let emu = Emu::start().await;
    emu.post("ledger", json!({"recording": false})).await;
    emu.post("seed", json!({"kind": "load", "guilds": 10_000, "members": 2}))
        .await;
    let mut shards = Vec::new();
    for shard in 0..4_u64 {
        let mut client = emu.connect().await;
        client.send(emu.identify(INTENTS, json!([shard, 4]))).await;
        shards.push(tokio::spawn(async move {
            let ready = client.event("READY").await;
            assert_eq!(ready["guilds"].as_array().unwrap().len(), 2_500);
            let mut seen = BTreeSet::new();
            while seen.len() < 2_500 {
                let id = client.event("GUILD_CREATE").await["id"].as_str().unwrap().to_owned();
                assert!(seen.insert(id), "announced twice");
            }
            (client, seen)
        }));
    }
    let mut all = BTreeSet::new();
    for shard in shards {
        let (_, seen) = shard.await.unwrap();
        all.extend(seen);
    }
    assert_eq!(all.len(), 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dispatch_arrives_once_and_in_order() {
    const EVENTS: u64 = 5_000;
    let emu = Emu::start().await;
    emu.post("seed", json!({"kind": "load", "guilds": 40, "members": 1}))
        .await;
    let mut readers = Vec::new();
    for shard in 0..4_u64 {
        let mut client = emu.connect().await;
        client.send(emu.identify(INTENTS, json!([shard, 4]))).await;
        for _ in 0..10 {
            client.event("GUILD_CREATE").await;
        }
        readers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..EVENTS / 4 {
                let expected = client.seq + 1;
                let message = client.event("MESSAGE_CREATE").await;
                assert_eq!(client.seq, expected, "numbers have no gaps");
                ids.push(message["id"].as_str().unwrap().parse::<u64>().unwrap());
            }
            assert!(ids.is_sorted(), "shard {shard} is out of order");
            ids.len() as u64
        }));
    }
    let world = &emu.emulator.app().world;
    for n in 0..EVENTS {
        world.write(|state| {
            let guild = load::guild_id(n % 40);
            let id = state.next_id();
            let author = discord_emulator::model::Author::User(load::person_id(0));
            let (channel, now) = (load::channel_id(guild), state.now());
            state.create_message(discord_emulator::model::Message::text(
                id,
                channel,
                Some(guild),
                author,
                "spice",
                now,
            ));
        });
    }
    let mut received = 0;
    for reader in readers {
        received += reader.await.unwrap();
    }
    assert_eq!(received, EVENTS);
    assert_eq!(emu.get("stats").await["dispatches"]["MESSAGE_CREATE"], EVENTS);
}
