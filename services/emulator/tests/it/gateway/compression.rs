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

#[tokio::test]
async fn compress_of_identify_compresses_large_payloads_alone() {
    use std::io::Read as _;
    use tokio_tungstenite::tungstenite::Message;

    let emu = Emu::lively().await;
    let mut client = emu.connect().await;
    let mut identify = emu.identify(INTENTS, json!([0, 1]));
    identify["d"]["compress"] = json!(true);
    client.send(identify).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let text = match client.next_message().await.unwrap().unwrap() {
            Message::Binary(bytes) => {
                let mut text = String::new();
                flate2::read::ZlibDecoder::new(&bytes[..])
                    .read_to_string(&mut text)
                    .unwrap();
                assert!(text.len() >= 1_024, "{text}");
                text
            }
            Message::Text(text) => {
                assert!(text.len() < 1_024, "{text}");
                text.to_string()
            }
            other => panic!("{other:?}"),
        };
        let payload: serde_json::Value = serde_json::from_str(&text).unwrap();
        seen.push(payload["t"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["READY", "GUILD_CREATE", "GUILD_CREATE"]);
}
