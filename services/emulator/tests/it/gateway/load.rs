use std::collections::BTreeSet;

use discord_emulator::{
    model::{Author, Message},
    seed::load,
};
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
            let author = Author::User(load::person_id(0));
            let (channel, now) = (load::channel_id(guild), state.now());
            state.create_message(Message::text(id, channel, Some(guild), author, "spice", now));
        });
    }
    let mut received = 0;
    for reader in readers {
        received += reader.await.unwrap();
    }
    assert_eq!(received, EVENTS);
    assert_eq!(emu.get("stats").await["dispatches"]["MESSAGE_CREATE"], EVENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_stops_reading_for_a_while_receives_every_dispatch() {
    const EVENTS: u64 = 4_000;
    let emu = Emu::start().await;
    emu.post("seed", json!({"kind": "load", "guilds": 1, "members": 1}))
        .await;
    let (mut client, _) = emu.identified(INTENTS | 1 << 15).await;
    let guild = load::guild_id(0);
    let text = "x".repeat(2_000);
    // Eight megabytes: more than the sockets' buffers hold, so the writer has to wait for the reader.
    for _ in 0..EVENTS {
        emu.emulator.app().world.write(|state| {
            let (id, now, author) = (state.next_id(), state.now(), Author::User(load::person_id(0)));
            state.create_message(Message::text(
                id,
                load::channel_id(guild),
                Some(guild),
                author,
                &text,
                now,
            ));
        });
    }
    client.send(json!({"op": 1, "d": client.seq})).await;
    let (mut acknowledged, mut messages) = (0, 0);
    let first = client.seq;
    while messages < EVENTS || acknowledged == 0 {
        let payload = client.payload().await;
        acknowledged += u64::from(payload["op"] == 11);
        if payload["t"] == "MESSAGE_CREATE" {
            messages += 1;
            assert_eq!(payload["s"], first + messages);
        }
    }
}
