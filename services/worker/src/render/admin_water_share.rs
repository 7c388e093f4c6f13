//! `/admin-water-share`: the lineage of the shared badge as a tree, and the revocation of a branch.

use arrakis_db::BadgeLineageEntry;
use arrakis_domain::Badge;
use twilight_model::channel::message::component::{ButtonStyle, Label, TextInput, TextInputStyle};
use twilight_model::channel::message::{Component, Embed};
use twilight_model::http::interaction::InteractionResponseData;

use super::{RenderContext, buttons, next_step, text};

/// The command's name, the first segment of the custom ids of its components.
pub const NAME: &str = "admin-water-share";
/// Argument of the button that opens the modal; the next argument is the member's id.
pub const ASK: &str = "ask";
/// Argument of the modal; the next argument is the member's id.
pub const REVOKE: &str = "revoke";
/// Custom id of the modal's field.
pub const REASON: &str = "reason";
/// Longest reason, in characters.
const MAX_REASON: u16 = 200;
/// Longest tree, in characters.
const MAX_TREE: usize = 3_600;

/// A lineage to show.
#[derive(Debug, Clone, Copy)]
pub struct LineageView<'a> {
    /// The badge.
    pub badge: &'a Badge,
    /// The entries, depth first.
    pub entries: &'a [BadgeLineageEntry],
    /// The member whose branch it is; `None` for all.
    pub member: Option<(u64, &'a str)>,
    /// How many badges were revoked just now.
    pub revoked: Option<usize>,
}

/// Renders the tree, with the button that revokes the branch of the member.
pub fn lineage(context: &RenderContext<'_>, view: &LineageView<'_>) -> (Embed, Vec<Component>) {
    let holders = view.entries.iter().filter(|entry| !entry.revoked).count();
    let count = text::count(u32::try_from(holders).unwrap_or(u32::MAX), "holder", "holders");
    let (scope, title) = match view.member {
        Some((_, name)) => (format!("below and with {}", text::name(name)), "Branch"),
        None => ("in all".to_owned(), "Lineage"),
    };
    let mut lead = Vec::new();
    if let Some(revoked) = view.revoked {
        let revoked = u32::try_from(revoked).unwrap_or(u32::MAX);
        lead.push(format!(
            "Revoked: {}. Roles follow within seconds.",
            text::count(revoked, "badge", "badges")
        ));
    }
    lead.push(format!(
        "{} **{}**: {count} {scope}.",
        view.badge.emoji, view.badge.name
    ));
    if !view.entries.is_empty() {
        lead.push(format!("```\n{}\n```", text::lines(&tree(view.entries), MAX_TREE)));
    }
    let next = match (view.member, holders) {
        (Some(_), 1..) => {
            "The button below revokes this badge and all that came from it, after you have given the reason."
        }
        _ => "`/admin-water-share` with a member shows a branch, `/admin-badge` gives the badge to a first holder.",
    };
    let title = format!("{title} of {}", view.badge.name);
    let embed = context
        .embed_without_ranking(&title, context.theme.accent, &lead)
        .field(next_step(next))
        .build();
    let revoke = view.member.filter(|_| holders > 0).map(|(user, _)| {
        let label = format!("Revoke {count}…");
        buttons::button(label, format!("{NAME}:{ASK}:{user}"), ButtonStyle::Danger)
    });
    (embed, buttons::rows(revoke.into_iter().collect()))
}

/// The modal in which the admin gives the reason.
pub fn reason_modal(user: u64) -> InteractionResponseData {
    #[expect(deprecated, reason = "the field is a part of the struct")]
    let input = TextInput {
        custom_id: REASON.to_owned(),
        id: None,
        label: None,
        max_length: Some(MAX_REASON),
        min_length: Some(3),
        placeholder: None,
        required: Some(true),
        style: TextInputStyle::Paragraph,
        value: None,
    };
    let field = Component::Label(Label {
        component: Box::new(Component::TextInput(input)),
        description: Some("It is kept in the audit log, with your name.".to_owned()),
        id: None,
        label: "Why this branch is revoked".to_owned(),
    });
    InteractionResponseData {
        custom_id: Some(format!("{NAME}:{REVOKE}:{user}")),
        title: Some("Revoke a branch".to_owned()),
        components: Some(vec![field]),
        ..InteractionResponseData::default()
    }
}

/// One line for each entry: `├ Stilgar`, with lines to those who share a giver.
fn tree(entries: &[BadgeLineageEntry]) -> Vec<String> {
    let depth = |index: usize| entries.get(index).map(|entry| entry.depth);
    // Whether another entry at this depth follows before one that is higher.
    let continues = |index: usize, level: u32| {
        let later = (index + 1..entries.len())
            .filter_map(depth)
            .find(|later| *later <= level);
        later == Some(level)
    };
    let line = |(index, entry): (usize, &BadgeLineageEntry)| {
        let above = (1..entry.depth).map(|level| if continues(index, level) { "│ " } else { "  " });
        let mut line: String = above.collect();
        if entry.depth > 0 {
            line.push_str(if continues(index, entry.depth) { "├ " } else { "└ " });
        }
        line.push_str(&plain(&entry.name));
        if entry.revoked {
            line.push_str(" (revoked)");
        }
        line
    };
    entries.iter().enumerate().map(line).collect()
}

/// An untrusted name in a block of code, which only a grave accent can end.
fn plain(name: &str) -> String {
    let visible = |character: &char| !matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let safe: String = name
        .chars()
        .filter(visible)
        .map(|character| match character {
            '`' => '\'',
            character if character.is_control() => ' ',
            character => character,
        })
        .collect();
    text::truncate(&safe, 40)
}

#[cfg(test)]
mod tests {
    use arrakis_db::UserId;
    use time::macros::datetime;

    use super::super::samples::{context, theme};
    use super::super::water_share::shared_badge;
    use super::*;

    fn entries(list: &[(&str, u32, bool)]) -> Vec<BadgeLineageEntry> {
        let entry = |(name, depth, revoked): &(&str, u32, bool)| BadgeLineageEntry {
            user: UserId::new(7).unwrap(),
            name: (*name).to_owned(),
            from: None,
            depth: *depth,
            awarded_at: datetime!(2026-08-01 12:00 UTC),
            revoked: *revoked,
        };
        list.iter().map(entry).collect()
    }

    #[test]
    fn tree_has_lines_to_siblings() {
        let entries = entries(&[
            ("Chani", 0, false),
            ("Stilgar", 1, true),
            ("Jamis", 2, false),
            ("`Liet`\n", 1, false),
            ("Harah", 0, false),
        ]);
        assert_eq!(
            tree(&entries),
            ["Chani", "├ Stilgar (revoked)", "│ └ Jamis", "└ 'Liet' ", "Harah"]
        );
    }

    #[test]
    fn branch_with_its_button_and_after_its_revocation() {
        let theme = theme("sietch");
        let context = context(&theme);
        let entries = entries(&[("Chani", 0, false), ("Stilgar", 1, false)]);
        let view = LineageView {
            badge: shared_badge(&theme).unwrap(),
            entries: &entries,
            member: Some((7, "Chani")),
            revoked: None,
        };
        let after = LineageView {
            entries: &[],
            revoked: Some(2),
            ..view
        };
        insta::assert_json_snapshot!((lineage(&context, &view), lineage(&context, &after), reason_modal(7)));
    }

    #[test]
    fn large_lineage_fits_in_the_embed() {
        let theme = theme("sietch");
        let context = context(&theme);
        let name = "n".repeat(32);
        let many: Vec<_> = (0..500).map(|depth| (name.as_str(), depth % 9, false)).collect();
        let entries = entries(&many);
        let view = LineageView {
            badge: shared_badge(&theme).unwrap(),
            entries: &entries,
            member: None,
            revoked: None,
        };
        let description = lineage(&context, &view).0.description.unwrap();
        assert!(description.chars().count() <= text::DESCRIPTION);
        assert!(description.ends_with("more\n```"), "{description}");
    }
}
