//! Users as CSV (RFC 4180): one row for each user, and a last one that shows that the file is complete.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula, and a member chooses the own name. Such
//! a cell gets an apostrophe before it, which makes it text. The separator of a spreadsheet depends on its locale and may be another one
//! than the file's: quotes do not help there, so what follows a separator of any locale within a cell is treated in the same way.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

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

/// First cell of the last row. Every other row begins with a UUID.
const END: &str = "end";

/// The separator of cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Delimiter {
    /// A comma, as RFC 4180 has it
    #[default]
    Comma,
    /// A semicolon, as spreadsheets expect it where the comma is the decimal separator
    Semicolon,
}

impl Delimiter {
    const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
        }
    }
}

/// The first row.
pub(crate) fn header(delimiter: Delimiter) -> Vec<u8> {
    rows(std::iter::once(COLUMNS.map(str::to_owned)), delimiter)
}

/// The rows of these users, each with its CRLF.
pub(crate) fn users(users: &[User], delimiter: Delimiter) -> Vec<u8> {
    rows(users.iter().map(cells), delimiter)
}

/// The last row: `end` and the number of users. A file without it was cut off, which HTTP/1.0 and some proxies do not show otherwise.
pub(crate) fn end(count: u64, delimiter: Delimiter) -> Vec<u8> {
    let mut cells = [const { String::new() }; COLUMNS.len()];
    cells[0] = END.to_owned();
    cells[1] = count.to_string();
    rows(std::iter::once(cells), delimiter)
}

fn cells(user: &User) -> [String; COLUMNS.len()] {
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
        user.updated_at.map(timestamp).unwrap_or_default(),
    ]
}

fn timestamp(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

fn rows(rows: impl Iterator<Item = [String; COLUMNS.len()]>, delimiter: Delimiter) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .delimiter(delimiter.byte())
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail, and every row has the same number of cells.
        let _ = writer.write_record(row.iter().map(|cell| as_text(cell).into_owned()));
    }
    writer.into_inner().unwrap_or_default()
}

/// The cell, with an apostrophe before each character with which a spreadsheet would begin a formula.
fn as_text(cell: &str) -> Cow<'_, str> {
    if !cell.contains(is_formula_start) {
        return Cow::Borrowed(cell);
    }
    let mut text = String::with_capacity(cell.len() + 1);
    let mut begins_cell = true;
    for letter in cell.chars() {
        if begins_cell && is_formula_start(letter) {
            text.push('\'');
        }
        text.push(letter);
        // Spreadsheets skip white space and quotes at the beginning of a cell.
        begins_cell = is_separator(letter) || begins_cell && (letter.is_whitespace() || letter == '"');
    }
    Cow::Owned(text)
}

fn is_formula_start(letter: char) -> bool {
    matches!(
        letter,
        '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\0' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'
    )
}

/// What separates cells in some locale, or rows.
fn is_separator(letter: char) -> bool {
    matches!(letter, ',' | ';' | '\t' | '|' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_with(name: &str, delimiter: Delimiter) -> String {
        let mut cells = [const { String::new() }; COLUMNS.len()];
        cells[3] = name.to_owned();
        String::from_utf8(rows(std::iter::once(cells), delimiter)).unwrap()
    }

    fn row(name: &str) -> String {
        row_with(name, Delimiter::Comma)
    }

    #[test]
    fn formulas_become_text() {
        for name in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", " =1", "\"=1"] {
            let written = row(name);
            let cell = written.split(',').nth(3).unwrap().trim_start_matches(['"', ' ']);
            assert!(cell.starts_with('\''), "{written:?}");
        }
        assert_eq!(row("Chani"), ",,,Chani,,,,,,\r\n");
        assert_eq!(row("Chani-Kynes a=b"), ",,,Chani-Kynes a=b,,,,,,\r\n");
    }

    #[test]
    fn formula_behind_a_separator_of_another_locale_becomes_text() {
        for delimiter in [Delimiter::Comma, Delimiter::Semicolon] {
            for name in [
                "a;=1+1",
                "a,=1+1",
                "a\t=1+1",
                "a|@SUM(A1)",
                "a; \"=1+1",
                "a\";=1+1",
                "a\n=1+1",
            ] {
                // As a spreadsheet of any locale may split it, with quotes or without regard to them.
                for separator in [',', ';', '\t', '|', '\n'] {
                    let written = row_with(name, delimiter);
                    for cell in written.split(separator) {
                        let cell = cell.trim_matches(['"', ' ', '\r', '\n']);
                        assert!(
                            !cell.starts_with(['=', '@', '+', '-']),
                            "{written:?} split at {separator:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn separators_and_quotes_are_quoted() {
        assert_eq!(row("a,b"), ",,,\"a,b\",,,,,,\r\n");
        assert_eq!(row("a;b"), ",,,a;b,,,,,,\r\n");
        assert_eq!(row("a\"b"), ",,,\"a\"\"b\",,,,,,\r\n");
        assert_eq!(row("a\nb"), ",,,\"a\nb\",,,,,,\r\n");
        assert_eq!(row_with("a;b", Delimiter::Semicolon), ";;;\"a;b\";;;;;;\r\n");
        assert_eq!(row_with("a,b", Delimiter::Semicolon), ";;;a,b;;;;;;\r\n");
    }

    #[test]
    fn last_row_has_the_number_of_users() {
        assert_eq!(end(2, Delimiter::Comma), b"end,2,,,,,,,,\r\n");
    }
}
