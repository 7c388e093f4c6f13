//! Untrusted names: whatever they contain, they are one line in their own place.

use crate::image::{CHANI, Image, Region, Sample};

/// Where the name is.
const NAME: Region = (266, 60, 580, 90);
/// What must not change: the emblem, the count of badges, the bar, the badges, the footer.
const OTHERS: [Region; 4] = [
    (0, 0, 256, 814),
    (856, 0, 224, 814),
    (256, 200, 600, 614),
    (256, 0, 600, 50),
];

fn with_name(name: &str) -> Image {
    Sample { name, ..CHANI }.draw()
}

#[test]
fn hostile_names_stay_in_their_place() {
    let plain = CHANI.draw();
    let zalgo = format!("Z{}", "\u{30d}\u{31a}\u{316}".repeat(300));
    for name in [
        "x".repeat(10_000).as_str(),
        "W".repeat(32).as_str(),
        "</svg><script>alert(1)</script>&lt;\"'",
        "\u{202e}drow\u{202c}\n\r\t\u{0}",
        zalgo.as_str(),
        "﷽﷽﷽﷽﷽﷽﷽﷽﷽﷽﷽﷽﷽﷽﷽﷽",
        "محمد علي ابن الصحراء الطويل الاسم جدا جدا جدا",
        "שלום עולם ארוך מאוד מאוד מאוד מאוד מאוד",
        "日本語の名前がとても長い場合の表示を確認する名前です",
        "👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿🇩🇪🏳️‍🌈👍🏽",
        "a\u{200d}\u{200d}\u{200d}b\u{fe0f}c",
        "ক্ষুধা မြန်မာ ខ្មែរ አማርኛ",
    ] {
        let image = with_name(name);
        for region in OTHERS {
            assert_eq!(
                image.region(region),
                plain.region(region),
                "{name:?} draws outside of its place"
            );
        }
        assert!(image.bright(NAME) > 20, "{name:?} is visible");
    }
}

#[test]
fn name_without_anything_to_draw_is_replaced() {
    let replaced = with_name("Member");
    for name in [
        "",
        "   ",
        "\u{200b}\u{2060}",
        "\u{12345}",
        "\u{e000}\u{e001}",
        "\u{3164}",
    ] {
        assert_eq!(with_name(name), replaced, "{name:?}");
    }
}

#[test]
fn decorative_name_is_drawn_in_plain_letters() {
    assert_eq!(with_name("𝕮𝖍𝖆𝖓𝖎"), with_name("Chani"));
}

#[test]
fn different_scripts_are_different_pictures() {
    let images = ["山田太郎", "김민준", "Наталья", "محمد", "שלום", "สวัสดี", "नमस्ते"].map(with_name);
    for (index, image) in images.iter().enumerate() {
        for other in &images[index + 1..] {
            assert_ne!(image.region(NAME), other.region(NAME));
        }
    }
}
