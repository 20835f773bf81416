//! How often two columns (or rows) of V end up in the same cluster, over many runs.

use ndarray::Array2;

use super::linkage;

/// Things that are compared at the most: the matrix and the tree take the square of their number.
const MOST: usize = 1000;

/// The consensus matrix of Brunet et al.: the share of runs in which two columns of V belong to the same component, each
/// column belonging to that of its largest activation. Of more than 1000 columns, 1000 evenly spaced ones are compared.
///
/// # References
/// J.-P. Brunet, P. Tamayo, T. R. Golub and J. P. Mesirov, "Metagenes and molecular pattern discovery using matrix
/// factorization", PNAS 101(12), 2004 (matrix and cophenetic correlation). H. Kim and H. Park, "Sparse non-negative
/// matrix factorizations via alternating non-negativity-constrained least squares for microarray data analysis",
/// Bioinformatics 23(12), 2007 (dispersion).
#[derive(Debug, Clone, PartialEq)]
pub struct Connectivity {
    /// The columns of V that are compared (rows, where it is rows that are clustered), from 0, in an order in which those
    /// that often go together lie together.
    pub order: Vec<usize>,
    /// The share of runs in which two of them go together, from 0 to 1, in that order.
    pub shares: Array2<f32>,
    /// How well a tree by average linkage stands for `1 - shares`: the correlation of the two. 1 where every two columns
    /// go together in all runs or in none.
    pub cophenetic: f64,
    /// Mean of `4 (share - 1/2)^2`: 1 where all shares are 0 or 1, 0 where all are one half.
    pub dispersion: f64,
}

impl Connectivity {
    /// `runs` has the cluster of each column, in each run.
    pub(super) fn new(runs: &[&[u32]]) -> Self {
        let n_all = runs.first().map_or(0, |clusters| clusters.len());
        let n = n_all.min(MOST);
        let columns: Vec<usize> = (0..n).map(|i| i * n_all / n).collect();
        let mut counts = Array2::<u32>::zeros((n, n));
        for clusters in runs {
            let clusters: Vec<u32> = columns.iter().map(|&column| clusters[column]).collect();
            for (cluster, mut row) in clusters.iter().zip(counts.rows_mut()) {
                row.iter_mut().zip(&clusters).for_each(|(count, other)| *count += u32::from(cluster == other));
            }
        }
        let n_runs = runs.len().max(1) as f32;
        let shares = counts.mapv(|count| count as f32 / n_runs);
        let dispersion = shares.iter().map(|&x| 4.0 * (f64::from(x) - 0.5).powi(2)).sum::<f64>();
        let tree = linkage::average(&shares.mapv(|share| 1.0 - share));
        Self {
            shares: Array2::from_shape_fn((n, n), |(i, j)| shares[(tree.order[i], tree.order[j])]),
            order: tree.order.iter().map(|&i| columns[i]).collect(),
            cophenetic: tree.cophenetic,
            dispersion: dispersion / (n * n).max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_that_never_change_are_as_clear_as_can_be() {
        // The numbers of the clusters do not matter.
        let (a, b) = ([0, 1, 1, 0, 2], [2, 0, 0, 2, 1]);
        let found = Connectivity::new(&[&a, &b]);
        assert_eq!((found.cophenetic, found.dispersion), (1.0, 1.0));
        for (i, &first) in found.order.iter().enumerate() {
            for (j, &second) in found.order.iter().enumerate() {
                assert_eq!(found.shares[(i, j)], f32::from(u8::from(a[first] == a[second])), "{first} and {second}");
            }
        }
    }

    #[test]
    fn columns_that_change_sides_lower_dispersion_and_correlation() {
        // Column 2 is with 0 and 1 in one run, with 3 and 4 in the other.
        let found = Connectivity::new(&[&[0, 0, 0, 1, 1], &[0, 0, 1, 1, 1]]);
        // 8 of 25 shares are one half.
        assert!((found.dispersion - 17.0 / 25.0).abs() < 1e-9, "{}", found.dispersion);
        assert!(found.cophenetic < 0.97 && found.cophenetic > 0.5, "{}", found.cophenetic);
    }

    #[test]
    fn of_many_columns_some_are_compared() {
        let clusters: Vec<u32> = (0..3 * MOST as u32).map(|i| i / 1500).collect();
        let found = Connectivity::new(&[&clusters, &clusters]);
        assert_eq!(found.shares.dim(), (MOST, MOST));
        assert!(found.order.iter().all(|column| column % 3 == 0));
        assert_eq!(found.cophenetic, 1.0);
    }
}
