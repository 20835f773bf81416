//! Matrices as text, one row per line.
//! No quoting beyond a number's own quotes, and no decimal commas: what is not understood is refused with its line.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use ndarray::Array2;

use super::values::{malformed, narrow, unreadable};
use crate::Result;

/// Longest line, in bytes: three million numbers of 20 digits. One is held at a time, beside the values so far.
const MAX_LINE_BYTES: u64 = 1 << 26;

pub(super) fn read(mut reader: BufReader<File>, path: &Path) -> Result<Array2<f32>> {
    let mut values = Vec::new();
    let mut separator = None;
    // The first row of numbers: its line and its length.
    let mut first: Option<(usize, usize)> = None;
    let (mut n_rows, mut line, mut may_be_heading) = (0, Vec::new(), true);
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(unreadable(path))? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE_BYTES {
            let reason = format!("line {number} does not end, expected fewer than {MAX_LINE_BYTES} bytes");
            return Err(malformed(path, reason));
        }
        let text = std::str::from_utf8(&line).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| malformed(path, format!("line {number} is not text in UTF-8")))?;
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let separator = *separator.get_or_insert_with(|| Separator::of(text));
        if std::mem::take(&mut may_be_heading) && !separator.split(text).any(|field| parse(field).is_some()) {
            continue;
        }
        let got = separator.split(text).count();
        let (first_line, n_columns) = *first.get_or_insert((number, got));
        if got != n_columns {
            let reason = format!("line {number} has {}, expected {n_columns} as in line {first_line}", entries(got));
            return Err(malformed(path, reason));
        }
        values.try_reserve(got).map_err(|_| unreadable(path)(ErrorKind::OutOfMemory.into()))?;
        for (column, field) in separator.split(text).enumerate() {
            let value = parse(field).or_else(|| field.is_empty().then_some(f64::NAN)).ok_or_else(|| {
                let field: String = field.chars().take(40).collect();
                malformed(path, format!("line {number} has `{field}` in column {column}, expected a number"))
            })?;
            values.push(narrow(value, n_rows, column, path)?);
        }
        n_rows += 1;
    }
    let n_columns = first.map_or(0, |(_, n_columns)| n_columns);
    Array2::from_shape_vec((n_rows, n_columns), values).map_err(|_| malformed(path, "its lines differ in length"))
}

/// What stands between the numbers of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Char(char),
    /// Any number of spaces, as `numpy.savetxt` writes one.
    Spaces,
}

impl Separator {
    fn of(line: &str) -> Self {
        ['\t', ';', ','].into_iter().find(|c| line.contains(*c)).map_or(Self::Spaces, Self::Char)
    }

    fn split(self, line: &str) -> impl Iterator<Item = &str> {
        let (by_char, by_spaces) = match self {
            Self::Char(c) => (Some(line.split(c)), None),
            Self::Spaces => (None, Some(line.split_whitespace())),
        };
        let fields = by_char.into_iter().flatten().chain(by_spaces.into_iter().flatten());
        fields.map(|field| field.trim().trim_matches('"'))
    }
}

fn parse(field: &str) -> Option<f64> {
    field.parse().ok()
}

fn entries(n: usize) -> String {
    if n == 1 { "1 entry".into() } else { format!("{n} entries") }
}
