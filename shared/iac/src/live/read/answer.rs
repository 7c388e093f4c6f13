//! One resource out of the answer to the request that wrote it.

use serde_json::{Value, json};

use super::{LiveBot, Unreadable, automod, channel, community, event, expression, role, server, webhook, wire};
use crate::model::{Attributes, Kind, Snowflake};

/// What Discord answers to a request that makes or changes a resource, as attributes with references by id. `None` when
/// the answer tells nothing of it.
///
/// # Errors
/// When the answer has not the shape that Discord's documents give it.
pub fn read_answer(
    kind: Kind,
    answer: &Value,
    guild: Snowflake,
    bot: Snowflake,
) -> Result<Option<Attributes>, Unreadable> {
    if !answer.is_object() {
        return Ok(None);
    }
    let list = || json!([answer]);
    // What is unknown is not compared.
    let mut unknown = Vec::new();
    let found = match kind {
        Kind::Server => {
            let guild: wire::Guild = wire::read("PATCH /guilds/{id}", answer)?;
            return Ok(Some(Attributes::Server(server::attributes(&guild, &mut unknown))));
        }
        Kind::Role => {
            let found: wire::Role = wire::read("PATCH /guilds/{id}/roles/{role}", answer)?;
            let bot = LiveBot {
                user_id: bot,
                roles: std::collections::BTreeSet::new(),
            };
            vec![role::resource(&found, guild, &bot, &mut unknown)]
        }
        Kind::Category | Kind::Channel => {
            channel::resources("PATCH /channels/{id}", &list(), guild, &mut unknown)?.known
        }
        Kind::Emoji => {
            let found: wire::Emoji = wire::read("PATCH /guilds/{id}/emojis/{emoji}", answer)?;
            vec![expression::emoji(&found)]
        }
        Kind::Sticker => {
            let found: wire::Sticker = wire::read("PATCH /guilds/{id}/stickers/{sticker}", answer)?;
            vec![expression::sticker(&found)]
        }
        Kind::Webhook => webhook::resources(&list())?.0,
        Kind::Automod => automod::resources(&list(), &mut unknown, &mut Vec::new())?.0,
        Kind::Event => event::resources(&list(), &mut unknown, &mut Vec::new())?,
        Kind::Onboarding => vec![community::onboarding(answer, guild, &mut unknown)?],
        // The answer does not tell whether the screen is shown.
        Kind::WelcomeScreen => return Ok(None),
    };
    Ok(found.into_iter().next().map(|found| found.attributes))
}

/// The overwrites and the rest of all channels and categories, by id, out of `GET /guilds/{id}/channels`.
///
/// # Errors
/// When the answer has not the shape that Discord's documents give it.
pub fn read_channels(answer: &Value, guild: Snowflake) -> Result<Vec<(Snowflake, Attributes)>, Unreadable> {
    let found = channel::resources(channel::LIST, answer, guild, &mut Vec::new())?.known;
    Ok(found.into_iter().map(|found| (found.id, found.attributes)).collect())
}
