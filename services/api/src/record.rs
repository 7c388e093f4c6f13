//! What follows the proof of a wallet: [`RegistryRecord`] writes to the registry and stores a job; here the job is noted, so that its message
//! is published as soon as the transaction is committed and roles follow within seconds.

use arrakis_contracts::JobKind;
use arrakis_verification::{
    Account, MoveRequest, ProvenWallet, RecordVerification, Recorded, RegistryRecord, SessionTx, VerificationError,
};
use async_trait::async_trait;

use crate::jobs::{self, StoredJob};

/// [`RegistryRecord`], whose jobs are noted.
#[derive(Debug, Default)]
pub(crate) struct NotingRecord(RegistryRecord);

fn note(tx: &SessionTx, id: String) {
    let community = match tx {
        SessionTx::Community(tx) => Some(tx.community_id()),
        SessionTx::Platform(_) => None,
    };
    jobs::note(StoredJob {
        id,
        kind: JobKind::Verification,
        community,
    });
}

#[async_trait]
impl RecordVerification for NotingRecord {
    async fn record(&self, tx: &mut SessionTx, wallet: &ProvenWallet) -> Result<Recorded, VerificationError> {
        let recorded = self.0.record(tx, wallet).await?;
        if recorded == Recorded::Written {
            note(tx, format!("verification:{}", wallet.session));
        }
        Ok(recorded)
    }

    async fn record_move(
        &self,
        tx: &mut SessionTx,
        wallet: &ProvenWallet,
        from: Account,
    ) -> Result<Recorded, VerificationError> {
        let recorded = self.0.record_move(tx, wallet, from).await?;
        if recorded == Recorded::Written {
            note(tx, format!("verification:{}", wallet.session));
        }
        Ok(recorded)
    }

    async fn request_consent(&self, tx: &mut SessionTx, request: &MoveRequest) -> Result<(), VerificationError> {
        self.0.request_consent(tx, request).await?;
        note(tx, format!("verification:{}:consent", request.session));
        Ok(())
    }
}
