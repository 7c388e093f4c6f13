//! Checkpoints of a community's configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrakis_db::{
    CHECKPOINT_KEPT, CheckpointPurpose, CommunityConfiguration, NewCheckpoint, PostKind, ServerNames, StoredCheckpoint,
    StoredRestore, TenantTx,
};
use arrakis_domain::{RoleBindings, RoleId, RoleKey, Theme};
use arrakis_themes::Registry;
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::fixtures::{connect, one_community, run, set_tenant, user};

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn sietch() -> Arc<Theme> {
    Registry::load(None).unwrap().theme("sietch").unwrap().clone()
}

fn key(key: &str) -> RoleKey {
    RoleKey::new(key).unwrap()
}

async fn configuration(tx: &mut TenantTx) -> CommunityConfiguration {
    let record = tx.communities().get().await.unwrap().unwrap();
    let names = ServerNames {
        roles: BTreeMap::from([(5, "The Naib".to_owned())]),
        channels: BTreeMap::from([(9, "welcome".to_owned())]),
    };
    tx.configuration(&record, Some(&sietch()), &names).await.unwrap()
}

fn new(content: &CommunityConfiguration, id: u128, at: OffsetDateTime) -> NewCheckpoint<'_> {
    NewCheckpoint {
        id: Uuid::from_u128(id),
        request: Uuid::from_u128(id + 1_000),
        purpose: CheckpointPurpose::Teardown,
        reason: Some("a new beginning"),
        by: "stilgar",
        at,
        content,
    }
}

#[tokio::test]
async fn configuration_has_what_a_community_chose() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut settings = tx.communities();
    settings.bind_role(&key("naib"), RoleId(5)).await.unwrap();
    settings.bind_role(&key("usul"), RoleId(6)).await.unwrap();
    settings.set_welcome_channel(Some(9)).await.unwrap();
    let (gate, tier) = ("leaderboard".parse().unwrap(), "naib".parse().unwrap());
    tx.feature_gates().set(&gate, &tier, user(7)).await.unwrap();
    tx.posts().set_enabled(PostKind::Digest, false).await.unwrap();
    tx.manifests()
        .put(&json!({"theme": "sietch", "roles": {"naib": 5}}), "7")
        .await
        .unwrap();
    let found = configuration(&mut tx).await;
    assert_eq!((found.theme.as_str(), found.rule_set.as_str()), ("sietch", "balance"));
    assert_eq!(found.theme_version, Some(sietch().version.clone()));
    assert_eq!(found.tiers.len(), 9);
    assert_eq!(found.tiers[0].ranks.as_deref(), Some("1-7"));
    assert_eq!(found.tiers[8].minimum.as_deref(), Some("6.9"));
    assert_eq!(found.token_profile.id.as_str(), "bgt");
    let roles: Vec<_> = found.roles.iter().map(|role| (role.id, role.name.as_deref())).collect();
    // The name of the server, and where that is not known, the theme's.
    assert_eq!(roles, [(5, Some("The Naib")), (6, Some("Usul"))]);
    assert_eq!(found.welcome_channel.as_ref().unwrap().name.as_deref(), Some("welcome"));
    assert_eq!((found.gates.len(), found.gates[0].set_by), (1, 7));
    let digest = found.posts.iter().find(|post| post.post == "digest").unwrap();
    assert!(!digest.enabled);
    assert_eq!(found.manifest_roles[0].name.as_deref(), Some("The Naib"));
    assert_eq!(CommunityConfiguration::from_json(&found.to_json()), Ok(found));
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn checkpoint_is_stored_once_for_a_request_and_expires() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let content = configuration(&mut tx).await;
    let first = tx.checkpoints().create(&new(&content, 1, NOON)).await.unwrap();
    let repeated = NewCheckpoint {
        id: Uuid::from_u128(2),
        ..new(&content, 1, NOON + Duration::hours(1))
    };
    assert_eq!(tx.checkpoints().create(&repeated).await.unwrap(), first);
    let second = tx
        .checkpoints()
        .create(&new(&content, 3, NOON + Duration::days(1)))
        .await
        .unwrap();
    assert_eq!(first.expires_at, NOON + CHECKPOINT_KEPT);
    let listed = tx.checkpoints().list(NOON + Duration::days(2)).await.unwrap();
    assert_eq!(listed, [second.clone(), first.clone()]);
    let found = tx.checkpoints().get(first.id, NOON).await.unwrap().unwrap();
    assert_eq!(found, StoredCheckpoint::Intact(first.clone(), Box::new(content)));

    let at_end = NOON + CHECKPOINT_KEPT;
    assert_eq!(tx.checkpoints().get(first.id, at_end).await.unwrap(), None);
    assert_eq!(
        tx.checkpoints().list(at_end).await.unwrap(),
        *std::slice::from_ref(&second)
    );
    let restore = StoredRestore {
        checkpoint: first.id,
        restored_at: NOON,
        result: json!({"changes": []}),
    };
    let request = Uuid::from_u128(9);
    tx.checkpoints()
        .record_restore(request, "stilgar", &restore)
        .await
        .unwrap();
    assert_eq!(
        tx.checkpoints().restore_of_request(request).await.unwrap(),
        Some(restore)
    );
    assert_eq!(tx.checkpoints().prune(at_end).await.unwrap(), [first.id]);
    assert_eq!(tx.checkpoints().restore_of_request(request).await.unwrap(), None);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn altered_checkpoint_is_unusable() {
    let (test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let content = configuration(&mut tx).await;
    let stored = tx.checkpoints().create(&new(&content, 1, NOON)).await.unwrap();
    tx.commit().await.unwrap();
    let mut owner = connect(&test.owner_url()).await;
    set_tenant(&mut owner, Some(community)).await;
    for (sql, reason) in [
        (
            "update checkpoints set content = replace(content, 'balance', 'ranked')",
            "checksum",
        ),
        (
            "update checkpoints set content = '{\"version\":9}', checksum = sha256('{\"version\":9}')",
            "version 9",
        ),
    ] {
        assert_eq!(run(&mut owner, sql).await, Ok(1));
        let mut tx = database.tenant(community).await.unwrap();
        let found = tx.checkpoints().get(stored.id, NOON).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let StoredCheckpoint::Unusable(_, why) = found else {
            panic!("{found:?}")
        };
        assert!(why.contains(reason), "{why}");
    }
}

#[tokio::test]
async fn role_bindings_are_replaced_also_when_two_roles_change_places() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let before = RoleBindings::from([
        (key("naib"), RoleId(1)),
        (key("usul"), RoleId(2)),
        (key("hajra"), RoleId(3)),
    ]);
    assert_eq!(tx.replace_role_bindings(&before).await.unwrap(), 3);
    let after = RoleBindings::from([(key("naib"), RoleId(2)), (key("usul"), RoleId(1))]);
    assert_eq!(tx.replace_role_bindings(&after).await.unwrap(), 3);
    assert_eq!(tx.communities().role_bindings().await.unwrap(), after);
    assert_eq!(tx.replace_role_bindings(&after).await.unwrap(), 0);
    tx.rollback().await.unwrap();
}
