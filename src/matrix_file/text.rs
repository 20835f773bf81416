//! Matrices as text, one row per line, as spreadsheets, pandas, R and NumPy write them.
//! Labels are kept out of the data, and told; what cannot be told apart is refused with its line, not guessed.

use std::io::{BufRead, ErrorKind, Read};
use std::path::Path;

use ndarray::{Array2, ArrayView1};

use super::cells::{Cell, Decimals, Separator};
use super::table::{Note, Presence, ReadConfig, Table};
use super::values::{Missing, malformed, narrow, unclear, unreadable, wide};
use crate::Result;
use crate::error::Advice;
use crate::nmf::Real;
use crate::text::to_utf8;

/// Longest line, in bytes: three million numbers of 20 digits. One is held at a time, beside the values so far.
const MAX_LINE_BYTES: u64 = 1 << 26;

/// Why a column is taken for an index.
const NAMELESS: &str = "its heading is empty, as that of an index";

/// Cells of a line that a message or a note shows.
const N_SHOWN: usize = 3;

pub(super) fn read<T: Real>(reader: &mut dyn BufRead, path: &Path, config: &ReadConfig) -> Result<Table<T>> {
    let start = reader.fill_buf().map_err(unreadable(path))?;
    if [b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| start.starts_with(*mark)) {
        // What spreadsheets write so is small: it is held at once.
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(unreadable(path))?;
        let text = to_utf8(bytes).ok_or_else(|| malformed(path, "it is text in UTF-16, cut off or damaged"))?;
        return read(&mut &text[..], path, config);
    }
    let mut lines = Lines { reader, path, number: 0, bytes: Vec::new() };
    let (first, second) = (lines.next()?, lines.next()?);
    let Some(first) = first else { return Ok(Table { values: Array2::zeros((0, 0)), notes: Vec::new() }) };
    let mut separator = Separator::of(&first.text);
    if let (Separator::Spaces, Some(second)) = (separator, &second) {
        // A heading of one word does not tell.
        if separator.kinds(&first.text).contains(&Cell::Text) {
            separator = Separator::of(&second.text);
        }
    }
    let top = Top::new(&first, second.as_ref(), separator, path, config)?;
    let mut rows = Rows::new(&top, separator, path, config);
    if !top.is_heading {
        rows.push(&first)?;
    }
    let mut next = second;
    while let Some(line) = next {
        rows.push(&line)?;
        next = lines.next()?;
    }
    rows.finish(top)
}

// ---- lines -----------------------------------------------------------------------------------------------------------

/// A line and its number, from 1.
struct Line {
    number: usize,
    text: String,
}

impl Line {
    /// A few cells, for messages.
    fn shown(&self, separator: Separator) -> String {
        let cells = separator.cells(&self.text);
        let dots = if cells.len() > N_SHOWN { ", ..." } else { "" };
        let shown: Vec<_> = cells.iter().take(N_SHOWN).map(|cell| format!("`{}`", shortened(cell))).collect();
        format!("{}{dots}", shown.join(", "))
    }
}

struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    path: &'a Path,
    number: usize,
    bytes: Vec<u8>,
}

impl Lines<'_> {
    /// The next line that is neither empty nor a comment.
    fn next(&mut self) -> Result<Option<Line>> {
        loop {
            self.bytes.clear();
            self.number += 1;
            let mut limited = Read::take(&mut *self.reader, MAX_LINE_BYTES);
            if limited.read_until(b'\n', &mut self.bytes).map_err(unreadable(self.path))? == 0 {
                return Ok(None);
            }
            let number = self.number;
            let refused = |reason: String| Err(malformed(self.path, reason));
            if self.bytes.len() as u64 == MAX_LINE_BYTES {
                return refused(format!("line {number} does not end, expected fewer than {MAX_LINE_BYTES} bytes"));
            }
            if self.bytes.contains(&0) {
                return refused(format!("line {number} is not text in UTF-8"));
            }
            // Labels may be in any encoding; numbers are the same in all.
            let text = String::from_utf8_lossy(&self.bytes);
            let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { &*text };
            let text = text.trim_end_matches(['\r', '\n']);
            // What tells a spreadsheet the separator.
            let is_hint = number == 1 && text.len() <= 5 && text.starts_with("sep=");
            let is_comment = text.starts_with(['#', '%']) && !text.starts_with("#N");
            if text.trim_matches(' ').is_empty() || is_comment || is_hint {
                continue;
            }
            if text.matches('"').count() % 2 == 1 {
                return refused(format!("line {number} has a quote that does not end, expected a row on each line"));
            }
            return Ok(Some(Line { number, text: text.to_owned() }));
        }
    }
}

fn shortened(cell: &str) -> String {
    cell.chars().take(40).collect()
}

// ---- what the first lines are ----------------------------------------------------------------------------------------

/// What the first two lines say of the whole.
struct Top {
    is_heading: bool,
    /// The first line's number, and its cells as they are shown.
    line: usize,
    shown: String,
    /// Entries of the heading, if there is one, and whether the last of them is empty.
    n_named: usize,
    ends_empty: bool,
    /// Why the first column is no data, if it is none.
    index: Option<&'static str>,
    /// Whether the first line begins with an empty cell, before nothing but numbers: only the rest can tell what it is.
    has_empty_corner: bool,
}

impl Top {
    fn new(
        first: &Line,
        second: Option<&Line>,
        separator: Separator,
        path: &Path,
        config: &ReadConfig,
    ) -> Result<Self> {
        let kinds = separator.kinds(&first.text);
        let below = second.map_or_else(Vec::new, |line| separator.kinds(&line.text));
        let (n_first, n_below) = (kinds.len(), below.len());
        let is_text = |cell: Option<&Cell>| cell == Some(&Cell::Text);
        let is_number = |cell: &Cell| matches!(cell, Cell::Number(_));
        let is_named = (1..n_first).any(|k| is_text(kinds.get(k)));
        let labels_below = is_text(below.first());
        let is_shorter = n_below == n_first + 1 && below.last() != Some(&Cell::Empty);
        let is_heading = match config.header {
            Presence::Yes => true,
            Presence::No => false,
            // Numbers: only a heading leaves out the name of an index.
            Presence::Auto if !kinds.contains(&Cell::Text) => {
                let has_index = labels_below
                    || config.index == Presence::Yes && below.first().is_some_and(|cell| *cell != Cell::Empty);
                has_index && (is_shorter || n_first > 1 && kinds.first() == Some(&Cell::Empty))
            }
            // Text first, and nothing else that is text: a row that begins with its label, or names such as `2001`.
            Presence::Auto if !is_named && labels_below && n_first > 1 => {
                if is_scale(&numbers(&kinds[1..])) || !kinds.iter().any(is_number) {
                    let shown = first.shown(separator);
                    let reason = format!("line {} ({shown}) could be a heading or a row", first.number);
                    return Err(unclear(path, reason, Advice::set("header", "yes").or("header", "no")));
                }
                false
            }
            Presence::Auto if !is_named && n_below == 0 => n_first == 1,
            Presence::Auto if !kinds.iter().any(is_number) => true,
            // Text and numbers: a heading, if there are numbers below the text.
            Presence::Auto => {
                let is_wrong =
                    |k: &usize| is_text(kinds.get(*k)) && below.get(*k).is_none_or(|cell| *cell == Cell::Text);
                if let Some(place) = (1..n_first).find(is_wrong) {
                    let cell = shortened(separator.cells(&first.text)[place]);
                    let reason = format!("line {} has `{cell}` in column {place}, expected a number", first.number);
                    return Err(unclear(path, reason, Advice::set("header", "yes").note("if this line is a heading")));
                }
                true
            }
        };
        let corner = separator.cells(&first.text).first().copied();
        let is_nameless = is_heading && n_first > 1 && matches!(corner, Some("" | "Unnamed: 0"));
        let first_of_row = if is_heading { below.first() } else { kinds.first() };
        let index = match config.index {
            Presence::Yes => Some("as asked"),
            Presence::No => None,
            Presence::Auto if is_text(first_of_row) && n_first.max(n_below) > 1 => Some("its cells are labels"),
            Presence::Auto if is_nameless => Some(NAMELESS),
            // As R writes it. Numbers with decimal commas, parted by commas, look like this, too.
            Presence::Auto if is_heading && is_shorter && n_first > 1 && separator != Separator::COMMA => {
                Some("the heading does not name it")
            }
            Presence::Auto => None,
        };
        let has_empty_corner = config.header == Presence::Auto
            && config.index == Presence::Auto
            && !is_heading
            && matches!(&kinds[..], [Cell::Empty, named @ .., last] if named.iter().all(is_number)
                && (is_number(last) || *last == Cell::Empty && !named.is_empty()));
        let (line, shown, ends_empty) = (first.number, first.shown(separator), kinds.last() == Some(&Cell::Empty));
        Ok(Self { is_heading, line, shown, n_named: n_first, ends_empty, index, has_empty_corner })
    }
}

/// The numbers among some cells; NaN for the others.
fn numbers(cells: &[Cell]) -> Vec<f64> {
    cells.iter().map(|cell| if let Cell::Number(x) = cell { *x } else { f64::NAN }).collect()
}

/// Whether numbers rise evenly, as years, frequencies and the places of an index do; of two, only those that count.
fn is_scale(x: &[f64]) -> bool {
    let step = if let [a, b, ..] = x { b - a } else { 0.0 };
    let is_even = |pair: &[f64]| (pair[1] - pair[0] - step).abs() <= 1e-3 * step;
    step > 0.0 && step.is_finite() && x.windows(2).all(is_even) && (x.len() > 2 || counts(x))
}

/// Whether numbers are whole, and each one more than the one before.
fn counts(x: &[f64]) -> bool {
    x.iter().all(|x| x.fract() == 0.0) && x.windows(2).all(|pair| pair[1] - pair[0] == 1.0)
}

// ---- rows ------------------------------------------------------------------------------------------------------------

/// The rows so far.
struct Rows<'a, T> {
    separator: Separator,
    path: &'a Path,
    config: &'a ReadConfig,
    has_index: bool,
    /// Rows after rows, an index as NaN.
    values: Vec<T>,
    /// The line that says how many cells a row has, and how many.
    first: Option<(usize, usize)>,
    decimals: Decimals,
    n_rows: usize,
    /// Rows at the end without anything in them.
    n_blank: usize,
    /// Whether every line so far ends with an empty cell.
    ends_empty: bool,
}

impl<'a, T: Real> Rows<'a, T> {
    fn new(top: &Top, separator: Separator, path: &'a Path, config: &'a ReadConfig) -> Self {
        Self {
            separator,
            path,
            config,
            has_index: top.index.is_some(),
            values: Vec::new(),
            first: None,
            decimals: Decimals::default(),
            n_rows: 0,
            n_blank: 0,
            ends_empty: separator != Separator::Spaces,
        }
    }

    fn push(&mut self, line: &Line) -> Result<()> {
        let (separator, number) = (self.separator, line.number);
        let cells = separator.cells(&line.text);
        let (first_line, n_columns) = *self.first.get_or_insert((number, cells.len()));
        if cells.len() != n_columns {
            let got = entries(cells.len());
            let reason = format!("line {number} has {got}, expected {n_columns} as in line {first_line}");
            return Err(malformed(self.path, reason));
        }
        self.values.try_reserve(n_columns).map_err(|_| unreadable(self.path)(ErrorKind::OutOfMemory.into()))?;
        let mut is_blank = true;
        for (column, cell) in cells.into_iter().enumerate() {
            is_blank &= cell.is_empty();
            let is_label = column == 0 && self.has_index;
            let value = match Cell::of(cell, separator) {
                _ if is_label => f64::NAN,
                Cell::Number(value) => {
                    self.decimals.note(cell, number, separator).map_err(|reason| malformed(self.path, reason))?;
                    value
                }
                Cell::Missing | Cell::Empty => f64::NAN,
                Cell::Text => return Err(self.no_number(cell, number, column)),
            };
            self.values.push(narrow(value, self.n_rows, column, self.path)?);
            if column + 1 == n_columns {
                self.ends_empty &= cell.is_empty();
            }
        }
        self.n_blank = if is_blank { self.n_blank + 1 } else { 0 };
        self.n_rows += 1;
        Ok(())
    }

    fn no_number(&self, cell: &str, line: usize, column: usize) -> crate::Error {
        if cell.contains(char::REPLACEMENT_CHARACTER) {
            return malformed(self.path, format!("line {line} is not text in UTF-8"));
        }
        let reason = format!("line {line} has `{}` in column {column}, expected a number", shortened(cell));
        if column == 0 && self.config.index == Presence::Auto {
            let advice = Advice::set("index", "yes").note("if the first column holds labels");
            return unclear(self.path, reason, advice);
        }
        malformed(self.path, reason)
    }

    /// Takes out what is no data, and says so.
    fn finish(mut self, mut top: Top) -> Result<Table<T>> {
        let (first_line, n_cells) = self.first.unwrap_or_default();
        // A name over an empty column is a column.
        let is_named = top.is_heading && top.n_named == n_cells && !top.ends_empty;
        let is_trailing = self.ends_empty && n_cells > 1 && !is_named;
        if top.is_heading && self.n_rows > 0 {
            // An index without a name, or no separator behind the last name.
            let may_be_shorter = top.index.is_some() || is_trailing;
            if top.n_named != n_cells && !(may_be_shorter && top.n_named + 1 == n_cells) {
                let (got, n_named, line) = (entries(n_cells), top.n_named, top.line);
                let reason = format!("line {first_line} has {got}, expected {n_named} as in line {line}");
                return Err(malformed(self.path, reason));
            }
        }
        let mut notes = Vec::new();
        if self.n_blank < self.n_rows && self.n_blank > 0 && self.config.missing == Missing::None {
            notes.push(Note::BlankRows { n_rows: self.n_blank });
            self.n_rows -= self.n_blank;
            self.values.truncate(self.n_rows * n_cells);
        }
        // The first row turns out to be a heading where the corner above an index is empty.
        let is_row_a_heading = top.has_empty_corner
            && self.n_rows > 1
            && self.is_index_below_corner(&top, n_cells - usize::from(is_trailing))?;
        if is_row_a_heading {
            (top.is_heading, top.index) = (true, Some(NAMELESS));
        }
        if top.is_heading {
            notes.push(Note::Heading { line: top.line, shown: top.shown.clone() });
        }
        notes.extend(top.index.map(|reason| Note::Index { reason }));
        notes.extend(is_trailing.then_some(Note::TrailingSeparator));
        notes.extend(self.decimals.comma().map(|(line, cell)| Note::DecimalComma { line, cell }));
        let columns = usize::from(top.index.is_some())..n_cells - usize::from(is_trailing);
        let first_row = usize::from(is_row_a_heading);
        let mut place = 0;
        self.values.retain(|_| {
            let keeps = place >= first_row * n_cells && columns.contains(&(place % n_cells));
            place += 1;
            keeps
        });
        let values = Array2::from_shape_vec((self.n_rows - first_row, columns.len()), self.values)
            .map_err(|_| malformed(self.path, "its lines differ in length"))?;
        notes.extend(doubts(&values, &top, self.config));
        Ok(Table { values, notes })
    }

    /// Whether rows whose first line begins with an empty cell are a heading over an index, and not a missing entry.
    fn is_index_below_corner(&self, top: &Top, end: usize) -> Result<bool> {
        let n_cells = self.values.len() / self.n_rows;
        let row: Vec<f64> = self.values[1..end].iter().copied().map(wide).collect();
        let column: Vec<f64> = self.values[n_cells..].iter().step_by(n_cells).copied().map(wide).collect();
        if is_scale(&row) == is_scale(&column) {
            return Ok(is_scale(&row));
        }
        let (line, shown) = (top.line, &top.shown);
        let reason = format!("line {line} ({shown}) could be a heading over an index, or a row that begins with a gap");
        Err(unclear(self.path, reason, Advice::set("header", "yes").or("header", "no")))
    }
}

/// What was taken for data and looks like something else.
fn doubts<T: Real>(values: &Array2<T>, top: &Top, config: &ReadConfig) -> Vec<Note> {
    let ((n_rows, n_columns), mut notes) = (values.dim(), Vec::new());
    let numbers = |line: ArrayView1<'_, T>| line.iter().copied().map(wide).collect::<Vec<_>>();
    if !top.is_heading && config.header == Presence::Auto && n_rows > 1 && n_columns > 2 {
        let (first, second) = (numbers(values.row(0)), numbers(values.row(1)));
        if is_scale(&first) && first.iter().all(|x| x.fract() == 0.0) && !is_scale(&second) {
            notes.push(Note::MayBeHeading { line: top.line, shown: top.shown.clone() });
        }
    }
    if top.index.is_none() && config.index == Presence::Auto && n_rows > 2 && n_columns > 1 {
        let first = numbers(values.column(0));
        if counts(&first) && [0.0, 1.0].contains(&first[0]) {
            notes.push(Note::MayBeIndex { from: first[0] as u32 });
        }
    }
    notes
}

fn entries(n: usize) -> String {
    if n == 1 { "1 entry".into() } else { format!("{n} entries") }
}
