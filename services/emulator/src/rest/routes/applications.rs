//! The bot's application. <https://discord.com/developers/docs/resources/application>

use http::Method;
use serde_json::{Value, json};

use crate::{
    rest::{
        call::{Answer, Call},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
        validate::form::{Given, Length, read_body},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, "/applications/@me", BucketClass::Application, get_own),
    bot(&Method::PATCH, "/applications/@me", BucketClass::Application, edit_own),
    bot(
        &Method::GET,
        "/oauth2/applications/@me",
        BucketClass::Application,
        get_own,
    ),
    bot(
        &Method::GET,
        "/applications/{application_id}",
        BucketClass::Application,
        get_by_id,
    ),
];

fn view(state: &State) -> Value {
    let application = &state.application;
    let bot = state.users.get(&state.bot_id);
    let flags = application.flags();
    json!({
        "id": application.id,
        "name": application.name,
        "icon": null,
        "description": application.description,
        "type": null,
        "bot": bot,
        "bot_public": true,
        "bot_require_code_grant": false,
        "integration_types_config": {"0": {}},
        "verify_key": application.verify_key,
        "flags": flags,
        "flags_new": flags.to_string(),
        "redirect_uris": [],
        "interactions_endpoint_url": null,
        "role_connections_verification_url": null,
        "owner": owner(state),
        "approximate_guild_count": state.guilds.len(),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": null,
        "eligible_oauth2_scopes": ["applications.commands", "bot"],
    })
}

/// The person who owns the application: the owner of the first server, or the bot where there is none.
fn owner(state: &State) -> Value {
    let first = state
        .guilds
        .values()
        .next()
        .and_then(|guild| state.users.get(&guild.owner_id));
    json!(first.or_else(|| state.users.get(&state.bot_id)))
}

fn get_own(call: &Call) -> ApiResult<Answer> {
    call.app.world.read(|state| Ok(Answer::json(&view(state))))
}

fn get_by_id(call: &Call) -> ApiResult<Answer> {
    require_own(call)?;
    get_own(call)
}

fn edit_own(call: &Call) -> ApiResult<Answer> {
    let description = read_body(call.json()?, |form| form.text("description", Length::up_to(400)))?;
    call.app.world.write(|state| {
        match description {
            Given::Absent => {}
            Given::Null => state.application.description.clear(),
            Given::Value(text) => state.application.description = text,
        }
        Ok(Answer::json(&view(state)))
    })
}

/// Refuses an application other than the caller's.
///
/// # Errors
/// 20012.
pub(super) fn require_own(call: &Call) -> ApiResult<()> {
    if call.id("application_id")? == call.app.options.application_id {
        Ok(())
    } else {
        Err(ErrorCode::NotYourApplication.into())
    }
}
