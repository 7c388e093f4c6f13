//! Encoding of a card, which has no transparent pixels.

use png::{BitDepth, ColorType, Compression, Encoder};
use resvg::tiny_skia::Pixmap;

use crate::CardError;

/// The image as a PNG file in RGB. One filter for all rows and the fastest compression: the card is encoded for one message, so that the
/// time counts more than the size. The other levels try all filters for each row.
pub(crate) fn encoded(pixmap: &Pixmap) -> Result<Vec<u8>, CardError> {
    let rgba = pixmap.data();
    let mut rgb = vec![0; rgba.len() / 4 * 3];
    for (to, from) in rgb.chunks_exact_mut(3).zip(rgba.chunks_exact(4)) {
        to.copy_from_slice(&from[..3]);
    }
    let mut file = Vec::with_capacity(rgb.len() / 8);
    let mut encoder = Encoder::new(&mut file, pixmap.width(), pixmap.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fastest);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(file)
}
