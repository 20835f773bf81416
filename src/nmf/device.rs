//! Where a fit runs.

use ndarray::ArrayView2;

#[cfg(feature = "gpu")]
use super::gpu;
use super::{Factorization, NmfConfig, fit_with};
use crate::error::GpuTrouble;
use crate::watch::Watch;
use crate::{Error, Result};

/// What a fit runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor, all that there is to fit; the same bits everywhere.
    #[default]
    Cpu,
    /// A graphics processor, for large matrices; only where partita was built with the feature `gpu`.
    Gpu,
}

impl Device {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Gpu];

    /// Its name on the command line and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }

    /// Refuses what this build knows nothing of.
    ///
    /// # Errors
    /// [`Error::Gpu`] for [`Device::Gpu`] in a build without the feature `gpu`.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Gpu if cfg!(not(feature = "gpu")) => Err(Error::Gpu(GpuTrouble::NotBuilt)),
            Self::Cpu | Self::Gpu => Ok(()),
        }
    }
}

/// [`fit_with`] on the processor, or the same on a graphics processor: `gpu::GpuMatrix::fit` says what that can do.
///
/// # Errors
/// Those of [`fit`](super::fit); for [`Device::Gpu`], also [`Error::Gpu`] where there is none, the library was built
/// without it, or it fails, and [`Error::Setting`] for a setting that only the processor knows.
pub fn fit_on(
    device: Device,
    v: ArrayView2<'_, f32>,
    config: &NmfConfig,
    watch: &mut Watch<'_>,
) -> Result<Factorization> {
    match device {
        Device::Cpu => fit_with(v, config, watch),
        #[cfg(feature = "gpu")]
        Device::Gpu => {
            // Before a device is looked for.
            gpu::check(config)?;
            config.check(v)?;
            gpu::Gpu::open()?.load(v)?.fit(config, watch)
        }
        #[cfg(not(feature = "gpu"))]
        Device::Gpu => Err(Error::Gpu(GpuTrouble::NotBuilt)),
    }
}
