//! Verification of a wallet for an account: sessions, the checks of a presented signature in order, and the JSON of the page.
//!
//! [`Verification`] has one method for each request of the page ([`page`]), one for the command that begins a
//! session, and one for the button by which the holder of a wallet gives it up. What follows a proof is [`RecordVerification`]: it
//! writes to the identity registry and enqueues the job that assigns roles, in the transaction that uses the session's signature.
//!
//! Refuses, each with its own [`Refusal`]: unknown, ended, replaced and expired sessions, a second signature, every fault of
//! message and signature, and a wallet of another account, which moves with the consent of both sides. The token of a session
//! is a secret: only its digest is stored, and no error or log contains it.

mod account;
mod job;
mod link;
mod moving;
mod notice;
pub mod page;
mod record;
mod refusal;
mod registry_record;
mod start;
mod submit;
mod suspension;
mod token;
mod unlink;
mod verification;
mod view;

pub use arrakis_wallet::{Account, AccountNetwork, Origin, OriginError};
pub use job::{StoredJob, VerificationJob};
pub use moving::MoveAnswer;
pub use record::{MoveRequest, ProvenWallet, RecordRefusal, RecordVerification, Recorded, SessionTx, suspended_text};
pub use refusal::{Refusal, VerificationError};
pub use registry_record::RegistryRecord;
pub use start::{Interaction, NewSession, SESSION_LIFETIME, Started};
pub use submit::{Progress, ProgressState, Submission};
pub use token::SessionToken;
pub use unlink::Unlinking;
pub use verification::Verification;
pub use view::{AccountView, MessageView, SessionView};
