//! Clusters of points around their means.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardUniform};
use rayon::prelude::*;

use super::Real;
use super::kernel::wide;

/// Rounds at the most; a few tens are the rule.
const MAX_ROUNDS: usize = 300;

/// Points (rows) in clusters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clusters {
    /// The cluster of each point.
    pub(super) of: Vec<usize>,
    /// Sum of the squared distances from the means.
    pub(super) inertia: f64,
}

/// The best of several k-means: from the given centers, and from as many starts as asked for, drawn by k-means++.
///
/// # References
/// S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982. D. Arthur and
/// S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
pub(super) fn k_means<T: Real>(points: ArrayView2<'_, T>, given: Array2<T>, n_starts: usize, seed: u64) -> Clusters {
    let k = given.nrows();
    let starts: Vec<Option<u64>> = (0..n_starts).map(|start| Some(seed.wrapping_add(start as u64))).collect();
    let squares: Array1<f64> = points.rows().into_iter().map(square).collect();
    let found: Vec<Clusters> = [None]
        .into_iter()
        .chain(starts)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|seed| match seed {
            None => lloyd(points, &squares, given.clone()),
            Some(seed) => lloyd(points, &squares, plus_plus(points, &squares, k, seed)),
        })
        .collect();
    let best = found.into_iter().reduce(|best, other| if other.inertia < best.inertia { other } else { best });
    best.expect("one start is always there")
}

fn square<T: Real>(x: ArrayView1<'_, T>) -> f64 {
    x.iter().map(|&x| wide(x) * wide(x)).sum()
}

/// Squared distances of points (rows) from centers (columns).
fn squared_distances<T: Real>(points: ArrayView2<'_, T>, squares: &Array1<f64>, centers: &Array2<T>) -> Array2<f64> {
    let of_centers: Vec<f64> = centers.rows().into_iter().map(square).collect();
    let products = points.dot(&centers.t());
    let at = |(i, j): (usize, usize)| (squares[i] - 2.0 * wide(products[(i, j)]) + of_centers[j]).max(0.0);
    Array2::from_shape_fn(products.dim(), at)
}

fn lloyd<T: Real>(points: ArrayView2<'_, T>, squares: &Array1<f64>, mut centers: Array2<T>) -> Clusters {
    let (n, k) = (points.nrows(), centers.nrows());
    let mut clusters = Clusters { of: vec![usize::MAX; n], inertia: f64::INFINITY };
    for _ in 0..MAX_ROUNDS {
        let distances = squared_distances(points, squares, &centers);
        let nearest = |row: ArrayView1<'_, f64>| {
            (0..k).min_by(|a, b| row[*a].total_cmp(&row[*b])).expect("there is at least one center")
        };
        let mut of: Vec<usize> = distances.rows().into_iter().map(nearest).collect();
        // A cluster that nobody belongs to gets the point that is furthest from its mean, of those not alone.
        for empty in 0..k {
            let sizes = sizes(&of, k);
            if sizes[empty] > 0 {
                continue;
            }
            let others = (0..n).filter(|&i| sizes[of[i]] > 1);
            if let Some(i) = others.max_by(|&a, &b| distances[(a, of[a])].total_cmp(&distances[(b, of[b])])) {
                of[i] = empty;
            }
        }
        let inertia = of.iter().enumerate().map(|(i, &cluster)| distances[(i, cluster)]).sum();
        let is_same = of == clusters.of;
        clusters = Clusters { of, inertia };
        if is_same {
            break;
        }
        centers = means(points, &clusters.of, k);
    }
    clusters
}

fn sizes(of: &[usize], k: usize) -> Vec<usize> {
    let mut sizes = vec![0; k];
    of.iter().for_each(|&cluster| sizes[cluster] += 1);
    sizes
}

fn means<T: Real>(points: ArrayView2<'_, T>, of: &[usize], k: usize) -> Array2<T> {
    let mut sums = Array2::<f64>::zeros((k, points.ncols()));
    for (point, &cluster) in points.rows().into_iter().zip(of) {
        sums.row_mut(cluster).iter_mut().zip(point).for_each(|(sum, &x)| *sum += wide(x));
    }
    for (mut row, size) in sums.rows_mut().into_iter().zip(sizes(of, k)) {
        row /= size.max(1) as f64;
    }
    sums.mapv(T::of)
}

/// Centers drawn among the points, each the likelier the further it is from those before.
fn plus_plus<T: Real>(points: ArrayView2<'_, T>, squares: &Array1<f64>, k: usize, seed: u64) -> Array2<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |weights: &[f64]| {
        let uniform: f64 = StandardUniform.sample(&mut rng);
        let mut left = uniform * weights.iter().sum::<f64>();
        let hit = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        hit.unwrap_or(weights.len() - 1)
    };
    let mut weights = vec![1.0; points.nrows()];
    let mut chosen = vec![draw(&weights)];
    weights.fill(f64::INFINITY);
    while chosen.len() < k {
        let last = points.select(Axis(0), &chosen[chosen.len() - 1..]);
        let distances = squared_distances(points, squares, &last);
        weights.iter_mut().zip(&distances).for_each(|(weight, distance)| *weight = weight.min(*distance));
        chosen.push(draw(&weights));
    }
    points.select(Axis(0), &chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmf::testing;

    /// Points around corners, in turn.
    fn around(n_corners: usize, n: usize) -> Array2<f32> {
        let noise = testing::noise((n, n_corners), 3);
        Array2::from_shape_fn((n, n_corners), |(i, j)| 0.1 * noise[(i, j)] + f32::from(u8::from(i % n_corners == j)))
    }

    #[test]
    fn points_around_corners_are_told_apart_from_any_start() {
        let points = around(4, 40);
        // Given centers that all lie in one corner.
        let found = k_means(points.view(), points.select(Axis(0), &[0, 4, 8, 12]), 10, 7);
        for i in 4..40 {
            assert_eq!(found.of[i], found.of[i % 4], "point {i}");
        }
        assert_eq!(found, k_means(points.view(), points.select(Axis(0), &[0, 4, 8, 12]), 10, 7), "the same seed");
    }

    #[test]
    fn as_many_clusters_as_asked_for_have_points() {
        let same = Array2::<f32>::ones((5, 3));
        let found = k_means(same.view(), same.select(Axis(0), &[0, 1, 2]), 2, 1);
        assert_eq!(sizes(&found.of, 3).iter().filter(|size| **size > 0).count(), 3);
        assert!(found.inertia < 1e-6);
    }
}
