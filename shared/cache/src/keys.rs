//! Names of keys, and how long a key may live.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

/// How long a key lives: at least a millisecond, at most thirty days. Every write takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    const LONGEST: u64 = 30 * 24 * 3600 * 1000;

    /// Of so many seconds; 0 counts as 1.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        let milliseconds = seconds as u64 * 1000;
        if milliseconds == 0 {
            Self(1000)
        } else if milliseconds > Self::LONGEST {
            Self(Self::LONGEST)
        } else {
            Self(milliseconds)
        }
    }

    /// Of this length, held between a millisecond and thirty days.
    #[must_use]
    pub fn of(length: Duration) -> Self {
        let milliseconds = u64::try_from(length.as_millis()).unwrap_or(Self::LONGEST);
        Self(milliseconds.clamp(1, Self::LONGEST))
    }

    /// Its length.
    #[must_use]
    pub const fn length(self) -> Duration {
        Duration::from_millis(self.0)
    }

    pub(crate) const fn milliseconds(self) -> u64 {
        self.0
    }
}

/// A key: parts between colons. A colon within a part is escaped, so that no two lists of parts make one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(kind: &str, parts: &[&dyn Display]) -> Self {
        let mut key = kind.to_owned();
        for part in parts {
            key.push(':');
            // Writing to a string does not fail.
            let _ = write!(Escaped(&mut key), "{part}");
        }
        Self(key)
    }

    /// A key as Redis gave it back.
    pub(crate) fn stored(key: String) -> Self {
        Self(key)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                ':' => self.0.push_str("%3A"),
                '%' => self.0.push_str("%25"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_reach_into_each_other() {
        assert_eq!(Key::new("cd", &[&"t", &"stats", &7]).as_str(), "cd:t:stats:7");
        assert_ne!(Key::new("cd", &[&"a:b", &"c"]), Key::new("cd", &[&"a", &"b:c"]));
        assert_ne!(Key::new("cd", &[&"a%3Ab"]), Key::new("cd", &[&"a:b"]));
    }

    #[test]
    fn no_key_lives_for_ever_or_not_at_all() {
        assert_eq!(Ttl::seconds(0).length(), Duration::from_secs(1));
        assert_eq!(Ttl::of(Duration::ZERO).length(), Duration::from_millis(1));
        assert_eq!(Ttl::of(Duration::MAX), Ttl::seconds(u32::MAX));
        assert_eq!(Ttl::seconds(u32::MAX).length(), Duration::from_secs(30 * 24 * 3600));
    }
}
