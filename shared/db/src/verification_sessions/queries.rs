//! Statements about sessions.

use arrakis_config::Secret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    MAX_ATTEMPTS, MAX_STARTS, NewVerificationSession, Row, START_WINDOW, SessionAccount, SessionKey, SessionProof,
    SessionStart, VerificationSession, VerificationSessions, column,
};
use crate::DbError;
use crate::named_query::named;

impl SessionKey {
    fn presented(self) -> String {
        match self {
            Self::Token(hash) => format!("token:{}", hex::encode(hash)),
            Self::Id(id) => format!("session:{id}"),
        }
    }

    const fn token_hash(&self) -> Option<&[u8]> {
        match self {
            Self::Token(hash) => Some(hash),
            Self::Id(_) => None,
        }
    }

    const fn id(self) -> Option<Uuid> {
        match self {
            Self::Token(_) => None,
            Self::Id(id) => Some(id),
        }
    }
}

impl VerificationSessions<'_> {
    /// Makes the sessions of this key visible, and no others, until the transaction ends or another key is presented.
    async fn present(&mut self, key: &str) -> Result<(), DbError> {
        named!(
            "verification_session.present_key",
            sqlx::query_scalar!("select set_config('app.verification_key', $1, true)", key)
                .fetch_one(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Begins a session, and ends an earlier one of the account as `replaced`. Nothing changes when the account began too many.
    ///
    /// # Errors
    /// When the database is unavailable or a value is not valid for its column.
    pub async fn start(&mut self, new: &NewVerificationSession<'_>) -> Result<SessionStart, DbError> {
        let account = new.account;
        let key = format!("account:{}:{}", account.network.as_str(), account.id);
        self.present(&key).await?;
        // Two starts of one account, one after the other: both would find no earlier session.
        named!(
            "verification_session.lock_account",
            sqlx::query!(
                "select pg_advisory_xact_lock(hashtextextended('verification:' || $1, 0))",
                key
            )
            .fetch_one(&mut *self.connection)
        )?;
        if let Some(next_at) = self.next_start(account, new.created_at).await? {
            return Ok(SessionStart::TooMany { next_at });
        }
        let replaced = named!(
            "verification_session.replace",
            sqlx::query_scalar!(
                r#"update verification_sessions
                      set state = 'replaced', ended_at = $3, interaction_token = null
                    where network = $1 and account_id = $2 and state in ('open', 'signed', 'awaiting_consent')
                returning expires_at > $3 as "live!""#,
                account.network.as_str(),
                account.id,
                new.created_at
            )
            .fetch_optional(&mut *self.connection)
        )?;
        self.insert(new).await?;
        Ok(SessionStart::Started {
            replaced: replaced == Some(true),
        })
    }

    /// When the account may begin a session; `None` for now.
    async fn next_start(
        &mut self,
        account: SessionAccount,
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, DbError> {
        let oldest = named!(
            "verification_session.count_starts",
            sqlx::query_scalar!(
                "select created_at from verification_sessions
                  where network = $1 and account_id = $2 and created_at > $3
                  order by created_at desc offset $4 limit 1",
                account.network.as_str(),
                account.id,
                now - START_WINDOW,
                MAX_STARTS - 1
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(oldest.map(|created_at| created_at + START_WINDOW))
    }

    async fn insert(&mut self, new: &NewVerificationSession<'_>) -> Result<(), DbError> {
        let chain_id =
            i64::try_from(new.chain_id).map_err(|_| column("chain_id").corrupt(new.chain_id, "out of range"))?;
        named!(
            "verification_session.insert",
            sqlx::query!(
                "insert into verification_sessions
                     (session_id, token_hash, network, account_id, account_name, community, interaction_token, nonce,
                      chain_id, created_at, expires_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                new.id,
                &new.token_hash[..],
                new.account.network.as_str(),
                new.account.id,
                new.account_name,
                new.community.map(crate::CommunityId::uuid),
                new.interaction_token.map(Secret::expose),
                new.nonce,
                chain_id,
                new.created_at,
                new.expires_at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Ends every session of an account that has not ended, as `replaced`: its link and its signature are of no use any more. Returns how many.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn end_all_of(&mut self, account: SessionAccount, now: OffsetDateTime) -> Result<u64, DbError> {
        self.present(&format!("account:{}:{}", account.network.as_str(), account.id))
            .await?;
        let ended = named!(
            "verification_session.end_all_of",
            sqlx::query!(
                "update verification_sessions set state = 'replaced', ended_at = $3, interaction_token = null
                  where network = $1 and account_id = $2 and state in ('open', 'signed', 'awaiting_consent')",
                account.network.as_str(),
                account.id,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(ended.rows_affected())
    }

    /// The session of this key, with its state at `now`.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn find(&mut self, key: SessionKey, now: OffsetDateTime) -> Result<Option<VerificationSession>, DbError> {
        self.present(&key.presented()).await?;
        let row = named!(
            "verification_session.find",
            sqlx::query_as!(
                Row,
                "select session_id, network, account_id, account_name, community, nonce, chain_id, state, attempts,
                        created_at, expires_at, address, method, signature_digest, signed_at, holder_network, holder_id
                   from verification_sessions where token_hash = $1 or session_id = $2",
                key.token_hash(),
                key.id()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(|row| row.read(now)).transpose()
    }

    /// The newest session of an account that has not ended at `now`.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn current_of(
        &mut self,
        account: SessionAccount,
        now: OffsetDateTime,
    ) -> Result<Option<VerificationSession>, DbError> {
        self.present(&format!("account:{}:{}", account.network.as_str(), account.id))
            .await?;
        let row = named!(
            "verification_session.current_of",
            sqlx::query_as!(
                Row,
                "select session_id, network, account_id, account_name, community, nonce, chain_id, state, attempts,
                        created_at, expires_at, address, method, signature_digest, signed_at, holder_network, holder_id
                   from verification_sessions
                  where network = $1 and account_id = $2 and state in ('open', 'signed', 'awaiting_consent')
                    and expires_at > $3",
                account.network.as_str(),
                account.id,
                now
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(|row| row.read(now)).transpose()
    }

    /// The sessions that wait for the consent of this holder, the one that ends first before the others.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn awaiting_consent_of(
        &mut self,
        holder: SessionAccount,
        now: OffsetDateTime,
    ) -> Result<Vec<VerificationSession>, DbError> {
        self.present(&format!("holder:{}:{}", holder.network.as_str(), holder.id))
            .await?;
        let rows = named!(
            "verification_session.awaiting_consent_of",
            sqlx::query_as!(
                Row,
                "select session_id, network, account_id, account_name, community, nonce, chain_id, state, attempts,
                        created_at, expires_at, address, method, signature_digest, signed_at, holder_network, holder_id
                   from verification_sessions
                  where holder_network = $1 and holder_id = $2 and state = 'awaiting_consent' and expires_at > $3
                  order by expires_at, session_id",
                holder.network.as_str(),
                holder.id,
                now
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(|row| row.read(now)).collect()
    }

    /// Counts an attempt to present a signature. False when the session is not open, or had too many attempts.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn count_attempt(&mut self, token_hash: [u8; 32], now: OffsetDateTime) -> Result<bool, DbError> {
        self.present(&SessionKey::Token(token_hash).presented()).await?;
        let counted = named!(
            "verification_session.count_attempt",
            sqlx::query!(
                "update verification_sessions set attempts = attempts + 1
                  where token_hash = $1 and state = 'open' and expires_at > $2 and attempts < $3",
                &token_hash[..],
                now,
                MAX_ATTEMPTS
            )
            .execute(&mut *self.connection)
        )?;
        Ok(counted.rows_affected() == 1)
    }

    /// Uses the session's one signature: `open` becomes `signed`. False when the session is not open at this moment; of
    /// concurrent calls one returns true.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn consume(
        &mut self,
        token_hash: [u8; 32],
        proof: &SessionProof,
        now: OffsetDateTime,
    ) -> Result<bool, DbError> {
        self.present(&SessionKey::Token(token_hash).presented()).await?;
        let consumed = named!(
            "verification_session.consume",
            sqlx::query!(
                "update verification_sessions
                    set state = 'signed', address = $2, method = $3, signature_digest = $4, signed_at = $5
                  where token_hash = $1 and state = 'open' and expires_at > $6",
                &token_hash[..],
                proof.address.to_string(),
                proof.method,
                &proof.signature_digest[..],
                proof.signed_at,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(consumed.rows_affected() == 1)
    }

    /// Ends a session whose signature was used: the wallet is recorded. The interaction's token stays for the job that edits the
    /// answer.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn complete(&mut self, session: Uuid, now: OffsetDateTime) -> Result<bool, DbError> {
        self.present(&SessionKey::Id(session).presented()).await?;
        let completed = named!(
            "verification_session.complete",
            sqlx::query!(
                "update verification_sessions set state = 'completed', ended_at = $2
                  where session_id = $1 and state in ('signed', 'awaiting_consent')",
                session,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(completed.rows_affected() == 1)
    }

    /// Records who holds the wallet of a session that is `signed`.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_holder(&mut self, session: Uuid, holder: SessionAccount) -> Result<bool, DbError> {
        self.present(&SessionKey::Id(session).presented()).await?;
        let set = named!(
            "verification_session.set_holder",
            sqlx::query!(
                "update verification_sessions set holder_network = $2, holder_id = $3
                  where session_id = $1 and state = 'signed'",
                session,
                holder.network.as_str(),
                holder.id
            )
            .execute(&mut *self.connection)
        )?;
        Ok(set.rows_affected() == 1)
    }

    /// `signed` becomes `awaiting_consent`. False when the session is not in that state with a holder, or expired.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn await_consent(&mut self, token_hash: [u8; 32], now: OffsetDateTime) -> Result<bool, DbError> {
        self.present(&SessionKey::Token(token_hash).presented()).await?;
        let changed = named!(
            "verification_session.await_consent",
            sqlx::query!(
                "update verification_sessions set state = 'awaiting_consent'
                  where token_hash = $1 and state = 'signed' and holder_id is not null and expires_at > $2",
                &token_hash[..],
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(changed.rows_affected() == 1)
    }

    /// Locks a session that waits for the consent of this holder until the transaction ends. False when it does not.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn lock_for_answer(
        &mut self,
        session: Uuid,
        holder: SessionAccount,
        now: OffsetDateTime,
    ) -> Result<bool, DbError> {
        self.present(&SessionKey::Id(session).presented()).await?;
        let locked = named!(
            "verification_session.lock_for_answer",
            sqlx::query_scalar!(
                "select session_id from verification_sessions
                  where session_id = $1 and state = 'awaiting_consent' and holder_network = $2 and holder_id = $3
                    and expires_at > $4
                    for update",
                session,
                holder.network.as_str(),
                holder.id,
                now
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(locked.is_some())
    }

    /// Ends a session in state `refused`, because the holder keeps the wallet. False, and nothing changed, when it does not await consent.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn refuse(&mut self, session: Uuid, now: OffsetDateTime) -> Result<bool, DbError> {
        self.present(&SessionKey::Id(session).presented()).await?;
        let refused = named!(
            "verification_session.refuse",
            sqlx::query!(
                "update verification_sessions set state = 'refused', ended_at = $2
                  where session_id = $1 and state = 'awaiting_consent'",
                session,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(refused.rows_affected() == 1)
    }

    /// Discord's token of the interaction that began the session; `None` when it was deleted or there was none.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn interaction_of(&mut self, session: Uuid) -> Result<Option<Secret>, DbError> {
        self.present(&SessionKey::Id(session).presented()).await?;
        let token = named!(
            "verification_session.interaction_of",
            sqlx::query_scalar!(
                "select interaction_token from verification_sessions where session_id = $1",
                session
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(token.flatten().map(Secret::new))
    }

    /// Deletes the token of the interaction: its answer has been edited, or can be no more.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn forget_interaction(&mut self, session: Uuid) -> Result<(), DbError> {
        self.present(&SessionKey::Id(session).presented()).await?;
        named!(
            "verification_session.forget_interaction",
            sqlx::query!(
                "update verification_sessions set interaction_token = null where session_id = $1",
                session
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Deletes sessions whose time ended more than a day ago; returns how many. The policy of the table selects them: without a
    /// key, a statement sees no others.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self) -> Result<u64, DbError> {
        self.present("").await?;
        let pruned = named!(
            "verification_session.prune",
            sqlx::query!("delete from verification_sessions").execute(&mut *self.connection)
        )?;
        Ok(pruned.rows_affected())
    }
}
