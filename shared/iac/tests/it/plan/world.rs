//! A small server to plan for, and short words for building configurations.

use arrakis_domain::{Color, Permission, Permissions};
use arrakis_iac::live::{LiveBot, LiveResource, LiveServer};
use arrakis_iac::model::{
    Address, Attributes, Channel, ChannelKind, Clearable, Configuration, Emoji, Kind, Overwrite, Overwrites, Resource,
    Role, Server, Snowflake,
};
use arrakis_iac::plan::{Options, Plan, plan, simulate};
use arrakis_iac::state::State;

pub(crate) const GUILD: u64 = 1_000;
pub(crate) const BOT: u64 = 1_001;
pub(crate) const BOT_ROLE: u64 = 1_002;

pub(crate) fn id(number: u64) -> Snowflake {
    Snowflake::new(number).unwrap()
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A server with @everyone and a bot that is an administrator.
pub(crate) fn empty_server() -> LiveServer {
    let bot = LiveBot {
        user_id: id(BOT),
        roles: [id(BOT_ROLE)].into(),
    };
    let settings = Server {
        name: Some("Sietch".to_owned()),
        community: Some(false),
        ..Server::default()
    };
    let mut live = LiveServer::new(id(GUILD), id(9), bot, settings);
    let everyone = Permissions::of(&[Permission::ViewChannel, Permission::SendMessages]);
    live.insert(live_role(GUILD, "@everyone", 0, everyone));
    let administrator = Permissions::of(&[Permission::Administrator]);
    live.insert(LiveResource {
        managed: true,
        ..live_role(BOT_ROLE, "Worm", 1, administrator)
    });
    live
}

pub(crate) fn live_role(number: u64, name: &str, position: i64, permissions: Permissions) -> LiveResource {
    let role = Role {
        name: Some(name.to_owned()),
        color: Some(Color::from_rgb(0)),
        secondary_color: Some(Clearable::Cleared),
        tertiary_color: Some(Clearable::Cleared),
        hoist: Some(false),
        mentionable: Some(false),
        permissions: Some(permissions),
        unicode_emoji: Some(String::new()),
        given_to_bot: Some(number == BOT_ROLE),
    };
    LiveResource {
        id: id(number),
        attributes: Attributes::Role(role),
        position,
        managed: false,
    }
}

pub(crate) fn live_channel(number: u64, name: &str, position: i64) -> LiveResource {
    let channel = Channel {
        name: Some(name.to_owned()),
        category: Some(Clearable::Cleared),
        topic: Some(String::new()),
        overwrites: Some(Overwrites::new()),
        ..Channel::default()
    };
    let mut attributes = Attributes::Channel(channel);
    let defaults = attributes.defaults();
    attributes.complete_with(&defaults, &[]);
    LiveResource {
        id: id(number),
        attributes,
        position,
        managed: false,
    }
}

pub(crate) fn role(name: &str) -> Role {
    Role {
        name: Some(name.to_owned()),
        permissions: Some(Permissions::NONE),
        ..Role::default()
    }
}

pub(crate) fn channel(name: &str) -> Channel {
    Channel {
        name: Some(name.to_owned()),
        ..Channel::default()
    }
}

pub(crate) fn category(name: &str) -> Channel {
    Channel {
        kind: ChannelKind::Category,
        ..channel(name)
    }
}

pub(crate) fn within(category: &str, channel: Channel) -> Channel {
    Channel {
        category: Some(Clearable::Set(address(category).into())),
        ..channel
    }
}

pub(crate) fn allow(permission: Permission) -> Overwrite {
    Overwrite {
        allow: Permissions::of(&[permission]),
        deny: Permissions::NONE,
    }
}

pub(crate) fn deny(permission: Permission) -> Overwrite {
    Overwrite {
        allow: Permissions::NONE,
        deny: Permissions::of(&[permission]),
    }
}

/// A configuration from addresses and attributes, in this order.
pub(crate) fn configuration(resources: impl IntoIterator<Item = (&'static str, Attributes)>) -> Configuration {
    let resources = resources.into_iter().map(|(text, attributes)| {
        (
            address(text),
            Resource {
                attributes,
                origin: None,
            },
        )
    });
    Configuration {
        resources: resources.collect(),
        ..Configuration::default()
    }
}

/// A server with its state, over time.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) live: LiveServer,
    pub(crate) state: State,
    /// The highest id that a resource has, or had.
    highest: Snowflake,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            live: empty_server(),
            state: State::new("lineage"),
            highest: id(BOT_ROLE),
        }
    }

    pub(crate) fn plan(&self, configuration: &Configuration) -> Plan {
        self.plan_with(configuration, &Options::default())
    }

    pub(crate) fn plan_with(&self, configuration: &Configuration, options: &Options) -> Plan {
        let plan = plan(configuration, &self.state, &self.live, options).unwrap();
        assert_eq!(plan.hidden_steps(), Vec::<&arrakis_iac::plan::Step>::new());
        plan
    }

    /// Carries a plan out.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        let before = self.state.clone();
        self.state = self.simulate(&before, plan);
        self.state.advance();
    }

    /// Carries a plan out with this state, and returns the state after it. Discord never gives an id a second time, and a simulation
    /// numbers from the highest id on the server: an emoji has the highest that there was.
    pub(crate) fn simulate(&mut self, state: &State, plan: &Plan) -> State {
        self.count_ids();
        let mut live = self.live.clone();
        live.insert(LiveResource::new(self.highest, Attributes::Emoji(Emoji::default())));
        let (mut live, state) = simulate(&live, state, plan).unwrap_or_else(|error| panic!("{error}\n{plan:#?}"));
        live.remove(Kind::Emoji, self.highest);
        self.live = live;
        self.count_ids();
        state
    }

    fn count_ids(&mut self) {
        let present = self.live.resources().map(|resource| resource.id);
        self.highest = present.chain([self.highest]).max().unwrap();
    }

    /// Plans and applies.
    pub(crate) fn become_like(&mut self, configuration: &Configuration) -> Plan {
        let plan = self.plan(configuration);
        self.apply(&plan);
        plan
    }
}

/// The steps in words.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(arrakis_iac::plan::Step::describe).collect()
}
