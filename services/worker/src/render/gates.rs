//! Feature gates: the table that `/admin-gates` shows, and the refusal of a member whose tier is below a gate.

use arrakis_domain::{Theme, TierId};
use twilight_model::channel::message::Embed;

use super::{RenderContext, full_field, next_step, text};

/// A command, or a part of one such as `/profile` of another member, with its gate.
#[derive(Debug, Clone, Copy)]
pub struct GateLine<'a> {
    /// The name that members and admins see: `` `/leaderboard` ``.
    pub label: &'a str,
    /// The tier from which it is open; `None`: open to every member.
    pub from: Option<&'a TierId>,
}

/// The data that `/admin-gates` shows.
#[derive(Debug, Clone, Copy)]
pub struct GatesView<'a> {
    /// Every command and part that can have a gate.
    pub lines: &'a [GateLine<'a>],
    /// Number of gates that do not apply: their tiers are of another theme, or this build has no such command.
    pub not_applied: usize,
    /// The sentence about the change that was made, if one was.
    pub done: Option<&'a str>,
}

/// Renders the table of gates.
pub fn embed(context: &RenderContext<'_>, view: &GatesView<'_>) -> Embed {
    let mut lead: Vec<String> = view.done.map(str::to_owned).into_iter().collect();
    lead.push("What members can use, by tier. Admins of the server can use everything.".to_owned());
    if view.not_applied > 0 {
        let number = text::count(u32::try_from(view.not_applied).unwrap_or(u32::MAX), "gate", "gates");
        lead.push(format!(
            "⚠️ Not applied: {number} with a tier of another theme, or on a command that does not exist any more."
        ));
    }
    let mut embed = context.embed_without_ranking("Feature gates", context.theme.accent, &lead);
    for rung in context.ladder.rungs() {
        let labels = labels(view, Some(&rung.tier));
        if !labels.is_empty() {
            let name = format!("From {} on", text::tier(context.theme, &rung.tier));
            embed = embed.field(full_field(&name, &text::lines(&labels, text::FIELD)));
        }
    }
    let open = labels(view, None);
    if !open.is_empty() {
        embed = embed.field(full_field(
            "Every member",
            &text::truncate(&open.join(", "), text::FIELD),
        ));
    }
    embed
        .field(next_step(
            "`/admin-gates` with `what` and `tier` opens a command from a tier on; the tier `Everyone` removes its gate.",
        ))
        .build()
}

fn labels(view: &GatesView<'_>, from: Option<&TierId>) -> Vec<String> {
    let lines = view.lines.iter().filter(|line| line.from == from);
    lines.map(|line| line.label.to_owned()).collect()
}

/// The sentence about a gate that was set, or removed with `None`.
pub fn changed(theme: &Theme, label: &str, from: Option<&TierId>) -> String {
    match from {
        Some(from) => format!("{label} is now open from **{}** on.", text::tier(theme, from)),
        None => format!("{label} is now open to every member."),
    }
}

/// The texts of the refusal of a member whose tier is below a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRefusal {
    /// What is not open, and from which tier on it is.
    pub reason: String,
    /// The member's own tier, and what the member can do.
    pub next_step: String,
}

/// Renders the refusal of a member. `label` is the [`GateLine::label`] of what the member used; `from` is the tier of its gate, and
/// `held` the member's tier, which is lower; `None`: no tier.
pub fn not_open(theme: &Theme, label: &str, from: &TierId, held: Option<&TierId>) -> GateRefusal {
    let reason = format!("{label} is open from **{}** on.", text::tier(theme, from));
    let next_step = match held {
        Some(held) => format!(
            "You are {}; `/position` shows what is missing.",
            text::tier(theme, held)
        ),
        None => {
            "You have no tier yet: `/verify start` links your wallet, and `/position` shows what is missing.".to_owned()
        }
    };
    GateRefusal { reason, next_step }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{context, theme};
    use super::*;

    fn tier(id: &str) -> TierId {
        TierId::new(id).unwrap()
    }

    #[test]
    fn gates_are_listed_by_tier_from_the_highest() {
        let theme = theme("sietch");
        let (naib, ichwan) = (tier("naib"), tier("ichwan"));
        let line = |label, from| GateLine { label, from };
        let lines = [
            line("`/stats`", None),
            line("`/leaderboard`", Some(&ichwan)),
            line("`/badges`", None),
            line("`/profile` of another member", Some(&naib)),
        ];
        let view = GatesView {
            lines: &lines,
            not_applied: 1,
            done: Some("Done."),
        };
        let embed = embed(&context(&theme), &view);
        let description = embed.description.unwrap();
        assert!(
            description.starts_with("Done.\n\nWhat members can use"),
            "{description}"
        );
        assert!(description.contains("Not applied: 1 gate with"), "{description}");
        let fields: Vec<(&str, &str)> = embed
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.value.as_str()))
            .collect();
        assert!(
            fields[0].0.starts_with("From ") && fields[0].0.ends_with("Naib on"),
            "{fields:?}"
        );
        assert_eq!(fields[0].1, "`/profile` of another member");
        assert!(fields[1].0.ends_with("Ichwan on"), "{fields:?}");
        assert_eq!(fields[2], ("Every member", "`/stats`, `/badges`"));
        assert_eq!(fields.len(), 4);
    }

    #[test]
    fn refusal_names_the_tier_and_the_next_step() {
        let theme = theme("sietch");
        let GateRefusal { reason, next_step } =
            not_open(&theme, "`/leaderboard`", &tier("ichwan"), Some(&tier("hajra")));
        assert!(
            reason.starts_with("`/leaderboard` is open from **") && reason.ends_with("Ichwan** on."),
            "{reason}"
        );
        assert!(
            next_step.contains("Hajra") && next_step.contains("/position"),
            "{next_step}"
        );
        let refusal = not_open(&theme, "`/leaderboard`", &tier("ichwan"), None);
        assert!(refusal.next_step.contains("/verify start"), "{refusal:?}");
    }
}
