//! Hierarchical clustering of things that do not all weigh the same.
//! Numbers only: what is clustered, and what it weighs, is the caller's business.

use ndarray::Array2;

/// The merges that Ward's criterion makes, cheapest first, until one cluster is left: pairs of clusters, of which the first
/// `masses.len()` are the things themselves, and each merge makes the next. A merge costs by how much it raises the sum of
/// masses times squared distances from the middles of the clusters, so that heavy things are kept apart, and light ones
/// follow.
///
/// # Shapes and units
/// | name | shape | unit |
/// |---|---|---|
/// | `squared` | n x n | squared distance |
/// | `masses` | n | above 0, on any common scale |
///
/// # Cost
/// Time O(n^3), memory O(n^2).
///
/// # Panics
/// If the shapes differ.
///
/// # References
/// J. H. Ward, "Hierarchical grouping to optimize an objective function", JASA 58(301), 1963; with masses as in F. Murtagh
/// and P. Legendre, "Ward's hierarchical agglomerative clustering method", Journal of Classification 31, 2014.
pub(super) fn merges(squared: &Array2<f32>, masses: &[f32]) -> Vec<(usize, usize)> {
    let n = masses.len();
    assert_eq!(squared.dim(), (n, n), "a distance for each pair");
    let mut masses = masses.to_vec();
    let mut cost = Array2::from_shape_fn((n, n), |(i, j)| {
        let (a, b) = (masses[i], masses[j]);
        a * b / (a + b) * squared[[i, j]]
    });
    // The place of each cluster that is left, and its number.
    let mut left: Vec<_> = (0..n).map(|i| (i, i)).collect();
    let mut merges = Vec::with_capacity(n.saturating_sub(1));
    while left.len() > 1 {
        let pairs = (0..left.len()).flat_map(|i| (i + 1..left.len()).map(move |j| (i, j)));
        let of = |pair: &(usize, usize)| cost[[left[pair.0].0, left[pair.1].0]];
        let Some((i, j)) = pairs.min_by(|a, b| of(a).total_cmp(&of(b))) else { break };
        let ((a, first), (b, second)) = (left[i], left[j]);
        merges.push((first, second));
        let merged = cost[[a, b]];
        left.remove(j);
        for (k, _) in left.iter().filter(|(k, _)| *k != a) {
            let total = masses[a] + masses[b] + masses[*k];
            let raised = (masses[a] + masses[*k]) * cost[[a, *k]] + (masses[b] + masses[*k]) * cost[[b, *k]];
            let new = (raised - masses[*k] * merged) / total;
            cost[[a, *k]] = new;
            cost[[*k, a]] = new;
        }
        masses[a] += masses[b];
        left[i].1 = n + merges.len() - 1;
    }
    merges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Masses times squared distances from the middle of a cluster of numbers.
    fn scatter(members: &[usize], places: &[f32], masses: &[f32]) -> f64 {
        let sum = |of: &dyn Fn(usize) -> f64| members.iter().map(|i| of(*i)).sum::<f64>();
        let mass = sum(&|i| f64::from(masses[i]));
        let middle = sum(&|i| f64::from(masses[i]) * f64::from(places[i])) / mass;
        sum(&|i| f64::from(masses[i]) * (f64::from(places[i]) - middle).powi(2))
    }

    proptest! {
        /// The definition: of all pairs, the one whose merge raises the scatter least.
        #[test]
        fn each_merge_is_the_one_that_costs_least(
            things in prop::collection::vec((-10.0f32..10.0, 0.1f32..3.0), 2..9),
        ) {
            let (places, masses): (Vec<_>, Vec<_>) = things.into_iter().unzip();
            let n = places.len();
            let squared = Array2::from_shape_fn((n, n), |(i, j)| (places[i] - places[j]).powi(2));
            let mut clusters: Vec<_> = (0..n).map(|i| vec![i]).collect();
            let merges = merges(&squared, &masses);
            prop_assert_eq!(merges.len(), n - 1);
            for (a, b) in merges {
                let alive: Vec<_> = clusters.iter().filter(|cluster| !cluster.is_empty()).collect();
                let cost = |a: &Vec<usize>, b: &Vec<usize>| {
                    let both = [&a[..], b].concat();
                    scatter(&both, &places, &masses) - scatter(a, &places, &masses) - scatter(b, &places, &masses)
                };
                let costs = (0..alive.len()).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| cost(alive[i], alive[j]));
                let least = costs.fold(f64::INFINITY, f64::min);
                let own = cost(&clusters[a], &clusters[b]);
                // Costs of up to some thousands, in numbers of 24 bits.
                prop_assert!(own <= least + 1e-2, "{} where {} can be had", own, least);
                let merged = [std::mem::take(&mut clusters[a]), std::mem::take(&mut clusters[b])].concat();
                clusters.push(merged);
            }
        }
    }

    #[test]
    fn light_things_follow_heavy_ones() {
        let places = [0.0f32, 4.0, 10.0];
        let squared = Array2::from_shape_fn((3, 3), |(i, j)| (places[i] - places[j]).powi(2));
        assert_eq!(merges(&squared, &[1.0, 1.0, 1.0])[0], (0, 1));
        assert_eq!(merges(&squared, &[100.0, 100.0, 0.1])[0], (1, 2));
    }
}
