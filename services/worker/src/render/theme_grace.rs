//! The direct messages to admins about the grace period of a theme that the plan does not include.

use arrakis_domain::Plan;
use time::OffsetDateTime;
use twilight_model::channel::message::Embed;

use super::{RenderContext, next_step, text};

/// A grace period that begins.
#[derive(Debug, Clone, Copy)]
pub struct GraceView<'a> {
    /// Name of the community.
    pub community: &'a str,
    /// Its plan.
    pub plan: Plan,
    /// Name of the theme that the plan does not include.
    pub theme: &'a str,
    /// Name of the theme that takes its place; `None` if the plan includes none.
    pub replacement: Option<&'a str>,
    /// The end of the grace period.
    pub until: OffsetDateTime,
}

/// Renders that a grace period begins.
pub fn begun(context: &RenderContext<'_>, view: &GraceView<'_>) -> Embed {
    let lead = format!(
        "The plan of **{}** is now **{}**, which does not include the theme **{}**. The theme stays in use until {}.",
        text::name(view.community),
        view.plan,
        text::name(view.theme),
        text::date(view.until)
    );
    let replacement = view.replacement.unwrap_or("another theme");
    let then = format!(
        "Then **{}** takes its place: the tiers are those of that theme, and members lose the roles that only the present theme has. Holdings \
         and wallets are kept.",
        text::name(replacement)
    );
    context
        .embed_without_ranking("The theme will change", context.theme.accent, &[lead, then])
        .field(next_step(
            "Tell your members, or choose another theme by `/onboard` in the server before that day. The operator of this bot can change the plan.",
        ))
        .build()
}

/// Renders that a theme was replaced at the end of its grace period.
pub fn ended(context: &RenderContext<'_>, community: &str, theme: &str, replacement: &str) -> Embed {
    let (theme, replacement) = (text::name(theme), text::name(replacement));
    let lead = format!(
        "The grace period of the theme of **{}** is over. **{replacement}** has taken the place of **{theme}**.",
        text::name(community)
    );
    let roles = format!(
        "Members get the roles of **{replacement}** and lose those that only **{theme}** has, one change a second. No role and no channel of \
         the server was deleted."
    );
    context
        .embed_without_ranking("The theme has changed", context.theme.accent, &[lead, roles])
        .field(next_step(
            "`/reconcile` in the server shows whether all roles have followed, `/admin-stats` what needs you.",
        ))
        .build()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{SYNCED, context, theme};
    use super::*;

    #[test]
    fn beginning_states_the_day_and_what_follows() {
        let theme = theme("sietch");
        let view = GraceView {
            community: "Sietch *Tabr*",
            plan: Plan::Free,
            theme: "Sietch",
            replacement: Some("Basic"),
            until: SYNCED,
        };
        let text = begun(&context(&theme), &view).description.unwrap();
        assert!(
            text.starts_with(
                "The plan of **Sietch \\*Tabr\\*** is now **free**, which does not include the theme **Sietch**."
            ),
            "{text}"
        );
        assert!(text.contains("until <t:1785585600:D>"), "{text}");
        assert!(text.contains("Then **Basic** takes its place"), "{text}");
    }

    #[test]
    fn end_names_both_themes() {
        let theme = theme("basic");
        let text = ended(&context(&theme), "Sietch Tabr", "Sietch", "Basic")
            .description
            .unwrap();
        assert!(text.contains("**Basic** has taken the place of **Sietch**"), "{text}");
    }
}
