//! The CSV of `/admin-migrate`: a user id and a tier in each line. The undo file has the same form, with the end of the tier behind it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrakis_db::{ImportedTier, UserId};
use arrakis_domain::{Ladder, Theme, TierId};
use time::format_description::well_known::Rfc3339;

/// First line of a file that has one.
const HEADER: &str = "user_id,tier";
/// Most lines.
const MAX_LINES: usize = 20_000;

/// Why a file cannot be read, with the number of the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MemberListError {
    /// There is no member in it.
    #[error("the file has no members")]
    Empty,
    /// There are too many lines.
    #[error("the file has more than {MAX_LINES} lines")]
    TooLong,
    /// A user id is none.
    #[error("line {line}: `{text}` is not the id of a user, which is a number such as 80351110224678912")]
    User {
        /// The line, counted from 1.
        line: usize,
        /// The text in the place of the id.
        text: String,
    },
    /// A tier is not in the rules of the community.
    #[error("line {line}: there is no tier `{text}` here")]
    Tier {
        /// The line, counted from 1.
        line: usize,
        /// The text in the place of the tier.
        text: String,
    },
    /// A user is there twice, with different tiers.
    #[error("line {line}: the user {user} has another tier in an earlier line")]
    Conflict {
        /// The line, counted from 1.
        line: usize,
        /// The user.
        user: UserId,
    },
}

/// Reads the members of a file. Columns are separated by commas or semicolons and may be quoted; a header in the first line that is not empty, and
/// empty lines are skipped.
///
/// # Errors
/// The first error.
pub(crate) fn read(text: &str, theme: &Theme, ladder: &Ladder) -> Result<Vec<(UserId, TierId)>, MemberListError> {
    let mut members = BTreeMap::new();
    let mut is_first = true;
    // Spreadsheets begin a file with a byte order mark.
    let lines = text.trim_start_matches('\u{feff}').lines();
    for (line, row) in (1..).zip(lines) {
        if line > MAX_LINES {
            return Err(MemberListError::TooLong);
        }
        let mut columns = row
            .split([',', ';'])
            .map(|column| column.trim().trim_matches('"').trim());
        let (user, tier) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
        if user.is_empty() && tier.is_empty() {
            continue;
        }
        let is_header = is_first && user.eq_ignore_ascii_case("user_id");
        is_first = false;
        if is_header {
            continue;
        }
        let user: UserId = user.parse().map_err(|_| MemberListError::User {
            line,
            text: shown(user),
        })?;
        let tier = find_tier(tier, theme, ladder).ok_or_else(|| MemberListError::Tier {
            line,
            text: shown(tier),
        })?;
        if members
            .insert(user, tier.clone())
            .is_some_and(|earlier| &earlier != tier)
        {
            return Err(MemberListError::Conflict { line, user });
        }
    }
    if members.is_empty() {
        return Err(MemberListError::Empty);
    }
    Ok(members.into_iter().collect())
}

/// The tier of the ladder with this id or name.
pub(crate) fn find_tier<'a>(text: &str, theme: &'a Theme, ladder: &Ladder) -> Option<&'a TierId> {
    let lower = text.to_lowercase();
    let mut tiers = theme.tiers.iter();
    let found = tiers.find(|tier| tier.id.as_str() == lower || tier.name.to_lowercase() == lower)?;
    ladder.rule(&found.id).map(|_| &found.id)
}

/// Untrusted text for a message: short, and without effect on its form. Characters that are invisible or reorder text are escaped and not removed: without
/// them, what is refused would look like what is permitted.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(40) {
        match character {
            '`' | '\'' => shown.push('\''),
            '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// The undo file of an import: who has which tier of it, and until when.
pub(crate) fn write(tiers: &[ImportedTier]) -> String {
    let mut text = format!("{HEADER},expires_at\n");
    for row in tiers {
        let expires = row.expires_at.format(&Rfc3339).unwrap_or_default();
        let _ = writeln!(text, "{},{},{expires}", row.user, row.tier);
    }
    text
}

#[cfg(test)]
mod tests {
    use arrakis_themes::Registry;
    use time::macros::datetime;

    use super::*;

    fn read_list(text: &str) -> Result<Vec<(String, String)>, String> {
        let themes = Registry::load(None).unwrap();
        let theme = themes.theme("sietch").unwrap();
        let members = read(text, theme, theme.ladder(None).unwrap()).map_err(|error| error.to_string())?;
        let pairs = members.into_iter();
        Ok(pairs.map(|(user, tier)| (user.to_string(), tier.to_string())).collect())
    }

    fn pair(user: &str, tier: &str) -> (String, String) {
        (user.to_owned(), tier.to_owned())
    }

    #[test]
    fn members_are_read_with_and_without_header() {
        let expected = vec![pair("80351110224678912", "naib"), pair("80351110224678913", "usul")];
        for text in [
            "user_id,tier\n80351110224678912,naib\n80351110224678913,usul\n",
            "\n ; \r\nuser_id,tier\n80351110224678912,naib\n80351110224678913,usul\n",
            "\u{feff}80351110224678913;\"Usul\"\r\n\r\n80351110224678912 ; Naib\r\n80351110224678912;naib",
        ] {
            assert_eq!(read_list(text), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn invalid_file_is_refused_with_the_line() {
        for (text, error) in [
            ("", "the file has no members"),
            ("user_id,tier\n", "the file has no members"),
            ("chani,naib", "line 1: `chani` is not the id of a user"),
            (
                "user_id,tier\n80351110224678912,gold",
                "line 2: there is no tier `gold` here",
            ),
            ("80351110224678912", "line 1: there is no tier `` here"),
            (
                "80351110224678912,naib\nuser_id,tier",
                "line 2: `user_id` is not the id",
            ),
            (
                "8035111022467\0912,naib",
                "line 1: `8035111022467\\0912` is not the id of a user",
            ),
            (
                "\u{200b}80351110224678912,naib",
                "line 1: `\\u{200b}80351110224678912` is not the id of a user",
            ),
            (
                "80351110224678912,\u{202e}bian\u{1b}[31m`é",
                "line 1: there is no tier `\\u{202e}bian\\u{1b}[31m'é` here",
            ),
            (
                "80351110224678912,naib\n80351110224678912,usul",
                "line 2: the user 80351110224678912 has another tier",
            ),
        ] {
            let found = read_list(text).unwrap_err();
            assert!(found.starts_with(error), "{text:?}: {found}");
        }
        let long = "80351110224678912,naib\n".repeat(MAX_LINES + 1);
        assert!(read_list(&long).unwrap_err().contains("more than 20000 lines"));
    }

    #[test]
    fn undo_file_can_be_read_again() {
        let tiers = [ImportedTier {
            user: "80351110224678912".parse().unwrap(),
            tier: TierId::new("naib").unwrap(),
            expires_at: datetime!(2026-12-05 12:00 UTC),
        }];
        let text = write(&tiers);
        assert_eq!(
            text,
            "user_id,tier,expires_at\n80351110224678912,naib,2026-12-05T12:00:00Z\n"
        );
        assert_eq!(read_list(&text), Ok(vec![pair("80351110224678912", "naib")]));
    }
}
