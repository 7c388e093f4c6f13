//! The kill switch by the api.

use arrakis_config::Secret;
use arrakis_db::ApiKeyScope::Emergency;
use arrakis_db::UserId;
use arrakis_security::kill_switch::{EndKey, KillSwitchScope};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::support::TestApi;

const PATH: &str = "/admin/kill-switch";
const OFF: &str = "/admin/kill-switch/off";
const CREDENTIAL: &str = "credential-of-the-kill-switch";

#[tokio::test]
async fn kill_switch_is_turned_on_by_a_key_and_off_with_the_code_of_an_operator() {
    let api = TestApi::start_with(|config| {
        config.kill_switch.operators = vec![7];
        // No replica: the credential proves the end.
        config.kill_switch.proxies = Some((Vec::new(), Secret::new(CREDENTIAL)));
    })
    .await;
    let (chani, liet) = (UserId::new(7).unwrap(), UserId::new(8).unwrap());
    let key = api.key(None, &[Emergency]).await;
    let read = api.get_as(&key, PATH).await.ok();
    assert_eq!((&read["is_on"], &read["by"]), (&json!(false), &json!("")));
    let on = api.post_as(&key, PATH, &json!({"reason": "a leaked token"})).await.ok();
    assert_eq!(on["is_complete"], true, "{on:#}");
    let read = api.get_as(&key, PATH).await.ok();
    assert_eq!(
        (&read["is_on"], &read["reason"]),
        (&json!(true), &json!("a leaked token"))
    );
    let off = |code: &str| json!({"reason": "rotated", "code": code});
    // A key of nobody, of a person who may not, and a wrong code.
    let refused = api.post_as(&key, OFF, &off("000000")).await;
    refused.assert_problem(403, "mfa-not-enrolled");
    let (_, of_liet) = api.key_of(None, &[Emergency], Duration::days(1), Some(liet)).await;
    let (totp, _) = api.enrol(liet).await;
    let code = totp.code_at(OffsetDateTime::now_utc());
    let refused = api.post_as(&of_liet, OFF, &off(&code)).await;
    refused.assert_problem(403, "kill-switch-refused");
    let (_, of_chani) = api.key_of(None, &[Emergency], Duration::days(1), Some(chani)).await;
    let refused = api.post_as(&of_chani, OFF, &off("000000")).await;
    refused.assert_problem(403, "mfa-not-enrolled");
    let (totp, codes) = api.enrol(chani).await;
    let wrong = api.post_as(&of_chani, OFF, &off("not a code")).await;
    wrong.assert_problem(403, "mfa-refused");
    assert_eq!(api.get_as(&key, PATH).await.ok()["is_on"], true);
    let code = totp.code_at(OffsetDateTime::now_utc());
    let ended = api.post_as(&of_chani, OFF, &off(&code)).await.ok();
    assert_eq!(ended["is_complete"], true, "{ended:#}");
    assert_eq!(api.get_as(&key, PATH).await.ok()["is_on"], false);
    // The same code again, after it was turned on again; a backup code is accepted.
    api.post_as(&key, PATH, &json!({"reason": "again"})).await.ok();
    api.post_as(&of_chani, OFF, &off(&code))
        .await
        .assert_problem(403, "mfa-refused");
    api.post_as(&of_chani, OFF, &off(codes[0].expose())).await.ok();
    let mut tx = api.admin.database().global().await.unwrap();
    let state = tx.kill_switches().list(Some(&EndKey::new(CREDENTIAL))).await.unwrap();
    assert!(!state.is_on(KillSwitchScope::Platform));
    let entries = tx.platform_audit_entries(50).await.unwrap();
    let count = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
    assert_eq!(
        (
            count("kill_switch.on"),
            count("kill_switch.off"),
            count("kill_switch.off_refused")
        ),
        (2, 2, 1)
    );
}
