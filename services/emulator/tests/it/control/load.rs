use http::Method;
use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

fn stages(rate: f64, seconds: f64) -> Value {
    json!([{"name": "steady", "rate": rate, "seconds": seconds, "warm_up_s": 0.1}])
}

/// Waits until no more events are made.
async fn over(emu: &Emu) -> Value {
    loop {
        let progress = emu.get("load").await;
        if progress["state"] == "over" {
            return progress;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn events(emu: &Emu) -> Vec<Value> {
    let Value::String(text) = emu.get("load/events").await else {
        panic!("not lines")
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_time_of_an_interaction_is_recorded() {
    let emu = Emu::with_commands().await;
    let (mut client, ready) = emu.identified(INTENTS).await;
    let load = json!({
        "arrivals": "even", "stages": stages(20.0, 0.25), "guilds": ["Sietch Tabr"],
        "kinds": [{"kind": "command", "name": "stats", "weight": 1}],
    });
    let begun = emu.post("load", load.clone()).await;
    assert_eq!(begun["expected_events"], 5.0);
    let again = emu.refused("load", load).await;
    assert_eq!(again, (409, "a load run is active already".to_owned()));
    let mut made = Vec::new();
    for _ in 0..5 {
        let event = client.event("INTERACTION_CREATE").await;
        let id = event["id"].as_str().unwrap().to_owned();
        made.push((id, event["token"].as_str().unwrap().to_owned()));
    }
    emu.respond(&made[0], json!({"type": 4, "data": {"content": "at once"}}))
        .await;
    emu.respond(&made[1], json!({"type": 5})).await;
    emu.respond(&made[2], json!({"type": 5})).await;
    let application = emu.application().await;
    let original = format!("/webhooks/{application}/{}/messages/@original", made[2].1);
    let (status, _) = emu
        .rest(Method::PATCH, &original, Some(json!({"content": "done"})))
        .await;
    assert_eq!(status, 200);
    let callback = format!("/interactions/{}/{}/callback", made[2].0, made[2].1);
    let (status, _) = emu.rest(Method::POST, &callback, Some(json!({"type": 5}))).await;
    assert_eq!(status, 400, "a second response");
    over(&emu).await;
    emu.post("clock", json!({"advance_ms": 3_000})).await;
    let callback = format!("/interactions/{}/{}/callback", made[3].0, made[3].1);
    let (status, _) = emu.rest(Method::POST, &callback, Some(json!({"type": 5}))).await;
    assert_eq!(status, 404, "too late");

    let events = events(&emu).await;
    let shape: Vec<_> = events.iter().map(|event| event["outcome"].as_str().unwrap()).collect();
    assert_eq!(shape[..3], ["answered", "deferred", "answered"]);
    let (ids, made): (Vec<_>, Vec<_>) = (
        events.iter().map(|event| event["interaction_id"].clone()).collect(),
        made.into_iter().map(|(id, _)| json!(id)).collect(),
    );
    assert_eq!(ids, made);
    assert_eq!(events[0]["session"], ready["session_id"]);
    assert_eq!(events[4]["seq"], json!(client.seq));
    let done = &events[2];
    let moments: Vec<u64> = ["intended_us", "made_us", "sent_us", "first_us", "answered_us"]
        .iter()
        .map(|moment| done[moment].as_u64().unwrap())
        .collect();
    assert!(moments.is_sorted(), "{done}");
    assert_eq!(
        (&events[2]["second_responses"], &events[3]["late_responses"]),
        (&json!(1), &json!(1))
    );

    let results = emu.get("load/results").await;
    let kind = &results["stages"][0]["kinds"][0];
    assert_eq!(kind["kind"], "command stats");
    assert_eq!(
        (&kind["counts"]["made"], &kind["counts"]["answered"]),
        (&json!(5), &json!(2))
    );
    // The events at 50 and 100 ms belong to the warm-up.
    assert_eq!(kind["intended_to_sent"]["count"], 4);
    assert_eq!(kind["intended_to_answer"]["count"], 1);
    assert!(
        kind["intended_to_answer"]["hdr"]
            .as_str()
            .is_some_and(|hdr| !hdr.is_empty())
    );
    assert_eq!(results["seconds"][0]["counts"]["made"], 5);
}

#[tokio::test]
async fn unanswered_event_expires() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.post(
        "load",
        json!({"stages": stages(50.0, 0.1), "kinds": [{"kind": "command", "name": "stats", "weight": 1}], "seed": 3}),
    )
    .await;
    client.event("INTERACTION_CREATE").await;
    let made = over(&emu).await["counts"]["made"].clone();
    loop {
        let progress = emu.get("load").await;
        if progress["settled"] == true {
            assert_eq!(progress["counts"]["expired"], made);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn members_come_and_go_and_a_run_can_be_ended() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.post(
        "load",
        json!({
            "stages": stages(200.0, 3_600.0), "guilds": ["Sietch Tabr"],
            "kinds": [
                {"kind": "member_join", "weight": 2}, {"kind": "member_leave", "weight": 1},
                {"kind": "member_update", "weight": 1},
            ],
        }),
    )
    .await;
    let mut seen = Vec::new();
    while seen.len() < 40 {
        let payload = client.payload().await;
        let name = payload["t"].as_str().unwrap_or_default().to_owned();
        if name.starts_with("GUILD_MEMBER_") {
            seen.push((payload["s"].as_u64().unwrap(), name));
        }
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(distinct.len(), 3, "{distinct:?}");
    emu.control(Method::DELETE, "load", None).await;
    over(&emu).await;
    let events = events(&emu).await;
    for ((seq, name), event) in seen.iter().zip(&events) {
        assert_eq!(event["seq"], json!(seq), "{name} {event}");
        assert_eq!(event["outcome"], "sent");
    }
}

#[tokio::test]
async fn options_may_refer_to_a_user_in_a_load_of_one_server() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let chani = "1000000000000000003";
    let give = json!([{"kind": "command", "name": "give", "weight": 1, "options": {"to": chani}}]);
    let load = json!({"stages": stages(20.0, 0.25), "kinds": give, "guilds": ["Sietch Tabr"]});
    emu.post("load", load).await;
    let event = client.event("INTERACTION_CREATE").await;
    assert_eq!(event["data"]["resolved"]["users"][chani]["id"], chani, "{event}");
    over(&emu).await;
}

#[tokio::test]
async fn invalid_load_is_refused() {
    let emu = Emu::with_commands().await;
    let (_, error) = emu
        .refused(
            "load",
            json!({"stages": [], "kinds": [{"kind": "member_join", "weight": 1}]}),
        )
        .await;
    assert!(error.contains("0 stages"), "{error}");
    let (_, error) = emu
        .refused("load", json!({"stages": stages(0.0, 5.0), "kinds": []}))
        .await;
    assert!(error.contains("steady"), "{error}");
    let give = json!([{"kind": "command", "name": "give", "weight": 1, "options": {"to": "1000000000000000001"}}]);
    let (_, error) = emu
        .refused("load", json!({"stages": stages(1.0, 1.0), "kinds": give}))
        .await;
    assert!(error.contains("not the same in every server"), "{error}");
    let (status, error) = emu
        .refused(
            "load",
            json!({"stages": stages(1.0, 1.0), "kinds": [{"kind": "command", "name": "nope", "weight": 1}]}),
        )
        .await;
    assert_eq!((status, error.contains("nope")), (404, true), "{error}");
}
