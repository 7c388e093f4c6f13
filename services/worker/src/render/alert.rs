//! The message of an alert: what changed for a member, with the buttons that switch it off.
//!
//! A message is read in the member's direct messages, so the custom ids of its buttons name the community: `alerts:mute:{community}:rank`. That
//! of the last button ends with the id of the message, by which a later attempt finds it.

use std::collections::BTreeSet;

use arrakis_db::CommunityId;
use arrakis_domain::{AlertKind, EntryThreshold, Place, Rank, TierId, Zone, Zones};
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};
use uuid::Uuid;

use super::{RenderContext, buttons, next_step, text, threshold};

/// Name of the command, and first segment of its custom ids.
pub const NAME: &str = "alerts";
/// Argument of the buttons of a message that switch alerts off.
pub const MUTE: &str = "mute";
/// Argument of the button that switches them on again.
pub const UNDO: &str = "undo";
/// Argument of the button that switches all kinds off, in place of a kind.
pub const ALL: &str = "all";

/// A value before the first and after the last of several changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// Before the first change.
    pub before: T,
    /// After the last one.
    pub after: T,
    /// Number of changes.
    pub count: u32,
}

/// What changed, by kind of alert; `None` where nothing did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertChanges {
    /// Rank and holding; no place without a rank.
    pub rank: Option<Change<Option<Place>>>,
    /// The tier; `None` below the lowest.
    pub tier: Option<Change<Option<TierId>>>,
    /// The place, whose zone changed.
    pub waitlist: Option<Change<Option<Place>>>,
    /// The entry threshold.
    pub threshold: Option<Change<EntryThreshold>>,
}

impl AlertChanges {
    /// The kinds of what changed.
    pub fn kinds(&self) -> BTreeSet<AlertKind> {
        let present = |kind: &AlertKind| match kind {
            AlertKind::Rank => self.rank.is_some(),
            AlertKind::Tier => self.tier.is_some(),
            AlertKind::Waitlist => self.waitlist.is_some(),
            AlertKind::Threshold => self.threshold.is_some(),
        };
        AlertKind::ALL.into_iter().filter(present).collect()
    }
}

/// Renders the message.
pub fn embed(
    context: &RenderContext<'_>,
    community: (CommunityId, &str),
    message: Uuid,
    changes: &AlertChanges,
) -> (Embed, Vec<Component>) {
    let (id, name) = community;
    let lines = [
        changes.waitlist.as_ref().map(|change| waitlist(context, change)),
        changes.tier.as_ref().map(|change| tier(context, change)),
        changes.rank.as_ref().map(|change| rank(context, change)),
        changes.threshold.as_ref().map(|change| entry(context, change)),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    let tier_now = changes.tier.as_ref().and_then(|change| change.after.as_ref());
    let embed = context
        .embed_without_ranking(
            &format!("{}: what changed", text::name(name)),
            context.theme.color_of(tier_now),
            &lines,
        )
        .field(next_step(
            "In the server, `/position` shows who is next above and below you, and `/alerts` changes what you receive and when.",
        ))
        .build();
    (embed, buttons::rows(off_switches(id, message, &changes.kinds())))
}

/// A button for each kind of the message, and one for everything.
fn off_switches(community: CommunityId, message: Uuid, kinds: &BTreeSet<AlertKind>) -> Vec<Component> {
    let id = |what: &str| format!("{NAME}:{MUTE}:{community}:{what}");
    let kind = |kind: &AlertKind| {
        let label = format!("No more of: {}", kind_name(*kind));
        buttons::button(label, id(kind.as_str()), ButtonStyle::Secondary)
    };
    let mut switches: Vec<Component> = kinds.iter().map(kind).collect();
    let all = format!("{}:{message}", id(ALL));
    switches.push(buttons::button("All alerts off", all, ButtonStyle::Danger));
    switches
}

/// A kind as members see it.
pub fn kind_name(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Rank => "rank",
        AlertKind::Tier => "tier",
        AlertKind::Waitlist => "waitlist",
        AlertKind::Threshold => "entry",
    }
}

/// Renders that kinds were switched off. The button switches them on again.
pub fn muted(
    context: &RenderContext<'_>,
    community: (CommunityId, &str),
    off: &BTreeSet<AlertKind>,
    on: &BTreeSet<AlertKind>,
) -> (Embed, Vec<Component>) {
    let (id, name) = community;
    let still = match names(on) {
        None => format!("**{}** sends you no alerts any more.", text::name(name)),
        Some(names) => format!("**{}** still notifies you of: {names}.", text::name(name)),
    };
    let next = "Press the button if that was a mistake; in the server, `/alerts` changes everything.";
    let embed = context
        .embed_without_ranking("Switched off", context.theme.accent, &[still])
        .field(next_step(next))
        .build();
    let undo = undo_id(id, off);
    let undo = buttons::button("Switch on again", undo, ButtonStyle::Secondary);
    let buttons = if off.is_empty() { Vec::new() } else { vec![undo] };
    (embed, buttons::rows(buttons))
}

/// Renders that kinds were switched on again.
pub fn restored(context: &RenderContext<'_>, name: &str, on: &BTreeSet<AlertKind>) -> Embed {
    let names = names(on).unwrap_or_else(|| "nothing".to_owned());
    let lead = format!("**{}** notifies you of: {names}.", text::name(name));
    context
        .embed_without_ranking("Switched on", context.theme.accent, &[lead])
        .field(next_step(
            "In the server, `/alerts` sets quiet hours and the daily digest.",
        ))
        .build()
}

fn undo_id(community: CommunityId, off: &BTreeSet<AlertKind>) -> String {
    let kinds: Vec<&str> = off.iter().map(|kind| kind.as_str()).collect();
    format!("{NAME}:{UNDO}:{community}:{}", kinds.join("-"))
}

/// The kinds as a list; `None` for none.
pub(super) fn names(kinds: &BTreeSet<AlertKind>) -> Option<String> {
    let names: Vec<String> = kinds.iter().map(|kind| format!("**{}**", kind_name(*kind))).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn rank(context: &RenderContext<'_>, change: &Change<Option<Place>>) -> String {
    let shown = |rank: Rank| text::grouped(rank.get());
    let line = match (change.before, change.after) {
        (None, None) => "➖ Your wallet was in the ranking meanwhile and is not any more.".to_owned(),
        (None, Some(place)) => format!("📈 You are in the ranking: **rank {}**.", shown(place.rank)),
        (Some(place), None) => format!(
            "📉 You are not in the ranking any more; you had rank {}.",
            shown(place.rank)
        ),
        (Some(before), Some(after)) if before.rank == after.rank => {
            format!("↔️ You are at **rank {}** again.", shown(after.rank))
        }
        (Some(before), Some(after)) => {
            let arrow = if after.rank < before.rank { "📈" } else { "📉" };
            format!("{arrow} Rank {} → **{}**.", shown(before.rank), shown(after.rank))
        }
    };
    let held = change
        .after
        .map(|place| format!(" You hold {}.", text::held(place.held, context.symbol)));
    format!("{line}{}{}", held.unwrap_or_default(), times(change.count))
}

fn tier(context: &RenderContext<'_>, change: &Change<Option<TierId>>) -> String {
    let shown = |tier: &Option<TierId>| match tier {
        Some(tier) => text::tier(context.theme, tier),
        None => "no tier".to_owned(),
    };
    let (before, after) = (shown(&change.before), shown(&change.after));
    let line = if change.before == change.after {
        format!("🎖️ Your tier is **{after}** again.")
    } else {
        format!("🎖️ Your tier: {before} → **{after}**.")
    };
    format!("{line}{}", times(change.count))
}

fn waitlist(context: &RenderContext<'_>, change: &Change<Option<Place>>) -> String {
    let zone = |place: Option<Place>| Zones::STANDARD.zone_of(place.map(|place| place.rank));
    let (before, after) = (zone(change.before), zone(change.after));
    let rank = change
        .after
        .map(|place| format!(": rank {}", text::grouped(place.rank.get())));
    let rank = rank.unwrap_or_default();
    let list = waitlist_name(context);
    let line = match (before, after) {
        (before, after) if before.is_eligible() && after.is_eligible() => {
            format!("🚪 You were outside for a while and are inside again{rank}.")
        }
        (_, after) if after.is_eligible() => format!("🚪 **You are in**{rank} is eligible."),
        (before, Zone::Waitlist) if before.is_eligible() => {
            format!("⏳ You are not eligible any more, and on {list}{rank}.")
        }
        (_, Zone::Waitlist) => format!("⏳ You are on {list}{rank}."),
        (before, _) if before.is_eligible() => format!("⛔ You are not eligible any more{rank}."),
        _ => format!("⛔ You are behind {list}{rank}."),
    };
    format!("{line}{}", times(change.count))
}

/// The waitlist with the theme's name for it.
fn waitlist_name(context: &RenderContext<'_>) -> String {
    match context.theme.words.waitlist.as_str() {
        "waitlist" => "the waitlist".to_owned(),
        name => format!("the waitlist ({name})"),
    }
}

fn entry(context: &RenderContext<'_>, change: &Change<EntryThreshold>) -> String {
    let shown = |entry| threshold::short_text(context, entry);
    let (before, after) = (shown(change.before), shown(change.after));
    let line = if change.before == change.after {
        format!("🎯 Entry: **{after}**, as before.")
    } else {
        format!("🎯 Entry: **{after}** (before: {before}).")
    };
    format!("{line}{}", times(change.count))
}

/// How often it changed, where that is not once.
fn times(count: u32) -> String {
    if count > 1 {
        format!(" ({})", text::count(count, "change", "changes"))
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{balance, context, theme};
    use super::*;

    fn community() -> (CommunityId, &'static str) {
        (CommunityId::from_uuid(Uuid::from_u128(7)), "Sietch *Tabr*")
    }

    fn message() -> Uuid {
        Uuid::from_u128(8)
    }

    fn place(rank: u32, held: &str) -> Option<Place> {
        let rank = Rank::new(rank).unwrap();
        Some(Place {
            rank,
            held: balance(held),
        })
    }

    fn change<T>(before: T, after: T, count: u32) -> Option<Change<T>> {
        Some(Change { before, after, count })
    }

    fn custom_ids(components: &[Component]) -> Vec<String> {
        let rows = components.iter().flat_map(|row| match row {
            Component::ActionRow(row) => row.components.clone(),
            _ => Vec::new(),
        });
        let ids = rows.filter_map(|component| match component {
            Component::Button(button) => button.custom_id,
            _ => None,
        });
        ids.collect()
    }

    #[test]
    fn every_message_has_an_off_switch_for_each_kind_and_for_all() {
        let theme = theme("sietch");
        let changes = AlertChanges {
            rank: change(place(71, "1200"), place(69, "1300.5"), 1),
            tier: change(
                Some(TierId::new("usul").unwrap()),
                Some(TierId::new("fedaykin").unwrap()),
                1,
            ),
            waitlist: change(place(71, "1200"), place(69, "1300.5"), 1),
            threshold: change(
                EntryThreshold::PlacesFree { free: 2 },
                EntryThreshold::Holding {
                    balance: balance("1290"),
                },
                3,
            ),
        };
        let (embed, components) = embed(&context(&theme), community(), message(), &changes);
        let text = embed.description.unwrap();
        for line in [
            "🚪 **You are in**: rank 69 is eligible.",
            "→ **⚔️ Fedaykin**.",
            "📈 Rank 71 → **69**. You hold 1,300.5 BGT.",
            "🎯 Entry: **more than 1,290 BGT** (before: 2 places are free). (3 changes)",
        ] {
            assert!(text.contains(line), "no {line:?} in {text:?}");
        }
        assert_eq!(embed.title.unwrap(), r"Sietch \*Tabr\*: what changed");
        let id = "alerts:mute:00000000-0000-0000-0000-000000000007";
        let last = format!("all:{}", message());
        let wanted = ["rank", "tier", "waitlist", "threshold", last.as_str()].map(|kind| format!("{id}:{kind}"));
        assert!(wanted.iter().all(|id| id.len() <= 100), "Discord's limit");
        assert_eq!(custom_ids(&components), wanted);
    }

    #[test]
    fn changes_that_end_where_they_began_are_named_so() {
        let theme = theme("basic");
        let changes = AlertChanges {
            rank: change(place(12, "5"), place(12, "6"), 4),
            waitlist: change(place(60, "5"), place(12, "6"), 2),
            ..AlertChanges::default()
        };
        let (embed, components) = embed(&context(&theme), community(), message(), &changes);
        let text = embed.description.unwrap();
        assert!(
            text.contains("↔️ You are at **rank 12** again. You hold 6 BGT. (4 changes)"),
            "{text}"
        );
        assert!(text.contains("are inside again: rank 12. (2 changes)"), "{text}");
        assert_eq!(custom_ids(&components).len(), 3);
    }

    #[test]
    fn member_without_a_place_is_told_so() {
        let theme = theme("basic");
        let changes = AlertChanges {
            rank: change(place(70, "5"), None, 1),
            waitlist: change(place(70, "5"), None, 1),
            ..AlertChanges::default()
        };
        let (embed, _) = embed(&context(&theme), community(), message(), &changes);
        let text = embed.description.unwrap();
        assert!(text.contains("⛔ You are behind the waitlist."), "{text}");
        assert!(
            text.contains("📉 You are not in the ranking any more; you had rank 70."),
            "{text}"
        );
    }

    #[test]
    fn switched_off_kinds_are_in_the_button_that_restores_them() {
        let theme = theme("sietch");
        let off = BTreeSet::from([AlertKind::Rank, AlertKind::Threshold]);
        let (embed, components) = muted(&context(&theme), community(), &off, &BTreeSet::new());
        assert!(embed.description.unwrap().contains("sends you no alerts any more"));
        let ids = custom_ids(&components);
        assert_eq!(ids, ["alerts:undo:00000000-0000-0000-0000-000000000007:rank-threshold"]);
        let all: BTreeSet<_> = AlertKind::ALL.into_iter().collect();
        assert!(undo_id(community().0, &all).len() <= 100, "Discord's limit");
        let (_, none) = muted(&context(&theme), community(), &BTreeSet::new(), &BTreeSet::new());
        assert!(none.is_empty(), "nothing was on");
    }
}
