//! twilight-gateway, as it is built in this workspace, against the emulator.

use std::time::Duration;

use discord_emulator::Options;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use twilight_gateway::{
    ConfigBuilder, EventTypeFlags, Intents, Message, Session, Shard, ShardId, ShardState, StreamExt as _,
};
use twilight_model::gateway::{CloseFrame, event::Event};

use crate::support::{Emu, eventually};

fn intents() -> Intents {
    Intents::GUILDS | Intents::GUILD_MEMBERS | Intents::GUILD_MESSAGES
}

fn builder(emu: &Emu, intents: Intents) -> ConfigBuilder {
    // The queue is twilight's own; with a bucket for each identify it does not wait.
    builder_with_token(emu, emu.token(), intents)
}

fn builder_with_token(emu: &Emu, token: String, intents: Intents) -> ConfigBuilder {
    // twilight always creates a TLS client, which needs a provider; a second installation is an error.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ConfigBuilder::new(token, intents).proxy_url(emu.emulator.addresses().gateway.clone())
}

fn shard(emu: &Emu) -> Shard {
    Shard::with_config(ShardId::ONE, builder(emu, intents()).build())
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}

/// The next payload whose event has this name.
async fn event(shard: &mut Shard, name: &str) -> Value {
    within(name, async {
        loop {
            match shard.next().await {
                Some(Ok(Message::Text(text))) => {
                    let payload: Value = serde_json::from_str(&text).unwrap();
                    if payload["t"] == name {
                        return payload;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) => {}
                None => panic!("the shard gave up before {name}"),
            }
        }
    })
    .await
}

#[tokio::test]
async fn it_identifies_and_reads_every_event_of_a_lively_server() {
    let emu = Emu::lively().await;
    let mut shard = shard(&emu);
    let mut guilds = 0;
    within("two servers", async {
        while guilds < 2 {
            let item = shard.next_event(EventTypeFlags::all()).await.unwrap();
            if let Event::GuildCreate(_) = item.expect("twilight's models read what the emulator sends") {
                guilds += 1;
            }
        }
    })
    .await;
    emu.join("duncan").await;
    emu.post(
        "guilds/Sietch%20Tabr/roles",
        json!({"name": "Sword", "color": "#112233"}),
    )
    .await;
    emu.post(
        "guilds/Sietch%20Tabr/channels",
        json!({"name": "armoury", "parent": "🛠️ SUPPORT"}),
    )
    .await;
    emu.post(
        "guilds/Sietch%20Tabr/channels/armoury/messages",
        json!({"user_id": "duncan", "content": "blades"}),
    )
    .await;
    emu.control(http::Method::DELETE, "guilds/Sietch%20Tabr/members/duncan", None)
        .await;
    let mut kinds = Vec::new();
    within("all events", async {
        while kinds.last() != Some(&"GUILD_MEMBER_REMOVE") {
            let item = shard.next_event(EventTypeFlags::all()).await.unwrap();
            kinds.extend(
                item.expect("twilight's models read what the emulator sends")
                    .kind()
                    .name(),
            );
        }
    })
    .await;
    assert_eq!(
        kinds,
        [
            "GUILD_MEMBER_ADD",
            "GUILD_ROLE_CREATE",
            "CHANNEL_CREATE",
            "MESSAGE_CREATE",
            "GUILD_MEMBER_REMOVE"
        ]
    );
}

#[tokio::test]
async fn it_resumes_on_the_resume_host_after_a_drop_and_after_op_7() {
    let emu = Emu::lively().await;
    let mut shard = shard(&emu);
    event(&mut shard, "GUILD_CREATE").await;
    for (fault, name) in [("gateway_drop", "duncan"), ("gateway_reconnect", "gurney")] {
        let session = shard.session().unwrap().id().to_owned();
        emu.fault(json!({"kind": fault})).await;
        emu.join(name).await;
        let add = event(&mut shard, "GUILD_MEMBER_ADD").await;
        assert_eq!(add["d"]["user"]["username"], name);
        event(&mut shard, "RESUMED").await;
        assert_eq!(shard.session().unwrap().id(), session);
    }
    assert_eq!(shard.resume_url(), Some(emu.emulator.addresses().resume.as_str()));
    let stats = emu.get("stats").await;
    assert_eq!((&stats["identifies"], &stats["resumes"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn it_obeys_op_9() {
    let emu = Emu::lively().await;
    let mut shard = shard(&emu);
    event(&mut shard, "GUILD_CREATE").await;
    emu.fault(json!({"kind": "gateway_invalid_session", "resumable": true}))
        .await;
    event(&mut shard, "RESUMED").await;
    let session = shard.session().unwrap().id().to_owned();
    emu.fault(json!({"kind": "gateway_invalid_session", "resumable": false}))
        .await;
    // Its bucket is free again after five seconds of the emulator's clock.
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    event(&mut shard, "READY").await;
    assert_ne!(shard.session().unwrap().id(), session);
}

#[tokio::test]
async fn it_resumes_from_cold_what_another_process_left() {
    let emu = Emu::lively().await;
    let mut first = shard(&emu);
    event(&mut first, "GUILD_CREATE").await;
    event(&mut first, "GUILD_CREATE").await;
    let session = first.session().unwrap();
    let session = Session::new(session.sequence(), session.id().to_owned());
    first.close(CloseFrame::RESUME);
    within("the first leaves", async {
        while !matches!(first.next().await, None | Some(Ok(Message::Close(_)))) {}
    })
    .await;
    eventually("the connection is gone", async || {
        emu.get("gateway").await["connections"] == 0
    })
    .await;
    emu.join("duncan").await;
    let config = builder(&emu, intents())
        .session(session)
        .resume_url(emu.emulator.addresses().resume.clone())
        .build();
    let mut second = Shard::with_config(ShardId::ONE, config);
    assert_eq!(
        event(&mut second, "GUILD_MEMBER_ADD").await["d"]["user"]["username"],
        "duncan"
    );
    event(&mut second, "RESUMED").await;
}

#[tokio::test]
async fn it_falls_back_to_the_first_address_when_the_resume_host_is_dead() {
    let emu = Emu::lively().await;
    let mut shard = shard(&emu);
    event(&mut shard, "GUILD_CREATE").await;
    emu.fault(json!({"kind": "gateway_dead_resume_host"})).await;
    emu.fault(json!({"kind": "gateway_drop"})).await;
    event(&mut shard, "RESUMED").await;
}

#[tokio::test]
async fn fatal_close_code_ends_the_client() {
    let emu = Emu::with(Options {
        privileged_intents: discord_emulator::gateway::Intents::empty(),
        ..Options::default()
    })
    .await;
    let wrong_token = builder_with_token(&emu, "wrong".to_owned(), Intents::GUILDS);
    let disallowed = builder(&emu, Intents::GUILD_MEMBERS);
    for (config, code) in [(wrong_token.build(), 4004), (disallowed.build(), 4014)] {
        let mut shard = Shard::with_config(ShardId::ONE, config);
        let mut closed = None;
        within("a fatal close", async {
            while let Some(item) = shard.next().await {
                if let Ok(Message::Close(Some(frame))) = item {
                    closed = Some(frame.code);
                }
            }
        })
        .await;
        assert_eq!((closed, shard.state()), (Some(code), ShardState::FatallyClosed));
    }
}
