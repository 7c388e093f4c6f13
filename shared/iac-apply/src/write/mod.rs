//! From attributes to Discord's requests.
//!
//! Owns where each kind is made, changed and deleted, and the JSON of it. References become ids here and nowhere else. To
//! add a kind, add a file with its form and its lines in [`create`], [`update`] and [`delete`].

mod automod;
mod channel;
mod community;
mod event;
mod expression;
mod form;
mod role;
mod server;

use arrakis_iac::model::{Attributes, Kind, Reference, Snowflake};
use arrakis_iac::state::State;
use http::Method;
use serde_json::Value;

pub(crate) use channel::overwrite;
pub(crate) use form::Form;
pub use form::FormError;

use crate::picture::Pictures;

/// A request that a form became.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

impl Writing {
    /// Method and path, as errors name a call.
    pub(crate) fn words(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn new(method: Method, path: String, body: Value) -> Self {
        Self {
            method,
            path,
            body: Some(body),
        }
    }
}

/// What forms look things up in.
pub(crate) struct Context<'a> {
    pub(crate) guild: Snowflake,
    pub(crate) bot: Snowflake,
    pub(crate) state: &'a State,
    pub(crate) pictures: &'a dyn Pictures,
}

impl Context<'_> {
    /// The id behind a reference.
    ///
    /// # Errors
    /// It is in neither state nor plan: an earlier step did not make it.
    pub(crate) fn id(&self, reference: &Reference) -> Result<Snowflake, FormError> {
        match reference {
            Reference::Id(id) => Ok(*id),
            Reference::Address(address) if address.is_everyone() => Ok(self.guild),
            Reference::Address(address) => {
                let id = self.state.id(address);
                id.ok_or_else(|| FormError::Unresolved(address.clone()))
            }
        }
    }

    pub(crate) fn ids(&self, references: &[Reference]) -> Result<Vec<String>, FormError> {
        references
            .iter()
            .map(|reference| Ok(self.id(reference)?.to_string()))
            .collect()
    }
}

/// The request that makes it.
///
/// # Errors
/// A reference that leads nowhere, a picture that cannot be read, a kind that a server has anyway.
pub(crate) fn create(attributes: &Attributes, context: &Context<'_>) -> Result<Writing, FormError> {
    let guild = context.guild;
    let post = |path: String, form: Form| Ok(Writing::new(Method::POST, path, form.into()));
    match attributes {
        Attributes::Role(role) => post(format!("/guilds/{guild}/roles"), role::create(role)),
        Attributes::Category(channel) | Attributes::Channel(channel) => {
            post(format!("/guilds/{guild}/channels"), channel::create(channel, context)?)
        }
        Attributes::Emoji(emoji) => post(
            format!("/guilds/{guild}/emojis"),
            expression::emoji(emoji, None, context)?,
        ),
        Attributes::Webhook(webhook) => {
            let channel = webhook.channel.as_ref().ok_or(FormError::Missing("channel"))?;
            let path = format!("/channels/{}/webhooks", context.id(channel)?);
            post(path, expression::webhook(webhook, None, context)?)
        }
        Attributes::Automod(rule) => {
            let path = format!("/guilds/{guild}/auto-moderation/rules");
            post(path, automod::form(rule, None, context)?)
        }
        Attributes::Event(event) => post(
            format!("/guilds/{guild}/scheduled-events"),
            event::form(event, None, context)?,
        ),
        Attributes::Sticker(_) => Err(FormError::Unsupported(
            "a sticker is uploaded in Discord's settings and then imported",
        )),
        Attributes::Server(_) | Attributes::WelcomeScreen(_) | Attributes::Onboarding(_) => Err(
            FormError::Unsupported("a server has exactly one of it, which is changed and never made"),
        ),
    }
}

/// The request that changes `fields` of it. `current` is what Discord says of it now, for forms that need it (see
/// [`needs_current`]).
///
/// # Errors
/// A reference that leads nowhere, a picture that cannot be read.
pub(crate) fn update(
    id: Snowflake,
    attributes: &Attributes,
    fields: &[String],
    current: &Value,
    context: &Context<'_>,
) -> Result<Writing, FormError> {
    if let Some((call, field)) = needed_of_current(attributes.kind(), fields)
        && !current[field].is_array()
    {
        return Err(FormError::Unread { call, field });
    }
    let guild = context.guild;
    let some = Some(fields);
    let patch = |path: String, form: Form| Ok(Writing::new(Method::PATCH, path, form.into()));
    match attributes {
        Attributes::Server(server) => patch(
            format!("/guilds/{guild}"),
            server::form(server, fields, current, context)?,
        ),
        Attributes::Role(role) => patch(format!("/guilds/{guild}/roles/{id}"), role::update(role, fields)),
        Attributes::Category(channel) | Attributes::Channel(channel) => patch(
            format!("/channels/{id}"),
            channel::update(channel, fields, current, context)?,
        ),
        Attributes::Emoji(emoji) => patch(
            format!("/guilds/{guild}/emojis/{id}"),
            expression::emoji(emoji, some, context)?,
        ),
        Attributes::Sticker(sticker) => patch(
            format!("/guilds/{guild}/stickers/{id}"),
            expression::sticker(sticker, some),
        ),
        Attributes::Webhook(webhook) => patch(format!("/webhooks/{id}"), expression::webhook(webhook, some, context)?),
        Attributes::Automod(rule) => {
            let path = format!("/guilds/{guild}/auto-moderation/rules/{id}");
            patch(path, automod::form(rule, some, context)?)
        }
        Attributes::WelcomeScreen(screen) => {
            let path = format!("/guilds/{guild}/welcome-screen");
            patch(path, community::welcome_screen(screen, fields, context)?)
        }
        Attributes::Onboarding(onboarding) => {
            let form = community::onboarding(onboarding, fields, current, context)?;
            Ok(Writing::new(
                Method::PUT,
                format!("/guilds/{guild}/onboarding"),
                form.into(),
            ))
        }
        Attributes::Event(event) => patch(
            format!("/guilds/{guild}/scheduled-events/{id}"),
            event::form(event, some, context)?,
        ),
    }
}

/// Where to read what an update has to build on, when it has to: Discord takes flags, features and questions whole,
/// and some of each may not be managed.
pub(crate) fn needs_current(kind: Kind, id: Snowflake, guild: Snowflake, fields: &[String]) -> Option<String> {
    let touches = |names: &[&str]| fields.iter().any(|field| names.contains(&field.as_str()));
    match kind {
        Kind::Server if touches(&["community"]) => Some(format!("/guilds/{guild}")),
        Kind::Channel if touches(&["require_tag", "hide_download_options"]) => Some(format!("/channels/{id}")),
        Kind::Onboarding if touches(&["prompts"]) => Some(format!("/guilds/{guild}/onboarding")),
        _ => None,
    }
}

/// The call and the list that an update takes over from what Discord says: a list that is missing is not an empty one.
fn needed_of_current(kind: Kind, fields: &[String]) -> Option<(&'static str, &'static str)> {
    let touches = |name: &str| fields.iter().any(|field| field == name);
    match kind {
        Kind::Server if touches("community") => Some(("GET /guilds/{guild}", "features")),
        Kind::Onboarding if touches("prompts") => Some(("GET /guilds/{guild}/onboarding", "prompts")),
        _ => None,
    }
}

/// The request that deletes it; `None` for what is there on every server.
pub(crate) fn delete(kind: Kind, id: Snowflake, guild: Snowflake) -> Option<Writing> {
    let path = match kind {
        Kind::Role => format!("/guilds/{guild}/roles/{id}"),
        Kind::Category | Kind::Channel => format!("/channels/{id}"),
        Kind::Emoji => format!("/guilds/{guild}/emojis/{id}"),
        Kind::Sticker => format!("/guilds/{guild}/stickers/{id}"),
        Kind::Webhook => format!("/webhooks/{id}"),
        Kind::Automod => format!("/guilds/{guild}/auto-moderation/rules/{id}"),
        Kind::Event => format!("/guilds/{guild}/scheduled-events/{id}"),
        Kind::Server | Kind::WelcomeScreen | Kind::Onboarding => return None,
    };
    Some(Writing {
        method: Method::DELETE,
        path,
        body: None,
    })
}

/// Names of the fields that Discord does not take when it is made: they follow in a request of their own.
pub(crate) fn fields_after_create(attributes: &Attributes) -> Vec<String> {
    match attributes {
        Attributes::Channel(channel) => channel::after_create(channel),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_iac::model::{Onboarding, Server};
    use serde_json::json;

    use super::*;
    use crate::picture::Folder;

    /// Discord takes features and questions whole: those that are not sent back are removed.
    #[test]
    fn a_list_that_discord_did_not_send_is_not_taken_for_empty() {
        let (state, pictures) = (State::new("lineage"), Folder(std::path::PathBuf::new()));
        let id = Snowflake::new(1).unwrap_or_else(|| panic!("an id"));
        let context = Context {
            guild: id,
            bot: id,
            state: &state,
            pictures: &pictures,
        };
        let server = Attributes::Server(Server {
            community: Some(true),
            ..Server::default()
        });
        let onboarding = Attributes::Onboarding(Onboarding {
            prompts: Some(Vec::new()),
            ..Onboarding::default()
        });
        for (attributes, own, list) in [(server, "community", "features"), (onboarding, "prompts", "prompts")] {
            let fields = [own.to_owned()];
            for current in [json!({}), json!({ list: null }), Value::Null] {
                let refused = update(id, &attributes, &fields, &current, &context);
                let message = refused.map(drop).map_err(|error| error.to_string());
                assert!(
                    message.is_err_and(|message| message.contains(&format!("`{list}`"))),
                    "{current}"
                );
            }
            assert!(update(id, &attributes, &fields, &json!({ list: [] }), &context).is_ok());
        }
    }
}
