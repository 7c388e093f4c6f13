//! `/check-eligibility`: a wallet's holding as it is now, with its source, and the place and tier that it gives.

use std::time::Duration;

use arrakis_domain::{Address, Balance, EntryThreshold, Standing, Zone, Zones, scale_to_balance};
use arrakis_eligibility::{Answer, DegradedBecause, Score, Source, Tier, Unanswered};
use twilight_model::channel::message::Embed;

use super::{Freshness, RenderContext, full_field, inline_field, next_step, position, text};

/// The data that `/check-eligibility` shows.
#[derive(Debug, Clone)]
pub struct EligibilityView {
    /// The wallet.
    pub wallet: Address,
    /// Whether it is the member's own verified wallet.
    pub own: bool,
    /// Rank and holding by the last ranking.
    pub ranking: Standing,
    /// The holding that entry requires.
    pub entry: EntryThreshold,
    /// Decimals of the token.
    pub decimals: u8,
    /// The live answer.
    pub answer: Result<Answer, Unanswered>,
}

impl EligibilityView {
    /// The present holding: the live one, or that of the ranking.
    fn held(&self) -> Balance {
        let live = self.answer.as_ref().map(|answer| answer.holding.held);
        live.map_or(self.ranking.balance, |held| scale_to_balance(held, self.decimals))
    }

    /// The rank of the last ranking with the present holding. A wallet that holds nothing any more loses its rank with the next sync.
    fn standing(&self) -> Standing {
        let held = self.held();
        let rank = self.ranking.rank.filter(|_| !held.is_zero());
        Standing::new(rank, held)
    }
}

/// Renders the answer.
pub fn embed(context: &RenderContext<'_>, view: &EligibilityView) -> Embed {
    let standing = view.standing();
    let tier = context.ladder.tier_of(standing);
    let rank = match view.ranking.rank {
        Some(rank) => format!("**Rank {}**", text::grouped(rank.get())),
        None => "**Not ranked**".to_owned(),
    };
    let held_tier = tier.map_or_else(|| "no tier".to_owned(), |tier| text::tier(context.theme, tier));
    let lead = format!("{rank} · {held_tier}\n{}", position::zone(context, view.ranking.rank));
    let title = format!("Eligibility of {}", view.wallet.short());
    let mut embed = context
        .embed(&title, context.theme.color_of(tier), &[lead])
        .field(inline_field("Holding", &text::held(standing.balance, context.symbol)))
        .field(inline_field("Entry", &entry_text(context, view.entry, standing)));
    if let Some(changed) = changed_text(context, view) {
        embed = embed.field(full_field("Since the last ranking", &changed));
    }
    if let Some(score) = view.answer.as_ref().ok().and_then(|answer| answer.score.as_ref()) {
        embed = embed.field(full_field("Score service", &score_text(score)));
    }
    embed
        .field(full_field("Source", &source_text(view)))
        .field(next_step(next_step_text(view)))
        .build()
}

fn entry_text(context: &RenderContext<'_>, entry: EntryThreshold, standing: Standing) -> String {
    let zone = Zones::STANDARD.zone_of(standing.rank);
    match entry {
        _ if zone.is_eligible() => "This wallet has a place.".to_owned(),
        EntryThreshold::PlacesFree { free } if standing.balance.is_zero() => {
            format!(
                "{}; any holding takes one.",
                text::count(free, "place is free", "places are free")
            )
        }
        EntryThreshold::PlacesFree { .. } => "Takes a free place with the next sync.".to_owned(),
        EntryThreshold::Holding { balance } if standing.balance > balance => {
            "Holds enough for a place; the next sync decides.".to_owned()
        }
        EntryThreshold::Holding { .. } => {
            let missing = entry.distance(standing.balance);
            if missing.is_zero() {
                return "Level with the last place; any more takes it.".to_owned();
            }
            format!(
                "Gain more than {} to take a place.",
                text::needed(missing, context.symbol)
            )
        }
    }
}

/// The difference between the ranking and the present holding; `None` when they are equal.
fn changed_text(context: &RenderContext<'_>, view: &EligibilityView) -> Option<String> {
    let is_ranked_before = !matches!(context.freshness, Freshness::Never);
    let (before, now) = (view.ranking.balance, view.held());
    (is_ranked_before && before != now).then(|| {
        format!(
            "The ranking counted {}; now it is {}. Rank, place and roles follow with the next sync.",
            text::held(before, context.symbol),
            text::held(now, context.symbol)
        )
    })
}

fn score_text(score: &Score) -> String {
    let rank = score.rank.map_or_else(
        || "Not ranked".to_owned(),
        |rank| format!("Rank {}", text::grouped(rank.get())),
    );
    let activity = score.activity.map(|activity| format!(" · activity {activity} of 100"));
    format!("{rank}{} · {}", activity.unwrap_or_default(), text::ago(score.as_of))
}

fn source_text(view: &EligibilityView) -> String {
    let answer = match &view.answer {
        Ok(answer) => answer,
        Err(Unanswered::NotConfigured) => {
            return "The last ranking only: this server's token is not read from its chain live.".to_owned();
        }
        Err(Unanswered::NotReadable) => {
            return "The last ranking only: the chain has no balance over all ids of this token.".to_owned();
        }
        Err(Unanswered::NoResponse) => {
            return "The last ranking only: the chain does not respond right now.".to_owned();
        }
    };
    match answer.source {
        Source::Score if answer.holding.tier == Tier::Native => {
            "Score service; the holding is read from the chain just now.".to_owned()
        }
        Source::Score => format!(
            "Score service, with data of {}; not read from the chain.",
            text::ago(answer.holding.as_of)
        ),
        Source::Native => "Read from the chain just now.".to_owned(),
        Source::Cache { age } => format!("Stored answer, {} old.", age_text(age)),
        Source::Degraded(DegradedBecause::Late) => "Score service too slow: chain only, read just now.".to_owned(),
        Source::Degraded(DegradedBecause::Failed | DegradedBecause::BreakerOpen) => {
            "Score service unavailable: chain only, read just now.".to_owned()
        }
        Source::Degraded(DegradedBecause::NotCovered) => {
            "The score service has no data of this token: chain only, read just now.".to_owned()
        }
    }
}

/// An age in its largest unit, rounded down: `12 s`, `4 min`, `3 h`.
fn age_text(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

fn next_step_text(view: &EligibilityView) -> &'static str {
    if view.answer == Err(Unanswered::NoResponse) {
        return "Try again in a minute for the present holding.";
    }
    match (view.own, Zones::STANDARD.zone_of(view.standing().rank)) {
        (true, Zone::Council | Zone::Eligible) => "`/position` shows who is next above and below you.",
        (true, _) => "`/threshold` shows what entry takes now, `/position` how far it is.",
        (false, _) => "`/threshold` shows what entry takes now. Without a wallet, this command checks your own.",
    }
}

#[cfg(test)]
mod tests {
    use arrakis_domain::{Rank, U256};
    use arrakis_eligibility::Holding;
    use time::OffsetDateTime;

    use super::super::samples::{SYNCED, balance, context, standing, theme};
    use super::*;

    const READ: OffsetDateTime = time::macros::datetime!(2026-08-01 13:00:00 UTC);

    fn units(text: &str) -> U256 {
        balance(text).units()
    }

    fn answer(source: Source, held: &str) -> Answer {
        Answer {
            source,
            holding: Holding {
                held: units(held),
                as_of: READ,
                tier: Tier::Native,
            },
            score: None,
        }
    }

    fn with_score(source: Source, held: &str) -> Answer {
        Answer {
            score: Some(Score {
                rank: Rank::new(41),
                held: units("2500"),
                activity: Some(87),
                as_of: SYNCED,
            }),
            ..answer(source, held)
        }
    }

    fn view(ranking: Standing, answer: Result<Answer, Unanswered>) -> EligibilityView {
        EligibilityView {
            wallet: "0x656b95E550C07a9ffe548bd4085c72418Ceb1dba".parse().unwrap(),
            own: true,
            ranking,
            entry: EntryThreshold::Holding {
                balance: balance("1234.5"),
            },
            decimals: 18,
            answer,
        }
    }

    #[test]
    fn own_wallet_with_a_place() {
        let view = view(standing(42, "2500.75"), Ok(with_score(Source::Score, "2500.75")));
        for id in ["sietch", "basic"] {
            let theme = theme(id);
            insta::assert_json_snapshot!(format!("own_wallet_with_a_place_{id}"), embed(&context(&theme), &view));
        }
    }

    #[test]
    fn other_wallet_in_the_waitlist_that_bought_more() {
        let degraded = Source::Degraded(DegradedBecause::BreakerOpen);
        let mut view = view(standing(70, "1234"), Ok(answer(degraded, "1300")));
        view.own = false;
        for id in ["sietch", "basic"] {
            let theme = theme(id);
            insta::assert_json_snapshot!(
                format!("other_wallet_that_bought_more_{id}"),
                embed(&context(&theme), &view)
            );
        }
    }

    #[test]
    fn ranking_alone() {
        let theme = theme("sietch");
        let view = view(standing(1_234, "68.9"), Err(Unanswered::NotConfigured));
        insta::assert_json_snapshot!(embed(&context(&theme), &view));
    }

    #[test]
    fn wallet_that_sold_everything_has_no_tier() {
        let theme = theme("sietch");
        let view = view(standing(3, "9000"), Ok(answer(Source::Native, "0")));
        insta::assert_json_snapshot!(embed(&context(&theme), &view));
    }

    #[test]
    fn tier_of_a_balance_rule_is_that_of_the_present_holding() {
        let theme = theme("sietch");
        let tier_line = |held: &str| {
            let view = view(standing(400, "68.9"), Ok(answer(Source::Native, held)));
            embed(&context(&theme), &view).description.unwrap()
        };
        assert!(tier_line("68.999999999999999999").contains("Hajra"));
        assert!(tier_line("69").contains("Ichwan"));
    }

    #[test]
    fn holding_is_scaled_by_the_decimals_of_the_token() {
        let theme = theme("sietch");
        let mut view = view(standing(42, "1.5"), Ok(answer(Source::Native, "0")));
        view.decimals = 6;
        view.answer.as_mut().unwrap().holding.held = U256::from(1_500_000);
        let embed = embed(&context(&theme), &view);
        assert_eq!(embed.fields[0].value, "1.5 BGT");
        assert!(!embed.fields.iter().any(|field| field.name == "Since the last ranking"));
    }

    #[test]
    fn every_source_is_named() {
        let of = |answer: Result<Answer, Unanswered>| source_text(&view(standing(42, "1"), answer));
        let cache = |seconds| Source::Cache {
            age: Duration::from_secs(seconds),
        };
        let mut without_chain = with_score(Source::Score, "1");
        without_chain.holding.tier = Tier::Score;
        without_chain.holding.as_of = SYNCED;
        let texts = [
            of(Ok(with_score(Source::Score, "1"))),
            of(Ok(without_chain)),
            of(Ok(answer(Source::Native, "1"))),
            of(Ok(answer(cache(59), "1"))),
            of(Ok(answer(cache(299), "1"))),
            of(Ok(answer(cache(7_300), "1"))),
            of(Ok(answer(Source::Degraded(DegradedBecause::Late), "1"))),
            of(Ok(answer(Source::Degraded(DegradedBecause::Failed), "1"))),
            of(Ok(answer(Source::Degraded(DegradedBecause::NotCovered), "1"))),
            of(Err(Unanswered::NotConfigured)),
            of(Err(Unanswered::NotReadable)),
            of(Err(Unanswered::NoResponse)),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn entry_is_described_by_the_present_holding() {
        let theme = theme("sietch");
        let context = context(&theme);
        let line = EntryThreshold::Holding {
            balance: balance("100"),
        };
        let free = EntryThreshold::PlacesFree { free: 3 };
        let unranked = |held: &str| Standing::new(None, balance(held));
        let texts = [
            entry_text(&context, line, standing(69, "100")),
            entry_text(&context, line, standing(70, "99.5")),
            entry_text(&context, line, standing(70, "100")),
            entry_text(&context, line, standing(70, "101")),
            entry_text(&context, free, unranked("0")),
            entry_text(&context, free, unranked("1")),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }
}
