//! The cooldown of each command, and the refusals of admin commands without permission or second factor.

use std::collections::BTreeSet;

use arrakis_db::Actor;
use arrakis_worker::commands::{Commands, Definition};
use serde_json::{Value, json};

use super::uses::{CommandUse, uses};
use super::{dispatch_as, is_complete, prepared, reply_text, sent};
use crate::platform::{Dispatch, Platform};

/// Both are handled at once, so that the test does not depend on the length of the cooldown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_uses_at_once_is_refused_by_the_cooldown() {
    let (platform, _worker) = prepared().await;
    for usage in &uses() {
        let uses = [sent(&platform, usage).await, sent(&platform, usage).await];
        for (_, dispatch) in &uses {
            platform.publish(dispatch).await;
        }
        let mut refused = 0;
        let refusal = format!("You have just used `/{}`.", usage.name);
        for (id, _) in &uses {
            let view = platform.until(id, is_complete).await;
            let text = reply_text(&view);
            if text.contains(&refusal) {
                assert!(text.contains("Try again in"), "{view:#}");
                refused += 1;
            } else {
                assert!(text.contains(usage.reply), "/{}: {view:#}", usage.run);
            }
        }
        assert_eq!(refused, 1, "/{}", usage.run);
    }
}

/// A press of a component of this command, below the message of a member.
async fn pressed(platform: &Platform, message: &Value, command: &str, permissions: &str) -> (String, Dispatch) {
    let message = message["id"].as_str().unwrap();
    let custom_id = format!("{command}:x");
    let community = &platform.community;
    let id = platform.control.press(community, "chani", message, &custom_id).await;
    let dispatch = dispatch_as(platform, &id, permissions).await;
    (id, dispatch)
}

/// Requests suggestions for this option.
async fn typed(platform: &Platform, command: &str, option: &str, permissions: &str) -> (String, Dispatch) {
    let request = json!({
        "kind": "autocomplete", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
        "user_id": "chani", "name": command, "focused": option, "force": true, "options": {option: ""},
    });
    let id = platform.control.interact(request).await;
    let dispatch = dispatch_as(platform, &id, permissions).await;
    (id, dispatch)
}

/// The command, its components and its suggestions must be refused with this text.
async fn refuses_all(
    platform: &Platform,
    (usage, definition): (&CommandUse, &Definition),
    message: &Value,
    permissions: &str,
    refusal: &str,
) {
    let id = platform
        .send_command(usage.user, usage.run, usage.options.clone())
        .await;
    let run = (id.clone(), dispatch_as(platform, &id, permissions).await);
    let press = pressed(platform, message, usage.name, permissions).await;
    for (id, dispatch) in [run, press] {
        platform.publish(&dispatch).await;
        let view = platform.until(&id, is_complete).await;
        let text = format!("{} {}", view["responses"], reply_text(&view));
        assert!(text.contains(refusal), "/{}: {view:#}", usage.run);
        // A first response with a message for the member alone, and no defer.
        assert_eq!((&view["callback_type"], &view["ephemeral"]), (&json!(4), &json!(true)));
    }
    let options = definition.options.iter();
    for option in options.filter(|option| option.autocomplete == Some(true)) {
        let (id, dispatch) = typed(platform, usage.name, &option.name, permissions).await;
        platform.publish(&dispatch).await;
        let view = platform.until(&id, is_complete).await;
        assert_eq!(view["choices"], json!([]), "/{} {}", usage.run, option.name);
    }
}

/// A message of the bot that Chani sees.
async fn message_to_chani(platform: &Platform) -> Value {
    let id = platform.run_command("chani", "help", json!({})).await;
    platform.control.answered(&id).await["message"].clone()
}

/// Discord shows admin commands only to admins, but an admin of the server can have changed that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_command_without_the_permission_is_refused_with_its_components_and_suggestions() {
    let (platform, _worker) = prepared().await;
    let message = message_to_chani(&platform).await;
    let commands = Commands::default();
    let mut tested = BTreeSet::new();
    for usage in &uses() {
        let Some(permissions) = usage.access.insufficient() else {
            continue;
        };
        let definition = &commands.get(usage.name).unwrap().definition;
        let refusal = "This command is for the server's admins.";
        refuses_all(&platform, (usage, definition), &message, permissions, refusal).await;
        tested.insert(usage.name);
    }
    let of_admins = commands
        .definitions()
        .filter(|definition| definition.permissions.is_some());
    assert_eq!(tested, of_admins.map(|definition| definition.name).collect());
    let entries = platform.tenant().await.audit_entries(1_000).await.unwrap();
    let by_members = entries
        .iter()
        .filter(|entry| matches!(entry.actor, Actor::Member(_)))
        .count();
    assert_eq!(by_members, 0, "{entries:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_that_needs_a_second_factor_is_refused_to_an_administrator_without_it() {
    let (platform, worker) = prepared().await;
    worker.stop().await.unwrap();
    // The next worker does not permit it.
    let _worker = platform.worker().await;
    let message = message_to_chani(&platform).await;
    let commands = Commands::default();
    for usage in uses().iter().filter(|usage| usage.mfa) {
        let definition = &commands.get(usage.name).unwrap().definition;
        let refusal = format!("`/{}` needs a second factor", usage.name);
        refuses_all(&platform, (usage, definition), &message, "8", &refusal).await;
    }
}
