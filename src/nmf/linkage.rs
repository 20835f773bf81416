//! Hierarchical clustering by average linkage, of things that are as far apart as a matrix says.

use ndarray::Array2;

/// A tree of things, by average linkage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    /// The things, so that those that were joined first lie together.
    pub(super) order: Vec<usize>,
    /// Correlation of the distances with those that the tree stands for; 1 where all are alike.
    pub(super) cophenetic: f64,
}

/// Joins the nearest two clusters again and again, the distance of two being the mean over their pairs. `distances` is
/// symmetric.
///
/// The height of a join is the mean of the distances over its pairs, so that the sum of the products of distances and
/// heights is that of the squared heights, and the correlation needs only sums over the joins.
///
/// # References
/// F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms", The Computer Journal 26(4), 1983
/// (chains of nearest neighbors). R. R. Sokal and F. J. Rohlf, "The comparison of dendrograms by objective methods",
/// Taxon 11(2), 1962 (cophenetic correlation).
pub(super) fn average(mut distances: Array2<f32>) -> Tree {
    let n = distances.nrows();
    let n_pairs = (n * n.saturating_sub(1) / 2) as f64;
    let (mut sum, mut squares) = (0.0, 0.0);
    for i in 0..n {
        for j in 0..i {
            let d = f64::from(distances[(i, j)]);
            (sum, squares) = (sum + d, squares + d * d);
        }
    }
    let mut members: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let mut alive: Vec<usize> = (0..n).collect();
    let mut chain: Vec<usize> = Vec::new();
    let mut squared_heights = 0.0;
    while alive.len() > 1 {
        let Some(&last) = chain.last() else {
            chain.push(alive[0]);
            continue;
        };
        // The one before in the chain wins a tie, so that the chain ends.
        let before = chain.len().checked_sub(2).map(|i| chain[i]);
        let mut nearest = before.unwrap_or_else(|| if alive[0] == last { alive[1] } else { alive[0] });
        for &other in alive.iter().filter(|other| **other != last) {
            if distances[(last, other)] < distances[(last, nearest)] {
                nearest = other;
            }
        }
        if Some(nearest) != before {
            chain.push(nearest);
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (into, from) = (last.min(nearest), last.max(nearest));
        let (n_into, n_from) = (members[into].len() as f32, members[from].len() as f32);
        let height = f64::from(distances[(into, from)]);
        squared_heights += height * height * f64::from(n_into) * f64::from(n_from);
        alive.retain(|cluster| *cluster != from);
        for &other in alive.iter().filter(|other| **other != into) {
            let (a, b) = (distances[(into, other)], distances[(from, other)]);
            let mean = (n_into * a + n_from * b) / (n_into + n_from);
            (distances[(into, other)], distances[(other, into)]) = (mean, mean);
        }
        let joined = std::mem::take(&mut members[from]);
        members[into].extend(joined);
    }
    let order = alive.first().map_or_else(Vec::new, |root| std::mem::take(&mut members[*root]));
    let square = sum * sum / n_pairs.max(1.0);
    let (of_heights, of_distances) = (squared_heights - square, squares - square);
    // Differences of large sums: below this share they are rounding.
    let is_even = of_distances <= 1e-9 * squares;
    Tree { order, cophenetic: if is_even { 1.0 } else { (of_heights / of_distances).clamp(0.0, 1.0).sqrt() } }
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
            let tree = average(distances.clone());
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
        let tree = average(distances);
        let groups: Vec<_> = tree.order.iter().map(|i| group[*i]).collect();
        assert!(groups == [0, 0, 0, 1, 1, 1] || groups == [1, 1, 1, 0, 0, 0], "{groups:?}");
        assert!((tree.cophenetic - 1.0).abs() < 1e-9);
        assert_eq!(average(Array2::zeros((1, 1))), Tree { order: vec![0], cophenetic: 1.0 });
    }
}
