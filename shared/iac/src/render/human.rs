//! Renders plans as text.

use super::attributes::{difference, mark, whole};
use super::style::{Color, Style};
use crate::grammar::{counted, printable};
use crate::model::{Address, Attributes, Snowflake};
use crate::plan::{Action, Change, ChangeReason, Counts, Drift, Finding, Mode, Plan, Reorder, tags};

/// The whole plan: drift, changes, orders, notes, summary.
#[must_use]
pub fn plan(plan: &Plan, style: Style) -> String {
    let mut text = drift(&plan.drift, style);
    if plan.mode == Mode::RefreshOnly {
        text.push_str(&refreshed(plan, style));
        return text;
    }
    if plan.is_empty() {
        text.push_str(&no_changes(plan, style));
        return text;
    }
    text.push_str(&legend(plan, style));
    for change in &plan.changes {
        text.push('\n');
        text.push_str(&change_text(change, style));
    }
    for reorder in &plan.reorders {
        text.push('\n');
        text.push_str(&order(reorder, style));
    }
    for note in &plan.notes {
        text.push_str(&format!("\n{} {note}\n", style.paint(Color::Yellow, "note:")));
    }
    text.push_str(&format!("\n{}\n", summary(plan, style)));
    text
}

/// The differences between configuration and server.
#[must_use]
pub fn differences(plan: &Plan, style: Style) -> String {
    let mut text = drift(&plan.drift, style);
    if plan.is_empty() {
        text.push_str(&no_changes(plan, style));
        return text;
    }
    let heading = "The server and the configuration differ (server -> configuration):";
    text.push_str(&format!("{}\n", style.paint(Color::Bold, heading)));
    for change in &plan.changes {
        text.push('\n');
        text.push_str(&change_text(change, style));
    }
    for reorder in &plan.reorders {
        text.push('\n');
        text.push_str(&order(reorder, style));
    }
    let count = plan.changes.len() + plan.reorders.len();
    text.push_str(&format!(
        "\n{}. `gaib server apply` changes the server to match the configuration.\n",
        style.paint(Color::Bold, &counted(count, "difference"))
    ));
    text
}

/// Changes outside of gaib; empty if there are none.
#[must_use]
pub fn drift(drift: &[Drift], style: Style) -> String {
    if drift.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{}\n",
        style.paint(
            Color::Bold,
            "Changed outside of gaib since the last apply or refresh (recorded state -> server):"
        )
    );
    for one in drift {
        let address = style.paint(Color::Bold, &one.address.to_string());
        match &one.after {
            None => {
                let gone = style.paint(Color::Red, "was deleted");
                text.push_str(&format!(
                    "\n  # {address} {gone}\n  {} {} (id {})\n",
                    mark('-', style),
                    kind(&one.address, &one.before),
                    one.id
                ));
            }
            Some(after) => {
                text.push_str(&format!("\n  # {address} was changed\n"));
                let lines = difference(&one.before, after, &one.fields, &[], style);
                text.push_str(&block(
                    '~',
                    &title(&one.address, Some(after), after.name(), Some(one.id)),
                    &lines,
                    style,
                ));
            }
        }
    }
    text.push('\n');
    text
}

/// The findings of preflight; empty if there are none.
#[must_use]
pub fn findings(findings: &[Finding], style: Style) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.blocking {
            true => style.paint(Color::Red, "cannot work:"),
            false => style.paint(Color::Yellow, "warning:"),
        };
        text.push_str(&format!(
            "{word} {}\n  what to do: {}\n",
            finding.what, finding.what_to_do
        ));
    }
    text
}

/// A resource, as `state show` prints it.
#[must_use]
pub fn resource(address: &Address, id: Snowflake, attributes: &Attributes, style: Style) -> String {
    let title = title(address, Some(attributes), attributes.name(), Some(id));
    let heading = style.paint(Color::Bold, &address.to_string());
    let lines: Vec<String> = whole(attributes, ' ', style)
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect();
    format!("# {heading}\n{}", block(' ', &title, &lines, style))
}

/// `Plan: 3 to add, 1 to change, 0 to destroy.`
#[must_use]
pub fn summary(plan: &Plan, style: Style) -> String {
    let counts = plan.counts();
    let mut text = format!(
        "{} {} to add, {} to change, {} to destroy",
        style.paint(Color::Bold, "Plan:"),
        counts.add,
        counts.change,
        counts.destroy
    );
    let more = [
        (counts.reorder, "to reorder"),
        (counts.adopt, "to adopt"),
        (counts.forget, "to forget"),
    ];
    for (count, words) in more {
        if count > 0 {
            text.push_str(&format!(", {count} {words}"));
        }
    }
    text.push('.');
    let lost = plan.losses().count();
    if lost > 0 {
        let (verb, them) = if lost == 1 { ("is", "it") } else { ("are", "them") };
        let channels = counted(lost, "channel");
        let warning = format!(
            "{channels} {verb} replaced, and the messages in {them} are deleted; apply requires --allow-replace."
        );
        text.push_str(&format!("\n{}", style.paint(Color::Red, &warning)));
    }
    text
}

/// The summary of an apply: `Apply complete: 3 added, 1 changed, 0 destroyed, 2 reordered.` `operation` is "Apply" or
/// "Destroy".
#[must_use]
pub fn outcome(operation: &str, counts: &Counts) -> String {
    let mut text = format!(
        "{operation} complete: {} added, {} changed, {} destroyed",
        counts.add, counts.change, counts.destroy
    );
    let more = [
        (counts.reorder, "reordered"),
        (counts.adopt, "adopted"),
        (counts.forget, "forgotten"),
    ];
    for (count, word) in more.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {word}"));
    }
    text.push('.');
    text
}

fn no_changes(plan: &Plan, style: Style) -> String {
    let words = match plan.mode {
        Mode::Destroy => "Nothing is managed, so there is nothing to destroy.",
        _ => "No changes. The server matches the configuration.",
    };
    let mut text = format!("{}\n", style.paint(Color::Bold, words));
    for note in &plan.notes {
        text.push_str(&format!("\nnote: {note}\n"));
    }
    text
}

fn refreshed(plan: &Plan, style: Style) -> String {
    let words = match plan.steps.len() {
        0 => "No changes. The state matches the server.".to_owned(),
        count => format!(
            "The state would be updated in {}. The server does not change.",
            counted(count, "place")
        ),
    };
    format!("{}\n", style.paint(Color::Bold, &words))
}

fn legend(plan: &Plan, style: Style) -> String {
    let has = |action| plan.changes.iter().any(|change| change.action == action);
    let mut text = format!("{}\n", style.paint(Color::Bold, "gaib will perform these actions:"));
    let kinds = [
        (Action::Create, "  + create", Color::Green),
        (Action::Update, "  ~ update in place", Color::Yellow),
        (Action::Replace, "-/+ destroy and then create replacement", Color::Red),
        (Action::Delete, "  - destroy", Color::Red),
        (
            Action::Adopt,
            " <= adopt a resource that an interrupted apply created",
            Color::Cyan,
        ),
        (
            Action::Forget,
            "  . remove from the state, the server does not change",
            Color::Cyan,
        ),
    ];
    for (action, words, color) in kinds {
        if has(action) {
            text.push_str(&format!("{}\n", style.paint(color, words)));
        }
    }
    text
}

fn change_text(change: &Change, style: Style) -> String {
    let address = style.paint(Color::Bold, &change.address.to_string());
    let (sign, words) = match change.action {
        Action::Create if change.reason == ChangeReason::Gone => (
            '+',
            "no longer exists on the server and will be created again".to_owned(),
        ),
        Action::Create => ('+', "will be created".to_owned()),
        Action::Update => ('~', "will be updated in place".to_owned()),
        Action::Replace => ('±', format!("must be {}", style.paint(Color::Red, "replaced"))),
        Action::Delete if change.reason == ChangeReason::NotConfigured => (
            '-',
            format!(
                "will be {} (it is not in the configuration)",
                style.paint(Color::Red, "destroyed")
            ),
        ),
        Action::Delete => ('-', format!("will be {}", style.paint(Color::Red, "destroyed"))),
        Action::Adopt => (
            '<',
            "was created by an interrupted apply and will be adopted".to_owned(),
        ),
        Action::Forget if change.reason == ChangeReason::Gone => (
            '.',
            "no longer exists on the server and will be removed from the state".to_owned(),
        ),
        Action::Forget if change.reason == ChangeReason::NotConfigured => (
            '.',
            "is not in the configuration and will no longer be managed; Discord does not delete it".to_owned(),
        ),
        Action::Forget => ('.', "will no longer be managed; it stays on the server".to_owned()),
    };
    let lost = match change.loses_messages {
        true => format!(": {}", style.paint(Color::Red, "its messages will be deleted")),
        false => String::new(),
    };
    let mut text = format!("  # {address} {words}{lost}\n");
    let removed = tags::removed(change);
    if !removed.is_empty() {
        let warning = format!("# posts will lose the tags `{}`", removed.join("`, `"));
        text.push_str(&format!("  {}\n", style.paint(Color::Red, &warning)));
    }
    if let (Some(origin), true) = (&change.origin, change.action != Action::Create) {
        text.push_str(&format!(
            "  {}\n",
            style.paint(Color::Faint, &format!("# ({}:{})", origin.file, origin.line))
        ));
    }
    let shown = change.after.as_ref().or(change.before.as_ref());
    let title = title(&change.address, shown, change.name.as_deref(), change.id);
    let lines = match (change.action, &change.before, &change.after) {
        (Action::Create, _, Some(after)) => whole(after, '+', style),
        (Action::Delete, Some(before), _) => whole(before, '-', style),
        (Action::Update | Action::Replace | Action::Adopt, Some(before), Some(after)) => {
            difference(before, after, &change.fields, &change.forces_replacement, style)
        }
        _ => Vec::new(),
    };
    text.push_str(&block(sign, &title, &lines, style));
    text
}

pub(super) fn block(sign: char, title: &str, lines: &[String], style: Style) -> String {
    let sign = match sign {
        '±' => format!("{}/{}", style.paint(Color::Red, "-"), style.paint(Color::Green, "+")),
        '<' => format!(" {}", style.paint(Color::Cyan, "<=")),
        '.' => format!("  {}", style.paint(Color::Cyan, ".")),
        ' ' => String::new(),
        other => format!("  {}", mark(other, style)),
    };
    let lead = if sign.is_empty() {
        String::new()
    } else {
        format!("{sign} ")
    };
    let indent = if sign.is_empty() { "  " } else { "      " };
    if lines.is_empty() {
        return format!("{lead}{title}\n");
    }
    let mut text = format!("{lead}{title} {{\n");
    for line in lines {
        text.push_str(&format!("{indent}{line}\n"));
    }
    text.push_str(if indent.len() > 2 { "    }\n" } else { "}\n" });
    text
}

fn kind(address: &Address, attributes: &Attributes) -> String {
    match attributes {
        Attributes::Channel(channel) => format!("{} channel", channel.kind),
        _ => address.kind().noun().to_owned(),
    }
}

pub(super) fn title(
    address: &Address,
    attributes: Option<&Attributes>,
    name: Option<&str>,
    id: Option<Snowflake>,
) -> String {
    let mut text = attributes.map_or_else(
        || address.kind().noun().to_owned(),
        |attributes| kind(address, attributes),
    );
    if let Some(name) = name {
        text.push_str(&format!(" {}", quoted(name)));
    }
    if let Some(id) = id {
        text.push_str(&format!(" (id {id})"));
    }
    text
}

/// A name in quotes. Escapes quotes, backslashes, control characters and those that reorder text, which a terminal would obey; all others, such
/// as the variation selector of an emoji, stay readable.
fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for character in name.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            _ => text.push_str(&printable(character.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push('"');
    text
}

fn order(reorder: &Reorder, style: Style) -> String {
    format!(
        "  # the order of {} will change\n{}",
        style.paint(Color::Bold, &reorder.of),
        places(reorder, style)
    )
}

/// The resources of a group in their new order, with their places in the present one.
pub(super) fn places(reorder: &Reorder, style: Style) -> String {
    let mut text = format!("  {} {}\n", mark('~', style), reorder.of);
    for (place, name) in reorder.after.iter().enumerate() {
        let was = reorder.before.iter().position(|other| other == name);
        let moved = match was {
            Some(was) if was != place => format!("  {}", style.paint(Color::Yellow, &format!("(was {})", was + 1))),
            _ => String::new(),
        };
        text.push_str(&format!("      {:>3}. {}{moved}\n", place + 1, printable(name)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_name_escapes_only_quotes_backslashes_and_control_characters() {
        assert_eq!(quoted("🕳\u{fe0f} THE DEPTHS"), "\"🕳\u{fe0f} THE DEPTHS\"");
        assert_eq!(quoted("\"a\\b\"\u{1b}[1m\n"), r#""\"a\\b\"\u{1b}[1m\n""#);
        assert_eq!(quoted("ab\u{202e}dc"), r#""ab\u{202e}dc""#);
    }
}
