//! What many fits have in common: components that come back in them, how reliably, and how much each sample uses them.

use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate};

use super::connectivity::Connectivity;
use super::k_means::k_means;
use super::kernel::wide;
use super::misuse::warnings;
use super::replicates::{Replicate, Replicates};
use super::{Factor, Factorization, NmfConfig, Real, Side};
use crate::error::Advice;
use crate::watch::Watch;
use crate::{Error, Result};

/// How components of many fits are brought together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConsensusConfig {
    /// Components whose mean distance from their nearest neighbors is at least this are outliers; above 0. Components have
    /// length 1, so that distances lie between 0 and the root of 2. Default 0.5, as in cNMF; where most lie close together,
    /// 0.1 to 0.2 drop more.
    pub density_threshold: f64,
    /// How many neighbors count as the nearest, as a share of the number of runs, above 0 and at most 1. Default 0.3.
    pub neighborhood: f64,
    /// Starts of the clustering, beside the one from the best run's components. Default 10.
    pub n_starts: usize,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self { density_threshold: 0.5, neighborhood: 0.3, n_starts: 10 }
    }
}

impl ConsensusConfig {
    /// Refuses what cannot work, before the fits are made.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting out of range.
    pub fn check(&self) -> Result<()> {
        if self.density_threshold.is_nan() || self.density_threshold <= 0.0 {
            return Err(refused("density_threshold", self.density_threshold.to_string(), "above 0"));
        }
        if !(self.neighborhood > 0.0 && self.neighborhood <= 1.0) {
            return Err(refused("neighborhood", self.neighborhood.to_string(), "above 0, at most 1"));
        }
        Ok(())
    }
}

fn refused(name: &'static str, got: String, expected: &str) -> Error {
    Error::Setting { name, got, expected: expected.into(), advice: None }
}

/// What many fits with the same number of components have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Consensus<T: Real = f32> {
    /// The compared factor as the medians of the clusters, each of sum 1, the most used first; the other factor fitted to
    /// it; and how that fit went.
    pub factors: Factorization<T>,
    /// Components of all runs, run after run, of length 1: features x (runs times components).
    pub components: Array2<T>,
    /// Mean distance of each of them from its nearest neighbors.
    pub densities: Vec<f64>,
    /// The consensus component that each belongs to, from 0; none for outliers.
    pub clusters: Vec<Option<usize>>,
    /// How well each consensus component's members stand apart from the others: the mean of their silhouettes, at most 1.
    pub silhouettes: Vec<f64>,
    /// Mean silhouette of all components that are no outliers.
    pub silhouette: f64,
    /// Mean silhouette of all components, outliers among them, clustered without leaving any out: how well the number of
    /// components suits V. 1 for a single one.
    pub stability: f64,
    /// The divergence of each run.
    pub divergences: Vec<f64>,
    /// How often samples go together.
    pub connectivity: Connectivity,
}

impl<T: Real> Consensus<T> {
    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.factors.n_components()
    }

    /// How many components of the runs are outliers.
    pub fn n_outliers(&self) -> usize {
        self.clusters.iter().filter(|cluster| cluster.is_none()).count()
    }
}

impl<T: Real> Replicates<'_, T> {
    /// Finds what the runs with one number of components have in common.
    ///
    /// Components of all runs are brought to length 1. Those that lie far from their nearest neighbors are left out, the
    /// others are clustered by k-means, and the median of each cluster, entry by entry, is a component of the consensus.
    /// Then V is fitted with these held fixed. Entries that are 0 in all medians while V is not are the clusters' means.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting out of range, or a threshold that leaves less than one component for each cluster;
    /// [`Error::MatrixShape`] for runs of another V or of several numbers of components; [`Error::Cancelled`].
    ///
    /// # Cost
    /// The square of all components times the features, for their distances; memory: a copy of all components, and their
    /// distances.
    ///
    /// # References
    /// D. Kotliar et al., "Identifying gene expression programs of cell-type identity and cellular activity with
    /// single-cell RNA-Seq", eLife 8:e43803, 2019 (consensus NMF). P. J. Rousseeuw, "Silhouettes: a graphical aid to the
    /// interpretation and validation of cluster analysis", Journal of Computational and Applied Mathematics 20, 1987.
    pub fn consensus(
        &self,
        runs: &[Replicate<T>],
        config: &ConsensusConfig,
        watch: &mut Watch<'_>,
    ) -> Result<Consensus<T>> {
        let (n_features, n_components) = self.check(runs, config)?;
        let mut points = concatenate(Axis(1), &runs.iter().map(|run| run.components.view()).collect::<Vec<_>>())
            .map(|all| all.reversed_axes().as_standard_layout().into_owned())
            .expect("their rows are as many: it was checked");
        for mut point in points.rows_mut() {
            let length = point.iter().map(|&x| wide(x) * wide(x)).sum::<f64>().sqrt();
            if length > 0.0 {
                point.mapv_inplace(|x| T::of(wide(x) / length));
            }
        }
        let distances = distances(&points);
        let n_neighbors = ((config.neighborhood * runs.len() as f64) as usize).max(1);
        let densities: Vec<f64> = (0..points.nrows()).map(|i| nearness(distances.row(i), i, n_neighbors)).collect();
        let kept: Vec<usize> = (0..points.nrows()).filter(|&i| densities[i] < config.density_threshold).collect();
        if kept.len() < n_components {
            return Err(too_few(&densities, n_components, config));
        }
        let best = (0..runs.len()).min_by(|a, b| runs[*a].divergence.total_cmp(&runs[*b].divergence)).unwrap_or(0);
        let given = points.select(Axis(0), &(best * n_components..(best + 1) * n_components).collect::<Vec<_>>());
        let seed = self.config().nmf.seed;
        let everything: Vec<usize> = (0..points.nrows()).collect();
        let all = k_means(points.view(), given.clone(), config.n_starts, seed).of;
        let of_kept = if kept.len() == points.nrows() {
            all.clone()
        } else {
            k_means(points.select(Axis(0), &kept).view(), given, config.n_starts, seed).of
        };
        let medians = self.medians(&points, &kept, &of_kept, n_features, n_components);
        let mut factors = self.refitted(medians, watch)?;
        let order = self.by_usage(&mut factors);
        let mut clusters = vec![None; points.nrows()];
        kept.iter().zip(&of_kept).for_each(|(&i, &cluster)| clusters[i] = Some(order[cluster]));
        let silhouettes = silhouettes(&distances, &kept, &of_kept, n_components);
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
        let of_cluster = |cluster: usize| {
            let members: Vec<f64> = silhouettes
                .iter()
                .zip(&kept)
                .filter(|(_, i)| clusters[**i] == Some(cluster))
                .map(|(s, _)| *s)
                .collect();
            mean(&members)
        };
        let labels: Vec<&[u32]> = runs.iter().map(|run| &run.clusters[..]).collect();
        Ok(Consensus {
            silhouettes: (0..n_components).map(of_cluster).collect(),
            silhouette: mean(&silhouettes),
            stability: mean(&self::silhouettes(&distances, &everything, &all, n_components)),
            factors,
            components: points.reversed_axes().as_standard_layout().into_owned(),
            densities,
            clusters,
            divergences: runs.iter().map(|run| run.divergence).collect(),
            connectivity: Connectivity::new(&labels),
        })
    }

    /// Features and components of each run.
    fn check(&self, runs: &[Replicate<T>], config: &ConsensusConfig) -> Result<(usize, usize)> {
        config.check()?;
        let Some(first) = runs.first() else {
            return Err(refused("n_runs", "0".into(), "at least 2"));
        };
        let (n_features, n_samples) = match self.config().side {
            Side::Dictionary => self.dim(),
            Side::Activations => (self.dim().1, self.dim().0),
        };
        let expected = (n_features, first.components.ncols());
        for run in runs {
            let got = if run.clusters.len() == n_samples { run.components.dim() } else { (0, 0) };
            if got != expected || got.1 == 0 {
                return Err(Error::MatrixShape { what: "a run's components", got, expected });
            }
        }
        Ok(expected)
    }

    /// The median of each cluster, of sum 1: features x components.
    fn medians(
        &self,
        points: &Array2<T>,
        kept: &[usize],
        of_kept: &[usize],
        n_features: usize,
        n_components: usize,
    ) -> Array2<T> {
        let members = |cluster: usize| kept.iter().zip(of_kept).filter(move |(_, of)| **of == cluster).map(|(i, _)| *i);
        let mut medians = Array2::zeros((n_features, n_components));
        for (cluster, mut column) in medians.columns_mut().into_iter().enumerate() {
            let members: Vec<usize> = members(cluster).collect();
            for (feature, median) in column.iter_mut().enumerate() {
                let mut values: Vec<f64> = members.iter().map(|&i| wide(points[(i, feature)])).collect();
                *median = T::of(median_of(&mut values));
            }
        }
        for (feature, mut row) in medians.rows_mut().into_iter().enumerate() {
            if row.iter().all(|x| *x == T::of(0.0)) {
                for (cluster, x) in row.iter_mut().enumerate() {
                    let (n, sum) =
                        members(cluster).fold((0usize, 0.0), |(n, sum), i| (n + 1, sum + wide(points[(i, feature)])));
                    *x = T::of(sum / n.max(1) as f64);
                }
            }
        }
        for mut column in medians.columns_mut() {
            let sum: f64 = column.iter().map(|&x| wide(x)).sum();
            if sum > 0.0 {
                column.mapv_inplace(|x| T::of(wide(x) / sum));
            }
        }
        medians
    }

    /// V fitted with the compared factor held fixed.
    fn refitted(&self, medians: Array2<T>, watch: &mut Watch<'_>) -> Result<Factorization<T>> {
        let mut config = NmfConfig { n_components: medians.ncols(), ..self.config().nmf.clone() };
        match self.config().side {
            Side::Dictionary => config.dictionary = Factor::Fixed(medians),
            Side::Activations => {
                config.activations = Factor::Fixed(medians.reversed_axes().as_standard_layout().into_owned());
            }
        }
        let found = self.fitted(&config, watch)?;
        let free = NmfConfig { n_components: found.n_components(), ..self.config().nmf.clone() };
        let warnings = warnings(None, (&found.dictionary, &found.activations), &free);
        Ok(Factorization { warnings, ..found })
    }

    /// Puts the most used components first; returns the new place of each.
    fn by_usage(&self, factors: &mut Factorization<T>) -> Vec<usize> {
        let sums: Vec<f64> = match self.config().side {
            Side::Dictionary => factors.activations.rows().into_iter().map(sum).collect(),
            Side::Activations => factors.dictionary.columns().into_iter().map(sum).collect(),
        };
        let mut order: Vec<usize> = (0..sums.len()).collect();
        order.sort_by(|a, b| sums[*b].total_cmp(&sums[*a]));
        factors.dictionary = factors.dictionary.select(Axis(1), &order);
        factors.activations = factors.activations.select(Axis(0), &order);
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &component)| places[component] = place);
        places
    }
}

/// The number of components to take: the largest that is nearly as stable as the most stable one, for components that
/// noise makes do not come back from run to run. `curve` has numbers of components, rising, and their stabilities.
pub fn most_stable(curve: &[(usize, f64)]) -> Option<usize> {
    let highest = curve.iter().map(|(_, stability)| *stability).fold(f64::NEG_INFINITY, f64::max);
    curve.iter().rev().find(|(_, stability)| *stability >= highest - AS_STABLE).map(|(n_components, _)| *n_components)
}

/// Stabilities that differ by no more than this count as the same.
const AS_STABLE: f64 = 0.05;

fn sum<T: Real>(x: ArrayView1<'_, T>) -> f64 {
    x.iter().map(|&x| wide(x)).sum()
}

/// Distances of all points (rows).
fn distances<T: Real>(points: &Array2<T>) -> Array2<f32> {
    let products = points.dot(&points.t());
    let squares: Array1<f64> = products.diag().mapv(wide);
    Array2::from_shape_fn(products.dim(), |(i, j)| {
        if i == j { 0.0 } else { (squares[i] + squares[j] - 2.0 * wide(products[(i, j)])).max(0.0).sqrt() as f32 }
    })
}

/// Mean of the `n` smallest distances of point `i` from others.
fn nearness(row: ArrayView1<'_, f32>, i: usize, n: usize) -> f64 {
    let mut others: Vec<f32> = row.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, d)| *d).collect();
    let n = n.min(others.len());
    if n == 0 {
        return 0.0;
    }
    others.select_nth_unstable_by(n - 1, f32::total_cmp);
    others.truncate(n);
    // Their order is not known, and sums depend on it.
    others.sort_by(f32::total_cmp);
    others.iter().map(|&d| f64::from(d)).sum::<f64>() / n as f64
}

fn median_of(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values {
        [] => 0.0,
        _ if values.len() % 2 == 1 => values[middle],
        _ => 0.5 * (values[middle - 1] + values[middle]),
    }
}

/// The silhouette of each of some points: by how much the mean distance from the nearest other cluster is larger than
/// that from its own, relative to the larger one; 0 for a point that is alone, 1 where there is one cluster only.
fn silhouettes(distances: &Array2<f32>, points: &[usize], of: &[usize], n_clusters: usize) -> Vec<f64> {
    if n_clusters < 2 {
        return vec![1.0; points.len()];
    }
    let mut sizes = vec![0usize; n_clusters];
    of.iter().for_each(|&cluster| sizes[cluster] += 1);
    let of_point = |(&point, &own): (&usize, &usize)| {
        let mut sums = vec![0.0; n_clusters];
        points.iter().zip(of).for_each(|(&other, &cluster)| sums[cluster] += f64::from(distances[(point, other)]));
        if sizes[own] < 2 {
            return 0.0;
        }
        let inside = sums[own] / (sizes[own] - 1) as f64;
        let others = (0..n_clusters).filter(|&cluster| cluster != own && sizes[cluster] > 0);
        let outside = others.map(|cluster| sums[cluster] / sizes[cluster] as f64).fold(f64::INFINITY, f64::min);
        let larger = inside.max(outside);
        if larger > 0.0 && larger.is_finite() { (outside - inside) / larger } else { 0.0 }
    };
    points.iter().zip(of).map(of_point).collect()
}

/// What to say where too many components are outliers.
fn too_few(densities: &[f64], n_components: usize, config: &ConsensusConfig) -> Error {
    let mut sorted = densities.to_vec();
    sorted.sort_by(f64::total_cmp);
    let least = sorted.get(n_components - 1).copied().unwrap_or(f64::NAN);
    Error::Setting {
        name: "density_threshold",
        got: config.density_threshold.to_string(),
        expected: format!("above {least:.3}, so that {n_components} of {} components are left", densities.len()),
        advice: Some(Advice::plain("the runs have little in common: try fewer components, or more iterations").into()),
    }
}
