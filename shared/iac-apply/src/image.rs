//! Image files of a configuration. The caller provides their bytes.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use arrakis_iac::model::{Image, ImageFormat, Kind};
use arrakis_iac::plan::{self, Finding, Plan};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A source of image files.
pub trait ImageSource: Debug + Send + Sync {
    /// The content of an image file.
    ///
    /// # Errors
    /// The reason why the file cannot be read.
    fn bytes(&self, image: &Image) -> Result<Vec<u8>, String>;
}

/// A source that reads image files relative to this folder, that of the configuration.
#[derive(Clone, Debug)]
pub struct ImageFolder(pub PathBuf);

impl ImageSource for ImageFolder {
    fn bytes(&self, image: &Image) -> Result<Vec<u8>, String> {
        let path = self.0.join(&image.path);
        read_image_file(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}

/// Largest image file that is read; Discord accepts less of every kind.
const MAX_FILE: u64 = 16 << 20;

/// Reads an image file.
///
/// # Errors
/// When it cannot be read, is no regular file (opening a FIFO waits without limit, and a device has no end), or has more than 16 MiB.
pub fn read_image_file(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it has more than 16 MiB, and Discord accepts no such image",
        ));
    }
    Ok(bytes)
}

/// The bytes as a data URI: <https://discord.com/developers/docs/reference#image-data>.
pub(crate) fn data_uri(bytes: &[u8]) -> Result<String, String> {
    let format = format(bytes).filter(|format| *format != ImageFormat::Lottie);
    let format = format.ok_or("it is neither PNG, JPEG, GIF, WebP nor AVIF")?;
    Ok(format!("data:{};base64,{}", media_type(format), STANDARD.encode(bytes)))
}

/// Checks whether Discord accepts these bytes as the image of a resource of this kind.
///
/// # Errors
/// The reason why Discord would refuse it.
pub fn check_image(kind: Kind, bytes: &[u8]) -> Result<(), String> {
    let Some(accepted) = kind.image() else { return Ok(()) };
    match format(bytes) {
        None if bytes.is_empty() => return Err("the file is empty".to_owned()),
        Some(found) if accepted.formats.contains(&found) => {}
        Some(found) => {
            return Err(format!(
                "it is {}, and Discord accepts {}",
                media_type(found),
                accepted.formats_text
            ));
        }
        None => {
            return Err(format!(
                "its content is not an image; Discord accepts {}",
                accepted.formats_text
            ));
        }
    }
    if bytes.len() > accepted.max_bytes {
        return Err(format!(
            "it has {} bytes, and Discord accepts at most {}",
            bytes.len(),
            accepted.max_bytes
        ));
    }
    Ok(())
}

/// Maximum size of the image of a kind, in bytes; 0 for kinds without an image.
#[must_use]
pub fn max_image_bytes(kind: Kind) -> usize {
    kind.image().map_or(0, |image| image.max_bytes)
}

/// The findings for images that a plan cannot upload: files that are absent, unreadable, of a wrong type, too large, or changed
/// since the plan was made.
#[must_use]
pub fn unusable_images(plan: &Plan, images: &dyn ImageSource) -> Vec<Finding> {
    let unusable = plan::sent_images(plan).filter_map(|(address, image)| {
        let why = usable(address.kind(), image, images).err()?;
        Some((address.clone(), why))
    });
    plan::unusable_images(&unusable.collect::<Vec<_>>())
}

fn usable(kind: Kind, image: &Image, images: &dyn ImageSource) -> Result<(), String> {
    let bytes = images.bytes(image)?;
    check_image(kind, &bytes).map_err(|why| format!("{}: {why}", image.path))?;
    match &image.sha256 {
        Some(planned) if *planned != digest(&bytes) => Err(format!(
            "{} was changed after the plan was created; create the plan again",
            image.path
        )),
        _ => Ok(()),
    }
}

/// SHA-256 of a file in hexadecimal, as in [`Image::sha256`].
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// The format of an image, by its first bytes.
pub(crate) fn format(bytes: &[u8]) -> Option<ImageFormat> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some(ImageFormat::Png),
        [0xff, 0xd8, 0xff, ..] => Some(ImageFormat::Jpeg),
        [b'G', b'I', b'F', b'8', ..] => Some(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(ImageFormat::WebP),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f', ..] => Some(ImageFormat::Avif),
        _ => is_json(bytes).then_some(ImageFormat::Lottie),
    }
}

/// The media type of a format.
pub(crate) const fn media_type(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "image/png",
        ImageFormat::Jpeg => "image/jpeg",
        ImageFormat::Gif => "image/gif",
        ImageFormat::WebP => "image/webp",
        ImageFormat::Avif => "image/avif",
        ImageFormat::Lottie => "application/json",
    }
}

#[cfg(test)]
mod tests {
    use arrakis_iac::model::limits::EMOJI_BYTES;

    use super::*;

    #[test]
    fn format_is_detected_by_first_bytes() {
        assert_eq!(data_uri(b"GIF89a").unwrap(), "data:image/gif;base64,R0lGODlh");
        assert_eq!(format(b"RIFF....WEBPVP8 "), Some(ImageFormat::WebP));
        assert!(data_uri(b"<svg/>").is_err());
    }

    #[test]
    fn endless_file_folder_and_huge_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let huge = folder.path().join("huge.png");
        File::create(&huge).unwrap().set_len(3 << 30).unwrap();
        for (path, reason) in [
            (Path::new("/dev/zero"), "not a regular file"),
            (folder.path(), "not a regular file"),
            (huge.as_path(), "more than 16 MiB"),
        ] {
            let error = read_image_file(path).unwrap_err().to_string();
            assert!(error.contains(reason), "{}: {error}", path.display());
        }
    }

    #[test]
    fn image_of_wrong_type_or_size_is_refused_with_reason() {
        let png = |length: usize| [b"\x89PNG\r\n\x1a\n".as_slice(), &vec![0; length - 8]].concat();
        assert_eq!(check_image(Kind::Emoji, &png(EMOJI_BYTES)), Ok(()));
        let why = |kind, bytes: &[u8]| check_image(kind, bytes).unwrap_err();
        assert!(why(Kind::Emoji, &png(EMOJI_BYTES + 1)).contains("262145 bytes"));
        assert!(why(Kind::Emoji, b"").contains("empty"));
        assert!(why(Kind::Emoji, b"<svg/>").contains("not an image"));
        assert!(why(Kind::Emoji, b"{}").contains("application/json"));
        assert!(why(Kind::Webhook, b"....ftypavif").contains("image/avif"));
        assert_eq!(check_image(Kind::Sticker, b"{}"), Ok(()));
        assert_eq!(check_image(Kind::Event, &png(EMOJI_BYTES + 1)), Ok(()));
        for kind in [Kind::Emoji, Kind::Sticker, Kind::Webhook, Kind::Event] {
            assert!(check_image(kind, &png(max_image_bytes(kind) + 1)).is_err(), "{kind:?}");
        }
    }
}
