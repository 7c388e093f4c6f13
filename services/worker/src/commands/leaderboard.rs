//! `/leaderboard`: pages of the ranking.
//!
//! The state of a page is in the custom ids of its buttons, so that any worker turns it, after any restart. Who asked turns
//! the message itself; anybody else who presses gets a copy of their own, so that nobody turns another's page.

use arrakis_cache::{CacheKey, Ttl};
use arrakis_db::{LeaderboardPage, TenantTx, UserId};
use arrakis_domain::{Ladder, Standing, TierId};
use async_trait::async_trait;
use twilight_util::builder::command::IntegerBuilder;

use super::{Command, CommandContext, Definition, outdated_component};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::leaderboard::{self, Line, PAGE_SIZE, Page, Turn};
use crate::services::Services;

/// How old a page may be: less than anybody expects a ranking to follow within.
const PAGE_TTL: Ttl = Ttl::seconds(10);

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaderboard;

#[async_trait]
impl Command for Leaderboard {
    fn definition(&self) -> Definition {
        Definition::new(leaderboard::NAME, "Who leads, page by page, and where you are")
            .option(IntegerBuilder::new("page", "The page to start with").min_value(1))
            .public()
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let asked = match &context.invocation.data {
            InvocationData::Command { options, .. } => options.integer("page"),
            _ => None,
        };
        let number = u32::try_from(asked.unwrap_or(1)).unwrap_or(u32::MAX);
        answer(context, Turn::To(number)).await.map(Reply::Message)
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let turn = Turn::read(arguments).ok_or_else(outdated_component)?;
        let turned = answer(context, turn).await?;
        match &context.invocation.data {
            InvocationData::Component {
                command_user: Some(owner),
                ..
            } if *owner != context.invocation.author.id => Ok(Reply::Private(turned)),
            _ => Ok(Reply::Message(turned)),
        }
    }
}

async fn answer(
    context: &CommandContext<'_>,
    turn: Turn,
) -> Result<twilight_model::http::interaction::InteractionResponseData, CommandError> {
    let community = context.community()?;
    let token = &community.record.token_profile;
    let me = user_id(context.invocation.author.id)?;
    let mut tx = context.tx().await?;
    let number = match turn {
        Turn::To(number) => number,
        Turn::ToMe => {
            let position = tx.profiles().position(token, me).await?;
            leaderboard::page_of(position.ok_or_else(|| not_ranked(community))?)
        }
    };
    let (number, read) = read(context.services, &mut tx, community, number).await?;
    let scene = context.scene()?;
    let tiers = tiers(&read, scene.ladder);
    let page = Page {
        lines: lines(&read, &tiers, me),
        number,
        total: read.total,
    };
    let buttons = leaderboard::buttons(&page);
    Ok(message(leaderboard::embed(&scene, &page), buttons))
}

/// The page, or the last one when members have left since it was offered.
async fn read(
    services: &Services,
    tx: &mut TenantTx,
    community: &Community,
    number: u32,
) -> Result<(u32, LeaderboardPage), Failure> {
    let page = cached(services, tx, community, number).await?;
    let nearest = leaderboard::nearest(number, page.total);
    if nearest == number {
        return Ok((number, page));
    }
    let page = cached(services, tx, community, nearest).await?;
    Ok((nearest, page))
}

/// A page costs a look at every ranked member, and everybody asks for the same first ones.
async fn cached(
    services: &Services,
    tx: &mut TenantTx,
    community: &Community,
    number: u32,
) -> Result<LeaderboardPage, Failure> {
    let key = CacheKey::new("leaderboard", &[&community.id(), &number]);
    let token = &community.record.token_profile;
    let read = async || {
        let mut profiles = tx.profiles();
        profiles
            .leaderboard(token, leaderboard::offset(number), PAGE_SIZE)
            .await
    };
    Ok(services.cache.get_or_load(&key, PAGE_TTL, read).await?)
}

/// Tiers by the ranking that is shown, not by the last evaluation: a line must not contradict itself between two syncs.
fn tiers(page: &LeaderboardPage, ladder: &Ladder) -> Vec<Option<TierId>> {
    let tier = |rank, held| ladder.tier_of(Standing::new(Some(rank), held)).cloned();
    page.entries.iter().map(|entry| tier(entry.rank, entry.held)).collect()
}

fn lines<'a>(page: &'a LeaderboardPage, tiers: &'a [Option<TierId>], me: UserId) -> Vec<Line<'a>> {
    let entries = page.entries.iter().zip(tiers);
    entries
        .map(|(entry, tier)| Line {
            position: entry.position,
            name: &entry.display_name,
            rank: entry.rank,
            held: entry.held,
            tier: tier.as_ref(),
            mine: entry.user == me,
        })
        .collect()
}

fn not_ranked(community: &Community) -> Refusal {
    let title = &community.theme.words.leaderboard;
    Refusal::new(
        format!("You are not in \"{title}\": no wallet of yours is in the ranking."),
        "`/position` says what is missing.",
    )
}
