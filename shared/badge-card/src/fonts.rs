//! The bundled fonts, and which of them has the glyphs of a text.

use std::sync::LazyLock;

use harfrust::ShaperData;
use skrifa::charmap::Charmap;
use skrifa::raw::TableProvider as _;
use skrifa::{FontRef, MetadataProvider as _};

/// Weight of a text. Scripts other than Latin, Greek and Cyrillic have one weight only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Medium,
    Bold,
    ExtraBold,
}

/// A bundled font.
pub(crate) struct Face {
    pub(crate) font: FontRef<'static>,
    pub(crate) shaper: ShaperData,
    pub(crate) units_per_em: f32,
    /// Width of a stroke around the outlines, in em: it makes a regular font look bold beside the others.
    pub(crate) embolden: f32,
    charmap: Charmap<'static>,
}

/// Index of a font.
pub(crate) type FaceIndex = usize;

/// Font files with their [`Face::embolden`]: the three weights first, then the fonts of further scripts by preference.
const FILES: [(&[u8], f32); 9] = [
    (include_bytes!("../fonts/Manrope-Medium.ttf"), 0.0),
    (include_bytes!("../fonts/Manrope-Bold.ttf"), 0.0),
    (include_bytes!("../fonts/Manrope-ExtraBold.ttf"), 0.0),
    (include_bytes!("../fonts/NotoSans-Bold.ttf"), 0.0),
    (include_bytes!("../fonts/NotoSansArabic-Bold.ttf"), 0.0),
    (include_bytes!("../fonts/NotoSansHebrew-Bold.ttf"), 0.0),
    (include_bytes!("../fonts/NotoSansThai-Bold.ttf"), 0.0),
    (include_bytes!("../fonts/NotoEmoji-Bold.ttf"), 0.0),
    (include_bytes!("../fonts/DroidSansFallback.ttf"), 0.035),
];
const FIRST_FALLBACK: FaceIndex = 3;
const EMOJI: FaceIndex = 7;

static FACES: LazyLock<Vec<Face>> = LazyLock::new(|| FILES.iter().filter_map(Face::open).collect());

impl Face {
    fn open((bytes, embolden): &(&'static [u8], f32)) -> Option<Self> {
        let font = FontRef::new(bytes).ok()?;
        Some(Self {
            shaper: ShaperData::new(&font),
            units_per_em: f32::from(font.head().ok()?.units_per_em()),
            charmap: font.charmap(),
            embolden: *embolden,
            font,
        })
    }

    fn has(&self, cluster: &str) -> bool {
        let mut visible = cluster.chars().filter(|character| !is_invisible(*character));
        visible.all(|character| self.charmap.map(character).is_some())
    }
}

/// The font of this index.
pub(crate) fn face(index: FaceIndex) -> Option<&'static Face> {
    FACES.get(index)
}

/// The font for a grapheme cluster: the one of the weight, else the first one that has all its characters.
pub(crate) fn face_of(cluster: &str, weight: Weight) -> Option<FaceIndex> {
    let own: FaceIndex = match weight {
        Weight::Medium => 0,
        Weight::Bold => 1,
        Weight::ExtraBold => 2,
    };
    let emoji = is_emoji(cluster).then_some(EMOJI);
    let candidates = emoji.into_iter().chain([own]).chain(FIRST_FALLBACK..FILES.len());
    candidates
        .into_iter()
        .find(|index| face(*index).is_some_and(|face| face.has(cluster)))
}

/// Characters without a glyph of their own: joiners, variation selectors, and tags of flags.
pub(crate) const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether the cluster is to be shown as an emoji.
fn is_emoji(cluster: &str) -> bool {
    cluster
        .chars()
        .any(|character| matches!(character, '\u{fe0f}' | '\u{1f000}'..='\u{1faff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_font_opens() {
        assert_eq!(FACES.len(), FILES.len());
        assert!(FACES.iter().all(|face| face.units_per_em > 0.0));
    }

    #[test]
    fn every_bundled_font_has_its_licence() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fonts");
        let names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        for font in names.iter().filter(|name| name.ends_with(".ttf")) {
            let family = font.split(['-', '.']).next().unwrap();
            let has_licence = |name: &String| name.starts_with(&format!("{family}-")) && name.ends_with(".txt");
            assert!(names.iter().any(has_licence), "{font}");
        }
    }

    #[test]
    fn each_script_has_a_font() {
        for (text, index) in [
            ("a", 2),
            ("Ж", 2),
            ("Ω", 2),
            ("ᴀ", 3),
            ("न", 3),
            ("م", 4),
            ("ש", 5),
            ("ก", 6),
            ("🐛", EMOJI),
            ("⚔\u{fe0f}", EMOJI),
            ("字", 8),
            ("한", 8),
            ("カ", 8),
        ] {
            assert_eq!(face_of(text, Weight::ExtraBold), Some(index), "{text}");
        }
        assert_eq!(face_of("\u{12345}", Weight::Bold), None, "cuneiform");
    }
}
