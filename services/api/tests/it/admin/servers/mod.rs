//! Routes of servers.

mod checkpoints;
mod mfa;
mod plan;
mod restore;
mod usage;

use arrakis_db::{AuditEntry, CommunityId};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::support::TestApi;

/// The lists of the server 100: @everyone and these roles, a channel `census` and a channel `welcome`.
pub(crate) fn lists(roles: &[(u64, &str)]) -> Value {
    let mut listed = vec![json!({"id": "100", "name": "@everyone"})];
    listed.extend(
        roles
            .iter()
            .map(|(id, name)| json!({"id": id.to_string(), "name": name})),
    );
    json!({"roles": listed, "channels": [{"id": "20", "name": "census"}, {"id": "21", "name": "welcome"}]})
}

/// Alters the stored content of every checkpoint, as only the owner of the database can.
pub(crate) async fn alter_checkpoints(api: &TestApi, community: CommunityId) {
    let mut owner = PgConnection::connect(&api.test_database.owner_url()).await.unwrap();
    sqlx::query("select set_config('app.current_tenant', $1, false)")
        .bind(community.to_string())
        .execute(&mut owner)
        .await
        .unwrap();
    let altered = sqlx::query("update checkpoints set content = replace(content, 'sietch', 'basic')")
        .execute(&mut owner)
        .await
        .unwrap();
    assert!(altered.rows_affected() > 0);
}

/// The latest audit entries of the community, the newest first.
async fn audit(api: &TestApi, community: CommunityId) -> Vec<AuditEntry> {
    let mut tx = api.database.tenant(community).await.unwrap();
    tx.audit_entries(20).await.unwrap()
}
