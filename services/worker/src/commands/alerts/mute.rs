//! The buttons of a message that switch alerts off, and on again. They are pressed in direct messages, where an interaction has no server:
//! the custom id names the community, and the member changes nothing but the own row.

use std::collections::BTreeSet;

use arrakis_db::CommunityId;
use arrakis_domain::{AlertKind, AlertSettings};
use twilight_model::http::interaction::InteractionResponseData;

use super::{CommandContext, author, kinds_of, outdated_component, settings_of};
use crate::community::Community;
use crate::failure::Failure;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::alert::{self, ALL};
use crate::render::{Freshness, RenderContext};

/// Switches one kind off, or all of them.
pub(super) async fn mute(context: &CommandContext<'_>, community: &str, what: &str) -> CommandResult {
    let off: BTreeSet<AlertKind> = match what {
        ALL => AlertKind::ALL.into_iter().collect(),
        kind => kinds_of(std::iter::once(kind))?,
    };
    let change = |settings: &mut AlertSettings| {
        let before = settings.kinds.clone();
        settings.kinds.retain(|kind| !off.contains(kind));
        before.difference(&settings.kinds).copied().collect::<BTreeSet<_>>()
    };
    let (community, settings, switched_off) = store(context, community, change).await?;
    let shown = render_context(context, &community)?;
    let named = (community.id(), community.record.name.as_str());
    let (embed, buttons) = alert::muted(&shown, named, &switched_off, &settings.kinds);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Switches kinds on again.
pub(super) async fn undo(context: &CommandContext<'_>, community: &str, kinds: &str) -> CommandResult {
    let on = kinds_of(kinds.split('-'))?;
    let (community, settings, ()) = store(context, community, |settings| settings.kinds.extend(on)).await?;
    let shown = render_context(context, &community)?;
    let embed = alert::restored(&shown, &community.record.name, &settings.kinds);
    let reply: InteractionResponseData = message(embed, Vec::new());
    Ok(Reply::Message(reply))
}

/// Changes the settings of the member who pressed the button, in this community; returns what `change` returned.
async fn store<T: Send>(
    context: &CommandContext<'_>,
    community: &str,
    change: impl FnOnce(&mut AlertSettings) -> T + Send,
) -> Result<(Community, AlertSettings, T), CommandError> {
    let id: CommunityId = community.parse().map_err(|_| outdated_component())?;
    let user = author(context)?;
    let work = async {
        let Some(community) = Community::load(context.services, id).await? else {
            return Err(CommandError::from(gone()));
        };
        let mut tx = context.services.database.tenant(id).await?;
        let found = tx.alerts().lock_subscription(user).await?;
        if found.is_none() {
            return Err(gone().into());
        }
        let mut settings = settings_of(found);
        let changed = change(&mut settings);
        tx.alerts().subscribe(user, &settings).await?;
        tx.commit().await?;
        Ok((community, settings, changed))
    };
    context.without_tx(Box::pin(work)).await?
}

fn gone() -> Refusal {
    Refusal::new(
        "These alerts do not exist any more.",
        "Run `/alerts` in a server to see what you receive from there.",
    )
}

fn render_context<'a>(context: &CommandContext<'_>, community: &'a Community) -> Result<RenderContext<'a>, Failure> {
    let token = &community.record.token;
    Ok(RenderContext {
        theme: &community.theme,
        ladder: community.ladder()?,
        symbol: &token.symbol,
        freshness: Freshness::new(
            token.last_success_at,
            context.services.now(),
            context.services.stale_after,
        ),
    })
}
