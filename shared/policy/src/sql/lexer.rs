//! Tokens of SQL, as one dialect reads them.
//!
//! Where a literal or a comment ends depends on the dialect, and a text that one server reads as a comment is code for another. So a caller
//! reads a text as several dialects. PostgreSQL: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>.

/// A token. Comments produce none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, a name or a number, in lower case.
    Word(String),
    /// A name in quotes, without them.
    Quoted(String),
    /// The content of a literal, its escapes decoded.
    Literal(String),
    /// The content of a dollar quote.
    Body(String),
    /// Another character.
    Symbol(char),
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    pub(super) fn is_symbol(&self, symbol: char) -> bool {
        matches!(self, Self::Symbol(found) if *found == symbol)
    }

    /// A word or a name in quotes.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }

    /// The text of a literal or a dollar quote.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Literal(text) | Self::Body(text) => Some(text),
            _ => None,
        }
    }
}

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Whether quotes delimit literals. Without them, only comments are removed.
    quotes: bool,
    /// Whether a backslash is an escape in every literal.
    backslash: bool,
    /// Whether block comments contain block comments.
    nested_comments: bool,
    /// Whether `/*!` begins code, `#` a comment, and a backtick a name in quotes. For PostgreSQL, the last two are operators.
    mysql: bool,
}

impl Dialect {
    pub(super) const POSTGRES: Self = Self {
        quotes: true,
        backslash: false,
        nested_comments: true,
        mysql: false,
    };
    /// PostgreSQL with `standard_conforming_strings` off.
    pub(super) const BACKSLASH: Self = Self {
        backslash: true,
        ..Self::POSTGRES
    };
    pub(super) const MYSQL: Self = Self {
        quotes: true,
        backslash: true,
        nested_comments: false,
        mysql: true,
    };
    /// Standard SQL, as Oracle and SQL Server read it: comments do not nest.
    pub(super) const STANDARD: Self = Self {
        nested_comments: false,
        ..Self::POSTGRES
    };
    /// For a text of another language, such as a script, whose quotes do not delimit literals of SQL: comments are removed wherever they are.
    pub(super) const WITHOUT_QUOTES: Self = Self {
        quotes: false,
        nested_comments: false,
        ..Self::POSTGRES
    };
}

/// The tokens, and whether every literal and comment has an end. After one without an end, the rest is read as words.
pub(super) fn tokens(sql: &str, dialect: Dialect) -> (Vec<Token>, bool) {
    let mut lexer = Lexer {
        rest: sql,
        dialect,
        tokens: Vec::new(),
    };
    let ended = lexer.run();
    (lexer.tokens, ended)
}

struct Lexer<'a> {
    rest: &'a str,
    dialect: Dialect,
    tokens: Vec<Token>,
}

/// The kind of a literal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    /// `E'…'`.
    Backslash,
    /// `U&'…'`.
    Unicode,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) -> bool {
        while let Some(first) = self.rest.chars().next() {
            if self.read(first).is_none() {
                self.rest_as_words();
                return false;
            }
        }
        true
    }

    /// Reads one token or comment; `None` if it has no end.
    fn read(&mut self, first: char) -> Option<()> {
        if self.rest.starts_with("--") || (first == '#' && self.dialect.mysql) {
            self.skip(line_comment(self.rest));
        } else if self.rest.starts_with("/*") {
            self.block_comment()?;
        } else if self.dialect.mysql && self.rest.starts_with("*/") {
            // The end of `/*!`.
            self.skip(2);
        } else if self.dialect.quotes && first == '\'' {
            let escapes = if self.dialect.backslash {
                Escapes::Backslash
            } else {
                Escapes::None
            };
            let text = self.literal(escapes)?;
            self.tokens.push(Token::Literal(text));
        } else if self.dialect.quotes && (first == '"' || (first == '`' && self.dialect.mysql)) {
            let length = quoted(self.rest, first)?;
            let name = self.rest[1..length - 1].replace(&format!("{first}{first}"), &first.to_string());
            self.skip(length);
            self.tokens.push(Token::Quoted(name));
        } else if let Some(tag) = dollar_tag(self.rest).filter(|_| self.dialect.quotes) {
            let body = &self.rest[tag.len()..];
            let end = body.find(tag)?;
            self.tokens.push(Token::Body(body[..end].to_owned()));
            self.skip(tag.len() * 2 + end);
        } else if is_word(first) {
            self.word()?;
        } else {
            if !first.is_ascii_whitespace() && first != '\u{b}' {
                self.tokens.push(Token::Symbol(first));
            }
            self.skip(first.len_utf8());
        }
        Some(())
    }

    fn skip(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    fn block_comment(&mut self) -> Option<()> {
        if self.dialect.mysql && self.rest.starts_with("/*!") {
            let version = self.rest[3..].bytes().take_while(u8::is_ascii_digit).count();
            self.skip(3 + version);
            return Some(());
        }
        let length = if self.dialect.nested_comments {
            nested_comment(self.rest)?
        } else {
            self.rest[2..].find("*/")? + 4
        };
        self.skip(length);
        Some(())
    }

    /// A word, or a literal whose prefix it is.
    fn word(&mut self) -> Option<()> {
        // After a number, `$` begins a dollar quote; in a name it is a character.
        let number = self.rest.starts_with(|first: char| first.is_ascii_digit());
        let end = self
            .rest
            .find(|character: char| !(is_word(character) || (character == '$' && !number)));
        let word = &self.rest[..end.unwrap_or(self.rest.len())];
        let after = &self.rest[word.len()..];
        if self.dialect.quotes && word.eq_ignore_ascii_case("u") && after.starts_with("&'") {
            self.skip(2);
            let text = self.literal(Escapes::Unicode)?;
            self.tokens.push(Token::Literal(text));
        } else if self.dialect.quotes && word.eq_ignore_ascii_case("u") && after.starts_with("&\"") {
            self.skip(2);
            let length = quoted(self.rest, '"')?;
            let name = unicode_escapes(&self.rest[1..length - 1]);
            self.skip(length);
            self.tokens.push(Token::Quoted(name));
        } else if self.dialect.quotes && after.starts_with('\'') && matches!(word, "e" | "E") {
            self.skip(1);
            let text = self.literal(Escapes::Backslash)?;
            self.tokens.push(Token::Literal(text));
        } else {
            self.tokens.push(Token::Word(word.to_ascii_lowercase()));
            self.skip(word.len());
        }
        Some(())
    }

    /// A literal with its continuations: a literal goes on after a line break.
    fn literal(&mut self, escapes: Escapes) -> Option<String> {
        let mut text = String::new();
        loop {
            let length = literal_length(self.rest, escapes == Escapes::Backslash)?;
            let content = self.rest[1..length - 1].replace("''", "'");
            text.push_str(&match escapes {
                Escapes::None => content,
                Escapes::Backslash => backslash_escapes(&content),
                Escapes::Unicode => unicode_escapes(&content),
            });
            self.skip(length);
            match continuation(self.rest) {
                Some(gap) => self.skip(gap),
                None => return Some(text),
            }
        }
    }

    fn rest_as_words(&mut self) {
        let words = self.rest.split(|character: char| !is_word(character));
        let words = words.filter(|word| !word.is_empty());
        self.tokens
            .extend(words.map(|word| Token::Word(word.to_ascii_lowercase())));
        self.rest = "";
    }
}

/// A letter, a digit, an underscore, or any character beyond ASCII, as PostgreSQL reads names.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii()
}

/// Length of a comment to the end of the line. PostgreSQL ends it at a carriage return too.
fn line_comment(text: &str) -> usize {
    text.find(['\n', '\r']).unwrap_or(text.len())
}

fn nested_comment(text: &str) -> Option<usize> {
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

/// Length of a literal with its quotes. Two quotes in it are one character of it.
fn literal_length(text: &str, backslash: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if backslash && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] == b'\'' {
            if bytes.get(at + 1) == Some(&b'\'') {
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

/// Length of a name in quotes, with them.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find(quote)? + 1;
        if !text[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// The tag of a dollar quote that begins here: `$$` or `$name$`.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text.strip_prefix('$')?.find('$')? + 1;
    let name = &text[1..end];
    let valid = !name.starts_with(|first: char| first.is_ascii_digit()) && name.chars().all(is_word);
    valid.then(|| &text[..=end])
}

/// Length of what separates a literal from its continuation: white space and comments with a line break.
fn continuation(text: &str) -> Option<usize> {
    let mut has_line_break = false;
    let mut rest = text;
    loop {
        match rest.chars().next()? {
            '\'' => return has_line_break.then_some(text.len() - rest.len()),
            '-' if rest.starts_with("--") => rest = &rest[line_comment(rest)..],
            '\n' | '\r' => {
                has_line_break = true;
                rest = &rest[1..];
            }
            ' ' | '\t' | '\u{b}' | '\u{c}' => rest = &rest[1..],
            _ => return None,
        }
    }
}

/// Decodes the escapes of `E'…'`, which are also those of JSON and of most programming languages.
pub(super) fn backslash_escapes(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else {
            return decoded;
        };
        let (character, length) = match escape {
            'b' => (Some('\u{8}'), 1),
            'f' => (Some('\u{c}'), 1),
            'n' => (Some('\n'), 1),
            'r' => (Some('\r'), 1),
            't' => (Some('\t'), 1),
            'x' => numbered(&rest[1..], 16, 2, 1),
            'u' => numbered(&rest[1..], 16, 4, 1),
            'U' => numbered(&rest[1..], 16, 8, 1),
            '0'..='7' => numbered(rest, 8, 3, 0),
            other => (Some(other), other.len_utf8()),
        };
        decoded.extend(character.or(Some(escape)));
        rest = &rest[length..];
    }
    decoded.push_str(rest);
    decoded
}

/// The character of at most `most` digits, and the length of the escape. Without a digit, the escape is its letter alone.
fn numbered(text: &str, radix: u32, most: usize, prefix: usize) -> (Option<char>, usize) {
    let digits = text
        .chars()
        .take(most)
        .take_while(|digit| digit.is_digit(radix))
        .count();
    let character = u32::from_str_radix(&text[..digits], radix)
        .ok()
        .and_then(char::from_u32);
    (character, (prefix + digits).max(1))
}

/// Decodes `\XXXX` and `\+XXXXXX`.
fn unicode_escapes(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (digits, skipped) = match rest.strip_prefix('+') {
            Some(digits) => (digits.get(..6), 7),
            None => (rest.get(..4), 4),
        };
        let character = digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        match character {
            Some(character) => {
                decoded.push(character);
                rest = &rest[skipped..];
            }
            None => decoded.push('\\'),
        }
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sql: &str, dialect: Dialect) -> Vec<String> {
        let (tokens, _) = tokens(sql, dialect);
        let words = tokens.into_iter().filter_map(|token| match token {
            Token::Word(word) => Some(word),
            _ => None,
        });
        words.collect()
    }

    #[test]
    fn comments_end_where_the_dialect_ends_them() {
        assert_eq!(words("-- a\rb", Dialect::POSTGRES), ["b"]);
        assert_eq!(words("/* a /* b */ c /* d */ */ e", Dialect::POSTGRES), ["e"]);
        assert_eq!(words("/* a /* b */ c /* d */ e", Dialect::STANDARD), ["c", "e"]);
        assert_eq!(words("/*!40000 a */ b # c\nd", Dialect::MYSQL), ["a", "b", "d"]);
        assert!(!tokens("/* a", Dialect::POSTGRES).1);
    }

    #[test]
    fn literals_end_where_the_dialect_ends_them() {
        assert_eq!(words(r"'\' a '", Dialect::POSTGRES), ["a"]);
        assert_eq!(words(r"'\' a '", Dialect::BACKSLASH), Vec::<String>::new());
        assert_eq!(words("e'x'\n'\\' -- '; b", Dialect::POSTGRES), ["b"]);
        assert_eq!(words("e'x' -- y\n\n'\\' -- '; b", Dialect::POSTGRES), ["b"]);
        assert_eq!(words("$¤$ -- $¤$ a", Dialect::POSTGRES), ["a"]);
        assert_eq!(words("a$$ b 1$$ c $$ d", Dialect::POSTGRES), ["a$$", "b", "1", "d"]);
        assert_eq!(words("a ` 'b ` c' d `", Dialect::POSTGRES), ["a", "d"]);
        assert_eq!(words("a ` 'b ` c", Dialect::MYSQL), ["a", "c"]);
        for unended in ["'a", "$$ a", "\"a", "$a$ $b$", "e'\\'"] {
            assert!(!tokens(unended, Dialect::POSTGRES).1, "{unended}");
        }
    }

    #[test]
    fn escapes_are_decoded() {
        for (sql, text) in [
            (r"e'a\nb\x41\101\u0042\'\z\\'", "a\nbAAB'z\\"),
            (r"u&'a\0020b\+000041\\'", "a bA\\\\"),
            ("'a''b'", "a'b"),
        ] {
            assert_eq!(
                tokens(sql, Dialect::POSTGRES).0,
                [Token::Literal(text.to_owned())],
                "{sql}"
            );
        }
        assert_eq!(
            tokens("u&\"a\\0062\"", Dialect::POSTGRES).0,
            [Token::Quoted("ab".to_owned())]
        );
    }
}
