//! A table: what is in it, in which order, and how much of it fits.                                     (pure)

use openclaw_client::harmless;

use crate::wrap::{shorten, width};

/// What is in one place of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// A number, and how it is shown.
    Number(f64, String),
}

impl Cell {
    /// Words that somebody else may have chosen.
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        let harmless = harmless(text.as_ref());
        Self::Text(harmless.replace('\n', " "))
    }

    /// Nobody knows.
    pub(crate) fn unknown() -> Self {
        Self::Number(-1.0, "-".to_owned())
    }

    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(_, text) => text,
        }
    }
}

/// A list of the view.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// How a table is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Order {
    /// By which column; none leaves the rows as they came.
    pub(crate) column: Option<usize>,
    /// Whether what would come first comes last.
    pub(crate) is_reversed: bool,
}

impl Order {
    /// By the next column, and after the last as the rows came; `columns` is how many there are.
    pub(crate) fn next(self, columns: usize) -> Self {
        let column = match self.column {
            None => Some(0),
            Some(last) if last + 1 >= columns => None,
            Some(column) => Some(column + 1),
        };
        Self { column, ..self }
    }

    /// By the column before.
    pub(crate) fn previous(self, columns: usize) -> Self {
        let column = match self.column {
            None => columns.checked_sub(1),
            Some(column) => column.checked_sub(1),
        };
        Self { column, ..self }
    }
}

impl Table {
    /// Sorts the rows: words from A, numbers from the greatest.
    pub(crate) fn sort(&mut self, order: Order) {
        if let Some(column) = order.column {
            self.rows.sort_by(|one, other| {
                let cells = one.get(column).zip(other.get(column));
                cells.map_or(std::cmp::Ordering::Equal, |pair| match pair {
                    (Cell::Number(one, _), Cell::Number(other, _)) => other.total_cmp(one),
                    (one, other) => one.shown().cmp(other.shown()),
                })
            });
        }
        if order.is_reversed {
            self.rows.reverse();
        }
    }

    /// The lines of the table, its head first, none wider than it may be. Columns are as wide as what is in them; when that is too
    /// much, the last gives way first, and then the widest.
    pub(crate) fn lines(&self, columns: usize) -> Vec<String> {
        let head: Vec<&str> = self.columns.clone();
        let mut widths: Vec<usize> = head.iter().map(|title| width(title)).collect();
        for row in &self.rows {
            for (most, cell) in widths.iter_mut().zip(row) {
                *most = (*most).max(width(cell.shown()));
            }
        }
        let gaps = 2 * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > columns {
            let least = 5;
            let widest = match widths.last_mut() {
                Some(last) if *last > least => last,
                Some(_) | None => match widths.iter_mut().max() {
                    Some(widest) if *widest > least => widest,
                    Some(_) | None => break,
                },
            };
            *widest -= 1;
        }
        let is_number = |column: usize| {
            let mut cells = self.rows.iter().filter_map(|row| row.get(column));
            !self.rows.is_empty() && cells.all(|cell| matches!(cell, Cell::Number(..)))
        };
        let right: Vec<bool> = (0..widths.len()).map(is_number).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for ((cell, most), is_right) in cells.zip(&widths).zip(&right) {
                if !text.is_empty() {
                    text.push_str("  ");
                }
                let shown = shorten(cell, *most);
                let blank = " ".repeat(most.saturating_sub(width(&shown)));
                match is_right {
                    true => text.extend([blank.as_str(), shown.as_str()]),
                    false => text.extend([shown.as_str(), blank.as_str()]),
                }
            }
            shorten(text.trim_end(), columns)
        };
        let mut lines = vec![line(&mut head.into_iter())];
        for row in &self.rows {
            lines.push(line(&mut row.iter().map(Cell::shown)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |name: &str, size: f64| {
            vec![Cell::text(name), Cell::Number(size, format!("{size} MB"))]
        };
        Table {
            title: "things".to_owned(),
            columns: vec!["name", "size"],
            rows: vec![row("bee", 2.0), row("ant", 10.0), row("cat", 1.0)],
        }
    }

    #[track_caller]
    fn check(order: Order, expected: [&str; 3]) {
        let mut table = table();
        table.sort(order);
        let names: Vec<&str> = table.rows.iter().map(|row| row[0].shown()).collect();
        assert_eq!(names, expected, "{order:?}");
    }

    #[test]
    fn rows_are_sorted_by_what_is_chosen() {
        let mut order = Order::default();
        check(order, ["bee", "ant", "cat"]);
        order = order.next(2);
        check(order, ["ant", "bee", "cat"]);
        order = order.next(2);
        check(order, ["ant", "bee", "cat"]);
        order.is_reversed = true;
        check(order, ["cat", "bee", "ant"]);
        order = order.next(2);
        check(order, ["cat", "ant", "bee"]);
        assert_eq!(order.previous(2).column, Some(1));
        assert_eq!(order.previous(2).previous(2).column, Some(0));
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_no_line_is_wider_than_the_screen() {
        assert_eq!(
            table().lines(40),
            ["name   size", "bee    2 MB", "ant   10 MB", "cat    1 MB"]
        );
        let mut wide = table();
        wide.rows[0][0] = Cell::text("a very long name of a bee\u{1b}[31m\nand more");
        for columns in 1..60 {
            for line in wide.lines(columns) {
                assert!(width(&line) <= columns, "{columns}: {line:?}");
                assert!(!line.contains(['\u{1b}', '\n']), "{line:?}");
            }
        }
    }
}
