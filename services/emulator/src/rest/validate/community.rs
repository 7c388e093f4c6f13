//! Forms of welcome screen, onboarding and scheduled events.
//!
//! Sources: <https://discord.com/developers/docs/resources/guild#modify-guild-welcome-screen>,
//! <https://discord.com/developers/docs/resources/guild-scheduled-event#create-guild-scheduled-event>.

use super::{
    form::{Form, FormField, Length},
    image::{Image, read_image},
};
use crate::model::{Id, Timestamp, WelcomeChannel};

/// Largest image of an event in bytes.
const IMAGE_BYTES: usize = 10 * 1_024 * 1_024;

/// Form of a welcome screen.
pub struct WelcomeForm {
    /// Whether it is enabled.
    pub enabled: FormField<bool>,
    /// Description of the server.
    pub description: FormField<String>,
    /// Up to five channels.
    pub channels: FormField<Vec<WelcomeChannel>>,
}

/// Reads the form of a welcome screen.
pub fn read_welcome(form: &Form<'_>) -> WelcomeForm {
    let channel = |channel: &Form<'_>| {
        channel.require("channel_id");
        WelcomeChannel {
            channel_id: Id(channel.snowflake("channel_id").value().unwrap_or(0)),
            description: channel.required_text("description", Length::between(1, 50)),
            emoji_id: channel.snowflake("emoji_id").value().map(Id),
            emoji_name: channel.text("emoji_name", Length::up_to(152_133)).value(),
        }
    };
    WelcomeForm {
        enabled: form.flag("enabled"),
        description: form.text("description", Length::up_to(140)),
        channels: form
            .forms("welcome_channels", Length::up_to(5))
            .map(|channels| channels.iter().map(channel).collect()),
    }
}

/// Form of an onboarding option.
pub struct OptionForm {
    /// Id of an existing option.
    pub id: Option<u64>,
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Custom emoji, and Unicode emoji.
    pub emoji: (Option<Id>, Option<String>),
    /// Roles that it assigns.
    pub roles: Vec<u64>,
    /// Channels that it opts into.
    pub channels: Vec<u64>,
}

/// Form of an onboarding prompt.
pub struct PromptForm {
    /// Id of an existing prompt, or any other for a new one.
    pub id: u64,
    /// 0 multiple choice, 1 dropdown.
    pub kind: u8,
    /// Title.
    pub title: String,
    /// `single_select`, `required`, `in_onboarding`.
    pub flags: [bool; 3],
    /// Options.
    pub options: Vec<OptionForm>,
}

/// Form of onboarding.
pub struct OnboardingForm {
    /// Prompts.
    pub prompts: FormField<Vec<PromptForm>>,
    /// Channels into which all members are opted.
    pub default_channels: FormField<Vec<u64>>,
    /// Whether it is enabled.
    pub enabled: FormField<bool>,
    /// Mode, 0 or 1.
    pub mode: FormField<i64>,
}

/// Reads the form of the onboarding of a server.
pub fn read_onboarding(form: &Form<'_>) -> OnboardingForm {
    OnboardingForm {
        prompts: form
            .forms("prompts", Length::up_to(15))
            .map(|prompts| prompts.iter().map(read_prompt).collect()),
        default_channels: form.snowflakes("default_channel_ids", Length::up_to(500)),
        enabled: form.flag("enabled"),
        mode: form.choice("mode", &[0, 1]),
    }
}

fn read_prompt(prompt: &Form<'_>) -> PromptForm {
    prompt.require("id");
    prompt.require("options");
    let flag = |key: &str| prompt.flag(key).value().unwrap_or(false);
    let options = prompt
        .forms("options", Length::between(1, 50))
        .value()
        .unwrap_or_default();
    PromptForm {
        id: prompt.snowflake("id").value().unwrap_or(0),
        kind: u8::try_from(prompt.choice("type", &[0, 1]).value().unwrap_or(0)).unwrap_or(0),
        title: prompt.required_text("title", Length::between(1, 100)),
        flags: [flag("single_select"), flag("required"), flag("in_onboarding")],
        options: options.iter().map(read_option).collect(),
    }
}

fn read_option(option: &Form<'_>) -> OptionForm {
    let list = |key: &str| option.snowflakes(key, Length::up_to(50)).value().unwrap_or_default();
    let (roles, channels) = (list("role_ids"), list("channel_ids"));
    if roles.is_empty() && channels.is_empty() {
        option.refuse(
            "",
            "ONBOARDING_PROMPT_OPTION_REQUIRES_ROLE_OR_CHANNEL",
            "An option needs a role or a channel",
        );
    }
    OptionForm {
        id: option.snowflake("id").value(),
        title: option.required_text("title", Length::between(1, 50)),
        description: option
            .text("description", Length::up_to(100))
            .value()
            .unwrap_or_default(),
        emoji: (
            option.snowflake("emoji_id").value().map(Id),
            option.text("emoji_name", Length::up_to(100)).value(),
        ),
        roles,
        channels,
    }
}

/// Form of a scheduled event.
pub struct EventForm {
    /// Name.
    pub name: FormField<String>,
    /// Description.
    pub description: FormField<String>,
    /// Start time.
    pub starts: FormField<Timestamp>,
    /// End time.
    pub ends: FormField<Timestamp>,
    /// 1 stage, 2 voice, 3 external.
    pub entity_type: FormField<i64>,
    /// Stage or voice channel.
    pub channel: FormField<u64>,
    /// Location of an external event.
    pub location: FormField<String>,
    /// Image.
    pub image: FormField<Image>,
    /// New status.
    pub status: FormField<i64>,
}

/// Reads the form of a scheduled event.
pub fn read_event(form: &Form<'_>, create: bool) -> EventForm {
    if create {
        for key in ["name", "privacy_level", "scheduled_start_time", "entity_type"] {
            form.require(key);
        }
    }
    form.choice("privacy_level", &[2]);
    let location = match form.form("entity_metadata") {
        FormField::Absent => FormField::Absent,
        FormField::Null => FormField::Null,
        FormField::Value(data) => data.text("location", Length::between(1, 100)),
    };
    EventForm {
        name: form.text("name", Length::between(1, 100)),
        description: form.text("description", Length::up_to(1_000)),
        starts: time(form, "scheduled_start_time"),
        ends: time(form, "scheduled_end_time"),
        entity_type: form.choice("entity_type", &[1, 2, 3]),
        channel: form.snowflake("channel_id"),
        location,
        image: read_image(form, "image", IMAGE_BYTES),
        status: form.choice("status", &[1, 2, 3, 4]),
    }
}

fn time(form: &Form<'_>, key: &str) -> FormField<Timestamp> {
    match form.text(key, Length::up_to(100)) {
        FormField::Absent => FormField::Absent,
        FormField::Null => FormField::Null,
        FormField::Value(text) => match Timestamp::parse(&text) {
            Some(time) => FormField::Value(time),
            None => {
                form.refuse(
                    key,
                    "DATE_TIME_TYPE_PARSE",
                    format!("Could not parse {text}. Should be ISO8601."),
                );
                FormField::Absent
            }
        },
    }
}
