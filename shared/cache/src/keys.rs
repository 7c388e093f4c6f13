//! Names of keys and their times to live.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

/// Time to live of a key: at least 1 ms, at most 30 days. Every written key has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    const LONGEST: u64 = 30 * 24 * 3600 * 1000;

    /// This many seconds, at most 30 days; 0 counts as 1.
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

    /// This duration, limited to between 1 ms and 30 days.
    #[must_use]
    pub fn of(length: Duration) -> Self {
        let milliseconds = u64::try_from(length.as_millis()).unwrap_or(Self::LONGEST);
        Self(milliseconds.clamp(1, Self::LONGEST))
    }

    /// The duration.
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

    /// A key that was read from Redis.
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
    fn a_colon_in_a_part_does_not_separate_parts() {
        assert_eq!(Key::new("cd", &[&"t", &"stats", &7]).as_str(), "cd:t:stats:7");
        assert_ne!(Key::new("cd", &[&"a:b", &"c"]), Key::new("cd", &[&"a", &"b:c"]));
        assert_ne!(Key::new("cd", &[&"a%3Ab"]), Key::new("cd", &[&"a:b"]));
    }

    #[test]
    fn ttl_is_limited_at_both_ends() {
        assert_eq!(Ttl::seconds(0).length(), Duration::from_secs(1));
        assert_eq!(Ttl::of(Duration::ZERO).length(), Duration::from_millis(1));
        assert_eq!(Ttl::of(Duration::MAX), Ttl::seconds(u32::MAX));
        assert_eq!(Ttl::seconds(u32::MAX).length(), Duration::from_secs(30 * 24 * 3600));
    }
}
