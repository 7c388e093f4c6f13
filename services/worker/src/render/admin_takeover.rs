//! `/admin-takeover`: the modals of the typed confirmation, and the replies.

use time::OffsetDateTime;
use twilight_model::channel::message::component::{Label, TextInput, TextInputStyle};
use twilight_model::channel::message::{Component, Embed};
use twilight_model::http::interaction::InteractionResponseData;

use super::{RenderContext, full_field, mfa, next_step, text};

/// The command's name, the first segment of the custom ids of its modals.
pub const NAME: &str = "admin-takeover";
/// Argument of the modal that begins a takeover; the next argument is the id of the admin who gets the control.
pub const BEGIN: &str = "begin";
/// Argument of the modal that ends a takeover.
pub const END: &str = "end";
/// Custom id of the field in which the community's name is typed.
pub const TYPED_NAME: &str = "name";
/// Custom id of the field of the reason.
pub const REASON: &str = "reason";
/// Longest reason, in characters.
const MAX_REASON: u16 = 200;
/// Longest name of a server at Discord, in characters.
const MAX_NAME: u16 = 100;
/// Longest description of a label, in characters: <https://discord.com/developers/docs/components/reference#label>.
const MAX_DESCRIPTION: usize = 100;

/// The modal that begins a takeover, with a field for a code where one is asked for.
pub fn begin_modal(community: &str, admin: u64, asks_for_code: bool) -> InteractionResponseData {
    let mut fields = vec![
        name_field(community),
        field(
            "Why",
            "It is kept in the audit log, with your name.",
            REASON,
            MAX_REASON,
        ),
    ];
    fields.extend(asks_for_code.then(mfa::code_field));
    modal(format!("{NAME}:{BEGIN}:{admin}"), "Freeze and hand over", fields)
}

/// The modal that ends a takeover, with a field for a code where one is asked for.
pub fn end_modal(community: &str, asks_for_code: bool) -> InteractionResponseData {
    let mut fields = vec![name_field(community)];
    fields.extend(asks_for_code.then(mfa::code_field));
    modal(format!("{NAME}:{END}"), "End the takeover", fields)
}

fn modal(custom_id: String, title: &str, fields: Vec<Component>) -> InteractionResponseData {
    InteractionResponseData {
        custom_id: Some(custom_id),
        title: Some(title.to_owned()),
        components: Some(fields),
        ..InteractionResponseData::default()
    }
}

fn name_field(community: &str) -> Component {
    field("Type the name of this community", community, TYPED_NAME, MAX_NAME)
}

fn field(label: &str, description: &str, custom_id: &str, max_length: u16) -> Component {
    #[expect(deprecated, reason = "the field is a part of the struct")]
    let input = TextInput {
        custom_id: custom_id.to_owned(),
        id: None,
        label: None,
        max_length: Some(max_length),
        min_length: Some(1),
        placeholder: None,
        required: Some(true),
        style: TextInputStyle::Short,
        value: None,
    };
    Component::Label(Label {
        component: Box::new(Component::TextInput(input)),
        description: Some(text::truncate(description, MAX_DESCRIPTION)),
        id: None,
        label: label.to_owned(),
    })
}

/// Renders that the community is frozen and who controls it.
pub fn begun(context: &RenderContext<'_>, admin: u64, reason: &str) -> Embed {
    let lead = format!(
        "The community is frozen, and <@{admin}> alone controls it: no role is changed, and no other admin can use commands of admins here."
    );
    context
        .embed_without_ranking("Takeover", context.theme.accent, &[lead])
        .field(full_field("Reason", &text::name(reason)))
        .field(full_field("Recorded", "In the audit log, with your name and the reason."))
        .field(next_step(
            "Remove the cause, such as the roles of a stolen account; then the named admin ends it by `/admin-takeover`.",
        ))
        .build()
}

/// Renders that the takeover is over.
pub fn ended(context: &RenderContext<'_>) -> Embed {
    let lead = "The freeze has ended, and every admin can use commands of admins again.".to_owned();
    context
        .embed_without_ranking("Takeover ended", context.theme.accent, &[lead])
        .field(next_step(
            "A reconcile of all members runs now; it makes the role changes that were missed.",
        ))
        .build()
}

/// The sentences of the refusal of an admin while another one controls the community, since this time.
pub fn controlled(admin: u64, since: Option<OffsetDateTime>) -> (String, String) {
    let since = since.map(|at| format!(" since {}", text::time(at))).unwrap_or_default();
    (
        format!("This community is frozen{since}, and <@{admin}> alone controls it."),
        "Ask this admin to act or to end it by `/admin-takeover`; the operator of this bot can end it, too.".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modals_have_labels_within_discords_limits() {
        let long = "x".repeat(150);
        for modal in [begin_modal(&long, u64::MAX, true), end_modal("Sietch Tabr", false)] {
            let json = serde_json::to_value(&modal).unwrap();
            assert!(json["custom_id"].as_str().unwrap().len() <= 100, "{json:#}");
            assert!(json["title"].as_str().unwrap().chars().count() <= 45, "{json:#}");
            for label in json["components"].as_array().unwrap() {
                assert!(label["label"].as_str().unwrap().chars().count() <= 45, "{label:#}");
                assert!(
                    label["description"].as_str().unwrap().chars().count() <= 100,
                    "{label:#}"
                );
            }
        }
    }
}
