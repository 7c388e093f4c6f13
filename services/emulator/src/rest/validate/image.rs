//! Images as data URIs in JSON: icons, avatars, emoji.
//!
//! Source: <https://discord.com/developers/docs/reference#image-data>.

use base64::Engine as _;

use super::form::{Form, FormField, Length};

/// Decoded image of a `data:image/…;base64,…` text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub content_type: String,
    /// The bytes of the file.
    pub bytes: Vec<u8>,
}

/// Reads an image of at most `max_bytes`.
pub fn read_image(form: &Form<'_>, key: &str, max_bytes: usize) -> FormField<Image> {
    let text = match form.text(key, Length::up_to(usize::MAX)) {
        FormField::Absent => return FormField::Absent,
        FormField::Null => return FormField::Null,
        FormField::Value(text) => text,
    };
    match decode(&text) {
        None => form.refuse(key, "IMAGE_INVALID", "Invalid image data"),
        Some(image) if image.bytes.len() > max_bytes => form.refuse(
            key,
            "BINARY_TYPE_MAX_SIZE",
            format!("File cannot be larger than {:.1} kb.", max_bytes as f64 / 1_024.0),
        ),
        Some(image) => return FormField::Value(image),
    }
    FormField::Absent
}

fn decode(text: &str) -> Option<Image> {
    let (content_type, data) = text.strip_prefix("data:")?.split_once(";base64,")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
    // The first bytes decide the type, not the declared one.
    let found = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => return None,
    };
    content_type.starts_with("image/").then(|| Image {
        content_type: found.to_owned(),
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::validate::form::read_body;

    const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    #[test]
    fn png_is_decoded_and_other_bytes_are_refused() {
        let image = read_body(&json!({"image": PIXEL}), |form| read_image(form, "image", 1_000)).unwrap();
        assert_eq!(image.value().unwrap().content_type, "image/png");
        assert!(
            read_body(&json!({"image": "data:image/png;base64,AAAA"}), |form| read_image(
                form, "image", 9
            ))
            .is_err()
        );
        assert!(read_body(&json!({"image": PIXEL}), |form| read_image(form, "image", 10)).is_err());
    }
}
