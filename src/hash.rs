//! Tells apart what is not the same, by a short hash: not against intent, but against a mistake.

use std::fmt;

/// FNV-1a over words of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, x: u64) {
        self.0 = (self.0 ^ x).wrapping_mul(0x0100_0000_01b3);
    }

    pub(crate) fn add_all<'a>(&mut self, numbers: impl IntoIterator<Item = &'a f32>) {
        // In a register while it lasts.
        let mut hash = *self;
        numbers.into_iter().for_each(|x| hash.add(u64::from(x.to_bits())));
        *self = hash;
    }

    /// A number whose low bits depend on all that was added; those of the hash itself follow what came last.
    pub(crate) fn folded(self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
