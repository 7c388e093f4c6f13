//! `/help`: the commands that the member can use, from their definitions. It replies also while Postgres is unavailable.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;
use twilight_model::guild::Permissions;

use super::{Command, CommandContext, CommandScope, Definition, ResponseMode};
use crate::community::user_id;
use crate::interaction::reply::{CommandError, CommandResult, Reply, ephemeral, message};
use crate::render::help::{HelpEntry, WalletState, embed};
use crate::render::{onboard, text};

/// How long the reply waits for the member's wallet, which is usually in the cache.
const WALLET_LIMIT: Duration = Duration::from_millis(300);

/// The command.
pub(super) struct Help;

impl Command for Help {
    fn definition(&self) -> Definition {
        Definition::new("help", "What I can do here")
            .scope(CommandScope::Anywhere)
            .response(ResponseMode::Immediate)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let permissions = context.invocation.author.permissions;
        let is_permitted = |needed: Option<Permissions>| {
            needed.is_none_or(|needed| permissions.contains(needed) || permissions.contains(Permissions::ADMINISTRATOR))
        };
        let gates = gates(context)?;
        let entries: Vec<_> = context
            .commands
            .definitions()
            .map(|definition| HelpEntry {
                name: definition.name,
                description: definition.description,
                usable: is_permitted(definition.permissions)
                    && (definition.scope == CommandScope::Anywhere || context.community.is_some()),
                from: gates.get(definition.name).map(String::as_str),
            })
            .collect();
        let can_set_up = entries.iter().any(|entry| entry.name == onboard::NAME && entry.usable);
        let theme = context.community.map(|community| &*community.theme);
        let wallet = wallet_state(context).await;
        Ok(Reply::Message(ephemeral(message(
            embed(theme, &entries, wallet, can_set_up),
            Vec::new(),
        ))))
    }
}

/// The tiers from which commands are open in the community, as shown, by the commands' names.
fn gates(context: &CommandContext<'_>) -> Result<BTreeMap<&'static str, String>, CommandError> {
    let Some(community) = context.community else {
        return Ok(BTreeMap::new());
    };
    let ladder = community.ladder()?;
    let parts = context.commands.definitions().flat_map(Definition::gated_parts);
    let gated = parts.filter_map(|part| {
        let tier = community.record.gates.tier_of(part.key, ladder)?;
        Some((part.key, text::tier(&community.theme, tier)))
    });
    Ok(gated.collect())
}

/// State of the member's verification; unknown if it cannot be read in time.
async fn wallet_state(context: &CommandContext<'_>) -> WalletState {
    let Some(community) = context.community else {
        return WalletState::Unknown;
    };
    let read = async {
        let user = user_id(context.invocation.author.id)?;
        let mut tx = context.tx().await?;
        let profile = context.services.profile(&mut tx, community.id(), user).await?;
        Ok::<_, CommandError>(profile.and_then(|profile| profile.wallet))
    };
    match timeout(WALLET_LIMIT, read).await {
        Ok(Ok(Some(wallet))) => WalletState::Verified(wallet),
        Ok(Ok(None)) => WalletState::NotVerified,
        Ok(Err(_)) => WalletState::Unknown,
        Err(_) => {
            context.discard_tx().await;
            WalletState::Unknown
        }
    }
}
