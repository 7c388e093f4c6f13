//! Lists of backups and snapshots.

use arrakis_iac::grammar::{counted, is_reordering};
use arrakis_vault::{BackupRecord, Page, RecordKind, VaultError};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::backup::List;
use crate::backups::{Backups, help_for_record, record_message, size_text, time_text};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::table::table_of_columns;

/// Longest message in a list of backups, in characters: with the other columns, a line has at most 120.
const MESSAGE: usize = 42;

/// Longest message where a problem is listed, too.
const MESSAGE_BESIDE_PROBLEM: usize = 29;

/// Prints the newest backups or snapshots of a server, with what can be known of their objects without reading them.
pub(in crate::commands) async fn list(context: &Context, kind: RecordKind, arguments: &List) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let (limit, now) = (usize::from(arguments.limit), OffsetDateTime::now_utc());
    let page = backups.vault.list(backups.server(), kind, limit, None, now).await?;
    let problems: Vec<Option<VaultError>> = match backups.vault.inspect(backups.server(), &page.records).await {
        Ok(inspected) => inspected.into_iter().map(Result::err).collect(),
        Err(error) => {
            let failure = Failure::of_vault(&error).and("nothing that is listed was checked");
            context
                .printer
                .diagnostic(Severity::Warning, failure.summary(), failure.what_to_do());
            Vec::new()
        }
    };
    print(context, kind, &backups, &page, &problems);
    Ok(())
}

/// Prints a list. `problems` are those of the records, in their order; it is empty where they were not checked.
fn print(context: &Context, kind: RecordKind, backups: &Backups, page: &Page, problems: &[Option<VaultError>]) {
    let printer = context.printer;
    let problem = |at: usize| problems.get(at).and_then(Option::as_ref);
    for (at, record) in page.records.iter().enumerate() {
        let mut message = record_message(record);
        message["problem"] = problem(at).map(VaultError::to_string).into();
        printer.message(&message);
    }
    if page.records.is_empty() {
        printer.note(&format!(
            "Server {} has no {kind}s in {}; `gaib server {kind} create` creates one.",
            backups.guild,
            backups.vault.catalogue().describe()
        ));
    } else {
        let records = page.records.iter().enumerate();
        let records: Vec<Listed<'_>> = records.map(|(at, record)| (record, problem(at))).collect();
        printer.text(&listed(backups.workspace.name.as_str(), &records));
    }
    let unsigned = page.records.iter().filter(|record| !record.is_signed()).count();
    if unsigned > 0 {
        printer.note(&format!(
            "{} without a signature: stored by an earlier gaib, or the signature was removed.",
            counted(unsigned, kind.as_str())
        ));
    }
    for (at, record) in page.records.iter().enumerate() {
        if let Some(error) = problem(at) {
            let failure = Failure::of_record(error, record.kind, record.id);
            printer.diagnostic(Severity::Warning, failure.summary(), failure.what_to_do());
        }
    }
    for damaged in &page.damaged {
        let summary = format!("{} cannot be read: {}", damaged.object, damaged.reason);
        let help = help_for_record(damaged);
        printer.diagnostic(Severity::Warning, &summary, Some(&help));
    }
    let has_more = page.next.is_some();
    printer.message(&json!({
        "type": "list_summary", "kind": kind.as_str(), "listed": page.records.len(), "damaged": page.damaged.len(),
        "problems": problems.iter().flatten().count(), "more": has_more,
    }));
    if has_more {
        printer.note(&format!(
            "There are more than {}; --limit NUMBER lists more.",
            page.records.len()
        ));
    }
}

/// A record of a list, and what is wrong with it.
type Listed<'a> = (&'a BackupRecord, Option<&'a VaultError>);

/// The table. Workspaces are a column where one of them is not that of the command, and problems where there is one.
fn listed(workspace: &str, records: &[Listed<'_>]) -> String {
    let has_workspaces = records.iter().any(|(record, _)| record.workspace != workspace);
    let has_problems = records.iter().any(|(_, problem)| problem.is_some());
    let columns = ["ID", "CREATED", "WORKSPACE", "SERIAL", "SIZE", "PROBLEM", "MESSAGE"];
    let is_shown = |column: &str| match column {
        "WORKSPACE" => has_workspaces,
        "PROBLEM" => has_problems,
        _ => true,
    };
    let longest = if has_problems { MESSAGE_BESIDE_PROBLEM } else { MESSAGE };
    let row = |(record, problem): &Listed<'_>| -> Vec<String> {
        let serial = record.state.as_ref().map(|state| state.serial.to_string());
        let cells = [
            record.id.to_string(),
            time_text(record.created),
            record.workspace.clone(),
            serial.unwrap_or_else(|| "-".to_owned()),
            size_text(record.size),
            problem.map_or("-", problem_name).to_owned(),
            one_line(record.message.as_deref().unwrap_or_default(), longest),
        ];
        let cells = columns.iter().zip(cells).filter(|(column, _)| is_shown(column));
        cells.map(|(_, cell)| cell).collect()
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let heading: Vec<&str> = columns.into_iter().filter(|column| is_shown(column)).collect();
    table_of_columns(&heading, &rows)
}

/// A problem of an object in a list.
pub(in crate::commands) fn problem_name(error: &VaultError) -> &'static str {
    match error {
        VaultError::NotTrusted { .. } => "not trusted",
        error if error.is_encrypted_for_others() => "encrypted",
        error if error.is_damage() => "damaged",
        _ => "not checked",
    }
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
        let (first, second) = (record("default"), record("staging"));
        let one = listed("default", &[(&first, None)]);
        assert!(!one.contains("WORKSPACE"), "{one}");
        assert!(one.lines().all(|line| line.chars().count() <= 120), "{one}");
        let two = listed("default", &[(&first, None), (&second, None)]);
        assert!(two.contains("WORKSPACE") && two.contains("staging"), "{two}");
        assert!(!two.contains("PROBLEM"), "{two}");
        let damaged = VaultError::NotTrusted {
            object: String::new(),
            key: String::new(),
            version: 1,
        };
        let problem = listed("default", &[(&first, None), (&first, Some(&damaged))]);
        assert!(
            problem.contains("PROBLEM") && problem.contains("  not trusted  "),
            "{problem}"
        );
        assert!(problem.lines().all(|line| line.chars().count() <= 120), "{problem}");
    }
}
