//! `/admin-stats`: the health of a community, with each problem and what an admin can do about it.

mod attention;

use arrakis_db::{CommunityCounts, FailedJobs, Frozen, OpenJobs, RecordedProblem, SyncHealth};
use arrakis_domain::{Color, Plan, RoleKey, RuleSetId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use twilight_model::channel::message::{Component, Embed};

use super::post_switches::{self, PostLine};
use super::{Freshness, RenderContext, buttons, full_field, inline_field, next_step, text};

/// Colour when nothing needs attention.
const HEALTHY: Color = Color::from_rgb(0x28_a7_45);
/// Colour when something does.
const ATTENTION: Color = Color::from_rgb(0xe6_9f_00);
/// Longest error of a failure, in characters.
const MAX_ERROR: usize = 120;

/// Permissions and roles that the bot lacks in a server, and the channels that it has. Serialised for the cache only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotAccess {
    /// Names of missing permissions.
    pub missing_permissions: Vec<String>,
    /// Bound roles that cannot be assigned, with the reason.
    pub broken_roles: Vec<(RoleKey, String)>,
    /// The channels of the server: id and name.
    #[serde(default)]
    pub channels: Vec<(u64, String)>,
}

/// The data that `/admin-stats` shows.
#[derive(Debug, Clone, Copy)]
pub struct AdminStatsView<'a> {
    /// Name of the community.
    pub community: &'a str,
    /// Since when it is frozen and why; `None`: it is not frozen.
    pub frozen: Option<&'a Frozen>,
    /// Its rule set.
    pub rule_set: &'a RuleSetId,
    /// Its plan.
    pub plan: Plan,
    /// When it was created.
    pub onboarded_at: OffsetDateTime,
    /// The present time.
    pub now: OffsetDateTime,
    /// State of the eligibility sync of its token.
    pub sync: &'a SyncHealth,
    /// Counts of its members.
    pub counts: &'a CommunityCounts,
    /// Jobs that have not ended.
    pub open: OpenJobs,
    /// Jobs that failed within a week.
    pub failed: &'a [FailedJobs],
    /// Problems that the audit log recorded within a week.
    pub problems: &'a [RecordedProblem],
    /// The theme's automatic roles that no role of the server is bound to.
    pub unbound: &'a [RoleKey],
    /// Permissions and roles that the bot lacks in the server; `None` if Discord did not respond.
    pub access: Option<&'a BotAccess>,
    /// Until when the theme is used that the plan does not include.
    pub theme_until: Option<OffsetDateTime>,
    /// The posts that the theme has.
    pub posts: &'a [PostLine<'a>],
    /// The sentence about the post that was switched, if one was.
    pub done: Option<&'a str>,
}

/// The buttons that switch posts, and the link to the status page.
pub fn components(posts: &[PostLine<'_>], status_page: Option<&str>) -> Vec<Component> {
    let mut rows = post_switches::buttons(posts);
    let link = status_page.map(|url| buttons::link("Open the status page (once, within 5 minutes)", url));
    rows.extend(buttons::rows(link.into_iter().collect()));
    rows
}

/// Renders the health.
pub fn embed(context: &RenderContext<'_>, view: &AdminStatsView<'_>) -> Embed {
    let problems = attention::lines(context, view);
    let (color, lead) = if problems.is_empty() {
        (HEALTHY, "✅ Nothing needs attention.".to_owned())
    } else {
        let count = text::count(count_of(problems.len()), "thing needs", "things need");
        (ATTENTION, format!("⚠️ **{count} attention**"))
    };
    let mut paragraphs: Vec<String> = view.done.map(str::to_owned).into_iter().collect();
    paragraphs.push(format!("**{}**\n{lead}", text::name(view.community)));
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(|problem| format!("• {problem}")).collect();
        paragraphs.push(text::lines(&lines, text::DESCRIPTION / 2));
    }
    let next = if problems.is_empty() {
        "`/stats` shows the community in numbers, `/reconcile` compares roles and members with Discord now."
    } else {
        "Correct what is listed above; `/reconcile` then repairs roles and members at once."
    };
    context
        .embed_without_ranking("Health of the community", color, &paragraphs)
        .field(full_field("Ranking", &ranking(context, view.sync)))
        .field(inline_field("Members", &members(context, view.counts)))
        .field(inline_field("Jobs", &jobs(view.open)))
        .field(inline_field("Settings", &settings(context, view)))
        .field(full_field("Failed jobs in 7 days", &failed(view.failed)))
        .field(full_field("Permissions and roles", &access(context, view)))
        .field(full_field("Posts", &post_switches::lines(view.posts)))
        .field(next_step(next))
        .build()
}

fn ranking(context: &RenderContext<'_>, sync: &SyncHealth) -> String {
    let read = match context.freshness {
        Freshness::Never => "Not read yet.".to_owned(),
        Freshness::Fresh(at) | Freshness::Stale(at) => format!("Read {}.", text::ago(at)),
    };
    let attempt = sync
        .last_attempt_at
        .map(|at| format!(" Last attempt {}.", text::ago(at)));
    let block = sync.last_block.map(|block| format!(" Up to block {block}."));
    format!("{read}{}{}", attempt.unwrap_or_default(), block.unwrap_or_default())
}

fn members(context: &RenderContext<'_>, counts: &CommunityCounts) -> String {
    let words = &context.theme.words;
    let with_tier: u32 = counts.by_tier.values().sum();
    format!(
        "{}\n{} with a verified wallet\n{} with a tier",
        text::count(counts.members, &words.member, &words.members),
        text::grouped(counts.verified),
        text::grouped(with_tier)
    )
}

fn jobs(open: OpenJobs) -> String {
    format!(
        "{} queued\n{} running\n{} to be retried",
        text::grouped(open.queued),
        text::grouped(open.running),
        text::grouped(open.waiting)
    )
}

fn settings(context: &RenderContext<'_>, view: &AdminStatsView<'_>) -> String {
    format!(
        "theme {}, rules {}\nplan {}\nsince {}",
        context.theme.id,
        view.rule_set,
        view.plan,
        text::date(view.onboarded_at)
    )
}

fn failed(failed: &[FailedJobs]) -> String {
    if failed.is_empty() {
        return "None.".to_owned();
    }
    let line = |failed: &FailedJobs| {
        let error = text::name(&text::truncate(&failed.last_error, MAX_ERROR));
        format!(
            "`{}` {} times, last {}: {error}",
            failed.kind,
            failed.count,
            text::ago(failed.last_at)
        )
    };
    text::lines(&failed.iter().map(line).collect::<Vec<_>>(), text::FIELD)
}

fn access(context: &RenderContext<'_>, view: &AdminStatsView<'_>) -> String {
    let Some(access) = view.access else {
        return "Discord did not respond in time, so permissions were not checked. Run `/admin-stats` again."
            .to_owned();
    };
    let automatic = context
        .theme
        .roles
        .iter()
        .filter(|role| role.given_to.is_automatic())
        .count();
    let broken = access.broken_roles.len() + view.unbound.len();
    let permissions = if access.missing_permissions.is_empty() {
        "The bot has the permissions that it needs.".to_owned()
    } else {
        format!("Missing: {}.", access.missing_permissions.join(", "))
    };
    if broken == 0 && access.missing_permissions.is_empty() {
        return format!("{permissions} It can assign all {automatic} roles of the theme.");
    }
    format!(
        "{permissions} {broken} of {automatic} roles of the theme {} not work.",
        if broken == 1 { "does" } else { "do" }
    )
}

/// The name of a role of the theme; its key for a role of an earlier theme.
fn role(context: &RenderContext<'_>, key: &RoleKey) -> String {
    let role = context.theme.role(key);
    role.map_or_else(|| key.to_string(), |role| role.name.clone())
}

fn count_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrakis_domain::TierId;
    use time::Duration;

    use super::super::samples::{SYNCED, context, theme};
    use super::*;

    fn rendered(change: impl FnOnce(&mut AdminStatsView<'_>), freshness: Freshness) -> Embed {
        let theme = theme("sietch");
        let context = RenderContext {
            freshness,
            ..context(&theme)
        };
        let counts = CommunityCounts {
            members: 1_312,
            verified: 1_268,
            by_tier: BTreeMap::from([(TierId::new("naib").unwrap(), 7)]),
        };
        let (sync, access) = (SyncHealth::default(), BotAccess::default());
        let rule_set = RuleSetId::new("balance").unwrap();
        let mut view = AdminStatsView {
            community: "Sietch *Tabr*",
            frozen: None,
            rule_set: &rule_set,
            plan: Plan::Premium,
            onboarded_at: SYNCED,
            now: SYNCED,
            sync: &sync,
            counts: &counts,
            open: OpenJobs::default(),
            failed: &[],
            problems: &[],
            unbound: &[],
            access: Some(&access),
            theme_until: None,
            posts: &[],
            done: None,
        };
        change(&mut view);
        embed(&context, &view)
    }

    fn field<'a>(embed: &'a Embed, name: &str) -> &'a str {
        &embed.fields.iter().find(|field| field.name == name).unwrap().value
    }

    #[test]
    fn healthy_community_needs_nothing() {
        let embed = rendered(|_| {}, Freshness::Fresh(SYNCED));
        let description = embed.description.as_ref().unwrap();
        assert_eq!(description, "**Sietch \\*Tabr\\***\n✅ Nothing needs attention.");
        assert_eq!(embed.color, Some(0x28_a7_45));
        assert_eq!(
            field(&embed, "Members"),
            "1,312 sietch dwellers\n1,268 with a verified wallet\n7 with a tier"
        );
        assert!(field(&embed, "Permissions and roles").ends_with("It can assign all 14 roles of the theme."));
        assert_eq!(field(&embed, "Failed jobs in 7 days"), "None.");
    }

    #[test]
    fn each_problem_is_named_with_what_follows_from_it() {
        let (naib, taqwa) = (RoleKey::new("naib").unwrap(), RoleKey::new("taqwa").unwrap());
        let access = BotAccess {
            missing_permissions: vec!["Embed Links".to_owned()],
            broken_roles: vec![(naib, "it is above the bot's highest role".to_owned())],
            ..BotAccess::default()
        };
        let sync = SyncHealth {
            consecutive_failures: 3,
            last_error: Some("no endpoint of the chain responds".to_owned()),
            ..SyncHealth::default()
        };
        let failed = [FailedJobs {
            kind: "tier-sync".to_owned(),
            count: 2,
            last_at: SYNCED,
            last_error: "not complete".to_owned(),
        }];
        let problems = [RecordedProblem {
            action: "welcome.broken".to_owned(),
            count: 1,
            last_at: SYNCED,
            last_subject: "7".to_owned(),
            last_reason: Some("missing access".to_owned()),
        }];
        let frozen = Frozen {
            at: SYNCED,
            reason: "an incident".to_owned(),
        };
        let unbound = [taqwa];
        let theme = theme("sietch");
        let context = RenderContext {
            freshness: Freshness::Stale(SYNCED),
            ..context(&theme)
        };
        let rule_set = RuleSetId::new("balance").unwrap();
        let counts = CommunityCounts::default();
        let view = AdminStatsView {
            community: "Sietch Tabr",
            frozen: Some(&frozen),
            rule_set: &rule_set,
            plan: Plan::Premium,
            onboarded_at: SYNCED,
            now: SYNCED + Duration::hours(1),
            sync: &sync,
            counts: &counts,
            open: OpenJobs {
                queued: 1,
                due_since: Some(SYNCED),
                ..OpenJobs::default()
            },
            failed: &failed,
            problems: &problems,
            unbound: &unbound,
            access: Some(&access),
            theme_until: Some(SYNCED),
            posts: &[],
            done: Some("Weekly digest: off."),
        };
        let embed = embed(&context, &view);
        let description = embed.description.as_ref().unwrap();
        assert!(
            description.starts_with("Weekly digest: off.\n\n**Sietch Tabr**"),
            "{description}"
        );
        assert!(description.contains("**9 things need attention**"), "{description}");
        for text in [
            "Frozen <t:1785585600:R>: an incident.",
            "does not include the theme: another one takes its place on <t:1785585600:D>.",
            "The ranking is old",
            "3 syncs have failed in a row: no endpoint of the chain responds.",
            "The bot lacks Embed Links.",
            "The role **Naib** cannot be assigned: it is above the bot's highest role.",
            "The role **Taqwa** of the theme has no role in this server",
            "A job is due <t:1785585600:R> and has not begun",
            "2 jobs `tier-sync` failed",
            "A welcome could not be sent, 1 time in 7 days, last <t:1785585600:R>: missing access.",
        ] {
            assert!(description.contains(text), "{text}: {description}");
        }
        assert!(field(&embed, "Permissions and roles").contains("2 of 14 roles of the theme do not work."));
        assert_eq!(field(&embed, "Jobs"), "1 queued\n0 running\n0 to be retried");
    }

    #[test]
    fn permissions_that_were_not_read_are_no_problem() {
        let embed = rendered(|view| view.access = None, Freshness::Fresh(SYNCED));
        assert!(
            embed
                .description
                .as_ref()
                .unwrap()
                .ends_with("Nothing needs attention.")
        );
        assert!(field(&embed, "Permissions and roles").starts_with("Discord did not respond in time"));
        let never = rendered(|_| {}, Freshness::Never);
        assert!(never.description.unwrap().contains("The ranking has not been read yet"));
    }
}
