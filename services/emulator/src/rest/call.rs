//! A REST call as the input of its route, and the response of the route.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{
    errors::{ApiError, ApiResult, ErrorCode},
    limits::Limits,
    validate::query::Query,
};
use crate::{
    AppState,
    model::{Id, Permissions, Timestamp},
    world::{Cause, State},
};

/// A file of a multipart body.
#[derive(Clone, Debug)]
pub struct UploadedFile {
    /// Name of the field: `files[n]`, or a name of its own such as a sticker's `file`.
    pub field: String,
    /// `n` of `files[n]`.
    pub index: u64,
    /// Name with extension.
    pub filename: String,
    /// Media type, if the client gave one.
    pub content_type: Option<String>,
    /// The bytes.
    pub bytes: Bytes,
}

/// Body of a request.
#[derive(Debug, Default)]
pub struct Body {
    /// The JSON body or `payload_json`; `None` when there was none.
    pub json: Option<Value>,
    /// Files of a multipart body.
    pub files: Vec<UploadedFile>,
}

/// A call that has been matched to a route and authorized.
#[derive(Debug)]
pub struct Call {
    /// The emulator.
    pub app: AppState,
    /// Rate limits, for those that a route counts itself.
    pub limits: Arc<Limits>,
    /// Values of the template's parameters, decoded.
    pub params: Vec<(&'static str, String)>,
    /// The query string.
    pub query: Query,
    /// The body.
    pub body: Body,
    /// `X-Audit-Log-Reason`, decoded.
    pub reason: Option<String>,
    /// Time of arrival by the emulator's clock.
    pub now: Timestamp,
}

impl Call {
    /// A parameter of the path.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value)
    }

    /// A parameter of the path that is a snowflake.
    ///
    /// # Errors
    /// 50035 at the parameter's name, with Discord's text.
    pub fn id(&self, name: &str) -> ApiResult<Id> {
        let text = self.param(name);
        text.parse().map_err(|_| {
            ApiError::field(
                name,
                "NUMBER_TYPE_COERCE",
                format!("Value \"{text}\" is not snowflake."),
            )
        })
    }

    /// The JSON body.
    ///
    /// # Errors
    /// 50109 when there is none.
    pub fn json(&self) -> ApiResult<&Value> {
        self.body.json.as_ref().ok_or_else(|| ErrorCode::InvalidJson.into())
    }

    /// The JSON body, or an empty object where the body is optional.
    #[must_use]
    pub fn json_or_empty(&self) -> Value {
        self.body
            .json
            .clone()
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    /// The bot as the actor, with the reason of this call.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause {
            actor: self.bot(),
            reason: self.reason.clone(),
        }
    }

    /// The bot's user id.
    #[must_use]
    pub fn bot(&self) -> Id {
        self.app.options.application_id
    }

    /// Base URL of the emulated content network, without a slash at the end.
    #[must_use]
    pub fn cdn(&self) -> &str {
        self.app.addresses.rest.trim_end_matches("/api/v10")
    }
}

/// Response of a route.
#[derive(Debug)]
pub enum RouteResponse {
    /// A JSON body.
    Json(StatusCode, String),
    /// 204.
    NoContent,
    /// A file.
    File {
        /// Media type.
        content_type: String,
        /// The bytes.
        bytes: Bytes,
    },
}

impl RouteResponse {
    /// 200 with this as JSON.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        Self::with_status(StatusCode::OK, value)
    }

    /// 201 with this as JSON.
    #[must_use]
    pub fn created(value: &impl Serialize) -> Self {
        Self::with_status(StatusCode::CREATED, value)
    }

    fn with_status(status: StatusCode, value: &impl Serialize) -> Self {
        // These types always serialize; a failure is a defect and is logged.
        let text = serde_json::to_string(value).unwrap_or_else(|error| {
            tracing::error!(%error, "a response could not be serialized");
            "null".to_owned()
        });
        Self::Json(status, text)
    }
}

/// Checks that most routes begin with.
pub trait AccessChecks {
    /// The server; the bot must be a member.
    ///
    /// # Errors
    /// 10004.
    fn guild_for_bot(&self, guild: Id) -> ApiResult<&crate::model::Guild>;

    /// The server; the bot must also have the permissions `needed`.
    ///
    /// # Errors
    /// 10004, 50013.
    fn guild_with(&self, guild: Id, needed: Permissions) -> ApiResult<&crate::model::Guild>;

    /// A channel; the bot must be able to view it and have the permissions `needed`. Direct messages are not checked.
    ///
    /// # Errors
    /// 10003, 50001, 50013.
    fn channel_with(&self, channel: Id, needed: Permissions) -> ApiResult<&crate::model::Channel>;
}

impl AccessChecks for State {
    fn guild_for_bot(&self, guild: Id) -> ApiResult<&crate::model::Guild> {
        self.guilds
            .get(&guild)
            .filter(|known| known.members.contains_key(&self.bot_id))
            .ok_or_else(|| ErrorCode::UnknownGuild.into())
    }

    fn guild_with(&self, guild: Id, needed: Permissions) -> ApiResult<&crate::model::Guild> {
        let known = self.guild_for_bot(guild)?;
        super::permissions::require_in_guild(known, self.bot_id, needed, self.now())?;
        Ok(known)
    }

    fn channel_with(&self, channel: Id, needed: Permissions) -> ApiResult<&crate::model::Channel> {
        let known = self.channel(channel).ok_or(ErrorCode::UnknownChannel)?;
        let Some(guild) = known.guild_id else { return Ok(known) };
        let server = self.guilds.get(&guild).ok_or(ErrorCode::UnknownChannel)?;
        super::permissions::require_in_channel(server, known, self.bot_id, needed, self.now())?;
        Ok(known)
    }
}
