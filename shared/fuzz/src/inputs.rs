//! Parses corpus files that hold several parts: an HTTP message, environment variables, files.

/// An HTTP message: first line, headers, and after an empty line the body.
#[derive(Debug)]
pub struct HttpInput<'a> {
    /// First line.
    pub first: &'a str,
    /// Names and values of the lines with a colon.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> HttpInput<'a> {
    /// Parses an input; every input has a result.
    #[must_use]
    pub fn read(input: &'a [u8]) -> Self {
        let (mut rest, mut lines) = (input, Vec::new());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let header = |line: &&'a [u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((
                std::str::from_utf8(&line[..colon]).ok()?,
                line[colon + 1..].trim_ascii(),
            ))
        };
        let first = lines.first().and_then(|line| std::str::from_utf8(line).ok());
        Self {
            first: first.unwrap_or_default(),
            headers: lines.iter().skip(1).filter_map(header).collect(),
            body: rest,
        }
    }
}

/// Parses lines of `NAME=value`. Variables that end in `_FILE` are left out, because the parsers under test must not read
/// files.
pub fn variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| !name.ends_with("_FILE"))
}

/// Parses files in one input, each after a line `=== name`.
pub fn files(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split("=== ").skip(1);
    parts.filter_map(|part| part.split_once('\n'))
}
