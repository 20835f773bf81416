//! Reads sparse matrices in the Matrix Market exchange format (`.mtx`).
//! Takes any buffered reader, and opens no files itself.

use std::io::BufRead;

use super::values::wide;
use crate::nmf::{Real, SparseMatrix};
use crate::{Error, Result};

/// Rows or columns that a file may declare: a matrix takes 8 bytes per row, and its factors 8 bytes per row, column and
/// component.
pub const MAX_SIDE: usize = 100_000_000;

/// Rows or columns that a file may declare however few entries it has; above that, it needs an entry for every
/// [`PLACES_PER_ENTRY`] of them, so that a few bytes cannot ask for all memory. 34 MB.
const MAX_EMPTY_SIDE: usize = 1 << 22;

/// Rows or columns per entry in a matrix that is mostly empty rows: no use is known that comes near.
const PLACES_PER_ENTRY: usize = 64;

/// Entries for which memory is set aside before they are there.
const MAX_RESERVED: usize = 1 << 16;

/// Reads a matrix in coordinate form with `real`, `integer` or `pattern` entries, `general` or `symmetric`.
///
/// Entries of a pattern are 1, those of the same place add up, and a symmetric matrix is filled in on both sides of its
/// diagonal.
///
/// # Errors
/// [`Error::MatrixMarket`], with the line, for anything else, for fewer or more entries than declared, sides above
/// [`MAX_SIDE`] or of millions without entries, and where `input` cannot be read on; [`Error::MatrixEntry`] for a
/// negative, NaN or infinite entry.
///
/// # References
/// R. F. Boisvert, R. Pozo and K. A. Remington, "The Matrix Market exchange formats: initial design", NISTIR 5935,
/// 1996.
///
/// # Examples
/// ```
/// let text = "%%MatrixMarket matrix coordinate real general\n% a comment\n2 3 2\n1 1 0.5\n2 3 4\n";
/// let v = partita::matrix_file::market::read::<f32>(text.as_bytes())?;
/// assert_eq!(v.entries().collect::<Vec<_>>(), [(0, 0, 0.5), (1, 2, 4.0)]);
/// # Ok::<(), partita::Error>(())
/// ```
pub fn read<T: Real>(input: impl BufRead) -> Result<SparseMatrix<T>> {
    let mut lines = Lines { input, number: 0, text: String::new() };
    let (has_values, is_symmetric) = header(&mut lines)?;
    let (shape, n_entries) = sizes(&mut lines)?;
    if is_symmetric && shape.0 != shape.1 {
        return Err(lines.unlike("as many rows as columns in a symmetric matrix"));
    }
    let mut entries = Vec::with_capacity(n_entries.min(MAX_RESERVED));
    for i in 0..n_entries {
        if !lines.advance()? {
            return Err(lines.refused(format!("the end after {i} entries"), &format!("{n_entries} entries")));
        }
        let (row, column, entry) = entry(&lines, shape, has_values)?;
        let value = wide(entry);
        if !(value.is_finite() && value >= 0.0) {
            return Err(Error::MatrixEntry { row: row as usize, column: column as usize, value });
        }
        entries.push((row, column, entry));
        if is_symmetric && row != column {
            entries.push((column, row, entry));
        }
    }
    if lines.advance()? {
        return Err(lines.unlike(&format!("the end after {n_entries} entries")));
    }
    let max_side = n_entries.saturating_mul(PLACES_PER_ENTRY).max(MAX_EMPTY_SIDE);
    if shape.0.max(shape.1) > max_side {
        let got = format!("the end of {} x {} places with {n_entries} entries", shape.0, shape.1);
        return Err(lines.refused(got, &format!("at most {max_side} rows and columns for so few")));
    }
    SparseMatrix::from_entries(shape, entries)
}

/// Whether entries have values, and whether the matrix is symmetric.
fn header<R: BufRead>(lines: &mut Lines<R>) -> Result<(bool, bool)> {
    lines.next_line()?;
    let words: Vec<_> = lines.text.split_whitespace().map(str::to_ascii_lowercase).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["%%matrixmarket", "matrix", "coordinate", field, symmetry] => {
            let has_values = match field {
                "real" | "integer" => true,
                "pattern" => false,
                _ => return Err(lines.refused(format!("`{field}` entries"), "`real`, `integer` or `pattern`")),
            };
            match symmetry {
                "general" => Ok((has_values, false)),
                "symmetric" => Ok((has_values, true)),
                _ => Err(lines.refused(format!("a `{symmetry}` matrix"), "`general` or `symmetric`")),
            }
        }
        _ => Err(lines.unlike("`%%MatrixMarket matrix coordinate` and the kinds of entries and of symmetry")),
    }
}

/// Rows and columns, and the number of entries.
fn sizes<R: BufRead>(lines: &mut Lines<R>) -> Result<((usize, usize), usize)> {
    const EXPECTED: &str = "the numbers of rows, columns and entries";
    if !lines.advance()? {
        return Err(lines.refused("the end".into(), EXPECTED));
    }
    let numbers: Option<Vec<usize>> = lines.text.split_whitespace().map(|word| word.parse().ok()).collect();
    let Some([n_rows, n_columns, n_entries]) = numbers.as_deref() else { return Err(lines.unlike(EXPECTED)) };
    if *n_rows.max(n_columns) > MAX_SIDE {
        return Err(lines.unlike(&format!("at most {MAX_SIDE} rows and columns")));
    }
    Ok(((*n_rows, *n_columns), *n_entries))
}

/// Row and column, from 0, and value.
fn entry<T: Real, R: BufRead>(
    lines: &Lines<R>,
    (n_rows, n_columns): (usize, usize),
    has_values: bool,
) -> Result<(u32, u32, T)> {
    let words: Vec<_> = lines.text.split_whitespace().collect();
    let place = |word: &str, end: usize| word.parse::<usize>().ok().filter(|place| (1..=end).contains(place));
    let found = match words[..] {
        [row, column, value] if has_values => place(row, n_rows).zip(place(column, n_columns)).zip(value.parse().ok()),
        [row, column] if !has_values => place(row, n_rows).zip(place(column, n_columns)).map(|at| (at, T::one())),
        _ => None,
    };
    let Some(((row, column), value)) = found else {
        let value = if has_values { ", a column" } else { " and a column" };
        let end = if has_values { " and a number" } else { "" };
        return Err(lines.unlike(&format!("a row from 1 to {n_rows}{value} from 1 to {n_columns}{end}")));
    };
    // Both are below MAX_SIDE.
    Ok(((row - 1) as u32, (column - 1) as u32, value))
}

/// The lines of a text, one at a time.
struct Lines<R> {
    input: R,
    number: u64,
    text: String,
}

impl<R: BufRead> Lines<R> {
    /// Goes on to the next line, or answers that there is none.
    fn next_line(&mut self) -> Result<bool> {
        /// No line of this format is longer; a file of one endless line is refused before it fills the memory.
        const MAX_LINE: u64 = 1 << 16;
        self.text.clear();
        self.number += 1;
        let n_bytes = std::io::Read::take(&mut self.input, MAX_LINE).read_line(&mut self.text);
        match n_bytes {
            Ok(n_bytes) if n_bytes as u64 == MAX_LINE => {
                Err(self.refused("a line that does not end".into(), &format!("fewer than {MAX_LINE} characters")))
            }
            Ok(n_bytes) => Ok(n_bytes > 0),
            Err(error) => Err(self.refused(format!("what cannot be read ({error})"), "text")),
        }
    }

    /// Goes on to the next line that is neither empty nor a comment.
    fn advance(&mut self) -> Result<bool> {
        while self.next_line()? {
            let text = self.text.trim_start();
            if !text.is_empty() && !text.starts_with('%') {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The present line is not what it should be.
    fn unlike(&self, expected: &str) -> Error {
        let text = self.text.trim();
        let shown: String = text.chars().take(40).collect();
        let got = match text {
            "" => "nothing".into(),
            _ if shown.len() < text.len() => format!("`{shown}...`"),
            _ => format!("`{shown}`"),
        };
        self.refused(got, expected)
    }

    fn refused(&self, got: String, expected: &str) -> Error {
        Error::MatrixMarket { line: self.number, got, expected: expected.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(usize, usize, f32)> {
        read(text.as_bytes()).unwrap().entries().collect()
    }

    fn message(text: &str) -> String {
        read::<f32>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let real = "%%MatrixMarket matrix coordinate real general\n% made by hand\n\n2 3 3\n2 1 1e-2\n1 3 7\n1 3 .5\n";
        assert_eq!(entries(real), [(0, 2, 7.5), (1, 0, 0.01)]);
        let integer = "%%matrixmarket MATRIX Coordinate Integer General\r\n2 2 1\r\n2 2 3\r\n";
        assert_eq!(entries(integer), [(1, 1, 3.0)]);
        let pattern = "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 3";
        assert_eq!(entries(pattern), [(0, 1, 1.0), (1, 0, 1.0), (2, 2, 1.0)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let general = |rest: &str| message(&format!("%%MatrixMarket matrix coordinate real general\n{rest}"));
        let cases = [
            (message(""), "line 1 has nothing, expected `%%MatrixMarket"),
            (message("1 2 3"), "line 1 has `1 2 3`, expected `%%MatrixMarket"),
            (message("%%MatrixMarket matrix array real general\n"), "line 1 has `%%MatrixMarket matrix array"),
            (message("%%MatrixMarket matrix coordinate complex general\n"), "line 1 has `complex` entries"),
            (message("%%MatrixMarket matrix coordinate real hermitian\n"), "line 1 has a `hermitian` matrix"),
            (
                message("%%MatrixMarket matrix coordinate real symmetric\n2 3 0\n"),
                "line 2 has `2 3 0`, expected as many",
            ),
            (general(""), "has the end, expected the numbers"),
            (general("2 x 1\n"), "line 2 has `2 x 1`"),
            (general("2 99999999999 1\n"), "at most 100000000 rows"),
            (general("2 2 99999999999999\n1 1 1\n"), "the end after 1 entries, expected 99999999999999"),
            (
                general("2 2 1\n% comment\n3 1 1\n"),
                "line 4 has `3 1 1`, expected a row from 1 to 2, a column from 1 to 2",
            ),
            (general("2 2 1\n0 1 1\n"), "line 3 has `0 1 1`"),
            (general("2 2 1\n1 1\n"), "line 3 has `1 1`"),
            (general("2 2 1\n1 1 1\n1 2 1\n"), "line 4 has `1 2 1`, expected the end after 1 entries"),
            (general("2 2 1\n1 2 -1\n"), "the matrix has -1 at row 0, column 1"),
            (general("2 2 1\n1 2 nan\n"), "the matrix has NaN at row 0, column 1"),
            (general(&"9".repeat(1 << 17)), "line 2 has a line that does not end"),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "{message}\nexpected: {expected}");
        }
        let bytes = b"%%MatrixMarket matrix coordinate real general\n\xff\n";
        let message = read::<f32>(&bytes[..]).unwrap_err().to_string();
        assert!(message.contains("line 2 has what cannot be read"), "{message}");
    }
}
