//! Decoded images and the sample card.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;

use arrakis_badge_card::{Card, CardTemplate};
use arrakis_domain::{BadgeId, Rank, Theme, TierId};
use arrakis_themes::Registry;

/// An image in RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

/// A rectangle: left, top, width, height.
pub type Region = (usize, usize, usize, usize);

impl Image {
    pub fn decode(file: &[u8]) -> Self {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        rgb.truncate(info.buffer_size());
        Self {
            width: info.width as usize,
            height: info.height as usize,
            rgb,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let (width, height) = (u32::try_from(self.width).unwrap(), u32::try_from(self.height).unwrap());
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&self.rgb).unwrap();
        file
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// The pixels of a region.
    pub fn region(&self, (left, top, width, height): Region) -> Vec<[u8; 3]> {
        let rows = top..top + height;
        rows.flat_map(|y| (left..left + width).map(move |x| self.pixel(x, y)))
            .collect()
    }

    /// The average colour of a region.
    pub fn average(&self, region: Region) -> [u8; 3] {
        let pixels = self.region(region);
        let sum = |channel: usize| pixels.iter().map(|pixel| usize::from(pixel[channel])).sum::<usize>();
        [0, 1, 2].map(|channel| u8::try_from(sum(channel) / pixels.len()).unwrap())
    }

    /// The average difference between the largest and the smallest channel: 0 for grey.
    pub fn colourfulness(&self, region: Region) -> usize {
        let pixels = self.region(region);
        let range = |[red, green, blue]: &[u8; 3]| usize::from(*red.max(green).max(blue) - *red.min(green).min(blue));
        pixels.iter().map(range).sum::<usize>() / pixels.len()
    }

    /// The number of bright pixels, which are those of white text.
    pub fn bright(&self, region: Region) -> usize {
        let is_bright = |pixel: &&[u8; 3]| pixel.iter().all(|channel| *channel > 200);
        self.region(region).iter().filter(is_bright).count()
    }

    /// The image with each square of `side` pixels as one pixel.
    pub fn reduced(&self, side: usize) -> Self {
        let (width, height) = (self.width / side, self.height / side);
        let squares = (0..height).flat_map(|y| (0..width).map(move |x| (x * side, y * side, side, side)));
        Self {
            width,
            height,
            rgb: squares.flat_map(|square| self.average(square)).collect(),
        }
    }
}

pub fn theme(id: &str) -> Arc<Theme> {
    Arc::clone(Registry::load(None).unwrap().theme(id).unwrap())
}

/// A card to draw.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    pub theme: &'a str,
    pub name: &'a str,
    pub tier: Option<&'a str>,
    pub rank: Option<u32>,
    pub days: u32,
    /// The first badges of the theme.
    pub badges: usize,
}

pub const CHANI: Sample<'_> = Sample {
    theme: "sietch",
    name: "Chani Kynes",
    tier: Some("naib"),
    rank: Some(1),
    days: 214,
    badges: 7,
};

impl Sample<'_> {
    pub fn draw(&self) -> Image {
        let theme = theme(self.theme);
        let badges = theme.badges.iter().take(self.badges);
        let badges: BTreeSet<BadgeId> = badges.map(|badge| badge.id.clone()).collect();
        let tier = self.tier.map(|tier| theme.tier(&TierId::new(tier).unwrap()).unwrap());
        let card = Card {
            name: self.name,
            tier: tier.map(|tier| (tier.name.as_str(), tier.color)),
            rank: self.rank.and_then(Rank::new),
            tenure_days: self.days,
            badges: &badges,
            community: "Sietch Tabr",
        };
        let file = CardTemplate::new(&theme).unwrap().draw(&card).unwrap();
        assert!(file.len() < 1_000_000, "{} bytes", file.len());
        Image::decode(&file)
    }
}
