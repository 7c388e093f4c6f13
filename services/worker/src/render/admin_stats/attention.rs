//! What needs the attention of an admin, each with what to do.

use arrakis_db::{RecordedProblem, SyncHealth};
use time::Duration;

use super::{AdminStatsView, BotAccess, MAX_ERROR, role};
use crate::render::{Freshness, RenderContext, text};

/// A job that is due for longer than this is late.
const LATE_AFTER: Duration = Duration::minutes(5);

/// What needs attention, each with what to do; the gravest first.
pub(super) fn lines(context: &RenderContext<'_>, view: &AdminStatsView<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(frozen) = view.frozen {
        lines.push(format!(
            "Frozen {}: {}. No role changes until the freeze ends.",
            text::ago(frozen.at),
            text::name(&frozen.reason)
        ));
    }
    lines.extend(view.theme_until.map(|until| {
        let (plan, at) = (view.plan, text::date(until));
        format!("The plan {plan} does not include the theme: another one takes its place on {at}.")
    }));
    lines.extend(ranking_problem(context, view.sync));
    if let Some(access) = view.access {
        lines.extend(permission_problem(access));
        lines.extend(access.broken_roles.iter().map(|(key, reason)| {
            format!(
                "The role **{}** cannot be assigned: {}.",
                role(context, key),
                text::name(reason)
            )
        }));
    }
    lines.extend(view.unbound.iter().map(|key| {
        let role = role(context, key);
        format!("The role **{role}** of the theme has no role in this server; it is created or chosen by the setup.")
    }));
    if let Some(due) = view.open.due_since.filter(|due| view.now - *due > LATE_AFTER) {
        lines.push(format!(
            "A job is due {} and has not begun: the workers may be overloaded.",
            text::ago(due)
        ));
    }
    lines.extend(view.failed.iter().map(|failed| {
        let count = text::count(failed.count, "job", "jobs");
        format!(
            "{count} `{}` failed, the last one {}.",
            failed.kind,
            text::ago(failed.last_at)
        )
    }));
    lines.extend(view.problems.iter().map(problem));
    lines
}

fn ranking_problem(context: &RenderContext<'_>, sync: &SyncHealth) -> Option<String> {
    let failing = || {
        let failures = text::count(sync.consecutive_failures, "sync has", "syncs have");
        let error = sync.last_error.as_deref().unwrap_or("no error was recorded");
        format!(
            "{failures} failed in a row: {}.",
            text::name(&text::truncate(error, MAX_ERROR))
        )
    };
    match context.freshness {
        Freshness::Never if sync.consecutive_failures == 0 => {
            Some("The ranking has not been read yet: no member has a tier before the first sync.".to_owned())
        }
        Freshness::Stale(at) => Some(format!(
            "The ranking is old, it was read {}: no member gains or loses a tier meanwhile.{}",
            text::ago(at),
            if sync.consecutive_failures > 0 {
                format!(" {}", failing())
            } else {
                String::new()
            }
        )),
        Freshness::Never | Freshness::Fresh(_) if sync.consecutive_failures > 0 => Some(failing()),
        Freshness::Never | Freshness::Fresh(_) => (sync.mismatches > 0).then(|| {
            format!(
                "{} from the chain's balance; the operator of the platform finds them in the log of the sync.",
                text::count(
                    sync.mismatches,
                    "wallet of the ranking differs",
                    "wallets of the ranking differ"
                )
            )
        }),
    }
}

fn permission_problem(access: &BotAccess) -> Option<String> {
    if access.missing_permissions.is_empty() {
        return None;
    }
    Some(format!(
        "The bot lacks {}. Allow it for the bot's role in the server settings, under Roles.",
        access.missing_permissions.join(", ")
    ))
}

fn problem(problem: &RecordedProblem) -> String {
    let what = match problem.action.as_str() {
        "role.broken" => "A role could not be changed",
        "welcome.broken" => "A welcome could not be sent",
        "post.broken" => "A post could not be written",
        "discord.outcome_unknown" => "A call to Discord may or may not have taken effect",
        "reconcile.list_not_believed" => "Discord's list of members was implausibly short",
        other => other,
    };
    let times = text::count(problem.count, "time", "times");
    let at = text::ago(problem.last_at);
    let reason = problem.last_reason.as_deref();
    let reason = reason.map(|reason| format!(": {}", text::name(&text::truncate(reason, MAX_ERROR))));
    format!("{what}, {times} in 7 days, last {at}{}.", reason.unwrap_or_default())
}
