use arrakis_contracts::servers::{IdKind, RestorePreview, Restored};
use arrakis_db::ApiKeyScope::{self, ServersRead, ServersWrite};
use arrakis_db::{
    CheckpointPurpose, CommunityId, JobState, MAX_CHECKPOINTS, NewCheckpoint, PostKind, ServerNames, TenantTx, UserId,
};
use arrakis_domain::{Plan, RoleId, RoleKey, RuleSetId, ThemeId};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{audit, lists};
use crate::support::TestApi;

const PATH: &str = "/admin/servers/100/checkpoints";

fn key(key: &str) -> RoleKey {
    RoleKey::new(key).unwrap()
}

/// A community with bindings, a gate, a welcome channel and posts, and its checkpoint for a teardown.
struct Torn {
    api: TestApi,
    community: CommunityId,
    key: String,
    checkpoint: String,
}

/// Roles of the server when the checkpoint was stored, and when it is restored.
const BEFORE: [(u64, &str); 3] = [(7, "The Naib"), (8, "Usul"), (9, "OG")];
const AFTER: [(u64, &str); 3] = [(17, "The Naib"), (18, "Usul"), (19, "OG")];

impl Torn {
    async fn down() -> Self {
        let api = TestApi::start().await;
        let community = api.community(100).await;
        let mut tx = api.database.tenant(community).await.unwrap();
        for (role, id) in [("naib", 7), ("usul", 8)] {
            tx.communities().bind_role(&key(role), RoleId(id)).await.unwrap();
        }
        tx.communities().set_welcome_channel(Some(121)).await.unwrap();
        let (gate, tier) = ("leaderboard".parse().unwrap(), "naib".parse().unwrap());
        tx.feature_gates()
            .set(&gate, &tier, UserId::new(7).unwrap())
            .await
            .unwrap();
        tx.posts().set_enabled(PostKind::Arrivals, false).await.unwrap();
        tx.manifests()
            .put(&json!({"theme": "sietch", "roles": {"engaged": 9}}), "7")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let scopes: [ApiKeyScope; 2] = [ServersRead, ServersWrite];
        let key = api.key(Some(community), &scopes).await;
        let mut server = lists(&BEFORE);
        server["channels"][1]["id"] = json!("121");
        let body = json!({"request_id": Uuid::now_v7(), "purpose": "teardown", "server": server});
        let created = api.post_as(&key, PATH, &body).await.ok();
        let checkpoint = created["checkpoint"]["id"].as_str().unwrap().to_owned();
        Self {
            api,
            community,
            key,
            checkpoint,
        }
    }

    async fn tx(&self) -> TenantTx {
        self.api.database.tenant(self.community).await.unwrap()
    }

    async fn preview(&self, server: &Value) -> RestorePreview {
        let path = format!("{PATH}/{}/preview", self.checkpoint);
        let answer = self.api.post_as(&self.key, &path, &json!({"server": server})).await;
        serde_json::from_value(answer.ok()).unwrap()
    }

    async fn restore(&self, checkpoint: &str, server: &Value) -> Restored {
        let body = json!({"request_id": Uuid::now_v7(), "server": server, "reason": "back again"});
        let path = format!("{PATH}/{checkpoint}/restore");
        serde_json::from_value(self.api.post_as(&self.key, &path, &body).await.ok()).unwrap()
    }

    async fn bindings(&self) -> Vec<(String, u64)> {
        let bound = self.tx().await.communities().role_bindings().await.unwrap();
        bound.iter().map(|(key, role)| (key.to_string(), role.0)).collect()
    }
}

fn bound(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(key, id)| ((*key).to_owned(), *id)).collect()
}

#[tokio::test]
async fn ids_are_mapped_by_name_and_members_are_synced_after_the_missing_roles_are_created() {
    let torn = Torn::down().await;
    let server = lists(&AFTER);
    let preview = torn.preview(&server).await;
    let mapped: Vec<_> = preview
        .changes
        .mapped
        .iter()
        .map(|mapped| (mapped.field.as_str(), mapped.name.as_str(), mapped.after.as_str()))
        .collect();
    let expected = [
        ("roles.naib", "The Naib", "17"),
        ("roles.usul", "Usul", "18"),
        ("welcome_channel", "welcome", "21"),
        ("manifest.roles.engaged", "OG", "19"),
    ];
    assert_eq!(mapped, expected);
    assert!(
        preview.changes.unmapped.is_empty() && preview.obstacles.is_empty(),
        "{preview:?}"
    );
    // A preview changes nothing.
    assert_eq!(torn.bindings().await, bound(&[("naib", 7), ("usul", 8)]));
    let restored = torn.restore(&torn.checkpoint, &server).await;
    assert_eq!(restored.changes, preview.changes);
    assert!(restored.unfrozen && !restored.repeated);
    assert_eq!(torn.bindings().await, bound(&[("naib", 17), ("usul", 18)]));
    let mut tx = torn.tx().await;
    let record = tx.communities().get().await.unwrap().unwrap();
    assert_eq!((record.frozen, record.welcome_channel), (None, Some(21)));
    let manifest = tx.manifests().latest().await.unwrap().unwrap();
    assert_eq!(manifest.manifest["roles"], json!({"engaged": 19}));
    // The other roles of the theme do not exist: a synthesis creates and binds them, and then the tier sync begins.
    let [synthesis] = restored.jobs.as_slice() else {
        panic!("{:?}", restored.jobs)
    };
    let job = tx.jobs().get(synthesis).await.unwrap().unwrap();
    assert_eq!((job.kind.as_str(), job.state), ("synthesis", JobState::Queued));
    let tier_sync = job.payload["tier_sync"].as_str().unwrap().to_owned();
    let job = tx.jobs().get(&tier_sync).await.unwrap().unwrap();
    assert_eq!(job.payload, json!({"retired": {}}));
    assert!(job.due_at > OffsetDateTime::now_utc());
    let entries = audit(&torn.api, torn.community).await;
    let entry = entries
        .iter()
        .find(|entry| entry.action == "checkpoints.restore")
        .unwrap();
    assert_eq!(
        (entry.subject.as_str(), entry.reason.as_deref()),
        (torn.checkpoint.as_str(), Some("back again"))
    );
}

#[tokio::test]
async fn what_cannot_be_mapped_is_named_and_the_rest_is_restored() {
    let torn = Torn::down().await;
    let server = lists(&[(17, "The Naib"), (18, "Usul"), (28, "Usul")]);
    let restored = torn.restore(&torn.checkpoint, &server).await;
    let unmapped: Vec<_> = restored
        .changes
        .unmapped
        .iter()
        .map(|unmapped| (unmapped.kind, unmapped.field.as_str(), unmapped.reason.as_str()))
        .collect();
    let expected = [
        (
            IdKind::Role,
            "roles.usul",
            "the server has 2 roles of the name \"Usul\"",
        ),
        (IdKind::Role, "manifest.roles.engaged", "the server has no role \"OG\""),
    ];
    assert_eq!(unmapped, expected);
    assert_eq!(torn.bindings().await, bound(&[("naib", 17)]));
    let entries = audit(&torn.api, torn.community).await;
    let entry = entries
        .iter()
        .find(|entry| entry.action == "checkpoints.restore")
        .unwrap();
    assert_eq!(entry.detail["unmapped"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn takeover_with_a_reason_like_that_of_a_teardown_stays() {
    let torn = Torn::down().await;
    let admin = UserId::new(7).unwrap();
    let reason = format!("{} without consent", arrakis_db::TEARDOWN_FREEZE);
    let mut tx = torn.tx().await;
    tx.communities().take_over(admin, &reason).await.unwrap();
    tx.commit().await.unwrap();
    let restored = torn.restore(&torn.checkpoint, &lists(&AFTER)).await;
    assert!(!restored.unfrozen);
    let notes = &restored.changes.notes;
    assert!(notes.iter().any(|note| note.contains("stays frozen")), "{notes:?}");
    let record = torn.tx().await.communities().get().await.unwrap().unwrap();
    assert_eq!(
        (record.frozen.map(|frozen| frozen.reason), record.controlled_by),
        (Some(reason), Some(admin))
    );
}

#[tokio::test]
async fn role_that_exists_keeps_its_key_when_it_has_the_name_of_a_deleted_one() {
    let torn = Torn::down().await;
    let server = lists(&[(8, "The Naib"), (9, "OG")]);
    let restored = torn.restore(&torn.checkpoint, &server).await;
    assert_eq!(torn.bindings().await, bound(&[("usul", 8)]));
    let unmapped: Vec<_> = restored
        .changes
        .unmapped
        .iter()
        .map(|unmapped| (unmapped.field.as_str(), unmapped.reason.as_str()))
        .collect();
    assert_eq!(unmapped, [("roles.naib", "the role is bound to usul already")]);
}

#[tokio::test]
async fn role_with_powers_that_the_theme_does_not_give_is_not_taken_by_its_name() {
    let torn = Torn::down().await;
    let mut server = lists(&AFTER);
    // The theme makes a Naib an administrator, and gives the others nothing. MANAGE_ROLES for Usul, BAN_MEMBERS for OG.
    for (place, permissions) in [(1, "8"), (2, "268435456"), (3, "4")] {
        server["roles"][place]["permissions"] = json!(permissions);
    }
    let restored = torn.restore(&torn.checkpoint, &server).await;
    assert_eq!(torn.bindings().await, bound(&[("naib", 17)]));
    let unmapped: Vec<_> = restored
        .changes
        .unmapped
        .iter()
        .map(|unmapped| (unmapped.field.as_str(), unmapped.reason.rsplit(' ').next().unwrap()))
        .collect();
    let expected = [
        ("roles.usul", "MANAGE_ROLES"),
        ("manifest.roles.engaged", "BAN_MEMBERS"),
    ];
    assert_eq!(unmapped, expected);
    let manifest = torn.tx().await.manifests().latest().await.unwrap().unwrap();
    assert_eq!(manifest.manifest["roles"], json!({}));
}

#[tokio::test]
async fn repeated_request_restores_nothing_a_second_time() {
    let torn = Torn::down().await;
    let body = json!({"request_id": Uuid::now_v7(), "server": lists(&AFTER)});
    let path = format!("{PATH}/{}/restore", torn.checkpoint);
    let first: Restored = serde_json::from_value(torn.api.post_as(&torn.key, &path, &body).await.ok()).unwrap();
    let mut tx = torn.tx().await;
    tx.communities().bind_role(&key("naib"), RoleId(99)).await.unwrap();
    tx.commit().await.unwrap();
    let again: Restored = serde_json::from_value(torn.api.post_as(&torn.key, &path, &body).await.ok()).unwrap();
    assert!(again.repeated);
    assert_eq!(
        (again.undo_checkpoint, &again.jobs),
        (first.undo_checkpoint, &first.jobs)
    );
    assert!(torn.bindings().await.contains(&("naib".to_owned(), 99)));
    // The id belongs to the restore of that checkpoint.
    let path = format!("{PATH}/{}/restore", first.undo_checkpoint);
    torn.api
        .post_as(&torn.key, &path, &body)
        .await
        .assert_problem(409, "request-conflict");
}

#[tokio::test]
async fn restore_of_the_checkpoint_of_a_restore_undoes_it() {
    let torn = Torn::down().await;
    let (api, path) = (&torn.api, format!("{PATH}/{}/restore", torn.checkpoint));
    let mut tx = torn.tx().await;
    let (theme, rules) = (ThemeId::new("basic").unwrap(), RuleSetId::new("ranked").unwrap());
    tx.communities().set_theme(&theme, Plan::Free, &rules).await.unwrap();
    let (gate, tier) = ("stats".parse().unwrap(), "gold".parse().unwrap());
    tx.feature_gates()
        .set(&gate, &tier, UserId::new(7).unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let restored = torn.restore(&torn.checkpoint, &lists(&AFTER)).await;
    let record = async || torn.tx().await.communities().get().await.unwrap().unwrap();
    assert_eq!(record().await.theme.as_str(), "sietch");
    let field = |field: &str| {
        let found = restored.changes.changes.iter().find(|change| change.field == field);
        let found = found.unwrap_or_else(|| panic!("{field} is not in {:?}", restored.changes.changes));
        (found.before.clone(), found.after.clone())
    };
    assert_eq!(field("theme"), (Some("basic".to_owned()), Some("sietch".to_owned())));
    assert_eq!(field("gates.stats"), (Some("gold".to_owned()), None));
    torn.restore(&restored.undo_checkpoint.to_string(), &lists(&AFTER))
        .await;
    let undone = record().await;
    assert_eq!(undone.theme.as_str(), "basic");
    let gates: Vec<_> = undone
        .gates
        .iter()
        .map(|(gate, tier)| (gate.as_str(), tier.as_str()))
        .collect();
    assert_eq!(gates, [("leaderboard", "naib"), ("stats", "gold")]);
    // With the free plan the theme of the checkpoint is refused, and nothing changes.
    let mut tx = torn.tx().await;
    tx.communities().set_plan(Plan::Free, Plan::Free, None).await.unwrap();
    tx.commit().await.unwrap();
    let body = json!({"request_id": Uuid::now_v7(), "server": lists(&AFTER)});
    let refused = api.post_as(&torn.key, &path, &body).await;
    let problem = refused.assert_problem(409, "restore-refused");
    assert!(problem["detail"].as_str().unwrap().contains("premium"), "{problem}");
    assert_eq!(torn.preview(&lists(&AFTER)).await.obstacles.len(), 1);
    assert_eq!(record().await.theme.as_str(), "basic");
}

#[tokio::test]
async fn deleted_roles_leave_the_state_of_the_server_unless_a_job_holds_it() {
    let torn = Torn::down().await;
    let state = json!({
        "version": 1, "serial": 4, "lineage": "x", "guild_id": "100000000000000100",
        "resources": {
            "role.naib": {"id": "100000000000000007", "attributes": {"resource": "role", "name": "The Naib"}},
            "channel.census": {"id": "100000000000000020", "attributes": {"resource": "channel", "kind": "text", "name": "census"}},
        },
    });
    let job = arrakis_db::StateHolder {
        job: "synthesis:x",
        attempt: 1,
    };
    let now = OffsetDateTime::now_utc();
    let until = now + time::Duration::MINUTE;
    let mut tx = torn.tx().await;
    tx.server_state().hold(job, now, until).await.unwrap();
    tx.server_state().write(job, &state, until).await.unwrap();
    tx.commit().await.unwrap();
    let mut server = lists(&AFTER);
    server["channels"][0]["id"] = json!("100000000000000020");
    let body = json!({"request_id": Uuid::now_v7(), "server": server});
    let path = format!("{PATH}/{}/restore", torn.checkpoint);
    let busy = torn.api.post_as(&torn.key, &path, &body).await;
    busy.assert_problem(409, "server-busy");
    assert_eq!(torn.bindings().await, bound(&[("naib", 7), ("usul", 8)]));
    let mut tx = torn.tx().await;
    tx.server_state().release(job).await.unwrap();
    tx.commit().await.unwrap();
    torn.api.post_as(&torn.key, &path, &body).await.ok();
    let stored = torn.tx().await.server_state().get().await.unwrap().unwrap();
    let addresses: Vec<_> = stored["resources"].as_object().unwrap().keys().collect();
    assert_eq!(addresses, ["channel.census"]);
    assert_eq!(stored["serial"], 5);
}

#[tokio::test]
async fn restore_makes_room_for_its_undo_checkpoint_and_a_teardown_is_not_blocked_by_such_checkpoints() {
    let torn = Torn::down().await;
    let now = OffsetDateTime::now_utc();
    let mut tx = torn.tx().await;
    let record = tx.communities().get().await.unwrap().unwrap();
    let content = tx.configuration(&record, None, &ServerNames::default()).await.unwrap();
    for (purpose, first) in [(CheckpointPurpose::Restore, 1_000), (CheckpointPurpose::Manual, 2_000)] {
        for place in 0..MAX_CHECKPOINTS {
            let id = Uuid::from_u128(u128::from(first + place));
            let new = NewCheckpoint {
                id,
                request: id,
                purpose,
                reason: None,
                by: "stilgar",
                at: now - time::Duration::HOUR + time::Duration::seconds(place.into()),
                content: &content,
            };
            tx.checkpoints().create(&new).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    let new = |purpose: &str| json!({"request_id": Uuid::now_v7(), "purpose": purpose, "server": lists(&AFTER)});
    let refused = torn.api.post_as(&torn.key, PATH, &new("manual")).await;
    refused.assert_problem(429, "usage-limit");
    torn.api.post_as(&torn.key, PATH, &new("teardown")).await.ok();

    let restored = torn.restore(&torn.checkpoint, &lists(&AFTER)).await;
    // The oldest one is the one to restore, and stays.
    let oldest = Uuid::from_u128(1_001);
    torn.restore(&oldest.to_string(), &lists(&AFTER)).await;
    let left = torn.tx().await.checkpoints().list(now).await.unwrap();
    let undo: Vec<Uuid> = left
        .iter()
        .filter(|left| left.purpose == CheckpointPurpose::Restore)
        .map(|left| left.id)
        .collect();
    assert!(undo.contains(&restored.undo_checkpoint), "{undo:?}");
    assert!(
        undo.contains(&oldest) && !undo.contains(&Uuid::from_u128(1_000)),
        "{undo:?}"
    );
    let limit = usize::try_from(MAX_CHECKPOINTS).unwrap();
    assert!((limit..=limit + 1).contains(&undo.len()), "{}", undo.len());
    let entries = audit(&torn.api, torn.community).await;
    let mut discarded = entries
        .iter()
        .filter(|entry| entry.action == "checkpoints.restore")
        .map(|entry| &entry.detail["discarded_checkpoints"]);
    assert_eq!(discarded.next_back(), Some(&json!([Uuid::from_u128(1_000)])));
}
