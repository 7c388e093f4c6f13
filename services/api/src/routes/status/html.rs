//! Writes HTML. Markup is a literal of this program; every other text is escaped.

use std::fmt::{Display, Write as _};

/// A page under construction.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// A page with this title, up to the beginning of its content.
    pub(super) fn page(title: &str) -> Self {
        let mut html = Self::default();
        html.markup("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
            .markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>")
            .text(title)
            .markup("</title><link rel=\"stylesheet\" href=\"/assets/status/status.css\"></head><body>");
        html
    }

    /// Appends markup.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends a text, escaped for an element and for a quoted attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        let mut plain = String::new();
        // Writing to a string does not fail.
        let _ = write!(plain, "{text}");
        for character in plain.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        self
    }

    /// Appends a heading and a table with a row for each element; `none` in place of a table without rows.
    pub(super) fn table<const COLUMNS: usize>(
        &mut self,
        heading: &'static str,
        columns: [&'static str; COLUMNS],
        rows: &[[Cell; COLUMNS]],
        none: &'static str,
    ) {
        self.markup("<section><h2>").markup(heading).markup("</h2>");
        if rows.is_empty() {
            self.markup("<p class=\"muted\">").markup(none).markup("</p></section>");
            return;
        }
        self.markup("<table><thead><tr>");
        for column in columns {
            self.markup("<th scope=\"col\">").markup(column).markup("</th>");
        }
        self.markup("</tr></thead><tbody>");
        for row in rows {
            self.markup("<tr>");
            for cell in row {
                self.markup(match cell.kind {
                    CellKind::Plain => "<td>",
                    CellKind::Number => "<td class=\"number\">",
                    CellKind::Good => "<td class=\"good\">",
                    CellKind::Bad => "<td class=\"bad\">",
                });
                self.text(&cell.text).markup("</td>");
            }
            self.markup("</tr>");
        }
        self.markup("</tbody></table></section>");
    }

    /// The whole page.
    pub(super) fn end(mut self) -> String {
        self.markup("</body></html>\n");
        self.0
    }
}

/// How a cell is shown.
#[derive(Debug, Clone, Copy)]
enum CellKind {
    Plain,
    Number,
    Good,
    Bad,
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    kind: CellKind,
}

impl Cell {
    /// A text.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: CellKind::Plain,
        }
    }

    /// A number.
    pub(super) fn number(number: impl Display) -> Self {
        Self {
            text: number.to_string(),
            kind: CellKind::Number,
        }
    }

    /// A state, which needs attention or not. The text says which: colour alone would not be seen by everybody.
    pub(super) fn state(is_good: bool, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: if is_good { CellKind::Good } else { CellKind::Bad },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_in_elements_and_attributes() {
        let mut html = Html::default();
        html.text("<script>\"x\" & 'y'</script>");
        assert_eq!(html.0, "&lt;script&gt;&quot;x&quot; &amp; &#39;y&#39;&lt;/script&gt;");
        let page = Html::page("</title><b>").end();
        assert!(!page.contains("<b>") && page.ends_with("</body></html>\n"), "{page}");
    }

    #[test]
    fn table_without_rows_is_a_sentence() {
        let mut html = Html::default();
        html.table("Queues", ["Name"], &[], "There are none.");
        assert!(html.0.contains("There are none.") && !html.0.contains("<table>"));
        html.table("Queues", ["Name"], &[[Cell::plain("<q>")]], "There are none.");
        assert!(html.0.contains("<td>&lt;q&gt;</td>"), "{}", html.0);
    }
}
