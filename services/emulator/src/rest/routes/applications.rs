//! The bot's application. <https://discord.com/developers/docs/resources/application>

use http::Method;
use serde_json::{Value, json};

use super::cdn::store_image;
use crate::{
    rest::{
        call::{Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            form::{Form, FormField, Length, read_body},
            image::read_image,
        },
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
    bot(
        &Method::PATCH,
        "/applications/{application_id}",
        BucketClass::Application,
        edit_by_id,
    ),
];

const IMAGE_BYTES: usize = 10 * 1_024 * 1_024;

fn view(state: &State) -> Value {
    let application = &state.application;
    let bot = state.users.get(&state.bot_id);
    let flags = application.flags();
    let mut view = json!({
        "id": application.id,
        "name": application.name,
        "icon": null,
        "description": application.description,
        // Deprecated and not in the OpenAPI document. That Discord still sends it, empty, is from memory; interactions.py
        // requires it.
        "summary": "",
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
    });
    for (key, value) in &application.settings {
        view[*key] = value.clone();
    }
    view
}

/// Owner of the application: the owner of the first server, or the bot when there is no server.
fn owner(state: &State) -> Value {
    let first = state
        .guilds
        .values()
        .next()
        .and_then(|guild| state.users.get(&guild.owner_id));
    json!(first.or_else(|| state.users.get(&state.bot_id)))
}

fn get_own(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.read(|state| Ok(RouteResponse::json(&view(state))))
}

fn get_by_id(call: &Call) -> ApiResult<RouteResponse> {
    require_own(call)?;
    get_own(call)
}

/// Settings of the developer portal that a bot may change. They are stored and returned, and have no other effect.
/// <https://discord.com/developers/docs/resources/application#edit-current-application>
fn read_settings(form: &Form<'_>) -> Vec<(&'static str, FormField<Value>)> {
    let url = |key| form.url(key, 512, &["https", "http"]).map(Value::from);
    let pick = |key: &str, choices: &[i64]| form.choice(key, choices).map(Value::from);
    let object = |key| form.form(key).map(|form| Value::Object(form.fields().clone()));
    form.integer("flags", 0, i64::from(i32::MAX));
    let install_params = form.form("install_params").map(|params| {
        let scopes = params.entries("scopes", Length::up_to(1_521)).value().cloned();
        let permissions = params.permissions("permissions").value();
        json!({ "scopes": scopes.unwrap_or_default(), "permissions": permissions.unwrap_or_default() })
    });
    vec![
        (
            "custom_install_url",
            form.url("custom_install_url", 2_048, &["https", "http", "discord"])
                .map(Value::from),
        ),
        ("interactions_endpoint_url", url("interactions_endpoint_url")),
        (
            "role_connections_verification_url",
            url("role_connections_verification_url"),
        ),
        ("event_webhooks_url", url("event_webhooks_url")),
        ("event_webhooks_status", pick("event_webhooks_status", &[1, 2])),
        (
            "event_webhooks_types",
            texts(form, "event_webhooks_types", 1_521, 152_133),
        ),
        ("explicit_content_filter", pick("explicit_content_filter", &[0, 1])),
        (
            "max_participants",
            form.integer("max_participants", -1, i64::from(i32::MAX))
                .map(Value::from),
        ),
        ("tags", texts(form, "tags", 5, 20)),
        ("install_params", install_params),
        ("integration_types_config", object("integration_types_config")),
    ]
}

/// A list of strings of bounded length.
fn texts(form: &Form<'_>, key: &str, most: usize, longest: usize) -> FormField<Value> {
    form.entries(key, Length::up_to(most)).map(|entries| {
        for (index, entry) in entries.iter().enumerate() {
            let length = entry.as_str().map_or(0, |text| text.chars().count());
            if let Some((code, message)) = Length::between(1, longest).refusal(length) {
                form.refuse(&format!("{key}.{index}"), code, message);
            }
        }
        Value::from(entries.clone())
    })
}

fn edit_own(call: &Call) -> ApiResult<RouteResponse> {
    let (description, pictures, settings) = read_body(call.json()?, |form| {
        let picture = |key| (key, read_image(form, key, IMAGE_BYTES));
        let pictures = [picture("icon"), picture("cover_image")];
        (read_description(form), pictures, read_settings(form))
    })?;
    call.app.world.write(|state| {
        match description {
            FormField::Absent => {}
            FormField::Null => state.application.description.clear(),
            FormField::Value(text) => state.application.description = text,
        }
        let pictures = pictures.map(|(key, image)| (key, image.map(|image| store_image(state, &image).into())));
        for (key, given) in settings.into_iter().chain(pictures) {
            match given {
                FormField::Absent => {}
                FormField::Null => drop(state.application.settings.remove(key)),
                FormField::Value(value) => drop(state.application.settings.insert(key, value)),
            }
        }
        // Another address is not checked here, so it is stored and returned only; interactions come by the gateway.
        let kept = state.application.settings.get("interactions_endpoint_url");
        let is_kept = |url: &url::Url| kept.and_then(Value::as_str) == Some(url.as_str());
        if !state.interactions_endpoint.as_ref().is_some_and(is_kept) {
            state.interactions_endpoint = None;
        }
        Ok(RouteResponse::json(&view(state)))
    })
}

fn edit_by_id(call: &Call) -> ApiResult<RouteResponse> {
    require_own(call)?;
    edit_own(call)
}

/// Discord's documentation has a string, its OpenAPI document an object with the string as `default`; both are accepted.
fn read_description(form: &Form<'_>) -> FormField<String> {
    let length = Length::up_to(400);
    if form.raw("description").is_some_and(Value::is_object) {
        let texts = form.form("description").value();
        return texts.map_or(FormField::Absent, |texts| texts.text("default", length));
    }
    form.text("description", length)
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
