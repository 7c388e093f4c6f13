//! Statements after which others mean something else than this check reads: definitions with the names of built-in ones, operators, casts,
//! languages, views by which a system catalog is written, settings of the reader of SQL, data for psql.
//!
//! They are rare, so each is unknown wherever it is: what a migration defines is used by a later one. To add one: an arm of [`changes_meaning`].

use super::dynamic::{NAME_TYPES, is_running};
use super::lexer::Token;

/// Functions and types that this check relies on, beside [`NAME_TYPES`].
const BUILT_IN: &[&str] = &[
    "format",
    "quote_ident",
    "quote_literal",
    "quote_nullable",
    "set_config",
    "text",
];

/// Catalogs that decide about rights and row-level security.
const CATALOGS: &[&str] = &[
    "pg_attribute",
    "pg_auth_members",
    "pg_authid",
    "pg_class",
    "pg_database",
    "pg_db_role_setting",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_rewrite",
    "pg_trigger",
];

/// Words between `create` and the kind of the object.
const MODIFIERS: &[&str] = &[
    "or",
    "replace",
    "temp",
    "temporary",
    "unlogged",
    "global",
    "local",
    "trusted",
    "procedural",
    "materialized",
    "recursive",
    "foreign",
];

/// Whether a statement changes what others mean, or is followed by something other than SQL.
pub(super) fn changes_meaning(statement: &[Token]) -> bool {
    statement.iter().enumerate().any(|(at, token)| {
        let after = &statement[at + 1..];
        match token {
            Token::Word(word) => match word.as_str() {
                "create" => creates(after),
                "alter" => alters(after),
                "rename" => {
                    after.first().is_some_and(|to| to.is_word("to"))
                        && after.get(1).and_then(Token::name).is_some_and(is_built_in)
                }
                // Data follows, which only psql tells from SQL. `copy … from stdout` is the same.
                "copy" => after.iter().any(|next| next.is_word("stdin") || next.is_word("stdout")),
                "import" => after.first().is_some_and(|next| next.is_word("foreign")),
                "set" if after.first().is_some_and(|next| next.is_word("names")) => !is_utf_8(after.get(1)),
                // A byte order mark that is not the beginning of the file.
                word => word.contains('\u{feff}') || changes_setting(word, after),
            },
            Token::Quoted(text) | Token::Literal(text) => changes_setting(text, after),
            Token::Body(_) | Token::Symbol(_) => false,
        }
    })
}

fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name) || NAME_TYPES.contains(&name)
}

fn creates(after: &[Token]) -> bool {
    let is_modifier = |token: &&Token| matches!(token, Token::Word(word) if MODIFIERS.contains(&word.as_str()));
    let (modifiers, rest) = after.split_at(after.iter().take_while(is_modifier).count());
    let has = |modifier: &str| modifiers.iter().any(|token| token.is_word(modifier));
    let Some((Token::Word(kind), rest)) = rest.split_first() else {
        return false;
    };
    let (name, after_name) = defined_name(rest);
    let shadows = name.is_some_and(is_built_in);
    let names = |wanted: fn(&str) -> bool| rest.iter().filter_map(Token::name).any(wanted);
    match kind.as_str() {
        "operator" => !is_class(rest),
        "cast" | "language" | "transform" => true,
        "function" | "procedure" | "domain" => shadows,
        // A base type has functions of its own.
        "type" => shadows || after_name.first().is_some_and(|next| next.is_symbol('(')),
        "aggregate" => shadows || names(is_running),
        "table" => has("foreign") || name.is_some_and(|name| NAME_TYPES.contains(&name)),
        // A rule `_RETURN` makes a view of a table.
        "rule" => names(|name| CATALOGS.contains(&name)),
        "view" => {
            name.is_some_and(|name| NAME_TYPES.contains(&name))
                || (!has("materialized") && names(|name| CATALOGS.contains(&name)))
        }
        _ => false,
    }
}

fn alters(after: &[Token]) -> bool {
    let Some((Token::Word(kind), rest)) = after.split_first() else {
        return false;
    };
    match kind.as_str() {
        "language" => true,
        "operator" => !is_class(rest),
        "function" | "procedure" | "routine" | "aggregate" | "type" | "domain" => {
            let (name, _) = defined_name(rest);
            name.is_some_and(|name| is_built_in(name) || is_running(name))
        }
        _ => false,
    }
}

/// Whether the object is a class or a family of operators, which an index has.
fn is_class(rest: &[Token]) -> bool {
    rest.first()
        .is_some_and(|next| next.is_word("class") || next.is_word("family"))
}

/// The name of an object without its schema, and what follows it.
fn defined_name(tokens: &[Token]) -> (Option<&str>, &[Token]) {
    let is_condition = |token: &&Token| ["if", "not", "exists"].iter().any(|word| token.is_word(word));
    let mut rest = &tokens[tokens.iter().take_while(is_condition).count()..];
    while let [_, dot, after @ ..] = rest
        && dot.is_symbol('.')
    {
        rest = after;
    }
    match rest.split_first() {
        Some((first, after)) => (first.name(), after),
        None => (None, rest),
    }
}

/// Whether a setting gets a value by which the text is read in another way than here.
fn changes_setting(name: &str, after: &[Token]) -> bool {
    let value = after
        .first()
        .filter(|assign| assign.is_symbol('=') || assign.is_word("to"))
        .and_then(|_| after.get(1));
    if name.eq_ignore_ascii_case("standard_conforming_strings") {
        !value.is_some_and(|value| has_value(value, &["on"]))
    } else if name.eq_ignore_ascii_case("client_encoding") {
        !is_utf_8(value)
    } else {
        name.eq_ignore_ascii_case("allow_system_table_mods")
    }
}

fn is_utf_8(value: Option<&Token>) -> bool {
    value.is_some_and(|value| has_value(value, &["utf8", "utf-8", "unicode"]))
}

fn has_value(value: &Token, wanted: &[&str]) -> bool {
    let text = value.name().or_else(|| value.text()).unwrap_or_default();
    wanted.iter().any(|wanted| text.eq_ignore_ascii_case(wanted))
}
