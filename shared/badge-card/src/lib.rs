//! Draws a member's badges as a PNG image: name, tier, rank, tenure, and every badge of the theme, dimmed where it is not earned.
//!
//! [`CardTemplate::new`] draws the badges of a theme with their captions once, from the SVG files of its folder, and computes the
//! background; [`CardTemplate::draw`] composes one member's card. Nothing is read from the machine: fonts are bundled (`fonts/`), and SVG art cannot refer to other files. Names are
//! untrusted: whatever they contain, they are one line of known width.
//!
//! The example `card` writes sample cards and prints the time of each.

mod art;
mod backdrop;
mod canvas;
mod card;
mod color;
mod fonts;
mod layout;
mod line;
mod names;
mod png;

use arrakis_domain::BadgeId;

pub use card::{Card, CardTemplate};

/// Why a card cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The art of a badge cannot be drawn.
    #[error("the art of the badge `{badge}` cannot be drawn: {reason}")]
    Art {
        /// The badge.
        badge: BadgeId,
        /// What is wrong with it.
        reason: String,
    },
    /// No memory for an image of this size.
    #[error("no memory for the image")]
    Size,
    /// The image cannot be encoded.
    #[error("encoding the image: {0}")]
    Encoding(#[from] ::png::EncodingError),
}
