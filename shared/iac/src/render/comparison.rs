//! Renders the comparison of two servers or two states.

use serde_json::{Value, json};

use super::attributes::{difference, mark, whole};
use super::human::{block, places, title};
use super::style::{Color, Style};
use crate::grammar::{counted, plural, printable};
use crate::model::{Attributes, Kind};
use crate::snapshot::{Comparison, Difference, DifferenceKind, MemberDifference, Side};

/// Members whose roles differ that are listed; the messages of `--json` have all.
const LISTED_MEMBERS: usize = 20;

/// The differences as text, with a summary.
#[must_use]
pub fn comparison(comparison: &Comparison, style: Style) -> String {
    let mut text = String::new();
    if comparison.is_empty() {
        let words = format!(
            "No differences: {} and {} are equal.",
            comparison.before, comparison.after
        );
        text.push_str(&format!("{}\n", style.paint(Color::Bold, &words)));
    } else {
        let heading = format!("{} -> {}:", comparison.before, comparison.after);
        text.push_str(&format!("{}\n", style.paint(Color::Bold, &heading)));
    }
    for difference in &comparison.differences {
        text.push_str(&format!("\n{}", difference_text(comparison, difference, style)));
    }
    for reorder in &comparison.reorders {
        let heading = format!("\n  # the order of {} differs\n", style.paint(Color::Bold, &reorder.of));
        text.push_str(&format!("{heading}{}", places(reorder, style)));
    }
    text.push_str(&members(&comparison.members, style));
    for note in &comparison.notes {
        text.push_str(&format!("\n{} {note}\n", style.paint(Color::Yellow, "note:")));
    }
    if !comparison.is_empty() {
        text.push_str(&format!("\n{}\n", summary(comparison)));
    }
    text
}

fn difference_text(comparison: &Comparison, one: &Difference, style: Style) -> String {
    let address = style.paint(Color::Bold, &one.address.to_string());
    let (sign, words) = match one.kind() {
        DifferenceKind::Added => ('+', format!("is only in {}", comparison.after)),
        DifferenceKind::Removed => ('-', format!("is only in {}", comparison.before)),
        DifferenceKind::Changed => ('~', "differs".to_owned()),
    };
    let shown = one.after.as_ref().or(one.before.as_ref());
    let attributes = shown.map(|side| &side.attributes);
    let title = title(
        &one.address,
        attributes,
        attributes.and_then(Attributes::name),
        shown.map(|side| side.id),
    );
    let lines = match (&one.before, &one.after) {
        (Some(before), Some(after)) => changed(one, before, after, style),
        _ => attributes.map_or_else(Vec::new, |attributes| whole(attributes, sign, style)),
    };
    format!("  # {address} {words}\n{}", block(sign, &title, &lines, style))
}

fn changed(one: &Difference, before: &Side, after: &Side, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if one.is_created_again() {
        lines.push(format!("{} id   = {} -> {}", mark('~', style), before.id, after.id));
    }
    lines.extend(difference(
        &before.attributes,
        &after.attributes,
        &one.fields,
        &[],
        style,
    ));
    lines
}

fn members(members: &[MemberDifference], style: Style) -> String {
    if members.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n  # the roles of {} differ\n",
        style.paint(Color::Bold, &counted(members.len(), "member"))
    );
    for member in members.iter().take(LISTED_MEMBERS) {
        let gained = member
            .gained
            .iter()
            .map(|role| format!(" {} {}", mark('+', style), printable(role)));
        let lost = member
            .lost
            .iter()
            .map(|role| format!(" {} {}", mark('-', style), printable(role)));
        let roles: String = gained.chain(lost).collect();
        text.push_str(&format!("  {} member {}:{roles}\n", mark('~', style), member.user));
    }
    if members.len() > LISTED_MEMBERS {
        text.push_str(&format!("      and {} more\n", members.len() - LISTED_MEMBERS));
    }
    text
}

/// `Roles: 1 added, 0 removed, 2 changed. Categories: …` Roles, categories and channels always appear.
fn summary(comparison: &Comparison) -> String {
    let always = [Kind::Role, Kind::Category, Kind::Channel];
    let mut parts = Vec::new();
    for kind in Kind::ALL {
        let [added, removed, changed] = counts(comparison, *kind);
        if always.contains(kind) || added + removed + changed > 0 {
            let noun = plural(kind.noun());
            let (first, rest) = noun.split_at(1);
            let noun = format!("{}{rest}", first.to_uppercase());
            parts.push(format!("{noun}: {added} added, {removed} removed, {changed} changed."));
        }
    }
    if !comparison.reorders.is_empty() {
        parts.push(format!("Orders: {} changed.", comparison.reorders.len()));
    }
    if !comparison.members.is_empty() {
        parts.push(format!("Members: {} changed.", comparison.members.len()));
    }
    parts.join(" ")
}

fn counts(comparison: &Comparison, kind: Kind) -> [usize; 3] {
    [DifferenceKind::Added, DifferenceKind::Removed, DifferenceKind::Changed].map(|how| comparison.count(kind, how))
}

/// The differences as messages of `--json`, with a summary at the end.
#[must_use]
pub fn comparison_messages(comparison: &Comparison) -> Vec<Value> {
    let id = |side: &Option<Side>| side.as_ref().map(|side| side.id);
    let map = |side: &Option<Side>| side.as_ref().map(|side| side.attributes.to_map());
    let mut messages: Vec<Value> = comparison
        .differences
        .iter()
        .map(|one| {
            json!({
                "type": "difference", "address": one.address, "action": action(one.kind()), "fields": one.fields,
                "before_id": id(&one.before), "after_id": id(&one.after),
                "before": map(&one.before), "after": map(&one.after),
            })
        })
        .collect();
    for reorder in &comparison.reorders {
        messages.push(
            json!({"type": "order_difference", "of": reorder.of, "before": reorder.before, "after": reorder.after}),
        );
    }
    for member in &comparison.members {
        messages.push(
            json!({"type": "member_difference", "user": member.user, "gained": member.gained, "lost": member.lost}),
        );
    }
    for note in &comparison.notes {
        messages.push(json!({"type": "note", "message": note}));
    }
    let mut kinds = serde_json::Map::new();
    for kind in Kind::ALL {
        let [added, removed, changed] = counts(comparison, *kind);
        kinds.insert(
            kind.name().to_owned(),
            json!({"added": added, "removed": removed, "changed": changed}),
        );
    }
    messages.push(json!({
        "type": "comparison_summary", "before": comparison.before, "after": comparison.after,
        "empty": comparison.is_empty(), "kinds": kinds, "orders": comparison.reorders.len(),
        "members": comparison.members.len(),
    }));
    messages
}

const fn action(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::Added => "added",
        DifferenceKind::Removed => "removed",
        DifferenceKind::Changed => "changed",
    }
}
