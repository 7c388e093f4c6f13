//! Badge art as pixels: earned, and dimmed for a badge that is not earned yet.

use resvg::tiny_skia::{FilterQuality, Pixmap, PixmapPaint, PremultipliedColorU8, Transform};
use resvg::usvg::{ImageHrefResolver, Options, Tree};

use arrakis_domain::{Badge, Color};

use crate::CardError;
use crate::canvas::Canvas;
use crate::color::{Rgb, to_byte};
use crate::fonts::Weight;
use crate::line::Line;
use crate::names::drawable;

/// Opacity of a badge that is not earned.
const DIMMED_OPACITY: f32 = 0.34;

/// A badge as pixels.
#[derive(Debug)]
pub(crate) struct Medallion {
    pub(crate) earned: Pixmap,
    pub(crate) dimmed: Pixmap,
}

impl Medallion {
    /// Draws a badge's art, or a plain medal with its emoji when the theme has no art for it.
    pub(crate) fn new(badge: &Badge, accent: Color, side: u32) -> Result<Self, CardError> {
        let earned = match &badge.art {
            Some(svg) => rasterised(badge, svg, side)?,
            None => plain_medal(badge, accent, side)?,
        };
        let dimmed = dimmed(&earned)?;
        Ok(Self { earned, dimmed })
    }
}

/// Draws an SVG, which the theme loader has checked, in a square. Nothing outside of the SVG is read.
fn rasterised(badge: &Badge, svg: &str, side: u32) -> Result<Pixmap, CardError> {
    let options = Options {
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|error| CardError::Art {
        badge: badge.id.clone(),
        reason: error.to_string(),
    })?;
    let mut pixmap = Pixmap::new(side, side).ok_or(CardError::Size)?;
    let (wanted, size) = (pixels(side), tree.size());
    let scale = wanted / size.width().max(size.height());
    let centred = Transform::from_scale(scale, scale).post_translate(
        (wanted - size.width() * scale) / 2.0,
        (wanted - size.height() * scale) / 2.0,
    );
    resvg::render(&tree, centred, &mut pixmap.as_mut());
    Ok(pixmap)
}

/// A ring in the theme's colour with the badge's emoji, or the first letter of its name.
fn plain_medal(badge: &Badge, accent: Color, side: u32) -> Result<Pixmap, CardError> {
    let mut canvas = Canvas::new(side, side)?;
    let (side, accent) = (pixels(side), Rgb::from(accent));
    let centre = side / 2.0;
    canvas.disc(centre, centre, side * 0.46, accent.readable());
    canvas.disc(centre, centre, side * 0.38, accent.mixed(Rgb::BLACK, 0.72));
    let emoji = drawable(&badge.emoji);
    let sign = if emoji.is_empty() {
        drawable(&badge.name).chars().take(1).collect()
    } else {
        emoji
    };
    let line = Line::fitting(&sign, Weight::ExtraBold, &[side * 0.44, side * 0.3], side * 0.6);
    canvas.text(&line, centre - line.width / 2.0, centre + line.size * 0.36, Rgb::WHITE);
    Ok(canvas.into_pixmap())
}

/// The image in grey, and nearly transparent.
fn dimmed(earned: &Pixmap) -> Result<Pixmap, CardError> {
    let mut grey = earned.clone();
    for pixel in grey.pixels_mut() {
        let (red, green, blue) = (pixel.red(), pixel.green(), pixel.blue());
        let luminance = 0.2126 * f32::from(red) + 0.7152 * f32::from(green) + 0.0722 * f32::from(blue);
        let value = to_byte(luminance).min(pixel.alpha());
        if let Some(changed) = PremultipliedColorU8::from_rgba(value, value, value, pixel.alpha()) {
            *pixel = changed;
        }
    }
    let mut dimmed = Pixmap::new(earned.width(), earned.height()).ok_or(CardError::Size)?;
    let paint = PixmapPaint {
        opacity: DIMMED_OPACITY,
        quality: FilterQuality::Nearest,
        ..PixmapPaint::default()
    };
    dimmed.draw_pixmap(0, 0, grey.as_ref(), &paint, Transform::identity(), None);
    Ok(dimmed)
}

/// A number of pixels; sides are below 2^16, which `f32` holds exactly.
pub(crate) fn pixels(side: u32) -> f32 {
    side as f32
}
