//! The job `verification`: what follows a signature, a request to move a wallet, and an unlinked wallet.
//!
//! Running it twice, or two at once, is safe. Each attempt reads the present state of the registry and copies it, which changes nothing
//! the second time; jobs for other communities have ids that follow from this one; roles are assigned as in a tier sync; the edit of
//! the reply is idempotent, and with the deletion of the interaction's token there is none any more; the messages to a holder are sent
//! once ([`NoncedMessage`](crate::nonced_message)).
//!
//! An attempt that was cancelled is repeated from the beginning.

mod communities;
mod joined;
mod recorded;
mod reply;
mod request;

use arrakis_contracts::JobKind;
use arrakis_db::registry::{Account as RegistryAccount, TelegramUserId};
use arrakis_db::{DbError, UserId};
use arrakis_verification::{Account, AccountNetwork, VerificationJob};
use serde::Deserialize as _;
use serde_json::Value;

pub(crate) use self::reply::show_refusal;
use super::{JobHandler, JobRun, PlatformJobHandler, PlatformJobRun};
use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// The handler of `verification`.
#[derive(Debug)]
pub(super) struct Verification;

/// One attempt: of a community, or of the platform for a session without one.
#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    services: &'a Services,
    community: Option<&'a Community>,
    id: &'a str,
}

impl JobHandler for Verification {
    fn kind(&self) -> JobKind {
        JobKind::Verification
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        let payload = run.payload;
        let run = Run {
            services: run.services,
            community: Some(run.community),
            id: run.id,
        };
        run.step(payload).await
    }
}

impl PlatformJobHandler for Verification {
    fn kind(&self) -> JobKind {
        JobKind::Verification
    }

    async fn run(&self, run: &PlatformJobRun<'_>) -> Result<(), Failure> {
        let payload = run.payload;
        let run = Run {
            services: run.services,
            community: None,
            id: run.id,
        };
        run.step(payload).await
    }
}

impl Run<'_> {
    async fn step(self, payload: &Value) -> Result<(), Failure> {
        let job = VerificationJob::deserialize(payload)
            .map_err(|error| Failure::permanent(format!("invalid payload of a verification: {error}")))?;
        match job {
            VerificationJob::Recorded {
                session,
                account,
                address,
                moved_from,
                joined,
            } => {
                if let Some(holder) = self.discord_user(moved_from).await? {
                    communities::sync(self, holder, None).await?;
                }
                let Some(member) = self.discord_user(Some(account)).await? else {
                    return Ok(());
                };
                communities::sync(self, member, self.community.map(Community::id)).await?;
                if let Some(community) = self.community {
                    recorded::finish(self, community, session, member, address).await?;
                }
                match joined {
                    Some(recipient) => joined::send(self, recipient, account, address).await,
                    None => Ok(()),
                }
            }
            VerificationJob::RequestConsent { session, holder, .. } => request::send(self, session, holder).await,
            VerificationJob::Separated { account, .. } | VerificationJob::Unlinked { account, .. } => {
                match self.discord_user(Some(account)).await? {
                    Some(member) => communities::sync(self, member, None).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// The Discord user of an account: itself, or the one of a Telegram account's identity.
    async fn discord_user(self, account: Option<Account>) -> Result<Option<UserId>, Failure> {
        let Some(account) = account else {
            return Ok(None);
        };
        match account.network {
            AccountNetwork::Discord => Ok(UserId::new(account.id).ok()),
            AccountNetwork::Telegram => Ok(self.discord_user_of_telegram(account.id).await?),
        }
    }

    async fn discord_user_of_telegram(self, id: u64) -> Result<Option<UserId>, DbError> {
        let id = i64::try_from(id).ok().and_then(|id| TelegramUserId::new(id).ok());
        let Some(id) = id else {
            return Ok(None);
        };
        let mut tx = self.services.database.global().await?;
        let record = tx.registry().by_account(RegistryAccount::Telegram(id)).await?;
        tx.commit().await?;
        Ok(record.and_then(|record| record.identity.discord_user))
    }
}
