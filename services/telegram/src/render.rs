//! The texts that members read. They are sent without `parse_mode`, so that no name of a member becomes markup. Telegram still turns
//! addresses, mentions, commands and hashtags of a plain text into links: `name_without_links` prevents it in names.

use arrakis_contracts::telegram::{AccountStatus, ConsentOutcome, Requester, SessionProgress, UnlinkOutcome};
use time::OffsetDateTime;

/// Most characters of a name in a text.
const MAX_NAME: usize = 64;

/// The commands, for the menu and for `/help`.
pub(crate) const COMMANDS: [(&str, &str); 4] = [
    ("verify", "Link a wallet by one signature"),
    ("status", "Show your wallets and what is in progress"),
    ("unlink", "Unlink a wallet or the Discord account"),
    ("help", "Show what this bot does"),
];

/// A text on one line: control characters, line separators and marks that change the direction of the text are removed.
pub(crate) fn one_line(text: &str) -> String {
    let is_shown = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let name: String = text.chars().filter(is_shown).take(MAX_NAME).collect();
    name.trim().to_owned()
}

/// An address in short form, `0x1234…cdef`.
pub(crate) fn short(address: &str) -> String {
    match (address.get(..6), address.get(address.len().saturating_sub(4)..)) {
        (Some(first), Some(last)) if address.len() == 42 => format!("{first}…{last}"),
        _ => one_line(address),
    }
}

/// `12:15 UTC`.
fn clock(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{:02}:{:02} UTC", at.hour(), at.minute())
}

/// Reply to `/start`.
pub(crate) fn start() -> String {
    "This bot links your wallet to you: you sign one message on the wallet page. It is no transaction, moves nothing and costs nothing.\n\n\
     /verify links a wallet, /status shows your wallets."
        .to_owned()
}

/// Reply to `/help` and to a text that is no command.
pub(crate) fn help() -> String {
    let mut text = String::from("What you can do here:\n");
    for (name, description) in COMMANDS {
        text.push_str(&format!("\n/{name}: {description}"));
    }
    text.push_str("\n\nThe bot never needs your seed phrase or private key.");
    text
}

/// The link to the wallet page; in the text unless a button has it.
pub(crate) fn link(url: Option<&str>, expires_at: OffsetDateTime, replaced: bool) -> String {
    let mut text = match url {
        Some(url) => format!("Open the wallet page, choose your wallet, and sign one message:\n{url}"),
        None => "Open the wallet page by the button below, choose your wallet, and sign one message.".to_owned(),
    };
    text.push_str(
        "\n\nYou sign a text, not a transaction. It names the website, your Telegram account and its end, so it is of no use elsewhere.",
    );
    let end = clock(expires_at);
    text.push_str(&format!(
        "\n\nThe link is valid until {end}, for one signature. It is yours alone: do not pass it on. On a phone, open it in your \
         wallet's browser. This message changes once you have signed."
    ));
    if replaced {
        text.push_str("\n\nYour earlier link does not work any more.");
    }
    text
}

/// Reply to `/verify` after too many sessions; the next one may begin at `next_at`.
pub(crate) fn too_many(next_at: OffsetDateTime) -> String {
    format!(
        "You have requested many links in a short time. The next one is possible at {}.",
        clock(next_at)
    )
}

/// Reply while the api does not respond or refuses a request.
pub(crate) fn busy() -> String {
    "The service is busy. Nothing was changed: try again in a moment.".to_owned()
}

/// Reply after a request whose outcome is unknown.
pub(crate) fn uncertain() -> String {
    "It is not certain whether that was done; /status shows the state. You can try again in a moment.".to_owned()
}

/// Reply to `/verify` in a group.
pub(crate) fn private_only() -> String {
    "Wallets are linked in a private chat. Write to me there by the button below.".to_owned()
}

/// Reply to `/status`.
pub(crate) fn status(status: &AccountStatus) -> String {
    let mut text = wallets(status);
    if status.suspended {
        text.push_str("\n\n");
        text.push_str(&suspended(status.suspended_until));
    }
    if status.discord {
        text.push_str("\n\nYour Discord account is linked to this Telegram account: the wallets count for both.");
    } else if !status.suspended {
        text.push_str(
            "\n\nNo Discord account is linked. Verify the same wallet with /verify start in Discord to link it.",
        );
    }
    if let Some(session) = status.session.as_ref().filter(|_| !status.suspended) {
        text.push_str("\n\n");
        text.push_str(&progress(session));
    }
    if !status.suspended {
        text.push_str("\n\n/verify links a wallet.");
    }
    text
}

fn wallets(status: &AccountStatus) -> String {
    if status.wallets.is_empty() {
        return "No wallet is linked to you.".to_owned();
    }
    let mut text = String::from("Your wallets:");
    for wallet in &status.wallets {
        text.push_str("\n• ");
        text.push_str(&one_line(&wallet.address));
        if wallet.primary {
            text.push_str(", your primary wallet");
        }
        if let Some(chain) = wallet.chain_id {
            text.push_str(&format!(", a contract on chain {chain}"));
        }
    }
    text
}

fn progress(session: &SessionProgress) -> String {
    let end = clock(session.expires_at);
    match session.state.as_str() {
        "open" => format!("Your link waits for a signature until {end}."),
        "signed" => format!(
            "You have signed with a wallet of another account. On the wallet page you can request it until {end}."
        ),
        _ => format!("The account that holds the wallet was asked to give it up. It can answer until {end}."),
    }
}

/// Reply to `/unlink`, above its buttons.
pub(crate) fn unlink_what(status: &AccountStatus) -> String {
    if status.suspended {
        return suspended(status.suspended_until);
    }
    if status.discord {
        return "Your Discord and your Telegram account are linked. If you separate them, the account that was linked first keeps the \
                wallets; the other one keeps none. Single wallets are unlinked in Discord, with /verify unlink."
            .to_owned();
    }
    if status.wallets.is_empty() {
        return "No wallet is linked to you. /verify links one.".to_owned();
    }
    "Which wallet do you want to unlink? To link it again, you sign again.".to_owned()
}

/// Result of unlinking a wallet.
pub(crate) fn unlinked(address: &str, outcome: UnlinkOutcome) -> String {
    let wallet = short(address);
    match outcome {
        UnlinkOutcome::Done | UnlinkOutcome::Already => format!("{wallet} is not linked to you any more."),
        UnlinkOutcome::VerifiedAgain => {
            format!("{wallet} was verified again after this question, and stays linked to you. /unlink unlinks it.")
        }
        UnlinkOutcome::Suspended => suspended(None),
        UnlinkOutcome::InDiscord => {
            "A Discord account is linked to you. Unlink the wallet there, with /verify unlink.".to_owned()
        }
    }
}

/// Result of the button that separates the accounts, after a press whose effect is unknown and while they are linked.
pub(crate) fn separation_uncertain() -> String {
    "Your Discord and your Telegram account are linked. It is not certain whether an earlier press of this button still separates them. \
     /status shows the state, and /unlink separates them."
        .to_owned()
}

/// Result of separating the accounts by the button of this chat.
pub(crate) fn separated(outcome: UnlinkOutcome) -> String {
    match outcome {
        UnlinkOutcome::Done => {
            "Your Discord and your Telegram account are separated. /status shows what is linked to you.".to_owned()
        }
        UnlinkOutcome::Already | UnlinkOutcome::InDiscord | UnlinkOutcome::VerifiedAgain => {
            "No Discord account is linked to you.".to_owned()
        }
        UnlinkOutcome::Suspended => suspended(None),
    }
}

/// What a suspended member reads, with the end of the suspension if it has one.
pub(crate) fn suspended(until: Option<OffsetDateTime>) -> String {
    let until = until.map(|until| {
        format!(
            " until {} {}",
            until.to_offset(time::UtcOffset::UTC).date(),
            clock(until)
        )
    });
    format!(
        "Your account is suspended here{}: no tier, no roles, and wallets cannot change. Contact the admins of the server.",
        until.unwrap_or_default()
    )
}

/// Result of the button that changes nothing.
pub(crate) fn kept() -> String {
    "Nothing was changed. /status shows your wallets.".to_owned()
}

/// Result of a button that this build does not have.
pub(crate) fn outdated() -> String {
    "This button is of no use any more. /help shows what you can do.".to_owned()
}

/// Result of a session: the wallet is linked. `joined`: the account has joined the identity of a Discord account.
pub(crate) fn verified(address: &str, joined: bool) -> String {
    let mut text = format!("✅ {} is linked to you.", one_line(address));
    if joined {
        text.push_str(
            "\n\nIt was linked to your Discord account before, so this Telegram account belongs to it now. If that is not what you want, \
             /unlink separates them.",
        );
    }
    text.push_str("\n\n/status shows your wallets.");
    text
}

/// State of a session: the consent of the account that holds the wallet was requested.
pub(crate) fn consent_requested(address: &str) -> String {
    let wallet = short(address);
    format!(
        "You have signed with {wallet}, which is linked to another account. That account was asked to give it up; this message changes when it answers."
    )
}

/// Result of a session: the account that holds the wallet did not consent.
pub(crate) fn refused(address: &str) -> String {
    let wallet = short(address);
    format!("The account that holds {wallet} did not agree to move it. /verify links another wallet.")
}

/// The question to the account that holds a wallet, above its two buttons.
pub(crate) fn consent(requester: &Requester, address: &str, expires_at: OffsetDateTime) -> String {
    let (who, wallet, end) = (account(requester), short(address), clock(expires_at));
    format!(
        "{who} has signed with the wallet {wallet}, which is linked to you, and requests it.\n\nIf you agree, the wallet is linked to that \
         account. If you refuse or do not answer until {end}, nothing changes. Agree only if the account is yours or you know why it \
         has your wallet's key."
    )
}

/// Result of an answer to that question.
pub(crate) fn answered(outcome: &ConsentOutcome) -> String {
    match outcome {
        ConsentOutcome::Moved { address } => format!("{} was moved. It is not linked to you any more.", short(address)),
        ConsentOutcome::Kept => {
            "The wallet stays linked to you. Whoever signed has its key: if you do not know the account, move what the wallet holds to a \
             new one."
                .to_owned()
        }
        ConsentOutcome::Ended => "This request has ended: it was answered, withdrawn, or its time is over.".to_owned(),
        ConsentOutcome::Refused { message } => message.clone(),
    }
}

/// Notice that a Discord account has joined the identity, above the button that separates the two.
pub(crate) fn joined(discord: &Requester, address: &str) -> String {
    let (who, wallet) = (account(discord), short(address));
    format!(
        "{who} has signed with your wallet {wallet} and belongs to you now: your wallets count for it in Discord.\n\nIf the account is not \
         yours, separate it by the button below, and move what the wallet holds to a new one: whoever signed has its key."
    )
}

/// Notice that the accounts were separated in Discord.
pub(crate) fn separated_in_discord() -> String {
    "Your Discord account was separated from this Telegram account. /status shows what is linked to you.".to_owned()
}

/// An account by its name, which its owner chose, and its id, which the owner cannot choose.
fn account(account: &Requester) -> String {
    let network = if account.network == "discord" {
        "Discord"
    } else {
        "Telegram"
    };
    format!(
        "The {network} account “{}” ({})",
        name_without_links(&account.name),
        account.id
    )
}

/// A name within quotes, on one line, of which Telegram makes no link: a space without width follows each character that begins an
/// address, a mention, a command or a hashtag. Quotes within it do not end the quoted name.
fn name_without_links(name: &str) -> String {
    let mut shown = String::new();
    for letter in one_line(name).chars() {
        match letter {
            '“' | '”' | '„' | '"' => shown.push('\''),
            '.' | '@' | '/' | '#' | '$' => {
                shown.push(letter);
                shown.push('\u{200b}');
            }
            _ => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use arrakis_contracts::telegram::LinkedWallet;

    use super::*;

    #[test]
    fn hostile_name_stays_within_its_quotes_and_on_its_line() {
        let requester = Requester {
            network: "discord".to_owned(),
            id: 8,
            name: "Chani\n\nAgree now:\u{202e}\u{2028}x\u{0}".to_owned(),
        };
        let address = format!("0x{}", "ab".repeat(20));
        let text = consent(&requester, &address, OffsetDateTime::UNIX_EPOCH);
        assert!(
            text.starts_with("The Discord account “ChaniAgree now:x” (8) has signed with the wallet 0xabab…abab"),
            "{text}"
        );
        assert!(text.contains("until 00:00 UTC"), "{text}");
        let long = Requester {
            name: "🏜".repeat(5000),
            ..requester
        };
        assert!(consent(&long, &address, OffsetDateTime::UNIX_EPOCH).chars().count() < 1000);
    }

    #[test]
    fn name_with_an_address_and_a_mention_has_no_link() {
        let requester = Requester {
            network: "telegram".to_owned(),
            id: 8,
            name: "Requester” https://evil.example @admin /start".to_owned(),
        };
        let address = format!("0x{}", "ab".repeat(20));
        for text in [
            consent(&requester, &address, OffsetDateTime::UNIX_EPOCH),
            joined(&requester, &address),
        ] {
            for linked in ["://e", "evil.example", "@admin", "/start", "Requester”"] {
                assert!(!text.contains(linked), "{linked} in {text}");
            }
            let plain = text.replace('\u{200b}', "");
            assert!(
                plain.contains("“Requester' https://evil.example @admin /start” (8)"),
                "{plain}"
            );
        }
    }

    #[test]
    fn status_of_twenty_wallets_fits_in_a_message() {
        let wallet = |number: u8| LinkedWallet {
            address: format!("0x{}", format!("{number:02x}").repeat(20)),
            primary: number == 0,
            verified_event: number.into(),
            chain_id: Some(u64::MAX),
        };
        let full = AccountStatus {
            wallets: (0..20).map(wallet).collect(),
            discord: true,
            suspended: true,
            suspended_until: Some(OffsetDateTime::UNIX_EPOCH),
            session: Some(SessionProgress {
                state: "open".to_owned(),
                expires_at: OffsetDateTime::UNIX_EPOCH,
            }),
        };
        let text = status(&full);
        assert!(text.encode_utf16().count() < 4096, "{}", text.len());
        assert_eq!(text.matches("primary").count(), 1);
    }

    #[test]
    fn suspended_member_gets_the_end_and_no_advice_to_verify() {
        let suspended = AccountStatus {
            suspended: true,
            suspended_until: Some(OffsetDateTime::UNIX_EPOCH),
            ..AccountStatus::default()
        };
        let text = status(&suspended);
        assert!(
            text.contains("Your account is suspended here until 1970-01-01 00:00 UTC: no tier, no roles, and wallets cannot change."),
            "{text}"
        );
        assert!(!text.contains("/verify"), "{text}");
    }
}
