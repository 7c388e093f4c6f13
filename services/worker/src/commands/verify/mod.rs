//! `/verify start|status|unlink`: linking a wallet to a member by one signature on the wallet page.
//!
//! | file | handles |
//! |---|---|
//! | `start.rs` | `/verify start`, and the button of a welcome |
//! | `status.rs` | `/verify status` |
//! | `unlink.rs` | `/verify unlink` and its buttons |
//! | `consent.rs` | the buttons by which the holder of a wallet answers |
//! | `separate.rs` | the button that unlinks the Telegram account |
//!
//! The button that offers the waitlist does what `/register-waitlist` does.
//!
//! No process keeps a state: a session is a row, and the custom id of each button has what its press needs. What follows a signature
//! is the job `verification`.

mod consent;
mod separate;
mod start;
mod status;
mod unlink;

use std::time::Duration;

use arrakis_db::UserId;
use arrakis_db::registry::{Account, IdentityRecord};
use arrakis_verification::{RecordRefusal, Refusal as VerificationRefusal, Verification, VerificationError};
use twilight_util::builder::command::SubCommandBuilder;

use super::{
    Command, CommandContext, CommandScope, ComponentRule, Definition, ResponseMode, outdated_component,
    register_waitlist, suspension,
};
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult};
use crate::render::suspended::Suspended;
use crate::render::verify::{CONSENT, KEEP, NAME, SEPARATE, START, UNLINK, WAITLIST, WalletView};
use crate::services::Services;

/// Shortest time between two uses by one member. The number of sessions has its own limit.
const COOLDOWN: Duration = Duration::from_secs(5);

/// The command `/verify`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verify;

impl Command for Verify {
    fn definition(&self) -> Definition {
        Definition::new(NAME, "Link your wallet by one signature, see its state, or unlink it")
            .option(SubCommandBuilder::new("start", "Get a link to the wallet page"))
            .option(SubCommandBuilder::new(
                "status",
                "Your wallets, your place, and what is in progress",
            ))
            .option(SubCommandBuilder::new("unlink", "Unlink a wallet; your roles follow"))
            .cooldown(COOLDOWN)
            .always_open()
            .acts_as(&[(WAITLIST, crate::render::register_waitlist::NAME)])
            .component_rules(&[
                // Pressed on a public message, and answered for the member alone.
                ComponentRule {
                    argument: START,
                    response: ResponseMode::Deferred { ephemeral: true },
                    scope: CommandScope::Community,
                },
                // Pressed in a direct message.
                ComponentRule {
                    argument: CONSENT,
                    response: ResponseMode::DeferredUpdate,
                    scope: CommandScope::Anywhere,
                },
                // Pressed in a direct message, and in a server below `/verify status`.
                ComponentRule {
                    argument: SEPARATE,
                    response: ResponseMode::DeferredUpdate,
                    scope: CommandScope::Anywhere,
                },
            ])
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let subcommand = match &context.invocation.data {
            InvocationData::Command { options, .. } => options.subcommand(),
            _ => None,
        };
        match subcommand {
            Some("start") => start::run(context).await,
            Some("status") => status::run(context).await,
            Some("unlink") => unlink::show_choices(context).await,
            _ => Err(Refusal::new(
                "`/verify` alone does nothing.",
                "Run `/verify start`, `/verify status` or `/verify unlink`.",
            )
            .into()),
        }
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [START] => start::run(context).await,
            [UNLINK, address] => unlink::unlink(context, address).await,
            [KEEP] => unlink::keep(context),
            [CONSENT, session, answer] => consent::answer(context, session, answer).await,
            [SEPARATE] => separate::run(context).await,
            [WAITLIST] => register_waitlist::join(context).await,
            _ => Err(outdated_component().into()),
        }
    }
}

/// The verification, or the refusal of a worker that has none.
fn verification(services: &Services) -> Result<&Verification, Refusal> {
    services.verification.as_ref().ok_or_else(|| {
        Refusal::new(
            "Wallets cannot be verified here yet: the address of the wallet page is not configured.",
            "The operator of this bot has to set `VERIFY_BASE_URL`; `/health` of the worker names it, too.",
        )
    })
}

/// What follows an error of the verification: a refusal for the member, or a retry.
fn failed(error: VerificationError) -> CommandError {
    match error {
        VerificationError::Refused(VerificationRefusal::Registry(RecordRefusal::Suspended { until })) => {
            suspension::refusal(Suspended { until }).into()
        }
        VerificationError::Refused(refusal) => {
            Refusal::new(refusal.to_string(), "`/verify status` shows where you are.").into()
        }
        VerificationError::Database(error) => Failure::from(error).into(),
        VerificationError::Chain(error) => Failure::retry(error).into(),
        VerificationError::Signer(error) if error.is_transient() => Failure::retry(error).into(),
        VerificationError::Signer(error) => Failure::permanent(error).into(),
    }
}

/// The member's identity with its wallets; `None` if the member has never verified one.
async fn identity(context: &CommandContext<'_>, user: UserId) -> Result<Option<IdentityRecord>, CommandError> {
    let mut tx = context.tx().await?;
    Ok(tx.registry().by_account(Account::Discord(user)).await?)
}

/// The wallets that an identity holds.
fn wallets(record: Option<&IdentityRecord>) -> Vec<WalletView> {
    let held = record.into_iter().flat_map(IdentityRecord::held);
    held.map(|wallet| WalletView {
        address: wallet.address,
        is_primary: wallet.is_primary,
        verified_at: wallet.verified_at,
    })
    .collect()
}
