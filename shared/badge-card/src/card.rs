//! The card: its parts, drawn from the background to the footer.

use std::collections::BTreeSet;

use arrakis_domain::{BadgeId, Balance, Color, Rank, Theme};
use resvg::tiny_skia::{Path, PathBuilder};

use crate::CardError;
use crate::art::{Medallion, pixels};
use crate::canvas::{Canvas, hexagon, rounded};
use crate::color::{BACKGROUND, FAINT, MUTED, Rgb, TEXT};
use crate::fonts::Weight;
use crate::layout::{CAPTION_LINE, CAPTION_LINES, CAPTION_SIZE, Cell, Grid, MARGIN, WIDTH};
use crate::line::Line;
use crate::names::drawable;
use crate::png::encoded;

/// Left end of the name.
const NAME_LEFT: f32 = 266.0;
/// Width of the count of badges at the right.
const COUNT_WIDTH: f32 = 176.0;
/// Sizes of the name: the largest that fits.
const NAME_SIZES: [f32; 4] = [66.0, 58.0, 50.0, 42.0];
/// Centre of the emblem with the rank.
const EMBLEM: (f32, f32) = (148.0, 146.0);

/// What a card shows.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// The member's name, untrusted.
    pub name: &'a str,
    /// Name and colour of the member's tier; `None` below the lowest one.
    pub tier: Option<(&'a str, Color)>,
    /// The member's rank; `None` when not ranked.
    pub rank: Option<Rank>,
    /// Full days since the member joined.
    pub tenure_days: u32,
    /// The badges that the member holds.
    pub badges: &'a BTreeSet<BadgeId>,
    /// Name of the community.
    pub community: &'a str,
}

/// What the cards of all members of a theme have in common: the pictures and captions of its badges.
#[derive(Debug)]
pub struct CardTemplate {
    badges: Vec<TemplateBadge>,
    accent: Color,
    footer: String,
}

#[derive(Debug)]
struct TemplateBadge {
    id: BadgeId,
    medallion: Medallion,
    caption: Vec<Line>,
}

impl CardTemplate {
    /// Draws the badges of a theme, in a few milliseconds for each.
    ///
    /// # Errors
    /// [`CardError::Art`] for art that cannot be drawn, which the theme loader refuses before.
    pub fn new(theme: &Theme) -> Result<Self, CardError> {
        let grid = Grid::new(theme.badges.len());
        let mut badges = Vec::with_capacity(theme.badges.len());
        for badge in &theme.badges {
            let caption = drawable(&badge.name);
            let width = grid.cell(0).width;
            badges.push(TemplateBadge {
                id: badge.id.clone(),
                medallion: Medallion::new(badge, theme.accent, grid.side)?,
                caption: Line::wrapped(&caption, Weight::Bold, CAPTION_SIZE, width, CAPTION_LINES),
            });
        }
        Ok(Self {
            badges,
            accent: theme.accent,
            footer: drawable(&theme.words.footer),
        })
    }

    /// Draws a member's card as a PNG image. It takes some milliseconds of CPU and up to 12 MB for as long.
    ///
    /// # Errors
    /// When the image cannot be encoded.
    pub fn draw(&self, card: &Card<'_>) -> Result<Vec<u8>, CardError> {
        let grid = Grid::new(self.badges.len());
        let mut canvas = Canvas::new(WIDTH, grid.height())?;
        let color = card.tier.map_or(self.accent, |(_, color)| color);
        let look = Look {
            color: Rgb::from(color),
            height: pixels(grid.height()),
        };
        look.background(&mut canvas);
        look.emblem(&mut canvas, card.rank);
        look.member(&mut canvas, card);
        look.count(&mut canvas, card.badges, &self.badges);
        self.grid(&mut canvas, &grid, card.badges);
        look.footer(&mut canvas, card.community, &self.footer);
        encoded(&canvas.into_pixmap())
    }

    fn grid(&self, canvas: &mut Canvas, grid: &Grid, held: &BTreeSet<BadgeId>) {
        for (index, badge) in self.shown(grid, held).into_iter().enumerate() {
            let is_earned = held.contains(&badge.id);
            badge.draw(canvas, grid.cell(index), grid.side, is_earned);
        }
        if grid.hidden > 0 {
            let cell = grid.cell(grid.shown);
            let more = Line::new(&format!("+{}", grid.hidden), Weight::ExtraBold, 44.0);
            let baseline = cell.y + pixels(grid.side) / 2.0 + 15.0;
            canvas.text(&more, cell.x - more.width / 2.0, baseline, MUTED);
        }
    }

    /// The badges of the cells in the theme's order; where there are too few cells, those that the member holds.
    fn shown(&self, grid: &Grid, held: &BTreeSet<BadgeId>) -> Vec<&TemplateBadge> {
        let mut shown: Vec<_> = self.badges.iter().collect();
        if grid.hidden > 0 {
            shown.sort_by_key(|badge| !held.contains(&badge.id));
        }
        shown.truncate(grid.shown);
        shown
    }
}

impl TemplateBadge {
    fn draw(&self, canvas: &mut Canvas, cell: Cell, side: u32, is_earned: bool) {
        let image = if is_earned {
            &self.medallion.earned
        } else {
            &self.medallion.dimmed
        };
        let left = cell.x - pixels(side) / 2.0;
        canvas.image(image.as_ref(), whole(left), whole(cell.y));
        let mut baseline = cell.y + pixels(side) + 34.0;
        for line in &self.caption {
            let color = if is_earned { TEXT } else { FAINT };
            canvas.text(line, cell.x - line.width / 2.0, baseline, color);
            baseline += CAPTION_LINE;
        }
    }
}

/// Colour and height of one card.
#[derive(Debug, Clone, Copy)]
struct Look {
    color: Rgb,
    height: f32,
}

impl Look {
    /// A dark ground with a glow in the tier's colour behind the emblem, and waves at the foot.
    fn background(self, canvas: &mut Canvas) {
        canvas.clear(BACKGROUND);
        // A bright colour needs less of it; gold would turn the ground olive.
        let strength = 1.0 - 0.6 * self.color.luminance();
        canvas.glow(EMBLEM.0, EMBLEM.1, 760.0, self.color, 0.3 * strength);
        canvas.glow(pixels(WIDTH), self.height, 620.0, self.color, 0.1 * strength);
        for (rise, phase, opacity) in [(190.0, 0.0, 0.06), (128.0, 1.9, 0.07), (74.0, 3.6, 0.09)] {
            if let Some(path) = wave(self.height - rise, phase, self.height) {
                canvas.fill(&path, self.color, opacity * strength);
            }
        }
    }

    /// A hexagon in the tier's colour with the rank.
    fn emblem(self, canvas: &mut Canvas, rank: Option<Rank>) {
        let (x, y) = EMBLEM;
        let (light, dark) = (self.color.mixed(Rgb::WHITE, 0.25), self.color.mixed(Rgb::BLACK, 0.35));
        if let Some(path) = hexagon(x, y, 104.0) {
            canvas.fill_vertical(&path, light, dark);
        }
        if let Some(path) = hexagon(x, y, 92.0) {
            canvas.fill_vertical(
                &path,
                self.color.mixed(BACKGROUND, 0.78),
                self.color.mixed(BACKGROUND, 0.9),
            );
        }
        let number = rank.map_or_else(|| "–".to_owned(), |rank| grouped(rank.get()));
        let label = if rank.is_some() { "RANK" } else { "NO RANK" };
        let label = Line::new(label, Weight::Bold, 21.0);
        canvas.text(&label, x - label.width / 2.0, y - 30.0, self.color.readable());
        let number = Line::fitting(&number, Weight::ExtraBold, &[74.0, 60.0, 48.0, 40.0, 30.0, 26.0], 146.0);
        canvas.text(
            &number,
            x - number.width / 2.0,
            y + 12.0 + number.size * 0.36,
            Rgb::WHITE,
        );
    }

    /// Name, tier and tenure.
    fn member(self, canvas: &mut Canvas, card: &Card<'_>) {
        let width = pixels(WIDTH) - NAME_LEFT - MARGIN - COUNT_WIDTH;
        let mut name = drawable(card.name);
        if name.is_empty() {
            "Member".clone_into(&mut name);
        }
        let name = Line::fitting(&name, Weight::ExtraBold, &NAME_SIZES, width);
        canvas.text(&name, NAME_LEFT, 128.0, TEXT);
        let (tier, color) = match card.tier {
            Some((tier, _)) => (drawable(tier), self.color.readable()),
            None => ("No tier yet".to_owned(), MUTED),
        };
        let tier = Line::fitting(&tier, Weight::Bold, &[36.0], width * 0.55);
        canvas.text(&tier, NAME_LEFT, 186.0, color);
        let tenure = Line::fitting(
            &tenure(card.tenure_days),
            Weight::Medium,
            &[30.0, 26.0],
            width - tier.width,
        );
        let left = NAME_LEFT + tier.width + 18.0;
        canvas.disc(left, 174.0, 3.5, MUTED);
        canvas.text(&tenure, left + 18.0, 185.0, MUTED);
    }

    /// How many of the theme's badges the member holds, as a number and as a bar.
    fn count(self, canvas: &mut Canvas, held: &BTreeSet<BadgeId>, all: &[TemplateBadge]) {
        let (count, of) = (all.iter().filter(|badge| held.contains(&badge.id)).count(), all.len());
        let right = pixels(WIDTH) - MARGIN;
        let total = Line::new(&format!("/{of}"), Weight::Bold, 38.0);
        let number = Line::new(&count.to_string(), Weight::ExtraBold, 70.0);
        canvas.text(&total, right - total.width, 128.0, MUTED);
        canvas.text(&number, right - total.width - number.width - 4.0, 128.0, Rgb::WHITE);
        let label = Line::new("BADGES", Weight::Bold, 22.0);
        canvas.text(&label, right - label.width, 184.0, MUTED);
        let width = right - NAME_LEFT;
        if let Some(path) = rounded(NAME_LEFT, 216.0, width, 12.0, 6.0) {
            canvas.fill(&path, Rgb::WHITE, 0.1);
        }
        let done = width * count as f32 / of.max(1) as f32;
        if let Some(path) = rounded(NAME_LEFT, 216.0, done.max(12.0), 12.0, 6.0).filter(|_| count > 0) {
            canvas.fill_horizontal(
                &path,
                self.color.readable(),
                self.color.readable().mixed(Rgb::WHITE, 0.45),
            );
        }
    }

    /// The community's name at the left, the theme's line at the right.
    fn footer(self, canvas: &mut Canvas, community: &str, words: &str) {
        let (baseline, half) = (self.height - 30.0, pixels(WIDTH) / 2.0 - MARGIN);
        let community = Line::fitting(&drawable(community), Weight::Bold, &[24.0], half);
        canvas.text(&community, MARGIN, baseline, MUTED);
        let words = Line::fitting(words, Weight::Medium, &[24.0], half);
        canvas.text(&words, pixels(WIDTH) - MARGIN - words.width, baseline, MUTED);
    }
}

fn tenure(days: u32) -> String {
    match days {
        0 => "joined today".to_owned(),
        1 => "1 day here".to_owned(),
        days => format!("{} days here", grouped(days)),
    }
}

fn grouped(number: u32) -> String {
    Balance::from_tokens(u64::from(number)).grouped().to_string()
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

/// The nearest pixel. Positions are below 2^16.
fn whole(position: f32) -> i32 {
    position.round() as i32
}
