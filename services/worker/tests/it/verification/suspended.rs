//! A suspended member gets the same answer from every command.

use arrakis_config::Secret;
use arrakis_db::registry::{Cause, EventSource, Suspension};
use arrakis_db::{Admin, DatabaseOptions};
use serde_json::json;
use time::Duration;

use super::setup::{Setup, now};
use crate::platform::{assert_description, embed};

async fn suspend(setup: &Setup, user: &str, until: time::OffsetDateTime) {
    let identity = setup.identity(user).await.unwrap().identity.id;
    let url = Secret::new(setup.platform.admin_url());
    let admin = Admin::connect(&url, DatabaseOptions::default()).await.unwrap();
    let mut tx = admin.database().global().await.unwrap();
    let cause = Cause {
        source: EventSource::Admin,
        at: now(),
    };
    let suspension = Suspension {
        reason: "two accounts",
        by: "stilgar",
        until: Some(until),
    };
    tx.registry().suspend(identity, &suspension, cause).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_a_suspended_member_states_the_suspension() {
    let setup = Setup::ranked_behind(9, "1600").await;
    setup.hold("chani").await;
    let until = now() + Duration::days(3);
    suspend(&setup, "chani", until).await;
    let at = until.unix_timestamp();
    let text = format!(
        "Your account is suspended here until <t:{at}:D> <t:{at}:t>: no tier, no roles, and wallets cannot change."
    );
    for command in [
        "position",
        "check-eligibility",
        "profile",
        "verify start",
        "verify status",
        "verify unlink",
        "register-waitlist",
    ] {
        setup.platform.delete_cooldowns();
        let id = setup.platform.run_command("chani", command, json!({})).await;
        let reply = setup.platform.control.answered(&id).await;
        assert_description(&reply["message"], &text);
        let shown = embed(&reply["message"]).to_string();
        assert!(
            shown.contains("Contact the admins of the server."),
            "{command}: {shown}"
        );
        assert!(!shown.contains("/verify start"), "{command}: {shown}");
    }
}
