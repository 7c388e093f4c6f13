//! Colours as Discord stores them: 24 bits of red, green, blue.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A colour, written `#RRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color(u32);

/// A text that is not a colour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a colour; write `#` and six hexadecimal digits, like `#FFD700`")]
pub struct ColorError(String);

impl Color {
    /// The colour `0xRRGGBB`; bits above 24 are ignored.
    #[must_use]
    pub const fn from_rgb(rgb: u32) -> Self {
        Self(rgb & 0xff_ff_ff)
    }

    /// The number that Discord's API uses: `0xRRGGBB`.
    #[must_use]
    pub const fn rgb(self) -> u32 {
        self.0
    }
}

impl FromStr for Color {
    type Err = ColorError;

    fn from_str(text: &str) -> Result<Self, ColorError> {
        let digits = text.strip_prefix('#').unwrap_or_default();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ColorError(text.to_owned()));
        }
        u32::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|_| ColorError(text.to_owned()))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06X}", self.0)
    }
}

impl Serialize for Color {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_parses_and_prints_as_hex() {
        let gold: Color = "#ffd700".parse().unwrap();
        assert_eq!(gold.rgb(), 0xff_d7_00);
        assert_eq!(gold.to_string(), "#FFD700");
        for text in ["", "#", "FFD700", "#FFD70", "#FFD7000", "#GGGGGG", "#+FD700", "gold"] {
            assert!(text.parse::<Color>().is_err(), "{text}");
        }
    }
}
