//! Routes, settings, the inbox and the audit logs.

use arrakis_db::{Actor, CommunityId, GuildId, NewAuditEntry, NewCommunity, PLAN_CONSTRAINT};
use arrakis_domain::{GateKey, Plan, RoleId, RoleKey, RuleSetId, ThemeId, TierId, TierRoles};
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
        theme_plan: Plan::Premium,
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
        .set_theme(
            &ThemeId::new("basic").unwrap(),
            Plan::Free,
            &RuleSetId::new("ranked").unwrap(),
        )
        .await
        .unwrap_err();
}

#[tokio::test]
async fn settings_and_role_bindings_are_stored() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut settings = tx.communities();
    settings
        .set_theme(
            &ThemeId::new("basic").unwrap(),
            Plan::Free,
            &RuleSetId::new("ranked").unwrap(),
        )
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

#[tokio::test]
async fn free_plan_has_no_premium_theme_on_create_or_change() {
    let (_test, database, _) = one_community().await;
    let community = CommunityId::new();
    let (sietch, balance) = (ThemeId::new("sietch").unwrap(), RuleSetId::new("balance").unwrap());
    let mut new = NewCommunity {
        guild: GuildId::new(300).unwrap(),
        name: "A free community".to_owned(),
        theme: sietch.clone(),
        theme_plan: Plan::Premium,
        rule_set: balance.clone(),
        plan: Plan::Free,
        token_profile: crate::fixtures::token(),
    };
    let mut tx = database.tenant(community).await.unwrap();
    let refused = tx.communities().create(&new).await.unwrap_err();
    assert!(refused.violates(PLAN_CONSTRAINT), "{refused}");
    drop(tx);

    new.theme = ThemeId::new("basic").unwrap();
    new.theme_plan = Plan::Free;
    let mut tx = database.tenant(community).await.unwrap();
    tx.communities().create(&new).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    let refused = tx
        .communities()
        .set_theme(&sietch, Plan::Premium, &balance)
        .await
        .unwrap_err();
    assert!(refused.violates(PLAN_CONSTRAINT), "{refused}");
}

#[tokio::test]
async fn downgrade_keeps_a_premium_theme_for_a_grace_period_alone() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let refused = tx
        .communities()
        .set_plan(Plan::Free, Plan::Premium, None)
        .await
        .unwrap_err();
    assert!(refused.violates(PLAN_CONSTRAINT), "{refused}");
    drop(tx);

    let until = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
    let mut tx = database.tenant(community).await.unwrap();
    let mut settings = tx.communities();
    settings.set_plan(Plan::Free, Plan::Premium, Some(until)).await.unwrap();
    let stored = settings.get().await.unwrap().unwrap();
    assert_eq!((stored.plan, stored.theme_grace_until), (Plan::Free, Some(until)));
    let (basic, ranked) = (ThemeId::new("basic").unwrap(), RuleSetId::new("ranked").unwrap());
    settings.set_theme(&basic, Plan::Free, &ranked).await.unwrap();
    assert_eq!(settings.get().await.unwrap().unwrap().theme_grace_until, None);
}

#[tokio::test]
async fn gates_and_role_policy_are_read_with_the_community() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let settings = tx.communities().get().await.unwrap().unwrap();
    assert!(settings.gates.is_empty());
    assert_eq!(settings.tier_roles, None);

    let (key, usul, naib) = (
        GateKey::new("leaderboard").unwrap(),
        TierId::new("usul").unwrap(),
        TierId::new("naib").unwrap(),
    );
    let mut gates = tx.feature_gates();
    assert!(gates.set(&key, &usul, user(7)).await.unwrap());
    assert!(!gates.set(&key, &usul, user(8)).await.unwrap());
    assert!(gates.set(&key, &naib, user(8)).await.unwrap());
    assert!(
        gates
            .set(&GateKey::new("stats").unwrap(), &usul, user(7))
            .await
            .unwrap()
    );
    let mut settings = tx.communities();
    settings.set_tier_roles(Some(TierRoles::Cumulative)).await.unwrap();
    let stored = settings.get().await.unwrap().unwrap();
    assert_eq!(stored.tier_roles, Some(TierRoles::Cumulative));
    let read: Vec<(&str, &str)> = stored
        .gates
        .iter()
        .map(|(key, tier)| (key.as_str(), tier.as_str()))
        .collect();
    assert_eq!(read, [("leaderboard", "naib"), ("stats", "usul")]);

    assert!(tx.feature_gates().remove(&key).await.unwrap());
    assert!(!tx.feature_gates().remove(&key).await.unwrap());
    let mut settings = tx.communities();
    settings.set_tier_roles(None).await.unwrap();
    let stored = settings.get().await.unwrap().unwrap();
    assert_eq!((stored.gates.iter().count(), stored.tier_roles), (1, None));
}

#[tokio::test]
async fn takeover_ends_with_the_freeze() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut settings = tx.communities();
    settings.take_over(user(7), "stolen account").await.unwrap();
    let stored = settings.get().await.unwrap().unwrap();
    assert_eq!(stored.controlled_by, Some(user(7)));
    assert_eq!(stored.frozen.unwrap().reason, "stolen account");
    settings.set_frozen(Some("another reason")).await.unwrap();
    assert_eq!(settings.get().await.unwrap().unwrap().controlled_by, Some(user(7)));
    settings.set_frozen(None).await.unwrap();
    let stored = settings.get().await.unwrap().unwrap();
    assert_eq!((stored.controlled_by, stored.frozen), (None, None));
}

#[tokio::test]
async fn change_of_a_locked_community_waits_for_the_end_of_the_lock() {
    let (_test, database, community) = one_community().await;
    let mut first = database.tenant(community).await.unwrap();
    assert!(first.communities().lock().await.unwrap());
    let mut second = std::pin::pin!(async {
        let mut tx = database.tenant(community).await.unwrap();
        tx.communities().set_frozen(Some("later")).await.unwrap();
        tx.commit().await.unwrap();
    });
    let limit = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(limit, &mut second).await.is_err(), "it is locked");
    first.commit().await.unwrap();
    second.await;
    let mut tx = database.tenant(community).await.unwrap();
    assert!(tx.communities().get().await.unwrap().unwrap().frozen.is_some());

    let mut unknown = database.tenant(arrakis_db::CommunityId::new()).await.unwrap();
    assert!(!unknown.communities().lock().await.unwrap());
}
