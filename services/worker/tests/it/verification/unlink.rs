//! `/verify unlink`.

use serde_json::json;

use super::setup::{Setup, address_of, button};
use crate::platform::{assert_description, assert_refusal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlinked_wallet_takes_the_roles_with_it() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let platform = &setup.platform;
    setup.verify("harah", &setup.key).await;
    setup.until_roles("harah", &["fedaykin"]).await;
    platform.delete_cooldowns();
    let id = platform.run_command("harah", "verify unlink", json!({})).await;
    let question = platform.control.answered(&id).await["message"].clone();
    assert_description(&question, "cannot be undone");
    let unlink = button(&question, "Unlink");
    let reply = setup.press("harah", &question, &unlink).await;
    assert_description(&reply["message"], "is not linked to you any more");
    assert_eq!(reply["message"]["components"], json!([]));
    setup.until_roles("harah", &[]).await;
    assert_eq!(setup.profile_wallet("harah").await, None);
    let identity = setup.identity("harah").await.unwrap();
    assert!(!identity.holds(address_of(&setup.key)));
    let removed = identity.wallets[0].removed_reason.as_deref();
    assert_eq!(removed, Some("unlinked by the member with /verify unlink"));

    // A second press changes nothing, and the wallet can be linked again by a new signature.
    let again = setup.press("harah", &question, &unlink).await;
    assert_description(&again["message"], "is not linked to you any more");
    setup.verify("harah", &setup.key).await;
    setup.until_roles("harah", &["fedaykin"]).await;
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_wallet_stays_and_a_member_without_one_is_refused() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let platform = &setup.platform;
    let id = platform.run_command("harah", "verify unlink", json!({})).await;
    assert_refusal(&platform.control.answered(&id).await["message"], "No wallet is linked");
    setup.hold("harah").await;
    platform.delete_cooldowns();
    let id = platform.run_command("harah", "verify unlink", json!({})).await;
    let question = platform.control.answered(&id).await["message"].clone();
    let reply = setup.press("harah", &question, &button(&question, "Keep")).await;
    assert_description(&reply["message"], "Nothing was changed");
    assert!(setup.identity("harah").await.unwrap().holds(address_of(&setup.key)));
    setup.platform.vhost.finish().await;
}
