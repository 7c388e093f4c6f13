//! `/verify start`, and the button of a welcome: begins a session and replies with the link to the wallet page.
//!
//! A second run of the same interaction begins another session in place of the first, whose link was not shown or is replaced in the
//! reply: the member always sees the link that works.

use arrakis_config::Secret;
use arrakis_verification::{Interaction, NewSession, Started};
use time::OffsetDateTime;
use twilight_util::snowflake::Snowflake as _;

use super::{CommandContext, failed, verification};
use crate::consent;
use crate::failure::Failure;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::text;
use crate::render::verify::{StartView, start};

/// Replies with the link of a new session of the member, or refuses after too many sessions.
pub(super) async fn run(context: &CommandContext<'_>) -> CommandResult {
    let verification = verification(context.services)?;
    let community = context.community()?;
    let new = NewSession {
        account: consent::account(context.invocation.author.id),
        account_name: context.invocation.author.name.clone(),
        community: Some(community.id()),
        interaction: Some(Interaction {
            token: Secret::new(context.invocation.token.clone()),
            created_at: created_at(context)?,
        }),
        chain_id: chain_id(context).await?,
    };
    let now = context.services.now();
    let started = context.without_tx(Box::pin(verification.start(&new, now))).await?;
    match started.map_err(failed)? {
        Started::Session {
            link,
            expires_at,
            replaced,
            ..
        } => {
            let view = StartView {
                link: link.expose(),
                expires_at,
                replaced,
            };
            let (embed, buttons) = start(&context.render_context()?, &view);
            Ok(Reply::Message(message(embed, buttons)))
        }
        Started::TooMany { next_at } => Err(Refusal::new(
            "You have begun several verifications in the last minutes. The newest link still works.",
            format!("You can begin another one {}.", text::ago(next_at)),
        )
        .into()),
    }
}

/// When Discord created the interaction, by Discord's clock.
fn created_at(context: &CommandContext<'_>) -> Result<OffsetDateTime, CommandError> {
    let nanoseconds = i128::from(context.invocation.id.timestamp()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .map_err(|error| Failure::permanent(format!("time of the interaction: {error}")).into())
}

/// The chain on which contract wallets are checked: the one of the community's token.
async fn chain_id(context: &CommandContext<'_>) -> Result<u64, CommandError> {
    let token = &context.community()?.record.token_profile;
    let profile = context.tx().await?.eligibility().token_profile(token).await?;
    let missing = || Failure::permanent(format!("the token profile {token} does not exist"));
    Ok(profile.ok_or_else(missing)?.chain_id)
}
