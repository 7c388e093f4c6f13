//! The configuration of a community as one document: what a checkpoint has, and what a restore is compared with.
//!
//! Ids of Discord are text in JSON, as Discord writes them, each with the name that the server had for it: a server that was created again has
//! the same names with other ids.

use std::collections::BTreeMap;

use arrakis_domain::{GateKey, Ladder, RoleBindings, RoleKey, RuleSetId, Theme, ThemeId, TierId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Community, DbError, PostKind, TenantTx, TokenProfile};

/// Version of the document that this build writes. An earlier version must still be read.
pub const CONFIGURATION_VERSION: u32 = 1;

/// Names of a server's roles and channels, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// Roles.
    pub roles: BTreeMap<u64, String>,
    /// Channels and categories.
    pub channels: BTreeMap<u64, String>,
}

/// The configuration of a community.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommunityConfiguration {
    /// Version of the document.
    pub version: u32,
    /// Name of the community.
    pub name: String,
    /// Its theme.
    pub theme: ThemeId,
    /// Version of the theme; `None` where the theme was not found.
    pub theme_version: Option<String>,
    /// Rule set of the theme by which members are evaluated.
    pub rule_set: RuleSetId,
    /// The tier rules of the rule set, highest tier first. They are part of the theme.
    pub tiers: Vec<TierThreshold>,
    /// The role policy that an admin chose; `None`: the theme's.
    pub tier_roles: Option<String>,
    /// The token whose holding decides the ranking.
    pub token_profile: TokenProfile,
    /// The feature gates, ordered by key.
    pub gates: Vec<GateSetting>,
    /// The role bindings, ordered by key.
    pub roles: Vec<BoundRole>,
    /// Channel in which members are welcomed.
    pub welcome_channel: Option<NamedChannel>,
    /// The posts of the bot.
    pub posts: Vec<PostSetting>,
    /// The manifest in force; `None` for a server that is not managed.
    pub manifest: Option<Value>,
    /// The existing roles of the manifest, with their names.
    pub manifest_roles: Vec<BoundRole>,
}

/// The rule of a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierThreshold {
    /// The tier.
    pub tier: TierId,
    /// Its ranks, such as `8-69`.
    pub ranks: Option<String>,
    /// Its minimum balance in tokens.
    pub minimum: Option<String>,
}

/// A feature gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSetting {
    /// The command or feature.
    pub key: GateKey,
    /// The tier from which it can be used.
    pub tier: TierId,
    /// Discord id of the admin who set it.
    #[serde(with = "id_as_text")]
    pub set_by: u64,
}

/// A role of the server that stands for a role of the theme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundRole {
    /// Key of the theme's role.
    pub key: RoleKey,
    /// Id of the server's role.
    #[serde(with = "id_as_text")]
    pub id: u64,
    /// Name of the server's role; `None` where it was not known.
    pub name: Option<String>,
}

/// A channel of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedChannel {
    /// Its id.
    #[serde(with = "id_as_text")]
    pub id: u64,
    /// Its name; `None` where it was not known.
    pub name: Option<String>,
}

/// Whether a post is switched on, and its channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostSetting {
    /// Name of the post, as [`PostKind::as_str`].
    pub post: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Its channel, once it was found.
    pub channel: Option<NamedChannel>,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// It is not JSON of this form.
    #[error("it is not a configuration of a community: {0}")]
    Malformed(String),
    /// A later build wrote it.
    #[error("it has version {0}, and this build reads versions up to {CONFIGURATION_VERSION}")]
    Version(u64),
}

#[derive(Deserialize)]
struct VersionAlone {
    version: u64,
}

impl CommunityConfiguration {
    /// Reads a document.
    ///
    /// # Errors
    /// When it has a later version, which is checked first, or another form.
    pub fn from_json(text: &str) -> Result<Self, ConfigurationError> {
        let malformed = |error: serde_json::Error| ConfigurationError::Malformed(error.to_string());
        let VersionAlone { version } = serde_json::from_str(text).map_err(malformed)?;
        if version == 0 || version > u64::from(CONFIGURATION_VERSION) {
            return Err(ConfigurationError::Version(version));
        }
        serde_json::from_str(text).map_err(malformed)
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Structs with text keys: serde_json cannot fail on them.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl TenantTx {
    /// The configuration of the community `record`. `theme` is its theme, if it exists; a bound role without a name in `names` has the
    /// name that the theme gives it.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn configuration(
        &mut self,
        record: &Community,
        theme: Option<&Theme>,
        names: &ServerNames,
    ) -> Result<CommunityConfiguration, DbError> {
        let token = self.eligibility().token_profile(&record.token_profile).await?;
        let token = token.ok_or_else(|| {
            let reason = "there is no such token profile";
            DbError::corrupt("communities", "token_profile_id", &record.token_profile, reason)
        })?;
        let gates = self.feature_gates().list().await?.into_iter();
        let bindings = self.communities().role_bindings().await?;
        let manifest = self.manifests().latest().await?.map(|stored| stored.manifest);
        Ok(CommunityConfiguration {
            version: CONFIGURATION_VERSION,
            name: record.name.clone(),
            theme: record.theme.clone(),
            theme_version: theme.map(|theme| theme.version.clone()),
            rule_set: record.rule_set.clone(),
            tiers: theme
                .map(|theme| thresholds(theme, &record.rule_set))
                .unwrap_or_default(),
            tier_roles: record.tier_roles.map(|policy| policy.as_str().to_owned()),
            token_profile: token,
            gates: gates
                .map(|gate| GateSetting {
                    key: gate.key,
                    tier: gate.tier,
                    set_by: gate.set_by.get(),
                })
                .collect(),
            roles: bound_roles(&bindings, theme, names),
            welcome_channel: record.welcome_channel.map(|id| named_channel(id, names)),
            posts: self.post_settings(names).await?,
            manifest_roles: manifest_roles(manifest.as_ref(), theme, names),
            manifest,
        })
    }

    async fn post_settings(&mut self, names: &ServerNames) -> Result<Vec<PostSetting>, DbError> {
        let mut settings = Vec::new();
        for kind in PostKind::ALL {
            let post = self.posts().get(kind).await?;
            settings.push(PostSetting {
                post: kind.as_str().to_owned(),
                enabled: post.enabled,
                channel: post.channel.map(|id| named_channel(id, names)),
            });
        }
        Ok(settings)
    }
}

/// The rules of a rule set.
fn thresholds(theme: &Theme, rules: &RuleSetId) -> Vec<TierThreshold> {
    let rungs = theme.ladder(Some(rules)).map(Ladder::rungs).unwrap_or_default();
    rungs
        .iter()
        .map(|rung| TierThreshold {
            tier: rung.tier.clone(),
            ranks: rung.rule.ranks().map(|ranks| ranks.to_string()),
            minimum: rung.rule.minimum().map(|minimum| minimum.to_string()),
        })
        .collect()
}

fn bound_roles(bindings: &RoleBindings, theme: Option<&Theme>, names: &ServerNames) -> Vec<BoundRole> {
    bindings
        .iter()
        .map(|(key, role)| bound_role(key.clone(), role.0, theme, names))
        .collect()
}

fn bound_role(key: RoleKey, id: u64, theme: Option<&Theme>, names: &ServerNames) -> BoundRole {
    let of_server = names.roles.get(&id).cloned();
    let of_theme = || Some(theme?.role(&key)?.name.clone());
    BoundRole {
        id,
        name: of_server.or_else(of_theme),
        key,
    }
}

/// The existing roles of a manifest: `roles`, ids by the theme's key.
fn manifest_roles(manifest: Option<&Value>, theme: Option<&Theme>, names: &ServerNames) -> Vec<BoundRole> {
    let roles = manifest.and_then(|manifest| manifest["roles"].as_object());
    roles
        .into_iter()
        .flatten()
        .filter_map(|(key, id)| Some(bound_role(RoleKey::new(key.as_str()).ok()?, id.as_u64()?, theme, names)))
        .collect()
}

fn named_channel(id: u64, names: &ServerNames) -> NamedChannel {
    NamedChannel {
        id,
        name: names.channels.get(&id).cloned(),
    }
}

/// Ids of Discord as text: a JSON number holds 53 bits in many readers.
mod id_as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProfileStandard, TokenProfileId};

    /// Committed sample of version 1: it must be read for as long as checkpoints of it exist.
    const SAMPLE_V1: &str = r#"{"version":1,"name":"Sietch Tabr","theme":"sietch","theme_version":"3.0.0","rule_set":"balance","tiers":[{"tier":"naib","ranks":"1-7","minimum":null},{"tier":"hajra","ranks":null,"minimum":"6.9"}],"tier_roles":null,"token_profile":{"id":"bgt","name":"BGT","symbol":"BGT","standard":"erc20","chain_id":80094,"contract":"0x656b95e550c07a9ffe548bd4085c72418ceb1dba","decimals":18,"claims_from":null,"burns_to":null,"token_ids":[],"start_block":1},"gates":[{"key":"leaderboard","tier":"naib","set_by":"7"}],"roles":[{"key":"naib","id":"1200000000000100000","name":"Naib"}],"welcome_channel":{"id":"1200000000000200001","name":"welcome"},"posts":[{"post":"digest","enabled":false,"channel":null}],"manifest":{"theme":"sietch"},"manifest_roles":[]}"#;

    fn sample() -> CommunityConfiguration {
        CommunityConfiguration {
            version: 1,
            name: "Sietch Tabr".to_owned(),
            theme: ThemeId::new("sietch").unwrap(),
            theme_version: Some("3.0.0".to_owned()),
            rule_set: RuleSetId::new("balance").unwrap(),
            tiers: vec![
                TierThreshold {
                    tier: TierId::new("naib").unwrap(),
                    ranks: Some("1-7".to_owned()),
                    minimum: None,
                },
                TierThreshold {
                    tier: TierId::new("hajra").unwrap(),
                    ranks: None,
                    minimum: Some("6.9".to_owned()),
                },
            ],
            tier_roles: None,
            token_profile: TokenProfile {
                id: TokenProfileId::new("bgt").unwrap(),
                name: "BGT".to_owned(),
                symbol: "BGT".to_owned(),
                standard: ProfileStandard::Erc20,
                chain_id: 80_094,
                contract: "0x656b95e550c07a9ffe548bd4085c72418ceb1dba".parse().unwrap(),
                decimals: 18,
                claims_from: None,
                burns_to: None,
                token_ids: Vec::new(),
                start_block: 1,
            },
            gates: vec![GateSetting {
                key: GateKey::new("leaderboard").unwrap(),
                tier: TierId::new("naib").unwrap(),
                set_by: 7,
            }],
            roles: vec![BoundRole {
                key: RoleKey::new("naib").unwrap(),
                id: 1_200_000_000_000_100_000,
                name: Some("Naib".to_owned()),
            }],
            welcome_channel: Some(NamedChannel {
                id: 1_200_000_000_000_200_001,
                name: Some("welcome".to_owned()),
            }),
            posts: vec![PostSetting {
                post: "digest".to_owned(),
                enabled: false,
                channel: None,
            }],
            manifest: Some(serde_json::json!({"theme": "sietch"})),
            manifest_roles: Vec::new(),
        }
    }

    #[test]
    fn sample_of_version_1_round_trips() {
        assert_eq!(CommunityConfiguration::from_json(SAMPLE_V1), Ok(sample()));
        assert_eq!(sample().to_json(), SAMPLE_V1);
    }

    #[test]
    fn later_version_and_other_form_are_refused_with_the_reason() {
        let later = SAMPLE_V1.replacen("\"version\":1", "\"version\":2,\"more\":[]", 1);
        assert_eq!(
            CommunityConfiguration::from_json(&later),
            Err(ConfigurationError::Version(2))
        );
        for text in [
            "",
            "[]",
            "{\"version\":1}",
            &SAMPLE_V1.replace("1200000000000100000", "x"),
        ] {
            assert!(
                matches!(
                    CommunityConfiguration::from_json(text),
                    Err(ConfigurationError::Malformed(_))
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn existing_roles_of_a_manifest_have_the_names_of_the_server() {
        let manifest = serde_json::json!({"theme": "basic", "roles": {"gold": 7, "no key!": 8}});
        let names = ServerNames {
            roles: BTreeMap::from([(7, "OG".to_owned())]),
            channels: BTreeMap::new(),
        };
        let roles = manifest_roles(Some(&manifest), None, &names);
        let expected = BoundRole {
            key: RoleKey::new("gold").unwrap(),
            id: 7,
            name: Some("OG".to_owned()),
        };
        assert_eq!(roles, [expected]);
        assert_eq!(manifest_roles(None, None, &names), []);
    }
}
