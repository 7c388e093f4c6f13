//! SQL that disables row-level security or deletes a database, in migrations and in texts of plans.
//!
//! The scan matches words of a statement, so that case, line breaks, quoting, escapes and comments between the words do not hide one. A text is read
//! as several dialects, since what one server reads as a comment is code for another. In a migration, comments are no code, and a statement that is
//! put together at run time from parts that are not known is [`Effect::Unknown`]. In a text of a plan, comments count as text as well, since the language
//! of the text is unknown: a match there is rather found too often than not found.
//!
//! To add an effect: a sequence in `effects.rs`, or a condition on the words of one statement.

mod dynamic;
mod effects;
mod lexer;

use std::borrow::Cow;

use self::lexer::{Dialect, Token};

/// A dangerous effect of a statement. The order has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Row-level security is disabled, or does not apply to the owner any more.
    RowSecurityDisabled,
    /// A role bypasses row-level security.
    RowSecurityBypassed,
    /// A database is deleted.
    DatabaseDropped,
    /// What is executed is not known before: SQL that is put together, another language, a command of psql.
    Unknown,
    /// A policy of row-level security is deleted.
    PolicyDropped,
    /// A policy of row-level security is changed, or holds for every row.
    PolicyOpened,
    /// An object has another owner, to whom row-level security does not apply unless it is forced.
    OwnerChanged,
    /// A login becomes a member of a role.
    RoleGranted,
    /// A table or schema is deleted or emptied.
    TableDropped,
}

impl Effect {
    /// Whether the effect rejects the plan.
    #[must_use]
    pub const fn is_block(self) -> bool {
        matches!(
            self,
            Self::RowSecurityDisabled | Self::RowSecurityBypassed | Self::DatabaseDropped | Self::Unknown
        )
    }

    /// The rule's name in findings.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::RowSecurityDisabled => "row_security_disabled",
            Self::RowSecurityBypassed => "row_security_bypassed",
            Self::DatabaseDropped => "database_dropped",
            Self::Unknown => "unknown_statement",
            Self::PolicyDropped => "row_policy_dropped",
            Self::PolicyOpened => "row_policy_opened",
            Self::OwnerChanged => "owner_changed",
            Self::RoleGranted => "role_granted",
            Self::TableDropped => "table_dropped",
        }
    }

    /// The effect in words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::RowSecurityDisabled => "SQL disables row-level security",
            Self::RowSecurityBypassed => "SQL lets a role bypass row-level security",
            Self::DatabaseDropped => "SQL deletes a database",
            Self::Unknown => {
                "SQL is put together at run time, is in another language than SQL and PL/pgSQL, or is a command of psql: it cannot be checked"
            }
            Self::PolicyDropped => "SQL deletes a policy of row-level security",
            Self::PolicyOpened => "SQL changes a policy of row-level security, or creates one that holds for every row",
            Self::OwnerChanged => {
                "SQL gives an object another owner, to whom row-level security does not apply unless it is forced"
            }
            Self::RoleGranted => "SQL makes a login a member of a role, with the role's rights",
            Self::TableDropped => "SQL deletes or empties a table or schema",
        }
    }
}

/// A migration cannot be read as SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Code and comments cannot be told apart.
    #[error("a literal or comment has no end")]
    Unterminated,
    /// The text is in another encoding than UTF-8.
    #[error("it has a NUL character; it must be in UTF-8")]
    Nul,
}

/// Dollar quotes and literals within each other that are read.
const MAX_DEPTH: usize = 8;

/// Effects of a migration, without those that only comments name.
///
/// # Errors
/// It cannot be read as SQL of PostgreSQL.
pub fn of_migration(sql: &str) -> Result<Vec<Effect>, Unreadable> {
    if sql.contains('\0') {
        return Err(Unreadable::Nul);
    }
    let mut effects = Vec::new();
    for dialect in [Dialect::POSTGRES, Dialect::BACKSLASH, Dialect::MYSQL, Dialect::STANDARD] {
        let (tokens, ended) = lexer::tokens(sql, dialect);
        if !ended && dialect == Dialect::POSTGRES {
            return Err(Unreadable::Unterminated);
        }
        let scan = Scan { dialect, depth: 0 };
        scan.code(&tokens, &[], &mut effects);
        if dialect == Dialect::POSTGRES && has_psql(&tokens) {
            effects.push(Effect::Unknown);
        }
    }
    of_text_without_quotes(sql, &mut effects);
    effects.sort_unstable();
    effects.dedup();
    Ok(effects)
}

/// Whether there is a command or a variable of psql, whose value is not in the text.
fn has_psql(tokens: &[Token]) -> bool {
    let mut brackets = 0_usize;
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Symbol('\\') => return true,
            Token::Symbol('[') => brackets += 1,
            Token::Symbol(']') => brackets = brackets.saturating_sub(1),
            Token::Symbol(':') => match tokens.get(at + 1) {
                Some(Token::Symbol(':' | '=')) => at += 1,
                Some(Token::Word(name)) if name.starts_with(|first: char| first.is_ascii_digit()) => {}
                // A slice of an array.
                Some(Token::Word(_)) if brackets > 0 => {}
                Some(Token::Word(_) | Token::Quoted(_) | Token::Literal(_) | Token::Symbol('{')) => return true,
                _ => {}
            },
            _ => {}
        }
        at += 1;
    }
    false
}

/// Times that escapes of a text are decoded: SQL in JSON in JSON.
const MAX_DECODED: usize = 4;

/// The text with the escapes of JSON, YAML and most languages decoded.
pub(crate) fn without_escapes(text: &str) -> String {
    lexer::backslash_escapes(text)
}

/// Effects of a text whose language is unknown. A statement that is put together at run time is none of them.
#[must_use]
pub fn of_text(text: &str) -> Vec<Effect> {
    // Most texts are short names, and no statement is shorter than `drop database a`.
    if text.len() < 12 {
        return Vec::new();
    }
    let mut effects = Vec::new();
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_DECODED {
        of_decoded_text(&text, &mut effects);
        if !text.contains('\\') {
            break;
        }
        let decoded = lexer::backslash_escapes(&text);
        text = Cow::Owned(decoded);
    }
    // Prose grants as well, and the words of an unknown language are no statements.
    effects.retain(|effect| !matches!(effect, Effect::Unknown | Effect::RoleGranted));
    effects.sort_unstable();
    effects.dedup();
    effects
}

/// A part of every statement that has an effect.
const PARTS: &[&str] = &[
    "security",
    "drop",
    "truncate",
    "bypassrls",
    "superuser",
    "rolsuper",
    "relforce",
    "relrow",
    "pg_",
    "policy",
    "policies",
    "owner",
];

fn of_decoded_text(text: &str, effects: &mut Vec<Effect>) {
    // A literal with escapes can contain any word.
    let has_escapes = text.contains("&'") || text.contains("&\"") || text.contains("&\\");
    if !has_escapes {
        let lower = text.to_ascii_lowercase();
        if !PARTS.iter().any(|part| lower.contains(part)) {
            return;
        }
    }
    let mut all = Vec::new();
    effects::add_words(text, &mut all);
    effects::of_sequences(&all, effects);
    for statement in text.split(';') {
        let mut words = Vec::new();
        effects::add_words(statement, &mut words);
        effects::of_statement(&words, effects);
    }
    for dialect in [Dialect::POSTGRES, Dialect::BACKSLASH, Dialect::MYSQL, Dialect::STANDARD] {
        let scan = Scan { dialect, depth: 0 };
        scan.text(text, effects);
    }
    of_text_without_quotes(text, effects);
    if text.contains('#') {
        let lines = text.split(['\n', '\r']);
        let code: Vec<_> = lines.map(|line| line.split('#').next().unwrap_or_default()).collect();
        of_text_without_quotes(&code.join("\n"), effects);
    }
}

/// Effects of a text whose comments count whatever quotes they are in.
fn of_text_without_quotes(text: &str, effects: &mut Vec<Effect>) {
    let scan = Scan {
        dialect: Dialect::WITHOUT_QUOTES,
        depth: 0,
    };
    scan.text(text, effects);
}

/// The reading of a text in one dialect.
#[derive(Clone, Copy)]
struct Scan {
    dialect: Dialect,
    depth: usize,
}

impl Scan {
    const fn deeper(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    /// Effects of a text that may be code. It may be prose with a single apostrophe: that is no error.
    fn text(self, text: &str, effects: &mut Vec<Effect>) {
        if self.depth >= MAX_DEPTH {
            let mut words = Vec::new();
            effects::add_words(text, &mut words);
            effects::of_statement(&words, effects);
            return;
        }
        let (tokens, _) = lexer::tokens(text, self.dialect);
        for statement in statements(&tokens) {
            self.words(statement, &[], effects);
        }
    }

    /// Effects of code. `context` has the tokens around it, if it is the body of a function.
    fn code(self, tokens: &[Token], context: &[&[Token]], effects: &mut Vec<Effect>) {
        if self.depth >= MAX_DEPTH {
            effects.push(Effect::Unknown);
            return;
        }
        for statement in statements(tokens) {
            let mut around = context.to_vec();
            around.push(statement);
            let code = dynamic::code_of(statement, &around, !context.is_empty());
            if code.is_unknown {
                effects.push(Effect::Unknown);
            }
            self.words(statement, &code.texts, effects);
            for text in &code.texts {
                let (inner, _) = lexer::tokens(text, self.dialect);
                let within: Vec<&[Token]> = around.iter().copied().chain([inner.as_slice()]).collect();
                self.deeper().code(&inner, &within, effects);
            }
        }
    }

    /// Effects of the words of a statement and of its literals, except those that are read as code.
    fn words(self, statement: &[Token], read: &[String], effects: &mut Vec<Effect>) {
        let (mut plain, mut all) = (Vec::new(), Vec::new());
        let mut after_dot = false;
        for token in statement {
            match token {
                Token::Word(text) | Token::Quoted(text) if !after_dot => {
                    effects::add_words(text, &mut plain);
                    effects::add_words(text, &mut all);
                }
                Token::Word(text) | Token::Quoted(text) => {
                    effects::add_word(text, true, &mut plain);
                    effects::add_word(text, true, &mut all);
                }
                Token::Literal(text) => effects::add_words(text, &mut all),
                Token::Body(_) | Token::Symbol(_) => {}
            }
            after_dot = token.is_symbol('.');
            if let Token::Literal(text) | Token::Body(text) | Token::Quoted(text) = token
                && !read.contains(text)
            {
                self.deeper().text(text, effects);
            }
        }
        effects::of_statement(&plain, effects);
        effects::of_sequences(&all, effects);
    }
}

fn statements(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    tokens.split(|token| token.is_symbol(';'))
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
            "-- note\ralter table t disable row level security;",
            "select e'a'\n'\\' -- ';alter table t disable row level security;",
            "set standard_conforming_strings=off; select '\\' -- ';alter table t disable row level security;",
            "select $¤$ -- $¤$; alter table t disable row level security;",
            "do $$ begin execute 'alter table t disable /* x */ row level security'; end $$;",
            "do $$ begin execute 'alter table t disable -- x\n row level security'; end $$;",
            r"do $$ begin execute e'alter table t disable row\nlevel security'; end $$;",
            r"do $$ begin execute u&'alter table t disable\0020row level security'; end $$;",
            "do $$ begin execute format('alter table t %s row level security', 'disable'); end $$;",
            "do $$ begin execute format('alter table t %I row level security', x); end $$;",
            "do $$ begin execute format('alter table t %2$s row %1$s', 'level security', 'disable'); end $$;",
            "do $$ begin execute 'alter table t ' || ('dis' || 'able') || ' row level security'; end $$;",
            "do 'begin execute ''alter table t dis'' ''x''; alter table t disable row level security; end'",
            "delete from pg_catalog.pg_policy",
            "select $$don't$$; select '--'; alter table x disable row level security;",
            r"select E'it\'s --'; alter table x disable row level security;",
            r"select 'C:\'; alter table x disable row level security; -- '",
            "/* a /* b */ */ alter table x disable row level security",
            "update pg_class set relrowsecurity = false where relname = 't'",
            "alter security policy dbo.filter with (state = off)",
        ] {
            let effects = of_migration(sql).unwrap();
            assert!(effects.contains(&Effect::RowSecurityDisabled), "{sql}: {effects:?}");
        }
    }

    #[test]
    fn statements_that_cannot_be_read_are_unknown() {
        for sql in [
            "do $$ begin execute statement; end $$",
            "do $$ begin execute 'alter table t ' || action || ' row level security'; end $$",
            "do $$ begin execute format('alter table t %s row level security', action); end $$",
            "do $$ begin execute format(template, 'a'); end $$",
            "do $$ begin execute replace('alter table t x row level security', 'x', 'disable'); end $$",
            "do $$ begin execute format('do %L', code); end $$",
            "do $$ declare t regclass; t text; begin execute format('alter table %s', t); end $$",
            "do $$ begin for r in execute query loop null; end loop; end $$",
            "do $$ begin return query execute query using 1; end $$",
            "do $$ my $i=3; $i--; spi_exec_query('x'); $$ language plperlu",
            "do language \"plperl\" $$ 1 $$",
            "do $$\nx = 1 # /*\nplpy.execute('x')\n$$ language plpython3u",
            "create function f() returns int language 'plv8' as $$ 1 $$",
            "create function f() returns int as '/lib/f' language c",
            "select query_to_xml('alter ' || x, true, true, '')",
            "select dblink_exec(a, b)",
            "copy t from program 'curl example.org'",
            "prepare s from @x",
            "exec(@sql)",
            "exec sp_executesql @sql",
            "\\set a disable\nalter table t :a row level security",
            "alter table t :\"a\" row level security",
            "\\i other.sql",
            "select u&'d!0061' uescape '!'",
        ] {
            let effects = of_migration(sql).unwrap();
            assert!(effects.contains(&Effect::Unknown), "{sql}: {effects:?}");
        }
    }

    #[test]
    fn statements_of_constants_and_names_are_read() {
        for sql in [
            "do $$ begin execute 'create index i on t (a)'; end $$",
            "do $$ begin execute format('alter table %I enable row level security', name); end $$",
            "do $$ begin execute format('alter table %I.%I force row level security', a, b); end $$",
            "create function f(target regclass) returns void language plpgsql as $$ begin
                 execute format('alter table %s force row level security', target); end $$",
            "create trigger t before insert on t for each row execute function f()",
            "grant execute on function f() to app",
            "prepare s as select 1; execute s; execute s(1)",
            "select a[1:2], b::text, c[i:j] from t where d = ':x'",
            "create function f() returns int language sql begin atomic select 1; end",
            "alter table t drop constraint c, add constraint c foreign key (a) references b on delete cascade",
            "create table t (language text not null, program text)",
        ] {
            assert_effects(sql, &[]);
        }
    }

    #[test]
    fn deleted_databases_of_other_servers_are_found() {
        for sql in [
            "/*!40000 DROP DATABASE IF EXISTS `prod`*/;",
            r"SELECT '\' -- ';DROP DATABASE prod;",
            "/* a /* b */ DROP DATABASE prod; /* c */ */",
            "do $$ begin execute format('%I database p', x); end $$",
        ] {
            let effects = of_migration(sql).unwrap();
            assert!(effects.contains(&Effect::DatabaseDropped), "{sql}: {effects:?}");
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
        assert_effects(
            "update pg_authid set rolbypassrls = true",
            &[Effect::RowSecurityBypassed],
        );
        assert_effects(
            "update pg_catalog.\"pg_authid\" set rolsuper = true",
            &[Effect::RowSecurityBypassed],
        );
        assert_effects(
            "insert into pg_auth_members values (1, 2, 3)",
            &[Effect::RowSecurityBypassed],
        );
        let far = format!("create role r password 'a;b' {} bypassrls", "inherit ".repeat(100));
        assert_effects(&far, &[Effect::RowSecurityBypassed]);
        assert_effects("select rolbypassrls from pg_roles", &[]);
    }

    #[test]
    fn deletions_have_their_own_effects() {
        assert_effects("drop database if exists arrakis", &[Effect::DatabaseDropped]);
        assert_effects("drop policy p on t", &[Effect::PolicyDropped]);
        assert_effects("drop table t; truncate u", &[Effect::TableDropped]);
        assert_effects("revoke truncate on t from app", &[]);
        assert_effects("create trigger t before truncate on t execute function f()", &[]);
        for sql in [
            "create index i on t(a);\ntruncate users;",
            "grant select on t to app; truncate table users",
            "drop foreign table t",
            "drop owned by app",
            "drop extension hstore cascade",
        ] {
            assert_effects(sql, &[Effect::TableDropped]);
        }
    }

    #[test]
    fn wider_access_has_its_own_effects() {
        for sql in [
            "create policy p on t using (true)",
            "create policy p on t for insert with check (true)",
            "create policy p on t using (1 = 1)",
            "alter policy p on t using (a = b)",
        ] {
            assert_effects(sql, &[Effect::PolicyOpened]);
        }
        assert_effects("create policy p on t using (a = b)", &[]);
        assert_effects("alter table t owner to app", &[Effect::OwnerChanged]);
        assert_effects("grant arrakis_admin to arrakis_app", &[Effect::RoleGranted]);
        assert_effects("grant select on t to app", &[]);
    }

    #[test]
    fn migration_without_an_end_is_refused() {
        for sql in ["select 'a", "/* a", "do $$ begin", "select \"a"] {
            assert_eq!(of_migration(sql), Err(Unreadable::Unterminated), "{sql}");
        }
        let utf_16 = "a\0l\0t\0e\0r\0";
        assert_eq!(of_migration(utf_16), Err(Unreadable::Nul));
    }

    #[test]
    fn texts_of_plans_are_found_in_shell_commands_and_comments() {
        let command = "psql -c \"alter table t disable row level security\" # don't";
        assert_eq!(of_text(command), [Effect::RowSecurityDisabled]);
        assert_eq!(
            of_text("ALTER TABLE t DISABLE /* x */ ROW LEVEL SECURITY"),
            [Effect::RowSecurityDisabled]
        );
        for text in [
            "psql -c \"alter table t disable /* keep */ row level security\"",
            r#"{"sql":"alter table t disable\nrow level security"}"#,
            r#"{"a":"{\"sql\":\"alter table t disable\\trow level security\"}"}"#,
            "-- c\ralter table t disable -- x\rrow level security",
            r"select u&'\0064isable row level security'",
        ] {
            assert_eq!(of_text(text), [Effect::RowSecurityDisabled], "{text}");
        }
        assert!(of_text("a description of rows").is_empty());
        assert!(of_text("grant access to the security team, and drop the owner to zero").is_empty());
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
