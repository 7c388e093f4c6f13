use arrakis_db::ApiKeyScope::{PlansWrite, ServersRead, ServersWrite};
use serde_json::{Value, json};

use super::audit;
use crate::support::TestApi;

const PATH: &str = "/admin/servers/100/plan";

#[tokio::test]
async fn plan_is_set_with_a_grace_period_for_the_theme_and_an_audit_entry() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let key = api.key(None, &[PlansWrite, ServersRead]).await;
    let read = api.get_as(&key, PATH).await.ok();
    assert_eq!(
        (&read["plan"], &read["theme"], &read["theme_until"], &read["frozen"]),
        (&json!("premium"), &json!("sietch"), &Value::Null, &Value::Null)
    );
    let body = json!({"plan": "free", "reason": "the trial ended", "grace_days": 7});
    let set = api.put_as(&key, PATH, &body).await.ok();
    assert_eq!(set["plan"], "free");
    let until = set["theme_until"].as_str().unwrap().to_owned();
    // Repeated, it does not extend the grace period.
    let again = api.put_as(&key, PATH, &json!({"plan": "free"})).await.ok();
    assert_eq!(again["theme_until"], json!(until));
    let mut tx = api.database.tenant(community).await.unwrap();
    let stored = tx.communities().get().await.unwrap().unwrap();
    let ends = stored.theme_grace_until.unwrap().unix_timestamp();
    let messages = tx.jobs().get(&format!("theme-grace:{ends}:begun")).await.unwrap();
    assert_eq!(messages.unwrap().kind, "reconcile");
    tx.commit().await.unwrap();
    let entries = audit(&api, community).await;
    let entry = entries.iter().find(|entry| entry.reason.is_some()).unwrap();
    assert_eq!(
        (entry.action.as_str(), entry.subject.as_str()),
        ("community.plan", "free")
    );
    assert_eq!(entry.detail["before"], "premium");
    assert_eq!(entry.reason.as_deref(), Some("the trial ended"));
    let back = api.put_as(&key, PATH, &json!({"plan": "premium"})).await.ok();
    assert_eq!(back["theme_until"], Value::Null);
    let mut tx = api.database.tenant(community).await.unwrap();
    let stored = tx.communities().get().await.unwrap().unwrap();
    assert_eq!(stored.plan.as_str(), "premium");
}

#[tokio::test]
async fn community_reads_its_own_plan_only_and_sets_none() {
    let api = TestApi::start().await;
    let (own, _) = (api.community(100).await, api.community(200).await);
    let key = api.key(Some(own), &[ServersRead, ServersWrite]).await;
    assert_eq!(api.get_as(&key, PATH).await.ok()["guild_id"], "100");
    for guild in [200, 300] {
        let path = format!("/admin/servers/{guild}/plan");
        api.get_as(&key, &path).await.assert_problem(404, "unknown-server");
    }
    let refused = api.put_as(&key, PATH, &json!({"plan": "premium"})).await;
    let problem = refused.assert_problem(403, "missing-scope");
    assert!(
        problem["detail"].as_str().unwrap().contains("--all-communities"),
        "{problem}"
    );
}

#[tokio::test]
async fn invalid_bodies_are_refused_with_the_field() {
    let api = TestApi::start().await;
    api.community(100).await;
    let key = api.key(None, &[PlansWrite]).await;
    for (body, field) in [
        (json!({"plan": "gold"}), "plan"),
        (json!({"plan": "free", "grace_days": 367}), "grace_days"),
        (json!({"plan": "free", "reason": " "}), "reason"),
        (json!({"plan": "free", "until": 1}), "until"),
    ] {
        let problem = api.put_as(&key, PATH, &body).await.assert_problem(400, "invalid-body");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
    }
}
