use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{Emu, eventually};

#[tokio::test]
async fn an_answer_can_hang_after_the_effect() {
    let emu = Emu::lively().await;
    let fault =
        json!({"kind": "rest_lost_answer", "mode": "hang", "route": "/guilds/{g}/roles", "method": "POST", "count": 1});
    emu.fault(fault).await;
    let path = "/guilds/1200000000000000000/roles";
    let hanging = emu.rest(Method::POST, path, Some(json!({"name": "Sword"})));
    let seen = eventually("the role exists", async || {
        let full = emu.get("guilds/Sietch%20Tabr").await;
        full["roles"]
            .as_array()
            .unwrap()
            .iter()
            .any(|role| role["name"] == "Sword")
    });
    tokio::pin!(hanging);
    tokio::select! {
        answer = &mut hanging => panic!("it answered: {answer:?}"),
        () = seen => {}
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut hanging)
            .await
            .is_err()
    );
    // The fault is used up: the next one is answered.
    let (status, _) = emu.rest(Method::POST, path, Some(json!({"name": "Shield"}))).await;
    assert_eq!(status, 200);
    let faults = emu.get("faults").await;
    assert_eq!(
        (&faults["faults"][0]["struck"], &faults["faults"][0]["count"]),
        (&json!(1), &json!(0))
    );
    emu.control(Method::DELETE, "faults", None).await;
    assert_eq!(emu.get("faults").await["faults"], json!([]));
}
