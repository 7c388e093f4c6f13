//! Presenting a signature.

use arrakis_db::{SessionKey, SessionProof, VerificationSession};
use arrakis_domain::Address;
use arrakis_fail_point as fail_point;
use arrakis_wallet::{ProvenSignature, Signature, check_signature};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::job::{StoredJob, recorded_id};
use crate::record::{ProvenWallet, Recorded, SessionTx};
use crate::verification::{open, parse_address};
use crate::{Refusal, SessionToken, Verification, VerificationError, account};

/// What the page sends after the wallet has signed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Address of the wallet: `0x` and 40 hexadecimal digits; in mixed case, with the checksum of EIP-55.
    pub address: String,
    /// The text that was signed; `None`: the message that the session has for this address.
    #[serde(default)]
    pub message: Option<String>,
    /// The signature: `0x` and hexadecimal digits.
    pub signature: String,
}

/// How far the session is after a request that was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// State of the session.
    pub state: ProgressState,
    /// Address of the wallet, in lower case.
    pub address: String,
    /// The job that the request has stored; the caller publishes its message. Not part of the JSON.
    #[serde(skip)]
    pub job: Option<StoredJob>,
}

/// State of a session with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressState {
    /// The wallet is linked.
    Completed,
    /// Another account holds the wallet; the member may request it.
    Signed,
    /// The consent of the account that holds the wallet was requested.
    AwaitingConsent,
}

impl Verification {
    /// Checks a presented signature and records the wallet.
    ///
    /// In this order: the session (exists, open, not expired, attempts left), the message field by field, the signature, and
    /// then, in one transaction, the use of the session's signature and [`crate::RecordVerification::record`]. No transaction is
    /// open during the call of the chain.
    ///
    /// # Errors
    /// The first refusal, or what is unavailable. After an error of the database or the chain, the same signature may be
    /// presented again.
    pub async fn submit(
        &self,
        token: &str,
        submission: &Submission,
        now: OffsetDateTime,
    ) -> Result<Progress, VerificationError> {
        let token = self.token(token).await?;
        let session = self.find(token, now).await?;
        open(&session)?;
        self.count_attempt(token, now).await?;
        let address = parse_address(&submission.address)?;
        let sign_in = self.sign_in(&session, address);
        let text = sign_in.text()?;
        sign_in.compare(submission.message.as_deref().unwrap_or(&text), now)?;
        let signature: Signature = submission.signature.parse()?;
        let chain = self.chain(session.chain_id);
        let proven = check_signature(chain.as_deref(), address, &text, &signature).await?;
        self.record(token, &session, address, proven, now).await
    }

    async fn count_attempt(&self, token: SessionToken, now: OffsetDateTime) -> Result<(), VerificationError> {
        let mut tx = self.database.global().await?;
        let counted = tx.verification_sessions().count_attempt(token.hash(), now).await?;
        tx.commit().await?;
        if counted {
            return Ok(());
        }
        // Another request ended the session, or this one is an attempt too many.
        let session = self.find(token, now).await?;
        open(&session)?;
        Err(Refusal::TooManyAttempts.into())
    }

    async fn record(
        &self,
        token: SessionToken,
        session: &VerificationSession,
        address: Address,
        signature: ProvenSignature,
        now: OffsetDateTime,
    ) -> Result<Progress, VerificationError> {
        fail_point::hit("verification.proven").await;
        let mut tx = SessionTx::begin(&self.database, session.community).await?;
        let proof = SessionProof {
            address,
            method: signature.method.as_str(),
            signature_digest: signature.digest,
            signed_at: now,
        };
        if !tx.sessions().consume(token.hash(), &proof, now).await? {
            let key = SessionKey::Token(token.hash());
            let current = tx.sessions().find(key, now).await?;
            let refusal = current.and_then(|session| Refusal::of_state(session.state));
            return Err(refusal.unwrap_or(Refusal::TryLater).into());
        }
        if fail_point::skips("verification.guard.transaction") {
            tx.commit().await?;
            tx = SessionTx::begin(&self.database, session.community).await?;
        }
        let wallet = proven_wallet(session, address, signature, now);
        let state = match self.record.record(&mut tx, &wallet).await? {
            Recorded::Written => {
                tx.sessions().complete(session.id, now).await?;
                ProgressState::Completed
            }
            Recorded::HeldBy(holder) => {
                let holder = account::stored(holder).ok_or(Refusal::Internal)?;
                tx.sessions().set_holder(session.id, holder).await?;
                ProgressState::Signed
            }
            // The session stays open: the transaction is rolled back.
            Recorded::Refused(refusal) => return Err(Refusal::Registry(refusal).into()),
        };
        fail_point::hit("verification.recording").await;
        tx.commit().await?;
        fail_point::hit("verification.recorded").await;
        tracing::info!(session.id = %session.id, method = proof.method, ?state, "signature of a wallet accepted");
        let job = (state == ProgressState::Completed).then(|| StoredJob {
            id: recorded_id(session.id),
            community: session.community,
        });
        Ok(Progress {
            state,
            address: address.to_string(),
            job,
        })
    }
}

/// The wallet of an accepted signature, as it is recorded.
pub(crate) fn proven_wallet(
    session: &VerificationSession,
    address: Address,
    signature: ProvenSignature,
    verified_at: OffsetDateTime,
) -> ProvenWallet {
    ProvenWallet {
        session: session.id,
        account: account::read(session.account),
        account_name: session.account_name.clone(),
        address,
        chain_id: session.chain_id,
        signature,
        verified_at,
    }
}
