//! A community's desired server, as `manifests` stores it.

use std::collections::BTreeMap;

use arrakis_domain::{RoleBindings, RoleId, Theme};
use arrakis_iac::config::from_theme;
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Attributes, ChannelKind, Configuration, Kind, LogicalName, Reference, Snowflake};
use arrakis_iac::state::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

/// What of the theme's server belongs to the community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// Roles, categories and channels.
    Whole,
    /// Roles only; the server's channels stay as they are.
    RolesOnly,
}

/// The desired server of a community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Id of the theme.
    pub theme: String,
    /// Id of the rule set by which members are evaluated.
    pub rule_set: String,
    /// What of the theme's server belongs to the community.
    pub structure: Structure,
    /// Existing roles of the server that stand for roles of the theme, by the theme's key. They are bound, and not changed. One that was
    /// deleted is created as the theme has it.
    #[serde(default)]
    pub roles: BTreeMap<String, u64>,
}

impl Manifest {
    /// Reads a stored manifest.
    ///
    /// # Errors
    /// [`Failure::Permanent`] for one that another build has written.
    pub fn read(stored: &Value) -> Result<Self, Failure> {
        Self::deserialize(stored)
            .map_err(|error| Failure::permanent(format!("the stored manifest is invalid: {error}")))
    }

    /// The manifest as it is stored.
    pub fn to_value(&self) -> Value {
        // Strings, numbers and an enum of unit variants always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The configuration of the engine for this server. Settings of the server are not managed. Announcement channels, which Discord
    /// has only on servers with Community, are text channels elsewhere; Discord converts them in place later.
    pub(crate) fn configuration(&self, theme: &Theme, live: &LiveServer) -> Configuration {
        let mut configuration = from_theme(theme);
        let existing = self.existing_roles(live);
        configuration.resources.retain(|address, _| match address.kind() {
            Kind::Role => !existing.contains_key(address),
            Kind::Category | Kind::Channel => self.structure == Structure::Whole,
            _ => false,
        });
        for resource in configuration.resources.values_mut() {
            resource.attributes.map_references(&mut |_, reference| {
                if let Some(id) = reference.address().and_then(|address| existing.get(address)) {
                    *reference = Reference::Id(*id);
                }
            });
            if let Attributes::Channel(channel) = &mut resource.attributes
                && channel.kind == ChannelKind::Announcement
                && !live.is_community()
            {
                channel.kind = ChannelKind::Text;
            }
        }
        configuration
    }

    /// The roles of the theme that members get and lose by rules, with the server's roles that stand for them: existing ones, and those
    /// of the state.
    pub(crate) fn bindings(&self, theme: &Theme, state: &State, live: &LiveServer) -> RoleBindings {
        let existing = self.existing_roles(live);
        let automatic = theme.roles.iter().filter(|role| role.given_to.is_automatic());
        automatic
            .filter_map(|role| {
                let address = role_address(role.key.as_str())?;
                let id = existing.get(&address).copied().or_else(|| state.id(&address))?;
                Some((role.key.clone(), RoleId(id.get())))
            })
            .collect()
    }

    /// The existing roles that are still there.
    fn existing_roles(&self, live: &LiveServer) -> BTreeMap<Address, Snowflake> {
        self.roles
            .iter()
            .filter_map(|(key, id)| Some((role_address(key)?, Snowflake::new(*id)?)))
            .filter(|(_, id)| live.role(*id).is_some())
            .collect()
    }
}

fn role_address(key: &str) -> Option<Address> {
    Some(Address::of(Kind::Role, LogicalName::new(key).ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrakis_iac::live::{LiveBot, LiveResource};
    use arrakis_iac::model::{Role, Server, Target};
    use arrakis_themes::Registry;

    use super::*;

    fn id(number: u64) -> Snowflake {
        Snowflake::new(number).unwrap()
    }

    /// A server with the role 7.
    fn live() -> LiveServer {
        let bot = LiveBot {
            user_id: id(2),
            roles: BTreeSet::new(),
        };
        let mut live = LiveServer::new(id(1), id(3), bot, Server::default());
        live.insert(LiveResource::new(id(7), Attributes::Role(Role::default())));
        live
    }

    fn manifest(structure: Structure) -> Manifest {
        Manifest {
            theme: "basic".to_owned(),
            rule_set: "ranked".to_owned(),
            structure,
            roles: BTreeMap::from([("gold".to_owned(), 7)]),
        }
    }

    fn basic() -> std::sync::Arc<Theme> {
        Registry::load(None).unwrap().theme("basic").unwrap().clone()
    }

    #[test]
    fn existing_role_is_referred_to_by_id_and_not_managed() {
        let configuration = manifest(Structure::Whole).configuration(&basic(), &live());
        let gold = role_address("gold").unwrap();
        assert!(configuration.get(&gold).is_none());
        assert!(configuration.get(&role_address("silver").unwrap()).is_some());
        let lounge: Address = "channel.gold-lounge".parse().unwrap();
        let Some(Attributes::Channel(lounge)) = configuration.get(&lounge) else {
            panic!("no channel for Gold")
        };
        let targets: Vec<_> = lounge.overwrites.iter().flatten().map(|(target, _)| target).collect();
        assert!(targets.contains(&&Target::Role(Reference::Id(id(7)))), "{targets:?}");
    }

    #[test]
    fn existing_role_that_was_deleted_is_managed() {
        let mut live = live();
        live.remove(Kind::Role, id(7));
        let configuration = manifest(Structure::Whole).configuration(&basic(), &live);
        assert!(configuration.get(&role_address("gold").unwrap()).is_some());
    }

    #[test]
    fn roles_only_has_no_channels() {
        let configuration = manifest(Structure::RolesOnly).configuration(&basic(), &live());
        assert!(
            configuration
                .resources
                .keys()
                .all(|address| address.kind() == Kind::Role)
        );
        assert!(!configuration.resources.is_empty());
    }

    #[test]
    fn stored_manifest_is_read_again() {
        let manifest = manifest(Structure::Whole);
        assert_eq!(Manifest::read(&manifest.to_value()).unwrap(), manifest);
        assert!(Manifest::read(&serde_json::json!({"theme": "basic", "more": 1})).is_err());
    }

    #[test]
    fn bindings_are_of_roles_given_by_rules() {
        let theme = basic();
        let bindings = manifest(Structure::Whole).bindings(&theme, &State::new("test"), &live());
        let bound: Vec<_> = bindings.iter().map(|(key, role)| (key.as_str(), role.0)).collect();
        assert_eq!(bound, [("gold", 7)]);
    }
}
