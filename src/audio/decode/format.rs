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
    /// What was odd about the file, and what was made of it.
    pub(super) notes: Vec<String>,
}

/// More channels than any recording has; a header that says more is wrong.
pub(super) const MAX_CHANNELS: usize = 1024;

/// A count of bytes in words.
pub(super) fn in_bytes(n: u64) -> String {
    format!("{n} {}", if n == 1 { "byte" } else { "bytes" })
}

/// A sound track of a file that can have several.
#[derive(Debug, Clone)]
pub(super) struct SoundTrack {
    /// As symphonia counts it.
    pub(super) id: u32,
    pub(super) is_default: bool,
    /// Empty where it has none.
    pub(super) name: String,
}

/// What of the decoded samples is to be heard, per channel.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Trim {
    /// Samples to drop at the start.
    pub(super) skip: u64,
    /// As many are kept after that, at the most.
    pub(super) limit: Option<u64>,
    /// Samples to drop at the end, wherever that is.
    pub(super) padding: u64,
}
