//! Feature gates: the tier from which a command or a part of one can be used. The community's row is read with its gates
//! ([`crate::Community::gates`]); here is what changes them.

use arrakis_domain::{FeatureGates, GateKey, TierId};
use sqlx::PgConnection;

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// A feature gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureGate {
    /// The command or feature.
    pub key: GateKey,
    /// The tier from which it can be used.
    pub tier: TierId,
    /// The admin who set it.
    pub set_by: UserId,
}

/// Changes to the feature gates of a community.
#[derive(Debug)]
pub struct FeatureGateChanges<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Changes to the community's feature gates.
    pub fn feature_gates(&mut self) -> FeatureGateChanges<'_> {
        FeatureGateChanges {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl FeatureGateChanges<'_> {
    /// The gates with who set them, ordered by key.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn list(&mut self) -> Result<Vec<FeatureGate>, DbError> {
        let rows = named!(
            "feature_gate.list",
            sqlx::query!(
                "select gate_key, tier, set_by from feature_gates where community_id = $1 order by gate_key",
                self.community.uuid()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("feature_gates", name);
        rows.into_iter()
            .map(|row| {
                Ok(FeatureGate {
                    key: column("gate_key").parse(&row.gate_key)?,
                    tier: column("tier").parse(&row.tier)?,
                    set_by: column("set_by").user(row.set_by)?,
                })
            })
            .collect()
    }

    /// Opens a command or feature from this tier on, in place of an earlier gate. False when it has this gate already.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set(&mut self, key: &GateKey, tier: &TierId, by: UserId) -> Result<bool, DbError> {
        let done = named!(
            "feature_gate.set",
            sqlx::query!(
                "insert into feature_gates as known (community_id, gate_key, tier, set_by) values ($1, $2, $3, $4)
                 on conflict (community_id, gate_key)
                 do update set tier = excluded.tier, set_by = excluded.set_by, set_at = now()
                  where known.tier <> excluded.tier",
                self.community.uuid(),
                key.as_str(),
                tier.as_str(),
                by.stored()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Opens a command or feature to every member. False when it has no gate.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn remove(&mut self, key: &GateKey) -> Result<bool, DbError> {
        let done = named!(
            "feature_gate.remove",
            sqlx::query!(
                "delete from feature_gates where community_id = $1 and gate_key = $2",
                self.community.uuid(),
                key.as_str()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }
}

/// Decodes the gates as [`crate::statements::CURRENT_COMMUNITY`] returns them: a JSON object of tiers by key, or NULL without gates.
pub(crate) fn parse(json: Option<&str>) -> Result<FeatureGates, DbError> {
    let Some(json) = json else {
        return Ok(FeatureGates::default());
    };
    let column = Column("feature_gates", "gate_key");
    let gates: Vec<(GateKey, TierId)> = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json)
        .map_err(|error| column.corrupt(json, error))?
        .into_iter()
        .map(|(key, tier)| {
            let tier = tier.as_str().unwrap_or_default();
            Ok((column.parse(&key)?, Column("feature_gates", "tier").parse(tier)?))
        })
        .collect::<Result<_, DbError>>()?;
    Ok(gates.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_from_json() {
        assert!(parse(None).unwrap().is_empty());
        let gates = parse(Some(r#"{"stats": "gold", "leaderboard": "silver"}"#)).unwrap();
        let read: Vec<(&str, &str)> = gates.iter().map(|(key, tier)| (key.as_str(), tier.as_str())).collect();
        assert_eq!(read, [("leaderboard", "silver"), ("stats", "gold")]);
    }

    #[test]
    fn corrupt_gate_is_an_error_with_table_and_column() {
        let error = parse(Some(r#"{"stats": 7}"#)).unwrap_err().to_string();
        assert!(error.starts_with("feature_gates.tier holds"), "{error}");
        let error = parse(Some(r#"{"Stats": "gold"}"#)).unwrap_err().to_string();
        assert!(error.starts_with("feature_gates.gate_key holds"), "{error}");
    }
}
