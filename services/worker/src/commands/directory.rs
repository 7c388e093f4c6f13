//! `/directory`: the members by tier or badge, page by page, without those who hide from it.
//!
//! The custom ids of the buttons contain filter and page, so that any worker can handle a click, also after a restart. The setting
//! `hidden` of a profile is changed by the member alone, here. It commits with the claim of the press: an earlier press that is
//! delivered again does not undo a later one.

use arrakis_cache::{CacheKey, Ttl};
use arrakis_db::{DirectoryFilter, DirectoryPage, TenantTx, UserId};
use arrakis_domain::Theme;
use twilight_model::application::command::CommandOptionChoice;
use twilight_util::builder::command::{IntegerBuilder, StringBuilder};

use super::{Command, CommandContext, Definition, outdated_component, suggestions};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::options::Options;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::directory::{self, DirectoryView, HIDE, NAME, PAGE, SHOW, filter_name, read_filter};
use crate::render::leaderboard::{PAGE_SIZE, nearest, offset};
use crate::services::Services;

/// Time to live of a cached page.
const PAGE_TTL: Ttl = Ttl::seconds(10);
/// Longest text of the options: the name of a tier or badge.
const MAX_LENGTH: u16 = 100;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory;

impl Command for Directory {
    fn definition(&self) -> Definition {
        let tier = StringBuilder::new("tier", "Only members with this tier")
            .autocomplete(true)
            .max_length(MAX_LENGTH);
        let badge = StringBuilder::new("badge", "Only members who hold this badge")
            .autocomplete(true)
            .max_length(MAX_LENGTH);
        Definition::new(NAME, "Who is here, by tier or badge; hide from it or be listed again")
            .option(tier)
            .option(badge)
            .option(IntegerBuilder::new("page", "The page to start with").min_value(1))
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        let filter = named_filter(&context.community()?.theme, options)?;
        let page = u32::try_from(options.integer("page").unwrap_or(1)).unwrap_or(u32::MAX);
        show(context, &filter, page).await
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let (what, filter, page) = match arguments {
            [PAGE, filter, page, _] => (PAGE, *filter, *page),
            [what @ (HIDE | SHOW), filter, page] => (*what, *filter, *page),
            _ => return Err(outdated_component().into()),
        };
        let filter = read_filter(&context.community()?.theme, filter).ok_or_else(outdated_component)?;
        let page: u32 = page.parse().map_err(|_| outdated_component())?;
        if what != PAGE {
            set_hidden(context, what == HIDE).await?;
        }
        show(context, &filter, page).await
    }

    async fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        let Some(theme) = context.community.map(|community| &community.theme) else {
            return Ok(Vec::new());
        };
        Ok(match option {
            "tier" => {
                let tiers = theme.tiers.iter();
                suggestions::matching(
                    tiers.map(|tier| (tier.id.as_str(), named(&tier.emoji, &tier.name))),
                    typed,
                )
            }
            "badge" => {
                let badges = theme.badges.iter();
                let badges = badges.map(|badge| (badge.id.as_str(), named(&badge.emoji, &badge.name)));
                suggestions::matching(badges, typed)
            }
            _ => Vec::new(),
        })
    }
}

fn named(emoji: &str, name: &str) -> String {
    format!("{emoji} {name}")
}

/// The filter of the options: id or name of a tier, or of a badge.
fn named_filter(theme: &Theme, options: &Options) -> Result<DirectoryFilter, Refusal> {
    let is = |typed: &str, id: &str, name: &str| {
        let typed = typed.trim().to_lowercase();
        id == typed || name.to_lowercase() == typed
    };
    match (options.string("tier"), options.string("badge")) {
        (None, None) => Ok(DirectoryFilter::All),
        (Some(_), Some(_)) => Err(Refusal::new(
            "The directory is by tier or by badge, not by both.",
            "Leave one of the two options out.",
        )),
        (Some(typed), None) => {
            let tier = theme.tiers.iter().find(|tier| is(typed, tier.id.as_str(), &tier.name));
            let names = theme.tiers.iter().map(|tier| tier.name.as_str());
            tier.map(|tier| DirectoryFilter::Tier(tier.id.clone()))
                .ok_or_else(|| refusal(directory::unknown("tier", typed, names)))
        }
        (None, Some(typed)) => {
            let badge = theme
                .badges
                .iter()
                .find(|badge| is(typed, badge.id.as_str(), &badge.name));
            let names = theme.badges.iter().map(|badge| badge.name.as_str());
            badge
                .map(|badge| DirectoryFilter::Badge(badge.id.clone()))
                .ok_or_else(|| refusal(directory::unknown("badge", typed, names)))
        }
    }
}

fn refusal((what, next): (String, String)) -> Refusal {
    Refusal::new(what, next)
}

/// Shows a page, or the last page if there are fewer.
async fn show(context: &CommandContext<'_>, filter: &DirectoryFilter, number: u32) -> CommandResult {
    let community = context.community()?;
    let author = user_id(context.invocation.author.id)?;
    let (number, page, own_hidden) = {
        let mut tx = context.tx().await?;
        let (number, page) = read_page(context.services, &mut tx, community, filter, number).await?;
        let own_hidden = tx.profiles().is_hidden(author).await?;
        (number, page, own_hidden)
    };
    let view = DirectoryView {
        filter,
        page: &page,
        number,
        author,
        own_hidden,
    };
    let (embed, buttons) = directory::page(&context.render_context()?, &view);
    Ok(Reply::Message(message(embed, buttons)))
}

async fn read_page(
    services: &Services,
    tx: &mut TenantTx,
    community: &Community,
    filter: &DirectoryFilter,
    number: u32,
) -> Result<(u32, DirectoryPage), Failure> {
    let mut number = number;
    let mut page = read_cached(services, tx, community, filter, number).await?;
    let last = nearest(number, page.total);
    if last != number {
        number = last;
        page = read_cached(services, tx, community, filter, number).await?;
    }
    // A member who hides must not be shown by a page that was read before.
    let users: Vec<UserId> = page.entries.iter().map(|entry| entry.user).collect();
    let listed = tx.profiles().still_listed(&users).await?;
    page.entries.retain(|entry| listed.contains(&entry.user));
    Ok((number, page))
}

/// Reads a page through the cache: Postgres reads every listed member for a page.
async fn read_cached(
    services: &Services,
    tx: &mut TenantTx,
    community: &Community,
    filter: &DirectoryFilter,
    number: u32,
) -> Result<DirectoryPage, Failure> {
    let key = CacheKey::new("directory", &[&community.id(), &filter_name(filter), &number]);
    let token = &community.record.token_profile;
    let read = async || {
        let mut profiles = tx.profiles();
        profiles.directory(token, filter, offset(number), PAGE_SIZE).await
    };
    Ok(services.cache.get_or_load(&key, PAGE_TTL, read).await?)
}

/// Stores the setting, once for each press.
async fn set_hidden(context: &CommandContext<'_>, hidden: bool) -> Result<(), CommandError> {
    let author = user_id(context.invocation.author.id)?;
    let mut tx = context.tx().await?;
    if tx.claim(&format!("{NAME}:{}", context.invocation.id)).await? {
        tx.profiles().set_hidden(author, hidden).await?;
    }
    Ok(())
}
