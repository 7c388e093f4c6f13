//! `gaib server tier` and the errors of the platform's client, with a real api.

use arrakis_db::ApiKeyScope::{PlansWrite, ServersRead, ServersWrite};

use crate::platform::Platform;
use crate::session::{GUILD, Session};

#[tokio::test(flavor = "multi_thread")]
async fn plan_is_shown_set_after_a_confirmation_and_kept_by_a_dry_run() {
    let platform = Platform::start().await;
    let mut session = Session::start().await;
    platform
        .connect(&mut session, &[ServersRead, ServersWrite, PlansWrite])
        .await;
    let shown = session.gaib(&format!("server tier show --guild {GUILD}")).await;
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("plan premium, theme sietch"), "{}", shown.stdout);
    assert!(shown.stdout.contains("snapshot-restore"), "{}", shown.stdout);
    let set = format!("server tier set free --guild {GUILD} --grace-days 7 --reason \"the trial ended\"");
    let dry = session.gaib(&format!("{set} --dry-run")).await;
    assert!(
        dry.stdout.contains("would change from premium to free"),
        "{}",
        dry.stdout
    );
    let cancelled = session.answering(&set, Some("no\n")).await;
    assert_eq!(cancelled.code, 1);
    assert_eq!(platform.record().await.plan.as_str(), "premium");
    let done = session.answering(&set, Some("yes\n")).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout.contains("plan free") && done.stdout.contains("another one takes its place after"),
        "{}",
        done.stdout
    );
    assert_eq!(platform.record().await.plan.as_str(), "free");
    let again = session.gaib(&format!("server tier set free --guild {GUILD}")).await;
    assert!(again.stdout.contains("is free already"), "{}", again.stdout);
    let json = session.gaib(&format!("--json server tier show --guild {GUILD}")).await;
    let message: serde_json::Value = serde_json::from_str(json.stdout.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&message["type"], &message["plan"]), (&"tier".into(), &"free".into()));
    assert_eq!(message["usage"][0]["limit"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_the_platform_names_what_to_do() {
    let platform = Platform::start().await;
    let mut session = Session::start().await;
    let line = format!("server tier set free --auto-approve --guild {GUILD}");
    let missing = session.gaib(&line).await;
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("ARRAKIS_API_URL") && missing.stderr.contains("api-key create"));
    let shown = session.gaib(&format!("server tier show --guild {GUILD}")).await;
    assert_eq!(shown.code, 1);
    for expected in ["ARRAKIS_API_URL", "a folder of backups has no limits", "api-key create"] {
        assert!(shown.stderr.contains(expected), "{expected}: {}", shown.stderr);
    }
    platform.connect(&mut session, &[ServersRead]).await;
    let scope = session.gaib(&line).await;
    assert!(
        scope.code == 1 && scope.stderr.contains("plans:write"),
        "{}",
        scope.stderr
    );
    let other = session.gaib("server tier show --guild 1200000000000000778").await;
    assert!(
        other.code == 1 && other.stderr.contains("unknown-server") && other.stderr.contains("--guild"),
        "{}",
        other.stderr
    );
    session.environment("ARRAKIS_API_KEY", Some("arrakis_x"));
    let key = session.gaib(&line).await;
    assert!(
        key.code == 1 && key.stderr.contains("invalid-key") && key.stderr.contains("api-key create"),
        "{}",
        key.stderr
    );
    let elsewhere = session.gaib(&format!("{line} --api-url http://127.0.0.1:1")).await;
    assert!(
        elsewhere.code == 1 && elsewhere.stderr.contains("http://127.0.0.1:1/ is the address"),
        "{}",
        elsewhere.stderr
    );
    let clear = session.gaib(&format!("{line} --api-url http://api.example.org")).await;
    assert!(
        clear.code == 1 && clear.stderr.contains("clear text"),
        "{}",
        clear.stderr
    );
    let nothing = session.gaib(&format!("restore exec --guild {GUILD}")).await;
    assert!(
        nothing.code == 1 && nothing.stderr.contains("--checkpoint"),
        "{}",
        nothing.stderr
    );
}
