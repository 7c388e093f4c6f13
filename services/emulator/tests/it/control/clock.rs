use serde_json::json;

use crate::support::Emu;

#[tokio::test]
async fn the_clock_goes_forward_only() {
    let emu = Emu::start().await;
    let before = emu.get("clock").await["now_ms"].as_u64().unwrap();
    let after = emu.post("clock", json!({"advance_ms": 900_000})).await;
    assert!(after["now_ms"].as_u64().unwrap() >= before + 900_000);
    assert_eq!(after["ahead_ms"], 900_000);
    let set = emu.post("clock", json!({"set": "2040-01-01T00:00:00Z"})).await;
    assert!(set["now"].as_str().unwrap().starts_with("2040-01-01T00:00"), "{set}");
    let (status, _) = emu.refused("clock", json!({"set": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(status, 400);
    let (status, _) = emu.refused("clock", json!({})).await;
    assert_eq!(status, 400);
}
