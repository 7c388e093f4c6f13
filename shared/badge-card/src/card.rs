//! The card: its parts, drawn from the background to the footer.

use std::collections::BTreeSet;

use arrakis_domain::{BadgeId, Balance, Color, Rank, Theme};
use resvg::tiny_skia::Pixmap;

use crate::CardError;
use crate::art::{Medallion, pixels};
use crate::backdrop::Backdrop;
use crate::canvas::{Canvas, hexagon, rounded};
use crate::color::{BACKGROUND, FAINT, MUTED, Rgb, TEXT};
use crate::fonts::Weight;
use crate::layout::{CAPTION_LINE, CAPTION_LINES, CAPTION_SIZE, Cell, EMBLEM, Grid, MARGIN, WIDTH};
use crate::line::Line;
use crate::names::drawable;
use crate::png::encoded;

/// Left end of the name.
const NAME_LEFT: f32 = 266.0;
/// Width of the count of badges at the right.
const COUNT_WIDTH: f32 = 176.0;
/// Sizes of the name: the largest that fits.
const NAME_SIZES: [f32; 4] = [66.0, 58.0, 50.0, 42.0];
/// Space at the left and right of a badge's picture and caption: letters may reach beyond their line.
const CELL_PADDING: f32 = 6.0;

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

/// What the cards of all members of a theme have in common: the background, and the pictures and captions of its badges.
#[derive(Debug)]
pub struct CardTemplate {
    badges: Vec<TemplateBadge>,
    backdrop: Backdrop,
    accent: Color,
    footer: String,
}

/// A badge with its caption, drawn in both states.
#[derive(Debug)]
struct TemplateBadge {
    id: BadgeId,
    earned: Pixmap,
    open: Pixmap,
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
            let name = drawable(&badge.name);
            let width = grid.cell(0).width;
            let caption = Line::wrapped(&name, Weight::Bold, CAPTION_SIZE, width, CAPTION_LINES);
            let medallion = Medallion::new(badge, theme.accent, grid.side)?;
            badges.push(TemplateBadge {
                id: badge.id.clone(),
                earned: captioned(&medallion.earned, &caption, TEXT, &grid)?,
                open: captioned(&medallion.dimmed, &caption, FAINT, &grid)?,
            });
        }
        Ok(Self {
            badges,
            backdrop: Backdrop::new(grid.height())?,
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
        let color = card.tier.map_or(self.accent, |(_, color)| color);
        let look = Look {
            color: Rgb::from(color),
            height: pixels(grid.height()),
        };
        let mut canvas = self.backdrop.painted(look.color)?;
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
            badge.draw(canvas, grid.cell(index), is_earned);
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
    fn draw(&self, canvas: &mut Canvas, cell: Cell, is_earned: bool) {
        let image = if is_earned { &self.earned } else { &self.open };
        let left = cell.x - pixels(image.width()) / 2.0;
        canvas.image(image, (whole(left), whole(cell.y)));
    }
}

/// A badge's picture with its caption below, as large as both.
fn captioned(picture: &Pixmap, caption: &[Line], color: Rgb, grid: &Grid) -> Result<Pixmap, CardError> {
    let widest = caption
        .iter()
        .fold(pixels(picture.width()), |widest, line| widest.max(line.width));
    let width = (widest + 2.0 * CELL_PADDING).ceil() as u32;
    let mut canvas = Canvas::new(width, grid.row_height())?;
    let middle = pixels(width) / 2.0;
    canvas.image(picture, (whole(middle - pixels(picture.width()) / 2.0), 0));
    let mut baseline = pixels(picture.height()) + 34.0;
    for line in caption {
        canvas.text(line, middle - line.width / 2.0, baseline, color);
        baseline += CAPTION_LINE;
    }
    Ok(canvas.into_pixmap())
}

/// Colour and height of one card.
#[derive(Debug, Clone, Copy)]
struct Look {
    color: Rgb,
    height: f32,
}

impl Look {
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

/// The nearest pixel. Positions are on the card, from 0 to below 2^16.
fn whole(position: f32) -> usize {
    position.round() as usize
}
