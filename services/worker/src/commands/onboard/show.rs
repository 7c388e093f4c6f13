//! Shows the present step of a wizard, with what it needs to read: token profiles, themes, roles, the plan, the job of the deploy.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrakis_cache::Session;
use arrakis_contracts::proxy::Urgency;
use arrakis_db::{JobRow, JobState};
use arrakis_domain::{RuleSetId, Theme};
use arrakis_iac_apply::NoProgress;
use serde_json::Value;
use uuid::Uuid;

use super::guild;
use super::input::{chosen_theme, offered_tokens, plan_of};
use crate::commands::role_grant::RoleGranter;
use crate::commands::{CommandContext, outdated_component};
use crate::community::Community;
use crate::failure::Failure;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::copy_id;
use crate::jobs::reconcile::rule_change;
use crate::jobs::synthesis::deploy_id;
use crate::render::onboard::{self as render, Choice, ReviewView, RoleLine};
use crate::render::synthesis as job_render;
use crate::synthesis::{self, Manifest, PlannedServer, Purpose, ReplyHandle, plan_server};
use crate::wizard::{Step, Wizard, end_deployed};

/// How a change of the rules takes nothing from members at once.
const GRACE: &str = "The action \"Change of the rules\" of /reconcile names them, and can give them time.";

/// Shows the present step.
///
/// # Errors
/// If what it needs cannot be read.
pub(in crate::commands) async fn show_step(context: &CommandContext<'_>, session: &Session<Wizard>) -> CommandResult {
    let (id, wizard) = (session.id, &session.data);
    let (embed, components) = match wizard.step {
        Step::Init => render::intro(id, wizard, context.community.is_some()),
        Step::ChainSelect => render::chain(id, wizard, &chains(context).await?),
        Step::AssetConfig => {
            let chain = wizard.chain_id.ok_or_else(outdated_component)?;
            let can_read = context.services.chains.get(chain).is_some();
            render::asset(id, wizard, &tokens(context, chain).await?, can_read)
        }
        Step::EligibilityRules => {
            let tiers = chosen_theme(context, wizard).map(|theme| tiers(&theme, wizard));
            render::rules(id, wizard, &rule_choices(context), tiers.as_deref())
        }
        Step::RoleMapping => {
            let theme = chosen_theme(context, wizard).ok_or_else(outdated_component)?;
            render::roles(id, wizard, &role_lines(context, &theme, wizard).await?)
        }
        Step::ChannelStructure => {
            let theme = chosen_theme(context, wizard).ok_or_else(outdated_component)?;
            let channels = theme.categories.iter().map(|category| category.channels.len()).sum();
            render::structure(id, wizard, theme.categories.len(), channels)
        }
        Step::Review => {
            let view = review(context, wizard).await;
            let view = view.inspect_err(|_| super::count(context, Step::Review, "failed"))?;
            render::review(id, wizard, &view)
        }
        Step::Deploy => {
            let shown = deployed(context, id).await?;
            return shown.ok_or_else(|| super::ended().into());
        }
    };
    Ok(Reply::Message(message(embed, components)))
}

/// Chains with an endpoint, and those of stored token profiles.
async fn chains(context: &CommandContext<'_>) -> Result<Vec<Choice>, CommandError> {
    let mut ids: Vec<u64> = context.services.chains.iter().map(|chain| chain.chain_id().0).collect();
    ids.extend(offered_tokens(context).await?.iter().map(|profile| profile.chain_id));
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Err(Refusal::new(
            "No chain is configured here, and no token is stored.",
            "Ask the operator to set `CHAIN_RPC_URLS`, or to store a token profile.",
        )
        .into());
    }
    Ok(ids
        .into_iter()
        .map(|id| Choice::new(id.to_string(), render::chain_name(id)))
        .collect())
}

async fn tokens(context: &CommandContext<'_>, chain: u64) -> Result<Vec<Choice>, CommandError> {
    let profiles = offered_tokens(context).await?;
    let here = profiles.iter().filter(|profile| profile.chain_id == chain);
    Ok(here
        .map(|profile| {
            let label = format!("{} · {}", profile.symbol, profile.name);
            Choice::new(profile.id.as_str(), label)
        })
        .collect())
}

fn rule_choices(context: &CommandContext<'_>) -> Vec<Choice> {
    let themes = context.services.themes.allowed(plan_of(context));
    themes
        .flat_map(|theme| {
            theme.rule_sets.keys().map(move |rules| {
                let label = format!("{} · {} tiers · rules {rules}", theme.name, theme.tiers.len());
                Choice::new(format!("{}/{rules}", theme.id), label)
            })
        })
        .collect()
}

/// The tiers with their rules, highest first.
fn tiers(theme: &Theme, wizard: &Wizard) -> Vec<String> {
    let rule_set = wizard
        .rules
        .as_ref()
        .and_then(|(_, rule_set)| rule_set.parse::<RuleSetId>().ok());
    let Some(ladder) = rule_set.and_then(|rule_set| theme.rule_sets.get(&rule_set)) else {
        return Vec::new();
    };
    let rungs = ladder.rungs().iter();
    rungs
        .map(|rung| format!("{}: {}", crate::render::text::tier(theme, &rung.tier), rung.rule))
        .collect()
}

/// The roles that members get by rules, with the server's roles that stand for them.
async fn role_lines(
    context: &CommandContext<'_>,
    theme: &Theme,
    wizard: &Wizard,
) -> Result<Vec<RoleLine>, CommandError> {
    let guild = guild(context)?;
    let calls = context.services.discord.interactive(Some(guild));
    let reading = async move { calls.roles(guild).await };
    let existing = context.without_tx(Box::pin(reading)).await??;
    let by_name: BTreeMap<&str, u64> = existing
        .iter()
        .filter(|role| !role.managed)
        .map(|role| (role.name.as_str(), role.id.get()))
        .collect();
    let automatic = theme.roles.iter().filter(|role| role.given_to.is_automatic());
    Ok(automatic
        .map(|role| {
            let key = role.key.as_str();
            RoleLine {
                key: key.to_owned(),
                name: role.name.clone(),
                chosen: wizard.roles.get(key).copied(),
                found: by_name.get(role.name.as_str()).copied(),
            }
        })
        .collect())
}

/// The plan that the deploy would carry out.
async fn review(context: &CommandContext<'_>, wizard: &Wizard) -> Result<ReviewView, CommandError> {
    let manifest = wizard.manifest().ok_or_else(outdated_component)?;
    let planned = match context.without_tx(Box::pin(plan(context, &manifest))).await? {
        Ok(planned) => planned,
        Err(Failure::Permanent(error)) => {
            return Err(Refusal::new(
                format!("The plan cannot be made: {}", arrakis_causes::causes(error.as_ref())),
                "Correct the reason, then press the button again, or run `/resume`.",
            )
            .into());
        }
        Err(failure) => return Err(failure.into()),
    };
    let granter = RoleGranter::read(context, guild(context)?).await?;
    let theme = context
        .services
        .themes
        .theme(&manifest.theme)
        .map_err(Failure::permanent)?;
    let refusal = granter.check_setup(theme, &manifest.roles).err();
    let left_out = planned.left_out.findings.iter().chain(planned.blocking());
    let mut warnings = lost_tiers(context, &manifest).await?;
    let found = planned.findings.iter().filter(|finding| !finding.blocking);
    warnings.extend(found.map(|finding| finding.what.clone()));
    warnings.extend(planned.duplicate_channels());
    let counts = planned.plan.counts();
    let theme = chosen_theme(context, wizard).ok_or_else(outdated_component)?;
    Ok(ReviewView {
        theme: theme.name.clone(),
        created: counts.add,
        changed: counts.change + counts.reorder,
        adopted: planned.state.resources.len(),
        steps: planned.step_texts(),
        left_out: left_out
            .map(|finding| format!("{}; {}", finding.what, finding.what_to_do))
            .collect(),
        warnings,
        can_deploy: refusal.is_none() && planned.check().is_ok(),
        refusal: refusal.map(|refusal| format!("{} {}", refusal.what, refusal.next)),
    })
}

/// What the deploy takes from members of a community that exists.
async fn lost_tiers(context: &CommandContext<'_>, manifest: &Manifest) -> Result<Vec<String>, CommandError> {
    let Some(community) = context.community else {
        return Ok(Vec::new());
    };
    if community.record.theme.as_str() != manifest.theme {
        return Ok(vec![
            "Another theme takes the roles of the present one from all members; its own tiers follow.".to_owned(),
        ]);
    }
    let rule_set = manifest.rule_set.parse::<RuleSetId>().map_err(Failure::permanent)?;
    let Some(rules) = rule_change::ladder_of(community, &rule_set).filter(|_| rule_set != community.record.rule_set)
    else {
        return Ok(Vec::new());
    };
    let counting = rule_change::preview(context.services, community, rules);
    let counted = context.without_tx(Box::pin(counting)).await??;
    Ok(match counted.lose.len() {
        0 => Vec::new(),
        1 => vec![format!(
            "With the rules {rule_set}, one member gets a lower tier or none. {GRACE}"
        )],
        count => vec![format!(
            "With the rules {rule_set}, {count} members get a lower tier or none. {GRACE}"
        )],
    })
}

async fn plan(context: &CommandContext<'_>, manifest: &Manifest) -> Result<PlannedServer, Failure> {
    let services = context.services;
    let guild = context
        .invocation
        .guild
        .ok_or_else(|| Failure::permanent("no server"))?;
    let state: Option<Value> = match context.community {
        Some(community) => {
            let mut tx = services.database.tenant(community.id()).await?;
            let state = tx.server_state().get().await?;
            tx.commit().await?;
            state
        }
        None => None,
    };
    let theme = services.themes.theme(&manifest.theme).map_err(Failure::permanent)?;
    let client = synthesis::connect(services, guild, None, Urgency::Interactive, Arc::new(NoProgress))?;
    plan_server(&client, guild.get(), manifest, theme, state.as_ref(), "review").await
}

/// Shows the deploy of a session by its job; `None` if there is none. A deploy that has ended ends the session.
pub(in crate::commands) async fn deployed(
    context: &CommandContext<'_>,
    session: Uuid,
) -> Result<Option<Reply>, CommandError> {
    let guild = guild(context)?;
    let found = context
        .without_tx(Box::pin(deploy_of(context, guild, session)))
        .await??;
    let Some((community, job)) = found else {
        return Ok(None);
    };
    let render = community.render_context(context.services)?;
    let steps = usize::try_from(job.progress_done).unwrap_or(usize::MAX);
    let total = job.progress_total.and_then(|total| usize::try_from(total).ok());
    let embed = match (job.state, total) {
        (JobState::Succeeded, _) => job_render::done(&render, Purpose::Deploy, steps, &[]),
        (JobState::Failed, _) => job_render::failed(
            &render,
            Purpose::Deploy,
            job.error.as_deref().unwrap_or("no reason was recorded"),
        ),
        (_, Some(total)) => job_render::progress(&render, Purpose::Deploy, steps, total),
        _ => job_render::waiting(&render, Purpose::Deploy),
    };
    if job.state.is_final() {
        end_deployed(context.services, session).await;
        return Ok(Some(Reply::Message(message(embed, Vec::new()))));
    }
    // The newest token can be used for the longest time.
    ReplyHandle::new(context.services, community.id(), &job.id)
        .remember(&context.invocation.token)
        .await;
    Ok(Some(Reply::Message(message(embed, render::progress_button(session)))))
}

async fn deploy_of(
    context: &CommandContext<'_>,
    guild: twilight_model::id::Id<twilight_model::id::marker::GuildMarker>,
    session: Uuid,
) -> Result<Option<(Community, JobRow)>, Failure> {
    let Some(community) = Community::of_guild(context.services, guild).await? else {
        return Ok(None);
    };
    let mut tx = context.services.database.tenant(community.id()).await?;
    let mut found = tx.jobs().get(&deploy_id(session)).await?;
    // A failed deploy that an operator replayed is continued by its copy.
    while let Some(failed) = found.as_ref().filter(|job| job.state == JobState::Failed) {
        let Some(copy) = tx.jobs().get(&copy_id(&failed.id)).await? else {
            break;
        };
        found = Some(copy);
    }
    tx.commit().await?;
    Ok(found.map(|job| (community, job)))
}
