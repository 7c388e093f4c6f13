//! Colours of terminals.

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub color: bool,
}

/// What is coloured how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Made.
    Green,
    /// Changed.
    Yellow,
    /// Removed, and lost.
    Red,
    /// State alone.
    Cyan,
    /// Headings.
    Bold,
    /// What matters less.
    Faint,
}

impl Style {
    /// The text in a colour, or as it is.
    #[must_use]
    pub fn paint(self, color: Color, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match color {
            Color::Green => "32",
            Color::Yellow => "33",
            Color::Red => "31",
            Color::Cyan => "36",
            Color::Bold => "1",
            Color::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
