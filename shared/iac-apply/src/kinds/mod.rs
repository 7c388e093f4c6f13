//! How each kind of resource is written to Discord, one module each.
//!
//! Owns the requests that create, change and delete a resource, and the JSON of them. References are resolved to ids only here.
//! To add a kind: a file with its [`Requests`], and a row in the table below. `arrakis-iac` defines how the kind is read
//! and compared.

mod automod;
mod channel;
mod emoji;
mod event;
mod form;
mod onboarding;
mod role;
mod server;
mod sticker;
mod webhook;
mod welcome_screen;

use arrakis_iac::model::{Attributes, Kind, Reference, Snowflake};
use arrakis_iac::state::State;
use http::Method;
use serde_json::Value;

pub(crate) use channel::overwrite;
use form::Form;
pub use form::FormError;

use crate::http::{Body, Upload};
use crate::image::ImageSource;

/// The requests that write a kind of resource. No method has a default, so that the compiler reports what a new kind lacks.
trait Requests {
    /// The request that creates a resource.
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError>;

    /// The request that changes `fields` of a resource. `current` is the response to [`Requests::current`].
    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        current: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError>;

    /// The request that deletes a resource; `None` for a resource that every server has.
    fn delete(id: Snowflake, guild: Snowflake) -> Option<WriteRequest>;

    /// The request that reads a list before a change of `fields`: Discord replaces the whole list, and parts may be unmanaged.
    fn current(id: Snowflake, guild: Snowflake, fields: &[String]) -> Option<Current>;

    /// Names of the attributes that Discord does not accept on creation: a further request sets them.
    fn fields_after_create(&self) -> Vec<String>;
}

/// A request before a change.
pub(crate) struct Current {
    pub(crate) path: String,
    /// The call, and the list in its response that the change includes. A missing list is an error, not an empty list.
    needed: Option<(&'static str, &'static str)>,
}

/// The table of kinds.
macro_rules! table {
    ($($kind:ident: $attributes:ty;)+) => {
        /// Evaluates an expression with the attributes of any kind.
        macro_rules! each {
            ($any:expr, $inner:ident => $body:expr) => {
                match $any { $(Attributes::$kind($inner) => $body,)+ }
            };
        }

        /// Evaluates an expression with the type of a kind's attributes.
        macro_rules! by_kind {
            ($any:expr, $type:ident => $body:expr) => {
                match $any { $(Kind::$kind => { type $type = $attributes; $body })+ }
            };
        }
    };
}

table! {
    Server: arrakis_iac::model::Server;
    Role: arrakis_iac::model::Role;
    Category: arrakis_iac::model::Channel;
    Channel: arrakis_iac::model::Channel;
    Emoji: arrakis_iac::model::Emoji;
    Sticker: arrakis_iac::model::Sticker;
    Webhook: arrakis_iac::model::Webhook;
    Automod: arrakis_iac::model::AutomodRule;
    WelcomeScreen: arrakis_iac::model::WelcomeScreen;
    Onboarding: arrakis_iac::model::Onboarding;
    Event: arrakis_iac::model::Event;
}

/// A request that writes a resource.
#[derive(Debug)]
pub(crate) struct WriteRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Body>,
}

impl WriteRequest {
    /// Method and path, for messages.
    pub(crate) fn call(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn new(method: Method, path: String, form: Form) -> Self {
        Self {
            method,
            path,
            body: Some(Body::json(&form.into())),
        }
    }

    fn post(path: String, form: Form) -> Self {
        Self::new(Method::POST, path, form)
    }

    fn patch(path: String, form: Form) -> Self {
        Self::new(Method::PATCH, path, form)
    }

    /// A POST with a file as `multipart/form-data`.
    fn upload(path: String, upload: Upload) -> Self {
        Self {
            method: Method::POST,
            path,
            body: Some(Body::Form(upload)),
        }
    }

    const fn delete(path: String) -> Self {
        Self {
            method: Method::DELETE,
            path,
            body: None,
        }
    }
}

/// The context of forms: resolves references and images.
pub(crate) struct Context<'a> {
    pub(crate) guild: Snowflake,
    pub(crate) bot: Snowflake,
    pub(crate) state: &'a State,
    pub(crate) images: &'a dyn ImageSource,
}

impl Context<'_> {
    /// The id of a reference.
    ///
    /// # Errors
    /// It is not in the state: no earlier step created it.
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

/// The request that creates a resource.
///
/// # Errors
/// An unresolved reference, an unreadable image, or a kind that every server has exactly once.
pub(crate) fn create(attributes: &Attributes, context: &Context<'_>) -> Result<WriteRequest, FormError> {
    each!(attributes, own => own.create(context))
}

/// The request that changes `fields` of a resource. `current` is the response to [`current`].
///
/// # Errors
/// An unresolved reference or an unreadable image.
pub(crate) fn update(
    id: Snowflake,
    attributes: &Attributes,
    fields: &[String],
    current: &Value,
    context: &Context<'_>,
) -> Result<WriteRequest, FormError> {
    let needed = self::current(attributes.kind(), id, context.guild, fields).and_then(|current| current.needed);
    if let Some((call, field)) = needed
        && !current[field].is_array()
    {
        return Err(FormError::Unread { call, field });
    }
    each!(attributes, own => own.update(id, fields, current, context))
}

/// The request that reads a list before a change of `fields`: Discord replaces the whole list, and parts may be unmanaged.
pub(crate) fn current(kind: Kind, id: Snowflake, guild: Snowflake, fields: &[String]) -> Option<Current> {
    by_kind!(kind, T => T::current(id, guild, fields))
}

/// The request that deletes a resource; `None` for a resource that every server has.
pub(crate) fn delete(kind: Kind, id: Snowflake, guild: Snowflake) -> Option<WriteRequest> {
    by_kind!(kind, T => T::delete(id, guild))
}

/// Names of the attributes that Discord does not accept on creation: a further request sets them.
pub(crate) fn fields_after_create(attributes: &Attributes) -> Vec<String> {
    each!(attributes, own => own.fields_after_create())
}

#[cfg(test)]
mod tests {
    use arrakis_iac::model::{Onboarding, Server};
    use serde_json::json;

    use super::*;
    use crate::image::ImageFolder;

    /// Discord replaces features and questions: those that are not sent again are removed.
    #[test]
    fn missing_list_is_an_error_and_not_empty() {
        let (state, images) = (State::new("lineage"), ImageFolder(std::path::PathBuf::new()));
        let id = Snowflake::new(1).unwrap_or_else(|| panic!("an id"));
        let context = Context {
            guild: id,
            bot: id,
            state: &state,
            images: &images,
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
