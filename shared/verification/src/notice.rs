//! Notices for Telegram accounts, stored in the transaction of what they report. `arrakis-telegram` shows them.

use arrakis_contracts::telegram::{Requester, TelegramNotice};
use arrakis_db::registry::TelegramUserId;
use arrakis_db::{NewTelegramNotice, VerificationSession};
use arrakis_wallet::Account;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::record::{MoveRequest, ProvenWallet, SessionTx};
use crate::{Refusal, VerificationError, account};

/// How long a result is shown after it happened, when Telegram or the service was unavailable meanwhile.
const RESULT_LIFETIME: Duration = Duration::days(1);
/// Likewise of a joined account, which its holder must be able to undo.
const JOINED_LIFETIME: Duration = Duration::days(30);

/// After a wallet was recorded: to the account that signed, and to the one that it joined.
pub(crate) async fn verified(
    tx: &mut SessionTx,
    wallet: &ProvenWallet,
    joined: Option<Account>,
) -> Result<(), VerificationError> {
    // Not the moment of the signature: of a wallet that was moved, that lies before the request of which a notice was shown.
    let at = OffsetDateTime::now_utc();
    let address = wallet.address.to_string();
    if let Some(user) = account::telegram_user(wallet.account) {
        let notice = TelegramNotice::Verified {
            session: wallet.session,
            address: address.clone(),
            joined: joined.is_some(),
        };
        add(
            tx,
            (wallet.session, "verified"),
            user,
            &notice,
            (at, at + RESULT_LIFETIME),
        )
        .await?;
    }
    if let Some(user) = joined.and_then(account::telegram_user) {
        let notice = TelegramNotice::Joined {
            address,
            discord: requester(wallet.account, &wallet.account_name),
        };
        add(
            tx,
            (wallet.session, "joined"),
            user,
            &notice,
            (at, at + JOINED_LIFETIME),
        )
        .await?;
    }
    Ok(())
}

/// After a wallet was requested from its holder: to the account that requests it, and to the holder.
pub(crate) async fn consent(
    tx: &mut SessionTx,
    request: &MoveRequest,
    now: OffsetDateTime,
) -> Result<(), VerificationError> {
    let session = request.session;
    let address = request.address.to_string();
    if let Some(user) = account::telegram_user(request.requester) {
        let address = address.clone();
        let notice = TelegramNotice::ConsentRequested { session, address };
        add(
            tx,
            (session, "consent_requested"),
            user,
            &notice,
            (now, request.expires_at),
        )
        .await?;
    }
    if let Some(user) = account::telegram_user(request.holder) {
        let notice = TelegramNotice::Consent {
            session,
            requester: requester(request.requester, &request.requester_name),
            address,
            expires_at: request.expires_at,
        };
        add(tx, (session, "consent"), user, &notice, (now, request.expires_at)).await?;
    }
    Ok(())
}

/// After a holder refused: to the account that requested the wallet.
pub(crate) async fn refused(
    tx: &mut SessionTx,
    session: &VerificationSession,
    now: OffsetDateTime,
) -> Result<(), VerificationError> {
    let user = account::telegram_user(account::read(session.account));
    if let (Some(user), Some(proof)) = (user, session.proof) {
        let notice = TelegramNotice::Refused {
            session: session.id,
            address: proof.address.to_string(),
        };
        add(tx, (session.id, "refused"), user, &notice, (now, now + RESULT_LIFETIME)).await?;
    }
    Ok(())
}

/// After the accounts of an identity were separated from the side of Discord: to the Telegram account.
pub(crate) async fn separated(
    tx: &mut SessionTx,
    user: TelegramUserId,
    separation: Uuid,
    now: OffsetDateTime,
) -> Result<(), VerificationError> {
    let notice = TelegramNotice::Separated;
    add(
        tx,
        (separation, "separated"),
        user,
        &notice,
        (now, now + JOINED_LIFETIME),
    )
    .await
}

fn requester(account: Account, name: &str) -> Requester {
    Requester {
        network: account.network.as_str().to_owned(),
        id: account.id,
        name: name.to_owned(),
    }
}

/// The id follows from session and kind: stored twice, it is shown once.
async fn add(
    tx: &mut SessionTx,
    (session, kind): (Uuid, &str),
    user: TelegramUserId,
    notice: &TelegramNotice,
    (created_at, expires_at): (OffsetDateTime, OffsetDateTime),
) -> Result<(), VerificationError> {
    let notice = NewTelegramNotice {
        id: Uuid::new_v5(&session, kind.as_bytes()),
        user,
        payload: serde_json::to_value(notice).map_err(|_| Refusal::Internal)?,
        created_at,
        expires_at,
    };
    tx.telegram_notices().add(&notice).await?;
    Ok(())
}
