//! Literals that are data, whatever they contain: comments of objects, values that are inserted, messages.
//!
//! Only literals that are no argument of a function are data: a function could run them.

use std::borrow::Cow;

use super::lexer::Token;

/// Words between `raise` and its message.
const LEVELS: &[&str] = &["debug", "log", "info", "notice", "warning", "exception"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    Insert,
    Update,
    Other,
}

/// The statement with an empty text in the place of each literal that is data.
pub(super) fn without_data(statement: &[Token]) -> Cow<'_, [Token]> {
    let kind = kind(statement);
    let mut without = Cow::Borrowed(statement);
    // For each open bracket, whether it encloses values and no arguments.
    let mut open = Vec::new();
    for (at, token) in statement.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &statement[before]);
        match token {
            Token::Symbol('(') => {
                let encloses_values = before
                    .is_some_and(|before| before.is_word("values") || before.is_symbol(',') || before.is_symbol('('));
                open.push(encloses_values);
            }
            Token::Symbol(')') => {
                open.pop();
            }
            Token::Literal(_) | Token::Body(_) => {
                let is_data = match kind {
                    Kind::Comment => true,
                    Kind::Insert => !open.is_empty() && open.iter().all(|encloses_values| *encloses_values),
                    Kind::Update => open.is_empty() && before.is_some_and(|before| before.is_symbol('=')),
                    Kind::Other => is_message(&statement[..at]),
                };
                if is_data {
                    without.to_mut()[at] = Token::Literal(String::new());
                }
            }
            _ => {}
        }
    }
    without
}

fn kind(statement: &[Token]) -> Kind {
    let has = |at: usize, word: &str| statement.get(at).is_some_and(|token| token.is_word(word));
    // pg_cron runs what its table contains.
    let runs = statement.iter().any(|token| token.name() == Some("cron"));
    if has(0, "comment") && has(1, "on") {
        Kind::Comment
    } else if has(0, "insert") && has(1, "into") && !runs {
        Kind::Insert
    } else if has(0, "update") && !runs {
        Kind::Update
    } else {
        Kind::Other
    }
}

/// Whether a message of `raise` follows.
fn is_message(before: &[Token]) -> bool {
    match before {
        [.., raise, Token::Word(level)] if LEVELS.contains(&level.as_str()) => raise.is_word("raise"),
        [.., raise] => raise.is_word("raise"),
        [] => false,
    }
}
