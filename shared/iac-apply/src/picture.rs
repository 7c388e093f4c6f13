//! Pictures beside a configuration: whoever calls gives their bytes.

use std::fmt::Debug;
use std::path::PathBuf;

use arrakis_iac::model::Image;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Gives the bytes of pictures.
pub trait Pictures: Debug + Send + Sync {
    /// The bytes of one.
    ///
    /// # Errors
    /// In words: why there are none.
    fn bytes(&self, image: &Image) -> Result<Vec<u8>, String>;
}

/// Pictures in a folder: that of the configuration.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Pictures for Folder {
    fn bytes(&self, image: &Image) -> Result<Vec<u8>, String> {
        let path = self.0.join(&image.path);
        std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}

/// As Discord takes pictures: <https://discord.com/developers/docs/reference#image-data>.
pub(crate) fn data_uri(bytes: &[u8]) -> Result<String, String> {
    let kind = media_type(bytes).ok_or("it is neither PNG, JPEG, GIF, WebP nor AVIF")?;
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f', ..] => Some("image/avif"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_first_bytes() {
        assert_eq!(data_uri(b"GIF89a").unwrap(), "data:image/gif;base64,R0lGODlh");
        assert_eq!(media_type(b"RIFF....WEBPVP8 "), Some("image/webp"));
        assert!(data_uri(b"<svg/>").is_err());
    }
}
