//! `/check-eligibility`: what a wallet holds now, read live, and the rank, zone and tier that this gives.

use std::time::Duration;

use arrakis_chain::Token;
use arrakis_db::TokenProfile;
use arrakis_db::registry::{Account, IdentityRecord};
use arrakis_domain::{Address, CheckedAddressError, EntryThreshold, Standing, Zones};
use arrakis_eligibility::Question;
use twilight_model::application::command::CommandOptionChoice;
use twilight_util::builder::command::StringBuilder;

use super::{Command, CommandContext, Definition, Feature, suggestions, suspension};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::eligibility_sync::token_standard;
use crate::render::check_eligibility::{self, EligibilityView};

/// Each use may be a request to the chain and to the score service.
const COOLDOWN: Duration = Duration::from_secs(10);
/// Longest text of the option: an address with white space around it.
const MAX_LENGTH: u16 = 64;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckEligibility;

/// What is read before the chain.
struct Stored {
    wallet: Address,
    own: bool,
    ranking: Standing,
    entry: EntryThreshold,
    profile: TokenProfile,
}

impl Command for CheckEligibility {
    fn definition(&self) -> Definition {
        let mut definition = Definition::new(
            "check-eligibility",
            "What a wallet holds right now, and the place and tier this gives",
        )
        .option(
            StringBuilder::new("wallet", "Address of a wallet, 0x…; yours when left out")
                .max_length(MAX_LENGTH)
                .autocomplete(true),
        )
        .features(&[Feature {
            key: "check-other-wallets",
            option: "wallet",
            label: "`/check-eligibility` of a named wallet",
        }]);
        definition.cooldown = COOLDOWN;
        definition
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let stored = read_stored(context, named_wallet(context)?).await?;
        let question = Question {
            chain_id: stored.profile.chain_id,
            token: Token {
                contract: stored.profile.contract,
                standard: token_standard(&stored.profile),
                ids: stored.profile.token_ids.clone(),
            },
            wallet: stored.wallet,
        };
        let reading = Box::pin(context.services.eligibility.answer(&question));
        let answer = context.without_tx(reading).await?;
        let view = EligibilityView {
            wallet: stored.wallet,
            own: stored.own,
            ranking: stored.ranking,
            entry: stored.entry,
            decimals: stored.profile.decimals,
            answer,
        };
        let embed = check_eligibility::embed(&context.render_context()?, &view);
        Ok(Reply::Message(message(embed, Vec::new())))
    }

    async fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        _: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        match own_wallets(context).await {
            Ok(wallets) => {
                let named = wallets.iter().map(|(address, name)| (address.as_str(), name.clone()));
                Ok(suggestions::matching(named, typed))
            }
            Err(CommandError::Failed(failure)) => Err(failure),
            Err(CommandError::Refused(_)) => Ok(Vec::new()),
        }
    }
}

/// The member's wallets, as addresses with names.
async fn own_wallets(context: &CommandContext<'_>) -> Result<Vec<(String, String)>, CommandError> {
    let user = user_id(context.invocation.author.id)?;
    let record = context
        .tx()
        .await?
        .registry()
        .by_account(Account::Discord(user))
        .await?;
    let held = record.iter().flat_map(IdentityRecord::held);
    Ok(held
        .map(|wallet| {
            let note = if wallet.is_primary {
                "your primary wallet"
            } else {
                "yours"
            };
            (
                wallet.address.to_string(),
                format!("{} ({note})", wallet.address.short()),
            )
        })
        .collect())
}

/// The wallet that the member named.
fn named_wallet(context: &CommandContext<'_>) -> Result<Option<Address>, Refusal> {
    let InvocationData::Command { options, .. } = &context.invocation.data else {
        return Ok(None);
    };
    let Some(text) = options.string("wallet").map(str::trim) else {
        return Ok(None);
    };
    Address::parse_checked(text).map(Some).map_err(|error| match error {
        CheckedAddressError::Malformed(_) => Refusal::new(
            "That is not the address of a wallet.",
            "An address is `0x` and 40 digits from 0 to 9 and a to f; copy it from your wallet.",
        ),
        CheckedAddressError::Checksum(_) => Refusal::new(
            "The checksum of that address is wrong, so a character is probably mistyped.",
            "Copy the address from your wallet again. Upper and lower case letters are its checksum.",
        ),
    })
}

async fn read_stored(context: &CommandContext<'_>, named: Option<Address>) -> Result<Stored, CommandError> {
    let token = &context.community()?.record.token_profile;
    let user = user_id(context.invocation.author.id)?;
    let suspended = suspension::of_member(context, user).await?;
    let mut tx = context.tx().await?;
    let member = tx.profiles().ranking_position(token, user, Zones::STANDARD).await?;
    if let Some(suspended) = suspended.filter(|_| named.is_none_or(|named| member.wallet == Some(named))) {
        return Err(suspension::refusal(suspended).into());
    }
    let wallet = named.or(member.wallet).ok_or_else(no_wallet)?;
    let own = member.wallet == Some(wallet);
    let ranking = if own {
        member.standing
    } else {
        tx.eligibility().standing(token, wallet).await?
    };
    let profile = tx.eligibility().token_profile(token).await?;
    let missing = || Failure::permanent(format!("the token profile {token} of the community does not exist"));
    Ok(Stored {
        wallet,
        own,
        ranking,
        entry: member.entry,
        profile: profile.ok_or_else(missing)?,
    })
}

fn no_wallet() -> Refusal {
    Refusal::new(
        "No verified wallet is linked to you here.",
        "Name one to check it: `/check-eligibility wallet:0x…`.",
    )
}
