//! Tables for people: fitted to the terminal by what characters really take of its width.
//!
//! Rows are held back up to a block, which decides the columns' widths; later blocks keep them. Without
//! a terminal nothing is shortened.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::cli::terminal::{Style, Tint, safe};

/// Rows held back until the widths are settled.
const BLOCK: usize = 1000;
/// No column is made narrower than this; those on the right are left out if the table then does not fit.
const NARROWEST: usize = 8;
const GAP: &str = "  ";

/// A column of a table.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Column {
    title: String,
    right: bool,
    wrap: bool,
}

impl Column {
    /// Text that is cut with an ellipsis where it does not fit.
    pub fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), right: false, wrap: false }
    }

    /// Text that goes on in the next line where it does not fit.
    pub fn prose(title: impl Into<String>) -> Self {
        Self { wrap: true, ..Self::text(title) }
    }

    /// Numbers, right-aligned.
    pub fn number(title: impl Into<String>) -> Self {
        Self { right: true, ..Self::text(title) }
    }
}

/// One cell; a control character of its text cannot reach the terminal.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Cell {
    text: String,
    tint: Option<Tint>,
}

impl Cell {
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: safe(text.as_ref()), tint: None }
    }

    pub fn tinted(text: impl AsRef<str>, tint: impl Into<Tint>) -> Self {
        Self { tint: Some(tint.into()), ..Self::new(text) }
    }
}

/// A table that is being written.
#[derive(Debug)]
pub(in crate::cli) struct Table {
    columns: Vec<Column>,
    style: Style,
    rows: Vec<Vec<Cell>>,
    /// Of the columns that are shown: those that fit, from the left.
    widths: Vec<usize>,
}

impl Table {
    pub fn new(columns: Vec<Column>, style: Style) -> Self {
        Self { columns, style, rows: Vec::new(), widths: Vec::new() }
    }

    /// Adds a row; writes a block when one is full.
    pub fn row(&mut self, cells: Vec<Cell>, out: &mut impl Write) -> io::Result<()> {
        self.rows.push(cells);
        if self.rows.len() >= BLOCK { self.flush(out) } else { Ok(()) }
    }

    /// Writes the rows held back, the first time with the header above them.
    pub fn flush(&mut self, out: &mut impl Write) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        if self.widths.is_empty() {
            self.widths = self.fit(&rows);
            let titles =
                self.columns.iter().map(|c| Cell::tinted(c.title.to_uppercase(), Tint::Bold)).collect();
            self.write(titles, out)?;
        }
        for row in rows {
            self.write(row, out)?;
        }
        Ok(())
    }

    /// Titles of the columns that found no room.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        let shown = if self.widths.is_empty() { self.columns.len() } else { self.widths.len() };
        self.columns.iter().skip(shown).map(|column| column.title.as_str())
    }

    fn fit(&self, rows: &[Vec<Cell>]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|c| c.title.width()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let Some(room) = self.style.width else { return widths };
        let whole = room;
        let room = room.saturating_sub(GAP.len() * self.columns.len().saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            let columns = self.columns.iter().zip(&mut widths);
            // What wraps gives way first: it loses nothing by it. Numbers never do.
            let key = |column: &Column, width: usize| match column.wrap {
                true if width > 4 * NARROWEST => width + room,
                _ => width,
            };
            let widest = columns
                .filter(|(column, width)| !column.right && **width > NARROWEST)
                .max_by_key(|(column, width)| key(column, **width));
            match widest {
                Some((_, width)) => *width -= 1,
                None => break,
            }
        }
        let mut used = 0;
        let fits = widths.iter().take_while(|width| {
            used += **width + GAP.len();
            used <= whole + GAP.len()
        });
        let shown = fits.count().max(1);
        widths.truncate(shown);
        widths
    }

    fn write(&self, row: Vec<Cell>, out: &mut impl Write) -> io::Result<()> {
        let last = self.widths.len().saturating_sub(1);
        let cells: Vec<Vec<String>> = row
            .iter()
            .zip(self.columns.iter().zip(&self.widths))
            .map(|(cell, (column, width))| match column.wrap {
                true => wrap(&cell.text, *width),
                // The last column of a table that is not fitted may run on.
                false => vec![shorten(&cell.text, *width)],
            })
            .collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut text = String::new();
            let mut pending = 0;
            for (i, ((lines, cell), (column, width))) in
                cells.iter().zip(&row).zip(self.columns.iter().zip(&self.widths)).enumerate()
            {
                let part = lines.get(line).map_or("", String::as_str);
                let blank = width.saturating_sub(part.width());
                let before = if column.right { blank } else { 0 };
                if !part.is_empty() {
                    text.extend(std::iter::repeat_n(' ', pending + before));
                    pending = 0;
                    match cell.tint {
                        Some(tint) => text.push_str(&self.style.paint(tint, part)),
                        None => text.push_str(part),
                    }
                    pending += blank - before;
                } else {
                    pending += *width;
                }
                if i < last {
                    pending += GAP.len();
                }
            }
            writeln!(out, "{text}")?;
        }
        Ok(())
    }
}

/// The text, or as much of it as fits, with an ellipsis.
fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (head, _) = split_at_width(text, width.saturating_sub(1));
    format!("{head}…")
}

/// The text in lines of at most `width`, broken at blanks where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.trim_end();
    while rest.width() > width {
        let (head, tail) = split_at_width(rest, width.max(2));
        let blank =
            if tail.starts_with(' ') { Some(head.len()) } else { head.rfind(' ').filter(|at| *at > 0) };
        let (line, next) = rest.split_at(blank.unwrap_or(head.len()));
        lines.push(line.trim_end().to_owned());
        rest = next.trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

fn split_at_width(text: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return text.split_at(at);
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(width: Option<usize>, rows: &[[&str; 3]]) -> String {
        let columns = vec![Column::text("name"), Column::prose("text"), Column::number("n")];
        let mut table = Table::new(columns, Style { color: false, width });
        let mut out = Vec::new();
        for row in rows {
            table.row(row.iter().map(Cell::new).collect(), &mut out).unwrap();
        }
        table.flush(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_stand_right_and_nothing_trails() {
        let text = print(None, &[["a", "one", "1"], ["bb", "", "1,000"], ["c", "x", ""]]);
        assert_eq!(text, "NAME  TEXT      N\na     one       1\nbb          1,000\nc     x\n");
    }

    #[test]
    fn it_fits_the_terminal_also_with_wide_characters() {
        let rows = [["漢字漢字漢字漢字漢字漢字", "some words to read that are too many for one line", "12"]];
        for width in [30, 40, 60] {
            let text = print(Some(width), &rows);
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
            assert!(text.contains("one line") || text.contains("line"), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_named() {
        let columns = (0..9).map(|n| Column::text(format!("column {n}"))).collect();
        let mut table = Table::new(columns, Style { color: false, width: Some(30) });
        let mut out = Vec::new();
        table.row((0..9).map(|n| Cell::new(format!("a value {n}"))).collect(), &mut out).unwrap();
        table.flush(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.width() <= 30), "{text}");
        let hidden: Vec<&str> = table.hidden().collect();
        assert_eq!(hidden.first(), Some(&"column 3"), "{text}");
        assert_eq!(hidden.len(), 6);
    }

    #[test]
    fn wrapping_loses_no_word() {
        let text = "aaa bbb cccccccccccc dd";
        for width in 2..30 {
            let joined: String = wrap(text, width).concat();
            assert_eq!(joined.replace(' ', ""), text.replace(' ', ""), "{width}");
        }
    }

    #[test]
    fn an_empty_table_prints_nothing() {
        assert_eq!(print(None, &[]), "");
    }
}
