//! Text in columns.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::style::{TITLE, paint};

/// Rows under titles.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

struct Row {
    cells: Vec<Cell>,
    /// What is said in the place of the columns behind the cells, however many of them are shown.
    note: Option<Cell>,
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

    /// How many columns of a terminal it takes.
    fn width(&self) -> usize {
        self.text.width()
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
        self.rows.push(Row { cells: cells.into_iter().collect(), note: None });
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row of one cell, and a note behind it.
    pub fn noted_row(&mut self, cell: Cell, note: Cell) {
        self.rows.push(Row { cells: vec![cell], note: Some(note) });
    }

    /// Writes the [lines](Self::lines).
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.lines().iter().try_for_each(|line| writeln!(out, "{line}"))
    }

    /// The titles and the rows as lines, styled.
    pub fn lines(&self) -> Vec<String> {
        self.lines_within(usize::MAX, &[])
    }

    /// As [`lines`](Self::lines), of at most `width` characters. Where there is no room, the first column is cut, but to no less
    /// than half of the width; then columns are left out, by their titles, until the others fit.
    pub fn lines_within(&self, width: usize, left_out: &[&str]) -> Vec<String> {
        let titles = self.columns.iter().map(|column| Cell::styled(TITLE, column.title)).collect();
        let titles = Row { cells: titles, note: None };
        let rows = || std::iter::once(&titles).chain(&self.rows);
        let cell_width = |row: &Row, at: usize| row.cells.get(at).map_or(0, Cell::width);
        let mut shown: Vec<_> = (0..self.columns.len())
            .map(|at| Shown { at, width: rows().map(|row| cell_width(row, at)).max().unwrap_or(0) })
            .collect();
        let first = shown.first().map_or(0, |first| first.width);
        let rest = |shown: &[Shown]| shown.iter().skip(1).map(|column| GAP.len() + column.width).sum::<usize>();
        for title in left_out {
            if first.min(width / 2) + rest(&shown) <= width {
                break;
            }
            shown.retain(|column| self.columns.get(column.at).is_some_and(|column| column.title != *title));
        }
        let room = width.saturating_sub(rest(&shown));
        if let Some(first) = shown.first_mut() {
            first.width = first.width.min(room);
        }
        rows().map(|row| self.line(row, &shown, width)).collect()
    }

    fn line(&self, row: &Row, shown: &[Shown], width: usize) -> String {
        let mut line = Line { text: String::new(), room: width };
        for (column, cell) in shown.iter().filter_map(|column| Some((column, row.cells.get(column.at)?))) {
            if column.at > 0 {
                line.blanks(GAP.len());
            }
            let padding = column.width.saturating_sub(cell.width());
            let to_the_right = self.columns.get(column.at).is_some_and(|column| column.to_the_right);
            line.blanks(if to_the_right { padding } else { 0 });
            line.put(cell, column.width);
            // Blanks at the end of a line are of no use to anybody.
            let is_last = shown.last().is_some_and(|last| last.at == column.at);
            line.blanks(if to_the_right || is_last { 0 } else { padding });
        }
        if let Some(note) = &row.note {
            line.blanks(GAP.len());
            line.put(note, usize::MAX);
        }
        line.text
    }
}

const GAP: &str = "  ";

/// A column that there is room for.
struct Shown {
    at: usize,
    width: usize,
}

/// A line, and for how many more characters there is room.
struct Line {
    text: String,
    room: usize,
}

impl Line {
    fn blanks(&mut self, count: usize) {
        let count = count.min(self.room);
        self.text.extend(std::iter::repeat_n(' ', count));
        self.room -= count;
    }

    /// Puts as much of a cell as there is room for.
    fn put(&mut self, cell: &Cell, width: usize) {
        let width = width.min(self.room);
        let text: Cow<'_, str> = match cell.width() > width {
            false => Cow::Borrowed(&cell.text),
            true if width == 0 => Cow::Borrowed(""),
            true => {
                let cut = first_columns(&cell.text, width - 1);
                // A wide character may have had no room by half.
                Cow::Owned(format!("{cut}…{}", " ".repeat(width - 1 - cut.width())))
            }
        };
        self.room -= text.width();
        match cell.style == Style::new() || text.is_empty() {
            true => self.text += &text,
            false => self.text += &paint(cell.style, text),
        }
    }
}

/// As much of a text as has room in so many columns.
pub fn first_columns(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, character)| {
        taken += character.width().unwrap_or(0);
        taken > columns
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::BAD;

    #[test]
    fn columns_line_up_and_are_cut_or_left_out_where_there_is_no_room() {
        let mut table = Table::new(&["NAME", ">COUNT"]);
        table.row([Cell::new("a"), Cell::new(5)]);
        table.row([Cell::styled(BAD, "größtenteils"), Cell::new(1234567)]);
        table.noted_row(Cell::new("b"), Cell::new("is damaged"));
        let lines = |width, left_out: &[&str]| {
            let plain = |line: String| anstream::adapter::strip_str(&line).to_string();
            table.lines_within(width, left_out).into_iter().map(plain).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(80, &["COUNT"]),
            ["NAME            COUNT", "a                   5", "größtenteils  1234567", "b             is damaged"]
        );
        assert_eq!(
            lines(17, &["COUNT"]),
            ["NAME        COUNT", "a               5", "größten…  1234567", "b         is dam…"]
        );
        assert_eq!(lines(16, &["COUNT"]), ["NAME", "a", "größtenteils", "b  is damaged"]);
        assert_eq!(lines(4, &["COUNT"]), ["NAME", "a", "grö…", "b  …"]);
        assert_eq!(lines(0, &["COUNT"]), [""; 4]);
        assert!(table.lines_within(4, &["COUNT"])[2].ends_with(&paint(BAD, "grö…")));
    }

    /// Some characters take two columns.
    #[test]
    fn width_is_counted_in_columns() {
        let mut table = Table::new(&["NAME", ">COUNT"]);
        table.row([Cell::new("注文"), Cell::new(5)]);
        table.row([Cell::new("orders"), Cell::new(6)]);
        table.row([Cell::new("a注文文"), Cell::new(7)]);
        let lines = |width| {
            let plain = |line: String| anstream::adapter::strip_str(&line).to_string();
            table.lines_within(width, &[]).into_iter().map(plain).collect::<Vec<_>>()
        };
        assert_eq!(lines(80), ["NAME     COUNT", "注文         5", "orders       6", "a注文文      7"]);
        assert_eq!(lines(10), ["NA…  COUNT", "注…      5", "or…      6", "a…       7"]);
        assert_eq!((first_columns("注文", 3), first_columns("注文", 4), first_columns("", 1)), ("注", "注文", ""));
    }
}
