//! Rendering: from domain data to the embeds and buttons that members see.
//!
//! These modules define the texts, the colours from the theme, and the format of amounts, ranks and times. Every function is pure, so
//! each reply has snapshot tests. Every reply ends with a next step, and replies about the ranking state its age.
//!
//! To add a reply: a file with a view (the data that is shown) and a function from the view to an embed, with snapshots.

pub mod admin_badge;
pub mod admin_migrate;
pub mod admin_roles;
pub mod admin_stats;
pub mod admin_takeover;
pub mod admin_water_share;
pub mod alert;
pub mod alert_settings;
pub mod approval;
pub mod badges;
mod buttons;
pub mod check_eligibility;
pub mod consent;
pub mod directory;
pub mod gates;
pub mod help;
pub mod joined;
pub mod leaderboard;
pub mod mfa;
pub mod naib;
pub mod onboard;
pub mod position;
pub mod post_switches;
pub mod posts;
pub mod profile;
pub mod qr;
pub mod reconcile;
pub mod register_waitlist;
pub mod rules;
mod standing;
pub mod stats;
pub mod suspended;
pub mod synthesis;
pub mod text;
pub mod theme_grace;
pub mod threshold;
pub mod verified;
pub mod verify;
pub mod water_share;
pub mod welcome;

use arrakis_domain::{Color, Ladder, Theme};
use time::{Duration, OffsetDateTime};
use twilight_model::util::Timestamp;
use twilight_util::builder::embed::{EmbedBuilder, EmbedFieldBuilder, EmbedFooterBuilder};

/// What all replies of a community are rendered with.
#[derive(Debug, Clone, Copy)]
pub struct RenderContext<'a> {
    /// The community's theme.
    pub theme: &'a Theme,
    /// The tier rules by which the community's members are evaluated.
    pub ladder: &'a Ladder,
    /// Symbol of the community's token, such as `BGT`.
    pub symbol: &'a str,
    /// Age of the ranking.
    pub freshness: Freshness,
}

/// Age of the ranking: when it was last read from the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Read at this time, within the configured age.
    Fresh(OffsetDateTime),
    /// Read at this time, longer ago than the configured age.
    Stale(OffsetDateTime),
    /// Not read yet.
    Never,
}

impl Freshness {
    /// The age of a ranking that was last read at `synced_at`. It is stale if older than `stale_after`.
    pub fn new(synced_at: Option<OffsetDateTime>, now: OffsetDateTime, stale_after: Duration) -> Self {
        match synced_at {
            None => Self::Never,
            Some(at) if now - at > stale_after => Self::Stale(at),
            Some(at) => Self::Fresh(at),
        }
    }

    /// The warning for members about a ranking that is stale or missing.
    fn warning(self) -> Option<String> {
        match self {
            Self::Fresh(_) => None,
            Self::Stale(at) => Some(format!(
                "⚠️ The ranking was last read {}. What happened since is not in it.",
                text::ago(at)
            )),
            Self::Never => {
                Some("⚠️ The ranking has not been read yet; numbers follow after the first sync.".to_owned())
            }
        }
    }
}

impl RenderContext<'_> {
    /// An embed with title, colour and paragraphs, and with the theme's footer and the time of the ranking.
    fn embed(&self, title: &str, color: Color, paragraphs: &[String]) -> EmbedBuilder {
        let mut description = paragraphs.join("\n\n");
        if let Some(warning) = self.freshness.warning() {
            description = if description.is_empty() {
                warning
            } else {
                format!("{description}\n\n{warning}")
            };
        }
        let footer = &self.theme.words.footer;
        let (footer, at) = match self.freshness {
            Freshness::Never => (footer.clone(), None),
            Freshness::Fresh(at) | Freshness::Stale(at) => (format!("{footer} · time of the ranking"), Some(at)),
        };
        let embed = EmbedBuilder::new()
            .color(color.rgb())
            .title(text::truncate(title, text::TITLE))
            .description(text::truncate(&description, text::DESCRIPTION))
            .footer(EmbedFooterBuilder::new(footer));
        match at.and_then(|at| Timestamp::from_secs(at.unix_timestamp()).ok()) {
            Some(at) => embed.timestamp(at),
            None => embed,
        }
    }

    /// An embed with title, colour and paragraphs, and with the theme's footer, for a reply that does not depend on the ranking.
    fn embed_without_ranking(&self, title: &str, color: Color, paragraphs: &[String]) -> EmbedBuilder {
        EmbedBuilder::new()
            .color(color.rgb())
            .title(text::truncate(title, text::TITLE))
            .description(text::truncate(&paragraphs.join("\n\n"), text::DESCRIPTION))
            .footer(EmbedFooterBuilder::new(self.theme.words.footer.as_str()))
    }
}

/// A field over the whole width of the embed.
fn full_field(name: &str, value: &str) -> EmbedFieldBuilder {
    EmbedFieldBuilder::new(text::truncate(name, text::TITLE), text::truncate(value, text::FIELD))
}

/// A field beside other inline fields.
fn inline_field(name: &str, value: &str) -> EmbedFieldBuilder {
    full_field(name, value).inline()
}

/// The last field of every reply: what the member can do next.
fn next_step(what: &str) -> EmbedFieldBuilder {
    full_field("What next", what)
}

#[cfg(test)]
pub(crate) mod samples {
    //! Themes and times for the snapshot tests.

    use std::sync::Arc;

    use arrakis_domain::{Address, Balance, Rank, Standing, Theme};
    use arrakis_themes::Registry;
    use time::macros::datetime;

    use super::*;

    pub(crate) const SYNCED: OffsetDateTime = datetime!(2026-08-01 12:00:00 UTC);

    pub(crate) fn theme(id: &str) -> Arc<Theme> {
        Arc::clone(Registry::load(None).unwrap().theme(id).unwrap())
    }

    pub(crate) fn context(theme: &Theme) -> RenderContext<'_> {
        let ladder = theme.ladder(None).unwrap();
        RenderContext {
            theme,
            ladder,
            symbol: "BGT",
            freshness: Freshness::Fresh(SYNCED),
        }
    }

    pub(crate) fn balance(text: &str) -> Balance {
        text.parse().unwrap()
    }

    /// The wallet of this number.
    pub(crate) fn address(number: u8) -> Address {
        Address::from_bytes([number; 20])
    }

    pub(crate) fn standing(rank: u32, held: &str) -> Standing {
        Standing::new(Rank::new(rank), balance(held))
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{SYNCED, context, theme};
    use super::*;

    #[test]
    fn ranking_is_stale_after_the_configured_age() {
        let stale_after = Duration::hours(7);
        let at = |age| Freshness::new(Some(SYNCED), SYNCED + age, stale_after);
        assert_eq!(at(Duration::hours(7)), Freshness::Fresh(SYNCED));
        assert_eq!(at(Duration::hours(7) + Duration::SECOND), Freshness::Stale(SYNCED));
        assert_eq!(Freshness::new(None, SYNCED, stale_after), Freshness::Never);
    }

    #[test]
    fn stale_ranking_is_marked() {
        let theme = theme("sietch");
        let render = |freshness| {
            let embed = RenderContext {
                freshness,
                ..context(&theme)
            }
            .embed("Title", theme.accent, &["Numbers.".into()])
            .build();
            (
                embed.description.unwrap(),
                embed.footer.unwrap().text,
                embed.timestamp.is_some(),
            )
        };
        assert_eq!(
            render(Freshness::Fresh(SYNCED)),
            ("Numbers.".into(), "Water is life · time of the ranking".into(), true)
        );
        let (description, _, dated) = render(Freshness::Stale(SYNCED));
        assert_eq!(
            description,
            "Numbers.\n\n⚠️ The ranking was last read <t:1785585600:R>. What happened since is not in it."
        );
        assert!(dated);
        let (description, footer, dated) = render(Freshness::Never);
        assert!(description.contains("has not been read yet"));
        assert_eq!((footer.as_str(), dated), ("Water is life", false));
    }
}
