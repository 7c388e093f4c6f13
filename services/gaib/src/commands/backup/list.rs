//! Lists of backups and snapshots.

use arrakis_iac::grammar::{counted, is_reordering};
use arrakis_vault::{BackupRecord, Page, RecordKind};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::backup::List;
use crate::backups::{Backups, help_for_record, record_message, size_text, time_text};
use crate::context::Context;
use crate::error::Result;
use crate::printer::Severity;
use crate::table::table;

/// Longest message in a list of backups, in characters: with the other columns, a line has at most 120.
const MESSAGE: usize = 42;

/// Prints the newest backups or snapshots of a server.
pub(in crate::commands) async fn list(context: &Context, kind: RecordKind, arguments: &List) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let (limit, now) = (usize::from(arguments.limit), OffsetDateTime::now_utc());
    let page = backups.vault.list(backups.server(), kind, limit, None, now).await?;
    print(context, kind, &backups, &page);
    Ok(())
}

fn print(context: &Context, kind: RecordKind, backups: &Backups, page: &Page) {
    let printer = context.printer;
    for record in &page.records {
        printer.message(&record_message(record));
    }
    if page.records.is_empty() {
        printer.note(&format!(
            "Server {} has no {kind}s in {}; `gaib server {kind} create` creates one.",
            backups.guild,
            backups.vault.catalogue().describe()
        ));
    } else {
        printer.text(&listed(backups.workspace.name.as_str(), &page.records));
    }
    let unsigned = page.records.iter().filter(|record| !record.is_signed()).count();
    if unsigned > 0 {
        printer.note(&format!(
            "{} without a signature: stored by an earlier gaib, or the signature was removed.",
            counted(unsigned, kind.as_str())
        ));
    }
    for damaged in &page.damaged {
        let summary = format!("{} cannot be read: {}", damaged.object, damaged.reason);
        let help = help_for_record(damaged);
        printer.diagnostic(Severity::Warning, &summary, Some(&help));
    }
    let has_more = page.next.is_some();
    printer.message(&json!({
        "type": "list_summary", "kind": kind.as_str(), "listed": page.records.len(), "damaged": page.damaged.len(),
        "more": has_more,
    }));
    if has_more {
        printer.note(&format!(
            "There are more than {}; --limit NUMBER lists more.",
            page.records.len()
        ));
    }
}

/// The table. Workspaces are a column where one of them is not that of the command.
fn listed(workspace: &str, records: &[BackupRecord]) -> String {
    if records.iter().all(|record| record.workspace == workspace) {
        let rows: Vec<[String; 5]> = records.iter().map(row).collect();
        return table(["ID", "CREATED", "SERIAL", "SIZE", "MESSAGE"], &rows);
    }
    let rows: Vec<[String; 6]> = records
        .iter()
        .map(|record| {
            let [id, created, serial, size, message] = row(record);
            [id, created, record.workspace.clone(), serial, size, message]
        })
        .collect();
    table(["ID", "CREATED", "WORKSPACE", "SERIAL", "SIZE", "MESSAGE"], &rows)
}

fn row(record: &BackupRecord) -> [String; 5] {
    let serial = record.state.as_ref().map(|state| state.serial.to_string());
    [
        record.id.to_string(),
        time_text(record.created),
        serial.unwrap_or_else(|| "-".to_owned()),
        size_text(record.size),
        one_line(record.message.as_deref().unwrap_or_default(), MESSAGE),
    ]
}

/// A message on one line, without control characters and those that reorder text, which a terminal would obey.
pub(super) fn printable(message: &str) -> String {
    let signs = message.chars();
    let is_obeyed = |sign: char| sign.is_control() || is_reordering(sign);
    signs.map(|sign| if is_obeyed(sign) { ' ' } else { sign }).collect()
}

/// A message as [`printable`] returns it, of at most `longest` characters: it ends with `…` after a whole word, so that no id and no number
/// is cut.
pub(in crate::commands) fn one_line(message: &str, longest: usize) -> String {
    let message = printable(message);
    if message.chars().count() <= longest {
        return message;
    }
    // Without the last character, which is the `…`.
    let start: String = message.chars().take(longest.saturating_sub(1)).collect();
    let follows = message.chars().nth(longest.saturating_sub(1));
    let whole = match start.rfind(' ') {
        Some(end) if end > 0 && follows != Some(' ') => &start[..end],
        _ => start.as_str(),
    };
    format!("{}…", whole.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_one_line_and_short_in_a_list() {
        let long = format!("{}\u{1b}[2J\nend", "ä".repeat(70));
        assert_eq!(printable(&long), format!("{} [2J end", "ä".repeat(70)));
        assert_eq!(one_line("before\nthe \u{1b}[31mstorm", 42), "before the  [31mstorm");
        assert_eq!(one_line("a\u{202e}b", 42), "a b");
        assert_eq!(one_line(&"ä".repeat(70), 42).chars().count(), 42);
    }

    #[test]
    fn long_message_ends_after_a_whole_word() {
        assert_eq!(one_line("before the storm", 16), "before the storm");
        assert_eq!(one_line("before the storm", 15), "before the…");
        assert_eq!(one_line("before the storm", 11), "before the…");
        assert_eq!(one_line("before the storm", 10), "before…");
    }

    #[test]
    fn line_of_a_list_has_at_most_120_characters() {
        let record = |workspace: &str| BackupRecord {
            id: uuid::Uuid::nil(),
            kind: RecordKind::Snapshot,
            server: arrakis_vault::ServerId::new(7),
            workspace: workspace.to_owned(),
            created: OffsetDateTime::UNIX_EPOCH,
            state: None,
            message: Some("after sietch 3.0.0: spring colours and a hall for the event of the year".to_owned()),
            plan: arrakis_domain::Plan::Free,
            size: 123_456,
            checksum: String::new(),
            expires: None,
            signature: None,
        };
        let one = listed("default", &[record("default")]);
        assert!(!one.contains("WORKSPACE"), "{one}");
        assert!(one.lines().all(|line| line.chars().count() <= 120), "{one}");
        let two = listed("default", &[record("default"), record("staging")]);
        assert!(two.contains("WORKSPACE") && two.contains("staging"), "{two}");
    }
}
