//! Images of resources: files of a configuration, and the formats that Discord accepts.

use serde::{Deserialize, Serialize};

/// An image file. Discord does not return the uploaded file, so comparisons use the digest in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Path of the file, relative to the folder of the configuration.
    pub path: String,
    /// SHA-256 of the file in hexadecimal; `None` until the file was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Image {
    /// Whether two files are the same image: by digest where both are known, else by path. The digest of a file that cannot be
    /// read is unknown.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.sha256, &other.sha256) {
            (Some(one), Some(other)) => one == other,
            _ => self.path == other.path,
        }
    }

    /// Whether two images differ.
    pub(crate) fn differs(one: Option<&Self>, other: Option<&Self>) -> bool {
        one.zip(other).is_some_and(|(one, other)| !one.is_same(other))
    }

    /// Whether the path names a JSON file: a Lottie animation.
    pub(crate) fn is_json(&self) -> bool {
        self.path.to_ascii_lowercase().ends_with(".json")
    }

    /// Whether the path names a GIF, which may be animated.
    pub(crate) fn is_gif(&self) -> bool {
        self.path.to_ascii_lowercase().ends_with(".gif")
    }
}

/// A format of image files, recognised by the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// PNG, animated (APNG) or not.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// WebP.
    WebP,
    /// AVIF.
    Avif,
    /// Lottie: a JSON object.
    Lottie,
}

/// The image attribute of a kind, and the images that Discord accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageAttribute {
    /// Name of the attribute.
    pub field: &'static str,
    /// Formats that Discord accepts.
    pub formats: &'static [ImageFormat],
    /// The formats as messages list them.
    pub formats_text: &'static str,
    /// Size limit of the file, in bytes.
    pub max_bytes: usize,
    /// Whether Discord refuses a creation without an image.
    pub is_required: bool,
    /// Whether Discord can change the image; if not, another image replaces the resource.
    pub is_replaceable: bool,
}
