//! `/register-waitlist`, `/directory`, `/naib` and `/admin-stats` from the queue to rows, jobs and roles.

use arrakis_config::Secret;
use arrakis_db::registry::{Account, Cause, EventSource, Suspension};
use arrakis_db::{Admin, DatabaseOptions, Profile, TokenProfileId};
use arrakis_domain::{Address, Balance, RoleId};
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_worker::jobs::{self, tier_sync};
use serde_json::{Value, json};
use time::OffsetDateTime;
use twilight_model::id::Id;

use crate::platform::{
    Dispatch, MANAGE_GUILD, Platform, assert_description, assert_refusal, description, embed, is_ephemeral,
};

/// Runs a command of a member.
async fn command(platform: &Platform, user: &str, name: &str, options: Value) -> Value {
    platform.delete_cooldowns();
    let id = platform.run_command(user, name, options).await;
    platform.control.answered(&id).await
}

/// Presses a button; returns the interaction's id and its dispatch, unpublished.
async fn pressed(platform: &Platform, user: &str, reply: &Value, custom_id: &str) -> (String, Dispatch) {
    let message = reply["message"]["id"].as_str().unwrap();
    let id = platform
        .control
        .press(&platform.community, user, message, custom_id)
        .await;
    let dispatch = platform.dispatch_of(&id).await;
    (id, dispatch)
}

async fn press(platform: &Platform, user: &str, reply: &Value, custom_id: &str) -> Value {
    let (id, dispatch) = pressed(platform, user, reply, custom_id).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await
}

async fn profile(platform: &Platform, name: &str) -> Profile {
    let user = platform.community.user_id(name);
    let mut tx = platform.tenant().await;
    tx.profiles().by_user(user).await.unwrap().unwrap()
}

async fn until_role(platform: &Platform, name: &str, key: &str, wanted: bool) {
    let is_as_wanted = async || {
        let member = platform.control.member(&platform.community, name).await;
        platform.community.keys(&member["roles"]).contains(&key) == wanted
    };
    eventually(is_as_wanted, format!("{name} has the role {key}: {wanted}")).await;
}

/// Replaces the ranking by one in which the wallet of this member is first, and syncs the member.
async fn rank_first(platform: &Platform, name: &str) {
    let wallet = profile(platform, name).await.wallet.unwrap();
    let others = (0..80_u32).map(|number| {
        let mut bytes = [0xee; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        (
            Address::from_bytes(bytes),
            Balance::from_tokens(u64::from(4_000 - number)),
        )
    });
    let ranking: Vec<_> = [(wallet, Balance::from_tokens(9_999))]
        .into_iter()
        .chain(others)
        .collect();
    let token = TokenProfileId::new("bgt").unwrap();
    let mut tx = platform.database.global().await.unwrap();
    tx.replace_ranking(&token, &ranking, 2, OffsetDateTime::now_utc())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let user = platform.community.user_id(name);
    let request = tier_sync::for_member(format!("tier-sync:test:{name}"), Id::new(user.get()));
    let services = platform.services(&Metrics::new());
    jobs::enqueue(&services, platform.community.id, &request).await.unwrap();
}

async fn suspend(platform: &Platform, name: &str) {
    let operators = Admin::connect(&Secret::new(platform.admin_url()), DatabaseOptions::default())
        .await
        .unwrap();
    let cause = Cause {
        source: EventSource::Admin,
        at: OffsetDateTime::now_utc(),
    };
    let mut tx = operators.database().global().await.unwrap();
    let mut registry = tx.registry();
    let account = Account::Discord(platform.community.user_id(name));
    let identity = registry.create(account, name, cause).await.unwrap().id;
    let suspension = Suspension {
        reason: "two accounts",
        by: "stilgar",
        until: None,
    };
    registry.suspend(identity, &suspension, cause).await.unwrap();
    tx.commit().await.unwrap();
}

/// Stilgar's wallet is at rank 82.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_joins_the_waitlist_leaves_it_and_joins_again() {
    let (platform, _worker) = Platform::with_worker().await;
    let joined = command(&platform, "stilgar", "register-waitlist", json!({})).await;
    assert!(is_ephemeral(&joined["message"]));
    assert_description(&joined["message"], "You are on the Taqwa list since");
    until_role(&platform, "stilgar", "taqwa", true).await;
    let since = profile(&platform, "stilgar").await.waitlisted_at.unwrap();

    let again = command(&platform, "stilgar", "register-waitlist", json!({})).await;
    assert_eq!(description(&again["message"]), description(&joined["message"]));
    assert_eq!(profile(&platform, "stilgar").await.waitlisted_at, Some(since));

    let left = press(&platform, "stilgar", &again, "register-waitlist:leave").await;
    assert_description(&left["message"], "You are not on the Taqwa list any more.");
    until_role(&platform, "stilgar", "taqwa", false).await;
    assert_eq!(profile(&platform, "stilgar").await.waitlisted_at, None);

    let back = press(&platform, "stilgar", &left, "register-waitlist:join").await;
    assert_description(&back["message"], "You are on the Taqwa list since");
    until_role(&platform, "stilgar", "taqwa", true).await;
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let actions: Vec<String> = entries
        .map(|entry| entry.action)
        .filter(|action| action.starts_with("waitlist."))
        .collect();
    assert_eq!(actions, ["waitlist.join", "waitlist.leave", "waitlist.join"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promoted_member_leaves_the_waitlist_and_loses_its_role() {
    let (platform, _worker) = Platform::with_worker().await;
    command(&platform, "stilgar", "register-waitlist", json!({})).await;
    until_role(&platform, "stilgar", "taqwa", true).await;
    rank_first(&platform, "stilgar").await;
    until_role(&platform, "stilgar", "taqwa", false).await;
    until_role(&platform, "stilgar", "naib", true).await;
    assert_eq!(profile(&platform, "stilgar").await.waitlisted_at, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_who_cannot_wait_is_refused_with_the_reason() {
    let (platform, _worker) = Platform::with_worker().await;
    for (user, refusal) in [
        ("chani", "You have a place already, at rank 1"),
        ("harah", "No verified wallet is linked to you"),
    ] {
        let refused = command(&platform, user, "register-waitlist", json!({})).await;
        assert_refusal(&refused["message"], refusal);
    }
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some("an incident")).await.unwrap();
    tx.commit().await.unwrap();
    let frozen = command(&platform, "stilgar", "register-waitlist", json!({})).await;
    assert_refusal(&frozen["message"], "This community is frozen");
    assert_eq!(profile(&platform, "stilgar").await.waitlisted_at, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_member_is_told_by_position_profile_and_waitlist() {
    let (platform, _worker) = Platform::with_worker().await;
    suspend(&platform, "stilgar").await;
    let text = "Your account is suspended here: no tier, no roles, and wallets cannot change.";
    for name in ["position", "profile"] {
        let reply = command(&platform, "stilgar", name, json!({})).await;
        assert_description(&reply["message"], text);
    }
    let refused = command(&platform, "stilgar", "register-waitlist", json!({})).await;
    assert_refusal(&refused["message"], text);
    let stilgar = platform.community.user("stilgar");
    let other = command(&platform, "chani", "profile", json!({"member": stilgar})).await;
    assert_description(
        &other["message"],
        "This account is suspended here: no tier and no roles.",
    );
}

/// A worker that ended between the commit and the acknowledgement leaves the press to another one, which finds that a later press has
/// followed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn press_that_is_delivered_again_does_not_undo_a_later_one() {
    let (platform, _worker) = Platform::with_worker().await;
    let joined = command(&platform, "stilgar", "register-waitlist", json!({})).await;
    let (id, leave) = pressed(&platform, "stilgar", &joined, "register-waitlist:leave").await;
    platform.publish(&leave).await;
    let left = platform.control.answered(&id).await;
    press(&platform, "stilgar", &left, "register-waitlist:join").await;
    let since = profile(&platform, "stilgar").await.waitlisted_at.unwrap();
    platform.delete_done_markers();
    platform.publish(&leave).await;
    platform.until_messages("arrakis.interactions", 0).await;
    platform.until(&id, |view| view["state"] == "answered").await;
    assert_eq!(profile(&platform, "stilgar").await.waitlisted_at, Some(since));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hiding_that_is_delivered_again_does_not_hide_a_member_who_is_listed_again() {
    let (platform, _worker) = Platform::with_worker().await;
    let own = command(&platform, "jamis", "directory", json!({})).await;
    let (id, hide) = pressed(&platform, "jamis", &own, "directory:hide:all:1").await;
    platform.publish(&hide).await;
    let hidden = platform.control.answered(&id).await;
    press(&platform, "jamis", &hidden, "directory:show:all:1").await;
    platform.delete_done_markers();
    platform.publish(&hide).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let mut tx = platform.tenant().await;
    let jamis = platform.community.user_id("jamis");
    assert_eq!(tx.profiles().is_hidden(jamis).await.unwrap(), Some(false));
}

/// A worker that ended between the commit and the acknowledgement leaves the message to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_one_registration_changes_nothing_and_replies_the_same() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.send_command("stilgar", "register-waitlist", json!({})).await;
    let dispatch = platform.dispatch_of(&id).await;
    platform.publish(&dispatch).await;
    let first = platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let since = profile(&platform, "stilgar").await.waitlisted_at;
    platform.delete_done_markers();
    platform.delete_cooldowns();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let reply = platform.control.interaction(&id).await;
    assert_eq!(description(&reply["message"]), description(&first["message"]));
    assert_eq!(reply["followups"], json!([]));
    assert_eq!(profile(&platform, "stilgar").await.waitlisted_at, since);
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap();
    let joins = entries.iter().filter(|entry| entry.action == "waitlist.join").count();
    assert_eq!(joins, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_hides_from_the_directory_at_once_and_is_listed_again() {
    let (platform, _worker) = Platform::with_worker().await;
    let seen = async || {
        let reply = command(&platform, "chani", "directory", json!({})).await;
        description(&reply["message"]).contains("**jamis**")
    };
    assert!(seen().await);
    let own = command(&platform, "jamis", "directory", json!({})).await;
    assert!(is_ephemeral(&own["message"]));
    let hidden = press(&platform, "jamis", &own, "directory:hide:all:1").await;
    assert!(!description(&hidden["message"]).contains("jamis"), "{hidden:#}");
    assert!(embed(&hidden["message"]).to_string().contains("You hide:"));
    assert!(!seen().await, "also a page that was cached before");
    press(&platform, "jamis", &hidden, "directory:show:all:1").await;
    let mut tx = platform.tenant().await;
    let jamis = platform.community.user_id("jamis");
    assert_eq!(tx.profiles().is_hidden(jamis).await.unwrap(), Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiers_and_badges_are_suggested_for_the_directory() {
    let (platform, _worker) = Platform::with_worker().await;
    for (focused, typed, value) in [("tier", "feday", "fedaykin"), ("badge", "water", "water-sharer")] {
        let request = json!({
            "kind": "autocomplete", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
            "user_id": "chani", "name": "directory", "focused": focused, "force": true, "options": {focused: typed},
        });
        let id = platform.control.interact(request).await;
        let dispatch = platform.dispatch_of(&id).await;
        platform.publish(&dispatch).await;
        let reply = platform.control.answered(&id).await;
        assert_eq!(reply["choices"].as_array().unwrap().len(), 1, "{reply:#}");
        assert_eq!(reply["choices"][0]["value"], value);
    }
}

/// The role was removed by hand while no worker saw it; the member takes it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_with_a_seat_takes_its_role() {
    let (platform, _worker) = Platform::with_worker().await;
    until_role(&platform, "chani", "naib", true).await;
    // The role is bound anew, so that the member lacks it.
    let made = platform
        .control
        .create_role(&platform.community.guild, &json!({"name": "Naib"}))
        .await
        .unwrap();
    let role = made["id"].as_str().unwrap().to_owned();
    let mut tx = platform.tenant().await;
    let naib = "naib".parse().unwrap();
    let bound = RoleId(role.parse().unwrap());
    tx.communities().bind_role(&naib, bound).await.unwrap();
    tx.commit().await.unwrap();
    let council = command(&platform, "chani", "naib", json!({})).await;
    assert_description(&council["message"], "`1.` ➤ **chani** (you)");
    let taken = press(&platform, "chani", &council, "naib:take").await;
    assert_description(
        &taken["message"],
        "Seat 1 is yours. The role **Naib** follows within seconds.",
    );
    let has_role = async || {
        let member = platform.control.member(&platform.community, "chani").await;
        member["roles"].as_array().unwrap().contains(&json!(role))
    };
    eventually(has_role, "the role of the seat").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_sees_the_health_and_a_member_is_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    for permissions in ["2048", MANAGE_GUILD] {
        platform.delete_cooldowns();
        let id = platform.send_command("chani", "admin-stats", json!({})).await;
        let mut dispatch = platform.dispatch_of(&id).await;
        let mut body = dispatch.json();
        body["member"]["permissions"] = json!(permissions);
        dispatch.body = serde_json::to_vec(&body).unwrap();
        platform.publish(&dispatch).await;
        let reply = platform.control.answered(&id).await;
        assert!(is_ephemeral(&reply["message"]));
        if permissions == MANAGE_GUILD {
            assert_eq!(embed(&reply["message"])["title"], "Health of the community");
            let fields = embed(&reply["message"])["fields"].to_string();
            assert!(fields.contains("Permissions and roles"), "{fields}");
            assert!(!fields.contains("Discord did not respond"), "{fields}");
        } else {
            assert_refusal(&reply["message"], "This command is for the server's admins.");
        }
    }
}
