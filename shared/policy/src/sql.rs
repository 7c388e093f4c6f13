//! SQL that disables row-level security or deletes a database, in migrations and in texts of plans.
//!
//! The scan matches sequences of words, so that case, line breaks, quoting, dynamic SQL (`execute '…'`) and comments between the
//! words do not hide a statement. In a migration, comments are no code. In a text of a plan they count as text as well, since the
//! language of the text is unknown: a match there is rather found too often than not found.

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Row-level security is disabled, or does not apply to the owner any more.
    RowSecurityDisabled,
    /// A role bypasses row-level security.
    RowSecurityBypassed,
    /// A database is deleted.
    DatabaseDropped,
    /// A policy of row-level security is deleted.
    PolicyDropped,
    /// A table or schema is deleted or emptied.
    TableDropped,
}

impl Effect {
    /// Whether the effect rejects the plan.
    #[must_use]
    pub const fn is_block(self) -> bool {
        matches!(
            self,
            Self::RowSecurityDisabled | Self::RowSecurityBypassed | Self::DatabaseDropped
        )
    }

    /// The rule's name in findings.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::RowSecurityDisabled => "row_security_disabled",
            Self::RowSecurityBypassed => "row_security_bypassed",
            Self::DatabaseDropped => "database_dropped",
            Self::PolicyDropped => "row_policy_dropped",
            Self::TableDropped => "table_dropped",
        }
    }

    /// The effect in words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::RowSecurityDisabled => "SQL disables row-level security",
            Self::RowSecurityBypassed => "SQL creates a role that bypasses row-level security",
            Self::DatabaseDropped => "SQL deletes a database",
            Self::PolicyDropped => "SQL deletes a policy of row-level security",
            Self::TableDropped => "SQL deletes or empties a table or schema",
        }
    }
}

/// A migration cannot be read as SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a literal or comment has no end")]
pub struct Unterminated;

/// Effects of a migration, without those that only comments name.
///
/// # Errors
/// A literal or comment has no end, so that code and comments cannot be told apart.
pub fn of_migration(sql: &str) -> Result<Vec<Effect>, Unterminated> {
    let (code, ended) = without_comments(sql);
    if ended { Ok(of_words(&code)) } else { Err(Unterminated) }
}

/// Effects of a text whose language is unknown.
#[must_use]
pub fn of_text(text: &str) -> Vec<Effect> {
    // Most texts are short names, and no statement is shorter than `drop database a`.
    if text.len() < 12 {
        return Vec::new();
    }
    let mut effects = of_words(text);
    if text.contains("/*") || text.contains("--") || text.contains('#') {
        effects.extend(of_words(&without_comments(text).0));
        effects.extend(of_words(&without_hash_comments(text)));
        effects.sort_unstable();
        effects.dedup();
    }
    effects
}

fn without_hash_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text with comments replaced by spaces, and whether every literal and comment has an end. The contents of literals stay:
/// they may be statements of dynamic SQL.
fn without_comments(sql: &str) -> (String, bool) {
    let mut code = String::with_capacity(sql.len());
    let ended = strip(sql, &mut code, 0);
    (code, ended)
}

/// Dollar quotes within dollar quotes that are read as code.
const MAX_DOLLAR_DEPTH: usize = 8;

fn strip(sql: &str, code: &mut String, depth: usize) -> bool {
    let mut rest = sql;
    let mut previous = ' ';
    while let Some(character) = rest.chars().next() {
        let taken = if rest.starts_with("--") {
            code.push(' ');
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            code.push(' ');
            match block_comment(rest) {
                Some(length) => length,
                None => return false,
            }
        } else if character == '\'' || character == '"' {
            // `E'…'` has escapes by backslash; the letter is a word of its own.
            let escapes = character == '\'' && matches!(previous, 'e' | 'E') && !ends_in_longer_word(code);
            let Some(length) = literal(rest, character, escapes) else {
                code.push_str(rest);
                return false;
            };
            code.push_str(&rest[..length]);
            length
        } else if let Some(tag) = dollar_tag(rest, previous) {
            let body = &rest[tag.len()..];
            let Some(end) = body.find(tag) else {
                code.push_str(rest);
                return false;
            };
            code.push(' ');
            if depth < MAX_DOLLAR_DEPTH {
                // The body may be prose with a single apostrophe: that is no error of the migration.
                let _ = strip(&body[..end], code, depth + 1);
            } else {
                code.push_str(&body[..end]);
            }
            code.push(' ');
            tag.len() * 2 + end
        } else {
            code.push(character);
            character.len_utf8()
        };
        previous = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    true
}

/// Whether the last word of `code` has more than one letter.
fn ends_in_longer_word(code: &str) -> bool {
    let mut letters = code.chars().rev();
    letters.next();
    letters.next().is_some_and(is_word)
}

/// Length of a block comment; PostgreSQL nests them.
fn block_comment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Length of a literal or quoted name, with its quotes. Two quotes in it are one character of it.
fn literal(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = u8::try_from(quote).ok()?;
    let mut at = 1;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] == quote {
            if bytes.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                return Some(at + 1);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// The tag of a dollar quote that begins here: `$$` or `$name$`.
fn dollar_tag(text: &str, previous: char) -> Option<&str> {
    if !text.starts_with('$') || is_word(previous) {
        return None;
    }
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let valid = !name.starts_with(|first: char| first.is_ascii_digit()) && name.chars().all(is_word);
    valid.then(|| &text[..=end])
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn of_words(text: &str) -> Vec<Effect> {
    let words: Vec<String> = text
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .filter(|word| !word.is_empty() && word.len() <= 64)
        .map(str::to_ascii_lowercase)
        .collect();
    let mut effects: Vec<_> = (0..words.len()).filter_map(|at| effect_at(&words, at)).collect();
    effects.sort_unstable();
    effects.dedup();
    effects
}

/// Words before an option of a role within which the role is named.
const ROLE_STATEMENT_WORDS: usize = 24;

fn effect_at(words: &[String], at: usize) -> Option<Effect> {
    let follows = |sequence: &[&str]| {
        let tail = words[at..].iter().map(String::as_str);
        tail.take(sequence.len()).eq(sequence.iter().copied())
    };
    let precedes = |wanted: &[&str]| {
        let from = at.saturating_sub(ROLE_STATEMENT_WORDS);
        words[from..at].iter().any(|word| wanted.contains(&word.as_str()))
    };
    match words[at].as_str() {
        "disable" if follows(&["disable", "row", "level", "security"]) => Some(Effect::RowSecurityDisabled),
        "no" if follows(&["no", "force", "row", "level", "security"]) => Some(Effect::RowSecurityDisabled),
        "relrowsecurity" | "relforcerowsecurity" if precedes(&["update"]) && precedes(&["pg_class"]) => {
            Some(Effect::RowSecurityDisabled)
        }
        // SQL Server and Snowflake.
        "drop" if follows(&["drop", "security", "policy"]) => Some(Effect::RowSecurityDisabled),
        "drop"
            if follows(&["drop", "row", "access", "policy"])
                || follows(&["drop", "all", "row", "access", "policies"]) =>
        {
            Some(Effect::RowSecurityDisabled)
        }
        "state" if follows(&["state", "off"]) && precedes(&["security"]) && precedes(&["policy"]) => {
            Some(Effect::RowSecurityDisabled)
        }
        "bypassrls" | "superuser" if precedes(&["role", "user", "group"]) && precedes(&["create", "alter"]) => {
            Some(Effect::RowSecurityBypassed)
        }
        "drop" if follows(&["drop", "database"]) => Some(Effect::DatabaseDropped),
        "drop" if follows(&["drop", "policy"]) => Some(Effect::PolicyDropped),
        "drop" if follows(&["drop", "table"]) || follows(&["drop", "schema"]) => Some(Effect::TableDropped),
        "truncate" if !precedes(&["before", "after", "revoke", "grant", "on"]) => Some(Effect::TableDropped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_effects(sql: &str, expected: &[Effect]) {
        assert_eq!(of_migration(sql).as_deref(), Ok(expected), "{sql}");
    }

    #[test]
    fn disabling_statements_are_found_in_every_form() {
        for sql in [
            "alter table profiles disable row level security;",
            "ALTER TABLE a.b\n  DISABLE\tROW /* x */ LEVEL -- y\n SECURITY",
            "alter table t no force row level security",
            "do $$ begin execute 'alter table t disable row level security'; end $$",
            "do $a$ begin execute format('alter table %I disable row' || ' level security', t); end $a$",
            "select $$don't$$; select '--'; alter table x disable row level security;",
            r"select E'it\'s --'; alter table x disable row level security;",
            r"select 'C:\'; alter table x disable row level security; -- '",
            "/* a /* b */ */ alter table x disable row level security",
            "update pg_class set relrowsecurity = false where relname = 't'",
            "alter security policy dbo.filter with (state = off)",
        ] {
            assert_effects(sql, &[Effect::RowSecurityDisabled]);
        }
    }

    #[test]
    fn comments_of_a_migration_are_no_code() {
        assert_effects("-- never disable row level security\nselect 1;", &[]);
        assert_effects("/* disable row level security */ select '/*';", &[]);
        assert_effects(
            "alter table t enable row level security; alter table t force row level security",
            &[],
        );
    }

    #[test]
    fn roles_that_bypass_row_security_are_found() {
        assert_effects("alter role app with login bypassrls", &[Effect::RowSecurityBypassed]);
        assert_effects("create user u superuser", &[Effect::RowSecurityBypassed]);
        assert_effects("create role app nobypassrls nosuperuser login", &[]);
        assert_effects("select rolbypassrls from pg_roles", &[]);
    }

    #[test]
    fn deletions_have_their_own_effects() {
        assert_effects("drop database if exists arrakis", &[Effect::DatabaseDropped]);
        assert_effects("drop policy p on t", &[Effect::PolicyDropped]);
        assert_effects("drop table t; truncate u", &[Effect::TableDropped]);
        assert_effects("revoke truncate on t from app", &[]);
    }

    #[test]
    fn migration_without_an_end_is_refused() {
        for sql in ["select 'a", "/* a", "do $$ begin", "select \"a"] {
            assert_eq!(of_migration(sql), Err(Unterminated), "{sql}");
        }
    }

    #[test]
    fn texts_of_plans_are_found_in_shell_commands_and_comments() {
        let command = "psql -c \"alter table t disable row level security\" # don't";
        assert_eq!(of_text(command), [Effect::RowSecurityDisabled]);
        assert_eq!(
            of_text("ALTER TABLE t DISABLE /* x */ ROW LEVEL SECURITY"),
            [Effect::RowSecurityDisabled]
        );
        assert!(of_text("a description of rows").is_empty());
    }

    #[test]
    fn own_migrations_have_no_block() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../db/migrations");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "sql") {
                let sql = std::fs::read_to_string(entry.path()).unwrap();
                let effects = of_migration(&sql).unwrap();
                assert!(
                    !effects.iter().any(|effect| effect.is_block()),
                    "{:?}: {effects:?}",
                    entry.path()
                );
                count += 1;
            }
        }
        assert!(count > 20, "{count} migrations");
    }
}
