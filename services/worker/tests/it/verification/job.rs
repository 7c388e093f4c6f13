//! The job that follows a signature.

use arrakis_db::{CommunityId, GuildId, NewCommunity, TokenProfileId};
use arrakis_domain::Plan;
use arrakis_emulator_client::Fault;
use serde_json::json;
use uuid::Uuid;

use super::setup::{Setup, address_of, button, now};
use crate::platform::{assert_description, description, embed};

fn session_of(job: &str) -> Uuid {
    job.strip_prefix("verification:").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signature_leads_to_roles_and_the_edited_reply_once() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let platform = &setup.platform;
    let (id, job) = setup.verify("harah", &setup.key).await;
    setup.until_roles("harah", &["fedaykin"]).await;
    let edited = platform.control.interaction(&id).await;
    assert_description(&edited["message"], "is linked to you");
    assert_description(&edited["message"], "Rank 10");
    assert_description(&edited["message"], "Fedaykin");
    assert_eq!(edited["followups"], json!([]));
    assert_eq!(setup.profile_wallet("harah").await, Some(address_of(&setup.key)));
    // The token of the interaction is deleted.
    let mut tx = platform.database.global().await.unwrap();
    let token = tx.verification_sessions().interaction_of(session_of(&job.id)).await;
    assert!(token.unwrap().is_none());
    drop(tx);

    let calls = |method: &'static str, path: &'static str, status| platform.control.count(method, path, status);
    let before = (
        calls("PUT", "/roles/", 204).await,
        calls("PATCH", "@original", 200).await,
    );
    // The message of a job that has ended, and a job whose worker died before it recorded the end.
    setup.publish(&job).await;
    setup.repeat(&job).await;
    let after = (
        calls("PUT", "/roles/", 204).await,
        calls("PATCH", "@original", 200).await,
    );
    assert_eq!(before, after);

    for (command, text) in [
        ("verify status", "verified"),
        ("profile", "verified"),
        ("help", "is verified"),
    ] {
        platform.delete_cooldowns();
        let id = platform.run_command("harah", command, json!({})).await;
        let shown = embed(&platform.control.answered(&id).await["message"]).to_string();
        assert!(shown.contains(text), "{command}: {shown}");
    }
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_is_edited_at_the_retry_while_discord_fails() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let (id, token) = setup.start("harah").await;
    let job = setup.sign(&token, &setup.key).await.unwrap().job.unwrap();
    let failing = Fault::rest_status(503).count(20).method("PATCH").path("@original");
    let fault = setup.platform.control.fault(&failing).await.unwrap();
    setup.publish(&job).await;
    setup.until_roles("harah", &["fedaykin"]).await;
    let _ = setup.platform.control.remove_fault(fault.id.unwrap()).await;
    setup.until_succeeded(&job.id).await;
    let edited = setup.platform.control.interaction(&id).await;
    assert_description(&edited["message"], "is linked to you");
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_in_the_waitlist_zone_joins_the_waitlist_by_the_button() {
    let setup = Setup::ranked_behind(70, "30000").await;
    let (id, _) = setup.verify("harah", &setup.key).await;
    let edited = setup.platform.control.interaction(&id).await;
    assert_description(&edited["message"], "Rank 71");
    let join = button(&edited["message"], "Join the waitlist");
    let reply = setup.press("harah", &edited["message"], &join).await;
    assert_eq!(reply["message"]["id"], edited["message"]["id"]);
    assert_description(&reply["message"], "You are on the Taqwa list");
    setup.until_roles("harah", &["usul", "taqwa"]).await;
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wallet_outside_of_the_ranking_is_told_what_is_missing() {
    let setup = Setup::ranked_behind(3, "1600").await;
    let (id, _) = setup.verify("harah", &super::setup::key(9)).await;
    let edited = setup.platform.control.interaction(&id).await;
    assert_description(&edited["message"], "Not ranked");
    let fields = embed(&edited["message"])["fields"].to_string();
    assert!(fields.contains("any holding takes you in"), "{fields}");
    setup.until_roles("harah", &[]).await;
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_communities_of_the_member_get_a_tier_sync() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let platform = &setup.platform;
    let harah = platform.community.user_id("harah");
    let other = CommunityId::new();
    let mut tx = platform.database.tenant(other).await.unwrap();
    let new = NewCommunity {
        guild: GuildId::new(platform.community.other_guild.parse().unwrap()).unwrap(),
        name: "Carthag".to_owned(),
        theme: "basic".parse().unwrap(),
        theme_plan: Plan::Free,
        rule_set: "ranked".parse().unwrap(),
        plan: Plan::Free,
        token_profile: TokenProfileId::new("bgt").unwrap(),
    };
    tx.communities().create(&new).await.unwrap();
    tx.profiles().join(harah, "harah", now()).await.unwrap();
    tx.commit().await.unwrap();

    let (_, job) = setup.verify("harah", &setup.key).await;
    let mut tx = platform.database.tenant(other).await.unwrap();
    let profile = tx.profiles().by_user(harah).await.unwrap().unwrap();
    assert_eq!(profile.wallet, Some(address_of(&setup.key)));
    let sync = tx.jobs().get(&format!("tier-sync:{}:{harah}", job.id)).await.unwrap();
    assert_eq!(sync.unwrap().kind, "tier-sync");
    drop(tx);
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_succeeds_when_the_member_deleted_the_reply() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let (id, token) = setup.start("harah").await;
    let before = description(&setup.platform.control.interaction(&id).await["message"]).to_owned();
    assert!(before.contains("Open the wallet page"), "{before}");
    let job = setup.sign(&token, &setup.key).await.unwrap().job.unwrap();
    let gone = Fault::rest_status(404).count(1).method("PATCH").path("@original");
    setup.platform.control.fault(&gone).await.unwrap();
    setup.publish(&job).await;
    setup.until_succeeded(&job.id).await;
    setup.until_roles("harah", &["fedaykin"]).await;
    setup.platform.vhost.finish().await;
}
