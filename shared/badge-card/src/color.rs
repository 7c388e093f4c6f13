//! Colours of the card, derived from the colour of a tier.

use arrakis_domain::Color;
use resvg::tiny_skia;

/// Background of the card.
pub(crate) const BACKGROUND: Rgb = Rgb(0x0f, 0x10, 0x15);
/// Main text.
pub(crate) const TEXT: Rgb = Rgb(0xf6, 0xf4, 0xef);
/// Secondary text: a contrast of 8 to 1 on the background.
pub(crate) const MUTED: Rgb = Rgb(0xb4, 0xb6, 0xbf);
/// Captions of badges that are not earned: a contrast of 6 to 1 on the background, and of 4.5 to 1 on its brightest part.
pub(crate) const FAINT: Rgb = Rgb(0x94, 0x96, 0xa0);
/// The contrast that WCAG requires of text at level AA.
const MIN_CONTRAST: f32 = 4.5;

/// An opaque colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rgb(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl From<Color> for Rgb {
    fn from(color: Color) -> Self {
        let [_, red, green, blue] = color.rgb().to_be_bytes();
        Self(red, green, blue)
    }
}

impl Rgb {
    pub(crate) const WHITE: Self = Self(255, 255, 255);
    pub(crate) const BLACK: Self = Self(0, 0, 0);

    /// A mixture: this colour at 0, the other at 1.
    pub(crate) fn mixed(self, other: Self, share: f32) -> Self {
        let mix = |a: u8, b: u8| to_byte(f32::from(a) + (f32::from(b) - f32::from(a)) * share);
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// This colour, lightened until text in it is readable on the card's background.
    pub(crate) fn readable(self) -> Self {
        let steps = (0..=10_u8).map(|step| self.mixed(Self::WHITE, f32::from(step) / 10.0));
        let mut readable = steps.filter(|color| color.contrast(BACKGROUND) >= MIN_CONTRAST);
        readable.next().unwrap_or(Self::WHITE)
    }

    /// The colour with an opacity from 0 to 1.
    pub(crate) fn with_opacity(self, opacity: f32) -> tiny_skia::Color {
        tiny_skia::Color::from_rgba8(self.0, self.1, self.2, to_byte(opacity * 255.0))
    }

    /// The colour as an opaque pixel.
    pub(crate) fn opaque(self) -> tiny_skia::PremultipliedColorU8 {
        tiny_skia::ColorU8::from_rgba(self.0, self.1, self.2, u8::MAX).premultiply()
    }

    /// Contrast ratio by WCAG, 1 to 21: <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>.
    pub(crate) fn contrast(self, other: Self) -> f32 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Relative luminance, 0 to 1.
    pub(crate) fn luminance(self) -> f32 {
        let linear = |channel: u8| {
            let channel = f32::from(channel) / 255.0;
            if channel <= 0.04045 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

/// Rounds to a byte; values outside are clamped.
pub(crate) fn to_byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_becomes_readable() {
        for rgb in [0x00_00_00, 0x66_10_f2, 0x0f_10_15, 0xff_d7_00, 0xff_ff_ff, 0x41_69_e1] {
            let color = Rgb::from(Color::from_rgb(rgb));
            assert!(color.readable().contrast(BACKGROUND) >= MIN_CONTRAST, "{rgb:06x}");
        }
        let gold = Rgb(0xff, 0xd7, 0x00);
        assert_eq!(gold.readable(), gold, "readable as it is");
    }

    #[test]
    fn texts_are_readable_on_the_background() {
        assert!(TEXT.contrast(BACKGROUND) > 12.0);
        assert!(MUTED.contrast(BACKGROUND) > 8.0);
        assert!(FAINT.contrast(BACKGROUND) > MIN_CONTRAST);
        assert!((Rgb::BLACK.contrast(Rgb::WHITE) - 21.0).abs() < 0.01);
    }
}
