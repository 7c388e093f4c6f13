//! `/leaderboard`: a page of the ranking, with buttons that carry their page, so that they work for ever.
//!
//! A button's custom id is the whole state: `leaderboard:page:3:next`, `leaderboard:me`. Any worker can answer it, after any
//! restart. The last segment of a page button is there for Discord alone, which refuses one id twice in a message.

use arrakis_domain::{Balance, Rank, TierId};
use twilight_model::channel::message::component::{ActionRow, Button, ButtonStyle};
use twilight_model::channel::message::{Component, Embed, EmojiReactionType};

use super::{Scene, next_step, text};

/// Name of the command, and first segment of its custom ids.
pub const NAME: &str = "leaderboard";
/// Lines on a page.
pub const PAGE_SIZE: u32 = 10;

/// One line.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// Place in this community, from 1.
    pub position: u32,
    /// Name in this community.
    pub name: &'a str,
    /// Place among all wallets.
    pub rank: Rank,
    /// What the wallet holds.
    pub held: Balance,
    /// Tier.
    pub tier: Option<&'a TierId>,
    /// The asking member's own line.
    pub mine: bool,
}

/// A page.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// Its lines, the best first.
    pub lines: Vec<Line<'a>>,
    /// Which one, from 1.
    pub number: u32,
    /// Lines on all pages.
    pub total: u32,
}

/// What a button of ours asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// To this page.
    To(u32),
    /// To the page on which the pressing member stands.
    ToMe,
}

impl Turn {
    /// Reads the segments of a custom id behind the name; `None` for one that no button of ours has.
    pub fn read(arguments: &[&str]) -> Option<Self> {
        match arguments {
            ["me"] => Some(Self::ToMe),
            ["page", number, _] => number.parse().ok().filter(|number| *number > 0).map(Self::To),
            _ => None,
        }
    }
}

/// Pages that so many lines take; one when there is none.
pub fn pages(total: u32) -> u32 {
    total.div_ceil(PAGE_SIZE).max(1)
}

/// The page on which a place is.
pub fn page_of(position: u32) -> u32 {
    pages(position)
}

/// The page asked for, or the nearest there is: members leave while others turn pages.
pub fn nearest(number: u32, total: u32) -> u32 {
    number.clamp(1, pages(total))
}

/// Lines before a page.
pub fn offset(number: u32) -> u32 {
    number.saturating_sub(1).saturating_mul(PAGE_SIZE)
}

/// Draws a page.
pub fn embed(scene: &Scene<'_>, page: &Page<'_>) -> Embed {
    let title = &scene.theme.words.leaderboard;
    let words = &scene.theme.words;
    if page.lines.is_empty() {
        let lead = format!("No {} here has a wallet in the ranking yet.", words.member);
        let next = "Ask an admin of this server to link wallets, then look again.";
        return scene
            .embed(title, scene.theme.accent, &[lead])
            .field(next_step(next))
            .build();
    }
    let lines: Vec<String> = page.lines.iter().map(|line| written(scene, line)).collect();
    let total = text::count(page.total, &words.member, &words.members);
    let place = format!("Page {} of {} · {total} in the ranking", page.number, pages(page.total));
    let leader = page.lines.first().and_then(|line| line.tier);
    scene
        .embed(title, scene.theme.color_of(leader), &[lines.join("\n"), place])
        .field(next_step("Turn pages below, or see one member with `/profile`."))
        .build()
}

fn written(scene: &Scene<'_>, line: &Line<'_>) -> String {
    let emoji = line
        .tier
        .and_then(|id| scene.theme.tier(id))
        .map_or("▫️", |tier| tier.emoji.as_str());
    let name = text::name(line.name);
    let name = if line.mine {
        format!("➤ **{name}** (you)")
    } else {
        format!("**{name}**")
    };
    let held = text::held(line.held, scene.symbol);
    // Global rank, since that decides tiers; the place here is the number in front.
    format!(
        "`{:>3}.` {emoji} {name} · {held} · rank {}",
        line.position,
        text::grouped(line.rank.get())
    )
}

/// The buttons under a page; none when there is nothing to turn.
pub fn buttons(page: &Page<'_>) -> Vec<Component> {
    if page.lines.is_empty() {
        return Vec::new();
    }
    let last = pages(page.total);
    let (before, after) = (
        page.number.saturating_sub(1).max(1),
        page.number.saturating_add(1).min(last),
    );
    let row = vec![
        turn("⏮️", "First page", 1, "first", page.number == 1),
        turn("◀️", "Previous page", before, "previous", page.number == 1),
        turn("▶️", "Next page", after, "next", page.number >= last),
        turn("⏭️", "Last page", last, "last", page.number >= last),
        button(
            "🧭",
            "Jump to me",
            format!("{NAME}:me"),
            ButtonStyle::Primary,
            page.lines.iter().any(|line| line.mine),
        ),
    ];
    vec![Component::ActionRow(ActionRow {
        id: None,
        components: row,
    })]
}

fn turn(emoji: &str, label: &str, to: u32, what: &str, disabled: bool) -> Component {
    button(
        emoji,
        label,
        format!("{NAME}:page:{to}:{what}"),
        ButtonStyle::Secondary,
        disabled,
    )
}

/// A label beside the emoji: screen readers read it, and so does who does not guess arrows.
fn button(emoji: &str, label: &str, custom_id: String, style: ButtonStyle, disabled: bool) -> Component {
    Component::Button(Button {
        id: None,
        custom_id: Some(custom_id),
        disabled,
        emoji: Some(EmojiReactionType::Unicode { name: emoji.to_owned() }),
        label: Some(label.to_owned()),
        style,
        url: None,
        sku_id: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::samples::{balance, scene, theme};
    use super::*;

    fn page<'a>(lines: Vec<Line<'a>>, number: u32, total: u32) -> Page<'a> {
        Page { lines, number, total }
    }

    fn line<'a>(position: u32, name: &'a str, held: &str, tier: Option<&'a TierId>, mine: bool) -> Line<'a> {
        Line {
            position,
            name,
            rank: Rank::new(position + 3).unwrap(),
            held: balance(held),
            tier,
            mine,
        }
    }

    #[test]
    fn a_page_in_the_middle() {
        let theme = theme("sietch");
        let (fedaykin, hajra) = (TierId::new("fedaykin").unwrap(), TierId::new("hajra").unwrap());
        let lines = vec![
            line(11, "stilgar", "12345.6789", Some(&fedaykin), false),
            line(12, "**chani**", "68.999999999999999999", Some(&hajra), true),
            line(13, "otheym", "0.5", None, false),
        ];
        let page = page(lines, 2, 23);
        insta::assert_json_snapshot!((embed(&scene(&theme), &page), buttons(&page)));
    }

    #[test]
    fn nobody_is_ranked() {
        let theme = theme("basic");
        let page = page(Vec::new(), 1, 0);
        insta::assert_json_snapshot!(embed(&scene(&theme), &page));
        assert!(buttons(&page).is_empty());
    }

    fn custom_ids(components: &[Component]) -> Vec<(String, bool)> {
        let [Component::ActionRow(row)] = components else {
            panic!("one row")
        };
        let button = |component: &Component| match component {
            Component::Button(button) => (button.custom_id.clone().unwrap(), button.disabled),
            other => panic!("{other:?} is no button"),
        };
        row.components.iter().map(button).collect()
    }

    #[test]
    fn buttons_that_lead_nowhere_are_off() {
        let disabled = |number, total| {
            let ids = custom_ids(&buttons(&page(vec![line(1, "a", "1", None, false)], number, total)));
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
        fn every_button_carries_its_own_state(number in 1_u32..500, total in 1_u32..5_000) {
            let number = nearest(number, total);
            let ids = custom_ids(&buttons(&page(vec![line(1, "a", "1", None, false)], number, total)));
            let different: BTreeSet<_> = ids.iter().map(|(id, _)| id).collect();
            prop_assert_eq!(different.len(), ids.len(), "Discord refuses one id twice");
            for (id, _) in &ids {
                prop_assert!(id.len() <= 100);
                let segments: Vec<&str> = id.split(':').collect();
                prop_assert_eq!(segments[0], NAME);
                match Turn::read(&segments[1..]) {
                    Some(Turn::To(page)) => prop_assert_eq!(nearest(page, total), page),
                    Some(Turn::ToMe) => prop_assert!(id.ends_with(":me")),
                    None => prop_assert!(false, "{} is not understood", id),
                }
            }
        }

        #[test]
        fn a_place_is_on_the_page_that_is_said(position in 1_u32..100_000) {
            let first = offset(page_of(position)) + 1;
            prop_assert!((first..first + PAGE_SIZE).contains(&position));
        }
    }

    #[test]
    fn ids_of_others_are_not_ours() {
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
            assert_eq!(Turn::read(&segments), None, "{id}");
        }
    }

    #[test]
    fn a_full_page_of_long_names_fits() {
        let theme = theme("sietch");
        let name = "*".repeat(32);
        let lines = (1..=PAGE_SIZE)
            .map(|n| line(n, &name, &Balance::MAX.to_string(), None, false))
            .collect();
        let embed = embed(&scene(&theme), &page(lines, 1, 10));
        assert!(!embed.description.unwrap().contains('…'));
    }
}
