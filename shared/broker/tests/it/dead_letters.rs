use arrakis_broker::{DeadLetterSelection, DeadLetters, RetryPublisher, StopTokens, Verdict};
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use arrakis_test_support::eventually;

use crate::world::{World, join};

/// Dead-letters `count` joins, and returns the dead letters.
async fn with_letters(world: &World, count: usize) -> DeadLetters {
    let stop = StopTokens::default();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, async |_| {
        Verdict::DeadLetter {
            reason: DeadLetterReason::Permanent,
            error: "no such role".to_owned(),
        }
    });
    for number in 0..count {
        world
            .publisher()
            .publish(&join(format!("letter-{number}")))
            .await
            .unwrap();
        eventually(
            async || world.count(names::DEAD_LETTERS).await as usize > number,
            "the letter",
        )
        .await;
    }
    stop.soft.cancel();
    consumer.await.unwrap();
    DeadLetters::new(world.publisher())
}

fn ids(letters: &[arrakis_contracts::DeadLetter]) -> Vec<&str> {
    letters.iter().map(|letter| letter.id.as_str()).collect()
}

#[tokio::test]
async fn broker_that_does_not_respond_is_an_error_within_seconds() {
    let world = World::new().await;
    let tool = with_letters(&world, 1).await;
    world.proxy.stall(true);
    let limit = std::time::Duration::from_secs(5);
    let list = tokio::time::timeout(limit, tool.list(10))
        .await
        .expect("an error in time");
    assert!(list.is_err(), "{list:?}");
    let replay = tokio::time::timeout(limit, tool.replay(&DeadLetterSelection::All))
        .await
        .expect("an error in time");
    assert!(replay.is_err(), "{replay:?}");
    world.proxy.stall(false);
    let listed = async || tool.list(10).await.is_ok_and(|letters| letters.len() == 1);
    eventually(listed, "the letter, which was not replayed").await;
}

#[tokio::test]
async fn listing_shows_the_reason_and_keeps_letters_in_order() {
    let world = World::new().await;
    let tool = with_letters(&world, 5).await;
    // More often than the default delivery limit of RabbitMQ 4.
    for _ in 0..25 {
        let letters = tool.list(100).await.unwrap();
        assert_eq!(
            ids(&letters),
            ["letter-0", "letter-1", "letter-2", "letter-3", "letter-4"]
        );
    }
    let letters = tool.list(2).await.unwrap();
    assert_eq!(ids(&letters), ["letter-0", "letter-1"]);
    let letter = &letters[0];
    assert_eq!(
        (letter.kind.as_str(), letter.reason),
        ("GUILD_MEMBER_ADD", DeadLetterReason::Permanent)
    );
    assert_eq!(
        (letter.origin_queue.as_str(), letter.origin_key.as_str()),
        (names::EVENTS_GUILD, "member.join")
    );
    assert_eq!((letter.error.as_str(), letter.attempts), ("no such role", 1));
    assert!(letter.dead_at_ms > 1_700_000_000_000);
    world.finish(&[names::DEAD_LETTERS]).await;
}

#[tokio::test]
async fn shown_letter_has_its_body_and_stays() {
    let world = World::new().await;
    let tool = with_letters(&world, 2).await;
    let (letter, delivery) = tool.show("letter-1").await.unwrap().unwrap();
    assert_eq!((letter.id.as_str(), &delivery.body()[..]), ("letter-1", &b"{}"[..]));
    assert!(tool.show("letter-9").await.unwrap().is_none());
    assert_eq!(tool.list(10).await.unwrap().len(), 2);
    world.finish(&[names::DEAD_LETTERS]).await;
}

#[tokio::test]
async fn replay_keeps_the_event_id_and_resets_the_attempts() {
    let world = World::new().await;
    let tool = with_letters(&world, 3).await;
    let replayed = tool
        .replay(&DeadLetterSelection::Id("letter-1".to_owned()))
        .await
        .unwrap();
    assert_eq!((replayed.replayed, replayed.queue_missing.len()), (1, 0));
    assert_eq!(world.take_all(names::EVENTS_GUILD, 1).await, ["letter-1"]);
    assert_eq!(ids(&tool.list(10).await.unwrap()), ["letter-0", "letter-2"]);
    assert_eq!(
        tool.replay(&DeadLetterSelection::Kind("MESSAGE_CREATE".to_owned()))
            .await
            .unwrap()
            .replayed,
        0
    );
    assert_eq!(
        tool.replay(&DeadLetterSelection::Kind("GUILD_MEMBER_ADD".to_owned()))
            .await
            .unwrap()
            .replayed,
        2
    );

    let (seen, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
    let stop = StopTokens::default();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |delivery| {
        seen.send(delivery).unwrap();
        async { Verdict::Done }
    });
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!((delivery.message_id(), delivery.attempts()), (Some("letter-0"), 0));
    assert_eq!(
        (delivery.origin_key(), delivery.kind()),
        ("member.join", Some("GUILD_MEMBER_ADD"))
    );
    deliveries.recv().await.unwrap();
    stop.soft.cancel();
    consumer.await.unwrap();
    world.finish(&[]).await;
}

/// As of one interaction that was delivered several times and cannot be read: each delivery became a letter.
#[tokio::test]
async fn copies_of_a_replayed_letter_are_removed() {
    let world = World::new().await;
    let age = std::time::Duration::ZERO;
    for id in ["twice", "twice", "once", "twice"] {
        letter_of(&world, id, "GUILD_MEMBER_ADD", names::EVENTS_GUILD, age).await;
    }
    let counted = async || world.count(names::DEAD_LETTERS).await == 4;
    eventually(counted, "the letters").await;
    let tool = DeadLetters::new(world.publisher());
    let report = tool.replay(&DeadLetterSelection::All).await.unwrap();
    assert_eq!((report.replayed, report.copies), (2, 2), "{report:?}");
    assert_eq!(world.take_all(names::EVENTS_GUILD, 2).await, ["twice", "once"]);
    assert_eq!(tool.list(10).await.unwrap(), []);
}

#[tokio::test]
async fn letter_without_an_origin_queue_stays() {
    let world = World::new().await;
    let tool = with_letters(&world, 1).await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    channel
        .queue_delete(names::EVENTS_GUILD.into(), Default::default())
        .await
        .unwrap();
    let replayed = tool.replay(&DeadLetterSelection::All).await.unwrap();
    assert_eq!(
        (replayed.replayed, replayed.queue_missing),
        (0, vec!["letter-0".to_owned()])
    );
    assert_eq!(ids(&tool.list(10).await.unwrap()), ["letter-0"]);
    world.finish(&[names::DEAD_LETTERS]).await;
}

/// A letter with these headers.
async fn letter_of(world: &World, id: &str, kind: &str, origin_queue: &str, age: std::time::Duration) {
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let mut letter = arrakis_broker::Message::new("", names::DEAD_LETTERS, id, kind, b"{}".to_vec());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let received = i64::try_from((now - age).as_micros()).unwrap();
    for (name, value) in [
        (headers::ORIGIN_QUEUE, text(origin_queue)),
        (headers::DEAD_REASON, text("permanent")),
        (headers::RECEIVED_US, HeaderValue::Integer(received)),
    ] {
        letter.headers.insert(name.to_owned(), value);
    }
    world.publisher().publish(&letter).await.unwrap();
    eventually(async || world.count(names::DEAD_LETTERS).await >= 1, "the letter").await;
}

#[tokio::test]
async fn letter_is_replayed_to_queues_of_events_jobs_and_interactions_only() {
    let world = World::new().await;
    let shard = names::shard(0);
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    channel
        .queue_declare(
            shard.as_str().into(),
            lapin::options::QueueDeclareOptions::durable(),
            Default::default(),
        )
        .await
        .unwrap();
    letter_of(&world, "stray", "GUILD_MEMBER_ADD", &shard, std::time::Duration::ZERO).await;
    let tool = DeadLetters::new(world.publisher());
    let replayed = tool.replay(&DeadLetterSelection::All).await.unwrap();
    assert_eq!(
        (replayed.replayed, replayed.not_replayable),
        (0, vec![("stray".to_owned(), shard.clone())])
    );
    assert_eq!(world.count(&shard).await, 0, "the ingestor's queue is untouched");
    assert_eq!(ids(&tool.list(10).await.unwrap()), ["stray"]);
    world.finish(&[names::DEAD_LETTERS]).await;
}

#[tokio::test]
async fn interaction_with_an_expired_token_is_not_replayed() {
    let world = World::new().await;
    let age = std::time::Duration::from_secs(16 * 60);
    letter_of(&world, "late", "INTERACTION_CREATE", names::INTERACTIONS, age).await;
    let tool = DeadLetters::new(world.publisher());
    let replayed = tool.replay(&DeadLetterSelection::All).await.unwrap();
    assert_eq!(
        (replayed.replayed, replayed.reply_expired),
        (0, vec!["late".to_owned()])
    );
    assert_eq!(ids(&tool.list(10).await.unwrap()), ["late"]);
    world.finish(&[names::DEAD_LETTERS]).await;
}

#[tokio::test]
async fn purge_removes_the_selected_letters() {
    let world = World::new().await;
    let tool = with_letters(&world, 3).await;
    assert_eq!(
        tool.purge(&DeadLetterSelection::Id("letter-0".to_owned()))
            .await
            .unwrap(),
        1
    );
    assert_eq!(ids(&tool.list(10).await.unwrap()), ["letter-1", "letter-2"]);
    assert_eq!(tool.purge(&DeadLetterSelection::All).await.unwrap(), 2);
    assert_eq!(tool.list(10).await.unwrap(), []);
    world.finish(&[]).await;
}

/// The broker dead-letters a message at the delivery limit; the letter has that reason.
#[tokio::test]
async fn letter_dead_lettered_by_the_broker_is_described() {
    let world = World::new().await;
    world.publisher().publish(&join("poison")).await.unwrap();
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    eventually(
        async || {
            let got = channel
                .basic_get(names::EVENTS_GUILD.into(), Default::default())
                .await
                .unwrap();
            if let Some(got) = got {
                got.delivery
                    .acker
                    .nack(lapin::options::BasicNackOptions {
                        requeue: true,
                        multiple: false,
                    })
                    .await
                    .unwrap();
            }
            world.count(names::DEAD_LETTERS).await == 1
        },
        "the delivery limit",
    )
    .await;
    let tool = DeadLetters::new(world.publisher());
    let letters = tool.list(10).await.unwrap();
    assert_eq!(
        (letters[0].id.as_str(), letters[0].reason),
        ("poison", DeadLetterReason::DeliveryLimit)
    );
    assert_eq!(letters[0].origin_queue, names::EVENTS_GUILD);
    assert_eq!(tool.replay(&DeadLetterSelection::All).await.unwrap().replayed, 1);
    assert_eq!(world.take_all(names::EVENTS_GUILD, 1).await, ["poison"]);
    world.finish(&[]).await;
}

/// A message waits three times and then is a dead letter. The header `attempts` counts.
#[tokio::test]
async fn failed_message_waits_in_the_retry_queue_and_returns_to_its_queue() {
    let world = World::new().await;
    world.publisher().publish(&join("again")).await.unwrap();
    let (seen, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
    let stop = StopTokens::default();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |delivery| {
        seen.send(delivery.clone()).unwrap();
        async move {
            match delivery.attempts() {
                0 => Verdict::Retry {
                    error: "Discord is away".to_owned(),
                },
                _ => Verdict::Done,
            }
        }
    });
    assert_eq!(deliveries.recv().await.unwrap().attempts(), 0);
    eventually(async || world.count(&names::retry(5)).await == 1, "the message to wait").await;
    let second = deliveries.recv().await.unwrap();
    assert_eq!((second.attempts(), second.message_id()), (1, Some("again")));
    assert_eq!(
        second.header_text(arrakis_contracts::headers::LAST_ERROR),
        Some("Discord is away")
    );
    assert_eq!(second.origin_key(), "member.join");
    stop.soft.cancel();
    consumer.await.unwrap();
    world.finish(&[]).await;
}

#[tokio::test]
async fn message_is_a_dead_letter_after_the_last_attempt() {
    let world = World::new().await;
    let mut message = join("tired");
    let attempts = arrakis_contracts::labels::HeaderValue::Integer(i64::from(arrakis_broker::MAX_ATTEMPTS) - 1);
    message
        .headers
        .insert(arrakis_contracts::headers::ATTEMPTS.to_owned(), attempts);
    world.publisher().publish(&message).await.unwrap();
    let stop = StopTokens::default();
    let failing = async |_| Verdict::Retry {
        error: "still away".to_owned(),
    };
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, failing);
    eventually(async || world.count(names::DEAD_LETTERS).await == 1, "the letter").await;
    stop.soft.cancel();
    consumer.await.unwrap();
    let letters = DeadLetters::new(world.publisher()).list(10).await.unwrap();
    assert_eq!(
        (letters[0].reason, letters[0].attempts),
        (DeadLetterReason::Exhausted, arrakis_broker::MAX_ATTEMPTS)
    );
    let _ = RetryPublisher::new(world.publisher());
    world.finish(&[names::DEAD_LETTERS]).await;
}

/// A letter of an event that was first received this long ago.
async fn letter_of_age(world: &World, id: &str, days: u64) -> DeadLetters {
    let stop = StopTokens::default();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, async |_| {
        Verdict::DeadLetter {
            reason: DeadLetterReason::Permanent,
            error: "no such role".to_owned(),
        }
    });
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let received = now - std::time::Duration::from_secs(days * 24 * 3_600);
    let mut message = join(id);
    let received = HeaderValue::Integer(i64::try_from(received.as_micros()).unwrap());
    message.headers.insert(headers::RECEIVED_US.to_owned(), received);
    world.publisher().publish(&message).await.unwrap();
    eventually(async || world.count(names::DEAD_LETTERS).await == 1, "the letter").await;
    stop.soft.cancel();
    consumer.await.unwrap();
    DeadLetters::new(world.publisher())
}

#[tokio::test]
async fn event_older_than_the_replay_limit_is_not_replayed() {
    let world = World::new().await;
    let tool = letter_of_age(&world, "old", 7).await;
    for selection in [
        DeadLetterSelection::Id("old".to_owned()),
        DeadLetterSelection::Kind("GUILD_MEMBER_ADD".to_owned()),
        DeadLetterSelection::All,
    ] {
        let replayed = tool.replay(&selection).await.unwrap();
        assert_eq!((replayed.replayed, replayed.too_old), (0, vec!["old".to_owned()]));
    }
    assert_eq!(ids(&tool.list(10).await.unwrap()), ["old"]);
    world.finish(&[names::DEAD_LETTERS]).await;
}

#[tokio::test]
async fn replayed_event_counts_replays_and_keeps_its_time_of_receipt() {
    let world = World::new().await;
    let tool = letter_of_age(&world, "young", 6).await;
    let before = tool.list(1).await.unwrap()[0].received_ms;
    assert!(before.is_some());
    assert_eq!(tool.replay(&DeadLetterSelection::All).await.unwrap().replayed, 1);
    let (seen, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
    let stop = StopTokens::default();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |delivery| {
        seen.send(delivery).unwrap();
        async {
            Verdict::DeadLetter {
                reason: DeadLetterReason::Permanent,
                error: "still no such role".to_owned(),
            }
        }
    });
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!((delivery.attempts(), delivery.replays()), (0, 1));
    assert!(delivery.may_have_been_handled());
    eventually(async || world.count(names::DEAD_LETTERS).await == 1, "the letter again").await;
    stop.soft.cancel();
    consumer.await.unwrap();
    assert_eq!(
        tool.list(1).await.unwrap()[0].received_ms,
        before,
        "the clock is not set back"
    );
    world.finish(&[names::DEAD_LETTERS]).await;
}

#[tokio::test]
async fn token_in_an_error_is_redacted() {
    let world = World::new().await;
    let stop = StopTokens::default();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, async |_| {
        Verdict::DeadLetter {
            reason: DeadLetterReason::Permanent,
            error: "PATCH /webhooks/7/aW50ZXJhY3Rpb246c2VjcmV0/messages/@original was answered 404".to_owned(),
        }
    });
    world.publisher().publish(&join("with-token")).await.unwrap();
    eventually(async || world.count(names::DEAD_LETTERS).await == 1, "the letter").await;
    stop.soft.cancel();
    consumer.await.unwrap();
    let letters = DeadLetters::new(world.publisher()).list(1).await.unwrap();
    assert_eq!(
        letters[0].error,
        "PATCH /webhooks/7/[redacted]/messages/@original was answered 404"
    );
    world.finish(&[names::DEAD_LETTERS]).await;
}
