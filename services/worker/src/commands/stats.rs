//! `/stats`: counts of members, tiers and wallets of the community.

use arrakis_domain::Zones;

use super::{Command, CommandContext, Definition};
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::render::stats::{self, StatsView};

/// The command.
pub(super) struct Stats;

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
        let view = StatsView {
            community: &community.record.name,
            members: numbers.members,
            verified: numbers.verified,
            by_tier: &numbers.by_tier,
            wallets,
            entry,
        };
        let embed = stats::embed(&context.render_context()?, &view);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}
