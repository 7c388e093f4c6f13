//! `/threshold`: the holding that entry requires, and the waitlist zone.

use arrakis_domain::{Balance, EntryThreshold, Standing, Zone, Zones};
use twilight_model::channel::message::Embed;

use super::{RenderContext, full_field, next_step, text};

/// The data that `/threshold` shows.
#[derive(Debug, Clone, Copy)]
pub struct ThresholdView {
    /// The holding that entry requires.
    pub entry: EntryThreshold,
    /// Balances of the first and the last wallet in the waitlist zone; `None` if the zone is empty.
    pub waiting: Option<(Balance, Balance)>,
    /// Wallets in the waitlist zone.
    pub waiting_wallets: u32,
    /// The member's rank and balance; `None` without a verified wallet.
    pub standing: Option<Standing>,
}

/// Renders the threshold.
pub fn embed(context: &RenderContext<'_>, threshold: &ThresholdView) -> Embed {
    let zones = Zones::STANDARD;
    let lead = match threshold.entry {
        EntryThreshold::Holding { balance } => format!(
            "Rank {} holds **{}**. To enter, hold more.",
            zones.entry,
            text::held(balance, context.symbol)
        ),
        EntryThreshold::PlacesFree { free } => format!(
            "**{} free** among the first {}. Any holding enters.",
            text::count(free, "place is", "places are"),
            zones.entry
        ),
    };
    let mut embed = context
        .embed(&context.theme.words.threshold, context.theme.accent, &[lead])
        .field(full_field(&waitlist_title(context), &waitlist(context, threshold)));
    if let Some(standing) = threshold.standing {
        embed = embed.field(full_field("You", &distance_text(context, threshold.entry, standing)));
    }
    let next = match threshold.standing {
        Some(_) => "`/position` shows who is next above and below you.",
        None => text::LINK_A_WALLET,
    };
    embed.field(next_step(next)).build()
}

/// The threshold in a few words, for other replies.
pub(super) fn short_text(context: &RenderContext<'_>, entry: EntryThreshold) -> String {
    match entry {
        EntryThreshold::Holding { balance } => format!("more than {}", text::held(balance, context.symbol)),
        EntryThreshold::PlacesFree { free } => text::count(free, "place is free", "places are free"),
    }
}

/// A member's distance to the entry threshold.
pub(super) fn distance_text(context: &RenderContext<'_>, entry: EntryThreshold, standing: Standing) -> String {
    let held = text::held(standing.balance, context.symbol);
    let zone = Zones::STANDARD.zone_of(standing.rank);
    match (zone, entry) {
        (Zone::Council | Zone::Eligible, EntryThreshold::Holding { balance }) => {
            let ahead = standing.balance.saturating_sub(balance);
            format!(
                "You hold {held} and are inside, {} above the line.",
                text::held(ahead, context.symbol)
            )
        }
        (Zone::Council | Zone::Eligible, EntryThreshold::PlacesFree { .. }) => {
            format!("You hold {held} and are inside.")
        }
        (_, EntryThreshold::Holding { .. }) => {
            let missing = entry.distance(standing.balance);
            if missing.is_zero() {
                return format!(
                    "You hold {held}, level with the line. Who came first ranks above, so any more takes you in."
                );
            }
            format!(
                "You hold {held}. Gain more than {} to get a place.",
                text::needed(missing, context.symbol)
            )
        }
        (_, EntryThreshold::PlacesFree { .. }) => "Your wallet holds nothing yet; any holding takes you in.".to_owned(),
    }
}

fn waitlist_title(context: &RenderContext<'_>) -> String {
    let first = Zones::STANDARD.entry.get() + 1;
    let waitlist = text::capitalized(&context.theme.words.waitlist);
    format!("{waitlist}: ranks {first} to {}", Zones::STANDARD.waitlist)
}

fn waitlist(context: &RenderContext<'_>, threshold: &ThresholdView) -> String {
    let wallets = text::count(threshold.waiting_wallets, "wallet waits", "wallets wait");
    match threshold.waiting {
        None => "Nobody waits.".to_owned(),
        Some((first, last)) if first == last => format!("{wallets}, holding {}.", text::held(first, context.symbol)),
        Some((first, last)) => {
            let (first, last) = (text::held(first, context.symbol), text::held(last, context.symbol));
            format!("{wallets}, holding from {last} to {first}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{balance, context, standing, theme};
    use super::*;

    fn holding(text: &str) -> EntryThreshold {
        EntryThreshold::Holding { balance: balance(text) }
    }

    #[test]
    fn member_in_the_waitlist() {
        let theme = theme("sietch");
        let threshold = ThresholdView {
            entry: holding("1234.5"),
            waiting: Some((balance("1234"), balance("900.25"))),
            waiting_wallets: 31,
            standing: Some(standing(71, "1200")),
        };
        insta::assert_json_snapshot!(embed(&context(&theme), &threshold));
    }

    #[test]
    fn free_places_and_a_member_without_a_wallet() {
        let theme = theme("basic");
        let entry = EntryThreshold::PlacesFree { free: 1 };
        let threshold = ThresholdView {
            entry,
            waiting: None,
            waiting_wallets: 0,
            standing: None,
        };
        insta::assert_json_snapshot!(embed(&context(&theme), &threshold));
    }

    #[test]
    fn distance_is_shown_for_every_zone() {
        let theme = theme("sietch");
        let text = |entry, rank, held| distance_text(&context(&theme), entry, standing(rank, held));
        assert_eq!(
            text(holding("100"), 69, "100"),
            "You hold 100 BGT and are inside, 0 BGT above the line."
        );
        assert_eq!(
            text(holding("100"), 1, "250.5"),
            "You hold 250.5 BGT and are inside, 150.5 BGT above the line."
        );
        assert_eq!(
            text(holding("100"), 70, "100"),
            "You hold 100 BGT, level with the line. Who came first ranks above, so any more takes you in."
        );
        assert_eq!(
            text(holding("100"), 70, "99.99999"),
            "You hold 99.9999 BGT. Gain more than 0.0001 BGT to get a place."
        );
        assert_eq!(
            text(holding("100"), 0, "0"),
            "You hold 0 BGT. Gain more than 100 BGT to get a place."
        );
        let free = EntryThreshold::PlacesFree { free: 5 };
        assert_eq!(text(free, 3, "1"), "You hold 1 BGT and are inside.");
        assert_eq!(
            text(free, 0, "0"),
            "Your wallet holds nothing yet; any holding takes you in."
        );
    }
}
