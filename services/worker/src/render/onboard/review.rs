//! The review of `/onboard`: what the deploy will do.

use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};
use uuid::Uuid;

use super::super::{buttons, full_field, inline_field, next_step, text};
use super::{Action, custom_id, navigation, rows, step};
use crate::wizard::{Step, Wizard};

/// The plan of a deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReviewView {
    /// Name of the theme.
    pub theme: String,
    /// Roles and channels that are created.
    pub created: usize,
    /// Those that are changed, and orders that change.
    pub changed: usize,
    /// Those that exist and are adopted.
    pub adopted: usize,
    /// One line for each step, which the progress counts.
    pub steps: Vec<String>,
    /// What Discord would refuse, with what to do.
    pub left_out: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Why this admin may not deploy it, already escaped.
    pub refusal: Option<String>,
    /// Whether the rest can be deployed.
    pub can_deploy: bool,
}

/// Renders the plan of the deploy.
pub fn review(session: Uuid, wizard: &Wizard, view: &ReviewView) -> (Embed, Vec<Component>) {
    let lead = match u32::try_from(view.steps.len()).unwrap_or(u32::MAX) {
        0 => "The server has everything already. The deploy binds its roles to the tiers.".to_owned(),
        steps => format!(
            "The deploy makes {}, and binds the roles to the tiers. Nothing is deleted.",
            text::count(steps, "step", "steps")
        ),
    };
    let mut embed = step(session, Step::Review, "The plan", &[lead])
        .field(inline_field("Created", &view.created.to_string()))
        .field(inline_field("Changed", &view.changed.to_string()))
        .field(inline_field("Adopted", &view.adopted.to_string()));
    if let (Some(asset), Some((_, rules))) = (&wizard.asset, &wizard.rules) {
        let (token, theme) = (text::name(&asset.symbol), text::name(&view.theme));
        let setup = format!("{token} · {theme} · rules {rules}");
        embed = embed.field(full_field("Setup", &setup));
    }
    for (name, lines) in [
        ("Steps", &view.steps),
        ("Left out, since Discord would refuse it", &view.left_out),
        ("Warnings", &view.warnings),
    ] {
        if !lines.is_empty() {
            let lines: Vec<String> = lines.iter().map(|line| format!("• {}", text::name(line))).collect();
            embed = embed.field(full_field(name, &text::lines(&lines, text::FIELD)));
        }
    }
    if let Some(refusal) = &view.refusal {
        embed = embed.field(full_field("You cannot deploy this", refusal));
    }
    let next = match (view.can_deploy, view.left_out.is_empty()) {
        (false, _) => "Correct what is listed above; then press Check again.",
        (true, false) => {
            "Correct what is left out and press Check again, or deploy the rest: `/reconcile` adds it later."
        }
        (true, true) => "Press Deploy. It takes a minute or two, and this message shows the progress.",
    };
    let mut all = navigation(session, wizard);
    let again = custom_id(Action::Progress, session, None);
    all.insert(0, buttons::button("Check again", again, ButtonStyle::Secondary));
    if view.can_deploy {
        let deploy = custom_id(Action::Deploy, session, None);
        all.insert(0, buttons::button("Deploy", deploy, ButtonStyle::Success));
    }
    (embed.field(next_step(next)).build(), rows(Vec::new(), all))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ID, custom_ids, wizard};
    use super::*;

    #[test]
    fn review_counts_the_steps_that_it_lists() {
        let view = ReviewView {
            steps: vec!["create role Gold".to_owned(), "order the roles".to_owned()],
            ..ReviewView::default()
        };
        let (embed, _) = review(ID, &wizard(Step::Review), &view);
        assert!(embed.description.unwrap().starts_with("The deploy makes 2 steps,"));
        let steps = embed.fields.iter().find(|field| field.name == "Steps").unwrap();
        assert_eq!(steps.value, "• create role Gold\n• order the roles");
    }

    #[test]
    fn deploy_is_offered_only_for_a_plan_that_can_succeed() {
        let offered = |can_deploy| {
            let view = ReviewView {
                can_deploy,
                ..ReviewView::default()
            };
            let (_, rows) = review(ID, &wizard(Step::Review), &view);
            custom_ids(&rows).contains(&custom_id(Action::Deploy, ID, None))
        };
        assert!(offered(true) && !offered(false));
    }
}
