//! What the bot posts on its own: the live leaderboard, joins and departures, the weekly digest. They mention no member.

use arrakis_db::{Arrival, AwardedBadge, CommunityCounts, RankMove};
use arrakis_domain::EntryThreshold;
use time::OffsetDateTime;
use twilight_model::channel::message::Embed;
use twilight_model::util::Timestamp;

use super::leaderboard::{Row, row_text};
use super::{RenderContext, full_field, inline_field, next_step, text, threshold};

/// Title of joins and departures.
pub const ARRIVALS: &str = "Joins and departures";
/// Title of the weekly digest.
pub const DIGEST: &str = "The week in review";
/// Most names in a line.
const MAX_NAMES: usize = 20;
/// Most members of a list of the digest.
const MAX_MOVES: usize = 5;
/// The rank as which a missing one counts when moves are compared: behind every rank that rules look at.
const UNRANKED: u32 = 1_001;

/// Renders the live leaderboard: the first rows, of `total`.
pub fn leaderboard(context: &RenderContext<'_>, rows: &[Row<'_>], total: u32) -> Embed {
    let words = &context.theme.words;
    let mut paragraphs = Vec::new();
    if rows.is_empty() {
        paragraphs.push(format!("No {} here has a wallet in the ranking yet.", words.member));
    } else {
        let lines: Vec<String> = rows.iter().map(|row| row_text(context, row)).collect();
        paragraphs.push(lines.join("\n"));
        let total = text::count(total, &words.member, &words.members);
        paragraphs.push(format!("{total} in the ranking."));
    }
    let first_tier = rows.first().and_then(|row| row.tier);
    context
        .embed(&words.leaderboard, context.theme.color_of(first_tier), &paragraphs)
        .field(next_step(
            "`/leaderboard` shows every page, `/position` where you stand. This message follows the ranking.",
        ))
        .build()
}

/// Renders joins and departures, with the time at which they were composed. Members who hide are counted and not named.
pub fn arrivals(context: &RenderContext<'_>, arrivals: &[Arrival], composed: Option<Timestamp>) -> Embed {
    let those =
        |joined: bool| -> Vec<&Arrival> { arrivals.iter().filter(|arrival| arrival.joined == joined).collect() };
    let lines = [("➡️", "arrived", those(true)), ("⬅️", "left", those(false))];
    let lines: Vec<String> = lines
        .into_iter()
        .filter(|(.., those)| !those.is_empty())
        .map(|(arrow, what, those)| {
            let number = u32::try_from(those.len()).unwrap_or(u32::MAX);
            let names: Vec<&str> = those
                .iter()
                .filter(|arrival| !arrival.hidden)
                .map(|arrival| arrival.display_name.as_str())
                .collect();
            let lead = format!("{arrow} **{} {what}**", text::grouped(number));
            if names.is_empty() {
                lead
            } else {
                format!("{lead}: {}", listed(&names, number))
            }
        })
        .collect();
    let embed = context.embed_without_ranking(ARRIVALS, context.theme.accent, &lines);
    match composed {
        Some(composed) => embed.timestamp(composed).build(),
        None => embed.build(),
    }
}

/// The first names, and how many more of `count` there are.
fn listed(names: &[&str], count: u32) -> String {
    let shown: Vec<String> = names.iter().take(MAX_NAMES).map(|name| text::name(name)).collect();
    let rest = count.saturating_sub(u32::try_from(shown.len()).unwrap_or(u32::MAX));
    let shown = shown.join(", ");
    if rest == 0 {
        shown
    } else {
        format!("{shown} and {} more", text::grouped(rest))
    }
}

/// The data that the digest shows.
#[derive(Debug, Clone)]
pub struct DigestView<'a> {
    /// Name of the community.
    pub community: &'a str,
    /// Beginning of the week.
    pub from: OffsetDateTime,
    /// Its end.
    pub to: OffsetDateTime,
    /// Present members.
    pub counts: &'a CommunityCounts,
    /// Members whose rank changed.
    pub moves: &'a [RankMove],
    /// Badges that were awarded.
    pub badges: &'a [AwardedBadge],
    /// The entry threshold.
    pub entry: EntryThreshold,
    /// The entry threshold at the beginning of the week, where it changed.
    pub entry_before: Option<EntryThreshold>,
}

/// Renders the weekly digest.
pub fn digest(context: &RenderContext<'_>, view: &DigestView<'_>) -> Embed {
    let words = &context.theme.words;
    let members = text::count(view.counts.members, &words.member, &words.members);
    let lead = format!(
        "**{}** from {} to {}: {members}, {} of them with a verified wallet.",
        text::name(view.community),
        text::date(view.from),
        text::date(view.to),
        text::grouped(view.counts.verified)
    );
    let (rose, fell) = ranked_moves(view.moves);
    let mut embed = context.embed(DIGEST, context.theme.accent, &[lead]);
    embed = embed.field(full_field("Rose", &moves_text("📈", &rose)));
    embed = embed.field(full_field("Fell", &moves_text("📉", &fell)));
    embed = embed.field(full_field("New badges", &badges_text(context, view.badges)));
    let entry = threshold::short_text(context, view.entry);
    let entry = match view.entry_before {
        Some(before) if before != view.entry => {
            format!("{entry} (before: {})", threshold::short_text(context, before))
        }
        _ => format!("{entry}, as before"),
    };
    embed
        .field(inline_field("Entry", &entry))
        .field(next_step(
            "`/position` shows where you stand; `/alerts` writes to you when it changes.",
        ))
        .build()
}

/// Those who rose and those who fell, the largest moves first.
fn ranked_moves(moves: &[RankMove]) -> (Vec<&RankMove>, Vec<&RankMove>) {
    let gain = |found: &RankMove| {
        let rank = |rank: Option<u32>| i64::from(rank.unwrap_or(UNRANKED).min(UNRANKED));
        rank(found.before) - rank(found.after)
    };
    let mut rose: Vec<&RankMove> = moves.iter().filter(|found| gain(found) > 0).collect();
    let mut fell: Vec<&RankMove> = moves.iter().filter(|found| gain(found) < 0).collect();
    rose.sort_by_key(|found| std::cmp::Reverse(gain(found)));
    fell.sort_by_key(|found| gain(found));
    (rose, fell)
}

fn moves_text(arrow: &str, moves: &[&RankMove]) -> String {
    if moves.is_empty() {
        return "Nobody.".to_owned();
    }
    let rank =
        |rank: Option<u32>| rank.map_or_else(|| "no rank".to_owned(), |rank| format!("rank {}", text::grouped(rank)));
    let line = |found: &&RankMove| {
        let name = text::name(&found.display_name);
        format!("{arrow} **{name}**: {} → {}", rank(found.before), rank(found.after))
    };
    let mut lines: Vec<String> = moves.iter().take(MAX_MOVES).map(line).collect();
    let rest = moves.len().saturating_sub(MAX_MOVES);
    if rest > 0 {
        lines.push(format!("… and {rest} more"));
    }
    text::lines(&lines, text::FIELD)
}

fn badges_text(context: &RenderContext<'_>, badges: &[AwardedBadge]) -> String {
    // A badge of an earlier theme is not shown.
    let known = badges
        .iter()
        .filter_map(|awarded| Some((context.theme.badge(&awarded.badge)?, awarded)));
    let lines: Vec<String> = known
        .map(|(badge, awarded)| {
            let names: Vec<&str> = awarded.names.iter().take(MAX_MOVES).map(String::as_str).collect();
            // Members who hide are counted and not named.
            let awarded = if names.is_empty() {
                text::grouped(awarded.count)
            } else {
                listed(&names, awarded.count)
            };
            format!("{} **{}**: {awarded}", badge.emoji, badge.name)
        })
        .collect();
    if lines.is_empty() {
        return "None.".to_owned();
    }
    text::lines(&lines, text::FIELD)
}

#[cfg(test)]
mod tests {
    use arrakis_db::UserId;
    use arrakis_domain::{BadgeId, Rank, TierId};

    use super::super::samples::{SYNCED, balance, context, theme};
    use super::*;

    fn arrival(name: &str, joined: bool) -> Arrival {
        Arrival {
            user: UserId::new(7).unwrap(),
            display_name: name.to_owned(),
            joined,
            hidden: false,
        }
    }

    fn moved(name: &str, before: Option<u32>, after: Option<u32>) -> RankMove {
        RankMove {
            display_name: name.to_owned(),
            before,
            after,
        }
    }

    #[test]
    fn leaderboard_shows_its_rows_and_marks_nobody() {
        let theme = theme("sietch");
        let fedaykin = TierId::new("fedaykin").unwrap();
        let row = Row {
            position: 1,
            name: "stilgar",
            rank: Rank::new(11).unwrap(),
            held: balance("12.5"),
            tier: Some(&fedaykin),
            own: false,
        };
        let embed = leaderboard(&context(&theme), &[row], 23);
        let text = embed.description.unwrap();
        assert!(text.starts_with("`  1.` ⚔️ **stilgar** · 12.5 BGT · rank 11"), "{text}");
        assert!(text.ends_with("23 sietch dwellers in the ranking."), "{text}");
        let empty = leaderboard(&context(&theme), &[], 0).description.unwrap();
        assert!(empty.starts_with("No sietch dweller here has a wallet"), "{empty}");
    }

    #[test]
    fn many_arrivals_are_one_line_with_their_number() {
        let theme = theme("basic");
        let mut many: Vec<Arrival> = (0..1_234).map(|number| arrival(&format!("m{number}"), true)).collect();
        many.push(arrival("@everyone", false));
        let text = arrivals(&context(&theme), &many, None).description.unwrap();
        assert!(text.starts_with("➡️ **1,234 arrived**: m0, m1"), "{text}");
        assert!(
            text.contains("m19 and 1,214 more\n\n⬅️ **1 left**: \\@everyone"),
            "{text}"
        );
        let at = Timestamp::from_secs(SYNCED.unix_timestamp()).ok();
        let one = arrivals(&context(&theme), &[arrival("Chani", true)], at);
        assert_eq!(one.description.unwrap(), "➡️ **1 arrived**: Chani");
        assert_eq!(one.timestamp, at);
        let mut liet = arrival("Liet", true);
        liet.hidden = true;
        let hidden = |arrivals: &[Arrival]| super::arrivals(&context(&theme), arrivals, None).description.unwrap();
        assert_eq!(hidden(&[liet.clone()]), "➡️ **1 arrived**");
        assert_eq!(
            hidden(&[arrival("Chani", true), liet]),
            "➡️ **2 arrived**: Chani and 1 more"
        );
    }

    #[test]
    fn digest_shows_the_largest_moves_first() {
        let theme = theme("sietch");
        let moves = [
            moved("small", Some(12), Some(10)),
            moved("entered", None, Some(80)),
            moved("left", Some(3), None),
            moved("fell", Some(3), Some(30)),
        ];
        let badges = [AwardedBadge {
            badge: BadgeId::new("water-sharer").unwrap(),
            names: vec!["chani".to_owned(), "stilgar".to_owned()],
            count: 7,
        }];
        let counts = CommunityCounts {
            members: 40,
            verified: 31,
            ..CommunityCounts::default()
        };
        let view = DigestView {
            community: "Sietch Tabr",
            from: SYNCED - time::Duration::WEEK,
            to: SYNCED,
            counts: &counts,
            moves: &moves,
            badges: &badges,
            entry: EntryThreshold::Holding {
                balance: balance("100"),
            },
            entry_before: Some(EntryThreshold::PlacesFree { free: 1 }),
        };
        let embed = digest(&context(&theme), &view);
        let values: Vec<&str> = embed.fields.iter().map(|field| field.value.as_str()).collect();
        assert_eq!(
            values[..4],
            [
                "📈 **entered**: no rank → rank 80\n📈 **small**: rank 12 → rank 10",
                "📉 **left**: rank 3 → no rank\n📉 **fell**: rank 3 → rank 30",
                "💧 **Water Sharer**: chani, stilgar and 5 more",
                "more than 100 BGT (before: 1 place is free)",
            ]
        );
        let quiet = DigestView {
            moves: &[],
            badges: &[],
            entry_before: None,
            ..view
        };
        let embed = digest(&context(&theme), &quiet);
        let values: Vec<&str> = embed.fields.iter().map(|field| field.value.as_str()).collect();
        assert_eq!(
            values[..4],
            ["Nobody.", "Nobody.", "None.", "more than 100 BGT, as before"]
        );
    }
}
