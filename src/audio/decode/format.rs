//! What the headers of a file say.

/// What a file holds, as its headers say.
#[derive(Debug, Clone)]
pub(super) struct Format {
    pub(super) container: &'static str,
    pub(super) codec: String,
    pub(super) sample_rate: u32,
    pub(super) n_channels: usize,
    pub(super) channel_mask: Option<u32>,
    pub(super) n_samples: Option<u64>,
}

/// More channels than any recording has; a header that says more is wrong.
pub(super) const MAX_CHANNELS: usize = 1024;
