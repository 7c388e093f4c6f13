//! What an admin sees of a synthesis: its progress, its end.

use twilight_model::channel::message::Embed;

use super::{RenderContext, full_field, next_step, text};
use crate::synthesis::Purpose;

fn title(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Deploy => "Setting up the server",
        Purpose::Repair => "Repairing the server",
    }
}

/// Renders a job that has not begun.
pub fn waiting(context: &RenderContext<'_>, purpose: Purpose) -> Embed {
    let lead = "Your server is in the queue; it is its turn within a minute, usually at once.".to_owned();
    context
        .embed_without_ranking(title(purpose), context.theme.accent, &[lead])
        .field(next_step("Wait here: this message shows the progress."))
        .build()
}

/// Renders the progress.
pub fn progress(context: &RenderContext<'_>, purpose: Purpose, done: usize, total: usize) -> Embed {
    let permille = (done * 1_000).checked_div(total).unwrap_or(0).min(1_000);
    let bar = text::bar(u16::try_from(permille).unwrap_or(1_000));
    let lead = format!("{bar}\n{done} of {total} steps");
    context
        .embed_without_ranking(title(purpose), context.theme.accent, &[lead])
        .field(next_step(
            "Wait here: this message shows the progress. It goes on without you, too.",
        ))
        .build()
}

/// Renders the end of a job that succeeded. `left_out` is what Discord would have refused.
pub fn done(context: &RenderContext<'_>, purpose: Purpose, steps: usize, left_out: &[String]) -> Embed {
    let (title, next) = match purpose {
        Purpose::Deploy => (
            "The server is set up",
            "Tell your members to run `/verify start`. `/reconcile` compares the server with this setup at any time.",
        ),
        Purpose::Repair => (
            "The server is repaired",
            "Nothing is left to do. The next check is within six hours; `/reconcile` runs one now.",
        ),
    };
    let lead = match steps {
        0 => "Everything was in place already.".to_owned(),
        1 => "One step was made.".to_owned(),
        steps => format!("{steps} steps were made."),
    };
    let roles = "Roles of members follow within minutes.".to_owned();
    let embed = context.embed_without_ranking(title, context.theme.accent, &[lead, roles]);
    if left_out.is_empty() {
        return embed.field(next_step(next)).build();
    }
    let lines: Vec<String> = left_out.iter().map(|what| format!("• {}", text::name(what))).collect();
    embed
        .field(full_field("Left out", &text::lines(&lines, text::FIELD)))
        .field(next_step(
            "Correct what was left out, then run `/reconcile`: it continues with that.",
        ))
        .build()
}

/// Renders the end of a job that has failed for good.
pub fn failed(context: &RenderContext<'_>, purpose: Purpose, reason: &str) -> Embed {
    let title = match purpose {
        Purpose::Deploy => "The server is not set up completely",
        Purpose::Repair => "The server is not repaired completely",
    };
    let lead = "It ended before everything was done. What was done stays; nothing was deleted.".to_owned();
    context
        .embed_without_ranking(title, context.theme.accent, &[lead])
        .field(full_field("Reason", &text::name(reason)))
        .field(next_step(
            "Correct the reason, then run `/reconcile`: it continues with what is missing and creates nothing twice.",
        ))
        .build()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{context, theme};
    use super::*;

    #[test]
    fn progress_states_steps_and_share() {
        let theme = theme("basic");
        let embed = progress(&context(&theme), Purpose::Deploy, 3, 4);
        assert_eq!(embed.description.unwrap(), "▰▰▰▰▰▰▰▱▱▱ 75 %\n3 of 4 steps");
    }

    #[test]
    fn what_was_left_out_is_named() {
        let theme = theme("basic");
        let embed = done(
            &context(&theme),
            Purpose::Deploy,
            1,
            &["role.gold is above the bot".to_owned()],
        );
        assert_eq!(
            embed.description.unwrap(),
            "One step was made.\n\nRoles of members follow within minutes."
        );
        assert_eq!(embed.fields[0].value, "• role.gold is above the bot");
    }

    #[test]
    fn failure_names_its_reason_and_what_to_do() {
        let theme = theme("sietch");
        let embed = failed(&context(&theme), Purpose::Repair, "missing *permission*");
        assert_eq!(embed.fields[0].value, r"missing \*permission\*");
        assert!(embed.fields[1].value.contains("/reconcile"));
    }
}
