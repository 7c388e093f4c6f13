//! [`Verification`]: what the requests of the page and the commands share.

use std::fmt;
use std::sync::Arc;

use arrakis_chain::Chains;
use arrakis_config::Secret;
use arrakis_db::{Database, SessionKey, SessionState, VerificationSession};
use arrakis_domain::Address;
use arrakis_security::signing::{SignError, Signer};
use arrakis_wallet::{ContractCalls, Origin, OriginError, SignIn};
use time::OffsetDateTime;
use url::Url;

use crate::link;
use crate::suspension::refuse_suspended;
use crate::{MessageView, RecordVerification, Refusal, SessionToken, SessionView, VerificationError, account};

/// Finds the chain on which contract wallets are checked.
type FindChain = dyn Fn(u64) -> Option<Arc<dyn ContractCalls>> + Send + Sync;

/// Verification of wallets. Cheap to clone.
#[derive(Clone)]
pub struct Verification {
    /// PostgreSQL with the application's login.
    pub(crate) database: Database,
    /// Writes what follows a proof.
    pub(crate) record: Arc<dyn RecordVerification>,
    /// The website that sign-in messages name.
    pub(crate) origin: Origin,
    chains: Arc<FindChain>,
    /// Signs links; `None`: links are not signed.
    signer: Option<Arc<dyn Signer>>,
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Verification {
    /// Verification by a page at `base`: scheme, host, port, and a path prefix if there is one. `VERIFY_BASE_URL` has none.
    ///
    /// # Errors
    /// When `base` is not the address of a web page.
    pub fn new(
        database: Database,
        chains: Chains,
        base: &Url,
        record: Arc<dyn RecordVerification>,
    ) -> Result<Self, OriginError> {
        let find = move |chain_id| {
            let client: Arc<dyn ContractCalls> = chains.get(chain_id)?.clone();
            Some(client)
        };
        Self::with_chains(database, find, base, record)
    }

    /// As [`Verification::new`], with chains found by a function.
    ///
    /// # Errors
    /// When `base` is not the address of a web page.
    pub fn with_chains(
        database: Database,
        chains: impl Fn(u64) -> Option<Arc<dyn ContractCalls>> + Send + Sync + 'static,
        base: &Url,
        record: Arc<dyn RecordVerification>,
    ) -> Result<Self, OriginError> {
        Ok(Self {
            database,
            record,
            origin: Origin::of(base)?,
            chains: Arc::new(chains),
            signer: None,
        })
    }

    /// The same with signed links: the link of a new session is signed with this key, and requests with an unsigned or forged one are refused.
    #[must_use]
    pub fn signed_by(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// The link of a session with this token.
    ///
    /// # Errors
    /// It cannot be signed.
    pub(crate) async fn link(&self, token: SessionToken) -> Result<Secret, SignError> {
        let uri = self.origin.uri();
        let segment = match &self.signer {
            Some(signer) => link::signed(token, uri, &**signer).await?,
            None => token.expose(),
        };
        Ok(Secret::new(format!("{uri}/{segment}")))
    }

    /// The token in the last segment of a link.
    ///
    /// # Errors
    /// The segment is malformed or forged, or its signature cannot be verified at present.
    pub(crate) async fn token(&self, segment: &str) -> Result<SessionToken, VerificationError> {
        link::token(segment, self.origin.uri(), self.signer.as_deref()).await
    }

    /// The session of a token, as the page shows it. `token` is the path segment of the link.
    ///
    /// # Errors
    /// When the token is malformed or belongs to no session, the session is not completed and its account is suspended, or the database is
    /// unavailable.
    pub async fn session(&self, token: &str, now: OffsetDateTime) -> Result<SessionView, VerificationError> {
        let session = self.find(self.token(token).await?, now).await?;
        if session.state != SessionState::Completed {
            self.refuse_suspended(&session, now).await?;
        }
        Ok(SessionView::of(&session, now))
    }

    /// The text that the wallet at `address` is to sign. Changes nothing.
    ///
    /// # Errors
    /// When the session accepts no signature, its account is suspended, the address is malformed, or the chain is not the session's.
    pub async fn message(
        &self,
        token: &str,
        address: &str,
        chain_id: u64,
        now: OffsetDateTime,
    ) -> Result<MessageView, VerificationError> {
        let session = self.find(self.token(token).await?, now).await?;
        open(&session)?;
        self.refuse_suspended(&session, now).await?;
        if chain_id != session.chain_id {
            return Err(arrakis_wallet::MessageRefusal::WrongChain.into());
        }
        let message = self.sign_in(&session, parse_address(address)?).text()?;
        Ok(MessageView { message })
    }

    /// The session of a token, in any state.
    ///
    /// # Errors
    /// [`Refusal::UnknownSession`], or the database is unavailable.
    pub(crate) async fn find(
        &self,
        token: SessionToken,
        now: OffsetDateTime,
    ) -> Result<VerificationSession, VerificationError> {
        let mut tx = self.database.global().await?;
        let found = tx
            .verification_sessions()
            .find(SessionKey::Token(token.hash()), now)
            .await?;
        tx.commit().await?;
        Ok(found.ok_or(Refusal::UnknownSession)?)
    }

    /// Refuses a session whose account is suspended: nothing that its member signs would be accepted.
    async fn refuse_suspended(
        &self,
        session: &VerificationSession,
        now: OffsetDateTime,
    ) -> Result<(), VerificationError> {
        let mut tx = self.database.global().await?;
        refuse_suspended(&mut tx.registry(), account::read(session.account), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The message of a session for one wallet.
    pub(crate) fn sign_in<'a>(&'a self, session: &'a VerificationSession, address: Address) -> SignIn<'a> {
        SignIn {
            origin: &self.origin,
            session: session.id,
            account: account::read(session.account),
            account_name: &session.account_name,
            address,
            chain_id: session.chain_id,
            nonce: &session.nonce,
            issued_at: session.created_at,
            expires_at: session.expires_at,
        }
    }

    /// The chain on which a contract wallet is checked; `None` when no endpoint of it is configured.
    pub(crate) fn chain(&self, chain_id: u64) -> Option<Arc<dyn ContractCalls>> {
        (self.chains)(chain_id)
    }
}

/// Refuses a session that accepts no signature.
pub(crate) fn open(session: &VerificationSession) -> Result<(), Refusal> {
    Refusal::of_state(session.state).map_or(Ok(()), Err)
}

/// An address in hexadecimal; in mixed case, with the checksum of EIP-55.
///
/// # Errors
/// [`Refusal::InvalidAddress`].
pub(crate) fn parse_address(text: &str) -> Result<Address, Refusal> {
    text.parse().map_err(|_| Refusal::InvalidAddress)
}
