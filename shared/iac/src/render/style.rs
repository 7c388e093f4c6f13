//! Colours of terminal output.

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
}

/// The meaning of a coloured text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// A creation.
    Green,
    /// A change.
    Yellow,
    /// A deletion.
    Red,
    /// A change of the state only.
    Cyan,
    /// A heading.
    Bold,
    /// Less important text.
    Faint,
}

impl Style {
    /// The text in a colour, if colours are enabled.
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
