//! `/directory`: a page of the members, with buttons to other pages and for the member's own setting.
//!
//! A button's custom id contains filter and page (`directory:page:t.naib:3:next`, `directory:hide:all:1`), so that any worker can handle
//! a click, also after a restart.

use arrakis_db::{DirectoryEntry, DirectoryFilter, DirectoryPage, UserId};
use arrakis_domain::Theme;
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::leaderboard::page_count;
use super::{RenderContext, buttons, full_field, next_step, text};

/// Name of the command, and first segment of its custom ids.
pub const NAME: &str = "directory";
/// Argument of the buttons to other pages; the next arguments are filter, page, and a word.
pub const PAGE: &str = "page";
/// Argument of the button by which the member hides; the next arguments are filter and page.
pub const HIDE: &str = "hide";
/// Argument of the button by which the member is listed again; the next arguments are filter and page.
pub const SHOW: &str = "show";
/// The segment of a custom id for no filter.
const ALL: &str = "all";

/// A page of the directory.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryView<'a> {
    /// The members that it is about.
    pub filter: &'a DirectoryFilter,
    /// The page.
    pub page: &'a DirectoryPage,
    /// Number of the page, counted from 1.
    pub number: u32,
    /// The member who ran the command or clicked.
    pub author: UserId,
    /// Whether that member hides; `None` for one without a profile.
    pub own_hidden: Option<bool>,
}

/// The segment of a custom id for a filter: `all`, `t.naib`, `b.water-sharer`.
pub fn filter_name(filter: &DirectoryFilter) -> String {
    match filter {
        DirectoryFilter::All => ALL.to_owned(),
        DirectoryFilter::Tier(tier) => format!("t.{tier}"),
        DirectoryFilter::Badge(badge) => format!("b.{badge}"),
    }
}

/// The filter of a segment; `None` for a tier or badge that the theme does not have.
pub fn read_filter(theme: &Theme, segment: &str) -> Option<DirectoryFilter> {
    match segment.split_once('.') {
        None if segment == ALL => Some(DirectoryFilter::All),
        Some(("t", tier)) => {
            let tier = theme.tiers.iter().find(|known| known.id.as_str() == tier)?;
            Some(DirectoryFilter::Tier(tier.id.clone()))
        }
        Some(("b", badge)) => {
            let badge = theme.badges.iter().find(|known| known.id.as_str() == badge)?;
            Some(DirectoryFilter::Badge(badge.id.clone()))
        }
        _ => None,
    }
}

/// The sentences of the refusal of a tier or badge that the theme does not have. `what` is `tier` or `badge`.
pub fn unknown<'a>(what: &str, typed: &str, names: impl Iterator<Item = &'a str>) -> (String, String) {
    let names: Vec<&str> = names.collect();
    (
        format!("There is no {what} \"{}\" here.", text::name(typed.trim())),
        format!("Choose one of: {}.", names.join(", ")),
    )
}

/// Renders a page with its buttons.
pub fn page(context: &RenderContext<'_>, view: &DirectoryView<'_>) -> (Embed, Vec<Component>) {
    let title = text::capitalized(&context.theme.words.members);
    let color = match view.filter {
        DirectoryFilter::Tier(tier) => context.theme.color_of(Some(tier)),
        DirectoryFilter::All | DirectoryFilter::Badge(_) => context.theme.accent,
    };
    let mut lead = vec![summary(context, view)];
    if !view.page.entries.is_empty() {
        let lines: Vec<String> = view
            .page
            .entries
            .iter()
            .map(|entry| line(context, view, entry))
            .collect();
        lead.push(lines.join("\n"));
    }
    if view.page.total > 0 {
        lead.push(format!("Page {} of {}", view.number, page_count(view.page.total)));
    }
    let mut embed = context.embed(&title, color, &lead);
    if let Some(hidden) = view.own_hidden {
        embed = embed.field(full_field("You", own_text(hidden)));
    }
    let embed = embed.field(next_step(next_step_text(view))).build();
    (embed, components(view))
}

/// What the page is about, and how many members are listed.
fn summary(context: &RenderContext<'_>, view: &DirectoryView<'_>) -> String {
    let words = &context.theme.words;
    let total = view.page.total;
    let count = text::count(total, &words.member, &words.members);
    match view.filter {
        DirectoryFilter::All => format!("**{count}** in the directory."),
        DirectoryFilter::Tier(tier) => {
            let tier = text::tier(context.theme, tier);
            if total == 0 {
                return format!("No {} with the tier **{tier}** is listed.", words.member);
            }
            format!("**{tier}**: {count}.")
        }
        DirectoryFilter::Badge(id) => {
            let badge = context.theme.badge(id);
            let badge = badge.map_or_else(|| id.to_string(), |badge| format!("{} {}", badge.emoji, badge.name));
            if total == 0 {
                return format!("No {} who holds **{badge}** is listed.", words.member);
            }
            format!("**{badge}**: held by {count}.")
        }
    }
}

fn line(context: &RenderContext<'_>, view: &DirectoryView<'_>, entry: &DirectoryEntry) -> String {
    let name = text::name(&entry.display_name);
    let name = if entry.user == view.author {
        format!("➤ **{name}** (you)")
    } else {
        format!("**{name}**")
    };
    let since = format!("since {}", text::date(entry.joined_at));
    if matches!(view.filter, DirectoryFilter::Tier(_)) {
        return format!("{name} · {since}");
    }
    let tier = entry.tier.as_ref();
    let tier = tier.map_or_else(|| "▫️ no tier".to_owned(), |tier| text::tier(context.theme, tier));
    format!("{name} · {tier} · {since}")
}

const fn own_text(hidden: bool) -> &'static str {
    if hidden {
        "You hide: other members do not find you here, and `/naib` and posts of arrivals and of the week do not name you. The leaderboard still shows ranked members."
    } else {
        "You are listed for the members of this server, with name and tier, and never with your wallet."
    }
}

fn next_step_text(view: &DirectoryView<'_>) -> &'static str {
    match (view.filter, view.page.total) {
        (DirectoryFilter::All, _) => "The options `tier` and `badge` narrow it; `/profile` shows one member.",
        (_, 0) => "`/directory` without options lists everybody.",
        _ => "`/profile` shows one member; `/directory` without options lists everybody.",
    }
}

fn components(view: &DirectoryView<'_>) -> Vec<Component> {
    let filter = filter_name(view.filter);
    let last = page_count(view.page.total);
    let mut rows = Vec::new();
    if last > 1 {
        let pages = buttons::pages(view.number, last, |to, word| {
            format!("{NAME}:{PAGE}:{filter}:{to}:{word}")
        });
        rows.extend(buttons::rows(pages));
    }
    let setting = view.own_hidden.map(|hidden| {
        let (what, label) = if hidden {
            (SHOW, "List me again")
        } else {
            (HIDE, "Hide me")
        };
        let id = format!("{NAME}:{what}:{filter}:{}", view.number);
        buttons::button(label, id, ButtonStyle::Secondary)
    });
    rows.extend(buttons::rows(setting.into_iter().collect()));
    rows
}

#[cfg(test)]
mod tests {
    use arrakis_domain::{BadgeId, TierId};
    use time::macros::datetime;

    use super::super::samples::{context, theme};
    use super::*;

    fn tier(id: &str) -> DirectoryFilter {
        DirectoryFilter::Tier(TierId::new(id).unwrap())
    }

    fn entry(user: u64, name: &str, tier: Option<&str>) -> DirectoryEntry {
        DirectoryEntry {
            user: UserId::new(user).unwrap(),
            display_name: name.to_owned(),
            tier: tier.map(|tier| TierId::new(tier).unwrap()),
            joined_at: datetime!(2026-02-01 08:00:00 UTC),
        }
    }

    fn rendered(
        theme_id: &str,
        filter: &DirectoryFilter,
        page: &DirectoryPage,
        own_hidden: Option<bool>,
    ) -> (Embed, Vec<Component>) {
        let theme = theme(theme_id);
        let view = DirectoryView {
            filter,
            page,
            number: 1,
            author: UserId::new(2).unwrap(),
            own_hidden,
        };
        super::page(&context(&theme), &view)
    }

    fn custom_ids(rows: &[Component]) -> Vec<String> {
        let in_row = |row: &Component| match row {
            Component::ActionRow(row) => row.components.clone(),
            other => panic!("not a row: {other:?}"),
        };
        let id = |component: Component| match component {
            Component::Button(button) => button.custom_id.unwrap(),
            other => panic!("not a button: {other:?}"),
        };
        rows.iter().flat_map(in_row).map(id).collect()
    }

    #[test]
    fn page_lists_members_with_tier_and_marks_the_own_name() {
        let entries = vec![entry(1, "*stil*", Some("naib")), entry(2, "chani", None)];
        let page = DirectoryPage { entries, total: 12 };
        let (embed, rows) = rendered("sietch", &DirectoryFilter::All, &page, Some(false));
        assert_eq!(embed.title.as_deref(), Some("Sietch dwellers"));
        let description = embed.description.unwrap();
        assert!(description.starts_with("**12 sietch dwellers** in the directory."));
        assert!(
            description.contains("**\\*stil\\*** · 👑 Naib · since <t:1769932800:D>"),
            "{description}"
        );
        assert!(description.contains("➤ **chani** (you) · ▫️ no tier"), "{description}");
        assert!(description.ends_with("Page 1 of 2"));
        assert_eq!(
            custom_ids(&rows),
            [
                "directory:page:all:1:first",
                "directory:page:all:1:previous",
                "directory:page:all:2:next",
                "directory:page:all:2:last",
                "directory:hide:all:1",
            ]
        );
    }

    #[test]
    fn hidden_member_is_offered_to_be_listed_again() {
        let page = DirectoryPage {
            entries: vec![entry(1, "stilgar", Some("naib"))],
            total: 1,
        };
        let (embed, rows) = rendered("sietch", &tier("naib"), &page, Some(true));
        assert!(embed.description.unwrap().starts_with("**👑 Naib**: 1 sietch dweller."));
        assert!(embed.fields[0].value.starts_with("You hide:"));
        assert_eq!(custom_ids(&rows), ["directory:show:t.naib:1"]);
    }

    #[test]
    fn empty_page_names_what_was_searched() {
        let page = DirectoryPage {
            entries: Vec::new(),
            total: 0,
        };
        let veteran = DirectoryFilter::Badge(BadgeId::new("veteran").unwrap());
        let (embed, rows) = rendered("basic", &veteran, &page, None);
        let description = embed.description.unwrap();
        assert!(description.starts_with("No member who holds **"), "{description}");
        assert!(rows.is_empty());
    }

    #[test]
    fn filters_are_read_from_their_names() {
        let theme = theme("sietch");
        let badge = DirectoryFilter::Badge(BadgeId::new("water-sharer").unwrap());
        for filter in [DirectoryFilter::All, tier("naib"), badge] {
            assert_eq!(read_filter(&theme, &filter_name(&filter)), Some(filter));
        }
        for segment in ["", "t.", "t.gold", "b.naib", "x.naib", "naib", "all.t"] {
            assert_eq!(read_filter(&theme, segment), None, "{segment}");
        }
    }

    #[test]
    fn custom_ids_are_within_the_limit_of_100_characters() {
        let longest = tier(&"x".repeat(50));
        let page = DirectoryPage {
            entries: Vec::new(),
            total: u32::MAX,
        };
        let view = DirectoryView {
            filter: &longest,
            page: &page,
            number: u32::MAX / 10,
            author: UserId::new(2).unwrap(),
            own_hidden: Some(true),
        };
        for id in custom_ids(&components(&view)) {
            assert!(id.len() <= 100, "{id}");
        }
    }
}
