//! `/threshold`: what entry takes now, and the zone in which one waits for it.

use arrakis_domain::{Balance, EntryThreshold, Standing, Zone, Zones};
use twilight_model::channel::message::Embed;

use super::{Scene, next_step, text, wide};

/// What `/threshold` shows.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    /// What entry takes.
    pub entry: EntryThreshold,
    /// What the first and the last wallet of the waitlist zone hold; `None` when nobody is in it.
    pub waiting: Option<(Balance, Balance)>,
    /// Wallets in the waitlist zone.
    pub waiting_wallets: u32,
    /// Where the asking member stands; `None` without a verified wallet.
    pub mine: Option<Standing>,
}

/// Draws it.
pub fn embed(scene: &Scene<'_>, threshold: &Threshold) -> Embed {
    let zones = Zones::STANDARD;
    let lead = match threshold.entry {
        EntryThreshold::Holding { balance } => format!(
            "Rank {} holds **{}**. To enter, hold more.",
            zones.entry,
            text::held(balance, scene.symbol)
        ),
        EntryThreshold::PlacesFree { free } => format!(
            "**{} free** among the first {}. Any holding enters.",
            text::count(free, "place is", "places are"),
            zones.entry
        ),
    };
    let mut embed = scene
        .embed(&scene.theme.words.threshold, scene.theme.accent, &[lead])
        .field(wide(&waitlist_title(scene), &waitlist(scene, threshold)));
    if let Some(mine) = threshold.mine {
        embed = embed.field(wide("You", &distance(scene, threshold.entry, mine)));
    }
    let next = match threshold.mine {
        Some(_) => "`/position` shows who is next above and below you.",
        None => super::position::LINK_A_WALLET,
    };
    embed.field(next_step(next)).build()
}

/// In a word, for other answers.
pub(super) fn short(scene: &Scene<'_>, entry: EntryThreshold) -> String {
    match entry {
        EntryThreshold::Holding { balance } => format!("more than {}", text::held(balance, scene.symbol)),
        EntryThreshold::PlacesFree { free } => text::count(free, "place is free", "places are free"),
    }
}

/// How far a member is from the line.
pub(super) fn distance(scene: &Scene<'_>, entry: EntryThreshold, mine: Standing) -> String {
    let held = text::held(mine.balance, scene.symbol);
    let zone = Zones::STANDARD.zone_of(mine.rank);
    match (zone, entry) {
        (Zone::Council | Zone::Eligible, EntryThreshold::Holding { balance }) => {
            let ahead = mine.balance.saturating_sub(balance);
            format!(
                "You hold {held} and are inside, {} above the line.",
                text::held(ahead, scene.symbol)
            )
        }
        (Zone::Council | Zone::Eligible, EntryThreshold::PlacesFree { .. }) => {
            format!("You hold {held} and are inside.")
        }
        (_, EntryThreshold::Holding { .. }) => {
            let missing = entry.distance(mine.balance);
            if missing.is_zero() {
                return format!(
                    "You hold {held}, level with the line. Who came first ranks above, so any more takes you in."
                );
            }
            format!(
                "You hold {held}. More than {} more takes you in.",
                text::needed(missing, scene.symbol)
            )
        }
        (_, EntryThreshold::PlacesFree { .. }) => "Your wallet holds nothing yet; any holding takes you in.".to_owned(),
    }
}

fn waitlist_title(scene: &Scene<'_>) -> String {
    let mut letters = scene.theme.words.waitlist.chars();
    let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let first = Zones::STANDARD.entry.get() + 1;
    format!(
        "{capital}{}: ranks {first} to {}",
        letters.as_str(),
        Zones::STANDARD.waitlist
    )
}

fn waitlist(scene: &Scene<'_>, threshold: &Threshold) -> String {
    let wallets = text::count(threshold.waiting_wallets, "wallet waits", "wallets wait");
    match threshold.waiting {
        None => "Nobody waits.".to_owned(),
        Some((first, last)) if first == last => format!("{wallets}, holding {}.", text::held(first, scene.symbol)),
        Some((first, last)) => {
            let (first, last) = (text::held(first, scene.symbol), text::held(last, scene.symbol));
            format!("{wallets}, holding from {last} to {first}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{balance, scene, standing, theme};
    use super::*;

    fn holding(text: &str) -> EntryThreshold {
        EntryThreshold::Holding { balance: balance(text) }
    }

    #[test]
    fn waiting_for_a_place() {
        let theme = theme("sietch");
        let threshold = Threshold {
            entry: holding("1234.5"),
            waiting: Some((balance("1234"), balance("900.25"))),
            waiting_wallets: 31,
            mine: Some(standing(71, "1200")),
        };
        insta::assert_json_snapshot!(embed(&scene(&theme), &threshold));
    }

    #[test]
    fn places_are_free_and_the_member_is_a_stranger() {
        let theme = theme("basic");
        let entry = EntryThreshold::PlacesFree { free: 1 };
        let threshold = Threshold {
            entry,
            waiting: None,
            waiting_wallets: 0,
            mine: None,
        };
        insta::assert_json_snapshot!(embed(&scene(&theme), &threshold));
    }

    #[test]
    fn distances_are_told_from_every_side() {
        let theme = theme("sietch");
        let told = |entry, rank, held| distance(&scene(&theme), entry, standing(rank, held));
        assert_eq!(
            told(holding("100"), 69, "100"),
            "You hold 100 BGT and are inside, 0 BGT above the line."
        );
        assert_eq!(
            told(holding("100"), 1, "250.5"),
            "You hold 250.5 BGT and are inside, 150.5 BGT above the line."
        );
        assert_eq!(
            told(holding("100"), 70, "100"),
            "You hold 100 BGT, level with the line. Who came first ranks above, so any more takes you in."
        );
        assert_eq!(
            told(holding("100"), 70, "99.99999"),
            "You hold 99.9999 BGT. More than 0.0001 BGT more takes you in."
        );
        assert_eq!(
            told(holding("100"), 0, "0"),
            "You hold 0 BGT. More than 100 BGT more takes you in."
        );
        let free = EntryThreshold::PlacesFree { free: 5 };
        assert_eq!(told(free, 3, "1"), "You hold 1 BGT and are inside.");
        assert_eq!(
            told(free, 0, "0"),
            "Your wallet holds nothing yet; any holding takes you in."
        );
    }
}
