//! Mutations of an input: a few random steps, some of them specific to text, JSON and numbers.

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

/// Maximum number of steps of a mutation.
const MAX_STEPS: usize = 6;
/// Numbers at limits of number types.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e999",
    "-1e999",
    "1e-999",
    "0.1",
    "NaN",
    "inf",
    "1e19",
    "1.5e300",
    "99999999999999999999999999999999999999999",
];
/// Texts with escapes, half surrogates, other scripts, and syntax of formats.
const TEXTS: &[&str] = &[
    "",
    "\\ud800",
    "\\u0000",
    "\\\"",
    "沙",
    "é",
    "\u{202e}",
    "\u{feff}",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    ":",
    ",",
    ".",
    "..",
    "/",
    "%2f",
    "%",
    "\r\n",
    "\n",
    "\t",
    " ",
    "\0",
    "*",
    "&a",
    "*a",
    "!!",
    "${",
    "}",
    "$${",
    "--- ",
    "|",
    ">",
    "- ",
    "? ",
    "Sat, 21 Nov 2026 10:38:24 GMT",
];
const NESTS: &[(&str, &str)] = &[("[", "]"), ("{\"a\":", "}"), ("{\"d\":", "}"), ("(", ")"), ("- ", "")];

/// Mutates inputs.
#[derive(Debug)]
pub(crate) struct Mutator {
    tokens: Vec<String>,
    pub(crate) max_length: usize,
}

impl Default for Mutator {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            max_length: 32 << 10,
        }
    }
}

impl Mutator {
    pub(crate) fn add_tokens(&mut self, tokens: &[&str]) {
        self.tokens.extend(tokens.iter().map(|token| (*token).to_owned()));
    }

    /// Mutates `one` by a few steps, some of which insert pieces of `other`.
    pub(crate) fn mutate(&self, one: &[u8], other: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
        let mut input = one.to_vec();
        for _ in 0..random.random_range(1..=MAX_STEPS) {
            self.step(&mut input, other, random);
            input.truncate(self.max_length);
        }
        input
    }

    fn step(&self, input: &mut Vec<u8>, other: &[u8], random: &mut ChaCha8Rng) {
        match random.random_range(0..14) {
            0 => {
                if let Some(at) = position(input, random) {
                    input[at] ^= 1 << random.random_range(0..8);
                }
            }
            1 => {
                if let Some(at) = position(input, random) {
                    input[at] = random.random();
                }
            }
            2 => insert(input, &[random.random::<u8>()], random),
            3 => {
                let (from, to) = range(input, random);
                input.drain(from..to);
            }
            4 => {
                let at = random.random_range(0..=input.len());
                input.truncate(at);
            }
            5 => self.repeat(input, random),
            6 => {
                let (from, to) = range(other, random);
                insert(input, &other[from..to], random);
            }
            7 => {
                let at = random.random_range(0..=input.len());
                let from = random.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            8 => replace_number(input, random),
            9 => replace_text(input, self.piece(random).as_bytes(), random),
            10 => insert(input, self.piece(random).as_bytes(), random),
            11 => self.nest(input, random),
            12 => insert_member(input, other, random),
            _ => {
                // A long repetition, to exceed limits on names and values.
                let piece = self.piece(random).to_owned();
                let piece = if piece.is_empty() { "a".to_owned() } else { piece };
                let times = (1_usize << random.random_range(0..13)).min(self.max_length / piece.len());
                replace_text(input, piece.repeat(times).as_bytes(), random);
            }
        }
    }

    fn piece(&self, random: &mut ChaCha8Rng) -> &str {
        let pick = |list: &'static [&'static str], random: &mut ChaCha8Rng| list[random.random_range(0..list.len())];
        if !self.tokens.is_empty() && random.random_bool(0.5) {
            return &self.tokens[random.random_range(0..self.tokens.len())];
        }
        if random.random_bool(0.5) {
            pick(NUMBERS, random)
        } else {
            pick(TEXTS, random)
        }
    }

    /// Repeats a piece of the input many times: repeated keys, long lists.
    fn repeat(&self, input: &mut Vec<u8>, random: &mut ChaCha8Rng) {
        let (from, to) = range(input, random);
        let piece = input[from..to].to_vec();
        if piece.is_empty() {
            return;
        }
        let most = (self.max_length.saturating_sub(input.len()) / piece.len()).max(1);
        let times = (1_usize << random.random_range(0..12)).min(most);
        input.splice(to..to, piece.repeat(times));
    }

    /// Inserts deep nesting at a random position.
    fn nest(&self, input: &mut Vec<u8>, random: &mut ChaCha8Rng) {
        let (open, close) = NESTS[random.random_range(0..NESTS.len())];
        let most = self.max_length / (open.len() + close.len());
        let deep = (1_usize << random.random_range(0..14)).min(most);
        let at = random.random_range(0..=input.len());
        let inside = if random.random_bool(0.8) {
            close.repeat(deep)
        } else {
            String::new()
        };
        input.splice(at..at, (open.repeat(deep) + &inside).into_bytes());
    }
}

fn position(input: &[u8], random: &mut ChaCha8Rng) -> Option<usize> {
    (!input.is_empty()).then(|| random.random_range(0..input.len()))
}

fn range(input: &[u8], random: &mut ChaCha8Rng) -> (usize, usize) {
    let from = random.random_range(0..=input.len());
    let most = 1 << random.random_range(0..10);
    (from, (from + random.random_range(0..=most)).min(input.len()))
}

fn insert(input: &mut Vec<u8>, piece: &[u8], random: &mut ChaCha8Rng) {
    let at = random.random_range(0..=input.len());
    input.splice(at..at, piece.iter().copied());
}

/// A run of bytes for which `belongs` is true, at a random position or the next one behind it.
fn run_of(input: &[u8], belongs: impl Fn(u8) -> bool, random: &mut ChaCha8Rng) -> Option<(usize, usize)> {
    let start = position(input, random)?;
    let at = (start..input.len()).find(|at| belongs(input[*at]))?;
    let from = (0..at)
        .rev()
        .take_while(|before| belongs(input[*before]))
        .last()
        .unwrap_or(at);
    let to = (at..input.len())
        .find(|after| !belongs(input[*after]))
        .unwrap_or(input.len());
    Some((from, to))
}

fn replace_number(input: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    if let Some((from, to)) = run_of(input, |byte| byte.is_ascii_digit(), random) {
        let number = NUMBERS[random.random_range(0..NUMBERS.len())];
        input.splice(from..to, number.bytes());
    }
}

/// Replaces a word, or a text between quotes.
fn replace_text(input: &mut Vec<u8>, piece: &[u8], random: &mut ChaCha8Rng) {
    let found = if random.random_bool(0.5) {
        run_of(input, |byte| byte.is_ascii_alphanumeric() || byte == b'_', random)
    } else {
        run_of(input, |byte| !b"\"\r\n=".contains(&byte), random)
    };
    match found {
        Some((from, to)) => drop(input.splice(from..to, piece.iter().copied())),
        None => input.extend_from_slice(piece),
    }
}

/// Inserts a member of another JSON object: `"key":…` up to the next comma or bracket.
fn insert_member(input: &mut Vec<u8>, other: &[u8], random: &mut ChaCha8Rng) {
    let Some(start) = position(other, random) else { return };
    let Some(from) = (start..other.len()).find(|at| other[*at] == b'"') else {
        return;
    };
    let to = (from + 1..other.len())
        .find(|at| b",}]".contains(&other[*at]))
        .unwrap_or(other.len());
    let member = [&other[from..to], b","].concat();
    let starts: Vec<_> = (0..input.len()).filter(|at| b"{[,".contains(&input[*at])).collect();
    if let Some(at) = position(&starts.iter().map(|_| 0).collect::<Vec<u8>>(), random) {
        let at = starts[at] + 1;
        input.splice(at..at, member);
    }
}
