//! Random values from a seed, edge cases among them.

use serde_json::{Value, json};

/// The generator `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `most`.
    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    /// Once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// One of an enumeration's numbers, or, now and then, an unknown one.
    pub(super) fn number(&mut self, known: &[i64]) -> Value {
        match self.below(12) {
            0 => json!(i64::try_from(self.below(1_000)).unwrap() + 20),
            1 => json!(-1),
            _ => json!(self.one_of(known)),
        }
    }

    /// A quantity: usual, at an end, beyond it.
    pub(super) fn quantity(&mut self, most: u64) -> Value {
        match self.below(8) {
            0 => json!(0),
            1 => json!(most),
            2 => json!(most + 1 + self.below(100_000)),
            3 => json!(u32::MAX),
            _ => json!(self.below(most + 1)),
        }
    }

    /// Permission bits: of 64, of more, and, rarely, of more than this version handles.
    pub(super) fn bits(&mut self) -> Value {
        match self.below(40) {
            // 2^65 and 2^127 + 2^64, which are handled, and 2^256.
            0 => json!("36893488147419103232"),
            1 => json!("170141183460469231750134047789593657344"),
            2 => json!("115792089237316195423570985008687907853269984665640564039457584007913129639936"),
            3..=9 => json!(self.next().to_string()),
            _ => json!((1_u64 << self.below(64)).to_string()),
        }
    }

    /// The name of a person's choosing, of a length from nothing to far beyond the limit.
    pub(super) fn name(&mut self, most: u64) -> String {
        const SIGNS: &[&str] = &[
            "general",
            "Staff",
            " ",
            "-",
            "--",
            "🏛️",
            "日本",
            "ß",
            "İ",
            "clyde",
            "discord",
            "everyone",
            "bot",
            "none",
            "null",
            "true",
            "12",
            "1e9",
            ": ",
            " #",
            "${",
            "$${x}",
            "\n",
            "\r\n",
            "\t",
            "\"",
            "'",
            "\\",
            "{",
            "]",
            "\u{0}",
            "\u{7}",
            "\u{85}",
            "\u{200d}",
            "\u{202e}",
            "\u{2028}",
            "\u{feff}",
            "\u{e000}",
            "\u{10ffff}",
        ];
        match self.below(16) {
            0 => String::new(),
            1 => " ".to_owned(),
            2 => "x".repeat(usize::try_from(most).unwrap() + 1),
            3 => "🔥".repeat(usize::try_from(most).unwrap() * 2),
            _ => {
                let count = 1 + self.below(4);
                (0..count).map(|_| *self.one_of(SIGNS)).collect()
            }
        }
    }

    /// Puts a field in; now and then leaves it out or sets it to `null`, as Discord may with an optional field.
    pub(super) fn optional(&mut self, object: &mut Value, field: &str, value: Value) {
        match self.below(10) {
            0 => {}
            1 => object[field] = Value::Null,
            _ => object[field] = value,
        }
    }

    /// `emoji_id` and `emoji_name`: one of the server's own, one that is gone, Unicode, none, or what is neither.
    pub(super) fn emoji(&mut self, own: &[u64]) -> (Value, Value) {
        match self.below(6) {
            0 => (Value::Null, Value::Null),
            1 => (json!("555"), json!("gone")),
            2 if !own.is_empty() => (json!(self.one_of(own).to_string()), Value::Null),
            3 => (Value::Null, json!(self.one_of(&["", "plain", "1"]))),
            _ => (Value::Null, json!(self.one_of(&["🔥", "1️⃣", "👩‍🚀"]))),
        }
    }
}
