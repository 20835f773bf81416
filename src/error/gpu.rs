//! What can be wrong with a graphics processor.

use super::Advice;

/// Why a fit cannot run, or go on, on a graphics processor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuTrouble {
    /// The library was built without the feature `gpu`.
    #[error("this build of partita cannot use one")]
    NotBuilt,
    /// There is no device, or no driver for it.
    #[error("there is none with a driver for Vulkan, Metal or Direct3D 12")]
    NoDevice,
    /// The driver does not give the device away, or it cannot run the shaders.
    #[error("{device} cannot be used: {reason}")]
    Unsuitable {
        /// What the driver calls it.
        device: String,
        /// Why not.
        reason: String,
    },
    /// The device has too little memory, or none to spare.
    #[error("{device} does not have {mib} MiB of memory to spare in one piece", mib = n_bytes.div_ceil(1 << 20))]
    Memory {
        /// What the driver calls it.
        device: String,
        /// Bytes of the buffer that could not be had.
        n_bytes: u64,
    },
    /// A matrix has too many rows, columns or components for the device's buffers.
    #[error("{device} has buffers of at most {mib} MiB, too small for {what}", mib = buffer_bytes >> 20)]
    Buffers {
        /// What the driver calls it.
        device: String,
        /// Bytes of the largest buffer.
        buffer_bytes: u64,
        /// What does not fit: "64 rows of 3000000 entries".
        what: String,
    },
    /// The device went away during the work: it was reset or taken out, or its driver gave it up.
    #[error("{device} went away: {reason}")]
    Lost {
        /// What the driver calls it.
        device: String,
        /// What the driver says.
        reason: String,
    },
    /// The driver refused work, or did not come to an end with it.
    #[error("the driver of {device} failed: {reason}")]
    Driver {
        /// What the driver calls it.
        device: String,
        /// What it says.
        reason: String,
    },
}

impl GpuTrouble {
    pub(super) fn advice(&self) -> Advice {
        let cpu = Advice::set("device", "cpu");
        match self {
            Self::NotBuilt => cpu.note("or build partita again with `cargo install --locked --path . --features gpu`"),
            Self::NoDevice => cpu.note("or install the driver; on Linux, `vulkaninfo --summary` shows what is found"),
            Self::Unsuitable { .. } => cpu.note("or install a newer driver"),
            Self::Memory { .. } => cpu.note("or end other programs that hold the device's memory"),
            Self::Buffers { .. } => cpu,
            Self::Lost { .. } => cpu.note("or begin again: what was fitted so far is lost"),
            Self::Driver { .. } => cpu.note("or install a newer driver"),
        }
    }
}
