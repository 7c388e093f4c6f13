//! Welcome screen and onboarding. <https://discord.com/developers/docs/resources/guild#get-guild-welcome-screen>

use http::Method;
use serde_json::{Value, json};

use crate::{
    model::{Guild, Id, Onboarding, OnboardingOption, OnboardingPrompt, Permissions, community::AnswerEmoji},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode, FieldErrors},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            community::{OnboardingForm, OptionForm, PromptForm, read_onboarding, read_welcome},
            form::{FormField, read_body},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, WELCOME, BucketClass::Community, welcome),
    bot(&Method::PATCH, WELCOME, BucketClass::Community, edit_welcome),
    bot(&Method::GET, ONBOARDING, BucketClass::Community, onboarding),
    bot(&Method::PUT, ONBOARDING, BucketClass::Community, put_onboarding),
];

const WELCOME: &str = "/guilds/{guild_id}/welcome-screen";
const ONBOARDING: &str = "/guilds/{guild_id}/onboarding";
/// Number of default channels that enabled onboarding must have.
const LEAST_CHANNELS: usize = 7;

fn welcome(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_GUILD)?;
        let screen = guild.welcome_screen.as_ref().ok_or(ErrorCode::UnknownWelcomeScreen)?;
        Ok(RouteResponse::json(&screen_of(guild, screen)))
    })
}

/// Deleted channels are not returned.
fn screen_of(guild: &Guild, screen: &crate::model::WelcomeScreen) -> Value {
    let mut screen = screen.clone();
    screen
        .welcome_channels
        .retain(|channel| guild.channels.contains_key(&channel.channel_id));
    json!(screen)
}

fn require_community(guild: &Guild) -> ApiResult<()> {
    if guild.has_feature("COMMUNITY") {
        Ok(())
    } else {
        Err(ErrorCode::MissingAccess.into())
    }
}

fn edit_welcome(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let form = read_body(call.json()?, read_welcome)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_GUILD)?;
        require_community(guild)?;
        let mut screen = guild.welcome_screen.clone().unwrap_or_default();
        let errors = FieldErrors::default();
        if let FormField::Value(channels) = &form.channels {
            for (index, channel) in channels.iter().enumerate() {
                if !guild.channels.contains_key(&channel.channel_id) {
                    let path = [
                        "welcome_channels".to_owned(),
                        index.to_string(),
                        "channel_id".to_owned(),
                    ];
                    errors.add(&path, "CHANNEL_INVALID", "Invalid channel");
                }
            }
            screen.welcome_channels.clone_from(channels);
        }
        errors.finish(())?;
        let description = form.description.clone().or_keep(screen.description.take());
        screen.description = description.filter(|text| !text.is_empty());
        let shown = guild.has_feature("WELCOME_SCREEN_ENABLED");
        let enabled = form.enabled.clone().or_default(shown, shown);
        let answer = RouteResponse::json(&screen_of(guild, &screen));
        state.set_welcome_screen(id, screen, enabled, &call.cause());
        Ok(answer)
    })
}

fn view(guild: &Guild, onboarding: &Onboarding) -> Value {
    let mut onboarding = onboarding.clone();
    let there = |id: &Id| guild.channels.contains_key(id);
    onboarding.default_channel_ids.retain(there);
    for option in onboarding.prompts.iter_mut().flat_map(|prompt| &mut prompt.options) {
        option.channel_ids.retain(there);
        option.role_ids.retain(|id| guild.roles.contains_key(id));
    }
    let mut view = json!(onboarding);
    view["guild_id"] = json!(guild.id);
    view
}

fn onboarding(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let guild = state.guild_for_bot(id)?;
        Ok(RouteResponse::json(&view(guild, &guild.onboarding)))
    })
}

fn put_onboarding(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let form = read_body(call.json()?, read_onboarding)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_GUILD | Permissions::MANAGE_ROLES)?;
        require_community(guild)?;
        check(guild, &form)?;
        let mut onboarding = guild.onboarding.clone();
        if let FormField::Value(prompts) = &form.prompts {
            let known = std::mem::take(&mut onboarding.prompts);
            onboarding.prompts = prompts.iter().map(|form| prompt(state, form, &known)).collect();
        }
        if let FormField::Value(channels) = &form.default_channels {
            onboarding.default_channel_ids = channels.iter().copied().map(Id).collect();
        }
        onboarding.enabled = form.enabled.clone().or_default(onboarding.enabled, false);
        let mode = form.mode.clone().map(|mode| u8::try_from(mode).unwrap_or(0));
        onboarding.mode = mode.or_default(onboarding.mode, 0);
        if onboarding.enabled && onboarding.default_channel_ids.len() < LEAST_CHANNELS {
            let words = "Onboarding needs at least 7 default channels";
            return Err(ApiError::field(
                "default_channel_ids",
                "ONBOARDING_MISSING_DEFAULT_CHANNELS",
                words,
            ));
        }
        let answer = RouteResponse::json(&view(state.guild_for_bot(id)?, &onboarding));
        state.set_onboarding(id, onboarding, &call.cause());
        Ok(answer)
    })
}

fn check(guild: &Guild, form: &OnboardingForm) -> ApiResult<()> {
    let errors = FieldErrors::default();
    let channel = |id: &u64| guild.channels.contains_key(&Id(*id));
    let role = |id: &u64| guild.roles.contains_key(&Id(*id));
    if !form.default_channels.as_value().into_iter().flatten().all(channel) {
        errors.add(
            &["default_channel_ids".to_owned()],
            "CHANNEL_INVALID",
            "Invalid channel",
        );
    }
    for (index, prompt) in form.prompts.as_value().into_iter().flatten().enumerate() {
        let fits = |option: &OptionForm| option.channels.iter().all(channel) && option.roles.iter().all(role);
        if !prompt.options.iter().all(fits) {
            let path = ["prompts".to_owned(), index.to_string(), "options".to_owned()];
            errors.add(&path, "BASE_TYPE_CHOICES", "Unknown role or channel");
        }
    }
    errors.finish(())
}

/// Existing prompts and options keep their ids; new ones get an id.
fn prompt(state: &mut State, form: &PromptForm, known: &[OnboardingPrompt]) -> OnboardingPrompt {
    let same = known.iter().find(|prompt| prompt.id == Id(form.id));
    let [single_select, required, in_onboarding] = form.flags;
    OnboardingPrompt {
        id: same.map_or_else(|| state.next_id(), |same| same.id),
        kind: form.kind,
        title: form.title.clone(),
        single_select,
        required,
        in_onboarding,
        options: form.options.iter().map(|option| answer(state, option, same)).collect(),
    }
}

fn answer(state: &mut State, form: &OptionForm, prompt: Option<&OnboardingPrompt>) -> OnboardingOption {
    let known = prompt
        .into_iter()
        .flat_map(|prompt| &prompt.options)
        .find(|option| Some(option.id.0) == form.id);
    OnboardingOption {
        id: known.map_or_else(|| state.next_id(), |known| known.id),
        title: form.title.clone(),
        description: form.description.clone(),
        emoji: AnswerEmoji {
            id: form.emoji.0,
            name: form.emoji.1.clone(),
            animated: false,
        },
        role_ids: form.roles.iter().copied().map(Id).collect(),
        channel_ids: form.channels.iter().copied().map(Id).collect(),
    }
}
