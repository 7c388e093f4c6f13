//! A Telegram account that has joined a member's identity, and what undoes it. Sent to the member alone, and the same in all themes.

use arrakis_domain::{Address, Color};
use twilight_model::channel::message::{Component, Embed};
use twilight_util::builder::embed::{EmbedBuilder, EmbedFooterBuilder};

use super::verify::separate_button;
use super::{buttons, full_field, next_step};

/// Amber, as for every question.
const COLOR: Color = Color::from_rgb(0xe6_9f_00);

/// Renders that a Telegram account has joined.
pub fn joined(telegram_user: u64, address: Address) -> (Embed, Vec<Component>) {
    let lead = format!(
        "The Telegram account {telegram_user} has signed with your wallet `{}` and is linked to you now.",
        address.short()
    );
    let embed = plain("Telegram account linked", &lead)
        .field(full_field(
            "What it can do",
            "It sees your wallets with `/status` in Telegram, and can link further ones. It cannot remove your wallets.",
        ))
        .field(next_step(
            "Nothing, if the account is yours. Otherwise unlink it below, and move what the wallet holds to a new one: whoever \
             signed has its key.",
        ))
        .build();
    (embed, buttons::rows(vec![separate_button()]))
}

/// Renders that the accounts are separated.
pub fn separated() -> Embed {
    let lead = "Your Discord and your Telegram account are not linked to each other any more. The one that was linked first keeps the \
                wallets.";
    plain("Unlinked", lead)
        .field(next_step("In a server, `/verify status` shows your wallets."))
        .build()
}

/// Renders that there is nothing to separate.
pub fn not_joined() -> Embed {
    plain("Unlinked", "No Telegram account is linked to you.")
        .field(next_step("In a server, `/verify status` shows your wallets."))
        .build()
}

fn plain(title: &str, lead: &str) -> EmbedBuilder {
    EmbedBuilder::new()
        .color(COLOR.rgb())
        .title(title)
        .description(lead)
        .footer(EmbedFooterBuilder::new("Arrakis"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::address;
    use super::*;

    #[test]
    fn message_and_what_follows_its_button() {
        insta::assert_json_snapshot!((joined(5_000_000_000, address(1)), separated(), not_joined()));
    }
}
