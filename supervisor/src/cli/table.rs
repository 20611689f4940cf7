//! Tables that can be read in a terminal of 80 columns, whatever a gateway has to say.                  (pure)
//!
//! Invariant: nothing that comes from elsewhere reaches the terminal as a control sequence.

use openclaw_shared::log::printable;

use super::output::columns;

/// How wide a table may be.
const WIDTH: usize = 80;
/// The least that a column keeps when it is shortened.
const LEAST: usize = 8;

/// Rows under a heading.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns. A column that is empty in every row is not shown.
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self {
            rows: vec![heading.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// The lines, none of them wider than a terminal; what does not fit ends in `…`.
    pub(crate) fn lines(mut self) -> Vec<String> {
        self.drop_empty_columns();
        self.shorten();
        columns(&self.rows)
    }

    fn drop_empty_columns(&mut self) {
        let count = self.rows[0].len();
        let is_empty = |column: &usize| {
            self.rows.len() > 1 && self.rows[1..].iter().all(|row| row[*column].is_empty())
        };
        let empty: Vec<bool> = (0..count).map(|column| is_empty(&column)).collect();
        for row in &mut self.rows {
            let mut keep = empty.iter().map(|empty| !empty);
            row.retain(|_| keep.next().unwrap_or(true));
        }
    }

    /// Takes from the widest column until the whole fits.
    fn shorten(&mut self) {
        let count = self.rows[0].len();
        let mut widths: Vec<usize> = (0..count)
            .map(|column| self.rows.iter().map(|row| length(&row[column])).max())
            .map(Option::unwrap_or_default)
            .collect();
        let between = 2 * count.saturating_sub(1);
        while widths.iter().sum::<usize>() + between > WIDTH {
            let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > LEAST) else {
                break;
            };
            *widest -= 1;
        }
        for row in &mut self.rows {
            for (cell, width) in row.iter_mut().zip(&widths) {
                *cell = cut(cell, *width);
            }
        }
    }
}

/// Names and values, one a line and in full; a value that is missing has no line.
pub(crate) fn fields<'a>(
    fields: impl IntoIterator<Item = (&'a str, Option<String>)>,
) -> Vec<String> {
    let rows: Vec<Vec<String>> = fields
        .into_iter()
        .filter_map(|(name, value)| Some(vec![name.to_owned(), printable(&value?)]))
        .collect();
    columns(&rows)
}

/// A text with at most so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]]) -> Vec<String> {
        let mut table = Table::new(["Node", "Address", "Commands"]);
        for row in rows {
            table.row(row.map(str::to_owned));
        }
        table.lines()
    }

    #[test]
    fn a_table_is_as_wide_as_it_needs_to_be() {
        assert_eq!(
            table(&[["build box", "10.0.0.1", "2"], ["x", "", "12"]]),
            [
                "Node       Address   Commands",
                "build box  10.0.0.1  2",
                "x                    12",
            ]
        );
    }

    #[test]
    fn a_column_without_content_is_not_shown() {
        assert_eq!(table(&[["x", "", "1"]]), ["Node  Commands", "x     1"]);
        assert_eq!(table(&[]), ["Node  Address  Commands"]);
    }

    #[test]
    fn what_does_not_fit_is_cut_where_there_is_most_of_it() {
        let lines = table(&[["build box", "10.0.0.1", &"system.run ".repeat(20)]]);
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("build box  10.0.0.1  system.run"));
        assert!(lines[1].ends_with('…'));
    }

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        let lines = table(&[["\u{1b}[2Jx", "a", "b"]]);
        assert!(!lines[1].contains('\u{1b}'), "{lines:?}");
    }
}
