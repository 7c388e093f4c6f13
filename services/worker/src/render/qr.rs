//! QR codes: as an image for a message, and as text for a terminal.

use std::fmt::Write as _;

use png::{BitDepth, ColorType, Compression, Encoder};
use qrcode::{Color, QrCode};

/// Pixels of the side of a module.
const SCALE: usize = 6;
/// Modules of the light margin, which ISO/IEC 18004 requires.
const MARGIN: usize = 4;

/// Why a QR code cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    /// The text does not fit into a QR code.
    #[error("the text does not fit into a QR code: {0}")]
    Text(#[from] qrcode::types::QrError),
    /// The image cannot be encoded.
    #[error("the QR code cannot be encoded: {0}")]
    Encoding(#[from] png::EncodingError),
}

/// The modules of a QR code with its margin: dark ones are true.
struct Modules {
    side: usize,
    dark: Vec<bool>,
}

impl Modules {
    fn of(text: &str) -> Result<Self, QrError> {
        let code = QrCode::new(text)?;
        let width = code.width();
        let side = width + 2 * MARGIN;
        let mut dark = vec![false; side * side];
        for (index, color) in code.to_colors().into_iter().enumerate() {
            let (x, y) = (index % width + MARGIN, index / width + MARGIN);
            if let Some(module) = dark.get_mut(y * side + x) {
                *module = color == Color::Dark;
            }
        }
        Ok(Self { side, dark })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        self.dark.get(y * self.side + x).copied().unwrap_or_default()
    }
}

/// The QR code of a text as a PNG file in grey.
///
/// # Errors
/// When the text does not fit.
pub fn image(text: &str) -> Result<Vec<u8>, QrError> {
    let modules = Modules::of(text)?;
    let side = modules.side * SCALE;
    let mut pixels = Vec::with_capacity(side * side);
    for y in 0..side {
        for x in 0..side {
            let is_dark = modules.is_dark(x / SCALE, y / SCALE);
            pixels.push(if is_dark { 0 } else { u8::MAX });
        }
    }
    let mut file = Vec::new();
    let size = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = Encoder::new(&mut file, size, size);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fastest);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}

/// The QR code of a text for a terminal: half blocks in black on white, whatever the colours of the terminal are.
///
/// # Errors
/// When the text does not fit.
pub fn terminal(text: &str) -> Result<String, QrError> {
    let modules = Modules::of(text)?;
    let mut lines = String::new();
    for y in (0..modules.side).step_by(2) {
        lines.push_str("\u{1b}[30;107m");
        for x in 0..modules.side {
            let both = (modules.is_dark(x, y), y + 1 < modules.side && modules.is_dark(x, y + 1));
            lines.push(match both {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        let _ = writeln!(lines, "\u{1b}[0m");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three finder patterns (7 modules, dark border) are where the standard has them.
    #[test]
    fn finder_patterns_are_in_three_corners() {
        let modules = Modules::of("otpauth://totp/Arrakis:chani?secret=GEZDGNBVGY3TQOJQ&issuer=Arrakis").unwrap();
        let last = modules.side - MARGIN - 7;
        for (left, top) in [(MARGIN, MARGIN), (last, MARGIN), (MARGIN, last)] {
            for offset in 0..7 {
                assert!(modules.is_dark(left + offset, top));
                assert!(modules.is_dark(left + offset, top + 6));
                assert!(modules.is_dark(left, top + offset));
                assert!(modules.is_dark(left + 6, top + offset));
            }
            assert!(!modules.is_dark(left + 1, top + 1) && modules.is_dark(left + 3, top + 3));
        }
        assert!((0..modules.side).all(|x| !modules.is_dark(x, 0) && !modules.is_dark(0, x)));
    }

    #[test]
    fn image_is_a_png_file_with_the_modules() {
        let text = "otpauth://totp/Arrakis:chani";
        let modules = Modules::of(text).unwrap();
        let file = image(text).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let side = modules.side * SCALE;
        assert_eq!((info.width as usize, info.height as usize), (side, side));
        for (x, y) in [
            (0, 0),
            (MARGIN, MARGIN),
            (MARGIN + 1, MARGIN + 1),
            (MARGIN + 3, MARGIN + 3),
        ] {
            let pixel = pixels[y * SCALE * side + x * SCALE];
            assert_eq!(pixel == 0, modules.is_dark(x, y), "{x}, {y}");
        }
    }

    #[test]
    fn terminal_has_a_line_for_two_rows() {
        let text = "otpauth://totp/Arrakis:chani";
        let side = Modules::of(text).unwrap().side;
        let drawn = terminal(text).unwrap();
        assert_eq!(drawn.lines().count(), side.div_ceil(2));
        assert!(matches!(image(&"x".repeat(5_000)), Err(QrError::Text(_))));
    }
}
