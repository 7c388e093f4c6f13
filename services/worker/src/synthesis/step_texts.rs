//! What an admin reads about a plan before it is applied: each step with the name that Discord shows, and the channels of which it creates a
//! second one.

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Address, Attributes, Channel, ChannelKind, Clearable, Reference, normalised_name};
use arrakis_iac::plan::{Change, Step};
use arrakis_iac::state::State;

/// One line for each step of a plan, in their order: as many lines as an apply counts steps.
pub(super) fn step_texts(steps: &[Step], changes: &[Change]) -> Vec<String> {
    let named = |address: &Address| match name_of(address, steps, changes) {
        Some(name) => format!("{} {name}", address.kind().noun()),
        None => address.to_string(),
    };
    let text = |step: &Step| match step {
        Step::Create { address, .. } => format!("create {}", named(address)),
        Step::Update { address, fields, .. } => format!("change {} ({})", named(address), fields.join(", ")),
        Step::PutOverwrite { address, target, .. } => format!("set permissions of {target} in {}", named(address)),
        Step::DeleteOverwrite { address, target } => format!("remove permissions of {target} from {}", named(address)),
        Step::BotRole { address, give: true } => format!("assign {} to the bot", named(address)),
        Step::BotRole { address, give: false } => format!("remove {} from the bot", named(address)),
        Step::MoveRoles { .. } => "order the roles".to_owned(),
        Step::MoveChannels { .. } => "order the channels".to_owned(),
        Step::Delete { address, .. } => format!("delete {}", named(address)),
        Step::Adopt { address, .. } => format!("adopt {}", named(address)),
        Step::Refresh { address, .. } => format!("record {} as it is", named(address)),
        Step::Forget { address } => format!("leave {} as it is", named(address)),
    };
    steps.iter().map(text).collect()
}

/// The name that Discord shows, or will show, as far as the plan has it.
fn name_of<'a>(address: &Address, steps: &'a [Step], changes: &'a [Change]) -> Option<&'a str> {
    let change = changes.iter().find(|change| &change.address == address);
    let of_change = change.and_then(|change| change.name.as_deref());
    of_change.or_else(|| {
        steps.iter().find_map(|step| match step {
            Step::Create {
                address: created,
                attributes,
            } if created == address => attributes.name(),
            _ => None,
        })
    })
}

/// A warning for each channel that a plan creates although the server has one of this kind and name. It is not adopted, since it is in
/// another category, or in none.
pub(super) fn duplicate_channels(steps: &[Step], changes: &[Change], state: &State, live: &LiveServer) -> Vec<String> {
    let created = steps.iter().filter_map(|step| match step {
        Step::Create {
            attributes: Attributes::Channel(channel),
            ..
        } => Some(channel),
        _ => None,
    });
    created
        .filter_map(|channel| {
            let name = channel.name.as_deref().filter(|name| exists(channel.kind, name, live))?;
            let sign = if channel.kind == ChannelKind::Text { "#" } else { "" };
            let category = category_of(channel, steps, changes, state, live).unwrap_or("of the theme");
            Some(format!(
                "A second channel {sign}{name} is created: the existing one is not in the category {category}. To use the existing one, put it into a category of this name, then press Check again"
            ))
        })
        .collect()
}

/// Whether the server has a channel of this kind and name.
fn exists(kind: ChannelKind, name: &str, live: &LiveServer) -> bool {
    live.channels_in_order()
        .iter()
        .any(|resource| match &resource.attributes {
            Attributes::Channel(found) if found.kind == kind => {
                let stored = found.name.as_deref().map(|stored| normalised_name(kind, stored));
                stored == Some(normalised_name(kind, name))
            }
            _ => false,
        })
}

/// The name of a channel's category: of one that is created, or of one of the state.
fn category_of<'a>(
    channel: &Channel,
    steps: &'a [Step],
    changes: &'a [Change],
    state: &State,
    live: &'a LiveServer,
) -> Option<&'a str> {
    let category = channel.category.as_ref().and_then(Clearable::value);
    let address = category.and_then(Reference::address)?;
    name_of(address, steps, changes).or_else(|| live.channel(state.id(address)?)?.name.as_deref())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrakis_iac::config::from_theme;
    use arrakis_iac::live::{LiveBot, LiveResource};
    use arrakis_iac::model::{Server, Snowflake};
    use arrakis_themes::Registry;

    use super::*;

    fn id(number: u64) -> Snowflake {
        Snowflake::new(number).unwrap()
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// The creation of a resource of the theme `basic`.
    fn creation(of: &str) -> Step {
        let basic = from_theme(Registry::load(None).unwrap().theme("basic").unwrap());
        Step::Create {
            address: address(of),
            attributes: basic.get(&address(of)).unwrap().clone(),
        }
    }

    #[test]
    fn every_step_has_a_line_with_the_name_at_discord() {
        let steps = [
            creation("role.gold"),
            creation("channel.general"),
            Step::BotRole {
                address: address("role.gold"),
                give: true,
            },
            Step::MoveRoles { places: Vec::new() },
            Step::MoveChannels { places: Vec::new() },
        ];
        let texts = step_texts(&steps, &[]);
        assert_eq!(
            texts,
            [
                "create role Gold",
                "create channel general",
                "assign role Gold to the bot",
                "order the roles",
                "order the channels",
            ]
        );
    }

    #[test]
    fn channel_outside_of_its_category_is_named_as_a_duplicate() {
        let bot = LiveBot {
            user_id: id(2),
            roles: BTreeSet::new(),
        };
        let mut live = LiveServer::new(id(1), id(3), bot, Server::default());
        let state = State::new("test");
        let steps = [creation("category.general"), creation("channel.general")];
        assert_eq!(duplicate_channels(&steps, &[], &state, &live), Vec::<String>::new());
        let Step::Create {
            attributes: Attributes::Channel(mut outside),
            ..
        } = creation("channel.general")
        else {
            panic!("no channel")
        };
        outside.category = None;
        live.insert(LiveResource::new(id(9), Attributes::Channel(outside)));
        let warnings = duplicate_channels(&steps, &[], &state, &live);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with("A second channel #general is created") && warnings[0].contains("category General"),
            "{warnings:?}"
        );
    }
}
