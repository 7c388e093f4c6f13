//! `/stats`: counts of members, tiers and wallets of the community.

use std::collections::BTreeMap;

use arrakis_domain::{EntryThreshold, TierId};
use twilight_model::channel::message::Embed;

use super::{RenderContext, full_field, inline_field, next_step, text, threshold};

/// The data that `/stats` shows.
#[derive(Debug, Clone)]
pub struct StatsView<'a> {
    /// Name of the community.
    pub community: &'a str,
    /// Members in the server.
    pub members: u32,
    /// Members with a verified wallet.
    pub verified: u32,
    /// Members by tier, without members who have none.
    pub by_tier: &'a BTreeMap<TierId, u32>,
    /// Wallets in the ranking, also of owners who are not in the server.
    pub wallets: u32,
    /// The holding that entry requires.
    pub entry: EntryThreshold,
}

/// Renders the counts.
pub fn embed(context: &RenderContext<'_>, stats: &StatsView<'_>) -> Embed {
    let words = &context.theme.words;
    let members = text::count(stats.members, &words.member, &words.members);
    let lead = format!(
        "**{}**\n{members}, {} of them with a verified wallet ({} %).",
        text::name(stats.community),
        text::grouped(stats.verified),
        text::percent(stats.verified, stats.members),
    );
    context
        .embed(&words.stats, context.theme.accent, &[lead])
        .field(full_field("Tiers", &tiers(context, stats)))
        .field(inline_field("Ranked wallets", &text::grouped(stats.wallets)))
        .field(inline_field("Entry", &threshold::short_text(context, stats.entry)))
        .field(next_step(
            "`/position` shows where you stand, `/leaderboard` who leads.",
        ))
        .build()
}

/// One line for each tier, highest first, then one for members without a tier.
fn tiers(context: &RenderContext<'_>, stats: &StatsView<'_>) -> String {
    let held = |id: &TierId| stats.by_tier.get(id).copied().unwrap_or_default();
    let mut lines: Vec<String> = context
        .theme
        .tiers
        .iter()
        .map(|tier| format!("{} **{}** {}", tier.emoji, tier.name, text::grouped(held(&tier.id))))
        .collect();
    // Until the next sync, members with a tier of an earlier theme are counted as members without a tier.
    let known: u32 = context.theme.tiers.iter().map(|tier| held(&tier.id)).sum();
    lines.push(format!(
        "▫️ no tier {}",
        text::grouped(stats.members.saturating_sub(known))
    ));
    text::lines(&lines, text::FIELD)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{balance, context, theme};
    use super::super::{Freshness, samples};
    use super::*;

    fn by_tier(counts: &[(&str, u32)]) -> BTreeMap<TierId, u32> {
        counts
            .iter()
            .map(|(id, count)| (TierId::new(*id).unwrap(), *count))
            .collect()
    }

    #[test]
    fn sietch() {
        let theme = theme("sietch");
        let by_tier = by_tier(&[("naib", 7), ("fedaykin", 58), ("usul", 21), ("hajra", 1_034)]);
        let stats = StatsView {
            community: "Sietch Tabr",
            members: 1_312,
            verified: 1_268,
            by_tier: &by_tier,
            wallets: 4_321,
            entry: EntryThreshold::Holding {
                balance: balance("1234.5"),
            },
        };
        insta::assert_json_snapshot!(embed(&context(&theme), &stats));
    }

    #[test]
    fn empty_community_before_the_first_sync() {
        let theme = theme("basic");
        let stats = StatsView {
            community: "Carthag *Market*",
            members: 1,
            verified: 0,
            by_tier: &BTreeMap::new(),
            wallets: 0,
            entry: EntryThreshold::PlacesFree { free: 69 },
        };
        let context = RenderContext {
            freshness: Freshness::Never,
            ..samples::context(&theme)
        };
        insta::assert_json_snapshot!(embed(&context, &stats));
    }

    #[test]
    fn tier_of_an_earlier_theme_counts_as_none() {
        let theme = theme("basic");
        let by_tier = by_tier(&[("naib", 3), ("gold", 2)]);
        let stats = StatsView {
            community: "x",
            members: 5,
            verified: 5,
            by_tier: &by_tier,
            wallets: 5,
            entry: EntryThreshold::PlacesFree { free: 64 },
        };
        assert!(tiers(&context(&theme), &stats).ends_with("no tier 3"));
    }
}
