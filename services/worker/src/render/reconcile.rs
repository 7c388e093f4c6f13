//! `/reconcile`: what an admin sees of a comparison.

use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::{RenderContext, buttons, full_field, inline_field, next_step, text};
use crate::configuration::ConfigurationDrift;
use crate::reconcile_report::{ReconcileReport, StructureReport};

/// The command's name, the first segment of the custom ids of its components.
pub const NAME: &str = "reconcile";
/// Argument of the button that shows the report of a job; the next argument is the id of the interaction that requested it.
pub const SHOW: &str = "show";

/// Renders that the comparison runs.
pub fn started(context: &RenderContext<'_>, interaction: u64) -> (Embed, Vec<Component>) {
    let lead = "Comparing members, roles, bindings and channels with what they should be.".to_owned();
    let embed = context
        .embed_without_ranking("Reconcile", context.theme.accent, &[lead])
        .field(next_step(
            "The result appears here within a minute. The button shows it, too.",
        ))
        .build();
    (embed, show_button(interaction))
}

fn show_button(interaction: u64) -> Vec<Component> {
    let show = buttons::button(
        "Show the result",
        format!("{NAME}:{SHOW}:{interaction}"),
        ButtonStyle::Secondary,
    );
    buttons::rows(vec![show])
}

/// Renders a report.
pub fn report(context: &RenderContext<'_>, report: &ReconcileReport) -> Embed {
    let lead = match (report.is_clean(), report.only_compared) {
        (true, _) => "Everything is as it should be.",
        (false, true) => "This differs. Nothing was changed.",
        (false, false) => "This differed. What can be repaired, is being repaired.",
    };
    let mut embed = context
        .embed_without_ranking("Reconcile", context.theme.accent, &[lead.to_owned()])
        .field(inline_field("Members", &number(report.members)))
        .field(inline_field("Missed joins", &number(report.joined)))
        .field(inline_field("Missed leaves", &number(report.left)))
        .field(inline_field("Members with other roles", &number(report.differing)))
        .field(full_field("Roles and channels", &structure(&report.structure)));
    if let Some(drift) = drift(&report.drift) {
        embed = embed.field(full_field("Configuration and its shadow", &drift));
    }
    if !report.broken.is_empty() {
        embed = embed.field(full_field("Broken, and yours to correct", &broken_lines(report)));
    }
    let next = if !report.broken.is_empty() {
        "Correct what is broken, then run `/reconcile` again. Nothing else waits for it."
    } else if report.only_compared && !report.is_clean() {
        "Run `/reconcile` to repair it."
    } else {
        "Nothing is left to do. It runs by itself every six hours."
    };
    embed.field(next_step(next)).build()
}

/// Renders that a comparison has failed for good.
pub fn failed(context: &RenderContext<'_>, reason: &str) -> Embed {
    let lead = "The comparison ended before everything was compared. Jobs that repair what it found until then go on.";
    context
        .embed_without_ranking("Reconcile", context.theme.accent, &[lead.to_owned()])
        .field(full_field("Reason", &text::name(reason)))
        .field(next_step(
            "Run `/reconcile` again in some minutes; report the reason to the operator of this bot if it fails, too.",
        ))
        .build()
}

/// Renders the direct message to the owner about broken rules.
pub fn broken_rules(context: &RenderContext<'_>, community: &str, report: &ReconcileReport) -> Embed {
    let lead = format!(
        "In **{}**, this does not work until somebody corrects it. Everything else goes on.",
        text::name(community)
    );
    context
        .embed_without_ranking("Something needs you", context.theme.accent, &[lead])
        .field(full_field("Broken", &broken_lines(report)))
        .field(next_step(
            "Correct it in the server's settings, then run `/reconcile` there.",
        ))
        .build()
}

fn broken_lines(report: &ReconcileReport) -> String {
    let lines = report.broken.iter().map(|broken| {
        let (name, reason) = (text::name(&broken.name), text::name(&broken.reason));
        format!("• **{name}**: {reason}")
    });
    text::lines(&lines.collect::<Vec<_>>(), text::FIELD)
}

fn structure(structure: &StructureReport) -> String {
    match structure {
        StructureReport::Unknown => "Not compared.".to_owned(),
        StructureReport::NotManaged => {
            "Not managed here: the server was not set up by `/onboard`. `/onboard` makes it managed.".to_owned()
        }
        StructureReport::Equal => "As they should be.".to_owned(),
        StructureReport::Differs { changes, job } => {
            let mut lines: Vec<String> = changes
                .iter()
                .map(|change| format!("• {}", text::name(change)))
                .collect();
            if job.is_some() {
                lines.insert(0, "Being repaired:".to_owned());
            }
            text::lines(&lines, text::FIELD)
        }
    }
}

/// What differs between the configuration, its shadow and the server; `None` when nothing does.
fn drift(drift: &ConfigurationDrift) -> Option<String> {
    let ConfigurationDrift::Compared {
        shadow,
        settings,
        server,
        unapplied,
        shadow_behind,
    } = drift
    else {
        return None;
    };
    let mut lines = Vec::new();
    for (what, changes) in [
        ("Settings that are not in version", settings),
        (
            "Changed in the server by hand, against the configuration and version",
            server,
        ),
        ("Not applied to the server, which is as version", unapplied),
        ("Applied, and newer than version", shadow_behind),
    ] {
        if !changes.is_empty() {
            lines.push(format!("{what} {shadow} of the store:"));
            lines.extend(changes.iter().map(|change| format!("• {}", text::name(change))));
        }
    }
    (!lines.is_empty()).then(|| text::lines(&lines, text::FIELD))
}

fn number(count: usize) -> String {
    text::grouped(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{context, theme};
    use super::*;
    use crate::reconcile_report::BrokenRule;

    fn sample() -> ReconcileReport {
        ReconcileReport {
            members: 1_234,
            differing: 2,
            structure: StructureReport::Differs {
                changes: vec!["create role Usul".to_owned()],
                job: Some("synthesis:x".to_owned()),
            },
            broken: vec![BrokenRule {
                name: "role Naib".to_owned(),
                reason: "it is above the bot's highest role".to_owned(),
            }],
            ..ReconcileReport::default()
        }
    }

    #[test]
    fn broken_rule_is_named_with_its_reason() {
        let theme = theme("sietch");
        let embed = report(&context(&theme), &sample());
        let field = |name: &str| {
            embed
                .fields
                .iter()
                .find(|field| field.name == name)
                .unwrap()
                .value
                .clone()
        };
        assert_eq!(
            field("Broken, and yours to correct"),
            "• **role Naib**: it is above the bot's highest role"
        );
        assert_eq!(field("Roles and channels"), "Being repaired:\n• create role Usul");
        assert_eq!(field("Members"), "1,234");
    }

    #[test]
    fn failure_names_its_reason_and_what_to_do() {
        let theme = theme("basic");
        let embed = failed(&context(&theme), "Discord is *unavailable*");
        assert_eq!(embed.fields[0].value, r"Discord is \*unavailable\*");
        assert!(embed.fields[1].value.contains("/reconcile"));
    }

    #[test]
    fn drift_is_shown_by_what_differs() {
        let theme = theme("sietch");
        let mut drifted = sample();
        let embed = report(&context(&theme), &drifted);
        assert!(
            embed
                .fields
                .iter()
                .all(|field| field.name != "Configuration and its shadow")
        );
        drifted.drift = ConfigurationDrift::Compared {
            shadow: 7,
            settings: vec!["gates".to_owned()],
            server: vec!["change role Naib".to_owned()],
            unapplied: Vec::new(),
            shadow_behind: Vec::new(),
        };
        let embed = report(&context(&theme), &drifted);
        let field = embed
            .fields
            .iter()
            .find(|field| field.name == "Configuration and its shadow");
        assert_eq!(
            field.unwrap().value,
            "Settings that are not in version 7 of the store:\n• gates\n\
             Changed in the server by hand, against the configuration and version 7 of the store:\n• change role Naib"
        );
    }

    #[test]
    fn clean_report_leaves_nothing_to_do() {
        let theme = theme("basic");
        let clean = ReconcileReport {
            structure: StructureReport::Equal,
            ..ReconcileReport::default()
        };
        let embed = report(&context(&theme), &clean);
        assert_eq!(embed.description.unwrap(), "Everything is as it should be.");
        assert_eq!(embed.fields.last().unwrap().name, "What next");
    }
}
