use discord_emulator::seed::load;
use serde_json::json;

use crate::support::Emu;

#[tokio::test]
async fn events_go_to_the_shard_of_their_server_and_the_rest_to_the_first() {
    let emu = Emu::start().await;
    emu.post("seed", json!({"kind": "load", "guilds": 4, "members": 1}))
        .await;
    let mut shards = Vec::new();
    for shard in 0..4_u64 {
        let mut client = emu.connect().await;
        client.send(emu.identify(1 | 1 << 9 | 1 << 12, json!([shard, 4]))).await;
        let ready = client.event("READY").await;
        assert_eq!(
            ready["guilds"].as_array().unwrap().len(),
            1,
            "one of four servers for shard {shard}"
        );
        let guild = client.event("GUILD_CREATE").await;
        let id: u64 = guild["id"].as_str().unwrap().parse().unwrap();
        assert_eq!((id >> 22) % 4, shard);
        shards.push(client);
    }
    for n in 0..4 {
        let guild = load::guild_id(n);
        let path = format!("guilds/{guild}/channels/general/messages");
        emu.post(&path, json!({"user_id": "rider00000", "content": "x"})).await;
        let shard = usize::try_from(guild.shard(4)).unwrap();
        assert_eq!(
            shards[shard].event("MESSAGE_CREATE").await["guild_id"],
            guild.to_string()
        );
    }
    emu.post("dms", json!({"user_id": "rider00000", "content": "psst"}))
        .await;
    assert_eq!(shards[0].event("CHANNEL_CREATE").await["type"], 1);
    assert_eq!(shards[0].event("MESSAGE_CREATE").await["content"], "psst");
    // No dispatch was sent to another shard: the sequence number of each is that of READY, GUILD_CREATE and one message.
    assert_eq!(shards.iter().map(|client| client.seq).collect::<Vec<_>>(), [5, 3, 3, 3]);
}

#[tokio::test]
async fn two_sessions_of_one_shard_receive_every_dispatch() {
    let emu = Emu::lively().await;
    let (mut first, _) = emu.identified(0b11).await;
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    let (mut second, _) = emu.identified(0b11).await;
    emu.join("duncan").await;
    first.event("GUILD_MEMBER_ADD").await;
    second.event("GUILD_MEMBER_ADD").await;
}

#[tokio::test]
async fn the_recommended_count_follows_the_servers() {
    let emu = Emu::start().await;
    let recommended = async || emu.rest(http::Method::GET, "/gateway/bot", None).await.1["shards"].take();
    assert_eq!(recommended().await, 1);
    emu.post("seed", json!({"kind": "load", "guilds": 2_001, "members": 0}))
        .await;
    assert_eq!(recommended().await, 3);
}
