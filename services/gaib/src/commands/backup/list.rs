//! Lists of backups and snapshots.

use arrakis_iac::grammar::{counted, is_reordering};
use arrakis_vault::{BackupRecord, Page, RecordKind};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::backup::List;
use crate::backups::{Backups, record_message, size_text, time_text};
use crate::context::Context;
use crate::error::Result;
use crate::printer::Severity;
use crate::table::table;

/// Longest message in a table, in characters.
const MESSAGE: usize = 60;

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
        let rows: Vec<[String; 6]> = page.records.iter().map(row).collect();
        let heading = ["ID", "CREATED", "WORKSPACE", "SERIAL", "SIZE", "MESSAGE"];
        printer.text(&table(heading, &rows));
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
        let help = "`gaib server backup verify --all` checks every backup";
        printer.diagnostic(Severity::Warning, &summary, Some(help));
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

fn row(record: &BackupRecord) -> [String; 6] {
    let serial = record.state.as_ref().map(|state| state.serial.to_string());
    [
        record.id.to_string(),
        time_text(record.created),
        record.workspace.clone(),
        serial.unwrap_or_else(|| "-".to_owned()),
        size_text(record.size),
        one_line(record.message.as_deref().unwrap_or_default()),
    ]
}

/// A message on one line, without control characters and those that reorder text, which a terminal would obey.
pub(super) fn printable(message: &str) -> String {
    let signs = message.chars();
    let is_obeyed = |sign: char| sign.is_control() || is_reordering(sign);
    signs.map(|sign| if is_obeyed(sign) { ' ' } else { sign }).collect()
}

/// The start of a message as [`printable`] returns it.
pub(in crate::commands) fn one_line(message: &str) -> String {
    let mut line: String = printable(message).chars().take(MESSAGE).collect();
    if message.chars().count() > MESSAGE {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_one_line_and_short_in_a_list() {
        let long = format!("{}\u{1b}[2J\nend", "ä".repeat(70));
        assert_eq!(printable(&long), format!("{} [2J end", "ä".repeat(70)));
        assert_eq!(one_line("before\nthe \u{1b}[31mstorm"), "before the  [31mstorm");
        assert_eq!(one_line("a\u{202e}b"), "a b");
        assert_eq!(one_line(&"ä".repeat(70)).chars().count(), MESSAGE + 1);
    }
}
