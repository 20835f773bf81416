//! `partita factorize --precision`: the numbers that a matrix is read, fitted and written in.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use partita::matrix_file::blocks;
use partita::nmf::{BlockConfig, Device, Factorization, NmfConfig, Real, WarmStart, fit_on, fit_with};
use partita::watch::Watch;
use partita::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Precision {
    #[default]
    Single,
    Double,
}

impl Precision {
    pub(super) const ALL: [Self; 2] = [Self::Single, Self::Double];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Double => "double",
        }
    }
}

/// A number of one precision, and what can be done with it alone.
pub(super) trait Number: Real {
    /// Fits a matrix in memory.
    fn fit(
        device: Device,
        v: ArrayView2<'_, Self>,
        config: &NmfConfig<Self>,
        watch: &mut Watch<'_>,
    ) -> Result<Factorization<Self>>;

    /// Fits the matrix in a file, block by block.
    fn fit_file(
        path: &Path,
        config: &NmfConfig<Self>,
        warm_start: Option<WarmStart>,
        watch: &mut Watch<'_>,
    ) -> Result<Factorization<Self>>;
}

impl Number for f32 {
    fn fit(
        device: Device,
        v: ArrayView2<'_, Self>,
        config: &NmfConfig,
        watch: &mut Watch<'_>,
    ) -> Result<Factorization> {
        fit_on(device, v, config, watch)
    }

    fn fit_file(
        path: &Path,
        config: &NmfConfig,
        warm_start: Option<WarmStart>,
        watch: &mut Watch<'_>,
    ) -> Result<Factorization> {
        blocks::factorize(path, &BlockConfig { nmf: config.clone(), warm_start, ..BlockConfig::default() }, watch)
    }
}

impl Number for f64 {
    /// On the processor: the command has refused the other.
    fn fit(
        _: Device,
        v: ArrayView2<'_, Self>,
        config: &NmfConfig<Self>,
        watch: &mut Watch<'_>,
    ) -> Result<Factorization<Self>> {
        fit_with(v, config, watch)
    }

    fn fit_file(_: &Path, _: &NmfConfig<Self>, _: Option<WarmStart>, _: &mut Watch<'_>) -> Result<Factorization<Self>> {
        Err(no_blocks())
    }
}

/// Blocks are read in single precision only.
pub(super) fn no_blocks() -> Error {
    let expected = "single for a matrix that is read by blocks".into();
    Error::Setting { name: "precision", got: Precision::Double.name().into(), expected, advice: None }
}

/// For pictures.
pub(super) fn single<T: Real>(x: &Array2<T>) -> Array2<f32> {
    x.mapv(|x| Into::<f64>::into(x) as f32)
}
