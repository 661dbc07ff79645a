//! Text in columns.

use std::fmt::Display;

use anstyle::Style;

use crate::style::{TITLE, paint};

/// Rows under titles.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

struct Column {
    title: &'static str,
    /// For numbers.
    to_the_right: bool,
}

/// A piece of text in a style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn new(text: impl Display) -> Self {
        Self::styled(Style::new(), text)
    }

    pub fn styled(style: Style, text: impl Display) -> Self {
        Self { text: text.to_string(), style }
    }

    /// Something that may not be known.
    pub fn or_dash<T: Display>(value: Option<T>) -> Self {
        value.map_or_else(|| Self::new("-"), Self::new)
    }
}

impl Table {
    /// Columns by their titles; a `>` before a title puts what is in the column to the right.
    pub fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_prefix('>') {
            Some(title) => Column { title, to_the_right: true },
            None => Column { title, to_the_right: false },
        };
        Self { columns: titles.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The titles and the rows as lines of at most `width` characters, styled.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let titles = self.columns.iter().map(|column| Cell::styled(TITLE, column.title)).collect();
        let rows = || std::iter::once(&titles).chain(&self.rows);
        let len = |row: &Vec<Cell>, at: usize| row.get(at).map_or(0, |cell| cell.text.chars().count());
        let widths: Vec<_> =
            (0..self.columns.len()).map(|at| rows().map(|row| len(row, at)).max().unwrap_or(0)).collect();
        rows().map(|row| self.line(row, &widths, width)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], width: usize) -> String {
        let mut line = String::new();
        let mut room = width;
        let last = row.len().saturating_sub(1);
        for (at, ((cell, column), column_width)) in row.iter().zip(&self.columns).zip(widths).enumerate() {
            let padding = " ".repeat(column_width.saturating_sub(cell.text.chars().count()));
            let (before, behind) = if column.to_the_right { (&*padding, "") } else { ("", &*padding) };
            let gap = if at > 0 { "  " } else { "" };
            // Blanks at the end of a line are of no use to anybody.
            let behind = if at == last { "" } else { behind };
            for (style, text) in
                [(Style::new(), gap), (Style::new(), before), (cell.style, &cell.text), (Style::new(), behind)]
            {
                let text: String = text.chars().take(room).collect();
                room -= text.chars().count();
                if !text.is_empty() {
                    line += &if style == Style::new() { text } else { paint(style, text) };
                }
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::BAD;

    #[test]
    fn columns_line_up_and_are_cut_where_there_is_no_room() {
        let mut table = Table::new(&["NAME", ">COUNT"]);
        table.row([Cell::new("a"), Cell::new(5)]);
        table.row([Cell::styled(BAD, "größer"), Cell::new(1234567)]);
        let lines = |width| {
            let plain = |line: String| anstream::adapter::strip_str(&line).to_string();
            table.lines(width).into_iter().map(plain).collect::<Vec<_>>()
        };
        assert_eq!(lines(80), ["NAME      COUNT", "a             5", "größer  1234567"]);
        assert_eq!(lines(10), ["NAME      ", "a         ", "größer  12"]);
        assert!(table.lines(4)[2].ends_with(&paint(BAD, "größ")));
    }
}
