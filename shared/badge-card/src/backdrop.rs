//! The background of the cards of a theme: a dark ground with a glow behind the emblem, a weaker one in the opposite corner, and waves at
//! the foot.
//!
//! Each part is the ground mixed with the colour of the tier. The share of that colour in each pixel is computed once for a theme;
//! a card's background is then one lookup for each pixel, in place of five fills with gradients and translucent colours.

use resvg::tiny_skia::{Path, PathBuilder, Pixmap, PremultipliedColorU8};

use crate::CardError;
use crate::art::pixels;
use crate::canvas::Canvas;
use crate::color::{BACKGROUND, Rgb, to_byte};
use crate::layout::{EMBLEM, WIDTH};

/// Waves from the back to the front: height above the lower edge, phase, opacity.
const WAVES: [(f32, f32, f32); 3] = [(190.0, 0.0, 0.06), (128.0, 1.9, 0.07), (74.0, 3.6, 0.09)];

/// A background of one size, for every colour.
pub(crate) struct Backdrop {
    height: u32,
    /// The share of the colour in each pixel: 255 for [`Backdrop::most`].
    shares: Vec<u8>,
    /// The largest share, of a colour in full strength.
    most: f32,
}

/// A glow around a point. Its opacity falls evenly from the centre to 0 at the radius.
struct Glow {
    x: f32,
    y: f32,
    radius: f32,
    opacity: f32,
}

impl Backdrop {
    /// Computes the background of cards of this height, in some milliseconds.
    pub(crate) fn new(height: u32) -> Result<Self, CardError> {
        let bottom = pixels(height);
        let behind_emblem = Glow {
            x: EMBLEM.0,
            y: EMBLEM.1,
            radius: 760.0,
            opacity: 0.3,
        };
        let in_corner = Glow {
            x: pixels(WIDTH),
            y: bottom,
            radius: 620.0,
            opacity: 0.1,
        };
        let glow = |x, y| covered(behind_emblem.opacity_at(x, y), in_corner.opacity_at(x, y));
        let rows = (0..height).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
        let mut shares: Vec<f32> = rows.map(|(x, y)| glow(x, y)).collect();
        for (rise, phase, opacity) in WAVES {
            let Some(path) = wave(bottom - rise, phase, bottom) else {
                continue;
            };
            let mut canvas = Canvas::new(WIDTH, height)?;
            canvas.fill(&path, Rgb::WHITE, 1.0);
            let drawn = canvas.into_pixmap();
            for (share, pixel) in shares.iter_mut().zip(drawn.pixels()) {
                *share = covered(*share, opacity * f32::from(pixel.alpha()) / 255.0);
            }
        }
        let most = shares.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        Ok(Self {
            height,
            shares: shares.iter().map(|share| to_byte(share / most * 255.0)).collect(),
            most,
        })
    }

    /// A canvas with the background in this colour.
    pub(crate) fn painted(&self, color: Rgb) -> Result<Canvas, CardError> {
        // A bright colour needs less of it; gold would turn the ground olive.
        let most = self.most * (1.0 - 0.6 * color.luminance());
        let palette: [PremultipliedColorU8; 256] =
            std::array::from_fn(|share| BACKGROUND.mixed(color, most * share as f32 / 255.0).opaque());
        let mut pixmap = Pixmap::new(WIDTH, self.height).ok_or(CardError::Size)?;
        for (pixel, share) in pixmap.pixels_mut().iter_mut().zip(&self.shares) {
            *pixel = palette[usize::from(*share)];
        }
        Ok(Canvas::from(pixmap))
    }
}

impl std::fmt::Debug for Backdrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backdrop")
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

impl Glow {
    /// The opacity at the centre of a pixel.
    fn opacity_at(&self, x: u32, y: u32) -> f32 {
        let (dx, dy) = (pixels(x) + 0.5 - self.x, pixels(y) + 0.5 - self.y);
        self.opacity * (1.0 - (dx * dx + dy * dy).sqrt() / self.radius).max(0.0)
    }
}

/// The share of a colour after a layer of it with this opacity was drawn over a share.
fn covered(share: f32, opacity: f32) -> f32 {
    share + (1.0 - share) * opacity
}

/// The area below a wave from the left to the right edge.
fn wave(top: f32, phase: f32, bottom: f32) -> Option<Path> {
    const STEP: f32 = 180.0;
    let height = |x: f32| top + 26.0 * (x / 210.0 + phase).sin() + 14.0 * (x / 97.0 + phase * 2.0).sin();
    let mut path = PathBuilder::new();
    path.move_to(0.0, height(0.0));
    let mut x = 0.0;
    while x < pixels(WIDTH) {
        // Each piece has the wave's height at its ends and nearly its slope.
        let slope = |x: f32| height(x + 1.0) - height(x);
        let (third, next) = (STEP / 3.0, x + STEP);
        path.cubic_to(
            x + third,
            height(x) + slope(x) * third,
            next - third,
            height(next) - slope(next) * third,
            next,
            height(next),
        );
        x = next;
    }
    path.line_to(x, bottom);
    path.line_to(0.0, bottom);
    path.close();
    path.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEIGHT: u32 = 814;

    /// The pixel of a background in this colour, as red, green and blue.
    fn pixel(color: Rgb, x: u32, y: u32) -> [u8; 3] {
        let pixmap = Backdrop::new(HEIGHT).unwrap().painted(color).unwrap().into_pixmap();
        let pixel = pixmap.pixel(x, y).unwrap();
        assert!(pixel.is_opaque());
        [pixel.red(), pixel.green(), pixel.blue()]
    }

    #[test]
    fn colour_is_strongest_behind_the_emblem_and_absent_far_from_it() {
        let blue = Rgb(0x41, 0x69, 0xe1);
        let at = |x, y| pixel(blue, x, y)[2];
        let ground = BACKGROUND.2;
        assert!(at(148, 146) > ground + 40, "{}", at(148, 146));
        assert!(at(148, 146) > at(400, 146) && at(400, 146) > at(700, 20));
        assert_eq!(pixel(blue, 1_079, 0), [BACKGROUND.0, BACKGROUND.1, BACKGROUND.2]);
        assert!(at(1_000, HEIGHT - 5) > ground + 20, "waves and the glow of the corner");
    }

    #[test]
    fn background_in_its_own_colour_is_even() {
        let pixmap = Backdrop::new(HEIGHT)
            .unwrap()
            .painted(BACKGROUND)
            .unwrap()
            .into_pixmap();
        let first = pixmap.pixels()[0];
        assert!(pixmap.pixels().iter().all(|pixel| *pixel == first));
    }
}
