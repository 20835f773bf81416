//! The cells of a line of text: what parts them, and what each of them is.
//! Knows one line at a time.

/// What stands between the cells of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Char(char),
    /// Any number of spaces, as `numpy.savetxt` writes one.
    Spaces,
}

impl Separator {
    pub(super) const COMMA: Self = Self::Char(',');

    /// The first of tab, semicolon and comma that stands outside of quotes; else spaces, as between decimal commas.
    pub(super) fn of(line: &str) -> Self {
        let outside = |c: char| line.split('"').step_by(2).any(|part| part.contains(c));
        match ['\t', ';', ','].into_iter().find(|c| outside(*c)) {
            Some(',') if has_decimal_commas(line) => Self::Spaces,
            Some(c) => Self::Char(c),
            None => Self::Spaces,
        }
    }

    /// The cells of a line, each without quotes and spaces around it.
    pub(super) fn cells(self, line: &str) -> Vec<&str> {
        let mut is_quoted = false;
        let parts = |c: char| {
            is_quoted ^= c == '"';
            !is_quoted && self.is(c)
        };
        let cells = line.split(parts).map(str::trim);
        let keeps = |cell: &&str| self != Self::Spaces || !cell.is_empty();
        cells.filter(keeps).map(|cell| cell.trim_matches('"').trim()).collect()
    }

    /// What the cells of a line are.
    pub(super) fn kinds(self, line: &str) -> Vec<Cell> {
        self.cells(line).into_iter().map(|cell| Cell::of(cell, self)).collect()
    }

    fn is(self, c: char) -> bool {
        match self {
            Self::Char(separator) => c == separator,
            Self::Spaces => c.is_whitespace(),
        }
    }
}

/// Whether a line is numbers with decimal commas and spaces between them.
fn has_decimal_commas(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.clone().count() > 1 && words.all(|word| with_comma(word).is_some() || word.parse::<f64>().is_ok())
}

/// A number with a decimal comma.
fn with_comma(cell: &str) -> Option<f64> {
    let (whole, part) = cell.split_once(',')?;
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    if !is_digit(whole.chars().last()) && !whole.trim_start_matches(['-', '+']).is_empty()
        || !is_digit(part.chars().next())
    {
        return None;
    }
    format!("{whole}.{part}").parse().ok()
}

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Number(f64),
    /// A word for a missing entry.
    Missing,
    Empty,
    Text,
}

/// What pandas takes for missing, and R, spreadsheets and databases write.
const MISSING: [&str; 16] = [
    "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "None", "NAN", "1.#QNAN",
    "-1.#IND",
];

impl Cell {
    pub(super) fn of(cell: &str, separator: Separator) -> Self {
        if cell.is_empty() {
            return Self::Empty;
        }
        match cell.parse::<f64>() {
            Ok(value) if value.is_nan() => Self::Missing,
            Ok(value) => Self::Number(value),
            Err(_)
                if separator != Separator::COMMA
                    && let Some(value) = with_comma(cell) =>
            {
                Self::Number(value)
            }
            Err(_) if MISSING.contains(&cell) => Self::Missing,
            Err(_) => Self::Text,
        }
    }
}

/// Which decimal mark a text has: the first cell with each, and its line.
#[derive(Debug, Default)]
pub(super) struct Decimals {
    point: Option<(usize, String)>,
    comma: Option<(usize, String)>,
}

impl Decimals {
    /// Minds the mark in a number; both in one text are refused.
    pub(super) fn note(&mut self, cell: &str, line: usize, separator: Separator) -> Result<(), String> {
        if separator == Separator::COMMA {
            return Ok(());
        }
        let seen = match cell.bytes().find(|c| matches!(c, b'.' | b',')) {
            None => return Ok(()),
            Some(b',') => &mut self.comma,
            Some(_) => &mut self.point,
        };
        if seen.is_none() {
            *seen = Some((line, cell.to_owned()));
            if let (Some((at, point)), Some((line, comma))) = (&self.point, &self.comma) {
                return Err(format!(
                    "line {line} has `{comma}` and line {at} `{point}`, expected one decimal mark and nothing between \
                     thousands"
                ));
            }
        }
        Ok(())
    }

    /// The first cell with a decimal comma, and its line.
    pub(super) fn comma(&self) -> Option<(usize, String)> {
        self.comma.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_parted_outside_of_quotes_only() {
        let cells =
            |line: &str| Separator::of(line).cells(line).iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        assert_eq!(cells("\"a, b\",2,\"3\""), ["a, b", "2", "3"]);
        assert_eq!(cells("\"a;b\", \"2\""), ["a;b", "2"]);
        assert_eq!(cells("\"row 1\"  2   3"), ["row 1", "2", "3"]);
        assert_eq!(cells("\"\" \"a\""), ["", "a"]);
        assert_eq!(cells("1;;3;"), ["1", "", "3", ""]);
        assert_eq!(cells("1,5 2,5  3"), ["1,5", "2,5", "3"]);
        assert_eq!(cells("1, 2, 3"), ["1", "2", "3"]);
    }

    #[test]
    fn a_cell_is_a_number_a_gap_or_text() {
        let semicolon = Separator::Char(';');
        for (cell, expected) in [
            ("1e3", Cell::Number(1e3)),
            ("1,5", Cell::Number(1.5)),
            ("-,5", Cell::Number(-0.5)),
            (",5", Cell::Number(0.5)),
            ("1,5e-3", Cell::Number(1.5e-3)),
            ("", Cell::Empty),
            ("NA", Cell::Missing),
            ("nan", Cell::Missing),
            ("1,234.5", Cell::Text),
            ("1,2,3", Cell::Text),
            ("1,", Cell::Text),
            ("a,5", Cell::Text),
        ] {
            assert_eq!(Cell::of(cell, semicolon), expected, "{cell}");
        }
        assert_eq!(Cell::of("1,5", Separator::COMMA), Cell::Text);
    }
}
