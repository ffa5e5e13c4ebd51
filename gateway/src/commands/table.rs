//! Tables for people: aligned columns, colour where a terminal reads them.

use std::fmt;
use std::io::IsTerminal;

/// How a cell is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Paint {
    /// As it is.
    #[default]
    Plain,
    /// Something is wrong.
    Bad,
    /// All is well.
    Good,
    /// Less important.
    Faint,
}

impl Paint {
    const fn code(self) -> Option<&'static str> {
        match self {
            Paint::Plain => None,
            Paint::Bad => Some("31"),
            Paint::Good => Some("32"),
            Paint::Faint => Some("2"),
        }
    }

    /// `text` in this paint, if `colour` is wanted.
    pub(crate) fn apply(self, text: &str, colour: bool) -> String {
        match self.code() {
            Some(code) if colour => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// Whether standard output shows colours: a terminal reads it, and `NO_COLOR` is not set.
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction.
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<(String, Paint)>>,
    colour: bool,
}

impl Table {
    /// A table with these column heads.
    pub(crate) fn new(columns: impl IntoIterator<Item = (impl Into<String>, Align)>, colour: bool) -> Self {
        let columns = columns.into_iter().map(|(head, align)| (head.into(), align)).collect();
        Table { columns, rows: Vec::new(), colour }
    }

    /// Appends a row; cells that are missing are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = (String, Paint)>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.columns.iter().map(|(head, _)| width(head)).collect();
        for row in &self.rows {
            for (cell, widest) in row.iter().zip(&mut widths) {
                *widest = width(&cell.0).max(*widest);
            }
        }
        let heads: Vec<_> = self.columns.iter().map(|(head, _)| (head.clone(), Paint::Faint)).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut gap = 0;
            for ((cell, paint), ((_, align), widest)) in row.iter().zip(self.columns.iter().zip(&widths)) {
                let space = widest - width(cell);
                let (before, behind) = match align {
                    Align::Left => (0, space),
                    Align::Right => (space, 0),
                };
                if !cell.is_empty() {
                    // Spaces are only written once something follows them: no line ends in blanks.
                    write!(f, "{:1$}", "", gap + before)?;
                    f.write_str(&paint.apply(cell, self.colour))?;
                    gap = behind + 2;
                } else {
                    gap += before + behind + 2;
                }
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_do_not_end_in_blanks() {
        let mut table = Table::new([("name", Align::Left), ("n", Align::Right), ("x", Align::Left)], false);
        table.row([("äb".into(), Paint::Plain), ("10".into(), Paint::Bad), (String::new(), Paint::Plain)]);
        table.row([("c".into(), Paint::Plain), ("7".into(), Paint::Plain), ("y".into(), Paint::Good)]);
        assert_eq!(table.to_string(), "name   n  x\näb    10\nc      7  y\n");
    }

    #[test]
    fn paint_is_left_out_without_colour() {
        assert_eq!(Paint::Bad.apply("x", true), "\x1b[31mx\x1b[0m");
        assert_eq!(Paint::Bad.apply("x", false), "x");
    }
}
