//! Drawing primitives in pixels: shapes, gradients, text, images.

use resvg::tiny_skia::{
    FillRule, GradientStop, LineJoin, LinearGradient, Paint, Path, PathBuilder, Pixmap, Point, PremultipliedColorU8,
    Shader, SpreadMode, Stroke, Transform,
};

use crate::CardError;
use crate::color::Rgb;
use crate::line::Line;

/// An image that is drawn on.
#[derive(Debug)]
pub(crate) struct Canvas {
    pixmap: Pixmap,
}

impl Canvas {
    /// A transparent canvas.
    pub(crate) fn new(width: u32, height: u32) -> Result<Self, CardError> {
        let pixmap = Pixmap::new(width, height).ok_or(CardError::Size)?;
        Ok(Self { pixmap })
    }

    pub(crate) fn into_pixmap(self) -> Pixmap {
        self.pixmap
    }

    /// Fills a path with one colour.
    pub(crate) fn fill(&mut self, path: &Path, color: Rgb, opacity: f32) {
        self.paint(path, Shader::SolidColor(color.with_opacity(opacity)));
    }

    /// Fills a path with a gradient from its top to its bottom.
    pub(crate) fn fill_vertical(&mut self, path: &Path, top: Rgb, bottom: Rgb) {
        let bounds = path.bounds();
        let ends = (bounds.top(), bounds.bottom());
        let stops = stops(top, 1.0, bottom, 1.0);
        self.paint_gradient(
            path,
            LinearGradient::new(
                Point::from_xy(0.0, ends.0),
                Point::from_xy(0.0, ends.1),
                stops,
                SpreadMode::Pad,
                Transform::identity(),
            ),
        );
    }

    /// Fills a path with a gradient from its left to its right.
    pub(crate) fn fill_horizontal(&mut self, path: &Path, left: Rgb, right: Rgb) {
        let bounds = path.bounds();
        let stops = stops(left, 1.0, right, 1.0);
        self.paint_gradient(
            path,
            LinearGradient::new(
                Point::from_xy(bounds.left(), 0.0),
                Point::from_xy(bounds.right(), 0.0),
                stops,
                SpreadMode::Pad,
                Transform::identity(),
            ),
        );
    }

    /// A filled circle.
    pub(crate) fn disc(&mut self, x: f32, y: f32, radius: f32, color: Rgb) {
        if let Some(path) = PathBuilder::from_circle(x, y, radius) {
            self.fill(&path, color, 1.0);
        }
    }

    /// A line of text that begins at `x`, on this baseline.
    pub(crate) fn text(&mut self, line: &Line, x: f32, baseline: f32, color: Rgb) {
        let outlines = line.outlines(x, baseline);
        if let Some(path) = &outlines.filled {
            self.fill(path, color, 1.0);
        }
        if let Some((path, width)) = &outlines.emboldened {
            self.fill(path, color, 1.0);
            let mut paint = Paint::default();
            paint.set_color(color.with_opacity(1.0));
            let stroke = Stroke {
                width: *width,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            self.pixmap
                .stroke_path(path, &paint, &stroke, Transform::identity(), None);
        }
    }

    /// An image with its upper left corner at a point of the canvas. What is beyond the right or lower edge is left out.
    pub(crate) fn image(&mut self, image: &Pixmap, (left, top): (usize, usize)) {
        let rows = self.pixmap.width() as usize;
        let rows = self.pixmap.pixels_mut().chunks_exact_mut(rows).skip(top);
        for (row, line) in rows.zip(image.pixels().chunks_exact(image.width() as usize)) {
            for (below, above) in row.iter_mut().skip(left).zip(line) {
                *below = blended(*above, *below);
            }
        }
    }

    fn paint_gradient(&mut self, path: &Path, gradient: Option<Shader<'static>>) {
        if let Some(shader) = gradient {
            self.paint(path, shader);
        }
    }

    fn paint(&mut self, path: &Path, shader: Shader<'_>) {
        let paint = Paint {
            shader,
            anti_alias: true,
            ..Paint::default()
        };
        self.pixmap
            .fill_path(path, &paint, FillRule::Winding, Transform::identity(), None);
    }
}

impl From<Pixmap> for Canvas {
    fn from(pixmap: Pixmap) -> Self {
        Self { pixmap }
    }
}

/// A pixel over another one. Most pixels of a badge are either opaque or transparent, so that this is faster than tiny-skia's general
/// pipeline.
fn blended(above: PremultipliedColorU8, below: PremultipliedColorU8) -> PremultipliedColorU8 {
    let rest = match above.alpha() {
        0 => return below,
        u8::MAX => return above,
        alpha => u16::from(u8::MAX - alpha),
    };
    let channel = |above: u8, below: u8| {
        // Rounded division by 255; the result is at most 255.
        let product = u16::from(below) * rest + 128;
        above.saturating_add(((product + (product >> 8)) >> 8) as u8)
    };
    PremultipliedColorU8::from_rgba(
        channel(above.red(), below.red()),
        channel(above.green(), below.green()),
        channel(above.blue(), below.blue()),
        channel(above.alpha(), below.alpha()),
    )
    .unwrap_or(above)
}

/// A rectangle with round corners.
pub(crate) fn rounded(x: f32, y: f32, width: f32, height: f32, radius: f32) -> Option<Path> {
    let radius = radius.min(width / 2.0).min(height / 2.0);
    let (right, bottom) = (x + width, y + height);
    let mut path = PathBuilder::new();
    path.move_to(x + radius, y);
    path.line_to(right - radius, y);
    path.quad_to(right, y, right, y + radius);
    path.line_to(right, bottom - radius);
    path.quad_to(right, bottom, right - radius, bottom);
    path.line_to(x + radius, bottom);
    path.quad_to(x, bottom, x, bottom - radius);
    path.line_to(x, y + radius);
    path.quad_to(x, y, x + radius, y);
    path.close();
    path.finish()
}

/// A hexagon with a corner at its top and round corners.
pub(crate) fn hexagon(x: f32, y: f32, radius: f32) -> Option<Path> {
    /// Share of a side that its corners take.
    const ROUND: f32 = 0.12;
    let corner = |index: u8| {
        let angle = (f32::from(index) * 60.0 - 90.0).to_radians();
        Point::from_xy(x + radius * angle.cos(), y + radius * angle.sin())
    };
    let between = |from: Point, to: Point, share: f32| {
        Point::from_xy(from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share)
    };
    let mut path = PathBuilder::new();
    for index in 0..6 {
        let (before, here, after) = (corner(index + 5), corner(index), corner(index + 1));
        let (from, to) = (between(here, before, ROUND), between(here, after, ROUND));
        if index == 0 {
            path.move_to(from.x, from.y);
        } else {
            path.line_to(from.x, from.y);
        }
        path.quad_to(here.x, here.y, to.x, to.y);
    }
    path.close();
    path.finish()
}

fn stops(from: Rgb, from_opacity: f32, to: Rgb, to_opacity: f32) -> Vec<GradientStop> {
    vec![
        GradientStop::new(0.0, from.with_opacity(from_opacity)),
        GradientStop::new(1.0, to.with_opacity(to_opacity)),
    ]
}

#[cfg(test)]
mod tests {
    use resvg::tiny_skia::{ColorU8, PixmapPaint};

    use super::*;

    #[test]
    fn image_is_drawn_as_tiny_skia_draws_it() {
        let mut image = Pixmap::new(64, 4).unwrap();
        for (n, pixel) in image.pixels_mut().iter_mut().enumerate() {
            *pixel = ColorU8::from_rgba(200, 90, n as u8, n as u8).premultiply();
        }
        let ground = resvg::tiny_skia::Color::from_rgba8(15, 160, 210, 255);
        let mut wanted = Pixmap::new(80, 6).unwrap();
        wanted.fill(ground);
        let mut canvas = Canvas::from(wanted.clone());
        let paint = PixmapPaint::default();
        wanted.draw_pixmap(20, 3, image.as_ref(), &paint, Transform::identity(), None);
        canvas.image(&image, (20, 3));
        let drawn = canvas.into_pixmap();
        let differences = drawn.data().iter().zip(wanted.data()).map(|(a, b)| a.abs_diff(*b));
        assert_eq!(
            differences.max().map(|most| most <= 1),
            Some(true),
            "only rounding differs"
        );
        assert_ne!(
            drawn.pixels()[20 + 3 * 80 + 59],
            drawn.pixels()[0],
            "and something is drawn"
        );
    }
}
