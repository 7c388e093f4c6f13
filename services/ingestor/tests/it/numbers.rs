//! A gateway that breaks its own rules: sequence numbers, READY, HELLO, op 9.

use std::io::Write as _;

use arrakis_test_support::eventually;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::fake::{Gateway, Rest, gateway_bot};
use crate::world::{Ingestor, World, seqs};

async fn start(world: &World, gateway: &Gateway) -> Ingestor {
    let url = gateway.url().to_owned();
    let rest = Rest::start(move |_| gateway_bot(&url, 1)).await;
    let ingestor = world.ingestor_with(&[("DISCORD_API_BASE", rest.base())]);
    let declared = async || ingestor.document()["components"]["broker"]["status"] == "up";
    eventually(declared, "the topology").await;
    ingestor
}

fn gaps(ingestor: &Ingestor, reason: &str) -> String {
    let metrics = ingestor.runtime.metrics.render();
    let line = metrics
        .lines()
        .find(|line| line.contains(&format!("gaps_total{{reason=\"{reason}\"}}")));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn sequence_gap_is_counted_and_its_event_forwarded() {
    let world = World::new().await;
    let gateway = Gateway::start(|_, mut connection| {
        async move {
            connection.ready(1).await;
            connection
                .joins([2, 3, 1_000, 1_001, 5_000_000_000, 5_000_000_001])
                .await;
            connection.stay().await;
        }
        .boxed()
    })
    .await;
    let ingestor = start(&world, &gateway).await;
    let got = world.take_events(6).await;
    assert_eq!(seqs(&got), [2, 3, 1_000, 1_001, 5_000_000_000, 5_000_000_001]);
    assert_eq!((gaps(&ingestor, "sequence").as_str(), gateway.count(2)), ("2", 1));
    ingestor.stop().await;
    world.finish(&[]).await;
}

/// One sequence number out of range or lower than the last: RESUME replays the event.
#[tokio::test]
async fn sequence_number_out_of_range_causes_a_resume() {
    for odd in [1 << 63, u64::MAX, 1] {
        let world = World::new().await;
        let gateway = Gateway::start(move |_, mut connection| {
            async move {
                match connection.resumes_after() {
                    None => {
                        connection.ready(1).await;
                        connection.joins([2, 3, odd, 4, 5]).await;
                    }
                    Some(seq) => {
                        connection.joins(seq + 1..=6).await;
                        connection.resumed(7).await;
                        connection.joins([8]).await;
                    }
                }
                connection.stay().await;
            }
            .boxed()
        })
        .await;
        let ingestor = start(&world, &gateway).await;
        let got = world.take_events(6).await;
        assert_eq!(seqs(&got), [2, 3, 4, 5, 6, 8], "{odd}");
        assert_eq!((gateway.count(2), gateway.count(6)), (1, 1), "{odd}");
        assert_eq!(gaps(&ingestor, "sequence"), "0", "{odd}");
        ingestor.stop().await;
        world.finish(&[]).await;
    }
}

/// A session whose numbers stay invalid is given up, and its events do not count as repeated.
#[tokio::test]
async fn session_with_persistently_invalid_sequence_numbers_is_given_up() {
    let world = World::new().await;
    let gateway = Gateway::start(move |number, mut connection| {
        async move {
            if let Some(seq) = connection.resumes_after() {
                connection.resumed(seq).await;
                connection.joins([3, 4]).await;
            } else if number == 0 {
                connection.ready(1).await;
                connection.joins([50, 3, 4]).await;
            } else {
                connection.ready(1).await;
                connection.joins([2, 3]).await;
            }
            connection.stay().await;
        }
        .boxed()
    })
    .await;
    let ingestor = start(&world, &gateway).await;
    let session_is_new = async || ingestor.shard(0)["identified"] == 2 && ingestor.shard(0)["confirmed_seq"] == 3;
    eventually(session_is_new, "a second session").await;
    assert_eq!((gateway.count(2), gateway.count(6)), (2, 2));
    // The gap before 50, and the lost session.
    assert_eq!(gaps(&ingestor, "sequence"), "2");
    ingestor.stop().await;
}

#[tokio::test]
async fn sequence_number_out_of_range_in_ready_loses_nothing() {
    let world = World::new().await;
    let gateway = Gateway::start(|_, mut connection| {
        async move {
            connection.ready(u64::MAX).await;
            connection.joins([2, 3, 4]).await;
            connection.stay().await;
        }
        .boxed()
    })
    .await;
    let ingestor = start(&world, &gateway).await;
    assert_eq!(seqs(&world.take_events(3).await), [2, 3, 4]);
    assert_eq!((gaps(&ingestor, "sequence").as_str(), gateway.count(2)), ("1", 1));
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn session_without_a_resume_url_is_resumed_at_the_gateways_url() {
    for d in [
        json!({ "session_id": "s" }),
        json!({ "session_id": "s", "resume_gateway_url": null }),
        json!({ "session_id": "s", "resume_gateway_url": 7 }),
    ] {
        let world = World::new().await;
        let shown = d.to_string();
        let gateway = Gateway::start(move |_, mut connection| {
            let d = d.clone();
            async move {
                match connection.resumes_after() {
                    None => {
                        connection.dispatch("READY", 1, &d).await;
                        connection.joins([2, 3]).await;
                    }
                    Some(seq) => {
                        connection.resumed(seq + 1).await;
                        connection.joins([seq + 2]).await;
                        connection.stay().await;
                    }
                }
            }
            .boxed()
        })
        .await;
        let ingestor = start(&world, &gateway).await;
        assert_eq!(seqs(&world.take_events(3).await), [2, 3, 5], "{shown}");
        assert_eq!((gateway.count(2), gateway.count(6)), (1, 1), "{shown}");
        ingestor.stop().await;
        world.finish(&[]).await;
    }
}

/// Waits for the reason of the last close in `/health`.
async fn closes_with(interval: Value, frame: Option<&'static str>, words: &str) {
    let world = World::new().await;
    let gateway = Gateway::start_with(interval, move |_, mut connection| {
        async move {
            if let Some(frame) = frame {
                connection.send(frame).await;
            }
            connection.stay().await;
        }
        .boxed()
    })
    .await;
    let ingestor = start(&world, &gateway).await;
    let last_close = || ingestor.shard(0)["last_close"].to_string();
    eventually(
        async || last_close().contains(words),
        format!("{words} in {}", last_close()),
    )
    .await;
    ingestor.stop().await;
}

#[tokio::test]
async fn unreadable_payload_is_named_by_its_opcode() {
    closes_with(json!("soon"), None, "the payload of op 10 cannot be read").await;
    closes_with(json!(60_000), Some("{\"op\":9,\"d\":\"no\"}"), "op 9").await;
    closes_with(json!(60_000), Some("{\"op\":9,\"d\":\"no\"}"), "expected a boolean").await;
    closes_with(
        json!(60_000),
        Some("{\"op\":0,\"t\":\"READY\",\"d\":{}}"),
        "the dispatch has no s",
    )
    .await;
}

/// twilight panics at a heartbeat interval of zero, also while it closes.
#[tokio::test]
async fn panic_of_twilight_during_close_ends_only_the_connection() {
    let world = World::new().await;
    let gateway = Gateway::start(|_, mut connection| {
        async move {
            match connection.resumes_after() {
                None => {
                    connection.ready(1).await;
                    connection.joins([2]).await;
                    connection.send("{\"op\":7,\"d\":null}").await;
                    connection.send("{\"op\":10,\"d\":{\"heartbeat_interval\":0}}").await;
                }
                Some(seq) => {
                    connection.resumed(seq + 1).await;
                    connection.joins([seq + 2]).await;
                }
            }
            connection.stay().await;
        }
        .boxed()
    })
    .await;
    let ingestor = start(&world, &gateway).await;
    assert_eq!(seqs(&world.take_events(2).await), [2, 4]);
    ingestor.healthy_as("active").await;
    ingestor.stop().await;
    world.finish(&[]).await;
}

/// 40 MiB in 40 KB: the connection ends before they are decompressed.
#[tokio::test]
async fn message_that_decompresses_to_too_much_ends_only_the_connection() {
    let world = World::new().await;
    let mut text = vec![b' '; 40 << 20];
    text.extend(b"{\"op\":11,\"d\":null}");
    let bomb = if cfg!(feature = "zstd") {
        let mut stream = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        stream.write_all(&text).unwrap();
        stream.flush().unwrap();
        stream.get_ref().clone()
    } else {
        let mut bomb = Vec::with_capacity(1 << 20);
        let mut stream = flate2::Compress::new(flate2::Compression::new(4), true);
        stream
            .compress_vec(&text, &mut bomb, flate2::FlushCompress::Sync)
            .unwrap();
        bomb
    };
    let gateway = Gateway::start(move |_, mut connection| {
        let bomb = bomb.clone();
        async move {
            match connection.resumes_after() {
                None => {
                    connection.ready(1).await;
                    connection.joins([2]).await;
                    connection.send_bytes(bomb).await;
                }
                Some(seq) => {
                    connection.resumed(seq + 1).await;
                    connection.joins([seq + 2]).await;
                }
            }
            connection.stay().await;
        }
        .boxed()
    })
    .await;
    let ingestor = start(&world, &gateway).await;
    assert_eq!(seqs(&world.take_events(2).await), [2, 4]);
    assert_eq!((gateway.count(2), gateway.count(6)), (1, 1));
    ingestor.stop().await;
    world.finish(&[]).await;
}
