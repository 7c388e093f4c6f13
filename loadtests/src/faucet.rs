//! The faucet of the local chain of `./dev up`: a wallet claims or burns tokens, and a sync reads it into the ranking.

use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use arrakis_config::Secret;
use arrakis_db::{Admin, UserId};
use arrakis_domain::{Address, Balance, Standing, Zone, Zones};

use crate::platform::{Chain, Emulator, binaries};
use crate::print::note;
use crate::seed::{self, Plan, TOKEN_PROFILE};

/// Largest amount, in tokens.
const MAX_AMOUNT: u64 = 1_000_000_000_000;

/// What the faucet needs.
#[derive(Debug)]
pub struct Options<'a> {
    /// URL of anvil.
    pub chain: &'a str,
    /// The emulator, whose members are found by their names.
    pub emulator: &'a Emulator,
    /// URL of Postgres with the admin login.
    pub admin_url: &'a Secret,
    /// An address, a member's name or a member's Discord id.
    pub target: &'a str,
    /// Amount in tokens, such as `100` or `0.5`; a negative amount is burned.
    pub amount: &'a str,
}

/// Claims or burns, runs a sync, and prints the rank before and after. Returns whether the sync succeeded.
///
/// # Errors
/// When the amount is not one, the target has no wallet, or chain or database cannot be reached.
pub async fn run(options: &Options<'_>) -> anyhow::Result<bool> {
    let (is_burn, amount) = amount(options.amount)?;
    let admin = seed::connect(options.admin_url).await?;
    let wallet = wallet(options, &admin).await?;
    let chain = Chain::open(options.chain).await?;
    let before = standing(&admin, wallet).await?;
    if is_burn {
        let held = chain.holding(wallet).await;
        ensure!(
            amount <= held,
            "{wallet} holds {} BGT on the chain, less than {}",
            held.grouped(),
            amount.grouped()
        );
        chain.burn(wallet, amount).await;
    } else {
        chain.claim(wallet, amount).await;
    }
    let action = if is_burn { "burned" } else { "claimed" };
    note(&format!(
        "{wallet} {action} {} BGT; the sync reads the chain",
        amount.grouped()
    ));
    if !sync().await? {
        return Ok(false);
    }
    let after = standing(&admin, wallet).await?;
    crate::print::line(&format!("{}  {}", options.target, change(before, after)));
    Ok(true)
}

/// Whether a text is an amount to burn, and the amount.
fn amount(text: &str) -> anyhow::Result<(bool, Balance)> {
    let (is_burn, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let amount: Balance = digits
        .parse()
        .with_context(|| format!("`{text}` is not an amount of tokens, such as 100 or 0.5"))?;
    ensure!(!amount.is_zero(), "the amount is zero");
    ensure!(
        amount <= Balance::from_tokens(MAX_AMOUNT),
        "the amount is larger than {}",
        Balance::from_tokens(MAX_AMOUNT).grouped()
    );
    Ok((is_burn, amount))
}

/// The wallet of the target.
async fn wallet(options: &Options<'_>, admin: &Admin) -> anyhow::Result<Address> {
    let target = options.target.trim_start_matches('@');
    if target.starts_with("0x") {
        return holder(target);
    }
    let user = match target.parse::<u64>() {
        Ok(id) => id,
        Err(_) => user_named(options.emulator, target).await?,
    };
    let user = UserId::new(user)?;
    for (_, community) in admin.database().routes().await? {
        let mut tx = admin.tenant(community).await?;
        let profile = tx.profiles().by_user(user).await?;
        tx.rollback().await?;
        if let Some(wallet) = profile.and_then(|profile| profile.wallet) {
            return Ok(wallet);
        }
    }
    bail!("{target} has no verified wallet; give an address instead, or run /verify start as {target} first")
}

/// The address in a text, which may hold tokens.
fn holder(text: &str) -> anyhow::Result<Address> {
    let address = Address::parse_checked(text)?;
    ensure!(
        *address.as_bytes() != [0; 20],
        "the zero address holds no tokens: a transfer to it is a burn; give the address of a wallet"
    );
    Ok(address)
}

/// The Discord id of a member of any server by user name or display name, or of a newcomer of the seed.
async fn user_named(emulator: &Emulator, name: &str) -> anyhow::Result<u64> {
    let is_name = |text: &str| text.eq_ignore_ascii_case(name);
    for server in emulator.guilds().await? {
        for member in emulator.members(server.id).await? {
            let names = [
                &member["user"]["username"],
                &member["user"]["global_name"],
                &member["nick"],
            ];
            if names.into_iter().filter_map(|name| name.as_str()).any(is_name) {
                let id = member["user"]["id"].as_str().context("a member without an id")?;
                return Ok(id.parse()?);
            }
        }
    }
    let newcomers = Plan::new(1).newcomers;
    let newcomer = newcomers.iter().find(|newcomer| is_name(newcomer.name));
    let newcomer = newcomer
        .with_context(|| format!("no server has a member named {name}; give a name, a Discord id or an address"))?;
    Ok(newcomer.user)
}

async fn standing(admin: &Admin, wallet: Address) -> anyhow::Result<Standing> {
    let mut tx = admin.database().global().await?;
    let standing = tx.eligibility().standing(&TOKEN_PROFILE.parse()?, wallet).await?;
    tx.commit().await?;
    Ok(standing)
}

/// Runs `arrakis-worker eligibility sync` and waits for the end of the job. Its output is shown if it fails.
async fn sync() -> anyhow::Result<bool> {
    let mut command = tokio::process::Command::new(binaries()?.join("arrakis-worker"));
    command.args(["eligibility", "sync", TOKEN_PROFILE, "--wait"]);
    let output = command.stdin(Stdio::null()).output().await.context("arrakis-worker")?;
    if !output.status.success() {
        note(String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output.status.success())
}

/// Two standings in one line.
fn change(before: Standing, after: Standing) -> String {
    let rank = |standing: Standing| {
        let rank = standing.rank.map(|rank| format!("rank {}", rank.get()));
        rank.unwrap_or_else(|| "no rank".to_owned())
    };
    let zone = match Zones::STANDARD.zone_of(after.rank) {
        Zone::Council => "in the council",
        Zone::Eligible => "has a place",
        Zone::Waitlist => "on the waitlist's ranks",
        Zone::Outside => "outside",
    };
    format!(
        "{} → {}, holding {} → {} BGT, {zone}",
        rank(before),
        rank(after),
        before.balance.grouped(),
        after.balance.grouped()
    )
}

#[cfg(test)]
mod tests {
    use arrakis_domain::Rank;

    use super::*;

    #[test]
    fn amounts_are_tokens_and_negative_ones_are_burned() {
        assert_eq!(amount("100").unwrap(), (false, Balance::from_tokens(100)));
        assert_eq!(amount("-0.5").unwrap(), (true, "0.5".parse().unwrap()));
        for text in ["", "-", "0", "ten", "1000000000001", "--1"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn invalid_address_is_named_once() {
        let error = holder("0x12").unwrap_err();
        let text = arrakis_causes::causes(error.as_ref());
        assert_eq!(text.matches("0x12").count(), 1, "{text}");
    }

    #[test]
    fn zero_address_is_refused_with_the_reason() {
        let zero = format!("0x{}", "0".repeat(40));
        assert!(holder(&zero).unwrap_err().to_string().contains("zero address"));
        let wallet = format!("0x{}1", "0".repeat(39));
        assert_eq!(holder(&wallet).unwrap().to_string(), wallet);
    }

    #[test]
    fn change_names_rank_holding_and_zone() {
        let before = Standing::default();
        let after = Standing::new(Rank::new(70), Balance::from_tokens(1_234));
        assert_eq!(
            change(before, after),
            "no rank → rank 70, holding 0 → 1,234 BGT, on the waitlist's ranks"
        );
    }
}
