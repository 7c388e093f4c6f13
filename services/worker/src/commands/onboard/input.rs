//! Checks what an admin chose or typed, and stores it in the wizard. Symbol and decimals of a contract are read from its chain.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrakis_db::{ProfileStandard, TokenProfile};
use arrakis_domain::{Address, Plan, Theme};

use super::guild;
use crate::commands::role_grant::RoleGranter;
use crate::commands::{CommandContext, outdated_component};
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;
use crate::render::onboard::{Action, CONTRACT, STANDARD, START_BLOCK};
use crate::synthesis::Structure;
use crate::wizard::{Asset, Wizard};

/// Most decimals of a token that holdings can be scaled from.
const MAX_DECIMALS: u8 = 36;

/// Stores a choice of a menu or a button.
///
/// # Errors
/// The refusal of a choice that is not possible.
pub(super) async fn choose(
    context: &CommandContext<'_>,
    wizard: &mut Wizard,
    action: Action,
    argument: Option<&str>,
    values: &[String],
) -> Result<(), CommandError> {
    let value = values.first().map(String::as_str);
    match (action, value, argument) {
        (Action::Chain, Some(chain), _) => {
            // PostgreSQL stores it as a `bigint`.
            let chain = chain.parse::<u64>().ok().filter(|id| i64::try_from(*id).is_ok());
            wizard.choose_chain(chain.ok_or_else(outdated_component)?);
            wizard.advance();
        }
        (Action::Token, Some(profile), _) => wizard.asset = Some(stored_token(context, wizard, profile).await?),
        (Action::Rules, Some(rules), _) => {
            let (theme, rule_set) = rules.split_once('/').ok_or_else(outdated_component)?;
            check_rules(context, theme, rule_set)?;
            wizard.choose_rules(theme, rule_set);
        }
        (Action::Pick, Some(key), _) => {
            check_key(context, wizard, key)?;
            wizard.picked = Some(key.to_owned());
        }
        (Action::Role, Some(role), Some(key)) => {
            let role = role.parse().map_err(|_| outdated_component())?;
            check_role(context, wizard, key, role).await?;
            wizard.roles.insert(key.to_owned(), role);
            wizard.picked = None;
        }
        (Action::Clear, _, _) => {
            wizard.roles.clear();
            wizard.picked = None;
        }
        (Action::Structure, _, Some(structure)) => {
            wizard.structure = Some(match structure {
                "whole" => Structure::Whole,
                "roles-only" => Structure::RolesOnly,
                _ => return Err(outdated_component().into()),
            });
            wizard.advance();
        }
        _ => return Err(outdated_component().into()),
    }
    Ok(())
}

/// A stored token profile as the token.
async fn stored_token(context: &CommandContext<'_>, wizard: &Wizard, id: &str) -> Result<Asset, CommandError> {
    let profiles = offered_tokens(context).await?;
    let found = profiles.into_iter().find(|profile| profile.id.as_str() == id);
    let found = found.filter(|profile| wizard.chain_id == Some(profile.chain_id));
    found.as_ref().map(asset).ok_or_else(|| outdated_component().into())
}

fn asset(profile: &TokenProfile) -> Asset {
    Asset {
        profile: Some(profile.id.clone()),
        contract: profile.contract,
        standard: profile.standard,
        name: profile.name.clone(),
        symbol: profile.symbol.clone(),
        decimals: profile.decimals,
        start_block: profile.start_block,
    }
}

/// Whether a wizard has stored the profile, with the first block that an admin typed.
fn is_of_wizard(profile: &TokenProfile) -> bool {
    let id = asset(profile).wizard_profile_id(profile.chain_id);
    id.is_ok_and(|id| id == profile.id)
}

/// The stored token profiles that this community may choose from: those of the operator, and its own.
pub(super) async fn offered_tokens(context: &CommandContext<'_>) -> Result<Vec<TokenProfile>, CommandError> {
    let own = context.community.map(|community| &community.record.token_profile);
    let mut profiles = token_profiles(context).await?;
    profiles.retain(|profile| own == Some(&profile.id) || !is_of_wizard(profile));
    Ok(profiles)
}

/// All stored token profiles.
async fn token_profiles(context: &CommandContext<'_>) -> Result<Vec<TokenProfile>, CommandError> {
    let reading = async {
        let mut tx = context.services.database.global().await?;
        let profiles = tx.eligibility().token_profiles().await?;
        tx.commit().await?;
        Ok::<_, arrakis_db::DbError>(profiles)
    };
    Ok(context.without_tx(Box::pin(reading)).await??)
}

/// The token of the contract in the modal, as its chain describes it.
///
/// # Errors
/// The refusal of an address without a token of this standard.
pub(super) async fn read_contract(
    context: &CommandContext<'_>,
    wizard: &Wizard,
    fields: &BTreeMap<String, String>,
) -> Result<Asset, CommandError> {
    let typed = |name: &str| fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let contract: Address = typed(CONTRACT)
        .unwrap_or_default()
        .to_lowercase()
        .parse()
        .map_err(|_| {
            Refusal::new(
                "That is no address of a contract.",
                "Copy it from a block explorer: `0x` and 40 characters from 0-9 and a-f.",
            )
        })?;
    let standard: ProfileStandard = typed(STANDARD)
        .unwrap_or("erc20")
        .to_lowercase()
        .parse::<ProfileStandard>()
        .ok()
        .filter(|standard| *standard != ProfileStandard::Bgt)
        .ok_or_else(|| Refusal::new("That is no standard of a token.", "Type erc20, erc721 or erc1155."))?;
    // PostgreSQL stores it as a `bigint`.
    let start_block = typed(START_BLOCK).unwrap_or("0").parse::<u64>().ok();
    let start_block = start_block
        .filter(|block| i64::try_from(*block).is_ok())
        .ok_or_else(|| {
            Refusal::new(
                "The first block is no number of a block.",
                "Type 0 if you do not know it; the first sync then takes longer.",
            )
        })?;
    let chain_id = wizard.chain_id.ok_or_else(outdated_component)?;
    let existing = token_profiles(context).await?.into_iter().find(|profile| {
        (profile.chain_id, profile.contract, profile.standard) == (chain_id, contract, standard)
            && profile.token_ids.is_empty()
            && (profile.start_block == start_block || !is_of_wizard(profile))
    });
    if let Some(existing) = &existing {
        return Ok(asset(existing));
    }
    read_metadata(context, chain_id, contract, standard, start_block).await
}

async fn read_metadata(
    context: &CommandContext<'_>,
    chain_id: u64,
    contract: Address,
    standard: ProfileStandard,
    start_block: u64,
) -> Result<Asset, CommandError> {
    let Some(chain) = context.services.chains.get(chain_id) else {
        return Err(Refusal::new(
            format!("I cannot read the chain {chain_id}."),
            "Choose a token of the menu, or ask the operator to configure an endpoint of the chain.",
        )
        .into());
    };
    let found = context.without_tx(Box::pin(chain.metadata(contract))).await?;
    let found = found.map_err(|error| {
        tracing::info!(%error, chain_id, "the metadata of a contract cannot be read");
        Refusal::new(
            "I could not read a token at that address.",
            "Check that the address is of this chain, and try again; the chain may also be slow for a moment.",
        )
    })?;
    let decimals = if standard.has_ids() { Some(0) } else { found.decimals };
    let (Some(symbol), Some(decimals)) = (found.symbol, decimals.filter(|decimals| *decimals <= MAX_DECIMALS)) else {
        return Err(Refusal::new(
            "That contract states no symbol or no usable decimals.",
            "Check the address and the standard; an operator can add unusual tokens by hand.",
        )
        .into());
    };
    Ok(Asset {
        profile: None,
        contract,
        standard,
        name: found.name.unwrap_or_else(|| symbol.clone()),
        symbol,
        decimals,
        start_block,
    })
}

/// The plan of the community: free for a server that has none yet.
pub(super) fn plan_of(context: &CommandContext<'_>) -> Plan {
    context.community.map_or(Plan::Free, |community| community.record.plan)
}

/// The theme that the admin chose.
pub(super) fn chosen_theme(context: &CommandContext<'_>, wizard: &Wizard) -> Option<Arc<Theme>> {
    let (theme, _) = wizard.rules.as_ref()?;
    context.services.themes.theme(theme).ok().cloned()
}

fn check_rules(context: &CommandContext<'_>, theme: &str, rule_set: &str) -> Result<(), Refusal> {
    let mut allowed = context.services.themes.allowed(plan_of(context));
    let theme = allowed.find(|allowed| allowed.id.as_str() == theme);
    let has_rules = theme.is_some_and(|theme| theme.rule_sets.keys().any(|id| id.as_str() == rule_set));
    if has_rules {
        return Ok(());
    }
    Err(Refusal::new(
        "That theme is not part of your plan.",
        "Choose one of the menu, or ask the operator for the premium plan.",
    ))
}

/// Refuses a key that is none of the theme's roles that members get by rules.
fn check_key(context: &CommandContext<'_>, wizard: &Wizard, key: &str) -> Result<(), Refusal> {
    let theme = chosen_theme(context, wizard).ok_or_else(outdated_component)?;
    let mut automatic = theme.roles.iter().filter(|role| role.given_to.is_automatic());
    if automatic.any(|role| role.key.as_str() == key) {
        return Ok(());
    }
    Err(outdated_component())
}

/// Refuses a role of the server that cannot stand for a role of the theme, or that the admin may not grant.
async fn check_role(context: &CommandContext<'_>, wizard: &Wizard, key: &str, role: u64) -> Result<(), CommandError> {
    // The second run of a press finds its own choice.
    if wizard.picked.as_deref() != Some(key) && wizard.roles.get(key) != Some(&role) {
        return Err(outdated_component().into());
    }
    let again = "Choose another role, or leave it out: it is created then.";
    let refuse = |what: &str| Err(CommandError::from(Refusal::new(what, again)));
    if wizard.roles.iter().any(|(other, id)| *id == role && other != key) {
        return refuse("That role stands for another one of the theme already.");
    }
    let guild = guild(context)?;
    let granter = RoleGranter::read(context, guild).await?;
    match granter.role(role) {
        None => refuse("That role is not there any more."),
        Some(_) if role == guild.get() => refuse("Every member has the role @everyone."),
        Some(found) if found.managed => refuse("That role belongs to an integration, and no member can be given it."),
        Some(found) => Ok(granter.check(found)?),
    }
}
