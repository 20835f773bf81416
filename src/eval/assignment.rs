//! Which estimate belongs to which reference: the assignment of the largest total.

/// Gives each row a column of its own, so that the sum of `gain(row, column)` is as large as it can be.
/// Returns the column of each row.
///
/// # Panics
/// If `n_columns < n_rows`: some row would get none.
///
/// # Cost
/// O(`n_rows`^2 `n_columns`): ten sources take microseconds, where trying all 3,628,800 orders takes seconds.
///
/// # References
/// R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
/// Computing 38, 1987.
pub(super) fn best(n_rows: usize, n_columns: usize, gain: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    assert!(n_columns >= n_rows, "{n_columns} columns for {n_rows} rows");
    let (mut row_price, mut column_price) = (vec![0.0; n_rows], vec![0.0; n_columns]);
    let mut owner: Vec<Option<usize>> = vec![None; n_columns];
    for start in 0..n_rows {
        // Dijkstra from the new row to a free column, over reduced costs, which are never negative.
        let mut distance = vec![f64::INFINITY; n_columns];
        let mut came_from: Vec<Option<usize>> = vec![None; n_columns];
        let mut is_done = vec![false; n_columns];
        let (mut row, mut last, mut length) = (start, None, 0.0);
        let free = loop {
            let mut nearest: Option<usize> = None;
            for column in (0..n_columns).filter(|column| !is_done[*column]) {
                let through = length - gain(row, column) - row_price[row] - column_price[column];
                if through < distance[column] {
                    (distance[column], came_from[column]) = (through, last);
                }
                if nearest.is_none_or(|nearest| distance[column] < distance[nearest]) {
                    nearest = Some(column);
                }
            }
            let Some(column) = nearest else { unreachable!("there are as many columns as rows") };
            is_done[column] = true;
            (length, last) = (distance[column], Some(column));
            match owner[column] {
                Some(next) => row = next,
                None => break column,
            }
        };
        row_price[start] += length;
        for column in (0..n_columns).filter(|column| is_done[*column]) {
            let slack = length - distance[column];
            column_price[column] -= slack;
            if let Some(row) = owner[column] {
                row_price[row] += slack;
            }
        }
        // Along the path, every row moves to the column that was reached through it.
        let mut column = free;
        while let Some(previous) = came_from[column] {
            owner[column] = owner[previous];
            column = previous;
        }
        owner[column] = Some(start);
    }
    let mut columns = vec![0; n_rows];
    for (column, row) in owner.into_iter().enumerate() {
        if let Some(row) = row {
            columns[row] = column;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The largest total, found by trying every order.
    fn exhaustive(gains: &[Vec<f64>], row: usize, taken: &mut Vec<usize>) -> f64 {
        let Some(gain) = gains.get(row) else { return 0.0 };
        let mut best = f64::NEG_INFINITY;
        for (column, gain) in gain.iter().enumerate() {
            if !taken.contains(&column) {
                taken.push(column);
                best = best.max(gain + exhaustive(gains, row + 1, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_order_has_a_larger_total(
            n_rows in 1usize..6, more in 0usize..2, values in prop::collection::vec(-150.0f64..150.0, 42),
        ) {
            let n_columns = n_rows + more;
            let gains: Vec<Vec<f64>> = values.chunks(n_columns).take(n_rows).map(<[f64]>::to_vec).collect();
            let columns = best(n_rows, n_columns, |row, column| gains[row][column]);
            let total: f64 = columns.iter().enumerate().map(|(row, column)| gains[row][*column]).sum();
            let largest = exhaustive(&gains, 0, &mut Vec::new());
            // Sums of at most six numbers below 150, in another order.
            prop_assert!((total - largest).abs() < 1e-9, "{total} by assignment, {largest} by trying all");
            let mut sorted = columns.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), n_rows, "{:?} names a column twice", columns);
        }
    }
}
