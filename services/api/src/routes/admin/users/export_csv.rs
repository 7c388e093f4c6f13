//! Users as CSV (RFC 4180): one row for each user.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula, and a member chooses the own name. Such
//! a cell gets an apostrophe before it, which makes it text.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::user::User;

/// The columns.
pub(crate) const COLUMNS: [&str; 10] = [
    "id",
    "discord_id",
    "telegram_id",
    "name",
    "status",
    "suspended_until",
    "primary_wallet",
    "wallets",
    "created_at",
    "updated_at",
];

/// The first row.
pub(crate) fn header() -> Vec<u8> {
    rows(std::iter::once(COLUMNS.map(str::to_owned)))
}

/// The rows of these users.
pub(crate) fn users(users: &[User]) -> Vec<u8> {
    rows(users.iter().map(cells))
}

fn cells(user: &User) -> [String; 10] {
    let primary = user.held().find(|wallet| wallet.primary);
    let wallets: Vec<_> = user.held().map(|wallet| wallet.address.to_string()).collect();
    [
        user.id.to_string(),
        user.discord_id.clone().unwrap_or_default(),
        user.telegram_id.clone().unwrap_or_default(),
        user.name.clone(),
        user.status.as_str().to_owned(),
        user.suspended_until.map(timestamp).unwrap_or_default(),
        primary.map(|wallet| wallet.address.to_string()).unwrap_or_default(),
        wallets.join(" "),
        timestamp(user.created_at),
        timestamp(user.updated_at),
    ]
}

fn timestamp(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

fn rows(rows: impl Iterator<Item = [String; 10]>) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail, and every row has the same number of cells.
        let _ = writer.write_record(row.iter().map(|cell| as_text(cell).into_owned()));
    }
    writer.into_inner().unwrap_or_default()
}

/// The cell, with an apostrophe if a spreadsheet would run it.
fn as_text(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> String {
        let mut cells = [const { String::new() }; 10];
        cells[3] = name.to_owned();
        String::from_utf8(rows(std::iter::once(cells))).unwrap()
    }

    #[test]
    fn formulas_become_text() {
        for name in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            let written = row(name);
            let cell = written.split(',').nth(3).unwrap().trim_matches('"');
            assert!(cell.starts_with('\''), "{written:?}");
        }
        assert_eq!(row("Chani"), ",,,Chani,,,,,,\r\n");
    }

    #[test]
    fn separators_and_quotes_are_quoted() {
        assert_eq!(row("a,b"), ",,,\"a,b\",,,,,,\r\n");
        assert_eq!(row("a\"b"), ",,,\"a\"\"b\",,,,,,\r\n");
        assert_eq!(row("a\nb"), ",,,\"a\nb\",,,,,,\r\n");
        assert_eq!(row("a,=1"), ",,,\"a,=1\",,,,,,\r\n");
    }
}
