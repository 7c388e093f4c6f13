//! `/help`: the commands that a member can use.

use arrakis_domain::{Address, Color, Theme};
use twilight_model::channel::message::Embed;
use twilight_util::builder::embed::{EmbedBuilder, EmbedFooterBuilder};

use super::{full_field, next_step, text};

/// Colour, title and footer without a theme: in direct messages and in servers that are not onboarded.
const PLAIN_COLOR: Color = Color::from_rgb(0x58_65_f2);
const PLAIN_TITLE: &str = "What I can do";
const PLAIN_FOOTER: &str = "Arrakis";

/// A command in the list.
#[derive(Debug, Clone, Copy)]
pub struct HelpEntry<'a> {
    /// The command's name, without the slash.
    pub name: &'a str,
    /// The command's description.
    pub description: &'a str,
    /// Whether the member can use it in this server; others are not listed.
    pub usable: bool,
    /// The tier from which it is open in this community, as shown; `None`: open to every member.
    pub from: Option<&'a str>,
}

/// State of a member's verification, as far as it was read in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalletState {
    /// The member has this wallet.
    Verified(Address),
    /// The member has no verified wallet.
    NotVerified,
    /// It was not read.
    Unknown,
}

/// Renders the list. `theme` is `None` without a community; `can_set_up`: the member can use `/onboard`.
pub fn embed(theme: Option<&Theme>, commands: &[HelpEntry<'_>], wallet: WalletState, can_set_up: bool) -> Embed {
    let title = theme.map_or(PLAIN_TITLE, |theme| theme.words.help.as_str());
    let footer = theme.map_or(PLAIN_FOOTER, |theme| theme.words.footer.as_str());
    let color = theme.map_or(PLAIN_COLOR, |theme| theme.accent);
    let usable: Vec<String> = commands
        .iter()
        .filter(|command| command.usable)
        .map(|command| {
            let from = command
                .from
                .map(|tier| format!(" · from {tier} on"))
                .unwrap_or_default();
            format!("`/{}`{from}\n{}", command.name, command.description)
        })
        .collect();
    let next = match (theme, wallet) {
        (Some(_), WalletState::NotVerified) => text::LINK_A_WALLET,
        (Some(_), _) => "Start with `/position`: it shows where you stand.",
        (None, _) if can_set_up => "Run `/onboard` to set this server up.",
        (None, _) => "Ask an admin of your server to set the community up; then there is more to see here.",
    };
    let mut embed = EmbedBuilder::new()
        .color(color.rgb())
        .title(text::truncate(title, text::TITLE))
        .description(text::truncate(&usable.join("\n\n"), text::DESCRIPTION));
    if let Some(state) = wallet_text(wallet) {
        embed = embed.field(full_field("Your wallet", &state));
    }
    embed
        .field(next_step(next))
        .footer(EmbedFooterBuilder::new(footer))
        .build()
}

fn wallet_text(wallet: WalletState) -> Option<String> {
    match wallet {
        WalletState::Verified(address) => Some(format!("✅ `{}` is verified.", address.short())),
        WalletState::NotVerified => Some("Not verified yet.".to_owned()),
        WalletState::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{address, theme};
    use super::*;

    const COMMANDS: [HelpEntry<'_>; 3] = [
        HelpEntry {
            name: "position",
            description: "Where you stand",
            usable: true,
            from: None,
        },
        HelpEntry {
            name: "reconcile",
            description: "Repair roles",
            usable: false,
            from: None,
        },
        HelpEntry {
            name: "help",
            description: "What you can do here",
            usable: true,
            from: None,
        },
    ];

    #[test]
    fn in_a_community() {
        let verified = WalletState::Verified(address(1));
        insta::assert_json_snapshot!(embed(Some(&theme("sietch")), &COMMANDS, verified, false));
    }

    #[test]
    fn gate_of_a_command_is_shown_with_its_tier() {
        let gated = HelpEntry {
            from: Some("🟠 Ichwan"),
            ..COMMANDS[0]
        };
        let embed = embed(
            Some(&theme("sietch")),
            &[gated, COMMANDS[2]],
            WalletState::Unknown,
            false,
        );
        let description = embed.description.unwrap();
        assert_eq!(
            description,
            "`/position` · from 🟠 Ichwan on\nWhere you stand\n\n`/help`\nWhat you can do here"
        );
    }

    #[test]
    fn without_a_verified_wallet() {
        for id in ["sietch", "basic"] {
            let name = format!("without_a_verified_wallet_in_{id}");
            let embed = embed(Some(&theme(id)), &COMMANDS, WalletState::NotVerified, false);
            insta::assert_json_snapshot!(name, embed);
        }
    }

    #[test]
    fn without_a_community() {
        insta::assert_json_snapshot!(embed(None, &COMMANDS[2..], WalletState::Unknown, false));
    }

    #[test]
    fn who_can_set_the_server_up_is_referred_to_the_wizard() {
        let embed = embed(None, &COMMANDS[2..], WalletState::Unknown, true);
        let next = embed.fields.last().unwrap();
        assert_eq!(next.value, "Run `/onboard` to set this server up.");
    }
}
