//! Locations of images in Discord's CDN:
//! <https://discord.com/developers/docs/reference#image-formatting-cdn-endpoints>.

use crate::values::Snowflake;

/// The location of the image of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveImage {
    /// Path and query, relative to the base URL of the CDN, as in `/emojis/41771983423143937.png`.
    pub path: String,
    /// File name extension, without the dot.
    pub extension: &'static str,
}

/// Pixels of an image that is scaled on request.
const SIZE: u32 = 2_048;

impl LiveImage {
    /// The image of a resource in a folder of the CDN, by its hash. `None` if the hash is not valid in a path.
    pub(crate) fn by_hash(folder: &str, id: Snowflake, hash: &str) -> Option<Self> {
        let extension = if hash.starts_with("a_") { "gif" } else { "png" };
        let is_hash = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_hash.then(|| Self {
            path: format!("/{folder}/{id}/{hash}.{extension}?size={SIZE}"),
            extension,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_has_hash_and_size() {
        let id = Snowflake::new(41).unwrap();
        let avatar = LiveImage::by_hash("avatars", id, "a_0f").unwrap();
        assert_eq!(
            (avatar.path.as_str(), avatar.extension),
            ("/avatars/41/a_0f.gif?size=2048", "gif")
        );
        let event = LiveImage::by_hash("guild-events", id, "0f").unwrap();
        assert_eq!(event.path, "/guild-events/41/0f.png?size=2048");
        assert_eq!(LiveImage::by_hash("guild-events", id, "../x"), None);
    }
}
