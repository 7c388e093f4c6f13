use discord_emulator::gateway::{ConnectionCommand, Intents};

use crate::world::World;

#[tokio::test]
async fn refused_token_stops_the_ingestor() {
    let world = World::new().await;
    let fatal = world
        .ingestor_with(&[("DISCORD_TOKEN", "MTIz.wrong.token")])
        .fatal_error()
        .await;
    assert!(
        fatal.message.contains("DISCORD_TOKEN") && fatal.message.contains("401"),
        "{fatal}"
    );
    assert_eq!(fatal.exit_code, 78);
}

#[tokio::test]
async fn disallowed_intents_stop_the_ingestor() {
    let world = World::with(|options| options.privileged_intents = Intents::empty()).await;
    let fatal = world.ingestor().fatal_error().await;
    assert!(
        fatal.message.contains("4014") && fatal.message.contains("Server Members Intent"),
        "{fatal}"
    );
    assert_eq!(fatal.exit_code, 78);
    assert!(world.stats().identifies <= 1, "no loop");
}

#[tokio::test]
async fn fatal_close_code_stops_all_shards_and_others_stay_resumable() {
    let world = World::with(|options| options.shards = Some(2)).await;
    let ingestor = world.ingestor();
    world.connected(2).await;
    let target = discord_emulator::gateway::ConnectionFilter {
        shard: Some(0),
        session: None,
    };
    assert_eq!(
        world
            .discord
            .app()
            .hub
            .command(&target, &ConnectionCommand::Close(4004)),
        1
    );
    let fatal = ingestor.fatal_error().await;
    assert!(
        fatal.message.contains("4004") && fatal.message.contains("DISCORD_TOKEN"),
        "{fatal}"
    );
    let sessions = world.discord.app().hub.sessions();
    assert!(
        sessions
            .iter()
            .any(|session| session.shard[0] == 1 && !session.connected),
        "{sessions:?}"
    );
}

#[tokio::test]
async fn differing_topology_is_refused_by_name() {
    let world = World::new().await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    let options = lapin::options::ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .exchange_declare(
            "arrakis.events".into(),
            lapin::ExchangeKind::Fanout,
            options,
            Default::default(),
        )
        .await
        .unwrap();
    let fatal = world.ingestor().fatal_error().await;
    assert!(
        fatal.message.contains("exchange \"arrakis.events\"") && fatal.message.contains("fanout in the broker"),
        "{fatal}"
    );
    assert_eq!(fatal.exit_code, 1);
}

#[tokio::test]
async fn shard_range_beyond_the_recommendation_is_a_configuration_error() {
    let world = World::new().await;
    let fatal = world.ingestor_with(&[("SHARD_RANGE", "0-5")]).fatal_error().await;
    assert!(
        fatal.message.contains("SHARD_RANGE=0-5") && fatal.exit_code == 78,
        "{fatal}"
    );
}
