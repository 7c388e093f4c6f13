use serde_json::json;

use crate::support::{Client, Emu, INTENTS};

async fn whole_session(compress: &str) {
    let emu = Emu::lively().await;
    emu.post("seed", json!({"kind": "load", "guilds": 100, "members": 20}))
        .await;
    let url = format!(
        "{}/?v=10&encoding=json&compress={compress}",
        emu.emulator.addresses().gateway
    );
    let mut client = Client::open(&url).await.past_hello().await;
    client.send(emu.identify(INTENTS | 1 << 8, json!([0, 1]))).await;
    let ready = client.event("READY").await;
    for _ in 0..102 {
        client.event("GUILD_CREATE").await;
    }
    client.send(json!({"op": 1, "d": client.seq})).await;
    client.op(11).await;
    emu.join("duncan").await;
    assert_eq!(client.event("GUILD_MEMBER_ADD").await["user"]["username"], "duncan");
    // A new connection starts a new stream.
    let seq = client.seq;
    client.close(4900).await;
    emu.join("gurney").await;
    let url = url.replace(&emu.emulator.addresses().gateway, &emu.emulator.addresses().resume);
    let mut again = Client::open(&url).await.past_hello().await;
    again.send(emu.resume(&ready["session_id"], seq)).await;
    assert_eq!(again.event("GUILD_MEMBER_ADD").await["user"]["username"], "gurney");
    again.event("RESUMED").await;
}

#[tokio::test]
async fn zlib_stream() {
    whole_session("zlib-stream").await;
}

#[tokio::test]
async fn zstd_stream() {
    whole_session("zstd-stream").await;
}
