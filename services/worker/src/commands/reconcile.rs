//! `/reconcile`: an admin compares what the community should be with what it is, repairs it, or changes the rule set.
//!
//! The comparison is a job, whose id is that of the interaction: a second run of one interaction enqueues no second job. A change of the
//! rule set is previewed; the press of the button that confirms it has a claim in the inbox and commits with its jobs.

use arrakis_db::{Actor, JobState, NewAuditEntry, RuleChange, RuleChangeEnd};
use arrakis_domain::RuleSetId;
use serde_json::json;
use time::Duration;
use twilight_model::application::command::{CommandOptionChoice, CommandOptionChoiceValue};
use twilight_model::guild::Permissions;
use twilight_util::builder::command::{IntegerBuilder, StringBuilder};
use uuid::Uuid;

use super::{Command, CommandContext, Definition, outdated_component};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::reconcile::{self as job, Mode, rule_change};
use crate::reconcile_report::ReconcileReport;
use crate::render::reconcile::{self as render, NAME, SHOW};
use crate::render::rules::{self, APPLY, CANCEL, KEEP};
use crate::synthesis::ReplyHandle;

const REPAIR: &str = "repair";
const COMPARE: &str = "compare";
const RULES: &str = "rules";
/// Longest grace period, in days.
const MAX_GRACE_DAYS: u16 = 30;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reconcile;

impl Command for Reconcile {
    fn definition(&self) -> Definition {
        let action = StringBuilder::new("action", "What to do; compares and repairs when left out").choices([
            ("Compare and repair", REPAIR),
            ("Compare only", COMPARE),
            ("Change of the rules", RULES),
        ]);
        let rule_set = StringBuilder::new("rule-set", "For a change of the rules: the rules to put into force");
        let grace = IntegerBuilder::new("grace-days", "For a change of the rules: days until it takes effect")
            .min_value(0)
            .max_value(i64::from(MAX_GRACE_DAYS));
        Definition::new(
            NAME,
            "Compare what should be with what is, and repair it; change the tier rules",
        )
        .option(action)
        .option(rule_set.autocomplete(true))
        .option(grace)
        .permissions(Permissions::MANAGE_GUILD)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        match options.string("action") {
            Some(RULES) => {
                let days = options.integer("grace-days").unwrap_or(0);
                let days = u16::try_from(days).unwrap_or(MAX_GRACE_DAYS).min(MAX_GRACE_DAYS);
                preview(context, options.string("rule-set"), days).await
            }
            Some(COMPARE) => start(context, Mode::Compare).await,
            _ => start(context, Mode::Repair).await,
        }
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [SHOW, interaction] => show(context, interaction.parse().map_err(|_| outdated_component())?).await,
            [APPLY, rule_set, days] => {
                let days = days.parse().map_err(|_| outdated_component())?;
                confirm(context, rule_set, days).await
            }
            [CANCEL, change] => cancel(context, change.parse().map_err(|_| outdated_component())?).await,
            [KEEP] => {
                let embed = rules::kept(&context.render_context()?);
                Ok(Reply::Message(message(embed, Vec::new())))
            }
            _ => Err(outdated_component().into()),
        }
    }

    async fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        let Some(community) = context.community.filter(|_| option == "rule-set") else {
            return Ok(Vec::new());
        };
        let typed = typed.trim().to_lowercase();
        let all = community.theme.rule_sets.keys();
        let others = all.filter(|id| **id != community.record.rule_set && id.as_str().contains(&typed));
        Ok(others.map(suggestion).collect())
    }
}

fn suggestion(id: &RuleSetId) -> CommandOptionChoice {
    CommandOptionChoice {
        name: id.as_str().to_owned(),
        name_localizations: None,
        value: CommandOptionChoiceValue::String(id.as_str().to_owned()),
    }
}

fn job_id(interaction: u64) -> String {
    format!("reconcile:command:{interaction}")
}

/// Enqueues a comparison. Its report replaces the reply.
async fn start(context: &CommandContext<'_>, mode: Mode) -> CommandResult {
    let interaction = context.invocation.id.get();
    let request = job::request_in_mode(job_id(interaction), mode);
    let now = context.services.now();
    context.tx().await?.jobs().enqueue(&request.row(now)).await?;
    ReplyHandle::new(context.services, context.community()?.id(), &request.id)
        .remember(&context.invocation.token)
        .await;
    context.commit_and_publish(&request).await?;
    let (embed, buttons) = render::started(&context.render_context()?, interaction);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Shows the report of a comparison, that it still runs, or why it has failed.
async fn show(context: &CommandContext<'_>, interaction: u64) -> CommandResult {
    let id = job_id(interaction);
    let (stored, job) = {
        let mut tx = context.tx().await?;
        let stored = tx.reconcile_reports().get(&id).await?;
        (stored, tx.jobs().get(&id).await?)
    };
    let render = context.render_context()?;
    if let Some(report) = stored.and_then(|stored| ReconcileReport::read(&stored.report)) {
        return Ok(Reply::Message(message(render::report(&render, &report), Vec::new())));
    }
    let job = job.ok_or_else(outdated_component)?;
    if job.state == JobState::Failed {
        let reason = job.error.as_deref().unwrap_or("no reason was recorded");
        return Ok(Reply::Message(message(render::failed(&render, reason), Vec::new())));
    }
    // The newest token can be used for the longest time.
    ReplyHandle::new(context.services, context.community()?.id(), &id)
        .remember(&context.invocation.token)
        .await;
    let (embed, buttons) = render::started(&render, interaction);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Shows what a change of the rule set would do, or the pending change if none is named.
async fn preview(context: &CommandContext<'_>, rule_set: Option<&str>, days: u16) -> CommandResult {
    let Some(typed) = rule_set else {
        return show_pending(context).await;
    };
    let community = context.community()?;
    let rule_set = rule_set_of(context, typed, &community.record.rule_set)?;
    let rules = rule_change::ladder_of(community, &rule_set).ok_or_else(outdated_component)?;
    let counting = rule_change::preview(context.services, community, rules);
    let counted = context.without_tx(Box::pin(counting)).await??;
    let (embed, buttons) = rules::preview(&context.render_context()?, &rule_set, &counted, days);
    Ok(Reply::Message(message(embed, buttons)))
}

async fn show_pending(context: &CommandContext<'_>) -> CommandResult {
    let Some(pending) = context.tx().await?.rule_changes().pending().await? else {
        return Err(Refusal::new(
            "No change of the rules is pending.",
            format!("The option `rule-set` takes {}.", names(context)?),
        )
        .into());
    };
    let render = context.render_context()?;
    let (embed, buttons) = rules::pending(&render, &pending.rule_set, pending.effective_at, pending.id);
    Ok(Reply::Message(message(embed, buttons)))
}

/// The rule set of this id, or the refusal of one that the theme does not have or that is in force.
fn rule_set_of(context: &CommandContext<'_>, typed: &str, in_force: &RuleSetId) -> Result<RuleSetId, CommandError> {
    let community = context.community()?;
    let typed = typed.trim().to_lowercase();
    let found = community.theme.rule_sets.keys().find(|id| id.as_str() == typed);
    match found {
        Some(id) if id == in_force => Err(Refusal::new(
            format!("The rules **{id}** are in force already."),
            format!("The option `rule-set` takes {}.", names(context)?),
        )
        .into()),
        Some(id) => Ok(id.clone()),
        None => Err(Refusal::new(
            "This theme has no such rules.",
            format!("The option `rule-set` takes {}.", names(context)?),
        )
        .into()),
    }
}

fn names(context: &CommandContext<'_>) -> Result<String, CommandError> {
    let community = context.community()?;
    let all = community.theme.rule_sets.keys();
    let others: Vec<String> = all
        .filter(|id| **id != community.record.rule_set)
        .map(|id| format!("`{id}`"))
        .collect();
    Ok(match others.as_slice() {
        [] => "nothing here: the theme has one rule set".to_owned(),
        others => others.join(", "),
    })
}

/// Stores a confirmed change with its jobs. A second run and a second press find the change and send the same reply, a second run also when
/// the rules are in force by then.
async fn confirm(context: &CommandContext<'_>, typed: &str, days: u16) -> CommandResult {
    let claim = format!("{NAME}:{}", context.invocation.id);
    let is_first = context.tx().await?.claim(&claim).await?;
    let days = days.min(MAX_GRACE_DAYS);
    let now = context.services.now();
    let mut change = RuleChange {
        // The same in a second run of the press.
        id: Uuid::from_u128(u128::from(context.invocation.id.get())),
        rule_set: typed.parse::<RuleSetId>().map_err(|_| outdated_component())?,
        requested_by: user_id(context.invocation.author.id)?,
        requested_at: now,
        effective_at: now + Duration::days(i64::from(days)),
    };
    // Another press may confirm the same at this moment.
    let (in_force, pending) = locked_rules(context).await?;
    match pending.filter(|pending| is_same(pending, &change)) {
        Some(pending) => change = pending,
        None if is_first => {
            change.rule_set = rule_set_of(context, typed, &in_force)?;
            store(context, &change, days).await?;
        }
        None => {}
    }
    let first = if days > 0 {
        rule_change::announcement(change.id)
    } else {
        rule_change::due(change.id)
    };
    context.commit_and_publish(&first).await?;
    let embed = rules::confirmed(&context.render_context()?, &change.rule_set, change.effective_at, days);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// The rules in force and the pending change. No other press changes either until the transaction ends.
async fn locked_rules(context: &CommandContext<'_>) -> Result<(RuleSetId, Option<RuleChange>), CommandError> {
    let mut tx = context.tx().await?;
    tx.communities().lock().await?;
    let record = tx.communities().get().await?;
    let record = record.ok_or_else(|| Failure::permanent("the community does not exist"))?;
    Ok((record.rule_set, tx.rule_changes().pending().await?))
}

/// Whether two changes put the same rules into force on the same day: the second one is another press, not another decision.
fn is_same(pending: &RuleChange, change: &RuleChange) -> bool {
    let grace = |of: &RuleChange| of.effective_at - of.requested_at;
    pending.rule_set == change.rule_set
        && grace(pending) == grace(change)
        && (change.effective_at - pending.effective_at).abs() < Duration::DAY
}

/// Stores the change with its jobs and its audit entry.
async fn store(context: &CommandContext<'_>, change: &RuleChange, days: u16) -> Result<(), CommandError> {
    let mut tx = context.tx().await?;
    tx.rule_changes().announce(change).await?;
    tx.jobs()
        .enqueue(&rule_change::due(change.id).row(change.effective_at))
        .await?;
    if days > 0 {
        let announcement = rule_change::announcement(change.id);
        tx.jobs().enqueue(&announcement.row(change.requested_at)).await?;
    }
    tx.audit(&NewAuditEntry {
        actor: Actor::Member(change.requested_by),
        action: "rules.announce",
        subject: change.rule_set.as_str(),
        reason: None,
        detail: json!({"grace_days": days}),
    })
    .await?;
    Ok(())
}

/// Cancels a pending change.
async fn cancel(context: &CommandContext<'_>, change: Uuid) -> CommandResult {
    let admin = user_id(context.invocation.author.id)?;
    {
        let mut tx = context.tx().await?;
        if tx.rule_changes().end(change, RuleChangeEnd::Cancelled).await? {
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(admin),
                action: "rules.cancel",
                subject: &change.to_string(),
                reason: None,
                detail: json!({}),
            })
            .await?;
        }
    }
    let embed = rules::kept(&context.render_context()?);
    Ok(Reply::Message(message(embed, Vec::new())))
}
