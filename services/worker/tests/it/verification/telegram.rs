//! A Telegram account that joins a member by a signature of the primary wallet.

use arrakis_db::JobState;
use arrakis_test_support::eventually;
use arrakis_verification::{Account, AccountNetwork, NewSession, ProgressState, Started, StoredJob};
use serde_json::json;

use super::setup::{CHAIN, Setup, address_of, button, now};
use crate::platform::assert_description;

const TELEGRAM: Account = Account {
    network: AccountNetwork::Telegram,
    id: 5_000_000_000,
};

/// A session of the Telegram account, signed with the wallet that Chani holds; returns its job.
async fn joined(setup: &Setup) -> StoredJob {
    let session = NewSession {
        account: TELEGRAM,
        account_name: "Chani".to_owned(),
        community: None,
        interaction: None,
        chain_id: CHAIN,
    };
    let started = setup.verification.start(&session, now()).await.unwrap();
    let Started::Session { link, .. } = started else {
        panic!("{started:?}");
    };
    let token = link.expose().rsplit('/').next().unwrap().to_owned();
    let progress = setup.sign(&token, &setup.key).await.unwrap();
    assert_eq!(progress.state, ProgressState::Completed);
    progress.job.unwrap()
}

async fn until_done(setup: &Setup, job: &str) {
    eventually(
        || async {
            let mut tx = setup.platform.database.global().await.unwrap();
            let found = tx.jobs().get(job).await.unwrap();
            tx.commit().await.unwrap();
            found.is_some_and(|job| job.state == JobState::Succeeded)
        },
        format!("job {job} to succeed"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_is_told_of_a_joined_telegram_account_and_unlinks_it() {
    let setup = Setup::ranked_behind(9, "1600").await;
    setup.hold("chani").await;
    let job = joined(&setup).await;
    setup.publish(&job).await;
    until_done(&setup, &job.id).await;
    let messages = setup.direct_messages("chani").await;
    assert_eq!(messages.len(), 1, "{messages:#?}");
    assert_description(&messages[0], "The Telegram account 5000000000 has signed");

    setup.platform.delete_cooldowns();
    let status = setup.platform.run_command("chani", "verify status", json!({})).await;
    let status = setup.platform.control.answered(&status).await;
    assert!(
        status["message"]["embeds"].to_string().contains("5000000000"),
        "{status:#}"
    );
    button(&status["message"], "Unlink Telegram");

    let press = setup
        .press_in_dm("chani", &messages[0], &button(&messages[0], "Unlink Telegram"))
        .await;
    let is_separated = |view: &serde_json::Value| {
        view["message"]["embeds"]
            .to_string()
            .contains("not linked to each other")
    };
    setup.platform.until(&press, is_separated).await;
    let identity = setup.identity("chani").await.unwrap();
    assert_eq!(identity.identity.telegram_user, None);
    assert!(identity.holds(address_of(&setup.key)));
    setup.platform.vhost.finish().await;
}
