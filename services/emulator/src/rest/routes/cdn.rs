//! The content network: attachments, emoji, stickers, icons and avatars, served as they were uploaded.
//! <https://discord.com/developers/docs/reference#image-formatting>

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use http::Method;

use crate::{
    rest::{
        call::{Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        route::{Access, Handler, Route},
        validate::image::Image,
    },
    world::State,
};

/// Routes of this file; they are outside of `/api`.
pub(super) const ROUTES: &[Route] = &[
    file("/attachments/{channel_id}/{attachment_id}/{filename}", get_attachment),
    file("/emojis/{name}", get_image),
    file("/stickers/{name}", get_image),
    file("/icons/{owner}/{name}", get_image),
    file("/avatars/{owner}/{name}", get_image),
    file("/role-icons/{owner}/{name}", get_image),
    file("/guild-events/{owner}/{name}", get_image),
];

const fn file(template: &'static str, handler: Handler) -> Route {
    Route {
        method: &Method::GET,
        template,
        class: None,
        access: Access::Open,
        handler,
    }
}

/// Stores an image under a hash of its bytes, which is its name in the API.
pub(super) fn store_image(state: &mut State, image: &Image) -> String {
    let animated = if image.content_type == "image/gif" { "a_" } else { "" };
    let hash = format!("{animated}{}", hash_of(&image.bytes));
    state.blobs.insert(hash.clone(), Bytes::from(image.bytes.clone()));
    hash
}

/// 32 hexadecimal digits, as in Discord's image hashes.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, bytes).hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(1), half(2))
}

fn get_attachment(call: &Call) -> ApiResult<RouteResponse> {
    let (channel, id) = (call.id("channel_id")?, call.id("attachment_id")?);
    call.app.world.read(|state| {
        let bytes = state.blobs.get(&id.to_string()).cloned().ok_or(ErrorCode::NotFound)?;
        let messages = state.messages.get(&channel).into_iter().flat_map(|all| all.values());
        let named = messages
            .flat_map(|message| &message.attachments)
            .find(|file| file.id == id);
        let content_type = named.and_then(|file| file.content_type.clone());
        Ok(RouteResponse::File {
            content_type: content_type.unwrap_or_else(|| guess_type(call.param("filename"))),
            bytes,
        })
    })
}

fn get_image(call: &Call) -> ApiResult<RouteResponse> {
    let name = call.param("name");
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    call.app.world.read(|state| {
        let bytes = state.blobs.get(stem).cloned().ok_or(ErrorCode::NotFound)?;
        Ok(RouteResponse::File {
            content_type: guess_type(name),
            bytes,
        })
    })
}

/// Media type by a file name's extension.
pub(super) fn guess_type(filename: &str) -> String {
    let extension = filename.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "txt" | "log" | "md" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "csv" => "text/csv; charset=utf-8",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
    .to_owned()
}

/// Width and height of a PNG, GIF or JPEG, which attachments of images carry.
pub(super) fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let big = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.starts_with(b"\x89PNG") {
        return Some((big(16)?, big(20)?));
    }
    if bytes.starts_with(b"GIF8") {
        let little = |at: usize| Some(u32::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
        return Some((little(6)?, little(8)?));
    }
    if bytes.starts_with(&[0xFF, 0xD8]) {
        return jpeg_dimensions(bytes);
    }
    None
}

/// Reads the segments of a JPEG up to the frame header.
fn jpeg_dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let short = |at: usize| Some(u32::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    let mut at = 2;
    while *bytes.get(at)? == 0xFF {
        let marker = *bytes.get(at + 1)?;
        if matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF) {
            return Some((short(at + 7)?, short(at + 5)?));
        }
        at += 2 + usize::try_from(short(at + 2)?).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_header() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 0, 3, 0, 0, 0, 5]);
        assert_eq!(dimensions(&png), Some((3, 5)));
        assert_eq!(dimensions(b"GIF89a\x07\0\x09\0"), Some((7, 9)));
        let jpeg = [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xC0, 0, 11, 8, 0, 6, 0, 8, 1];
        assert_eq!(dimensions(&jpeg), Some((8, 6)));
        assert_eq!(dimensions(b"\x89PNG"), None);
    }
}
