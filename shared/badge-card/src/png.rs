//! Encoding of a card, which has no transparent pixels.

use png::{BitDepth, ColorType, Compression, Encoder};
use resvg::tiny_skia::Pixmap;

use crate::CardError;

/// The image as a PNG file in RGB. The fast compression makes a card 30 % larger and takes a tenth of the time.
pub(crate) fn encoded(pixmap: &Pixmap) -> Result<Vec<u8>, CardError> {
    let pixels = pixmap.pixels().iter();
    let rgb: Vec<u8> = pixels
        .flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()])
        .collect();
    let mut file = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = Encoder::new(&mut file, pixmap.width(), pixmap.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(file)
}
