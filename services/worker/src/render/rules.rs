//! Changes of the rule set: the preview, the confirmation, the message to a member who is affected.

use arrakis_domain::{RuleSetId, TierId};
use time::OffsetDateTime;
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::reconcile::NAME;
use super::{RenderContext, buttons, full_field, inline_field, next_step, text};
use crate::rule_preview::{RulePreview, TierMove};

/// Argument of the button that confirms a change; the next ones are the rule set and the days of grace.
pub const APPLY: &str = "apply";
/// Argument of the button that leaves the rules as they are.
pub const KEEP: &str = "keep";
/// Argument of the button that cancels a pending change; the next argument is its id.
pub const CANCEL: &str = "cancel";

/// Renders what a change would do, with the buttons that decide.
pub fn preview(
    context: &RenderContext<'_>,
    rule_set: &RuleSetId,
    preview: &RulePreview,
    days: u16,
) -> (Embed, Vec<Component>) {
    let lead = match preview.lose.len() {
        0 => format!("With the rules **{rule_set}**, no member loses a tier."),
        1 => format!("With the rules **{rule_set}**, one member gets a lower tier or none."),
        count => format!("With the rules **{rule_set}**, {count} members get a lower tier or none."),
    };
    let mut embed = context
        .embed_without_ranking("Change of the rules", context.theme.accent, &[lead])
        .field(inline_field("Lower or none", &preview.lose.len().to_string()))
        .field(inline_field("Higher", &preview.gain.to_string()))
        .field(inline_field("The same", &preview.same.to_string()));
    if !preview.lose.is_empty() {
        let lines: Vec<String> = preview.lose.iter().map(|member| line(context, member)).collect();
        embed = embed.field(full_field("Who", &text::lines(&lines, text::FIELD)));
    }
    let (label, next) = when(days);
    let embed = embed.field(next_step(&next)).build();
    let apply = buttons::button(label, format!("{NAME}:{APPLY}:{rule_set}:{days}"), ButtonStyle::Danger);
    let keep = buttons::button("Leave the rules", format!("{NAME}:{KEEP}"), ButtonStyle::Secondary);
    (embed, buttons::rows(vec![apply, keep]))
}

fn when(days: u16) -> (String, String) {
    let label = match days {
        0 => "Change them now".to_owned(),
        1 => "Change them tomorrow".to_owned(),
        days => format!("Change them in {days} days"),
    };
    let after = match days {
        0 => {
            "roles follow within minutes. The option `grace-days` gives members time, and a direct message to those affected."
        }
        _ => "those affected get a direct message at once.",
    };
    let next = format!("Nothing changes before you press a button. After **{label}**, {after}");
    (label, next)
}

/// Renders that a change is confirmed.
pub fn confirmed(context: &RenderContext<'_>, rule_set: &RuleSetId, effective_at: OffsetDateTime, days: u16) -> Embed {
    let lead = if days == 0 {
        format!("The rules **{rule_set}** are being put into force.")
    } else {
        format!(
            "The rules **{rule_set}** are in force from {} on.",
            text::date(effective_at)
        )
    };
    context
        .embed_without_ranking("Change of the rules", context.theme.accent, &[lead])
        .field(full_field("Recorded", "In the audit log, with your name."))
        .field(next_step(
            "`/reconcile` with the action `Change of the rules` shows a pending change and can cancel it.",
        ))
        .build()
}

/// Renders a pending change, with the button that cancels it.
pub fn pending(
    context: &RenderContext<'_>,
    rule_set: &RuleSetId,
    effective_at: OffsetDateTime,
    id: uuid::Uuid,
) -> (Embed, Vec<Component>) {
    let lead = format!(
        "The rules **{rule_set}** are in force from {} on.",
        text::date(effective_at)
    );
    let embed = context
        .embed_without_ranking("Pending change of the rules", context.theme.accent, &[lead])
        .field(next_step(
            "Wait for it, or cancel it with the button. A further change replaces it.",
        ))
        .build();
    let cancel = buttons::button(
        "Cancel the change",
        format!("{NAME}:{CANCEL}:{id}"),
        ButtonStyle::Danger,
    );
    (embed, buttons::rows(vec![cancel]))
}

/// Renders that nothing changes.
pub fn kept(context: &RenderContext<'_>) -> Embed {
    context
        .embed_without_ranking(
            "Change of the rules",
            context.theme.accent,
            &["The rules stay as they are.".to_owned()],
        )
        .field(next_step("`/stats` shows the tiers by the rules in force."))
        .build()
}

/// Renders the message to a member who is affected.
pub fn notice(context: &RenderContext<'_>, community: &str, member: &TierMove, effective_at: OffsetDateTime) -> Embed {
    let lead = format!(
        "The rules of **{}** change on {}. By them, your tier becomes {} instead of {}.",
        text::name(community),
        text::date(effective_at),
        tier(context, member.after.as_ref()),
        tier(context, member.before.as_ref()),
    );
    let until = "Until then your roles stay.".to_owned();
    context
        .embed_without_ranking("The rules change", context.theme.accent, &[lead, until])
        .field(next_step(
            "`/position` in the server shows what you hold and what a tier takes.",
        ))
        .build()
}

fn line(context: &RenderContext<'_>, member: &TierMove) -> String {
    format!(
        "{}: {} → {}",
        text::name(&member.name),
        tier(context, member.before.as_ref()),
        tier(context, member.after.as_ref())
    )
}

fn tier(context: &RenderContext<'_>, tier: Option<&TierId>) -> String {
    tier.map_or_else(|| "none".to_owned(), |tier| text::tier(context.theme, tier))
}

#[cfg(test)]
mod tests {
    use arrakis_db::UserId;

    use super::super::samples::{context, theme};
    use super::*;

    fn stilgar() -> TierMove {
        TierMove {
            user: UserId::new(7).unwrap(),
            name: "Stil_gar".to_owned(),
            before: Some("usul".parse().unwrap()),
            after: None,
        }
    }

    #[test]
    fn preview_names_who_loses_what() {
        let theme = theme("sietch");
        let shown = RulePreview {
            lose: vec![stilgar()],
            gain: 2,
            same: 3,
        };
        let (embed, rows) = preview(&context(&theme), &"ranked".parse().unwrap(), &shown, 7);
        let who = embed.fields.iter().find(|field| field.name == "Who").unwrap();
        let usul = text::tier(&theme, &"usul".parse().unwrap());
        assert_eq!(who.value, format!(r"Stil\_gar: {usul} → none"));
        let text = serde_json::to_string(&rows).unwrap();
        assert!(
            text.contains("reconcile:apply:ranked:7") && text.contains("in 7 days"),
            "{text}"
        );
        let next = &embed.fields.last().unwrap().value;
        assert_eq!(
            next,
            "Nothing changes before you press a button. After **Change them in 7 days**, those affected get a direct message at once."
        );
    }

    #[test]
    fn notice_states_when_and_what() {
        let theme = theme("sietch");
        let at = super::super::samples::SYNCED;
        let embed = notice(&context(&theme), "Sietch Tabr", &stilgar(), at);
        let text = embed.description.unwrap();
        assert!(text.contains("Sietch Tabr") && text.contains(&text::date(at)), "{text}");
    }
}
