//! Matrices that are mostly zero, in compressed rows.
//! Holds and checks entries; what is fitted to them is in `sparse_fit`.

use std::ops::Range;

use super::Real;
use super::kernel::wide;
use crate::{Error, Result};

/// Rows or columns at the most: each entry has its place in 32 bits.
const MAX_SIDE: usize = u32::MAX as usize;

/// A non-negative matrix that holds only its entries other than 0, row by row (known as CSR).
///
/// # Examples
/// ```
/// use partita::nmf::{NmfConfig, SparseMatrix, fit_sparse};
/// let v = SparseMatrix::from_entries((3, 2), vec![(0, 0, 1.0f32), (2, 0, 3.0), (1, 1, 2.0)])?;
/// let parts = fit_sparse(&v, &NmfConfig { n_components: 2, max_iter: 1000, tol: 0.0, ..NmfConfig::default() })?;
/// assert!((parts.product()[(2, 0)] - 3.0).abs() < 1e-3);
/// # Ok::<(), partita::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SparseMatrix<T: Real = f32> {
    n_columns: usize,
    /// Where each row begins among the entries, and where the last one ends.
    row_starts: Vec<usize>,
    /// Column and value of each entry; within a row the columns rise.
    columns: Vec<u32>,
    values: Vec<T>,
}

impl<T: Real> SparseMatrix<T> {
    /// Takes the three lists that make up a CSR matrix, named `indptr`, `indices` and `data` elsewhere, without a copy.
    ///
    /// `shape` is rows and columns; row i has the entries from `row_starts[i]` to before `row_starts[i + 1]`, in rising
    /// order of their columns.
    ///
    /// # Errors
    /// [`Error::SparseStructure`] where the lists contradict one another or the shape, [`Error::MatrixEntry`] for a
    /// negative, NaN or infinite value.
    pub fn from_rows(shape: (usize, usize), row_starts: Vec<usize>, columns: Vec<u32>, values: Vec<T>) -> Result<Self> {
        let refused = |reason: String| Err(Error::SparseStructure { reason });
        if shape.0.max(shape.1) > MAX_SIDE {
            return refused(format!("{} rows and {} columns, expected at most {MAX_SIDE}", shape.0, shape.1));
        }
        if row_starts.len().checked_sub(1) != Some(shape.0) {
            return refused(format!("{} row starts for {} rows, expected one more", row_starts.len(), shape.0));
        }
        if columns.len() != values.len() {
            return refused(format!("{} columns for {} values", columns.len(), values.len()));
        }
        if row_starts.first() != Some(&0) || row_starts.last() != Some(&values.len()) || !row_starts.is_sorted() {
            return refused(format!("row starts that do not rise from 0 to {}, the number of entries", values.len()));
        }
        for (row, ends) in row_starts.windows(2).enumerate() {
            let columns = &columns[ends[0]..ends[1]];
            if !columns.is_sorted_by(|a, b| a < b) {
                return refused(format!("columns that do not rise in row {row}"));
            }
            if let Some(&last) = columns.last().filter(|&&last| last as usize >= shape.1) {
                return refused(format!("column {last} in row {row}, of {} columns", shape.1));
            }
            for (&column, &value) in columns.iter().zip(&values[ends[0]..ends[1]]) {
                if !(value.is_finite() && value >= T::of(0.0)) {
                    return Err(Error::MatrixEntry { row, column: column as usize, value: wide(value) });
                }
            }
        }
        Ok(Self { n_columns: shape.1, row_starts, columns, values })
    }

    /// Builds a matrix from entries (row, column, value) in any order; those of the same place add up, and zeros are
    /// left out.
    ///
    /// # Errors
    /// [`Error::SparseStructure`] for an entry outside of the shape, [`Error::MatrixEntry`] for a negative, NaN or
    /// infinite value, or sum of values.
    pub fn from_entries(shape: (usize, usize), mut entries: Vec<(u32, u32, T)>) -> Result<Self> {
        let outside = entries.iter().find(|(row, column, _)| *row as usize >= shape.0 || *column as usize >= shape.1);
        if let Some((row, column, _)) = outside {
            let reason = format!("an entry at row {row}, column {column}, outside of {} x {}", shape.0, shape.1);
            return Err(Error::SparseStructure { reason });
        }
        if shape.0.max(shape.1) > MAX_SIDE {
            return Self::from_rows(shape, Vec::new(), Vec::new(), Vec::new());
        }
        entries.sort_by_key(|&(row, column, _)| (row, column));
        let mut row_starts = vec![0; shape.0.saturating_add(1)];
        let (mut columns, mut values) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
        for same_place in entries.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (row, column, _) = same_place[0];
            let value = same_place.iter().map(|entry| entry.2).sum::<T>();
            if value != T::of(0.0) {
                columns.push(column);
                values.push(value);
                row_starts[row as usize + 1] += 1;
            }
        }
        running_sums(&mut row_starts);
        Self::from_rows(shape, row_starts, columns, values)
    }

    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        (self.row_starts.len() - 1, self.n_columns)
    }

    /// Number of entries that are held.
    pub fn n_entries(&self) -> usize {
        self.values.len()
    }

    /// Mean of all entries, zeros too.
    pub(super) fn mean(&self) -> f64 {
        let sum: f64 = self.values.iter().map(|&x| wide(x)).sum();
        sum / (self.dim().0 as f64 * self.dim().1 as f64).max(1.0)
    }

    /// Row, column and value of each entry, row by row.
    pub fn entries(&self) -> impl Iterator<Item = (usize, usize, T)> + '_ {
        (0..self.dim().0).flat_map(|row| {
            let (columns, values) = self.row(row);
            columns.iter().zip(values).map(move |(&column, &value)| (row, column as usize, value))
        })
    }

    /// The same with rows and columns exchanged.
    pub fn transposed(&self) -> Self {
        let (n_rows, n_columns) = self.dim();
        let mut row_starts = vec![0; n_columns + 1];
        self.columns.iter().for_each(|&column| row_starts[column as usize + 1] += 1);
        running_sums(&mut row_starts);
        let mut next = row_starts.clone();
        let (mut columns, mut values) = (vec![0; self.n_entries()], vec![T::of(0.0); self.n_entries()]);
        for (row, column, value) in self.entries() {
            let place = &mut next[column];
            (columns[*place], values[*place]) = (row as u32, value);
            *place += 1;
        }
        Self { n_columns: n_rows, row_starts, columns, values }
    }

    /// Some of its rows.
    pub(super) fn some_rows(&self, rows: &Range<usize>) -> Self {
        let (first, last) = (self.row_starts[rows.start], self.row_starts[rows.end]);
        Self {
            n_columns: self.n_columns,
            row_starts: self.row_starts[rows.start..=rows.end].iter().map(|start| start - first).collect(),
            columns: self.columns[first..last].to_vec(),
            values: self.values[first..last].to_vec(),
        }
    }

    /// Columns and values of one row.
    pub(super) fn row(&self, row: usize) -> (&[u32], &[T]) {
        let entries = self.row_starts[row]..self.row_starts[row + 1];
        (&self.columns[entries.clone()], &self.values[entries])
    }

    /// The same on another scale.
    pub(super) fn scaled(&self, scale: f64) -> Self {
        let values = self.values.iter().map(|&x| T::of(wide(x) * scale)).collect();
        Self { values, ..self.clone() }
    }
}

/// Counts, one place late, become starts.
fn running_sums(counts: &mut [usize]) {
    let mut sum = 0;
    for count in counts {
        sum += *count;
        *count = sum;
    }
}
