//! `/mfa`: the second factor of a member; and the modal that asks for a code before a protected operation.

use arrakis_db::mfa::{MfaOutcome, MfaStatus};
use arrakis_security::mfa::BackupCode;
use twilight_model::channel::message::component::{ButtonStyle, Label, TextInput, TextInputStyle};
use twilight_model::channel::message::{Component, Embed};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_util::builder::embed::ImageSource;

use super::{RenderContext, buttons, full_field, next_step, text};

/// The command's name, the first segment of the custom ids of its buttons and modals.
pub const NAME: &str = "mfa";
/// Argument of the button that opens the modal for the first code.
pub const ENTER: &str = "enter";
/// Argument of the modal with the first code.
pub const CONFIRM: &str = "confirm";
/// Argument of the button that replaces all backup codes.
pub const CODES: &str = "codes";
/// Argument of the button that removes the second factor.
pub const REMOVE: &str = "remove";
/// Second segment of the custom id of a modal that asks for a code; the rest is that of the button for which it asks.
pub const GUARD: &str = "mfa";
/// Custom id of the field of the code.
pub const CODE_FIELD: &str = "mfa-code";
/// Name of the attached QR code.
pub const FILE_NAME: &str = "mfa.png";
/// Shortest code, in characters.
const MIN_CODE: u16 = 6;
/// Longest code, in characters: a backup code, typed with spaces.
const MAX_CODE: u16 = 40;

/// The field in which a code is typed.
pub fn code_field() -> Component {
    described_code_field("Six digits of your authenticator app, or a backup code")
}

fn described_code_field(description: &str) -> Component {
    #[expect(deprecated, reason = "the field is a part of the struct")]
    let input = TextInput {
        custom_id: CODE_FIELD.to_owned(),
        id: None,
        label: None,
        max_length: Some(MAX_CODE),
        min_length: Some(MIN_CODE),
        placeholder: None,
        required: Some(true),
        style: TextInputStyle::Short,
        value: None,
    };
    Component::Label(Label {
        component: Box::new(Component::TextInput(input)),
        description: Some(description.to_owned()),
        id: None,
        label: "Code of your second factor".to_owned(),
    })
}

fn modal(custom_id: String, title: &str, field: Component) -> InteractionResponseData {
    InteractionResponseData {
        custom_id: Some(custom_id),
        title: Some(title.to_owned()),
        components: Some(vec![field]),
        ..InteractionResponseData::default()
    }
}

/// The modal that asks for a code before the button with this custom id is handled. `None` for a custom id without arguments.
pub fn guard_modal(button: &str) -> Option<InteractionResponseData> {
    let (name, rest) = button.split_once(':')?;
    Some(modal(
        format!("{name}:{GUARD}:{rest}"),
        "Confirm by a code",
        code_field(),
    ))
}

/// The modal for the first code: there are no backup codes before it.
pub fn confirm_modal() -> InteractionResponseData {
    let field = described_code_field("Six digits of your authenticator app");
    modal(format!("{NAME}:{CONFIRM}"), "Enter the first code", field)
}

/// Why a code is refused, and what the member can do.
pub fn refused(outcome: MfaOutcome) -> (String, String) {
    let (what, next) = match outcome {
        MfaOutcome::Accepted => ("The code was accepted.".to_owned(), "Go on.".to_owned()),
        MfaOutcome::NotEnrolled => (
            "This needs a second factor (MFA), and you have none.".to_owned(),
            "Set one up by `/mfa enrol`, and try again.".to_owned(),
        ),
        MfaOutcome::Wrong { attempts_left: 0 } => (
            "The code is wrong, and no code of yours is checked for a while now.".to_owned(),
            "`/mfa status` shows until when. Nothing was changed.".to_owned(),
        ),
        MfaOutcome::Wrong { attempts_left } => (
            "The code is wrong, so nothing was changed.".to_owned(),
            format!(
                "Check that the clock of your phone is right, and try again; {} left.",
                text::count(attempts_left, "attempt is", "attempts are")
            ),
        ),
        MfaOutcome::Replayed => (
            "This code was used already, so nothing was changed.".to_owned(),
            "Wait for the next code of your app, at most 30 seconds, and try again.".to_owned(),
        ),
        MfaOutcome::Throttled { until } => (
            "Too many codes were wrong, so none is checked at the moment.".to_owned(),
            format!("Try again {} ({}).", text::ago(until), text::time(until)),
        ),
    };
    (what, next)
}

/// Renders the QR code of a new secret; its image is the attachment [`FILE_NAME`].
pub fn enrolment(context: &RenderContext<'_>, secret: &str) -> (Embed, Vec<Component>) {
    let lead = "Scan the code with an authenticator app, and enter the six digits that the app shows.".to_owned();
    let mut embed = context
        .embed_without_ranking("Second factor", context.theme.accent, &[lead])
        .field(full_field(
            "Without a camera",
            &format!("Type this into the app: ||`{secret}`||"),
        ))
        .field(full_field(
            "Keep it to yourself",
            "Whoever sees this code or this text has your second factor.",
        ))
        .field(next_step(
            "Press the button below. Until then you have no second factor.",
        ));
    if let Ok(image) = ImageSource::attachment(FILE_NAME) {
        embed = embed.image(image);
    }
    let enter = buttons::button("Enter the code", format!("{NAME}:{ENTER}"), ButtonStyle::Primary);
    (embed.build(), buttons::rows(vec![enter]))
}

/// Renders backup codes, which are shown once.
pub fn backup_codes(context: &RenderContext<'_>, codes: &[BackupCode], enrolled: bool) -> Embed {
    let lead = if enrolled {
        "Your second factor is set up.".to_owned()
    } else {
        "You have new backup codes; the earlier ones do not work any more.".to_owned()
    };
    let list: Vec<String> = codes.iter().map(|code| format!("`{}`", code.expose())).collect();
    context
        .embed_without_ranking("Second factor", context.theme.accent, &[lead])
        .field(full_field("Backup codes", &list.join("\n")))
        .field(next_step(
            "Print them or put them into a password manager: they are not shown again. Each works once in place of a code, such as after the loss of your phone.",
        ))
        .build()
}

/// Renders the state of the second factor of a member.
pub fn status(context: &RenderContext<'_>, status: Option<&MfaStatus>) -> (Embed, Vec<Component>) {
    let enrolled = status.and_then(|status| Some((status, status.confirmed_at?)));
    let Some((status, since)) = enrolled else {
        let lead = "You have no second factor (MFA). Commands that can do much harm need one.".to_owned();
        let embed = context
            .embed_without_ranking("Second factor", context.theme.accent, &[lead])
            .field(next_step("Set one up by `/mfa enrol`."))
            .build();
        return (embed, Vec::new());
    };
    let mut lead = vec![format!("You have a second factor since {}.", text::time(since))];
    if let Some(until) = status.throttled_until {
        lead.push(format!(
            "After too many wrong codes, none was or is checked until {}.",
            text::time(until)
        ));
    }
    let embed = context
        .embed_without_ranking("Second factor", context.theme.accent, &lead)
        .field(full_field(
            "Backup codes",
            &text::count(status.backup_codes, "code was not used.", "codes were not used."),
        ))
        .field(next_step(
            "New backup codes and the removal need a code. Without phone and backup codes, ask the operator of this bot.",
        ))
        .build();
    let codes = buttons::button("New backup codes", format!("{NAME}:{CODES}"), ButtonStyle::Secondary);
    let remove = buttons::button("Remove", format!("{NAME}:{REMOVE}"), ButtonStyle::Danger);
    (embed, buttons::rows(vec![codes, remove]))
}

/// Renders that the second factor was removed.
pub fn removed(context: &RenderContext<'_>) -> Embed {
    let lead = "You have no second factor any more. Delete the entry in your app.".to_owned();
    context
        .embed_without_ranking("Second factor", context.theme.accent, &[lead])
        .field(next_step("`/mfa enrol` sets another one up."))
        .build()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::samples::{context, theme};
    use super::*;

    #[test]
    fn modal_of_a_button_has_the_rest_of_its_custom_id() {
        let modal = guard_modal("admin-migrate:apply:9").unwrap();
        assert_eq!(modal.custom_id.as_deref(), Some("admin-migrate:mfa:apply:9"));
        assert!(guard_modal("admin-migrate").is_none());
        let first = serde_json::to_value(confirm_modal()).unwrap();
        assert!(!first.to_string().contains("backup code"), "{first:#}");
        for modal in [modal, confirm_modal()] {
            let json = serde_json::to_value(&modal).unwrap();
            assert!(json["title"].as_str().unwrap().chars().count() <= 45, "{json:#}");
            let label = &json["components"][0];
            assert!(label["label"].as_str().unwrap().chars().count() <= 45, "{label:#}");
            assert!(
                label["description"].as_str().unwrap().chars().count() <= 100,
                "{label:#}"
            );
        }
    }

    #[test]
    fn status_has_buttons_with_a_second_factor_only() {
        let theme = theme("sietch");
        let context = context(&theme);
        let (none, buttons) = status(&context, None);
        assert!(none.description.unwrap().contains("You have no second factor"));
        assert!(buttons.is_empty());
        let enrolled = MfaStatus {
            created_at: datetime!(2026-11-20 09:00 UTC),
            confirmed_at: Some(datetime!(2026-11-20 09:01 UTC)),
            backup_codes: 9,
            throttled_until: None,
        };
        let (embed, buttons) = status(&context, Some(&enrolled));
        assert!(embed.fields.iter().any(|field| field.value == "9 codes were not used."));
        assert_eq!(buttons.len(), 1);
        let begun = MfaStatus {
            confirmed_at: None,
            ..enrolled
        };
        assert!(status(&context, Some(&begun)).1.is_empty());
    }

    #[test]
    fn every_refusal_states_what_to_do() {
        let until = datetime!(2026-11-20 09:00 UTC);
        for outcome in [
            MfaOutcome::NotEnrolled,
            MfaOutcome::Wrong { attempts_left: 0 },
            MfaOutcome::Wrong { attempts_left: 1 },
            MfaOutcome::Replayed,
            MfaOutcome::Throttled { until },
        ] {
            let (what, next) = refused(outcome);
            assert!(!what.is_empty() && !next.is_empty(), "{outcome:?}");
        }
        assert!(
            refused(MfaOutcome::Wrong { attempts_left: 1 })
                .1
                .contains("1 attempt is left")
        );
    }
}
