//! Tables for terminals.

/// Aligns rows under a heading: each column is as wide as its widest cell, and no line ends with spaces.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<&[String]> = rows.iter().map(<[String; N]>::as_slice).collect();
    aligned(&heading, &rows)
}

/// The same, of columns that depend on the rows.
pub fn table_of_columns(heading: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<&[String]> = rows.iter().map(Vec::as_slice).collect();
    aligned(heading, &rows)
}

fn aligned(heading: &[&str], rows: &[&[String]]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(*row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[&str]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths.iter().copied()) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = line(heading);
    for row in rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        text.push_str(&line(&cells));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a".to_owned(), "one".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["X", "Y"], &rows), "X       Y\na       one\nlonger\n");
    }
}
