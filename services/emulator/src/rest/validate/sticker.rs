//! The file of a sticker: PNG, APNG, GIF or Lottie.
//!
//! Source: <https://discord.com/developers/docs/resources/sticker#create-guild-sticker>. Reads headers and frame times and decodes no
//! pixels.

use serde_json::Value;

use crate::{
    model::StickerFormat,
    rest::{
        call::UploadedFile,
        errors::{ApiResult, ErrorCode},
    },
};

const MAX_BYTES: usize = 512 * 1_024;
/// Pixels of width and height.
const MAX_SIDE: u32 = 320;
const MAX_FRAMES: usize = 1_000;
const MAX_SECONDS: f64 = 5.0;

/// Size and animation of a sticker file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Header {
    format: StickerFormat,
    width: u32,
    height: u32,
    frames: usize,
    seconds: f64,
}

/// Checks a sticker file and returns its format.
///
/// # Errors
/// 50045 above 512 KiB. 50046 for a media type or content other than PNG, APNG, GIF and Lottie, and for an image larger than
/// 320 × 320 pixels. 170001, 170002 and 170005 for a Lottie file. 170004 and 170007 for an animation.
pub fn read_sticker_file(file: &UploadedFile) -> ApiResult<StickerFormat> {
    if file.bytes.len() > MAX_BYTES {
        return Err(ErrorCode::AssetTooLarge.into());
    }
    // Discord refuses a file part without a media type, and `application/octet-stream`.
    let media_type = file.content_type.as_deref().unwrap_or_default();
    let header = match media_type {
        "image/png" | "image/apng" | "image/gif" => image(&file.bytes).ok_or(ErrorCode::InvalidAsset)?,
        "application/json" => lottie(&file.bytes)?,
        _ => return Err(ErrorCode::InvalidAsset.into()),
    };
    if header.width > MAX_SIDE || header.height > MAX_SIDE {
        return Err(match header.format {
            StickerFormat::Lottie => ErrorCode::LottieDimensions,
            _ => ErrorCode::InvalidAsset,
        }
        .into());
    }
    if header.frames > MAX_FRAMES {
        return Err(ErrorCode::StickerFrameCount.into());
    }
    if header.seconds > MAX_SECONDS {
        return Err(ErrorCode::StickerDuration.into());
    }
    Ok(header.format)
}

fn image(bytes: &[u8]) -> Option<Header> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        png(bytes)
    } else if bytes.starts_with(b"GIF8") {
        gif(bytes)
    } else {
        None
    }
}

/// <https://www.w3.org/TR/png-3/>: a PNG with an `acTL` chunk is animated.
fn png(bytes: &[u8]) -> Option<Header> {
    let long = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let short = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut header = Header {
        format: StickerFormat::Png,
        width: long(16)?,
        height: long(20)?,
        frames: 0,
        seconds: 0.0,
    };
    let mut at = 8;
    while let (Some(length), Some(kind)) = (long(at), bytes.get(at + 4..at + 8)) {
        match kind {
            b"acTL" => header.format = StickerFormat::Apng,
            b"fcTL" => {
                let (delay, unit) = (short(at + 28)?, short(at + 30)?);
                header.frames += 1;
                // A denominator of 0 means hundredths of a second.
                header.seconds += f64::from(delay) / f64::from(if unit == 0 { 100 } else { unit });
            }
            _ => {}
        }
        at += 12 + usize::try_from(length).ok()?;
    }
    Some(header)
}

/// <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>
fn gif(bytes: &[u8]) -> Option<Header> {
    let short = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let colors = |flags: u8| {
        if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
    };
    let mut header = Header {
        format: StickerFormat::Gif,
        width: short(6)?.into(),
        height: short(8)?.into(),
        frames: 0,
        seconds: 0.0,
    };
    let mut at = 13 + colors(*bytes.get(10)?);
    while let Some(block) = bytes.get(at) {
        match block {
            0x21 => {
                if bytes.get(at + 1) == Some(&0xF9) {
                    header.seconds += f64::from(short(at + 4).unwrap_or(0)) / 100.0;
                }
                at += 2;
            }
            0x2C => {
                header.frames += 1;
                at += 11 + bytes.get(at + 9).map_or(0, |flags| colors(*flags));
            }
            _ => break,
        }
        // Data follows in sub-blocks, each with its length in front; the last is empty.
        while let Some(length) = bytes.get(at) {
            at += 1 + usize::from(*length);
            if *length == 0 {
                break;
            }
        }
    }
    Some(header)
}

/// <https://lottie.github.io/lottie-spec/latest/specs/composition/>
fn lottie(bytes: &[u8]) -> ApiResult<Header> {
    let composition: Value = serde_json::from_slice(bytes).map_err(|_| ErrorCode::InvalidLottie)?;
    let number = |key: &str| composition[key].as_f64().filter(|number| *number >= 0.0);
    let (Some(width), Some(height), Some(rate), Some(first), Some(last)) =
        (number("w"), number("h"), number("fr"), number("ip"), number("op"))
    else {
        return Err(ErrorCode::InvalidLottie.into());
    };
    if !composition["layers"].is_array() || rate == 0.0 {
        return Err(ErrorCode::InvalidLottie.into());
    }
    // An asset with a file name is a picture.
    let mut assets = composition["assets"].as_array().into_iter().flatten();
    if assets.any(|asset| asset["p"].is_string()) {
        return Err(ErrorCode::LottieRasterized.into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts of floats saturate, and larger numbers are refused"
    )]
    Ok(Header {
        format: StickerFormat::Lottie,
        width: width as u32,
        height: height as u32,
        frames: (last - first) as usize,
        seconds: (last - first) / rate,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;

    const PIXEL: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    fn file(content_type: &str, bytes: &[u8]) -> UploadedFile {
        UploadedFile {
            field: "file".to_owned(),
            index: 0,
            filename: "sticker".to_owned(),
            content_type: Some(content_type.to_owned()),
            bytes: bytes.to_vec().into(),
        }
    }

    fn refusal(content_type: &str, bytes: &[u8]) -> u32 {
        read_sticker_file(&file(content_type, bytes)).unwrap_err().code
    }

    fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length, kind, data, &[0; 4]].concat()
    }

    /// A PNG of this size whose frames last as long as given, in seconds.
    fn animation(side: u32, seconds: &[u16]) -> Vec<u8> {
        let size = [side.to_be_bytes(), side.to_be_bytes()].concat();
        let mut bytes = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &[&size, &[8, 6, 0, 0, 0][..]].concat()),
            chunk(b"acTL", &[0; 8]),
        ]
        .concat();
        for delay in seconds {
            let frame = [&[0; 20][..], &delay.to_be_bytes(), &1_u16.to_be_bytes(), &[0, 0]].concat();
            bytes.extend(chunk(b"fcTL", &frame));
        }
        bytes.extend(chunk(b"IEND", &[]));
        bytes
    }

    /// A GIF with a global color table of two colors and frames of this many hundredths of a second.
    fn moving(delays: &[u16]) -> Vec<u8> {
        let mut bytes = b"GIF89a\x10\0\x10\0\x80\0\0\0\0\0\xFF\xFF\xFF".to_vec();
        for delay in delays {
            bytes.extend([&[0x21, 0xF9, 4, 0][..], &delay.to_le_bytes(), &[0, 0]].concat());
            bytes.extend([0x2C, 0, 0, 0, 0, 16, 0, 16, 0, 0, 2, 2, 0x4C, 1, 0]);
        }
        bytes.push(0x3B);
        bytes
    }

    fn composition(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut value =
            json!({"v": "5.5.2", "w": 320, "h": 320, "fr": 60, "ip": 0, "op": 300, "layers": [], "assets": []});
        change(&mut value);
        value.to_string().into_bytes()
    }

    #[test]
    fn format_is_read_from_the_bytes() {
        let pixel = base64::engine::general_purpose::STANDARD.decode(PIXEL).unwrap();
        let format = |content_type, bytes: &[u8]| read_sticker_file(&file(content_type, bytes)).unwrap();
        assert_eq!(format("image/png", &pixel), StickerFormat::Png);
        assert_eq!(format("image/png", &animation(320, &[2, 3])), StickerFormat::Apng);
        assert_eq!(format("image/gif", &moving(&[100, 400])), StickerFormat::Gif);
        assert_eq!(format("application/json", &composition(|_| {})), StickerFormat::Lottie);
    }

    #[test]
    fn file_of_another_type_is_refused() {
        for (content_type, bytes) in [
            ("application/octet-stream", animation(1, &[])),
            ("", animation(1, &[])),
            ("application/json; charset=utf-8", composition(|_| {})),
            ("image/png", vec![0xFF, 0xD8, 0xFF]),
            ("image/png", Vec::new()),
            ("image/png", animation(321, &[])),
        ] {
            assert_eq!(refusal(content_type, &bytes), 50046, "{content_type}");
        }
        assert_eq!(refusal("image/png", &vec![0; MAX_BYTES + 1]), 50045);
    }

    #[test]
    fn animation_over_five_seconds_or_a_thousand_frames_is_refused() {
        assert_eq!(refusal("image/png", &animation(1, &[3, 3])), 170_007);
        assert_eq!(refusal("image/gif", &moving(&[250, 251])), 170_007);
        assert_eq!(refusal("image/gif", &moving(&[0; 1_001])), 170_004);
        let long = composition(|value| value["op"] = json!(301));
        assert_eq!(refusal("application/json", &long), 170_007);
    }

    #[test]
    fn lottie_with_a_picture_or_without_layers_is_refused() {
        let picture = composition(|value| value["assets"] = json!([{"id": "a", "p": "data:image/png;base64,AA=="}]));
        assert_eq!(refusal("application/json", &picture), 170_002);
        let large = composition(|value| value["w"] = json!(321));
        assert_eq!(refusal("application/json", &large), 170_005);
        let bare = composition(|value| value["layers"] = Value::Null);
        assert_eq!(refusal("application/json", &bare), 170_001);
        assert_eq!(refusal("application/json", b"{"), 170_001);
    }
}
