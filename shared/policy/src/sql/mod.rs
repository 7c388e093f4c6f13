//! SQL that disables row-level security or deletes a database, in migrations and in texts of plans.
//!
//! The scan matches words of a statement, so that case, line breaks, quoting, escapes and comments between the words do not hide one. A text is read
//! as several dialects, since what one server reads as a comment is code for another. In a migration, comments are no code, and a statement that is
//! put together at run time from parts that are not known is [`Effect::Unknown`], and so is a definition that changes what other statements mean. Literals
//! that nothing runs are no code. The text of an attribute that has SQL is judged as a migration. In another text of a plan, comments count as text as well, since the language
//! of the text is unknown: a match there is rather found too often than not found.
//!
//! To add an effect: a sequence in `effects.rs`, or a condition on the words of one statement.

mod data;
mod definitions;
mod dynamic;
mod effects;
mod lexer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::effects::{Place, Word};
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
    /// What is executed is not known before: SQL that is put together, another language, a command of psql, a definition that changes what other
    /// statements mean.
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
                "SQL cannot be checked: it is put together at run time, is in another language than SQL and PL/pgSQL, is a command or data of psql, or \
                 defines or sets what changes the meaning of other statements"
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
    // psql leaves out a byte order mark at the beginning of a file.
    let sql = sql.strip_prefix('\u{feff}').unwrap_or(sql);
    let mut effects = of_code(sql)?;
    if has_psql(&lexer::tokens(sql, Dialect::POSTGRES).0) {
        effects.push(Effect::Unknown);
    }
    Ok(sorted(effects))
}

/// Effects of the text of an attribute that has SQL. Only psql has commands and variables of psql.
#[must_use]
pub(crate) fn of_attribute(sql: &str) -> Vec<Effect> {
    let mut effects = of_code(sql).unwrap_or_else(|_| vec![Effect::Unknown]);
    // The server may be another one than PostgreSQL.
    effects.extend(of_text(sql));
    sorted(effects)
}

/// Effects of the creation of a function with this name and body. The body may have the quotes around it, as `AS $$…$$`.
#[must_use]
pub(crate) fn of_function(name: &str, language: &str, body: &str) -> Vec<Effect> {
    const QUOTE: &str = "$arrakis_body$";
    if body.contains(QUOTE) {
        return vec![Effect::Unknown];
    }
    let name = name.replace('"', "\"\"");
    let language = language.replace('\'', "''");
    let (tokens, _) = lexer::tokens(body, Dialect::POSTGRES);
    let has_quotes = tokens.first().is_some_and(|first| first.is_word("as"));
    let body = if has_quotes {
        body.to_owned()
    } else {
        format!("as {QUOTE}{body}{QUOTE}")
    };
    of_attribute(&format!(
        "create function \"{name}\"() returns void language '{language}' {body}"
    ))
}

fn sorted(mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.sort_unstable();
    effects.dedup();
    effects
}

/// Effects of SQL for PostgreSQL.
fn of_code(sql: &str) -> Result<Vec<Effect>, Unreadable> {
    if sql.contains('\0') {
        return Err(Unreadable::Nul);
    }
    let mut effects = Vec::new();
    for dialect in [Dialect::POSTGRES, Dialect::BACKSLASH, Dialect::MYSQL, Dialect::STANDARD] {
        let (tokens, ended) = lexer::tokens(sql, dialect);
        if !ended && dialect == Dialect::POSTGRES {
            return Err(Unreadable::Unterminated);
        }
        let mut found = Vec::new();
        Scan { dialect, depth: 0 }.code(&tokens, &[], &mut found);
        // What another server reads as a literal may be any part of a statement here.
        let is_postgres = [Dialect::POSTGRES, Dialect::BACKSLASH].contains(&dialect);
        found.retain(|effect| is_postgres || *effect != Effect::Unknown);
        effects.append(&mut found);
    }
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
    sorted(effects)
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
    "reassign",
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
    effects::add_words(text, Place::AfterWord, &mut all);
    effects::of_sequences(&all, effects);
    for statement in text.split(';') {
        let mut words = Vec::new();
        effects::add_words(statement, Place::AfterWord, &mut words);
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
            effects::add_words(text, Place::AfterWord, &mut words);
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
            let is_any = self.words(&data::without_data(statement), &code.texts, effects);
            // A word that is not known can be any keyword.
            if code.is_unknown || is_any || definitions::changes_meaning(statement) {
                effects.push(Effect::Unknown);
            }
            for text in &code.texts {
                let (inner, _) = lexer::tokens(text, self.dialect);
                let within: Vec<&[Token]> = around.iter().copied().chain([inner.as_slice()]).collect();
                self.deeper().code(&inner, &within, effects);
            }
        }
    }

    /// Effects of the words of a statement and of its literals, except those that are read as code. Whether one of its words can be any word.
    fn words(self, statement: &[Token], read: &[String], effects: &mut Vec<Effect>) -> bool {
        let (mut plain, mut all) = (Vec::new(), Vec::new());
        for (at, token) in statement.iter().enumerate() {
            let place = place(statement, at);
            for words in [&mut plain, &mut all] {
                match token {
                    Token::Word(text) if place == Place::Name => effects::add_word(text, place, words),
                    Token::Word(text) if is_keyword(text) => effects::add_words(text, place, words),
                    Token::Word(text) | Token::Quoted(text) => effects::add_quoted(text, place, words),
                    Token::Literal(_) | Token::Body(_) | Token::Symbol(_) => {}
                }
            }
            if let Token::Literal(text) = token {
                effects::add_words(text, Place::Other, &mut all);
            }
            if let Token::Literal(text) | Token::Body(text) | Token::Quoted(text) = token
                && !read.contains(text)
            {
                self.deeper().text(text, effects);
            }
        }
        effects::of_statement(&plain, effects);
        effects::of_sequences(&all, effects);
        plain.contains(&Word::Any)
    }
}

/// Whether a word can be a keyword: it has the characters of one, or is not known.
fn is_keyword(word: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    word.bytes().all(is_part) || word.contains(effects::ANY)
}

/// Where the word at this index is. Before a bracket, a name can be that of a function, except after some words.
fn place(statement: &[Token], at: usize) -> Place {
    let next_is = |symbol: char| statement.get(at + 1).is_some_and(|next| next.is_symbol(symbol));
    let word_before = |number: usize, words: &[&str]| {
        let before = at.checked_sub(number).and_then(|before| statement.get(before));
        before.is_some_and(|before| words.iter().any(|word| before.is_word(word)))
    };
    let Some(before) = at.checked_sub(1).and_then(|before| statement.get(before)) else {
        return Place::Other;
    };
    match before {
        Token::Symbol('.') if next_is('(') && !word_before(3, &["on", "references", "into", "table"]) => Place::Other,
        Token::Symbol('.') => Place::Name,
        Token::Symbol('(' | ',') if next_is(')') || next_is(',') => Place::Name,
        Token::Word(_) if next_is('(') && word_before(1, &["from"]) => Place::Other,
        Token::Word(_) | Token::Quoted(_) => Place::AfterWord,
        _ => Place::Other,
    }
}

fn statements(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    tokens.split(|token| token.is_symbol(';'))
}
