//! Preparation of untrusted texts: what remains can be drawn with the bundled fonts, in one line.

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::fonts::{Weight, face_of};

/// Grapheme clusters that are read of a text. Discord's names have up to 32 characters.
const MAX_CLUSTERS: usize = 96;
/// Characters of a cluster: more are stacked marks, which would cover what is above and below the line. A family of four has seven.
const MAX_CLUSTER_CHARACTERS: usize = 8;
/// Combining marks of a cluster.
const MAX_MARKS: usize = 2;

/// The text with spaces as its only white space, without control characters and direction overrides. Letters in a decorative
/// alphabet for which there is no font become plain ones (`𝔐` becomes `M`); other characters without a glyph are left out. Empty
/// when nothing can be drawn.
pub(crate) fn drawable(text: &str) -> String {
    let mut drawable = String::new();
    for cluster in text.graphemes(true).take(MAX_CLUSTERS) {
        if cluster.chars().all(char::is_whitespace) {
            if !drawable.is_empty() && !drawable.ends_with(' ') {
                drawable.push(' ');
            }
            continue;
        }
        if let Some(cluster) = drawable_cluster(cluster) {
            drawable.push_str(&cluster);
        }
    }
    drawable.truncate(drawable.trim_end().len());
    drawable
}

fn drawable_cluster(cluster: &str) -> Option<String> {
    let mut marks = 0;
    let kept = cluster.chars().filter(|character| {
        marks += usize::from(is_mark(*character));
        !is_removed(*character) && (!is_mark(*character) || marks <= MAX_MARKS)
    });
    let kept: String = kept.take(MAX_CLUSTER_CHARACTERS).map(plain_letter).collect();
    let plain = || kept.nfkc().collect::<String>();
    let base = || kept.nfkd().take(1).collect::<String>();
    let has_glyphs = |text: &String| !text.trim().is_empty() && face_of(text, Weight::ExtraBold).is_some();
    Some(kept.clone())
        .filter(|text| has_glyphs(text) && text.chars().any(|character| !crate::fonts::is_invisible(character)))
        .or_else(|| Some(plain()).filter(|text| !kept.is_empty() && !is_only_invisible(text) && has_glyphs(text)))
        .or_else(|| Some(base()).filter(|text| !is_only_invisible(text) && has_glyphs(text)))
}

/// The letter in a filled circle or square: Unicode has no decomposition of these, and the emoji font has four of them.
fn plain_letter(character: char) -> char {
    let alphabet = match character {
        '\u{1f150}'..='\u{1f169}' => 0x1f150,
        '\u{1f170}'..='\u{1f189}' => 0x1f170,
        _ => return character,
    };
    char::from_u32(u32::from('A') + (u32::from(character) - alphabet)).unwrap_or(character)
}

fn is_only_invisible(text: &str) -> bool {
    text.chars().all(crate::fonts::is_invisible)
}

/// Characters that would change the line or are not drawn: controls, direction overrides, private use. The bundled emoji have no
/// skin tones.
fn is_removed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}'
                | '\u{1f3fb}'..='\u{1f3ff}' | '\u{f0000}'..='\u{10ffff}'
        )
}

/// Combining marks of any script that stand above or below a letter, as they are stacked in "zalgo" text.
const fn is_mark(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_script_are_kept() {
        for name in [
            "Chani",
            "Łukasz Żółć",
            "Nguyễn Văn",
            "Ελένη",
            "Наталья",
            "محمد علي",
            "שלום",
            "สวัสดี",
            "नमस्ते",
            "山田太郎",
            "김민준",
            "ポール",
            "Stilgar 🐛👑",
            "👨‍👩‍👧‍👦",
            "❤\u{fe0f}",
        ] {
            assert_eq!(drawable(name), name);
        }
    }

    #[test]
    fn decorative_letters_become_plain() {
        assert_eq!(drawable("𝔐𝔲𝔞𝔡'𝔇𝔦𝔟"), "Muad'Dib");
        assert_eq!(drawable("Ｃｈａｎｉ"), "Ｃｈａｎｉ", "there is a font for wide letters");
        assert_eq!(drawable("🅲🅷🅰🅽🅸 ①"), "CHANI 1");
    }

    #[test]
    fn hostile_characters_are_removed() {
        assert_eq!(drawable("a\u{202e}b\u{0}\n\t c\u{200b}\u{2066}"), "ab c");
        assert_eq!(drawable("\u{12345}x\u{e000}"), "x");
        for empty in [
            "",
            "  ",
            "\u{200b}\u{200d}\u{fe0f}",
            "\u{3164}",
            "\u{12345}",
            "\u{202e}",
            "\u{300}",
        ] {
            assert!(drawable(empty).chars().all(is_mark), "{empty:?}");
        }
        let zalgo = format!("Z{}", "\u{30d}\u{31a}".repeat(400));
        assert!(drawable(&zalgo).chars().count() <= 1 + MAX_MARKS);
        assert_eq!(drawable(&"x".repeat(10_000)).len(), MAX_CLUSTERS);
    }

    #[test]
    fn skin_tones_are_left_out() {
        assert_eq!(drawable("👍🏽"), "👍");
    }
}
