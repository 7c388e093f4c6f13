//! Where the parts of the card are, in pixels. Discord shows an embed's image at most 400 by 300 pixels large: the card of twelve
//! badges has this ratio, and its texts are readable at that size.

/// Width of the card.
pub(crate) const WIDTH: u32 = 1080;
/// Space at the left and right.
pub(crate) const MARGIN: f32 = 56.0;
/// Centre of the emblem with the rank.
pub(crate) const EMBLEM: (f32, f32) = (148.0, 146.0);
/// Upper end of the badges.
const GRID_TOP: u32 = 288;
/// Space below the badges, with the footer.
const FOOTER: u32 = 78;
/// Space between the margins of the grid and the card.
const GRID_MARGIN: f32 = 36.0;
/// Most cells of a row.
const MAX_COLUMNS: usize = 6;
/// Most cells of a card: it is at most 1,260 pixels high, 5.4 MB as pixels.
const MAX_CELLS: usize = 24;
/// Height of a line of a caption.
pub(crate) const CAPTION_LINE: f32 = 29.0;
/// Size of captions.
pub(crate) const CAPTION_SIZE: f32 = 24.0;
/// Lines of a caption.
pub(crate) const CAPTION_LINES: usize = 2;

/// The cells of the badges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    columns: usize,
    rows: usize,
    /// Badges that are shown.
    pub(crate) shown: usize,
    /// Badges for which there is no cell; the last cell states their number.
    pub(crate) hidden: usize,
    /// Side of a badge's image.
    pub(crate) side: u32,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    /// Centre.
    pub(crate) x: f32,
    /// Upper end.
    pub(crate) y: f32,
    /// Width for the caption.
    pub(crate) width: f32,
}

impl Grid {
    /// The grid for this number of badges.
    pub(crate) fn new(badges: usize) -> Self {
        let cells = badges.min(MAX_CELLS);
        let hidden = if badges > cells { badges - cells + 1 } else { 0 };
        let rows = cells.div_ceil(MAX_COLUMNS);
        let columns = cells.div_ceil(rows.max(1)).max(1);
        let side = match (columns, rows) {
            (6, _) | (_, 3..) => 132,
            (5, _) => 156,
            _ => 172,
        };
        Self {
            columns,
            rows,
            shown: cells - usize::from(hidden > 0),
            hidden,
            side,
        }
    }

    /// Height of the card.
    pub(crate) fn height(&self) -> u32 {
        let rows = u32::try_from(self.rows).unwrap_or_default();
        GRID_TOP + rows * self.row_height() + FOOTER
    }

    /// The cell of this index, from the upper left to the lower right.
    pub(crate) fn cell(&self, index: usize) -> Cell {
        let width = (WIDTH as f32 - 2.0 * GRID_MARGIN) / self.columns as f32;
        let (row, column) = (index / self.columns, index % self.columns);
        Cell {
            x: GRID_MARGIN + width * (column as f32 + 0.5),
            y: GRID_TOP as f32 + row as f32 * self.row_height() as f32,
            width: width - 12.0,
        }
    }

    /// Height of a row of cells.
    pub(crate) const fn row_height(&self) -> u32 {
        self.side + 92
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_of_any_number_of_badges() {
        let shape = |badges| {
            let grid = Grid::new(badges);
            (grid.columns, grid.rows, grid.shown, grid.hidden)
        };
        assert_eq!(shape(0), (1, 0, 0, 0));
        assert_eq!(shape(1), (1, 1, 1, 0));
        assert_eq!(shape(5), (5, 1, 5, 0));
        assert_eq!(shape(7), (4, 2, 7, 0));
        assert_eq!(shape(12), (6, 2, 12, 0));
        assert_eq!(shape(24), (6, 4, 24, 0));
        assert_eq!(shape(25), (6, 4, 23, 2));
        assert_eq!(shape(1_000), (6, 4, 23, 977));
    }

    #[test]
    fn cells_are_within_the_card() {
        for badges in 1..=30 {
            let grid = Grid::new(badges);
            let cells = grid.shown + usize::from(grid.hidden > 0);
            for index in 0..cells {
                let cell = grid.cell(index);
                assert!(cell.x - cell.width / 2.0 > 0.0 && cell.x + cell.width / 2.0 < 1080.0);
                assert!(cell.y as u32 + grid.row_height() + FOOTER <= grid.height());
            }
            assert!(grid.height() <= 1_262, "{badges}: {}", grid.height());
        }
    }
}
