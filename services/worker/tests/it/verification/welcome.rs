//! The welcome of a member who joins without a verified wallet.

use arrakis_emulator_client::NewUser;
use arrakis_test_support::eventually;
use serde_json::Value;

use super::setup::{Setup, button, token_of};
use crate::platform::{Dispatch, assert_description};

async fn switch_on(setup: &Setup) {
    let channel = setup.platform.community.channel.parse().unwrap();
    let mut tx = setup.platform.tenant().await;
    tx.communities().set_welcome_channel(Some(channel)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn join(setup: &Setup, name: &str) -> (String, Dispatch) {
    let user = NewUser {
        name: Some(name.to_owned()),
        ..NewUser::default()
    };
    let guild = &setup.platform.community.guild;
    let made = setup.platform.control.join(guild, &user).await.unwrap();
    let id = made["user"]["id"]
        .as_str()
        .or(made["user_id"].as_str())
        .unwrap()
        .to_owned();
    (id, setup.platform.deliver("GUILD_MEMBER_ADD").await)
}

async fn leave(setup: &Setup, user: &str) {
    let guild = &setup.platform.community.guild;
    setup.platform.control.leave(guild, user).await.unwrap();
    setup.platform.deliver("GUILD_MEMBER_REMOVE").await;
}

/// The welcomes in the channel.
async fn welcomes(setup: &Setup) -> Vec<Value> {
    let community = &setup.platform.community;
    let messages = setup
        .platform
        .control
        .messages(&community.guild, &community.channel)
        .await;
    let is_welcome = |message: &Value| message["embeds"][0]["title"] == "Welcome to the sietch";
    messages.unwrap().into_iter().filter(is_welcome).collect()
}

async fn until_handled(setup: &Setup, event: &Dispatch) {
    let done = format!("{}", event.labels().event_id);
    eventually(
        || async { setup.platform.has_done_marker(&done) },
        format!("event {done} to be handled"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_member_is_welcomed_once_and_starts_by_the_button() {
    let setup = Setup::ranked_behind(9, "1600").await;
    switch_on(&setup).await;
    let (user, event) = join(&setup, "paul").await;
    eventually(|| async { welcomes(&setup).await.len() == 1 }, "the welcome").await;
    let welcome = welcomes(&setup).await.remove(0);
    assert_eq!(welcome["content"], format!("<@{user}>"));
    until_handled(&setup, &event).await;

    // A redelivery after the record of the message, and one after a worker that died before it.
    for lost in [false, true] {
        setup.platform.delete_done_markers();
        if lost {
            let community = setup.platform.community.id;
            let statement = format!(
                "set app.current_tenant = '{community}'; delete from inbox where event_id like '%#welcome#sent'"
            );
            setup.platform.sql(&statement).await;
        }
        setup.platform.publish(&event).await;
        until_handled(&setup, &event).await;
        assert_eq!(welcomes(&setup).await.len(), 1);
    }

    // Within a day, the member who comes back is not welcomed again.
    leave(&setup, &user).await;
    let again = NewUser {
        user_id: Some(user.parse().unwrap()),
        ..NewUser::default()
    };
    let guild = &setup.platform.community.guild;
    setup.platform.control.join(guild, &again).await.unwrap();
    let rejoin = setup.platform.deliver("GUILD_MEMBER_ADD").await;
    until_handled(&setup, &rejoin).await;
    assert_eq!(welcomes(&setup).await.len(), 1);

    let pressed = setup.press(&user, &welcome, &button(&welcome, "Verify wallet")).await;
    assert_eq!(pressed["ephemeral"], true);
    let token = token_of(&pressed);
    let job = setup.sign(&token, &setup.key).await.unwrap().job.unwrap();
    setup.publish(&job).await;
    setup.until_succeeded(&job.id).await;
    setup.until_roles(&user, &["fedaykin"]).await;
    let id = pressed["id"].as_str().unwrap();
    assert_description(
        &setup.platform.control.interaction(id).await["message"],
        "is linked to you",
    );
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verified_member_brings_the_wallet_and_is_not_welcomed() {
    let setup = Setup::ranked_behind(9, "1600").await;
    switch_on(&setup).await;
    setup.hold("harah").await;
    let harah = setup.platform.community.user("harah").to_owned();
    leave(&setup, &harah).await;
    let mut tx = setup.platform.tenant().await;
    let user = setup.platform.community.user_id("harah");
    tx.profiles().link_wallet(user, None).await.unwrap();
    tx.commit().await.unwrap();
    let again = NewUser {
        user_id: Some(harah.parse().unwrap()),
        ..NewUser::default()
    };
    let guild = &setup.platform.community.guild;
    setup.platform.control.join(guild, &again).await.unwrap();
    let event = setup.platform.deliver("GUILD_MEMBER_ADD").await;
    setup.until_roles("harah", &["fedaykin"]).await;
    until_handled(&setup, &event).await;
    assert!(welcomes(&setup).await.is_empty());
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn welcome_is_off_by_default() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let (_, event) = join(&setup, "paul").await;
    until_handled(&setup, &event).await;
    assert!(welcomes(&setup).await.is_empty());
    assert_eq!(setup.platform.control.count("POST", "/messages", 200).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn welcome_in_a_channel_that_does_not_exist_is_counted() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let mut tx = setup.platform.tenant().await;
    tx.communities().set_welcome_channel(Some(2)).await.unwrap();
    tx.commit().await.unwrap();
    let (_, event) = join(&setup, "paul").await;
    until_handled(&setup, &event).await;
    let metrics = setup.worker.runtime.metrics.render();
    assert!(
        metrics
            .lines()
            .any(|line| line == "arrakis_worker_welcomes_refused_total 1"),
        "{metrics}"
    );
    let mut tx = setup.platform.tenant().await;
    let entries = tx.audit_entries(50).await.unwrap();
    let broken = entries.iter().find(|entry| entry.action == "welcome.broken").unwrap();
    assert_eq!(broken.subject, "2");
}
