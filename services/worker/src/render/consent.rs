//! The question to the account that holds a wallet which another account has signed with, and what follows its answer. It is sent to
//! the holder alone and is the same in all themes: the two accounts may have no community in common.

use arrakis_domain::{Address, Color};
use time::OffsetDateTime;
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};
use twilight_util::builder::embed::{EmbedBuilder, EmbedFooterBuilder};
use uuid::Uuid;

use super::verify::{CONSENT, NAME};
use super::{buttons, full_field, next_step, text};

/// The answer that moves the wallet, as the last segment of the custom id.
pub const AGREE: &str = "agree";
/// The answer that keeps it.
pub const REFUSE: &str = "refuse";

/// Amber, as for every question.
const COLOR: Color = Color::from_rgb(0xe6_9f_00);

/// A request to move a wallet.
#[derive(Debug, Clone, Copy)]
pub struct ConsentView<'a> {
    /// The session of the account that requests it.
    pub session: Uuid,
    /// Name of that account.
    pub requester: &'a str,
    /// Its mention or other id, which it cannot choose.
    pub requester_id: &'a str,
    /// The wallet.
    pub address: Address,
    /// Until when an answer counts.
    pub expires_at: OffsetDateTime,
}

/// Renders the question.
pub fn question(view: &ConsentView<'_>) -> (Embed, Vec<Component>) {
    let lead = format!(
        "**{}** ({}) has signed with the wallet `{}`, which is linked to you, and requests to move it.",
        text::name(view.requester),
        view.requester_id,
        view.address.short()
    );
    let embed = plain("Move your wallet?", &lead)
        .field(full_field(
            "What follows",
            "If you agree, the wallet is linked to that account, and your roles that depend on it end. If you refuse or do not \
             answer, nothing changes.",
        ))
        .field(full_field(
            "Until",
            &format!("{} ({})", text::time(view.expires_at), text::ago(view.expires_at)),
        ))
        .field(next_step("Agree only if the account is yours or you know why it has your wallet's key."))
        .build();
    let id = |answer: &str| format!("{NAME}:{CONSENT}:{}:{answer}", view.session);
    let answers = vec![
        buttons::button("Move the wallet", id(AGREE), ButtonStyle::Danger),
        buttons::button("Keep it", id(REFUSE), ButtonStyle::Secondary),
    ];
    (embed, buttons::rows(answers))
}

/// Renders that the wallet was moved.
pub fn moved(address: Address) -> Embed {
    let lead = format!(
        "`{}` was moved. It is not linked to you any more, and your roles follow within seconds.",
        address.short()
    );
    plain("Moved", &lead)
        .field(next_step("In a server, `/verify status` shows your wallets."))
        .build()
}

/// Renders that the wallet stays.
pub fn kept() -> Embed {
    plain("Kept", "The wallet stays linked to you. The other account was refused.")
        .field(next_step(
            "Whoever signed has the key of your wallet. If you do not know the account, move what the wallet holds to a new one.",
        ))
        .build()
}

fn plain(title: &str, lead: &str) -> EmbedBuilder {
    EmbedBuilder::new()
        .color(COLOR.rgb())
        .title(title)
        .description(text::truncate(lead, text::DESCRIPTION))
        .footer(EmbedFooterBuilder::new("Arrakis"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{SYNCED, address};
    use super::*;

    #[test]
    fn question_and_answers() {
        let view = ConsentView {
            session: Uuid::from_u128(1),
            requester: "**Feyd** @everyone",
            requester_id: "<@8>",
            address: address(1),
            expires_at: SYNCED,
        };
        insta::assert_json_snapshot!((question(&view), moved(address(1)), kept()));
    }
}
