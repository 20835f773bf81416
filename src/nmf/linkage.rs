//! Hierarchical clustering of things that are as far apart as somebody says. The only place that knows kodama.

use kodama::{Method, linkage};
use ndarray::Array2;

/// A tree of things, by average linkage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    /// The things, so that those that were joined first lie together.
    pub(super) order: Vec<usize>,
    /// Correlation of the distances with those that the tree stands for; 1 where all are alike.
    pub(super) cophenetic: f64,
}

/// The tree in which the distance of two clusters is the mean over their pairs. `distances` is symmetric.
///
/// The height of a join is the mean of the distances over its pairs, so that the sum of the products of distances and
/// heights is that of the squared heights, and the correlation needs only sums over the joins.
///
/// # References
/// R. R. Sokal and F. J. Rohlf, "The comparison of dendrograms by objective methods", Taxon 11(2), 1962 (cophenetic
/// correlation).
pub(super) fn average(distances: &Array2<f32>) -> Tree {
    let n = distances.nrows();
    let mut pairs = pairs(n, |pair| f64::from(distances[pair]));
    let n_pairs = pairs.len().max(1) as f64;
    let (sum, squares) = pairs.iter().fold((0.0, 0.0), |(sum, squares), d| (sum + d, squares + d * d));
    // Cluster n + i is made by join i.
    let mut members: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let mut squared_heights = 0.0;
    for join in linkage(&mut pairs, n, Method::Average).steps() {
        let mut joined = std::mem::take(&mut members[join.cluster1]);
        let other = std::mem::take(&mut members[join.cluster2]);
        squared_heights += join.dissimilarity.powi(2) * (joined.len() * other.len()) as f64;
        joined.extend(other);
        members.push(joined);
    }
    let square = sum * sum / n_pairs;
    let (of_heights, of_distances) = (squared_heights - square, squares - square);
    // Differences of large sums: below this share they are rounding.
    let is_even = of_distances <= 1e-9 * squares;
    Tree {
        order: members.pop().unwrap_or_default(),
        cophenetic: if is_even { 1.0 } else { (of_heights / of_distances).clamp(0.0, 1.0).sqrt() },
    }
}

/// How much each join costs by Ward's criterion, in order, where all things weigh the same.
pub(crate) fn ward_costs(n: usize, distance: impl Fn((usize, usize)) -> f32) -> Vec<f32> {
    linkage(&mut pairs(n, distance), n, Method::Ward).steps().iter().map(|join| join.dissimilarity).collect()
}

/// What belongs to each pair of things, in the order that kodama wants.
fn pairs<T>(n: usize, of: impl Fn((usize, usize)) -> T) -> Vec<T> {
    (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmf::testing;

    /// Joins by going through all pairs of clusters each time, and the correlation entry by entry.
    fn slowly(distances: &Array2<f32>) -> f64 {
        let n = distances.nrows();
        let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
        let mut heights = Array2::<f64>::zeros((n, n));
        let between = |a: &[usize], b: &[usize]| {
            let pairs = a.iter().flat_map(|i| b.iter().map(move |j| (*i, *j)));
            pairs.map(|at| f64::from(distances[at])).sum::<f64>() / (a.len() * b.len()) as f64
        };
        while clusters.len() > 1 {
            let pairs = (0..clusters.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
            let (a, b) = pairs
                .min_by(|x, y| {
                    let of = |at: &(usize, usize)| between(&clusters[at.0], &clusters[at.1]);
                    of(x).total_cmp(&of(y))
                })
                .unwrap();
            let height = between(&clusters[a], &clusters[b]);
            let from = clusters.remove(a);
            for (i, j) in from.iter().flat_map(|i| clusters[b].iter().map(move |j| (*i, *j))) {
                (heights[(i, j)], heights[(j, i)]) = (height, height);
            }
            clusters[b].extend(from);
        }
        let pairs: Vec<_> = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
        let (x, y): (Vec<_>, Vec<_>) = pairs.iter().map(|at| (f64::from(distances[*at]), heights[*at])).unzip();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let product = |a: &[f64], b: &[f64]| {
            let (mean_a, mean_b) = (mean(a), mean(b));
            a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>()
        };
        product(&x, &y) / (product(&x, &x) * product(&y, &y)).sqrt()
    }

    #[test]
    fn the_correlation_is_that_of_all_pairs_joined_one_after_the_other() {
        for (n, seed) in [(2, 1), (3, 2), (9, 3), (30, 4)] {
            let x = testing::noise((n, n), seed);
            let distances = Array2::from_shape_fn((n, n), |(i, j)| if i == j { 0.0 } else { x[(i.max(j), i.min(j))] });
            let tree = average(&distances);
            let expected = if n == 2 { 1.0 } else { slowly(&distances) };
            assert!((tree.cophenetic - expected).abs() < 1e-5, "{n}: {}, expected {expected}", tree.cophenetic);
            let mut order = tree.order;
            order.sort_unstable();
            assert!(order.into_iter().eq(0..n), "{n}");
        }
    }

    #[test]
    fn what_is_near_lies_together() {
        let group = [0, 1, 0, 1, 1, 0];
        let distances = Array2::from_shape_fn((6, 6), |(i, j)| if group[i] == group[j] { 0.0 } else { 1.0 });
        let tree = average(&distances);
        let groups: Vec<_> = tree.order.iter().map(|i| group[*i]).collect();
        assert!(groups == [0, 0, 0, 1, 1, 1] || groups == [1, 1, 1, 0, 0, 0], "{groups:?}");
        assert!((tree.cophenetic - 1.0).abs() < 1e-9);
        assert_eq!(average(&Array2::zeros((1, 1))), Tree { order: vec![0], cophenetic: 1.0 });
    }
}
