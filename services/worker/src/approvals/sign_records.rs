//! Signs the records of decisions.
//!
//! Only a decision that the platform's audit log has is signed ([`arrakis_db::Approvals::unsigned`]). A decision does not wait for the signer: while
//! it is unavailable, decisions stay unsigned, and pipelines wait. Two leaders at once sign a record twice, and the first signature is kept.

use arrakis_db::ApprovalSignature;
use arrakis_security::signing::SigningPurpose;

use crate::failure::Failure;
use crate::services::Services;

/// Records that one round signs.
const AT_ONCE: u32 = 20;

/// Signs the decisions that are not signed yet. Nothing happens without a signer.
///
/// # Errors
/// If Postgres or the signer is unavailable; the next call signs the rest.
pub async fn sign_approvals(services: &Services) -> Result<(), Failure> {
    let Some(signer) = &services.approvals.signer else {
        return Ok(());
    };
    let mut tx = services.database.global().await?;
    let unsigned = tx.approvals().unsigned(AT_ONCE).await?;
    tx.commit().await?;
    for id in unsigned {
        let mut tx = services.database.global().await?;
        let approval = tx.approvals().get(id).await?;
        tx.commit().await?;
        let Some(record) = approval.and_then(|approval| approval.record()) else {
            continue;
        };
        let signature = signer.sign_for(SigningPurpose::Approval, &record).await;
        let signature = signature.map_err(Failure::retry)?;
        let signed = ApprovalSignature { record, signature };
        let mut tx = services.database.global().await?;
        tx.approvals().put_signature(id, &signed).await?;
        tx.commit().await?;
    }
    Ok(())
}
