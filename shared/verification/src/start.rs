//! Beginning a session.

use arrakis_config::Secret;
use arrakis_db::{CommunityId, NewVerificationSession, SessionStart};
use arrakis_wallet::Account;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::record::SessionTx;
use crate::suspension::refuse_suspended;
use crate::token::{SessionToken, random_nonce};
use crate::{Refusal, Verification, VerificationError, account};

/// How long a session lasts at most.
pub const SESSION_LIFETIME: Duration = Duration::minutes(15);

/// How long before the interaction's token a session ends, so that the answer of a member who signs in the last second can
/// still be edited. The token is valid for 15 minutes.
const EDIT_MARGIN: Duration = Duration::minutes(1);

/// The Discord interaction whose reply shows the result.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// The interaction's token, with which the reply is edited; valid for 15 minutes.
    pub token: Secret,
    /// When Discord created it.
    pub created_at: OffsetDateTime,
}

/// What [`Verification::start`] needs.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The account for which a wallet is to be verified.
    pub account: Account,
    /// The account's name, which the sign-in message shows.
    pub account_name: String,
    /// Community whose command begins the session; `None` for Telegram, and only there.
    pub community: Option<CommunityId>,
    /// The interaction whose reply is edited to show the result; `None` for Telegram.
    pub interaction: Option<Interaction>,
    /// Chain on which contract wallets are checked: the one of the community's token.
    pub chain_id: u64,
}

/// Result of [`Verification::start`].
#[derive(Clone, Debug)]
pub enum Started {
    /// The session exists.
    Session {
        /// Its id.
        id: Uuid,
        /// Link to the page. A secret: only the member may see it.
        link: Secret,
        /// When it ends.
        expires_at: OffsetDateTime,
        /// Whether it replaced an open one.
        replaced: bool,
    },
    /// The account began too many sessions.
    TooMany {
        /// When it may begin the next one.
        next_at: OffsetDateTime,
    },
}

impl Verification {
    /// Begins a session of an account and replaces the one in progress, if there is one. `now` is the beginning of the session.
    ///
    /// # Errors
    /// When the database is unavailable, the account is suspended or its id is invalid, or the interaction is so old that its reply cannot be edited.
    pub async fn start(&self, new: &NewSession, now: OffsetDateTime) -> Result<Started, VerificationError> {
        let account = account::stored(new.account).ok_or(Refusal::Internal)?;
        let token = SessionToken::random();
        let id = Uuid::now_v7();
        let expires_at = expires_at(new.interaction.as_ref(), now);
        if expires_at <= now {
            return Err(Refusal::Expired.into());
        }
        let name = stored_name(&new.account_name, new.account);
        let nonce = random_nonce();
        // No transaction is open while the link is signed, and a link that cannot be signed replaces no session.
        let link = self.link(token).await?;
        let mut tx = SessionTx::begin(&self.database, new.community).await?;
        refuse_suspended(&mut tx.registry(), new.account, now).await?;
        let started = tx
            .sessions()
            .start(&NewVerificationSession {
                id,
                token_hash: token.hash(),
                account,
                account_name: &name,
                community: new.community,
                interaction_token: new.interaction.as_ref().map(|interaction| &interaction.token),
                nonce: &nonce,
                chain_id: new.chain_id,
                // The message names whole seconds.
                created_at: now.replace_nanosecond(0).unwrap_or(now),
                expires_at,
            })
            .await?;
        tx.commit().await?;
        Ok(match started {
            SessionStart::TooMany { next_at } => Started::TooMany { next_at },
            SessionStart::Started { replaced } => Started::Session {
                id,
                link,
                expires_at,
                replaced,
            },
        })
    }
}

fn expires_at(interaction: Option<&Interaction>, now: OffsetDateTime) -> OffsetDateTime {
    let latest = now + SESSION_LIFETIME;
    let end = interaction.map_or(latest, |interaction| {
        latest.min(interaction.created_at + SESSION_LIFETIME - EDIT_MARGIN)
    });
    end.replace_nanosecond(0).unwrap_or(end)
}

/// At most 200 characters without zero bytes, which PostgreSQL refuses; the id for an empty name.
fn stored_name(name: &str, account: Account) -> String {
    let name: String = name.trim().chars().filter(|letter| *letter != '\0').take(200).collect();
    if name.is_empty() { account.id.to_string() } else { name }
}

#[cfg(test)]
mod tests {
    use arrakis_wallet::AccountNetwork;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn session_ends_while_the_answer_can_be_edited() {
        let now = datetime!(2026-11-30 12:00:02.5 UTC);
        let interaction = |created_at| Interaction {
            token: Secret::new("token"),
            created_at,
        };
        let ends = |created_at| expires_at(Some(&interaction(created_at)), now);
        assert_eq!(expires_at(None, now), datetime!(2026-11-30 12:15:02 UTC));
        assert_eq!(
            ends(datetime!(2026-11-30 12:00:01 UTC)),
            datetime!(2026-11-30 12:14:01 UTC)
        );
        // A command that waited ten minutes in the queue.
        assert_eq!(
            ends(datetime!(2026-11-30 11:50:00 UTC)),
            datetime!(2026-11-30 12:04:00 UTC)
        );
    }

    #[test]
    fn stored_name_is_never_empty_or_long() {
        let account = Account {
            network: AccountNetwork::Telegram,
            id: 42,
        };
        assert_eq!(stored_name(" Cha\0ni ", account), "Chani");
        assert_eq!(stored_name("  ", account), "42");
        assert_eq!(stored_name(&"é".repeat(500), account).chars().count(), 200);
    }
}
