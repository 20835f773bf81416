//! Fits on a graphics processor, through Vulkan, Metal or Direct3D 12. Only with the feature `gpu`.
//! Knows the Kullback-Leibler divergence and multiplicative updates, and no file; what it cannot do, it refuses.
//!
//! `shape` cuts the matrix, `shader` writes the programs, `device` runs them, `matrix` holds V, `slots` the factors of
//! fits side by side, and `fit` leads them.
//!
//! # Examples
//! ```no_run
//! use partita::nmf::NmfConfig;
//! use partita::nmf::gpu::Gpu;
//! use partita::watch::Watch;
//! let v = ndarray::Array2::from_shape_fn((1000, 2000), |(i, j)| (i * j % 7) as f32);
//! let gpu = Gpu::open()?;
//! let matrix = gpu.load(v.view())?;
//! let fits = matrix.fit_many(&NmfConfig::default(), &[0, 1, 2, 3], &mut Watch::none())?;
//! assert_eq!(fits.len(), 4);
//! # Ok::<(), partita::Error>(())
//! ```

mod device;
mod fit;
mod matrix;
mod scope;
mod shader;
mod shape;
mod slots;
#[cfg(test)]
mod tests;

pub use device::Gpu;
pub use matrix::GpuMatrix;
pub(super) use scope::check;
