//! `/stats`: the community in numbers.

use arrakis_domain::Zones;
use async_trait::async_trait;

use super::{Command, CommandContext, Definition};
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::render::stats;

/// The command.
pub(super) struct Stats;

#[async_trait]
impl Command for Stats {
    fn definition(&self) -> Definition {
        Definition::new("stats", "The community in numbers: members, tiers, what entry takes").public()
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let community = context.community()?;
        let token = &community.record.token_profile;
        let mut tx = context.tx().await?;
        let numbers = tx.profiles().counts().await?;
        let wallets = tx.eligibility().holder_count(token).await?;
        let entry = tx.eligibility().entry_threshold(token, Zones::STANDARD).await?;
        let shown = stats::Stats {
            community: &community.record.name,
            members: numbers.members,
            verified: numbers.verified,
            by_tier: &numbers.by_tier,
            wallets,
            entry,
        };
        Ok(Reply::Message(message(
            stats::embed(&context.scene()?, &shown),
            Vec::new(),
        )))
    }
}
