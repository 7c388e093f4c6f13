//! Statements that are put together at run time: `EXECUTE` and what is like it.
//!
//! The text of such a statement is read where it consists of constants and names: literals, `||`, `format` with `%I` and `%L`, and variables
//! that hold the name of an object. Every other one cannot be checked.

use super::effects::ANY;
use super::lexer::Token;

/// Types whose values are one name or one number.
pub(super) const NAME_TYPES: &[&str] = &[
    "regclass",
    "regtype",
    "regproc",
    "regprocedure",
    "regrole",
    "regnamespace",
    "oid",
    "int",
    "integer",
    "bigint",
    "smallint",
];

/// Functions that run the statement in their arguments.
const RUNNING: &[&str] = &[
    "ts_stat",
    "ts_rewrite",
    "connectby",
    "xpath_table",
    "schedule_in_database",
    "alter_job",
    "replicate_ddl_command",
    "bdr_replicate_ddl_command",
    "master_run_on_worker",
    "spi_exec",
    "spi_exec_query",
    "sp_executesql",
    "xp_cmdshell",
    "exec_sql",
];

/// Beginnings of the names of such functions.
const RUNNING_PREFIXES: &[&str] = &["dblink", "query_to_xml", "crosstab", "pg_background", "run_command_on"];

/// Whether a function of this name runs the statement in its arguments.
pub(super) fn is_running(name: &str) -> bool {
    RUNNING.contains(&name) || RUNNING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Languages whose code is SQL.
const LANGUAGES: &[&str] = &["plpgsql", "sql"];

/// What a statement of code contains.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// Texts that are code: bodies of functions, statements that are put together.
    pub(super) texts: Vec<String>,
    /// Whether a part cannot be read.
    pub(super) is_unknown: bool,
}

impl Code {
    fn add(&mut self, text: Option<String>) {
        match text {
            Some(text) => self.texts.push(text),
            None => self.is_unknown = true,
        }
    }
}

/// The code in a statement. `context` has the tokens in which variables are declared; `in_body` is whether the statement is that of a function.
pub(super) fn code_of(statement: &[Token], context: &[&[Token]], in_body: bool) -> Code {
    let mut code = Code::default();
    let defines = statement.iter().enumerate().any(|(at, token)| {
        let mut kind = statement[at + 1..].iter().take(3);
        token.is_word("create") && kind.any(|kind| kind.is_word("function") || kind.is_word("procedure"))
    });
    let does = statement
        .windows(2)
        .any(|pair| pair[0].is_word("do") && (pair[1].text().is_some() || pair[1].is_word("language")));
    if defines || does {
        read_definition(statement, &mut code);
    }
    for (at, token) in statement.iter().enumerate() {
        let (before, after) = (&statement[..at], &statement[at + 1..]);
        if let Some(name) = token.name() {
            read_call(name, before, after, context, &mut code);
        }
        let Token::Word(word) = token else {
            continue;
        };
        match word.as_str() {
            "execute" | "exec" if !is_privilege(before, after) => read_execute(after, context, in_body, &mut code),
            "prepare" if after.get(1).is_some_and(|token| token.is_word("from")) => {
                code.add(value(&after[2..], context));
            }
            "program"
                if before
                    .last()
                    .is_some_and(|before| before.is_word("from") || before.is_word("to")) =>
            {
                code.is_unknown = true;
            }
            "uescape" => code.is_unknown = true,
            "sp_executesql" if !after.first().is_some_and(|token| token.is_symbol('(')) => {
                code.add(value(after, context));
            }
            _ => {}
        }
    }
    code
}

/// Reads the arguments of a function that runs them, or whose first one decides what it changes.
fn read_call(name: &str, before: &[Token], after: &[Token], context: &[&[Token]], code: &mut Code) {
    if !after.first().is_some_and(|token| token.is_symbol('(')) {
        return;
    }
    let schedules = name == "schedule" && before.last().is_some_and(|token| token.is_symbol('.'));
    if is_running(name) || schedules {
        let Some(arguments) = arguments(after) else {
            code.is_unknown = true;
            return;
        };
        let arguments = arguments.into_iter().map(without_name);
        for argument in arguments.filter(|argument| !is_constant(argument)) {
            code.add(value(argument, context));
        }
    } else if name == "set_config" {
        let setting = arguments(after).and_then(|arguments| arguments.first().copied());
        code.is_unknown |= !matches!(setting, Some([Token::Literal(_)]));
    }
}

/// An argument without its name: `command := …`, `command => …`.
fn without_name(argument: &[Token]) -> &[Token] {
    match argument {
        [name, one, other, rest @ ..]
            if name.name().is_some()
                && ((one.is_symbol(':') && other.is_symbol('=')) || (one.is_symbol('=') && other.is_symbol('>'))) =>
        {
            rest
        }
        _ => argument,
    }
}

/// Whether an argument is no text: a number, a truth value, or none.
fn is_constant(argument: &[Token]) -> bool {
    match argument {
        [] => true,
        [Token::Word(word)] => {
            ["true", "false", "null"].contains(&word.as_str()) || word.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// Whether `execute` is a privilege, or names the function of a trigger.
fn is_privilege(before: &[Token], after: &[Token]) -> bool {
    let follows = |words: &[&str]| matches!(after.first(), Some(Token::Word(word)) if words.contains(&word.as_str()));
    // `function` and `procedure` are names of variables too.
    let has_name =
        matches!(after, [_, Token::Word(_) | Token::Quoted(_), next, ..] if next.is_symbol('(') || next.is_symbol('.'));
    if follows(&["function", "procedure"]) && has_name && creates_trigger(before) {
        return true;
    }
    let grants = before
        .iter()
        .any(|token| token.is_word("grant") || token.is_word("revoke"));
    let is_listed = before
        .last()
        .is_some_and(|token| token.is_symbol(',') || ["grant", "revoke", "for"].iter().any(|word| token.is_word(word)));
    grants && is_listed && (follows(&["on"]) || after.first().is_some_and(|token| token.is_symbol(',')))
}

/// Whether the tokens begin the creation of a trigger.
fn creates_trigger(tokens: &[Token]) -> bool {
    let is_modifier = |token: &&Token| {
        ["or", "replace", "constraint", "event"]
            .iter()
            .any(|word| token.is_word(word))
    };
    tokens.iter().enumerate().any(|(at, token)| {
        let mut kind = tokens[at + 1..].iter().skip_while(is_modifier);
        token.is_word("create") && kind.next().is_some_and(|kind| kind.is_word("trigger"))
    })
}

fn read_definition(statement: &[Token], code: &mut Code) {
    for (at, token) in statement.iter().enumerate() {
        if token.is_word("language") {
            let language = match statement.get(at + 1) {
                Some(Token::Word(name) | Token::Quoted(name) | Token::Literal(name)) => name.to_ascii_lowercase(),
                _ => String::new(),
            };
            if !LANGUAGES.contains(&language.as_str()) {
                code.is_unknown = true;
            }
        }
        let is_body = at.checked_sub(1).is_some_and(|before| {
            statement[before].is_word("as")
                || statement[before].is_word("do")
                || matches!(statement[before], Token::Word(_) | Token::Quoted(_) | Token::Literal(_))
                    && before
                        .checked_sub(1)
                        .is_some_and(|language| statement[language].is_word("language"))
        });
        if let Some(text) = token.text().filter(|_| is_body) {
            code.texts.push(text.to_owned());
        }
        // `DO %L`.
        if token.text().is_some_and(|text| text.contains(ANY)) {
            code.is_unknown = true;
        }
    }
}

fn read_execute(after: &[Token], context: &[&[Token]], in_body: bool, code: &mut Code) {
    let after = match after {
        [first, rest @ ..] if first.is_word("immediate") => rest,
        // A prepared statement: its text is in the same file. In the body of a function, it is a variable.
        [Token::Word(name), rest @ ..]
            if !in_body
                && name != "format"
                && (rest.is_empty() || rest[0].is_symbol('(') || rest[0].is_symbol(',')) =>
        {
            return;
        }
        // `exec sp_executesql` is read at that word.
        [first, ..] if first.is_word("sp_executesql") => return,
        _ => after,
    };
    code.add(value(after, context));
}

/// The text that an expression has, up to the end of the expression; `None` when it is not known for sure. What is a name in it is [`ANY`].
fn value(expression: &[Token], context: &[&[Token]]) -> Option<String> {
    let mut text = String::new();
    let mut rest = expression;
    loop {
        let (part, after) = term(rest, context)?;
        text.push_str(&part);
        rest = match after {
            [one, other, after @ ..] if one.is_symbol('|') && other.is_symbol('|') => after,
            [] => return Some(text),
            [next, ..] if next.is_symbol(')') || next.is_symbol(',') => return Some(text),
            [Token::Word(word), ..] if ["into", "using", "loop", "strict"].contains(&word.as_str()) => {
                return Some(text);
            }
            _ => return None,
        };
    }
}

fn term<'a>(tokens: &'a [Token], context: &[&[Token]]) -> Option<(String, &'a [Token])> {
    match tokens {
        [first @ (Token::Literal(_) | Token::Body(_)), rest @ ..] => {
            let mut text = first.text()?.to_owned();
            let mut rest = rest;
            // MySQL joins literals beside each other.
            while let [Token::Literal(next), after @ ..] = rest {
                text.push_str(next);
                rest = after;
            }
            Some((text, rest))
        }
        [schema, dot, call @ ..]
            if schema.is_word("pg_catalog")
                && dot.is_symbol('.')
                && matches!(call, [Token::Word(_), open, ..] if open.is_symbol('(')) =>
        {
            term(call, context)
        }
        [open, inner @ ..] if open.is_symbol('(') => {
            let end = closing(tokens)?;
            Some((value(&inner[..end - 1], context)?, &tokens[end + 1..]))
        }
        [Token::Word(name), rest @ ..] if rest.first().is_some_and(|token| token.is_symbol('(')) => {
            let end = closing(rest)?;
            let after = &rest[end + 1..];
            match name.as_str() {
                "format" => Some((format(&arguments(rest)?, context)?, after)),
                "quote_ident" => Some((ANY.to_string(), after)),
                "quote_literal" | "quote_nullable" => Some((format!("'{ANY}'"), after)),
                _ => None,
            }
        }
        [Token::Word(name), rest @ ..] => Some((variable(name, context)?, rest)),
        _ => None,
    }
}

/// Index of the bracket that closes the first token.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// The arguments between the brackets with which the tokens begin.
fn arguments(tokens: &[Token]) -> Option<Vec<&[Token]>> {
    let end = closing(tokens)?;
    let inner = &tokens[1..end];
    let (mut depth, mut from, mut found) = (0_usize, 0, Vec::new());
    for (at, token) in inner.iter().enumerate() {
        if token.is_symbol('(') || token.is_symbol('[') {
            depth += 1;
        } else if token.is_symbol(')') || token.is_symbol(']') {
            depth = depth.saturating_sub(1);
        } else if token.is_symbol(',') && depth == 0 {
            found.push(&inner[from..at]);
            from = at + 1;
        }
    }
    found.push(&inner[from..]);
    Some(found)
}

/// What `format` returns. A value for `%s` must be known: it can be any part of a statement.
fn format(arguments: &[&[Token]], context: &[&[Token]]) -> Option<String> {
    let (template, values) = arguments.split_first()?;
    let template = value(template, context)?;
    let mut text = String::new();
    let mut next = 0;
    let mut rest = template.as_str();
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        // `%1$I`: the number of the argument.
        if let Some((number, after)) = rest.split_once('$')
            && let Ok(number) = number.parse::<usize>()
        {
            next = number.checked_sub(1)?;
            rest = after;
        }
        let kind = rest.chars().next()?;
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            text.push('%');
            continue;
        }
        let argument = values.get(next)?;
        next += 1;
        match kind {
            'I' => text.push_str(&identifier(value(argument, context))),
            'L' => text.push_str(&literal(value(argument, context).as_deref())),
            's' => text.push_str(&value(argument, context)?),
            // Widths.
            _ => return None,
        }
    }
    text.push_str(rest);
    Some(text)
}

/// What `%I` is replaced by. A name that needs no quotes can be a keyword.
fn identifier(name: Option<String>) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match name {
        Some(name) if name.contains(ANY) => ANY.to_string(),
        Some(name) if name.bytes().all(is_plain) => name,
        Some(name) => format!("\"{}\"", name.replace('"', "\"\"")),
        None => ANY.to_string(),
    }
}

/// What `%L` is replaced by.
fn literal(text: Option<&str>) -> String {
    match text {
        Some(text) if !text.contains([ANY, '\\']) => format!("'{}'", text.replace('\'', "''")),
        _ => format!("'{ANY}'"),
    }
}

/// The value of a variable: that of a constant, or [`ANY`] for one that holds a name. Every declaration of this name must be such a one.
fn variable(name: &str, context: &[&[Token]]) -> Option<String> {
    let mut found: Option<String> = None;
    for tokens in context {
        for (at, token) in tokens.iter().enumerate() {
            let is_name = match token {
                Token::Word(word) => word == name,
                Token::Quoted(quoted) => quoted.eq_ignore_ascii_case(name),
                _ => false,
            };
            let declared = match &tokens[at + 1..] {
                _ if !is_name => continue,
                [Token::Word(kind), rest @ ..] if NAME_TYPES.contains(&kind.as_str()) && ends_type(rest) => {
                    ANY.to_string()
                }
                [constant, kind, colon, equal, Token::Literal(text), end, ..]
                    if constant.is_word("constant")
                        && kind.is_word("text")
                        && colon.is_symbol(':')
                        && equal.is_symbol('=')
                        && end.is_symbol(';') =>
                {
                    text.clone()
                }
                // Another declaration, or a word that could begin one.
                [Token::Word(_) | Token::Quoted(_), ..] => return None,
                _ => continue,
            };
            if found.as_ref().is_some_and(|known| *known != declared) {
                return None;
            }
            found = Some(declared);
        }
    }
    found
}

/// Whether the name of a type ends here: `oid.a%type` is that of a column.
fn ends_type(rest: &[Token]) -> bool {
    match rest.first() {
        None => true,
        Some(Token::Symbol(symbol)) => [';', ',', ')', ':', '='].contains(symbol),
        Some(next) => next.is_word("default") || next.is_word("not"),
    }
}
