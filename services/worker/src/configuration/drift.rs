//! The comparison of three: the configuration in PostgreSQL (desired), its shadow, and the server (actual). Pure.
//!
//! Settings have no counterpart on the server: they are compared between the first two. Of roles and channels, the plan for the desired
//! configuration and the plan for the shadow each state what the server lacks; which of them states it shows which of the three differs.

use arrakis_db::CommunityConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most lines of one kind.
const MAX_NAMED: usize = 50;

/// How desired configuration, shadow and server compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ConfigurationDrift {
    /// They were not compared.
    #[default]
    NotCompared,
    /// There is no shadow to compare with.
    NoShadow {
        /// Why: no store is configured, none is written yet, or it is damaged.
        reason: String,
    },
    /// They were compared.
    Compared {
        /// Number of the version in the store.
        shadow: u32,
        /// Settings in which desired configuration and shadow differ.
        settings: Vec<String>,
        /// The server differs from both: it was changed by hand.
        server: Vec<String>,
        /// The server is as the shadow has it: a change of the desired configuration is not applied.
        unapplied: Vec<String>,
        /// The server is as the desired configuration has it: the shadow is behind.
        shadow_behind: Vec<String>,
    },
}

impl ConfigurationDrift {
    /// Whether the three are the same, or there are no three.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        match self {
            Self::NotCompared | Self::NoShadow { .. } => true,
            Self::Compared {
                settings,
                server,
                unapplied,
                shadow_behind,
                ..
            } => [settings, server, unapplied, shadow_behind]
                .iter()
                .all(|lines| lines.is_empty()),
        }
    }
}

/// The result of a comparison. `desired` and `shadow` are what the server lacks for each of them, one line for each change.
pub(crate) fn three_way(
    version: u32,
    settings: Vec<String>,
    desired: &[String],
    shadow: &[String],
) -> ConfigurationDrift {
    let of = |lines: &[String], keep: &dyn Fn(&String) -> bool| -> Vec<String> {
        lines
            .iter()
            .filter(|&line| keep(line))
            .take(MAX_NAMED)
            .cloned()
            .collect()
    };
    ConfigurationDrift::Compared {
        shadow: version,
        settings,
        server: of(desired, &|line| shadow.contains(line)),
        unapplied: of(desired, &|line| !shadow.contains(line)),
        shadow_behind: of(shadow, &|line| !desired.contains(line)),
    }
}

/// The names of the settings in which two configurations differ.
pub(crate) fn changed_settings(desired: &CommunityConfiguration, shadow: &CommunityConfiguration) -> Vec<String> {
    let fields = |configuration| match serde_json::to_value(configuration) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (desired, shadow) = (fields(desired), fields(shadow));
    desired
        .iter()
        .filter(|(name, value)| shadow.get(*name) != Some(*value))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_of_the_three_is_named_where_it_differs() {
        let desired = lines(&["change role Naib (color)", "create channel census"]);
        let shadow = lines(&["change role Naib (color)", "create channel old-census"]);
        assert_eq!(
            three_way(7, lines(&["gates"]), &desired, &shadow),
            ConfigurationDrift::Compared {
                shadow: 7,
                settings: lines(&["gates"]),
                server: lines(&["change role Naib (color)"]),
                unapplied: lines(&["create channel census"]),
                shadow_behind: lines(&["create channel old-census"]),
            }
        );
    }

    #[test]
    fn equal_three_are_clean() {
        assert!(three_way(7, Vec::new(), &[], &[]).is_clean());
        assert!(!three_way(7, Vec::new(), &lines(&["a"]), &lines(&["a"])).is_clean());
        assert!(!three_way(7, lines(&["theme"]), &[], &[]).is_clean());
    }
}
