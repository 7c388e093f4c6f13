//! Moving a wallet that another account holds. Both sides consent: the wallet has signed in the session of the account that
//! requests it, and the account that holds it presses a button before the session ends.
//!
//! `signed` → [`Verification::request_move`] → `awaiting_consent`, and a job sends the holder a message with two buttons →
//! [`Verification::answer_move`] → `completed` or `refused`. A holder who does not answer keeps the wallet: the session
//! expires. A holder who cannot be reached any more is a case for the admins, who can remove the wallet from the identity.

use arrakis_db::{SessionKey, SessionState, VerificationSession};
use arrakis_wallet::{Account, Method, ProvenSignature};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::job::{StoredJob, consent_id, recorded_id};
use crate::record::{MoveRequest, Recorded, SessionTx};
use crate::submit::proven_wallet;
use crate::{Progress, ProgressState, Refusal, Verification, VerificationError, account, notice};

/// What the holder's button did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveAnswer {
    /// The wallet is the requesting account's now.
    Moved(Progress),
    /// The wallet stays; the session has ended.
    Kept,
    /// The session no longer waits for this account: answered, expired, replaced, or another account's.
    NotRequested,
}

impl Verification {
    /// Requests the consent of the account that holds the wallet. A second request of the session changes nothing and sends no second
    /// message.
    ///
    /// # Errors
    /// When the session has no such wallet or has ended, or the database is unavailable.
    pub async fn request_move(&self, token: &str, now: OffsetDateTime) -> Result<Progress, VerificationError> {
        let token = self.token(token).await?;
        let session = self.find(token, now).await?;
        let (address, holder) = match session.state {
            SessionState::Signed | SessionState::AwaitingConsent => {
                let proof = session.proof.ok_or(Refusal::NothingToMove)?;
                (proof.address, session.holder.ok_or(Refusal::NothingToMove)?)
            }
            state => return Err(Refusal::of_state(state).unwrap_or(Refusal::NothingToMove).into()),
        };
        let mut tx = SessionTx::begin(&self.database, session.community).await?;
        // False when it waits already; the message was sent then.
        let is_new = tx.sessions().await_consent(token.hash(), now).await?;
        if is_new {
            let request = MoveRequest {
                session: session.id,
                requester: account::read(session.account),
                requester_name: session.account_name.clone(),
                address,
                holder: account::read(holder),
                expires_at: session.expires_at,
            };
            self.record.request_consent(&mut tx, &request).await?;
        }
        tx.commit().await?;
        Ok(Progress {
            state: ProgressState::AwaitingConsent,
            address: address.to_string(),
            job: is_new.then(|| StoredJob {
                id: consent_id(session.id),
                community: session.community,
            }),
        })
    }

    /// Handles the answer of the account that holds the wallet, by the button of its message. `holder` is the account that
    /// pressed it, as Discord or Telegram states it. Repeating an answer gives [`MoveAnswer::NotRequested`].
    ///
    /// # Errors
    /// When the wallet is held by another account by now, or the database is unavailable.
    pub async fn answer_move(
        &self,
        session_id: Uuid,
        holder: Account,
        consents: bool,
        now: OffsetDateTime,
    ) -> Result<MoveAnswer, VerificationError> {
        let Some(stored_holder) = account::stored(holder) else {
            return Ok(MoveAnswer::NotRequested);
        };
        let Some(session) = self.find_by_id(session_id, now).await? else {
            return Ok(MoveAnswer::NotRequested);
        };
        let mut tx = SessionTx::begin(&self.database, session.community).await?;
        if !tx.sessions().lock_for_answer(session_id, stored_holder, now).await? {
            return Ok(MoveAnswer::NotRequested);
        }
        if !consents {
            tx.sessions().refuse(session_id, now).await?;
            notice::refused(&mut tx, &session, now).await?;
            tx.commit().await?;
            return Ok(MoveAnswer::Kept);
        }
        let Some((address, signature, signed_at)) = proof_of(&session) else {
            return Ok(MoveAnswer::NotRequested);
        };
        let wallet = proven_wallet(&session, address, signature, signed_at);
        match self.record.record_move(&mut tx, &wallet, holder).await? {
            Recorded::Written => {}
            Recorded::HeldBy(_) => return Err(Refusal::HolderChanged.into()),
            Recorded::Refused(refusal) => return Err(Refusal::Registry(refusal).into()),
        }
        tx.sessions().complete(session_id, now).await?;
        tx.commit().await?;
        tracing::info!(session.id = %session_id, "wallet moved with the consent of its holder");
        Ok(MoveAnswer::Moved(Progress {
            state: ProgressState::Completed,
            address: address.to_string(),
            job: Some(StoredJob {
                id: recorded_id(session_id),
                community: session.community,
            }),
        }))
    }

    /// The result of an answer that the holder gave before, so that a repetition of it has the same one.
    /// [`MoveAnswer::NotRequested`] when the session did not end by this answer of this account.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn earlier_answer(
        &self,
        session_id: Uuid,
        holder: Account,
        consents: bool,
        now: OffsetDateTime,
    ) -> Result<MoveAnswer, VerificationError> {
        let session = self.find_by_id(session_id, now).await?;
        let Some(session) = session.filter(|session| session.holder.map(account::read) == Some(holder)) else {
            return Ok(MoveAnswer::NotRequested);
        };
        Ok(match (session.state, session.proof) {
            (SessionState::Completed, Some(proof)) if consents => MoveAnswer::Moved(Progress {
                state: ProgressState::Completed,
                address: proof.address.to_string(),
                job: None,
            }),
            (SessionState::Refused, _) if !consents => MoveAnswer::Kept,
            _ => MoveAnswer::NotRequested,
        })
    }

    async fn find_by_id(
        &self,
        session: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<VerificationSession>, VerificationError> {
        let mut tx = self.database.global().await?;
        let found = tx.verification_sessions().find(SessionKey::Id(session), now).await?;
        tx.commit().await?;
        Ok(found)
    }
}

fn proof_of(session: &VerificationSession) -> Option<(arrakis_domain::Address, ProvenSignature, OffsetDateTime)> {
    let proof = session.proof?;
    let method = Method::ALL.into_iter().find(|method| method.as_str() == proof.method)?;
    let signature = ProvenSignature {
        method,
        digest: proof.signature_digest,
    };
    Some((proof.address, signature, proof.signed_at))
}
