//! `gaib server tier`: the plan of a server's community at the platform.

use arrakis_contracts::servers::{BackupUsageEntry, PlanName, ServerPlan, SetPlan};
use serde_json::json;

use crate::arguments::tier::{PlanArgument, Set, Show, TierCommand};
use crate::commands::platform;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::settings::API_KEY_HELP;
use crate::table::table;

pub(super) async fn run(context: &Context, command: &TierCommand) -> Result<ExitStatus> {
    match command {
        TierCommand::Show(arguments) => show(context, arguments).await,
        TierCommand::Set(arguments) => set(context, arguments).await,
    }
}

async fn show(context: &Context, arguments: &Show) -> Result<ExitStatus> {
    if context.environment.platform(&arguments.community.platform)?.is_none() {
        return Err(Failure::new(
            "no api of the platform is given, which has the plans: ARRAKIS_API_URL and ARRAKIS_API_KEY are not set",
        )
        .help(format!(
            "without a platform there is no plan to show, and a folder of backups has no limits. For a server of a platform: {API_KEY_HELP}"
        )));
    }
    let (platform, guild) = platform::required(context, &arguments.community).await?;
    let what = format!("read the plan of server {guild}");
    let failed = |error| platform.failure(&what, &error);
    let plan = platform.plan().await.map_err(failed)?;
    let usage = platform.backup_usage().await.map_err(failed)?;
    let printer = context.printer;
    let mut message = json!(plan);
    message["type"] = "tier".into();
    message["usage"] = json!(usage.usage);
    printer.message(&message);
    printer.text(&described(&plan));
    let rows: Vec<[String; 4]> = usage.usage.iter().map(row).collect();
    printer.text(&format!(
        "\n{}",
        table(["ON REQUEST", "LIMIT", "USED", "FREE AGAIN"], &rows)
    ));
    Ok(ExitStatus::Success)
}

async fn set(context: &Context, arguments: &Set) -> Result<ExitStatus> {
    let (platform, guild) = platform::required(context, &arguments.community).await?;
    let printer = context.printer;
    let read = format!("read the plan of server {guild}");
    let before = platform.plan().await.map_err(|error| platform.failure(&read, &error))?;
    let wanted = match arguments.plan {
        PlanArgument::Free => PlanName::Free,
        PlanArgument::Premium => PlanName::Premium,
    };
    let (from, to) = (before.plan.name(), wanted.name());
    let has_change = before.plan != wanted || arguments.grace_days.is_some();
    if !has_change || arguments.dry_run {
        printer.message(&json!({"type": "tier_kept", "guild": guild, "plan": from, "wanted": to}));
        printer.text(&match has_change {
            true => format!(
                "The plan of {} would change from {from} to {to}; nothing was changed.\n",
                before.name
            ),
            false => format!("The plan of {} is {from} already; nothing was changed.\n", before.name),
        });
        return Ok(ExitStatus::Success);
    }
    if !arguments.auto_approve {
        let question = format!(
            "Do you want to set the plan of {} (server {guild}) from {from} to {to}?",
            before.name
        );
        context
            .prompt
            .confirm(&question, "add --auto-approve to skip the confirmation")
            .await?;
    }
    let change = SetPlan {
        plan: wanted,
        reason: arguments.reason.clone(),
        grace_days: arguments.grace_days,
    };
    let what = format!("set the plan of server {guild}");
    let after = platform.set_plan(&change).await;
    let after = after.map_err(|error| platform.failure(&what, &error))?;
    let mut message = json!(after);
    message["type"] = "tier_set".into();
    message["before"] = from.into();
    printer.message(&message);
    printer.text(&described(&after));
    Ok(ExitStatus::Success)
}

fn described(plan: &ServerPlan) -> String {
    let mut text = format!(
        "{} (server {}): plan {}, theme {}\n",
        plan.name,
        plan.guild_id,
        plan.plan.name(),
        plan.theme
    );
    if let Some(until) = plan.theme_until {
        text.push_str(&format!(
            "The plan does not include the theme {}; another one takes its place after {}.\n",
            plan.theme,
            platform::time(until)
        ));
    }
    if let Some(reason) = &plan.frozen {
        text.push_str(&format!("The community is frozen: {reason}\n"));
    }
    text
}

fn row(entry: &BackupUsageEntry) -> [String; 4] {
    let limit = match (entry.limit, entry.within_hours) {
        (Some(limit), Some(hours)) => format!("{limit} in {hours} h"),
        _ => "none".to_owned(),
    };
    let frees_at = entry.frees_at.map(platform::time);
    [
        entry.kind.name().to_owned(),
        limit,
        entry.used.to_string(),
        frees_at.unwrap_or_default(),
    ]
}
