//! The welcome of a member who joins without a verified wallet.

use arrakis_domain::Theme;
use twilight_model::channel::message::{Component, Embed};
use twilight_util::builder::embed::{EmbedBuilder, EmbedFooterBuilder};

use super::{buttons, full_field, next_step, text, verify};

/// Renders the welcome. The button works for whoever presses it, for as long as the message exists.
pub fn embed(theme: &Theme, community: &str, symbol: &str) -> (Embed, Vec<Component>) {
    let words = &theme.words;
    let lead = format!(
        "**{}** is a place for holders of {}. Your place among the {} follows from what your wallet holds.",
        text::name(community),
        text::name(symbol),
        words.members
    );
    let embed = EmbedBuilder::new()
        .color(theme.accent.rgb())
        .title(text::truncate(&words.welcome, text::TITLE))
        .description(text::truncate(&lead, text::DESCRIPTION))
        .field(full_field(
            "Verify your wallet",
            "One signature on our own page shows that the wallet is yours. No transaction, no cost, and never your seed phrase.",
        ))
        .field(next_step("Press the button below, or run `/verify start` whenever you like. `/help` shows everything else."))
        .footer(EmbedFooterBuilder::new(words.footer.as_str()))
        .build();
    (embed, buttons::rows(vec![verify::start_button()]))
}

#[cfg(test)]
mod tests {
    use super::super::samples::theme;
    use super::*;

    #[test]
    fn welcome_in_both_themes() {
        for id in ["sietch", "basic"] {
            insta::assert_json_snapshot!(format!("welcome_in_{id}"), embed(&theme(id), "Sietch Tabr", "BGT"));
        }
    }

    #[test]
    fn symbol_of_the_token_is_escaped() {
        let (embed, _) = embed(&theme("basic"), "Sietch Tabr", "[X](https://x)");
        let description = embed.description.unwrap();
        assert!(
            description.contains(r"holders of \[X\]\(https\://x\)."),
            "{description}"
        );
    }
}
