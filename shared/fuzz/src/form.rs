//! Inputs that are more than one piece, written as a person would write them in a file of the corpus.

/// A message of HTTP: first line, headers, and after an empty line the body.
#[derive(Debug)]
pub struct HttpText<'a> {
    /// First line.
    pub first: &'a str,
    /// Names and values, as far as there is a colon.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The rest.
    pub body: &'a [u8],
}

impl<'a> HttpText<'a> {
    /// Takes an input apart. Whatever it is, something comes of it.
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

/// `NAME=value`, a line each, as in a file of environment variables. Variables that name a file are left out: which files
/// there are is not the reader's matter.
pub fn variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| !name.ends_with("_FILE"))
}

/// Files in one input, each after a line `=== name`.
pub fn files(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split("=== ").skip(1);
    parts.filter_map(|part| part.split_once('\n'))
}
