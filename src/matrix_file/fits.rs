//! A folder of finished fits, so that work that was interrupted goes on where it was.
//! Each fit is a file of its own, there whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::npz::{NpzWriter, read_member, read_text};
use super::values::wide;
use crate::atomic::Existing;
use crate::hash::Hash;
use crate::nmf::{Matrix, Real, Replicate, ReplicatesConfig, Shelf, StopReason};
use crate::{Error, Result};

/// What a file says of its fit beside the matrices.
#[derive(Debug, Serialize, Deserialize)]
struct Info {
    mark: String,
    seed: u64,
    divergence: f64,
    n_iter: usize,
    stop_reason: String,
}

/// Fits of one matrix with the same settings, each in a file `fit-K-SEED.npz`.
#[derive(Debug)]
pub struct FitFolder {
    folder: PathBuf,
    mark: String,
    takes: bool,
}

impl FitFolder {
    /// A folder, which need not be there. Where `takes` is set, fits that it holds of the same matrix with the same
    /// settings are taken as they are; all others are replaced.
    ///
    /// # Cost
    /// Goes through the matrix once: files are marked with a hash of its entries and of the settings.
    pub fn new<T: Real>(folder: &Path, v: Matrix<'_, T>, config: &ReplicatesConfig<T>, takes: bool) -> Self {
        Self { folder: folder.into(), mark: mark(v, config), takes }
    }

    /// Whether a folder holds fits, whatever of.
    pub fn holds_any(folder: &Path) -> bool {
        let is_fit = |name: &str| name.starts_with("fit-") && name.ends_with(".npz");
        let mut names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_str().is_some_and(is_fit))
    }

    fn path(&self, n_components: usize, seed: u64) -> PathBuf {
        self.folder.join(format!("fit-{n_components}-{seed}.npz"))
    }

    fn read<T: Real>(&self, n_components: usize, seed: u64) -> Result<Option<Replicate<T>>> {
        let path = self.path(n_components, seed);
        let info: Info = match serde_json::from_str(&read_text(&path, "info.json")?) {
            Ok(info) => info,
            Err(_) => return Ok(None),
        };
        let Some(stop_reason) = REASONS.into_iter().find(|reason| reason.name() == info.stop_reason) else {
            return Ok(None);
        };
        if info.mark != self.mark || info.seed != seed {
            return Ok(None);
        }
        let components = read_member(&path, "components")?;
        let clusters = read_member::<f32>(&path, "clusters")?.iter().map(|&cluster| cluster as u32).collect();
        let Info { divergence, n_iter, .. } = info;
        Ok(Some(Replicate { seed, components, clusters, divergence, n_iter, stop_reason }))
    }
}

/// Why a fit that is kept can have ended.
const REASONS: [StopReason; 3] = [StopReason::Converged, StopReason::TargetReached, StopReason::MaxIter];

impl<T: Real> Shelf<T> for FitFolder {
    fn find(&self, n_components: usize, seed: u64) -> Result<Option<Replicate<T>>> {
        if !self.takes || !self.path(n_components, seed).exists() {
            return Ok(None);
        }
        match self.read(n_components, seed) {
            // Whatever it is, it is not one of these fits.
            Err(Error::MalformedMatrix { .. } | Error::MatrixEntry { .. }) => Ok(None),
            found => found,
        }
    }

    fn keep(&self, replicate: &Replicate<T>) -> Result<()> {
        let n_components = replicate.components.ncols();
        let mut writer = NpzWriter::create(&self.path(n_components, replicate.seed), Existing::Replace)?;
        let clusters = Array2::from_shape_fn((1, replicate.clusters.len()), |(_, i)| replicate.clusters[i] as f32);
        writer.array("components", replicate.components.view())?;
        writer.array("clusters", clusters.view())?;
        let info = Info {
            mark: self.mark.clone(),
            seed: replicate.seed,
            divergence: replicate.divergence,
            n_iter: replicate.n_iter,
            stop_reason: replicate.stop_reason.name().into(),
        };
        writer.text("info.json", &serde_json::json!(info).to_string())?;
        writer.finish()
    }
}

/// A hash of the matrix, of the settings that change a fit, and of its precision.
fn mark<T: Real>(v: Matrix<'_, T>, config: &ReplicatesConfig<T>) -> String {
    let mut hash = Hash::new();
    match v {
        Matrix::Dense(v) => {
            hash.add(v.nrows() as u64);
            hash.add(v.ncols() as u64);
            v.iter().for_each(|&x| hash.add(wide(x).to_bits()));
        }
        Matrix::Sparse(v) => {
            hash.add(v.dim().0 as u64);
            hash.add(v.dim().1 as u64);
            for (row, column, x) in v.entries() {
                hash.add(row as u64);
                hash.add(column as u64);
                hash.add(wide(x).to_bits());
            }
        }
    }
    let mut nmf = config.nmf.clone();
    if let Some(weights) = nmf.weights.take() {
        weights.iter().for_each(|&x| hash.add(wide(x).to_bits()));
    }
    // Each fit has its own.
    (nmf.n_components, nmf.seed) = (1, 0);
    let precision = 8 * size_of::<T>();
    let settings = format!("{} {precision} {:?} {nmf:?}", env!("CARGO_PKG_VERSION"), config.side);
    settings.bytes().for_each(|byte| hash.add(byte.into()));
    hash.to_string()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::nmf::{NmfConfig, Solver, SparseMatrix};

    fn replicate(seed: u64) -> Replicate {
        Replicate {
            seed,
            components: array![[0.5, 0.25], [0.125, 3.0]],
            clusters: vec![0, 1, 1],
            divergence: 0.1 + 0.2,
            n_iter: 17,
            stop_reason: StopReason::Converged,
        }
    }

    fn found_in(fits: &FitFolder, n_components: usize, seed: u64) -> Option<Replicate> {
        fits.find(n_components, seed).unwrap()
    }

    #[test]
    fn a_fit_comes_back_as_it_was_for_the_same_matrix_and_settings_only() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("fits");
        let (v, other) = (array![[1.0f32, 2.0, 0.0]], array![[1.0f32, 2.5, 0.0]]);
        let config = ReplicatesConfig::default();
        let fits = FitFolder::new(&folder, Matrix::Dense(v.view()), &config, true);
        assert!(!FitFolder::holds_any(&folder));
        assert_eq!(found_in(&fits, 2, 7), None);
        fits.keep(&replicate(7)).unwrap();
        assert!(FitFolder::holds_any(&folder));
        assert_eq!(fits.find(2, 7).unwrap(), Some(replicate(7)));
        assert_eq!((found_in(&fits, 2, 8), found_in(&fits, 3, 7)), (None, None));
        let found = |v: Matrix<'_>, config: &ReplicatesConfig, takes: bool| {
            found_in(&FitFolder::new(&folder, v, config, takes), 2, 7)
        };
        let nmf = |nmf: NmfConfig| ReplicatesConfig { nmf, ..config.clone() };
        assert_eq!(found(Matrix::Dense(v.view()), &config, false), None, "not asked for");
        assert_eq!(found(Matrix::Dense(other.view()), &config, true), None, "another matrix");
        let mu = nmf(NmfConfig { solver: Solver::Mu, ..NmfConfig::default() });
        assert_eq!(found(Matrix::Dense(v.view()), &mu, true), None, "another solver");
        let sparse = SparseMatrix::from_entries((1, 3), vec![(0, 0, 1.0f32), (0, 1, 2.0)]).unwrap();
        assert_eq!(found(Matrix::Sparse(&sparse), &config, true), None, "sparse: other loops, other last digits");
        let later = nmf(NmfConfig { seed: 3, n_components: 40, ..NmfConfig::default() });
        assert_eq!(found(Matrix::Dense(v.view()), &later, true), Some(replicate(7)), "each fit has its own seed");
    }

    #[test]
    fn what_is_no_fit_is_fitted_again() {
        let folder = tempfile::tempdir().unwrap();
        let v = array![[1.0f32, 2.0, 0.0]];
        let fits = FitFolder::new(folder.path(), Matrix::Dense(v.view()), &ReplicatesConfig::default(), true);
        for content in ["", "PK\u{3}\u{4}", "something else that is long enough to have a header"] {
            fs::write(folder.path().join("fit-2-7.npz"), content).unwrap();
            assert_eq!(found_in(&fits, 2, 7), None, "{content:?}");
        }
        fits.keep(&replicate(7)).unwrap();
        assert_eq!(fits.find(2, 7).unwrap(), Some(replicate(7)));
    }
}
