use arrakis_contracts::names;
use discord_emulator::gateway::ConnectionCommand;

use crate::world::{World, ascending, seqs};

/// Sends a dispatch with this exact text and the session's next sequence number.
fn raw(world: &World, event: &str, d: &str) -> u64 {
    let seq = world.discord.app().hub.sessions()[0].seq + 1_000;
    assert_eq!(
        world.order(&ConnectionCommand::Send(format!(
            "{{\"t\":\"{event}\",\"s\":{seq},\"op\":0,\"d\":{d}}}"
        ))),
        1
    );
    seq
}

#[tokio::test]
async fn event_is_published_unchanged_with_its_labels() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    let d = "{ \"guild_id\" :\"1150000000000000000\",\"odd\":1.50e3,\"user\":{\"name\":\"\\u6c99 丘\"},\"odd\":null }";
    let seq = raw(&world, "GUILD_MEMBER_ADD", d);
    let got = world.take_events(1).await.remove(0);
    assert_eq!(String::from_utf8(got.body).unwrap(), d);
    assert_eq!(
        (got.routing_key.as_str(), got.priority, got.persistent),
        ("member.join", Some(5), true)
    );
    assert_eq!(got.app_id.as_deref(), Some("arrakis-ingestor"));
    let session = &world.discord.app().hub.sessions()[0];
    assert_eq!((got.labels.event.as_str(), got.labels.seq), ("GUILD_MEMBER_ADD", seq));
    assert_eq!(
        (got.labels.session.as_str(), got.labels.shard, got.labels.shards),
        (&*session.id, 0, 1)
    );
    assert_eq!(got.labels.guild, Some(1_150_000_000_000_000_000));
    assert_eq!(
        got.labels.event_id,
        arrakis_contracts::EventId::of_dispatch(&session.id, seq)
    );
    assert!(got.labels.clock_offset_ms.abs() < 2_000);
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn interactions_are_routed_by_kind_with_their_own_id() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    raw(
        &world,
        "INTERACTION_CREATE",
        "{\"id\":\"77\",\"type\":2,\"token\":\"t\",\"data\":{\"name\":\"stats\"}}",
    );
    let got = world.take(names::INTERACTIONS, 1).await.remove(0);
    assert_eq!(
        (got.routing_key.as_str(), got.priority),
        ("interaction.command.stats", Some(10))
    );
    assert_eq!((got.labels.event_id.as_str(), got.labels.guild), ("77", None));
    ingestor.stop().await;
}

#[tokio::test]
async fn events_keep_their_order_and_unlisted_ones_are_not_forwarded() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    world.joins(300);
    raw(&world, "MESSAGE_CREATE", "{\"guild_id\":\"1\"}");
    raw(&world, "TYPING_START", "{\"guild_id\":\"1\"}");
    let got = world.take_events(300).await;
    let seqs = seqs(&got);
    assert!(seqs.len() == 300 && ascending(&seqs));
    assert_eq!(got.len(), 300, "nothing came twice");
    assert_eq!(world.count(names::EVENTS_MESSAGE).await, 0);
    // The intents for messages are not requested.
    let intents = world.discord.app().hub.sessions()[0].intents;
    assert_eq!(intents, 0b11, "guilds and members");
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn messages_are_forwarded_if_they_are_listed() {
    let world = World::new().await;
    let ingestor = world.ingestor_with(&[("INGESTOR_EVENTS", "MESSAGE_CREATE")]);
    world.connected(1).await;
    raw(&world, "MESSAGE_CREATE", "{\"guild_id\":\"1\",\"content\":\"\"}");
    let got = world.take(names::EVENTS_MESSAGE, 1).await.remove(0);
    assert_eq!((got.routing_key.as_str(), got.priority), ("message.create", Some(1)));
    ingestor.stop().await;
}

#[tokio::test]
async fn outage_and_its_end_are_neither_leave_nor_join() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    let guild = world.guild();
    world.discord.app().world.write(|state| {
        assert!(state.set_unavailable(guild, true));
        assert!(state.set_unavailable(guild, false));
        assert!(state.remove_guild(guild));
    });
    let got = world.take_events(2).await;
    let keys: Vec<_> = got.iter().map(|got| got.routing_key.as_str()).collect();
    assert_eq!(keys, ["guild.outage", "guild.leave"]);
    assert!(
        got.iter()
            .all(|got| got.labels.event == "GUILD_DELETE" && got.labels.guild == Some(guild.0))
    );
    ingestor.stop().await;
}

#[tokio::test]
async fn repeated_dispatch_is_forwarded_once() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    let seq = raw(&world, "GUILD_MEMBER_ADD", "{\"guild_id\":\"1\"}");
    world.order(&ConnectionCommand::Send(format!(
        "{{\"t\":\"GUILD_MEMBER_ADD\",\"s\":{seq},\"op\":0,\"d\":{{\"guild_id\":\"1\"}}}}"
    )));
    world.order(&ConnectionCommand::Send(format!(
        "{{\"t\":\"GUILD_MEMBER_REMOVE\",\"s\":{},\"op\":0,\"d\":{{\"guild_id\":\"1\"}}}}",
        seq + 1
    )));
    let got = world.take_events(2).await;
    assert_eq!(got.iter().map(|got| got.labels.seq).collect::<Vec<_>>(), [seq, seq + 1]);
    ingestor.stop().await;
    world.finish(&[]).await;
}

/// An event has the same id each time it is received, so a resumed session repeats ids and not events.
#[tokio::test]
async fn unreadable_frame_is_received_again_by_resume() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    world.joins(3);
    for broken in [
        "{\"t\":\"GUILD_MEMBER_ADD\",\"s\":999,\"op\":0,\"d\":{\"guild_id\":",
        "not json at all",
    ] {
        let resumes = world.stats().resumes;
        assert_eq!(world.order(&ConnectionCommand::Send(broken.to_owned())), 1);
        arrakis_test_support::eventually(async || world.stats().resumes > resumes, "a resume").await;
        world.connected(1).await;
        world.joins(3);
    }
    let got = world.take_events(9).await;
    assert!(ascending(&seqs(&got)));
    assert_eq!(world.stats().identifies, 1);
    let metrics = ingestor.runtime.metrics.render();
    assert!(
        metrics.contains("arrakis_ingestor_frames_unreadable_total 2"),
        "{metrics}"
    );
    ingestor.stop().await;
    world.finish(&[]).await;
}
