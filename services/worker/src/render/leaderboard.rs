//! `/leaderboard`: a page of the ranking with buttons to other pages.
//!
//! A button's custom id contains the target (`leaderboard:page:3:next`, `leaderboard:me`), so that any worker can handle a click, also
//! after a restart. The last segment makes the ids of one message unique, which Discord requires.

use arrakis_domain::{Balance, Rank, TierId};
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::{RenderContext, buttons, next_step, text};

/// Name of the command, and first segment of its custom ids.
pub const NAME: &str = "leaderboard";
/// Rows on a page.
pub const PAGE_SIZE: u32 = 10;

/// A row: a member in the ranking.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Position among the members of this community, counted from 1.
    pub position: u32,
    /// The member's name in this community.
    pub name: &'a str,
    /// Rank among all wallets.
    pub rank: Rank,
    /// The wallet's balance.
    pub held: Balance,
    /// The member's tier; `None` below the lowest.
    pub tier: Option<&'a TierId>,
    /// Whether it is the member who ran the command or clicked.
    pub own: bool,
}

/// A page of the ranking.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// Its rows, highest rank first.
    pub rows: Vec<Row<'a>>,
    /// Number of the page, counted from 1.
    pub number: u32,
    /// Number of rows on all pages.
    pub total: u32,
}

/// The page that a button leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTarget {
    /// The page with this number.
    Number(u32),
    /// The page with the member who clicked.
    OwnPosition,
}

impl PageTarget {
    /// Parses the segments of a custom id after the command's name; `None` if no button has this id.
    pub fn parse(arguments: &[&str]) -> Option<Self> {
        match arguments {
            ["me"] => Some(Self::OwnPosition),
            ["page", number, _] => number.parse().ok().filter(|number| *number > 0).map(Self::Number),
            _ => None,
        }
    }
}

/// Number of pages for this number of rows; at least 1.
pub fn page_count(total: u32) -> u32 {
    total.div_ceil(PAGE_SIZE).max(1)
}

/// Number of the page that contains a position.
pub fn page_of(position: u32) -> u32 {
    page_count(position)
}

/// The number of an existing page that is nearest to `number`. There may be fewer pages than when a button was rendered.
pub fn nearest(number: u32, total: u32) -> u32 {
    number.clamp(1, page_count(total))
}

/// Number of rows on the pages before this one.
pub fn offset(number: u32) -> u32 {
    number.saturating_sub(1).saturating_mul(PAGE_SIZE)
}

/// Renders a page.
pub fn embed(context: &RenderContext<'_>, page: &Page<'_>) -> Embed {
    let title = &context.theme.words.leaderboard;
    let words = &context.theme.words;
    if page.rows.is_empty() {
        let lead = format!("No {} here has a wallet in the ranking yet.", words.member);
        let next = "`/verify start` links your wallet; then look again.";
        return context
            .embed(title, context.theme.accent, &[lead])
            .field(next_step(next))
            .build();
    }
    let lines: Vec<String> = page.rows.iter().map(|row| row_text(context, row)).collect();
    let total = text::count(page.total, &words.member, &words.members);
    let position = format!(
        "Page {} of {} · {total} in the ranking",
        page.number,
        page_count(page.total)
    );
    let first_tier = page.rows.first().and_then(|row| row.tier);
    context
        .embed(title, context.theme.color_of(first_tier), &[lines.join("\n"), position])
        .field(next_step("Turn pages below, or see one member with `/profile`."))
        .build()
}

/// A row as one line.
pub(super) fn row_text(context: &RenderContext<'_>, row: &Row<'_>) -> String {
    let emoji = row
        .tier
        .and_then(|id| context.theme.tier(id))
        .map_or("▫️", |tier| tier.emoji.as_str());
    let name = text::name(row.name);
    let name = if row.own {
        format!("➤ **{name}** (you)")
    } else {
        format!("**{name}**")
    };
    let held = text::held(row.held, context.symbol);
    // The position in the community comes first, the global rank, which decides the tier, last.
    format!(
        "`{:>3}.` {emoji} {name} · {held} · rank {}",
        row.position,
        text::grouped(row.rank.get())
    )
}

/// The buttons of a page; none if the page is empty.
pub fn buttons(page: &Page<'_>) -> Vec<Component> {
    if page.rows.is_empty() {
        return Vec::new();
    }
    let last = page_count(page.total);
    let mut row = buttons::pages(page.number, last, |to, word| format!("{NAME}:page:{to}:{word}"));
    row.push(buttons::with_emoji(
        "🧭",
        "Jump to me",
        format!("{NAME}:me"),
        ButtonStyle::Primary,
        page.rows.iter().any(|row| row.own),
    ));
    buttons::rows(row)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::samples::{balance, context, theme};
    use super::*;

    fn page<'a>(rows: Vec<Row<'a>>, number: u32, total: u32) -> Page<'a> {
        Page { rows, number, total }
    }

    fn row<'a>(position: u32, name: &'a str, held: &str, tier: Option<&'a TierId>, own: bool) -> Row<'a> {
        Row {
            position,
            name,
            rank: Rank::new(position + 3).unwrap(),
            held: balance(held),
            tier,
            own,
        }
    }

    #[test]
    fn page_in_the_middle() {
        let theme = theme("sietch");
        let (fedaykin, hajra) = (TierId::new("fedaykin").unwrap(), TierId::new("hajra").unwrap());
        let rows = vec![
            row(11, "stilgar", "12345.6789", Some(&fedaykin), false),
            row(12, "**chani**", "68.999999999999999999", Some(&hajra), true),
            row(13, "otheym", "0.5", None, false),
        ];
        let page = page(rows, 2, 23);
        insta::assert_json_snapshot!((embed(&context(&theme), &page), buttons(&page)));
    }

    #[test]
    fn without_ranked_members() {
        let theme = theme("basic");
        let page = page(Vec::new(), 1, 0);
        insta::assert_json_snapshot!(embed(&context(&theme), &page));
        assert!(buttons(&page).is_empty());
    }

    fn custom_ids(components: &[Component]) -> Vec<(String, bool)> {
        let [Component::ActionRow(row)] = components else {
            panic!("one row")
        };
        let button = |component: &Component| match component {
            Component::Button(button) => (button.custom_id.clone().unwrap(), button.disabled),
            other => panic!("not a button: {other:?}"),
        };
        row.components.iter().map(button).collect()
    }

    #[test]
    fn button_to_the_shown_page_is_disabled() {
        let disabled = |number, total| {
            let ids = custom_ids(&buttons(&page(vec![row(1, "a", "1", None, false)], number, total)));
            ids.into_iter()
                .filter(|(_, off)| *off)
                .map(|(id, _)| id.rsplit(':').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(disabled(1, 10), ["first", "previous", "next", "last"]);
        assert_eq!(disabled(1, 11), ["first", "previous"]);
        assert_eq!(disabled(2, 11), ["next", "last"]);
        assert_eq!(disabled(2, 21), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn custom_id_of_every_button_is_unique_and_parsed(number in 1_u32..500, total in 1_u32..5_000) {
            let number = nearest(number, total);
            let ids = custom_ids(&buttons(&page(vec![row(1, "a", "1", None, false)], number, total)));
            let different: BTreeSet<_> = ids.iter().map(|(id, _)| id).collect();
            prop_assert_eq!(different.len(), ids.len(), "Discord requires unique ids");
            for (id, _) in &ids {
                prop_assert!(id.len() <= 100);
                let segments: Vec<&str> = id.split(':').collect();
                prop_assert_eq!(segments[0], NAME);
                match PageTarget::parse(&segments[1..]) {
                    Some(PageTarget::Number(page)) => prop_assert_eq!(nearest(page, total), page),
                    Some(PageTarget::OwnPosition) => prop_assert!(id.ends_with(":me")),
                    None => prop_assert!(false, "{} is not parsed", id),
                }
            }
        }

        #[test]
        fn position_is_on_its_page(position in 1_u32..100_000) {
            let first = offset(page_of(position)) + 1;
            prop_assert!((first..first + PAGE_SIZE).contains(&position));
        }
    }

    #[test]
    fn foreign_custom_id_is_not_parsed() {
        for id in [
            "",
            "me:too",
            "page",
            "page:1",
            "page:0:next",
            "page:-1:next",
            "page:x:next",
            "page:4294967296:next",
        ] {
            let segments: Vec<&str> = id.split(':').collect();
            assert_eq!(PageTarget::parse(&segments), None, "{id}");
        }
    }

    #[test]
    fn full_page_of_long_names_fits() {
        let theme = theme("sietch");
        let name = "*".repeat(32);
        let rows = (1..=PAGE_SIZE)
            .map(|n| row(n, &name, &Balance::MAX.to_string(), None, false))
            .collect();
        let embed = embed(&context(&theme), &page(rows, 1, 10));
        assert!(!embed.description.unwrap().contains('…'));
    }
}
