//! Routes, settings, the inbox and the audit logs.

use arrakis_db::{Actor, GuildId, NewAuditEntry};
use arrakis_domain::{RoleId, RoleKey, RuleSetId, ThemeId};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::fixtures::{onboard, one_community, user};

#[tokio::test]
async fn guild_has_one_community() {
    let (test, database, community) = one_community().await;
    let guild = GuildId::new(100).unwrap();
    assert_eq!(database.route(guild).await.unwrap(), Some(community));
    assert_eq!(database.route(GuildId::new(999).unwrap()).await.unwrap(), None);
    let other = onboard(&database, 200).await;
    let mut routes = vec![(guild, community), (GuildId::new(200).unwrap(), other)];
    routes.sort_by_key(|(_, community)| *community);
    assert_eq!(database.routes().await.unwrap(), routes);

    let mut tx = database.tenant(community).await.unwrap();
    let mut settings = tx.communities().get().await.unwrap().unwrap();
    assert_eq!(
        (settings.id, settings.guild, settings.frozen.take()),
        (community, guild, None)
    );
    let mut again = database.tenant(arrakis_db::CommunityId::new()).await.unwrap();
    let new = arrakis_db::NewCommunity {
        guild,
        name: settings.name,
        theme: settings.theme,
        rule_set: settings.rule_set,
        plan: settings.plan,
        token_profile: settings.token_profile,
    };
    let taken = again.communities().create(&new).await.unwrap_err();
    assert!(taken.violates("guild_routes_pkey"), "{taken}");
    drop((tx, again));
    assert_eq!(test.admin().await.communities().await.unwrap().len(), 2);
}

#[tokio::test]
async fn freeze_of_a_missing_community_is_an_error() {
    let (_test, database, _) = one_community().await;
    let mut tx = database.tenant(arrakis_db::CommunityId::new()).await.unwrap();
    let mut settings = tx.communities();
    settings.set_frozen(Some("an incident")).await.unwrap_err();
    settings
        .set_theme(&ThemeId::new("basic").unwrap(), &RuleSetId::new("ranked").unwrap())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn settings_and_role_bindings_are_stored() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut settings = tx.communities();
    settings
        .set_theme(&ThemeId::new("basic").unwrap(), &RuleSetId::new("ranked").unwrap())
        .await
        .unwrap();
    settings.set_frozen(Some("an incident")).await.unwrap();
    settings.set_welcome_channel(Some(7)).await.unwrap();
    let frozen = settings.get().await.unwrap().unwrap();
    assert_eq!((frozen.theme.as_str(), frozen.rule_set.as_str()), ("basic", "ranked"));
    assert_eq!(frozen.welcome_channel, Some(7));
    assert_eq!(frozen.frozen.unwrap().reason, "an incident");
    settings.set_frozen(None).await.unwrap();
    assert_eq!(settings.get().await.unwrap().unwrap().frozen, None);

    let (naib, hajra) = (RoleKey::new("naib").unwrap(), RoleKey::new("hajra").unwrap());
    settings.bind_role(&naib, RoleId(1)).await.unwrap();
    settings.bind_role(&hajra, RoleId(2)).await.unwrap();
    settings.bind_role(&naib, RoleId(3)).await.unwrap();
    let bound = settings.role_bindings().await.unwrap();
    assert_eq!(
        bound.into_iter().collect::<Vec<_>>(),
        [(hajra, RoleId(2)), (naib.clone(), RoleId(3))]
    );
    assert!(settings.unbind_role(RoleId(2)).await.unwrap());
    assert!(!settings.unbind_role(RoleId(2)).await.unwrap());
    let stolen = settings
        .bind_role(&RoleKey::new("usul").unwrap(), RoleId(3))
        .await
        .unwrap_err();
    assert!(
        stolen.violates("role_bindings_community_id_discord_role_id_key"),
        "{stolen}"
    );
}

#[tokio::test]
async fn claim_commits_with_its_effect_or_not_at_all() {
    let (_test, database, community) = one_community().await;
    // Given up: the effect did not happen, so the event is new again.
    let mut tx = database.tenant(community).await.unwrap();
    assert!(tx.claim("77").await.unwrap());
    assert!(!tx.claim("77").await.unwrap());
    drop(tx);
    let mut tx = database.tenant(community).await.unwrap();
    assert!(tx.claim("77").await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    assert!(!tx.claim("77").await.unwrap());
    // The same id is another community's own affair, and the platform's.
    let other = onboard(&database, 200).await;
    assert!(database.tenant(other).await.unwrap().claim("77").await.unwrap());
    let mut platform = database.global().await.unwrap();
    assert!(platform.claim("77").await.unwrap());
    assert!(!platform.claim("77").await.unwrap());

    let now = OffsetDateTime::now_utc();
    assert_eq!(tx.prune_claims(now - Duration::days(8)).await.unwrap(), 0);
    assert_eq!(tx.prune_claims(now + Duration::days(1)).await.unwrap(), 1);
    assert_eq!(platform.prune_claims(now + Duration::days(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn second_claim_waits_for_the_first_transaction() {
    let (_test, database, community) = one_community().await;
    for commits in [true, false] {
        let event = format!("commits:{commits}");
        let mut first = database.tenant(community).await.unwrap();
        assert!(first.claim(&event).await.unwrap());
        let second = {
            let (database, event) = (database.clone(), event.clone());
            tokio::spawn(async move { database.tenant(community).await.unwrap().claim(&event).await.unwrap() })
        };
        if commits {
            first.commit().await.unwrap();
        } else {
            first.rollback().await.unwrap();
        }
        assert_eq!(second.await.unwrap(), !commits, "the first one commits: {commits}");
    }
}

#[tokio::test]
async fn audit_log_keeps_actor_action_and_reason() {
    let (_test, database, community) = one_community().await;
    let entry = NewAuditEntry {
        actor: Actor::Member(user(7)),
        action: "badge.revoke",
        subject: "8",
        reason: Some("given in error"),
        detail: json!({"badge": "contributor"}),
    };
    let mut tx = database.tenant(community).await.unwrap();
    tx.audit(&entry).await.unwrap();
    let later = NewAuditEntry {
        actor: Actor::System("tier-sync".into()),
        reason: None,
        ..entry.clone()
    };
    tx.audit(&later).await.unwrap();
    let read = tx.audit_entries(10).await.unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((&read[0].actor, &read[1].actor), (&later.actor, &entry.actor));
    assert_eq!(
        (read[1].reason.as_deref(), &read[1].detail),
        (entry.reason, &entry.detail)
    );
    let badly_named = NewAuditEntry {
        action: "Badge Revoke",
        ..entry
    };
    assert!(
        tx.audit(&badly_named)
            .await
            .unwrap_err()
            .violates("audit_log_action_check")
    );

    let mut platform = database.global().await.unwrap();
    platform.audit(&later).await.unwrap();
    platform.commit().await.unwrap();
}
