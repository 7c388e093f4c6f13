//! `/admin-roles`: the role policy, the preview of its change, the progress of the job, and the removal of a member's tier roles.

use std::collections::BTreeMap;

use arrakis_db::{JobRow, JobState};
use arrakis_domain::{Plan, Theme, TierId, TierRoles};
use time::{Duration, OffsetDateTime};
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::{RenderContext, buttons, full_field, inline_field, next_step, text};

/// The command's name, the first segment of the custom ids of its components.
pub const NAME: &str = "admin-roles";
/// Argument of the button that changes the policy; the next argument is the policy, or [`OF_THEME`].
pub const APPLY: &str = "apply";
/// Argument of the buttons that change nothing.
pub const KEEP: &str = "keep";
/// Argument of the button that shows the progress; the next argument is the id of the interaction that began the job.
pub const PROGRESS: &str = "progress";
/// Argument of the button that removes the tier roles of a member; the next argument is the member's id.
pub const REMOVE: &str = "remove";
/// Argument of the button that lets rules apply to a member again; the next argument is the member's id.
pub const RETURN: &str = "return";
/// In place of a policy: the theme's.
pub const OF_THEME: &str = "theme";
/// Role changes that Discord accepts in a server, in a second.
const CHANGES_A_SECOND: u64 = 1;

/// Settings of the community that decide about roles.
#[derive(Debug, Clone, Copy)]
pub struct RolesView {
    /// The policy that applies.
    pub policy: TierRoles,
    /// Whether an admin chose it in place of the theme's.
    pub chosen: bool,
    /// The plan of the community.
    pub plan: Plan,
    /// Until when the theme is used that the plan does not include.
    pub theme_until: Option<OffsetDateTime>,
}

/// The name of a policy with its meaning.
const fn meaning(policy: TierRoles) -> &'static str {
    match policy {
        TierRoles::Exclusive => "**exclusive**: a member has the role of their own tier only",
        TierRoles::Cumulative => "**cumulative**: a member has the role of their own tier and of all tiers below",
    }
}

/// Renders the settings.
pub fn settings(context: &RenderContext<'_>, view: &RolesView) -> Embed {
    let source = if view.chosen {
        "An admin chose it in place of the theme's default."
    } else {
        "This is the theme's default."
    };
    let lead = format!("The role policy is {}. {source}", meaning(view.policy));
    let theme = match view.theme_until {
        None => context.theme.name.clone(),
        Some(until) => format!(
            "{}\n⚠️ The plan does not include it: another theme takes its place on {}.",
            context.theme.name,
            text::date(until)
        ),
    };
    context
        .embed_without_ranking("Roles of tiers", context.theme.accent, &[lead])
        .field(inline_field("Theme", &theme))
        .field(inline_field("Plan", view.plan.as_str()))
        .field(next_step(
            "`/admin-roles` with `policy` shows what a change would do, with `member` it removes the tier roles of one member.",
        ))
        .build()
}

/// What a change of the policy does.
#[derive(Debug, Clone, Copy)]
pub struct PolicyPreview<'a> {
    /// The policy that applies now.
    pub before: TierRoles,
    /// The policy after the change.
    pub after: TierRoles,
    /// Members in the server by tier.
    pub by_tier: &'a BTreeMap<TierId, u32>,
}

impl PolicyPreview<'_> {
    /// Members whose roles change, by tier from the highest, with the number of roles that each gains or loses.
    fn affected(&self, theme: &Theme) -> Vec<(TierId, u32, u32)> {
        if self.before == self.after {
            return Vec::new();
        }
        let below = |index: usize| u32::try_from(theme.tiers.len() - 1 - index).unwrap_or(u32::MAX);
        let tiers = theme.tiers.iter().enumerate();
        tiers
            .map(|(index, tier)| {
                let members = self.by_tier.get(&tier.id).copied().unwrap_or_default();
                (tier.id.clone(), members, below(index))
            })
            .filter(|(_, members, roles)| *members > 0 && *roles > 0)
            .collect()
    }
}

/// Renders what a change of the policy would do, with the button that makes it. `argument` is that of the button.
pub fn preview(context: &RenderContext<'_>, preview: &PolicyPreview<'_>, argument: &str) -> (Embed, Vec<Component>) {
    let affected = preview.affected(context.theme);
    let members: u32 = affected.iter().map(|(_, members, _)| members).sum();
    let changes: u64 = affected
        .iter()
        .map(|(_, members, roles)| u64::from(*members) * u64::from(*roles))
        .sum();
    let (verb, sign) = match preview.after {
        TierRoles::Cumulative => ("gain", '+'),
        TierRoles::Exclusive => ("lose", '−'),
    };
    let lead = [
        format!("The role policy would be {}.", meaning(preview.after)),
        if changes == 0 {
            "No member's roles change.".to_owned()
        } else {
            format!(
                "{} would {verb} {} in all, which takes about {}: Discord accepts one change a second. Protected members keep their roles.",
                text::count(members, "member", "members"),
                text::count(u32::try_from(changes).unwrap_or(u32::MAX), "role", "roles"),
                duration(changes / CHANGES_A_SECOND)
            )
        },
    ];
    let lines: Vec<String> = affected
        .iter()
        .map(|(tier, members, roles)| {
            let name = text::tier(context.theme, tier);
            let members = text::count(*members, "member", "members");
            format!("{name}: {members}, {sign}{roles} each")
        })
        .collect();
    let mut embed = context.embed_without_ranking("Change the role policy?", context.theme.accent, &lead);
    if !lines.is_empty() {
        embed = embed.field(full_field("Who", &text::lines(&lines, text::FIELD)));
    }
    let embed = embed
        .field(next_step("Nothing changes before you press the first button."))
        .build();
    let apply = buttons::button("Change it", format!("{NAME}:{APPLY}:{argument}"), ButtonStyle::Danger);
    let keep = buttons::button("Keep it", format!("{NAME}:{KEEP}"), ButtonStyle::Secondary);
    (embed, buttons::rows(vec![apply, keep]))
}

/// Renders that nothing was changed.
pub fn kept(context: &RenderContext<'_>) -> Embed {
    context
        .embed_without_ranking(
            "Nothing was changed",
            context.theme.accent,
            &["The roles stay as they are.".to_owned()],
        )
        .field(next_step("`/admin-roles` shows the present settings."))
        .build()
}

/// Renders that the policy was changed; the roles follow. `interaction` is the id of the interaction that began the job.
pub fn changed(context: &RenderContext<'_>, policy: TierRoles, interaction: u64) -> (Embed, Vec<Component>) {
    let lead = format!("The role policy is now {}.", meaning(policy));
    let embed = context
        .embed_without_ranking("Role policy changed", context.theme.accent, &[lead])
        .field(full_field("Recorded", "In the audit log, with your name."))
        .field(next_step(
            "A job changes the members' roles; the button below shows how far it is.",
        ))
        .build();
    let progress = progress_button(format!("{NAME}:{PROGRESS}:{interaction}"));
    (embed, buttons::rows(vec![progress]))
}

/// The button that shows the progress of a job.
pub(super) fn progress_button(custom_id: String) -> Component {
    buttons::button("Progress", custom_id, ButtonStyle::Secondary)
}

/// Renders the progress of a tier sync: its latest part, and the role changes that the parts `before` it have made. `custom_id` is that
/// of the button.
pub fn progress(
    context: &RenderContext<'_>,
    (job, before): (&JobRow, u32),
    custom_id: String,
    now: OffsetDateTime,
) -> (Embed, Vec<Component>) {
    let made = before.saturating_add(job.progress_done);
    let (title, lead, next) = match job.state {
        JobState::Succeeded => (
            "All roles are changed",
            match made {
                0 => "Every member had the right roles already.".to_owned(),
                made => format!("{} made.", changes(made)),
            },
            "`/stats` shows the tiers, and the audit log roles that could not be changed.".to_owned(),
        ),
        JobState::Failed => (
            "The change of roles has failed",
            text::truncate(&text::name(job.error.as_deref().unwrap_or("no reason")), text::FIELD),
            "`/reconcile` compares all members again; report the reason to the operator if it fails, too.".to_owned(),
        ),
        JobState::Queued | JobState::Running | JobState::Waiting => (
            "Roles are being changed",
            match job.progress_total {
                Some(total) => format!(
                    "{} of {} made.{}",
                    text::grouped(made),
                    changes(before.saturating_add(total)),
                    left(job, now)
                ),
                None if made == 0 => "The members are being compared; that takes seconds.".to_owned(),
                None => format!("{} made; the others are being compared.", changes(made)),
            },
            "Press the button again for the present state.".to_owned(),
        ),
    };
    let embed = context
        .embed_without_ranking(title, context.theme.accent, &[lead])
        .field(next_step(&next))
        .build();
    let button = (!job.state.is_final()).then(|| progress_button(custom_id));
    (embed, buttons::rows(button.into_iter().collect()))
}

/// A number of role changes.
fn changes(number: u32) -> String {
    text::count(number, "role change", "role changes")
}

/// The time that the remaining changes take: at the rate of those that were made, once there are enough of them, and not faster than
/// Discord allows.
fn left(job: &JobRow, now: OffsetDateTime) -> String {
    /// Changes from which on their rate is used: Discord accepts the first ten at once.
    const ENOUGH: u32 = 20;
    let rest = u64::from(job.progress_total.unwrap_or_default().saturating_sub(job.progress_done));
    if rest == 0 {
        return String::new();
    }
    let at_limit = rest / CHANGES_A_SECOND;
    let at_rate = job.started_at.filter(|_| job.progress_done >= ENOUGH).map(|started| {
        let taken = (now - started).max(Duration::ZERO).whole_seconds().unsigned_abs();
        taken * rest / u64::from(job.progress_done)
    });
    format!(
        " About {} left.",
        duration(at_rate.map_or(at_limit, |seconds| seconds.max(at_limit)))
    )
}

/// A duration for readers: `45 seconds`, `12 minutes`, `3 hours`.
fn duration(seconds: u64) -> String {
    let (number, one, many) = match seconds {
        0..=119 => (seconds.max(1), "second", "seconds"),
        120..=7_199 => (seconds.div_ceil(60), "minute", "minutes"),
        _ => (seconds.div_ceil(3_600), "hour", "hours"),
    };
    text::count(u32::try_from(number).unwrap_or(u32::MAX), one, many)
}

/// Renders the question about a member's tier roles. `protected`: whether rules leave the member's roles unchanged now.
pub fn member(context: &RenderContext<'_>, name: &str, user: u64, protected: bool) -> (Embed, Vec<Component>) {
    let name = text::name(name);
    let lead = if protected {
        format!("{name} is protected: rules do not change the roles.")
    } else {
        format!("Remove all tier roles of {name}? {name} is then protected, so that no rule assigns them again.")
    };
    let remove = buttons::button(
        "Remove all tier roles",
        format!("{NAME}:{REMOVE}:{user}"),
        ButtonStyle::Danger,
    );
    let give_back = buttons::button(
        "Let rules apply again",
        format!("{NAME}:{RETURN}:{user}"),
        ButtonStyle::Success,
    );
    let keep = buttons::button("Change nothing", format!("{NAME}:{KEEP}"), ButtonStyle::Secondary);
    let embed = context
        .embed_without_ranking("Tier roles of a member", context.theme.accent, &[lead])
        .field(next_step(
            "Nothing changes before you press a button; each change is in the audit log.",
        ))
        .build();
    let choices = if protected {
        vec![remove, give_back, keep]
    } else {
        vec![remove, keep]
    };
    (embed, buttons::rows(choices))
}

/// Renders that the tier roles of a member are removed, or that rules apply again.
pub fn member_changed(context: &RenderContext<'_>, name: &str, removed: bool) -> Embed {
    let name = text::name(name);
    let (lead, next) = if removed {
        (
            format!("All tier roles of {name} are removed within seconds, and the member is protected."),
            "`/admin-roles` with the member lets rules apply again.",
        )
    } else {
        (
            format!("Rules apply to {name} again; the roles follow within seconds."),
            "`/profile` with the member shows the tier.",
        )
    };
    context
        .embed_without_ranking("Tier roles of a member", context.theme.accent, &[lead])
        .field(next_step(next))
        .build()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{SYNCED, context, theme};
    use super::*;

    fn by_tier() -> BTreeMap<TierId, u32> {
        [("naib", 7), ("hajra", 100), ("qanat", 1)]
            .map(|(id, members)| (TierId::new(id).unwrap(), members))
            .into()
    }

    #[test]
    fn preview_counts_members_and_roles_by_tier() {
        let theme = theme("sietch");
        let by_tier = by_tier();
        let change = PolicyPreview {
            before: TierRoles::Exclusive,
            after: TierRoles::Cumulative,
            by_tier: &by_tier,
        };
        let (embed, rows) = preview(&context(&theme), &change, "cumulative");
        let description = embed.description.unwrap();
        // Seven Naibs gain the eight roles below, one Qanat two; Hajra is the lowest tier.
        assert!(
            description.contains("8 members would gain 58 roles in all, which takes about 58 seconds"),
            "{description}"
        );
        let who = &embed.fields[0].value;
        assert!(
            who.contains("Naib: 7 members, +8 each") && who.contains("Qanat: 1 member, +2 each"),
            "{who}"
        );
        assert!(!who.contains("Hajra"), "{who}");
        let json = serde_json::to_value(rows).unwrap();
        assert_eq!(json[0]["components"][0]["custom_id"], "admin-roles:apply:cumulative");

        let back = PolicyPreview {
            before: TierRoles::Cumulative,
            after: TierRoles::Exclusive,
            by_tier: &by_tier,
        };
        let (embed, _) = preview(&context(&theme), &back, "theme");
        assert!(embed.fields[0].value.contains("Naib: 7 members, −8 each"));
    }

    #[test]
    fn preview_without_a_change_states_so() {
        let theme = theme("sietch");
        let by_tier = by_tier();
        let same = PolicyPreview {
            before: TierRoles::Exclusive,
            after: TierRoles::Exclusive,
            by_tier: &by_tier,
        };
        let (embed, _) = preview(&context(&theme), &same, "theme");
        assert!(embed.description.unwrap().contains("No member's roles change."));
    }

    #[test]
    fn progress_shows_the_time_left_until_it_ends() {
        let theme = theme("sietch");
        let mut job = JobRow {
            id: "tier-sync:policy:5".to_owned(),
            kind: "tier-sync".to_owned(),
            state: JobState::Running,
            payload: serde_json::json!({}),
            attempts: 1,
            progress_done: 100,
            progress_total: Some(1_300),
            error: None,
            due_at: SYNCED,
            created_at: SYNCED,
            started_at: Some(SYNCED),
            finished_at: None,
        };
        let shown = |job: &JobRow, before, seconds| {
            let now = SYNCED + Duration::seconds(seconds);
            let (embed, rows) = progress(&context(&theme), (job, before), "x".to_owned(), now);
            (embed.title.unwrap(), embed.description.unwrap(), rows.len())
        };
        // Slower than the limit: two seconds for a change.
        assert_eq!(
            shown(&job, 0, 200).1,
            "100 of 1,300 role changes made. About 40 minutes left."
        );
        // Not faster than the limit, and the parts before count.
        assert_eq!(
            shown(&job, 60, 10).1,
            "160 of 1,360 role changes made. About 20 minutes left."
        );
        (job.progress_done, job.progress_total) = (0, None);
        assert_eq!(
            shown(&job, 0, 1).1,
            "The members are being compared; that takes seconds."
        );
        assert_eq!(
            shown(&job, 60, 1).1,
            "60 role changes made; the others are being compared."
        );
        assert_eq!(shown(&job, 60, 1).2, 1, "the button is there until the end");
        job.state = JobState::Succeeded;
        (job.progress_done, job.progress_total) = (1, Some(1));
        assert_eq!(
            shown(&job, 0, 1),
            ("All roles are changed".to_owned(), "1 role change made.".to_owned(), 0)
        );
        (job.progress_done, job.progress_total) = (0, Some(0));
        assert_eq!(shown(&job, 0, 1).1, "Every member had the right roles already.");
    }

    #[test]
    fn protected_member_can_be_given_back_to_the_rules() {
        let theme = theme("sietch");
        let labels = |protected| {
            let (_, rows) = member(&context(&theme), "Stil_gar", 7, protected);
            let json = serde_json::to_value(rows).unwrap();
            let buttons = json[0]["components"].as_array().unwrap().clone();
            buttons
                .iter()
                .map(|button| button["custom_id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(false), ["admin-roles:remove:7", "admin-roles:keep"]);
        assert_eq!(
            labels(true),
            ["admin-roles:remove:7", "admin-roles:return:7", "admin-roles:keep"]
        );
    }
}
