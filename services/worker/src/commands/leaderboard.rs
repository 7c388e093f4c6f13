//! `/leaderboard`: pages of the ranking.
//!
//! The custom ids of the buttons contain the page, so that any worker can handle a click, also after a restart. A click by the member
//! who ran the command edits the message; a click by another member is replied to with an ephemeral copy.

use arrakis_cache::{CacheKey, Ttl};
use arrakis_db::{LeaderboardPage, TenantTx, UserId};
use arrakis_domain::{Ladder, Standing, TierId};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_util::builder::command::IntegerBuilder;

use super::{Command, CommandContext, Definition, outdated_component};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::leaderboard::{self, PAGE_SIZE, Page, PageTarget, Row};
use crate::services::Services;

/// Time to live of a cached page.
const PAGE_TTL: Ttl = Ttl::seconds(10);

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaderboard;

impl Command for Leaderboard {
    fn definition(&self) -> Definition {
        Definition::new(leaderboard::NAME, "Who leads, page by page, and where you are")
            .option(IntegerBuilder::new("page", "The page to start with").min_value(1))
            .public()
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let page = match &context.invocation.data {
            InvocationData::Command { options, .. } => options.integer("page"),
            _ => None,
        };
        let number = u32::try_from(page.unwrap_or(1)).unwrap_or(u32::MAX);
        render_page(context, PageTarget::Number(number))
            .await
            .map(Reply::Message)
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let target = PageTarget::parse(arguments).ok_or_else(outdated_component)?;
        let page = render_page(context, target).await?;
        match &context.invocation.data {
            InvocationData::Component {
                command_user: Some(owner),
                ..
            } if *owner != context.invocation.author.id => Ok(Reply::Private(page)),
            _ => Ok(Reply::Message(page)),
        }
    }
}

async fn render_page(
    context: &CommandContext<'_>,
    target: PageTarget,
) -> Result<InteractionResponseData, CommandError> {
    let community = context.community()?;
    let token = &community.record.token_profile;
    let author = user_id(context.invocation.author.id)?;
    let mut tx = context.tx().await?;
    let number = match target {
        PageTarget::Number(number) => number,
        PageTarget::OwnPosition => {
            let position = tx.profiles().position(token, author).await?;
            leaderboard::page_of(position.ok_or_else(|| not_ranked(community))?)
        }
    };
    let (number, entries) = read_page(context.services, &mut tx, community, number).await?;
    let render = context.render_context()?;
    let tiers = tiers(&entries, render.ladder);
    let page = Page {
        rows: rows(&entries, &tiers, author),
        number,
        total: entries.total,
    };
    let buttons = leaderboard::buttons(&page);
    Ok(message(leaderboard::embed(&render, &page), buttons))
}

/// Reads a page, or the last page if there are fewer.
async fn read_page(
    services: &Services,
    tx: &mut TenantTx,
    community: &Community,
    number: u32,
) -> Result<(u32, LeaderboardPage), Failure> {
    let page = read_cached(services, tx, community, number).await?;
    let nearest = leaderboard::nearest(number, page.total);
    if nearest == number {
        return Ok((number, page));
    }
    let page = read_cached(services, tx, community, nearest).await?;
    Ok((nearest, page))
}

/// Reads a page through the cache: Postgres reads every ranked member for a page, and most requests are for the first pages.
async fn read_cached(
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

/// The tier of each row, from the rank and holding that it shows. The stored tier may be older, and would contradict them.
fn tiers(page: &LeaderboardPage, ladder: &Ladder) -> Vec<Option<TierId>> {
    let tier = |rank, held| ladder.tier_of(Standing::new(Some(rank), held)).cloned();
    page.entries.iter().map(|entry| tier(entry.rank, entry.held)).collect()
}

fn rows<'a>(page: &'a LeaderboardPage, tiers: &'a [Option<TierId>], author: UserId) -> Vec<Row<'a>> {
    let entries = page.entries.iter().zip(tiers);
    entries
        .map(|(entry, tier)| Row {
            position: entry.position,
            name: &entry.display_name,
            rank: entry.rank,
            held: entry.held,
            tier: tier.as_ref(),
            own: entry.user == author,
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
