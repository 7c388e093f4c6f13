//! Where Discord's content network has the images of resources:
//! <https://discord.com/developers/docs/reference#image-formatting-cdn-endpoints>.

use crate::model::Snowflake;

/// An image that a resource has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveImage {
    /// Path and query below the content network's base, as in `/emojis/41771983423143937.png`.
    pub path: String,
    /// Ending of a file with it, without the dot.
    pub extension: &'static str,
}

/// Pixels of an image that is scaled on request. Emoji and stickers are not.
const SIZE: u32 = 2_048;

impl LiveImage {
    /// An emoji's.
    #[must_use]
    pub fn of_emoji(id: Snowflake, animated: bool) -> Self {
        let extension = if animated { "gif" } else { "png" };
        Self {
            path: format!("/emojis/{id}.{extension}"),
            extension,
        }
    }

    /// A sticker's, by its format type; `None` for one that is unknown here.
    /// <https://discord.com/developers/docs/resources/sticker#sticker-object-sticker-format-types>
    #[must_use]
    pub fn of_sticker(id: Snowflake, format_type: i128) -> Option<Self> {
        let extension = match format_type {
            1 | 2 => "png",
            3 => "json",
            4 => "gif",
            _ => return None,
        };
        Some(Self {
            path: format!("/stickers/{id}.{extension}"),
            extension,
        })
    }

    /// A webhook's avatar, by its hash.
    #[must_use]
    pub fn of_avatar(webhook: Snowflake, hash: &str) -> Option<Self> {
        Self::by_hash("avatars", webhook, hash)
    }

    /// A scheduled event's, by its hash.
    #[must_use]
    pub fn of_event(event: Snowflake, hash: &str) -> Option<Self> {
        Self::by_hash("guild-events", event, hash)
    }

    /// `None` for a hash that has other signs than a path segment may have.
    fn by_hash(folder: &str, id: Snowflake, hash: &str) -> Option<Self> {
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
    fn paths_are_those_of_the_content_network() {
        let id = Snowflake::new(41).unwrap();
        assert_eq!(LiveImage::of_emoji(id, false).path, "/emojis/41.png");
        assert_eq!(LiveImage::of_emoji(id, true).path, "/emojis/41.gif");
        assert_eq!(LiveImage::of_sticker(id, 3).unwrap().path, "/stickers/41.json");
        assert_eq!(LiveImage::of_sticker(id, 9), None);
        let avatar = LiveImage::of_avatar(id, "a_0f").unwrap();
        assert_eq!(
            (avatar.path.as_str(), avatar.extension),
            ("/avatars/41/a_0f.gif?size=2048", "gif")
        );
        assert_eq!(
            LiveImage::of_event(id, "0f").unwrap().path,
            "/guild-events/41/0f.png?size=2048"
        );
        assert_eq!(LiveImage::of_event(id, "../x"), None);
    }
}
