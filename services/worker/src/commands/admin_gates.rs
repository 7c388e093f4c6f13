//! `/admin-gates`: the feature gates of the community, and changes to them.
//!
//! The change, its audit entry and the claim commit together. A second run finds the claim, changes nothing and sends the same reply.

use arrakis_db::{Actor, NewAuditEntry, VersionCause};
use arrakis_domain::{GateKey, TierId};
use serde_json::json;
use twilight_model::application::command::CommandOptionChoice;
use twilight_model::guild::Permissions;
use twilight_util::builder::command::StringBuilder;

use super::definition::GatedPart;
use super::{Command, CommandContext, Definition, suggestions};
use crate::community::user_id;
use crate::configuration;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::gates::{self, GateLine, GatesView};
use crate::render::text;

const NAME: &str = "admin-gates";
/// The value of the option `tier` that removes a gate.
const EVERYONE: &str = "everyone";

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminGates;

impl Command for AdminGates {
    fn definition(&self) -> Definition {
        let what = StringBuilder::new("what", "A command, or a part of one; without it the gates are shown");
        let tier = StringBuilder::new("tier", "The tier from which it is open, or Everyone");
        Definition::new(NAME, "See and set from which tier on members can use commands")
            .option(what.autocomplete(true).max_length(50))
            .option(tier.autocomplete(true).max_length(50))
            .permissions(Permissions::MANAGE_GUILD)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        let text = |name| options.string(name).map(str::trim);
        let done = match (text("what"), text("tier")) {
            (None, None) => None,
            (Some(what), Some(tier)) => Some(change(context, what, tier).await?),
            _ => {
                return Err(Refusal::new(
                    "A gate needs both: what it is for, and the tier.",
                    "Run `/admin-gates` with `what` and `tier`, or with neither to see the gates.",
                )
                .into());
            }
        };
        show(context, done.as_deref()).await
    }

    async fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        let Some(community) = context.community else {
            return Ok(Vec::new());
        };
        Ok(match option {
            "what" => {
                let parts = parts(context).into_iter();
                suggestions::matching(parts.map(|part| (part.key, part.label.replace('`', ""))), typed)
            }
            "tier" => {
                let rungs = community.ladder()?.rungs().iter();
                let tiers = rungs.filter_map(|rung| community.theme.tier(&rung.tier));
                let tiers = tiers.map(|tier| (tier.id.as_str(), tier.name.clone()));
                suggestions::matching(tiers.chain([(EVERYONE, "Everyone".to_owned())]), typed)
            }
            _ => Vec::new(),
        })
    }
}

/// Every command and part that can have a gate.
fn parts(context: &CommandContext<'_>) -> Vec<GatedPart> {
    context
        .commands
        .definitions()
        .flat_map(Definition::gated_parts)
        .collect()
}

/// The part with this key, or the command with this name, with or without a slash.
fn part(context: &CommandContext<'_>, typed: &str) -> Result<GatedPart, Refusal> {
    let lower = typed.trim_start_matches('/').to_lowercase();
    let found = parts(context).into_iter().find(|part| part.key == lower);
    found.ok_or_else(|| {
        Refusal::new(
            format!("\"{}\" cannot have a gate.", text::name(typed)),
            "Choose one of the suggestions; commands of admins, `/verify`, `/position` and `/help` are always open.",
        )
    })
}

/// The tier with this id or name; `None` for everyone.
fn tier(context: &CommandContext<'_>, typed: &str) -> Result<Option<TierId>, CommandError> {
    let community = context.community()?;
    let lower = typed.to_lowercase();
    if lower == EVERYONE {
        return Ok(None);
    }
    let ladder = community.ladder()?;
    let mut tiers = community.theme.tiers.iter();
    let found = tiers.find(|tier| tier.id.as_str() == lower || tier.name.to_lowercase() == lower);
    match found.filter(|tier| ladder.rule(&tier.id).is_some()) {
        Some(tier) => Ok(Some(tier.id.clone())),
        None => Err(Refusal::new(
            format!("There is no tier \"{}\" here.", text::name(typed)),
            "Choose one of the suggestions, or `Everyone`.",
        )
        .into()),
    }
}

/// Sets or removes the gate, once for each interaction. Returns the sentence about it.
async fn change(context: &CommandContext<'_>, what: &str, typed_tier: &str) -> Result<String, CommandError> {
    let community = context.community()?;
    let part = part(context, what)?;
    let tier = tier(context, typed_tier)?;
    let key = GateKey::new(part.key).map_err(Failure::permanent)?;
    let admin = user_id(context.invocation.author.id)?;
    {
        let mut tx = context.tx().await?;
        if tx.claim(&format!("{NAME}:{}", context.invocation.id)).await? {
            let changed = match &tier {
                Some(tier) => tx.feature_gates().set(&key, tier, admin).await?,
                None => tx.feature_gates().remove(&key).await?,
            };
            if changed {
                let entry = NewAuditEntry {
                    actor: Actor::Member(admin),
                    action: if tier.is_some() { "gate.set" } else { "gate.remove" },
                    subject: part.key,
                    reason: None,
                    detail: json!({"tier": tier.as_ref().map(TierId::as_str)}),
                };
                tx.audit(&entry).await?;
                let cause = VersionCause {
                    cause: "gates",
                    by: &admin.to_string(),
                    at: context.services.now(),
                };
                configuration::record(&mut tx, &context.services.themes, cause).await?;
            }
        }
    }
    // The reply states the change, so it is committed before.
    context.without_tx(std::future::ready(())).await?;
    Ok(gates::changed(&community.theme, &part.label, tier.as_ref()))
}

async fn show(context: &CommandContext<'_>, done: Option<&str>) -> CommandResult {
    let render = context.render_context()?;
    // Read again: the community was read before the change.
    let record = context.tx().await?.communities().get().await?;
    let stored = record.map(|record| record.gates).unwrap_or_default();
    let parts = parts(context);
    let lines: Vec<GateLine<'_>> = parts
        .iter()
        .map(|part| GateLine {
            label: &part.label,
            from: stored.tier_of(part.key, render.ladder),
        })
        .collect();
    let applied = lines.iter().filter(|line| line.from.is_some()).count();
    let view = GatesView {
        lines: &lines,
        not_applied: stored.iter().count().saturating_sub(applied),
        done,
    };
    Ok(Reply::Message(message(gates::embed(&render, &view), Vec::new())))
}
