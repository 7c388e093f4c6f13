//! Emoji and stickers.

use serde::{Deserialize, Serialize};

use super::Reference;

/// A picture beside the configuration. Discord gives no picture back to compare, so the digest in state is what is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Path of the file, relative to the configuration.
    pub path: String,
    /// SHA-256 of the file in hexadecimal, once somebody has read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

attributes! {
    /// An emoji of the server's own. Its picture cannot be changed: another one is a replacement.
    pub struct Emoji {
        /// Name, 2 to 32 letters, digits and underscores.
        name: String,
        /// PNG, JPEG, GIF, WebP or AVIF, at most 256 KiB.
        image: Image,
        /// Roles that may use it; nobody named is everybody.
        roles: Vec<Reference>,
    }
}

attributes! {
    /// A sticker of the server's own. Its picture cannot be changed: another one is a replacement.
    pub struct Sticker {
        /// Name, 2 to 30 characters.
        name: String,
        /// What it shows, for those who cannot see it; empty, or 2 to 100 characters.
        description: String,
        /// The name of the Unicode emoji it goes with.
        tags: String,
        /// PNG, APNG, GIF or Lottie, at most 512 KiB.
        image: Image,
    }
}
