//! The context of a command: services, the invocation, and its community with one transaction.

use arrakis_db::TenantTx;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::Commands;
use crate::community::Community;
use crate::failure::Failure;
use crate::interaction::invocation::Invocation;
use crate::interaction::reply::CommandError;
use crate::jobs::{self, JobOwner, JobRequest};
use crate::render::{Freshness, RenderContext};
use crate::services::Services;

/// The context of one run of a command.
#[derive(Debug)]
pub struct CommandContext<'a> {
    /// Clients of Postgres, Redis and Discord.
    pub services: &'a Services,
    /// All commands of this worker, for `/help`.
    pub commands: &'a Commands,
    /// The interaction.
    pub invocation: &'a Invocation,
    /// The server's community; `None` only for commands with [`super::CommandScope::Anywhere`].
    pub community: Option<&'a Community>,
    /// Whether a code of a second factor was accepted for this interaction.
    pub mfa: bool,
    tx: Mutex<Option<TenantTx>>,
}

impl<'a> CommandContext<'a> {
    /// A context in this community, with a transaction on its rows.
    pub fn new(
        services: &'a Services,
        commands: &'a Commands,
        invocation: &'a Invocation,
        community: Option<&'a Community>,
        tx: Option<TenantTx>,
    ) -> Self {
        Self {
            services,
            commands,
            invocation,
            community,
            mfa: false,
            tx: Mutex::new(tx),
        }
    }

    /// The context of an interaction for which a code was accepted.
    #[must_use]
    pub(crate) fn with_mfa(self) -> Self {
        Self { mfa: true, ..self }
    }

    /// Whether modals of protected commands need a field for the code.
    pub(crate) fn asks_for_codes(&self) -> bool {
        !self.services.admin_commands_without_mfa
    }

    /// The only transaction of the command, in which the community was read and the use of the command is counted. The caller of
    /// the command commits it. A command does not wait for anything slow while the transaction is open: see [`CommandContext::without_tx`].
    ///
    /// # Errors
    /// As [`CommandContext::community`].
    pub async fn tx(&self) -> Result<MappedMutexGuard<'_, TenantTx>, CommandError> {
        let tx = self.tx.lock().await;
        MutexGuard::try_map(tx, Option::as_mut)
            .map_err(|_| Failure::permanent("a command with the scope `Anywhere` requires its community's rows").into())
    }

    /// Runs work that has transactions of its own. The transaction of the command is committed before it, and another one begun after
    /// it: a command that held one connection and waited for a second one could wait for ever, with all connections held by such
    /// commands.
    ///
    /// # Errors
    /// If the transaction cannot be committed; the work is not begun then.
    pub async fn without_tx<T>(&self, work: impl Future<Output = T> + Send) -> Result<T, CommandError> {
        let open = self.tx.lock().await.take();
        let had_tx = open.is_some();
        if let Some(tx) = open {
            tx.commit().await?;
        }
        let done = work.await;
        if let (true, Some(community)) = (had_tx, self.community) {
            match self.services.database.tenant(community.id()).await {
                Ok(tx) => *self.tx.lock().await = Some(tx),
                // The work is done, and only the use of the command is not counted.
                Err(error) => tracing::warn!(%error, "no further transaction for a command"),
            }
        }
        Ok(done)
    }

    /// Commits the transaction of the command and publishes the message of a job that it has stored. If the message is lost, the
    /// leader publishes it again.
    ///
    /// # Errors
    /// If the transaction cannot be committed.
    pub(crate) async fn commit_and_publish(&self, job: &JobRequest) -> Result<(), CommandError> {
        let owner = JobOwner::Community(self.community()?.id());
        let publishing = jobs::publish(&self.services.publisher, owner, &job.id, job.kind);
        self.without_tx(Box::pin(publishing)).await
    }

    /// Drops the transaction, which is then in an unknown state: a read of it was cancelled.
    pub(crate) async fn discard_tx(&self) {
        drop(self.tx.lock().await.take());
    }

    /// Ends the context and returns its transaction, for the caller to commit.
    pub(crate) fn into_tx(self) -> Option<TenantTx> {
        self.tx.into_inner()
    }

    /// The community; always present for a command with [`super::CommandScope::Community`].
    ///
    /// # Errors
    /// When a command with the scope `Anywhere` requires it: a fault of the code.
    pub fn community(&self) -> Result<&Community, CommandError> {
        let missing = || Failure::permanent("a command with the scope `Anywhere` requires its community");
        self.community.ok_or_else(|| missing().into())
    }

    /// The context in which replies are rendered: theme, tier rules, the token's symbol, and the age of the ranking.
    ///
    /// # Errors
    /// As [`CommandContext::community`].
    pub(crate) fn render_context(&self) -> Result<RenderContext<'_>, CommandError> {
        let community = self.community()?;
        let token = &community.record.token;
        Ok(RenderContext {
            theme: &community.theme,
            ladder: community.ladder()?,
            symbol: &token.symbol,
            freshness: Freshness::new(token.last_success_at, self.services.now(), self.services.stale_after),
        })
    }
}
