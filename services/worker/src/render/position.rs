//! `/position`: the member's rank, holding and tier, and the distance to the next ones.

use arrakis_domain::{Address, Balance, EntryThreshold, Progress, Rank, Shortfall, Standing, Zone, Zones};
use twilight_model::channel::message::Embed;

use super::{RenderContext, full_field, inline_field, next_step, text, threshold};

/// The data that `/position` shows.
#[derive(Debug, Clone, Copy)]
pub struct PositionView {
    /// The member's wallet; `None` when none is verified.
    pub wallet: Option<Address>,
    /// Rank and holding.
    pub standing: Standing,
    /// The wallet one rank above.
    pub above: Option<Neighbour>,
    /// The wallet one rank below.
    pub below: Option<Neighbour>,
    /// The holding that entry requires.
    pub entry: EntryThreshold,
}

/// The wallet next to the member's in the ranking. It has no name, since its owner may not be in this community.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its rank.
    pub rank: Rank,
    /// Its balance.
    pub held: Balance,
}

/// Renders the position.
pub fn embed(context: &RenderContext<'_>, position: &PositionView) -> Embed {
    let title = &context.theme.words.position;
    let Some(wallet) = position.wallet else {
        let lead = "No verified wallet is linked to you here, so you have no place in the ranking.".to_owned();
        return context
            .embed(title, context.theme.accent, &[lead])
            .field(next_step(text::LINK_A_WALLET))
            .build();
    };
    let tier = context.ladder.tier_of(position.standing);
    let rank = match position.standing.rank {
        Some(rank) => format!("**Rank {}**", text::grouped(rank.get())),
        None => "**Not ranked**".to_owned(),
    };
    let held_tier = tier.map_or_else(|| "no tier yet".to_owned(), |tier| text::tier(context.theme, tier));
    let lead = format!("{rank} · {held_tier}\n{}", zone(context, position.standing.rank));
    let mut embed = context
        .embed(title, context.theme.color_of(tier), &[lead])
        .field(inline_field(
            "Holding",
            &text::held(position.standing.balance, context.symbol),
        ))
        .field(inline_field("Wallet", &format!("`{}`", wallet.short())));
    if let Some(progress) = context.ladder.progress(position.standing) {
        embed = embed.field(full_field(
            &format!("Next: {}", text::tier(context.theme, &progress.tier)),
            &progress_text(context, &progress),
        ));
    }
    embed = embed.field(full_field(
        "Entry",
        &threshold::distance_text(context, position.entry, position.standing),
    ));
    if let Some(above) = position.above {
        embed = embed.field(inline_field(
            "Above you",
            &above_text(context, position.standing, above),
        ));
    }
    if let Some(below) = position.below {
        embed = embed.field(inline_field(
            "Below you",
            &below_text(context, position.standing, below),
        ));
    }
    embed.field(next_step(next_step_text(position.standing))).build()
}

/// The zone of a rank, as a sentence.
pub(super) fn zone(context: &RenderContext<'_>, rank: Option<Rank>) -> String {
    let words = &context.theme.words;
    match Zones::STANDARD.zone_of(rank) {
        Zone::Council => format!("In the {}.", words.council),
        Zone::Eligible => "Among those who have a place.".to_owned(),
        Zone::Waitlist => format!("In the {} zone, next in line for a place.", words.waitlist),
        Zone::Outside => "Outside the ranks that have a place.".to_owned(),
    }
}

/// What is missing for the next tier, with a progress bar.
pub(super) fn progress_text(context: &RenderContext<'_>, progress: &Progress) -> String {
    format!(
        "{}\n{}",
        missing_text(context, progress.missing),
        text::bar(progress.permille)
    )
}

/// What is missing for the next tier.
pub(super) fn missing_text(context: &RenderContext<'_>, missing: Shortfall) -> String {
    let ranks = missing.rank.map(|target| match missing.ranks_to_climb {
        Some(ranks) => format!("{} to climb, to rank {target}", text::count(ranks, "rank", "ranks")),
        None => format!("rank {target} to reach"),
    });
    let balance = missing
        .balance
        .map(|balance| format!("{} more", text::needed(balance, context.symbol)));
    ranks.into_iter().chain(balance).collect::<Vec<_>>().join(" and ")
}

fn above_text(context: &RenderContext<'_>, mine: Standing, above: Neighbour) -> String {
    let gap = above.held.saturating_sub(mine.balance);
    let held = text::held(above.held, context.symbol);
    if gap.is_zero() {
        return format!(
            "Rank {} holds {held} as you do and came first; gain any more to overtake it.",
            above.rank
        );
    }
    format!(
        "Rank {} holds {held}. Gain more than {} to overtake it.",
        text::grouped(above.rank.get()),
        text::needed(gap, context.symbol)
    )
}

fn below_text(context: &RenderContext<'_>, mine: Standing, below: Neighbour) -> String {
    let lead = mine.balance.saturating_sub(below.held);
    let held = text::held(below.held, context.symbol);
    let rank = text::grouped(below.rank.get());
    if lead.is_zero() {
        return format!("Rank {rank} holds {held} as you do; you came first.");
    }
    // Amounts are rounded down, and a small lead must not be shown as 0.
    let shown = text::held(lead, context.symbol);
    if shown == text::held(Balance::ZERO, context.symbol) {
        return format!("Rank {rank} holds {held}, less than you by a hair.");
    }
    format!("Rank {rank} holds {held}. You lead by {shown}.")
}

fn next_step_text(standing: Standing) -> &'static str {
    match Zones::STANDARD.zone_of(standing.rank) {
        Zone::Council | Zone::Eligible => "`/leaderboard` shows your neighbours, `/profile` your badges.",
        Zone::Waitlist => "`/register-waitlist` puts you on the list, `/threshold` shows what entry takes now.",
        Zone::Outside => "`/threshold` shows what entry takes now, `/leaderboard` who is ahead.",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{balance, context, standing, theme};
    use super::*;

    fn wallet() -> Option<Address> {
        "0x656b95E550C07a9ffe548bd4085c72418Ceb1dba".parse().ok()
    }

    fn neighbour(rank: u32, held: &str) -> Option<Neighbour> {
        Some(Neighbour {
            rank: Rank::new(rank)?,
            held: balance(held),
        })
    }

    fn position(standing: Standing) -> PositionView {
        let entry = EntryThreshold::Holding {
            balance: balance("1234.5"),
        };
        PositionView {
            wallet: wallet(),
            standing,
            above: None,
            below: None,
            entry,
        }
    }

    #[test]
    fn in_the_middle_of_the_ranking() {
        let theme = theme("sietch");
        let mut position = position(standing(42, "2500.75"));
        position.above = neighbour(41, "2600");
        position.below = neighbour(43, "2500.75");
        insta::assert_json_snapshot!(embed(&context(&theme), &position));
    }

    #[test]
    fn lead_of_one_unit_is_not_shown_as_zero() {
        let theme = theme("sietch");
        let below = neighbour(43, "68.999999999999999999").unwrap();
        let text = below_text(&context(&theme), standing(42, "69"), below);
        assert_eq!(text, "Rank 43 holds 68.9999 BGT, less than you by a hair.");
    }

    #[test]
    fn highest_tier_has_no_next_tier() {
        let theme = theme("sietch");
        let mut position = position(standing(1, "99999"));
        position.below = neighbour(2, "88888.8");
        insta::assert_json_snapshot!(embed(&context(&theme), &position));
    }

    #[test]
    fn one_unit_below_ichwan() {
        let theme = theme("sietch");
        let mut position = position(standing(1_234, "68.999999999999999999"));
        position.above = neighbour(1_233, "68.999999999999999999");
        insta::assert_json_snapshot!(embed(&context(&theme), &position));
    }

    #[test]
    fn waitlist_in_basic() {
        let theme = theme("basic");
        insta::assert_json_snapshot!(embed(&context(&theme), &position(standing(70, "1234"))));
    }

    #[test]
    fn empty_wallet() {
        let theme = theme("sietch");
        insta::assert_json_snapshot!(embed(&context(&theme), &position(standing(0, "0"))));
    }

    #[test]
    fn without_a_wallet() {
        let theme = theme("sietch");
        let view = PositionView {
            wallet: None,
            ..position(standing(0, "0"))
        };
        insta::assert_json_snapshot!(embed(&context(&theme), &view));
    }

    #[test]
    fn missing_rank_and_balance_are_both_shown() {
        let theme = theme("sietch");
        let both = Shortfall {
            balance: Some(balance("40")),
            rank: Rank::new(10),
            ranks_to_climb: Some(1),
        };
        assert_eq!(
            missing_text(&context(&theme), both),
            "1 rank to climb, to rank 10 and 40 BGT more"
        );
        let unranked = Shortfall {
            balance: None,
            rank: Rank::new(100),
            ranks_to_climb: None,
        };
        assert_eq!(missing_text(&context(&theme), unranked), "rank 100 to reach");
    }
}
