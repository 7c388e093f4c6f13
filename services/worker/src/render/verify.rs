//! `/verify`: the link to the wallet page, the state of the verification, and unlinking a wallet.

use arrakis_domain::{Address, EntryThreshold, Standing};
use time::OffsetDateTime;
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};
use twilight_util::builder::embed::EmbedBuilder;

use super::suspended::{self, Suspended};
use super::{RenderContext, buttons, full_field, next_step, standing, text};

/// The command's name, the first segment of the custom ids of its buttons.
pub const NAME: &str = "verify";
/// Argument of the button that begins a verification.
pub const START: &str = "start";
/// Argument of a button that unlinks a wallet; the next argument is its address.
pub const UNLINK: &str = "unlink";
/// Argument of the button that keeps all wallets.
pub const KEEP: &str = "keep";
/// Argument of the button that puts the member on the waitlist.
pub const WAITLIST: &str = "waitlist";
/// Argument of the button that unlinks the Telegram account.
pub const SEPARATE: &str = "separate";
/// Argument of the buttons by which a holder answers; the next arguments are the session and the answer.
pub const CONSENT: &str = "consent";

/// A session that has begun.
#[derive(Debug, Clone, Copy)]
pub struct StartView<'a> {
    /// The link to the wallet page.
    pub link: &'a str,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// Whether an earlier link does not work any more.
    pub replaced: bool,
}

/// Renders the link to the wallet page.
pub fn start(context: &RenderContext<'_>, view: &StartView<'_>) -> (Embed, Vec<Component>) {
    let mut lead = vec![
        "Open the wallet page, choose your wallet, and sign one message. It shows that the wallet is yours, and your holding then \
         decides your place here."
            .to_owned(),
    ];
    if view.replaced {
        lead.push("Your earlier link does not work any more.".to_owned());
    }
    let safe = "You sign a text, not a transaction: nothing is moved or approved, and it costs nothing. The text names this \
                website, your Discord account and its end, so it is of no use elsewhere. The bot never needs your seed phrase or \
                private key.";
    let embed = context
        .embed_without_ranking(&context.theme.words.verify, context.theme.accent, &lead)
        .field(full_field("Why it is safe", safe))
        .field(full_field("Valid", &valid(view.expires_at)))
        .field(next_step(
            "Press the button below. On a phone, open the link in your wallet's browser. This message changes once you have signed.",
        ))
        .build();
    let open = buttons::link("Open the wallet page", view.link);
    (embed, buttons::rows(vec![open]))
}

fn valid(expires_at: OffsetDateTime) -> String {
    format!(
        "Until {} ({}), for one signature. The link is yours alone: do not pass it on.",
        text::time(expires_at),
        text::ago(expires_at)
    )
}

/// The button that begins a verification.
pub(super) fn start_button() -> Component {
    buttons::button("Verify wallet", format!("{NAME}:{START}"), ButtonStyle::Primary)
}

/// The button that unlinks the Telegram account.
pub(super) fn separate_button() -> Component {
    buttons::button("Unlink Telegram", format!("{NAME}:{SEPARATE}"), ButtonStyle::Danger)
}

/// A wallet that is linked to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletView {
    /// Its address.
    pub address: Address,
    /// Whether it is the one that counts.
    pub is_primary: bool,
    /// When its owner proved it.
    pub verified_at: OffsetDateTime,
}

/// How far an open session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStage {
    /// It waits for a signature.
    Open,
    /// It is signed, and another account holds the wallet.
    HeldByAnother,
    /// The holder of the wallet was asked.
    AwaitingConsent,
}

/// The state of a member's verification.
#[derive(Debug, Clone, Copy)]
pub struct StatusView<'a> {
    /// The wallets, in the order of their verification.
    pub wallets: &'a [WalletView],
    /// The suspension of the member's identity; `None` without one.
    pub suspended: Option<Suspended>,
    /// Rank and holding of the primary wallet.
    pub standing: Standing,
    /// The holding that entry requires.
    pub entry: EntryThreshold,
    /// The open session with its end.
    pub session: Option<(SessionStage, OffsetDateTime)>,
    /// The Telegram account of the member's identity.
    pub telegram: Option<i64>,
}

/// Renders the state of the verification.
pub fn status(context: &RenderContext<'_>, view: &StatusView<'_>) -> (Embed, Vec<Component>) {
    let title = &context.theme.words.verify;
    let session = view
        .session
        .map(|(stage, end)| full_field("In progress", &session_text(stage, end)));
    if let Some(suspended) = view.suspended {
        let mut embed = context.embed_without_ranking(title, context.theme.accent, &[suspended.text()]);
        if !view.wallets.is_empty() {
            embed = embed.field(full_field("Wallets", &wallet_lines(view.wallets)));
        }
        return (embed.field(next_step(suspended::NEXT)).build(), Vec::new());
    }
    if view.wallets.is_empty() {
        let lead = "No wallet is linked to you yet.".to_owned();
        let mut embed = context.embed_without_ranking(title, context.theme.accent, &[lead]);
        if let Some(session) = session {
            embed = embed.field(session);
        }
        let (embed, unlink) = with_telegram(embed, view.telegram);
        let embed = embed.field(next_step(text::LINK_A_WALLET)).build();
        return (
            embed,
            buttons::rows([start_button()].into_iter().chain(unlink).collect()),
        );
    }
    let tier = context.ladder.tier_of(view.standing);
    let lead = standing::lead(context, view.standing);
    let mut embed = context
        .embed(title, context.theme.color_of(tier), &[lead])
        .field(full_field("Wallets", &wallet_lines(view.wallets)))
        .field(standing::missing_field(context, view.standing, view.entry));
    if let Some(session) = session {
        embed = embed.field(session);
    }
    let next = match view.standing.rank {
        Some(_) => {
            "`/position` shows your neighbours, `/verify start` links a further wallet, `/verify unlink` removes one."
        }
        None => {
            "`/threshold` shows what entry takes now, `/verify start` links a further wallet, `/verify unlink` removes one."
        }
    };
    let (embed, unlink) = with_telegram(embed, view.telegram);
    let buttons = buttons::rows(unlink.into_iter().collect());
    (embed.field(next_step(next)).build(), buttons)
}

/// Adds the linked Telegram account, and returns the button that unlinks it.
fn with_telegram(embed: EmbedBuilder, telegram: Option<i64>) -> (EmbedBuilder, Option<Component>) {
    match telegram {
        Some(id) => {
            let field = full_field("Telegram", &format!("The Telegram account {id} is linked to you."));
            (embed.field(field), Some(separate_button()))
        }
        None => (embed, None),
    }
}

fn wallet_lines(wallets: &[WalletView]) -> String {
    let line = |wallet: &WalletView| {
        let primary = if wallet.is_primary { ", your primary wallet" } else { "" };
        format!(
            "✅ `{}` verified {}{primary}",
            wallet.address.short(),
            text::date(wallet.verified_at)
        )
    };
    let lines: Vec<String> = wallets.iter().map(line).collect();
    text::lines(&lines, text::FIELD)
}

fn session_text(stage: SessionStage, end: OffsetDateTime) -> String {
    let end = text::ago(end);
    match stage {
        SessionStage::Open => {
            format!("Your link waits for a signature; it ends {end}. `/verify start` makes a new one.")
        }
        SessionStage::HeldByAnother => format!(
            "You have signed with a wallet that is linked to another account. On the wallet page you can request to move it; the \
             link ends {end}."
        ),
        SessionStage::AwaitingConsent => {
            format!(
                "The account that holds the wallet was asked to give it up; it can answer until the link ends, {end}."
            )
        }
    }
}

/// Renders the question which wallet to unlink.
pub fn unlink(context: &RenderContext<'_>, wallets: &[WalletView]) -> (Embed, Vec<Component>) {
    let lead = "Which wallet do you want to unlink? The roles that depend on it end within seconds. It cannot be undone: to link \
                the wallet again, you sign again."
        .to_owned();
    let embed = context
        .embed_without_ranking(&context.theme.words.verify, context.theme.accent, &[lead])
        .field(full_field("Wallets", &wallet_lines(wallets)))
        .field(next_step("Press a button below."))
        .build();
    let mut choices: Vec<Component> = wallets
        .iter()
        .map(|wallet| {
            let id = format!("{NAME}:{UNLINK}:{}", wallet.address);
            buttons::button(format!("Unlink {}", wallet.address.short()), id, ButtonStyle::Danger)
        })
        .collect();
    choices.push(buttons::button(
        "Keep",
        format!("{NAME}:{KEEP}"),
        ButtonStyle::Secondary,
    ));
    (embed, buttons::rows(choices))
}

/// Renders that a wallet was unlinked. `primary` is the wallet that counts from now on.
pub fn unlinked(context: &RenderContext<'_>, address: Address, primary: Option<Address>) -> Embed {
    let mut lead = vec![format!("`{}` is not linked to you any more.", address.short())];
    lead.push(match primary {
        Some(primary) => format!(
            "`{}` is your primary wallet now; your roles follow within seconds.",
            primary.short()
        ),
        None => "No other wallet is linked to you. The roles that depend on a wallet end within seconds.".to_owned(),
    });
    context
        .embed_without_ranking(&context.theme.words.verify, context.theme.accent, &lead)
        .field(next_step(
            "`/verify start` links a wallet, `/verify status` shows your wallets.",
        ))
        .build()
}

/// Renders that all wallets were kept.
pub fn kept(context: &RenderContext<'_>) -> Embed {
    let lead = "Nothing was changed.".to_owned();
    context
        .embed_without_ranking(&context.theme.words.verify, context.theme.accent, &[lead])
        .field(next_step("`/verify status` shows your wallets."))
        .build()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{SYNCED, address, balance, context, standing, theme};
    use super::*;

    fn entry() -> EntryThreshold {
        EntryThreshold::Holding {
            balance: balance("1234.5"),
        }
    }

    fn wallets() -> [WalletView; 2] {
        [
            WalletView {
                address: address(1),
                is_primary: true,
                verified_at: SYNCED,
            },
            WalletView {
                address: address(2),
                is_primary: false,
                verified_at: SYNCED,
            },
        ]
    }

    fn status_of(theme_id: &str, view: &StatusView<'_>) -> (Embed, Vec<Component>) {
        let theme = theme(theme_id);
        status(&context(&theme), view)
    }

    #[test]
    fn link_in_both_themes() {
        for id in ["sietch", "basic"] {
            let theme = theme(id);
            let view = StartView {
                link: "https://verify.example.org/verify/secret",
                expires_at: SYNCED,
                replaced: id == "basic",
            };
            insta::assert_json_snapshot!(format!("link_in_{id}"), start(&context(&theme), &view));
        }
    }

    #[test]
    fn status_of_a_verified_member() {
        let view = StatusView {
            wallets: &wallets(),
            suspended: None,
            standing: standing(42, "2500.75"),
            entry: entry(),
            session: Some((SessionStage::Open, SYNCED)),
            telegram: None,
        };
        for id in ["sietch", "basic"] {
            insta::assert_json_snapshot!(format!("status_in_{id}"), status_of(id, &view));
        }
    }

    #[test]
    fn status_of_a_member_with_a_telegram_account() {
        let view = StatusView {
            wallets: &wallets(),
            suspended: None,
            standing: standing(42, "2500.75"),
            entry: entry(),
            session: None,
            telegram: Some(5_000_000_000),
        };
        insta::assert_json_snapshot!(status_of("sietch", &view));
    }

    #[test]
    fn status_of_a_suspended_member_offers_nothing_that_is_refused() {
        for wallets in [&wallets()[..], &[]] {
            let view = StatusView {
                wallets,
                suspended: Some(Suspended { until: None }),
                standing: standing(42, "2500.75"),
                entry: entry(),
                session: Some((SessionStage::Open, SYNCED)),
                telegram: Some(5_000_000_000),
            };
            let (embed, buttons) = status_of("sietch", &view);
            assert_eq!(
                embed.description.unwrap(),
                "Your account is suspended here: no tier, no roles, and wallets cannot change."
            );
            assert_eq!(embed.fields.last().unwrap().value, "Contact the admins of the server.");
            assert!(embed.fields.iter().all(|field| !field.value.contains("/verify")));
            assert!(buttons.is_empty());
        }
    }

    #[test]
    fn unranked_member_is_not_sent_to_neighbours() {
        let view = StatusView {
            wallets: &wallets(),
            suspended: None,
            standing: standing(0, "0"),
            entry: entry(),
            session: None,
            telegram: None,
        };
        let (embed, _) = status_of("sietch", &view);
        let next = &embed.fields.last().unwrap().value;
        assert!(
            next.starts_with("`/threshold`") && !next.contains("neighbours"),
            "{next}"
        );
    }

    #[test]
    fn status_without_a_wallet() {
        let view = StatusView {
            wallets: &[],
            suspended: None,
            standing: standing(0, "0"),
            entry: entry(),
            session: Some((SessionStage::AwaitingConsent, SYNCED)),
            telegram: None,
        };
        for id in ["sietch", "basic"] {
            insta::assert_json_snapshot!(format!("status_without_a_wallet_in_{id}"), status_of(id, &view));
        }
    }

    #[test]
    fn unlinking_in_both_themes() {
        for id in ["sietch", "basic"] {
            let theme = theme(id);
            let context = context(&theme);
            let question = unlink(&context, &wallets());
            let results = (
                unlinked(&context, address(1), Some(address(2))),
                unlinked(&context, address(2), None),
                kept(&context),
            );
            insta::assert_json_snapshot!(format!("unlinking_in_{id}"), (question, results));
        }
    }

    #[test]
    fn twenty_wallets_fit_in_five_rows() {
        let theme = theme("sietch");
        let many: Vec<WalletView> = (1..=20)
            .map(|number| WalletView {
                address: address(number),
                is_primary: number == 1,
                verified_at: SYNCED,
            })
            .collect();
        let (embed, rows) = unlink(&context(&theme), &many);
        assert_eq!(rows.len(), 5);
        assert!(!embed.fields[0].value.contains("more"), "{}", embed.fields[0].value);
    }
}
