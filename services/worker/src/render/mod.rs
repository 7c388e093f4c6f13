//! Replies as members see them: from domain data to embeds and buttons.
//!
//! Owns the words, the colours of the theme, and how amounts, ranks and times are written. Refuses to fetch anything: every
//! function is pure, so that each answer has its snapshot. Every answer ends with a clear next step and says as of when
//! it holds.
//!
//! To add an answer: a file with a view (what it shows) and a function from it to an embed, with its snapshots.

pub mod help;
pub mod leaderboard;
pub mod position;
pub mod profile;
pub mod stats;
pub mod text;
pub mod threshold;

use arrakis_domain::{Color, Ladder, Theme};
use time::{Duration, OffsetDateTime};
use twilight_model::util::Timestamp;
use twilight_util::builder::embed::{EmbedBuilder, EmbedFieldBuilder, EmbedFooterBuilder};

/// What every answer of a community is drawn with.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The community's theme.
    pub theme: &'a Theme,
    /// The rule set that its members are measured by.
    pub ladder: &'a Ladder,
    /// Symbol of its token: `BGT`.
    pub symbol: &'a str,
    /// As of when the ranking holds.
    pub freshness: Freshness,
}

/// As of when the ranking holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Read within the configured age.
    Fresh(OffsetDateTime),
    /// Older: syncs have failed or have not run.
    Stale(OffsetDateTime),
    /// Never read.
    Never,
}

impl Freshness {
    /// From the last success of the sync.
    pub fn new(synced_at: Option<OffsetDateTime>, now: OffsetDateTime, longest: Duration) -> Self {
        match synced_at {
            None => Self::Never,
            Some(at) if now - at > longest => Self::Stale(at),
            Some(at) => Self::Fresh(at),
        }
    }

    /// What a member must know before believing the numbers.
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

impl Scene<'_> {
    /// An embed of a title and paragraphs, in a colour, with the theme's small print and the time of the ranking.
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
            Freshness::Fresh(at) | Freshness::Stale(at) => (format!("{footer} · ranking as of"), Some(at)),
        };
        let embed = EmbedBuilder::new()
            .color(color.rgb())
            .title(text::cut(title, text::TITLE))
            .description(text::cut(&description, text::DESCRIPTION))
            .footer(EmbedFooterBuilder::new(footer));
        match at.and_then(|at| Timestamp::from_secs(at.unix_timestamp()).ok()) {
            Some(at) => embed.timestamp(at),
            None => embed,
        }
    }
}

/// A field over the whole width.
fn wide(name: &str, value: &str) -> EmbedFieldBuilder {
    EmbedFieldBuilder::new(text::cut(name, text::TITLE), text::cut(value, text::FIELD))
}

/// A field beside others.
fn narrow(name: &str, value: &str) -> EmbedFieldBuilder {
    wide(name, value).inline()
}

/// What to do next, always the last field.
fn next_step(what: &str) -> EmbedFieldBuilder {
    wide("What next", what)
}

#[cfg(test)]
pub(crate) mod samples {
    //! Themes and times that the snapshots are drawn with.

    use std::sync::Arc;

    use arrakis_domain::{Balance, Rank, Standing, Theme};
    use arrakis_themes::Registry;
    use time::macros::datetime;

    use super::*;

    pub(crate) const SYNCED: OffsetDateTime = datetime!(2026-08-01 12:00:00 UTC);

    pub(crate) fn theme(id: &str) -> Arc<Theme> {
        Arc::clone(Registry::load(None).unwrap().theme(id).unwrap())
    }

    pub(crate) fn scene(theme: &Theme) -> Scene<'_> {
        let ladder = theme.ladder(None).unwrap();
        Scene {
            theme,
            ladder,
            symbol: "BGT",
            freshness: Freshness::Fresh(SYNCED),
        }
    }

    pub(crate) fn balance(text: &str) -> Balance {
        text.parse().unwrap()
    }

    pub(crate) fn standing(rank: u32, held: &str) -> Standing {
        Standing::new(Rank::new(rank), balance(held))
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{SYNCED, scene, theme};
    use super::*;

    #[test]
    fn freshness_turns_at_the_configured_age() {
        let longest = Duration::hours(7);
        let at = |age| Freshness::new(Some(SYNCED), SYNCED + age, longest);
        assert_eq!(at(Duration::hours(7)), Freshness::Fresh(SYNCED));
        assert_eq!(at(Duration::hours(7) + Duration::SECOND), Freshness::Stale(SYNCED));
        assert_eq!(Freshness::new(None, SYNCED, longest), Freshness::Never);
    }

    #[test]
    fn old_numbers_say_so() {
        let theme = theme("sietch");
        let told = |freshness| {
            let embed = Scene {
                freshness,
                ..scene(&theme)
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
            told(Freshness::Fresh(SYNCED)),
            ("Numbers.".into(), "Water is life · ranking as of".into(), true)
        );
        let (description, _, dated) = told(Freshness::Stale(SYNCED));
        assert_eq!(
            description,
            "Numbers.\n\n⚠️ The ranking was last read <t:1785585600:R>. What happened since is not in it."
        );
        assert!(dated);
        let (description, footer, dated) = told(Freshness::Never);
        assert!(description.contains("has not been read yet"));
        assert_eq!((footer.as_str(), dated), ("Water is life", false));
    }
}
