//! Layout of one line of text: direction, font, shaping, and the outlines of its glyphs.
//!
//! usvg's own text is not used: it shapes the whole text once per font and merges the results, which fails for texts in several scripts.

use harfrust::{Direction, ShapeOptions, UnicodeBuffer};
use resvg::tiny_skia::{Path, PathBuilder};
use skrifa::MetadataProvider as _;
use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, OutlinePen};
use unicode_bidi::BidiInfo;
use unicode_script::{Script, UnicodeScript as _};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::fonts::{FaceIndex, Weight, face, face_of};

const ELLIPSIS: &str = "…";

/// A line whose glyphs have positions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    glyphs: Vec<PlacedGlyph>,
    /// Distance from the first glyph's origin to the end of the last one.
    pub(crate) width: f32,
    /// Height of the em square.
    pub(crate) size: f32,
}

#[derive(Debug, Clone, Copy)]
struct PlacedGlyph {
    face: FaceIndex,
    id: u32,
    x: f32,
    y: f32,
}

/// Outlines of a line: those to fill, and those to fill and stroke with a width.
#[derive(Debug, Default)]
pub(crate) struct Outlines {
    pub(crate) filled: Option<Path>,
    pub(crate) emboldened: Option<(Path, f32)>,
}

/// A part of the text with one direction, font and script.
struct Run<'a> {
    text: &'a str,
    face: FaceIndex,
    script: Script,
}

impl Line {
    /// Lays out a text that was prepared by [`crate::names::drawable`].
    pub(crate) fn new(text: &str, weight: Weight, size: f32) -> Self {
        let mut line = Self {
            size,
            ..Self::default()
        };
        let bidi = BidiInfo::new(text, None);
        let Some(paragraph) = bidi.paragraphs.first() else {
            return line;
        };
        let (levels, visual) = bidi.visual_runs(paragraph, paragraph.range.clone());
        for range in visual {
            let is_rtl = levels.get(range.start).is_some_and(unicode_bidi::Level::is_rtl);
            let mut runs = split(text.get(range).unwrap_or_default(), weight);
            if is_rtl {
                runs.reverse();
            }
            for run in runs {
                line.push(&run, is_rtl);
            }
        }
        line
    }

    /// Lays out a text in at most `width`: at the largest of the sizes that fits, else at the smallest with its end cut off.
    pub(crate) fn fitting(text: &str, weight: Weight, sizes: &[f32], width: f32) -> Self {
        let mut smallest = Self::default();
        for size in sizes {
            smallest = Self::new(text, weight, *size);
            if smallest.width <= width {
                return smallest;
            }
        }
        truncated(text, weight, smallest.size, width)
    }

    /// Breaks a text at spaces into at most `max` lines; the last one is cut off where it does not fit.
    pub(crate) fn wrapped(text: &str, weight: Weight, size: f32, width: f32, max: usize) -> Vec<Self> {
        let mut lines = Vec::new();
        let mut rest = text;
        while lines.len() + 1 < max {
            let whole = Self::new(rest, weight, size);
            if whole.width <= width {
                break;
            }
            let mut breaks = rest.rmatch_indices(' ').map(|(at, _)| at);
            let fits = |at: &usize| Self::new(&rest[..*at], weight, size).width <= width;
            let Some(at) = breaks.find(fits) else { break };
            lines.push(Self::new(&rest[..at], weight, size));
            rest = rest[at..].trim_start();
        }
        lines.push(Self::fitting(rest, weight, &[size], width));
        lines
    }

    fn push(&mut self, run: &Run<'_>, is_rtl: bool) {
        let Some(face) = face(run.face) else { return };
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(run.text);
        buffer.set_direction(if is_rtl {
            Direction::RightToLeft
        } else {
            Direction::LeftToRight
        });
        buffer.guess_segment_properties();
        let shaper = face.shaper.shaper(&face.font).build();
        let shaped = shaper.shape(buffer, ShapeOptions::new());
        let scale = self.size / face.units_per_em;
        for (info, position) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()) {
            self.glyphs.push(PlacedGlyph {
                face: run.face,
                id: info.glyph_id,
                x: self.width + scaled(position.x_offset, scale),
                y: -scaled(position.y_offset, scale),
            });
            self.width += scaled(position.x_advance, scale);
        }
    }

    /// The outlines with the first glyph at `x` on this baseline.
    pub(crate) fn outlines(&self, x: f32, baseline: f32) -> Outlines {
        let (mut filled, mut emboldened) = (Pen::default(), Pen::default());
        let mut stroke: f32 = 0.0;
        for glyph in &self.glyphs {
            let Some(face) = face(glyph.face) else { continue };
            let pen = if face.embolden > 0.0 {
                &mut emboldened
            } else {
                &mut filled
            };
            stroke = stroke.max(face.embolden * self.size);
            (pen.x, pen.y) = (x + glyph.x, baseline + glyph.y);
            if let Some(outline) = face.font.outline_glyphs().get(glyph.id.into()) {
                let settings = DrawSettings::unhinted(Size::new(self.size), LocationRef::default());
                // A glyph without a readable outline stays blank.
                let _ = outline.draw(settings, pen);
            }
        }
        Outlines {
            filled: filled.path.finish(),
            emboldened: emboldened.path.finish().map(|path| (path, stroke)),
        }
    }
}

/// Font units to pixels. Advances and offsets of a font are below 2^16, which `f32` holds exactly.
fn scaled(units: i32, scale: f32) -> f32 {
    units as f32 * scale
}

/// The longest beginning of the text that fits with an ellipsis.
fn truncated(text: &str, weight: Weight, size: f32, width: f32) -> Line {
    let ends: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
    let line = |end: usize| Line::new(&format!("{}{ELLIPSIS}", text[..end].trim_end()), weight, size);
    // Joined letters make the width not quite monotonic; the last line is measured, so that it fits in any case.
    let fitting = ends.partition_point(|end| line(*end).width <= width);
    let fitting = ends[..fitting].iter().rev().map(|end| line(*end));
    fitting.into_iter().find(|line| line.width <= width).unwrap_or_default()
}

/// Splits a text into runs of one font and script, in logical order.
fn split(text: &str, weight: Weight) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut begin = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        let Some(face) = face_of(cluster, weight) else { continue };
        let script = script_of(cluster);
        let end = at + cluster.len();
        let continues = runs.last().is_some_and(|run| {
            run.face == face && (run.script == script || is_neutral(run.script) || is_neutral(script))
        });
        match runs.last_mut() {
            Some(run) if continues => {
                run.text = &text[begin..end];
                if is_neutral(run.script) {
                    run.script = script;
                }
            }
            _ => {
                begin = at;
                runs.push(Run {
                    text: cluster,
                    face,
                    script,
                });
            }
        }
    }
    runs
}

fn script_of(cluster: &str) -> Script {
    let scripts = cluster.chars().map(|character| character.script());
    scripts
        .into_iter()
        .find(|script| !is_neutral(*script))
        .unwrap_or(Script::Common)
}

fn is_neutral(script: Script) -> bool {
    matches!(script, Script::Common | Script::Inherited)
}

/// Appends outlines to a path at a position. Fonts have the y axis upwards.
#[derive(Default)]
struct Pen {
    path: PathBuilder,
    x: f32,
    y: f32,
}

impl OutlinePen for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.x + x, self.y - y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.x + x, self.y - y);
    }

    fn quad_to(&mut self, cx0: f32, cy0: f32, x: f32, y: f32) {
        self.path.quad_to(self.x + cx0, self.y - cy0, self.x + x, self.y - y);
    }

    fn curve_to(&mut self, cx0: f32, cy0: f32, cx1: f32, cy1: f32, x: f32, y: f32) {
        self.path.cubic_to(
            self.x + cx0,
            self.y - cy0,
            self.x + cx1,
            self.y - cy1,
            self.x + x,
            self.y - y,
        );
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: f32 = 400.0;

    /// Glyph 0 is the box of a missing character.
    fn assert_no_missing_glyph(line: &Line, text: &str) {
        assert!(!line.glyphs.is_empty(), "{text}");
        assert!(
            line.glyphs.iter().all(|glyph| glyph.id != 0),
            "{text}: {:?}",
            line.glyphs
        );
    }

    #[test]
    fn texts_of_every_script_have_their_glyphs() {
        for text in [
            "Chani",
            "Ελένη",
            "Наталья",
            "محمد علي",
            "שלום",
            "สวัสดี",
            "नमस्ते दुनिया",
            "山田太郎",
            "김민준",
            "Paul ポール 🐛",
            "👨‍👩‍👧‍👦",
            "a שלום b محمد c",
            "\u{1f1e9}\u{1f1ea}",
            "ﬁﬂ ﷺ",
        ] {
            let line = Line::new(&crate::names::drawable(text), Weight::ExtraBold, 60.0);
            assert_no_missing_glyph(&line, text);
            assert!(line.width > 0.0, "{text}");
        }
    }

    #[test]
    fn right_to_left_text_is_drawn_from_the_right() {
        let first = |text: &str| Line::new(text, Weight::Bold, 10.0).glyphs[0].id;
        assert_eq!(first("שלום"), first("ם"), "the last letter is the leftmost");
        let separate = |letter: char| Line::new(&letter.to_string(), Weight::Bold, 10.0).glyphs[0].id;
        let middle = Line::new("محمد", Weight::Bold, 10.0).glyphs[1].id;
        assert!(!['م', 'ح', 'د'].map(separate).contains(&middle), "letters are joined");
    }

    #[test]
    fn long_text_shrinks_and_then_ends_with_an_ellipsis() {
        let sizes = [60.0, 50.0, 40.0];
        let short = Line::fitting("Chani", Weight::Bold, &sizes, WIDTH);
        assert_eq!(short.size, 60.0);
        let medium = Line::fitting("Chani of the Sietch", Weight::Bold, &sizes, WIDTH);
        assert!(medium.size < 60.0 && medium.width <= WIDTH);
        for text in [
            "Chani of the Sietch Tabr, daughter of Liet",
            &"字".repeat(40),
            &"مرحبا ".repeat(20),
            &"W".repeat(90),
        ] {
            let long = Line::fitting(text, Weight::Bold, &sizes, WIDTH);
            assert!(
                long.width <= WIDTH && long.width > WIDTH * 0.7,
                "{text}: {}",
                long.width
            );
            let ellipsis = Line::new(ELLIPSIS, Weight::Bold, 40.0).glyphs[0].id;
            assert!(long.glyphs.iter().any(|glyph| glyph.id == ellipsis), "{text}");
        }
    }

    #[test]
    fn text_breaks_at_spaces() {
        let lines = Line::wrapped("Seat of the Seven", Weight::Bold, 40.0, 220.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.width <= 220.0));
        assert_eq!(Line::wrapped("Crysknife", Weight::Bold, 40.0, 220.0, 2).len(), 1);
        assert_eq!(
            Line::wrapped("Unbreakablelongword", Weight::Bold, 40.0, 120.0, 2).len(),
            1
        );
    }

    #[test]
    fn outlines_exist_for_each_kind_of_font() {
        let outlines = Line::new("Paul 字", Weight::Bold, 40.0).outlines(0.0, 40.0);
        assert!(outlines.filled.is_some() && outlines.emboldened.is_some());
        assert!(Line::new("", Weight::Bold, 40.0).outlines(0.0, 0.0).filled.is_none());
    }
}
