//! `/position`: where the asking member stands, and how far it is up and down.

use arrakis_domain::{Address, Balance, EntryThreshold, Progress, Rank, Shortfall, Standing, Zone, Zones};
use twilight_model::channel::message::Embed;

use super::{Scene, narrow, next_step, text, threshold, wide};

/// What a member without a verified wallet is told to do.
pub(super) const LINK_A_WALLET: &str =
    "Ask an admin of this server to link your wallet to you; then `/position` shows where you stand.";

/// What `/position` shows.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// The member's wallet; `None` when none is verified.
    pub wallet: Option<Address>,
    /// Rank and holding.
    pub standing: Standing,
    /// The wallet one rank better.
    pub above: Option<Neighbour>,
    /// The wallet one rank worse.
    pub below: Option<Neighbour>,
    /// What entry takes.
    pub entry: EntryThreshold,
}

/// The next wallet in the ranking, nobody's name attached: it may be in another community, or in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its rank.
    pub rank: Rank,
    /// What it holds.
    pub held: Balance,
}

/// Draws it.
pub fn embed(scene: &Scene<'_>, position: &Position) -> Embed {
    let title = &scene.theme.words.position;
    let Some(wallet) = position.wallet else {
        let lead = "No verified wallet is linked to you here, so you have no place in the ranking.".to_owned();
        return scene
            .embed(title, scene.theme.accent, &[lead])
            .field(next_step(LINK_A_WALLET))
            .build();
    };
    let tier = scene.ladder.tier_of(position.standing);
    let rank = match position.standing.rank {
        Some(rank) => format!("**Rank {}**", text::grouped(rank.get())),
        None => "**Not ranked**".to_owned(),
    };
    let held_tier = tier.map_or_else(|| "no tier yet".to_owned(), |tier| text::tier(scene.theme, tier));
    let lead = format!("{rank} · {held_tier}\n{}", zone(scene, position.standing.rank));
    let mut embed = scene
        .embed(title, scene.theme.color_of(tier), &[lead])
        .field(narrow("Holding", &text::held(position.standing.balance, scene.symbol)))
        .field(narrow("Wallet", &format!("`{}`", wallet.short())));
    if let Some(progress) = scene.ladder.progress(position.standing) {
        embed = embed.field(wide(
            &format!("Next: {}", text::tier(scene.theme, &progress.tier)),
            &way(scene, &progress),
        ));
    }
    embed = embed.field(wide(
        "Entry",
        &threshold::distance(scene, position.entry, position.standing),
    ));
    if let Some(above) = position.above {
        embed = embed.field(narrow("Above you", &overtake(scene, position.standing, above)));
    }
    if let Some(below) = position.below {
        embed = embed.field(narrow("Below you", &ahead(scene, position.standing, below)));
    }
    embed.field(next_step(advice(position.standing))).build()
}

fn zone(scene: &Scene<'_>, rank: Option<Rank>) -> String {
    let words = &scene.theme.words;
    match Zones::STANDARD.zone_of(rank) {
        Zone::Council => format!("In the {}.", words.council),
        Zone::Eligible => "Among those who have a place.".to_owned(),
        Zone::Waitlist => format!("In the {} zone, next in line for a place.", words.waitlist),
        Zone::Outside => "Outside the ranks that have a place.".to_owned(),
    }
}

/// What is missing for the next tier, with a bar.
pub(super) fn way(scene: &Scene<'_>, progress: &Progress) -> String {
    format!("{}\n{}", missing(scene, progress.missing), text::bar(progress.permille))
}

fn missing(scene: &Scene<'_>, missing: Shortfall) -> String {
    let ranks = missing.rank.map(|target| match missing.ranks_to_climb {
        Some(ranks) => format!("{} to climb, to rank {target}", text::count(ranks, "rank", "ranks")),
        None => format!("rank {target} to reach"),
    });
    let balance = missing
        .balance
        .map(|balance| format!("{} more", text::needed(balance, scene.symbol)));
    ranks.into_iter().chain(balance).collect::<Vec<_>>().join(" and ")
}

fn overtake(scene: &Scene<'_>, mine: Standing, above: Neighbour) -> String {
    let gap = above.held.saturating_sub(mine.balance);
    let held = text::held(above.held, scene.symbol);
    if gap.is_zero() {
        return format!(
            "Rank {} holds {held} as you do and came first; any more overtakes it.",
            above.rank
        );
    }
    format!(
        "Rank {} holds {held}. More than {} more overtakes it.",
        text::grouped(above.rank.get()),
        text::needed(gap, scene.symbol)
    )
}

fn ahead(scene: &Scene<'_>, mine: Standing, below: Neighbour) -> String {
    let lead = mine.balance.saturating_sub(below.held);
    let held = text::held(below.held, scene.symbol);
    let rank = text::grouped(below.rank.get());
    if lead.is_zero() {
        return format!("Rank {rank} holds {held} as you do; you came first.");
    }
    // What is shown is cut, and a lead that is there must not read as none.
    let shown = text::held(lead, scene.symbol);
    if shown == text::held(Balance::ZERO, scene.symbol) {
        return format!("Rank {rank} holds {held}, less than you by a hair.");
    }
    format!("Rank {rank} holds {held}. You lead by {shown}.")
}

fn advice(standing: Standing) -> &'static str {
    match Zones::STANDARD.zone_of(standing.rank) {
        Zone::Council | Zone::Eligible => "`/leaderboard` shows your neighbours, `/profile` your badges.",
        Zone::Waitlist | Zone::Outside => "`/threshold` says what entry takes now, `/leaderboard` who is ahead.",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{balance, scene, standing, theme};
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

    fn position(standing: Standing) -> Position {
        let entry = EntryThreshold::Holding {
            balance: balance("1234.5"),
        };
        Position {
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
        insta::assert_json_snapshot!(embed(&scene(&theme), &position));
    }

    #[test]
    fn a_lead_of_one_unit_does_not_read_as_none() {
        let theme = theme("sietch");
        let below = neighbour(43, "68.999999999999999999").unwrap();
        let told = ahead(&scene(&theme), standing(42, "69"), below);
        assert_eq!(told, "Rank 43 holds 68.9999 BGT, less than you by a hair.");
    }

    #[test]
    fn on_top_there_is_no_next_tier() {
        let theme = theme("sietch");
        let mut position = position(standing(1, "99999"));
        position.below = neighbour(2, "88888.8");
        insta::assert_json_snapshot!(embed(&scene(&theme), &position));
    }

    #[test]
    fn one_unit_below_ichwan() {
        let theme = theme("sietch");
        let mut position = position(standing(1_234, "68.999999999999999999"));
        position.above = neighbour(1_233, "68.999999999999999999");
        insta::assert_json_snapshot!(embed(&scene(&theme), &position));
    }

    #[test]
    fn waiting_in_basic() {
        let theme = theme("basic");
        insta::assert_json_snapshot!(embed(&scene(&theme), &position(standing(70, "1234"))));
    }

    #[test]
    fn an_empty_wallet() {
        let theme = theme("sietch");
        insta::assert_json_snapshot!(embed(&scene(&theme), &position(standing(0, "0"))));
    }

    #[test]
    fn no_wallet() {
        let theme = theme("sietch");
        let stranger = Position {
            wallet: None,
            ..position(standing(0, "0"))
        };
        insta::assert_json_snapshot!(embed(&scene(&theme), &stranger));
    }

    #[test]
    fn both_things_missing_are_named() {
        let theme = theme("sietch");
        let both = Shortfall {
            balance: Some(balance("40")),
            rank: Rank::new(10),
            ranks_to_climb: Some(1),
        };
        assert_eq!(
            missing(&scene(&theme), both),
            "1 rank to climb, to rank 10 and 40 BGT more"
        );
        let unranked = Shortfall {
            balance: None,
            rank: Rank::new(100),
            ranks_to_climb: None,
        };
        assert_eq!(missing(&scene(&theme), unranked), "rank 100 to reach");
    }
}
