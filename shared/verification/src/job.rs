//! [`VerificationJob`]: the payload of jobs of kind `verification`, for the worker.

use arrakis_db::CommunityId;
use arrakis_domain::Address;
use arrakis_wallet::Account;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// What a job of kind `verification` does. Each step may run twice: it reads the current state of registry and session, and
/// its calls of Discord are repeatable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum VerificationJob {
    /// A wallet is recorded: evaluate the account in its communities, assign roles, edit the reply to `/verify start` with the
    /// session's interaction token, then delete the token.
    Recorded {
        /// The session.
        session: Uuid,
        /// The account.
        account: Account,
        /// The wallet.
        address: Address,
        /// The account that gave the wallet up: it loses the roles that depended on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        moved_from: Option<Account>,
        /// The Discord account whose identity `account` has joined: send it a message with a button that undoes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        joined: Option<Account>,
    },
    /// A member requests a wallet that another account holds: send the holder a message with two buttons. Their custom ids name
    /// the session; the press is passed to [`crate::Verification::answer_move`].
    RequestConsent {
        /// The session.
        session: Uuid,
        /// The account that requests the wallet, and has proven control of it.
        requester: Account,
        /// The requester's name.
        requester_name: String,
        /// The account that holds the wallet.
        holder: Account,
        /// The wallet.
        address: Address,
        /// End of the session: a button that is pressed later changes nothing.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// The two accounts of an identity were separated: evaluate the Discord account in its communities, since it has lost the
    /// identity, or wallets that the other account had verified.
    Separated {
        /// Id of the separation.
        separation: Uuid,
        /// The Discord account.
        account: Account,
    },
    /// A member unlinked a wallet: evaluate the account in its communities and remove the roles that depended on it.
    Unlinked {
        /// Id of the removal.
        removal: Uuid,
        /// The account.
        account: Account,
        /// The wallet.
        address: Address,
    },
}

/// A job that a request has stored. After the request, its message is published to the queue of verifications, so that the job
/// runs within a second. If the message is lost, the leader of the workers publishes it within 30 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredJob {
    /// Id of the job, as [`VerificationJob::id`] forms it.
    pub id: String,
    /// Its community; `None` for a job of the platform.
    pub community: Option<CommunityId>,
}

impl VerificationJob {
    /// Id of the job: one for each session and step.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Recorded { session, .. } => recorded_id(*session),
            Self::RequestConsent { session, .. } => consent_id(*session),
            Self::Unlinked { removal, .. } => format!("verification:unlinked:{removal}"),
            Self::Separated { separation, .. } => format!("verification:separated:{separation}"),
        }
    }
}

/// Id of the job that follows a recorded wallet.
pub(crate) fn recorded_id(session: Uuid) -> String {
    format!("verification:{session}")
}

/// Id of the job that sends the question to the holder of a wallet.
pub(crate) fn consent_id(session: Uuid) -> String {
    format!("verification:{session}:consent")
}

#[cfg(test)]
mod tests {
    use arrakis_wallet::AccountNetwork;
    use serde_json::json;

    use super::*;

    #[test]
    fn payload_of_an_earlier_build_still_decodes() {
        let session = Uuid::from_u128(1);
        let account = Account {
            network: AccountNetwork::Discord,
            id: 8,
        };
        let payload = json!({
            "step": "recorded",
            "session": "00000000-0000-0000-0000-000000000001",
            "account": "discord:8",
            "address": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        });
        let job = VerificationJob::Recorded {
            session,
            account,
            address: "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed".parse().unwrap(),
            moved_from: None,
            joined: None,
        };
        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
        assert_eq!(serde_json::from_value::<VerificationJob>(payload).unwrap(), job);
        let consent = json!({
            "step": "request_consent",
            "session": session,
            "requester": "telegram:42",
            "requester_name": "Chani",
            "holder": "discord:9",
            "address": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "expires_at": "2026-11-30T12:14:00Z",
        });
        let decoded: VerificationJob = serde_json::from_value(consent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&decoded).unwrap(), consent);
        assert_eq!(
            decoded.id(),
            "verification:00000000-0000-0000-0000-000000000001:consent"
        );
        let unlinked = json!({
            "step": "unlinked",
            "removal": session,
            "account": "discord:8",
            "address": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        });
        let decoded: VerificationJob = serde_json::from_value(unlinked.clone()).unwrap();
        assert_eq!(serde_json::to_value(&decoded).unwrap(), unlinked);
    }
}
